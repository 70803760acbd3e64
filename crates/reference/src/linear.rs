//! Matrix product over the flattened input.

/// `y[k] = b[k] + Σ_i w[k,i] · x[i]` of one image.
pub fn forward(x: &[f64], w: &[f64], b: &[f64], y: &mut [f64]) {
    for (k, row) in w.chunks_exact(x.len()).enumerate() {
        y[k] = b[k] + row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
}

/// `dx[i] = Σ_k w[k,i] · dy[k]`
pub fn backward_input(w: &[f64], dy: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for (row, dy) in w.chunks_exact(dx.len()).zip(dy) {
        dx.iter_mut().zip(row).for_each(|(dx, w)| *dx += w * dy);
    }
}

/// `dw[k,i] += dy[k] · x[i]` and `db[k] += dy[k]`.
pub fn backward_params(x: &[f64], dy: &[f64], dw: &mut [f64], db: &mut [f64]) {
    for (row, dy) in dw.chunks_exact_mut(x.len()).zip(dy) {
        row.iter_mut().zip(x).for_each(|(dw, x)| *dw += dy * x);
    }
    db.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
}
