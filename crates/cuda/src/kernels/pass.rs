//! What the launches of all layers have in common.

use super::Element;
use crate::args::{Ptr, Step, Struct};
use crate::driver::Launch;

/// Values of an image, of any layer, that kernels can count: a plan refuses nets with more.
pub(crate) const MOST_VALUES: usize = 1 << 31;
/// Threads of most kernels' blocks.
pub(super) const THREADS: usize = 256;
/// Bytes of shared memory that every GPU has for a block without being asked.
pub(super) const SHARED: usize = 48 << 10;
/// The most blocks in y.
const MOST_Y: usize = 65_535;

/// What every launch of a pass is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass {
    /// The values between layers.
    pub(crate) element: Element,
    /// The most images of a batch.
    pub(crate) capacity: usize,
    /// Where the device finds how many there are, and where they stand.
    pub(crate) step: Ptr<Step>,
}

impl Pass {
    /// Values that a thread loads at once.
    pub(super) fn vector(&self) -> usize {
        self.element.vector()
    }

    /// A launch with a thread for each of `items` of an image, images in y.
    pub(super) fn each_image(&self, kernel: &'static str, items: usize, args: &impl Struct) -> Launch {
        assert!((1..=MOST_VALUES).contains(&items), "{items} threads for an image");
        let grid = [small(items.div_ceil(THREADS)), self.rows(), 1];
        Launch { kernel, grid, threads: small(THREADS), shared: 0, args: args.bytes() }
    }

    /// Blocks in y where they count images; kernels go on with every so-manieth image.
    pub(super) fn rows(&self) -> u32 {
        small(self.capacity.clamp(1, MOST_Y))
    }
}

/// A size that a plan has seen to be small.
pub(super) fn small(size: usize) -> u32 {
    u32::try_from(size).unwrap_or_else(|_| panic!("a size of {size}"))
}
