//! Images kept in memory at their stored size.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::{Fit, Image, Preprocessing, Resizer, Result, Source};

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
    /// Keeps the stored square of `image`, and makes `image` that square. An image that the preprocessing will refuse stays.
    fn keep(&self, index: usize, image: &mut Image) {
        let p = &self.preprocessing;
        let Ok(placement) = p.place(image) else { return };
        let mut square = Vec::new();
        let region = placement.square(p.stored);
        Resizer::default().resize(image, placement.width, placement.height, p.filter, region, &mut square);
        *image = Image { width: p.stored, height: p.stored, rgb: square };
        // Another thread may have been faster; it kept the same.
        let _ = self.squares[index].set(image.rgb.as_slice().into());
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

    fn read(&self, index: usize) -> Result<Image> {
        let mut image = Image::default();
        self.read_into(index, &mut image)?;
        Ok(image)
    }

    fn read_into(&self, index: usize, image: &mut Image) -> Result<()> {
        if let Some(square) = self.squares[index].get() {
            (image.width, image.height) = (self.preprocessing.stored, self.preprocessing.stored);
            image.rgb.clear();
            image.rgb.extend_from_slice(square);
            return Ok(());
        }
        self.source.read_into(index, image)?;
        self.keep(index, image);
        Ok(())
    }
}
