//! A graph as a chain of ops from pixels to probabilities.

use std::collections::{HashMap, HashSet};

use net::{Layer, Net, Op, Shape, SharedTensor};
use weights::onnx::{Dim, Graph, Model, Node, Tensor};

use super::border::Border;
use super::layers;
use super::sizes::{self, Size};

/// The most layers that a chain may have.
const MOST_LAYERS: usize = 1000;

/// How many times as many bytes as its constants have a net's weights may have: those of two bytes become four, and layers may
/// share some.
const MOST_RATIO: usize = 8;
/// What weights may have whatever the constants have, in bytes.
const ALWAYS_ALLOWED: usize = 1 << 16;

/// The most rows or columns of an image.
const MOST_PIXELS: usize = 1 << 16;

/// What a graph computes.
#[derive(Debug)]
pub(super) struct Chain {
    /// The shape of one image.
    pub(super) input: Shape,
    /// The ops; the last is a softmax.
    pub(super) ops: Vec<Op>,
    /// Weight and bias of each op that has them.
    pub(super) params: Vec<[SharedTensor; 2]>,
    /// What is done to the pixels before the first op.
    pub(super) border: Border,
    /// What the user should know, a sentence each.
    pub(super) notes: Vec<String>,
}

/// What keeps a graph from being a chain.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It computes something else.
    Net(String),
    /// A constant cannot be read.
    File(weights::Error),
}

impl From<weights::Error> for Wrong {
    fn from(error: weights::Error) -> Wrong {
        Wrong::File(error)
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Wrong {
        Wrong::Net(message)
    }
}

/// What a name in a graph stands for.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// A constant; a matrix may be meant with rows and columns exchanged.
    Constant { tensor: Tensor, transposed: bool },
    /// Lengths of axes.
    Sizes(Vec<Size>),
    /// The images on their way, behind this many steps.
    Data { step: usize, form: Form },
}

/// How the values of an image are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `[n, c, h, w]`
    Maps(Shape),
    /// `[n, c]`
    Flat(usize),
}

impl Form {
    /// As a layer's input.
    pub(super) fn shape(self) -> Shape {
        match self {
            Form::Maps(shape) => shape,
            Form::Flat(c) => Shape { c, h: 1, w: 1 },
        }
    }

    /// Values of an image.
    pub(super) fn len(self) -> usize {
        self.shape().len()
    }
}

/// A graph that is being followed.
pub(super) struct Walk<'m> {
    /// The version of ONNX's ops.
    pub(super) opset: i64,
    /// Images that a caller gives at once, where that is fixed.
    pub(super) batch: Option<usize>,
    values: HashMap<&'m str, Value>,
    /// Ops that the images have passed, those included that do nothing.
    step: usize,
    /// How the images are arranged now.
    pub(super) form: Form,
    /// The layers so far.
    pub(super) ops: Vec<Op>,
    /// Their weights and biases.
    pub(super) params: Vec<[SharedTensor; 2]>,
    /// What was done to the pixels.
    pub(super) border: Border,
    /// Zeros around the images that no layer has taken up yet.
    pub(super) pad: net::Padding,
    /// What the user should know.
    pub(super) notes: Vec<String>,
    /// Bytes that weights may still have.
    left: usize,
}

/// Follows a graph from its one input to its one output.
pub(super) fn of_model(model: &Model) -> Result<Chain, Wrong> {
    let graph = &model.graph;
    let (name, batch, input) = input_of(graph)?;
    let [output] = &graph.outputs[..] else {
        return Err(format!("its graph has {} outputs instead of one", graph.outputs.len()).into());
    };
    let mut walk = Walk {
        opset: model.opset(),
        batch,
        values: HashMap::new(),
        step: 0,
        form: Form::Maps(input),
        ops: Vec::new(),
        params: Vec::new(),
        border: Border::new(input.c),
        pad: net::Padding::default(),
        notes: Vec::new(),
        left: ALWAYS_ALLOWED,
    };
    for (name, tensor) in &graph.initializers {
        walk.allow(tensor);
        walk.values.insert(name, Value::Constant { tensor: tensor.clone(), transposed: false });
    }
    walk.values.insert(name, Value::Data { step: 0, form: walk.form });
    for node in needed(graph, &output.name) {
        walk.node(node)?;
    }
    match walk.values.get(output.name.as_str()) {
        Some(Value::Data { step, .. }) if *step == walk.step => walk.end(input),
        Some(Value::Data { .. }) => Err(format!("its output `{}` is not what its last node gives", output.name).into()),
        Some(_) => Err(format!("its output `{}` does not depend on its input", output.name).into()),
        None => Err(format!("no node gives its output `{}`", output.name).into()),
    }
}

