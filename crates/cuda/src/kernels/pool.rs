//! `kernels/pool.cu`: maximum and mean over windows clipped to the image.

#[cfg(test)]
mod tests;

use net::{Pair, Shape};

use super::pass::{Pass, small};
use crate::args::layers::Pool;
use crate::args::{Bytes, Elems};
use crate::driver::Launch;

/// Bytes of the number that names a window's winner.
pub(crate) fn arg_bytes(kernel: Pair) -> usize {
    match kernel.r * kernel.s {
        0..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    }
}

/// The windows of a pooling layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    pub(crate) kernel: Pair,
    pub(crate) stride: Pair,
    pub(crate) top: usize,
    pub(crate) left: usize,
    /// Whether the input is the output of a rectifier, so that backward passes give the gradient by the rectifier's input.
    pub(crate) rectified: bool,
}

impl Windows {
    /// Bytes of the number that names a window's winner: its places, and one number more for nobody.
    pub(crate) fn arg_bytes(&self) -> usize {
        arg_bytes(self.kernel)
    }

    /// The same kernel for vectors of maps, or for whatever there is.
    fn launch(&self, pass: &Pass, [vectors, each]: [&'static str; 2], pixels: usize, args: &Pool) -> Launch {
        let c = self.input.c;
        if c.is_multiple_of(pass.vector()) && args.arg_bytes <= 1 {
            pass.each_image(vectors, pixels * (c / pass.vector()), args)
        } else {
            pass.each_image(each, pixels * c, args)
        }
    }

    /// The arguments that say what they are.
    pub(super) fn args(&self, pass: &Pass) -> Pool {
        let x = Elems::NULL;
        let Windows { input, output, kernel, stride, top, left, rectified } = *self;
        Pool {
            x,
            y: x,
            dy: x,
            dx: x,
            arg: Bytes::NULL,
            step: pass.step,
            c: small(input.c),
            h: small(input.h),
            w: small(input.w),
            p: small(output.h),
            q: small(output.w),
            r: small(kernel.r),
            s: small(kernel.s),
            stride_r: small(stride.r),
            stride_s: small(stride.s),
            top: small(top),
            left: small(left),
            arg_bytes: 0,
            rectified: rectified.into(),
            reserved: 0,
        }
    }
}

/// `y[n, p, q, c] ← max` over windows of `x[n, h, w, c]`, and where `arg` is given, `[n, p, q, c]` of [`Windows::arg_bytes`] each, the
/// first maximum's place in its window.
pub(crate) fn max_forward(pass: &Pass, win: &Windows, x: Elems, y: Elems, arg: Option<Bytes>) -> Launch {
    let arg_bytes = if arg.is_some() { small(win.arg_bytes()) } else { 0 };
    let args = Pool { x, y, arg: arg.unwrap_or(Bytes::NULL), arg_bytes, ..win.args(pass) };
    win.launch(pass, ["max_pool_forward", "max_pool_forward_each"], win.output.plane(), &args)
}

/// `dx[n, h, w, c] ← Σ dy[n, p, q, c]` of the windows whose winner by `arg` this pixel is.
pub(crate) fn max_backward(pass: &Pass, win: &Windows, arg: Bytes, dy: Elems, dx: Elems) -> Launch {
    let args = Pool { arg, dy, dx, arg_bytes: small(win.arg_bytes()), ..win.args(pass) };
    win.launch(pass, ["max_pool_backward", "max_pool_backward_each"], win.input.plane(), &args)
}

/// `dx[n, h, w, c] ← Σ dy[n, p, q, c]` of the windows whose maximum `y` this pixel of `x` equals.
pub(crate) fn max_backward_all(pass: &Pass, win: &Windows, x: Elems, y: Elems, dy: Elems, dx: Elems) -> Launch {
    let args = Pool { x, y, dy, dx, ..win.args(pass) };
    win.launch(pass, ["max_pool_backward_all", "max_pool_backward_all_each"], win.input.plane(), &args)
}

/// `y[n, p, q, c] ←` mean over windows of `x[n, h, w, c]`.
pub(crate) fn avg_forward(pass: &Pass, win: &Windows, x: Elems, y: Elems) -> Launch {
    let args = Pool { x, y, ..win.args(pass) };
    win.launch(pass, ["avg_pool_forward", "avg_pool_forward_each"], win.output.plane(), &args)
}

/// `dx[n, h, w, c] ← Σ dy[n, p, q, c] ÷ area` of the windows that hold this pixel; `rectified` means nothing here.
pub(crate) fn avg_backward(pass: &Pass, win: &Windows, dy: Elems, dx: Elems) -> Launch {
    let args = Pool { dy, dx, ..win.args(pass) };
    win.launch(pass, ["avg_pool_backward", "avg_pool_backward_each"], win.input.plane(), &args)
}
