//! Response normalisation across maps: `y = x · S^−β`, `S = k + a · Σ x²` over neighbouring channels of the pixel.
//!
//! Worked in strips of a few pixels: the squares of all channels of a pixel are written side by side, with zeros between towers, so
//! that a window's sum is that of a few loads. For β = 3/4 the power is the cube of the inverse fourth root.

use crate::kernels::lanes::{LANES, Lanes, by_lanes, inverse_fourth_root};
use crate::kernels::lrn::LrnNumbers;

/// Pixels worked on at once: enough for stores to have arrived before they are loaded again at another alignment.
const STRIP: usize = 8;

/// Values in front of a tower and behind the last that are always zero: windows reach at most so far.
const GAP: usize = LANES;

/// Most values of a window on each side.
const MOST_HALF: usize = GAP;

impl LrnNumbers {
    /// Whether this file knows the numbers.
    pub(crate) fn fits_blocks(&self) -> bool {
        (self.maps / self.towers).is_multiple_of(LANES) && self.n / 2 <= MOST_HALF && self.k > 0.0 && self.a >= 0.0
    }

    /// Values of a pixel's channels with their gaps.
    fn line(&self) -> usize {
        self.maps + (self.towers + 1) * GAP
    }

    /// Scratch values of [`lrn`] and [`lrn_backward`].
    pub(crate) fn blocks_scratch_len(&self) -> usize {
        STRIP * (2 * self.line() + 2 * self.maps)
    }

    /// Where the channels of block `block` lie in a line.
    #[inline(always)]
    fn place(&self, block: usize) -> usize {
        let tower = block * LANES / (self.maps / self.towers);
        (tower + 1) * GAP + block * LANES
    }
}

/// The values of a vector's windows, summed in ascending order: `from` is the place of its first lane in a line.
#[inline(always)]
unsafe fn window_sum<L: Lanes>(half: usize, from: *const f32) -> L {
    // SAFETY: the caller's promise that the line has gaps on both sides.
    unsafe {
        if half == 2 {
            let pair = L::load(from.sub(2)).add(L::load(from.sub(1)));
            return pair.add(L::load(from)).add(L::load(from.add(1))).add(L::load(from.add(2)));
        }
        let mut sum = L::load(from.sub(half));
        for j in 1..=2 * half {
            sum = sum.add(L::load(from.sub(half).add(j)));
        }
        sum
    }
}

/// `d^−β` and `d^−(β+1)`.
#[inline(always)]
unsafe fn powers<L: Lanes>(d: L, beta: f32) -> (L, L) {
    // SAFETY: the caller's promise that the CPU has the instruction set.
    unsafe {
        if beta == 0.75 {
            let root = inverse_fourth_root(d);
            let square = root.mul(root);
            let cube = square.mul(root);
            return (cube, cube.mul(square.mul(square)));
        }
        let mut all = [0.0; LANES];
        d.store(all.as_mut_ptr());
        let (low, high) = (all.map(|d| d.powf(-beta)), all.map(|d| d.powf(-beta - 1.0)));
        (L::load(low.as_ptr()), L::load(high.as_ptr()))
    }
}

by_lanes! {
    /// `y ← ` the normalised `x` for `pixels` pixels; channel block `b` of them begins at `b · x_block` and `b · y_block`. `scratch` has
    /// [`LrnNumbers::blocks_scratch_len`] values.
    pub(crate) fn lrn = lrn_body(
        num: &LrnNumbers, pixels: usize, x: &[f32], x_block: usize, y: &mut [f32], y_block: usize, scratch: &mut [f32]
    )
}