/// Name, batch and image shape of the one input that is no constant.
fn input_of(graph: &Graph) -> Result<(&str, Option<usize>, Shape), Wrong> {
    let constants: HashSet<&str> = graph.initializers.iter().map(|(name, _)| name.as_str()).collect();
    let inputs: Vec<_> = graph.inputs.iter().filter(|info| !constants.contains(info.name.as_str())).collect();
    let [info] = inputs[..] else {
        let names = inputs.iter().take(5).map(|info| format!("`{}`", info.name)).collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { names } else { format!(": {names}") };
        return Err(format!("its graph has {} inputs instead of one{names}", inputs.len()).into());
    };
    let fault = |what: &str| Wrong::Net(format!("its input `{}` {what}", info.name));
    let dims = info.shape.as_deref().ok_or_else(|| fault("has no shape"))?;
    let [batch, c, h, w] = dims else { return Err(fault(&format!("has {} axes instead of n, c, h, w", dims.len()))) };
    let size = |dim: &Dim| match dim {
        Dim::Size(size) => Ok(*size),
        _ => Err(fault("has maps, rows or columns without a fixed number")),
    };
    let batch = if let Dim::Size(size) = batch { Some(*size) } else { None };
    let shape = Shape { c: size(c)?, h: size(h)?, w: size(w)? };
    if !matches!(shape.c, 1 | 3) {
        return Err(fault(&format!("has {} maps, where images have 1 or 3", shape.c)));
    }
    if shape.h > MOST_PIXELS || shape.w > MOST_PIXELS {
        return Err(fault(&format!("is of {} × {} pixels, of which at most {MOST_PIXELS} a side are read", shape.h, shape.w)));
    }
    Ok((&info.name, batch, shape))
}

