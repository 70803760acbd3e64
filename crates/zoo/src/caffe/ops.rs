//! Layers as ops, and blobs as their parameters.

use net::{
    AvgPool, Conv, Dropout, DropoutScaling, Linear, LrnAcross, LrnWithin, MaxPool, Op, Padding, Pair, Rounding, SharedTensor,
    Ties,
};
use weights::caffemodel::{Layer, Lrn, PoolMethod, Pooling, Settings};

use crate::identify::LEARN;
use crate::model;

/// An op, and the blobs that are its parameters.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) op: Op,
    weight: Option<SharedTensor>,
    bias: Option<SharedTensor>,
    /// Whether weights are `[in, out]`.
    transpose: bool,
}

/// What a layer computes; nothing for layers that only change a shape which the next ones do not see, or what the step
/// `before` becomes with them.
///
/// # Errors
/// What in it is not known here.
pub(super) fn step(layer: &Layer, before: Option<&mut Step>) -> Result<Option<Step>, String> {
    let plain = |op| Ok(Some(Step { op, weight: None, bias: None, transpose: false }));
    match layer.kind.as_str() {
        "Convolution" | "InnerProduct" => weighted(layer).map(Some),
        "Pooling" => match &layer.settings {
            Settings::Pooling(pool) => plain(pooling(pool)?),
            _ => Err("its window is not said".into()),
        },
        "LRN" => match &layer.settings {
            Settings::Lrn(lrn) => plain(normalisation(lrn)),
            _ => plain(normalisation(&Lrn::default())),
        },
        "ReLU" => match layer.settings {
            Settings::Relu(slope) if slope != 0.0 => Err(format!("its slope below 0 is {slope}, known is only 0")),
            _ => plain(Op::Relu),
        },
        "TanH" => plain(Op::Tanh),
        "Dropout" => {
            let ratio = if let Settings::Dropout(ratio) = layer.settings { decimal(ratio) } else { 0.5 };
            plain(Op::Dropout(Dropout { rate: ratio, scaling: DropoutScaling::Train }))
        }
        "Softmax" | "SoftmaxWithLoss" => match layer.settings {
            Settings::Softmax(axis) if axis != 1 => Err(format!("its softmax is along axis {axis}, known is only 1")),
            _ => plain(Op::Softmax),
        },
        "Power" => match layer.settings {
            Settings::Power { power: 1.0, scale, shift: 0.0 } => {
                factor(scale, before.map(|step| &mut step.op))?.map_or(Ok(None), plain)
            }
            _ => Err("it is no factor alone".into()),
        },
        // The layers behind read all values of an image in the same order.
        "Flatten" => Ok(None),
        kind => Err(format!("the type `{}` is not known", kind.escape_default())),
    }
}

/// What multiplies: behind a normalisation another `k`, for `s · x (1 + a S)^-β = x (k + k a S)^-β` where `k = s^(-1/β)`; elsewhere,
/// if below 1, what the paper's dropout is in testing.
fn factor(scale: f32, before: Option<&mut Op>) -> Result<Option<Op>, String> {
    let scale = decimal(scale);
    let of = |beta: f64| scale.powf(-1.0 / beta);
    match before {
        _ if scale == 1.0 => {}
        Some(Op::Lrn(lrn)) if scale > 0.0 && lrn.k == 1.0 => (lrn.k, lrn.alpha) = (of(lrn.beta), lrn.alpha * of(lrn.beta)),
        Some(Op::LrnWithin(lrn)) if scale > 0.0 && lrn.k == 1.0 => (lrn.k, lrn.alpha) = (of(lrn.beta), lrn.alpha * of(lrn.beta)),
        _ if scale > 0.0 && scale < 1.0 => {
            return Ok(Some(Op::Dropout(Dropout { rate: 1.0 - scale, scaling: DropoutScaling::Test })));
        }
        _ => return Err(format!("its factor is {scale}, which no layer here is")),
    }
    Ok(None)
}

/// The decimal number that a float of a text file was: 0.0001, not the nearest 32-bit number's 53 bits.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

fn pair([r, s]: [usize; 2]) -> Pair {
    Pair { r, s }
}

fn padding([h, w]: [usize; 2]) -> Padding {
    Padding { top: h, left: w, bottom: h, right: w }
}

