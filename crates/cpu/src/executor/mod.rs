//! Walks the plan.

mod conv;
mod linear;
mod local;
mod pointwise;
mod shared;
mod winograd;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use net::{
    Batch, Bucket, BucketValues, Error, Executor, Form, Hyper, Kind, Mode, Net, ParamSet, Precision, Result, Shape, StepInfo,
    StepLoss, Targets, Tensor,
};

use crate::arena::{Arena, Slot};
use crate::kernels::blocked::{to_blocks, to_planes};
use crate::kernels::gemm::Gemm;
use crate::kernels::{Target, softmax, update};
use crate::plan::{Buffer, Input, LayerPlan, Layout, OpPlan, Pass, Plan, Reorder, Request};
use crate::threads::Threads;
use crate::{Choice, Isa, Options};
use shared::Shared;

/// Most images of a batch.
const MOST_IMAGES: usize = 1 << 16;
/// Most threads.
const MOST_THREADS: usize = 1024;
/// Results that wait for `take_loss` without an allocation.
const LOSSES: usize = 1024;
/// Parameters that one task updates.
const UPDATE_CHUNK: usize = 1 << 16;

/// A prepared net; see [`crate::prepare`].
pub struct Cpu {
    net: Net,
    engine: Engine,
    /// The results of passes that nobody has taken yet, the oldest first.
    losses: VecDeque<StepLoss>,
    /// Images in the last pass, 0 before the first.
    images: usize,
    /// Whether the last pass went backward.
    went_backward: bool,
    /// Cross-entropy and top-1 hit of each image.
    scores: Vec<(f64, bool)>,
    timings: Vec<Timing>,
}

/// How long a pass of a layer took, all told, since [`Cpu::reset_timings`].
#[derive(Debug, Clone)]
pub struct Timing {
    /// The layer's name; `update` for [`Executor::apply`].
    pub layer: String,
    /// `forward`, `weight`, `data` or `update`.
    pub pass: &'static str,
    /// Floating-point operations for one image; 0 where they are not counted, or another pass does them.
    pub flops_per_image: u64,
    /// Time spent.
    pub time: Duration,
}

/// What the passes of a layer work with.
struct Engine {
    plan: Plan,
    arena: Arena,
    /// Weights that are read where they lie, and not in the arena.
    shared: Shared,
    threads: Threads,
    gemm: Gemm,
    /// Products of linear layers.
    linear: Gemm,
    /// Whether weights have been loaded since the last forward pass.
    loaded: bool,
}

/// What a pass depends on besides parameters.
#[derive(Clone, Copy)]
struct Pixels<'a> {
    values: &'a [f32],
    /// Images.
    n: usize,
}

impl<'a> Pixels<'a> {
    /// The input that a plan means: the pixels themselves, or the values found in the arena.
    fn or(&self, input: Input, found: &'a [f32]) -> &'a [f32] {
        if input == Input::Pixels { self.values } else { found }
    }
}

pub(crate) fn fault(message: impl Into<String>) -> Error {
    Error::Engine { engine: "cpu", message: message.into() }
}

pub(crate) fn target(isa: Option<Isa>) -> Result<Target> {
    let isa = isa.unwrap_or_else(Isa::detect);
    Target::new(isa).ok_or_else(|| fault(format!("this CPU does not have {isa}; the highest it has is {}", Isa::detect())))
}

pub(crate) fn thread_count(threads: Option<usize>) -> Result<usize> {
    match threads {
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS)),
        Some(count @ 1..=MOST_THREADS) => Ok(count),
        Some(count) => Err(fault(format!("{count} threads given, 1 to {MOST_THREADS} can be"))),
    }
}

fn check_images(batch: usize) -> Result<()> {
    if (1..=MOST_IMAGES).contains(&batch) {
        return Ok(());
    }
    Err(fault(format!("a batch of {batch} images given, 1 to {MOST_IMAGES} can be")))
}

