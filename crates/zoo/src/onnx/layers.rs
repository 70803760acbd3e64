//! What a node does to the images.

use net::{AvgPool, Conv, Dropout, DropoutScaling, Linear, LrnAcross, MaxPool, Op, Padding, Pair, SharedTensor};
use weights::onnx::{Attribute, Node, Tensor};

use super::border::Change;
use super::chain::{Form, Walk, Wrong, at};
use super::decimal;
use super::matrix;
use super::sizes::{self, Size};
use super::window;
use crate::identify::LEARN;

/// Takes the images one node further.
pub(super) fn follow(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let op = node.op.as_str();
    if walk.pad != Padding::default() && !matches!(op, "Conv" | "Identity") {
        return Err(at(node, "reads images padded with zeros, which only convolutions do"));
    }
    if let Some(extra) = node.outputs.iter().skip(1).find(|name| !name.is_empty())
        && !matches!(op, "Dropout" | "MaxPool" | "LRN")
    {
        return Err(at(node, format!("gives a second value, `{extra}`: this is no chain")));
    }
    match op {
        "Identity" => walk.data(node, 0).map(|_| ()),
        "Cast" => cast(walk, node),
        "Conv" => conv(walk, node),
        "Relu" => layer_of(walk, node, Op::Relu),
        "Tanh" => layer_of(walk, node, Op::Tanh),
        "LRN" => lrn(walk, node),
        "MaxPool" => max_pool(walk, node),
        "AveragePool" => average_pool(walk, node),
        "GlobalAveragePool" if walk.form.shape().plane() == 1 => walk.data(node, 0).map(|_| ()),
        "Pad" => pad(walk, node),
        "Flatten" => flatten(walk, node),
        "Reshape" => reshape(walk, node),
        "Squeeze" => squeeze(walk, node),
        "Gemm" => gemm(walk, node),
        "MatMul" => mat_mul(walk, node),
        "Add" | "Sub" | "Mul" | "Div" => arithmetic(walk, node),
        "Gather" => reverse(walk, node),
        "Dropout" => dropout(walk, node),
        "Softmax" | "LogSoftmax" => softmax(walk, node),
        "BatchNormalization" => Err(at(
            node,
            "is no part of an AlexNet; where a convolution stands before it, it can be folded into that one's weights",
        )),
        _ => Err(at(node, "is no op of an AlexNet")),
    }
}

/// A node's integer setting.
pub(super) fn int(node: &Node, name: &str, usual: i64) -> Result<i64, Wrong> {
    match node.attribute(name) {
        None => Ok(usual),
        Some(Attribute::Int(value)) => Ok(*value),
        Some(_) => Err(at(node, format!("has a `{name}` that is no integer"))),
    }
}

/// A node's setting as the number that its f32 was made from.
fn float(node: &Node, name: &str, usual: f64) -> Result<f64, Wrong> {
    match node.attribute(name) {
        None => Ok(usual),
        Some(Attribute::Float(value)) => Ok(decimal(f64::from(*value))),
        Some(_) => Err(at(node, format!("has a `{name}` that is no number"))),
    }
}

fn layer_of(walk: &mut Walk<'_>, node: &Node, op: Op) -> Result<(), Wrong> {
    walk.data(node, 0)?;
    walk.layer(node, op).map(|_| ())
}

/// Between floating types: the numbers stay the same but for their rounding. Pixels may come as integers.
fn cast(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    walk.data(node, 0)?;
    match int(node, "to", 0)? {
        1 | 10 | 11 | 16 => Ok(()),
        other => Err(at(node, format!("makes numbers of type {other} of the images"))),
    }
}

fn conv(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(input) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    let (weight, _) = walk.constant(node, 1)?.ok_or_else(|| at(node, "has no weights"))?;
    let weight = weight.clone();
    walk.charge(node, &weight)?;
    let &[k, _, r, s] = &weight.shape[..] else {
        return Err(at(node, format!("has weights of shape {:?}, expected [k, c / group, r, s]", weight.shape)));
    };
    let pad = walk.pad;
    let padded =
        (input.h.saturating_add(pad.top).saturating_add(pad.bottom), input.w.saturating_add(pad.left).saturating_add(pad.right));
    let window = window::of(node, padded, Some(Pair { r, s }))?;
    if window.ceil {
        return Err(at(node, "has a `ceil_mode`, which convolutions have not"));
    }
    let own = window.padding;
    let sum = |a: usize, b: usize| a.saturating_add(b);
    let op = Conv {
        k,
        kernel: window.kernel,
        stride: window.stride,
        padding: Padding {
            top: sum(pad.top, own.top),
            left: sum(pad.left, own.left),
            bottom: sum(pad.bottom, own.bottom),
            right: sum(pad.right, own.right),
        },
        rounding: net::Rounding::Floor,
        groups: usize::try_from(int(node, "group", 1)?).map_err(|_| at(node, "has a negative `group`"))?,
        weight: LEARN.0,
        bias: LEARN.1,
    };
    walk.pad = Padding::default();
    let shapes = walk.layer(node, Op::Conv(op))?;
    let bias = walk.constant(node, 2)?.map(|(bias, _)| bias.clone());
    learn(walk, node, &shapes, weight.floats()?, bias.as_ref(), 1.0)
}

