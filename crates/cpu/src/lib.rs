//! The CPU engine: f32, every layer of every net, all cores.

mod arena;
mod executor;
mod isa;
mod kernels;
pub mod nearest;
pub mod peaks;
mod plan;
mod threads;

pub use executor::{Cpu, Timing};
pub use isa::{Isa, UnknownIsa};

use net::{Mode, Net, Precision, Result};

/// How to run, apart from what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Threads, 1 to 1024; `None` is one for each core that the process may use. Results do not depend on it.
    pub threads: Option<usize>,
    /// The instruction set; `None` is the highest that the CPU has.
    pub isa: Option<Isa>,
    /// Keep every activation, and compute the gradient by the input pixels.
    pub inspect: bool,
    /// A layer whose output is kept for [`net::Executor::activation`], where a pass for inference would give its memory to others.
    /// The last layer's is always kept, and everything is in training but what a ReLU in place overwrites.
    pub keep: Option<String>,
    /// What operands may be rounded to: with bf16, those of linear layers. Convolutions stay f32, for their tiles need fewer
    /// operations in f32 than plain products in bf16. There is neither tf32 nor f16.
    pub precision: Precision,
    /// How convolutions are computed; `None` is what the plan's count of operations says costs less, layer by layer.
    pub convolutions: Option<Convolution>,
}

/// How all passes of a convolution are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convolution {
    /// By Winograd's tiles, where there are tiles for it.
    Tiles,
    /// As a matrix product.
    Product,
}

impl std::fmt::Display for Convolution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Convolution::Tiles => "tiles",
            Convolution::Product => "product",
        })
    }
}

/// A convolution of a plan, and what the plan knows of its candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The layer's name.
    pub layer: String,
    /// What the plan has.
    pub picked: Convolution,
    /// The modelled cost of an image's forward pass by tiles, in multiply-adds; `None` where there are no tiles for it.
    pub tiles_cost: Option<u64>,
    /// The same of the product.
    pub product_cost: u64,
}

/// Plans and allocates a run of `net` on batches of up to `batch` images; nothing is allocated afterwards but what
/// [`net::Executor::save`], [`net::Executor::activation`] and [`net::Executor::input_gradient`] return, and room for losses
/// where more than a thousand wait to be taken.
///
/// # Errors
/// Where `batch` or the number of threads is out of range, the CPU lacks the instruction set, the engine the precision, the layer to
/// keep does not exist, or there is too little memory.
pub fn prepare(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<Cpu> {
    Cpu::new(net, batch, mode, options)
}

/// Bytes that [`prepare`] would allocate for tensors with the same arguments; nothing is allocated.
///
/// # Errors
/// Where `batch` or the number of threads is out of range, the CPU lacks the instruction set, the engine the precision, or the layer
/// to keep does not exist.
pub fn memory_bytes(net: &Net, batch: usize, mode: Mode, options: &Options) -> Result<u64> {
    Cpu::memory_bytes(net, batch, mode, options)
}
