//! Products of matrices in blocks of columns, `[column block, row, LANES]`: `c = a · b` and `c += aᵀ · b`.

use crate::Isa;
use crate::kernels::Target;
use crate::kernels::lanes::{Array, LANES, Lanes};

/// Where the blocks of a matrix lie: block `j` begins at `j · block`, and rows within it are [`LANES`] apart.
#[derive(Clone, Copy)]
pub(crate) struct Blocked<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) block: usize,
}

impl Blocked<'_> {
    /// Whether `blocks` blocks of `rows` rows are there.
    fn holds(&self, blocks: usize, rows: usize) -> bool {
        self.values.len() >= (blocks - 1) * self.block + rows * LANES
    }
}

/// One call of an innermost kernel.
#[derive(Clone, Copy)]
struct Call {
    a: *const f32,
    a_block: usize,
    depth: usize,
    /// `[column block, depth, LANES]`, blocks `b_block` apart.
    b: *const f32,
    b_block: usize,
    c: *mut f32,
    c_block: usize,
    /// Whether `c` is added to; if not, it is not read.
    accumulate: bool,
}

/// Columns blocks that a kernel of most width takes, and the most rows of it and of narrower ones.
fn shape(isa: Isa) -> (usize, usize, usize) {
    match isa {
        Isa::Avx512 => (3, 8, 12),
        Isa::Avx2 => (1, 6, 6),
        _ => (1, 2, 2),
    }
}

/// How many of `left` column blocks a kernel takes that can take `wide`.
fn vectors_of(left: usize, wide: usize) -> usize {
    match left {
        4 if wide > 1 => 2,
        left => left.min(wide),
    }
}

/// `c[rows, columns] ← a[rows, depth] · b[depth, columns]` for all `blocks` blocks of columns; `a` lies in blocks of depth, `c` has its
/// blocks `c_block` apart and is not read. Sums run over `depth` in ascending order. FLOPs: `2 · rows · 16 · blocks · depth`.
pub(crate) fn multiply(
    target: Target,
    a: Blocked<'_>,
    b: Blocked<'_>,
    c: &mut [f32],
    c_block: usize,
    rows: usize,
    depth: usize,
    blocks: usize,
) {
    let (wide, most_rows, most_narrow) = shape(target.isa());
    assert!(rows > 0 && depth > 0 && blocks > 0 && c.len() >= (blocks - 1) * c_block + rows * LANES);
    assert!(a.holds(depth.div_ceil(LANES), rows) && b.holds(blocks, depth) && rows * LANES <= c_block);
    let mut j = 0;
    while j < blocks {
        let vectors = vectors_of(blocks - j, wide);
        let strips = rows.div_ceil(if vectors < wide { most_narrow } else { most_rows });
        for strip in 0..strips {
            let (begin, end) = (strip * rows / strips, (strip + 1) * rows / strips);
            // SAFETY: the asserts keep rows `begin .. end` and blocks `j .. j + vectors` of all three inside their slices; a
            // `Target` exists only for an instruction set that the CPU has.
            unsafe {
                let call = Call {
                    a: a.values.as_ptr().add(begin * LANES),
                    a_block: a.block,
                    depth,
                    b: b.values.as_ptr().add(j * b.block),
                    b_block: b.block,
                    c: c.as_mut_ptr().add(j * c_block + begin * LANES),
                    c_block,
                    accumulate: false,
                };
                dispatch::<false>(target.isa(), end - begin, vectors, call);
            }
        }
        j += vectors;
    }
}

/// `c[channels, columns] ← [c +] a[rows, channels]ᵀ · b[rows, columns]` for all `blocks` blocks of columns; `channels` is a multiple of
/// [`LANES`], and `a` lies in blocks of channels. Sums run over rows in ascending order, and are then added to `c` where
/// `accumulate`; if not, `c` is not read. `c` has its blocks `channels · LANES` apart. FLOPs: `2 · channels · 16 · blocks · rows`.
pub(crate) fn add_outer(
    target: Target,
    a: Blocked<'_>,
    b: Blocked<'_>,
    c: &mut [f32],
    channels: usize,
    rows: usize,
    blocks: usize,
    accumulate: bool,
) {
    let (wide, most_rows, _) = shape(target.isa());
    let c_block = channels * LANES;
    assert!(rows > 0 && blocks > 0 && channels > 0 && channels.is_multiple_of(LANES) && c.len() >= blocks * c_block);
    assert!(a.holds(channels / LANES, rows) && b.holds(blocks, rows));
    // As many strips of a block of channels as leave each with what a kernel can take.
    let strips = LANES.div_ceil(most_rows);
    let mut j = 0;
    while j < blocks {
        let vectors = vectors_of(blocks - j, wide);
        for part in 0..channels / LANES * strips {
            let (block, strip) = (part / strips, part % strips);
            let (begin, end) = (strip * LANES / strips, (strip + 1) * LANES / strips);
            // SAFETY: as in `multiply`, with `channels` rows of `c`.
            unsafe {
                let call = Call {
                    a: a.values.as_ptr().add(block * a.block + begin),
                    a_block: 0,
                    depth: rows,
                    b: b.values.as_ptr().add(j * b.block),
                    b_block: b.block,
                    c: c.as_mut_ptr().add(j * c_block + (block * LANES + begin) * LANES),
                    c_block,
                    accumulate,
                };
                dispatch::<true>(target.isa(), end - begin, vectors, call);
            }
        }
        j += vectors;
    }
}