/// A plan, and what it was made for.
struct Planned {
    plan: Plan,
    gemm: Gemm,
    linear: Gemm,
    threads: usize,
}

impl Planned {
    fn new(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Planned> {
        check_images(batch)?;
        let (gemm, threads) = (Gemm::new(target(options.isa)?), thread_count(options.threads)?);
        let linear = match options.precision {
            Precision::F32 => gemm,
            Precision::Bf16 => Gemm::bf16(gemm.target()),
            other => return Err(fault(format!("CPUs compute in f32 and bf16, not in {other}"))),
        };
        let request = Request {
            net,
            capacity: batch,
            mode,
            inspect: options.inspect,
            keep: options.keep.as_deref().map(|layer| net.find_layer("cpu", layer)).transpose()?,
            convolutions: options.convolutions,
            threads,
            gemm: &gemm,
            linear: &linear,
        };
        Ok(Planned { plan: Plan::new(&request), gemm, linear, threads })
    }
}

impl Cpu {
    pub(crate) fn new(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cpu> {
        let Planned { plan, gemm, linear, threads } = Planned::new(net, batch, mode, options)?;
        let arena = Arena::new(plan.arena_len).ok_or_else(|| {
            let bytes = plan.arena_len as u64 * size_of::<f32>() as u64;
            fault(format!("no memory: `{}` with {batch} images needs {} MiB", net.name(), bytes.div_ceil(1 << 20)))
        })?;
        let threads = Threads::new(threads).map_err(|error| fault(format!("starting {threads} threads: {error}")))?;
        let timings = timings(&plan);
        let scores = vec![(0.0, false); batch];
        let engine = Engine { plan, arena, shared: Shared::default(), threads, gemm, linear, loaded: true };
        Ok(Cpu {
            net: net.clone(),
            engine,
            losses: VecDeque::with_capacity(LOSSES),
            images: 0,
            went_backward: false,
            scores,
            timings,
        })
    }

    pub(crate) fn memory_bytes(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<u64> {
        Ok(Planned::new(net, batch, mode, options)?.plan.arena_len as u64 * size_of::<f32>() as u64)
    }

    /// How long each pass of each layer has taken since [`Cpu::reset_timings`], in the plan's order.
    pub fn timings(&self) -> &[Timing] {
        &self.timings
    }

    /// Starts the timings at zero.
    pub fn reset_timings(&mut self) {
        self.timings.iter_mut().for_each(|timing| timing.time = Duration::ZERO);
    }

    /// Every convolution, in the net's order, and what its candidates cost by the plan's model.
    pub fn choices(&self) -> Vec<Choice> {
        self.engine.plan.choices().collect()
    }

    /// The instruction set that the plan chose.
    pub fn isa(&self) -> Isa {
        self.engine.plan.isa
    }

    /// How many threads work.
    pub fn threads(&self) -> usize {
        self.engine.threads.count()
    }

    /// The pixels of a batch that fits.
    fn check<'a>(&self, batch: &'a Batch) -> Result<Pixels<'a>> {
        let (n, capacity, input) = (batch.n, self.engine.plan.capacity, self.net.input());
        batch.check_images(capacity)?;
        let net::Pixels::F32(_) = &batch.pixels else { return Err(Error::Batch("pixels are not f32".into())) };
        let values = batch.f32();
        if values.len() != n * input.len() {
            let given = values.len() / n;
            return Err(Error::Batch(format!("{given} values an image given, {input} are {}", input.len())));
        }
        Ok(Pixels { values, n })
    }

    /// All layers forward; with `step`, as in training.
    fn run_forward(&mut self, pixels: Pixels<'_>, step: Option<StepInfo>) {
        let mut timing = 0;
        for index in 0..self.engine.plan.layers.len() {
            let start = Instant::now();
            self.engine.forward(index, pixels, step);
            self.timings[timing].time += start.elapsed();
            timing += self.engine.plan.layers[index].passes.len();
        }
        self.engine.loaded = false;
        self.images = pixels.n;
    }

