//! The GPU engine: every layer of every net on one NVIDIA GPU.
//!
//! Everything that this crate needs of CUDA is found when it is asked for: it builds, links and starts where there is none.
//! [`survey`] tells what there is, and in words what is missing.

#![allow(dead_code, unused_imports, reason = "the executor is being built on it")]

mod args;
mod driver;
mod executor;
mod kernels;
mod lack;
mod survey;

use std::path::PathBuf;

use net::{Mode, Net, Precision, Result};

pub use executor::Cuda;
pub use lack::{LEAST_CAPABILITY, Lack, Library, Version};
pub use survey::{Found, Gpu, Survey, survey};

/// Whether [`prepare`] can prepare nets.
pub const READY: bool = false;

/// How to run, apart from what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The driver's number of the GPU, from 0.
    pub device: usize,
    /// What is kept between layers and multiplied: f32, f32 multiplied as tf32, bf16 or f16.
    pub precision: Precision,
    /// The folders in which NVIDIA's libraries are looked for, in this order, and nowhere else.
    pub search: Vec<PathBuf>,
    /// A folder to keep compiled kernels in, made where there is none. Without one, or where it cannot be written, every process
    /// compiles them; anything in it may be removed at any time.
    pub cache: Option<PathBuf>,
    /// Keep every activation, and compute the gradient by the input pixels.
    pub inspect: bool,
    /// A layer whose output is kept for [`net::Executor::activation`], where a pass for inference would give its memory to others.
    /// The last layer's is always kept.
    pub keep: Option<String>,
}

/// Plans and allocates a run of `net` on batches of up to `batch` images.
///
/// # Errors
/// Where there is no such GPU or a library is missing ([`Lack`] has the words), `batch` is out of range, the layer to keep does not
/// exist, or there is too little memory.
pub fn prepare(_net: &Net, _batch: usize, _mode: Mode, _options: &Options) -> Result<Cuda> {
    Err(driver::fault("no net runs on a GPU yet"))
}

/// Bytes of the GPU's memory that [`prepare`] would take for tensors with the same arguments; neither the GPU nor the driver is
/// needed for it.
///
/// # Errors
/// Where `batch` is out of range or the layer to keep does not exist.
pub fn memory_bytes(_net: &Net, _batch: usize, _mode: Mode, _options: &Options) -> Result<u64> {
    Err(driver::fault("no net runs on a GPU yet"))
}
