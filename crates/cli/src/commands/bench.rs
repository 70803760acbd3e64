//! `alexnet bench`: how fast the engine runs a net here, beside what the machine can do at most.

mod data;

use std::time::Instant;

use clap::{Args, Subcommand, ValueEnum};
use cpu::Cpu;
use cpu::peaks::{self, Peaks};
use net::random::{Purpose, Stream};
use net::{Batch, Executor, Form, Hyper, Kind, Mode, Net, ParamHyper, Precision, StepInfo};
use report::format;
use serde_json::json;

use crate::candidates::Candidates;
use crate::device::Compute;
use crate::failure::{Failure, Result};
use crate::memory::{self, Images};
use crate::prepared::Prepared;
use crate::{Common, nets, terminal, usage};

/// Time the engine, layer by layer, beside the machine's measured peaks
#[derive(Args)]
#[command(after_help = "\
Steps run on random pixels that are in memory already. The peaks are measured with the same threads: arithmetic is a loop
of multiply-adds in registers, memory is 512 MiB that no cache holds. Work is counted as the layer's formula reads, so an
algorithm that needs fewer operations (Winograd's) can exceed the peak.

Examples:
  alexnet bench                       training the network of the paper
  alexnet bench --net caffe --mode forward --batch 256
  alexnet bench --threads 1 --json    one object on one line, for scripts
  alexnet bench --assert --batch 1    whether the plan picks the faster algorithms here
  ALEXNET_ISA=avx2 alexnet bench      with another instruction set
  alexnet bench data photos           not the engine, but the way of images to it")]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Bench {
    #[command(subcommand)]
    other: Option<Other>,
    /// A preset or a net's TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "alexnet")]
    net: String,
    /// What to time: training steps (forward, backward, update) or forward passes
    #[arg(long, value_name = "train|forward", value_enum, default_value_t = What::Train, hide_possible_values = true)]
    mode: What,
    /// Images in a batch; auto: as many as fit in memory, up to the batch of the net's recipe
    #[arg(long, value_name = "N|auto", default_value = "128", value_parser = memory::images)]
    batch: Images,
    #[command(flatten)]
    compute: Compute,
    /// Steps before the timed ones
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(..=1_000_000))]
    warmup: u32,
    /// Timed steps
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    iters: u32,
    /// Instead, time each convolution by tiles and as a product, and fail where the plan's pick is more than 5 % slower
    #[arg(long)]
    assert: bool,
    /// Print the result as JSON, on one line
    #[arg(long)]
    json: bool,
}

/// What else can be timed.
#[derive(Subcommand)]
enum Other {
    Data(data::BenchData),
}

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    Train,
    Forward,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Train => "train",
            What::Forward => "forward",
        }
    }
}

