//! A convolution's three passes by tiles, in f64: transforms, products of points, transforms back.

use net::{Conv, Padding, Pair, Shape};

use super::super::UNDERFLOW;
use super::Tiles;
use super::matrices::{Matrices, Matrix};

/// The trilinear form of a convolution, or what bounds its error.
pub(super) struct Form {
    matrices: Matrices,
    /// What sums of products are multiplied by.
    factor: f64,
    /// What a result may lose below the normal range.
    underflow: f64,
    fold: usize,
    /// Sizes of tile, folded kernel, and patch along an axis.
    pub(super) m: usize,
    pub(super) r: usize,
    pub(super) a: usize,
    groups: usize,
    /// Folded maps and outputs of a group.
    pub(super) c: usize,
    pub(super) k: usize,
    /// Tiles down and across.
    grid: (usize, usize),
    kernel: Pair,
    padding: Padding,
    input: Shape,
    output: Shape,
}

/// Transformed values `[point, row, col]`.
struct Points {
    rows: usize,
    cols: usize,
    values: Vec<f64>,
    /// What each may have lost below the normal range.
    lost: f64,
}

impl Form {
    /// The form itself.
    pub(super) fn exact(conv: &Conv, input: Shape, output: Shape, tiles: Tiles) -> Form {
        let Tiles { m, fold } = tiles;
        assert_eq!((conv.stride.r, conv.stride.s), (fold, fold), "tiles fold the whole stride");
        let r = conv.kernel.r.div_ceil(fold);
        assert_eq!(r, conv.kernel.s.div_ceil(fold), "tiles of a kernel that is not square");
        Form {
            matrices: Matrices::new(m, r),
            factor: 1.0,
            underflow: 0.0,
            fold,
            m,
            r,
            a: m + r - 1,
            groups: conv.groups,
            c: input.c / conv.groups * fold * fold,
            k: conv.k / conv.groups,
            grid: (output.h.div_ceil(m), output.w.div_ceil(m)),
            kernel: conv.kernel,
            padding: conv.padding,
            input,
            output,
        }
    }

    /// `factor` times the form with the sizes of all coefficients, and what may be lost below the normal range: to be applied
    /// to the sizes of operands.
    pub(super) fn bound(self, factor: f64) -> Form {
        // Twice, for the roundings of what was not lost after it.
        Form { matrices: self.matrices.sizes(), factor, underflow: 2.0 * UNDERFLOW, ..self }
    }

