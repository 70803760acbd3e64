//! The engine that runs nets, and the options that choose which and how.

use std::sync::Arc;

use cpu::nearest::Search;
use cpu::peaks::{self, Peaks};
use cpu::{Convolution, Cpu, Isa};
use cuda::{Gpu, Lack, Survey};
use net::{Mode, Net, Precision};
use train::{Recipe, recipe_for};

use crate::device::{Device, Where};
use crate::environment;
use crate::failure::{Context, Failure, Result};
use crate::memory::{self, Images};
use crate::prepared::Prepared;

/// Where nets run.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    /// How the CPU computes: nets where there is no GPU to do it, and whatever else.
    cpu: cpu::Options,
    /// The GPU that computes nets.
    gpu: Option<OnGpu>,
    precision: Precision,
    /// A layer whose output is to be looked at.
    keep: Option<Layer>,
}

/// How a GPU computes.
#[derive(Debug, Clone)]
struct OnGpu {
    options: cuda::Options,
    gpu: Gpu,
    survey: Arc<Survey>,
}

/// A layer of whatever net it will be.
#[derive(Debug, Clone)]
pub(crate) enum Layer {
    /// The last hidden one.
    LastHidden,
    /// The one of that name.
    Named(String),
}

impl Layer {
    /// Its position in `net`.
    pub(crate) fn of(&self, net: &Net) -> Result<usize> {
        let (found, missing) = match self {
            Layer::LastHidden => (net.last_hidden(), "no hidden layer".to_string()),
            Layer::Named(name) => (net.layer_index(name), format!("no layer `{name}`")),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> = net.layers().iter().map(|layer| layer.name.as_str()).collect();
            let message = format!("the net `{}` has {missing}; its layers are {}", net.name(), names.join(", "));
            Failure::usage(message, "name one of its layers with --layer; `alexnet describe --net RUN` shows their shapes")
        })
    }
}

/// The GPU that `--device auto` means in what was found, else why it means the CPU.
pub(crate) fn automatic(survey: &Survey) -> Result<usize, String> {
    let gpus = (0..survey.gpus.len()).map(|device| survey.usable(device).map(|gpu| gpu.device));
    // What the first GPU lacks is what is said.
    match gpus.clone().find_map(Result::ok) {
        Some(device) if AUTO_TAKES_GPUS => Ok(device),
        Some(_) => Err(NOT_CHECKED.into()),
        None => Err(survey.usable(0).err().unwrap_or(Lack::NoGpu).to_string()),
    }
}

/// Whether `--device auto` may mean a GPU. It does not before `gpu-check` has passed on one: until then the kernels have been executed
/// on an emulated device alone, and a GPU is for those who ask for it.
const AUTO_TAKES_GPUS: bool = false;
const NOT_CHECKED: &str = "no GPU has run `alexnet gpu-check` of this version yet; --device cuda uses one all the same";

impl OnGpu {
    fn new(device: usize, survey: Arc<Survey>) -> Result<OnGpu, Lack> {
        let gpu = survey.usable(device)?.clone();
        let (search, cache) = (environment::library_folders(), environment::kernel_cache());
        Ok(OnGpu { options: cuda::Options { device, search, cache, ..Default::default() }, gpu, survey })
    }

    /// The one that is asked for; `None` for the CPU.
    fn of(device: Device) -> Result<Option<OnGpu>> {
        let survey = || Arc::new(cuda::survey(&environment::library_folders()));
        match device {
            Device::Cpu => Ok(None),
            // Looking is of no use where nothing comes of it.
            Device::Auto if !AUTO_TAKES_GPUS => Ok(None),
            Device::Auto => {
                let survey = survey();
                let found = automatic(&survey).ok();
                Ok(found.map(|device| OnGpu::new(device, survey)).transpose()?)
            }
            Device::Cuda(number) => OnGpu::new(number, survey()).context(|| format!("--device {device}")).map(Some),
        }
    }
}

