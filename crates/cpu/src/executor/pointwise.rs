//! Layers without parameters: each image is a task.

use net::random::dropout_stream;
use net::{StepInfo, Targets};

use super::{Engine, Pixels};
use crate::arena::{as_bytes, as_bytes_mut};
use crate::kernels::lanes::LANES;
use crate::kernels::{Target, blocked, lrn, lrn_within, pointwise, pool, softmax};
use crate::plan::{LayerPlan, MaxPoolBackward, MaxPoolPlan, OpPlan};

impl Engine {
    pub(super) fn pointwise_forward(&mut self, index: usize, pixels: Pixels<'_>, step: Option<StepInfo>) {
        let layer = &self.plan.layers[index];
        if self.input(layer, pixels.n) == self.output(layer, pixels.n) {
            return self.forward_in_place(index, pixels.n);
        }
        if let OpPlan::MaxPool(MaxPoolPlan { backward: MaxPoolBackward::Stored(_), .. }) = layer.op {
            return self.max_pool_stored(index, pixels);
        }
        let target = self.gemm.target();
        let (input, output, scratch) = (self.input(layer, pixels.n), self.output(layer, pixels.n), self.scratch());
        let ([x], [y, scratch]) = self.arena.split([input], [output, scratch]);
        let x = pixels.or(layer.input, x);
        self.threads.chunks(y, layer.output_len, scratch, |i, y, scratch| {
            let x = &x[i * layer.input_len..][..layer.input_len];
            match &layer.op {
                OpPlan::Relu { .. } => pointwise::relu(target, x, y),
                OpPlan::Tanh => pointwise::tanh(x, y),
                OpPlan::Lrn { num, blocks: false, .. } => lrn::lrn(target, num, x, y, scratch),
                OpPlan::Lrn { num, blocks: true, .. } => {
                    let block = layer.input_area * LANES;
                    blocked::lrn(target, num, layer.input_area, x, block, y, block, scratch);
                }
                OpPlan::LrnWithin(num) => lrn_within::lrn_within(target, num, x, y, scratch),
                OpPlan::MaxPool(pool) => max_pool(target, pool, x, y, &mut [], scratch),
                OpPlan::AvgPool(win) => pool::mean(target, win, x, y),
                OpPlan::Dropout { threshold, train, test } => match step {
                    Some(info) => {
                        let stream = dropout_stream(info.seed, index, info.step, info.first_image.wrapping_add(i as u32));
                        pointwise::dropout(target, stream, *threshold, *train, x, y);
                    }
                    None => pointwise::scale(target, x, *test, y),
                },
                OpPlan::Softmax => softmax::softmax(x, y),
                OpPlan::LrnPooled(_) => unreachable!("works in place"),
                OpPlan::Conv(_) | OpPlan::Linear(_) | OpPlan::Local(_) => unreachable!("has parameters"),
            }
        });
    }

    fn forward_in_place(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let (target, output) = (self.gemm.target(), self.output(layer, n));
        let kernel = |x: &mut [f32]| match layer.op {
            OpPlan::Tanh => pointwise::tanh_in_place(x),
            _ => pointwise::relu_in_place(target, x),
        };
        if !matches!(layer.op, OpPlan::Relu { fused: true, .. } | OpPlan::LrnPooled(_)) {
            let y = self.arena.get_mut(output);
            self.threads.chunks(y, layer.output_len, &mut [], |_, x, _| kernel(x));
        }
    }

    /// Maximum pooling that writes down where the maxima were.
    fn max_pool_stored(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let OpPlan::MaxPool(pool) = &layer.op else { return };
        let MaxPoolBackward::Stored(winners) = &pool.backward else { return };
        let slots = [self.output(layer, pixels.n), self.plan.slot(*winners), self.scratch()];
        let ([x], [y, winners, scratch]) = self.arena.split([self.input(layer, pixels.n)], slots);
        let (x, target, each) = (pixels.or(layer.input, x), self.gemm.target(), layer.output_len);
        let winners = &mut as_bytes_mut(winners)[..y.len()];
        self.threads.chunks2((y, each), (winners, each), scratch, |i, y, winners, scratch| {
            max_pool(target, pool, &x[i * layer.input_len..][..layer.input_len], y, winners, scratch);
        });
    }

    pub(super) fn softmax_data(&mut self, index: usize, targets: Targets<'_>, step_images: u32) {
        let layer = &self.plan.layers[index];
        let (output, dx) = (self.output(layer, targets.len()), self.dx(layer, targets.len()));
        let ([p], [dx]) = self.arena.split([output], [dx]);
        self.threads.chunks(dx, layer.input_len, &mut [], |i, dx, _| {
            let net::Target { label, second, share } = targets.get(i);
            let p = &p[i * layer.output_len..][..layer.output_len];
            softmax::backward(p, label as usize, second as usize, share, step_images as f32, dx);
        });
    }

