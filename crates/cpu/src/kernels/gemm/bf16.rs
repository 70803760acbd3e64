//! Products of bf16 values with f32 sums: operands are rounded to the nearest even as they are packed, two to a word along the depth,
//! the first in the lower half; an odd depth is filled up with a zero.
//!
//! A tile computes what `vdpbf16ps` does for each pair: `c ← c + a₁·b₁`, then `c ← c + a₀·b₀`, each rounded once to the nearest even,
//! with numbers below the normal range taken for and replaced by zero. Where the CPU lacks it, the same in f32: the product of two
//! bf16 values is exact there. All instruction sets use the same panels, so all compute the same bits.
//!
//! Error bound of an element beside exact operands: `(2·2⁻⁹ + depth · ε) · Σ_d |a[i, d] · b[d, j]|` to first order.

use super::Tile;
use crate::kernels::{Target, by_isa};

pub(super) const MR: usize = 12;
pub(super) const NR: usize = 32;

/// Words that hold `depth` values.
pub(crate) fn words(depth: usize) -> usize {
    depth.div_ceil(2)
}

/// The bf16 nearest to `x`, ties to even, as bits; a NaN stays one, and numbers below the normal range are zeros.
#[inline(always)]
pub(crate) fn round(x: f32) -> u32 {
    let bits = x.to_bits();
    let (sign, size) = (bits & 0x8000_0000, bits & 0x7fff_ffff);
    if size > 0x7f80_0000 {
        return bits >> 16 | 0x40;
    }
    if size < 0x0080_0000 {
        return sign >> 16;
    }
    (bits + 0x7fff + (bits >> 16 & 1)) >> 16
}

/// The values of a word's halves.
#[inline(always)]
fn halves(word: f32) -> (f32, f32) {
    let bits = word.to_bits();
    (f32::from_bits(bits << 16), f32::from_bits(bits & 0xffff_0000))
}

/// `x`, or a zero of its sign where it is below the normal range.
#[inline(always)]
fn flushed(x: f32) -> f32 {
    if x.abs() < f32::MIN_POSITIVE { 0.0f32.copysign(x) } else { x }
}

/// `sum` plus the products of both halves of two words.
#[inline(always)]
pub(crate) fn add_pair(sum: f32, a: f32, b: f32) -> f32 {
    let ((a0, a1), (b0, b1)) = (halves(a), halves(b));
    flushed(flushed(sum + a1 * b1) + a0 * b0)
}

/// The tile on CPUs without the instruction.
///
/// # Safety
/// As `TileKernel`; `depth` counts words.
pub(super) unsafe fn tile_emulated(tile: Tile) {
    let mut sum = [[0.0f32; NR]; MR];
    // SAFETY: full panels of `a` and `b` can be read, and `rows × cols` of `c` read and written.
    unsafe {
        for d in 0..tile.depth {
            let b: [f32; NR] = tile.b.add(d * NR).cast::<[f32; NR]>().read();
            for i in 0..tile.rows {
                let a = *tile.a.add(i + d * MR);
                for j in 0..NR {
                    sum[i][j] = add_pair(sum[i][j], a, b[j]);
                }
            }
        }
        for i in 0..tile.rows {
            for j in 0..tile.cols {
                let c = tile.c.add(i * tile.ld + j);
                *c = if tile.accumulate { *c + sum[i][j] } else { sum[i][j] };
            }
        }
    }
}

/// Whether this CPU has `vdpbf16ps`.
pub(super) fn has_instruction(target: Target) -> bool {
    #[cfg(target_arch = "x86_64")]
    return target.isa() == crate::Isa::Avx512 && is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = target;
        false
    }
}

/// `out[panel, d / 2, width] ← ` pairs of `from[(panel · width + l) · stride + d · step]` for lane `l`, zeros for lanes from `count` on.
/// Bytes: `6 · count · depth`.
pub(super) fn pack(
    hardware: bool,
    target: Target,
    from: &[f32],
    stride: usize,
    step: usize,
    count: usize,
    depth: usize,
    width: usize,
    out: &mut [f32],
) {
    if count == 0 || depth == 0 {
        return;
    }
    assert!((count - 1) * stride + (depth - 1) * step < from.len(), "{count} × {depth} by {stride}, {step} of {}", from.len());
    let out = &mut out[..count.next_multiple_of(width) * words(depth)];
    #[cfg(target_arch = "x86_64")]
    if hardware && (stride == 1 || step == 1) {
        // SAFETY: the CPU has the instructions, and `from` and `out` are as long as asserted.
        return unsafe { x86::pack(from, stride, step, count, depth, width, out) };
    }
    let _ = hardware;
    gather(target, from, stride, step, count, depth, width, out);
}

