//! From what a source fetches to the pixels that are asked for.

use crate::augment::cut;
use crate::decode::Decoder;
use crate::preprocessing::Placement;
use crate::{Content, Fault, Preprocessing, Region, Resizer, Result};

/// The memory of one thread that prepares images, used again for each.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    decoder: Decoder,
    resizer: Resizer,
    /// The last result.
    pixels: Vec<u8>,
    /// A crop before it is resized, or pixels before they are changed.
    memory: Vec<u8>,
}

impl Scratch {
    /// Decodes what is needed of an image for the region that `choose` picks from the placed image, and resizes it:
    /// `[region.height, region.width, 3]`. Calls `decoded` in between.
    ///
    /// # Errors
    /// Where the content is no whole image, or not of the size that the preprocessing asks for.
    pub(crate) fn region(
        &mut self,
        content: Content<'_>,
        p: &Preprocessing,
        choose: impl FnOnce(&Placement) -> Region,
        decoded: impl FnOnce(),
    ) -> Result<&[u8], Fault> {
        let size = self.decoder.open(content)?;
        let placement = p.place(size.0, size.1)?;
        let (width, height) = self.decoder.shrink(size, placement.width, placement.height);
        let needs = self.resizer.plan(width, height, placement.width, placement.height, p.filter, choose(&placement));
        let part = self.decoder.part(content, needs)?;
        decoded();
        self.resizer.run(part, &mut self.pixels);
        Ok(&self.pixels)
    }

    /// Decodes what is needed of the rectangle that `crop` picks from an image of so many columns and rows, and resizes it to
    /// `width × height`: `[height, width, 3]`. Filters do not see what lies outside of the rectangle. Calls `decoded` in between.
    ///
    /// # Errors
    /// As [`Scratch::region`].
    pub(crate) fn resized_crop(
        &mut self,
        content: Content<'_>,
        p: &Preprocessing,
        crop: impl FnOnce((usize, usize)) -> Region,
        (width, height): (usize, usize),
        decoded: impl FnOnce(),
    ) -> Result<&[u8], Fault> {
        let size = self.decoder.open(content)?;
        p.place(size.0, size.1)?;
        let crop = crop(size);
        // The whole photo as large as the crop makes it.
        let whole = |length: usize, cropped: usize, wanted: usize| (length * wanted).div_ceil(cropped);
        let (w, h) = (whole(size.0, crop.width, width), whole(size.1, crop.height, height));
        let crop = crop.scaled(size, self.decoder.shrink(size, w, h));
        let part = self.decoder.part(content, crop)?;
        decoded();
        self.resizer.plan(crop.width, crop.height, width, height, p.filter, Region::whole(width, height));
        self.resizer.run(cut(part, crop, &mut self.memory), &mut self.pixels);
        Ok(&self.pixels)
    }

    /// Changes the pixels of the last result; what else `change` is given is memory.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut [u8], &mut Vec<u8>)) -> &[u8] {
        change(&mut self.pixels, &mut self.memory);
        &self.pixels
    }
}
