//! ONNX: a graph of ops with its weights, in protocol buffers (onnx/onnx.proto, whose field numbers stand here).
//!
//! A model is read without copying its weights: they stay in the mapped file, or in a file beside it, until someone asks for
//! their values. What the ops mean is not known here.

mod read;
mod tensor;
mod write;

pub use read::{in_one_line, read, recognises};
pub use tensor::{ElementType, Tensor};
pub use write::write;

/// A model: a graph, and the versions of the sets that its ops are from.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// Version of the format itself.
    pub ir_version: i64,
    /// Domain and version of each set of ops; the domain of ONNX's own ops is empty.
    pub opsets: Vec<(String, i64)>,
    /// The program that wrote it.
    pub producer: String,
    /// That program's version.
    pub producer_version: String,
    /// What people should know of it.
    pub doc: String,
    /// Free text by key.
    pub metadata: Vec<(String, String)>,
    /// The ops.
    pub graph: Graph,
}

impl Model {
    /// The version of ONNX's own set of ops; 1 where the model does not say.
    pub fn opset(&self) -> i64 {
        self.opsets.iter().find(|(domain, _)| is_own(domain)).map_or(1, |(_, version)| *version)
    }

    /// The free text under `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.iter().find(|(found, _)| found == key).map(|(_, text)| text.as_str())
    }
}

/// Whether a domain's ops are ONNX's own.
fn is_own(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}

/// Ops in an order in which they can run, constants, inputs and outputs.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Its name.
    pub name: String,
    /// The ops.
    pub nodes: Vec<Node>,
    /// Constants with their names; some may also stand among the inputs, which means that a caller may replace them.
    pub initializers: Vec<(String, Tensor)>,
    /// What a caller gives.
    pub inputs: Vec<ValueInfo>,
    /// What a caller gets.
    pub outputs: Vec<ValueInfo>,
}

/// One op.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// Its own name, which may be empty.
    pub name: String,
    /// What it computes.
    pub op: String,
    /// The set that the op is from; ONNX's own is empty.
    pub domain: String,
    /// Names of the values it reads; an empty name stands for an input that is left out.
    pub inputs: Vec<String>,
    /// Names of the values it gives; an empty name stands for one that nobody wants.
    pub outputs: Vec<String>,
    /// Its settings.
    pub attributes: Vec<(String, Attribute)>,
}

impl Node {
    /// Whether the op is one of ONNX's own.
    pub fn is_own(&self) -> bool {
        is_own(&self.domain)
    }

    /// The setting called `name`.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| value)
    }

    /// Its name, or where it has none the name of its first output, for messages.
    pub fn label(&self) -> &str {
        match self.name.is_empty() {
            true => self.outputs.iter().map(String::as_str).find(|name| !name.is_empty()).unwrap_or_default(),
            false => &self.name,
        }
    }
}

/// A setting of an op.
#[derive(Debug, Clone)]
pub enum Attribute {
    /// An integer.
    Int(i64),
    /// A number.
    Float(f32),
    /// A text.
    Text(String),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// A constant.
    Tensor(Tensor),
    /// Something else: a graph, several texts, …
    Other,
}

/// A value at the graph's border.
#[derive(Debug, Clone, Default)]
pub struct ValueInfo {
    /// Its name.
    pub name: String,
    /// The type of its elements, where the model says it.
    pub element: Option<ElementType>,
    /// Its axes, where the model says them.
    pub shape: Option<Vec<Dim>>,
}

/// The length of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// Always the same.
    Size(usize),
    /// Whatever a caller gives; the same wherever this name stands.
    Named(String),
    /// Unknown.
    Unknown,
}

#[cfg(test)]
mod tests;
