//! Response normalisation across maps.
//!
//! `D_i = k + a · Σ_j x_j²` over the maps `j` around `i` in its tower, `y_i = x_i · D_i^−β`;
//! `dx_i = g_i · D_i^−β − 2 a β · x_i · Σ_j g_j x_j D_j^−β / D_j`, the window being symmetric. `D` is computed again in the backward
//! pass: it costs less than to keep it in memory. Worked in strips of [`STRIP`] neighbouring pixels through all maps.

use net::LrnAcross;

use super::by_isa;

/// Pixels worked on at once.
const STRIP: usize = 64;

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
    /// The numbers of a layer on `maps` maps.
    pub(crate) fn new(op: &LrnAcross, maps: usize) -> LrnNumbers {
        let (k, a, beta) = (op.k as f32, op.coefficient() as f32, op.beta as f32);
        LrnNumbers { maps, towers: op.towers, n: op.n, k, a, beta }
    }

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

/// `out ← k + a · Σ rows[j]` over the maps `window`; rows are [`STRIP`] apart.
#[inline(always)]
fn denominators(num: &LrnNumbers, squares: &[f32], window: std::ops::Range<usize>, out: &mut [f32]) {
    window_sum(squares, window, out);
    out.iter_mut().for_each(|d| *d = num.k + num.a * *d);
}

/// `out ← Σ rows[j]` over the maps `window`; rows are [`STRIP`] apart.
#[inline(always)]
fn window_sum(rows: &[f32], window: std::ops::Range<usize>, out: &mut [f32]) {
    out.copy_from_slice(&rows[window.start * STRIP..][..out.len()]);
    for j in window.start + 1..window.end {
        out.iter_mut().zip(&rows[j * STRIP..]).for_each(|(sum, &x)| *sum += x);
    }
}

/// `d^−β`
#[inline(always)]
fn power(d: &[f32], beta: f32, out: &mut [f32]) {
    if beta == 0.75 {
        out.iter_mut().zip(d).for_each(|(out, &d)| {
            let root = d.sqrt();
            *out = 1.0 / (root * root.sqrt());
        });
    } else {
        out.iter_mut().zip(d).for_each(|(out, &d)| *out = d.powf(-beta));
    }
}

/// `squares[c] ← x[c]²` for one strip of all maps.
#[inline(always)]
fn square(num: &LrnNumbers, x: &[f32], begin: usize, len: usize, squares: &mut [f32]) {
    let pixels = x.len() / num.maps;
    for (c, squares) in squares.chunks_exact_mut(STRIP).enumerate().take(num.maps) {
        squares.iter_mut().zip(&x[c * pixels + begin..][..len]).for_each(|(square, &x)| *square = x * x);
    }
}

by_isa! {
    /// `y[c, pixels]` of `x[c, pixels]`, one image.
    pub(crate) fn lrn(num: &LrnNumbers, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let pixels = x.len() / num.maps;
        let squares = &mut scratch[..num.maps * STRIP];
        let (mut d, mut factors) = ([0.0; STRIP], [0.0; STRIP]);
        for begin in (0..pixels).step_by(STRIP) {
            let len = STRIP.min(pixels - begin);
            square(num, x, begin, len, squares);
            for c in 0..num.maps {
                let (d, factors) = (&mut d[..len], &mut factors[..len]);
                denominators(num, squares, num.window(c), d);
                power(d, num.beta, factors);
                let at = c * pixels + begin;
                y[at..][..len].iter_mut().zip(&x[at..]).zip(&*factors).for_each(|((y, &x), &factor)| *y = x * factor);
            }
        }
    }
}

by_isa! {
    /// `dx[c, pixels]` of `x` and `dy`, one image.
    pub(crate) fn lrn_backward(num: &LrnNumbers, x: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
        let pixels = x.len() / num.maps;
        let (squares, rest) = scratch[..num.scratch_len()].split_at_mut(num.maps * STRIP);
        let (factors, terms) = rest.split_at_mut(num.maps * STRIP);
        let twice = 2.0 * num.a * num.beta;
        let mut d = [0.0; STRIP];
        for begin in (0..pixels).step_by(STRIP) {
            let len = STRIP.min(pixels - begin);
            let d = &mut d[..len];
            square(num, x, begin, len, squares);
            for c in 0..num.maps {
                let (at, factors) = (c * pixels + begin, &mut factors[c * STRIP..][..len]);
                denominators(num, squares, num.window(c), d);
                power(d, num.beta, factors);
                let values = dy[at..].iter().zip(&x[at..]).zip(&*factors).zip(&*d);
                terms[c * STRIP..][..len]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(term, (((&g, &x), &factor), &d))| *term = g * x * factor / d);
            }
            for c in 0..num.maps {
                let (at, sum) = (c * pixels + begin, &mut *d);
                window_sum(terms, num.window(c), sum);
                let values = dy[at..].iter().zip(&x[at..]).zip(&factors[c * STRIP..]).zip(&*sum);
                dx[at..][..len]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(dx, (((&g, &x), &factor), &sum))| *dx = g * factor - twice * x * sum);
            }
        }
    }
}
