//! Response normalisation within a map: `y = x · S^−β`, `S = k + a · Σ x²` over the `n × n` window around each pixel,
//! clipped to the image.

use net::{LrnWithin, Shape};

/// `Σ value` over the window around each pixel of the same map, `[c, h, w]`.
pub fn neighbour_sums(lrn: &LrnWithin, shape: Shape, values: &[f64]) -> Vec<f64> {
    let half = lrn.n / 2;
    let mut sums = Vec::with_capacity(shape.len());
    for map in values.chunks_exact(shape.plane()) {
        for row in 0..shape.h {
            for column in 0..shape.w {
                let mut sum = 0.0;
                for y in row.saturating_sub(half)..(row + half + 1).min(shape.h) {
                    for x in column.saturating_sub(half)..(column + half + 1).min(shape.w) {
                        sum += map[y * shape.w + x];
                    }
                }
                sums.push(sum);
            }
        }
    }
    sums
}

/// `S` of every pixel of one image, `[c, h, w]`.
pub fn scale(lrn: &LrnWithin, shape: Shape, x: &[f64]) -> Vec<f64> {
    let squares: Vec<f64> = x.iter().map(|x| x * x).collect();
    neighbour_sums(lrn, shape, &squares).iter().map(|sum| lrn.k + lrn.coefficient() * sum).collect()
}

/// `y = x · S^−β` of one image, `[c, h, w]`.
pub fn forward(lrn: &LrnWithin, shape: Shape, x: &[f64], y: &mut [f64]) {
    let scale = scale(lrn, shape, x);
    for ((y, &x), &s) in y.iter_mut().zip(x).zip(&scale) {
        *y = x * s.powf(-lrn.beta);
    }
}

/// `dx_i = dy_i · S_i^−β − 2aβ · x_i · Σ_j dy_j · x_j · S_j^(−β−1)`: j is in i's window exactly where i is in j's.
pub fn backward(lrn: &LrnWithin, shape: Shape, x: &[f64], dy: &[f64], dx: &mut [f64]) {
    let scale = scale(lrn, shape, x);
    let shared: Vec<f64> = (0..x.len()).map(|e| dy[e] * x[e] * scale[e].powf(-lrn.beta - 1.0)).collect();
    let sums = neighbour_sums(lrn, shape, &shared);
    for e in 0..x.len() {
        dx[e] = dy[e] * scale[e].powf(-lrn.beta) - 2.0 * lrn.coefficient() * lrn.beta * x[e] * sums[e];
    }
}