    /// Tiles of an image.
    pub(super) fn tiles(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    /// `y[n, k, p, q]` from `x[n, c, h, w]` and `w[k, c / g, r, s]`, without biases.
    pub(super) fn forward(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let back = self.matrices.output.transposed();
        let mut y = vec![0.0; x.len() / self.input.len() * self.output.len()];
        for group in 0..self.groups {
            let weights = self.weights(group, w);
            for (x, y) in x.chunks_exact(self.input.len()).zip(y.chunks_exact_mut(self.output.len())) {
                let mut sums = self.no_points(self.k, self.tiles());
                self.add_product(&weights, &self.images(group, x), &mut sums);
                self.add_back(&back, &sums, y, |k, tile, i, j| self.output_at(group, k, tile, i, j));
            }
        }
        y
    }

    /// `dw[k, c / g, r, s]` from `x[n, c, h, w]` and `dy[n, k, p, q]`.
    pub(super) fn weight(&self, x: &[f64], dy: &[f64]) -> Vec<f64> {
        let back = self.matrices.weight.transposed();
        let maps = self.c / (self.fold * self.fold);
        let mut dw = vec![0.0; self.groups * self.k * maps * self.kernel.r * self.kernel.s];
        for group in 0..self.groups {
            let mut sums = self.no_points(self.k, self.c);
            for (x, dy) in x.chunks_exact(self.input.len()).zip(dy.chunks_exact(self.output.len())) {
                self.add_product(&self.gradients(group, dy), &self.images(group, x).transposed(), &mut sums);
            }
            self.add_back(&back, &sums, &mut dw, |k, c, i, j| self.weight_at(group, k, c, i, j));
        }
        dw
    }

    /// `dx[n, c, h, w]` from `w[k, c / g, r, s]` and `dy[n, k, p, q]`.
    pub(super) fn data(&self, w: &[f64], dy: &[f64]) -> Vec<f64> {
        let back = self.matrices.input.transposed();
        let mut dx = vec![0.0; dy.len() / self.output.len() * self.input.len()];
        for group in 0..self.groups {
            let weights = self.weights(group, w).transposed();
            for (dx, dy) in dx.chunks_exact_mut(self.input.len()).zip(dy.chunks_exact(self.output.len())) {
                let mut sums = self.no_points(self.c, self.tiles());
                self.add_product(&weights, &self.gradients(group, dy), &mut sums);
                self.add_back(&back, &sums, dx, |c, tile, i, j| self.input_at(group, c, tile, i, j));
            }
        }
        dx
    }

    /// Points of an image's maps, `[point, c, tile]`.
    fn images(&self, group: usize, x: &[f64]) -> Points {
        self.points(&self.matrices.input, (self.c, self.tiles()), x, |c, tile, i, j| self.input_at(group, c, tile, i, j))
    }

    /// Points of an image's gradient by outputs, `[point, k, tile]`.
    fn gradients(&self, group: usize, dy: &[f64]) -> Points {
        self.points(&self.matrices.output, (self.k, self.tiles()), dy, |k, tile, i, j| self.output_at(group, k, tile, i, j))
    }

    /// Points of the weights, `[point, k, c]`.
    fn weights(&self, group: usize, w: &[f64]) -> Points {
        self.points(&self.matrices.weight, (self.k, self.c), w, |k, c, i, j| self.weight_at(group, k, c, i, j))
    }

    /// The place in `[c, h, w]` of row `i`, column `j` of the patch that a tile reads of a folded map; none in the border.
    fn input_at(&self, group: usize, map: usize, tile: usize, i: usize, j: usize) -> Option<usize> {
        let (fold, across) = (self.fold, self.grid.1);
        let (c, u, v) = (map / (fold * fold), map / fold % fold, map % fold);
        let h = ((tile / across * self.m + i) * fold + u).checked_sub(self.padding.top)?;
        let w = ((tile % across * self.m + j) * fold + v).checked_sub(self.padding.left)?;
        let c = group * self.input.c / self.groups + c;
        (h < self.input.h && w < self.input.w).then_some((c * self.input.h + h) * self.input.w + w)
    }

    /// The place in `[k, p, q]` of output `i`, `j` of a tile; none beyond the map.
    fn output_at(&self, group: usize, k: usize, tile: usize, i: usize, j: usize) -> Option<usize> {
        let (p, q) = (tile / self.grid.1 * self.m + i, tile % self.grid.1 * self.m + j);
        (p < self.output.h && q < self.output.w).then_some(((group * self.k + k) * self.output.h + p) * self.output.w + q)
    }

    /// The place in `[k, c / g, r, s]` of row `i`, column `j` of a folded kernel; none beyond the kernel.
    fn weight_at(&self, group: usize, k: usize, map: usize, i: usize, j: usize) -> Option<usize> {
        let (fold, Pair { r, s }) = (self.fold, self.kernel);
        let (c, u, v) = (map / (fold * fold), map / fold % fold, map % fold);
        let (row, col) = (i * fold + u, j * fold + v);
        let maps = self.c / (fold * fold);
        (row < r && col < s).then_some((((group * self.k + k) * maps + c) * r + row) * s + col)
    }

    fn no_points(&self, rows: usize, cols: usize) -> Points {
        Points { rows, cols, values: vec![0.0; self.a * self.a * rows * cols], lost: 0.0 }
    }

    /// `M x Mᵀ` of the squares `[row, col]` whose values `place(row, col, i, j)` finds in `from`, zeros where there are none.
    fn points(
        &self,
        matrix: &Matrix,
        (rows, cols): (usize, usize),
        from: &[f64],
        place: impl Fn(usize, usize, usize, usize) -> Option<usize>,
    ) -> Points {
        let (side, points) = (matrix.cols, self.a * self.a);
        let (mut square, mut transformed) = (vec![0.0; side * side], vec![0.0; points]);
        let mut out = Points { lost: self.lost_by(matrix, self.underflow), ..self.no_points(rows, cols) };
        for row in 0..rows {
            for col in 0..cols {
                for (e, x) in square.iter_mut().enumerate() {
                    *x = place(row, col, e / side, e % side).map_or(0.0, |at| from[at]);
                }
                matrix.both_sides(&square, &mut transformed);
                for (point, x) in transformed.iter().enumerate() {
                    out.values[(point * rows + row) * cols + col] = *x;
                }
            }
        }
        out
    }

    /// Adds `M x Mᵀ` of every square of points to the values of `to` that `place` finds.
    fn add_back(
        &self,
        matrix: &Matrix,
        points: &Points,
        to: &mut [f64],
        place: impl Fn(usize, usize, usize, usize) -> Option<usize>,
    ) {
        let (side, rows, cols) = (matrix.rows, points.rows, points.cols);
        let (mut square, mut transformed) = (vec![0.0; self.a * self.a], vec![0.0; side * side]);
        // And in the additions of a bias and to what is there.
        let lost = self.lost_by(matrix, 0.0) + 2.0 * self.underflow;
        for row in 0..rows {
            for col in 0..cols {
                for (point, x) in square.iter_mut().enumerate() {
                    *x = points.values[(point * rows + row) * cols + col];
                }
                matrix.both_sides(&square, &mut transformed);
                for (e, x) in transformed.iter().enumerate() {
                    if let Some(at) = place(row, col, e / side, e % side) {
                        to[at] += x + lost;
                    }
                }
            }
        }
    }

    /// What a value may have lost after `M x Mᵀ`, where values of `x` had lost `before`: along each axis errors grow by the
    /// matrix, and as many products and sums as it has columns may lose anew.
    fn lost_by(&self, matrix: &Matrix, before: f64) -> f64 {
        let along_an_axis = |before: f64| matrix.norm() * before + 2.0 * matrix.cols as f64 * self.underflow;
        along_an_axis(along_an_axis(before))
    }

    /// Adds `factor · a b` at every point, and what may be lost: what `a` and `b` have, and each product and sum.
    fn add_product(&self, a: &Points, b: &Points, sums: &mut Points) {
        let (rows, inner, cols) = (a.rows, a.cols, b.cols);
        assert_eq!((inner, rows, cols), (b.rows, sums.rows, sums.cols), "points of other sizes");
        let own = inner as f64 * (a.lost * b.lost + 2.0 * self.underflow);
        let each = sums.values.chunks_exact_mut(rows * cols);
        for ((a_at, b_at), sums) in a.values.chunks_exact(rows * inner).zip(b.values.chunks_exact(inner * cols)).zip(each) {
            let by_col: Vec<f64> = (0..cols).map(|j| b_at.iter().skip(j).step_by(cols).sum::<f64>() * a.lost).collect();
            for (a_row, sums) in a_at.chunks_exact(inner).zip(sums.chunks_exact_mut(cols)) {
                let by_row = a_row.iter().sum::<f64>() * b.lost + own;
                sums.iter_mut().zip(&by_col).for_each(|(sum, by_col)| *sum += by_row + by_col);
                for (a, b_row) in a_row.iter().zip(b_at.chunks_exact(cols)) {
                    let a = self.factor * a;
                    sums.iter_mut().zip(b_row).for_each(|(sum, b)| *sum += a * b);
                }
            }
        }
    }
}

impl Points {
    /// `[point, col, row]`
    fn transposed(&self) -> Points {
        let Points { rows, cols, lost, .. } = *self;
        let mut values = vec![0.0; self.values.len()];
        for (from, to) in self.values.chunks_exact(rows * cols).zip(values.chunks_exact_mut(rows * cols)) {
            for (e, to) in to.iter_mut().enumerate() {
                *to = from[e % rows * cols + e / rows];
            }
        }
        Points { rows: cols, cols: rows, values, lost }
    }
}
