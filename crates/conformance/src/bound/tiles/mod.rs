//! Bounds of convolutions that an engine computes by tiles (Winograd, *Arithmetic Complexity of Computations*, 1980; Lavin
//! and Gray, *Fast Algorithms for Convolutional Neural Networks*, 2015).
//!
//! The output is cut into tiles of `m × m`, the last ones filled up with zeros. With `a = m + r − 1` points along an axis,
//! matrices `A[a, m]`, `G[a, r]`, `Bᵀ[a, a]` of the points 0, ±1, ±2, ±½ and infinity, `x` the `a × a` patch that a tile
//! reads:
//!
//! | pass | formula | sum over |
//! |---|---|---|
//! | forward | `y = Aᵀ [Σ (G w Gᵀ) ⊙ (Bᵀ x B)] A + b` | maps |
//! | weight | `dw = Gᵀ [Σ (Bᵀ x B) ⊙ (A dy Aᵀ)] G` | images and tiles |
//! | data | `dx = Σ_tiles B [Σ (G w Gᵀ) ⊙ (A dy Aᵀ)] Bᵀ`, patches that overlap | outputs |
//!
//! **Rounding.** Written out, a value is `Σ t`, each term `t` a product of one value of each operand and of six
//! coefficients. An engine adds, multiplies by coefficients and multiplies points, in whatever order; each such result
//! carries a factor `1 + δ`, `|δ| ≤ u`, into every term that goes through it, and so does a coefficient that is not an f32.
//! If no term meets more than `n` of them, the computed value is `Σ t·(1 + θ)`, `|θ| ≤ γ_n` (Higham, *Accuracy and
//! Stability of Numerical Algorithms*, lemma 3.1), and errs by at most `γ_n · T`, where `T = Σ|t|` is the same formula with
//! the sizes of all coefficients and operands.
//!
//! To first order the error is `Σ δ_i·s_i`, `s_i` the sum of the terms that meet `δ_i`. As `|s_i| ≤ T` and `Σ|s_i| ≤ n·T`,
//! also `Σ s_i² ≤ n·T²`: where roundings are independent with mean 0, their root mean square is at most `√n·u·T`, and by
//! Hoeffding's inequality `λ·√n·u·T` holds with probability `1 − 2·exp(−λ²/2)`. (A term may meet the same coefficient along
//! both axes, so that its `s_i` reaches `2·T`. Only those of `G` are no f32, and every transform is granted as many.)
//!
//! `T` is not 0 where terms cancel: tiles leave roundings where the exact gradient is 0. It stays the same where an engine
//! moves a power of 2 from one operand's points to another's. For norms instead of elements, and for more than one choice of
//! points, see Barabasz, Anderson, Soodhalter and Gregg, *Error Analysis and Improving the Accuracy of Winograd Convolution
//! for Deep Neural Networks*, 2018.
//!
//! **Counting.** A transform along an axis of `L` values passes a term through one product, at most `L` additions (one to
//! spare for a pair of points `±p` that share their sums) and one rounded coefficient: `L + 2`. A sum of `K` products of
//! points: `K`. Patches of `⌈a / m⌉` tiles an axis meet at a pixel. One more each for the bias and for the addition to what
//! other batches left.
//!
//! **Below the normal range** a result, or a value read, may lose up to [`UNDERFLOW`]. What points have lost is carried
//! through the same formula beside `T`. Nothing is granted to points that overflow.
//!
//! **Folding.** A convolution of stride `f` is one of stride 1 over `f²` times as many maps:
//! `x'[(c, u, v), i, j] = x[c, f·i + u − top, f·j + v − left]`, `w'[(c, u, v), i, j] = w[c, f·i + u, f·j + v]`, zeros
//! outside, kernels of `⌈r / f⌉`. Copies do not round; only `K` grows.
//!
//! [`UNDERFLOW`]: super::UNDERFLOW

mod form;
mod matrices;

use net::{Conv, Net, Op, Shape};

