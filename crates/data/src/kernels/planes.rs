//! A row of pixels to a row of each of a net's maps.

use super::Target;

/// How the values of one map come about: `(pixel − mean + shift) · scale`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Affine<'a> {
    /// `[w]`
    pub(crate) mean: &'a [f32],
    pub(crate) shift: f32,
    pub(crate) scale: f32,
}

/// Which way a row is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is.
    Forward,
    /// The pixels from the right; the means stay where they are.
    Reflected,
    /// The pixels and the means from the right.
    ReflectedWithMean,
}

/// One row: `out[c][x] = (row[x'][c] − mean[c][x″] + shift[c]) · scale[c]`, where `x'` and `x″` follow from `way`.
///
/// `row` is `[w, 3]`, `affine` and `out` are in the order of the pixel's values, `out` is `[3][w]`. What is written goes past the
/// caches where that is possible, because a batch is larger than they are: nobody reads it before [`publish`] is called.
///
/// # Panics
/// Where the lengths differ.
pub(crate) fn planes(target: Target, row: &[u8], affine: [Affine<'_>; 3], way: Way, out: [&mut [f32]; 3]) {
    let w = out[0].len();
    assert!(row.len() == 3 * w && out.iter().all(|out| out.len() == w), "three maps of one width");
    assert!(affine.iter().all(|a| a.mean.len() == w), "a mean for each pixel");
    #[cfg(target_arch = "x86_64")]
    if target.avx2 {
        // SAFETY: a `Target` with AVX2 exists only where the CPU has it.
        unsafe { planes_avx2(row, affine, way, out) };
        return;
    }
    let _ = target;
    planes_from(0, row, affine, way, out);
}

/// Makes sure that whoever reads the rows that this thread has written sees them; to be called behind the last of them.
pub(crate) fn publish() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 CPU has SSE.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

/// The pixels from `begin` on, one by one.
fn planes_from(begin: usize, row: &[u8], affine: [Affine<'_>; 3], way: Way, out: [&mut [f32]; 3]) {
    for (c, (out, Affine { mean, shift, scale })) in out.into_iter().zip(affine).enumerate() {
        let w = out.len();
        for x in begin..w {
            let (mean_at, at) = places(way, x, w, 1);
            out[at] = (f32::from(row[3 * x + c]) - mean[mean_at] + shift) * scale;
        }
    }
}

/// Where the means of `n` pixels from `x` on begin, and the values made of them.
#[inline(always)]
fn places(way: Way, x: usize, w: usize, n: usize) -> (usize, usize) {
    match way {
        Way::Forward => (x, x),
        Way::Reflected => (w - x - n, w - x - n),
        Way::ReflectedWithMean => (x, w - x - n),
    }
}

/// Sixteen pixels at once: 48 bytes become three registers of one colour each, and each of them four of four values.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn planes_avx2(row: &[u8], affine: [Affine<'_>; 3], way: Way, out: [&mut [f32]; 3]) {
    use std::arch::x86_64::*;
    const PIXELS: usize = 16;
    let w = out[0].len();
    let [red, green, blue] = out;
    let out = [red, green, blue];
    // SAFETY: each mask is of 16 bytes.
    let masks = MASKS.map(|of_colour| of_colour.map(|mask| unsafe { _mm_loadu_si128(mask.as_ptr().cast()) }));
    let backwards = _mm_setr_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    let whole = w / PIXELS * PIXELS;
    for x in (0..whole).step_by(PIXELS) {
        let pixels: &[u8; 3 * PIXELS] = row[3 * x..][..3 * PIXELS].try_into().expect("sixteen pixels");
        // SAFETY: three times 16 bytes of the 48.
        let bytes: [__m128i; 3] = std::array::from_fn(|i| unsafe { _mm_loadu_si128(pixels[16 * i..].as_ptr().cast()) });
        let (mean_at, at) = places(way, x, w, PIXELS);
        for c in 0..3 {
            let parts: [__m128i; 3] = std::array::from_fn(|i| _mm_shuffle_epi8(bytes[i], masks[c][i]));
            let mut values = _mm_or_si128(_mm_or_si128(parts[0], parts[1]), parts[2]);
            if way != Way::Forward {
                values = _mm_shuffle_epi8(values, backwards);
            }
            let Affine { mean, shift, scale } = affine[c];
            let mean: &[f32; PIXELS] = mean[mean_at..][..PIXELS].try_into().expect("sixteen means");
            let out: &mut [f32; PIXELS] = (&mut out[c][at..][..PIXELS]).try_into().expect("sixteen values");
            for half in 0..2 {
                let eight = if half == 0 { values } else { _mm_srli_si128::<8>(values) };
                let value = _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight));
                // SAFETY: eight of the sixteen means.
                let mean = unsafe {
                    match way {
                        Way::ReflectedWithMean => {
                            let mean = _mm256_loadu_ps(mean[8 - 8 * half..].as_ptr());
                            _mm256_permutevar8x32_ps(mean, _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0))
                        }
                        _ => _mm256_loadu_ps(mean[8 * half..].as_ptr()),
                    }
                };
                let value = _mm256_add_ps(_mm256_sub_ps(value, mean), _mm256_set1_ps(shift));
                let value = _mm256_mul_ps(value, _mm256_set1_ps(scale));
                let place = out[8 * half..].as_mut_ptr();
                // SAFETY: eight of the sixteen values; past the caches only where a multiple of 16 bytes is.
                unsafe {
                    if place.addr().is_multiple_of(16) {
                        _mm_stream_ps(place, _mm256_castps256_ps128(value));
                        _mm_stream_ps(place.add(4), _mm256_extractf128_ps::<1>(value));
                    } else {
                        _mm256_storeu_ps(place, value);
                    }
                }
            }
        }
    }
    planes_from(whole, row, affine, way, out);
}

