//! What a loader hands to an executor.

use crate::{Error, Pixels, Result};

/// What images that are mixtures of two show beside their label.
#[derive(Debug, Clone, Default)]
pub struct Mixed {
    /// The second class index of each of the first `n` images, and unspecified values behind them, as in [`Batch::labels`].
    pub labels: Vec<u32>,
    /// How much of each image the first label is, in `[0, 1]`; the rest is the second.
    pub shares: Vec<f32>,
}

impl Mixed {
    /// Room for `capacity` images, which are not mixed yet.
    pub fn with_capacity(capacity: usize) -> Mixed {
        Mixed { labels: vec![0; capacity], shares: vec![1.0; capacity] }
    }
}

/// What one image shows: one class, or a mixture of two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    /// The first class.
    pub label: u32,
    /// The second class, which may be the first one again.
    pub second: u32,
    /// How much of the image the first class is, in `[0, 1]`; 1 for an image that is not mixed.
    pub share: f32,
}

impl Target {
    /// The class of the larger share, the first where both are equal.
    pub fn main(&self) -> u32 {
        if self.share >= 0.5 { self.label } else { self.second }
    }
}

/// What the images of a batch show.
#[derive(Debug, Clone, Copy)]
pub struct Targets<'a> {
    labels: &'a [u32],
    /// Second labels and shares.
    mixed: Option<(&'a [u32], &'a [f32])>,
}

impl Targets<'_> {
    /// How many images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// What image `i` shows.
    #[inline]
    pub fn get(&self, i: usize) -> Target {
        let label = self.labels[i];
        self.mixed.map_or(Target { label, second: label, share: 1.0 }, |(second, shares)| Target {
            label,
            second: second[i],
            share: shares[i],
        })
    }

    /// What each image shows.
    pub fn iter(&self) -> impl Iterator<Item = Target> + Clone + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl<'a> From<&'a [u32]> for Targets<'a> {
    /// Images that are not mixed.
    fn from(labels: &'a [u32]) -> Targets<'a> {
        Targets { labels, mixed: None }
    }
}

/// Up to `capacity` images and their labels. A slot of the loader's ring: allocated once, refilled for ever.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The pixels; the buffer is sized for the full batch, the first `n` images are valid.
    pub pixels: Pixels,
    /// Class indices of the first `n` images, and unspecified values behind them.
    pub labels: Vec<u32>,
    /// Second labels, where the images are mixtures; there need be none in testing.
    pub mixed: Option<Mixed>,
    /// How many images are valid.
    pub n: usize,
}

impl Batch {
    /// A batch with room for `capacity` images of `values_per_image` f32 values, holding none yet.
    pub fn with_capacity(capacity: usize, values_per_image: usize) -> Batch {
        Batch { pixels: Pixels::F32(vec![0.0; capacity * values_per_image]), labels: vec![0; capacity], mixed: None, n: 0 }
    }

    /// The valid pixels, `[n, c, h, w]`.
    ///
    /// # Panics
    /// Where they are not f32.
    pub fn f32(&self) -> &[f32] {
        let Pixels::F32(values) = &self.pixels else { panic!("the pixels are f32") };
        let per_image = values.len().checked_div(self.labels.len()).unwrap_or(0);
        &values[..self.n * per_image]
    }

    /// What the valid images show.
    ///
    /// # Panics
    /// Where there is no room for so many labels.
    pub fn targets(&self) -> Targets<'_> {
        let mixed = self.mixed.as_ref().map(|mixed| (&mixed.labels[..self.n], &mixed.shares[..self.n]));
        Targets { labels: &self.labels[..self.n], mixed }
    }

    /// Whether there are images, no more than `capacity`, and room for the labels of all.
    ///
    /// # Errors
    /// [`Error::Batch`], saying how many there are.
    pub fn check_images(&self, capacity: usize) -> Result<()> {
        let (n, room) = (self.n, self.labels.len());
        if n == 0 || n > capacity {
            return Err(Error::Batch(format!("{n} images given, 1 to {capacity} can be")));
        }
        if room < n {
            return Err(Error::Batch(format!("{n} images, but room for {room} labels")));
        }
        Ok(())
    }

    /// Whether what every valid image shows is there and among `classes`, as a pass of training needs it.
    ///
    /// # Errors
    /// [`Error::Batch`], saying of which image it is not.
    pub fn check_targets(&self, classes: usize) -> Result<()> {
        let fault = |message: String| Err(Error::Batch(message));
        let room = self.mixed.as_ref().map_or(self.labels.len(), |m| self.labels.len().min(m.labels.len()).min(m.shares.len()));
        if room < self.n {
            return fault(format!("{} images, but room for the labels and shares of {room}", self.n));
        }
        for (i, target) in self.targets().iter().enumerate() {
            if let Some(label) = [target.label, target.second].into_iter().find(|&label| label as usize >= classes) {
                return fault(format!("image {i} has label {label}, there are {classes} classes"));
            }
            if !(0.0..=1.0).contains(&target.share) {
                return fault(format!("{} of image {i} is label {}, which is no share", target.share, target.label));
            }
        }
        Ok(())
    }

    /// The whole f32 buffer for filling, `[capacity, c, h, w]`.
    ///
    /// # Panics
    /// Where the pixels are not f32.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        let Pixels::F32(values) = &mut self.pixels else { panic!("the pixels are f32") };
        values
    }
}
