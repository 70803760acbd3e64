//! The engine that runs nets, and the options that choose how.

use cpu::peaks::{self, Peaks};
use cpu::{Cpu, Isa, Options};
use net::{Mode, Net};

use crate::environment;
use crate::failure::Result;

/// Where nets run.
#[derive(Debug, Clone)]
pub(crate) struct Engine {
    options: Options,
}

impl Engine {
    /// The CPU with `threads` threads, or one for each core, and the instruction set that the environment allows.
    pub(crate) fn new(threads: Option<usize>) -> Result<Engine> {
        Ok(Engine { options: Options { threads, isa: Some(environment::isa()?), inspect: false } })
    }

    /// Plans and allocates.
    pub(crate) fn prepare(&self, net: &Net, batch: usize, mode: Mode) -> Result<Cpu> {
        Ok(cpu::prepare(net, batch, mode, &self.options)?)
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
        format!("cpu, {isa}, {threads}")
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
