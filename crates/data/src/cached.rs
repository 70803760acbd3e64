//! Images kept in memory at their stored size.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::scratch::Scratch;
use crate::{Content, Fit, Preprocessing, Result, Source};

/// A budget for [`cached`] that holds 50,000 images of 32 × 32, or 20,000 of 64 × 64.
pub const CACHE_BYTES: usize = 256 << 20;

/// Bytes that [`cached`] keeps of `images` images with that budget; 0 where it keeps none.
pub fn cached_bytes(images: usize, preprocessing: &Preprocessing, budget_bytes: usize) -> usize {
    let bytes = preprocessing.stored.saturating_mul(preprocessing.stored).saturating_mul(3).saturating_mul(images);
    if preprocessing.fit == Fit::ShorterSide || bytes > budget_bytes { 0 } else { bytes }
}

/// A source that keeps every image at its stored size once it was read; or `source` itself where all images together would
/// take more than `budget_bytes`, or are not kept as squares. What the preprocessing makes of the images stays the same
/// bit for bit.
pub fn cached(source: Arc<dyn Source>, preprocessing: &Preprocessing, budget_bytes: usize) -> Arc<dyn Source> {
    if cached_bytes(source.len(), preprocessing, budget_bytes) == 0 {
        return source;
    }
    let squares = (0..source.len()).map(|_| OnceLock::new()).collect();
    Arc::new(Cached { source, preprocessing: preprocessing.clone(), squares })
}

struct Cached {
    source: Arc<dyn Source>,
    preprocessing: Preprocessing,
    /// `[side, side, 3]` each.
    squares: Vec<OnceLock<Box<[u8]>>>,
}

impl Cached {
    /// Keeps the stored square of image `index` and returns it; `None` where the preprocessing will refuse the image.
    fn keep(&self, index: usize, content: Content<'_>) -> Option<&[u8]> {
        let p = &self.preprocessing;
        let mut scratch = Scratch::default();
        let square = scratch.region(content, p, |placement| placement.square(p.stored), || ()).ok()?;
        // Where another thread is faster, it keeps the same.
        Some(self.squares[index].get_or_init(|| square.into()))
    }
}

impl Source for Cached {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.source.label(index)
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        self.source.name(index)
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        let (width, height) = (self.preprocessing.stored, self.preprocessing.stored);
        if let Some(rgb) = self.squares[index].get() {
            return Ok(Content::Pixels { width, height, rgb });
        }
        if let Some(rgb) = self.keep(index, self.source.fetch(index, buffer)?) {
            return Ok(Content::Pixels { width, height, rgb });
        }
        // Whoever asked hears from the image itself what is wrong with it.
        self.source.fetch(index, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        self.source.announce(indices);
    }
}
