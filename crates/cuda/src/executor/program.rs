//! From the plan to launches: every address filled in.

use net::{DropoutScaling, LrnWithin, MaxPool, Mode, Op, Padding, Pair, Result, Ties};

use super::hyper::{NUMBERS_AT, RATES_AT};
use super::stage::Stage;
use crate::args::layers::PassResult;
use crate::args::{Bytes, Elems, Floats, Ptr, Step, Uints};
use crate::driver::{Driver, Launch};
use crate::kernels::norm_pool::NormPooling;
use crate::kernels::parameters::{List, Numbers, Place};
use crate::kernels::pass::Pass;
use crate::kernels::products::Operands;
use crate::kernels::{Element, bias, dropout, input, lrn, norm_pool, parameters, pointwise, pool, softmax, source_of};
use crate::plan::{ALIGN, LayerPlan, Plan, across, max_windows, norm_pooling, train_factor};
use net::lifetimes::Buffer;

/// A launch, and whose it is.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) launch: Launch,
    /// `None` where it is of no layer.
    pub(super) layer: Option<usize>,
    /// `forward`, `weight`, `data`, `input`, `loss` or `update`.
    pub(super) pass: &'static str,
}

/// Launches of a layer's pass.
fn placed(layer: Option<usize>, pass: &'static str, launches: impl IntoIterator<Item = Launch>) -> impl Iterator<Item = Placed> {
    launches.into_iter().map(move |launch| Placed { launch, layer, pass })
}

/// A plan whose memory has been taken.
pub(super) struct Program<'a> {
    plan: &'a Plan,
    /// Where the plan's memory begins.
    base: u64,
    /// Where the table of the update's numbers lies.
    hyper: u64,
    /// All parameters, where the list of them lies, and behind it a flag for each of its chunks.
    list: List,
    parameters: u64,
    flags: u64,
}

/// The list of a plan's parameters in a memory that begins at `base`.
fn list(plan: &Plan, base: u64) -> List {
    let values = |buffer: Buffer, offset: usize| Ptr::at(base + (plan.place(buffer).offset + offset * size_of::<f32>()) as u64);
    let places = plan.parameters.each.iter().map(|parameter| {
        let (gradient, velocity) = plan.parameters.learning.map_or((Ptr::NULL, Ptr::NULL), |(gradients, momenta)| {
            (values(gradients, parameter.offset), values(momenta, parameter.offset))
        });
        let copy = plan.parameters.copies.map_or(Ptr::NULL, |copies| {
            Ptr::at(base + (plan.place(copies).offset + parameter.offset * plan.element.size()) as u64)
        });
        Place { weight: values(plan.parameters.weights, parameter.offset), velocity, gradient, copy, len: parameter.order.len() }
    });
    List::new(&places.collect::<Vec<_>>())
}

/// Where the flags behind a list begin.
fn flags_at(list: &List) -> usize {
    list.bytes.len().next_multiple_of(ALIGN)
}

impl<'a> Program<'a> {
    /// Bytes of the list and its flags.
    pub(super) fn table_bytes(plan: &Plan) -> usize {
        let list = list(plan, 0);
        flags_at(&list) + list.chunks * size_of::<u32>()
    }

