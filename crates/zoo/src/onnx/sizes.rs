//! What a graph computes before any image comes: constants, and the lengths of axes that it reshapes by.

use weights::onnx::{Attribute, ElementType, Node};

use super::chain::{Form, Value, Walk, Wrong, at};

/// The most numbers of lengths that are followed.
const MOST_SIZES: usize = 64;

/// A number that a graph computes from lengths of axes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// Always this.
    Fixed(i64),
    /// How many images a caller gives.
    Batch,
}

/// What a node gives that reads no pixels; `None` where it reads them.
pub(super) fn fold(walk: &Walk<'_>, node: &Node) -> Result<Option<Value>, Wrong> {
    if node.op == "Shape" {
        return shape(walk, node).map(Some);
    }
    if node.op == "Constant" {
        return constant(node).map(Some);
    }
    let data = (0..node.inputs.len()).map(|index| walk.is_data(node, index)).collect::<Result<Vec<_>, _>>()?;
    if data.contains(&true) {
        return Ok(None);
    }
    let sizes = |index| of_input(walk, node, index);
    let first = walk.input(node, 0)?.ok_or_else(|| at(node, "reads nothing"))?;
    Ok(Some(match (node.op.as_str(), first) {
        ("Identity" | "Cast" | "Dropout", value) => value.clone(),
        ("Transpose", Value::Constant { tensor, transposed }) if tensor.shape.len() == 2 => {
            let swaps = match node.attribute("perm") {
                None => true,
                Some(Attribute::Ints(perm)) if perm[..] == [1, 0] => true,
                Some(Attribute::Ints(perm)) if perm[..] == [0, 1] => false,
                Some(_) => return Err(at(node, "has a `perm` that is none")),
            };
            Value::Constant { tensor: tensor.clone(), transposed: *transposed != swaps }
        }
        ("Unsqueeze" | "Squeeze", _) => Value::Sizes(sizes(0)?),
        ("Gather", _) => {
            if !matches!(node.attribute("axis"), None | Some(Attribute::Int(0))) {
                return Err(at(node, "picks from lengths along another axis than 0"));
            }
            let (from, picks) = (sizes(0)?, sizes(1)?);
            Value::Sizes(
                picks
                    .into_iter()
                    .map(|pick| pick_of(&from, pick).ok_or_else(|| at(node, "picks what is not there")))
                    .collect::<Result<_, _>>()?,
            )
        }
        ("Slice", _) => Value::Sizes(slice(walk, node, sizes(0)?)?),
        ("Concat", _) => {
            let parts = (0..node.inputs.len()).map(sizes).collect::<Result<Vec<_>, _>>()?;
            let all = parts.concat();
            if all.len() > MOST_SIZES {
                return Err(at(node, format!("joins more than {MOST_SIZES} lengths")));
            }
            Value::Sizes(all)
        }
        ("Mul", _) => {
            let product = match (&sizes(0)?[..], &sizes(1)?[..]) {
                (&[Size::Fixed(a)], &[Size::Fixed(b)]) => a.checked_mul(b),
                _ => None,
            };
            Value::Sizes(vec![Size::Fixed(product.ok_or_else(|| at(node, "computes with numbers that are not fixed"))?)])
        }
        _ => return Err(at(node, "computes with constants in a way that is not read")),
    }))
}

/// A node's input `index` as lengths.
pub(super) fn of_input(walk: &Walk<'_>, node: &Node, index: usize) -> Result<Vec<Size>, Wrong> {
    match walk.input(node, index)? {
        Some(Value::Sizes(sizes)) if sizes.len() <= MOST_SIZES => Ok(sizes.clone()),
        Some(Value::Constant { tensor, .. }) if tensor.count().is_some_and(|count| count <= MOST_SIZES) => {
            Ok(tensor.ints()?.into_iter().map(Size::Fixed).collect())
        }
        Some(Value::Sizes(_) | Value::Constant { .. }) => Err(at(node, format!("reads more than {MOST_SIZES} lengths"))),
        Some(Value::Data { .. }) => Err(at(node, "reads pixels as lengths")),
        None => Err(at(node, format!("has no input {index}"))),
    }
}

/// A node's input `index` as fixed numbers; `None` where it is left out.
pub(super) fn fixed(walk: &Walk<'_>, node: &Node, index: usize) -> Result<Option<Vec<i64>>, Wrong> {
    if walk.input(node, index)?.is_none() {
        return Ok(None);
    }
    let one = |size| match size {
        Size::Fixed(value) => Ok(value),
        Size::Batch => Err(at(node, "depends on how many images are given")),
    };
    of_input(walk, node, index)?.into_iter().map(one).collect::<Result<_, _>>().map(Some)
}

