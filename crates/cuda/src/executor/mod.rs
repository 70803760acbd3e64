//! Walks the plan: hands batches over, starts recorded passes, collects results.
//!
//! A batch goes into one of two stages in pinned memory, is copied on a queue of its own, and is waited for by the device alone. The
//! host waits only where somebody asks for a value, or where both stages are still being copied.

mod hyper;
mod profile;
mod program;
mod results;
mod stage;
mod tones;

use net::{
    Batch, Bucket, BucketValues, Error, Executor, Hyper, Kind, Mode, Net, Op, ParamSet, Pixels, Result, StepInfo, StepLoss,
    Tensor,
};

use crate::args::{Step, Struct};
use crate::driver::{Driver, Event, Launch, Pinned, Queue, Recording, fault};
use crate::kernels::Element;
use crate::plan::{LayerPlan, Plan, to_planes};
use hyper::HyperTable;
use net::lifetimes::Buffer;
pub use profile::{KernelTime, Rate};
use program::{Placed, Program};
use results::Results;
use stage::{STAGES, Stage};
use tones::Tones;

/// What the loss's gradient is multiplied by in f16, against underflow: a power of two, so that it rounds nothing.
const LOSS_SCALE: f32 = 1024.0;

/// A prepared net; see [`crate::prepare`].
pub struct Cuda {
    plan: Plan,
    driver: Box<dyn Driver>,
    /// Where the plan's memory begins.
    base: u64,
    stages: [Stage; STAGES],
    /// The stage that the next batch goes into.
    next: usize,
    /// What runs for a batch of each stage.
    passes: Vec<Passes>,
    /// What runs after weights were loaded, and after each mini-batch.
    refresh: Vec<Placed>,
    update: Work,
    /// What runs in a step over a batch of the first stage, launch by launch.
    of_one_step: Vec<Placed>,
    hyper: HyperTable,
    tones: Tones,
    results: Results,
    /// Whether all gradients of the last update were finite, on its way back.
    finite: (Pinned, Event),
    /// Probabilities pass through here.
    probabilities: (Pinned, Event),
    out: Vec<f32>,
    /// Images in the last pass, 0 before the first.
    images: usize,
    went_backward: bool,
}

/// The two passes over a batch.
struct Passes {
    train: Work,
    test: Work,
}

/// What is put on the compute queue together.
enum Work {
    Launches(Vec<Launch>),
    Recorded(Recording),
}

impl Work {
    /// Makes a recording of the launches, or leaves them as they are.
    fn new(driver: &mut dyn Driver, placed: &[Placed], record: bool) -> Result<Work> {
        let launches: Vec<Launch> = placed.iter().map(|placed| placed.launch.clone()).collect();
        if !record || launches.is_empty() {
            return Ok(Work::Launches(launches));
        }
        driver.begin_recording()?;
        let put = launches.iter().try_for_each(|launch| driver.launch(launch));
        let recording = driver.end_recording();
        put.and(recording).map(Work::Recorded)
    }

    fn run(&self, driver: &mut dyn Driver) -> Result<()> {
        match self {
            Work::Launches(launches) => launches.iter().try_for_each(|launch| driver.launch(launch)),
            Work::Recorded(recording) => driver.replay(*recording),
        }
    }
}

/// How an executor is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    /// Whether passes are recorded.
    pub(crate) recorded: bool,
    /// Whether memory is no number at the beginning.
    pub(crate) poisoned: bool,
}

/// Fills memory with what is no number in any precision.
fn poison(device: &mut dyn Driver, base: u64, len: u64) -> Result<()> {
    let piece = vec![0xff; 16 << 20];
    for begin in (0..len).step_by(piece.len()) {
        let size = piece.len().min((len - begin) as usize);
        device.upload(&piece[..size], base + begin)?;
    }
    Ok(())
}

/// Bytes of device memory for a plan, and what the executor needs beside it.
pub(crate) fn memory_bytes(plan: &Plan) -> u64 {
    (plan.bytes + STAGES * Stage::bytes(plan) + HyperTable::bytes(plan) + Program::table_bytes(plan)) as u64
}

fn loss_scale(element: Element) -> f32 {
    if element == Element::F16 { LOSS_SCALE } else { 1.0 }
}

