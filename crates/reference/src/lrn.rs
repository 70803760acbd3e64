//! Response normalisation across maps: `y_i = x_i · S_i^−β`, `S_i = k + a · Σ_j x_j²`, j over the `n` maps around `i` in
//! the tower that holds `i`.

use std::ops::Range;

use net::{LrnAcross, Shape};

/// The maps that normalise map `i`.
fn neighbours(lrn: &LrnAcross, maps: usize, i: usize) -> Range<usize> {
    let tower = maps / lrn.towers;
    let (first, half) = (i / tower * tower, lrn.n / 2);
    i.saturating_sub(half).max(first)..(i + half + 1).min(first + tower)
}

/// `S_i` of every map and pixel of one image, `[c, h, w]`.
pub fn scale(lrn: &LrnAcross, shape: Shape, x: &[f64]) -> Vec<f64> {
    let plane = shape.plane();
    let mut scale = vec![lrn.k; shape.len()];
    for i in 0..shape.c {
        for j in neighbours(lrn, shape.c, i) {
            for pixel in 0..plane {
                scale[i * plane + pixel] += lrn.coefficient() * x[j * plane + pixel].powi(2);
            }
        }
    }
    scale
}

/// `y_i = x_i · S_i^−β` of one image, `[c, h, w]`.
pub fn forward(lrn: &LrnAcross, shape: Shape, x: &[f64], y: &mut [f64]) {
    let scale = scale(lrn, shape, x);
    for ((y, &x), &s) in y.iter_mut().zip(x).zip(&scale) {
        *y = x * s.powf(-lrn.beta);
    }
}

/// `dx_i = dy_i · S_i^−β − 2aβ · x_i · Σ_j dy_j · x_j · S_j^(−β−1)`: j normalises i exactly where i normalises j.
pub fn backward(lrn: &LrnAcross, shape: Shape, x: &[f64], dy: &[f64], dx: &mut [f64]) {
    let plane = shape.plane();
    let scale = scale(lrn, shape, x);
    let shared: Vec<f64> = (0..x.len()).map(|e| dy[e] * x[e] * scale[e].powf(-lrn.beta - 1.0)).collect();
    for i in 0..shape.c {
        for pixel in 0..plane {
            let e = i * plane + pixel;
            let sum: f64 = neighbours(lrn, shape.c, i).map(|j| shared[j * plane + pixel]).sum();
            dx[e] = dy[e] * scale[e].powf(-lrn.beta) - 2.0 * lrn.coefficient() * lrn.beta * x[e] * sum;
        }
    }
}

/// `Σ_j value_j` over the maps that normalise each map, `[c, h, w]`.
pub fn neighbour_sums(lrn: &LrnAcross, shape: Shape, values: &[f64]) -> Vec<f64> {
    let plane = shape.plane();
    let at = |e: usize| neighbours(lrn, shape.c, e / plane).map(|j| values[j * plane + e % plane]).sum();
    (0..shape.len()).map(at).collect()
}