    /// All layers backward, from the loss on.
    fn run_backward(&mut self, pixels: Pixels<'_>, targets: Targets<'_>, info: StepInfo) {
        let mut timing = self.timings.len() - 1;
        for index in (0..self.engine.plan.layers.len()).rev() {
            timing -= self.engine.plan.layers[index].passes.len();
            for i in 0..self.engine.plan.layers[index].passes.len() {
                let start = Instant::now();
                let mut ahead = Duration::ZERO;
                match self.engine.plan.layers[index].passes[i].pass {
                    Pass::Forward => continue,
                    Pass::Weight => ahead = backward_weight(&mut self.engine, index, pixels, info),
                    Pass::Data => backward_data(&mut self.engine, index, pixels, targets, info),
                }
                self.timings[timing + i].time += start.elapsed() - ahead;
                if ahead > Duration::ZERO {
                    // The pass behind this one, the layer's data gradient.
                    self.timings[timing + i + 1].time += ahead;
                }
            }
        }
    }

    /// Cross-entropy and hits of the last forward pass.
    fn score(&mut self, pixels: Pixels<'_>, targets: Targets<'_>, info: StepInfo) -> StepLoss {
        let plan = &self.engine.plan;
        let last = &plan.layers[plan.layers.len() - 1];
        let classes = last.output_len;
        let logits = pixels.or(last.input, self.engine.arena.get(self.engine.input(last, pixels.n)));
        let scores = &mut self.scores[..targets.len()];
        self.engine.threads.chunks(scores, 1, &mut [], |i, score, _| {
            let (z, target) = (&logits[i * classes..][..classes], targets.get(i));
            let nll = softmax::mixed_nll(z, target.label as usize, target.second as usize, target.share);
            score[0] = (nll, softmax::is_top1(z, target.main() as usize));
        });
        StepLoss {
            step: info.step,
            images: targets.len() as u32,
            nll_sum: scores.iter().map(|score| score.0).sum(),
            top1: scores.iter().filter(|score| score.1).count() as u32,
        }
    }

    /// The values of a slot of images of `shape`, `[n, c, h, w]`.
    fn planes(&self, layout: Layout, slot: Slot, shape: Shape) -> Vec<f32> {
        let values = self.engine.arena.get(slot);
        if layout == Layout::Planes {
            return values.to_vec();
        }
        let mut out = vec![0.0; values.len()];
        for (x, out) in values.chunks_exact(shape.len()).zip(out.chunks_exact_mut(shape.len())) {
            to_planes(self.engine.gemm.target(), x, shape.plane(), out);
        }
        out
    }