impl Cuda {
    /// Takes memory, compiles what the plan calls, and records its passes.
    pub(crate) fn new(plan: Plan, mut driver: Box<dyn Driver>, how: How) -> Result<Cuda> {
        let record = how.recorded;
        let device = driver.as_mut();
        let base = device.memory(plan.bytes as u64)?;
        if how.poisoned {
            poison(device, base, plan.bytes as u64)?;
        }
        let hyper = HyperTable::new(device, &plan)?;
        let stages = [Stage::new(device, &plan)?, Stage::new(device, &plan)?];
        let program = Program::new(device, &plan, base, hyper.at)?;
        let refresh = program.refresh();
        program.compile(device, &stages[0])?;
        let learns = plan.mode == Mode::Train;
        let train = |stage: &Stage| if learns { program.train(stage) } else { Vec::new() };
        let mut passes = Vec::with_capacity(STAGES);
        for stage in &stages {
            let (train, test) = (Work::new(device, &train(stage), record)?, Work::new(device, &program.test(stage), record)?);
            passes.push(Passes { train, test });
        }
        let last = if learns { program.update() } else { Vec::new() };
        let update = Work::new(device, &last, record)?;
        let of_one_step = if learns { train(&stages[0]).into_iter().chain(last).collect() } else { program.test(&stages[0]) };
        let results = Results::new(device)?;
        let values = plan.capacity * plan.net.classes();
        let probabilities = (device.pinned(values * size_of::<f32>())?, device.event()?);
        let finite = (device.pinned(size_of::<u32>())?, device.event()?);
        device.bytes(finite.0).copy_from_slice(&1_u32.to_ne_bytes());
        let out = vec![0.0; values];
        let mut cuda = Cuda {
            plan,
            driver,
            base,
            stages,
            next: 0,
            passes,
            refresh,
            update,
            of_one_step,
            hyper,
            tones: Tones::default(),
            results,
            finite,
            probabilities,
            out,
            images: 0,
            went_backward: false,
        };
        cuda.zero_parameters()?;
        Ok(cuda)
    }

    fn zero_parameters(&mut self) -> Result<()> {
        let parameters = &self.plan.parameters;
        let learning = parameters.learning.map(|(gradients, momenta)| [gradients, momenta]);
        let all = [Some(parameters.weights), parameters.copies].into_iter().flatten().chain(learning.into_iter().flatten());
        for buffer in all {
            let place = self.plan.place(buffer);
            self.driver.zero(self.base + place.offset as u64, place.len as u64)?;
        }
        Ok(())
    }

    fn address(&self, buffer: Buffer) -> u64 {
        self.base + self.plan.place(buffer).offset as u64
    }

    /// Whether a batch can be run.
    fn check(&self, batch: &Batch) -> Result<()> {
        let (n, capacity, input) = (batch.n, self.plan.capacity, self.plan.net.input());
        batch.check_images(capacity)?;
        let values = match &batch.pixels {
            Pixels::F32(values) => values.len(),
            Pixels::Bytes(bytes) if input.c == 3 => bytes.rgb.len().min(bytes.looks.len() * input.len()),
            _ => return Err(Error::Batch(format!("pixels of this form cannot be {input}"))),
        };
        if values != batch.labels.len() * input.len() {
            let slots = batch.labels.len();
            return Err(Error::Batch(format!("{values} values in {slots} slots given, {input} are {} an image", input.len())));
        }
        match &batch.pixels {
            Pixels::Bytes(bytes) => tones::check(bytes, n, input),
            _ => Ok(()),
        }
    }

    /// Puts a pass over a batch on the queues.
    fn pass(&mut self, batch: &Batch, info: Option<StepInfo>) -> Result<()> {
        let (stage, passes) = (&self.stages[self.next], &self.passes[self.next]);
        let driver = self.driver.as_mut();
        let mut step = Step { loss_scale: loss_scale(self.plan.element), ..Step::NONE };
        if let Pixels::Bytes(bytes) = &batch.pixels {
            self.tones.show(driver, &bytes.toning, &mut step)?;
        }
        stage.take(driver, batch, info, step)?;
        if info.is_some() { &passes.train } else { &passes.test }.run(driver)?;
        stage.release(driver)?;
        self.next = (self.next + 1) % STAGES;
        self.images = batch.n;
        self.went_backward = info.is_some();
        Ok(())
    }

