//! Bounds of the linear layer, some rows of its weights at a time: an AlexNet's 38 million in f64, with their
//! squares, gradients and bounds, would be more memory than the engine's.

use std::ops::Range;

use reference::linear;

use super::backward::{arrived, incoming};
use super::{Bounded, Propagation, UNDERFLOW, Weights, abs, gamma};

/// Outputs whose weights are looked at together.
const ROWS: usize = 64;

/// A linear layer from `c` inputs to `k` outputs, on a batch.
pub(super) struct Linear<'a> {
    pub(super) c: usize,
    pub(super) k: usize,
    /// `[n, c]`
    pub(super) x: &'a [f64],
}

impl Linear<'_> {
    /// The outputs `[n, k]`; each sums `c` products and a bias.
    pub(super) fn forward(&self, weights: Weights<'_>) -> Bounded {
        let mut out =
            Bounded { value: vec![0.0; self.x.len() / self.c * self.k], bound: vec![0.0; self.x.len() / self.c * self.k] };
        let sizes_of_x = abs(self.x);
        for rows in self.blocks() {
            let w = self.block(weights.weight, &rows);
            let b: Vec<f64> = weights.bias[rows.clone()].iter().map(|&b| f64::from(b)).collect();
            let (w_size, b_size) = (abs(&w), abs(&b));
            for (image, (x, x_size)) in self.x.chunks_exact(self.c).zip(sizes_of_x.chunks_exact(self.c)).enumerate() {
                let at = self.of_image(image, &rows);
                linear::forward(x, &w, &b, &mut out.value[at.clone()]);
                linear::forward(x_size, &w_size, &b_size, &mut out.bound[at]);
            }
        }
        let terms = self.c + 1;
        out.bound.iter_mut().for_each(|size| *size = gamma(terms + 1) * *size + terms as f64 * UNDERFLOW);
        out
    }

    /// The gradient by the input, `[n, c]`, and what arrives there of the errors of `dy`, `[n, k]`.
    pub(super) fn backward_input(&self, how: Propagation, weight: &[f32], terms: usize, dy: &Bounded) -> Bounded {
        let errors = incoming(how, terms, dy);
        let mut dx = Bounded { value: vec![0.0; self.x.len()], bound: vec![0.0; self.x.len()] };
        let mut part = vec![0.0; self.c];
        for rows in self.blocks() {
            let w = self.block(weight, &rows);
            let entries = how.entries(&w);
            for image in 0..self.x.len() / self.c {
                let (at, to) = (self.of_image(image, &rows), image * self.c..(image + 1) * self.c);
                for (weights, dy, dx) in [(&w, &dy.value, &mut dx.value), (&entries, &errors, &mut dx.bound)] {
                    linear::backward_input(weights, &dy[at.clone()], &mut part);
                    dx[to.clone()].iter_mut().zip(&part).for_each(|(dx, part)| *dx += part);
                }
            }
        }
        dx.bound = arrived(how, dx.bound);
        dx
    }

    /// Shows the gradients of some rows of weights after the other, each with the place of its first element, and returns
    /// those of the biases.
    pub(super) fn backward_params(
        &self,
        how: Propagation,
        terms: usize,
        dy: &Bounded,
        visit: &mut dyn FnMut(usize, Bounded),
    ) -> Bounded {
        let (entries, errors) = (how.entries(self.x), incoming(how, terms, dy));
        let mut bias = Bounded::default();
        for rows in self.blocks() {
            let sums = |x: &[f64], dy: &[f64]| {
                let (mut dw, mut db) = (vec![0.0; rows.len() * self.c], vec![0.0; rows.len()]);
                for (image, x) in x.chunks_exact(self.c).enumerate() {
                    linear::backward_params(x, &dy[self.of_image(image, &rows)], &mut dw, &mut db);
                }
                (dw, db)
            };
            let ((value, db), (bound, db_bound)) = (sums(self.x, &dy.value), sums(&entries, &errors));
            visit(rows.start * self.c, Bounded { value, bound: arrived(how, bound) });
            bias.value.extend(db);
            bias.bound.extend(arrived(how, db_bound));
        }
        bias
    }

    fn blocks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let k = self.k;
        (0..k).step_by(ROWS).map(move |first| first..(first + ROWS).min(k))
    }

    /// Where the outputs `rows` of an image lie in `[n, k]`.
    fn of_image(&self, image: usize, rows: &Range<usize>) -> Range<usize> {
        image * self.k + rows.start..image * self.k + rows.end
    }

    /// Some rows of `[k, c]` in f64.
    fn block(&self, weight: &[f32], rows: &Range<usize>) -> Vec<f64> {
        weight[rows.start * self.c..rows.end * self.c].iter().map(|&w| f64::from(w)).collect()
    }
}
