//! How far an f32 engine may stray from the oracle, derived from the number of operations.
//!
//! The oracle computes each layer from the engine's own input to that layer. So a forward bound covers the rounding of
//! one layer, no rectifier or maximum can choose otherwise than the engine did, and the backward pass is linear in the
//! gradient; its bound travels with it.
//!
//! Notation: `u = 2⁻²⁴`. A sum of `K` products, in any order, with or without fused multiply-adds, errs by at most
//! `γ_K · Σ|t|`, `γ_K = K·u / (1 − K·u)` (Higham, *Accuracy and Stability of Numerical Algorithms*, 3.1 and 4.2), and by at
//! most `λ·√K·u·Σ|t|` with probability `1 − 2K·exp(−λ²/2)` where roundings are independent with mean 0 (Higham and Mary,
//! *A new approach to probabilistic rounding error analysis*, 2019). [`gamma`] takes the smaller.
//!
//! An error `e` of a layer's outgoing gradient reaches the gradient by its input through the layer's Jacobian `J`.
//! [`Propagation::Worst`] adds errors as if all conspired, `|J|ᵀ·e`: a theorem, and useless through many layers, each of
//! which inflates it by the root of its fan. [`Propagation::Probable`] adds them as independent ones, `√((J∘J)ᵀ·e²)`, with
//! the rounding `√K·u·Σ|t|` of each sum relaxed to `K·u·√Σt²` (Cauchy and Schwarz), and allows λ times the result: by
//! the same model a value passes with probability `1 − 2·exp(−λ²/2)`, and λ = 8 leaves 3·10⁻¹⁴ for a false alarm.
//!
//! A convolution by [`Tiles`] is no plain sum: more roundings, of larger terms, derived in `tiles`. What comes in with a
//! gradient travels through the same Jacobian.

mod backward;
mod forward;
mod linear;
mod normalisation;
mod tiles;

pub use backward::{backward_input, backward_loss, backward_params};
pub use forward::{forward, nll_sum};
pub use tiles::{LayerTiles, Tiles};

/// Unit roundoff of f32.
pub const U: f64 = 1.0 / 16_777_216.0;

/// The λ of the probabilistic bounds.
pub const LAMBDA: f64 = 8.0;

/// What a product may lose below the normal range, where an engine may flush to zero: the smallest normal f32.
pub const UNDERFLOW: f64 = f32::MIN_POSITIVE as f64;

/// Relative error that an engine's `tanh`, `exp`, `ln` or power may add to that of its argument: 8 roundings.
pub const ELEMENTARY: f64 = 8.0 * U;

/// How errors of many terms add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// As if all had the same sign: holds always.
    Worst,
    /// As independent errors: holds with the probability that the module states.
    Probable,
}

impl Propagation {
    /// What a bound is multiplied by where it is compared with.
    pub fn factor(self) -> f64 {
        match self {
            Propagation::Worst => 1.0,
            Propagation::Probable => LAMBDA,
        }
    }

    /// The entries of a Jacobian as errors see them: `|j|`, or `j²` where errors add as squares.
    fn entries(self, jacobian: &[f64]) -> Vec<f64> {
        jacobian.iter().map(|&j| self.entry(j)).collect()
    }

    /// One of [`Propagation::entries`].
    fn entry(self, j: f64) -> f64 {
        match self {
            Propagation::Worst => j.abs(),
            Propagation::Probable => j * j,
        }
    }

    /// What two errors of a value make together.
    fn sum(self, a: f64, b: f64) -> f64 {
        match self {
            Propagation::Worst => a + b,
            Propagation::Probable => a.hypot(b),
        }
    }
}

/// The weight and bias of a layer as the engine holds them; empty for a layer that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weights<'a> {
    /// In the layout of [`net::ParamInfo::shape`].
    pub weight: &'a [f32],
    /// Likewise.
    pub bias: &'a [f32],
}

/// Values of the oracle, and how far an engine may be from each.
#[derive(Debug, Clone, Default)]
pub struct Bounded {
    /// What the oracle computed.
    pub value: Vec<f64>,
    /// The error bound of each value, to be multiplied by [`Propagation::factor`].
    pub bound: Vec<f64>,
}

/// The relative error of a sum of `terms` products, or of as many operations in a row.
pub fn gamma(terms: usize) -> f64 {
    let k = terms as f64;
    let certain = k * U / (1.0 - k * U);
    certain.min(LAMBDA * k.sqrt() * U)
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn abs(values: &[f64]) -> Vec<f64> {
    values.iter().map(|x| x.abs()).collect()
}
