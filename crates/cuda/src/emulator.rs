//! The engine on a device that is an ordinary CPU: every kernel is executed, thread by thread, with no GPU. For tests: it is slow, and needs
//! g++ at run time.

use std::path::PathBuf;

use net::{Mode, Net, Precision, Result};

use crate::driver::emulated::Emulated;
use crate::executor::{Cuda, How};
use crate::kernels::Element;

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// What operands of products, and values between layers, are rounded to.
    pub precision: Precision,
    /// Keep every activation, and compute the gradient by the input pixels.
    pub inspect: bool,
    /// A layer whose output is kept for [`net::Executor::activation`].
    pub keep: Option<String>,
    /// Launch kernels one by one, and record nothing.
    pub unrecorded: bool,
    /// The order in which threads run.
    pub seed: u64,
    /// Blocks that run at once.
    pub workers: usize,
    /// Where compiled kernels are kept.
    pub folder: PathBuf,
}

/// As the engine on a GPU, see `prepare`.
///
/// # Errors
/// Where there is no g++, or too little memory.
pub fn prepare(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cuda> {
    let element = Element::from(options.precision);
    let device = Emulated::new(element, options.seed, &options.folder)?.with_workers(options.workers);
    prepare_on(device, net, batch, mode, options)
}

/// The same with every access of every kernel looked at by address sanitizer and undefined-behaviour sanitizer, in a process of its
/// own; what they find is an error of the pass. One block runs at a time.
///
/// # Errors
/// Where there is no g++ with sanitizers, or too little memory.
pub fn prepare_sanitized(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cuda> {
    let device = Emulated::sanitized(Element::from(options.precision), options.seed, &options.folder)?;
    prepare_on(device, net, batch, mode, options)
}

fn prepare_on(device: Emulated, net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cuda> {
    let plan = crate::planned(net, batch, mode, options.precision, options.inspect, options.keep.as_deref())?;
    // Its memory is no number before it is written.
    Cuda::new(plan, Box::new(device), How { recorded: !options.unrecorded, poisoned: false })
}

/// Whether there is what it needs.
///
/// # Errors
/// Where not, saying what is missing.
pub fn available(folder: &std::path::Path) -> Result<()> {
    Emulated::new(Element::F32, 0, folder).map(|_| ())
}
