//! What a loader hands to an executor.

/// The pixels of a batch, in one of the forms that executors accept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Pixels {
    /// Ready values, `[n, c, h, w]`, f32, contiguous.
    F32(Vec<f32>),
}

/// Up to `capacity` images and their labels. A slot of the loader's ring: allocated once, refilled for ever.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The pixels; the buffer is sized for the full batch, the first `n` images are valid.
    pub pixels: Pixels,
    /// Class indices of the first `n` images, and unspecified values behind them.
    pub labels: Vec<u32>,
    /// How many images are valid.
    pub n: usize,
}

impl Batch {
    /// A batch with room for `capacity` images of `values_per_image` f32 values, holding none yet.
    pub fn with_capacity(capacity: usize, values_per_image: usize) -> Batch {
        Batch { pixels: Pixels::F32(vec![0.0; capacity * values_per_image]), labels: vec![0; capacity], n: 0 }
    }

    /// The valid pixels as f32, `[n, c, h, w]`.
    pub fn f32(&self) -> &[f32] {
        let Pixels::F32(values) = &self.pixels;
        let per_image = values.len().checked_div(self.labels.len()).unwrap_or(0);
        &values[..self.n * per_image]
    }

    /// The whole f32 buffer for filling, `[capacity, c, h, w]`.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        let Pixels::F32(values) = &mut self.pixels;
        values
    }
}
