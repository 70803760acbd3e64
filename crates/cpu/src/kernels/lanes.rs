//! A vector of [`LANES`] values on each instruction set.

/// Values of a vector, and channels of a block.
pub(crate) const LANES: usize = 16;

/// [`LANES`] f32 values.
///
/// # Safety
/// Of every method: the CPU has the instruction set, and the pointer given can be followed for [`LANES`] values.
pub(super) trait Lanes: Copy {
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(x: f32) -> Self;
    unsafe fn add(self, other: Self) -> Self;
    unsafe fn sub(self, other: Self) -> Self;
    unsafe fn mul(self, other: Self) -> Self;
    /// `self + a · b`, rounded once where the instruction set can.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self − a · b`, likewise.
    unsafe fn sub_product(self, a: Self, b: Self) -> Self;
    /// `max(self, 0)`; NaN stays.
    unsafe fn rectify(self) -> Self;
    /// `value` where `self > 0`, 0 elsewhere.
    unsafe fn where_positive(self, value: Self) -> Self;
    /// `value` where `self = other`, 0 elsewhere.
    unsafe fn where_equal(self, other: Self, value: Self) -> Self;
    /// `(x, key)` where `x` is larger than `self` or is NaN, `(self, own_key)` elsewhere.
    unsafe fn larger(self, own_key: Self, x: Self, key: Self) -> (Self, Self);
    /// `key` where `self > 0` or is NaN, `other` elsewhere.
    unsafe fn key_if_positive(self, key: Self, other: Self) -> Self;
    /// Sixteen bytes as values.
    unsafe fn load_bytes(from: *const u8) -> Self;
    /// Sixteen little-endian half-precision values (IEEE 754 binary16), exactly.
    unsafe fn load_halves(from: *const u8) -> Self;
    /// Whole values from 0 to 255 as bytes.
    unsafe fn store_bytes(self, to: *mut u8);
    /// `self^(−1/4)` within 3.2 %, for positive normal values: the exponent's bits shifted.
    unsafe fn guess_inverse_fourth_root(self) -> Self;
}

/// What the bits of `x^(−1/4)` are at first, less a quarter of those of `x`: 1.25 times the bits of 1, corrected so that the
/// largest relative error is least.
const FOURTH_ROOT: i32 = 0x4f58_6000;

/// Plain arrays; `FUSED` where a fused multiply-add is an instruction.
#[derive(Clone, Copy)]
pub(super) struct Array<const FUSED: bool>([f32; LANES]);

impl<const FUSED: bool> Array<FUSED> {
    #[inline(always)]
    fn by_lane(f: impl Fn(usize) -> f32) -> Self {
        let mut all = [0.0; LANES];
        for i in 0..LANES {
            all[i] = f(i);
        }
        Array(all)
    }
}