/// Which byte of each sixteen of 48 goes to which pixel, for each colour; 0x80 is none.
#[cfg(target_arch = "x86_64")]
const MASKS: [[[u8; 16]; 3]; 3] = {
    let mut masks = [[[0x80; 16]; 3]; 3];
    let mut byte = 0;
    while byte < 48 {
        masks[byte % 3][byte / 16][byte / 3] = (byte % 16) as u8;
        byte += 1;
    }
    masks
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_and_way_agrees_with_the_formula() {
        for w in [1, 31, 32, 33, 64, 100] {
            let row: Vec<u8> = (0..3 * w).map(|i| (i * 37 % 256) as u8).collect();
            let mean: Vec<f32> = (0..3 * w).map(|i| 100.0 + i as f32 * 0.37).collect();
            let affine: [Affine; 3] = std::array::from_fn(|c| Affine {
                mean: &mean[c * w..][..w],
                shift: c as f32 - 0.7,
                scale: 1.0 / (50.0 + c as f32),
            });
            for way in [Way::Forward, Way::Reflected, Way::ReflectedWithMean] {
                for target in Target::all() {
                    let mut out = vec![0.0; 3 * w];
                    let (red, rest) = out.split_at_mut(w);
                    let (green, blue) = rest.split_at_mut(w);
                    planes(target, &row, affine, way, [red, green, blue]);
                    publish();
                    for (c, a) in affine.iter().enumerate() {
                        for x in 0..w {
                            let from = if way == Way::Forward { x } else { w - 1 - x };
                            let mean = a.mean[if way == Way::ReflectedWithMean { from } else { x }];
                            let expected = (f32::from(row[3 * from + c]) - mean + a.shift) * a.scale;
                            assert_eq!(out[c * w + x].to_bits(), expected.to_bits(), "{target:?} {way:?} w {w} c {c} x {x}");
                        }
                    }
                }
            }
        }
    }
}
