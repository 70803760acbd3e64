//! Maximum over each window, clipped to the image.

use net::{MaxPool, Shape, Ties, window};

/// `y[c,p,q] = max x[c, window]` of one image; a NaN in a window makes its maximum a NaN.
pub fn forward(pool: &MaxPool, input: Shape, output: Shape, x: &[f64], y: &mut [f64]) {
    for_each_window(pool, input, output, |out, pixels| y[out] = maximum(x, pixels));
}

/// `dx = Σ dy[c,p,q]` over the windows whose gradient this pixel receives: as their first maximum in row-major order, or
/// as one of their maxima.
pub fn backward(pool: &MaxPool, input: Shape, output: Shape, x: &[f64], dy: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for_each_window(pool, input, output, |out, pixels| {
        for pixel in winners(pool.ties, x, pixels) {
            dx[pixel] += dy[out];
        }
    });
}

/// For each output, the places in `x` that receive its gradient.
pub fn receivers(pool: &MaxPool, input: Shape, output: Shape, x: &[f64]) -> Vec<Vec<usize>> {
    let mut all = Vec::with_capacity(output.len());
    for_each_window(pool, input, output, |_, pixels| all.push(winners(pool.ties, x, pixels).collect()));
    all
}

fn maximum(x: &[f64], pixels: &[usize]) -> f64 {
    pixels.iter().map(|&i| x[i]).fold(f64::NEG_INFINITY, |max, x| if max >= x { max } else { x })
}

fn winners(ties: Ties, x: &[f64], pixels: &[usize]) -> impl Iterator<Item = usize> {
    let max = maximum(x, pixels);
    let count = match ties {
        Ties::First => 1,
        Ties::All => usize::MAX,
    };
    pixels.iter().copied().filter(move |&i| x[i] == max).take(count)
}

/// Calls `visit(output, pixels)` with the places in `x` of each window's pixels, row-major, outputs in their own order.
fn for_each_window(pool: &MaxPool, input: Shape, output: Shape, mut visit: impl FnMut(usize, &[usize])) {
    let mut pixels = Vec::new();
    for c in 0..input.c {
        for p in 0..output.h {
            for q in 0..output.w {
                pixels.clear();
                for y in window(p, pool.kernel.r, pool.stride.r, pool.padding.top, input.h) {
                    for x in window(q, pool.kernel.s, pool.stride.s, pool.padding.left, input.w) {
                        pixels.push((c * input.h + y) * input.w + x);
                    }
                }
                visit((c * output.h + p) * output.w + q, &pixels);
            }
        }
    }
}
