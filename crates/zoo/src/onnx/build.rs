//! A net as a graph of ONNX's ops, version 17.
//!
//! A value is called after the node that gives it, with `/out` behind; weights and biases are called as in the net. No node
//! rounds up: where a last window overhangs, the padding behind says so, because versions and runtimes differ in what `ceil_mode`
//! means.

use data::{Channels, Mean, Preprocessing, Statistics, Std};
use net::{Dropout, DropoutScaling, Local, LrnAcross, LrnWithin, Net, Op, Padding, Pair, Rounding, Shape, SharedTensor};
use weights::onnx::{Attribute, Dim, ElementType, Graph, Node, Tensor, ValueInfo};

use super::FORMAT;
use crate::model::tensor;
use crate::{Error, Result};

/// The version of ONNX's ops: the first that all present runtimes have read for years, and that lacks nothing: softmax along an
/// axis and splits of given sizes came with 13, and what came after 17 no AlexNet needs.
pub(super) const OPSET: i64 = 17;
/// The version of the format that came with it.
pub(super) const IR_VERSION: i64 = 8;

/// The most towers that are split apart, each of which needs a node.
const MOST_TOWERS: usize = 64;

/// The name of the graph's output.
const OUTPUT: &str = "probabilities";

/// A graph that grows behind one value.
struct Build {
    graph: Graph,
    /// The value that the next node reads.
    at: String,
    /// Whether it is `[n, c]` instead of `[n, c, h, w]`.
    flat: bool,
}

/// The graph of a net with its weights; with `pixels` it takes bytes of red, green and blue and prepares them as said.
///
/// # Errors
/// [`Error::Inexpressible`] for a kind of layer, or a preprocessing, that ONNX has no op for.
pub(super) fn graph_of(
    net: &Net,
    weights: &[(String, SharedTensor)],
    pixels: Option<(&Preprocessing, &Statistics)>,
) -> Result<Graph> {
    let graph = Graph { name: net.name().into(), ..Graph::default() };
    let mut build = Build { graph, at: String::new(), flat: false };
    match pixels {
        None => build.input("input", ElementType::F32, net.input()),
        Some((preprocessing, statistics)) => {
            let planes = Shape { c: 3, ..net.input() };
            build.input("image", ElementType::U8, planes);
            build.pixels(preprocessing, statistics, net.input())?;
        }
    }
    for index in 0..net.layers().len() {
        build.layer(net, index)?;
    }
    let constants = weights.iter().map(|(name, weight)| (name.clone(), Tensor::of_floats(weight)));
    build.graph.initializers.extend(constants);
    let classes = vec![Dim::Named("N".into()), Dim::Size(net.classes())];
    build.graph.outputs.push(ValueInfo { name: OUTPUT.into(), element: Some(ElementType::F32), shape: Some(classes) });
    Ok(build.graph)
}

fn inexpressible(message: String) -> Error {
    Error::Inexpressible { format: FORMAT, message }
}

fn ints(values: &[usize]) -> Attribute {
    Attribute::Ints(values.iter().map(|&value| value as i64).collect())
}

fn int(value: usize) -> Attribute {
    Attribute::Int(value as i64)
}

fn float(value: f64) -> Attribute {
    Attribute::Float(value as f32)
}

fn pair(pair: Pair) -> Attribute {
    ints(&[pair.r, pair.s])
}

/// Padding with which every window lies within what is padded: as said, or up to the end of the last window.
fn pads(padding: Padding, rounding: Rounding, kernel: Pair, stride: Pair, input: Shape, output: Shape) -> Attribute {
    let behind = |size: usize, before: usize, kernel: usize, stride: usize, count: usize, said: usize| match rounding {
        Rounding::Floor => said,
        Rounding::Ceil => (count.saturating_sub(1) * stride + kernel).saturating_sub(size + before),
    };
    let bottom = behind(input.h, padding.top, kernel.r, stride.r, output.h, padding.bottom);
    let right = behind(input.w, padding.left, kernel.s, stride.s, output.w, padding.right);
    ints(&[padding.top, padding.left, bottom, right])
}

impl Build {
    fn input(&mut self, name: &str, element: ElementType, shape: Shape) {
        let dims = [shape.c, shape.h, shape.w].map(Dim::Size);
        let shape = Some([vec![Dim::Named("N".into())], dims.to_vec()].concat());
        self.graph.inputs.push(ValueInfo { name: name.into(), element: Some(element), shape });
        self.at = name.into();
    }

