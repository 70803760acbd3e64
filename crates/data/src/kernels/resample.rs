//! The two passes of resizing: weighted sums of 8-bit values in fixed point, rounded to 8 bits.

use super::Target;

/// Weights are multiples of 2⁻²²: 32 bits less 8 of the pixel and 2 for overshoot.
pub(crate) const PRECISION: u32 = 32 - 8 - 2;

/// What a sum begins with, so that cutting its fraction off rounds.
const HALF: i32 = 1 << (PRECISION - 1);

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Which source pixels make up each output pixel of one axis, and their weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weights<'a> {
    /// First source pixel and number of source pixels, for each output pixel.
    pub(crate) bounds: &'a [(usize, usize)],
    /// Each output pixel's at `i · stride`.
    pub(crate) weights: &'a [i32],
    pub(crate) stride: usize,
}

impl<'a> Weights<'a> {
    /// First source pixel and weights of output pixel `i`.
    #[inline(always)]
    fn of(self, i: usize) -> (usize, &'a [i32]) {
        let (first, count) = self.bounds[i];
        (first, &self.weights[i * self.stride..][..count])
    }
}

/// Rows at once.
const ROWS: usize = 4;

/// Rows across: `out[y][i] = Σ_k weight[i][k] · rows[y][first[i] + k − left]`; `rows` are `[h, stride]` values, and each begins
/// with source pixel `left`, `out` is `[h, n, 3]`.
///
/// # Panics
/// Where there are not as many rows in `out`, or source pixels before `left` are asked for.
pub(crate) fn across(target: Target, rows: &[u8], stride: usize, left: usize, taps: Weights<'_>, out: &mut [u8]) {
    let width = 3 * taps.bounds.len();
    assert!(rows.len() / stride == out.len() / width && out.len().is_multiple_of(width), "a row for each row");
    // Unchecked reads rely on it.
    assert!(taps.bounds.iter().all(|&(first, _)| first >= left), "no pixel lies before source pixel {left}");
    #[cfg(target_arch = "x86_64")]
    if target.avx2 {
        for (rows, out) in rows.chunks(ROWS * stride).zip(out.chunks_mut(ROWS * width)) {
            // SAFETY: a `Target` with AVX2 exists only where the CPU has it.
            unsafe { across_avx2(rows, stride, left, taps, out) };
        }
        return;
    }
    let _ = target;
    for (row, out) in rows.chunks_exact(stride).zip(out.chunks_exact_mut(width)) {
        across_from(0, row, left, taps, out);
    }
}

/// Output pixels from `begin` on, one value at a time.
#[inline(always)]
fn across_from(begin: usize, row: &[u8], left: usize, taps: Weights<'_>, out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<3>();
    for (i, out) in out.iter_mut().enumerate().skip(begin) {
        let (first, weights) = taps.of(i);
        let mut sum = [HALF; 3];
        for (pixel, &weight) in row[3 * (first - left)..].as_chunks::<3>().0.iter().zip(weights) {
            for c in 0..3 {
                sum[c] += i32::from(pixel[c]) * weight;
            }
        }
        *out = sum.map(clip);
    }
}

/// Up to four rows, so that bounds and weights are looked at once for them. The three values of a pixel lie in the lanes of one
/// register, beside the first of the next pixel, which is not used.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn across_avx2(rows: &[u8], stride: usize, left: usize, taps: Weights<'_>, out: &mut [u8]) {
    use std::arch::x86_64::*;
    let (n, width) = (taps.bounds.len(), 3 * taps.bounds.len());
    let last = (rows.len() / stride).min(ROWS) - 1;
    // Fewer rows than four: the last one is done again.
    let (from, to): ([usize; ROWS], [usize; ROWS]) =
        (std::array::from_fn(|y| y.min(last) * stride), std::array::from_fn(|y| y.min(last) * width));
    let mut i = 0;
    while i < n {
        let (first, weights) = taps.of(i);
        let begin = 3 * (first - left);
        // Four bytes are read of each pixel, and written: the last pixels of a row have none to spare.
        if begin + 3 * weights.len() + 1 > stride || 3 * i + 4 > width {
            break;
        }
        let mut sums = [_mm_set1_epi32(HALF); ROWS];
        for (k, &weight) in weights.iter().enumerate() {
            let weight = _mm_set1_epi32(weight);
            for y in 0..ROWS {
                // SAFETY: four bytes at `begin + 3 k` of a row, of which `begin + 3 · taps + 1` are there, as was just checked.
                let four = unsafe { rows.as_ptr().add(from[y] + begin + 3 * k).cast::<i32>().read_unaligned() };
                let values = _mm_cvtepu8_epi32(_mm_cvtsi32_si128(four));
                sums[y] = _mm_add_epi32(sums[y], _mm_mullo_epi32(values, weight));
            }
        }
        for y in 0..ROWS {
            let values = _mm_srai_epi32::<{ PRECISION as i32 }>(sums[y]);
            // Both saturate, which is the clipping.
            let bytes = _mm_packus_epi16(_mm_packs_epi32(values, values), values);
            out[to[y] + 3 * i..][..4].copy_from_slice(&_mm_cvtsi128_si32(bytes).to_le_bytes());
        }
        i += 1;
    }
    for y in 0..=last {
        across_from(i, &rows[y * stride..][..stride], left, taps, &mut out[y * width..][..width]);
    }
}

