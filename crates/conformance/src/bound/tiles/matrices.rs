//! The three matrices of a tile.

/// Points along an axis, at most.
const MOST_POINTS: usize = 8;

/// The finite points in the order of their use; infinity comes last.
const POINTS: [f64; MOST_POINTS - 1] = [0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5];

/// A small matrix, row-major.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) cols: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn of(rows: usize, cols: usize, value: impl Fn(usize, usize) -> f64) -> Matrix {
        Matrix { rows, cols, values: (0..rows * cols).map(|e| value(e / cols, e % cols)).collect() }
    }

    fn at(&self, i: usize, j: usize) -> f64 {
        self.values[i * self.cols + j]
    }

    pub(super) fn transposed(&self) -> Matrix {
        Matrix::of(self.cols, self.rows, |i, j| self.at(j, i))
    }

    fn sizes(&self) -> Matrix {
        Matrix::of(self.rows, self.cols, |i, j| self.at(i, j).abs())
    }

    /// The largest sum of sizes in a row: what the transform makes of errors, at most.
    pub(super) fn norm(&self) -> f64 {
        self.values.chunks_exact(self.cols).map(|row| row.iter().map(|x| x.abs()).sum()).fold(0.0, f64::max)
    }

    /// `out ← M x Mᵀ`, `x` of `cols × cols`, `out` of `rows × rows`.
    pub(super) fn both_sides(&self, x: &[f64], out: &mut [f64]) {
        let Matrix { rows, cols, .. } = *self;
        let mut half = [0.0; MOST_POINTS * MOST_POINTS];
        for i in 0..rows {
            for j in 0..cols {
                half[i * cols + j] = (0..cols).map(|l| self.at(i, l) * x[l * cols + j]).sum();
            }
        }
        for i in 0..rows {
            for j in 0..rows {
                out[i * rows + j] = (0..cols).map(|l| half[i * cols + l] * self.at(j, l)).sum();
            }
        }
    }
}

/// The matrices of tiles of `m × m` outputs under kernels of `r × r`, `a = m + r − 1` points along an axis.
#[derive(Debug, Clone)]
pub(super) struct Matrices {
    /// `Bᵀ`, `[a, a]`: row `j` holds the coefficients of `Π_{l ≠ j} (x − p_l)` over the finite points.
    pub(super) input: Matrix,
    /// `G`, `[a, r]`: `p_jⁱ / N_j`, `N_j = Π_{l ≠ j} (p_j − p_l)`.
    pub(super) weight: Matrix,
    /// `A`, `[a, m]`: `p_jⁱ`.
    pub(super) output: Matrix,
}

impl Matrices {
    pub(super) fn new(m: usize, r: usize) -> Matrices {
        let a = m + r - 1;
        assert!(m > 0 && r > 0 && a <= MOST_POINTS, "no points for tiles of {m}, kernels of {r}");
        let finite = &POINTS[..a - 1];
        let others = |j: usize| (0..a - 1).filter(move |&l| l != j).map(|l| finite[l]);
        let powers = |cols: usize, divisor: &dyn Fn(usize) -> f64| {
            Matrix::of(a, cols, |j, i| match finite.get(j) {
                Some(p) => p.powi(i as i32) / divisor(j),
                // Infinity sees the highest power alone.
                None => f64::from(u8::from(i + 1 == cols)),
            })
        };
        Matrices {
            input: Matrix::of(a, a, |j, i| product_of_roots(others(j))[i]),
            weight: powers(r, &|j| others(j).map(|p| finite[j] - p).product()),
            output: powers(m, &|_| 1.0),
        }
    }

    /// The same with the size of every coefficient.
    pub(super) fn sizes(&self) -> Matrices {
        Matrices { input: self.input.sizes(), weight: self.weight.sizes(), output: self.output.sizes() }
    }
}

/// The coefficients of `Π (x − root)`, the constant first.
fn product_of_roots(roots: impl Iterator<Item = f64>) -> [f64; MOST_POINTS] {
    let mut polynomial = [0.0; MOST_POINTS];
    polynomial[0] = 1.0;
    for root in roots {
        for i in (0..MOST_POINTS).rev() {
            polynomial[i] = if i > 0 { polynomial[i - 1] } else { 0.0 } - root * polynomial[i];
        }
    }
    polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrices_of_lavin_and_gray() {
        let f = Matrices::new(4, 3);
        assert_eq!(f.input.values[..12], [4.0, 0.0, -5.0, 0.0, 1.0, 0.0, 0.0, -4.0, -4.0, 1.0, 1.0, 0.0]);
        assert_eq!(f.weight.values[..3], [0.25, 0.0, 0.0]);
        assert_eq!(f.output.values[12..], [1.0, 2.0, 4.0, 8.0, 1.0, -2.0, 4.0, -8.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
