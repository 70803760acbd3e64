//! Bounds of gradients, given the activations and the bounds of the gradient that comes in.

use net::{AvgPool, Net, Op, Pair, Shape, window};
use reference::Pass;
use reference::layer::{self, Params};

use super::normalisation::Normalisation;
use super::{Bounded, ELEMENTARY, Propagation, U, UNDERFLOW, forward, gamma};

/// The gradient by the logits from the engine's logits, `[n, classes]`, and its bound.
pub fn backward_loss(net: &Net, logits: &[f64], labels: &[u32], step_images: u32) -> Bounded {
    let p = forward(net, net.layers().len() - 1, Params::default(), Pass::Test, logits);
    let value = layer::backward_loss(&p.value, labels, step_images);
    // The difference, the reciprocal and the product round.
    let error = |(dx, p_bound): (&f64, &f64)| p_bound / f64::from(step_images) + 3.0 * U * dx.abs();
    let bound = value.iter().zip(&p.bound).map(error).collect();
    Bounded { value, bound }
}

/// Gradients by weight and bias of layer `index`, if it has them, from its input `x`, `[n, c, h, w]`, and the gradient
/// `dy` by its output, `[n, k, p, q]`.
pub fn backward_params(net: &Net, index: usize, how: Propagation, x: &[f64], dy: &Bounded) -> Option<[Bounded; 2]> {
    let (w, b) = net.params_of(index)?;
    let sums = |x: &[f64], dy: &[f64]| {
        let (mut dw, mut db) = (vec![0.0; net.params()[w].len()], vec![0.0; net.params()[b].len()]);
        layer::backward_params(net, index, x, dy, &mut dw, &mut db);
        [dw, db]
    };
    let images = x.len() / net.input_of(index).len();
    let terms = match net.layers()[index].op {
        Op::Conv(_) => images * net.output_of(index).plane(),
        _ => images,
    };
    let entries = how.entries(x);
    // One rounding for the product, one for the addition to what other batches left.
    let [weight_bound, bias_bound] = arrived(how, terms + 2, dy, |v| sums(&entries, v));
    let [weight, bias] = sums(x, &dy.value);
    Some([(weight, weight_bound), (bias, bias_bound)].map(|(value, bound)| floored(value, bound, terms)))
}

/// The gradient by the input of layer `index`, `[n, c, h, w]`, from that input `x` and the gradient `dy` by its output.
pub fn backward_input(net: &Net, index: usize, how: Propagation, weight: &[f64], pass: Pass, x: &[f64], dy: &Bounded) -> Bounded {
    let value = layer::backward_input(net, index, weight, pass, x, &dy.value);
    let terms = terms(net, index);
    let entries = how.entries(weight);
    let [mut bound] = arrived(how, terms + 1, dy, |v| [transposed(net, index, how, &entries, pass, x, v)]);
    let own = coefficient_errors(net, index, x, dy);
    for (bound, own) in bound.iter_mut().zip(own) {
        *bound = match how {
            Propagation::Worst => *bound + own,
            Propagation::Probable => bound.hypot(own),
        };
    }
    floored(value, bound, terms)
}

fn floored(value: Vec<f64>, mut bound: Vec<f64>, terms: usize) -> Bounded {
    bound.iter_mut().for_each(|b| *b += terms as f64 * UNDERFLOW);
    Bounded { value, bound }
}

/// Products that one value of the gradient by the input of layer `index` sums, at most.
fn terms(net: &Net, index: usize) -> usize {
    let reach = |kernel: Pair, stride: Pair| kernel.r.div_ceil(stride.r) * kernel.s.div_ceil(stride.s);
    match &net.layers()[index].op {
        Op::Conv(op) => op.k / op.groups * reach(op.kernel, op.stride),
        Op::Local(op) => op.k * reach(op.kernel, op.stride),
        Op::Linear(op) => op.k,
        Op::MaxPool(op) => reach(op.kernel, op.stride),
        // And the rounded reciprocal of the area.
        Op::AvgPool(op) => reach(op.kernel, op.stride) + 1,
        // The rounded factor.
        Op::Dropout(_) => 2,
        _ => 1,
    }
}