    /// The buffer of a kind of parameter values.
    fn values_of(&self, kind: Kind) -> Result<Buffer> {
        let plan = &self.engine.plan;
        match (kind, plan.learning) {
            (Kind::Weights, _) => Ok(plan.weights),
            (Kind::Gradients, Some((gradients, _))) => Ok(gradients),
            (Kind::Momentum, Some((_, momenta))) => Ok(momenta),
            _ => Err(fault(format!("there are no {kind:?} in an executor prepared for inference"))),
        }
    }
}

fn timings(plan: &Plan) -> Vec<Timing> {
    let timing = |layer: &str, pass, flops_per_image| Timing { layer: layer.into(), pass, flops_per_image, time: Duration::ZERO };
    let passes = plan.layers.iter().flat_map(|layer| layer.passes.iter().map(move |note| (layer, note)));
    let mut all: Vec<Timing> =
        passes.map(|(layer, note)| timing(&layer.name, note.pass.name(), if note.elsewhere { 0 } else { note.flops })).collect();
    all.push(timing("update", "update", 0));
    all
}

/// Returns the time that went into the data gradient, where it has been computed along with the others.
fn backward_weight(engine: &mut Engine, index: usize, pixels: Pixels<'_>, info: StepInfo) -> Duration {
    let accumulate = info.first_image > 0;
    match &engine.plan.layers[index].op {
        OpPlan::Conv(conv) if conv.is_tiled() => return engine.tiled_backward(index, pixels, accumulate),
        OpPlan::Conv(_) => engine.conv_weight(index, pixels, accumulate),
        OpPlan::Linear(_) => engine.linear_weight(index, pixels, accumulate),
        OpPlan::Local(_) => engine.local_weight(index, pixels, accumulate),
        _ => {}
    }
    Duration::ZERO
}

fn backward_data(engine: &mut Engine, index: usize, pixels: Pixels<'_>, targets: Targets<'_>, info: StepInfo) {
    match &engine.plan.layers[index].op {
        OpPlan::Conv(conv) if conv.is_tiled() => {}
        OpPlan::Conv(_) => engine.conv_data(index, pixels.n),
        OpPlan::Linear(_) => engine.linear_data(index, pixels.n),
        OpPlan::Local(_) => engine.local_data(index, pixels.n),
        OpPlan::Softmax => engine.softmax_data(index, targets, info.step_images),
        _ => engine.pointwise_data(index, pixels, info),
    }
    engine.reorder_back(index, pixels.n);
}

/// One image into layout `to`.
fn turn(target: Target, to: Layout, x: &[f32], area: usize, out: &mut [f32]) {
    match to {
        Layout::Blocks => to_blocks(target, x, area, out),
        Layout::Planes => to_planes(target, x, area, out),
    }
}

impl Engine {
    fn forward(&mut self, index: usize, pixels: Pixels<'_>, step: Option<StepInfo>) {
        self.reorder(index, pixels);
        match self.plan.layers[index].op {
            OpPlan::Conv(_) => self.conv_forward(index, pixels),
            OpPlan::Linear(_) => self.linear_forward(index, pixels),
            OpPlan::Local(_) => self.local_forward(index, pixels),
            _ => self.pointwise_forward(index, pixels, step),
        }
    }

    /// Whether what is made of the weights for forward passes has to be made again.
    fn weights_are_new(&self) -> bool {
        self.loaded || self.plan.mode == Mode::Train
    }

    /// Brings a layer's input into the layout that the layer reads, where it is in another.
    fn reorder(&mut self, index: usize, pixels: Pixels<'_>) {
        let layer = &self.plan.layers[index];
        let Some(Reorder { from, to, .. }) = layer.reorder else { return };
        let source = match from {
            Input::Pixels => Slot { offset: 0, len: 0 },
            Input::Buffer(buffer) => self.plan.slot(buffer).first(pixels.n * layer.input_len),
        };
        let ([source], [out]) = self.arena.split([source], [self.input(layer, pixels.n)]);
        let (source, target) = (pixels.or(from, source), self.gemm.target());
        let (len, area) = (layer.input_len, layer.input_area);
        self.threads.chunks(out, len, &mut [], |i, out, _| turn(target, to, &source[i * len..][..len], area, out));
    }

    /// Brings the gradient by a layer's input into the layout of the layer before.
    fn reorder_back(&mut self, index: usize, n: usize) {
        let layer = &self.plan.layers[index];
        let Some(Reorder { to, dx: Some(buffer), .. }) = layer.reorder else { return };
        let to = if to == Layout::Blocks { Layout::Planes } else { Layout::Blocks };
        let (len, area, target) = (layer.input_len, layer.input_area, self.gemm.target());
        let out = self.plan.slot(buffer).first(n * len);
        let ([dx], [out]) = self.arena.split([self.dx(layer, n)], [out]);
        self.threads.chunks(out, len, &mut [], |i, out, _| turn(target, to, &dx[i * len..][..len], area, out));
    }

