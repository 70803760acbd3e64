//! The loops that time goes into, each compiled once for each instruction set.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod inverse;

use crate::plan::{Plan, Plane};
use crate::progressive::{self, Stored};
use crate::render::{self, Samples};
use crate::scan::{Block, Cursor, ScanHeader};
use crate::sequential::{self, Strip};
use crate::tables::{Quantisation, Tables};
use crate::{Colour, Error, transform};

/// An instruction set that this CPU has been seen to have: what entitles a loop to use it.
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
    /// The best one.
    pub(crate) fn detect() -> Target {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512vbmi");
            if avx2 {
                return Target(if avx512 { Isa::Avx512 } else { Isa::Avx2 });
            }
        }
        Target(Isa::Portable)
    }
}

/// Defines `fn name(target: Target, …)` with its body compiled once for each instruction set.
macro_rules! by_isa {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $result:ty $body:block) => {
        $(#[$doc])*
        pub(crate) fn $name(target: Target, $($arg: $ty),*) -> $result {
            #[inline(always)]
            fn portable($($arg: $ty),*) -> $result $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx2($($arg: $ty),*) -> $result {
                portable($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,avx2,bmi1,bmi2,lzcnt,popcnt")]
            fn avx512($($arg: $ty),*) -> $result {
                portable($($arg),*)
            }
            match target.0 {
                // SAFETY: a `Target` exists only for an instruction set that the CPU has.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                Isa::Portable => portable($($arg),*),
            }
        }
    };
}

by_isa! {
    /// [`sequential::decode_row`].
    fn decode_row(
        cursor: &mut Cursor,
        strips: &mut [Strip],
        units_across: usize,
        place: (usize, usize),
        wanted: bool,
    ) -> Result<(), Error> {
        sequential::decode_row(cursor, strips, units_across, place, wanted)
    }
}

by_isa! {
    /// [`progressive::decode_scan`].
    fn decode_scan(
        cursor: &mut Cursor,
        scan: &ScanHeader,
        progressive: bool,
        tables: &Tables,
        planes: &[Plane],
        units: (usize, usize),
        stored: &mut [Stored],
    ) -> Result<(), Error> {
        progressive::decode_scan(cursor, scan, progressive, tables, planes, units, stored)
    }
}

by_isa! {
    /// [`transform::row`].
    fn transform_plain(blocks: &[Block], steps: &Quantisation, side: usize, out: &mut [u8], stride: usize) -> () {
        transform::row(blocks, steps, side, out, stride)
    }
}

/// [`transform::row`]. Behind each row of `out` there is room for whole vectors. `lasts`: of each block, its last coefficient
/// that is not zero, where that is known.
pub(crate) fn transform(
    target: Target,
    blocks: &[Block],
    lasts: Option<&[u8]>,
    steps: &Quantisation,
    side: usize,
    (out, stride): (&mut [u8], usize),
) {
    match (side, target.0) {
        // SAFETY: a `Target` exists only for an instruction set that the CPU has.
        #[cfg(target_arch = "x86_64")]
        (2.., Isa::Avx512) => unsafe { transform_avx512(blocks, lasts, steps, side, out, stride) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        (2.., Isa::Avx2) => unsafe { transform_avx2(blocks, lasts, steps, side, out, stride) },
        _ => transform_plain(target, blocks, steps, side, out, stride),
    }
}

/// Defines a row of transforms by vectors of `$n` blocks.
#[cfg(target_arch = "x86_64")]
macro_rules! transform_vectors {
    ($name:ident, $features:literal, $n:literal, $module:ident) => {
        #[target_feature(enable = $features)]
        fn $name(blocks: &[Block], lasts: Option<&[u8]>, table: &Quantisation, side: usize, out: &mut [u8], stride: usize) {
            let steps = inverse::$module::steps(table);
            let (groups, rest) = blocks.as_chunks::<$n>();
            for (i, group) in groups.iter().enumerate() {
                let at = side * $n * i;
                // Blocks without other coefficients than the mean one are common in skies and walls.
                if side == 8 && lasts.is_some_and(|lasts| lasts[$n * i..][..$n] == [0; $n]) {
                    let levels = group.each_ref().map(|block| [transform::flat(block[0], table[0]); 8]);
                    for row in 0..8 {
                        out[at + row * stride..][..8 * $n].copy_from_slice(levels.as_flattened());
                    }
                } else {
                    inverse::$module::blocks(group, &steps, side, &mut out[at..], stride);
                }
            }
            if !rest.is_empty() {
                let mut group = [[0; 64]; $n];
                group[..rest.len()].copy_from_slice(rest);
                inverse::$module::blocks(&group, &steps, side, &mut out[side * $n * groups.len()..], stride);
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
transform_vectors!(transform_avx2, "avx2", 2, avx2);
#[cfg(target_arch = "x86_64")]
transform_vectors!(transform_avx512, "avx512f,avx512bw", 4, avx512);

by_isa! {
    /// [`render::emit`].
    fn emit(
        plan: &Plan,
        colour: Colour,
        samples: &mut [Samples],
        unit_row: usize,
        next: &mut usize,
        rgb: &mut [u8],
    ) -> () {
        render::emit(plan, colour, samples, unit_row, next, rgb)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every instruction set that this CPU has.
    fn targets() -> Vec<Target> {
        let best = Target::detect();
        #[cfg(target_arch = "x86_64")]
        match best.0 {
            Isa::Avx512 => return vec![Target(Isa::Avx2), best],
            Isa::Avx2 => return vec![best],
            Isa::Portable => {}
        }
        let _ = best;
        vec![]
    }

    #[test]
    fn vectors_transform_as_the_formulas_do_whatever_the_coefficients() {
        let mut state = 1u64;
        let mut draw = move |span: i32| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((state >> 33) as i32 % span) as i16
        };
        for round in 0..400 {
            // From usual ones to some that only a damaged file has.
            let span = [3, 40, 600, 1 << 16][round % 4];
            let steps = std::array::from_fn(|_| 1 + draw([20, 255][round % 2]));
            let mut blocks = vec![[0i16; 64]; 1 + round % 11];
            for block in &mut blocks {
                for k in 0..(1 + round / 4) % 65 {
                    block[(7 * k) % 64] = draw(span).wrapping_sub((span / 2) as i16);
                }
            }
            let lasts: Vec<u8> = blocks.iter().map(|b| u8::from(b[1..] != [0; 63])).collect();
            for side in [1, 2, 4, 8] {
                let stride = side * blocks.len() + 64;
                let mut expected = vec![0; side * stride];
                transform::row(&blocks, &steps, side, &mut expected, stride);
                for target in targets() {
                    for lasts in [None, Some(&lasts[..])] {
                        let mut found = vec![0; side * stride];
                        transform(target, &blocks, lasts, &steps, side, (&mut found, stride));
                        for row in 0..side {
                            let span = row * stride..row * stride + side * blocks.len();
                            assert_eq!(found[span.clone()], expected[span], "{target:?}, side {side}, row {row}, round {round}");
                        }
                    }
                }
            }
        }
    }
}