/// Keeps a layer's weight and bias, which must have `shapes`; the bias is multiplied by `beta`, and zero where there is none.
fn learn(
    walk: &mut Walk<'_>,
    node: &Node,
    shapes: &[Vec<usize>],
    weight: SharedTensor,
    bias: Option<&Tensor>,
    beta: f64,
) -> Result<(), Wrong> {
    let [weight_shape, bias_shape] = shapes else { return Err(at(node, "has no weights")) };
    if weight.shape != *weight_shape {
        return Err(at(node, format!("has weights of shape {:?}, expected {weight_shape:?}", weight.shape)));
    }
    let k = bias_shape.first().copied().unwrap_or(0);
    let bias = match bias {
        Some(bias) if bias.shape == *bias_shape && beta == 1.0 => bias.floats()?,
        Some(bias) => {
            let values = per_map(&bias.shape, bias.floats()?.data(), &[1, k]);
            let values = values.ok_or_else(|| at(node, format!("has a bias of shape {:?}, expected [{k}]", bias.shape)))?;
            let scaled = values.iter().cycle().take(k).map(|value| (beta * value) as f32);
            crate::model::tensor(bias_shape.clone(), scaled.collect())
        }
        None => crate::model::tensor(bias_shape.clone(), vec![0.0; k]),
    };
    walk.params.push([weight, bias]);
    Ok(())
}

/// The values of a constant that is broadcast to `axes` and differs along their second at most: one for each place along it, or
/// one for all of them.
fn per_map(shape: &[usize], values: &[f32], axes: &[usize]) -> Option<Vec<f64>> {
    let &[_, c, ..] = axes else { return None };
    let missing = axes.len().checked_sub(shape.len())?;
    let full: Vec<usize> = std::iter::repeat_n(1, missing).chain(shape.iter().copied()).collect();
    let [1, along, rest @ ..] = &full[..] else { return None };
    if !rest.iter().all(|&size| size == 1) {
        return None;
    }
    match (*along, values) {
        (1, &[value]) => Some(vec![f64::from(value)]),
        (size, values) if size == c && values.len() == c => Some(values.iter().map(|&value| f64::from(value)).collect()),
        _ => None,
    }
}

fn lrn(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(_) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    let n = usize::try_from(int(node, "size", 0)?).ok().filter(|&n| n > 0).ok_or_else(|| at(node, "has no `size`"))?;
    let (alpha, beta, k) = (float(node, "alpha", 1e-4)?, float(node, "beta", 0.75)?, float(node, "bias", 1.0)?);
    // ONNX divides alpha by the size (onnx/defs/nn/defs.cc).
    walk.layer(node, Op::Lrn(LrnAcross { n, k, alpha, beta, alpha_over_n: true, towers: 1 })).map(|_| ())
}

fn max_pool(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(input) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    let window = window::of(node, (input.h, input.w), None)?;
    let (kernel, stride, padding, rounding) = (window.kernel, window.stride, window.padding, window.rounding());
    walk.layer(node, Op::MaxPool(MaxPool { kernel, stride, padding, rounding, ties: net::Ties::First })).map(|_| ())
}

/// A pool over single pixels changes nothing, and stands in graphs for one that adapts to its input's size.
fn average_pool(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(input) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    let window = window::of(node, (input.h, input.w), None)?;
    let (kernel, stride, padding, rounding) = (window.kernel, window.stride, window.padding, window.rounding());
    if (kernel, stride, padding) == (Pair::square(1), Pair::square(1), Padding::default()) {
        return Ok(());
    }
    if padding != Padding::default() && int(node, "count_include_pad", 0)? != 0 {
        return Err(at(node, "counts its padding in the average, which no AlexNet does"));
    }
    walk.layer(node, Op::AvgPool(AvgPool { kernel, stride, padding, rounding })).map(|_| ())
}