    /// The buffer of a kind of parameter values.
    fn values_of(&self, kind: Kind) -> Result<Buffer> {
        let parameters = &self.plan.parameters;
        match (kind, parameters.learning) {
            (Kind::Weights, _) => Ok(parameters.weights),
            (Kind::Gradients, Some((gradients, _))) => Ok(gradients),
            (Kind::Momentum, Some((_, momenta))) => Ok(momenta),
            _ => Err(fault(format!("there are no {kind:?} in an executor prepared for inference"))),
        }
    }

    /// f32 values of the device.
    fn download(&mut self, at: u64, len: usize) -> Result<Vec<f32>> {
        let mut bytes = vec![0; len * size_of::<f32>()];
        self.driver.download(at, &mut bytes)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect())
    }

    /// Says so where a gradient of the update before the last was not finite: found out when it has arrived, not waited for.
    fn check_finite(&mut self) -> Result<()> {
        let (pinned, event) = self.finite;
        self.driver.block_on(event)?;
        if self.driver.bytes(pinned).iter().all(|&byte| byte == 0) {
            return Err(fault("a gradient is not finite in f16, and the weights were left alone; bf16 has the range of f32"));
        }
        Ok(())
    }

    /// The output of a layer of the last pass, `[n, k, p, q]`.
    fn output(&mut self, index: usize) -> Result<Vec<f32>> {
        let LayerPlan { op, y, output: shape, .. } = &self.plan.layers[index];
        let (y, shape, len) = (*y, *shape, self.images * shape.len());
        let last = self.plan.layers.len() - 1;
        if matches!(op, Op::Softmax) {
            return self.download(self.address(self.plan.probabilities), len);
        }
        if index + 1 == last && self.plan.has_logits() {
            return self.download(self.address(self.plan.logits), len);
        }
        let mut bytes = vec![0; len * self.plan.element.size()];
        let at = self.address(y);
        self.driver.download(at, &mut bytes)?;
        Ok(to_planes(&self.plan.element.to_f32(&bytes), shape.c, shape.plane()))
    }
}

