//! A vector of [`LANES`] values on each instruction set.

use super::LANES;

/// [`LANES`] f32 values.
pub(super) trait Lanes: Copy {
    /// # Safety
    /// [`LANES`] values can be read at `from`, and the CPU has the instruction set.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// [`LANES`] values can be written at `to`, and the CPU has the instruction set.
    unsafe fn store(self, to: *mut f32);
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn splat(x: f32) -> Self;
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn add(self, other: Self) -> Self;
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self + a · b`, rounded once where the instruction set can.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// Plain arrays; `FUSED` where a fused multiply-add is an instruction.
#[derive(Clone, Copy)]
pub(super) struct Array<const FUSED: bool>([f32; LANES]);

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
    unsafe fn add(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(x, y)| *x += y);
        self
    }
    #[inline(always)]
    unsafe fn sub(mut self, other: Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(x, y)| *x -= y);
        self
    }
    #[inline(always)]
    unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
        for i in 0..LANES {
            self.0[i] = if FUSED { a.0[i].mul_add(b.0[i], self.0[i]) } else { self.0[i] + a.0[i] * b.0[i] };
        }
        self
    }
}

/// One AVX-512 register.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct Zmm(std::arch::x86_64::__m512);

#[cfg(target_arch = "x86_64")]
impl Lanes for Zmm {
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise, here and below.
        Zmm(unsafe { std::arch::x86_64::_mm512_loadu_ps(from) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { std::arch::x86_64::_mm512_storeu_ps(to, self.0) }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        // SAFETY: as above.
        Zmm(unsafe { std::arch::x86_64::_mm512_set1_ps(x) })
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: as above.
        Zmm(unsafe { std::arch::x86_64::_mm512_add_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        // SAFETY: as above.
        Zmm(unsafe { std::arch::x86_64::_mm512_sub_ps(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // SAFETY: as above.
        Zmm(unsafe { std::arch::x86_64::_mm512_fmadd_ps(a.0, b.0, self.0) })
    }
}
