//! Bounds of gradients, given the activations and the bounds of the gradient that comes in.

use net::{AvgPool, Net, Op, Pair, Shape, Targets, window};
use reference::Pass;
use reference::layer;

use super::linear::Linear;
use super::normalisation::Normalisation;
use super::tiles::{Tiled, Tiles};
use super::{Bounded, ELEMENTARY, Propagation, U, UNDERFLOW, Weights, forward, gamma, to_f64};

/// The gradient by the logits from the engine's logits, `[n, classes]`, and its bound.
pub fn backward_loss(net: &Net, logits: &[f64], targets: Targets<'_>, step_images: u32) -> Bounded {
    let p = forward(net, net.layers().len() - 1, Weights::default(), None, Pass::Test, logits);
    let value = layer::backward_loss(&p.value, targets, step_images);
    // The difference, the reciprocal and the product round; and the rest of a share, of which an engine sees an f64 at best.
    let error = |(dx, p_bound): (&f64, &f64)| (p_bound + f64::EPSILON) / f64::from(step_images) + 3.0 * U * dx.abs();
    let bound = value.iter().zip(&p.bound).map(error).collect();
    Bounded { value, bound }
}

/// Gradients by weight and bias of layer `index`, if it has them, from its input `x`, `[n, c, h, w]`, and the gradient
/// `dy` by its output, `[n, k, p, q]`; the weight's by `tiles` where the engine uses them.
///
/// Shows them as `visit(parameter, place of the first value, values)`, large ones in parts.
pub fn backward_params(
    net: &Net,
    index: usize,
    how: Propagation,
    tiles: Option<Tiles>,
    x: &[f64],
    dy: &Bounded,
    visit: &mut dyn FnMut(usize, usize, Bounded),
) {
    let Some((w, b)) = net.params_of(index) else { return };
    let images = x.len() / net.input_of(index).len();
    let terms = match net.layers()[index].op {
        Op::Conv(_) => images * net.output_of(index).plane(),
        _ => images,
    };
    // One rounding for the product, one for the addition to what other batches left.
    let roundings = terms + 2;
    if let Op::Linear(op) = &net.layers()[index].op {
        let linear = Linear { c: net.input_of(index).len(), k: op.k, x };
        let bias = linear.backward_params(how, roundings, dy, &mut |first, part| visit(w, first, floored(part, terms)));
        return visit(b, 0, floored(bias, terms));
    }
    let sums = |x: &[f64], dy: &[f64]| {
        let (mut dw, mut db) = (vec![0.0; net.params()[w].len()], vec![0.0; net.params()[b].len()]);
        layer::backward_params(net, index, x, dy, &mut dw, &mut db);
        [dw, db]
    };
    let [weight, bias] = sums(x, &dy.value);
    let arriving = |roundings| sums(&how.entries(x), &incoming(how, roundings, dy)).map(|sums| arrived(how, sums));
    let [weight_bound, bias_bound] = match tiles {
        None => arriving(roundings),
        Some(tiles) => {
            // The roundings of tiles are not those of a plain sum, which only the bias's gradient stays.
            let [mut weight, _] = arriving(0);
            let own = Tiled::of(net, index, tiles).weight(how, x, dy);
            weight.iter_mut().zip(own).for_each(|(bound, own)| *bound = how.sum(*bound, own));
            [weight, arrived(how, sums_of_maps(net.output_of(index), &incoming(how, roundings, dy)))]
        }
    };
    visit(w, 0, floored(Bounded { value: weight, bound: weight_bound }, terms));
    visit(b, 0, floored(Bounded { value: bias, bound: bias_bound }, terms));
}

/// The gradient by the input of layer `index`, `[n, c, h, w]`, from that input `x` and the gradient `dy` by its output, by
/// `tiles` where the engine uses them.
pub fn backward_input(
    net: &Net,
    index: usize,
    how: Propagation,
    weight: &[f32],
    tiles: Option<Tiles>,
    pass: Pass,
    x: &[f64],
    dy: &Bounded,
) -> Bounded {
    let terms = terms(net, index);
    if let Op::Linear(op) = &net.layers()[index].op {
        let linear = Linear { c: net.input_of(index).len(), k: op.k, x };
        return floored(linear.backward_input(how, weight, terms + 1, dy), terms);
    }
    let weight = to_f64(weight);
    let value = layer::backward_input(net, index, &weight, pass, x, &dy.value);
    // The roundings of a plain sum arrive with the errors of `dy`; those of tiles do not.
    let errors = incoming(how, if tiles.is_some() { 0 } else { terms + 1 }, dy);
    let mut bound = arrived(how, transposed(net, index, how, &how.entries(&weight), pass, x, &errors));
    let own = match tiles {
        Some(tiles) => Tiled::of(net, index, tiles).data(how, &weight, dy),
        None => coefficient_errors(net, index, x, dy),
    };
    bound.iter_mut().zip(own).for_each(|(bound, own)| *bound = how.sum(*bound, own));
    floored(Bounded { value, bound }, terms)
}

/// `Σ v` over images, rows and columns of `v[n, k, p, q]`.
fn sums_of_maps(output: Shape, v: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; output.c];
    v.chunks_exact(output.plane()).enumerate().for_each(|(map, v)| sums[map % output.c] += v.iter().sum::<f64>());
    sums
}

fn floored(mut values: Bounded, terms: usize) -> Bounded {
    values.bound.iter_mut().for_each(|b| *b += terms as f64 * UNDERFLOW);
    values
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

/// What goes into `|J|ᵀ` or `(J∘J)ᵀ`: the errors of `dy`, and the rounding of sums of `terms` in which it stands.
pub(super) fn incoming(how: Propagation, terms: usize, dy: &Bounded) -> Vec<f64> {
    let pairs = dy.value.iter().zip(&dy.bound);
    match how {
        Propagation::Worst => pairs.map(|(dy, e)| e + gamma(terms) * (dy.abs() + e)).collect(),
        Propagation::Probable => pairs.map(|(dy, e)| e * e + (terms as f64 * U * dy).powi(2)).collect(),
    }
}

/// The errors from what comes out there.
pub(super) fn arrived(how: Propagation, mut sums: Vec<f64>) -> Vec<f64> {
    if how == Propagation::Probable {
        sums.iter_mut().for_each(|sum| *sum = sum.sqrt());
    }
    sums
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
