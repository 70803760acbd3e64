//! The transforms of [`crate::transform`] for two or four blocks side by side.
//!
//! A vector holds the same row of each block, one block in each of its 128 bits: all shuffles stay within those. Products of
//! neighbouring 16-bit values are summed in pairs, which has the same 32 bits as the formula has, in another order.

use core::arch::x86_64::*;

use crate::scan::Block;
use crate::tables::Quantisation;
use crate::transform::*;

/// Two factors of 16 bits for a pair of values, the first one low.
const fn pair(first: i32, second: i32) -> i32 {
    second << 16 | (first & 0xffff)
}

const EVEN_3: i32 = pair(F_0_541.0 + F_0_765.0, F_0_541.0);
const EVEN_2: i32 = pair(F_0_541.0, F_0_541.0 - F_1_847.0);
const Z_3: i32 = pair(F_1_175.0 - F_1_961.0, F_1_175.0);
const Z_4: i32 = pair(F_1_175.0, F_1_175.0 - F_0_390.0);
const ODD_3: i32 = pair(F_0_298.0 - F_0_899.0, -F_0_899.0);
const ODD_0: i32 = pair(-F_0_899.0, F_1_501.0 - F_0_899.0);
const ODD_2: i32 = pair(F_2_053.0 - F_2_562.0, -F_2_562.0);
const ODD_1: i32 = pair(-F_2_562.0, F_3_072.0 - F_2_562.0);

const FOUR_EVEN: i32 = pair(F_1_847.0, -F_0_765.0);
const FOUR_ODD_0: (i32, i32) = (pair(-F_0_211.0, F_1_451.0), pair(-F_2_172.0, F_1_061.0));
const FOUR_ODD_1: (i32, i32) = (pair(-F_0_509.0, -F_0_601.0), pair(F_0_899.0, F_2_562.0));
const TWO_ODD: (i32, i32) = (pair(-F_0_720.0, F_0_850.0), pair(-F_1_272.0, F_3_624.0));

