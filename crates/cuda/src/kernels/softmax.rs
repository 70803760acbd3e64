//! `kernels/softmax.cu`: probabilities, loss, and the gradient by the logits.

#[cfg(test)]
mod tests;

use net::Shape;

use super::pass::{Pass, THREADS, small};
use crate::args::layers::{Doubles, Logits, PassResult, Softmax, SumLosses};
use crate::args::{Elems, Floats, Ptr, Struct, Uints};
use crate::driver::Launch;

/// Threads of the kernels that work on images.
const IMAGE_THREADS: usize = 128;

/// What images show.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    /// `[n]`
    pub(crate) labels: Uints,
    /// Second labels and shares of the first, `[n]` each, where images are mixtures.
    pub(crate) mixed: Option<(Uints, Floats)>,
}

/// What a pass of training makes of the logits besides probabilities.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    /// The gradient by the logits, times the loss's scale, `[n, h, w, c]`.
    pub(crate) dz: Elems,
    /// Cross-entropy of each image, `[n]`.
    pub(crate) nll: Doubles,
    /// Whether the label is on top, `[n]`.
    pub(crate) hits: Uints,
}

/// Logits to probabilities, both `[n, classes]`; they may be the same memory.
pub(crate) fn forward(pass: &Pass, classes: usize, logits: Floats, probabilities: Floats) -> Launch {
    let unlabelled = Labels { labels: Uints::NULL, mixed: None };
    let nowhere = Loss { dz: Elems::NULL, nll: Doubles::NULL, hits: Uints::NULL };
    launch(pass, "softmax_forward", Shape { c: classes, h: 1, w: 1 }, logits, probabilities, unlabelled, nowhere)
}

/// The values of an image, `x` `[n, h, w, c]`, as logits `[n, classes]`: classes are values in the order `[c, h, w]`.
pub(crate) fn logits(pass: &Pass, shape: Shape, x: Elems, logits: Floats) -> Launch {
    let args = Logits { x, logits, step: pass.step, classes: small(shape.len()), plane: small(shape.plane()) };
    let grid = [small(pass.capacity.max(1)), 1, 1];
    Launch { kernel: "softmax_logits", grid, threads: small(IMAGE_THREADS), shared: 0, args: args.bytes() }
}

/// The same as [`forward`] in training; logits and probabilities have their own memory. `shape` is that of what the logits were made of.
pub(crate) fn loss(pass: &Pass, shape: Shape, logits: Floats, probabilities: Floats, labels: Labels, loss: Loss) -> Launch {
    launch(pass, "softmax_loss", shape, logits, probabilities, labels, loss)
}

fn launch(
    pass: &Pass,
    kernel: &'static str,
    shape: Shape,
    logits: Floats,
    probabilities: Floats,
    labels: Labels,
    loss: Loss,
) -> Launch {
    let (second, shares) = labels.mixed.unwrap_or((Uints::NULL, Floats::NULL));
    let Loss { dz, nll, hits } = loss;
    let (labels, step, classes, plane) = (labels.labels, pass.step, small(shape.len()), small(shape.plane()));
    let args = Softmax { logits, probabilities, labels, second, shares, dz, nll, hits, step, classes, plane };
    let grid = [small(pass.capacity.max(1)), 1, 1];
    Launch { kernel, grid, threads: small(IMAGE_THREADS), shared: small(IMAGE_THREADS * 8), args: args.bytes() }
}

/// Sums what [`loss`] left of each image.
pub(crate) fn sum_losses(pass: &Pass, nll: Doubles, hits: Uints, result: Ptr<PassResult>) -> Launch {
    let args = SumLosses { nll, hits, result, step: pass.step };
    let (threads, shared) = (small(THREADS), small(THREADS * 8));
    Launch { kernel: "sum_losses", grid: [1, 1, 1], threads, shared, args: args.bytes() }
}