by_isa! {
    fn gather(from: &[f32], stride: usize, step: usize, count: usize, depth: usize, width: usize, out: &mut [f32]) {
        let deep = words(depth);
        for (panel, out) in out.chunks_exact_mut(width * deep).enumerate() {
            for (d, row) in out.chunks_exact_mut(width).enumerate() {
                for (l, word) in row.iter_mut().enumerate() {
                    let lane = panel * width + l;
                    let half = |d: usize| if lane < count && d < depth { round(from[lane * stride + d * step]) } else { 0 };
                    *word = f32::from_bits(half(2 * d) | half(2 * d + 1) << 16);
                }
            }
        }
    }
}

by_isa! {
    /// `out[row, i / 2] ← ` pairs of `x[row, i]`. Bytes: `6` a value.
    fn pack_rows_emulated(x: &[f32], inputs: usize, out: &mut [f32]) {
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(words(inputs))) {
            for (pair, word) in x.chunks(2).zip(out) {
                *word = f32::from_bits(round(pair[0]) | pair.get(1).map_or(0, |&x| round(x)) << 16);
            }
        }
    }
}

/// Pairs of the rows `x[row, inputs]`, as [`dots`] reads them.
pub(super) fn pack_rows(hardware: bool, target: Target, x: &[f32], inputs: usize, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if hardware {
        for (x, out) in x.chunks_exact(inputs).zip(out.chunks_exact_mut(words(inputs))) {
            // SAFETY: the CPU has the instructions.
            unsafe { x86::pack_run(x, out) };
        }
        return;
    }
    let _ = hardware;
    pack_rows_emulated(target, x, inputs, out);
}

/// Words that are added up side by side in [`dots`].
const LANES: usize = 16;

/// `Σ a · b` over pairs: 16 partial sums in ascending order, then added in halves.
pub(super) fn dots<const R: usize>(hardware: bool, a: [&[f32]; R], b: &[f32]) -> [f32; R] {
    let len = b.len();
    assert!(a.iter().all(|a| a.len() == len));
    #[cfg(target_arch = "x86_64")]
    if hardware {
        // SAFETY: the CPU has the instruction, and all rows are as long as `b`.
        return unsafe { x86::dots(a, b) }.map(halved);
    }
    let _ = hardware;
    a.map(|a| {
        let mut sums = [0.0f32; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum = add_pair(*sum, a, b);
            }
        }
        halved(sums)
    })
}

