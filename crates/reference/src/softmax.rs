//! Softmax over all values of an image, and its cross-entropy with a label or a mixture of two.

use net::Target;

/// The greatest logit, by which all are shifted so that nothing overflows.
fn maximum(x: &[f64]) -> f64 {
    x.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// `Σ_i exp(x_i − max)`
fn shifted_sum(x: &[f64], max: f64) -> f64 {
    x.iter().map(|x| (x - max).exp()).sum()
}

/// `p_i = exp(x_i) / Σ_j exp(x_j)` of one image.
pub fn forward(x: &[f64], p: &mut [f64]) {
    let max = maximum(x);
    let sum = shifted_sum(x, max);
    for (p, x) in p.iter_mut().zip(x) {
        *p = (x - max).exp() / sum;
    }
}

/// `−ln p_label`, from the logits: finite even where `p_label` is too small for a float.
pub fn nll(x: &[f64], label: u32) -> f64 {
    let max = maximum(x);
    shifted_sum(x, max).ln() + (max - x[label as usize])
}

/// `−s·ln p_label − (1 − s)·ln p_second` with the share `s` of the first label.
pub fn cross_entropy(x: &[f64], target: Target) -> f64 {
    let share = f64::from(target.share);
    share * nll(x, target.label) + (1.0 - share) * nll(x, target.second)
}

/// The class of the highest probability; the lowest index wins ties.
pub fn top1(p: &[f64]) -> u32 {
    let mut best = 0;
    for (class, &value) in p.iter().enumerate() {
        if value > p[best] {
            best = class;
        }
    }
    best as u32
}

/// `dx_i = (p_i − s·[i = label] − (1 − s)·[i = second]) / step_images`: the gradient of the step's mean of [`cross_entropy`] by
/// the logits.
pub fn backward(p: &[f64], target: Target, step_images: u32, dx: &mut [f64]) {
    let share = f64::from(target.share);
    for (class, (dx, p)) in dx.iter_mut().zip(p).enumerate() {
        let first = if class == target.label as usize { share } else { 0.0 };
        let second = if class == target.second as usize { 1.0 - share } else { 0.0 };
        *dx = (p - (first + second)) / f64::from(step_images);
    }
}
