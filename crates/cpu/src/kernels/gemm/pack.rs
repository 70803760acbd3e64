//! Cuts a matrix into panels.

use crate::kernels::{Target, by_isa};

/// `out[panel, d, width] ← from[(panel · width + l) · stride + d · step]` for lane `l`, zeros for lanes from `count` on. Fast where
/// `stride` or `step` is 1. Bytes: `8 · count · depth`.
pub(super) fn pack(
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
    let out = &mut out[..count.next_multiple_of(width) * depth];
    if stride == 1 {
        return copy(target, from, step, count, depth, width, out);
    }
    #[cfg(target_arch = "x86_64")]
    if step == 1 && target.isa() == crate::Isa::Avx512 {
        return transpose_avx512(from, stride, count, depth, width, out);
    }
    gather(target, from, stride, step, count, depth, width, out);
}

by_isa! {
    /// `stride = 1`: each row of a panel is a run of `from`.
    fn copy(from: &[f32], step: usize, count: usize, depth: usize, width: usize, out: &mut [f32]) {
        for (panel, out) in out.chunks_exact_mut(width * depth).enumerate() {
            let begin = panel * width;
            let lanes = width.min(count - begin);
            for (d, row) in out.chunks_exact_mut(width).enumerate() {
                let run = &from[begin + d * step..][..lanes];
                match (<&[f32; 32]>::try_from(run), <&mut [f32; 32]>::try_from(&mut *row)) {
                    (Ok(run), Ok(row)) => *row = *run,
                    _ => {
                        row[..lanes].copy_from_slice(run);
                        row[lanes..].fill(0.0);
                    }
                }
            }
        }
    }
}

by_isa! {
    fn gather(from: &[f32], stride: usize, step: usize, count: usize, depth: usize, width: usize, out: &mut [f32]) {
        for (panel, out) in out.chunks_exact_mut(width * depth).enumerate() {
            let begin = panel * width;
            let lanes = width.min(count - begin);
            for (d, row) in out.chunks_exact_mut(width).enumerate() {
                for (l, value) in row.iter_mut().enumerate() {
                    *value = if l < lanes { from[(begin + l) * stride + d * step] } else { 0.0 };
                }
            }
        }
    }
}

/// `step = 1`, in blocks of 16 × 16.
#[cfg(target_arch = "x86_64")]
fn transpose_avx512(from: &[f32], stride: usize, count: usize, depth: usize, width: usize, out: &mut [f32]) {
    let whole = depth / 16 * 16;
    for (panel, out) in out.chunks_exact_mut(width * depth).enumerate() {
        let begin = panel * width;
        for lane in (0..width).step_by(16) {
            let lanes = 16.min(width - lane);
            let rows = lanes.min(count.saturating_sub(begin + lane));
            for d in (0..whole).step_by(16) {
                let source = if rows == 0 { 0 } else { (begin + lane) * stride + d };
                // SAFETY: only reached on AVX-512; rows begin + lane … of `from` hold values d … d + 15, as asserted by
                // `pack`, and rows d … d + 15 of the panel hold `lanes` values from `lane` on.
                unsafe {
                    let (from, out) = (from.as_ptr().add(source), out.as_mut_ptr().add(d * width + lane));
                    super::avx512::transpose_16x16(from, stride, rows, out, width, lanes);
                }
            }
            for d in whole..depth {
                for l in 0..lanes {
                    out[d * width + lane + l] = if l < rows { from[(begin + lane + l) * stride + d] } else { 0.0 };
                }
            }
        }
    }
}