impl Engine {
    /// A GPU, or the CPU with `threads` threads, or one for each core, and the instruction set that the environment allows; in the
    /// precision, or what is usual there.
    ///
    /// # Errors
    /// Where the GPU that is asked for cannot be used.
    pub(crate) fn new(place: Where, threads: Option<usize>, precision: Option<Precision>) -> Result<Engine> {
        let cpu = cpu::Options { threads, isa: Some(environment::isa()?), ..Default::default() };
        let gpu = OnGpu::of(place.device())?;
        let usual = if gpu.is_some() { Precision::Bf16 } else { Precision::F32 };
        Ok(Engine { cpu, gpu, precision: precision.unwrap_or(usual), keep: None })
    }

    /// Plans and allocates. Memory that is not there is refused before: where the system promises more than it has, taking it
    /// would end the program without a word.
    pub(crate) fn prepare(&self, net: &Net, batch: usize, mode: Mode) -> Result<Prepared> {
        self.check_memory(net, batch, mode)?;
        Ok(match &self.gpu {
            None => Prepared::Cpu(Box::new(cpu::prepare(net, batch, mode, &self.on_cpu(net)?)?)),
            Some(gpu) => Prepared::Cuda(Box::new(cuda::prepare(net, batch, mode, &self.on_gpu(gpu, net)?)?)),
        })
    }

    /// Plans and allocates on the CPU, with all convolutions computed in one way where that is asked for and possible.
    pub(crate) fn prepare_cpu(&self, net: &Net, batch: usize, mode: Mode, convolutions: Option<Convolution>) -> Result<Cpu> {
        self.check_memory(net, batch, mode)?;
        Ok(cpu::prepare(net, batch, mode, &cpu::Options { convolutions, ..self.on_cpu(net)? })?)
    }

    fn check_memory(&self, net: &Net, batch: usize, mode: Mode) -> Result<()> {
        let choices: Vec<usize> = (1..batch).collect();
        let hint =
            |images| format!("give `--batch {images}`; train, bench and plan find what fits by themselves with `--batch auto`");
        if let Some(shortage) = memory::shortage(batch, &choices, memory::available(0), |images| self.need(net, images, mode))? {
            return Err(shortage.failure(net, hint));
        }
        match self.shortage_on_gpu(net, batch, &choices, mode)? {
            Some(shortage) => Err(shortage.failure(net, hint)),
            None => Ok(()),
        }
    }

    /// Whether the GPU, where there is one, has too little memory.
    pub(crate) fn shortage_on_gpu(
        &self,
        net: &Net,
        images: usize,
        choices: &[usize],
        mode: Mode,
    ) -> Result<Option<memory::Shortage>> {
        let Some(available) = self.gpu_memory()? else { return Ok(None) };
        let shortage = memory::shortage(images, choices, available, |images| self.gpu_bytes(net, images, mode))?;
        Ok(shortage.map(memory::Shortage::on_gpu))
    }

    /// The largest of `choices` that fits in the GPU's memory; the last where there is no GPU.
    pub(crate) fn largest_on_gpu(&self, net: &Net, choices: &[usize], mode: Mode) -> Result<Option<usize>> {
        let Some(available) = self.gpu_memory()? else { return Ok(choices.last().copied()) };
        memory::largest_that_fits(choices, available, |images| self.gpu_bytes(net, images, mode))
    }

    /// The same engine, which keeps the output of a layer.
    pub(crate) fn keeping(&self, layer: Layer) -> Engine {
        Engine { keep: Some(layer), ..self.clone() }
    }

    /// The name of the layer to keep in a net.
    fn kept(&self, net: &Net) -> Result<Option<String>> {
        let kept = self.keep.as_ref().map(|layer| layer.of(net)).transpose()?;
        Ok(kept.map(|index| net.layers()[index].name.clone()))
    }

    /// The CPU's options for a net.
    fn on_cpu(&self, net: &Net) -> Result<cpu::Options> {
        if matches!(self.precision, Precision::Tf32 | Precision::F16) {
            let message = format!("a CPU computes in f32 or bf16, not in {}", self.precision);
            return Err(Failure::usage(message, "give another --precision, or a GPU with --device cuda"));
        }
        Ok(cpu::Options { precision: self.precision, keep: self.kept(net)?, ..self.cpu.clone() })
    }

