//! What the bounds of both response normalisations share.

use net::{LrnAcross, LrnWithin, Op, Shape};
use reference::{lrn, lrn_within};

use super::{ELEMENTARY, Propagation, U};

/// `y = x · S^−β`, `S = k + a · Σ x²` over a neighbourhood.
pub(super) struct Normalisation<'a> {
    kind: Kind<'a>,
    shape: Shape,
}

enum Kind<'a> {
    Across(&'a LrnAcross),
    Within(&'a LrnWithin),
}

impl<'a> Normalisation<'a> {
    pub(super) fn of(op: &'a Op, shape: Shape) -> Normalisation<'a> {
        let kind = match op {
            Op::Lrn(lrn) => Kind::Across(lrn),
            Op::LrnWithin(lrn) => Kind::Within(lrn),
            other => unreachable!("{} does not normalise", other.kind()),
        };
        Normalisation { kind, shape }
    }

    /// `S` of a batch, `[n, c, h, w]`.
    pub(super) fn scale(&self, x: &[f64]) -> Vec<f64> {
        self.by_image(x, |x| match self.kind {
            Kind::Across(lrn) => lrn::scale(lrn, self.shape, x),
            Kind::Within(lrn) => lrn_within::scale(lrn, self.shape, x),
        })
    }

    /// Sums over the neighbourhoods, `[n, c, h, w]`.
    fn sums(&self, values: &[f64]) -> Vec<f64> {
        self.by_image(values, |values| match self.kind {
            Kind::Across(lrn) => lrn::neighbour_sums(lrn, self.shape, values),
            Kind::Within(lrn) => lrn_within::neighbour_sums(lrn, self.shape, values),
        })
    }

    fn by_image(&self, values: &[f64], of_image: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
        values.chunks_exact(self.shape.len()).flat_map(of_image).collect()
    }

    fn beta(&self) -> f64 {
        match self.kind {
            Kind::Across(lrn) => lrn.beta,
            Kind::Within(lrn) => lrn.beta,
        }
    }

    fn coefficient(&self) -> f64 {
        match self.kind {
            Kind::Across(lrn) => lrn.coefficient(),
            Kind::Within(lrn) => lrn.coefficient(),
        }
    }

    fn window(&self) -> f64 {
        match self.kind {
            Kind::Across(lrn) => lrn.n as f64,
            Kind::Within(lrn) => (lrn.n * lrn.n) as f64,
        }
    }

    /// The relative error of `S^−exponent`. `S` is a sum of positive terms, `window` squares and additions, with the
    /// roundings of a, k and their operations; a power by way of a logarithm turns the absolute error of `exponent · ln S`,
    /// three roundings, into a relative one.
    fn power_error(&self, exponent: f64, s: f64) -> f64 {
        exponent * (self.window() + 5.0) * U + ELEMENTARY + 3.0 * U * (exponent * s.ln()).abs()
    }

    /// The relative error of `y`, where the neighbourhood's `S` is `s`.
    pub(super) fn forward_error(&self, s: f64) -> f64 {
        self.power_error(self.beta(), s) + 2.0 * U
    }

    /// The relative error of each of the two terms of [`Normalisation::transposed`], its products and additions included.
    pub(super) fn backward_error(&self, s: f64) -> f64 {
        self.power_error(self.beta() + 1.0, s) + (self.window() + 8.0) * U
    }

    /// `|J|ᵀ·v` or `(J∘J)ᵀ·v`, `[n, c, h, w]`, with `Jᵀv = v_i·S_i^−β − 2aβ·x_i·Σ_j v_j·x_j·S_j^(−β−1)`. Where both terms
    /// meet, on the diagonal, they have opposite signs, so that the sum of their squares covers the square of their sum.
    pub(super) fn transposed(&self, how: Propagation, x: &[f64], v: &[f64]) -> Vec<f64> {
        let (scale, beta) = (self.scale(x), self.beta());
        let shared: Vec<f64> = (0..x.len()).map(|e| v[e] * how.entry(x[e] * scale[e].powf(-beta - 1.0))).collect();
        let sums = self.sums(&shared);
        let outer = 2.0 * self.coefficient() * beta;
        (0..x.len()).map(|e| v[e] * how.entry(scale[e].powf(-beta)) + how.entry(outer * x[e]) * sums[e]).collect()
    }
}
