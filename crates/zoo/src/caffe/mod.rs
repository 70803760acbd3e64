//! Caffe's files: which net the layers of a `.caffemodel` are, and the way back.
//!
//! A snapshot of training holds more than the net: data layers, losses, accuracies, splits, dropout. What is read is the chain
//! of layers from the data to the class scores as it stands in testing. Caffe's images are blue, green, red on the scale of 0
//! to 255, less their mean; its pooling keeps a last window that overhangs, its normalisation divides `alpha` by the window.

mod chain;
mod geometry;
mod ops;
mod write;

pub use write::write_caffe;

use std::path::Path;
use std::sync::Arc;

use data::{Channels, Fit, LabelOrder, Mean, Preprocessing, Statistics, Std};
use net::{Net, Op, Shape, SharedTensor};
use weights::caffemodel::{self, Contents, Layer, Settings, Transform};
use weights::{Mapped, shown};

use crate::foreign::Foreign;
use crate::{Card, Error, Given, Result, foreign, identify};
use ops::Step;

/// What the format is called.
pub(crate) const FORMAT: &str = "Caffe";
/// The most layers that a net is looked for in.
const MOST_LAYERS: usize = 2000;
/// The presets that Caffe itself has, for files that do not describe their layers.
const OWN: [&str; 2] = ["caffe", "caffenet"];
/// What our tensors beside the layers' blobs are called.
const STATISTICS: &str = "statistics.";

/// Whether a file is one of Caffe's nets.
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    caffemodel::recognises(bytes)
}

/// Reads a `.caffemodel`.
///
/// # Errors
/// Where it is damaged, is no chain of layers that are known, or fits several presets and does not say which.
pub(crate) fn read(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let mut contents = caffemodel::read(file)?;
    let path = file.path();
    if contents.layers.len() > MOST_LAYERS {
        return Err(unknown(path, format!("it has {} layers, more than {MOST_LAYERS}", contents.layers.len())));
    }
    if let Some(text) = contents.text.take() {
        return own(path, &text, contents, given);
    }
    if contents.layers.iter().all(|layer| layer.blobs.is_empty()) {
        return Err(unknown(path, "it has layers, but no weights".into()));
    }
    if undescribed(&contents) { by_shapes(path, contents, given) } else { by_layers(path, contents, given) }
}

fn unknown(path: &Path, message: String) -> Error {
    Error::UnknownNet { path: path.into(), message }
}

/// Whether the file has weights, but does not say what is done with them.
fn undescribed(contents: &Contents) -> bool {
    let with_weights = |layer: &&Layer| !layer.blobs.is_empty();
    let unsaid = |layer: &Layer| layer.settings == Settings::Unsaid || layer.bottoms.is_empty();
    contents.layers.iter().filter(with_weights).all(unsaid)
}

fn by_layers(path: &Path, contents: Contents, given: &Given) -> Result<Foreign> {
    let chain = chain::walk(&contents).map_err(|message| unknown(path, message))?;
    let named = |layer: &Layer, message: String| unknown(path, format!("layer `{}`: {message}", shown(&layer.name)));
    let mut notes = Vec::new();
    let mut steps: Vec<(&Layer, Step)> = Vec::new();
    for layer in &chain.layers {
        let before = steps.last_mut().map(|(_, step)| step);
        let step = ops::step(layer, before).map_err(|message| named(layer, message))?;
        steps.extend(step.map(|step| (*layer, step)));
    }
    if !chain.softmax {
        notes.push("the file ends in class scores without a softmax, so one was added".into());
    }
    let input = input_of(path, &chain, &steps)?;
    let preferred = given.net.as_deref();
    let net = net_of(input, &steps, preferred).map_err(|(index, message)| match steps.get(index) {
        Some((layer, _)) => named(layer, message),
        None => unknown(path, message),
    })?;
    if !matches!(net.input().c, 1 | 3) {
        return Err(unknown(path, format!("it reads {} maps, which is neither grey nor colour", net.input().c)));
    }
    given.check_net(&net, |name| another(path, &net, name))?;
    let weights =
        weights_of(&net, steps).map_err(|(name, message)| unknown(path, format!("layer `{}`: {message}", shown(&name))))?;
    let preprocessing = preprocessing(&net, &chain.transform, &mut notes)?;
    preprocessing.check(net.input()).map_err(|error| unknown(path, error.to_string()))?;
    Ok(foreign(net, weights, Some(preprocessing), notes))
}

