//! Space to depth: a convolution of stride `f` over `c` maps is one of stride 1 over `c · f²` maps.

use std::ops::Range;

use crate::kernels::by_isa;
use crate::kernels::lanes::LANES;

/// Folds the maps of an image `[c, h, w]` into blocks of channels `[(c, u, v) block, i, j, LANES]`, where pixel `(i, j)` of channel
/// `(c, u, v)` is pixel `(f·i + u − top, f·j + v − left)` of map `c`, 0 outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fold {
    /// 1, 2 or 4, so that a row of a cell stays within a block.
    pub(crate) f: usize,
    pub(crate) c: usize,
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Rows and columns of the folded image.
    pub(crate) rows: usize,
    pub(crate) cols: usize,
}

impl Fold {
    /// Values of the folded image.
    pub(crate) fn len(&self) -> usize {
        self.c * self.f * self.f * self.rows * self.cols
    }

    /// Scratch values of [`fold`].
    pub(crate) fn line_len(&self) -> usize {
        self.cols * self.f
    }

    /// Where the cell's row `u` of map `c` at the left end of row `i` lies in the folded image.
    fn place(&self, c: usize, u: usize, i: usize) -> usize {
        let channel = (c * self.f + u) * self.f;
        (channel / LANES * self.rows + i) * self.cols * LANES + channel % LANES
    }

    /// The columns of the image that a folded row has, and where they begin in it.
    fn columns(&self) -> (usize, usize) {
        (self.w.min((self.cols * self.f).saturating_sub(self.left)), self.left)
    }
}

by_isa! {
    /// Rows `rows` of `out ← ` the folded image of `x[c, h, w]`; `line` has [`Fold::line_len`] values. Bytes: 4 a value read and 4 a
    /// value written.
    pub(crate) fn fold(fold: &Fold, x: &[f32], rows: Range<usize>, out: &mut [f32], line: &mut [f32]) {
        let (width, left) = fold.columns();
        line.fill(0.0);
        for c in 0..fold.c {
            for padded in rows.start * fold.f..rows.end * fold.f {
                let row = padded.wrapping_sub(fold.top);
                if row < fold.h {
                    line[left..left + width].copy_from_slice(&x[(c * fold.h + row) * fold.w..][..width]);
                } else {
                    line.fill(0.0);
                }
                let out = &mut out[fold.place(c, padded % fold.f, padded / fold.f)..];
                match fold.f {
                    4 => spread::<4>(line, out),
                    2 => spread::<2>(line, out),
                    _ => spread::<1>(line, out),
                }
            }
        }
    }
}

/// `F` values to the beginning of each vector.
#[inline(always)]
fn spread<const F: usize>(line: &[f32], out: &mut [f32]) {
    for (cell, out) in line.chunks_exact(F).zip(out.chunks_mut(LANES)) {
        out[..F].copy_from_slice(cell);
    }
}

by_isa! {
    /// `x[c, h, w] ←` the pixels of the folded image `from`, 0 where it has none: the adjoint of [`fold`].
    pub(crate) fn unfold(fold: &Fold, from: &[f32], x: &mut [f32]) {
        let (width, left) = fold.columns();
        x.fill(0.0);
        for c in 0..fold.c {
            for row in 0..fold.h.min(fold.rows * fold.f - fold.top) {
                let padded = row + fold.top;
                let from = &from[fold.place(c, padded % fold.f, padded / fold.f)..];
                let x = &mut x[(c * fold.h + row) * fold.w..][..width];
                for (j, x) in x.iter_mut().enumerate() {
                    let col = j + left;
                    *x = from[col / fold.f * LANES + col % fold.f];
                }
            }
        }
    }
}
