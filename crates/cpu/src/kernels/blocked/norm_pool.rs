//! Response normalisation and the maximum pooling of its output in one pass: the normalised image is never in memory, only the rows
//! that a window needs.

use super::Rows;
use super::lrn::{lrn, lrn_backward};
use super::pool::{max_backward_row, max_row};
use crate::kernels::Target;
use crate::kernels::lanes::{LANES, Lanes, by_lanes};
use crate::kernels::lrn::LrnNumbers;
use crate::kernels::pool::PoolWindow;

/// Scratch values of both passes.
pub(crate) fn norm_pool_scratch_len(num: &LrnNumbers, win: &PoolWindow) -> usize {
    num.blocks_scratch_len() + num.maps * win.r * win.w
}

by_lanes! {
    fn pool_row = max_row_of(
        win: &PoolWindow, rectified: bool, p: usize, blocks: usize, x: &[f32], y: &mut [f32], arg: &mut [u8], y_block: usize
    )
}

#[inline(always)]
unsafe fn max_row_of<L: Lanes>(
    win: &PoolWindow,
    rectified: bool,
    p: usize,
    blocks: usize,
    x: &[f32],
    y: &mut [f32],
    arg: &mut [u8],
    y_block: usize,
) {
    // SAFETY: the caller's promise; the strip holds the rows of a window.
    unsafe { max_row::<L>(win, rectified, p, blocks, x, Rows::of_strip(win.r, win.w), y, arg, y_block) };
}

/// `y[channel block, p, q, LANES] ← max` over windows of the normalised `x[channel block, h, w, LANES]`, and `arg` as
/// [`max`](super::max). `scratch` has [`norm_pool_scratch_len`] values. Bytes: `4 x + 5 y`.
pub(crate) fn norm_pool(
    target: Target,
    num: &LrnNumbers,
    win: &PoolWindow,
    rectified: bool,
    x: &[f32],
    y: &mut [f32],
    arg: &mut [u8],
    scratch: &mut [f32],
) {
    let (blocks, y_block, image) = (num.maps / LANES, win.p * win.q * LANES, Rows::of_image(win.h, win.w));
    assert!(x.len() == blocks * image.block && y.len() == blocks * y_block && (arg.is_empty() || arg.len() == y.len()));
    let (strip, scratch) = scratch.split_at_mut(num.maps * win.r * win.w);
    let strip_rows = Rows::of_strip(win.r, win.w);
    let mut done = 0;
    for p in 0..win.p {
        let window = win.rows(p);
        for h in done.max(window.start)..window.end {
            let strip = &mut strip[strip_rows.place(0, h)..];
            lrn(target, num, win.w, &x[image.place(0, h)..], image.block, strip, strip_rows.block, scratch);
        }
        done = done.max(window.end);
        let begin = p * win.q * LANES;
        let arg = if arg.is_empty() { &mut [][..] } else { &mut arg[begin..] };
        pool_row(target, win, rectified, p, blocks, strip, &mut y[begin..], arg, y_block);
    }
}

by_lanes! {
    fn pool_backward_row = max_backward_row(
        win: &PoolWindow, h: usize, blocks: usize, arg: &[u8], dy: &[f32], dx: &mut [f32], dx_block: usize
    )
}

/// `dx[channel block, h, w, LANES] ← ` the gradient by `x` from the gradient `dy` by the pooled output. Bytes: `8 x + 5 y`.
pub(crate) fn norm_pool_backward(
    target: Target,
    num: &LrnNumbers,
    win: &PoolWindow,
    x: &[f32],
    arg: &[u8],
    dy: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let (blocks, image) = (num.maps / LANES, Rows::of_image(win.h, win.w));
    assert!(x.len() == blocks * image.block && dx.len() == x.len());
    let (row, scratch) = scratch.split_at_mut(num.maps * win.w);
    let row_block = win.w * LANES;
    for h in 0..win.h {
        pool_backward_row(target, win, h, blocks, arg, dy, row, row_block);
        let at = image.place(0, h);
        lrn_backward(target, num, win.w, false, &x[at..], &mut dx[at..], image.block, row, row_block, scratch);
    }
}
