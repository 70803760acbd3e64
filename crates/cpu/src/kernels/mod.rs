//! The arithmetic: functions of slices and numbers that know nothing of nets or plans.
//!
//! Most ops have one body, which [`by_isa`] compiles once for each instruction set and lets the compiler vectorise; where
//! that is not enough, an op is a folder with a file for each instruction set.

#![allow(unsafe_code)]

pub(crate) mod blocked;
pub(crate) mod conv;
pub(crate) mod gemm;
pub(crate) mod lanes;
pub(crate) mod linear;
pub(crate) mod local;
pub(crate) mod lrn;
pub(crate) mod lrn_within;
mod matrix;
pub(crate) mod matvec;
pub(crate) mod nearest;
pub(crate) mod peak;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod softmax;
mod strided;
pub(crate) mod transpose;
pub(crate) mod update;
pub(crate) mod winograd;

pub(crate) use matrix::MatMut;

use crate::Isa;

/// An instruction set that this CPU has been seen to have: what entitles a kernel to use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(Isa);

impl Target {
    /// `None` where the CPU lacks it.
    pub(crate) fn new(isa: Isa) -> Option<Target> {
        isa.available().then_some(Target(isa))
    }

    pub(crate) fn isa(self) -> Isa {
        self.0
    }
}

/// Defines `fn name(target: Target, …)` with its body compiled once for each instruction set.
macro_rules! by_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name(target: crate::kernels::Target, $($arg: $ty),*) {
            #[inline(always)]
            fn portable($($arg: $ty),*) $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) {
                portable($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512($($arg: $ty),*) {
                portable($($arg),*)
            }
            match target.isa() {
                // SAFETY: a `Target` exists only for an instruction set that the CPU has.
                #[cfg(target_arch = "x86_64")]
                crate::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => portable($($arg),*),
            }
        }
    };
}
pub(crate) use by_isa;
