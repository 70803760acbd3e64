//! `kernels/update.cu` and `kernels/check.cu`: all parameters of a net at once.

#[cfg(test)]
mod tests;

use super::pass::{THREADS, small};
use crate::args::layers::{Check, Parameter, Rate, Update, UpdateNumbers};
use crate::args::{Elems, Floats, Ptr, Step, Struct, Uints};
use crate::driver::Launch;

/// Values of a chunk, the same number as in `kernels/parameters.cuh`.
const CHUNK: usize = 4096;

/// Where a parameter lies, at multiples of 16 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) weight: Floats,
    pub(crate) velocity: Floats,
    pub(crate) gradient: Floats,
    /// What products read; null where that is the weight itself.
    pub(crate) copy: Elems,
    /// Values of each.
    pub(crate) len: usize,
}

/// The list of all parameters as kernels read it.
#[derive(Debug, Clone)]
pub(crate) struct List {
    /// What is to lie in the device's memory.
    pub(crate) bytes: Vec<u8>,
    /// Its parameters.
    pub(crate) count: usize,
    /// Blocks of work.
    pub(crate) chunks: usize,
}

impl List {
    pub(crate) fn new(places: &[Place]) -> List {
        let (mut bytes, mut chunks) = (Vec::new(), 0);
        for &Place { weight, velocity, gradient, copy, len } in places {
            assert!(len > 0, "a parameter has values");
            let (first_chunk, len64) = (small(chunks), len as u64);
            bytes.extend(Parameter { weight, velocity, gradient, copy, len: len64, first_chunk, reserved: 0 }.bytes());
            chunks += len.div_ceil(CHUNK);
        }
        List { bytes, count: places.len(), chunks }
    }

    fn launch(&self, kernel: &'static str, blocks: usize, shared: usize, args: &impl Struct) -> Launch {
        Launch { kernel, grid: [small(blocks), 1, 1], threads: small(THREADS), shared: small(shared), args: args.bytes() }
    }
}

/// What an update reads besides the list, in the device's memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Numbers {
    /// One for each parameter.
    pub(crate) rates: Ptr<Rate>,
    pub(crate) numbers: Ptr<UpdateNumbers>,
    /// 0 there keeps everything as it is; null where nobody asks.
    pub(crate) finite: Uints,
    /// Whose loss's scale the gradients have.
    pub(crate) step: Ptr<Step>,
}

/// Weights, velocities and copies become the next step's; `parameters` is where the list lies.
pub(crate) fn update(list: &List, parameters: Ptr<Parameter>, numbers: Numbers) -> Launch {
    let Numbers { rates, numbers, finite, step } = numbers;
    let args = Update { parameters, rates, numbers, finite, step, count: small(list.count), reserved: 0 };
    list.launch("update", list.chunks, 0, &args)
}

/// Copies become what the weights are.
pub(crate) fn copy_weights(list: &List, parameters: Ptr<Parameter>) -> Launch {
    let count = small(list.count);
    let (rates, numbers, finite, step) = (Ptr::NULL, Ptr::NULL, Uints::NULL, Ptr::NULL);
    list.launch("copy_weights", list.chunks, 0, &Update { parameters, rates, numbers, finite, step, count, reserved: 0 })
}

/// `finite ← 1` where all gradients are finite, else 0; `flags` has room for [`List::chunks`]. Two launches.
pub(crate) fn check(list: &List, parameters: Ptr<Parameter>, flags: Uints, finite: Uints) -> [Launch; 2] {
    let args = Check { parameters, flags, finite, count: small(list.count), chunks: small(list.chunks) };
    [("find_not_finite", list.chunks), ("all_finite", 1)].map(|(kernel, blocks)| list.launch(kernel, blocks, THREADS * 4, &args))
}
