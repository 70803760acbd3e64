//! Softmax and cross-entropy of one image, with a label or a mixture of two.

/// The largest value; NaN is passed over.
fn most(z: &[f32]) -> f32 {
    z.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// `p ← e^(z − max z) / Σ`. Where a logit is NaN or +∞, every probability is NaN.
pub(crate) fn softmax(z: &[f32], p: &mut [f32]) {
    let most = most(z);
    let mut sum = 0.0f64;
    for (p, &z) in p.iter_mut().zip(z) {
        *p = (z - most).exp();
        sum += f64::from(*p);
    }
    let scale = (1.0 / sum) as f32;
    p.iter_mut().for_each(|p| *p *= scale);
}

/// `−ln p(label)` of the logits `z`, in f64; not finite where a logit is not.
pub(crate) fn nll(z: &[f32], label: usize) -> f64 {
    let most = f64::from(most(z));
    let sum: f64 = z.iter().map(|&z| (f64::from(z) - most).exp()).sum();
    sum.ln() + most - f64::from(z[label])
}

/// `−s·ln p(label) − (1 − s)·ln p(second)` of the logits `z`, in f64, where the first label's share is `s`; equal to [`nll`] where
/// that is 1.
pub(crate) fn mixed_nll(z: &[f32], label: usize, second: usize, share: f32) -> f64 {
    if share == 1.0 {
        return nll(z, label);
    }
    let share = f64::from(share);
    share * nll(z, label) + (1.0 - share) * nll(z, second)
}

/// Whether `label` has the highest of the logits `z`, the lowest index winning ties; false where any is NaN.
pub(crate) fn is_top1(z: &[f32], label: usize) -> bool {
    let best = z[label];
    z[..label].iter().all(|&z| z < best) && z[label..].iter().all(|&z| z <= best)
}

/// `dz ← (p − s·[label] − (1 − s)·[second]) / images`, where the first label's share is `s`.
pub(crate) fn backward(p: &[f32], label: usize, second: usize, share: f32, images: f32, dz: &mut [f32]) {
    dz.iter_mut().zip(p).for_each(|(dz, &p)| *dz = p / images);
    if label == second || share == 1.0 {
        dz[label] = (p[label] - 1.0) / images;
        return;
    }
    dz[label] = (p[label] - share) / images;
    // In f64, because 1 − s need not be an f32, and little may be left of the difference.
    dz[second] = (f64::from(p[second]) - (1.0 - f64::from(share))) as f32 / images;
}
