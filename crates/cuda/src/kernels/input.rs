//! `kernels/input.cu`: pixels become values as kernels read them, and back for the gradient by the pixels.

#[cfg(test)]
mod tests;

use net::Shape;

use super::pass::{Pass, SHARED, THREADS, small};
use crate::args::layers::Input;
use crate::args::{Bytes, Elems, Floats, Look, Ptr, Struct};
use crate::driver::Launch;

/// Where each pixel goes: `y[n, i, j, (di · fold + dj) · c + ch] = x[n, ch, i · fold + di − top, j · fold + dj − left]`, 0 outside the
/// image and in further channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fold {
    /// Of the image.
    pub(crate) input: Shape,
    /// 1 where nothing is folded.
    pub(crate) fold: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Of `y`: at least `c · fold²` channels.
    pub(crate) output: Shape,
}

/// Where the pixels of a batch lie: f32 `[n, c, h, w]`, or bytes and how each image looks, as [`crate::args::Step`] says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pixels {
    pub(crate) floats: Floats,
    /// `[n, h, w, 3]`
    pub(crate) rgb: Bytes,
    /// `[n]`
    pub(crate) looks: Ptr<Look>,
}

impl Fold {
    /// f32 of shared memory for a tile of so many columns.
    fn shared(&self, tile: usize) -> usize {
        let Fold { input, fold, output, .. } = *self;
        (input.c * fold * ((tile * fold) | 1) + output.c) * 4
    }

    /// Columns of a tile of a row with `columns`: as many as fit, in equal tiles.
    fn tile(&self, columns: usize) -> Option<usize> {
        (1..=columns).map(|tiles| columns.div_ceil(tiles)).find(|&tile| self.shared(tile) <= SHARED)
    }

    fn args(&self, pass: &Pass, tile: usize) -> Input {
        let Fold { input, fold, top, left, output } = *self;
        assert!(output.c >= input.c * fold * fold, "{} channels for {} of {fold} × {fold} pixels", output.c, input.c);
        let (floats, elems) = (Floats::NULL, Elems::NULL);
        Input {
            x: floats,
            rgb: Bytes::NULL,
            looks: Ptr::NULL,
            y: elems,
            dy: elems,
            dx: floats,
            step: pass.step,
            c: small(input.c),
            h: small(input.h),
            w: small(input.w),
            fold: small(fold),
            top: small(top),
            left: small(left),
            out_c: small(output.c),
            out_h: small(output.h),
            out_w: small(output.w),
            tile: small(tile),
        }
    }

    /// Blocks for the tiles of `rows` rows with `columns` columns.
    fn launch(&self, pass: &Pass, kernel: &'static str, rows: usize, columns: usize, tile: usize, args: &Input) -> Launch {
        let grid = [small(rows * columns.div_ceil(tile)), pass.rows(), 1];
        Launch { kernel, grid, threads: small(THREADS), shared: small(self.shared(tile)), args: args.bytes() }
    }
}

/// Pixels become `y[n, i, j, channels]`.
pub(crate) fn forward(pass: &Pass, fold: &Fold, from: Pixels, y: Elems) -> Launch {
    let Pixels { floats: x, rgb, looks } = from;
    let Shape { h, w, .. } = fold.output;
    match fold.tile(w) {
        Some(tile) => fold.launch(pass, "input_forward", h, w, tile, &Input { x, rgb, looks, y, ..fold.args(pass, tile) }),
        None => pass.each_image("input_forward_each", fold.output.len(), &Input { x, rgb, looks, y, ..fold.args(pass, 1) }),
    }
}

/// The gradient by `y` becomes the one by the pixels, `dx[n, c, h, w]`, divided by the loss's scale; 0 of pixels that `y` has not.
pub(crate) fn backward(pass: &Pass, fold: &Fold, dy: Elems, dx: Floats) -> Launch {
    let with = |tile| Input { dy, dx, ..fold.args(pass, tile) };
    let rows = (fold.input.h + fold.top).div_ceil(fold.fold);
    let columns = (fold.input.w + fold.left).div_ceil(fold.fold);
    match fold.tile(columns) {
        Some(tile) => fold.launch(pass, "input_backward", rows, columns, tile, &with(tile)),
        None => pass.each_image("input_backward_each", fold.input.len(), &with(1)),
    }
}
