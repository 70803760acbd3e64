//! Response normalisation within a map.
//!
//! `D = k + a · Σ x²` over the `n × n` pixels around each pixel, clipped to the image, `y = x · D^−β`;
//! `dx = g · D^−β − 2 a β · x · Σ g x D^−β / D` over the same window, which is symmetric.

use super::by_isa;

/// The numbers of one normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WithinNumbers {
    pub(crate) h: usize,
    pub(crate) w: usize,
    /// Window side, odd.
    pub(crate) n: usize,
    pub(crate) k: f32,
    /// The factor before the sum of squares.
    pub(crate) a: f32,
    pub(crate) beta: f32,
}

impl WithinNumbers {
    /// Scratch values of either pass.
    pub(crate) fn scratch_len(&self) -> usize {
        4 * self.h * self.w
    }

    /// `out[h, w] ← Σ` of `values[h, w]` over the clipped window, first along rows into `rows`, then along columns.
    #[inline(always)]
    fn window_sum(&self, values: &[f32], rows: &mut [f32], out: &mut [f32]) {
        let (h, w, half) = (self.h, self.w, self.n / 2);
        for (values, rows) in values.chunks_exact(w).zip(rows.chunks_exact_mut(w)) {
            rows.copy_from_slice(values);
            for shift in 1..=half.min(w - 1) {
                rows[shift..].iter_mut().zip(values).for_each(|(sum, x)| *sum += x);
                rows.iter_mut().zip(&values[shift..]).for_each(|(sum, x)| *sum += x);
            }
        }
        for i in 0..h {
            let out = &mut out[i * w..][..w];
            out.fill(0.0);
            for j in i.saturating_sub(half)..(i + half + 1).min(h) {
                out.iter_mut().zip(&rows[j * w..][..w]).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// `d ← k + a · Σ x²`
    #[inline(always)]
    fn denominators(&self, x: &[f32], squares: &mut [f32], rows: &mut [f32], d: &mut [f32]) {
        squares.iter_mut().zip(x).for_each(|(square, &x)| *square = x * x);
        self.window_sum(squares, rows, d);
        d.iter_mut().for_each(|d| *d = self.k + self.a * *d);
    }
}

/// `d^−β`
#[inline(always)]
fn power(d: f32, beta: f32) -> f32 {
    if beta == 0.75 {
        let root = d.sqrt();
        1.0 / (root * root.sqrt())
    } else {
        d.powf(-beta)
    }
}

by_isa! {
    /// `y` of the maps `x[k, h, w]`.
    pub(crate) fn lrn_within(num: &WithinNumbers, x: &[f32], y: &mut [f32], scratch: &mut [f32]) {
        let plane = num.h * num.w;
        let (squares, rest) = scratch[..num.scratch_len()].split_at_mut(plane);
        let (rows, rest) = rest.split_at_mut(plane);
        let (d, _) = rest.split_at_mut(plane);
        for (x, y) in x.chunks_exact(plane).zip(y.chunks_exact_mut(plane)) {
            num.denominators(x, squares, rows, d);
            y.iter_mut().zip(x).zip(&*d).for_each(|((y, &x), &d)| *y = x * power(d, num.beta));
        }
    }
}

by_isa! {
    /// `dx` of the maps `x[k, h, w]` and `dy`.
    pub(crate) fn lrn_within_backward(num: &WithinNumbers, x: &[f32], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
        let plane = num.h * num.w;
        let (terms, rest) = scratch[..num.scratch_len()].split_at_mut(plane);
        let (rows, rest) = rest.split_at_mut(plane);
        let (d, sum) = rest.split_at_mut(plane);
        let twice = 2.0 * num.a * num.beta;
        let maps = x.chunks_exact(plane).zip(dy.chunks_exact(plane)).zip(dx.chunks_exact_mut(plane));
        for ((x, dy), dx) in maps {
            num.denominators(x, terms, rows, d);
            for i in 0..plane {
                let factor = power(d[i], num.beta);
                dx[i] = dy[i] * factor;
                terms[i] = dy[i] * x[i] * factor / d[i];
            }
            num.window_sum(terms, rows, sum);
            for i in 0..plane {
                dx[i] -= twice * x[i] * sum[i];
            }
        }
    }
}
