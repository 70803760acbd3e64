//! From what a source fetches to the pixels that are asked for.

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
        let (width, height) = self.decoder.open(content)?;
        let placement = p.place(width, height)?;
        let needs = self.resizer.plan(width, height, placement.width, placement.height, p.filter, choose(&placement));
        let part = self.decoder.part(content, needs)?;
        decoded();
        self.resizer.run(part, &mut self.pixels);
        Ok(&self.pixels)
    }
}