/// What differs between the widths is named by the caller.
macro_rules! inverse {
    (
        $features:literal, $vector:ty, $add16:ident, $sub16:ident, $mul16:ident, $add:ident, $sub:ident, $madd:ident, $shift:ident,
        $pack:ident, $pack16:ident, $low8:ident, $high8:ident, $low16:ident, $high16:ident, $low32:ident, $high32:ident,
        $low64:ident, $high64:ident, $set:ident, $set8:ident, $xor:ident, $zero:ident
    ) => {
        /// Transforms eight vectors, the rows of blocks, and rounds by `SHIFT` bits.
        #[inline]
        #[target_feature(enable = $features)]
        fn pass<const SHIFT: u32>(x: [$vector; 8]) -> [$vector; 8] {
            let products = |low, high, factors| ($madd(low, $set(factors)), $madd(high, $set(factors)));
            let both = |a, b| ($low16(a, b), $high16(a, b));
            let plus = |a: ($vector, $vector), b: ($vector, $vector)| ($add(a.0, b.0), $add(a.1, b.1));
            let minus = |a: ($vector, $vector), b: ($vector, $vector)| ($sub(a.0, b.0), $sub(a.1, b.1));
            // A value in the high half of 32 bits is itself times 2¹⁶; 2¹³ are wanted.
            let raised = |v| ($shift::<3>($low16($zero(), v)), $shift::<3>($high16($zero(), v)));
            let (low, high) = both(x[2], x[6]);
            let (even3, even2) = (products(low, high, EVEN_3), products(low, high, EVEN_2));
            let (even0, even1) = (raised($add16(x[0], x[4])), raised($sub16(x[0], x[4])));
            let even = [plus(even0, even3), plus(even1, even2), minus(even1, even2), minus(even0, even3)];
            let (low, high) = both($add16(x[7], x[3]), $add16(x[5], x[1]));
            let (z3, z4) = (products(low, high, Z_3), products(low, high, Z_4));
            let (low71, high71) = both(x[7], x[1]);
            let (low53, high53) = both(x[5], x[3]);
            let odd = [
                plus(products(low71, high71, ODD_0), z4),
                plus(products(low53, high53, ODD_1), z3),
                plus(products(low53, high53, ODD_2), z4),
                plus(products(low71, high71, ODD_3), z3),
            ];
            let half = $set(1 << (SHIFT - 1));
            let narrowed = |v: ($vector, $vector)| $pack($shift::<SHIFT>($add(v.0, half)), $shift::<SHIFT>($add(v.1, half)));
            [
                narrowed(plus(even[0], odd[0])),
                narrowed(plus(even[1], odd[1])),
                narrowed(plus(even[2], odd[2])),
                narrowed(plus(even[3], odd[3])),
                narrowed(minus(even[3], odd[3])),
                narrowed(minus(even[2], odd[2])),
                narrowed(minus(even[1], odd[1])),
                narrowed(minus(even[0], odd[0])),
            ]
        }

        /// Rows to columns within each block.
        #[inline]
        #[target_feature(enable = $features)]
        fn transpose(r: [$vector; 8]) -> [$vector; 8] {
            let mut t = r;
            for i in 0..4 {
                (t[2 * i], t[2 * i + 1]) = ($low16(r[2 * i], r[2 * i + 1]), $high16(r[2 * i], r[2 * i + 1]));
            }
            let mut s = t;
            for i in [0, 4] {
                (s[i], s[i + 1]) = ($low32(t[i], t[i + 2]), $high32(t[i], t[i + 2]));
                (s[i + 2], s[i + 3]) = ($low32(t[i + 1], t[i + 3]), $high32(t[i + 1], t[i + 3]));
            }
            let mut out = s;
            for i in 0..4 {
                (out[2 * i], out[2 * i + 1]) = ($low64(s[i], s[i + 4]), $high64(s[i], s[i + 4]));
            }
            out
        }

        /// Transforms eight vectors to four, and rounds by `SHIFT` bits.
        #[inline]
        #[target_feature(enable = $features)]
        fn pass_four<const SHIFT: u32>(x: [$vector; 8]) -> [$vector; 4] {
            let half = $set(1 << (SHIFT - 1));
            let one = |x0, x26, x75, x31| {
                let mean = $add($shift::<2>(x0), half);
                let even = $madd(x26, $set(FOUR_EVEN));
                let odd0 = $add($madd(x75, $set(FOUR_ODD_0.0)), $madd(x31, $set(FOUR_ODD_0.1)));
                let odd1 = $add($madd(x75, $set(FOUR_ODD_1.0)), $madd(x31, $set(FOUR_ODD_1.1)));
                let (sum, difference) = ($add(mean, even), $sub(mean, even));
                [$add(sum, odd1), $add(difference, odd0), $sub(difference, odd0), $sub(sum, odd1)].map(|v| $shift::<SHIFT>(v))
            };
            let low = one($low16($zero(), x[0]), $low16(x[2], x[6]), $low16(x[7], x[5]), $low16(x[3], x[1]));
            let high = one($high16($zero(), x[0]), $high16(x[2], x[6]), $high16(x[7], x[5]), $high16(x[3], x[1]));
            [$pack(low[0], high[0]), $pack(low[1], high[1]), $pack(low[2], high[2]), $pack(low[3], high[3])]
        }

        /// Samples of half the size: of each block four rows of four bytes.
        #[inline]
        #[target_feature(enable = $features)]
        fn half_samples(mut rows: [$vector; 8], steps: &[$vector; 8]) -> $vector {
            for (row, &step) in rows.iter_mut().zip(steps) {
                *row = $mul16(*row, step);
            }
            let none = $zero();
            let [a, b, c, d] = pass_four::<12>(rows);
            let c = pass_four::<19>(transpose([a, b, c, d, none, none, none, none]));
            let (a, b) = ($pack16(c[0], c[2]), $pack16(c[1], c[3]));
            $xor($low16($low8(a, b), $high8(a, b)), $set8(-128))
        }

        /// Transforms eight vectors to two, and rounds by `SHIFT` bits.
        #[inline]
        #[target_feature(enable = $features)]
        fn pass_two<const SHIFT: u32>(x: [$vector; 8]) -> [$vector; 2] {
            let half = $set(1 << (SHIFT - 1));
            let one = |x0, x75, x31| {
                let mean = $add($shift::<1>(x0), half);
                let odd = $add($madd(x75, $set(TWO_ODD.0)), $madd(x31, $set(TWO_ODD.1)));
                [$shift::<SHIFT>($add(mean, odd)), $shift::<SHIFT>($sub(mean, odd))]
            };
            let low = one($low16($zero(), x[0]), $low16(x[7], x[5]), $low16(x[3], x[1]));
            let high = one($high16($zero(), x[0]), $high16(x[7], x[5]), $high16(x[3], x[1]));
            [$pack(low[0], high[0]), $pack(low[1], high[1])]
        }

        /// Samples of a quarter of the size: of each block first two rows of two bytes.
        #[inline]
        #[target_feature(enable = $features)]
        fn quarter_samples(mut rows: [$vector; 8], steps: &[$vector; 8]) -> $vector {
            for (row, &step) in rows.iter_mut().zip(steps) {
                *row = $mul16(*row, step);
            }
            let none = $zero();
            let [a, b] = pass_two::<13>(rows);
            let [a, b] = pass_two::<20>(transpose([a, b, none, none, none, none, none, none]));
            $xor($low8($pack16(a, a), $pack16(b, b)), $set8(-128))
        }

        /// Samples of coefficients: two rows of each block in a vector.
        #[inline]
        #[target_feature(enable = $features)]
        fn samples(mut rows: [$vector; 8], steps: &[$vector; 8]) -> [$vector; 4] {
            for (row, &step) in rows.iter_mut().zip(steps) {
                *row = $mul16(*row, step);
            }
            let c = pass::<18>(transpose(pass::<11>(rows)));
            // Columns of 16 bits to rows of bytes: pairs of columns, then fours, then all eight.
            let (a, b) = ($pack16(c[0], c[2]), $pack16(c[1], c[3]));
            let (d, e) = ($pack16(c[4], c[6]), $pack16(c[5], c[7]));
            let (f0, f1, f2, f3) = ($low8(a, b), $high8(a, b), $low8(d, e), $high8(d, e));
            let (g0, g1, g2, g3) = ($low16(f0, f1), $high16(f0, f1), $low16(f2, f3), $high16(f2, f3));
            let centred = [$low32(g0, g2), $high32(g0, g2), $low32(g1, g3), $high32(g1, g3)];
            centred.map(|v| $xor(v, $set8(-128)))
        }
    };
}

