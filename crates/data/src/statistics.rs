//! What is measured once on the training images and kept with the run.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use net::Tensor;

use crate::pipeline::luma;
use crate::scratch::Scratch;
use crate::{BadImage, BadImages, Channels, Error, Mean, Preprocessing, Result, Source, Std, eigen, workers};

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

/// Sums over images, in whole numbers, so that no order of adding matters.
struct Sums {
    images: u64,
    /// Sums of each pixel's values, interleaved as in an image: `[side, side, c]`.
    pixels: Vec<u64>,
    /// Sums of products of a pixel's values, `[c, c]`, upper triangle.
    products: [[u64; 3]; 3],
}

impl Sums {
    fn new(side: usize, c: usize) -> Sums {
        Sums { images: 0, pixels: vec![0; c * side * side], products: [[0; 3]; 3] }
    }

    /// Adds a stored square, `[side, side, c]`.
    fn add(&mut self, values: &[u8], c: usize) {
        self.images += 1;
        for (sum, &value) in self.pixels.iter_mut().zip(values) {
            *sum += u64::from(value);
        }
        if c == 1 {
            self.products[0][0] += values.iter().map(|&v| u64::from(v) * u64::from(v)).sum::<u64>();
            return;
        }
        let (pixels, _) = values.as_chunks::<3>();
        // 2¹⁶ products of two bytes fit into 32 bits.
        for some in pixels.chunks(1 << 16) {
            let mut products = [0u32; 6];
            for &[r, g, b] in some {
                let [r, g, b] = [r, g, b].map(u32::from);
                for (sum, product) in products.iter_mut().zip([r * r, r * g, r * b, g * g, g * b, b * b]) {
                    *sum += product;
                }
            }
            for (&(i, j), product) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)].iter().zip(products) {
                self.products[i][j] += u64::from(product);
            }
        }
    }

    fn merge(&mut self, other: &Sums) {
        self.images += other.images;
        self.pixels.iter_mut().zip(&other.pixels).for_each(|(a, b)| *a += b);
        self.products.iter_mut().flatten().zip(other.products.iter().flatten()).for_each(|(a, b)| *a += b);
    }

    fn statistics(&self, side: usize, c: usize) -> Statistics {
        let mean_of = |sum: u64| (sum as f64 / self.images as f64) as f32;
        let mean_image = (0..c).flat_map(|ch| self.pixels.iter().skip(ch).step_by(c)).map(|&sum| mean_of(sum)).collect();
        let count = i128::from(self.images) * (side * side) as i128;
        let totals: Vec<u64> = (0..c).map(|ch| self.pixels.iter().skip(ch).step_by(c).sum()).collect();
        // (N·Σxy − Σx·Σy) / N², rounded once.
        let covariance = |i: usize, j: usize| {
            let (i, j) = (i.min(j), i.max(j));
            let exact = count * i128::from(self.products[i][j]) - i128::from(totals[i]) * i128::from(totals[j]);
            exact as f64 / (count as f64 * count as f64)
        };
        let matrix: Vec<f64> = (0..c * c).map(|i| covariance(i / c, i % c)).collect();
        let (eigenvalues, eigenvectors) = eigen::symmetric(&matrix, c);
        let rounded = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
        Statistics {
            images: self.images,
            side,
            mean_image,
            mean: totals.iter().map(|&total| (total as f64 / count as f64) as f32).collect(),
            std: rounded((0..c).map(|i| libm::sqrt(matrix[i * c + i])).collect()),
            eigenvalues: rounded(eigenvalues),
            eigenvectors: rounded(eigenvectors),
        }
    }
}

/// The memory of one measuring thread.
#[derive(Default)]
struct Measuring {
    bytes: Vec<u8>,
    scratch: Scratch,
    grey: Vec<u8>,
}