/// Values at once.
const CHUNK: usize = 64;

/// One row down: `out[x] = Σ_k weights[k] · rows[k · stride + x]`; `out` may have any length up to that of a row.
pub(crate) fn down(target: Target, rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    if target.avx2 {
        // SAFETY: a `Target` with AVX2 exists only where the CPU has it.
        unsafe { down_avx2(rows, stride, weights, out) };
        return;
    }
    let _ = target;
    down_in_chunks(rows, stride, weights, out);
}

/// [`down_in_chunks`], which the compiler turns into vectors.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn down_avx2(rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    down_in_chunks(rows, stride, weights, out);
}

#[inline(always)]
fn down_in_chunks(rows: &[u8], stride: usize, weights: &[i32], out: &mut [u8]) {
    let n = out.len();
    let mut x = 0;
    while x + CHUNK <= n {
        let mut sums = [HALF; CHUNK];
        for (k, &weight) in weights.iter().enumerate() {
            let values: &[u8; CHUNK] = rows[k * stride + x..][..CHUNK].try_into().expect("a chunk");
            for i in 0..CHUNK {
                sums[i] += i32::from(values[i]) * weight;
            }
        }
        for i in 0..CHUNK {
            out[x + i] = clip(sums[i]);
        }
        // The last chunk may overlap the one before, which gives the same values again.
        x = if x + CHUNK < n && x + 2 * CHUNK > n { n - CHUNK } else { x + CHUNK };
    }
    for x in x..n {
        let sum = weights.iter().enumerate().fold(HALF, |sum, (k, &w)| sum + i32::from(rows[k * stride + x]) * w);
        out[x] = clip(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up axis: `count` taps each, weights that overshoot on both sides.
    fn axis(n: usize, count: usize) -> (Vec<(usize, usize)>, Vec<i32>) {
        let (one, half) = (1 << PRECISION, count.div_ceil(2) as i32);
        let weight = |k: usize| if k.is_multiple_of(2) { one / 4 * 5 / half } else { -one / 4 / half };
        ((0..n).map(|i| (i, count)).collect(), (0..n * count).map(|i| weight(i % count)).collect())
    }

    #[test]
    fn every_instruction_set_gives_the_same() {
        for (n, count, h) in [(1, 1, 1), (1, 5, 2), (7, 3, 3), (40, 4, 4), (40, 9, 9)] {
            let (bounds, weights) = axis(n, count);
            let taps = Weights { bounds: &bounds, weights: &weights, stride: count };
            // Stripes of a pixel's width, which the weights on either side overshoot, and noise.
            let value = |i: usize| if i % 60 < 40 { 255 * (i / 3 % 2) as u8 } else { (i * i * 7) as u8 };
            let stride = 3 * (n + count - 1);
            let rows: Vec<u8> = (0..h * stride).map(value).collect();
            let mut expected = vec![0; 3 * n * h];
            for (row, out) in rows.chunks(stride).zip(expected.chunks_mut(3 * n)) {
                across_from(0, row, 0, taps, out);
            }
            assert!(n < 40 || expected.contains(&0) && expected.contains(&255), "the sums are clipped on both sides");
            for target in Target::all() {
                let mut out = vec![0; 3 * n * h];
                across(target, &rows, stride, 0, taps, &mut out);
                assert_eq!(out, expected, "{target:?}, {h} rows of {n} pixels of {count}");
            }
        }
        for n in [1, 63, 64, 65, 127, 128, 129, 200] {
            let (_, weights) = axis(1, 6);
            let rows: Vec<u8> = (0..6 * n).map(|i| (i * 41 + i / n * 29) as u8).collect();
            let expected: Vec<u8> =
                (0..n).map(|x| clip((0..6).fold(HALF, |s, k| s + i32::from(rows[k * n + x]) * weights[k]))).collect();
            for target in Target::all() {
                let mut out = vec![0; n];
                down(target, &rows, n, &weights, &mut out);
                assert_eq!(out, expected, "{target:?}, {n} values");
            }
        }
    }

    #[test]
    #[should_panic(expected = "no pixel lies before source pixel 2")]
    fn pixels_before_the_row_are_refused() {
        let (bounds, weights) = axis(40, 9);
        let taps = Weights { bounds: &bounds, weights: &weights, stride: 9 };
        across(Target::detect(), &[0; 3 * 48], 3 * 48, 2, taps, &mut [0; 3 * 40]);
    }
}