/// The sum of partial sums, the upper half onto the lower until one is left.
fn halved(mut sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            sums[i] += sums[i + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(target_arch = "x86_64")]
pub(super) mod x86 {
    use std::arch::x86_64::*;

    use super::super::avx512::transpose_16x16;
    use super::*;

    /// The tile by `vdpbf16ps`.
    ///
    /// # Safety
    /// As `TileKernel`; `depth` counts words.
    pub(in super::super) unsafe fn tile(tile: Tile) {
        macro_rules! by_rows {
            ($($m:literal)*) => {
                match (tile.rows, tile.cols > 16) {
                    $(($m, true) => tile_of::<$m, 2>(tile), ($m, false) => tile_of::<$m, 1>(tile),)*
                    _ => unreachable!("no tile of {} rows", tile.rows),
                }
            };
        }
        // SAFETY: the caller's promise.
        unsafe { by_rows!(1 2 3 4 5 6 7 8 9 10 11 12) }
    }

    /// # Safety
    /// As `TileKernel`, with `rows = M` and `16 · (V − 1) < cols ≤ 16 · V`.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn tile_of<const M: usize, const V: usize>(tile: Tile) {
        let mut sum = [[_mm512_setzero_ps(); V]; M];
        let (mut a, mut b) = (tile.a, tile.b);
        // SAFETY: full panels of `a` and `b` can be read, and `M × cols` of `c` read and written; masked lanes are not touched.
        unsafe {
            for _ in 0..tile.depth {
                let mut row = [_mm512_setzero_si512(); V];
                for v in 0..V {
                    row[v] = _mm512_loadu_si512(b.add(16 * v).cast());
                }
                for i in 0..M {
                    let x = _mm512_set1_epi32((*a.add(i)).to_bits() as i32);
                    for v in 0..V {
                        sum[i][v] = _mm512_dpbf16_ps(sum[i][v], pairs(x), pairs(row[v]));
                    }
                }
                a = a.add(MR);
                b = b.add(NR);
            }
            let last: __mmask16 = 0xffff >> (16 * V - tile.cols);
            for i in 0..M {
                for v in 0..V {
                    let c = tile.c.add(i * tile.ld + 16 * v);
                    let mask = if v + 1 == V { last } else { 0xffff };
                    if tile.accumulate {
                        sum[i][v] = _mm512_add_ps(sum[i][v], _mm512_maskz_loadu_ps(mask, c));
                    }
                    _mm512_mask_storeu_ps(c, mask, sum[i][v]);
                }
            }
        }
    }

    #[inline(always)]
    fn pairs(x: __m512i) -> __m512bh {
        // SAFETY: the same bits.
        unsafe { std::mem::transmute(x) }
    }

    /// Sixteen words from sixteen values for the lower halves and sixteen for the upper.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn interleave(low: __m512, high: __m512) -> __m512i {
        // SAFETY: the same bits.
        let half = |x: __m512| unsafe { _mm512_cvtepu16_epi32(std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(x))) };
        _mm512_or_si512(half(low), _mm512_slli_epi32::<16>(half(high)))
    }

    /// Sixteen words from the values `x[0..count]`, `count ≤ 32`; zeros behind them.
    ///
    /// # Safety
    /// `count` values can be read at `x`.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn run(x: *const f32, count: usize) -> __m512i {
        let mask = |count: usize| (0xffff_u32 >> (16 - count.min(16))) as __mmask16;
        // SAFETY: the caller's promise; masked lanes are not read. The conversion takes its second operand for the lower half.
        unsafe {
            let low = _mm512_maskz_loadu_ps(mask(count), x);
            let high = _mm512_maskz_loadu_ps(mask(count.saturating_sub(16)), x.wrapping_add(16));
            std::mem::transmute(_mm512_cvtne2ps_pbh(high, low))
        }
    }

    /// # Safety
    /// The CPU has AVX-512 F and BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn pack_run(x: &[f32], out: &mut [f32]) {
        assert!(out.len() == words(x.len()));
        for (x, out) in x.chunks(32).zip(out.chunks_mut(16)) {
            // SAFETY: the run's own values and as many words as they fill.
            unsafe {
                let mask = (0xffff_u32 >> (16 - out.len())) as __mmask16;
                _mm512_mask_storeu_epi32(out.as_mut_ptr().cast(), mask, run(x.as_ptr(), x.len()));
            }
        }
    }

    /// `super::pack` where `stride` or `step` is 1.
    ///
    /// # Safety
    /// The CPU has AVX-512 F and BF16; `from` holds what is named, and `out` whole panels.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn pack(
        from: &[f32],
        stride: usize,
        step: usize,
        count: usize,
        depth: usize,
        width: usize,
        out: &mut [f32],
    ) {
        let deep = words(depth);
        for (panel, out) in out.chunks_exact_mut(width * deep).enumerate() {
            for lane in (0..width).step_by(16) {
                let (lanes, begin) = (16.min(width - lane), panel * width + lane);
                let rows = lanes.min(count.saturating_sub(begin));
                let mask = |n: usize| (0xffff_u32 >> (16 - n)) as __mmask16;
                // SAFETY: only the lanes and depths that there are are read, and lanes of the panel written.
                unsafe {
                    if stride == 1 {
                        let row = |d: usize| match d < depth && rows > 0 {
                            true => _mm512_maskz_loadu_ps(mask(rows), from.as_ptr().add(begin + d * step)),
                            false => _mm512_setzero_ps(),
                        };
                        for d in 0..deep {
                            let words = interleave(row(2 * d), row(2 * d + 1));
                            _mm512_mask_storeu_epi32(out.as_mut_ptr().add(d * width + lane).cast(), mask(lanes), words);
                        }
                        continue;
                    }
                    let mut block = [[0.0f32; 16]; 16];
                    for d in (0..deep).step_by(16) {
                        for l in 0..rows {
                            let x = from.as_ptr().add((begin + l) * stride + 2 * d);
                            _mm512_storeu_si512(block[l].as_mut_ptr().cast(), run(x, 32.min(depth - 2 * d)));
                        }
                        let to = out.as_mut_ptr().add(d * width + lane);
                        if d + 16 <= deep {
                            transpose_16x16(block.as_ptr().cast(), 16, rows, to, width, lanes);
                            continue;
                        }
                        for i in 0..deep - d {
                            for l in 0..lanes {
                                *to.add(i * width + l) = if l < rows { block[l][i] } else { 0.0 };
                            }
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// The CPU has AVX-512 F and BF16; every row of `a` is as long as `b`.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub(super) unsafe fn dots<const R: usize>(a: [&[f32]; R], b: &[f32]) -> [[f32; LANES]; R] {
        let mut sum = [_mm512_setzero_ps(); R];
        for d in (0..b.len()).step_by(LANES) {
            let mask = (0xffff_u32 >> (LANES - LANES.min(b.len() - d))) as __mmask16;
            // SAFETY: masked lanes are not read.
            unsafe {
                let x = _mm512_maskz_loadu_epi32(mask, b.as_ptr().add(d).cast());
                for r in 0..R {
                    let w = _mm512_maskz_loadu_epi32(mask, a[r].as_ptr().add(d).cast());
                    sum[r] = _mm512_dpbf16_ps(sum[r], pairs(w), pairs(x));
                }
            }
        }
        // SAFETY: the same bits.
        sum.map(|sum| unsafe { std::mem::transmute::<__m512, [f32; LANES]>(sum) })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Gemm, Left};
    use super::*;
    use crate::Isa;
    use crate::kernels::MatMut;

    fn noise(len: usize, seed: u64) -> Vec<f32> {
        let stream = net::random::Stream::new(seed, net::random::Purpose::Test, 0, 0, 0);
        let value = |e: u32| (2.0 * stream.uniform(2 * e) - 1.0) * (40.0 * stream.uniform(2 * e + 1) - 20.0).exp2();
        (0..len).map(|e| value(e as u32) as f32).collect()
    }

    /// `a[m, k] · b[k, n]` by the tiles of one instruction set, in one block of depth.
    fn product(gemm: &Gemm, a: &[f32], b: &[f32], (m, n, k): (usize, usize, usize), transposed: bool) -> Vec<f32> {
        let (mut ap, mut bp) = (vec![f32::NAN; gemm.a_len(m, k)], vec![f32::NAN; gemm.b_len(k, n)]);
        let ((a_stride, a_step), (b_stride, b_step)) = if transposed { ((1, m), (1, n)) } else { ((k, 1), (k, 1)) };
        gemm.pack_a(a, a_stride, a_step, m, k, &mut ap);
        gemm.pack_b(b, b_stride, b_step, n, k, &mut bp);
        let mut c = vec![f32::NAN; m * n];
        let left = Left::Panels { values: &ap, panel: gemm.words(k) * gemm.mr(), from: 0 };
        gemm.multiply(left, &bp, k, MatMut::new(&mut c, m, n, n), false);
        c
    }

    #[test]
    fn all_instruction_sets_compute_the_same_bits_and_those_are_near_the_sum() {
        for (m, n, k) in [(1, 1, 1), (12, 32, 33), (13, 47, 100), (5, 16, 31), (25, 70, 384)] {
            for transposed in [false, true] {
                let (a, b) = (noise(m * k, 1), noise(k * n, 2));
                let all = Isa::ALL.into_iter().filter_map(Target::new).map(|target| {
                    let c = product(&Gemm::bf16(target), &a, &b, (m, n, k), transposed);
                    c.iter().map(|c| c.to_bits()).collect::<Vec<_>>()
                });
                let all: Vec<_> = all.collect();
                assert!(all.iter().all(|bits| *bits == all[0]), "{m} × {n} × {k}");
                let exact = |x: f32| f64::from(f32::from_bits(round(x) << 16));
                for (i, j) in (0..m).flat_map(|i| (0..n).map(move |j| (i, j))) {
                    let at = |d: usize| if transposed { (a[i + d * m], b[j + d * n]) } else { (a[i * k + d], b[j * k + d]) };
                    let (mut sum, mut size) = (0.0, 0.0);
                    for (x, y) in (0..k).map(at) {
                        sum += exact(x) * exact(y);
                        size += (exact(x) * exact(y)).abs();
                    }
                    let error = (f64::from(f32::from_bits(all[0][i * n + j])) - sum).abs();
                    assert!(error <= k as f64 * 2f64.powi(-24) * size, "({i}, {j}) of {m} × {n} × {k}: {error:e} of {size:e}");
                }
            }
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_even() {
        let up = |bits: u32| round(f32::from_bits(bits));
        assert_eq!((up(0x3f80_8000), up(0x3f81_8000), up(0x3f80_8001)), (0x3f80, 0x3f82, 0x3f81));
        assert_eq!((round(f32::INFINITY), up(0x7f7f_ffff), up(0x0000_0001), up(0x8000_0001)), (0x7f80, 0x7f80, 0, 0x8000));
        assert!(f32::from_bits(round(f32::NAN) << 16).is_nan());
    }

    #[test]
    fn rows_by_a_vector_are_the_same_with_and_without_the_instruction() {
        let Some(target) = Target::new(Isa::Avx512).filter(|target| has_instruction(*target)) else {
            println!("skipped: dot products of bf16 by one instruction: this CPU has none");
            return;
        };
        for inputs in [1, 2, 31, 32, 33, 577] {
            let (w, x) = (noise(inputs, 3), noise(inputs, 4));
            let packed = |hardware: bool, x: &[f32]| {
                let mut out = vec![f32::NAN; words(inputs)];
                pack_rows(hardware, target, x, inputs, &mut out);
                out
            };
            let by = |hardware: bool| dots(hardware, [&packed(hardware, &w)[..]], &packed(hardware, &x))[0].to_bits();
            assert_eq!(by(true), by(false), "{inputs}");
        }
    }
}
