//! The matrices, and their products with vectors.
//!
//! Rows of the points `p` and `−p` lie side by side and differ in the sign of every other entry alone, so a pair costs one
//! product with the even entries, one with the odd, a sum and a difference.

use super::MOST_POINTS;
use crate::kernels::lanes::Lanes;

/// The finite points in the order of the matrices' rows; infinity comes last.
const POINTS: [f64; MOST_POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

pub(super) type Matrix = [[f32; MOST_POINTS]; MOST_POINTS];

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
pub(super) trait Matrices {
    /// `Bᵀ`
    const INPUT: Matrix;
    /// `G`
    const WEIGHTS: Matrix;
    /// `A`
    const OUTPUT: Matrix;
}

pub(super) struct F<const M: usize, const R: usize, const A: usize>;

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
pub(super) unsafe fn forward<L: Lanes, const N: usize, const A: usize>(matrix: &Matrix, x: [L; N]) -> [L; A] {
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
pub(super) unsafe fn transposed<L: Lanes, const A: usize, const N: usize>(matrix: &Matrix, x: [L; A]) -> [L; N] {
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