    /// The input of a layer for `n` images, an empty slot where it is the pixels.
    fn input(&self, layer: &LayerPlan, n: usize) -> Slot {
        match layer.input {
            Input::Pixels => Slot { offset: 0, len: 0 },
            Input::Buffer(buffer) => self.plan.slot(buffer).first(n * layer.input_len),
        }
    }

    /// The output of a layer for `n` images.
    fn output(&self, layer: &LayerPlan, n: usize) -> Slot {
        self.plan.slot(layer.output).first(n * layer.output_len)
    }

    /// The gradient by a layer's output; every pass that asks for it has one.
    fn dy(&self, layer: &LayerPlan, n: usize) -> Slot {
        let Some(buffer) = layer.dy else { unreachable!("`{}` has no gradient by its output", layer.name) };
        self.plan.slot(buffer).first(n * layer.output_len)
    }

    /// The gradient by a layer's input; every pass that asks for it has one.
    fn dx(&self, layer: &LayerPlan, n: usize) -> Slot {
        let Some(buffer) = layer.dx else { unreachable!("`{}` has no gradient by its input", layer.name) };
        self.plan.slot(buffer).first(n * layer.input_len)
    }

    /// Weight and bias of a layer within `of`; every op that asks has them.
    fn params(&self, layer: &LayerPlan, of: Buffer) -> [Slot; 2] {
        let Some((weight, bias)) = layer.params else { unreachable!("`{}` has no parameters", layer.name) };
        [self.plan.param(of, weight), self.plan.param(of, bias)]
    }

    /// The weight and bias gradients of a layer; every backward pass has them.
    fn gradients(&self, layer: &LayerPlan) -> [Slot; 2] {
        let Some((gradients, _)) = self.plan.learning else { unreachable!("`{}` does not learn", layer.name) };
        self.params(layer, gradients)
    }

    fn scratch(&self) -> Slot {
        self.plan.slot(self.plan.scratch)
    }
}

impl Executor for Cpu {
    fn engine(&self) -> &'static str {
        "cpu"
    }

    fn net(&self) -> &Net {
        &self.net
    }

    fn capacity(&self) -> usize {
        self.engine.plan.capacity
    }

    fn load(&mut self, kind: Kind, values: &ParamSet) -> Result<()> {
        values.check(&self.net)?;
        let buffer = self.values_of(kind)?;
        if kind == Kind::Weights {
            self.engine.shared = Shared::default();
        }
        for (index, info) in self.net.params().iter().enumerate() {
            if let Some(tensor) = values.get(&info.name) {
                self.engine.arena.get_mut(self.engine.plan.param(buffer, index)).copy_from_slice(&tensor.data);
            }
        }
        self.engine.loaded = true;
        Ok(())
    }

    fn save(&mut self, kind: Kind) -> Result<ParamSet> {
        let buffer = self.values_of(kind)?;
        let tensors = self.net.params().iter().enumerate().map(|(index, info)| {
            let found = self.engine.arena.get(self.engine.plan.param(buffer, index));
            let data = if kind == Kind::Weights { self.engine.shared.or(index, found) } else { found }.to_vec();
            (info.name.clone(), Tensor { shape: info.shape.clone(), data })
        });
        Ok(ParamSet::new(tensors.collect()))
    }

    fn forward_backward(&mut self, batch: &Batch, info: StepInfo) -> Result<()> {
        if self.engine.plan.mode != Mode::Train {
            return Err(fault("prepared for inference, asked to train"));
        }
        let pixels = self.check(batch)?;
        batch.check_targets(self.net.classes())?;
        if info.step_images == 0 {
            return Err(Error::Batch("a step of 0 images".into()));
        }
        let targets = batch.targets();
        self.run_forward(pixels, Some(info));
        let loss = self.score(pixels, targets, info);
        self.losses.push_back(loss);
        self.run_backward(pixels, targets, info);
        self.went_backward = true;
        Ok(())
    }