#[inline(always)]
unsafe fn lrn_body<L: Lanes>(
    num: &LrnNumbers,
    pixels: usize,
    x: &[f32],
    x_block: usize,
    y: &mut [f32],
    y_block: usize,
    scratch: &mut [f32],
) {
    let (blocks, half, line) = (num.maps / LANES, num.n / 2, num.line());
    assert!(num.fits_blocks() && x.len() >= (blocks - 1) * x_block + pixels * LANES);
    assert!(y.len() >= (blocks - 1) * y_block + pixels * LANES);
    let squares = &mut scratch[..STRIP * line];
    squares.fill(0.0);
    for begin in (0..pixels).step_by(STRIP) {
        let count = STRIP.min(pixels - begin);
        // SAFETY: `x` and `y` have `pixels` vectors in each block, as asserted; places and windows lie inside a line.
        unsafe {
            let (k, a) = (L::splat(num.k), L::splat(num.a));
            for block in 0..blocks {
                let place = num.place(block);
                for i in 0..count {
                    let x = L::load(x.as_ptr().add(block * x_block + (begin + i) * LANES));
                    x.mul(x).store(squares.as_mut_ptr().add(i * line + place));
                }
            }
            for block in 0..blocks {
                let place = num.place(block);
                for i in 0..count {
                    let sum: L = window_sum(half, squares.as_ptr().add(i * line + place));
                    let (factor, _) = powers(k.add_product(a, sum), num.beta);
                    let x = L::load(x.as_ptr().add(block * x_block + (begin + i) * LANES));
                    x.mul(factor).store(y.as_mut_ptr().add(block * y_block + (begin + i) * LANES));
                }
            }
        }
    }
}

by_lanes! {
    /// `dx ← ` the gradient by `x` from `dy`, `dx_i = dy_i S_i^−β − 2aβ x_i Σ_j dy_j x_j S_j^(−β−1)`, as [`lrn`] lays them out: `x` and
    /// `dx` in blocks of `x_block`, `dy` in blocks of `dy_block`. Where `mask`, 0 unless `x > 0`.
    pub(crate) fn lrn_backward = lrn_backward_body(
        num: &LrnNumbers, pixels: usize, mask: bool, x: &[f32], dx: &mut [f32], x_block: usize, dy: &[f32], dy_block: usize,
        scratch: &mut [f32]
    )
}

#[inline(always)]
unsafe fn lrn_backward_body<L: Lanes>(
    num: &LrnNumbers,
    pixels: usize,
    mask: bool,
    x: &[f32],
    dx: &mut [f32],
    x_block: usize,
    dy: &[f32],
    dy_block: usize,
    scratch: &mut [f32],
) {
    let (blocks, half, line) = (num.maps / LANES, num.n / 2, num.line());
    assert!(num.fits_blocks() && x.len() >= (blocks - 1) * x_block + pixels * LANES);
    assert!(dx.len() >= (blocks - 1) * x_block + pixels * LANES && dy.len() >= (blocks - 1) * dy_block + pixels * LANES);
    let (squares, rest) = scratch[..num.blocks_scratch_len()].split_at_mut(STRIP * line);
    let (terms, rest) = rest.split_at_mut(STRIP * line);
    let factors = &mut rest[..STRIP * num.maps];
    squares.fill(0.0);
    terms.fill(0.0);
    for begin in (0..pixels).step_by(STRIP) {
        let count = STRIP.min(pixels - begin);
        // SAFETY: as in `lrn_body`.
        unsafe {
            let (k, a, twice) = (L::splat(num.k), L::splat(num.a), L::splat(2.0 * num.a * num.beta));
            let at = |block: usize, stride: usize, i: usize| block * stride + (begin + i) * LANES;
            for block in 0..blocks {
                let place = num.place(block);
                for i in 0..count {
                    let x = L::load(x.as_ptr().add(at(block, x_block, i)));
                    x.mul(x).store(squares.as_mut_ptr().add(i * line + place));
                }
            }
            for block in 0..blocks {
                let place = num.place(block);
                for i in 0..count {
                    let sum: L = window_sum(half, squares.as_ptr().add(i * line + place));
                    let (factor, steeper) = powers(k.add_product(a, sum), num.beta);
                    let x = L::load(x.as_ptr().add(at(block, x_block, i)));
                    let g = L::load(dy.as_ptr().add(at(block, dy_block, i)));
                    g.mul(factor).store(factors.as_mut_ptr().add(i * num.maps + block * LANES));
                    g.mul(x).mul(steeper).store(terms.as_mut_ptr().add(i * line + place));
                }
            }
            for block in 0..blocks {
                let place = num.place(block);
                for i in 0..count {
                    let sum: L = window_sum(half, terms.as_ptr().add(i * line + place));
                    let x = L::load(x.as_ptr().add(at(block, x_block, i)));
                    let scaled = L::load(factors.as_ptr().add(i * num.maps + block * LANES));
                    let value = scaled.sub_product(twice.mul(x), sum);
                    let value = if mask { x.where_positive(value) } else { value };
                    value.store(dx.as_mut_ptr().add(at(block, x_block, i)));
                }
            }
        }
    }
}
