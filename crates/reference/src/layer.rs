//! Any layer of a net, on a batch.

use net::{Net, Op, StepInfo, Targets};

use crate::{avg_pool, conv, dropout, linear, local, lrn, lrn_within, max_pool, relu, softmax, tanh};

/// What kind of pass it is: the only thing besides input and parameters that a layer's output depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pass {
    /// A training pass, with dropout masks at this address.
    Train(StepInfo),
    /// A pass as in testing: no random number.
    Test,
}

/// Weight and bias of a layer; empty for a layer that has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Params<'a> {
    /// The weight, in the layout of [`net::ParamInfo::shape`].
    pub weight: &'a [f64],
    /// The bias.
    pub bias: &'a [f64],
}

/// The output `[n, k, p, q]` of layer `index` for the input `x`, `[n, c, h, w]`.
pub fn forward(net: &Net, index: usize, params: Params<'_>, pass: Pass, x: &[f64]) -> Vec<f64> {
    let (input, output) = (net.input_of(index), net.output_of(index));
    let mut all = vec![0.0; x.len() / input.len() * output.len()];
    for (image, (x, y)) in x.chunks_exact(input.len()).zip(all.chunks_exact_mut(output.len())).enumerate() {
        match &net.layers()[index].op {
            Op::Conv(op) => conv::forward(op, input, output, x, params.weight, params.bias, y),
            Op::Local(op) => local::forward(op, input, output, x, params.weight, params.bias, y),
            Op::Relu => relu::forward(x, y),
            Op::Tanh => tanh::forward(x, y),
            Op::Lrn(op) => lrn::forward(op, input, x, y),
            Op::LrnWithin(op) => lrn_within::forward(op, input, x, y),
            Op::MaxPool(op) => max_pool::forward(op, input, output, x, y),
            Op::AvgPool(op) => avg_pool::forward(op, input, output, x, y),
            Op::Dropout(op) => dropout::apply(&dropout::factors(op, index, pass, image, x.len()), x, y),
            Op::Linear(_) => linear::forward(x, params.weight, params.bias, y),
            Op::Softmax => softmax::forward(x, y),
            other => unreachable!("no formula for {}", other.kind()),
        }
    }
    all
}

/// The gradient by the input of layer `index`, `[n, c, h, w]`, from the gradient `dy` by its output, `[n, k, p, q]`.
///
/// Not for the softmax, whose gradient begins at the labels: [`softmax::backward`].
pub fn backward_input(net: &Net, index: usize, weight: &[f64], pass: Pass, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let (input, output) = (net.input_of(index), net.output_of(index));
    let mut all = vec![0.0; x.len()];
    let images = x.chunks_exact(input.len()).zip(dy.chunks_exact(output.len())).zip(all.chunks_exact_mut(input.len()));
    for (image, ((x, dy), dx)) in images.enumerate() {
        match &net.layers()[index].op {
            Op::Conv(op) => conv::backward_input(op, input, output, weight, dy, dx),
            Op::Local(op) => local::backward_input(op, input, output, weight, dy, dx),
            Op::Relu => relu::backward(x, dy, dx),
            Op::Tanh => tanh::backward(x, dy, dx),
            Op::Lrn(op) => lrn::backward(op, input, x, dy, dx),
            Op::LrnWithin(op) => lrn_within::backward(op, input, x, dy, dx),
            Op::MaxPool(op) => max_pool::backward(op, input, output, x, dy, dx),
            Op::AvgPool(op) => avg_pool::backward(op, input, output, dy, dx),
            Op::Dropout(op) => dropout::apply(&dropout::factors(op, index, pass, image, x.len()), dy, dx),
            Op::Linear(_) => linear::backward_input(weight, dy, dx),
            other => unreachable!("no gradient formula for {}", other.kind()),
        }
    }
    all
}

/// Adds to `dw` and `db` the gradients by weight and bias of layer `index`; nothing for a layer that has none.
pub fn backward_params(net: &Net, index: usize, x: &[f64], dy: &[f64], dw: &mut [f64], db: &mut [f64]) {
    let (input, output) = (net.input_of(index), net.output_of(index));
    for (x, dy) in x.chunks_exact(input.len()).zip(dy.chunks_exact(output.len())) {
        match &net.layers()[index].op {
            Op::Conv(op) => conv::backward_params(op, input, output, x, dy, dw, db),
            Op::Local(op) => local::backward_params(op, input, output, x, dy, dw, db),
            Op::Linear(_) => linear::backward_params(x, dy, dw, db),
            _ => {}
        }
    }
}

/// The gradient of the step's mean loss by the logits, `[n, classes]`, from the probabilities `p`, `[n, classes]`.
pub fn backward_loss(p: &[f64], targets: Targets<'_>, step_images: u32) -> Vec<f64> {
    let classes = p.len().checked_div(targets.len()).unwrap_or(0);
    let mut dx = vec![0.0; p.len()];
    for ((p, dx), target) in p.chunks_exact(classes).zip(dx.chunks_exact_mut(classes)).zip(targets.iter()) {
        softmax::backward(p, target, step_images, dx);
    }
    dx
}
