//! The chain of layers from data to class scores.

use std::collections::HashSet;

use weights::caffemodel::{Contents, Layer, Settings, Transform};
use weights::shown;

/// A net as it stands in testing.
pub(super) struct Chain<'a> {
    /// From the data on, to the last layer before a softmax or at one.
    pub(super) layers: Vec<&'a Layer>,
    /// Whether the file ends the chain by a softmax.
    pub(super) softmax: bool,
    /// Batch, channels, rows, columns of the data; empty where the file does not say it.
    pub(super) shape: Vec<usize>,
    /// What is done to images on their way in.
    pub(super) transform: Transform,
}

/// Layers that only look: what they make is no part of the net.
fn looks(layer: &Layer) -> bool {
    let kind = layer.kind.as_str();
    matches!(kind, "Accuracy" | "Silence" | "HDF5Output" | "ArgMax") || (kind.ends_with("Loss") && kind != "SoftmaxWithLoss")
}

fn ends(layer: &Layer) -> bool {
    matches!(layer.kind.as_str(), "Softmax" | "SoftmaxWithLoss")
}

/// Where the data come from: a blob, its shape, what was done to it.
struct Source<'a> {
    blob: &'a str,
    shape: Vec<usize>,
    transform: Transform,
}

/// Walks from the data along the blobs' names.
///
/// # Errors
/// Names the layer at which the net is no chain.
pub(super) fn walk(contents: &Contents) -> Result<Chain<'_>, String> {
    let makes_data = |layer: &Layer| layer.bottoms.is_empty() && !layer.tops.is_empty();
    let there: Vec<&Layer> = contents.layers.iter().filter(|layer| layer.is_there(true)).collect();
    // A snapshot of training has the data layer of training.
    let testing = there.iter().copied().find(|layer| makes_data(layer));
    let training = || contents.layers.iter().find(|layer| layer.is_there(false) && makes_data(layer));
    let source = match contents.inputs.first() {
        Some((blob, shape)) => Some(Source { blob, shape: shape.clone(), transform: Transform::default() }),
        None => testing.or_else(training).map(source_of),
    };
    let source = source.or_else(|| orphan(&there)).ok_or("no layer and no input makes its data")?;
    let mut chain = Chain { layers: Vec::new(), softmax: false, shape: source.shape, transform: source.transform };
    let mut names = HashSet::from([source.blob]);
    let mut rest = &there[..];
    loop {
        widen(&mut names, rest);
        let Some(at) = rest.iter().position(|layer| goes_on(layer, &names)) else {
            // The loss of training is gone in testing, but says what the scores are.
            chain.softmax = contents.layers.iter().any(|layer| ends(layer) && goes_on(layer, &names));
            return whole(chain, &there);
        };
        let layer = rest[at];
        rest = &rest[at + 1..];
        if ends(layer) {
            chain.layers.push(layer);
            chain.softmax = true;
            return whole(chain, &there);
        }
        let ([bottom], [top]) = (&layer.bottoms[..], &layer.tops[..]) else {
            let (bottoms, tops) = (layer.bottoms.len(), layer.tops.len());
            return Err(format!(
                "layer `{}` ({}) reads {bottoms} blobs and makes {tops}: the net is no chain",
                shown(&layer.name),
                shown(&layer.kind)
            ));
        };
        if bottom == top {
            // In place: whoever reads this blob later sees it changed, others do not.
            names.remove(bottom.as_str());
        }
        if let Some(other) = rest.iter().find(|layer| goes_on(layer, &names)) {
            return Err(format!("`{}` and `{}` read the same blob: the net is no chain", shown(&layer.name), shown(&other.name)));
        }
        chain.layers.push(layer);
        names = HashSet::from([top.as_str()]);
    }
}

/// The chain, if all weights are on it.
fn whole<'a>(chain: Chain<'a>, there: &[&'a Layer]) -> Result<Chain<'a>, String> {
    let on_it = |layer: &&Layer| chain.layers.iter().any(|other| std::ptr::eq(*other, *layer));
    match there.iter().find(|layer| !layer.blobs.is_empty() && !on_it(layer)) {
        Some(layer) => Err(format!("layer `{}` has weights, but is not on the chain from data to scores", shown(&layer.name))),
        None => Ok(chain),
    }
}

/// Whether a layer goes on from one of `names`.
fn goes_on(layer: &Layer, names: &HashSet<&str>) -> bool {
    layer.bottoms.iter().any(|bottom| names.contains(bottom.as_str())) && layer.kind != "Split" && !looks(layer)
}

/// What splits make of a blob are that blob.
fn widen<'a>(names: &mut HashSet<&'a str>, rest: &[&'a Layer]) {
    for layer in rest.iter().filter(|layer| layer.kind == "Split") {
        if layer.bottoms.iter().any(|bottom| names.contains(bottom.as_str())) {
            names.extend(layer.tops.iter().map(String::as_str));
        }
    }
}

fn source_of(layer: &Layer) -> Source<'_> {
    let shape = match &layer.settings {
        Settings::Input(shapes) => shapes.first().cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    Source { blob: layer.tops.first().map_or("", String::as_str), shape, transform: layer.transform.clone() }
}

/// Where nothing makes the data: the first blob that a layer reads and none makes.
fn orphan<'a>(there: &[&'a Layer]) -> Option<Source<'a>> {
    let made: HashSet<&str> = there.iter().flat_map(|layer| &layer.tops).map(String::as_str).collect();
    let read = there.iter().flat_map(|layer| layer.bottoms.first());
    let blob = read.map(String::as_str).find(|blob| !made.contains(blob))?;
    Some(Source { blob, shape: Vec::new(), transform: Transform::default() })
}
