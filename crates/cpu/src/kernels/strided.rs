//! Every so-many-th value of a slice.

/// `out[i] ← from[i · stride]`. The strides that occur in AlexNets are loops that the compiler turns into shuffles.
#[inline(always)]
pub(super) fn copy_every(from: &[f32], stride: usize, out: &mut [f32]) {
    match stride {
        1 => out.copy_from_slice(&from[..out.len()]),
        2 => copy_first_of::<2>(from, out),
        4 => copy_first_of::<4>(from, out),
        _ => out.iter_mut().zip(from.iter().step_by(stride)).for_each(|(out, &x)| *out = x),
    }
}

#[inline(always)]
fn copy_first_of<const N: usize>(from: &[f32], out: &mut [f32]) {
    let (whole, rest) = from.as_chunks::<N>();
    out.iter_mut().zip(whole).for_each(|(out, chunk)| *out = chunk[0]);
    // The last value may lie in a chunk that is not whole.
    if let (Some(out), Some(&x)) = (out.get_mut(whole.len()), rest.first()) {
        *out = x;
    }
}

#[cfg(test)]
mod tests {
    use super::copy_every;

    #[test]
    fn every_stride_and_length() {
        let from: Vec<f32> = (0..40).map(|i| i as f32).collect();
        for stride in 1..7 {
            for len in 1..=5 {
                for spare in 0..stride {
                    let mut out = vec![-1.0; len];
                    copy_every(&from[..(len - 1) * stride + 1 + spare], stride, &mut out);
                    assert!(out.iter().enumerate().all(|(i, &x)| x == (i * stride) as f32), "{stride} {len} {spare}");
                }
            }
        }
    }
}