/// Zeros around the images, for the convolution that follows.
fn pad(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(_) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    if !matches!(node.attribute("mode"), None | Some(Attribute::Text(_))) {
        return Err(at(node, "has a `mode` that is no text"));
    }
    if let Some(Attribute::Text(mode)) = node.attribute("mode")
        && mode != "constant"
    {
        return Err(at(node, format!("pads with `{mode}` instead of zeros")));
    }
    let value = match walk.constant(node, 2)? {
        Some((tensor, _)) => tensor.floats()?.data().to_vec(),
        None => vec![float(node, "value", 0.0)? as f32],
    };
    if value.iter().any(|&value| value != 0.0) || walk.input(node, 3)?.is_some() {
        return Err(at(node, "pads otherwise than with zeros around rows and columns"));
    }
    let pads = match node.attribute("pads").or(node.attribute("paddings")) {
        Some(Attribute::Ints(pads)) => Some(pads.clone()),
        _ => sizes::fixed(walk, node, 1)?,
    };
    let pads: Option<Vec<usize>> = pads.unwrap_or_default().into_iter().map(|pad| usize::try_from(pad).ok()).collect();
    match pads.as_deref() {
        Some(&[0, 0, top, left, 0, 0, bottom, right]) => {
            walk.pad = Padding { top, left, bottom, right };
            Ok(())
        }
        _ => Err(at(node, "pads otherwise than with zeros around rows and columns")),
    }
}

fn flatten(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let form = walk.data(node, 0)?;
    let rank = if let Form::Maps(_) = form { 4 } else { 2 };
    let axis = int(node, "axis", 1)?;
    if axis != 1 && axis != 1 - rank {
        return Err(at(node, format!("flattens from axis {axis}, which mixes images")));
    }
    walk.form = Form::Flat(form.len());
    Ok(())
}

/// Into one row for each image, or as it was.
fn reshape(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let form = walk.data(node, 0)?;
    let shape = form.shape();
    let target = match node.attribute("shape") {
        Some(Attribute::Ints(shape)) => shape.iter().map(|&size| Size::Fixed(size)).collect(),
        _ => sizes::of_input(walk, node, 1)?,
    };
    let keeps_zeros = int(node, "allowzero", 0)? != 0;
    let [first, rest @ ..] = &target[..] else { return Err(at(node, "reshapes to nothing")) };
    let open = rest.iter().filter(|&&size| size == Size::Fixed(-1)).count();
    let images = match *first {
        Size::Batch => true,
        Size::Fixed(0) => !keeps_zeros,
        Size::Fixed(-1) => open == 0,
        Size::Fixed(n) => usize::try_from(n).is_ok_and(|n| n == walk.batch.unwrap_or(1)),
    };
    let own: Vec<usize> = if let Form::Maps(shape) = form { vec![shape.c, shape.h, shape.w] } else { vec![form.len()] };
    let size = |(index, size): (usize, &Size)| match *size {
        Size::Fixed(0) if !keeps_zeros => own.get(index).copied(),
        Size::Fixed(n) => usize::try_from(n).ok(),
        Size::Batch => None,
    };
    let known: Option<Vec<usize>> = rest.iter().enumerate().filter(|(_, size)| **size != Size::Fixed(-1)).map(size).collect();
    let product = known.as_ref().and_then(|known| known.iter().try_fold(1usize, |n, &size| n.checked_mul(size)));
    let fits =
        product.is_some_and(|n| n > 0 && if open == 0 { n == form.len() } else { open == 1 && form.len().is_multiple_of(n) });
    match rest.len() {
        1 if images && fits => walk.form = Form::Flat(form.len()),
        3 if images && open == 0 && known.as_deref() == Some(&[shape.c, shape.h, shape.w]) => walk.form = Form::Maps(shape),
        _ => return Err(at(node, format!("makes {target:?} of {shape}: neither a row for each image nor what it was"))),
    }
    Ok(())
}

fn squeeze(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let form = walk.data(node, 0)?;
    let axes = match node.attribute("axes") {
        Some(Attribute::Ints(axes)) => Some(axes.clone()),
        _ => sizes::fixed(walk, node, 1)?,
    };
    let mut axes: Vec<i64> =
        axes.unwrap_or_default().into_iter().map(|axis| if axis < 0 { axis.saturating_add(4) } else { axis }).collect();
    axes.sort_unstable();
    if !(matches!(form, Form::Maps(_)) && axes[..] == [2, 3] && form.shape().plane() == 1) {
        return Err(at(node, "drops other axes than rows and columns of length 1"));
    }
    walk.form = Form::Flat(form.len());
    Ok(())
}

