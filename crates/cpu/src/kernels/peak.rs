//! What a CPU can do at most: chains of multiply-adds in registers, and a sum over memory.

use super::by_isa;
use crate::Isa;

/// How many values [`chains`] computes side by side: a vector each in as many chains as fit into the registers beside two factors.
///
/// More chains than the multiply-add's latency times its ports leave nothing to wait for; more than registers would measure
/// the stack.
pub(crate) fn width(isa: Isa) -> usize {
    match isa {
        Isa::Avx512 => 24 * 16,
        Isa::Avx2 => 14 * 8,
        Isa::Portable => 14 * 4,
    }
}

by_isa! {
    /// `x[i] ← a·x[i] + b`, `rounds` times over; `isa` is the target's. FLOPs: 2 · rounds · [`width`] (x: [width]).
    ///
    /// Multiply-adds are fused where the instruction set has them, as in the matrix product.
    pub(crate) fn chains(isa: Isa, rounds: usize, a: f32, b: f32, x: &mut [f32]) {
        match isa {
            Isa::Avx512 => body::<{ 24 * 16 }, true>(rounds, a, b, x),
            Isa::Avx2 => body::<{ 14 * 8 }, true>(rounds, a, b, x),
            Isa::Portable => body::<{ 14 * 4 }, false>(rounds, a, b, x),
        }
    }
}

#[inline(always)]
fn body<const WIDTH: usize, const FUSED: bool>(rounds: usize, a: f32, b: f32, x: &mut [f32]) {
    let mut all: [f32; WIDTH] = std::array::from_fn(|i| x[i]);
    for _ in 0..rounds {
        for x in &mut all {
            *x = if FUSED { x.mul_add(a, b) } else { *x * a + b };
        }
    }
    x.copy_from_slice(&all);
}

/// Partial sums of [`sum`]: enough for additions not to hold up the reading.
pub(crate) const SUMS: usize = 32;

by_isa! {
    /// `sums[i] = Σⱼ x[32·j + i]` (x: [a multiple of 32], sums: [32]). Bytes: 4 a value.
    pub(crate) fn sum(x: &[f32], sums: &mut [f32]) {
        let mut all = [0.0f32; SUMS];
        for part in x.chunks_exact(SUMS) {
            for (sum, x) in all.iter_mut().zip(part) {
                *sum += x;
            }
        }
        sums.copy_from_slice(&all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::Target;

    #[test]
    fn chains_and_sums_compute_what_they_say() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let isa = target.isa();
            let mut x: Vec<f32> = (0..width(isa)).map(|i| i as f32).collect();
            chains(target, isa, 3, 0.5, 1.0, &mut x);
            assert!(x.iter().enumerate().all(|(i, &x)| x == i as f32 / 8.0 + 1.75), "{isa}");
            let (x, mut sums): (Vec<f32>, _) = ((0..96).map(|i| i as f32).collect(), [0.0; SUMS]);
            sum(target, &x, &mut sums);
            assert!(sums.iter().enumerate().all(|(i, &sum)| sum == (3 * i + 96) as f32), "{isa}");
        }
    }
}
