//! Inner loops over pixels, for every CPU and for those with AVX2, with the same bits.

#![allow(unsafe_code)]

pub(crate) mod planes;
pub(crate) mod resample;

/// What this CPU has been seen to have: what entitles a loop to use it. Wider registers than AVX2's gain nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    avx2: bool,
}

impl Target {
    /// What every CPU has.
    const PORTABLE: Target = Target { avx2: false };

    /// The most that this CPU has.
    pub(crate) fn detect() -> Target {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            return Target { avx2: true };
        }
        Target::PORTABLE
    }

    /// All that can be tested on this CPU.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Target> {
        let mut all = vec![Target::PORTABLE, Target::detect()];
        all.dedup();
        all
    }
}

impl Default for Target {
    fn default() -> Target {
        Target::detect()
    }
}
