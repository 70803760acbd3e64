//! The transforms, each a product with one small matrix along columns and then along rows.
//!
//! Rows of the points `p` and `−p` lie side by side and differ in the sign of every other entry alone, so a pair costs one
//! product with the even entries, one with the odd, a sum and a difference.

use super::lanes::{Array, Lanes};
use super::{LANES, MOST_POINTS, Tile, Tiling};
use crate::Isa;
use crate::kernels::Target;

/// The finite points in the order of the matrices' rows; infinity comes last.
const POINTS: [f64; MOST_POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

type Matrix = [[f32; MOST_POINTS]; MOST_POINTS];

/// `p^i`
const fn power(p: f64, i: usize) -> f64 {
    let (mut value, mut n) = (1.0, 0);
    while n < i {
        value *= p;
        n += 1;
    }
    value
}

/// `A`, `[axis, m]`: row `j` holds the powers of point `j`; infinity sees the highest alone.
const fn powers(axis: usize, m: usize) -> Matrix {
    let (mut matrix, mut j) = ([[0.0; MOST_POINTS]; MOST_POINTS], 0);
    while j + 1 < axis {
        let mut i = 0;
        while i < m {
            matrix[j][i] = power(POINTS[j], i) as f32;
            i += 1;
        }
        j += 1;
    }
    matrix[axis - 1][m - 1] = 1.0;
    matrix
}

/// `G`, `[axis, r]`: [`powers`] divided by `N_j`.
const fn scaled_powers(axis: usize, r: usize) -> Matrix {
    let (mut matrix, mut j) = ([[0.0; MOST_POINTS]; MOST_POINTS], 0);
    while j + 1 < axis {
        let (mut n, mut l) = (1.0, 0);
        while l + 1 < axis {
            if l != j {
                n *= POINTS[j] - POINTS[l];
            }
            l += 1;
        }
        let mut i = 0;
        while i < r {
            matrix[j][i] = (power(POINTS[j], i) / n) as f32;
            i += 1;
        }
        j += 1;
    }
    matrix[axis - 1][r - 1] = 1.0;
    matrix
}

/// `Bᵀ`, `[axis, axis]`: row `j` holds the coefficients of `Π_{l ≠ j} (x − p_l)` over the finite points.
const fn coefficients(axis: usize) -> Matrix {
    let (mut matrix, mut j) = ([[0.0; MOST_POINTS]; MOST_POINTS], 0);
    while j < axis {
        let (mut row, mut l) = ([0.0; MOST_POINTS], 0);
        row[0] = 1.0;
        while l + 1 < axis {
            if l != j {
                // row ← row · (x − p_l), from the highest power down.
                let mut i = MOST_POINTS - 1;
                while i > 0 {
                    row[i] = row[i - 1] - POINTS[l] * row[i];
                    i -= 1;
                }
                row[0] *= -POINTS[l];
            }
            l += 1;
        }
        let mut i = 0;
        while i < axis {
            matrix[j][i] = row[i] as f32;
            i += 1;
        }
        j += 1;
    }
    matrix
}

/// The matrices of one tile size.
trait Matrices {
    /// `Bᵀ`
    const INPUT: Matrix;
    /// `G`
    const WEIGHTS: Matrix;
    /// `A`
    const OUTPUT: Matrix;
}

struct F<const M: usize, const R: usize, const A: usize>;

impl<const M: usize, const R: usize, const A: usize> Matrices for F<M, R, A> {
    const INPUT: Matrix = coefficients(A);
    const WEIGHTS: Matrix = scaled_powers(A, R);
    const OUTPUT: Matrix = powers(A, M);
}

/// `Σ matrix[row][i] · x[i]` over the entries of one parity.
#[inline(always)]
unsafe fn half<L: Lanes, const N: usize>(row: &[f32; MOST_POINTS], x: &[L; N], parity: usize) -> L {
    // SAFETY: the caller's promise that the CPU has the instruction set.
    unsafe {
        let (mut sum, mut empty) = (L::splat(0.0), true);
        for i in 0..N {
            if i % 2 == parity && row[i] != 0.0 {
                sum = if empty && row[i] == 1.0 {
                    x[i]
                } else if row[i] == 1.0 {
                    sum.add(x[i])
                } else if row[i] == -1.0 {
                    sum.sub(x[i])
                } else {
                    sum.add_product(L::splat(row[i]), x[i])
                };
                empty = false;
            }
        }
        sum
    }
}

/// `y ← matrix · x`, rows of the matrix in pairs.
#[inline(always)]
unsafe fn forward<L: Lanes, const N: usize, const A: usize>(matrix: &Matrix, x: [L; N]) -> [L; A] {
    // SAFETY: the caller's promise that the CPU has the instruction set.
    unsafe {
        let mut y = [L::splat(0.0); A];
        y[0] = half(&matrix[0], &x, 0).add(half(&matrix[0], &x, 1));
        for j in (1..A - 1).step_by(2) {
            let (even, odd) = (half(&matrix[j], &x, 0), half(&matrix[j], &x, 1));
            y[j] = even.add(odd);
            y[j + 1] = even.sub(odd);
        }
        y[A - 1] = half(&matrix[A - 1], &x, 0).add(half(&matrix[A - 1], &x, 1));
        y
    }
}

/// `y ← matrixᵀ · x`, rows of the matrix in pairs.
#[inline(always)]
unsafe fn transposed<L: Lanes, const A: usize, const N: usize>(matrix: &Matrix, x: [L; A]) -> [L; N] {
    // SAFETY: the caller's promise that the CPU has the instruction set.
    unsafe {
        let (mut sum, mut difference) = ([L::splat(0.0); MOST_POINTS], [L::splat(0.0); MOST_POINTS]);
        for j in (1..A - 1).step_by(2) {
            sum[j] = x[j].add(x[j + 1]);
            difference[j] = x[j].sub(x[j + 1]);
        }
        let mut y = [L::splat(0.0); N];
        for i in 0..N {
            for j in [0, A - 1] {
                if matrix[j][i] != 0.0 {
                    y[i] = y[i].add_product(L::splat(matrix[j][i]), x[j]);
                }
            }
            for j in (1..A - 1).step_by(2) {
                if matrix[j][i] != 0.0 {
                    let x = if i % 2 == 0 { sum[j] } else { difference[j] };
                    y[i] = if matrix[j][i] == 1.0 { y[i].add(x) } else { y[i].add_product(L::splat(matrix[j][i]), x) };
                }
            }
        }
        y
    }
}

macro_rules! lanes_by_isa {
    ($(#[$doc:meta])* fn $name:ident, $body:ident, ($($arg:ident: $ty:ty),* $(,)?)) => {
        $(#[$doc])*
        pub(crate) fn $name(target: Target, tile: Tile, $($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512(tile: Tile, $($arg: $ty),*) {
                // SAFETY: this function has the instruction set; the body checks its slices.
                unsafe {
                    match tile {
                        Tile::F4x3 => $body::<super::lanes::Zmm, F<4, 3, 6>, 4, 3, 6>($($arg),*),
                        Tile::F4x5 => $body::<super::lanes::Zmm, F<4, 5, 8>, 4, 5, 8>($($arg),*),
                    }
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2(tile: Tile, $($arg: $ty),*) {
                // SAFETY: as above.
                unsafe {
                    match tile {
                        Tile::F4x3 => $body::<Array<true>, F<4, 3, 6>, 4, 3, 6>($($arg),*),
                        Tile::F4x5 => $body::<Array<true>, F<4, 5, 8>, 4, 5, 8>($($arg),*),
                    }
                }
            }
            match target.isa() {
                // SAFETY: a `Target` exists only for an instruction set that the CPU has.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => unsafe { avx512(tile, $($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => unsafe { avx2(tile, $($arg),*) },
                // SAFETY: every CPU has what plain arrays need.
                _ => unsafe {
                    match tile {
                        Tile::F4x3 => $body::<Array<false>, F<4, 3, 6>, 4, 3, 6>($($arg),*),
                        Tile::F4x5 => $body::<Array<false>, F<4, 5, 8>, 4, 5, 8>($($arg),*),
                    }
                },
            }
        }
    };
}

lanes_by_isa! {
    /// `v[point, channel block, tile, LANES] ← Bᵀ x B` of one image `x[c, h, w]`; lanes behind the last channel are 0.
    fn input, input_body, (tiling: &Tiling, channels: usize, x: &[f32], v: &mut [f32], scratch: &mut [f32])
}

#[inline(always)]
unsafe fn input_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    channels: usize,
    x: &[f32],
    v: &mut [f32],
    scratch: &mut [f32],
) {
    let ((rows, cols), (down, across)) = (tiling.bordered(), tiling.grid());
    let (blocks, tiles, pixels) = (channels.div_ceil(LANES), down * across, tiling.h * tiling.w);
    assert!(x.len() >= channels * pixels && v.len() >= A * A * blocks * tiles * LANES);
    let image = &mut scratch[..rows * cols * LANES];
    image.fill(0.0);
    let point = blocks * tiles * LANES;
    for block in 0..blocks {
        interleave(&x[block * LANES * pixels..channels * pixels], tiling, cols, image);
        for tile in 0..tiles {
            let corner = (tile / across * M * cols + tile % across * M) * LANES;
            // SAFETY: tiles lie inside the bordered image, and points inside `v`, as asserted.
            unsafe {
                let from = image.as_ptr().add(corner);
                let to = v.as_mut_ptr().add((block * tiles + tile) * LANES);
                let mut columns = [[L::splat(0.0); A]; A];
                for j in 0..A {
                    let mut x = [L::splat(0.0); A];
                    for i in 0..A {
                        x[i] = L::load(from.add((i * cols + j) * LANES));
                    }
                    let y: [L; A] = forward(&T::INPUT, x);
                    for i in 0..A {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..A {
                    let y: [L; A] = forward(&T::INPUT, columns[i]);
                    for j in 0..A {
                        y[j].store(to.add((i * A + j) * point));
                    }
                }
            }
        }
    }
}

/// Writes up to [`LANES`] maps `[c, h, w]` into the inside of a bordered image `[row, col, LANES]`.
#[inline(always)]
fn interleave(maps: &[f32], tiling: &Tiling, cols: usize, image: &mut [f32]) {
    let (h, w) = (tiling.h, tiling.w);
    let pixels = h * w;
    if maps.len() >= LANES * pixels {
        for i in 0..h {
            let out = &mut image[((i + tiling.top) * cols + tiling.left) * LANES..][..w * LANES];
            for (j, out) in out.chunks_exact_mut(LANES).enumerate() {
                for l in 0..LANES {
                    out[l] = maps[l * pixels + i * w + j];
                }
            }
        }
        return;
    }
    for i in 0..h {
        let out = &mut image[((i + tiling.top) * cols + tiling.left) * LANES..][..w * LANES];
        out.fill(0.0);
        for (l, map) in maps.chunks_exact(pixels).enumerate() {
            for j in 0..w {
                out[j * LANES + l] = map[i * w + j];
            }
        }
    }
}

lanes_by_isa! {
    /// `y[k, p, q] ← Aᵀ m A`, and `+ bias`, then `max(·, 0)` if `relu`, for one image; `m[point]` begins at `point · stride`, and
    /// is `[channel block, tile, LANES]`. No bias where it is empty.
    fn output, output_body,
    (tiling: &Tiling, m: &[f32], stride: usize, bias: &[f32], relu: bool, y: &mut [f32], scratch: &mut [f32])
}

#[inline(always)]
unsafe fn output_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    tiling: &Tiling,
    m: &[f32],
    stride: usize,
    bias: &[f32],
    relu: bool,
    y: &mut [f32],
    scratch: &mut [f32],
) {
    let (down, across) = tiling.grid();
    let (tiles, positions, cols) = (down * across, tiling.p * tiling.q, across * M);
    let channels = y.len() / positions;
    assert!(m.len() >= (A * A - 1) * stride + channels.div_ceil(LANES) * tiles * LANES);
    let image = &mut scratch[..down * M * cols * LANES];
    for (block, maps) in y.chunks_mut(LANES * positions).enumerate() {
        for tile in 0..tiles {
            let corner = (tile / across * M * cols + tile % across * M) * LANES;
            // SAFETY: tiles lie inside `image`, whose size is a whole number of them, and points inside `m`, as asserted.
            unsafe {
                let from = m.as_ptr().add((block * tiles + tile) * LANES);
                let to = image.as_mut_ptr().add(corner);
                let mut columns = [[L::splat(0.0); A]; M];
                for j in 0..A {
                    let mut x = [L::splat(0.0); A];
                    for i in 0..A {
                        x[i] = L::load(from.add((i * A + j) * stride));
                    }
                    let y: [L; M] = transposed(&T::OUTPUT, x);
                    for i in 0..M {
                        columns[i][j] = y[i];
                    }
                }
                for i in 0..M {
                    let y: [L; M] = transposed(&T::OUTPUT, columns[i]);
                    for j in 0..M {
                        y[j].store(to.add((i * cols + j) * LANES));
                    }
                }
            }
        }
        for (l, map) in maps.chunks_exact_mut(positions).enumerate() {
            let bias = bias.get(block * LANES + l).copied().unwrap_or(0.0);
            for (i, row) in map.chunks_exact_mut(tiling.q).enumerate() {
                let from = &image[i * cols * LANES..][..tiling.q * LANES];
                for (y, from) in row.iter_mut().zip(from.chunks_exact(LANES)) {
                    let value = from[l] + bias;
                    *y = if relu && value < 0.0 { 0.0 } else { value };
                }
            }
        }
    }
}

/// Weights `[k, c, r, r]` seen as output and input channels of a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WeightView {
    /// Values between weights of successive outputs and of successive inputs.
    pub(crate) outputs_stride: usize,
    pub(crate) inputs_stride: usize,
    pub(crate) outputs: usize,
    pub(crate) inputs: usize,
    /// Whether each window is turned by half a turn.
    pub(crate) turned: bool,
}

lanes_by_isa! {
    /// `u[point, input, LANES] ← G w Gᵀ` for one block of outputs; lanes behind the last output are 0.
    fn weights, weights_body, (view: WeightView, block: usize, weight: &[f32], u: &mut [f32])
}

#[inline(always)]
unsafe fn weights_body<L: Lanes, T: Matrices, const M: usize, const R: usize, const A: usize>(
    view: WeightView,
    block: usize,
    weight: &[f32],
    u: &mut [f32],
) {
    let lanes = LANES.min(view.outputs - block * LANES);
    assert!(u.len() >= A * A * view.inputs * LANES);
    for input in 0..view.inputs {
        let mut window = [[0.0f32; LANES]; MOST_POINTS * MOST_POINTS];
        for l in 0..lanes {
            let from = &weight[(block * LANES + l) * view.outputs_stride + input * view.inputs_stride..][..R * R];
            for t in 0..R * R {
                window[t][l] = from[if view.turned { R * R - 1 - t } else { t }];
            }
        }
        // SAFETY: points lie inside `u`, as asserted.
        unsafe {
            let mut columns = [[L::splat(0.0); R]; A];
            for j in 0..R {
                let mut x = [L::splat(0.0); R];
                for i in 0..R {
                    x[i] = L::load(window[i * R + j].as_ptr());
                }
                let y: [L; A] = forward(&T::WEIGHTS, x);
                for i in 0..A {
                    columns[i][j] = y[i];
                }
            }
            for i in 0..A {
                let y: [L; A] = forward(&T::WEIGHTS, columns[i]);
                for j in 0..A {
                    y[j].store(u.as_mut_ptr().add(((i * A + j) * view.inputs + input) * LANES));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Blocked, multiply};
    use super::*;
    use crate::kernels::Target;

    fn noise(len: usize, seed: u64) -> Vec<f32> {
        let stream = net::random::Stream::new(seed, net::random::Purpose::Test, 0, 0, 0);
        (0..len).map(|e| (2.0 * stream.uniform(e as u32) - 1.0) as f32).collect()
    }

    /// The convolution as the formula reads, in f64.
    fn plain(t: &Tiling, c: usize, k: usize, x: &[f32], w: &[f32]) -> Vec<f64> {
        let r = t.tile.r();
        let mut y = Vec::new();
        for k in 0..k {
            for p in 0..t.p {
                for q in 0..t.q {
                    let mut sum = 0.0;
                    for c_i in 0..c {
                        for i in 0..r * r {
                            let (h, w_i) = ((p + i / r).wrapping_sub(t.top), (q + i % r).wrapping_sub(t.left));
                            if h < t.h && w_i < t.w {
                                sum += f64::from(x[(c_i * t.h + h) * t.w + w_i]) * f64::from(w[(k * c + c_i) * r * r + i]);
                            }
                        }
                    }
                    y.push(sum);
                }
            }
        }
        y
    }

    #[test]
    fn it_is_a_convolution() {
        for target in Isa::ALL.into_iter().filter_map(Target::new) {
            for (tile, (c, k, h, w)) in Tile::ALL.into_iter().zip([(19, 37, 13, 9), (16, 48, 11, 12)]) {
                let pad = tile.r() / 2;
                let t = Tiling { tile, h, w, top: pad, left: pad, p: h, q: w };
                let (x, weight) = (noise(c * h * w, 1), noise(k * c * tile.r() * tile.r(), 2));
                let (mut v, mut scratch) = (vec![f32::NAN; t.points_len(c)], vec![f32::NAN; t.scratch_len()]);
                input(target, tile, &t, c, &x, &mut v, &mut scratch);
                let area = tile.r() * tile.r();
                let view = WeightView { outputs_stride: c * area, inputs_stride: area, outputs: k, inputs: c, turned: false };
                let u_block = tile.points() * c * LANES;
                let mut u = vec![f32::NAN; k.div_ceil(LANES) * u_block];
                u.chunks_exact_mut(u_block).enumerate().for_each(|(b, u)| weights(target, tile, view, b, &weight, u));
                let (mut m, stride) = (vec![f32::NAN; t.points_len(k)], t.points_len(k) / tile.points());
                for point in 0..tile.points() {
                    let a = Blocked { values: &v[point * t.points_len(c) / tile.points()..], block: t.tiles() * LANES };
                    let b = Blocked { values: &u[point * c * LANES..], block: u_block };
                    multiply(target, a, b, &mut m[point * stride..], t.tiles(), c, 0, k.div_ceil(LANES));
                }
                let mut y = vec![f32::NAN; k * t.p * t.q];
                output(target, tile, &t, &m, stride, &[], false, &mut y, &mut scratch);
                let expected = plain(&t, c, k, &x, &weight);
                let scale = expected.iter().fold(0.0f64, |most, x| most.max(x.abs()));
                let worst = y.iter().zip(&expected).map(|(&y, e)| (f64::from(y) - e).abs()).fold(0.0, f64::max) / scale;
                println!("{} {}: {worst:e}", tile.name(), target.isa());
                assert!(worst < if tile == Tile::F4x3 { 4e-6 } else { 2e-5 }, "{} {}: {worst}", tile.name(), target.isa());
            }
        }
    }
}
