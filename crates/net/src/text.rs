//! A net as TOML: printed, edited, read back.
//!
//! Each layer is a table with its name and one key that names the op. The ops are separate optional keys rather than a
//! tagged enum, so that the reader knows line and column of every mistake.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::{AvgPool, Conv, Dropout, Error, Layer, Linear, Local, LrnAcross, LrnWithin, MaxPool, Net, Op, Result, Shape};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetText {
    name: String,
    input: InputText,
    layer: Vec<Spanned<LayerText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InputText {
    c: usize,
    h: usize,
    w: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerText {
    name: String,
    conv: Option<Conv>,
    local: Option<Local>,
    relu: Option<Plain>,
    tanh: Option<Plain>,
    lrn: Option<LrnAcross>,
    lrn_within: Option<LrnWithin>,
    max_pool: Option<MaxPool>,
    avg_pool: Option<AvgPool>,
    dropout: Option<Dropout>,
    linear: Option<Linear>,
    softmax: Option<Plain>,
}

/// An op without parameters, written `relu = {}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {}

impl LayerText {
    fn into_layer(self) -> std::result::Result<Layer, String> {
        let name = self.name;
        let mut ops = [
            self.conv.map(Op::Conv),
            self.local.map(Op::Local),
            self.relu.map(|_| Op::Relu),
            self.tanh.map(|_| Op::Tanh),
            self.lrn.map(Op::Lrn),
            self.lrn_within.map(Op::LrnWithin),
            self.max_pool.map(Op::MaxPool),
            self.avg_pool.map(Op::AvgPool),
            self.dropout.map(Op::Dropout),
            self.linear.map(Op::Linear),
            self.softmax.map(|_| Op::Softmax),
        ]
        .into_iter()
        .flatten();
        match (ops.next(), ops.next()) {
            (Some(op), None) => Ok(Layer { name, op }),
            (None, _) => Err(format!("layer `{name}` has no op such as `conv = {{ … }}` or `relu = {{}}`")),
            (Some(a), Some(b)) => Err(format!("layer `{name}` has two ops, {} and {}", a.kind(), b.kind())),
        }
    }
}

impl Net {
    /// Reads a net from its TOML text.
    ///
    /// # Errors
    /// With line and column: bad TOML, an unknown key, a wrong type, a layer that does not fit.
    pub fn from_toml(text: &str) -> Result<Net> {
        let at = |offset: usize, message: String| {
            let (line, column) = text_position(text, offset);
            Error::Text { line, column, message }
        };
        let parsed: NetText = toml::from_str(text).map_err(|e| at(e.span().map_or(0, |s| s.start), one_line(e.message())))?;
        let mut spans = Vec::new();
        let mut layers = Vec::new();
        for layer in parsed.layer {
            let offset = layer.span().start;
            spans.push(offset);
            layers.push(layer.into_inner().into_layer().map_err(|message| at(offset, message))?);
        }
        let input = Shape { c: parsed.input.c, h: parsed.input.h, w: parsed.input.w };
        Net::new(parsed.name, input, layers).map_err(|error| match &error {
            Error::Layer { index, .. } => at(spans[*index], error.to_string()),
            _ => at(0, error.to_string()),
        })
    }

    /// The net as TOML text, which [`Net::from_toml`] reads back equal.
    pub fn to_toml(&self) -> String {
        let input = self.input();
        let mut text = format!(
            "name = {}\ninput = {{ c = {}, h = {}, w = {} }}\n",
            toml::Value::from(self.name()),
            input.c,
            input.h,
            input.w
        );
        for layer in self.layers() {
            let op = match &layer.op {
                Op::Conv(op) => inline(op),
                Op::Local(op) => inline(op),
                Op::Lrn(op) => inline(op),
                Op::LrnWithin(op) => inline(op),
                Op::MaxPool(op) => inline(op),
                Op::AvgPool(op) => inline(op),
                Op::Dropout(op) => inline(op),
                Op::Linear(op) => inline(op),
                Op::Relu | Op::Tanh | Op::Softmax => "{}".into(),
            };
            text += &format!("\n[[layer]]\nname = {}\n{} = {op}\n", toml::Value::from(layer.name.as_str()), layer.op.kind());
        }
        text
    }
}

/// A value as one line of TOML, its fields in the order in which the struct declares them.
fn inline<T: Serialize>(value: &T) -> String {
    let mut text = String::new();
    if let Err(error) = value.serialize(toml::ser::ValueSerializer::new(&mut text)) {
        unreachable!("layers always print: {error}");
    }
    text
}

/// One-based line and column (in characters) of byte `offset` of a text, for messages about nets and recipes.
pub fn text_position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(offset)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(" ")
}