pub(super) mod avx2 {
    use super::*;

    inverse!(
        "avx2",
        __m256i,
        _mm256_add_epi16,
        _mm256_sub_epi16,
        _mm256_mullo_epi16,
        _mm256_add_epi32,
        _mm256_sub_epi32,
        _mm256_madd_epi16,
        shift,
        _mm256_packs_epi32,
        _mm256_packs_epi16,
        _mm256_unpacklo_epi8,
        _mm256_unpackhi_epi8,
        _mm256_unpacklo_epi16,
        _mm256_unpackhi_epi16,
        _mm256_unpacklo_epi32,
        _mm256_unpackhi_epi32,
        _mm256_unpacklo_epi64,
        _mm256_unpackhi_epi64,
        _mm256_set1_epi32,
        _mm256_set1_epi8,
        _mm256_xor_si256,
        _mm256_setzero_si256
    );

    #[inline]
    #[target_feature(enable = "avx2")]
    fn shift<const BITS: u32>(v: __m256i) -> __m256i {
        _mm256_sra_epi32(v, _mm_cvtsi32_si128(BITS as i32))
    }

    /// The rows of a quantisation table, for both blocks.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn steps(table: &Quantisation) -> [__m256i; 8] {
        let (rows, _) = table.as_chunks::<8>();
        // SAFETY: a row is 16 bytes.
        std::array::from_fn(|r| unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(rows[r].as_ptr().cast())) })
    }

    /// Two blocks' rows.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn rows(blocks: &[Block; 2]) -> [__m256i; 8] {
        let mut rows = [_mm256_setzero_si256(); 8];
        for i in 0..4 {
            // SAFETY: a block is 128 bytes, of which these are 32 from byte 32 i on.
            let (a, b) = unsafe {
                (
                    _mm256_loadu_si256(blocks[0].as_ptr().cast::<__m256i>().add(i)),
                    _mm256_loadu_si256(blocks[1].as_ptr().cast::<__m256i>().add(i)),
                )
            };
            rows[2 * i] = _mm256_permute2x128_si256::<0x20>(a, b);
            rows[2 * i + 1] = _mm256_permute2x128_si256::<0x31>(a, b);
        }
        rows
    }

    /// Two blocks to samples of `side`, 2, 4 or 8, whose columns are written side by side to as many rows of `out`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) fn blocks(blocks: &[Block; 2], steps: &[__m256i; 8], side: usize, out: &mut [u8], stride: usize) {
        let rows = rows(blocks);
        if side == 2 {
            let samples = quarter_samples(rows, steps);
            let (a, b) = (_mm256_extract_epi32::<0>(samples) as u32, _mm256_extract_epi32::<4>(samples) as u32);
            out[..4].copy_from_slice(&(a & 0xffff | b << 16).to_le_bytes());
            out[stride..][..4].copy_from_slice(&(a >> 16 | b & 0xffff_0000).to_le_bytes());
            return;
        }
        if side == 4 {
            let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            let ordered = _mm256_permutevar8x32_epi32(half_samples(rows, steps), order);
            let mut bytes = [0; 32];
            // SAFETY: 32 bytes are there.
            unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), ordered) };
            for (r, row) in bytes.chunks_exact(8).enumerate() {
                out[r * stride..][..8].copy_from_slice(row);
            }
            return;
        }
        for (i, pair) in samples(rows, steps).into_iter().enumerate() {
            let ordered = _mm256_permute4x64_epi64::<0b11_01_10_00>(pair);
            for (r, row) in [_mm256_castsi256_si128(ordered), _mm256_extracti128_si256::<1>(ordered)].into_iter().enumerate() {
                let to: &mut [u8] = &mut out[(2 * i + r) * stride..][..16];
                // SAFETY: 16 bytes are there.
                unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), row) };
            }
        }
    }
}

