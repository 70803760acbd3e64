//! Made-up images as a source.

use std::borrow::Cow;

use data::{Content, Error, Fault, Image, Result, Source};
use net::random::{Purpose, Stream};

/// `images` pictures of sizes about `side`, noise on a slope; those in `bad` cannot be read.
pub(crate) struct Pictures {
    pub(crate) images: usize,
    pub(crate) side: usize,
    /// Whether all are `side × side`.
    pub(crate) square: bool,
    pub(crate) bad: Vec<usize>,
}

impl Pictures {
    pub(crate) fn squares(images: usize, side: usize) -> Pictures {
        Pictures { images, side, square: true, bad: vec![] }
    }
}

impl Source for Pictures {
    fn len(&self) -> usize {
        self.images
    }

    fn label(&self, index: usize) -> u32 {
        (index % 7) as u32
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("picture {index:03}").into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        if self.bad.contains(&index) {
            let source = Fault::NotAnImage { found: "a test".into() };
            return Err(Error::Image { name: self.name(index).into_owned(), source });
        }
        let stream = Stream::new(99, Purpose::Test, 0, 0, index as u32);
        let stretch = |e| if self.square { 0 } else { stream.below(e, self.side as u32) as usize };
        let (width, height) = (self.side + stretch(0), self.side + stretch(1));
        let level = stream.u32(2) as u8 / 2;
        let rgb = (0..3 * width * height).map(|i| level + (stream.u32(4 + i as u32) >> 25) as u8).collect();
        Ok(Image { width, height, rgb }.keep_in(buffer))
    }
}
