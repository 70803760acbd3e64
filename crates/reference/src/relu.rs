//! Rectification: `y = max(x, 0)`.

/// `y = max(x, 0)`; a NaN stays a NaN.
pub fn forward(x: &[f64], y: &mut [f64]) {
    for (y, &x) in y.iter_mut().zip(x) {
        *y = if x <= 0.0 { 0.0 } else { x };
    }
}

/// `dx = dy` where `x > 0`, else 0: the gradient at 0 is 0.
pub fn backward(x: &[f64], dy: &[f64], dx: &mut [f64]) {
    for ((dx, &x), &dy) in dx.iter_mut().zip(x).zip(dy) {
        *dx = if x > 0.0 { dy } else { 0.0 };
    }
}
