//! From a model to bytes, without a second copy of its weights.

use std::io::{self, Write};
use std::path::Path;

use super::{Attribute, Dim, ElementType, Graph, Model, Node, Tensor, ValueInfo};
use crate::protobuf::Writer;
use crate::{Result, floats};

/// Where values begin, so that readers find them where they lie: a multiple of this.
const ALIGNMENT: usize = 4;
/// Protocol buffers end here.
const MOST_BYTES: usize = i32::MAX as usize;

/// Writes a model, whole or not at all (see [`crate::replace`]): the same bytes for the same content. Values of constants begin
/// at multiples of four bytes.
///
/// # Errors
/// Where the file cannot be written; `InvalidInput` for constants that are neither f32 nor 64-bit integers, settings of another
/// kind than numbers, lists of them and texts, and models beyond two gigabytes.
pub fn write(path: &Path, model: &Model) -> Result<()> {
    crate::replace(path, |writer| write_to(writer, model))
}

fn write_to(out: &mut dyn Write, model: &Model) -> io::Result<()> {
    let head = head(model);
    let body = body(&model.graph)?;
    // Where values lie depends on how many bytes the graph's length takes, which depends on where values lie.
    let laid = (1..=10).find_map(|length_bytes| {
        let start = head.len() + 1 + length_bytes + body.len();
        let (heads, values) = lay(start, &model.graph).ok()?;
        let total = body.len() + heads.iter().map(Vec::len).sum::<usize>() + values;
        let graph = Writer::new().head(7, total).clone().into_bytes();
        (graph.len() == 1 + length_bytes).then_some((graph, heads, total))
    });
    let Some((graph, heads, total)) = laid else { return lay(0, &model.graph).map(|_| ()) };
    if head.len() + graph.len() + total > MOST_BYTES {
        return Err(invalid("a model in one file is at most 2 gigabytes".into()));
    }
    out.write_all(&head)?;
    out.write_all(&graph)?;
    out.write_all(&body)?;
    for (head, (_, tensor)) in heads.iter().zip(&model.graph.initializers) {
        out.write_all(head)?;
        write_values(out, tensor)?;
    }
    Ok(())
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

/// Everything of a model but its graph.
fn head(model: &Model) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.int(1, model.ir_version).text(2, &model.producer).text(3, &model.producer_version).text(6, &model.doc);
    for (domain, version) in &model.opsets {
        let mut set = Writer::new();
        set.text(1, domain).int(2, *version);
        writer.message(8, set);
    }
    for (key, text) in &model.metadata {
        let mut entry = Writer::new();
        entry.text(1, key).text(2, text);
        writer.message(14, entry);
    }
    writer.into_bytes()
}

/// Everything of a graph but its constants.
fn body(graph: &Graph) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new();
    for node in &graph.nodes {
        writer.message(1, node_message(node)?);
    }
    writer.text(2, &graph.name);
    for (number, infos) in [(11, &graph.inputs), (12, &graph.outputs)] {
        for info in infos {
            writer.message(number, value_info(info));
        }
    }
    Ok(writer.into_bytes())
}

fn node_message(node: &Node) -> io::Result<Writer> {
    let mut writer = Writer::new();
    for (number, names) in [(1, &node.inputs), (2, &node.outputs)] {
        for name in names {
            writer.text(number, name);
        }
    }
    writer.text(3, &node.name).text(4, &node.op);
    for (name, value) in &node.attributes {
        let mut attribute = Writer::new();
        attribute.text(1, name);
        match value {
            Attribute::Float(value) => attribute.float(2, *value).int(20, 1),
            Attribute::Int(value) => attribute.int(3, *value).int(20, 2),
            Attribute::Text(text) => attribute.text(4, text).int(20, 3),
            Attribute::Floats(values) => {
                values.iter().fold(&mut attribute, |attribute, &value| attribute.float(7, value)).int(20, 6)
            }
            Attribute::Ints(values) => values.iter().fold(&mut attribute, |attribute, &value| attribute.int(8, value)).int(20, 7),
            Attribute::Tensor(_) | Attribute::Other => {
                return Err(invalid(format!("the setting `{name}` of node `{}` cannot be written", node.label())));
            }
        };
        writer.message(5, attribute);
    }
    if !node.domain.is_empty() {
        writer.text(7, &node.domain);
    }
    Ok(writer)
}

fn value_info(info: &ValueInfo) -> Writer {
    let mut kind = Writer::new();
    kind.int(1, info.element.map_or(0, ElementType::number));
    if let Some(dims) = &info.shape {
        let mut shape = Writer::new();
        for dim in dims {
            let mut one = Writer::new();
            match dim {
                Dim::Size(size) => one.int(1, *size as i64),
                Dim::Named(name) => one.text(2, name),
                Dim::Unknown => &mut one,
            };
            shape.message(1, one);
        }
        kind.message(2, shape);
    }
    let mut whole = Writer::new();
    whole.message(1, kind);
    let mut writer = Writer::new();
    writer.text(1, &info.name).message(2, whole);
    writer
}

/// For each constant the bytes before its values, where the first begins at `start`; and how many bytes all values take.
fn lay(start: usize, graph: &Graph) -> io::Result<(Vec<Vec<u8>>, usize)> {
    let (mut heads, mut at, mut all) = (Vec::new(), start, 0);
    for (name, tensor) in &graph.initializers {
        let bytes = value_bytes(name, tensor)?;
        // A comment of some blanks moves the values to where they can be read in place.
        let forms = (0..=ALIGNMENT + 1).map(|blanks| tensor_head(name, tensor, bytes, blanks.checked_sub(1)));
        let mut forms: Vec<Vec<u8>> = forms.collect();
        let aligned = forms.iter().position(|head| (at + head.len()).is_multiple_of(ALIGNMENT)).unwrap_or(0);
        let head = forms.swap_remove(aligned);
        at += head.len() + bytes;
        all += bytes;
        heads.push(head);
    }
    Ok((heads, all))
}

/// A constant up to its values, with a comment of `blanks` blanks, or none.
fn tensor_head(name: &str, tensor: &Tensor, bytes: usize, blanks: Option<usize>) -> Vec<u8> {
    let mut fields = Writer::new();
    for &size in &tensor.shape {
        fields.int(1, size as i64);
    }
    fields.int(2, tensor.element.number()).text(8, name);
    if let Some(blanks) = blanks {
        fields.text(12, &" ".repeat(blanks));
    }
    let fields = fields.head(9, bytes).clone().into_bytes();
    let mut head = Writer::new().head(5, fields.len() + bytes).clone().into_bytes();
    head.extend(fields);
    head
}

/// How many bytes the values of a constant take.
fn value_bytes(name: &str, tensor: &Tensor) -> io::Result<usize> {
    let size = match tensor.element {
        ElementType::F32 => 4,
        ElementType::I64 => 8,
        other => return Err(invalid(format!("the constant `{name}` of {other} cannot be written"))),
    };
    let bytes = tensor.count().and_then(|count| count.checked_mul(size)).filter(|&bytes| bytes <= MOST_BYTES);
    bytes.ok_or_else(|| invalid(format!("the constant `{name}` is larger than 2 gigabytes")))
}

fn write_values(out: &mut dyn Write, tensor: &Tensor) -> io::Result<()> {
    let unread = |error: crate::Error| invalid(error.to_string());
    if tensor.element == ElementType::I64 {
        return tensor.ints().map_err(unread)?.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()));
    }
    floats::write_values(out, tensor.floats().map_err(unread)?.data())
}
