//! On AVX2 and FMA a vector takes two of the sixteen registers, and a tile has at most four sums.

use std::arch::x86_64::*;

use super::{Job, LANES, Lanes};

/// Two halves of [`LANES`] values.
type Halves = [__m256; 2];

impl Lanes for Halves {
    #[inline(always)]
    fn zero() -> Halves {
        // SAFETY: all bits zero are zeros.
        unsafe { std::mem::zeroed() }
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Halves {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(LANES / 2))] }
    }

    #[inline(always)]
    unsafe fn plus_product(self, a: Halves, b: Halves) -> Halves {
        // SAFETY: the caller's promise.
        unsafe { [_mm256_fmadd_ps(a[0], b[0], self[0]), _mm256_fmadd_ps(a[1], b[1], self[1])] }
    }

    #[inline(always)]
    unsafe fn values(self) -> [f32; LANES] {
        // SAFETY: the same bits.
        unsafe { std::mem::transmute(self) }
    }
}

/// # Safety
/// The CPU has AVX2 and FMA; the job's operands are as it says.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run(job: Job) {
    // SAFETY: the caller's promise; strips name rows and images that exist.
    job.strips(2, |row, rows, image, images| unsafe {
        match images {
            1 => job.tiles::<Halves, 4, 1>(row, rows, image),
            _ => job.tiles::<Halves, 2, 2>(row, rows, image),
        }
    });
}
