//! Products of matrices in blocks of columns: `[column block, row, LANES]`.

use super::LANES;
use super::lanes::{Array, Lanes};
use crate::Isa;
use crate::kernels::Target;

/// Where the blocks of a matrix lie: block `j` begins at `j · block`, and rows within it are [`LANES`] apart.
#[derive(Clone, Copy)]
pub(crate) struct Blocked<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) block: usize,
}

/// One call of the innermost kernel.
struct Call {
    /// `[depth block, row, LANES]`, blocks `a_block` apart.
    a: *const f32,
    a_block: usize,
    depth: usize,
    /// `[column block, depth, LANES]`, blocks `b_block` apart.
    b: *const f32,
    b_block: usize,
    c: *mut f32,
    c_block: usize,
}

/// `c[rows, columns] ← a[rows, depth] · b[depth, columns]` for the `blocks` blocks of columns from `first` on; `c` has its blocks
/// `rows · LANES` apart and is not read. Sums run over `depth` in ascending order. FLOPs: `2 · rows · 16 · blocks · depth`.
pub(crate) fn multiply(
    target: Target,
    a: Blocked<'_>,
    b: Blocked<'_>,
    c: &mut [f32],
    rows: usize,
    depth: usize,
    first: usize,
    blocks: usize,
) {
    let (most_rows, wide) = match target.isa() {
        Isa::Avx512 => (8, 3),
        Isa::Avx2 => (6, 1),
        _ => (2, 1),
    };
    let (c_block, depth_blocks) = (rows * LANES, depth.div_ceil(LANES));
    assert!(rows > 0 && depth > 0 && c.len() >= (first + blocks) * c_block);
    assert!(a.values.len() >= (depth_blocks - 1) * a.block + rows * LANES);
    assert!(b.values.len() >= (first + blocks - 1) * b.block + depth * LANES);
    let mut j = first;
    while j < first + blocks {
        let vectors = match first + blocks - j {
            4 if wide > 1 => 2,
            left => left.min(wide),
        };
        let most = if vectors < 3 && wide > 1 { 12 } else { most_rows };
        let strips = rows.div_ceil(most);
        for strip in 0..strips {
            let (begin, end) = (strip * rows / strips, (strip + 1) * rows / strips);
            // SAFETY: the asserts keep rows `begin .. end` and blocks `j .. j + vectors` of all three inside their slices.
            let call = unsafe {
                Call {
                    a: a.values.as_ptr().add(begin * LANES),
                    a_block: a.block,
                    depth,
                    b: b.values.as_ptr().add(j * b.block),
                    b_block: b.block,
                    c: c.as_mut_ptr().add(j * c_block + begin * LANES),
                    c_block,
                }
            };
            // SAFETY: as above; a `Target` exists only for an instruction set that the CPU has.
            unsafe { dispatch(target.isa(), end - begin, vectors, call) };
        }
        j += vectors;
    }
}

/// # Safety
/// The CPU has `isa`, and `rows` rows and `vectors` blocks of the call lie inside their allocations.
unsafe fn dispatch(isa: Isa, rows: usize, vectors: usize, call: Call) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::avx512(rows, vectors, call),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2(rows, call),
            _ => match rows {
                2 => body::<Array<false>, 2, 1>(call),
                _ => body::<Array<false>, 1, 1>(call),
            },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::lanes::Zmm;
    use super::*;

    macro_rules! by_rows {
        ($rows:expr, $call:expr, $lanes:ty, $v:literal: $($m:literal)*) => {
            match $rows {
                $($m => body::<$lanes, $m, $v>($call),)*
                _ => unreachable!("no kernel of {} rows", $rows),
            }
        };
    }

    /// # Safety
    /// As `dispatch`.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(super) unsafe fn avx512(rows: usize, vectors: usize, call: Call) {
        // SAFETY: the caller's promise.
        unsafe {
            match vectors {
                1 => by_rows!(rows, call, Zmm, 1: 1 2 3 4 5 6 7 8 9 10 11 12),
                2 => by_rows!(rows, call, Zmm, 2: 1 2 3 4 5 6 7 8 9 10 11 12),
                _ => by_rows!(rows, call, Zmm, 3: 1 2 3 4 5 6 7 8),
            }
        }
    }

    /// # Safety
    /// As `dispatch`.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2(rows: usize, call: Call) {
        // SAFETY: the caller's promise.
        unsafe { by_rows!(rows, call, Array<true>, 1: 1 2 3 4 5 6) }
    }
}

/// # Safety
/// As `dispatch`, for `M` rows and `V` vectors.
#[inline(always)]
unsafe fn body<L: Lanes, const M: usize, const V: usize>(call: Call) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = [[L::splat(0.0); V]; M];
        let (mut a, mut b, mut left) = (call.a, call.b, call.depth);
        while left > 0 {
            let deep = left.min(LANES);
            for d in 0..deep {
                let mut row = [L::splat(0.0); V];
                for v in 0..V {
                    row[v] = L::load(b.add(v * call.b_block));
                }
                for i in 0..M {
                    let x = L::splat(*a.add(i * LANES + d));
                    for v in 0..V {
                        sum[i][v] = sum[i][v].add_product(x, row[v]);
                    }
                }
                b = b.add(LANES);
            }
            a = a.add(call.a_block);
            left -= deep;
        }
        for i in 0..M {
            for v in 0..V {
                sum[i][v].store(call.c.add(v * call.c_block + i * LANES));
            }
        }
    }
}