impl<const FUSED: bool> Lanes for Array<FUSED> {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise.
        Array(unsafe { from.cast::<[f32; LANES]>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f32; LANES]>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Array([x; LANES])
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self::by_lane(|i| self.0[i] + other.0[i])
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        Self::by_lane(|i| self.0[i] - other.0[i])
    }
    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        Self::by_lane(|i| self.0[i] * other.0[i])
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self::by_lane(|i| if FUSED { a.0[i].mul_add(b.0[i], self.0[i]) } else { self.0[i] + a.0[i] * b.0[i] })
    }
    #[inline(always)]
    unsafe fn sub_product(self, a: Self, b: Self) -> Self {
        Self::by_lane(|i| if FUSED { (-a.0[i]).mul_add(b.0[i], self.0[i]) } else { self.0[i] - a.0[i] * b.0[i] })
    }
    #[inline(always)]
    unsafe fn rectify(self) -> Self {
        Self::by_lane(|i| if self.0[i] < 0.0 { 0.0 } else { self.0[i] })
    }
    #[inline(always)]
    unsafe fn where_positive(self, value: Self) -> Self {
        Self::by_lane(|i| if self.0[i] > 0.0 { value.0[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn where_equal(self, other: Self, value: Self) -> Self {
        Self::by_lane(|i| if self.0[i] == other.0[i] { value.0[i] } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn larger(self, own_key: Self, x: Self, key: Self) -> (Self, Self) {
        let wins = |i: usize| (x.0[i] > self.0[i]) | x.0[i].is_nan();
        (
            Self::by_lane(|i| if wins(i) { x.0[i] } else { self.0[i] }),
            Self::by_lane(|i| if wins(i) { key.0[i] } else { own_key.0[i] }),
        )
    }
    #[inline(always)]
    unsafe fn key_if_positive(self, key: Self, other: Self) -> Self {
        Self::by_lane(|i| if (self.0[i] > 0.0) | self.0[i].is_nan() { key.0[i] } else { other.0[i] })
    }
    #[inline(always)]
    unsafe fn load_bytes(from: *const u8) -> Self {
        // SAFETY: the caller's promise.
        let bytes = unsafe { from.cast::<[u8; LANES]>().read_unaligned() };
        Self::by_lane(|i| f32::from(bytes[i]))
    }
    #[inline(always)]
    unsafe fn load_halves(from: *const u8) -> Self {
        #[cfg(target_arch = "x86_64")]
        if FUSED {
            // SAFETY: the caller's promise: what has fused multiply-adds has F16C, as `Isa` sees to.
            return Array(unsafe { ymm::halves(from) });
        }
        // SAFETY: the caller's promise.
        let halves = unsafe { from.cast::<[[u8; 2]; LANES]>().read_unaligned() };
        Self::by_lane(|i| half(u16::from_le_bytes(halves[i])))
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[u8; LANES]>().write_unaligned(self.0.map(|x| x as u8)) }
    }
    #[inline(always)]
    unsafe fn guess_inverse_fourth_root(self) -> Self {
        Self::by_lane(|i| f32::from_bits((FOURTH_ROOT - (self.0[i].to_bits() >> 2) as i32) as u32))
    }
}

/// A half-precision value: its exponent and fraction moved to where those of an f32 stand are 2¹¹² times too small.
#[inline(always)]
pub(crate) fn half(bits: u16) -> f32 {
    let (sign, rest) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff));
    // Infinities and NaN have the largest exponent of either format.
    let special = if rest >= 0x7c00 { 0x7f80_0000 } else { 0 };
    let value = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(value.to_bits() | special | sign)
}

#[cfg(target_arch = "x86_64")]
mod ymm {
    use std::arch::x86_64::*;

    use super::LANES;

    /// Sixteen half-precision values.
    ///
    /// # Safety
    /// The CPU has AVX2 and F16C; 32 bytes can be read.
    #[inline(always)]
    pub(super) unsafe fn halves(from: *const u8) -> [f32; LANES] {
        // SAFETY: the caller's promise; two vectors of eight have the bits of an array of sixteen.
        unsafe {
            let both = [from, from.add(16)].map(|from| _mm256_cvtph_ps(_mm_loadu_si128(from.cast())));
            std::mem::transmute::<[__m256; 2], [f32; LANES]>(both)
        }
    }
}

#[cfg(target_arch = "x86_64")]
pub(super) use zmm::Zmm;

#[cfg(target_arch = "x86_64")]
mod zmm {
    use std::arch::x86_64::*;

    use super::{FOURTH_ROOT, Lanes};

    /// One AVX-512 register.
    #[derive(Clone, Copy)]
    pub(crate) struct Zmm(__m512);

    // SAFETY of every block below: the caller's promise that the CPU has AVX-512 F, BW, DQ and VL, and that pointers can be followed.
    #[allow(clippy::undocumented_unsafe_blocks)]
    impl Lanes for Zmm {
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            Zmm(unsafe { _mm512_loadu_ps(from) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            unsafe { _mm512_storeu_ps(to, self.0) }
        }
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self {
            Zmm(unsafe { _mm512_set1_ps(x) })
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Zmm(unsafe { _mm512_add_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            Zmm(unsafe { _mm512_sub_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn mul(self, other: Self) -> Self {
            Zmm(unsafe { _mm512_mul_ps(self.0, other.0) })
        }
        #[inline(always)]
        unsafe fn add_product(self, a: Self, b: Self) -> Self {
            Zmm(unsafe { _mm512_fmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn sub_product(self, a: Self, b: Self) -> Self {
            Zmm(unsafe { _mm512_fnmadd_ps(a.0, b.0, self.0) })
        }
        #[inline(always)]
        unsafe fn rectify(self) -> Self {
            // The second operand comes out where either is NaN.
            Zmm(unsafe { _mm512_max_ps(_mm512_setzero_ps(), self.0) })
        }
        #[inline(always)]
        unsafe fn where_positive(self, value: Self) -> Self {
            Zmm(unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(self.0, _mm512_setzero_ps()), value.0) })
        }
        #[inline(always)]
        unsafe fn where_equal(self, other: Self, value: Self) -> Self {
            Zmm(unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_EQ_OQ>(self.0, other.0), value.0) })
        }
        #[inline(always)]
        unsafe fn larger(self, own_key: Self, x: Self, key: Self) -> (Self, Self) {
            // Nothing is larger than a NaN: one that is best already only gives way to another.
            let wins = unsafe { _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x.0, self.0) | _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x.0, x.0) };
            unsafe { (Zmm(_mm512_mask_mov_ps(self.0, wins, x.0)), Zmm(_mm512_mask_mov_ps(own_key.0, wins, key.0))) }
        }
        #[inline(always)]
        unsafe fn key_if_positive(self, key: Self, other: Self) -> Self {
            Zmm(unsafe {
                let positive = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(self.0, _mm512_setzero_ps());
                _mm512_mask_mov_ps(other.0, positive, key.0)
            })
        }
        #[inline(always)]
        unsafe fn load_bytes(from: *const u8) -> Self {
            Zmm(unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(from.cast()))) })
        }
        #[inline(always)]
        unsafe fn load_halves(from: *const u8) -> Self {
            Zmm(unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) })
        }
        #[inline(always)]
        unsafe fn store_bytes(self, to: *mut u8) {
            unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(self.0))) }
        }
        #[inline(always)]
        unsafe fn guess_inverse_fourth_root(self) -> Self {
            Zmm(unsafe {
                let quarter = _mm512_srli_epi32::<2>(_mm512_castps_si512(self.0));
                _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_set1_epi32(FOURTH_ROOT), quarter))
            })
        }
    }
}

