//! The GPU engine: every layer of every net on one NVIDIA GPU.
//!
//! Everything that this crate needs of CUDA is found when it is asked for: it builds, links and starts where there is none.
//! [`survey`] tells what there is, and in words what is missing.

mod args;
mod driver;
#[cfg(feature = "emulator")]
pub mod emulator;
mod executor;
mod kernels;
mod lack;
mod plan;
mod survey;

use std::path::PathBuf;

use net::{Mode, Net, Precision, Result};

use driver::cuda::{Device, Settings};
use executor::How;
pub use executor::{Cuda, KernelTime, Rate};
use kernels::Element;
pub use lack::{LEAST_CAPABILITY, Lack, Library, Version};
use plan::{Plan, Request};
pub use survey::{Found, Gpu, Survey, survey};

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
    /// Launch kernels one by one, where else a pass is recorded once and put on the GPU at once: to see what that gains.
    pub unrecorded: bool,
    /// Fill the engine's memory with what is no number before it is used, so that reading what was never written shows.
    pub poisoned: bool,
}

/// Plans and allocates a run of `net` on batches of up to `batch` images.
///
/// # Errors
/// Where there is no such GPU or a library is missing ([`Lack`] has the words), `batch` is out of range, the layer to keep does not
/// exist, or there is too little memory.
pub fn prepare(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cuda> {
    let plan = plan(net, batch, mode, options)?;
    let Options { device, search, cache, .. } = options.clone();
    let settings = Settings { device, element: plan.element, search, cache };
    Cuda::new(plan, Box::new(Device::open(&settings)?), how(options))
}

/// Bytes of the GPU's memory that [`prepare`] would take for tensors with the same arguments; neither the GPU nor the driver is
/// needed for it.
///
/// # Errors
/// Where `batch` is out of range or the layer to keep does not exist.
pub fn memory_bytes(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<u64> {
    Ok(executor::memory_bytes(&plan(net, batch, mode, options)?))
}

fn how(options: &Options) -> How {
    How { recorded: !options.unrecorded, poisoned: options.poisoned }
}

fn plan(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Plan> {
    planned(net, batch, mode, options.precision, options.inspect, options.keep.as_deref())
}

fn planned(net: &Net, capacity: usize, mode: Mode, precision: Precision, inspect: bool, keep: Option<&str>) -> Result<Plan> {
    let keep = keep.map(|layer| net.find_layer("cuda", layer)).transpose()?;
    Plan::new(&Request { net, capacity, mode, element: Element::from(precision), inspect, keep })
}