pub(super) mod avx512 {
    use super::*;

    inverse!(
        "avx512f,avx512bw",
        __m512i,
        _mm512_add_epi16,
        _mm512_sub_epi16,
        _mm512_mullo_epi16,
        _mm512_add_epi32,
        _mm512_sub_epi32,
        _mm512_madd_epi16,
        _mm512_srai_epi32,
        _mm512_packs_epi32,
        _mm512_packs_epi16,
        _mm512_unpacklo_epi8,
        _mm512_unpackhi_epi8,
        _mm512_unpacklo_epi16,
        _mm512_unpackhi_epi16,
        _mm512_unpacklo_epi32,
        _mm512_unpackhi_epi32,
        _mm512_unpacklo_epi64,
        _mm512_unpackhi_epi64,
        _mm512_set1_epi32,
        _mm512_set1_epi8,
        _mm512_xor_si512,
        _mm512_setzero_si512
    );

    /// The rows of a quantisation table, for all four blocks.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(crate) fn steps(table: &Quantisation) -> [__m512i; 8] {
        let (rows, _) = table.as_chunks::<8>();
        // SAFETY: a row is 16 bytes.
        std::array::from_fn(|r| unsafe { _mm512_broadcast_i32x4(_mm_loadu_si128(rows[r].as_ptr().cast())) })
    }

    /// Four blocks' rows.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn rows(blocks: &[Block; 4]) -> [__m512i; 8] {
        let mut rows = [_mm512_setzero_si512(); 8];
        for half in 0..2 {
            let mut four = [_mm512_setzero_si512(); 4];
            for (four, block) in four.iter_mut().zip(blocks) {
                // SAFETY: a block is 128 bytes, of which these are one half.
                *four = unsafe { _mm512_loadu_si512(block.as_ptr().cast::<__m512i>().add(half)) };
            }
            let [a, b, c, d] = four;
            let (low_ab, high_ab) = (_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b));
            let (low_cd, high_cd) = (_mm512_shuffle_i64x2::<0x44>(c, d), _mm512_shuffle_i64x2::<0xee>(c, d));
            rows[4 * half] = _mm512_shuffle_i64x2::<0x88>(low_ab, low_cd);
            rows[4 * half + 1] = _mm512_shuffle_i64x2::<0xdd>(low_ab, low_cd);
            rows[4 * half + 2] = _mm512_shuffle_i64x2::<0x88>(high_ab, high_cd);
            rows[4 * half + 3] = _mm512_shuffle_i64x2::<0xdd>(high_ab, high_cd);
        }
        rows
    }

    /// Four blocks to samples of `side`, 2, 4 or 8, whose columns are written side by side to as many rows of `out`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    pub(crate) fn blocks(blocks: &[Block; 4], steps: &[__m512i; 8], side: usize, out: &mut [u8], stride: usize) {
        let rows = rows(blocks);
        if side < 8 {
            let ordered = if side == 4 {
                let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                _mm512_permutexvar_epi32(order, half_samples(rows, steps))
            } else {
                // 16-bit places 0, 8, 16, 24 and then 1, 9, 17, 25.
                let order = _mm512_setr_epi64(0x18_0010_0008_0000, 0x19_0011_0009_0001, 0, 0, 0, 0, 0, 0);
                _mm512_permutexvar_epi16(order, quarter_samples(rows, steps))
            };
            let mut bytes = [0; 64];
            // SAFETY: 64 bytes are there.
            unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), ordered) };
            for (r, row) in bytes.chunks_exact(4 * side).take(side).enumerate() {
                out[r * stride..][..4 * side].copy_from_slice(row);
            }
            return;
        }
        let order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
        for (i, pair) in samples(rows, steps).into_iter().enumerate() {
            let ordered = _mm512_permutexvar_epi64(order, pair);
            for (r, row) in [_mm512_castsi512_si256(ordered), _mm512_extracti64x4_epi64::<1>(ordered)].into_iter().enumerate() {
                let to: &mut [u8] = &mut out[(2 * i + r) * stride..][..32];
                // SAFETY: 32 bytes are there.
                unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), row) };
            }
        }
    }
}