    /// The GPU's options for a net.
    fn on_gpu(&self, gpu: &OnGpu, net: &Net) -> Result<cuda::Options> {
        Ok(cuda::Options { precision: self.precision, keep: self.kept(net)?, ..gpu.options.clone() })
    }

    /// What searches with these threads and this instruction set.
    pub(crate) fn search(&self) -> Result<Search> {
        Ok(Search::new(self.cpu.threads, self.cpu.isa)?)
    }

    /// Bytes of the host's memory that the engine takes for itself; a GPU's engine keeps its tensors there.
    pub(crate) fn memory_bytes(&self, net: &Net, batch: usize, mode: Mode) -> Result<u64> {
        match self.gpu {
            None => Ok(cpu::memory_bytes(net, batch, mode, &self.on_cpu(net)?)?),
            Some(_) => Ok(0),
        }
    }

    /// Bytes of the GPU's memory that are free, where nets run on one.
    fn gpu_memory(&self) -> Result<Option<u64>> {
        Ok(self.gpu.as_ref().map(|gpu| gpu.survey.free_bytes(gpu.options.device)).transpose()?)
    }

    /// Bytes of the GPU's memory that a net takes.
    fn gpu_bytes(&self, net: &Net, batch: usize, mode: Mode) -> Result<u64> {
        let bytes = |gpu| Ok(cuda::memory_bytes(net, batch, mode, &self.on_gpu(gpu, net)?)?);
        self.gpu.as_ref().map_or(Ok(0), bytes)
    }

    /// Bytes for running batches of that size: the engine's, one batch's pixels, and the parameters on their way to the engine.
    fn need(&self, net: &Net, batch: usize, mode: Mode) -> Result<u64> {
        Ok(self.memory_bytes(net, batch, mode)? + pixel_bytes(net, batch) + parameter_bytes(net))
    }

    /// The images that `--batch` means: `auto` is the largest batch that fits, up to that of the net's recipe.
    pub(crate) fn images(&self, asked: Images, net: &Net, mode: Mode) -> Result<usize> {
        if let Images::Count(count) = asked {
            return Ok(count);
        }
        let choices: Vec<usize> = (1..=Recipe::builtin(recipe_for(net.name()))?.batch).collect();
        let fitting = memory::largest_that_fits(&choices, memory::available(0), |images| self.need(net, images, mode))?;
        let on_gpu = self.largest_on_gpu(net, &choices, mode)?;
        // Where nothing fits, preparing one image says so.
        Ok(fitting.unwrap_or(1).min(on_gpu.unwrap_or(1)))
    }

    /// What the machine can do at most with these threads and this instruction set; takes about a second.
    pub(crate) fn peaks(&self) -> Result<Peaks> {
        Ok(peaks::measure(self.cpu.threads, self.cpu.isa)?)
    }

    /// Threads that the CPU computes with, or that have nothing else to do where a GPU computes.
    pub(crate) fn threads(&self) -> usize {
        self.cpu.threads.unwrap_or_else(cores)
    }

    /// What may be rounded to.
    pub(crate) fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether a GPU computes.
    pub(crate) fn is_gpu(&self) -> bool {
        self.gpu.is_some()
    }

    /// `cpu, avx512, 2 threads`, or `cuda:0, NVIDIA H100 80GB HBM3, bf16`
    pub(crate) fn describe(&self) -> String {
        if let Some(OnGpu { gpu, .. }) = &self.gpu {
            return format!("cuda:{}, {}, {}", gpu.device, gpu.name, self.precision);
        }
        let isa = self.cpu.isa.unwrap_or_else(Isa::detect);
        let threads = report::format::of(self.threads() as u64, "thread", "threads");
        match self.precision {
            Precision::F32 => format!("cpu, {isa}, {threads}"),
            precision => format!("cpu, {isa}, {precision}, {threads}"),
        }
    }
}

/// Bytes of the pixels of so many images.
pub(crate) fn pixel_bytes(net: &Net, images: usize) -> u64 {
    4 * images as u64 * net.input().len() as u64
}

/// Bytes of one value for each parameter.
pub(crate) fn parameter_bytes(net: &Net) -> u64 {
    4 * net.parameter_count() as u64
}

/// Cores that this process may use.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
