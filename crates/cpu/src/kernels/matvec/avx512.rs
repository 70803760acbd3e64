//! On AVX-512 a tile of 4 rows and up to 6 images has 24 sums in 32 registers.

use std::arch::x86_64::*;

use super::{Job, LANES, Lanes};

impl Lanes for __m512 {
    #[inline(always)]
    fn zero() -> __m512 {
        // SAFETY: all bits zero are zeros.
        unsafe { std::mem::zeroed() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn plus_product(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_fmadd_ps(a, b, self) }
    }

    #[inline(always)]
    unsafe fn values(self) -> [f32; LANES] {
        // SAFETY: the same bits.
        unsafe { std::mem::transmute(self) }
    }
}

/// # Safety
/// The CPU has AVX-512 F; the job's operands are as it says.
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn run(job: Job) {
    // SAFETY: the caller's promise; strips name rows and images that exist.
    job.strips(6, |row, rows, image, images| unsafe {
        match images {
            1 => job.tiles::<__m512, 4, 1>(row, rows, image),
            2 => job.tiles::<__m512, 4, 2>(row, rows, image),
            3 => job.tiles::<__m512, 4, 3>(row, rows, image),
            4 => job.tiles::<__m512, 4, 4>(row, rows, image),
            5 => job.tiles::<__m512, 4, 5>(row, rows, image),
            _ => job.tiles::<__m512, 4, 6>(row, rows, image),
        }
    });
}
