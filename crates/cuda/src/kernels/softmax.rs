//! `kernels/softmax.cu`: probabilities, loss, and the gradient by the logits.

#[cfg(test)]
mod tests;

use super::pass::{Pass, THREADS, small};
use crate::args::layers::{Doubles, PassResult, Softmax, SumLosses};
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
    /// The gradient by the logits, times the loss's scale, `[n, classes]`.
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
    launch(pass, "softmax_forward", classes, logits, probabilities, unlabelled, nowhere)
}

/// The same in training; logits and probabilities have their own memory.
pub(crate) fn loss(pass: &Pass, classes: usize, logits: Floats, probabilities: Floats, labels: Labels, loss: Loss) -> Launch {
    launch(pass, "softmax_loss", classes, logits, probabilities, labels, loss)
}

fn launch(
    pass: &Pass,
    kernel: &'static str,
    classes: usize,
    logits: Floats,
    probabilities: Floats,
    labels: Labels,
    loss: Loss,
) -> Launch {
    let (second, shares) = labels.mixed.unwrap_or((Uints::NULL, Floats::NULL));
    let Loss { dz, nll, hits } = loss;
    let (labels, step, classes) = (labels.labels, pass.step, small(classes));
    let args = Softmax { logits, probabilities, labels, second, shares, dz, nll, hits, step, classes, reserved: 0 };
    let grid = [small(pass.capacity.max(1)), 1, 1];
    Launch { kernel, grid, threads: small(IMAGE_THREADS), shared: small(IMAGE_THREADS * 8), args: args.bytes() }
}

/// Sums what [`loss`] left of each image.
pub(crate) fn sum_losses(pass: &Pass, nll: Doubles, hits: Uints, result: Ptr<PassResult>) -> Launch {
    let args = SumLosses { nll, hits, result, step: pass.step };
    let (threads, shared) = (small(THREADS), small(THREADS * 8));
    Launch { kernel: "sum_losses", grid: [1, 1, 1], threads, shared, args: args.bytes() }
}
