//! The inverse cosine transform in integers: libjpeg's `islow`, and its reduced forms that make smaller blocks.
//!
//! Constants are the formulas' factors times 2¹³. A first pass along columns keeps two more bits than samples have, a second
//! one along rows takes them off again, and the factor 8 of the transform with them.

use std::num::Wrapping;

use crate::scan::Block;
use crate::tables::Quantisation;

const PASS_BITS: i32 = 2;
const FACTOR_BITS: i32 = 13;
const SHIFT: usize = FACTOR_BITS as usize;

/// 32 bits that wrap: coefficients that no encoder writes must not end in a panic.
pub(crate) type Wide = Wrapping<i32>;

/// A factor in 13 bits.
const fn factor(value: f64) -> Wide {
    Wrapping((value * (1 << FACTOR_BITS) as f64 + 0.5) as i32)
}

// For eight samples.
pub(crate) const F_0_298: Wide = factor(0.298631336);
pub(crate) const F_0_390: Wide = factor(0.390180644);
pub(crate) const F_0_541: Wide = factor(0.541196100);
pub(crate) const F_0_765: Wide = factor(0.765366865);
pub(crate) const F_0_899: Wide = factor(0.899976223);
pub(crate) const F_1_175: Wide = factor(1.175875602);
pub(crate) const F_1_501: Wide = factor(1.501321110);
pub(crate) const F_1_847: Wide = factor(1.847759065);
pub(crate) const F_1_961: Wide = factor(1.961570560);
pub(crate) const F_2_053: Wide = factor(2.053119869);
pub(crate) const F_2_562: Wide = factor(2.562915447);
pub(crate) const F_3_072: Wide = factor(3.072711026);
// For four and two; both have some of the above.
pub(crate) const F_0_211: Wide = factor(0.211164243);
pub(crate) const F_0_509: Wide = factor(0.509795579);
pub(crate) const F_0_601: Wide = factor(0.601344887);
pub(crate) const F_0_720: Wide = factor(0.720959822);
pub(crate) const F_0_850: Wide = factor(0.850430095);
pub(crate) const F_1_061: Wide = factor(1.061594337);
pub(crate) const F_1_272: Wide = factor(1.272758580);
pub(crate) const F_1_451: Wide = factor(1.451774981);
pub(crate) const F_2_172: Wide = factor(2.172734803);
pub(crate) const F_3_624: Wide = factor(3.624509785);

/// The coefficient at `at` times its step, in 16 bits that wrap as libjpeg-turbo's vectors do.
#[inline(always)]
fn scaled(block: &Block, steps: &Quantisation, at: usize) -> Wide {
    Wrapping(block[at].wrapping_mul(steps[at]).into())
}

/// The sum or difference of two values in the 16 bits that libjpeg-turbo has for it.
#[inline(always)]
fn narrow(sum: Wide) -> Wide {
    Wrapping(i32::from(sum.0 as i16))
}

#[inline(always)]
fn rounded(value: Wide, bits: i32) -> i32 {
    (value + Wrapping(1 << (bits - 1))).0 >> bits
}

/// What a first pass leaves for the second one.
#[inline(always)]
fn kept(value: Wide, bits: i32) -> Wide {
    Wrapping(rounded(value, bits).clamp(-32768, 32767))
}

/// A sample, from its distance to the middle of the scale.
#[inline(always)]
fn sample(value: i32) -> u8 {
    (value.clamp(-128, 127) + 128) as u8
}

/// The sample that a block without other coefficients is full of.
#[inline(always)]
pub(crate) fn flat(mean: i16, step: i16) -> u8 {
    sample(rounded(Wrapping(mean.wrapping_mul(step).into()), 3))
}

/// One transform of eight values, before its sums are rounded.
#[inline(always)]
fn eight(x: [Wide; 8]) -> [Wide; 8] {
    let common = (x[2] + x[6]) * F_0_541;
    let (even2, even3) = (common - x[6] * F_1_847, common + x[2] * F_0_765);
    let (even0, even1) = (narrow(x[0] + x[4]) << SHIFT, narrow(x[0] - x[4]) << SHIFT);
    let even = [even0 + even3, even1 + even2, even1 - even2, even0 - even3];
    let (z1, z2, z3, z4) = (x[7] + x[1], x[5] + x[3], narrow(x[7] + x[3]), narrow(x[5] + x[1]));
    let z5 = (z3 + z4) * F_1_175;
    let (z1, z2) = (-z1 * F_0_899, -z2 * F_2_562);
    let (z3, z4) = (z5 - z3 * F_1_961, z5 - z4 * F_0_390);
    let odd = [x[1] * F_1_501 + z1 + z4, x[3] * F_3_072 + z2 + z3, x[5] * F_2_053 + z2 + z4, x[7] * F_0_298 + z1 + z3];
    let mut out = [Wrapping(0); 8];
    for i in 0..4 {
        out[i] = even[i] + odd[i];
        out[7 - i] = even[i] - odd[i];
    }
    out
}

