//! Transposing a matrix while storing or adding it.

use super::by_isa;

by_isa! {
    /// `out[i, depth] ← [out +] from[d · ld + i]` for as many `i` as `out` has rows of `depth`.
    pub(crate) fn transpose(from: &[f32], ld: usize, depth: usize, accumulate: bool, out: &mut [f32]) {
        let rows = out.len() / depth;
        for d in 0..depth {
            for (i, &value) in from[d * ld..][..rows].iter().enumerate() {
                let out = &mut out[i * depth + d];
                *out = if accumulate { *out + value } else { value };
            }
        }
    }
}