fn weighted(layer: &Layer) -> Result<Step, String> {
    let (weight, bias) = LEARN;
    let (op, with_bias, transpose) = match &layer.settings {
        Settings::Convolution(conv) => {
            if conv.dilation != [1; 2] {
                return Err(format!("its window is dilated by {:?}", conv.dilation));
            }
            let (kernel, stride, padding) = (pair(conv.kernel), pair(conv.stride), padding(conv.pad));
            let (k, groups, rounding) = (conv.outputs, conv.groups, Rounding::Floor);
            (Op::Conv(Conv { k, kernel, stride, padding, rounding, groups, weight, bias }), conv.bias, false)
        }
        Settings::InnerProduct(product) if product.axis != 1 => return Err(format!("it sums from axis {} on", product.axis)),
        Settings::InnerProduct(product) => {
            (Op::Linear(Linear { k: product.outputs, weight, bias }), product.bias, product.transpose)
        }
        _ => return Err("the file does not say what it does with its weights".into()),
    };
    let mut blobs = layer.blobs.iter().cloned();
    let (weight, bias) = (blobs.next(), blobs.next());
    let expected = 1 + usize::from(with_bias);
    if layer.blobs.len() != expected {
        return Err(format!("it has {} blobs of weights and biases, expected {expected}", layer.blobs.len()));
    }
    Ok(Step { op, weight, bias, transpose })
}

fn pooling(pool: &Pooling) -> Result<Op, String> {
    if pool.global {
        return Err("it pools over the whole image, whatever its size".into());
    }
    let (kernel, stride, padding) = (pair(pool.kernel), pair(pool.stride), padding(pool.pad));
    let rounding = if pool.floor { Rounding::Floor } else { Rounding::Ceil };
    match pool.method {
        PoolMethod::Max => Ok(Op::MaxPool(MaxPool { kernel, stride, padding, rounding, ties: Ties::First })),
        PoolMethod::Average if pool.pad != [0; 2] => Err("its means count padding as pixels, which is not known here".into()),
        PoolMethod::Average => Ok(Op::AvgPool(AvgPool { kernel, stride, padding, rounding })),
        PoolMethod::Stochastic => Err("it pools by chance, which is not known here".into()),
    }
}

fn normalisation(lrn: &Lrn) -> Op {
    let (n, alpha, beta, alpha_over_n) = (lrn.size, decimal(lrn.alpha), decimal(lrn.beta), true);
    match lrn.within {
        true => Op::LrnWithin(LrnWithin { n, k: 1.0, alpha, beta, alpha_over_n }),
        false => Op::Lrn(LrnAcross { n, k: decimal(lrn.k), alpha, beta, alpha_over_n, towers: 1 }),
    }
}

/// A blob without the axes of size 1 with which old files fill four: `[1, 1, out, in]` is `[out, in]`, `[1, 1, 1, k]` is `[k]`.
pub(super) fn squeezed(blob: SharedTensor) -> SharedTensor {
    let [1, 1, rest @ ..] = &blob.shape[..] else { return blob };
    let shape = if let [1, rest @ ..] = rest { rest } else { rest };
    SharedTensor { shape: shape.to_vec(), ..blob }
}

/// Whether a blob's sizes are these, but for sizes of 1 before them or behind.
fn alike(found: &[usize], expected: &[usize]) -> bool {
    let trimmed = |mut sizes: &[usize]| {
        while let [1, rest @ ..] | [rest @ .., 1] = sizes {
            sizes = rest;
        }
        sizes.to_vec()
    };
    trimmed(found) == trimmed(expected)
}

impl Step {
    /// Whether the op has parameters.
    pub(super) fn has_weights(&self) -> bool {
        self.weight.is_some()
    }

    /// Maps that the op reads, where its weights say it.
    pub(super) fn channels(&self) -> Option<usize> {
        match (&self.op, &self.weight) {
            (Op::Conv(conv), Some(SharedTensor { shape, .. })) => match shape[..] {
                [_, c, _, _] => c.checked_mul(conv.groups),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether the blobs can be parameters of these shapes.
    ///
    /// # Errors
    /// Which cannot.
    pub(super) fn check(&self, weight: &[usize], bias: &[usize]) -> Result<(), String> {
        let stored: Vec<usize> = if self.transpose { weight.iter().rev().copied().collect() } else { weight.to_vec() };
        for (what, blob, expected) in [("weights", &self.weight, &stored[..]), ("biases", &self.bias, bias)] {
            if let Some(blob) = blob
                && !alike(&blob.shape, expected)
            {
                return Err(format!("its {what} have shape {:?}, expected {expected:?}", blob.shape));
            }
        }
        Ok(())
    }

    /// Weights and biases in these shapes.
    ///
    /// # Errors
    /// As [`Step::check`].
    pub(super) fn tensors(self, weight: &[usize], bias: &[usize]) -> Result<[SharedTensor; 2], String> {
        self.check(weight, bias)?;
        let none = || model::tensor(bias.to_vec(), vec![0.0; bias.iter().product()]);
        let biases = self.bias.map_or_else(none, |blob| SharedTensor { shape: bias.to_vec(), ..blob });
        let weights = self.weight.ok_or("it has no weights")?;
        let weights = match weight {
            [out, input] if self.transpose => {
                let from = weights.data();
                let turned = (0..*out).flat_map(|o| (0..*input).map(move |i| from[i * out + o])).collect();
                model::tensor(weight.to_vec(), turned)
            }
            _ => SharedTensor { shape: weight.to_vec(), ..weights },
        };
        Ok([weights, biases])
    }
}
