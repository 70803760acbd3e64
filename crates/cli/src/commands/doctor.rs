//! `alexnet doctor`: what the program finds here to compute with, and what it lacks.

use std::fs;

use clap::Args;
use cuda::{Found, Gpu, Lack, Library, Survey};
use report::format;
use serde_json::{Value, json};

use crate::engine::{automatic, cores};
use crate::failure::Result;
use crate::{environment, memory, terminal, usage};

/// Show what there is to compute with, and what is missing for a GPU
#[derive(Args)]
#[command(after_help = "\
It looks for NVIDIA's libraries where all commands do, asks the driver for its
GPUs and how much of their memory is free, and says what --device auto means here.

Examples:
  alexnet doctor
  alexnet doctor --json               for scripts
  ALEXNET_CUDA=/opt/nvidia/lib alexnet doctor")]
pub(crate) struct Doctor {
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(&self) -> Result<()> {
        let folders = environment::library_folders();
        let survey = cuda::survey(&folders);
        let searched = folders.iter().map(|folder| folder.display().to_string()).collect();
        let found = Findings::new(&survey, searched)?;
        terminal::print(&if self.json { found.json() } else { found.text() })
    }
}

/// All that was found.
struct Findings<'a> {
    survey: &'a Survey,
    isa: String,
    /// Bytes of the machine's memory, and of it what this program may still take, where the system tells.
    memory: (Option<u64>, Option<u64>),
    gpus: Vec<Seen<'a>>,
    searched: Vec<String>,
}

/// A GPU.
struct Seen<'a> {
    gpu: Result<&'a Gpu, &'a Lack>,
    /// Bytes of its memory that are free, or why it cannot be told.
    free_bytes: Result<u64, String>,
    /// Why nets cannot run on it.
    lack: Option<String>,
}

impl Findings<'_> {
    fn new(survey: &Survey, searched: Vec<String>) -> Result<Findings<'_>> {
        let seen = |device: usize| Seen {
            gpu: survey.gpus[device].as_ref(),
            free_bytes: survey.free_bytes(device).map_err(|error| error.to_string()),
            lack: survey.usable(device).err().map(|lack| lack.to_string()),
        };
        let total = usage::bytes_of("MemTotal", &fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let available = Some(memory::available(0)).filter(|&bytes| bytes != u64::MAX);
        Ok(Findings {
            survey,
            isa: environment::isa()?.to_string(),
            memory: (total, available),
            gpus: (0..survey.gpus.len()).map(seen).collect(),
            searched,
        })
    }

    /// What `--device auto` means, and why.
    fn auto(&self) -> (String, Option<String>) {
        match automatic(self.survey) {
            Ok(device) => (format!("cuda:{device}"), None),
            Err(reason) => ("cpu".into(), Some(reason)),
        }
    }

    fn text(&self) -> String {
        let mut rows = vec![("alexnet", version())];
        let memory = match self.memory {
            (Some(total), Some(available)) => format!(", {} of memory, {} available", memory::mib(total), memory::mib(available)),
            _ => String::new(),
        };
        rows.push(("cpu", format!("{}, {}{memory}", self.isa, format::of(cores() as u64, "core", "cores"))));
        for (name, library) in [("driver", Library::Driver), ("compiler", Library::Nvrtc)] {
            rows.push((name, self.survey.library(library).as_ref().map_or_else(Lack::to_string, located)));
        }
        rows.extend(self.gpus.iter().map(|seen| ("gpu", seen.text())));
        if self.gpus.is_empty() && self.survey.driver.is_ok() {
            rows.push(("gpu", Lack::NoGpu.to_string()));
        }
        if let Some(visible) = environment::visible_gpus() {
            rows.push(("", format!("CUDA_VISIBLE_DEVICES is `{visible}`: the driver shows no others")));
        }
        let (device, reason) = self.auto();
        rows.push(("auto", reason.map_or_else(|| device.clone(), |reason| format!("{device}: {reason}"))));
        let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
        let folders: String = self.searched.iter().map(|folder| format!("  {folder}\n")).collect();
        let none = if folders.is_empty() { "  none that exists\n" } else { "" };
        format!("{}\nfolders in which NVIDIA's libraries were looked for:\n{folders}{none}", format::table(&rows, &[]))
    }

    fn json(&self) -> String {
        let (device, reason) = self.auto();
        let library = |library: Library| {
            let found = self.survey.library(library);
            let file = found.as_ref().ok();
            json!({
                "file": library.file(),
                "path": file.map(|file| file.file.to_string_lossy()),
                "version": file.map(|file| file.version.to_string()),
                "release": file.and_then(|file| file.release.clone()),
                "missing": found.as_ref().err().map(Lack::to_string),
                "install": library.install(),
            })
        };
        let result = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "revision": env!("ALEXNET_REVISION"),
            "cpu": { "isa": self.isa, "cores": cores(), "memory_bytes": self.memory.0, "available_bytes": self.memory.1 },
            "libraries": Library::ALL.map(library),
            "gpus": self.gpus.iter().enumerate().map(|(device, seen)| seen.json(device)).collect::<Vec<_>>(),
            "searched": self.searched,
            "auto": device,
            "reason": reason,
        });
        format!("{result:#}\n")
    }
}

fn version() -> String {
    format!("{} ({})", env!("CARGO_PKG_VERSION"), env!("ALEXNET_REVISION"))
}

/// `580.65.06 for CUDA 13.0, /usr/lib/libcuda.so.1`
fn located(found: &Found) -> String {
    let release = found.release.as_ref().map_or_else(String::new, |release| format!("{release} "));
    format!("{release}for CUDA {}, {}", found.version, found.file.display())
}

impl Seen<'_> {
    fn text(&self) -> String {
        let gpu = match self.gpu {
            Ok(gpu) => gpu,
            Err(lack) => return lack.to_string(),
        };
        let free = match &self.free_bytes {
            Ok(bytes) => format!("{} free", memory::mib(*bytes)),
            Err(reason) => reason.clone(),
        };
        let supported = match (gpu.is_supported(), &self.lack) {
            (false, Some(lack)) => format!("; {lack}"),
            _ => String::new(),
        };
        format!(
            "{}: {}, compute capability {}, {} of memory, {free}{supported}",
            gpu.device,
            gpu.name,
            gpu.capability,
            memory::mib(gpu.memory_bytes)
        )
    }

    fn json(&self, device: usize) -> Value {
        let gpu = self.gpu.ok();
        json!({
            "device": device,
            "name": gpu.map(|gpu| gpu.name.as_str()),
            "capability": gpu.map(|gpu| gpu.capability.to_string()),
            "multiprocessors": gpu.map(|gpu| gpu.multiprocessors),
            "memory_bytes": gpu.map(|gpu| gpu.memory_bytes),
            "free_bytes": self.free_bytes.as_ref().ok(),
            "unknown": self.free_bytes.as_ref().err(),
            "supported": gpu.is_some_and(Gpu::is_supported),
            "missing": self.lack,
        })
    }
}
