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

/// `c[rows, 16 · blocks] ← a[rows, depth] · b[depth, 16 · blocks]`; `c` has its blocks `rows · LANES` apart. Sums run over
/// `depth` in ascending order. FLOPs: `2 · rows · 16 · blocks · depth`.
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

/// Several matrices of the same shape, `run` apart; blocks of columns lie in each as in [`Blocked`].
#[derive(Clone, Copy)]
pub(crate) struct Runs<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) run: usize,
}

/// `c[rows, 16 · blocks] ← [c +] Σ_run a[run]ᵀ · b[run]` for blocks `first ..` of columns, with `a[run]` of `depth × rows` and
/// `b[run]` of `depth` rows; `rows` is a multiple of [`LANES`]. Sums run over runs and depth in ascending order; `c` is not read unless
/// `accumulate`. FLOPs: `2 · runs · depth · rows · 16 · blocks`.
pub(crate) fn multiply_transposed(
    target: Target,
    a: Runs<'_>,
    b: Runs<'_>,
    (runs, depth, rows): (usize, usize, usize),
    (first, blocks): (usize, usize),
    c: &mut [f32],
    accumulate: bool,
) {
    let (block, c_block) = (depth * LANES, rows * LANES);
    assert!(runs > 0 && rows.is_multiple_of(LANES) && c.len() >= (first + blocks) * c_block);
    assert!(a.values.len() >= (runs - 1) * a.run + rows / LANES * block);
    assert!(b.values.len() >= (runs - 1) * b.run + (first + blocks) * block);
    let (height, wide) = match target.isa() {
        Isa::Avx512 => (8, 3),
        Isa::Avx2 => (4, 1),
        _ => (2, 1),
    };
    for j in (first..first + blocks).step_by(wide) {
        let vectors = wide.min(first + blocks - j);
        for i in (0..rows).step_by(height) {
            // SAFETY: the asserts keep `height` rows, which stay within a block as `height` divides LANES, and `vectors` blocks
            // inside all three slices; a `Target` exists only for an instruction set that the CPU has.
            unsafe {
                let call = SumCall {
                    a: a.values.as_ptr().add(i / LANES * block + i % LANES),
                    a_run: a.run,
                    b: b.values.as_ptr().add(j * block),
                    b_run: b.run,
                    b_block: block,
                    runs,
                    depth,
                    c: c.as_mut_ptr().add(j * c_block + i * LANES),
                    c_block,
                    accumulate,
                };
                match target.isa() {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => x86::sum_avx512(vectors, call),
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => x86::sum_avx2(call),
                    _ => sum_body::<Array<false>, 2, 1>(call),
                }
            }
        }
    }
}

/// One call of the innermost kernel of [`multiply_transposed`].
struct SumCall {
    /// `[depth, LANES]`, runs `a_run` apart.
    a: *const f32,
    a_run: usize,
    /// `[block, depth, LANES]`, runs `b_run` apart.
    b: *const f32,
    b_run: usize,
    b_block: usize,
    runs: usize,
    depth: usize,
    c: *mut f32,
    c_block: usize,
    accumulate: bool,
}

/// # Safety
/// The CPU has the instruction set, and `M` rows and `V` blocks of the call lie inside their allocations.
#[inline(always)]
unsafe fn sum_body<L: Lanes, const M: usize, const V: usize>(call: SumCall) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = [[L::splat(0.0); V]; M];
        for run in 0..call.runs {
            let (a, b) = (call.a.add(run * call.a_run), call.b.add(run * call.b_run));
            for d in 0..call.depth {
                let mut row = [L::splat(0.0); V];
                for v in 0..V {
                    row[v] = L::load(b.add(v * call.b_block + d * LANES));
                }
                for i in 0..M {
                    let x = L::splat(*a.add(d * LANES + i));
                    for v in 0..V {
                        sum[i][v] = sum[i][v].add_product(x, row[v]);
                    }
                }
            }
        }
        for i in 0..M {
            for v in 0..V {
                let c = call.c.add(v * call.c_block + i * LANES);
                let sum = if call.accumulate { sum[i][v].add(L::load(c)) } else { sum[i][v] };
                sum.store(c);
            }
        }
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
    /// As `sum_body`.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(super) unsafe fn sum_avx512(vectors: usize, call: SumCall) {
        // SAFETY: the caller's promise.
        unsafe {
            match vectors {
                1 => sum_body::<Zmm, 8, 1>(call),
                2 => sum_body::<Zmm, 8, 2>(call),
                _ => sum_body::<Zmm, 8, 3>(call),
            }
        }
    }

    /// # Safety
    /// As `sum_body`.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn sum_avx2(call: SumCall) {
        // SAFETY: the caller's promise.
        unsafe { sum_body::<Array<true>, 4, 1>(call) }
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
