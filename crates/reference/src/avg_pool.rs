//! Mean over each window, clipped to the image and divided by the clipped area.

use net::{AvgPool, Shape, window};

/// `y[c,p,q] = Σ x[c, window] / |window|` of one image.
pub fn forward(pool: &AvgPool, input: Shape, output: Shape, x: &[f64], y: &mut [f64]) {
    y.fill(0.0);
    for_each_pixel(pool, input, output, |out, pixel, area| y[out] += x[pixel] / area);
}

/// `dx[c,h,w] = Σ dy[c,p,q] / |window|` over the windows that hold this pixel.
pub fn backward(pool: &AvgPool, input: Shape, output: Shape, dy: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for_each_pixel(pool, input, output, |out, pixel, area| dx[pixel] += dy[out] / area);
}

/// Calls `visit(output, pixel, area)` for each pixel of each clipped window.
fn for_each_pixel(pool: &AvgPool, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize, f64)) {
    for c in 0..input.c {
        for p in 0..output.h {
            for q in 0..output.w {
                let rows = window(p, pool.kernel.r, pool.stride.r, pool.padding.top, input.h);
                let columns = window(q, pool.kernel.s, pool.stride.s, pool.padding.left, input.w);
                let area = (rows.len() * columns.len()) as f64;
                for y in rows {
                    for x in columns.clone() {
                        visit((c * output.h + p) * output.w + q, (c * input.h + y) * input.w + x, area);
                    }
                }
            }
        }
    }
}