/// A block of 8 × 8 samples, in rows `stride` apart.
#[inline(always)]
pub(crate) fn full(block: &Block, steps: &Quantisation, out: &mut [u8], stride: usize) {
    let mut middle = [[Wrapping(0); 8]; 8];
    for c in 0..8 {
        let column = eight(std::array::from_fn(|r| scaled(block, steps, 8 * r + c)));
        for r in 0..8 {
            middle[r][c] = kept(column[r], FACTOR_BITS - PASS_BITS);
        }
    }
    for r in 0..8 {
        let row = eight(middle[r]);
        for (to, value) in out[r * stride..][..8].iter_mut().zip(row) {
            *to = sample(rounded(value, FACTOR_BITS + PASS_BITS + 3));
        }
    }
}

/// One transform of eight values, the fifth of which does not count, to four.
#[inline(always)]
fn four(x: [Wide; 8]) -> [Wide; 4] {
    let mean = x[0] << (SHIFT + 1);
    let even = x[2] * F_1_847 - x[6] * F_0_765;
    let odd0 = x[3] * -F_2_172 + x[1] * F_1_061 - x[7] * F_0_211 + x[5] * F_1_451;
    let odd1 = x[3] * F_0_899 + x[1] * F_2_562 - x[7] * F_0_509 - x[5] * F_0_601;
    [mean + even + odd1, mean - even + odd0, mean - even - odd0, mean + even - odd1]
}

/// A block of 4 × 4 samples, in rows `stride` apart.
#[inline(always)]
pub(crate) fn half(block: &Block, steps: &Quantisation, out: &mut [u8], stride: usize) {
    let mut middle = [[Wrapping(0); 8]; 4];
    for c in 0..8 {
        let column = four(std::array::from_fn(|r| scaled(block, steps, 8 * r + c)));
        for r in 0..4 {
            middle[r][c] = kept(column[r], FACTOR_BITS - PASS_BITS + 1);
        }
    }
    for r in 0..4 {
        let row = four(middle[r]);
        for (to, value) in out[r * stride..][..4].iter_mut().zip(row) {
            *to = sample(rounded(value, FACTOR_BITS + PASS_BITS + 3 + 1));
        }
    }
}

/// One transform of eight values, of which the first and the odd ones count, to two.
#[inline(always)]
fn two(x: [Wide; 8]) -> [Wide; 2] {
    let mean = x[0] << (SHIFT + 2);
    let odd = x[1] * F_3_624 - x[3] * F_1_272 + x[5] * F_0_850 - x[7] * F_0_720;
    [mean + odd, mean - odd]
}

/// A block of 2 × 2 samples, in rows `stride` apart.
#[inline(always)]
pub(crate) fn quarter(block: &Block, steps: &Quantisation, out: &mut [u8], stride: usize) {
    let mut middle = [[Wrapping(0); 8]; 2];
    for c in [0, 1, 3, 5, 7] {
        let column = two(std::array::from_fn(|r| scaled(block, steps, 8 * r + c)));
        for r in 0..2 {
            middle[r][c] = kept(column[r], FACTOR_BITS - PASS_BITS + 2);
        }
    }
    for r in 0..2 {
        let row = two(middle[r]);
        for (to, value) in out[r * stride..][..2].iter_mut().zip(row) {
            *to = sample(rounded(value, FACTOR_BITS + PASS_BITS + 3 + 2));
        }
    }
}

/// Transforms a row of blocks to samples of `side`, side by side in rows `stride` apart.
#[inline(always)]
pub(crate) fn row(blocks: &[Block], steps: &Quantisation, side: usize, out: &mut [u8], stride: usize) {
    for (i, block) in blocks.iter().enumerate() {
        let out = &mut out[side * i..];
        match side {
            8 => full(block, steps, out, stride),
            4 => half(block, steps, out, stride),
            2 => quarter(block, steps, out, stride),
            _ => out[0] = flat(block[0], steps[0]),
        }
    }
}
