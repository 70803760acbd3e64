//! From a row of samples to a row of pixels: libjpeg's "fancy" interpolation by 2, and repetition.
//!
//! A pixel lies a quarter of a sample beside the middle of its own sample: it takes three quarters of that one and one quarter
//! of the neighbour on its side. Rounding alternates between up and down, as libjpeg has it. Beyond the edges of the picture
//! the last sample is repeated, which the caller sees to.

/// Twice as many in a row. `near`: the samples and one more at each end, `[n + 2]`; `out`: `[2 n]`.
#[inline(always)]
pub(crate) fn across(near: &[u8], out: &mut [u8]) {
    let n = out.len() / 2;
    let (left, middle, right) = (&near[..n], &near[1..][..n], &near[2..][..n]);
    let (out, _) = out.as_chunks_mut::<2>();
    for i in 0..n {
        let three = 3 * u16::from(middle[i]);
        out[i] = [((three + u16::from(left[i]) + 1) >> 2) as u8, ((three + u16::from(right[i]) + 2) >> 2) as u8];
    }
}

/// A row between two: three quarters of `near` and one of `far`, with `rounding` 1 where `far` is the row above, else 2.
/// All of them `[n]`.
#[inline(always)]
pub(crate) fn down(near: &[u8], far: &[u8], rounding: u16, out: &mut [u8]) {
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(near) + u16::from(far) + rounding) >> 2) as u8;
    }
}

/// Both: a row between two, twice as many in it. `near` and `far`: `[n + 2]` as in [`across`]; `out`: `[2 n]`.
#[inline(always)]
pub(crate) fn both(near: &[u8], far: &[u8], out: &mut [u8]) {
    let n = out.len() / 2;
    let (near, far) = (&near[..n + 2], &far[..n + 2]);
    let sum = |i: usize| 3 * u16::from(near[i]) + u16::from(far[i]);
    let (out, _) = out.as_chunks_mut::<2>();
    for i in 0..n {
        let three = 3 * sum(i + 1);
        out[i] = [((three + sum(i) + 8) >> 4) as u8, ((three + sum(i + 2) + 7) >> 4) as u8];
    }
}

/// Each sample `times` times.
#[inline(always)]
pub(crate) fn repeat(samples: &[u8], times: usize, out: &mut [u8]) {
    for (out, &sample) in out.chunks_exact_mut(times).zip(samples) {
        out.fill(sample);
    }
}
