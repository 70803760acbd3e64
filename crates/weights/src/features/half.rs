//! Half precision: IEEE 754 binary16.

/// The half-precision number nearest to `x`, ties to even, as bits; infinite from 65520 on; a NaN stays one.
pub(super) fn bits(x: f32) -> u16 {
    let (sign, size) = ((x.to_bits() >> 16) as u16 & 0x8000, x.to_bits() & 0x7fff_ffff);
    let half = match size {
        // Below the normal range: a sum with 1/2 is rounded to the multiples of 2⁻²⁴ that there are.
        0..0x3880_0000 => (f32::from_bits(size) + 0.5).to_bits() - 0.5f32.to_bits(),
        // Thirteen bits of the fraction are rounded off, and the exponent's bias falls by 112.
        0x3880_0000..=0x7f80_0000 => ((size + 0xfff + (size >> 13 & 1)) >> 13).min(0x7c00 + (112 << 10)) - (112 << 10),
        _ => 0x7e00,
    };
    sign | half as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A positive finite half-precision number, by its definition.
    fn value(bits: u16) -> f32 {
        let (exponent, fraction) = (i32::from(bits >> 10), f64::from(bits & 1023));
        (if exponent == 0 { fraction * 2f64.powi(-24) } else { (1024.0 + fraction) * 2f64.powi(exponent - 25) }) as f32
    }

    #[test]
    fn every_number_and_all_around_the_middles_between_them() {
        for low in 0..0x7c00 {
            // Beyond the largest lies what would be the next.
            let (x, next) = (value(low), value(low + 1));
            let middle = (x + next) / 2.0;
            let even = low + (low & 1);
            let cases = [(x, low), (middle.next_down(), low), (middle, even), (middle.next_up(), low + 1)];
            for (x, expected) in cases {
                assert_eq!(bits(x), expected, "{x:e}");
                assert_eq!(bits(-x), expected | 0x8000, "{x:e}");
            }
        }
        assert_eq!([bits(f32::INFINITY), bits(f32::MAX), bits(f32::NEG_INFINITY)], [0x7c00, 0x7c00, 0xfc00]);
        assert_eq!([bits(1e-30), bits(-0.0)], [0, 0x8000]);
        assert!([f32::NAN, -f32::NAN].into_iter().all(|nan| bits(nan) & 0x7fff == 0x7e00));
    }
}