    /// Adds a node that reads the given values, and gives the name of its own.
    fn node(&mut self, name: &str, op: &str, inputs: &[&str], attributes: Vec<(&str, Attribute)>) -> String {
        let output = format!("{name}/out");
        self.graph.nodes.push(Node {
            name: name.into(),
            op: op.into(),
            domain: String::new(),
            inputs: inputs.iter().map(|name| name.to_string()).collect(),
            outputs: vec![output.clone()],
            attributes: attributes.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        });
        output
    }

    /// Adds a node that reads the present value and what is given, and goes on behind it.
    fn then(&mut self, name: &str, op: &str, others: &[&str], attributes: Vec<(&str, Attribute)>) {
        let at = self.at.clone();
        let inputs = [&[at.as_str()], others].concat();
        self.at = self.node(name, op, &inputs, attributes);
    }

    fn floats(&mut self, name: &str, shape: Vec<usize>, values: Vec<f32>) -> String {
        self.graph.initializers.push((name.into(), Tensor::of_floats(&tensor(shape, values))));
        name.into()
    }

    fn scalar(&mut self, name: &str, value: f64) -> String {
        self.floats(name, Vec::new(), vec![value as f32])
    }

    fn sizes(&mut self, name: &str, values: Vec<i64>) -> String {
        self.graph.initializers.push((name.into(), Tensor::of_ints(vec![values.len()], values)));
        name.into()
    }

    /// The next node reads `[n, c]`.
    fn flatten(&mut self, layer: &str) {
        if !self.flat {
            self.then(&format!("{layer}/flatten"), "Flatten", &[], vec![("axis", Attribute::Int(1))]);
            self.flat = true;
        }
    }

    fn layer(&mut self, net: &Net, index: usize) -> Result<()> {
        let layer = &net.layers()[index];
        let (name, input, output) = (layer.name.as_str(), net.input_of(index), net.output_of(index));
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let learned = [weight.as_str(), bias.as_str()];
        let on_maps = !matches!(layer.op, Op::Relu | Op::Tanh | Op::Dropout(_) | Op::Linear(_) | Op::Softmax);
        if self.flat && on_maps {
            let shape = self.sizes(&format!("{name}/shape"), vec![0, input.c as i64, input.h as i64, input.w as i64]);
            self.then(&format!("{name}/maps"), "Reshape", &[&shape], vec![]);
            self.flat = false;
        }
        match &layer.op {
            Op::Conv(conv) => {
                let pads = pads(conv.padding, conv.rounding, conv.kernel, conv.stride, input, output);
                let (kernel, strides) = (pair(conv.kernel), pair(conv.stride));
                let group = int(conv.groups);
                self.then(
                    name,
                    "Conv",
                    &learned,
                    vec![("group", group), ("kernel_shape", kernel), ("pads", pads), ("strides", strides)],
                );
            }
            Op::MaxPool(pool) => {
                let pads = pads(pool.padding, pool.rounding, pool.kernel, pool.stride, input, output);
                let window = vec![("kernel_shape", pair(pool.kernel)), ("pads", pads), ("strides", pair(pool.stride))];
                self.then(name, "MaxPool", &[], window);
            }
            Op::AvgPool(pool) => {
                let pads = pads(pool.padding, pool.rounding, pool.kernel, pool.stride, input, output);
                let counted = ("count_include_pad", Attribute::Int(0));
                let window = vec![counted, ("kernel_shape", pair(pool.kernel)), ("pads", pads), ("strides", pair(pool.stride))];
                self.then(name, "AveragePool", &[], window);
            }
            Op::Relu => self.then(name, "Relu", &[], vec![]),
            Op::Tanh => self.then(name, "Tanh", &[], vec![]),
            Op::Lrn(lrn) if lrn.towers > MOST_TOWERS => {
                return Err(inexpressible(format!("layer `{name}` normalises in more than {MOST_TOWERS} towers")));
            }
            Op::Lrn(lrn) => self.lrn(name, lrn, input.c),
            Op::LrnWithin(lrn) => self.lrn_within(name, lrn),
            Op::Dropout(dropout) => self.dropout(name, dropout),
            Op::Linear(_) => {
                self.flatten(name);
                self.then(name, "Gemm", &learned, vec![("transB", Attribute::Int(1))]);
            }
            Op::Local(local) => self.local(name, local, input, output),
            Op::Softmax => {
                self.flatten(name);
                self.then(name, "Softmax", &[], vec![("axis", Attribute::Int(1))]);
                if let Some(last) = self.graph.nodes.last_mut() {
                    last.outputs = vec![OUTPUT.into()];
                }
            }
            other => return Err(inexpressible(format!("layer `{name}` is a {}", other.kind()))),
        }
        Ok(())
    }

