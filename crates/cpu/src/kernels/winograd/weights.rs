//! Weights to their points, and gradients by the points back to weights.

use super::matrices::{F, Matrices, forward, transposed};
use super::{MOST_POINTS, Tile, by_tile};
use crate::kernels::MatMut;
use crate::kernels::lanes::{LANES, Lanes};

/// Weights `[k, c, R, S]` of a group seen as those of a stride-1 convolution: which map of it is a lane, and where its windows
/// begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightView {
    /// Maps of the layer's own kernel: outputs, and inputs of a group.
    pub(crate) k: usize,
    pub(crate) c: usize,
    /// Rows and columns of the layer's own kernel.
    pub(crate) r: usize,
    /// The stride that was folded into channels, 1 for none.
    pub(crate) fold: usize,
    /// Whether the lanes are input channels instead of outputs.
    pub(crate) inputs_are_lanes: bool,
}

impl WeightView {
    /// Input channels of the folded convolution.
    pub(crate) fn channels(&self) -> usize {
        self.c * self.fold * self.fold
    }

    /// Maps that are lanes, and maps that are not.
    pub(crate) fn lanes_and_rows(&self) -> (usize, usize) {
        if self.inputs_are_lanes { (self.channels(), self.k) } else { (self.k, self.channels()) }
    }

    /// Where the cells of the window of a lane's map and the other map begin.
    #[inline(always)]
    fn window(&self, lane: usize, row: usize) -> Window {
        let (k, channel) = if self.inputs_are_lanes { (row, lane) } else { (lane, row) };
        let (c, u, v) = match self.fold {
            1 => (channel, 0, 0),
            f => (channel / (f * f), channel / f % f, channel % f),
        };
        Window { begin: (k * self.c + c) * self.r * self.r, u, v }
    }

    /// Where the weight at row `i` and column `j` of a folded window lies; none beyond the layer's own kernel.
    #[inline(always)]
    fn place(&self, window: Window, i: usize, j: usize) -> Option<usize> {
        let (i, j) = (i * self.fold + window.u, j * self.fold + window.v);
        (i < self.r && j < self.r).then_some(window.begin + i * self.r + j)
    }
}

/// A window `[R, R]` of the weights, of which a folded one has row `u` and column `v` of every cell.
#[derive(Clone, Copy)]
struct Window {
    begin: usize,
    u: usize,
    v: usize,
}

by_tile! {
    /// `u ← G w Gᵀ` for one block of lanes; `u` has a row for each point and `[row map, LANES]` columns.
    pub(crate) fn weights = weights_body(view: WeightView, block: usize, weight: &[f32], u: &mut MatMut<'_>)
}

#[inline(always)]
unsafe fn weights_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    view: WeightView,
    block: usize,
    weight: &[f32],
    u: &mut MatMut<'_>,
) {
    let (_, rows) = view.lanes_and_rows();
    assert!(u.rows() == A * A && u.cols() == rows * LANES);
    let (out, ld) = (u.as_mut_ptr(), u.ld());
    for row in 0..rows {
        let mut window = [[0.0f32; LANES]; MOST_POINTS * MOST_POINTS];
        for l in 0..LANES {
            let from = view.window(block * LANES + l, row);
            for t in 0..R * R {
                window[t][l] = view.place(from, t / R, t % R).map_or(0.0, |place| weight[place]);
            }
        }
        // SAFETY: rows and columns lie inside `u`, as asserted.
        unsafe {
            let mut columns = [[L::splat(0.0); R]; A];
            for j in 0..R {
                let mut x = [L::splat(0.0); R];
                for i in 0..R {
                    x[i] = L::load(window[i * R + j].as_ptr());
                }
                let y: [L; A] = forward(&T::WEIGHTS, x);
                for i in 0..A {
                    columns[i][j] = y[i];
                }
            }
            for i in 0..A {
                let y: [L; A] = forward(&T::WEIGHTS, columns[i]);
                for j in 0..A {
                    y[j].store(out.add((i * A + j) * ld + row * LANES));
                }
            }
        }
    }
}

by_tile! {
    /// `dw ← [dw +] Gᵀ du G` for one block of output lanes; the window of point `t` and input map `c` is at `t · stride + c · LANES`
    /// of `du`. `dw[LANES, c, R, R]` are the block's own weights.
    pub(crate) fn weight_gradient =
        weight_gradient_body(view: WeightView, du: &[f32], stride: usize, accumulate: bool, dw: &mut [f32])
}

#[inline(always)]
unsafe fn weight_gradient_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    view: WeightView,
    du: &[f32],
    stride: usize,
    accumulate: bool,
    dw: &mut [f32],
) {
    let channels = view.channels();
    assert!(!view.inputs_are_lanes && du.len() >= (A * A - 1) * stride + channels * LANES);
    assert!(dw.len() == LANES * view.c * view.r * view.r);
    for c in 0..channels {
        let mut window = [[0.0f32; LANES]; MOST_POINTS * MOST_POINTS];
        // SAFETY: points lie inside `du`, as asserted.
        unsafe {
            let mut columns = [[L::splat(0.0); A]; R];
            for j in 0..A {
                let mut x = [L::splat(0.0); A];
                for i in 0..A {
                    x[i] = L::load(du.as_ptr().add((i * A + j) * stride + c * LANES));
                }
                let y: [L; R] = transposed(&T::WEIGHTS, x);
                for i in 0..R {
                    columns[i][j] = y[i];
                }
            }
            for i in 0..R {
                let y: [L; R] = transposed(&T::WEIGHTS, columns[i]);
                for j in 0..R {
                    y[j].store(window[i * R + j].as_mut_ptr());
                }
            }
        }
        for l in 0..LANES {
            let to = view.window(l, c);
            for t in 0..R * R {
                if let Some(place) = view.place(to, t / R, t % R) {
                    dw[place] = if accumulate { dw[place] + window[t][l] } else { window[t][l] };
                }
            }
        }
    }
}
