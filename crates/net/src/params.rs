//! Parameters: their table, their values on the host, their first values.

use std::sync::Arc;

use crate::random::{Purpose, Stream};
use crate::shape::param_shapes;
use crate::{Error, Init, Layer, Learn, Net, Result, Shape};

/// Whether a parameter is a layer's weight or its bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `<layer>.weight`
    Weight,
    /// `<layer>.bias`
    Bias,
}

/// One parameter tensor of a net.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamInfo {
    /// `<layer>.weight` or `<layer>.bias`.
    pub name: String,
    /// The layer's position in the net.
    pub layer: usize,
    /// Weight or bias.
    pub role: Role,
    /// Its shape: `[k, c/g, r, s]`, `[p, q, k, c, r, s]` (local), `[out, in]`; biases `[k]` or `[k, p, q]` (local).
    pub shape: Vec<usize>,
    /// How it starts and learns.
    pub learn: Learn,
    /// Inputs that one output of its layer sums over.
    pub fan_in: usize,
    /// Outputs that one input of its layer reaches, counted as PyTorch does (`k · r · s` for a convolution).
    pub fan_out: usize,
}

impl ParamInfo {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements; never true of a checked net's parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

pub(crate) fn table(layers: &[Layer], input: Shape, outputs: &[Shape]) -> Vec<ParamInfo> {
    let mut params = Vec::new();
    let mut shape = input;
    for (index, (layer, &output)) in layers.iter().zip(outputs).enumerate() {
        if let (Some((weight, bias)), Some([weight_shape, bias_shape])) =
            (layer.op.learn(), param_shapes(&layer.op, shape, output))
        {
            let (fan_in, fan_out) = match weight_shape[..] {
                [k, c, r, s] => (c * r * s, k * r * s),
                [_, _, k, c, r, s] => (c * r * s, k * r * s),
                _ => (weight_shape[1], weight_shape[0]),
            };
            let info = |role, suffix: &str, shape, learn: &Learn| ParamInfo {
                name: format!("{}.{suffix}", layer.name),
                layer: index,
                role,
                shape,
                learn: *learn,
                fan_in,
                fan_out,
            };
            params.push(info(Role::Weight, "weight", weight_shape, weight));
            params.push(info(Role::Bias, "bias", bias_shape, bias));
        }
        shape = output;
    }
    params
}

/// A tensor on the host: f32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Values, `shape.iter().product()` of them.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor of zeros.
    pub fn zeros(shape: &[usize]) -> Tensor {
        Tensor { shape: shape.to_vec(), data: vec![0.0; shape.iter().product()] }
    }
}

/// A tensor on the host that several may read and nobody writes, such as one in a mapped file: f32, row-major.
#[derive(Clone)]
pub struct SharedTensor {
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Values, `shape.iter().product()` of them.
    pub values: Arc<dyn AsRef<[f32]> + Send + Sync>,
}

impl SharedTensor {
    /// The values.
    pub fn data(&self) -> &[f32] {
        (*self.values).as_ref()
    }
}

impl std::fmt::Debug for SharedTensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedTensor").field("shape", &self.shape).finish_non_exhaustive()
    }
}

/// Named tensors in a net's order: weights, momenta or gradients.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParamSet {
    tensors: Vec<(String, Tensor)>,
}

impl ParamSet {
    /// Collects tensors; the order given is kept.
    pub fn new(tensors: Vec<(String, Tensor)>) -> ParamSet {
        ParamSet { tensors }
    }

    /// Zeros in the shape of every parameter of `net`.
    pub fn zeros(net: &Net) -> ParamSet {
        ParamSet { tensors: net.params().iter().map(|p| (p.name.clone(), Tensor::zeros(&p.shape))).collect() }
    }

