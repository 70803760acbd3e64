//! What is measured once on the training images and kept with the run.

use net::Tensor;

use crate::{BadImage, BadImages, Preprocessing, Result, Source};

/// Means and colour statistics of the training images at their stored size, on the scale of 0 to 255.
///
/// All values are f32, so that a file of tensors holds them exactly.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Statistics {
    /// How many images were measured.
    pub images: u64,
    /// Side of the stored square.
    pub side: usize,
    /// Mean image, `[c, side, side]`: red, green, blue, or luma.
    pub mean_image: Vec<f32>,
    /// Mean of each channel, `[c]`.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel, `[c]`.
    pub std: Vec<f32>,
    /// Eigenvalues of the covariance of pixels' colours, `[c]`, largest first.
    pub eigenvalues: Vec<f32>,
    /// Their eigenvectors, one a column, `[c, c]`; the largest component of each is positive.
    pub eigenvectors: Vec<f32>,
}

impl Statistics {
    /// Measures every image of `source`; the result is the same bit for bit whatever `threads` is. `progress` hears of
    /// (images done, images in all).
    ///
    /// # Errors
    /// As `bad` says for images that cannot be read; where there is not one good image.
    pub fn compute(
        source: &dyn Source,
        p: &Preprocessing,
        threads: usize,
        bad: BadImages,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<(Statistics, Vec<BadImage>)> {
        let _ = (source, p, threads, bad, progress);
        Ok((Statistics::default(), Vec::new()))
    }

    /// The statistics as named tensors.
    pub fn to_tensors(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }

    /// The statistics out of [`Statistics::to_tensors`]; other tensors are ignored.
    ///
    /// # Errors
    /// Where a tensor is missing, misshapen or not finite.
    pub fn from_tensors(tensors: &[(String, Tensor)]) -> Result<Statistics> {
        let _ = tensors;
        Ok(Statistics::default())
    }
}
