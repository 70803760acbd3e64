//! Pooling: maximum and mean over windows clipped to the image.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(test)]
mod tests;

use net::window;

use super::strided::copy_every;
use super::{Target, by_isa};

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
    pub(super) fn rows(&self, p: usize) -> std::ops::Range<usize> {
        window(p, self.r, self.stride_r, self.top, self.h)
    }

    /// The image columns of output column `q`.
    fn cols(&self, q: usize) -> std::ops::Range<usize> {
        window(q, self.s, self.stride_s, self.left, self.w)
    }

    /// Columns of equal remainder by the stride, room included.
    fn phase(&self) -> usize {
        ((self.q - 1) * self.stride_s + self.s).div_ceil(self.stride_s)
    }

    /// Scratch values of the maximum's forward pass.
    pub(crate) fn max_scratch_len(&self) -> usize {
        2 * (self.w + self.phase() * self.stride_s + self.q)
    }
}

/// Keeps the larger value and its key; of equal values the one of the smaller key; NaN before all others.
#[inline(always)]
fn keep_best(best: &mut f32, best_key: &mut f32, x: f32, key: f32) {
    let wins = (x > *best) | ((x == *best) & (key < *best_key)) | x.is_nan();
    *best = if wins { x } else { *best };
    *best_key = if wins { key } else { *best_key };
}

/// `y[k, p, q] ← max x` over each window of the maps `x[k, h, w]`; a NaN wins. Where `arg` is not empty, `arg[k, p, q] ← r · S + s`
/// of the first maximum in row-major order, counted in the unclipped `R × S` window, whose area is at most 256. Of several NaN
/// the last by column, then by row, wins. Bytes: `4 x + 5 y`.
pub(crate) fn max(target: Target, win: &PoolWindow, x: &[f32], y: &mut [f32], arg: &mut [u8], scratch: &mut [f32]) {
    match target.isa() {
        // SAFETY: a `Target` exists only for an instruction set that the CPU has.
        #[cfg(target_arch = "x86_64")]
        crate::Isa::Avx512 if avx512::fits(win) => unsafe { avx512::max(win, x, y, arg) },
        _ => max_by_rows(target, win, x, y, arg, scratch),
    }
}

by_isa! {
    /// `max` of any geometry.
    ///
    /// Each output row takes three vectorised steps: the maxima of columns with the key `r · S` of the row that holds them; the
    /// same sorted by column modulo the stride, the room filled with −∞ of key ∞; the maxima over `s` with the key `r · S + s`.
    fn max_by_rows(win: &PoolWindow, x: &[f32], y: &mut [f32], arg: &mut [u8], scratch: &mut [f32]) {
        let (w, phase, stride) = (win.w, win.phase(), win.stride_s);
        let (columns, rest) = scratch[..win.max_scratch_len()].split_at_mut(w);
        let (column_keys, rest) = rest.split_at_mut(w);
        let (sorted, rest) = rest.split_at_mut(phase * stride);
        let (sorted_keys, rest) = rest.split_at_mut(phase * stride);
        let (best, best_keys) = rest.split_at_mut(win.q);
        sorted.fill(f32::NEG_INFINITY);
        sorted_keys.fill(f32::INFINITY);
        for (map, x) in x.chunks_exact(win.h * w).enumerate() {
            for p in 0..win.p {
                let rows = win.rows(p);
                columns.copy_from_slice(&x[rows.start * w..][..w]);
                let key = |row: usize| ((row + win.top - p * win.stride_r) * win.s) as f32;
                column_keys.fill(key(rows.start));
                for row in rows.start + 1..rows.end {
                    let key = key(row);
                    for ((best, best_key), &x) in columns.iter_mut().zip(&mut *column_keys).zip(&x[row * w..][..w]) {
                        keep_best(best, best_key, x, key);
                    }
                }
                for f in 0..stride {
                    // Columns i · stride + f − left inside the image.
                    let begin = win.left.saturating_sub(f).div_ceil(stride).min(phase);
                    let end = (w + win.left).saturating_sub(f).div_ceil(stride).clamp(begin, phase);
                    if begin == end {
                        continue;
                    }
                    let first = begin * stride + f - win.left;
                    copy_every(&columns[first..], stride, &mut sorted[f * phase..][begin..end]);
                    copy_every(&column_keys[first..], stride, &mut sorted_keys[f * phase..][begin..end]);
                }
                best.fill(f32::NEG_INFINITY);
                best_keys.fill(f32::INFINITY);
                for s in 0..win.s {
                    let from = s % stride * phase + s / stride;
                    let runs = sorted[from..][..win.q].iter().zip(&sorted_keys[from..][..win.q]);
                    for ((best, best_key), (&x, &key)) in best.iter_mut().zip(&mut *best_keys).zip(runs) {
                        keep_best(best, best_key, x, key + s as f32);
                    }
                }
                let out = (map * win.p + p) * win.q;
                y[out..][..win.q].copy_from_slice(best);
                if !arg.is_empty() {
                    arg[out..][..win.q].iter_mut().zip(&*best_keys).for_each(|(arg, &key)| *arg = key as u8);
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
