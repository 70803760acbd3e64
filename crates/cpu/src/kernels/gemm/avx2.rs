//! The product's tile on AVX2 and FMA: 6 × 16 sums fill twelve of the sixteen registers.

use super::{LINE, Tile, portable};

pub(super) const MR: usize = 6;
pub(super) const NR: usize = 16;

/// # Safety
/// As `TileKernel`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn f32_tile_panels(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { portable::body::<MR, NR, 1, MR, true>(tile) }
}

/// # Safety
/// As `TileKernel`.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn f32_tile_lines(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { portable::body::<MR, NR, LINE, 1, true>(tile) }
}
