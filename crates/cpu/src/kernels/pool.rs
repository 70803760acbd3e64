//! Pooling: maximum and mean over windows clipped to the image.

use net::window;

use super::by_isa;

/// The geometry of pooling one map `[h, w] → [p, q]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolWindow {
    pub(crate) h: usize,
    pub(crate) w: usize,
    pub(crate) r: usize,
    pub(crate) s: usize,
    pub(crate) stride_r: usize,
    pub(crate) stride_s: usize,
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) p: usize,
    pub(crate) q: usize,
}

impl PoolWindow {
    /// The image rows of output row `p`.
    fn rows(&self, p: usize) -> std::ops::Range<usize> {
        window(p, self.r, self.stride_r, self.top, self.h)
    }

    /// The image columns of output column `q`.
    fn cols(&self, q: usize) -> std::ops::Range<usize> {
        window(q, self.s, self.stride_s, self.left, self.w)
    }

    /// Scratch values of the maximum's forward pass.
    pub(crate) fn max_scratch_len(&self) -> usize {
        2 * self.w
    }
}

by_isa! {
    /// `y[k, p, q] ← max x` over each window of the maps `x[k, h, w]`; NaN wins. Where `arg` is not empty, `arg[k, p, q] ← r · S + s`
    /// of the first maximum in row-major order, counted in the unclipped `R × S` window, whose area is at most 256.
    /// First the maxima of columns, which are contiguous, then of windows. Bytes: `4 x + 5 y`.
    pub(crate) fn max(win: &PoolWindow, x: &[f32], y: &mut [f32], arg: &mut [u8], scratch: &mut [f32]) {
        let (best, first) = scratch[..win.max_scratch_len()].split_at_mut(win.w);
        for (map, x) in x.chunks_exact(win.h * win.w).enumerate() {
            for p in 0..win.p {
                let rows = win.rows(p);
                best.copy_from_slice(&x[rows.start * win.w..][..win.w]);
                first.fill(rows.start as f32);
                for row in rows.start + 1..rows.end {
                    let number = row as f32;
                    for ((best, first), &x) in best.iter_mut().zip(&mut *first).zip(&x[row * win.w..][..win.w]) {
                        let wins = x > *best || x.is_nan();
                        *best = if wins { x } else { *best };
                        *first = if wins { number } else { *first };
                    }
                }
                let out = (map * win.p + p) * win.q;
                let base = (p * win.stride_r) as isize - win.top as isize;
                for q in 0..win.q {
                    let cols = win.cols(q);
                    let (mut value, mut row, mut col) = (best[cols.start], first[cols.start], cols.start);
                    for j in cols.start + 1..cols.end {
                        let (x, i) = (best[j], first[j]);
                        let wins = x > value || (x == value && i < row) || x.is_nan();
                        (value, row, col) = if wins { (x, i, j) } else { (value, row, col) };
                    }
                    y[out + q] = value;
                    if !arg.is_empty() {
                        let (r, s) = (row as isize - base, col + win.left - q * win.stride_s);
                        arg[out + q] = (r as usize * win.s + s) as u8;
                    }
                }
            }
        }
    }
}

by_isa! {
    /// `dx[k, h, w] ← 0`, then the gradient of each window to the element that `arg` names.
    pub(crate) fn max_backward_stored(win: &PoolWindow, arg: &[u8], dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        for (map, dx) in dx.chunks_exact_mut(win.h * win.w).enumerate() {
            for p in 0..win.p {
                let out = (map * win.p + p) * win.q;
                for (q, (&g, &arg)) in dy[out..][..win.q].iter().zip(&arg[out..][..win.q]).enumerate() {
                    let (r, s) = (arg as usize / win.s, arg as usize % win.s);
                    dx[(p * win.stride_r + r - win.top) * win.w + q * win.stride_s + s - win.left] += g;
                }
            }
        }
    }
}

by_isa! {
    /// `dx[k, h, w] ← 0`, then the gradient of each window in full to `all` of the elements that equal its maximum, or to the first
    /// in row-major order; the maxima are found again.
    pub(crate) fn max_backward_recomputed(win: &PoolWindow, all: bool, x: &[f32], dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        let maps = x.chunks_exact(win.h * win.w).zip(dx.chunks_exact_mut(win.h * win.w)).zip(dy.chunks_exact(win.p * win.q));
        for ((x, dx), dy) in maps {
            for p in 0..win.p {
                for q in 0..win.q {
                    let mut most = f32::NEG_INFINITY;
                    for row in win.rows(p) {
                        for col in win.cols(q) {
                            most = if x[row * win.w + col] > most { x[row * win.w + col] } else { most };
                        }
                    }
                    'window: for row in win.rows(p) {
                        for col in win.cols(q) {
                            if x[row * win.w + col] == most {
                                dx[row * win.w + col] += dy[p * win.q + q];
                                if !all {
                                    break 'window;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

by_isa! {
    /// `y[k, p, q] ←` mean of `x[k, h, w]` over each clipped window.
    pub(crate) fn mean(win: &PoolWindow, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(win.h * win.w).zip(y.chunks_exact_mut(win.p * win.q)) {
            for p in 0..win.p {
                for q in 0..win.q {
                    let (rows, cols) = (win.rows(p), win.cols(q));
                    let area = (rows.len() * cols.len()) as f32;
                    let sum: f32 = rows.map(|row| x[row * win.w..][cols.clone()].iter().sum::<f32>()).sum();
                    y[p * win.q + q] = sum / area;
                }
            }
        }
    }
}

by_isa! {
    /// `dx[k, h, w] ← 0`, then the gradient of each window in equal shares to its elements.
    pub(crate) fn mean_backward(win: &PoolWindow, dy: &[f32], dx: &mut [f32]) {
        dx.fill(0.0);
        for (dx, dy) in dx.chunks_exact_mut(win.h * win.w).zip(dy.chunks_exact(win.p * win.q)) {
            for p in 0..win.p {
                for q in 0..win.q {
                    let (rows, cols) = (win.rows(p), win.cols(q));
                    let share = dy[p * win.q + q] / (rows.len() * cols.len()) as f32;
                    for row in rows {
                        dx[row * win.w..][cols.clone()].iter_mut().for_each(|dx| *dx += share);
                    }
                }
            }
        }
    }
}
