//! The product's tile on AVX-512: 12 × 32 sums fill 24 of the 32 registers; tiles of fewer rows or of at most 16 columns are
//! compiled apart, so that remainders cost what they hold.

use std::arch::x86_64::*;

use super::{LINE, Tile};

pub(super) const MR: usize = 12;
pub(super) const NR: usize = 32;

/// # Safety
/// As `TileKernel`.
pub(super) unsafe fn f32_tile_panels(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { by_rows::<1, MR>(tile) }
}

/// # Safety
/// As `TileKernel`.
pub(super) unsafe fn f32_tile_lines(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe { by_rows::<LINE, 1>(tile) }
}

/// # Safety
/// As `TileKernel`.
unsafe fn by_rows<const ROW: usize, const STEP: usize>(tile: Tile) {
    // SAFETY: the caller's promise.
    unsafe {
        match (tile.rows, tile.cols > 16) {
            (12, true) => tile_of::<12, 2, ROW, STEP>(tile),
            (12, false) => tile_of::<12, 1, ROW, STEP>(tile),
            (11, true) => tile_of::<11, 2, ROW, STEP>(tile),
            (11, false) => tile_of::<11, 1, ROW, STEP>(tile),
            (10, true) => tile_of::<10, 2, ROW, STEP>(tile),
            (10, false) => tile_of::<10, 1, ROW, STEP>(tile),
            (9, true) => tile_of::<9, 2, ROW, STEP>(tile),
            (9, false) => tile_of::<9, 1, ROW, STEP>(tile),
            (8, true) => tile_of::<8, 2, ROW, STEP>(tile),
            (8, false) => tile_of::<8, 1, ROW, STEP>(tile),
            (7, true) => tile_of::<7, 2, ROW, STEP>(tile),
            (7, false) => tile_of::<7, 1, ROW, STEP>(tile),
            (6, true) => tile_of::<6, 2, ROW, STEP>(tile),
            (6, false) => tile_of::<6, 1, ROW, STEP>(tile),
            (5, true) => tile_of::<5, 2, ROW, STEP>(tile),
            (5, false) => tile_of::<5, 1, ROW, STEP>(tile),
            (4, true) => tile_of::<4, 2, ROW, STEP>(tile),
            (4, false) => tile_of::<4, 1, ROW, STEP>(tile),
            (3, true) => tile_of::<3, 2, ROW, STEP>(tile),
            (3, false) => tile_of::<3, 1, ROW, STEP>(tile),
            (2, true) => tile_of::<2, 2, ROW, STEP>(tile),
            (2, false) => tile_of::<2, 1, ROW, STEP>(tile),
            (_, true) => tile_of::<1, 2, ROW, STEP>(tile),
            (_, false) => tile_of::<1, 1, ROW, STEP>(tile),
        }
    }
}

/// `M` rows of `V` vectors, the last one masked to `cols`. Element `(i, d)` of `a` is at `i · ROW + d · STEP`.
///
/// # Safety
/// As `TileKernel`, with `rows = M` and `16 · (V − 1) < cols ≤ 16 · V`.
#[target_feature(enable = "avx512f")]
unsafe fn tile_of<const M: usize, const V: usize, const ROW: usize, const STEP: usize>(tile: Tile) {
    let mut sum = [[_mm512_setzero_ps(); V]; M];
    let (mut a, mut b) = (tile.a, tile.b);
    // SAFETY: full panels of `a` and `b` can be read, and `M × cols` of `c` read and written; masked lanes are not touched.
    unsafe {
        for _ in 0..tile.depth {
            let mut row = [_mm512_setzero_ps(); V];
            for v in 0..V {
                row[v] = _mm512_loadu_ps(b.add(16 * v));
            }
            for i in 0..M {
                let x = _mm512_set1_ps(*a.add(i * ROW));
                for v in 0..V {
                    sum[i][v] = _mm512_fmadd_ps(x, row[v], sum[i][v]);
                }
            }
            a = a.add(STEP);
            b = b.add(NR);
        }
        let last: __mmask16 = 0xffff >> (16 * V - tile.cols);
        for i in 0..M {
            for v in 0..V {
                let c = tile.c.add(i * tile.ld + 16 * v);
                let mask = if v + 1 == V { last } else { 0xffff };
                if tile.accumulate {
                    sum[i][v] = _mm512_add_ps(sum[i][v], _mm512_maskz_loadu_ps(mask, c));
                }
                _mm512_mask_storeu_ps(c, mask, sum[i][v]);
            }
        }
    }
}

/// Writes the transpose of 16 rows of 16 values, rows `stride` apart, as 16 rows of the first `width` values each, `out_stride`
/// apart. Rows from `rows` on are read as zeros.
///
/// # Safety
/// The CPU has AVX-512 F; `rows × 16` values can be read at `from` and `16 × width` written at `out`; `rows, width ≤ 16`.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose_16x16(
    from: *const f32,
    stride: usize,
    rows: usize,
    out: *mut f32,
    out_stride: usize,
    width: usize,
) {
    let mut r = [_mm512_setzero_ps(); 16];
    // SAFETY: the caller's promise.
    unsafe {
        for i in 0..16 {
            if i < rows {
                r[i] = _mm512_loadu_ps(from.add(i * stride));
            }
        }
    }
    // Pairs, then quadruples of rows within 128-bit lanes: `t[4 i + j]` holds columns j, j + 4, j + 8, j + 12 of rows 4 i …
    let mut t = [_mm512_setzero_ps(); 16];
    for i in 0..4 {
        let (a, b) = (_mm512_unpacklo_ps(r[4 * i], r[4 * i + 1]), _mm512_unpackhi_ps(r[4 * i], r[4 * i + 1]));
        let (c, d) = (_mm512_unpacklo_ps(r[4 * i + 2], r[4 * i + 3]), _mm512_unpackhi_ps(r[4 * i + 2], r[4 * i + 3]));
        t[4 * i] = _mm512_shuffle_ps::<0x44>(a, c);
        t[4 * i + 1] = _mm512_shuffle_ps::<0xee>(a, c);
        t[4 * i + 2] = _mm512_shuffle_ps::<0x44>(b, d);
        t[4 * i + 3] = _mm512_shuffle_ps::<0xee>(b, d);
    }
    let mask: __mmask16 = 0xffff >> (16 - width);
    for j in 0..4 {
        // Then the 4 × 4 transpose of whole 128-bit lanes.
        let (a, b, c, d) = (t[j], t[4 + j], t[8 + j], t[12 + j]);
        let (ab, cd) = (_mm512_shuffle_f32x4::<0x88>(a, b), _mm512_shuffle_f32x4::<0x88>(c, d));
        let (ab2, cd2) = (_mm512_shuffle_f32x4::<0xdd>(a, b), _mm512_shuffle_f32x4::<0xdd>(c, d));
        let columns = [
            (j, _mm512_shuffle_f32x4::<0x88>(ab, cd)),
            (j + 8, _mm512_shuffle_f32x4::<0xdd>(ab, cd)),
            (j + 4, _mm512_shuffle_f32x4::<0x88>(ab2, cd2)),
            (j + 12, _mm512_shuffle_f32x4::<0xdd>(ab2, cd2)),
        ];
        for (column, values) in columns {
            // SAFETY: the caller's promise.
            unsafe { _mm512_mask_storeu_ps(out.add(column * out_stride), mask, values) };
        }
    }
}
