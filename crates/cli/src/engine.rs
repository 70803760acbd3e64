//! The engine that runs nets, and the options that choose how.

use cpu::nearest::Search;
use cpu::peaks::{self, Peaks};
use cpu::{Convolution, Cpu, Isa, Options};
use net::{Mode, Net, Precision};
use train::{Recipe, recipe_for};

use crate::environment;
use crate::failure::{Failure, Result};
use crate::memory::{self, Images};

/// Where nets run.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    options: Options,
    /// A layer whose output is to be looked at.
    keep: Option<Layer>,
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

impl Engine {
    /// The CPU with `threads` threads, or one for each core, and the instruction set that the environment allows.
    pub(crate) fn new(threads: Option<usize>, precision: Precision) -> Result<Engine> {
        let options = Options { threads, isa: Some(environment::isa()?), precision, ..Options::default() };
        Ok(Engine { options, keep: None })
    }

    /// Plans and allocates. Memory that is not there is refused before: where the system promises more than it has, taking it
    /// would end the program without a word.
    pub(crate) fn prepare(&self, net: &Net, batch: usize, mode: Mode) -> Result<Cpu> {
        let choices: Vec<usize> = (1..batch).collect();
        let need = |images| self.need(net, images, mode);
        if let Some(shortage) = memory::shortage(batch, &choices, memory::available(0), need)? {
            return Err(shortage.failure(net, |images| {
                format!("give `--batch {images}`; train, bench and plan find what fits by themselves with `--batch auto`")
            }));
        }
        Ok(cpu::prepare(net, batch, mode, &self.options(net)?)?)
    }

    /// The same engine with all convolutions computed in one way, where that is possible.
    pub(crate) fn with(&self, convolutions: Convolution) -> Engine {
        Engine { options: Options { convolutions: Some(convolutions), ..self.options.clone() }, keep: self.keep.clone() }
    }

    /// The same engine, which keeps the output of a layer.
    pub(crate) fn keeping(&self, layer: Layer) -> Engine {
        Engine { options: self.options.clone(), keep: Some(layer) }
    }

    /// The options for a net.
    fn options(&self, net: &Net) -> Result<Options> {
        let kept = self.keep.as_ref().map(|layer| layer.of(net)).transpose()?;
        Ok(Options { keep: kept.map(|index| net.layers()[index].name.clone()), ..self.options.clone() })
    }

    /// What searches with these threads and this instruction set.
    pub(crate) fn search(&self) -> Result<Search> {
        Ok(Search::new(self.options.threads, self.options.isa)?)
    }

    /// Bytes of the engine's own memory.
    pub(crate) fn memory_bytes(&self, net: &Net, batch: usize, mode: Mode) -> Result<u64> {
        Ok(cpu::memory_bytes(net, batch, mode, &self.options(net)?)?)
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
        // Where nothing fits, preparing one image says so.
        Ok(fitting.unwrap_or(1))
    }

    /// What the machine can do at most with these threads and this instruction set; takes about a second.
    pub(crate) fn peaks(&self) -> Result<Peaks> {
        Ok(peaks::measure(self.options.threads, self.options.isa)?)
    }

    /// Threads that will compute.
    pub(crate) fn threads(&self) -> usize {
        self.options.threads.unwrap_or_else(cores)
    }

    /// `cpu, avx512, 2 threads`
    pub(crate) fn describe(&self) -> String {
        let isa = self.options.isa.unwrap_or_else(Isa::detect);
        let threads = report::format::of(self.threads() as u64, "thread", "threads");
        match self.options.precision {
            Precision::F32 => format!("cpu, {isa}, {threads}"),
            precision => format!("cpu, {isa}, {precision}, {threads}"),
        }
    }
}

/// A precision by its name.
pub(crate) fn precision(text: &str) -> std::result::Result<Precision, String> {
    let all = [Precision::F32, Precision::Bf16];
    all.into_iter().find(|precision| precision.to_string() == text).ok_or_else(|| "a precision is f32 or bf16".into())
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
