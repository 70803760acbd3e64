//! The kinds of layer, each with all that its formula needs.
//!
//! Everything in which one AlexNet differs from another is a field here, so that a preset is data and an engine has no
//! special cases.

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A named layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Unique within the net; parameters are called `<name>.weight` and `<name>.bias`.
    pub name: String,
    /// What it computes.
    pub op: Op,
}

/// What a layer computes, from one tensor `[n, c, h, w]` to one `[n, k, p, q]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Convolution (cross-correlation) with shared weights.
    Conv(Conv),
    /// Convolution whose weights and biases differ at every output position.
    Local(Local),
    /// `max(x, 0)`; the gradient at 0 is 0.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// Response normalisation across maps.
    Lrn(LrnAcross),
    /// Response normalisation within a map.
    LrnWithin(LrnWithin),
    /// Maximum over windows clipped to the image.
    MaxPool(MaxPool),
    /// Average over windows clipped to the image, divided by the clipped area.
    AvgPool(AvgPool),
    /// Random zeroing in training.
    Dropout(Dropout),
    /// Matrix product over the flattened (c, h, w) input.
    Linear(Linear),
    /// Softmax over all values of an image; in training with cross-entropy. Always the last layer, and nowhere else.
    Softmax,
}

/// `y[n,k,p,q] = b[k] + Σ_{c,r,s} w[k,c,r,s] · x[n, c, p·stride − top + r, q·stride − left + s]`, with zeros outside the image;
/// group `j` of the outputs sees group `j` of the input maps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv {
    /// Output maps.
    pub k: usize,
    /// Window size.
    pub kernel: Pair,
    /// Step between windows.
    #[serde(default = "Pair::one", skip_serializing_if = "Pair::is_one")]
    pub stride: Pair,
    /// Zeros around the image.
    #[serde(default, skip_serializing_if = "Padding::is_zero")]
    pub padding: Padding,
    /// Whether a last window that overhangs the padded image counts; it reads zeros there.
    #[serde(default, skip_serializing_if = "Rounding::is_floor")]
    pub rounding: Rounding,
    /// Groups: weights are `[k, c / groups, r, s]`.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// The weights' initialisation, rate and decay.
    pub weight: Learn,
    /// The biases' initialisation, rate and decay.
    pub bias: Learn,
}

/// [`Conv`] with weights `[p, q, k, c, r, s]` and biases `[k, p, q]` of its own for every output position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// Output maps.
    pub k: usize,
    /// Window size.
    pub kernel: Pair,
    /// Step between windows.
    #[serde(default = "Pair::one", skip_serializing_if = "Pair::is_one")]
    pub stride: Pair,
    /// Zeros around the image.
    #[serde(default, skip_serializing_if = "Padding::is_zero")]
    pub padding: Padding,
    /// The weights' initialisation, rate and decay.
    pub weight: Learn,
    /// The biases' initialisation, rate and decay.
    pub bias: Learn,
}

/// `y_i = x_i · (k + a · Σ_j x_j²)^−beta`, j over the `n` maps around `i`, clipped to the tower that holds `i`;
/// `a` is [`LrnAcross::coefficient`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrnAcross {
    /// Window size in maps; odd.
    pub n: usize,
    /// The constant added to the sum (`minDiv` in cuda-convnet).
    pub k: f64,
    /// Weight of the sum, before the division that `alpha_over_n` asks for.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// Whether `alpha` is divided by `n`: true in every program that was run, false in the paper's formula.
    pub alpha_over_n: bool,
    /// Equal blocks of maps that do not see each other.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub towers: usize,
}

impl LrnAcross {
    /// The factor before the sum of squares.
    pub fn coefficient(&self) -> f64 {
        if self.alpha_over_n { self.alpha / self.n as f64 } else { self.alpha }
    }
}

/// `y = x · (k + a · Σ x²)^−beta`, the sum over the `n × n` window around each pixel of the same map, clipped to the image;
/// `a` is [`LrnWithin::coefficient`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LrnWithin {
    /// Window side; odd.
    pub n: usize,
    /// The constant added to the sum.
    pub k: f64,
    /// Weight of the sum, before the division that `alpha_over_n` asks for.
    pub alpha: f64,
    /// The exponent.
    pub beta: f64,
    /// Whether `alpha` is divided by the window's full area `n²`.
    pub alpha_over_n: bool,
}

impl LrnWithin {
    /// The factor before the sum of squares.
    pub fn coefficient(&self) -> f64 {
        if self.alpha_over_n { self.alpha / (self.n * self.n) as f64 } else { self.alpha }
    }
}

/// Maximum over each window, clipped to the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Window size.
    pub kernel: Pair,
    /// Step between windows.
    pub stride: Pair,
    /// Room around the image that windows may start in or reach into; it holds no values.
    #[serde(default, skip_serializing_if = "Padding::is_zero")]
    pub padding: Padding,
    /// Whether a last window that overhangs counts.
    #[serde(default, skip_serializing_if = "Rounding::is_floor")]
    pub rounding: Rounding,
    /// Who receives the gradient when several elements equal the maximum.
    #[serde(default, skip_serializing_if = "Ties::is_first")]
    pub ties: Ties,
}

/// Mean over each window, clipped to the image, divided by the clipped area.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool {
    /// Window size.
    pub kernel: Pair,
    /// Step between windows.
    pub stride: Pair,
    /// Room around the image; it holds no values and does not count in the divisor.
    #[serde(default, skip_serializing_if = "Padding::is_zero")]
    pub padding: Padding,
    /// Whether a last window that overhangs counts.
    #[serde(default, skip_serializing_if = "Rounding::is_floor")]
    pub rounding: Rounding,
}

