//! ONNX files that this program wrote: they say in a card what they hold.

use std::path::Path;

use data::{LabelOrder, Statistics};
use net::{Net, SharedTensor, Tensor};
use weights::onnx::{Attribute, Graph, Model, Node};
use weights::protobuf::{Fault, Message, Writer};

use super::{FORMAT, base64, build, shown};
use crate::card::KEY;
use crate::foreign::Foreign;
use crate::{Card, Error, Result};

/// The key under which a file keeps its training images' statistics: a message with a tensor in each field 1, which has its name
/// in field 1, its shape in 2 and its values in 3; in base 64.
const STATISTICS: &str = "alexnet.statistics";

/// What is in a file with a card; `None` where it has none, or its graph is not the one of the card's net, of which `notes` says
/// a word.
///
/// # Errors
/// Where the card or the statistics are damaged.
pub(super) fn read(path: &Path, model: &Model, notes: &mut Vec<String>) -> Result<Option<Foreign>> {
    let Some(text) = model.text(KEY) else { return Ok(None) };
    let damaged = |message| Error::Weights(weights::Error::Format { path: path.into(), format: FORMAT, message });
    let (card, net) = Card::from_json(text).map_err(damaged)?;
    let statistics = match model.text(STATISTICS) {
        None => Statistics::default(),
        Some(text) => statistics_of(text).map_err(|fault| damaged(format!("its statistics: {fault}")))?,
    };
    let mut same = false;
    let weights = weights_of(&net, model)?;
    if let Some(weights) = &weights {
        for pixels in [None, Some((&card.preprocessing, &statistics))] {
            // A preprocessing that cannot be written was not written.
            same |= build::graph_of(&net, weights, pixels).is_ok_and(|graph| is_same(&graph, &model.graph));
        }
    }
    match weights.filter(|_| same) {
        Some(weights) => Ok(Some(Foreign {
            format: FORMAT,
            net,
            weights,
            card: Some(card),
            preprocessing: None,
            statistics: Some(statistics),
            order: LabelOrder::Sorted,
            classes: Vec::new(),
            notes: Vec::new(),
        })),
        None => {
            let file = shown(path);
            notes.push(format!("`{file}` has a model card, but another program has changed its graph since: the graph counts"));
            Ok(None)
        }
    }
}

/// The parameters of `net` among a file's constants; `None` where they are not all there.
fn weights_of(net: &Net, model: &Model) -> Result<Option<Vec<(String, SharedTensor)>>> {
    let mut weights = Vec::new();
    for param in net.params() {
        let found = model.graph.initializers.iter().find(|(name, _)| *name == param.name);
        let Some((name, tensor)) = found.filter(|(_, tensor)| tensor.shape == param.shape) else { return Ok(None) };
        weights.push((name.clone(), tensor.floats()?));
    }
    Ok(Some(weights))
}

/// Whether two graphs are alike in everything but the values of weights, which are those of both.
fn is_same(ours: &Graph, theirs: &Graph) -> bool {
    let names = |graph: &Graph| graph.initializers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let borders = |graph: &Graph| format!("{:?} {:?}", graph.inputs, graph.outputs);
    ours.nodes.len() == theirs.nodes.len()
        && ours.nodes.iter().zip(&theirs.nodes).all(|(a, b)| is_same_node(a, b))
        && borders(ours) == borders(theirs)
        && names(ours) == names(theirs)
        && ours.initializers.iter().zip(&theirs.initializers).all(|((name, a), (_, b))| match name.contains('/') {
            // Only constants that the graph itself brings have a slash in their names.
            true => a.same(b),
            false => a.shape == b.shape,
        })
}

fn is_same_node(a: &Node, b: &Node) -> bool {
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let same = |(a, b): (&(String, Attribute), &(String, Attribute))| {
        a.0 == b.0
            && match (&a.1, &b.1) {
                (Attribute::Int(a), Attribute::Int(b)) => a == b,
                (Attribute::Float(a), Attribute::Float(b)) => a.to_bits() == b.to_bits(),
                (Attribute::Text(a), Attribute::Text(b)) => a == b,
                (Attribute::Ints(a), Attribute::Ints(b)) => a == b,
                (Attribute::Floats(a), Attribute::Floats(b)) => bits(a) == bits(b),
                _ => false,
            }
    };
    (&a.name, &a.op, &a.domain, &a.inputs, &a.outputs) == (&b.name, &b.op, &b.domain, &b.inputs, &b.outputs)
        && a.attributes.len() == b.attributes.len()
        && a.attributes.iter().zip(&b.attributes).all(same)
}

/// The entry of a file's free text that keeps `statistics`; none where there are none.
pub(super) fn statistics_text(statistics: &Statistics) -> Option<(String, String)> {
    if *statistics == Statistics::default() {
        return None;
    }
    let mut message = Writer::new();
    for (name, tensor) in statistics.to_tensors() {
        let shape: Vec<i64> = tensor.shape.iter().map(|&size| size as i64).collect();
        let mut one = Writer::new();
        one.text(1, &name).ints(2, &shape).floats(3, &tensor.data);
        message.message(1, one);
    }
    Some((STATISTICS.into(), base64::encode(&message.into_bytes())))
}

fn statistics_of(text: &str) -> Result<Statistics, String> {
    let bytes = base64::decode(text).ok_or("they are not in base 64")?;
    let tensors = Message(&bytes).all(1).map(|value| tensor_of(value?.message()));
    let tensors = tensors.collect::<Result<Vec<_>, Fault>>().map_err(|fault| fault.to_string())?;
    Statistics::from_tensors(&tensors).map_err(|error| error.to_string())
}

fn tensor_of(message: Option<Message<'_>>) -> Result<(String, Tensor), Fault> {
    let message = message.ok_or(Fault("a number where a tensor is expected"))?;
    let name = message.last(1)?.and_then(|value| value.text()).ok_or(Fault("a tensor without a name"))?;
    let (mut shape, mut data) = (Vec::new(), Vec::new());
    message.all(2).try_for_each(|value| value?.ints(&mut shape))?;
    message.all(3).try_for_each(|value| value?.floats(&mut data))?;
    let shape =
        shape.into_iter().map(|size| usize::try_from(size).map_err(|_| Fault("a negative size"))).collect::<Result<_, _>>()?;
    Ok((name.to_string(), Tensor { shape, data }))
}
