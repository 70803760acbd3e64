//! Hyperbolic tangent.

/// `y = tanh x`
pub fn forward(x: &[f64], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = x.tanh();
    }
}

/// `dx = dy / cosh² x`, which is `dy · (1 − tanh² x)` without its cancellation.
pub fn backward(x: &[f64], dy: &[f64], dx: &mut [f64]) {
    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
        *dx = dy / x.cosh().powi(2);
    }
}