/// The row of an image, or the error of a node that needs one.
fn row(walk: &Walk<'_>, node: &Node) -> Result<usize, Wrong> {
    match walk.data(node, 0)? {
        Form::Flat(len) => Ok(len),
        Form::Maps(shape) => Err(at(node, format!("reads maps of {shape}, where one row for each image is expected"))),
    }
}

/// `alpha · A · B + beta · C`, A being the images.
fn gemm(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    row(walk, node)?;
    if int(node, "transA", 0)? != 0 {
        return Err(at(node, "exchanges images and values"));
    }
    let (alpha, beta) = (float(node, "alpha", 1.0)?, float(node, "beta", 1.0)?);
    let as_is = int(node, "transB", 0)? != 0;
    let bias = walk.constant(node, 2)?.map(|(bias, _)| bias.clone());
    linear(walk, node, as_is, alpha, bias.as_ref(), beta)
}

fn mat_mul(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    row(walk, node)?;
    linear(walk, node, false, 1.0, None, 1.0)
}

/// A linear layer whose matrix is input 1, `[out, in]` if `as_is`, else `[in, out]`.
fn linear(walk: &mut Walk<'_>, node: &Node, as_is: bool, alpha: f64, bias: Option<&Tensor>, beta: f64) -> Result<(), Wrong> {
    let (weight, transposed) = walk.constant(node, 1)?.ok_or_else(|| at(node, "has no weights"))?;
    let (weight, as_is) = (weight.clone(), as_is != transposed);
    walk.charge(node, &weight)?;
    let &[rows, columns] = &weight.shape[..] else {
        return Err(at(node, format!("has weights of shape {:?}, expected a matrix", weight.shape)));
    };
    let k = if as_is { rows } else { columns };
    let shapes = walk.layer(node, Op::Linear(Linear { k, weight: LEARN.0, bias: LEARN.1 }))?;
    let mut values = weight.floats()?;
    if !as_is {
        values = matrix::transposed(&values, rows, columns);
    }
    if alpha != 1.0 {
        values = matrix::scaled(&values, alpha);
    }
    learn(walk, node, &shapes, values, bias, beta)
}

/// A constant for each map: normalisation of pixels before the first layer, a bias behind a layer without one, a factor that
/// dropout leaves in testing.
fn arithmetic(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let place = usize::from(!walk.is_data(node, 0)?);
    let form = walk.data(node, place)?;
    if place == 1 && matches!(node.op.as_str(), "Sub" | "Div") {
        return Err(at(node, "reads the images as its second input"));
    }
    let (tensor, _) = walk.constant(node, 1 - place)?.ok_or_else(|| at(node, "has one input"))?;
    let mut shape = tensor.shape.clone();
    let axes = match form {
        Form::Maps(maps) => vec![1, maps.c, maps.h, maps.w],
        Form::Flat(len) => vec![1, len],
    };
    // Before version 7 a constant stood at an axis that was said, if anywhere.
    if let (true, Some(Attribute::Int(axis))) = (walk.opset < 7, node.attribute("axis"))
        && let Ok(axis) = usize::try_from(*axis)
    {
        let behind = axes.len().saturating_sub(axis.saturating_add(shape.len()));
        shape.extend(std::iter::repeat_n(1, behind));
    }
    let is_image = shape.iter().rev().eq(axes.iter().rev().take(shape.len())) && shape.len() >= 3;
    if walk.ops.is_empty() && is_image && matches!(node.op.as_str(), "Sub" | "Add") && form.shape().plane() > 1 {
        let sign = if node.op == "Sub" { 1.0 } else { -1.0 };
        let image = tensor.floats()?.data().iter().map(|value| sign * value).collect();
        return walk.border.subtract_image(image).map_err(|message| at(node, message));
    }
    if tensor.count().is_none_or(|count| count > walk.form.shape().c) {
        return Err(at(node, format!("reads a constant of shape {shape:?}, which is more than one value for each map")));
    }
    let values = per_map(&shape, tensor.floats()?.data(), &axes);
    let values =
        values.ok_or_else(|| at(node, format!("reads a constant of shape {shape:?}, which is no value for each map")))?;
    let change = match node.op.as_str() {
        "Add" => Change::Add,
        "Sub" => Change::Subtract,
        "Mul" => Change::Multiply,
        _ => Change::Divide,
    };
    if walk.ops.is_empty() {
        return walk.border.change(change, &values).map_err(|message| at(node, message));
    }
    match (change, walk.ops.last()) {
        (Change::Add, Some(Op::Conv(_) | Op::Linear(_))) => shift_bias(walk, node, &values, 1.0),
        (Change::Subtract, Some(Op::Conv(_) | Op::Linear(_))) => shift_bias(walk, node, &values, -1.0),
        (Change::Multiply, _) => kept(walk, node, &values, |value| value),
        (Change::Divide, _) => kept(walk, node, &values, |value| 1.0 / value),
        _ => Err(at(node, "adds to what no layer with a bias gives")),
    }
}