impl Bench {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        if let Some(Other::Data(data)) = &self.other {
            return data.run(common);
        }
        let net = nets::resolve(&self.net)?;
        let mode = if self.mode == What::Train { Mode::Train } else { Mode::Infer };
        let engine = match self.assert {
            true => self.compute.on_cpu("--assert")?.engine(common.threads())?,
            false => self.compute.engine(common.threads())?,
        };
        let images = engine.images(self.batch, &net, mode)?;
        if self.assert {
            let found = Candidates::measure(&engine, &net, images, mode, self.iters)?;
            terminal::print(&if self.json { found.json() } else { found.text() })?;
            return found.assert();
        }
        if !engine.is_gpu() {
            check_memory()?;
        }
        let mut exec = engine.prepare(&net, images, mode)?;
        exec.load(Kind::Weights, &net.initial_params(0))?;
        let steps = self.steps(&net, images, &mut exec)?;
        let peak_bytes = usage::peak_bytes();
        let plan = exec.cpu().map(|cpu| (cpu.isa().to_string(), cpu.threads(), passes(cpu, images, self.iters)));
        // The net's memory may be what the peaks need.
        drop(exec);
        let on_cpu = |(isa, threads, passes)| Ok::<_, Failure>(OnCpu { isa, threads, passes, peaks: engine.peaks()? });
        let cpu = plan.map(on_cpu).transpose()?;
        let (precision, device) = (engine.precision(), engine.describe());
        let result = Measured { net: net.name(), what: self.mode, images, steps, peak_bytes, precision, device, cpu };
        terminal::print(&if self.json { result.json() } else { result.text() })
    }

    fn steps(&self, net: &Net, images: usize, exec: &mut Prepared) -> Result<Steps> {
        let (batch, hyper) = (random_batch(net, images), small_steps(net));
        let (mut ms, mut cpu_began) = (Vec::with_capacity(self.iters as usize), None);
        for i in 0..self.warmup + self.iters {
            if i == self.warmup {
                exec.cpu_mut().into_iter().for_each(Cpu::reset_timings);
                cpu_began = usage::cpu_ms();
            }
            let start = Instant::now();
            step(&mut **exec, if self.mode == What::Train { Mode::Train } else { Mode::Infer }, &batch, i, &hyper)?;
            if i >= self.warmup {
                ms.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        let cpu_ms = cpu_began.zip(usage::cpu_ms()).map(|(began, ended)| (ended - began) / f64::from(self.iters));
        ms.sort_by(f64::total_cmp);
        Ok(Steps { ms, cpu_ms })
    }
}

/// Small, so that weights stay finite over any number of steps on random labels.
pub(crate) fn small_steps(net: &Net) -> Hyper {
    Hyper { form: Form::RateInside, momentum: 0.9, params: vec![ParamHyper { rate: 1e-6, decay: 5e-4 }; net.params().len()] }
}

/// One step of training, or one forward pass.
pub(crate) fn step(exec: &mut dyn Executor, mode: Mode, batch: &Batch, number: u32, hyper: &Hyper) -> Result<()> {
    if mode == Mode::Infer {
        return Ok(exec.forward(batch).map(|_| ())?);
    }
    exec.forward_backward(batch, StepInfo::whole(0, number, batch.n))?;
    exec.take_loss(true)?;
    Ok(exec.apply(hyper)?)
}

/// Refuses before anything is timed what could not be measured in the end.
fn check_memory() -> Result<()> {
    let (need, available) = (peaks::MEMORY_BYTES, memory::available(0));
    if need <= available {
        return Ok(());
    }
    let message = format!("measuring the memory's speed needs {}, {} are available", memory::mib(need), memory::mib(available));
    Err(Failure::failed(message, "free some memory, or raise the limit that the program runs under"))
}

/// The timed steps.
struct Steps {
    /// Milliseconds on the clock, shortest first.
    ms: Vec<f64>,
    /// CPU time of all threads in a step, on average, where it is known.
    cpu_ms: Option<f64>,
}

/// The middle of at least one value, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Random pixels in ±1 and labels, the same every time.
pub(crate) fn random_batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(0, Purpose::Test, 0, 0, 0);
    for (e, pixel) in batch.f32_mut().iter_mut().enumerate() {
        *pixel = (2.0 * stream.uniform(e as u32) - 1.0) as f32;
    }
    for (i, label) in batch.labels.iter_mut().enumerate() {
        *label = stream.below(i as u32, net.classes() as u32);
    }
    batch.n = n;
    batch
}

/// A pass of a layer in one step.
struct Pass {
    layer: String,
    pass: &'static str,
    ms: f64,
    /// Operations a second; `None` where they are not counted.
    flops_per_s: Option<f64>,
}

/// The passes that have run, in the plan's order.
fn passes(exec: &Cpu, images: usize, iters: u32) -> Vec<Pass> {
    let ran = exec.timings().iter().filter(|timing| !timing.time.is_zero());
    ran.map(|timing| {
        let seconds = timing.time.as_secs_f64() / f64::from(iters);
        let flops = timing.flops_per_image as f64 * images as f64;
        let flops_per_s = (timing.flops_per_image > 0).then(|| flops / seconds);
        Pass { layer: timing.layer.clone(), pass: timing.pass, ms: seconds * 1e3, flops_per_s }
    })
    .collect()
}