/// That the layers are not those of the preset that the user names.
fn another(path: &Path, net: &Net, name: &str) -> String {
    match net.name() {
        "imported" => format!("the layers of `{}` are not those of `{name}`, nor of any other preset", path.display()),
        found => format!("the layers of `{}` are those of `{found}`, not of `{name}`", path.display()),
    }
}

fn foreign(net: Net, weights: Vec<(String, SharedTensor)>, preprocessing: Option<Preprocessing>, notes: Vec<String>) -> Foreign {
    Foreign {
        format: FORMAT,
        net,
        weights,
        card: None,
        preprocessing,
        statistics: None,
        order: LabelOrder::Sorted,
        classes: Vec::new(),
        notes,
    }
}

/// The input's shape: what the file says, or the side of Caffe's own nets at which all layers fit.
fn input_of(path: &Path, chain: &chain::Chain<'_>, steps: &[(&Layer, Step)]) -> Result<Shape> {
    if let [_, c, h, w] = chain.shape[..]
        && ![c, h, w].contains(&0)
    {
        return Ok(Shape { c, h, w });
    }
    let first = steps.iter().find_map(|(layer, step)| Some((layer, step.channels()?)));
    let Some((_, c)) = first else {
        return Err(unknown(path, "it says no input shape, and no convolution has weights".into()));
    };
    let sides: Vec<usize> = match chain.transform.crop {
        Some(crop) => vec![crop],
        None => vec![227, 224],
    };
    let fits = |&side: &usize| net_of(Shape { c, h: side, w: side }, steps, None).is_ok();
    match sides.iter().copied().find(fits).or(chain.transform.crop) {
        Some(side) => Ok(Shape { c, h: side, w: side }),
        None => Err(unknown(path, format!("it says no input shape, and its layers fit images neither of {sides:?} pixels"))),
    }
}

/// The net of these steps; the linear layers' weights must fit what they read. An error says at which step.
fn net_of(input: Shape, steps: &[(&Layer, Step)], preferred: Option<&str>) -> Result<Net, (usize, String)> {
    let mut net_ops: Vec<Op> = steps.iter().map(|(_, step)| step.op.clone()).collect();
    if net_ops.last() != Some(&Op::Softmax) {
        net_ops.push(Op::Softmax);
    }
    let at = |error: Error| match &error {
        Error::Net(net::Error::Layer { index, message, .. }) => (*index, message.clone()),
        other => (usize::MAX, other.to_string()),
    };
    // The layers as they are: a preset may have dropouts elsewhere.
    let plain = identify::unnamed(input, net_ops.clone()).map_err(at)?;
    for (index, (_, step)) in steps.iter().enumerate() {
        if let Some((weight, bias)) = plain.params_of(index) {
            step.check(&plain.params()[weight].shape, &plain.params()[bias].shape).map_err(|message| (index, message))?;
        }
    }
    identify::by_ops(input, net_ops, preferred).map_err(at)
}

/// The parameters in the net's names and shapes.
type Named = Vec<(String, SharedTensor)>;

fn weights_of(net: &Net, steps: Vec<(&Layer, Step)>) -> Result<Named, (String, String)> {
    let mut weights = Vec::new();
    let mut params = net.params().iter();
    for (layer, step) in steps.into_iter().filter(|(_, step)| step.has_weights()) {
        let (Some(weight), Some(bias)) = (params.next(), params.next()) else { break };
        let tensors = step.tensors(&weight.shape, &bias.shape).map_err(|message| (layer.name.clone(), message))?;
        weights.extend([weight.name.clone(), bias.name.clone()].into_iter().zip(tensors));
    }
    Ok(weights)
}

/// How Caffe's nets want their images.
fn preprocessing(net: &Net, transform: &Transform, notes: &mut Vec<String>) -> Result<Preprocessing> {
    let (input, mut out) = (net.input(), foreign::usual_preprocessing(&Net::preset("caffe")?)?);
    let side = input.h.max(input.w);
    // Caffe's own nets see crops of images of 256 pixels; for others nothing says more than their own size.
    if !(200..=256).contains(&side) {
        (out.stored, out.fit) = (side, Fit::Warp);
    }
    if input.c == 1 {
        out.channels = Channels::Grey;
    }
    if let Some(scale) = transform.scale
        && scale > 0.0
        && scale != 1.0
    {
        out.std = Std::Values([1.0 / scale; 3]);
    }
    out.mean = match transform.mean_values[..] {
        [all] => Mean::Values([all; 3]),
        [b, g, r] => Mean::Values([r, g, b]),
        _ => out.mean,
    };
    if let Some(file) = &transform.mean_file {
        notes.push(format!("the net was trained with the mean image `{}`; --mean FILE gives it", shown(file)));
    }
    Ok(out)
}

