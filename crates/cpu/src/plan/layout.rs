//! How a buffer's images lie, and which layers want which.

use net::{MaxPool, Op, Ties};

use super::{Context, Input};
use crate::kernels::lrn::LrnNumbers;
use net::lifetimes::Buffer;

/// The order of an image's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// `[c, h, w]`
    Planes,
    /// `[channel block, h, w, LANES]`, of a whole number of blocks.
    Blocks,
}

/// A layer's input in another layout than the layer before has written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reorder {
    /// What the layer before has written.
    pub(crate) from: Input,
    /// The layout of the copy.
    pub(crate) to: Layout,
    /// The gradient by the input in the layout of `from`, where somebody needs it.
    pub(crate) dx: Option<Buffer>,
}

/// The layouts that the layer of `context` reads and writes, where the one before has written `from`. A convolution that goes
/// through tiles reads blocks (pixels that it folds itself: planes) and writes blocks.
pub(super) fn of(context: &Context<'_>, from: Layout, tiled: Option<usize>) -> (Layout, Layout) {
    use Layout::{Blocks, Planes};
    let op = &context.request.net.layers()[context.layer].op;
    match op {
        Op::Conv(_) => match tiled {
            Some(1) => (Blocks, Blocks),
            Some(_) => (Planes, Blocks),
            None => (Planes, Planes),
        },
        Op::Relu | Op::Tanh => (from, from),
        Op::Lrn(op) => {
            let maps = context.request.net.input_of(context.layer).c;
            let fits = LrnNumbers::new(op, maps).fits_blocks();
            if from == Blocks && fits { (Blocks, Blocks) } else { (Planes, Planes) }
        }
        Op::MaxPool(op) => {
            if from == Blocks && (is_named(op) || !context.data_gradient) {
                (Blocks, Blocks)
            } else {
                (Planes, Planes)
            }
        }
        _ => (Planes, Planes),
    }
}

/// Whether a byte names the winner of each window, one value being left over for nobody.
pub(super) fn is_named(pool: &MaxPool) -> bool {
    pool.ties == Ties::First && pool.kernel.r * pool.kernel.s <= 255
}