fn pick_of(from: &[Size], pick: Size) -> Option<Size> {
    let Size::Fixed(index) = pick else { return None };
    let index = if index < 0 { index.checked_add(from.len() as i64)? } else { index };
    from.get(usize::try_from(index).ok()?).copied()
}

/// The lengths of the images' axes, or of a constant's.
fn shape(walk: &Walk<'_>, node: &Node) -> Result<Value, Wrong> {
    let fixed = |size: usize| Size::Fixed(i64::try_from(size).unwrap_or(i64::MAX));
    let sizes = match walk.input(node, 0)? {
        Some(Value::Data { form, .. }) => {
            let batch = walk.batch.map_or(Size::Batch, fixed);
            match form {
                Form::Maps(shape) => vec![batch, fixed(shape.c), fixed(shape.h), fixed(shape.w)],
                Form::Flat(c) => vec![batch, fixed(*c)],
            }
        }
        Some(Value::Constant { tensor, transposed }) => {
            let sizes = tensor.shape.iter().map(|&size| fixed(size));
            if *transposed { sizes.rev().collect() } else { sizes.collect() }
        }
        Some(Value::Sizes(sizes)) => vec![fixed(sizes.len())],
        None => return Err(at(node, "reads nothing")),
    };
    let end = |name, usual: usize| match node.attribute(name) {
        None => Ok(usual),
        Some(Attribute::Int(value)) => Ok(place(*value, sizes.len())),
        Some(_) => Err(at(node, format!("has a `{name}` that is no number"))),
    };
    let (start, stop) = (end("start", 0)?, end("end", sizes.len())?);
    Ok(Value::Sizes(sizes.get(start..stop).unwrap_or_default().to_vec()))
}

/// A place in a list of `len`, counted from its end where negative, and never outside.
fn place(index: i64, len: usize) -> usize {
    let index = if index < 0 { index.saturating_add(len as i64) } else { index };
    usize::try_from(index).unwrap_or(0).min(len)
}

fn slice(walk: &Walk<'_>, node: &Node, sizes: Vec<Size>) -> Result<Vec<Size>, Wrong> {
    let list = |name: &str, index: usize| match node.attribute(name) {
        Some(Attribute::Ints(values)) => Ok(Some(values.clone())),
        _ => fixed(walk, node, index),
    };
    let one = |name: &str, index: usize| match list(name, index)?.as_deref() {
        Some(&[value]) => Ok(value),
        _ => Err(at(node, format!("has no single `{name}`"))),
    };
    if list("axes", 3)?.is_some_and(|axes| axes[..] != [0]) || list("steps", 4)?.is_some_and(|steps| steps[..] != [1]) {
        return Err(at(node, "cuts lengths otherwise than one after the other"));
    }
    let (start, stop) = (place(one("starts", 1)?, sizes.len()), place(one("ends", 2)?, sizes.len()));
    Ok(sizes.get(start..stop).unwrap_or_default().to_vec())
}

/// The value of a `Constant` node.
fn constant(node: &Node) -> Result<Value, Wrong> {
    let find = |name: &str| node.attribute(name);
    let sizes = |values: &[i64]| Value::Sizes(values.iter().map(|&value| Size::Fixed(value)).collect());
    let floats = |shape: Vec<usize>, values: Vec<f32>| {
        let tensor = weights::onnx::Tensor::of_floats(&crate::model::tensor(shape, values));
        Value::Constant { tensor, transposed: false }
    };
    match (find("value"), find("value_ints"), find("value_int"), find("value_floats"), find("value_float")) {
        (Some(Attribute::Tensor(tensor)), ..) if tensor.element == ElementType::I64 && tensor.shape.len() < 2 => {
            let few = tensor.count().is_some_and(|count| count <= MOST_SIZES);
            let ints = if few { tensor.ints()? } else { Vec::new() };
            Ok(if few { sizes(&ints) } else { Value::Constant { tensor: tensor.clone(), transposed: false } })
        }
        (Some(Attribute::Tensor(tensor)), ..) => Ok(Value::Constant { tensor: tensor.clone(), transposed: false }),
        // Other nodes may pass them on again and again.
        (_, Some(Attribute::Ints(values)), ..) if values.len() > MOST_SIZES => {
            Err(at(node, format!("has more than {MOST_SIZES} lengths")))
        }
        (_, Some(Attribute::Ints(values)), ..) => Ok(sizes(values)),
        (_, _, Some(Attribute::Int(value)), ..) => Ok(sizes(&[*value])),
        (_, _, _, Some(Attribute::Floats(values)), _) => Ok(floats(vec![values.len()], values.clone())),
        (.., Some(Attribute::Float(value))) => Ok(floats(Vec::new(), vec![*value])),
        _ => Err(at(node, "has a value that is not read")),
    }
}
