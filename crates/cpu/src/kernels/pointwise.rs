//! Rectification, hyperbolic tangent and dropout.

use net::random::{Stream, dropout_keeps};

use super::by_isa;

by_isa! {
    /// `y ← max(x, 0)`; NaN stays.
    pub(crate) fn relu(x: &[f32], y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = if x < 0.0 { 0.0 } else { x });
    }
}

by_isa! {
    /// `x ← max(x, 0)`; NaN stays.
    pub(crate) fn relu_in_place(x: &mut [f32]) {
        x.iter_mut().for_each(|x| *x = if *x < 0.0 { 0.0 } else { *x });
    }
}

by_isa! {
    /// `g ← g` where `y > 0`, else 0.
    pub(crate) fn relu_backward(y: &[f32], g: &mut [f32]) {
        g.iter_mut().zip(y).for_each(|(g, &y)| *g = if y > 0.0 { *g } else { 0.0 });
    }
}

/// `y ← tanh(x)`
pub(crate) fn tanh(x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = x.tanh());
}

/// `x ← tanh(x)`
pub(crate) fn tanh_in_place(x: &mut [f32]) {
    x.iter_mut().for_each(|x| *x = x.tanh());
}

by_isa! {
    /// `g ← g · (1 − y²)`, as `(1 − y)(1 + y)`, which loses nothing near ±1.
    pub(crate) fn tanh_backward(y: &[f32], g: &mut [f32]) {
        g.iter_mut().zip(y).for_each(|(g, &y)| *g *= (1.0 - y) * (1.0 + y));
    }
}

by_isa! {
    /// `y ← x · factor`
    pub(crate) fn scale(x: &[f32], factor: f32, y: &mut [f32]) {
        y.iter_mut().zip(x).for_each(|(y, &x)| *y = x * factor);
    }
}

by_isa! {
    /// `y[e] ← x[e] · factor` where the stream's number `e` is kept, else 0; the values of one image.
    pub(crate) fn dropout(stream: Stream, threshold: u32, factor: f32, x: &[f32], y: &mut [f32]) {
        for (block, (y, x)) in y.chunks_mut(4).zip(x.chunks(4)).enumerate() {
            for ((y, &x), bits) in y.iter_mut().zip(x).zip(stream.block(block as u32)) {
                *y = if dropout_keeps(bits, threshold) { x * factor } else { 0.0 };
            }
        }
    }
}

by_isa! {
    /// [`dropout`] in place: its own backward pass.
    pub(crate) fn dropout_in_place(stream: Stream, threshold: u32, factor: f32, g: &mut [f32]) {
        for (block, g) in g.chunks_mut(4).enumerate() {
            for (g, bits) in g.iter_mut().zip(stream.block(block as u32)) {
                *g = if dropout_keeps(bits, threshold) { *g * factor } else { 0.0 };
            }
        }
    }
}