/// `d^(−1/4)` within two and a half roundings, for positive normal values: three of Newton's steps, each of which squares the error.
///
/// # Safety
/// The CPU has the instruction set.
#[inline(always)]
pub(super) unsafe fn inverse_fourth_root<L: Lanes>(d: L) -> L {
    // SAFETY: the caller's promise.
    unsafe {
        let (one, quarter) = (L::splat(1.0), L::splat(0.25));
        let mut y = d.guess_inverse_fourth_root();
        for _ in 0..3 {
            let square = y.mul(y);
            let error = one.sub_product(d, square.mul(square));
            y = y.add_product(y.mul(quarter), error);
        }
        y
    }
}

/// Defines `fn name(target: Target, …)` from a generic body `unsafe fn body<L: Lanes>(…)`, compiled once for each instruction set.
macro_rules! by_lanes {
    ($(#[$doc:meta])* $vis:vis fn $name:ident = $body:ident($($arg:ident: $ty:ty),* $(,)?)) => {
        $(#[$doc])*
        $vis fn $name(target: crate::kernels::Target, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) {
                // SAFETY: this function has the instruction set; the body checks its slices.
                unsafe { $body::<crate::kernels::lanes::Zmm>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $ty),*) {
                // SAFETY: as above.
                unsafe { $body::<crate::kernels::lanes::Array<true>>($($arg),*) }
            }
            match target.isa() {
                // SAFETY: a `Target` exists only for an instruction set that the CPU has.
                #[cfg(target_arch = "x86_64")]
                crate::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: every CPU has what plain arrays need.
                _ => unsafe { $body::<crate::kernels::lanes::Array<false>>($($arg),*) },
            }
        }
    };
}
pub(super) use by_lanes;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Isa;
    use crate::kernels::Target;

    unsafe fn roots<L: Lanes>(x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(LANES).zip(y.chunks_exact_mut(LANES)) {
            // SAFETY: both hold `LANES` values.
            unsafe { inverse_fourth_root(L::load(x.as_ptr())).store(y.as_mut_ptr()) };
        }
    }
    by_lanes! { fn all_roots = roots(x: &[f32], y: &mut [f32]) }

    unsafe fn halves<L: Lanes>(x: &[u8], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(2 * LANES).zip(y.chunks_exact_mut(LANES)) {
            // SAFETY: both hold `LANES` values.
            unsafe { L::load_halves(x.as_ptr()).store(y.as_mut_ptr()) };
        }
    }
    by_lanes! { fn all_halves = halves(x: &[u8], y: &mut [f32]) }

    /// Half-precision by its definition: sign, five bits of exponent, ten of fraction.
    fn defined(bits: u16) -> f64 {
        let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        let size = match exponent {
            0 => fraction * 2f64.powi(-24),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
        };
        if bits >> 15 == 1 { -size } else { size }
    }

    #[test]
    fn every_half_precision_value_is_read_exactly() {
        let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let mut y = vec![0.0; 1 << 16];
            all_halves(target, &bytes, &mut y);
            for (bits, &y) in (0..=u16::MAX).zip(&y) {
                let (expected, got) = (defined(bits), f64::from(y));
                let same = expected.to_bits() == got.to_bits() || (expected.is_nan() && got.is_nan());
                assert!(same, "{bits:#06x} on {}: {got}, expected {expected}", target.isa());
            }
        }
    }

    #[test]
    fn fourth_roots_are_within_two_and_a_half_roundings() {
        // Every 997th of all positive normal values.
        let x: Vec<f32> = (0x0080_0000..0x7f80_0000u32).step_by(997).map(f32::from_bits).collect();
        let x = &x[..x.len() / LANES * LANES];
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            let mut y = vec![0.0; x.len()];
            all_roots(target, x, &mut y);
            let error = |(&x, &y): (&f32, &f32)| (f64::from(y) * f64::from(x).powf(0.25) - 1.0).abs();
            let worst = x.iter().zip(&y).map(error).fold(0.0, f64::max);
            assert!(worst < 2.5 * 2f64.powi(-24), "{}: {worst:e}", target.isa());
        }
    }
}
