//! `kernels/pointwise.cu`: rectification, hyperbolic tangent, and a factor.

#[cfg(test)]
mod tests;

use super::pass::{Pass, THREADS, small};
use crate::args::layers::Pointwise;
use crate::args::{Elems, Struct};
use crate::driver::Launch;

/// `y ← max(x, 0)` of `len` values an image; `y` may be `x`.
pub(crate) fn relu_forward(pass: &Pass, len: usize, x: Elems, y: Elems) -> Launch {
    launch(pass, "relu_forward", len, Pointwise { x, y, ..nothing(pass) })
}

/// `dx ← dy` where `y > 0`, else 0, of `len` values an image; `dx` may be `dy`.
pub(crate) fn relu_backward(pass: &Pass, len: usize, y: Elems, dy: Elems, dx: Elems) -> Launch {
    launch(pass, "relu_backward", len, Pointwise { y, dy, dx, ..nothing(pass) })
}

/// `y ← tanh x` of `len` values an image; `y` may be `x`.
pub(crate) fn tanh_forward(pass: &Pass, len: usize, x: Elems, y: Elems) -> Launch {
    launch(pass, "tanh_forward", len, Pointwise { x, y, ..nothing(pass) })
}

/// `dx ← dy · (1 − y²)` of `len` values an image; `dx` may be `dy`.
pub(crate) fn tanh_backward(pass: &Pass, len: usize, y: Elems, dy: Elems, dx: Elems) -> Launch {
    launch(pass, "tanh_backward", len, Pointwise { y, dy, dx, ..nothing(pass) })
}

/// `y ← factor · x` of `len` values an image; `y` may be `x`.
pub(crate) fn scale(pass: &Pass, len: usize, factor: f32, x: Elems, y: Elems) -> Launch {
    launch(pass, "scale", len, Pointwise { x, y, factor, ..nothing(pass) })
}

fn nothing(pass: &Pass) -> Pointwise {
    let (x, step) = (Elems::NULL, pass.step);
    Pointwise { x, y: x, dy: x, dx: x, step, len: 0, factor: 1.0, reserved: 0 }
}

/// A thread for every vector of the whole batch.
fn launch(pass: &Pass, kernel: &'static str, len: usize, args: Pointwise) -> Launch {
    let vectors = (pass.capacity * len).div_ceil(pass.vector());
    let grid = [small(vectors.div_ceil(THREADS).max(1)), 1, 1];
    Launch { kernel, grid, threads: small(THREADS), shared: 0, args: Pointwise { len: len as u64, ..args }.bytes() }
}