    pub(super) fn pointwise_data(&mut self, index: usize, pixels: Pixels<'_>, info: StepInfo) {
        let layer = &self.plan.layers[index];
        if self.dx(layer, pixels.n) == self.dy(layer, pixels.n) {
            return self.data_in_place(index, pixels.n, info);
        }
        let winners = match layer.op {
            OpPlan::MaxPool(MaxPoolPlan { backward: MaxPoolBackward::Stored(winners), .. }) => self.plan.slot(winners),
            _ => self.input(layer, 0).first(0),
        };
        let reads = [self.input(layer, pixels.n), self.dy(layer, pixels.n), winners];
        let ([x, dy, winners], [dx, scratch]) = self.arena.split(reads, [self.dx(layer, pixels.n), self.scratch()]);
        let (x, winners) = (pixels.or(layer.input, x), as_bytes(winners));
        let target = self.gemm.target();
        self.threads.chunks(dx, layer.input_len, scratch, |i, dx, scratch| {
            let (x, dy) = (&x[i * layer.input_len..][..layer.input_len], &dy[i * layer.output_len..][..layer.output_len]);
            match &layer.op {
                OpPlan::Lrn { num, blocks: false, .. } => lrn::lrn_backward(target, num, x, dy, dx, scratch),
                OpPlan::Lrn { num, blocks: true, mask } => {
                    let block = layer.input_area * LANES;
                    blocked::lrn_backward(target, num, layer.input_area, *mask, x, dx, block, dy, block, scratch);
                }
                OpPlan::LrnWithin(num) => lrn_within::lrn_within_backward(target, num, x, dy, dx, scratch),
                OpPlan::MaxPool(pool) => match &pool.backward {
                    MaxPoolBackward::Stored(_) => {
                        let winners = &winners[i * layer.output_len..][..layer.output_len];
                        max_pool_backward(target, pool, x, winners, dy, dx, scratch);
                    }
                    MaxPoolBackward::Recomputed { all } => pool::max_backward_recomputed(target, &pool.win, *all, x, dy, dx),
                },
                OpPlan::AvgPool(win) => pool::mean_backward(target, win, dy, dx),
                _ => unreachable!("works in place"),
            }
        });
    }

    /// Backward passes that scale each value of the gradient.
    fn data_in_place(&mut self, index: usize, n: usize, info: StepInfo) {
        let layer = &self.plan.layers[index];
        if matches!(layer.op, OpPlan::Relu { masked: true, .. } | OpPlan::LrnPooled(_)) {
            return;
        }
        let target = self.gemm.target();
        let ([y], [g]) = self.arena.split([self.output(layer, n)], [self.dx(layer, n)]);
        self.threads.chunks(g, layer.output_len, &mut [], |i, g, _| {
            let y = &y[i * layer.output_len..][..layer.output_len];
            scale_gradient(layer, index, target, y, g, info, i);
        });
    }
}

/// Maximum pooling of one image, of what it is normalised to where the plan says so; `arg` may be empty.
fn max_pool(target: Target, plan: &MaxPoolPlan, x: &[f32], y: &mut [f32], arg: &mut [u8], scratch: &mut [f32]) {
    match (&plan.norm, plan.blocks) {
        (Some(num), _) => blocked::norm_pool(target, num, &plan.win, plan.rectified, x, y, arg, scratch),
        (None, true) => blocked::max(target, &plan.win, plan.rectified, x, y, arg),
        (None, false) => pool::max(target, &plan.win, x, y, arg, scratch),
    }
}

/// The gradient by `x` of what [`max_pool`] wrote.
fn max_pool_backward(target: Target, plan: &MaxPoolPlan, x: &[f32], arg: &[u8], dy: &[f32], dx: &mut [f32], scratch: &mut [f32]) {
    match (&plan.norm, plan.blocks) {
        (Some(num), _) => blocked::norm_pool_backward(target, num, &plan.win, x, arg, dy, dx, scratch),
        (None, true) => blocked::max_backward(target, &plan.win, arg, dy, dx),
        (None, false) => pool::max_backward_stored(target, &plan.win, arg, dy, dx),
    }
}

/// The gradient `g` of image `i` by a pointwise layer's output `y` becomes that by its input.
fn scale_gradient(layer: &LayerPlan, index: usize, target: Target, y: &[f32], g: &mut [f32], info: StepInfo, i: usize) {
    match &layer.op {
        OpPlan::Relu { .. } => pointwise::relu_backward(target, y, g),
        OpPlan::Tanh => pointwise::tanh_backward(target, y, g),
        OpPlan::Dropout { threshold, train, .. } => {
            let stream = dropout_stream(info.seed, index, info.step, info.first_image.wrapping_add(i as u32));
            pointwise::dropout_in_place(target, stream, *threshold, *train, g);
        }
        _ => unreachable!("does not work in place"),
    }
}
