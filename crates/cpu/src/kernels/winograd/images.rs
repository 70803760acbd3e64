//! Images and their tiles, `[channel block, h, w, LANES]`, to and from the points, `[point, channel block, tile, LANES]`.
//!
//! Each transform multiplies a small matrix along columns and then along rows, [`LANES`] channels at once. Only tiles at a
//! border that the image does not fill go through a copy.

use super::matrices::{F, Matrices, forward, transposed};
use super::{Tile, Tiling, by_tile};
use crate::kernels::MatMut;
use crate::kernels::lanes::{LANES, Lanes};

/// Points of one image: row `(point, channel block)` is `ld` values behind the row before and holds `[tile, LANES]`.
#[derive(Clone, Copy)]
pub(crate) struct Points<'a> {
    /// From the first channel block that is wanted on.
    pub(crate) values: &'a [f32],
    /// Channel blocks of a point, of which a call may want only some.
    pub(crate) blocks: usize,
    pub(crate) ld: usize,
}

/// A rectangle of pixels of one channel block that may reach beyond the image.
#[derive(Clone, Copy)]
struct Patch {
    /// Its first row and column in the image.
    row: isize,
    col: isize,
    size: usize,
}

impl Patch {
    fn inside(self, h: usize, w: usize) -> bool {
        let end = self.size as isize;
        self.row >= 0 && self.col >= 0 && self.row + end <= h as isize && self.col + end <= w as isize
    }

    /// The part of rows or columns `0..size` that the image has from `first` on.
    fn clip(self, first: isize, image: usize) -> std::ops::Range<usize> {
        let begin = (-first).clamp(0, self.size as isize);
        begin as usize..(image as isize - first).clamp(begin, self.size as isize) as usize
    }
}

/// Where a patch of `image[h, w, LANES]` can be read, and the values between its rows: in the image, or in `copy` with zeros
/// for what the image does not have.
///
/// # Safety
/// The image holds `h · w` vectors, and the CPU has the instruction set of `L`.
#[inline(always)]
unsafe fn patch<L: Lanes, const S: usize>(
    image: *const f32,
    h: usize,
    w: usize,
    at: Patch,
    copy: &mut [[[f32; LANES]; S]; S],
) -> (*const f32, usize) {
    // SAFETY: rows and columns are clipped to the image.
    unsafe {
        if at.inside(h, w) {
            return (image.add((at.row as usize * w + at.col as usize) * LANES), w * LANES);
        }
        let (rows, cols) = (at.clip(at.row, h), at.clip(at.col, w));
        for i in 0..S {
            for j in 0..S {
                let x = if rows.contains(&i) && cols.contains(&j) {
                    let (row, col) = ((at.row + i as isize) as usize, (at.col + j as isize) as usize);
                    L::load(image.add((row * w + col) * LANES))
                } else {
                    L::splat(0.0)
                };
                x.store(copy[i][j].as_mut_ptr());
            }
        }
        (copy.as_ptr().cast(), S * LANES)
    }
}

