//! A checked network.

use std::collections::HashSet;

use crate::params::ParamInfo;
use crate::shape::{check_input, infer, multiply_adds};
use crate::{Error, Layer, Op, Result, Shape, params};

/// A network whose every edge has been checked: a list of layers that fit, and a softmax at the end.
#[derive(Debug, Clone, PartialEq)]
pub struct Net {
    name: String,
    input: Shape,
    layers: Vec<Layer>,
    outputs: Vec<Shape>,
    params: Vec<ParamInfo>,
}

impl Net {
    /// Checks the layers against each other and infers every shape.
    ///
    /// # Errors
    /// Names the first layer that does not fit, and why.
    pub fn new(name: impl Into<String>, input: Shape, layers: Vec<Layer>) -> Result<Net> {
        let name = name.into();
        let whole = |message: String| Error::Net { net: name.clone(), message };
        check_input(input).map_err(whole)?;
        let mut outputs = Vec::with_capacity(layers.len());
        let mut names = HashSet::new();
        let mut shape = input;
        for (index, layer) in layers.iter().enumerate() {
            let fault = |message: String| Error::Layer { index, layer: layer.name.clone(), message };
            if layer.name.is_empty() || !layer.name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)) {
                return Err(fault("a layer's name is letters, digits, `_`, `-` and `.`".into()));
            }
            if !names.insert(layer.name.as_str()) {
                return Err(fault("another layer has this name".into()));
            }
            if (layer.op == Op::Softmax) != (index + 1 == layers.len()) {
                return Err(fault("softmax is the last layer, and only the last".into()));
            }
            shape = infer(&layer.op, shape).map_err(fault)?;
            outputs.push(shape);
        }
        if layers.is_empty() {
            return Err(whole("there are no layers".into()));
        }
        let params = params::table(&layers, input, &outputs);
        Ok(Net { name, input, layers, outputs, params })
    }

    /// The net's name: a preset's, or what its text says.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shape of one input image.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The layers, first to last.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The position of the layer called `name`.
    pub fn layer_index(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| layer.name == name)
    }

    /// The position of the layer of that name, as an engine is asked for it.
    ///
    /// # Errors
    /// [`Error::Engine`] of the engine, with the names that there are.
    pub fn find_layer(&self, engine: &'static str, name: &str) -> Result<usize> {
        self.layer_index(name).ok_or_else(|| {
            let known: Vec<&str> = self.layers().iter().map(|layer| layer.name.as_str()).collect();
            Error::Engine { engine, message: format!("no layer is called `{name}`; there are {}", known.join(", ")) }
        })
    }

    /// The shape that layer `index` reads.
    pub fn input_of(&self, index: usize) -> Shape {
        if index == 0 { self.input } else { self.outputs[index - 1] }
    }

    /// The shape that layer `index` writes.
    pub fn output_of(&self, index: usize) -> Shape {
        self.outputs[index]
    }

    /// How many classes the softmax tells apart.
    pub fn classes(&self) -> usize {
        self.outputs[self.outputs.len() - 1].len()
    }

    /// Every parameter tensor, in layer order, weight before bias.
    pub fn params(&self) -> &[ParamInfo] {
        &self.params
    }

    /// The positions in [`Net::params`] of the weight and bias of layer `index`, if it has any.
    pub fn params_of(&self, index: usize) -> Option<(usize, usize)> {
        let weight = self.params.iter().position(|p| p.layer == index)?;
        Some((weight, weight + 1))
    }

    /// The last hidden layer: what the last linear layer reads, as the layer before dropout has written it. In the paper's net these
    /// are the 4096 rectified values that its section 6.1 compares images by. `None` where no layer comes before a linear one.
    pub fn last_hidden(&self) -> Option<usize> {
        let last = self.layers.iter().rposition(|layer| matches!(layer.op, Op::Linear(_)))?;
        self.layers[..last].iter().rposition(|layer| !matches!(layer.op, Op::Dropout(_)))
    }

    /// Multiply-adds of one image's forward pass through layer `index`.
    pub fn multiply_adds_of(&self, index: usize) -> u64 {
        multiply_adds(&self.layers[index].op, self.input_of(index), self.output_of(index))
    }

    /// Multiply-adds of one image's forward pass.
    pub fn multiply_adds(&self) -> u64 {
        (0..self.layers.len()).map(|i| self.multiply_adds_of(i)).sum()
    }

    /// Number of parameters.
    pub fn parameter_count(&self) -> usize {
        self.params.iter().map(ParamInfo::len).sum()
    }

    /// The same net with its last linear layer sized for `classes`.
    ///
    /// # Errors
    /// Where the net has no linear layer directly before the softmax, or `classes` is 0.
    pub fn with_classes(&self, classes: usize) -> Result<Net> {
        let mut layers = self.layers.clone();
        let last = layers.len().wrapping_sub(2);
        match layers.get_mut(last).map(|layer| &mut layer.op) {
            Some(Op::Linear(linear)) => linear.k = classes,
            _ => {
                return Err(Error::Net {
                    net: self.name.clone(),
                    message: "the layer before the softmax is not linear, so the number of classes cannot be changed".into(),
                });
            }
        }
        Net::new(self.name.clone(), self.input, layers)
    }

    /// The same layers on images of another shape.
    ///
    /// # Errors
    /// Where a layer no longer fits.
    pub fn with_input(&self, input: Shape) -> Result<Net> {
        Net::new(self.name.clone(), input, self.layers.clone())
    }
}
