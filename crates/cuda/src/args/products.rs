//! What convolutions, local and linear layers are called with.

use super::{Bytes, Elems, Floats, Ptr, Step, args};

args! {
    /// Divides by a number that stays the same: `x / value = (x · multiplier) >> (31 + shift)` for `x < 2³¹`.
    pub(crate) struct Divisor {
        value: u32,
        multiplier: u32,
        shift: u32,
    }

    /// One pass of a convolution, of a local layer, or of a linear one, which is a convolution of maps of one pixel.
    pub(crate) struct Conv {
        step: Ptr<Step>,
        /// `[n, h, w, c]`
        x: Elems,
        /// `[k, r, s, c / g]`; of a local layer `[p, q, k, r, s, c]`.
        w: Elems,
        /// `[n, p, q, k]`: the output or the gradient by it.
        y: Elems,
        /// `[k]`, of a local layer `[p, q, k]`; added by the forward pass.
        bias: Floats,
        /// The forward pass writes f32 here and not to `y` where this is not 0; the weight pass writes partial sums
        /// `[parts, k, r, s, c / g]` here, or gradients where there is one part.
        out: Floats,
        /// What the data pass multiplies its result by where this, `[n, h, w, c]`, is above 0, and by 0 where it is not; by 1 where this
        /// is 0: the backward pass of a rectifier, and of dropout behind it.
        seen: Elems,
        /// `[r, s, c / g]`: 0 where a weight does not exist and its gradient is 0; none where this is 0.
        mask: Bytes,
        h: u32,
        w_: u32,
        c: u32,
        p: u32,
        q: u32,
        k: u32,
        r: u32,
        s: u32,
        top: i32,
        left: i32,
        /// Maps of a group.
        group_c: Divisor,
        group_k: Divisor,
        by_p: Divisor,
        by_q: Divisor,
        by_h: Divisor,
        by_w: Divisor,
        by_s: Divisor,
        stride_r: Divisor,
        stride_s: Divisor,
        /// Whether the forward pass ends with `max(y, 0)`.
        relu: u32,
        /// Tiles in the direction of columns.
        column_tiles: u32,
        /// Pixels of a part in the weight pass, a multiple of 64.
        part: u32,
        /// Parts in the weight pass.
        parts: u32,
        factor: f32,
    }
}

impl Divisor {
    /// Divides by `value`, which is at least 1 and at most 2³¹.
    pub(crate) fn new(value: usize) -> Divisor {
        assert!((1..=1 << 31).contains(&value), "a divisor of {value}");
        let shift = value.next_power_of_two().trailing_zeros();
        let multiplier = (1_u64 << (31 + shift)).div_ceil(value as u64);
        Divisor { value: value as u32, multiplier: multiplier as u32, shift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_and_a_shift_divide() {
        let divide = |x: u32, by: Divisor| ((u64::from(x) * u64::from(by.multiplier)) >> (31 + by.shift)) as u32;
        let odd = |x: u32| x.wrapping_mul(2_654_435_761) >> 1;
        for value in (1..2000).chain([3025, 9216, 65_535, 65_536, 65_537, (1 << 30) + 1, 1 << 31]) {
            let by = Divisor::new(value);
            let tried = (0..200).map(odd).chain([0, 1, (1 << 31) - 1]);
            for x in
                tried.chain((1..50).flat_map(|times| [times * value as u64 - 1, times * value as u64].map(|x| (x >> 1) as u32)))
            {
                assert_eq!(divide(x, by), (u64::from(x) / value as u64) as u32, "{x} / {value}");
            }
            for times in 1..50 {
                for x in [times * value as u64 - 1, times * value as u64].into_iter().filter(|&x| x < 1 << 31) {
                    assert_eq!(u64::from(divide(x as u32, by)), x / value as u64, "{x} / {value}");
                }
            }
        }
    }
}
