//! Bounds of a layer's output, given its input.

use net::{Net, Op, Targets};
use reference::layer::{self, Params};
use reference::{Pass, softmax};

use super::linear::Linear;
use super::normalisation::Normalisation;
use super::tiles::{Tiled, Tiles};
use super::{Bounded, ELEMENTARY, U, UNDERFLOW, Weights, abs, gamma, to_f64};

/// The output of layer `index` for the engine's input `x`, `[n, c, h, w]`, and the bound of its rounding, by `tiles` where the
/// engine uses them.
pub fn forward(net: &Net, index: usize, weights: Weights<'_>, tiles: Option<Tiles>, pass: Pass, x: &[f64]) -> Bounded {
    let op = &net.layers()[index].op;
    if let Op::Linear(op) = op {
        return Linear { c: net.input_of(index).len(), k: op.k, x }.forward(weights);
    }
    let (weight, bias) = (to_f64(weights.weight), to_f64(weights.bias));
    let params = Params { weight: &weight, bias: &bias };
    let value = layer::forward(net, index, params, pass, x);
    if let Some(tiles) = tiles {
        let bound = Tiled::of(net, index, tiles).forward(&weight, &bias, x);
        return Bounded { value, bound };
    }
    let relative = |factor: f64| value.iter().map(|y| factor * y.abs() + UNDERFLOW).collect();
    let bound = match op {
        Op::Conv(_) | Op::Local(_) | Op::AvgPool(_) => {
            let terms = terms(net, index);
            let (weight, bias) = (abs(params.weight), abs(params.bias));
            // Σ|w|·|x| + |b|: the same layer on absolute values.
            let sizes = layer::forward(net, index, Params { weight: &weight, bias: &bias }, pass, &abs(x));
            sizes.iter().map(|size| gamma(terms + 1) * size + terms as f64 * UNDERFLOW).collect()
        }
        // A choice among values does not round.
        Op::Relu | Op::MaxPool(_) => vec![0.0; value.len()],
        Op::Tanh => relative(ELEMENTARY),
        // The factor is rounded, and the product.
        Op::Dropout(_) => relative(2.0 * U),
        Op::Lrn(_) | Op::LrnWithin(_) => {
            let norm = Normalisation::of(op, net.input_of(index));
            let scale = norm.scale(x);
            value.iter().zip(&scale).map(|(y, &s)| norm.forward_error(s) * y.abs() + UNDERFLOW).collect()
        }
        Op::Softmax => {
            let images = x.chunks_exact(net.classes()).zip(value.chunks_exact(net.classes()));
            images.flat_map(|(x, p)| probability_bounds(x, p)).collect()
        }
        other => unreachable!("no bound for {}", other.kind()),
    };
    Bounded { value, bound }
}

/// Products that one output of layer `index` sums, its bias or the division by its area included.
fn terms(net: &Net, index: usize) -> usize {
    let input = net.input_of(index);
    match &net.layers()[index].op {
        Op::Conv(op) => input.c / op.groups * op.kernel.r * op.kernel.s + 1,
        Op::Local(op) => input.c * op.kernel.r * op.kernel.s + 1,
        Op::AvgPool(op) => op.kernel.r * op.kernel.s + 1,
        _ => 1,
    }
}

/// The bounds of one image's probabilities.
fn probability_bounds(x: &[f64], p: &[f64]) -> Vec<f64> {
    let error = probability_error(x, p);
    x.iter().zip(p).map(|(&x, &p)| error(x) * p + 2.0 * UNDERFLOW).collect()
}

/// The relative error of the probability that belongs to a logit. The shift by the maximum rounds by `u·|x − max|`, which
/// the exponential turns into a relative error; the sum of positive terms carries the mean of those, weighted by `p`.
fn probability_error(x: &[f64], p: &[f64]) -> impl Fn(f64) -> f64 + use<> {
    let max = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // An engine's exponential may itself reduce its argument with one more rounding.
    let shift = move |x: f64| 2.0 * U * (max - x);
    let mean_shift: f64 = x.iter().zip(p).map(|(&x, p)| p * shift(x)).sum();
    let sum = mean_shift + ELEMENTARY + gamma(x.len());
    move |x| shift(x) + ELEMENTARY + sum + 2.0 * U
}

/// `Σ −ln p(label)` over a batch from the engine's logits, `[n, classes]`, or of mixed images the cross-entropy, and its bound: a
/// probability's relative error is an absolute one of its logarithm, and every term and addition rounds.
pub fn nll_sum(logits: &[f64], targets: Targets<'_>) -> (f64, f64) {
    let classes = logits.len() / targets.len();
    let (mut sum, mut bound) = (0.0, 0.0);
    for (x, target) in logits.chunks_exact(classes).zip(targets.iter()) {
        let mut p = vec![0.0; classes];
        softmax::forward(x, &mut p);
        let nll = softmax::cross_entropy(x, target);
        sum += nll;
        let (error, share) = (probability_error(x, &p), f64::from(target.share));
        let error = share * error(x[target.label as usize]) + (1.0 - share) * error(x[target.second as usize]);
        bound += error + (ELEMENTARY + gamma(targets.len())) * nll;
    }
    (sum, bound)
}
