//! Small images of one size, all of them in memory.

use std::borrow::Cow;
use std::path::Path;

use crate::{Content, Error, Result, Source};

/// The most bytes of pixels of a split: twenty times CIFAR.
pub(super) const MOST_BYTES: u64 = 1 << 32;

/// Images of one size in memory, as their files have them.
pub(super) struct Planes {
    /// What images are called: this, then their index.
    pub(super) name: String,
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1: grey; 3: red, green and blue, one plane after another.
    pub(super) channels: usize,
    /// `[n, channels, h, w]`
    pub(super) pixels: Vec<u8>,
    pub(super) labels: Vec<u32>,
}

impl Source for Planes {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index]
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        Cow::Owned(format!("{}/{index:05}", self.name))
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        let plane = self.width * self.height;
        let image = &self.pixels[index * plane * self.channels..][..plane * self.channels];
        buffer.clear();
        buffer.reserve(3 * plane);
        if self.channels == 1 {
            image.iter().for_each(|&grey| buffer.extend([grey; 3]));
        } else {
            let ((red, rest), blue) = (image.split_at(plane), &image[2 * plane..]);
            red.iter().zip(rest).zip(blue).for_each(|((&r, &g), &b)| buffer.extend([r, g, b]));
        }
        Ok(Content::Pixels { width: self.width, height: self.height, rgb: buffer })
    }
}

/// A file of the data set that is not as it should be.
pub(super) fn malformed(path: &Path, message: impl Into<String>) -> Error {
    Error::Malformed { path: path.into(), message: message.into() }
}
