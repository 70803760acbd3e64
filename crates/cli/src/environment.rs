//! The environment variables that the program reads, all of them.

mod folders;

use std::env;
use std::path::{Path, PathBuf};

use cpu::Isa;

use crate::failure::{Failure, Result};
use folders::{ENVIRONMENTS, LOADER, Machine, TOOLKITS};

/// An environment variable and what it does.
struct Knob {
    name: &'static str,
    effect: &'static str,
}

const ISA: Knob =
    Knob { name: "ALEXNET_ISA", effect: "the instruction set: portable, avx2 or avx512 [default: the best one here]" };
const CUDA: Knob = Knob {
    name: "ALEXNET_CUDA",
    effect: "the only folders, joined by `:`, in which NVIDIA's libraries are looked for [default: see below]",
};
const CACHE: Knob =
    Knob { name: "XDG_CACHE_HOME", effect: "the folder of alexnet/, where kernels for a GPU are kept [default: ~/.cache]" };
const NO_COLOR: Knob = Knob { name: "NO_COLOR", effect: "set to anything, help and mistakes have no colours" };

const KNOBS: &[Knob] = &[ISA, CUDA, CACHE, NO_COLOR];

/// The table of variables for the help text.
pub(crate) fn table() -> String {
    let mut text = String::from("Environment:\n");
    for Knob { name, effect } in KNOBS {
        text += &format!("  {name:<14} {effect}\n");
    }
    let [home, path] = TOOLKITS;
    let [venv, conda] = ENVIRONMENTS;
    text += &format!(
        "NVIDIA's libraries are looked for where {home}, {path}, {LOADER}, {venv},\n{conda} and PATH lead, and where systems have \
         them; `alexnet doctor` tells.\n"
    );
    text
}

/// The instruction set that `ALEXNET_ISA` names, or the best one here.
pub(crate) fn isa() -> Result<Isa> {
    let Some(name) = env::var_os(ISA.name) else { return Ok(Isa::detect()) };
    let choices = || format!("set {} to {}, or unset it", ISA.name, available());
    let refused = |message: String| Failure::usage(format!("{}: {message}", ISA.name), choices());
    let isa: Isa = name.to_string_lossy().parse().map_err(|error: cpu::UnknownIsa| refused(error.to_string()))?;
    if isa.available() { Ok(isa) } else { Err(refused(format!("this CPU has no {isa}"))) }
}

fn available() -> String {
    let names: Vec<String> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(|isa| isa.to_string()).collect();
    names.join(" or ")
}

/// The folders in which NVIDIA's libraries are looked for.
pub(crate) fn library_folders() -> Vec<PathBuf> {
    match env::var_os(CUDA.name) {
        Some(folders) => env::split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()).collect(),
        None => Machine { variable: &|name| env::var_os(name), root: Path::new("/") }.library_folders(),
    }
}

/// Where compiled kernels are kept; `None` where nobody says what is home.
pub(crate) fn kernel_cache() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let caches = named(CACHE.name).or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(caches.join("alexnet"))
}

/// The GPUs that the driver is told to show, where the user has said so.
pub(crate) fn visible_gpus() -> Option<String> {
    env::var_os("CUDA_VISIBLE_DEVICES").map(|value| value.to_string_lossy().into_owned())
}
