//! Rearranging images for locally connected layers: each output position is a matrix product of its own over the images.

use super::by_isa;
use super::conv::Window;

impl Window {
    /// Where window element `(c, r, s)` of output position `(p, q)` lies in an image `[c, h, w]`, if inside it.
    #[inline(always)]
    fn place(&self, position: usize, c: usize, r: usize, s: usize) -> Option<usize> {
        let (p, q) = (position / self.q, position % self.q);
        let h = (p * self.stride_r + r).wrapping_sub(self.top);
        let w = (q * self.stride_s + s).wrapping_sub(self.left);
        (h < self.h && w < self.w).then_some((c * self.h + h) * self.w + w)
    }
}

by_isa! {
    /// `out[n, (c, r, s)] ←` what output position `position` sees of each image of `x` `[n, c, h, w]`, zeros outside.
    pub(crate) fn patches(win: &Window, position: usize, x: &[f32], out: &mut [f32]) {
        for (x, out) in x.chunks_exact(win.c * win.h * win.w).zip(out.chunks_exact_mut(win.depth())) {
            for c in 0..win.c {
                for r in 0..win.r {
                    for s in 0..win.s {
                        out[(c * win.r + r) * win.s + s] = win.place(position, c, r, s).map_or(0.0, |i| x[i]);
                    }
                }
            }
        }
    }
}

by_isa! {
    /// The adjoint of [`patches`]: `x[n, c, h, w] += patches[n, (c, r, s)]`.
    pub(crate) fn add_patches(win: &Window, position: usize, patches: &[f32], x: &mut [f32]) {
        for (x, patch) in x.chunks_exact_mut(win.c * win.h * win.w).zip(patches.chunks_exact(win.depth())) {
            for c in 0..win.c {
                for r in 0..win.r {
                    for s in 0..win.s {
                        if let Some(i) = win.place(position, c, r, s) {
                            x[i] += patch[(c * win.r + r) * win.s + s];
                        }
                    }
                }
            }
        }
    }
}

by_isa! {
    /// `y[k, position] ← values[position, image, k] + bias[k, position]` for one of `n` images, then `max(·, 0)` if `relu`; NaN
    /// stays.
    pub(crate) fn from_positions(
        values: &[f32], n: usize, image: usize, positions: usize, bias: &[f32], relu: bool, y: &mut [f32],
    ) {
        let k = y.len() / positions;
        for i in 0..k {
            for position in 0..positions {
                let value = values[(position * n + image) * k + i] + bias[i * positions + position];
                y[i * positions + position] = if relu && value < 0.0 { 0.0 } else { value };
            }
        }
    }
}

by_isa! {
    /// `out[n, k] ← y[n, k, position]`
    pub(crate) fn at_position(y: &[f32], positions: usize, position: usize, out: &mut [f32]) {
        out.iter_mut().zip(y[position..].iter().step_by(positions)).for_each(|(out, &y)| *out = y);
    }
}
