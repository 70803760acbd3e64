//! What a linear layer needs besides matrix products.

use super::by_isa;

by_isa! {
    /// `y ← y + bias`, then `max(·, 0)` if `relu`; NaN stays.
    pub(crate) fn add_bias(bias: &[f32], relu: bool, y: &mut [f32]) {
        if relu {
            y.iter_mut().zip(bias).for_each(|(y, &b)| *y = if *y + b < 0.0 { 0.0 } else { *y + b });
        } else {
            y.iter_mut().zip(bias).for_each(|(y, &b)| *y += b);
        }
    }
}

by_isa! {
    /// `out[j] ← [out +] Σ_i rows[i · ld + j]`, over `n` rows in order.
    pub(crate) fn add_rows(rows: &[f32], ld: usize, n: usize, accumulate: bool, out: &mut [f32]) {
        if !accumulate {
            out.fill(0.0);
        }
        for i in 0..n {
            out.iter_mut().zip(&rows[i * ld..]).for_each(|(out, &x)| *out += x);
        }
    }
}
