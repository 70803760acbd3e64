//! Response normalisation across maps.
//!
//! `D_i = k + a · Σ_j x_j²` over the maps `j` around `i` in its tower, `y_i = x_i · D_i^−β`;
//! `dx_i = g_i · D_i^−β − 2 a β · x_i · Σ_j g_j x_j D_j^−β / D_j`, the window being symmetric. `D` is computed again in the backward
//! pass: it costs less than to keep it in memory. Worked in strips of [`STRIP`] neighbouring pixels through all maps.

use super::by_isa;

/// Pixels worked on at once.
const STRIP: usize = 32;

/// The numbers of one normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LrnNumbers {
    /// Maps, in `towers` equal blocks that do not see each other.
    pub(crate) maps: usize,
    pub(crate) towers: usize,
    /// Window size in maps, odd.
    pub(crate) n: usize,
    pub(crate) k: f32,
    /// The factor before the sum of squares.
    pub(crate) a: f32,
    pub(crate) beta: f32,
}

impl LrnNumbers {
    /// Scratch values of either pass.
    pub(crate) fn scratch_len(&self) -> usize {
        3 * self.maps * STRIP
    }

    /// The maps that map `i` sees.
    #[inline(always)]
    fn window(&self, i: usize) -> std::ops::Range<usize> {
        let tower = self.maps / self.towers;
        let (begin, half) = (i / tower * tower, self.n / 2);
        i.saturating_sub(half).max(begin)..(i + half + 1).min(begin + tower)
    }
}

/// `d^−β`
#[inline(always)]
fn power(d: &[f32; STRIP], beta: f32, out: &mut [f32; STRIP]) {
    if beta == 0.75 {
        for l in 0..STRIP {
            let root = d[l].sqrt();
            out[l] = 1.0 / (root * root.sqrt());
        }
    } else {
        for l in 0..STRIP {
            out[l] = d[l].powf(-beta);
        }
    }
}

/// `out ← Σ rows[j]` over the window.
#[inline(always)]
fn window_sum(rows: &[[f32; STRIP]], window: std::ops::Range<usize>, out: &mut [f32; STRIP]) {
    *out = [0.0; STRIP];
    for row in &rows[window] {
        for l in 0..STRIP {
            out[l] += row[l];
        }
    }
}

#[inline(always)]
fn load(from: &[f32]) -> [f32; STRIP] {
    let mut row = [0.0; STRIP];
    match <&[f32; STRIP]>::try_from(from) {
        Ok(full) => row = *full,
        Err(_) => row[..from.len()].copy_from_slice(from),
    }
    row
}

#[inline(always)]
fn store(row: &[f32; STRIP], to: &mut [f32]) {
    match <&mut [f32; STRIP]>::try_from(&mut *to) {
        Ok(full) => *full = *row,
        Err(_) => to.copy_from_slice(&row[..to.len()]),
    }
}

by_isa! {
    /// `y[c, pixels]` of `x[c, pixels]`, one image.
    pub(crate) fn lrn(num: &LrnNumbers, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let pixels = x.len() / num.maps;
        let (squares, _) = scratch[..num.scratch_len()].as_chunks_mut::<STRIP>();
        for begin in (0..pixels).step_by(STRIP) {
            let len = STRIP.min(pixels - begin);
            for c in 0..num.maps {
                let row = load(&x[c * pixels + begin..][..len]);
                for l in 0..STRIP {
                    squares[c][l] = row[l] * row[l];
                }
            }
            for c in 0..num.maps {
                let (mut d, mut factor) = ([0.0; STRIP], [0.0; STRIP]);
                window_sum(squares, num.window(c), &mut d);
                for l in 0..STRIP {
                    d[l] = num.k + num.a * d[l];
                }
                power(&d, num.beta, &mut factor);
                let mut row = load(&x[c * pixels + begin..][..len]);
                for l in 0..STRIP {
                    row[l] *= factor[l];
                }
                store(&row, &mut y[c * pixels + begin..][..len]);
            }
        }
    }
}

by_isa! {
    /// `dx[c, pixels]` of `x` and `dy`, one image.
    pub(crate) fn lrn_backward(num: &LrnNumbers, x: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
        let pixels = x.len() / num.maps;
        let (rows, _) = scratch[..num.scratch_len()].as_chunks_mut::<STRIP>();
        let (squares, rest) = rows.split_at_mut(num.maps);
        let (factors, terms) = rest.split_at_mut(num.maps);
        let twice = 2.0 * num.a * num.beta;
        for begin in (0..pixels).step_by(STRIP) {
            let len = STRIP.min(pixels - begin);
            for c in 0..num.maps {
                let row = load(&x[c * pixels + begin..][..len]);
                for l in 0..STRIP {
                    squares[c][l] = row[l] * row[l];
                }
            }
            for c in 0..num.maps {
                let mut d = [0.0; STRIP];
                window_sum(squares, num.window(c), &mut d);
                for l in 0..STRIP {
                    d[l] = num.k + num.a * d[l];
                }
                power(&d, num.beta, &mut factors[c]);
                let (x, g) = (load(&x[c * pixels + begin..][..len]), load(&dy[c * pixels + begin..][..len]));
                for l in 0..STRIP {
                    terms[c][l] = g[l] * x[l] * factors[c][l] / d[l];
                }
            }
            for c in 0..num.maps {
                let mut sum = [0.0; STRIP];
                window_sum(terms, num.window(c), &mut sum);
                let (x, g) = (load(&x[c * pixels + begin..][..len]), load(&dy[c * pixels + begin..][..len]));
                for l in 0..STRIP {
                    sum[l] = g[l] * factors[c][l] - twice * x[l] * sum[l];
                }
                store(&sum, &mut dx[c * pixels + begin..][..len]);
            }
        }
    }
}