use self::form::Form;
use super::{Bounded, Propagation, U, abs, gamma};

/// The tiles by which an engine computes a convolution of square kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tiles {
    /// Outputs of a tile along an axis.
    pub m: usize,
    /// The stride that is folded into maps; 1 where nothing is.
    pub fold: usize,
}

/// The tiles of each pass of a layer; none where each value is a plain sum of products.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LayerTiles {
    /// Of the output.
    pub forward: Option<Tiles>,
    /// Of the gradient by the weights.
    pub weight: Option<Tiles>,
    /// Of the gradient by the input, as the adjoint of the forward pass.
    pub data: Option<Tiles>,
}

/// A convolution and its tiles.
#[derive(Clone, Copy)]
pub(super) struct Tiled<'a> {
    conv: &'a Conv,
    input: Shape,
    output: Shape,
    tiles: Tiles,
}

/// Roundings of a term in the transform of a square of `side × side`.
fn transform(side: usize) -> usize {
    2 * (side + 2)
}

impl Tiled<'_> {
    /// Layer `index`, which is a convolution.
    pub(super) fn of(net: &Net, index: usize, tiles: Tiles) -> Tiled<'_> {
        let op = &net.layers()[index].op;
        let Op::Conv(conv) = op else { panic!("tiles of a layer of kind {}", op.kind()) };
        Tiled { conv, input: net.input_of(index), output: net.output_of(index), tiles }
    }

    fn form(&self) -> Form {
        Form::exact(self.conv, self.input, self.output, self.tiles)
    }

    /// The bounds of the outputs `[n, k, p, q]` for `x[n, c, h, w]`.
    pub(super) fn forward(&self, weight: &[f64], bias: &[f64], x: &[f64]) -> Vec<f64> {
        let form = self.form();
        // The bias, and the last addition.
        let n = transform(form.r) + 2 * transform(form.a) + form.c + 2;
        let mut bounds = form.bound(gamma(n)).forward(&abs(x), &abs(weight));
        for (map, bounds) in bounds.chunks_exact_mut(self.output.plane()).enumerate() {
            let bias = bias[map % bias.len()].abs();
            bounds.iter_mut().for_each(|bound| *bound += gamma(n) * bias);
        }
        bounds
    }

    /// The bounds of the roundings in the gradient by the weights, `[k, c / g, r, s]`.
    pub(super) fn weight(&self, how: Propagation, x: &[f64], dy: &Bounded) -> Vec<f64> {
        let form = self.form();
        let sum = x.len() / self.input.len() * form.tiles();
        let n = 2 * transform(form.a) + transform(form.m) + sum + 1;
        form.bound(own_factor(how, n)).weight(&abs(x), &own_sizes(how, dy))
    }

    /// The bounds of the roundings in the gradient by the input, `[n, c, h, w]`.
    pub(super) fn data(&self, how: Propagation, weight: &[f64], dy: &Bounded) -> Vec<f64> {
        let form = self.form();
        let n = transform(form.r) + transform(form.m) + transform(form.a) + form.k + form.a.div_ceil(form.m).pow(2);
        form.bound(own_factor(how, n)).data(&abs(weight), &own_sizes(how, dy))
    }
}

/// The error that `n` roundings add, relative to the sum of sizes.
fn own_factor(how: Propagation, n: usize) -> f64 {
    match how {
        Propagation::Worst => gamma(n),
        Propagation::Probable => (n as f64).sqrt() * U,
    }
}

/// The sizes that an engine's own `dy` has.
fn own_sizes(how: Propagation, dy: &Bounded) -> Vec<f64> {
    match how {
        Propagation::Worst => dy.value.iter().zip(&dy.bound).map(|(dy, e)| dy.abs() + e).collect(),
        Propagation::Probable => abs(&dy.value),
    }
}

#[cfg(test)]
mod tests {
    use net::random::{Purpose, Stream};
    use net::{Layer, Linear, Padding, Pair, Rounding};
    use reference::Pass;
    use reference::layer::{self, Params};