    /// What is left of dropout in testing: nothing, or the share that is kept.
    fn dropout(&mut self, name: &str, dropout: &Dropout) {
        if dropout.scaling == DropoutScaling::Test {
            let share = self.scalar(&format!("{name}/kept"), 1.0 - dropout.rate);
            self.then(name, "Mul", &[&share], vec![]);
        }
    }

    /// ONNX's own op divides alpha by the size, and knows no towers: those are split, normalised and joined.
    fn lrn(&mut self, name: &str, lrn: &LrnAcross, maps: usize) {
        let attributes = || {
            let alpha = float(lrn.coefficient() * lrn.n as f64);
            vec![("alpha", alpha), ("beta", float(lrn.beta)), ("bias", float(lrn.k)), ("size", int(lrn.n))]
        };
        if lrn.towers == 1 {
            return self.then(name, "LRN", &[], attributes());
        }
        let tower = (maps / lrn.towers) as i64;
        let sizes = self.sizes(&format!("{name}/towers"), vec![tower; lrn.towers]);
        let split = format!("{name}/split");
        self.then(&split, "Split", &[&sizes], vec![("axis", Attribute::Int(1))]);
        let parts: Vec<String> = (0..lrn.towers).map(|part| format!("{split}/out{part}")).collect();
        if let Some(node) = self.graph.nodes.last_mut() {
            node.outputs = parts.clone();
        }
        let normed = |(part, value): (usize, &String)| self.node(&format!("{name}/tower{part}"), "LRN", &[value], attributes());
        let normed: Vec<String> = parts.iter().enumerate().map(normed).collect();
        let inputs: Vec<&str> = normed.iter().map(String::as_str).collect();
        self.at = self.node(name, "Concat", &inputs, vec![("axis", Attribute::Int(1))]);
    }

    /// `x / (k + a · n² · mean(x²))^beta`, the mean over a window of `n × n` whose padding counts as zeros.
    fn lrn_within(&mut self, name: &str, lrn: &LrnWithin) {
        let (input, half) = (self.at.clone(), lrn.n / 2);
        let part = |what: &str| format!("{name}/{what}");
        let squares = self.node(&part("squares"), "Mul", &[&input, &input], vec![]);
        let window = vec![
            ("count_include_pad", Attribute::Int(1)),
            ("kernel_shape", ints(&[lrn.n; 2])),
            ("pads", ints(&[half; 4])),
            ("strides", ints(&[1; 2])),
        ];
        let mean = self.node(&part("mean"), "AveragePool", &[&squares], window);
        let a = self.scalar(&part("a"), lrn.coefficient() * (lrn.n * lrn.n) as f64);
        let scaled = self.node(&part("scaled"), "Mul", &[&mean, &a], vec![]);
        let k = self.scalar(&part("k"), lrn.k);
        let sum = self.node(&part("sum"), "Add", &[&scaled, &k], vec![]);
        let beta = self.scalar(&part("beta"), lrn.beta);
        let power = self.node(&part("power"), "Pow", &[&sum, &beta], vec![]);
        self.then(name, "Div", &[&power], vec![]);
    }

    /// The pixels of every window are gathered, `[p·q, c·r·s]` of them for each image; each position multiplies them by a matrix of
    /// its own.
    fn local(&mut self, name: &str, local: &Local, input: Shape, output: Shape) {
        let part = |what: &str| format!("{name}/{what}");
        let pad = local.padding;
        let (rows, columns) = (input.h + pad.top + pad.bottom, input.w + pad.left + pad.right);
        if pad != Padding::default() {
            let pads = [0, 0, pad.top, pad.left, 0, 0, pad.bottom, pad.right].map(|size| size as i64);
            let pads = self.sizes(&part("pads"), pads.to_vec());
            self.then(&part("padded"), "Pad", &[&pads], vec![]);
        }
        self.then(&part("pixels"), "Flatten", &[], vec![("axis", Attribute::Int(1))]);
        let (positions, taps) = (output.plane(), input.c * local.kernel.r * local.kernel.s);
        let mut places = Vec::with_capacity(positions * taps);
        for (p, q) in (0..output.h).flat_map(|p| (0..output.w).map(move |q| (p, q))) {
            for c in 0..input.c {
                for (r, s) in (0..local.kernel.r).flat_map(|r| (0..local.kernel.s).map(move |s| (r, s))) {
                    places.push(((c * rows + p * local.stride.r + r) * columns + q * local.stride.s + s) as i64);
                }
            }
        }
        let places = Tensor::of_ints(vec![positions, taps], places);
        self.graph.initializers.push((part("places"), places));
        let (places, weight, bias) = (part("places"), format!("{name}.weight"), format!("{name}.bias"));
        self.then(&part("windows"), "Gather", &[&places], vec![("axis", Attribute::Int(1))]);
        self.then(&part("columns"), "Transpose", &[], vec![("perm", ints(&[1, 2, 0]))]);
        let shape = self.sizes(&part("matrices.shape"), [positions, local.k, taps].map(|size| size as i64).to_vec());
        let matrices = self.node(&part("matrices"), "Reshape", &[&weight, &shape], vec![]);
        let columns = self.at.clone();
        self.at = self.node(&part("products"), "MatMul", &[&matrices, &columns], vec![]);
        self.then(&part("images"), "Transpose", &[], vec![("perm", ints(&[2, 1, 0]))]);
        let shape = self.sizes(&part("maps.shape"), vec![0, local.k as i64, output.h as i64, output.w as i64]);
        self.then(&part("sums"), "Reshape", &[&shape], vec![]);
        self.then(name, "Add", &[&bias], vec![]);
    }