/// What arrives of the incoming errors, and of the rounding of sums of `terms`, through `operator`: `|J|ᵀ` or `(J∘J)ᵀ`.
fn arrived<const N: usize>(
    how: Propagation,
    terms: usize,
    dy: &Bounded,
    operator: impl Fn(&[f64]) -> [Vec<f64>; N],
) -> [Vec<f64>; N] {
    let incoming = dy.value.iter().zip(&dy.bound);
    match how {
        Propagation::Worst => {
            let rounding = gamma(terms);
            operator(&incoming.map(|(dy, e)| e + rounding * (dy.abs() + e)).collect::<Vec<_>>())
        }
        Propagation::Probable => {
            let rounding = terms as f64 * U;
            let squares = operator(&incoming.map(|(dy, e)| e * e + (rounding * dy).powi(2)).collect::<Vec<_>>());
            squares.map(|squares| squares.into_iter().map(f64::sqrt).collect())
        }
    }
}

/// `|J|ᵀ·v` or `(J∘J)ᵀ·v` of layer `index`, `[n, c, h, w]`; `entries` are its weights as [`Propagation::entries`].
fn transposed(net: &Net, index: usize, how: Propagation, entries: &[f64], pass: Pass, x: &[f64], v: &[f64]) -> Vec<f64> {
    let through = |v: &[f64]| layer::backward_input(net, index, entries, pass, x, v);
    let (input, output) = (net.input_of(index), net.output_of(index));
    match (&net.layers()[index].op, how) {
        (Op::Tanh, _) => x.iter().zip(v).map(|(x, v)| how.entry(x.cosh().powi(-2)) * v).collect(),
        (op @ (Op::Lrn(_) | Op::LrnWithin(_)), _) => Normalisation::of(op, input).transposed(how, x, v),
        // Each entry is a factor or the reciprocal of an area; its square is that applied twice.
        (Op::Dropout(_), Propagation::Probable) => through(&through(v)),
        (Op::AvgPool(pool), Propagation::Probable) => {
            let areas = areas(pool, input, output);
            through(&v.iter().zip(areas.iter().cycle()).map(|(v, area)| v / area).collect::<Vec<_>>())
        }
        _ => through(v),
    }
}

/// The clipped area of each window, `[k, p, q]`.
fn areas(pool: &AvgPool, input: Shape, output: Shape) -> Vec<f64> {
    let area = |out: usize| {
        let (p, q) = (out / output.w % output.h, out % output.w);
        let rows = window(p, pool.kernel.r, pool.stride.r, pool.padding.top, input.h);
        let columns = window(q, pool.kernel.s, pool.stride.s, pool.padding.left, input.w);
        (rows.len() * columns.len()) as f64
    };
    (0..output.len()).map(area).collect()
}

/// The error that the rounding of the Jacobian's own entries adds, `[n, c, h, w]`.
fn coefficient_errors(net: &Net, index: usize, x: &[f64], dy: &Bounded) -> Vec<f64> {
    let incoming = dy.value.iter().zip(&dy.bound).map(|(dy, e)| dy.abs() + e);
    match &net.layers()[index].op {
        // 1 − y² from a y with a relative error of ELEMENTARY: an absolute error of (2·ELEMENTARY + u)·y², then roundings.
        Op::Tanh => {
            let error = |x: f64| (2.0 * ELEMENTARY + U) * x.tanh().powi(2) + 3.0 * U * x.cosh().powi(-2);
            x.iter().zip(incoming).map(|(&x, dy)| error(x) * dy).collect()
        }
        op @ (Op::Lrn(_) | Op::LrnWithin(_)) => {
            let norm = Normalisation::of(op, net.input_of(index));
            let errors: Vec<f64> = norm.scale(x).iter().zip(incoming).map(|(&s, dy)| norm.backward_error(s) * dy).collect();
            norm.transposed(Propagation::Worst, x, &errors)
        }
        _ => vec![0.0; x.len()],
    }
}