/// The nodes that `output` depends on, in the graph's order.
fn needed<'m>(graph: &'m Graph, output: &'m str) -> Vec<&'m Node> {
    let mut names = HashSet::from([output]);
    let mut nodes = Vec::new();
    for node in graph.nodes.iter().rev() {
        if node.outputs.iter().any(|name| !name.is_empty() && names.contains(name.as_str())) {
            names.extend(node.inputs.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// The error of a node.
pub(super) fn at(node: &Node, what: impl std::fmt::Display) -> Wrong {
    Wrong::Net(format!("node `{}` ({}) {what}", node.label(), node.op))
}

impl<'m> Walk<'m> {
    fn node(&mut self, node: &'m Node) -> Result<(), Wrong> {
        if !node.is_own() {
            return Err(at(node, format!("is of another set of ops, `{}`", node.domain)));
        }
        if let Some(value) = sizes::fold(self, node)? {
            if let (Value::Constant { tensor, .. }, "Constant") = (&value, node.op.as_str()) {
                self.allow(tensor);
            }
            return self.give(node, value);
        }
        layers::follow(self, node)?;
        self.step += 1;
        self.give(node, Value::Data { step: self.step, form: self.form })
    }

    /// Takes note of a constant, for whose bytes weights may have some.
    fn allow(&mut self, tensor: &Tensor) {
        self.left = self.left.saturating_add(tensor.held_bytes().saturating_mul(MOST_RATIO));
    }

    /// Takes note of a use of a constant as weights.
    ///
    /// # Errors
    /// Where weights have had their share.
    pub(super) fn charge(&mut self, node: &Node, tensor: &Tensor) -> Result<(), Wrong> {
        let bytes = tensor.count().and_then(|count| count.checked_mul(size_of::<f32>()));
        let left = bytes.and_then(|bytes| self.left.checked_sub(bytes));
        self.left = left.ok_or_else(|| at(node, "shares its weights with too many others"))?;
        Ok(())
    }

    /// Names a node's first output.
    fn give(&mut self, node: &'m Node, value: Value) -> Result<(), Wrong> {
        let name = node.outputs.first().ok_or_else(|| at(node, "gives nothing"))?;
        match self.values.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(at(node, format!("gives `{name}`, which is there already"))),
        }
    }

    /// A node's input `index`; `None` where it is left out.
    pub(super) fn input(&self, node: &Node, index: usize) -> Result<Option<&Value>, Wrong> {
        match node.inputs.get(index).filter(|name| !name.is_empty()) {
            None => Ok(None),
            Some(name) => match self.values.get(name.as_str()) {
                Some(value) => Ok(Some(value)),
                None => Err(at(node, format!("reads `{name}`, which nothing before it gives"))),
            },
        }
    }

    /// Whether a node's input `index` is the images.
    pub(super) fn is_data(&self, node: &Node, index: usize) -> Result<bool, Wrong> {
        Ok(matches!(self.input(node, index)?, Some(Value::Data { .. })))
    }

    /// Checks that a node's input `index` is the images as they are now.
    pub(super) fn data(&self, node: &Node, index: usize) -> Result<Form, Wrong> {
        match self.input(node, index)? {
            Some(Value::Data { step, form }) if *step == self.step => Ok(*form),
            Some(Value::Data { .. }) => Err(at(node, "reads what another node has read already: this is no chain")),
            _ => Err(at(node, format!("reads a constant as its input {index}"))),
        }
    }

    /// The constant that a node reads as its input `index`; `None` where it is left out.
    pub(super) fn constant(&self, node: &Node, index: usize) -> Result<Option<(&Tensor, bool)>, Wrong> {
        match self.input(node, index)? {
            None => Ok(None),
            Some(Value::Constant { tensor, transposed }) => Ok(Some((tensor, *transposed))),
            Some(_) => Err(at(node, format!("reads something computed as its input {index}, which is read only as a constant"))),
        }
    }

    /// Adds a layer, and says how its output is arranged and which shapes its weight and bias must have.
    pub(super) fn layer(&mut self, node: &Node, op: Op) -> Result<Vec<Vec<usize>>, Wrong> {
        if self.ops.last() == Some(&Op::Softmax) {
            return Err(at(node, "stands behind the softmax"));
        }
        if self.ops.len() == MOST_LAYERS {
            return Err(at(node, format!("is more than {MOST_LAYERS} layers from the input")));
        }
        let keeps_form = matches!(op, Op::Relu | Op::Tanh | Op::Dropout(_));
        if op == Op::Softmax {
            self.form = Form::Flat(self.form.len());
            self.ops.push(op);
            return Ok(Vec::new());
        }
        // A net of this layer alone says whether it fits, and its shapes.
        let layers = [("layer", op.clone()), ("softmax", Op::Softmax)].map(|(name, op)| Layer { name: name.into(), op });
        let alone =
            Net::new("node", self.form.shape(), layers.to_vec()).map_err(|error| at(node, format!("does not fit: {error}")))?;
        if !keeps_form {
            self.form = match op {
                Op::Linear(_) => Form::Flat(alone.output_of(0).len()),
                _ => Form::Maps(alone.output_of(0)),
            };
        }
        self.ops.push(op);
        Ok(alone.params().iter().map(|param| param.shape.clone()).collect())
    }

    fn end(mut self, input: Shape) -> Result<Chain, Wrong> {
        if self.pad != net::Padding::default() {
            return Err("its graph ends in padding".to_string().into());
        }
        if self.ops.last() != Some(&Op::Softmax) {
            let shape = self.form.shape();
            if shape.plane() != 1 {
                return Err(format!("its graph ends in maps of {shape}, not in a value for each class").into());
            }
            self.notes.push("the graph ends before the softmax, which is added".into());
            self.ops.push(Op::Softmax);
        }
        Ok(Chain { input, ops: self.ops, params: self.params, border: self.border, notes: self.notes })
    }
}