    fn take_loss(&mut self, _wait: bool) -> Result<Option<StepLoss>> {
        Ok(self.losses.pop_front())
    }

    fn each_bucket(&mut self, visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        let gradients = self.values_of(Kind::Gradients)?;
        let Engine { plan, arena, .. } = &mut self.engine;
        let learning = plan.layers.iter().rev().filter_map(|layer| layer.params);
        for (index, (weight, bias)) in learning.enumerate() {
            let (weight, bias) = (plan.param(gradients, weight), plan.param(gradients, bias));
            let whole = Slot { offset: weight.offset, len: bias.offset + bias.len - weight.offset };
            visit(Bucket { index, values: BucketValues::Host(arena.get_mut(whole)) })?;
        }
        Ok(())
    }

    fn apply(&mut self, hyper: &Hyper) -> Result<()> {
        if hyper.params.len() != self.net.params().len() {
            let (given, wanted) = (hyper.params.len(), self.net.params().len());
            return Err(fault(format!("rates of {given} parameters given, the net has {wanted}")));
        }
        let (gradients, momenta) = (self.values_of(Kind::Gradients)?, self.values_of(Kind::Momentum)?);
        let start = Instant::now();
        let Engine { plan, arena, threads, gemm, .. } = &mut self.engine;
        for (index, param) in hyper.params.iter().enumerate().filter(|(_, param)| param.rate != 0.0) {
            let of = |buffer| plan.param(buffer, index);
            let ([g], [w, v]) = arena.split([of(gradients)], [of(plan.weights), of(momenta)]);
            threads.chunks2((w, UPDATE_CHUNK), (v, UPDATE_CHUNK), &mut [], |task, w, v, _| {
                let (g, m, target) = (&g[task * UPDATE_CHUNK..][..w.len()], hyper.momentum, gemm.target());
                match hyper.form {
                    Form::RateInside => update::rate_inside(target, m, param.rate, param.decay, g, w, v),
                    Form::RateOutside => update::rate_outside(target, m, param.rate, param.decay, g, w, v),
                }
            });
        }
        if let Some(timing) = self.timings.last_mut() {
            timing.time += start.elapsed();
        }
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<&[f32]> {
        let pixels = self.check(batch)?;
        self.run_forward(pixels, None);
        self.went_backward = false;
        let plan = &self.engine.plan;
        let last = &plan.layers[plan.layers.len() - 1];
        Ok(self.engine.arena.get(self.engine.output(last, pixels.n)))
    }

    fn activation(&mut self, layer: &str) -> Result<Tensor> {
        let index = self.net.find_layer("cpu", layer)?;
        let (plan, shape) = (&self.engine.plan.layers[index], self.net.output_of(index));
        if self.images == 0 {
            return Err(fault("no batch has been run"));
        }
        if !plan.kept {
            return Err(fault(format!("the output of `{layer}` is not kept; prepare to keep it, or to inspect")));
        }
        let data = self.planes(plan.layout, self.engine.output(plan, self.images), shape);
        Ok(Tensor { shape: vec![self.images, shape.c, shape.h, shape.w], data })
    }

    fn input_gradient(&mut self) -> Result<Tensor> {
        let first = &self.engine.plan.layers[0];
        if first.dx.is_none() {
            return Err(fault("the gradient by the pixels is not computed; prepare to train and inspect"));
        }
        if !self.went_backward {
            return Err(fault("the last pass was not backward"));
        }
        let slot = match first.reorder {
            Some(Reorder { dx: Some(buffer), .. }) => self.engine.plan.slot(buffer).first(self.images * first.input_len),
            _ => self.engine.dx(first, self.images),
        };
        let data = self.engine.arena.get(slot).to_vec();
        let input = self.net.input();
        Ok(Tensor { shape: vec![self.images, input.c, input.h, input.w], data })
    }

    fn plan(&self) -> String {
        self.engine.plan.to_string()
    }
}