/// # Safety
/// The CPU has `isa`, and `rows` rows and `vectors` blocks of the call lie inside their allocations.
unsafe fn dispatch<const OUTER: bool>(isa: Isa, rows: usize, vectors: usize, call: Call) {
    // SAFETY: the caller's promise.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => x86::avx512::<OUTER>(rows, vectors, call),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => x86::avx2::<OUTER>(rows, call),
            _ => match rows {
                2 => body::<Array<false>, OUTER, 2, 1>(call),
                _ => body::<Array<false>, OUTER, 1, 1>(call),
            },
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use crate::kernels::lanes::Zmm;

    macro_rules! by_rows {
        ($rows:expr, $call:expr, $lanes:ty, $outer:ident, $v:literal: $($m:literal)*) => {
            match $rows {
                $($m => body::<$lanes, $outer, $m, $v>($call),)*
                _ => unreachable!("no kernel of {} rows", $rows),
            }
        };
    }

    /// # Safety
    /// As `dispatch`.
    #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
    pub(super) unsafe fn avx512<const OUTER: bool>(rows: usize, vectors: usize, call: Call) {
        // SAFETY: the caller's promise.
        unsafe {
            match vectors {
                1 => by_rows!(rows, call, Zmm, OUTER, 1: 1 2 3 4 5 6 7 8 9 10 11 12),
                2 => by_rows!(rows, call, Zmm, OUTER, 2: 1 2 3 4 5 6 7 8 9 10 11 12),
                _ => by_rows!(rows, call, Zmm, OUTER, 3: 1 2 3 4 5 6 7 8),
            }
        }
    }

    /// # Safety
    /// As `dispatch`.
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn avx2<const OUTER: bool>(rows: usize, call: Call) {
        // SAFETY: the caller's promise.
        unsafe { by_rows!(rows, call, Array<true>, OUTER, 1: 1 2 3 4 5 6) }
    }
}

/// `M` rows of `V` blocks of `c`. Element `(i, d)` of `a` is at `i · LANES + d`, in blocks of [`LANES`] along `d`; at `i + d · LANES`
/// where `OUTER`.
///
/// # Safety
/// As `dispatch`.
#[inline(always)]
unsafe fn body<L: Lanes, const OUTER: bool, const M: usize, const V: usize>(call: Call) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut sum = [[L::splat(0.0); V]; M];
        let (mut a, mut b, mut left) = (call.a, call.b, call.depth);
        while left > 0 {
            let deep = if OUTER { left } else { left.min(LANES) };
            for d in 0..deep {
                let mut row = [L::splat(0.0); V];
                for v in 0..V {
                    row[v] = L::load(b.add(v * call.b_block));
                }
                for i in 0..M {
                    let x = L::splat(*a.add(if OUTER { d * LANES + i } else { i * LANES + d }));
                    for v in 0..V {
                        sum[i][v] = sum[i][v].add_product(x, row[v]);
                    }
                }
                b = b.add(LANES);
            }
            a = a.wrapping_add(call.a_block);
            left -= deep;
        }
        for i in 0..M {
            for v in 0..V {
                let c = call.c.add(v * call.c_block + i * LANES);
                let value = if call.accumulate { L::load(c).add(sum[i][v]) } else { sum[i][v] };
                value.store(c);
            }
        }
    }
}

crate::kernels::by_isa! {
    /// `sums[LANES] ← [sums +] Σ x[row, LANES]`, rows in ascending order.
    pub(crate) fn sum_rows(x: &[f32], accumulate: bool, sums: &mut [f32]) {
        let mut all = [0.0f32; LANES];
        for row in x.chunks_exact(LANES) {
            for l in 0..LANES {
                all[l] += row[l];
            }
        }
        for (sum, x) in sums.iter_mut().zip(all) {
            *sum = if accumulate { *sum + x } else { x };
        }
    }
}
