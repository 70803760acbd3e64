//! The geometry that convolutions share, and rows of numbers that a window's tap meets.

use std::ops::Range;

use net::{Padding, Pair, Shape};

/// Where the windows of a convolution stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) stride: Pair,
    pub(crate) padding: Padding,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
}

/// A run of outputs `(p, q..q + len)` of one map that the same tap `(r, s)` connects with pixels of one row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// `p · q_size + q`, the first output's place in its map.
    pub(crate) out: usize,
    /// The first pixel's place in its map; the next ones follow at distance `stride.s`.
    pub(crate) pixel: usize,
    /// How many.
    pub(crate) len: usize,
}

impl Windows {
    /// Every row of tap `(r, s)` that lies inside the image.
    pub(crate) fn rows(&self, r: usize, s: usize) -> impl Iterator<Item = Row> + use<> {
        let Windows { stride, padding, input, output } = *self;
        let columns = outputs(output.w, s, stride.s, padding.left, input.w);
        let count = if columns.is_empty() { 0 } else { output.h };
        outputs(count, r, stride.r, padding.top, input.h).map(move |p| Row {
            out: p * output.w + columns.start,
            pixel: (p * stride.r + r - padding.top) * input.w + (columns.start * stride.s + s - padding.left),
            len: columns.len(),
        })
    }
}

/// The outputs along one axis whose tap falls on a pixel: `0 ≤ out · stride + tap − before < size`.
fn outputs(count: usize, tap: usize, stride: usize, before: usize, size: usize) -> Range<usize> {
    let first = before.saturating_sub(tap).div_ceil(stride);
    let end = (size + before).saturating_sub(tap).div_ceil(stride).min(count);
    first..end.max(first)
}

/// `y[i] += a · x[i · stride]`
pub(crate) fn add_gathered(y: &mut [f64], a: f64, x: &[f64], stride: usize) {
    if stride == 1 {
        y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
    } else {
        y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, x)| *y += a * x);
    }
}

/// `x[i · stride] += a · y[i]`
pub(crate) fn add_scattered(x: &mut [f64], stride: usize, a: f64, y: &[f64]) {
    if stride == 1 {
        x.iter_mut().zip(y).for_each(|(x, y)| *x += a * y);
    } else {
        x.iter_mut().step_by(stride).zip(y).for_each(|(x, y)| *x += a * y);
    }
}

/// `Σ_i x[i · stride] · y[i]`
pub(crate) fn dot(x: &[f64], stride: usize, y: &[f64]) -> f64 {
    x.iter().step_by(stride).zip(y).map(|(x, y)| x * y).sum()
}