    /// Fills in the tables that kernels read.
    pub(super) fn new(driver: &mut dyn Driver, plan: &'a Plan, base: u64, hyper: u64) -> Result<Program<'a>> {
        let list = list(plan, base);
        let parameters = driver.memory(Program::table_bytes(plan).max(1) as u64)?;
        driver.upload(&list.bytes, parameters)?;
        driver.upload(&plan.parameters.mask_bytes, base + plan.place(plan.parameters.masks).offset as u64)?;
        let flags = parameters + flags_at(&list) as u64;
        Ok(Program { plan, base, hyper, list, parameters, flags })
    }

    /// Has everything compiled that will be launched for a stage, which is the same for each.
    pub(super) fn compile(&self, driver: &mut dyn Driver, stage: &Stage) -> Result<()> {
        let mut all = self.test(stage);
        if self.plan.mode == Mode::Train {
            all.extend(self.train(stage).into_iter().chain(self.update()));
        }
        all.extend(self.refresh());
        let mut sources: Vec<&'static str> = all.iter().map(|placed| source_of(placed.launch.kernel)).collect();
        sources.sort_unstable();
        sources.dedup();
        sources.into_iter().try_for_each(|source| driver.compile(source))
    }

    fn address(&self, buffer: Buffer) -> u64 {
        self.base + self.plan.place(buffer).offset as u64
    }

    fn elems(&self, buffer: Buffer) -> Elems {
        Ptr::at(self.address(buffer))
    }

    fn floats(&self, buffer: Buffer) -> Floats {
        Ptr::at(self.address(buffer))
    }

    fn pass(&self, step: Ptr<Step>) -> Pass {
        Pass { element: self.plan.element, capacity: self.plan.capacity, step }
    }

    /// The values of parameter `index` in one of the f32 buffers.
    fn values(&self, buffer: Buffer, index: usize) -> Floats {
        Ptr::at(self.address(buffer) + (self.plan.parameters.each[index].offset * size_of::<f32>()) as u64)
    }

    /// The weights of parameter `index` as products read them.
    fn weights(&self, index: usize) -> Elems {
        let parameters = &self.plan.parameters;
        let (buffer, size) = match parameters.copies {
            Some(copies) => (copies, self.plan.element.size()),
            None => (parameters.weights, size_of::<f32>()),
        };
        Ptr::at(self.address(buffer) + (parameters.each[index].offset * size) as u64)
    }

    /// A pass of testing over the batch of a stage.
    pub(super) fn test(&self, stage: &Stage) -> Vec<Placed> {
        let pass = self.pass(stage.step());
        let mut launches = self.forward_all(&pass, stage, false);
        let (logits, probabilities) = (self.floats(self.plan.logits), self.floats(self.plan.probabilities));
        launches.extend(placed(None, "loss", [softmax::forward(&pass, self.plan.net.classes(), logits, probabilities)]));
        launches
    }

    /// Everything up to the logits.
    fn forward_all(&self, pass: &Pass, stage: &Stage, train: bool) -> Vec<Placed> {
        let mut launches: Vec<Placed> = placed(None, "input", [self.pixels(pass, stage)]).collect();
        for index in 0..self.plan.layers.len() - 1 {
            launches.extend(placed(Some(index), "forward", self.forward(pass, index, train)));
        }
        launches.extend(placed(None, "loss", self.logits(pass)));
        launches
    }

    /// A pass of training over the batch of a stage: forward, loss, and backward.
    pub(super) fn train(&self, stage: &Stage) -> Vec<Placed> {
        let pass = self.pass(stage.step());
        let mut launches = self.forward_all(&pass, stage, true);
        launches.extend(placed(None, "loss", self.loss(&pass, stage)));
        for index in (0..self.plan.layers.len() - 1).rev() {
            launches.extend(self.backward(&pass, index));
        }
        if let (Some(dy), Some(dx)) = (self.plan.pixels.gradient, self.plan.input_gradient) {
            let backward = input::backward(&pass, &self.fold(), self.elems(dy), self.floats(dx));
            launches.extend(placed(None, "input", [backward]));
        }
        launches
    }

    /// After weights were loaded.
    pub(super) fn refresh(&self) -> Vec<Placed> {
        if self.plan.parameters.copies.is_none() || self.list.count == 0 {
            return Vec::new();
        }
        placed(None, "update", [parameters::copy_weights(&self.list, Ptr::at(self.parameters))]).collect()
    }

    /// One step of descent.
    pub(super) fn update(&self) -> Vec<Placed> {
        if self.list.count == 0 {
            return Vec::new();
        }
        let checks = self.plan.element == Element::F16;
        let finite = if checks { Ptr::at(self.address(self.plan.finite)) } else { Uints::NULL };
        let mut launches = Vec::new();
        if checks {
            let check = parameters::check(&self.list, Ptr::at(self.parameters), Ptr::at(self.flags), finite);
            launches.extend(placed(None, "update", check));
        }
        let (rates, numbers) = (Ptr::at(self.hyper + RATES_AT as u64), Ptr::at(self.hyper + NUMBERS_AT as u64));
        let numbers = Numbers { rates, numbers, finite, step: Ptr::at(self.hyper) };
        launches.extend(placed(None, "update", [parameters::update(&self.list, Ptr::at(self.parameters), numbers)]));
        launches
    }

    fn fold(&self) -> input::Fold {
        let pixels = &self.plan.pixels;
        let (fold, top, left) = (pixels.fold, pixels.top, pixels.left);
        input::Fold { input: self.plan.net.input(), fold, top, left, output: pixels.shape }
    }

    fn pixels(&self, pass: &Pass, stage: &Stage) -> Launch {
        let from = input::Pixels { floats: stage.pixels(), rgb: stage.rgb(), looks: stage.looks() };
        input::forward(pass, &self.fold(), from, self.elems(self.plan.pixels.buffer))
    }

    /// f32 logits of what the layer before the last gives, where that did not write them.
    fn logits(&self, pass: &Pass) -> Option<Launch> {
        let last = &self.plan.layers[self.plan.layers.len() - 1];
        let logits = self.floats(self.plan.logits);
        (!self.plan.has_logits()).then(|| softmax::logits(pass, last.input, self.elems(last.x), logits))
    }

    fn loss(&self, pass: &Pass, stage: &Stage) -> [Launch; 2] {
        let plan = self.plan;
        let last = &plan.layers[plan.layers.len() - 1];
        let (nll, hits) = plan.scores;
        let (nll, hits) = (Ptr::at(self.address(nll)), Ptr::at(self.address(hits)));
        let dz = last.dx.map_or(Elems::NULL, |dx| self.elems(dx));
        let labels = softmax::Labels { labels: stage.labels(), mixed: Some((stage.second_labels(), stage.shares())) };
        let (logits, probabilities) = (self.floats(plan.logits), self.floats(plan.probabilities));
        let loss = softmax::Loss { dz, nll, hits };
        let result: Ptr<PassResult> = Ptr::at(self.address(plan.result));
        [softmax::loss(pass, last.input, logits, probabilities, labels, loss), softmax::sum_losses(pass, nll, hits, result)]
    }

    fn forward(&self, pass: &Pass, index: usize, train: bool) -> Option<Launch> {
        let layer = &self.plan.layers[index];
        let (x, y) = (self.elems(layer.x), self.elems(layer.y));
        if let (Some(product), Some((weight, bias))) = (&layer.product, layer.params) {
            let operands = Operands { step: pass.step, x, w: self.weights(weight), y };
            let is_last = index + 2 == self.plan.layers.len() && self.plan.has_logits();
            let logits = if is_last { self.floats(self.plan.logits) } else { Ptr::NULL };
            return Some(product.forward(operands, self.values(self.plan.parameters.weights, bias), layer.relu, logits));
        }
        let len = layer.input.len();
        match &layer.op {
            Op::Relu if layer.fused => None,
            Op::Relu => Some(pointwise::relu_forward(pass, len, x, y)),
            Op::Tanh => Some(pointwise::tanh_forward(pass, len, x, y)),
            Op::Lrn(_) if layer.pooled => None,
            Op::Lrn(op) => Some(lrn::across_forward(pass, &across(op, layer.input, layer.through.is_some()), x, y)),
            Op::LrnWithin(op) => Some(lrn::within_forward(pass, &within(layer, op), x, y)),
            Op::MaxPool(op) => {
                let arg = layer.argmax.filter(|_| train).map(|argmax| Ptr::at(self.address(argmax)));
                Some(match self.norm_pooling(index) {
                    Some(both) => norm_pool::forward(pass, &both, x, y, arg),
                    None => pool::max_forward(pass, &windows_of(layer, op), x, y, arg),
                })
            }
            Op::AvgPool(op) => Some(pool::avg_forward(pass, &windows(layer, op.kernel, op.stride, op.padding), x, y)),
            Op::Dropout(op) if train => Some(dropout::dropout(pass, &dropout_numbers(layer, op, index), x, y)),
            Op::Dropout(op) => {
                let factor = if op.scaling == DropoutScaling::Test { (1.0 - op.rate) as f32 } else { 1.0 };
                (factor != 1.0 || layer.x != layer.y).then(|| pointwise::scale(pass, len, factor, x, y))
            }
            op => unreachable!("a {} is no layer between others", op.kind()),
        }
    }

    fn backward(&self, pass: &Pass, index: usize) -> Vec<Placed> {
        let layer = &self.plan.layers[index];
        let Some(dy) = layer.dy.map(|dy| self.elems(dy)) else { return Vec::new() };
        if layer.params.is_some() {
            return self.backward_product(pass, index, dy);
        }
        let Some(dx) = layer.dx.map(|dx| self.elems(dx)).filter(|_| !layer.done_by_next) else { return Vec::new() };
        let (x, y, len) = (self.elems(layer.x), self.elems(layer.y), layer.input.len());
        let launch = match &layer.op {
            Op::Relu => pointwise::relu_backward(pass, len, y, dy, dx),
            Op::Tanh => pointwise::tanh_backward(pass, len, y, dy, dx),
            Op::Lrn(_) if layer.pooled => return Vec::new(),
            Op::Lrn(op) => lrn::across_backward(pass, &across(op, layer.input, layer.through.is_some()), x, dy, dx),
            Op::LrnWithin(op) => lrn::within_backward(pass, &within(layer, op), x, dy, dx),
            Op::MaxPool(op) if op.ties == Ties::All => pool::max_backward_all(pass, &windows_of(layer, op), x, y, dy, dx),
            Op::MaxPool(op) => {
                let arg = layer.argmax.map_or(Bytes::NULL, |argmax| Ptr::at(self.address(argmax)));
                match self.norm_pooling(index) {
                    Some(both) => norm_pool::backward(pass, &both, x, arg, dy, dx),
                    None => pool::max_backward(pass, &windows_of(layer, op), arg, dy, dx),
                }
            }
            Op::AvgPool(op) => pool::avg_backward(pass, &windows(layer, op.kernel, op.stride, op.padding), dy, dx),
            Op::Dropout(op) => dropout::dropout(pass, &dropout_numbers(layer, op, index), dy, dx),
            op => unreachable!("a {} is no layer between others", op.kind()),
        };
        placed(Some(index), "data", [launch]).collect()
    }

    /// The normalisation before pool `index` and the pool, where one kernel does both.
    fn norm_pooling(&self, index: usize) -> Option<NormPooling> {
        let (pool, before) = (&self.plan.layers[index], &self.plan.layers[index.checked_sub(1)?]);
        match (&before.op, &pool.op) {
            (Op::Lrn(norm), Op::MaxPool(op)) if before.pooled => {
                Some(norm_pooling(norm, op, (before.input, pool.output), before.through.is_some()))
            }
            _ => None,
        }
    }

    fn backward_product(&self, pass: &Pass, index: usize, dy: Elems) -> Vec<Placed> {
        let (plan, layer) = (self.plan, &self.plan.layers[index]);
        let (Some(product), Some((weight, bias_index)), Some((gradients, _))) =
            (&layer.product, layer.params, plan.parameters.learning)
        else {
            unreachable!("`{}` learns", layer.name)
        };
        let scratch = self.floats(plan.scratch);
        let mut launches = Vec::new();
        launches.extend(bias::gradient(pass, &layer.bias_rows(), dy, scratch, self.values(gradients, bias_index)));
        let x = self.elems(layer.x);
        let w = self.weights(weight);
        let operands = Operands { step: pass.step, x, w, y: dy };
        let gradient = self.values(gradients, weight);
        let parameter = &plan.parameters.each[weight];
        let mask: Option<Bytes> = parameter.mask.map(|at| Ptr::at(self.address(plan.parameters.masks) + at as u64));
        let (partials, parts) = product.partials();
        if partials == 0 {
            launches.push(product.weight(operands, gradient, mask.unwrap_or(Ptr::NULL)));
        } else {
            launches.push(product.weight(operands, scratch, Ptr::NULL));
            let mask = mask.map(|mask| (mask, parameter.order.len() / parameter.order.k));
            launches.push(bias::finish(pass, product.weights(), parts, scratch, gradient, mask));
        }
        let data = layer.dx.map(|dx| product.data(Operands { x: self.elems(dx), ..operands }, layer.through.map(|f| (x, f))));
        placed(Some(index), "weight", launches).chain(placed(Some(index), "data", data)).collect()
    }
}

fn within(layer: &LayerPlan, op: &LrnWithin) -> lrn::Within {
    let shape = layer.input;
    let (k, a, beta) = (op.k as f32, op.coefficient() as f32, op.beta as f32);
    lrn::Within { c: shape.c, h: shape.h, w: shape.w, n: op.n, k, a, beta }
}

fn windows(layer: &LayerPlan, kernel: Pair, stride: Pair, padding: Padding) -> pool::Windows {
    let (input, output, rectified) = (layer.input, layer.output, layer.through.is_some());
    pool::Windows { input, output, kernel, stride, top: padding.top, left: padding.left, rectified }
}

fn windows_of(layer: &LayerPlan, op: &MaxPool) -> pool::Windows {
    max_windows(op, (layer.input, layer.output), layer.through.is_some())
}

fn dropout_numbers(layer: &LayerPlan, op: &net::Dropout, index: usize) -> dropout::Numbers {
    let factor = train_factor(op);
    let threshold = net::random::dropout_threshold(op.rate);
    dropout::Numbers { c: layer.input.c, plane: layer.input.plane(), layer: index, threshold, factor }
}