/// Each value is zeroed with probability `rate` in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dropout {
    /// Probability of zeroing, in `[0, 1)`.
    pub rate: f64,
    /// When the survivors' expected sum is restored.
    pub scaling: DropoutScaling,
}

/// When dropout scales by the keep probability.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DropoutScaling {
    /// Survivors are divided by `1 − rate` in training; testing is the identity (Caffe, PyTorch).
    Train,
    /// Training only zeroes; testing multiplies by `1 − rate` (the paper).
    Test,
}

/// `y[n,k] = b[k] + Σ_i w[k,i] · x[n,i]`, i over the flattened (c, h, w) input; weights are `[out, in]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Outputs.
    pub k: usize,
    /// The weights' initialisation, rate and decay.
    pub weight: Learn,
    /// The biases' initialisation, rate and decay.
    pub bias: Learn,
}

/// How a parameter starts and learns.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// Its first values.
    pub init: Init,
    /// Multiplies the schedule's learning rate.
    #[serde(default = "one_f64", skip_serializing_if = "is_one_f64")]
    pub rate: f64,
    /// Multiplies the recipe's weight decay.
    #[serde(default = "one_f64", skip_serializing_if = "is_one_f64")]
    pub decay: f64,
}

/// Initial values of a parameter tensor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// Every element is this.
    Constant(f64),
    /// Normal with mean 0 and this standard deviation.
    Gaussian(f64),
    /// Uniform in `±1/√fan_in`: what PyTorch gives convolutions and linear layers, weights and biases alike.
    FanIn,
    /// Uniform in `±√(6 / (fan_in + fan_out))` (Glorot and Bengio, 2010).
    Xavier,
}

/// Two sizes, vertical first. Reads and prints as one integer where both are equal, else as `[r, s]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Vertical.
    pub r: usize,
    /// Horizontal.
    pub s: usize,
}

impl Pair {
    /// Both sizes equal.
    pub const fn square(side: usize) -> Pair {
        Pair { r: side, s: side }
    }

    fn one() -> Pair {
        Pair::square(1)
    }

    fn is_one(&self) -> bool {
        *self == Pair::one()
    }
}

/// Rows and columns added around an image. Reads and prints as one integer where all are equal, else as
/// `[top, left, bottom, right]`, ONNX's order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Columns before.
    pub left: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns behind.
    pub right: usize,
}

impl Padding {
    /// The same on all sides.
    pub const fn all(side: usize) -> Padding {
        Padding { top: side, left: side, bottom: side, right: side }
    }

    /// Below and behind only.
    pub const fn end(side: usize) -> Padding {
        Padding { top: 0, left: 0, bottom: side, right: side }
    }

    fn is_zero(&self) -> bool {
        *self == Padding::default()
    }
}

/// What becomes of a last window that does not fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// It is dropped.
    #[default]
    Floor,
    /// It is kept, unless it would begin outside the image.
    Ceil,
}

impl Rounding {
    fn is_floor(&self) -> bool {
        *self == Rounding::Floor
    }
}

/// Who receives the gradient of a window whose maximum occurs several times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ties {
    /// The first in row-major order (Caffe, PyTorch).
    #[default]
    First,
    /// Every one of them, in full (cuda-convnet).
    All,
}

impl Ties {
    fn is_first(&self) -> bool {
        *self == Ties::First
    }
}

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

fn one_f64() -> f64 {
    1.0
}

fn is_one_f64(value: &f64) -> bool {
    *value == 1.0
}

impl Op {
    /// The key under which the op stands in a net's text.
    pub fn kind(&self) -> &'static str {
        match self {
            Op::Conv(_) => "conv",
            Op::Local(_) => "local",
            Op::Relu => "relu",
            Op::Tanh => "tanh",
            Op::Lrn(_) => "lrn",
            Op::LrnWithin(_) => "lrn_within",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::Dropout(_) => "dropout",
            Op::Linear(_) => "linear",
            Op::Softmax => "softmax",
        }
    }

    /// How the weights and biases start and learn, for the ops that have them.
    pub fn learn(&self) -> Option<(&Learn, &Learn)> {
        match self {
            Op::Conv(op) => Some((&op.weight, &op.bias)),
            Op::Local(op) => Some((&op.weight, &op.bias)),
            Op::Linear(op) => Some((&op.weight, &op.bias)),
            _ => None,
        }
    }
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.r == self.s { self.r.serialize(serializer) } else { [self.r, self.s].serialize(serializer) }
    }
}

impl Serialize for Padding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if *self == Padding::all(self.top) {
            self.top.serialize(serializer)
        } else {
            [self.top, self.left, self.bottom, self.right].serialize(serializer)
        }
    }
}

/// Reads one integer as `N` equal ones, or an array of exactly `N`. Not `untagged`, which would lose the error's position.
struct OneOrMany<const N: usize>;

impl<'de, const N: usize> Visitor<'de> for OneOrMany<N> {
    type Value = [usize; N];

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "an integer of at least 0 or an array of {N} of them")
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        let value = usize::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
        Ok([value; N])
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        let value = usize::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
        Ok([value; N])
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut values: A) -> Result<Self::Value, A::Error> {
        let mut out = [0; N];
        for (i, slot) in out.iter_mut().enumerate() {
            *slot = values.next_element()?.ok_or_else(|| de::Error::invalid_length(i, &self))?;
        }
        match values.next_element::<usize>()? {
            None => Ok(out),
            Some(_) => Err(de::Error::invalid_length(N + 1, &self)),
        }
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pair, D::Error> {
        deserializer.deserialize_any(OneOrMany::<2>).map(|[r, s]| Pair { r, s })
    }
}

impl<'de> Deserialize<'de> for Padding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Padding, D::Error> {
        deserializer.deserialize_any(OneOrMany::<4>).map(|[top, left, bottom, right]| Padding { top, left, bottom, right })
    }
}
