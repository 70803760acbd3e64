//! One step of gradient descent with momentum, in one pass over weights, velocities and gradients.

use super::by_isa;

by_isa! {
    /// `v ← m·v − ε·λ·w − ε·g; w ← w + v`. Bytes: 20 a parameter.
    pub(crate) fn rate_inside(momentum: f32, rate: f32, decay: f32, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        let shrink = rate * decay;
        for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
            *v = momentum * *v - shrink * *w - rate * g;
            *w += *v;
        }
    }
}

by_isa! {
    /// `v ← m·v + g + λ·w; w ← w − ε·v`. Bytes: 20 a parameter.
    pub(crate) fn rate_outside(momentum: f32, rate: f32, decay: f32, g: &[f32], w: &mut [f32], v: &mut [f32]) {
        for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
            *v = momentum * *v + (g + decay * *w);
            *w -= rate * *v;
        }
    }
}
