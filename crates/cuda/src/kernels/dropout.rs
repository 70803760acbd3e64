//! `kernels/dropout.cu`: random zeroing in training.

#[cfg(test)]
mod tests;

use super::pass::{Pass, small};
use crate::args::Elems;
use crate::args::layers::Dropout;
use crate::driver::Launch;

/// What a dropout layer is, in training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    /// Maps, and pixels of each.
    pub(crate) c: usize,
    pub(crate) plane: usize,
    /// The layer's position in the net.
    pub(crate) layer: usize,
    /// [`net::random::dropout_threshold`] of the rate.
    pub(crate) threshold: u32,
    /// Of the survivors.
    pub(crate) factor: f32,
}

/// `y ← factor · x` where the mask keeps, else 0, of `[n, pixels, c]`; `y` may be `x`. The backward pass is the same with `dy` and `dx`.
pub(crate) fn dropout(pass: &Pass, num: &Numbers, x: Elems, y: Elems) -> Launch {
    let &Numbers { c, plane, layer, threshold, factor } = num;
    let (c32, plane32, step) = (small(c), small(plane), pass.step);
    let args = Dropout { x, y, step, c: c32, plane: plane32, layer: small(layer), threshold, factor, reserved: 0 };
    let vectors = c.is_multiple_of(pass.vector());
    if vectors && plane == 1 {
        pass.each_image("dropout_flat", c / pass.vector(), &args)
    } else if vectors && plane.is_multiple_of(4) {
        pass.each_image("dropout_maps", plane / 4 * (c / pass.vector()), &args)
    } else {
        pass.each_image("dropout_each", plane * c, &args)
    }
}
