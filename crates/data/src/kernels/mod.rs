//! Inner loops over pixels, compiled once for each instruction set. All give the same bits.

#![allow(unsafe_code)]

pub(crate) mod planes;
pub(crate) mod resample;

/// An instruction set that this CPU has been seen to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(Isa);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Isa {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Target {
    /// The highest of this CPU.
    pub(crate) fn detect() -> Target {
        Target::all().pop().unwrap_or(Target(Isa::Portable))
    }

    /// Every one of this CPU, the lowest first.
    pub(crate) fn all() -> Vec<Target> {
        let mut all = vec![Target(Isa::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                all.push(Target(Isa::Avx2));
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    all.push(Target(Isa::Avx512));
                }
            }
        }
        all
    }

    /// Whether it has AVX2.
    #[cfg(target_arch = "x86_64")]
    fn has_avx2(self) -> bool {
        self.0 != Isa::Portable
    }
}

impl Default for Target {
    fn default() -> Target {
        Target::detect()
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
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $ty),*) {
                portable($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
            fn avx512($($arg: $ty),*) {
                portable($($arg),*)
            }
            match target.0 {
                // SAFETY: a `Target` exists only for an instruction set that the CPU has.
                #[cfg(target_arch = "x86_64")]
                crate::kernels::Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                crate::kernels::Isa::Avx2 => unsafe { avx2($($arg),*) },
                crate::kernels::Isa::Portable => portable($($arg),*),
            }
        }
    };
}
pub(crate) use by_isa;