fn shift_bias(walk: &mut Walk<'_>, node: &Node, values: &[f64], sign: f64) -> Result<(), Wrong> {
    if let Some([_, bias]) = walk.params.last_mut() {
        // Behind a flattened convolution there is a value for each pixel, of which a bias has one for each map.
        let (got, maps) = (values.len(), bias.data().len());
        if got != 1 && got != maps {
            return Err(at(node, format!("adds {got} values to a layer whose bias has {maps}")));
        }
        let sum = |(old, new): (&f32, &f64)| (f64::from(*old) + sign * new) as f32;
        let sums = bias.data().iter().zip(values.iter().cycle()).map(sum).collect();
        *bias = crate::model::tensor(bias.shape.clone(), sums);
    }
    Ok(())
}

/// The share of values that dropout keeps, as a factor in testing.
fn kept(walk: &mut Walk<'_>, node: &Node, values: &[f64], factor: impl Fn(f64) -> f64) -> Result<(), Wrong> {
    let factors: Vec<f64> = values.iter().map(|&value| factor(value)).collect();
    let one = factors.first().copied().unwrap_or(0.0);
    if !(factors.iter().all(|&factor| factor == one) && one > 0.0 && one <= 1.0) {
        return Err(at(node, "multiplies by other factors than the share that dropout keeps"));
    }
    match one == 1.0 {
        true => Ok(()),
        false => walk.layer(node, Op::Dropout(Dropout { rate: 1.0 - decimal(one), scaling: DropoutScaling::Test })).map(|_| ()),
    }
}

/// The maps of pixels in the opposite order: blue, green, red.
fn reverse(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let Form::Maps(shape) = walk.data(node, 0)? else { return Err(at(node, "reads no maps")) };
    let order = sizes::fixed(walk, node, 1)?.unwrap_or_default();
    let opposite = order.iter().rev().enumerate().all(|(i, &map)| usize::try_from(map) == Ok(i)) && order.len() == shape.c;
    if !(opposite && int(node, "axis", 0)? == 1 && walk.ops.is_empty()) {
        return Err(at(node, "picks otherwise than pixels' colours in the opposite order"));
    }
    walk.border.reverse();
    Ok(())
}

fn dropout(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    walk.data(node, 0)?;
    let rate = match walk.constant(node, 1)? {
        Some((tensor, _)) if tensor.count() == Some(1) => tensor.floats()?.data().first().map(|&rate| decimal(f64::from(rate))),
        Some(_) => None,
        None => Some(float(node, "ratio", 0.5)?),
    };
    let rate = rate.ok_or_else(|| at(node, "has no single rate"))?;
    walk.layer(node, Op::Dropout(Dropout { rate, scaling: DropoutScaling::Train })).map(|_| ())
}

/// Over all values of an image. Before version 13 the axes from `axis` on were one.
fn softmax(walk: &mut Walk<'_>, node: &Node) -> Result<(), Wrong> {
    let form = walk.data(node, 0)?;
    let (rank, usual) = (if let Form::Maps(_) = form { 4 } else { 2 }, if walk.opset < 13 { 1 } else { -1 });
    let axis = int(node, "axis", usual)?;
    let over_all = form.shape().plane() == 1 || walk.opset < 13;
    if !(over_all && (axis == 1 || axis == 1 - rank)) {
        return Err(at(node, format!("is along axis {axis}, not over all values of an image")));
    }
    if node.op == "LogSoftmax" {
        walk.notes.push("the graph gives logarithms of probabilities; here they are probabilities".into());
    }
    walk.layer(node, Op::Softmax).map(|_| ())
}