    /// The tensor called `name`.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// The tensor called `name`, for writing.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Tensor> {
        self.tensors.iter_mut().find(|(n, _)| n == name).map(|(_, t)| t)
    }

    /// All tensors with their names, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.tensors.iter().map(|(n, t)| (n.as_str(), t))
    }

    /// All tensors with their names, in order, for writing.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = (&str, &mut Tensor)> {
        self.tensors.iter_mut().map(|(n, t)| (n.as_str(), t))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are no tensors.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The set holds exactly the parameters of `net`, each in its shape, in any order.
    ///
    /// # Errors
    /// Names the first parameter that is missing, misshapen or superfluous.
    pub fn check(&self, net: &Net) -> Result<()> {
        let given: Vec<_> = self.iter().map(|(name, tensor)| (name, &tensor.shape[..], tensor.data.len())).collect();
        check(net, &given)
    }
}

/// As [`ParamSet::check`].
///
/// # Errors
/// As [`ParamSet::check`].
pub fn check_shared(net: &Net, tensors: &[(String, SharedTensor)]) -> Result<()> {
    let given: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.shape[..], tensor.data().len())).collect();
    check(net, &given)
}

/// Whether tensors of these names, shapes and lengths are exactly the parameters of `net`.
fn check(net: &Net, given: &[(&str, &[usize], usize)]) -> Result<()> {
    for info in net.params() {
        let fault = |message| Error::Param { name: info.name.clone(), message };
        let &(_, shape, len) = given
            .iter()
            .find(|(name, ..)| *name == info.name)
            .ok_or_else(|| fault(format!("missing; net `{}` needs it in shape {:?}", net.name(), info.shape)))?;
        if *shape != info.shape || len != info.len() {
            return Err(fault(format!("shape {shape:?} given, net `{}` needs {:?}", net.name(), info.shape)));
        }
    }
    match given.iter().find(|(name, ..)| !net.params().iter().any(|p| p.name == *name)) {
        Some(&(name, ..)) => {
            Err(Error::Param { name: name.into(), message: format!("net `{}` has no such parameter", net.name()) })
        }
        None if given.len() != net.params().len() => {
            Err(Error::Param { name: String::new(), message: "a name occurs twice".into() })
        }
        None => Ok(()),
    }
}

/// Fills `values` with elements `first..` of parameter number `index` of a net, as `init` says. Any split of a tensor
/// into calls gives the same values, so callers may fill from several threads. `first` must be a multiple of 4.
pub fn initialise(init: Init, info: &ParamInfo, index: usize, seed: u64, first: usize, values: &mut [f32]) {
    debug_assert!(first.is_multiple_of(4));
    let stream = Stream::new(seed, Purpose::Initialise, 0, 0, index as u32);
    let uniform = |values: &mut [f32], bound: f64| {
        for (i, four) in values.chunks_mut(4).enumerate() {
            let block = stream.block((first / 4 + i) as u32);
            for (value, bits) in four.iter_mut().zip(block) {
                *value = ((2.0 * f64::from(bits) / 4_294_967_296.0 - 1.0) * bound) as f32;
            }
        }
    };
    match init {
        Init::Constant(constant) => values.fill(constant as f32),
        Init::Gaussian(std) => {
            for (i, four) in values.chunks_mut(4).enumerate() {
                for (value, x) in four.iter_mut().zip(stream.normal_block((first / 4 + i) as u32)) {
                    *value = (x * std) as f32;
                }
            }
        }
        Init::FanIn => uniform(values, 1.0 / libm::sqrt(info.fan_in as f64)),
        Init::Xavier => uniform(values, libm::sqrt(6.0 / (info.fan_in + info.fan_out) as f64)),
    }
}

impl Net {
    /// Initial parameters: a pure function of the net and `seed`.
    pub fn initial_params(&self, seed: u64) -> ParamSet {
        let mut set = ParamSet::zeros(self);
        for (index, (info, (_, tensor))) in self.params().iter().zip(set.iter_mut()).enumerate() {
            initialise(info.learn.init, info, index, seed, 0, &mut tensor.data);
        }
        set
    }
}
