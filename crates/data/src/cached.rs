//! Images kept in memory at their stored size.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use crate::scratch::Scratch;
use crate::{Content, Preprocessing, Result, Source, Statistics};

/// How much memory images may be kept in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cache {
    /// 256 MiB where all images fit into that, else nothing: 50,000 images of 32 × 32 do, or 20,000 of 64 × 64.
    #[default]
    Small,
    /// So many bytes, for as many images as fit.
    Bytes(u64),
}

/// The budget of [`Cache::Small`].
const SMALL_BYTES: u64 = 256 << 20;

impl Cache {
    /// How many of `images` images are kept at their stored size, and the bytes that they take.
    pub fn holds(self, images: usize, p: &Preprocessing) -> (usize, u64) {
        let each = 3 * (p.stored as u64).pow(2);
        let fitting = |budget: u64| (budget / each.max(1)).min(images as u64);
        let kept = match self {
            // What lies outside of the squares is needed, and may be of any size.
            _ if !p.shows_only_squares() => 0,
            Cache::Small if fitting(SMALL_BYTES) < images as u64 => 0,
            Cache::Small => images as u64,
            Cache::Bytes(budget) => fitting(budget),
        };
        (kept as usize, kept * each)
    }
}

/// A source that keeps the first images at their stored size once they were read, as many as `cache` holds; or `source` itself
/// where that is none. What the preprocessing makes of the images stays the same bit for bit.
pub fn cached(source: Arc<dyn Source>, p: &Preprocessing, cache: Cache) -> Arc<dyn Source> {
    let (kept, _) = cache.holds(source.len(), p);
    if kept == 0 {
        return source;
    }
    let squares = (0..kept).map(|_| OnceLock::new()).collect();
    Arc::new(Cached { source, preprocessing: p.clone(), squares })
}

struct Cached {
    source: Arc<dyn Source>,
    preprocessing: Preprocessing,
    /// Of the first images, `[side, side, 3]` each.
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
        match self.squares.get(index).map(OnceLock::get) {
            None => return self.source.fetch(index, buffer),
            Some(Some(rgb)) => return Ok(Content::Pixels { width, height, rgb }),
            Some(None) => {}
        }
        if let Some(rgb) = self.keep(index, self.source.fetch(index, buffer)?) {
            return Ok(Content::Pixels { width, height, rgb });
        }
        // Whoever asked hears from the image itself what is wrong with it.
        self.source.fetch(index, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        let is_kept = |&index: &u32| self.squares.get(index as usize).is_some_and(|square| square.get().is_some());
        let missing: Vec<u32> = indices.iter().filter(|index| !is_kept(index)).copied().collect();
        self.source.announce(&missing);
    }

    fn measured(&self, preprocessing: &Preprocessing) -> Option<Statistics> {
        self.source.measured(preprocessing)
    }

    fn keeps_files(&self) -> bool {
        self.source.keeps_files()
    }

    fn remark(&self, preprocessing: &Preprocessing) -> Option<String> {
        self.source.remark(preprocessing)
    }
}