    use super::*;
    use crate::cases::geometry::LEARN;

    /// `[conv, linear, softmax]`; kernel, stride and padding are the same along both axes but for what `padding` says.
    fn one_conv(input: Shape, k: usize, kernel: usize, stride: usize, padding: [usize; 4], groups: usize) -> Net {
        let [top, left, bottom, right] = padding;
        let (kernel, stride, rounding) = (Pair::square(kernel), Pair::square(stride), Rounding::Floor);
        let padding = Padding { top, left, bottom, right };
        let conv = Conv { k, kernel, stride, padding, rounding, groups, weight: LEARN, bias: LEARN };
        let head = Linear { k: 2, weight: LEARN, bias: LEARN };
        let ops = [("op", Op::Conv(conv)), ("head", Op::Linear(head)), ("prob", Op::Softmax)];
        let layers = ops.into_iter().map(|(name, op)| Layer { name: name.into(), op }).collect();
        Net::new("one-conv", input, layers).expect("a net")
    }

    fn noise(len: usize, item: u32) -> Vec<f64> {
        let stream = Stream::new(1980, Purpose::Test, 0, 0, item);
        (0..len as u32).map(|e| 2.0 * stream.uniform(e) - 1.0).collect()
    }

    /// The largest difference of values, relative to the largest value.
    fn apart(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        let scale = b.iter().fold(0.0f64, |most, x| most.max(x.abs()));
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
    }

    #[test]
    fn the_form_is_a_convolution() {
        let shape = |c, h, w| Shape { c, h, w };
        let cases = [
            (one_conv(shape(3, 13, 9), 5, 3, 1, [1; 4], 1), 4),
            (one_conv(shape(4, 7, 11), 6, 3, 1, [0, 2, 1, 0], 2), 4),
            (one_conv(shape(2, 9, 10), 3, 3, 1, [2, 1, 0, 3], 1), 2),
            (one_conv(shape(6, 12, 7), 9, 5, 1, [2; 4], 3), 4),
            (one_conv(shape(2, 5, 6), 3, 5, 1, [0, 4, 3, 1], 1), 4),
            (one_conv(shape(1, 1, 2), 1, 3, 1, [1; 4], 1), 4),
            (one_conv(shape(3, 23, 27), 4, 11, 4, [2; 4], 1), 4),
            (one_conv(shape(4, 22, 19), 4, 11, 4, [0, 1, 3, 2], 2), 4),
            (one_conv(shape(2, 13, 17), 3, 5, 2, [1, 2, 2, 1], 1), 4),
            (one_conv(shape(2, 9, 8), 2, 6, 2, [3, 0, 0, 3], 2), 2),
        ];
        for (net, m) in &cases {
            let Op::Conv(conv) = &net.layers()[0].op else { unreachable!("a convolution") };
            let (input, output) = (net.input(), net.output_of(0));
            let form = Tiled::of(net, 0, Tiles { m: *m, fold: conv.stride.r }).form();
            let (x, dy) = (noise(2 * input.len(), 0), noise(2 * output.len(), 1));
            let (w, bias) = (noise(net.params()[0].len(), 2), vec![0.0; conv.k]);
            let y = layer::forward(net, 0, Params { weight: &w, bias: &bias }, Pass::Test, &x);
            let dx = layer::backward_input(net, 0, &w, Pass::Test, &x, &dy);
            let (mut dw, mut db) = (vec![0.0; w.len()], bias);
            layer::backward_params(net, 0, &x, &dy, &mut dw, &mut db);
            for (pass, a, b) in
                [("forward", form.forward(&x, &w), y), ("weight", form.weight(&x, &dy), dw), ("data", form.data(&w, &dy), dx)]
            {
                assert!(apart(&a, &b) < 1e-10, "{pass} of {input}, {conv:?}: {:e}", apart(&a, &b));
            }
        }
    }
}
