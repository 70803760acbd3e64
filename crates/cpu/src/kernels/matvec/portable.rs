//! For any CPU: arrays that the compiler vectorises. Sums are not fused with products, which only some CPUs can do.

use super::{Job, LANES, Lanes};

impl Lanes for [f32; LANES] {
    #[inline(always)]
    fn zero() -> [f32; LANES] {
        [0.0; LANES]
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> [f32; LANES] {
        // SAFETY: the caller's promise; an array of f32 is aligned as one.
        unsafe { from.cast::<[f32; LANES]>().read() }
    }

    #[inline(always)]
    unsafe fn plus_product(self, a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        std::array::from_fn(|i| self[i] + a[i] * b[i])
    }

    #[inline(always)]
    unsafe fn values(self) -> [f32; LANES] {
        self
    }
}

/// # Safety
/// The job's operands are as it says.
pub(super) unsafe fn run(job: Job) {
    // SAFETY: the caller's promise; strips name rows and images that exist.
    job.strips(1, |row, rows, image, _| unsafe { job.tiles::<[f32; LANES], 2, 1>(row, rows, image) });
}
