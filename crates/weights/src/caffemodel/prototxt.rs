//! The text form of a net: what Caffe and OpenCV read beside the weights.

use std::fmt::Write;

use super::{Contents, Convolution, PoolMethod, Pooling, Settings};

/// A net as text, without weights: `comments`, each on lines of their own behind `#`, then name, inputs and layers.
pub fn prototxt(contents: &Contents, comments: &[String]) -> String {
    let mut text = Text::default();
    for line in comments.iter().flat_map(|comment| comment.lines()) {
        text.line(format_args!("# {}", line.replace(|c: char| c.is_control(), " ")));
    }
    text.line(format_args!("name: {}", quoted(&contents.name)));
    for (name, shape) in &contents.inputs {
        text.line(format_args!("input: {}", quoted(name)));
        text.shape("input_shape", shape);
    }
    for layer in &contents.layers {
        text.open("layer");
        text.line(format_args!("name: {}", quoted(&layer.name)));
        text.line(format_args!("type: {}", quoted(&layer.kind)));
        layer.bottoms.iter().for_each(|bottom| text.line(format_args!("bottom: {}", quoted(bottom))));
        layer.tops.iter().for_each(|top| text.line(format_args!("top: {}", quoted(top))));
        text.settings(&layer.settings);
        text.close();
    }
    text.out
}

#[derive(Default)]
struct Text {
    out: String,
    depth: usize,
}

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{:1$}{line}", "", 2 * self.depth);
    }

    fn open(&mut self, name: &str) {
        self.line(format_args!("{name} {{"));
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.line(format_args!("}}"));
    }

    fn shape(&mut self, name: &str, shape: &[usize]) {
        let dims: Vec<String> = shape.iter().map(|size| format!("dim: {size}")).collect();
        self.line(format_args!("{name} {{ {} }}", dims.join(" ")));
    }

    /// A pair in one field where both are equal, else in two, `NAME_h` and `NAME_w`; nothing where it is the default.
    fn pair(&mut self, name: &str, stem: &str, [h, w]: [usize; 2], default: Option<usize>) {
        match (h == w, Some(h) == default) {
            (true, true) => {}
            (true, false) => self.line(format_args!("{name}: {h}")),
            _ => {
                self.line(format_args!("{stem}_h: {h}"));
                self.line(format_args!("{stem}_w: {w}"));
            }
        }
    }

    fn settings(&mut self, settings: &Settings) {
        let name = match settings {
            Settings::Unsaid => return,
            Settings::Convolution(_) => "convolution_param",
            Settings::Pooling(_) => "pooling_param",
            Settings::Lrn(_) => "lrn_param",
            Settings::InnerProduct(_) => "inner_product_param",
            Settings::Dropout(_) => "dropout_param",
            Settings::Relu(_) => "relu_param",
            Settings::Power { .. } => "power_param",
            Settings::Input(_) => "input_param",
            Settings::Slice(..) => "slice_param",
            Settings::Concat(_) => "concat_param",
            Settings::Softmax(_) => "softmax_param",
        };
        self.open(name);
        match settings {
            Settings::Unsaid => {}
            Settings::Convolution(conv) => self.convolution(conv),
            Settings::Pooling(pool) => self.pooling(pool),
            Settings::Lrn(lrn) => {
                self.line(format_args!("local_size: {}", lrn.size));
                self.line(format_args!("alpha: {}", lrn.alpha));
                self.line(format_args!("beta: {}", lrn.beta));
                self.line(format_args!("k: {}", lrn.k));
                if lrn.within {
                    self.line(format_args!("norm_region: WITHIN_CHANNEL"));
                }
            }
            Settings::InnerProduct(product) => {
                self.line(format_args!("num_output: {}", product.outputs));
                if !product.bias {
                    self.line(format_args!("bias_term: false"));
                }
                if product.axis != 1 {
                    self.line(format_args!("axis: {}", product.axis));
                }
                if product.transpose {
                    self.line(format_args!("transpose: true"));
                }
            }
            Settings::Dropout(ratio) => self.line(format_args!("dropout_ratio: {ratio}")),
            Settings::Relu(slope) => self.line(format_args!("negative_slope: {slope}")),
            Settings::Power { power, scale, shift } => {
                self.line(format_args!("power: {power}"));
                self.line(format_args!("scale: {scale}"));
                self.line(format_args!("shift: {shift}"));
            }
            Settings::Input(shapes) => shapes.iter().for_each(|shape| self.shape("shape", shape)),
            Settings::Slice(axis, points) => {
                self.line(format_args!("axis: {axis}"));
                points.iter().for_each(|point| self.line(format_args!("slice_point: {point}")));
            }
            Settings::Concat(axis) | Settings::Softmax(axis) => self.line(format_args!("axis: {axis}")),
        }
        self.close();
    }

    fn convolution(&mut self, conv: &Convolution) {
        self.line(format_args!("num_output: {}", conv.outputs));
        if !conv.bias {
            self.line(format_args!("bias_term: false"));
        }
        self.pair("kernel_size", "kernel", conv.kernel, None);
        self.pair("stride", "stride", conv.stride, Some(1));
        self.pair("pad", "pad", conv.pad, Some(0));
        if conv.dilation != [1; 2] {
            conv.dilation.iter().for_each(|dilation| self.line(format_args!("dilation: {dilation}")));
        }
        if conv.groups != 1 {
            self.line(format_args!("group: {}", conv.groups));
        }
    }

    fn pooling(&mut self, pool: &Pooling) {
        let method = match pool.method {
            PoolMethod::Max => "MAX",
            PoolMethod::Average => "AVE",
            PoolMethod::Stochastic => "STOCHASTIC",
        };
        self.line(format_args!("pool: {method}"));
        if pool.global {
            self.line(format_args!("global_pooling: true"));
        } else {
            self.pair("kernel_size", "kernel", pool.kernel, None);
        }
        self.pair("stride", "stride", pool.stride, Some(1));
        self.pair("pad", "pad", pool.pad, Some(0));
        if pool.floor {
            self.line(format_args!("round_mode: FLOOR"));
        }
    }
}

/// Text in quotes, with the escapes of the protocol buffers' text form.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                c.encode_utf8(&mut bytes).bytes().for_each(|byte| {
                    let _ = write!(out, "\\{byte:03o}");
                });
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
