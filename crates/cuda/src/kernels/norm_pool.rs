//! `kernels/norm_pool.cu`: response normalisation across five maps and the maximum pooling of its output, in one pass.

#[cfg(test)]
mod tests;

use super::lrn::Across;
use super::pass::{Pass, SHARED, THREADS, small};
use super::pool::Windows;
use crate::args::layers::{Lrn, NormPool, Pool};
use crate::args::{Bytes, Elems, Struct};
use crate::driver::Launch;

/// Rows of the output that a block of the forward pass works on: the fewer, the more rows are normalised twice.
const ROWS: usize = 7;
/// Vectors that a warp of the backward pass works on.
const INNER: usize = 30;

/// A normalisation and the pooling of its output, gradients going to the first of equal maxima.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct NormPooling {
    pub(crate) norm: Across,
    /// Of the normalised maps; that its input is rectified is said by `norm`.
    pub(crate) windows: Windows,
}

impl NormPooling {
    /// Whether there are kernels for it; else it takes those of both layers.
    pub(crate) fn fits(&self, pass: &Pass) -> bool {
        let vectors = self.norm.tower().is_multiple_of(pass.vector());
        self.norm.n == 5 && vectors && self.windows.arg_bytes() == 1 && self.maps(pass) > 0
    }

    /// Bytes of shared memory for a vector of maps: it holds the rows of a window.
    fn shared(&self) -> usize {
        16 * self.windows.kernel.r * self.windows.input.w
    }

    /// Maps that a block works on: all, or as many as have room and a thread for each vector, in equal parts.
    fn maps(&self, pass: &Pass) -> usize {
        let (vectors, most) = (self.norm.c / pass.vector(), (SHARED / self.shared()).min(THREADS));
        if most == 0 { 0 } else { vectors.div_ceil(vectors.div_ceil(most)) * pass.vector() }
    }

    fn args(&self, pass: &Pass, lrn: Lrn, pool: Pool) -> NormPool {
        assert!(self.fits(pass), "{self:?}");
        NormPool { lrn, pool, maps: small(self.maps(pass)), rows: small(ROWS) }
    }
}

/// `y[n, p, q, c] ← max` over windows of what `x[n, h, w, c]` is normalised to, and where `arg` is given, `[n, p, q, c]`, the first
/// maximum's place in its window.
pub(crate) fn forward(pass: &Pass, num: &NormPooling, x: Elems, y: Elems, arg: Option<Bytes>) -> Launch {
    let arg_bytes = u32::from(arg.is_some());
    let pool = Pool { y, arg: arg.unwrap_or(Bytes::NULL), arg_bytes, ..num.windows.args(pass) };
    let args = num.args(pass, Lrn { x, ..num.norm.args(pass) }, pool);
    let maps = num.maps(pass);
    let blocks = num.windows.output.h.div_ceil(ROWS) * num.norm.c.div_ceil(maps);
    Launch {
        kernel: "norm_pool_forward",
        grid: [small(blocks), pass.rows(), 1],
        threads: small(THREADS),
        shared: small(num.shared() * (maps / pass.vector())),
        args: args.bytes(),
    }
}

/// The gradient by `x` from the one by what [`forward`] wrote: `dx[n, h, w, c]` of `dy` and `arg`, `[n, p, q, c]`.
pub(crate) fn backward(pass: &Pass, num: &NormPooling, x: Elems, arg: Bytes, dy: Elems, dx: Elems) -> Launch {
    let pool = Pool { arg, dy, arg_bytes: 1, ..num.windows.args(pass) };
    let args = num.args(pass, Lrn { x, dx, ..num.norm.args(pass) }, pool);
    let warps = (num.norm.pixels * (num.norm.c / pass.vector())).div_ceil(INNER);
    Launch {
        kernel: "norm_pool_backward",
        grid: [small(warps.div_ceil(THREADS / 32)), pass.rows(), 1],
        threads: small(THREADS),
        shared: 0,
        args: args.bytes(),
    }
}
