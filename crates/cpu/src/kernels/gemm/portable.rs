//! The product's tile for any CPU, and the body that AVX2 shares.

use super::{LINE, Tile};

pub(super) const MR: usize = 4;
pub(super) const NR: usize = 8;

/// # Safety
/// As `TileKernel`.
pub(super) unsafe fn f32_tile_panels(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { body::<MR, NR, 1, MR, false>(tile) }
}

/// # Safety
/// As `TileKernel`.
pub(super) unsafe fn f32_tile_lines(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { body::<MR, NR, LINE, 1, false>(tile) }
}

/// A full `MR × NR` tile in local arrays, of which `rows × cols` are stored. Element `(i, d)` of `a` is at `i · ROW + d · STEP`.
///
/// # Safety
/// As `TileKernel`.
#[inline(always)]
pub(super) unsafe fn body<const MR: usize, const NR: usize, const ROW: usize, const STEP: usize, const FUSED: bool>(tile: Tile) {
    let mut sum = [[0.0f32; NR]; MR];
    // SAFETY: full panels of `a` and `b` can be read, and `rows × cols` of `c` read and written.
    unsafe {
        for d in 0..tile.depth {
            let b: [f32; NR] = tile.b.add(d * NR).cast::<[f32; NR]>().read();
            for i in 0..MR {
                let a = *tile.a.add(i * ROW + d * STEP);
                for j in 0..NR {
                    sum[i][j] = if FUSED { a.mul_add(b[j], sum[i][j]) } else { sum[i][j] + a * b[j] };
                }
            }
        }
        for i in 0..tile.rows {
            for j in 0..tile.cols {
                let c = tile.c.add(i * tile.ld + j);
                *c = if tile.accumulate { *c + sum[i][j] } else { sum[i][j] };
            }
        }
    }
}
