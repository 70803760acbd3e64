//! Maximum pooling over windows clipped to the image.

use net::window;

use super::Rows;
use crate::kernels::lanes::{LANES, Lanes, by_lanes};
use crate::kernels::pool::PoolWindow;

/// The winner of a window whose gradient goes nowhere: no element of a window of at most 255.
const NOBODY: f32 = 255.0;

/// Columns of a window and of the image that it has.
#[derive(Clone, Copy)]
struct Span {
    first: usize,
    count: usize,
    /// The first one's place in the unclipped window.
    s: usize,
}

fn span(win: &PoolWindow, q: usize) -> Span {
    let cols = window(q, win.s, win.stride_s, win.left, win.w);
    Span { first: cols.start, count: cols.len(), s: cols.start + win.left - q * win.stride_s }
}

/// Output row `p` of all channel blocks: `y[q, LANES]` at `block · y_block` and, where it is not empty, `arg` likewise; the image's rows
/// lie in `x` as `rows` says.
///
/// # Safety
/// The CPU has the instruction set of `L`; the rows that the window reads lie in `x`.
#[inline(always)]
pub(super) unsafe fn max_row<L: Lanes>(
    win: &PoolWindow,
    rectified: bool,
    p: usize,
    blocks: usize,
    x: &[f32],
    rows: Rows,
    y: &mut [f32],
    arg: &mut [u8],
    y_block: usize,
) {
    let window = win.rows(p);
    let r = window.start + win.top - p * win.stride_r;
    let y_len = (blocks - 1) * y_block + win.q * LANES;
    assert!(y.len() >= y_len && (arg.is_empty() || arg.len() >= y_len));
    assert!(window.len() <= rows.ring && x.len() >= (blocks - 1) * rows.block + rows.ring * rows.row);
    for q in 0..win.q {
        let span = span(win, q);
        for block in 0..blocks {
            // SAFETY: rows and columns of the window lie inside the image, whose rows are in `x`; `y` and `arg` have a vector for
            // each output, as asserted.
            unsafe {
                let (mut value, mut key) = (L::splat(f32::NEG_INFINITY), L::splat((r * win.s + span.s) as f32));
                for (i, h) in window.clone().enumerate() {
                    let from = x.as_ptr().add(rows.place(block, h) + span.first * LANES);
                    for j in 0..span.count {
                        let own = L::splat(((r + i) * win.s + span.s + j) as f32);
                        (value, key) = value.larger(key, L::load(from.add(j * LANES)), own);
                    }
                }
                let at = block * y_block + q * LANES;
                value.store(y.as_mut_ptr().add(at));
                if !arg.is_empty() {
                    let key = if rectified { value.key_if_positive(key, L::splat(NOBODY)) } else { key };
                    key.store_bytes(arg.as_mut_ptr().add(at));
                }
            }
        }
    }
}

by_lanes! {
    /// `y[channel block, p, q, LANES] ← max x` over each window of `x[channel block, h, w, LANES]`; a NaN wins. Where `arg` is not
    /// empty, `arg ← r · S + s` of the first maximum in row-major order, counted in the unclipped `R × S` window, whose area is at
    /// most 255; and 255, which is nobody, where `rectified` and the maximum is 0: `x` has been rectified, and its rectifier's
    /// gradient is 0 there. Bytes: `4 x + 5 y`.
    pub(crate) fn max = max_body(win: &PoolWindow, rectified: bool, x: &[f32], y: &mut [f32], arg: &mut [u8])
}

#[inline(always)]
unsafe fn max_body<L: Lanes>(win: &PoolWindow, rectified: bool, x: &[f32], y: &mut [f32], arg: &mut [u8]) {
    let blocks = x.len() / (win.h * win.w * LANES);
    let (rows, y_block) = (Rows::of_image(win.h, win.w), win.p * win.q * LANES);
    assert!(y.len() == blocks * y_block && (arg.is_empty() || arg.len() == y.len()));
    for p in 0..win.p {
        let begin = p * win.q * LANES;
        let arg = if arg.is_empty() { &mut [][..] } else { &mut arg[begin..] };
        // SAFETY: the caller's promise; `x` is the whole image.
        unsafe { max_row::<L>(win, rectified, p, blocks, x, rows, &mut y[begin..], arg, y_block) };
    }
}

/// Row `h` of the gradient by the image, all channel blocks: `dx[w, LANES]` at `block · dx_block`, from the whole `dy` and `arg`.
///
/// # Safety
/// The CPU has the instruction set of `L`.
#[inline(always)]
pub(super) unsafe fn max_backward_row<L: Lanes>(
    win: &PoolWindow,
    h: usize,
    blocks: usize,
    arg: &[u8],
    dy: &[f32],
    dx: &mut [f32],
    dx_block: usize,
) {
    let y_block = win.p * win.q * LANES;
    assert!(dy.len() >= blocks * y_block && arg.len() >= blocks * y_block);
    assert!(dx.len() >= (blocks - 1) * dx_block + win.w * LANES);
    let windows = windows_at(h, win.r, win.stride_r, win.top, win.p);
    for w in 0..win.w {
        let columns = windows_at(w, win.s, win.stride_s, win.left, win.q);
        for block in 0..blocks {
            // SAFETY: windows are those that there are; `dx` has a vector for each pixel of the row, as asserted.
            unsafe {
                let mut sum = L::splat(0.0);
                for p in windows.clone() {
                    let r = h + win.top - p * win.stride_r;
                    for q in columns.clone() {
                        let own = L::splat((r * win.s + w + win.left - q * win.stride_s) as f32);
                        let at = block * y_block + (p * win.q + q) * LANES;
                        let g = L::load(dy.as_ptr().add(at));
                        sum = sum.add(L::load_bytes(arg.as_ptr().add(at)).where_equal(own, g));
                    }
                }
                sum.store(dx.as_mut_ptr().add(block * dx_block + w * LANES));
            }
        }
    }
}

/// The windows that read row or column `at`: those with `i · stride − before ≤ at < i · stride − before + size`.
#[inline(always)]
fn windows_at(at: usize, size: usize, stride: usize, before: usize, count: usize) -> std::ops::Range<usize> {
    let end = ((at + before) / stride + 1).min(count);
    let begin = if at + before < size { 0 } else { (at + before - size) / stride + 1 };
    begin.min(end)..end
}

by_lanes! {
    /// `dx[channel block, h, w, LANES] ← ` the gradient of each window at the element that `arg` names. Bytes: `5 y + 4 x`.
    pub(crate) fn max_backward = max_backward_body(win: &PoolWindow, arg: &[u8], dy: &[f32], dx: &mut [f32])
}

#[inline(always)]
unsafe fn max_backward_body<L: Lanes>(win: &PoolWindow, arg: &[u8], dy: &[f32], dx: &mut [f32]) {
    let block = win.h * win.w * LANES;
    let blocks = dx.len() / block;
    for h in 0..win.h {
        // SAFETY: the caller's promise.
        unsafe { max_backward_row::<L>(win, h, blocks, arg, dy, &mut dx[h * win.w * LANES..], block) };
    }
}