by_tile! {
    /// `v ← Bᵀ x B` of one group of one image `x[channel block, h, w, LANES]`; `v` has a row for each `(point, channel block)` and
    /// `[tile, LANES]` columns, for the tiles from `first` on.
    pub(crate) fn input = input_body(tiling: &Tiling, x: &[f32], first: usize, v: &mut MatMut<'_>)
}

#[inline(always)]
unsafe fn input_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    x: &[f32],
    first: usize,
    v: &mut MatMut<'_>,
) {
    let ((_, across), pixels) = (tiling.grid(), tiling.h * tiling.w * LANES);
    let (blocks, tiles, ld) = (x.len() / pixels, v.cols() / LANES, v.ld());
    assert!(x.len() == blocks * pixels && v.rows() == A * A * blocks && v.cols() == tiles * LANES);
    assert!(first + tiles <= tiling.tiles());
    let (out, mut copy) = (v.as_mut_ptr(), [[[0.0; LANES]; A]; A]);
    for block in 0..blocks {
        for place in 0..tiles {
            let tile = first + place;
            let row = (tile / across * M) as isize - tiling.top as isize;
            let col = (tile % across * M) as isize - tiling.left as isize;
            // SAFETY: `x` holds `blocks` maps, and rows and columns lie inside `v`, as asserted.
            unsafe {
                let image = x.as_ptr().add(block * pixels);
                let (from, stride) = patch::<L, A>(image, tiling.h, tiling.w, Patch { row, col, size: A }, &mut copy);
                let mut columns = [[L::splat(0.0); A]; A];
                for j in 0..A {
                    let mut x = [L::splat(0.0); A];
                    for i in 0..A {
                        x[i] = L::load(from.add(i * stride + j * LANES));
                    }
                    let y: [L; A] = forward(&T::INPUT, x);
                    for i in 0..A {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..A {
                    let y: [L; A] = forward(&T::INPUT, columns[i]);
                    for j in 0..A {
                        y[j].store(out.add(((i * A + j) * blocks + block) * ld + place * LANES));
                    }
                }
            }
        }
    }
}

by_tile! {
    /// `m ← A dy Aᵀ` of one group of one image `dy[channel block, p, q, LANES]`, zeros beyond the map; `m` as `v` of [`input`].
    pub(crate) fn gradient = gradient_body(tiling: &Tiling, dy: &[f32], m: &mut MatMut<'_>)
}

#[inline(always)]
unsafe fn gradient_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    dy: &[f32],
    m: &mut MatMut<'_>,
) {
    let ((down, across), pixels) = (tiling.grid(), tiling.p * tiling.q * LANES);
    let (blocks, tiles, ld) = (dy.len() / pixels, down * across, m.ld());
    assert!(dy.len() == blocks * pixels && m.rows() == A * A * blocks && m.cols() == tiles * LANES);
    let (out, mut copy) = (m.as_mut_ptr(), [[[0.0; LANES]; M]; M]);
    for block in 0..blocks {
        for tile in 0..tiles {
            let (row, col) = ((tile / across * M) as isize, (tile % across * M) as isize);
            // SAFETY: `dy` holds `blocks` maps, and rows and columns lie inside `m`, as asserted.
            unsafe {
                let image = dy.as_ptr().add(block * pixels);
                let (from, stride) = patch::<L, M>(image, tiling.p, tiling.q, Patch { row, col, size: M }, &mut copy);
                let mut columns = [[L::splat(0.0); M]; A];
                for j in 0..M {
                    let mut x = [L::splat(0.0); M];
                    for i in 0..M {
                        x[i] = L::load(from.add(i * stride + j * LANES));
                    }
                    let y: [L; A] = forward(&T::OUTPUT, x);
                    for i in 0..A {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..A {
                    let y: [L; A] = forward(&T::OUTPUT, columns[i]);
                    for j in 0..A {
                        y[j].store(out.add(((i * A + j) * blocks + block) * ld + tile * LANES));
                    }
                }
            }
        }
    }
}

by_tile! {
    /// `y ← Aᵀ m A + bias`, then `max(·, 0)` if `relu`, for some channel blocks of one image, `y[channel block, p, q, LANES]`;
    /// `bias[channel]` may be empty.
    pub(crate) fn output = output_body(tiling: &Tiling, m: Points<'_>, bias: &[f32], relu: bool, y: &mut [f32])
}

#[inline(always)]
unsafe fn output_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    m: Points<'_>,
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
) {
    let ((down, across), pixels) = (tiling.grid(), tiling.p * tiling.q * LANES);
    let (blocks, tiles) = (y.len() / pixels, down * across);
    assert!(y.len() == blocks * pixels && blocks > 0 && blocks <= m.blocks);
    assert!(m.values.len() >= ((A * A - 1) * m.blocks + blocks - 1) * m.ld + tiles * LANES);
    assert!(bias.is_empty() || bias.len() == blocks * LANES);
    for block in 0..blocks {
        for tile in 0..tiles {
            let (row, col) = (tile / across * M, tile % across * M);
            let (rows, cols) = (M.min(tiling.p - row), M.min(tiling.q - col));
            // SAFETY: points lie inside `m` and bias has a vector for each block, as asserted; rows and columns are those that
            // the map has.
            unsafe {
                let from = m.values.as_ptr().add(block * m.ld + tile * LANES);
                let to = y.as_mut_ptr().add(block * pixels + (row * tiling.q + col) * LANES);
                let bias = if bias.is_empty() { L::splat(0.0) } else { L::load(bias.as_ptr().add(block * LANES)) };
                let mut columns = [[L::splat(0.0); A]; M];
                for j in 0..A {
                    let mut x = [L::splat(0.0); A];
                    for i in 0..A {
                        x[i] = L::load(from.add((i * A + j) * m.blocks * m.ld));
                    }
                    let y: [L; M] = transposed(&T::OUTPUT, x);
                    for i in 0..M {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..M {
                    let y: [L; M] = transposed(&T::OUTPUT, columns[i]);
                    for j in 0..M {
                        if i < rows && j < cols {
                            let value = y[j].add(bias);
                            let value = if relu { value.rectify() } else { value };
                            value.store(to.add((i * tiling.q + j) * LANES));
                        }
                    }
                }
            }
        }
    }
}

by_tile! {
    /// `dx ← Σ B v Bᵀ` over the tiles of one group of one image `dx[channel block, h, w, LANES]`; where `x` is not empty, only at
    /// `x > 0`, 0 elsewhere. `scratch` has [`Tiling::scratch_len`] values.
    pub(crate) fn scatter = scatter_body(tiling: &Tiling, v: Points<'_>, x: &[f32], dx: &mut [f32], scratch: &mut [f32])
}

#[inline(always)]
unsafe fn scatter_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    v: Points<'_>,
    x: &[f32],
    dx: &mut [f32],
    scratch: &mut [f32],
) {
    let ((down, across), pixels) = (tiling.grid(), tiling.h * tiling.w * LANES);
    let (blocks, tiles, (rows, cols)) = (dx.len() / pixels, down * across, tiling.bordered());
    assert!(dx.len() == blocks * pixels && blocks > 0 && blocks <= v.blocks);
    assert!(v.values.len() >= ((A * A - 1) * v.blocks + blocks - 1) * v.ld + tiles * LANES);
    assert!(x.is_empty() || x.len() == dx.len());
    let image = &mut scratch[..rows * cols * LANES];
    for block in 0..blocks {
        image.fill(0.0);
        for tile in 0..tiles {
            // SAFETY: points lie inside `v`, as asserted, and tiles inside the bordered image.
            unsafe {
                let from = v.values.as_ptr().add(block * v.ld + tile * LANES);
                let to = image.as_mut_ptr().add((tile / across * M * cols + tile % across * M) * LANES);
                let mut columns = [[L::splat(0.0); A]; A];
                for j in 0..A {
                    let mut x = [L::splat(0.0); A];
                    for i in 0..A {
                        x[i] = L::load(from.add((i * A + j) * v.blocks * v.ld));
                    }
                    let y: [L; A] = transposed(&T::INPUT, x);
                    for i in 0..A {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..A {
                    let y: [L; A] = transposed(&T::INPUT, columns[i]);
                    for j in 0..A {
                        let to = to.add((i * cols + j) * LANES);
                        L::load(to).add(y[j]).store(to);
                    }
                }
            }
        }
        for row in 0..tiling.h {
            let from = &image[((row + tiling.top) * cols + tiling.left) * LANES..][..tiling.w * LANES];
            let at = block * pixels + row * tiling.w * LANES;
            let to = &mut dx[at..at + tiling.w * LANES];
            if x.is_empty() {
                to.copy_from_slice(from);
                continue;
            }
            for (i, (to, from)) in to.chunks_exact_mut(LANES).zip(from.chunks_exact(LANES)).enumerate() {
                // SAFETY: `x` is as long as `dx`, as asserted.
                unsafe {
                    let x = L::load(x.as_ptr().add(at + i * LANES));
                    x.where_positive(L::load(from.as_ptr())).store(to.as_mut_ptr());
                }
            }
        }
    }
}