impl Executor for Cuda {
    fn engine(&self) -> &'static str {
        "cuda"
    }

    fn net(&self) -> &Net {
        &self.plan.net
    }

    fn capacity(&self) -> usize {
        self.plan.capacity
    }

    fn takes_bytes(&self) -> bool {
        true
    }

    fn load(&mut self, kind: Kind, values: &ParamSet) -> Result<()> {
        values.check(&self.plan.net)?;
        let at = self.address(self.values_of(kind)?);
        let scale = if kind == Kind::Gradients { loss_scale(self.plan.element) } else { 1.0 };
        for (info, parameter) in self.plan.net.params().iter().zip(&self.plan.parameters.each) {
            if let Some(tensor) = values.get(&info.name) {
                let device = parameter.order.to_device(&tensor.data);
                let bytes: Vec<u8> = device.iter().flat_map(|value| (value * scale).to_ne_bytes()).collect();
                self.driver.upload(&bytes, at + (parameter.offset * size_of::<f32>()) as u64)?;
            }
        }
        if kind == Kind::Weights {
            self.refresh.iter().try_for_each(|placed| self.driver.launch(&placed.launch))?;
        }
        Ok(())
    }

    fn save(&mut self, kind: Kind) -> Result<ParamSet> {
        let at = self.address(self.values_of(kind)?);
        let scale = if kind == Kind::Gradients { 1.0 / loss_scale(self.plan.element) } else { 1.0 };
        let mut tensors = Vec::new();
        for index in 0..self.plan.parameters.each.len() {
            let parameter = &self.plan.parameters.each[index];
            let (order, from) = (parameter.order, at + (parameter.offset * size_of::<f32>()) as u64);
            let mut device = self.download(from, order.len())?;
            device.iter_mut().for_each(|value| *value *= scale);
            let info = &self.plan.net.params()[index];
            tensors.push((info.name.clone(), Tensor { shape: info.shape.clone(), data: order.to_net(&device) }));
        }
        Ok(ParamSet::new(tensors))
    }

    fn forward_backward(&mut self, batch: &Batch, info: StepInfo) -> Result<()> {
        if self.plan.mode != Mode::Train {
            return Err(fault("prepared for inference, asked to train"));
        }
        self.check(batch)?;
        batch.check_targets(self.plan.net.classes())?;
        if info.step_images == 0 {
            return Err(Error::Batch("a step of 0 images".into()));
        }
        self.pass(batch, Some(info))?;
        let at = self.address(self.plan.result);
        self.results.send_for(self.driver.as_mut(), at)
    }

    fn take_loss(&mut self, wait: bool) -> Result<Option<StepLoss>> {
        self.results.take(self.driver.as_mut(), wait)
    }

    /// The gradients cross over to the host and back.
    fn each_bucket(&mut self, visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        let at = self.address(self.values_of(Kind::Gradients)?);
        let learning: Vec<(usize, usize)> = self.plan.layers.iter().rev().filter_map(|layer| layer.params).collect();
        for (index, (weight, bias)) in learning.into_iter().enumerate() {
            let (first, last) = (&self.plan.parameters.each[weight], &self.plan.parameters.each[bias]);
            let from = at + (first.offset * size_of::<f32>()) as u64;
            let mut values = self.download(from, last.offset + last.order.len() - first.offset)?;
            visit(Bucket { index, values: BucketValues::Host(&mut values) })?;
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
            self.driver.upload(&bytes, from)?;
        }
        Ok(())
    }

    fn apply(&mut self, hyper: &Hyper) -> Result<()> {
        if hyper.params.len() != self.plan.net.params().len() {
            let (given, wanted) = (hyper.params.len(), self.plan.net.params().len());
            return Err(fault(format!("rates of {given} parameters given, the net has {wanted}")));
        }
        self.values_of(Kind::Gradients)?;
        self.check_finite()?;
        let scale = loss_scale(self.plan.element);
        let step = Step { loss_scale: scale, ..Step::NONE };
        let driver = self.driver.as_mut();
        self.hyper.set(driver, hyper, &step.bytes())?;
        self.update.run(driver)?;
        if self.plan.element == Element::F16 {
            let at = self.base + self.plan.place(self.plan.finite).offset as u64;
            driver.copy_out(at, self.finite.0, size_of::<u32>(), Queue::Compute)?;
            driver.record(self.finite.1, Queue::Compute)?;
        }
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<&[f32]> {
        self.check(batch)?;
        self.pass(batch, None)?;
        let (pinned, event) = self.probabilities;
        let (at, len) = (self.address(self.plan.probabilities), batch.n * self.plan.net.classes());
        self.driver.copy_out(at, pinned, len * size_of::<f32>(), Queue::Compute)?;
        self.driver.record(event, Queue::Compute)?;
        self.driver.block_on(event)?;
        let out = &mut self.out[..len];
        for (out, b) in out.iter_mut().zip(self.driver.bytes(pinned).chunks_exact(4)) {
            *out = f32::from_ne_bytes([b[0], b[1], b[2], b[3]]);
        }
        Ok(out)
    }

    fn activation(&mut self, layer: &str) -> Result<Tensor> {
        let index = self.plan.net.find_layer("cuda", layer)?;
        let shape = self.plan.net.output_of(index);
        if self.images == 0 {
            return Err(fault("no batch has been run"));
        }
        if !self.plan.layers[index].kept {
            return Err(fault(format!("the output of `{layer}` is not kept; prepare to keep it, or to inspect")));
        }
        let data = self.output(index)?;
        Ok(Tensor { shape: vec![self.images, shape.c, shape.h, shape.w], data })
    }

    fn input_gradient(&mut self) -> Result<Tensor> {
        let Some(buffer) = self.plan.input_gradient else {
            return Err(fault("the gradient by the pixels is not computed; prepare to train and inspect"));
        };
        if !self.went_backward {
            return Err(fault("the last pass was not backward"));
        }
        let input = self.plan.net.input();
        let data = self.download(self.address(buffer), self.images * input.len())?;
        Ok(Tensor { shape: vec![self.images, input.c, input.h, input.w], data })
    }

    fn plan(&self) -> String {
        self.plan.to_string()
    }
}