/// A file that has only blobs: the order of its layers may tell which of Caffe's nets it is.
fn by_shapes(path: &Path, contents: Contents, given: &Given) -> Result<Foreign> {
    let hint = preset_by_order(&contents.layers);
    let tensors: Vec<(String, SharedTensor)> = contents
        .layers
        .into_iter()
        .flat_map(|layer| {
            let name = layer.name;
            layer.blobs.into_iter().enumerate().map(move |(index, blob)| {
                let role = if index == 0 { "weight" } else { "bias" };
                (format!("{name}.{role}"), ops::squeezed(blob))
            })
        })
        .collect();
    let shapes: Vec<Vec<usize>> = tensors.iter().map(|(_, tensor)| tensor.shape.clone()).collect();
    let candidates = identify::by_shapes(&shapes);
    if candidates.is_empty() && given.net.is_none() {
        let shapes: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
        return Err(unknown(path, identify::mismatches(&shapes, |_| None, &OWN)));
    }
    // What Caffe itself has comes before what has the same shapes elsewhere.
    let ours = |net: &Net| OWN.contains(&net.name());
    let candidates = match given.net.is_none() && candidates.iter().any(ours) {
        true => candidates.into_iter().filter(ours).collect(),
        false => candidates,
    };
    let net = identify::choose(path, candidates, given.net.as_deref(), hint.as_slice())?;
    let notes = vec![format!("the file holds weights only: `{}` is known by their shapes", net.name())];
    let names = net.params().iter().map(|param| param.name.clone());
    let weights = names.zip(tensors.into_iter().map(|(_, tensor)| tensor)).collect();
    let preprocessing = preprocessing(&net, &Transform::default(), &mut Vec::new())?;
    Ok(foreign(net, weights, Some(preprocessing), notes))
}

/// `caffe` where the first normalisation stands before the first pooling, `caffenet` where it stands behind.
fn preset_by_order(layers: &[Layer]) -> Option<&'static str> {
    let is = |layer: &Layer, kind: &str, name: &str| {
        layer.kind == kind || (layer.kind.is_empty() && layer.name.to_ascii_lowercase().starts_with(name))
    };
    let norm = layers.iter().position(|layer| is(layer, "LRN", "norm"))?;
    let pool = layers.iter().position(|layer| is(layer, "Pooling", "pool"))?;
    Some(if norm < pool { OWN[0] } else { OWN[1] })
}

/// A file that this program wrote: the card says which net it is, the layers have its names.
fn own(path: &Path, text: &str, contents: Contents, given: &Given) -> Result<Foreign> {
    let (card, net) = Card::from_json(text).map_err(|message| unknown(path, message))?;
    given.check_net(&net, |name| another(path, &net, name))?;
    let mut weights = Vec::new();
    for index in 0..net.layers().len() {
        let Some((weight, bias)) = net.params_of(index) else { continue };
        let name = &net.layers()[index].name;
        let layer = contents.layers.iter().find(|layer| layer.name == *name);
        let blobs = layer.map_or(&[][..], |layer| &layer.blobs[..]);
        let fault = |message: String| unknown(path, format!("layer `{name}`: {message}"));
        let [w, b] = blobs else { return Err(fault(format!("it has {} blobs, expected weights and biases", blobs.len()))) };
        let (params, names) = (net.params(), [weight, bias].map(|index| net.params()[index].name.clone()));
        let w = write::weight_back(&net, &card, index, w).map_err(fault)?;
        if (&w.shape, &b.shape) != (&params[weight].shape, &params[bias].shape) {
            return Err(fault(format!("its blobs have shapes {:?} and {:?}, which its card does not say", w.shape, b.shape)));
        }
        weights.extend(names.into_iter().zip([w, b.clone()]));
    }
    let statistics = statistics_of(contents.extras).map_err(|error| unknown(path, error.to_string()))?;
    Ok(Foreign { card: Some(card), statistics, ..foreign(net, weights, None, Vec::new()) })
}

/// The statistics among a file's extra tensors, if they are there.
fn statistics_of(extras: Vec<(String, SharedTensor)>) -> data::Result<Option<Statistics>> {
    let ours = extras.into_iter().filter(|(name, _)| name.starts_with(STATISTICS));
    let tensors: Vec<_> =
        ours.map(|(name, tensor)| (name, net::Tensor { data: tensor.data().to_vec(), shape: tensor.shape })).collect();
    if tensors.is_empty() { Ok(None) } else { Ok(Some(Statistics::from_tensors(&tensors)?)) }
}