/// All that has been measured.
struct Measured<'a> {
    net: &'a str,
    what: What,
    images: usize,
    precision: Precision,
    /// As [`Engine::describe`] has it.
    device: String,
    steps: Steps,
    /// The most memory held until the last step, where it is known.
    peak_bytes: Option<u64>,
    cpu: Option<OnCpu>,
}

/// What the CPU engine alone tells.
struct OnCpu {
    isa: String,
    threads: usize,
    passes: Vec<Pass>,
    peaks: Peaks,
}

impl Measured<'_> {
    /// Median, minimum and maximum of a step's time.
    fn times(&self) -> (f64, f64, f64) {
        let ms = &self.steps.ms;
        (median(ms), ms[0], ms[ms.len() - 1])
    }

    fn images_per_s(&self) -> f64 {
        self.images as f64 / self.times().0 * 1e3
    }

    fn json(&self) -> String {
        let (median, min, max) = self.times();
        let mut result = json!({
            "net": self.net, "mode": self.what.name(), "precision": self.precision.to_string(), "batch": self.images,
            "iters": self.steps.ms.len(), "images_per_s": self.images_per_s(), "ms": median, "ms_min": min, "ms_max": max,
            "cpu_ms": self.steps.cpu_ms, "peak_bytes": self.peak_bytes,
        });
        let Some(cpu) = &self.cpu else {
            result["device"] = self.device.as_str().into();
            return format!("{result}\n");
        };
        let passes: Vec<_> = (cpu.passes.iter())
            .map(|pass| {
                json!({
                    "layer": pass.layer, "pass": pass.pass, "ms": pass.ms,
                    "flops_per_s": pass.flops_per_s, "share_of_peak": pass.flops_per_s.map(|rate| cpu.share(rate)),
                })
            })
            .collect();
        result["threads"] = cpu.threads.into();
        result["isa"] = cpu.isa.as_str().into();
        result["passes"] = passes.into();
        result["peaks"] = json!({
            "flops_per_s": cpu.peaks.flops_per_s,
            "read_bytes_per_s": cpu.peaks.read_bytes_per_s,
            "copy_bytes_per_s": cpu.peaks.copy_bytes_per_s,
        });
        format!("{result}\n")
    }

    fn text(&self) -> String {
        let (median, min, max) = self.times();
        let steps = match self.what {
            What::Train => format::of(self.steps.ms.len() as u64, "training step", "training steps"),
            What::Forward => format::of(self.steps.ms.len() as u64, "forward pass", "forward passes"),
        };
        let images = format::of(self.images as u64, "image", "images");
        let mut text = format!("{}: {steps} of {images} ({})\n", self.net, self.device);
        text += &format!(
            "{} images/s; a step takes {median:.2} ms in the median, {min:.2} at least, {max:.2} at most\n",
            format::rate(self.images_per_s())
        );
        text + &self.cpu.as_ref().map_or_else(String::new, OnCpu::text)
    }
}

impl OnCpu {
    fn share(&self, flops_per_s: f64) -> f64 {
        flops_per_s / self.peaks.flops_per_s
    }

    fn text(&self) -> String {
        let mut rows = vec![["layer", "pass", "ms", "GFLOP/s", "of peak"].map(String::from).to_vec()];
        rows.extend(self.passes.iter().map(|pass| {
            let speed = pass.flops_per_s.map_or("–".into(), |rate| format!("{:.1}", rate / 1e9));
            let share = pass.flops_per_s.map_or("–".into(), |rate| format!("{:.1} %", 100.0 * self.share(rate)));
            vec![pass.layer.clone(), pass.pass.into(), format!("{:.3}", pass.ms), speed, share]
        }));
        let passes = format::table(&rows, &[2, 3, 4]);
        let peak = |name: &str, rate: f64, unit: &str| vec![name.into(), format!("{:.1}", rate / 1e9), unit.into()];
        let rows = [
            peak("arithmetic peak", self.peaks.flops_per_s, "GFLOP/s"),
            peak("memory, reading", self.peaks.read_bytes_per_s, "GB/s"),
            peak("memory, copying", self.peaks.copy_bytes_per_s, "GB/s, read and written"),
        ];
        format!("\n{passes}\n{}", format::table(&rows, &[1]))
    }
}
