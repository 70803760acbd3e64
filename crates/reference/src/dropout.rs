//! Random zeroing: each value times a factor, forward and backward.

use net::random::{dropout_keeps, dropout_stream, dropout_threshold};
use net::{Dropout, DropoutScaling};

use crate::Pass;

/// The factor of every value of the batch's image `image`, in the dropout layer at position `layer` of the net.
///
/// In training 0 or 1, and 0 or `1 / (1 − rate)` where training does the scaling; in testing 1, and `1 − rate` where
/// testing does it.
pub fn factors(dropout: &Dropout, layer: usize, pass: Pass, image: usize, len: usize) -> Vec<f64> {
    let keep = 1.0 - dropout.rate;
    let Pass::Train(info) = pass else {
        return vec![if dropout.scaling == DropoutScaling::Test { keep } else { 1.0 }; len];
    };
    let survivor = if dropout.scaling == DropoutScaling::Train { 1.0 / keep } else { 1.0 };
    let stream = dropout_stream(info.seed, layer, info.step, info.first_image + image as u32);
    let threshold = dropout_threshold(dropout.rate);
    let factor = |e: usize| if dropout_keeps(stream.u32(e as u32), threshold) { survivor } else { 0.0 };
    (0..len).map(factor).collect()
}

/// `y = factor · x`; the same function with `dy` gives `dx`.
pub fn apply(factors: &[f64], x: &[f64], y: &mut [f64]) {
    for ((y, factor), x) in y.iter_mut().zip(factors).zip(x) {
        *y = factor * x;
    }
}
