//! `alexnet gpu-check`: whether a GPU computes what it should, and how fast, in one command.

mod peer;
mod right;
mod speed;
mod table;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cuda::{Cuda, emulator};
use net::{Mode, Net, Precision};
use serde_json::{Value, json};

use crate::device::{Device, device};
use crate::environment;
use crate::failure::{Context, Failure, Result};
use crate::terminal;

/// Check that a GPU computes what it should, and measure how fast
#[derive(Args)]
#[command(after_help = "\
It runs every layer of every kind, whole nets, and twenty steps of training beside
the oracle and the CPU's engine, on fresh memory that holds no numbers; then it times
every kernel and whole steps, and PyTorch beside them where --python names one that has it.

Examples:
  alexnet gpu-check --out check
  alexnet gpu-check --out check --python venv/bin/python    PyTorch beside it")]
pub(crate) struct GpuCheck {
    /// A folder for gpu-check.json, and for the peer's scripts and figures; made where there is none
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The GPU: cuda for the first one, or cuda:N
    #[arg(long, value_name = "cuda[:N]", default_value = "cuda", value_parser = device)]
    device: Device,
    /// A Python that has PyTorch for this GPU
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Fresh inputs: another seed, other numbers
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Go through all of it in small on a device that is this CPU: a test of the command
    #[arg(long, hide = true)]
    emulated: bool,
}

/// Where nets run, and how much is done.
pub(super) struct Bench {
    gpu: Option<cuda::Options>,
    seed: u64,
    began: Instant,
}

/// How a net is prepared.
#[derive(Debug, Clone, Copy)]
pub(super) struct How {
    precision: Precision,
    inspect: bool,
    unrecorded: bool,
}

impl How {
    fn of(precision: Precision) -> How {
        How { precision, inspect: false, unrecorded: false }
    }
}

impl Bench {
    fn is_emulated(&self) -> bool {
        self.gpu.is_none()
    }

    fn prepare(&self, net: &Net, batch: usize, mode: Mode, how: How) -> net::Result<Cuda> {
        let How { precision, inspect, unrecorded } = how;
        match &self.gpu {
            Some(options) => {
                let options = cuda::Options { precision, inspect, unrecorded, poisoned: true, ..options.clone() };
                cuda::prepare(net, batch, mode, &options)
            }
            None => {
                // Libraries that are loaded lie where nobody else writes.
                let folder = environment::kernel_cache().unwrap_or_default().join("emulated");
                let options =
                    emulator::Options { precision, inspect, keep: None, unrecorded, seed: self.seed, workers: 2, folder };
                emulator::prepare(net, batch, mode, &options)
            }
        }
    }

    /// Says what is being done.
    fn say(&self, what: &str) {
        eprintln!("{:>4.0} s  {what}", self.began.elapsed().as_secs_f64());
    }
}

impl GpuCheck {
    pub(crate) fn run(&self) -> Result<()> {
        let bench = self.bench()?;
        fs::create_dir_all(&self.out).context(|| self.out.display().to_string())?;
        let right = right::check(&bench)?;
        let speed = speed::measure(&bench)?;
        let peer = match &self.python {
            Some(python) => peer::run(&bench, python, &self.out),
            None => Err("not asked for: give --python".into()),
        };
        let passed = right.iter().all(|check| check.fault.is_none());
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "revision": env!("ALEXNET_REVISION"),
            "device": speed.device,
            "seed": self.seed,
            "passed": passed,
            "checks": right.iter().map(right::Check::json).collect::<Vec<Value>>(),
            "speed": speed.json(),
            "peer": peer.as_ref().map_or_else(|why| json!({ "missing": why }), Clone::clone),
            "seconds": bench.began.elapsed().as_secs_f64(),
        });
        let path = self.out.join("gpu-check.json");
        let text = serde_json::to_string_pretty(&report).map_err(|error| Failure::failed(error.to_string(), ""))?;
        weights::replace(&path, |out| out.write_all((text + "\n").as_bytes()))?;
        terminal::print(&table::text(&right, &speed, &peer))?;
        let failed = right.iter().filter(|check| check.fault.is_some()).count();
        if passed {
            return Ok(());
        }
        Err(Failure::failed(format!("{failed} of {} checks failed", right.len()), format!("{} has all of it", path.display())))
    }

    fn bench(&self) -> Result<Bench> {
        let began = Instant::now();
        if self.emulated {
            return Ok(Bench { gpu: None, seed: self.seed, began });
        }
        let Device::Cuda(device) = self.device else {
            return Err(Failure::usage("gpu-check is for GPUs", "give --device cuda, or cuda:N"));
        };
        let (search, cache) = (environment::library_folders(), environment::kernel_cache());
        let found = cuda::survey(&search);
        found.usable(device).context(|| format!("--device {}", self.device))?;
        Ok(Bench { gpu: Some(cuda::Options { device, search, cache, ..Default::default() }), seed: self.seed, began })
    }
}