    /// Bytes of red, green and blue become the net's input, as in testing.
    fn pixels(&mut self, preprocessing: &Preprocessing, statistics: &Statistics, input: Shape) -> Result<()> {
        self.then("pixels/float", "Cast", &[], vec![("to", Attribute::Int(1))]);
        if preprocessing.channels == Channels::Grey {
            self.luma();
        }
        let known = |values: &[f32], what: &str| match values.len() == input.c {
            true => Ok(values.to_vec()),
            false => Err(inexpressible(format!("the {what} of its training images is not known"))),
        };
        let grey = input.c == 1;
        let per_map = vec![1, input.c, 1, 1];
        let mean = match preprocessing.mean {
            Mean::None => None,
            Mean::Values([r, g, b]) if grey => Some((per_map.clone(), vec![(19595.0 * r + 38470.0 * g + 7471.0 * b) / 65536.0])),
            Mean::Values(values) => Some((per_map.clone(), values.to_vec())),
            Mean::Channels => Some((per_map.clone(), known(&statistics.mean, "mean colour")?)),
            Mean::Image | Mean::ImageAtCrop => {
                let crop = centre(statistics, input).ok_or_else(|| inexpressible("its mean image is not known".into()))?;
                Some((vec![1, input.c, input.h, input.w], crop))
            }
        };
        let std = match preprocessing.std {
            Std::None => None,
            Std::Values(values) if grey => Some(vec![values[1]]),
            Std::Values(values) => Some(values.to_vec()),
            Std::Channels => Some(known(&statistics.std, "deviation of colours")?),
        };
        if let Some((shape, values)) = mean {
            let mean = self.floats("pixels/mean", shape, values);
            self.then("pixels/centred", "Sub", &[&mean], vec![]);
        }
        if let Some(values) = std {
            let std = self.floats("pixels/std", per_map, values);
            self.then("pixels/scaled", "Div", &[&std], vec![]);
        }
        if preprocessing.channels == Channels::Bgr {
            let order = self.sizes("pixels/bgr", vec![2, 1, 0]);
            self.then("pixels/reversed", "Gather", &[&order], vec![("axis", Attribute::Int(1))]);
        }
        Ok(())
    }

    /// Pillow's luma: whole numbers below 2²⁴, which f32 holds exactly.
    fn luma(&mut self) {
        let shares = self.floats("pixels/luma.shares", vec![1, 3, 1, 1], vec![19595.0, 38470.0, 7471.0]);
        self.then("pixels/luma.parts", "Mul", &[&shares], vec![]);
        let axis = self.sizes("pixels/luma.axis", vec![1]);
        self.then("pixels/luma.sum", "ReduceSum", &[&axis], vec![("keepdims", Attribute::Int(1))]);
        let half = self.scalar("pixels/luma.half", 32768.0);
        self.then("pixels/luma.rounded", "Add", &[&half], vec![]);
        let part = self.scalar("pixels/luma.unit", 1.0 / 65536.0);
        self.then("pixels/luma.scaled", "Mul", &[&part], vec![]);
        self.then("pixels/luma", "Floor", &[], vec![]);
    }
}

/// The central part of a mean image, `[c, h, w]`, that lies under a central crop; `None` where there is no such image.
fn centre(statistics: &Statistics, input: Shape) -> Option<Vec<f32>> {
    let side = statistics.side;
    let (top, left) = (side.checked_sub(input.h)? / 2, side.checked_sub(input.w)? / 2);
    let mut crop = Vec::with_capacity(input.len());
    for c in 0..input.c {
        for y in top..top + input.h {
            let start = (c * side + y) * side + left;
            crop.extend_from_slice(statistics.mean_image.get(start..start + input.w)?);
        }
    }
    Some(crop)
}