impl Measuring {
    /// Image `index` at its stored size, `[side, side, c]`.
    fn square(&mut self, source: &dyn Source, p: &Preprocessing, index: usize) -> Result<&[u8]> {
        let content = source.fetch(index, &mut self.bytes)?;
        let square = self.scratch.region(content, p, |placement| placement.square(p.stored), || ());
        let square = square.map_err(|fault| Error::Image { name: source.name(index).into_owned(), source: fault })?;
        if p.channels != Channels::Grey {
            return Ok(square);
        }
        self.grey.clear();
        self.grey.extend(square.as_chunks::<3>().0.iter().map(luma));
        Ok(&self.grey)
    }
}

impl Statistics {
    /// Measures every image of `source`; the result is the same bit for bit whatever `threads` is. `progress` hears of
    /// (images done, images in all) and may break it off. Also returns the bad images that were left out, sorted.
    ///
    /// # Errors
    /// As `bad` says for images that cannot be read; where there is not one good image; where `progress` broke it off.
    pub fn compute(
        source: &dyn Source,
        p: &Preprocessing,
        threads: usize,
        bad: BadImages,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Result<(Statistics, Vec<BadImage>)> {
        let (images, c) = (source.len(), p.planes());
        if images == 0 {
            return Err(Error::Empty { purpose: "measure" });
        }
        let next = AtomicUsize::new(0);
        let (report, reports) = mpsc::channel::<(usize, Option<Error>)>();
        let measure = |report: mpsc::Sender<(usize, Option<Error>)>| {
            let (mut sums, mut measuring) = (Sums::new(p.stored, c), Measuring::default());
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= images {
                    return sums;
                }
                let error = match measuring.square(source, p, index) {
                    Ok(square) => {
                        sums.add(square, c);
                        None
                    }
                    Err(error) => Some(error),
                };
                if bad == BadImages::Stop && error.is_some() || error.as_ref().is_some_and(|e| e.bad_image().is_none()) {
                    // Indices are taken in order, so all before this one are done or being done.
                    next.store(images, Ordering::Relaxed);
                }
                // The receiver lives until all senders are gone.
                let _ = report.send((index, error));
            }
        };
        let mut failed: Vec<(usize, Error)> = Vec::new();
        let sums = std::thread::scope(|scope| {
            let workers = workers::start(scope, threads.min(images), || {
                let report = report.clone();
                || measure(report)
            })?;
            drop(report);
            let mut stopped = None;
            for (done, (index, error)) in (1..).zip(reports.iter()) {
                failed.extend(error.map(|e| (index, e)));
                if stopped.is_none() && progress(done, images).is_break() {
                    stopped = Some(Error::Stopped { done, images });
                    next.store(images, Ordering::Relaxed);
                }
            }
            if let Some(error) = stopped {
                return Err(error);
            }
            let mut sums = Sums::new(p.stored, c);
            for worker in workers {
                sums.merge(&worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            Ok(sums)
        })?;
        let skipped = judge(failed, bad)?;
        match skipped.first() {
            Some(first) if sums.images == 0 => Err(Error::AllBad { images, first: first.clone() }),
            _ => Ok((sums.statistics(p.stored, c), skipped)),
        }
    }

    /// What could have been measured with `p`: for measuring speeds, not for training.
    pub fn made_up(p: &Preprocessing) -> Statistics {
        let (c, side) = (p.planes(), p.stored);
        let vectors = (0..c * c).map(|i| if i / c == i % c { 1.0 } else { 0.0 }).collect();
        Statistics {
            images: 1,
            side,
            mean_image: vec![120.0; c * side * side],
            mean: vec![120.0; c],
            std: vec![60.0; c],
            eigenvalues: vec![1000.0; c],
            eigenvectors: vectors,
        }
    }

    /// The statistics as named tensors.
    pub fn to_tensors(&self) -> Vec<(String, Tensor)> {
        let c = self.mean.len();
        let tensor = |name: &str, shape: &[usize], data: &[f32]| {
            (format!("{PREFIX}{name}"), Tensor { shape: shape.to_vec(), data: data.to_vec() })
        };
        // Sixteen bits a value, the lowest first: f32 holds them exactly.
        let images: Vec<f32> = (0..4).map(|i| f32::from((self.images >> (16 * i)) as u16)).collect();
        vec![
            tensor("images", &[4], &images),
            tensor("mean_image", &[c, self.side, self.side], &self.mean_image),
            tensor("mean", &[c], &self.mean),
            tensor("std", &[c], &self.std),
            tensor("eigenvalues", &[c], &self.eigenvalues),
            tensor("eigenvectors", &[c, c], &self.eigenvectors),
        ]
    }

    /// The statistics out of [`Statistics::to_tensors`]; other tensors are ignored.
    ///
    /// # Errors
    /// Where a tensor is missing, misshapen or not finite.
    pub fn from_tensors(tensors: &[(String, Tensor)]) -> Result<Statistics> {
        let find = |name: &str| {
            let full = format!("{PREFIX}{name}");
            let (_, tensor) = tensors
                .iter()
                .find(|(n, _)| *n == full)
                .ok_or_else(|| Error::Statistics(format!("tensor `{full}` is missing")))?;
            let values = tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
            if values != Some(tensor.data.len()) || !tensor.data.iter().all(|x| x.is_finite()) {
                return Err(Error::Statistics(format!("tensor `{full}` is misshapen or not finite")));
            }
            Ok(tensor)
        };
        let mean_image = find("mean_image")?;
        let &[c, side, width] = &mean_image.shape[..] else {
            return Err(Error::Statistics(format!("mean_image has shape {:?}, expected [c, side, side]", mean_image.shape)));
        };
        let sized = |name: &str, shape: &[usize]| {
            let tensor = find(name)?;
            if tensor.shape != shape {
                return Err(Error::Statistics(format!("{name} has shape {:?}, expected {shape:?}", tensor.shape)));
            }
            Ok(tensor.data.clone())
        };
        if side != width || !(c == 0 || c == 1 || c == 3) {
            return Err(Error::Statistics(format!("mean_image has shape {:?}, expected 1 or 3 squares", mean_image.shape)));
        }
        let images = sized("images", &[4])?.iter().rev().fold(0u64, |all, &part| all << 16 | u64::from(part as u16));
        Ok(Statistics {
            images,
            side,
            mean_image: mean_image.data.clone(),
            mean: sized("mean", &[c])?,
            std: sized("std", &[c])?,
            eigenvalues: sized("eigenvalues", &[c])?,
            eigenvectors: sized("eigenvectors", &[c, c])?,
        })
    }

    /// Whether everything that `p` uses has been measured. Deviations and colours of zero count as not measured: files of other
    /// programs may bring a mean alone.
    pub fn suffice(&self, p: &Preprocessing) -> bool {
        let c = p.planes();
        let mean = match p.mean {
            Mean::Image | Mean::ImageAtCrop => self.has_image() && self.side == p.stored,
            Mean::Channels => self.mean.len() == c,
            Mean::None | Mean::Values(_) => true,
        };
        mean && (p.std != Std::Channels || measured(&self.std)) && (p.colour_noise.is_none() || measured(&self.eigenvalues))
    }

    /// These statistics, and those of `other` where these have none: the mean, the deviations and the colours each as a whole.
    pub fn or(self, other: Statistics) -> Statistics {
        let (own_image, own_mean) = (self.has_image(), !self.mean.is_empty());
        let (own_std, own_colours) = (measured(&self.std), measured(&self.eigenvalues));
        Statistics {
            images: if own_image || own_mean { self.images } else { other.images },
            side: if own_image { self.side } else { other.side },
            mean_image: if own_image { self.mean_image } else { other.mean_image },
            mean: if own_mean { self.mean } else { other.mean },
            std: if own_std { self.std } else { other.std },
            eigenvalues: if own_colours { self.eigenvalues } else { other.eigenvalues },
            eigenvectors: if own_colours { self.eigenvectors } else { other.eigenvectors },
        }
    }

    fn has_image(&self) -> bool {
        !self.mean_image.is_empty()
    }

    /// Whether these statistics hold what `p` uses.
    pub(crate) fn check(&self, p: &Preprocessing) -> Result<()> {
        let c = p.planes();
        let sizes = [self.mean.len(), self.std.len(), self.eigenvalues.len()];
        if sizes != [c; 3] || self.eigenvectors.len() != c * c {
            return Err(Error::Statistics(format!("they are of {} channels, the preprocessing has {c}", self.mean.len())));
        }
        let needs_image = matches!(p.mean, Mean::Image | Mean::ImageAtCrop);
        if needs_image && (self.side != p.stored || self.mean_image.len() != c * p.stored * p.stored) {
            return Err(Error::Statistics(format!("the mean image has side {}, stored images have {}", self.side, p.stored)));
        }
        Ok(())
    }
}

/// Whether there are values, and not all of them 0.
fn measured(values: &[f32]) -> bool {
    values.iter().any(|value| *value != 0.0)
}

/// What the tensors' names begin with.
const PREFIX: &str = "statistics.";

/// The bad images to go on without, sorted, or the error that ends it.
fn judge(mut failed: Vec<(usize, Error)>, policy: BadImages) -> Result<Vec<BadImage>> {
    failed.sort_by_key(|(index, _)| *index);
    let mut skipped = Vec::new();
    for (_, error) in failed {
        match error.bad_image() {
            Some(image) if policy != BadImages::Stop => skipped.push(image),
            _ => return Err(error),
        }
    }
    skipped.sort();
    if policy == BadImages::Report && !skipped.is_empty() {
        return Err(Error::BadImages { bad: skipped });
    }
    Ok(skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ColourNoise;

    #[test]
    fn what_is_missing_comes_from_the_others_and_the_rest_stays() {
        let noisy = Preprocessing { stored: 2, ..Preprocessing::default() };
        let quiet = Preprocessing { colour_noise: None, ..noisy.clone() };
        let full = Statistics::made_up(&noisy);
        let other = Statistics { images: 9, mean_image: vec![1.0; 12], mean: vec![1.0; 3], std: vec![2.0; 3], ..full.clone() };
        let other = Statistics { eigenvalues: vec![3.0; 3], ..other };
        assert!(full.suffice(&noisy) && full.clone().or(other.clone()) == full);
        assert_eq!(Statistics::default().or(other.clone()), other);
        // A mean image alone, without deviations and colours.
        let bare = Statistics { std: vec![0.0; 3], eigenvalues: vec![0.0; 3], ..full.clone() };
        assert!(bare.suffice(&quiet) && !bare.suffice(&noisy));
        assert!(!bare.suffice(&Preprocessing { std: Std::Channels, ..quiet.clone() }));
        assert!(!bare.suffice(&Preprocessing { stored: 3, ..quiet.clone() }), "the mean image is of another size");
        let both = bare.or(other.clone());
        assert_eq!((both.images, &both.mean_image, &both.mean), (1, &full.mean_image, &full.mean));
        assert_eq!((both.std, both.eigenvalues), (other.std, other.eigenvalues));
        // Given values need nothing, and noise needs colours all the same.
        let given = Preprocessing { mean: Mean::Values([1.0; 3]), ..quiet };
        assert!(Statistics::default().suffice(&given));
        let noise = Some(ColourNoise::default());
        assert!(!Statistics::default().suffice(&Preprocessing { colour_noise: noise, ..given }));
    }

    #[test]
    fn a_trained_nets_preprocessing_is_augmented_as_another() {
        let own = Preprocessing {
            stored: 32,
            fit: crate::Fit::Warp,
            mean: Mean::Values([1.0, 2.0, 3.0]),
            std: Std::Values([4.0; 3]),
            channels: Channels::Bgr,
            flip: false,
            ..Preprocessing::default()
        };
        let other = Preprocessing { crop_group: 32, colour_noise: None, order: crate::Order::Once, ..Preprocessing::default() };
        let found = own.augmented_as(&other);
        assert_eq!(
            found,
            Preprocessing { crop_group: 32, colour_noise: None, order: crate::Order::Once, flip: true, ..own.clone() }
        );
        assert_eq!((own.augmented_as(&own), found.augmented_as(&own)), (own.clone(), own));
    }
}
