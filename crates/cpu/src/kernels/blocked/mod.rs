//! Layers on images in blocks of channels, `[channel block, h, w, LANES]`: whole vectors of channels, whatever the size of a map.

mod lrn;
mod norm_pool;
mod pool;

pub(crate) use lrn::{lrn, lrn_backward};
pub(crate) use norm_pool::{norm_pool, norm_pool_backward, norm_pool_scratch_len};
pub(crate) use pool::{max, max_backward};

use super::by_isa;
use super::lanes::LANES;

/// Pixels of a block that are turned at a time: whole cache lines of every map.
const TURN: usize = 16;

by_isa! {
    /// `out[channel block, pixel, LANES] ← x[c, pixel]`; the number of channels is a multiple of [`LANES`]. Bytes: 8 a value.
    pub(crate) fn to_blocks(x: &[f32], pixels: usize, out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        for (x, out) in x.chunks_exact(LANES * pixels).zip(out.chunks_exact_mut(LANES * pixels)) {
            for begin in (0..pixels).step_by(TURN) {
                let end = pixels.min(begin + TURN);
                for pixel in begin..end {
                    for l in 0..LANES {
                        out[pixel * LANES + l] = x[l * pixels + pixel];
                    }
                }
            }
        }
    }
}

by_isa! {
    /// `out[c, pixel] ← x[channel block, pixel, LANES]`: the inverse of [`to_blocks`]. Bytes: 8 a value.
    pub(crate) fn to_planes(x: &[f32], pixels: usize, out: &mut [f32]) {
        assert_eq!(x.len(), out.len());
        for (x, out) in x.chunks_exact(LANES * pixels).zip(out.chunks_exact_mut(LANES * pixels)) {
            for begin in (0..pixels).step_by(TURN) {
                let end = pixels.min(begin + TURN);
                for l in 0..LANES {
                    for pixel in begin..end {
                        out[l * pixels + pixel] = x[pixel * LANES + l];
                    }
                }
            }
        }
    }
}

/// Rows of images of one batch member: row `h` of channel block `b` begins at `b · block + h mod ring · row`.
#[derive(Clone, Copy)]
struct Rows {
    block: usize,
    row: usize,
    /// Rows that are there: the image's, or those of a strip that later rows overwrite.
    ring: usize,
}

impl Rows {
    fn of_image(h: usize, w: usize) -> Rows {
        Rows { block: h * w * LANES, row: w * LANES, ring: h }
    }

    /// A strip of the last `ring` rows.
    fn of_strip(ring: usize, w: usize) -> Rows {
        Rows { block: ring * w * LANES, row: w * LANES, ring }
    }

    fn place(&self, block: usize, h: usize) -> usize {
        // An image's own rows need no division.
        let h = if h < self.ring { h } else { h % self.ring };
        block * self.block + h * self.row
    }
}
