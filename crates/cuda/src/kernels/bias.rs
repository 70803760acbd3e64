//! `kernels/bias.cu`: gradients that are sums over rows, and the sums of parts that products leave.

#[cfg(test)]
mod tests;

use super::pass::{MOST_VALUES, Pass, THREADS, small};
use crate::args::layers::{Bias, Finish};
use crate::args::{Bytes, Elems, Floats, Struct};
use crate::driver::Launch;

/// The most vectors of a row that a block works on.
const MOST_LANES: usize = 64;
/// Rows that a thread sums.
const ROWS: usize = 32;
/// Channels of a block that adds chunks, and its threads.
const FINISH_LANES: usize = 32;
const FINISH_THREADS: usize = 1024;

/// The gradient by a bias: of `k` channels, over `plane` rows of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) k: usize,
    pub(crate) plane: usize,
}

impl Rows {
    /// Values that a thread loads at once.
    fn run(&self, pass: &Pass) -> usize {
        if self.k.is_multiple_of(pass.vector()) { pass.vector() } else { 1 }
    }

    /// Threads of a block along channels, and rows of a chunk.
    fn lanes(&self, pass: &Pass) -> (usize, usize) {
        let lanes = (self.k / self.run(pass)).min(MOST_LANES);
        (lanes, THREADS / lanes * ROWS)
    }

    fn chunks(&self, pass: &Pass) -> usize {
        (pass.capacity * self.plane).div_ceil(self.lanes(pass).1)
    }

    /// f32 that [`gradient`] needs between its two launches.
    pub(crate) fn partials_len(&self, pass: &Pass) -> usize {
        self.chunks(pass) * self.k
    }
}

/// `gradient[k] ← Σ dy[row, k]` over the rows of all images, added to what is there where the step's first batch has been; `partials` has
/// [`Rows::partials_len`] values. Two launches.
pub(crate) fn gradient(pass: &Pass, rows: &Rows, dy: Elems, partials: Floats, gradient: Floats) -> [Launch; 2] {
    assert!(pass.capacity * rows.plane <= MOST_VALUES, "{} rows of {} images", rows.plane, pass.capacity);
    let (lanes, chunk_rows) = rows.lanes(pass);
    let (k, plane, step) = (small(rows.k), small(rows.plane), pass.step);
    let args = Bias { dy, partials, gradient, step, k, plane, chunk_rows: small(chunk_rows), lanes: small(lanes) }.bytes();
    let run = rows.run(pass);
    let sums = Launch {
        kernel: if run == 1 { "bias_partials_each" } else { "bias_partials" },
        grid: [small(rows.chunks(pass).max(1)), small(rows.k.div_ceil(lanes * run)), 1],
        threads: small(THREADS),
        shared: small(THREADS * run * 4),
        args: args.clone(),
    };
    let grid = [small(rows.k.div_ceil(FINISH_LANES)), 1, 1];
    let (threads, shared) = (small(FINISH_THREADS), small(FINISH_THREADS * 4));
    [sums, Launch { kernel: "bias_gradient", grid, threads, shared, args }]
}

/// `gradient[len] ← Σ partials[parts, len]`, added to what is there where the step's first batch has been, and 0 where the byte of
/// the mask at `i % mask_len` is.
pub(crate) fn finish(
    pass: &Pass,
    len: usize,
    parts: usize,
    partials: Floats,
    gradient: Floats,
    mask: Option<(Bytes, usize)>,
) -> Launch {
    let (mask, mask_len) = mask.unwrap_or((Bytes::NULL, 1));
    let (step, len64) = (pass.step, len as u64);
    let args = Finish { partials, gradient, mask, step, len: len64, parts: small(parts), mask_len: small(mask_len) };
    let grid = [small(len.div_ceil(4).div_ceil(THREADS)), 1, 1];
    Launch { kernel: "finish", grid, threads: small(THREADS), shared: 0, args: args.bytes() }
}
