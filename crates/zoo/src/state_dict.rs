//! State dicts: from the names and shapes of tensors to a net. PyTorch's files and safetensors hold nothing else, unless this
//! program wrote them.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use data::{LabelOrder, Statistics};
use net::{Net, SharedTensor, Tensor};
use weights::{Mapped, shown};

use crate::foreign::Foreign;
use crate::{Card, Error, Given, Result, card, identify};

/// The records beside PyTorch's own in which a file that this program wrote has its card, as JSON, and its statistics, as
/// safetensors.
pub(crate) const RECORDS: [&str; 2] = ["alexnet.json", "statistics.safetensors"];
/// What the names of statistics begin with where they lie among parameters.
const STATISTICS: &str = "statistics.";

/// Where torchvision's alexnet has its layers with parameters, in order.
pub(crate) const TORCHVISION: [&str; 8] =
    ["features.0", "features.3", "features.6", "features.8", "features.10", "classifier.1", "classifier.4", "classifier.6"];
/// Our names for the eight layers of an AlexNet.
const OURS: [&str; 8] = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"];
/// Where the `nn.Sequential` of Dive into Deep Learning has them.
const D2L: [&str; 8] = ["0", "3", "6", "8", "10", "14", "17", "20"];
/// Parts of names that wrappers put there (`nn.DataParallel`, `torch.compile`).
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

type Tensors = Vec<(String, SharedTensor)>;

/// Reads a safetensors file.
///
/// # Errors
/// Where it is damaged, or its tensors are not the parameters of a net that is known.
pub(crate) fn read_safetensors(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let mut found = weights::safetensors::foreign(file)?;
    let card = card_of(file.path(), "safetensors", found.text.get(card::KEY).map(String::as_str))?;
    let (statistics, tensors): (Tensors, _) = found.tensors.into_iter().partition(|(name, _)| name.starts_with(STATISTICS));
    found.tensors = tensors;
    let statistics = statistics.into_iter().map(|(name, tensor)| (name, copied(&tensor)));
    net_of(file.path(), "safetensors", found, card, statistics.collect(), given)
}

/// Reads a file of PyTorch.
///
/// # Errors
/// As [`read_safetensors`].
pub(crate) fn read_torch(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let found = weights::torch::read(file)?;
    let [card, statistics] = RECORDS;
    let text = weights::torch::record(file, card)?.map(String::from_utf8_lossy);
    let card = card_of(file.path(), "PyTorch", text.as_deref())?;
    let statistics = match weights::torch::record(file, statistics)? {
        Some(bytes) => weights::safetensors::read_within(file.path(), bytes)?.0,
        None => Vec::new(),
    };
    net_of(file.path(), "PyTorch", found, card, statistics, given)
}

fn copied(tensor: &SharedTensor) -> Tensor {
    Tensor { shape: tensor.shape.clone(), data: tensor.data().to_vec() }
}

fn card_of(path: &Path, format: &'static str, text: Option<&str>) -> Result<Option<(Card, Net)>> {
    let read = text.map(Card::from_json).transpose();
    Ok(read.map_err(|message| weights::Error::Format { path: path.into(), format, message })?)
}

/// The net whose parameters `found` are: as the card says, where there is one, else by names and shapes.
fn net_of(
    path: &Path,
    format: &'static str,
    found: weights::Foreign,
    card: Option<(Card, Net)>,
    statistics: Vec<(String, Tensor)>,
    given: &Given,
) -> Result<Foreign> {
    let mut notes = found.notes;
    if !found.others.is_empty() {
        let listed: Vec<_> = found.others.iter().take(SHOWN).map(|(name, kind)| format!("`{}` ({kind})", shown(name))).collect();
        let more = if found.others.len() > listed.len() { ", …" } else { "" };
        notes.push(format!("tensors that are not of floats were passed over: {}{more}", listed.join(", ")));
    }
    if let Some((card, net)) = card {
        return of_card(path, format, found.tensors, (card, net), statistics, given);
    }
    let (net, weights) = of_names(path, found.tensors, given, &mut notes)?;
    let (order, classes) = (LabelOrder::Sorted, Vec::new());
    Ok(Foreign { format, net, weights, card: None, preprocessing: None, statistics: None, order, classes, notes })
}

/// What this program wrote: the card says everything but the values.
fn of_card(
    path: &Path,
    format: &'static str,
    tensors: Tensors,
    (card, net): (Card, Net),
    statistics: Vec<(String, Tensor)>,
    given: &Given,
) -> Result<Foreign> {
    given.check_net(&net, |name| format!("the card in `{}` is of `{}`, not of `{name}`", path.display(), net.name()))?;
    let mut held: HashMap<String, SharedTensor> = tensors.into_iter().collect();
    let mut weights = Vec::new();
    for (index, param) in net.params().iter().enumerate() {
        let theirs = torchvision_name(index);
        let tensor = held.remove(&param.name).or_else(|| held.remove(theirs.as_deref()?));
        let missing = || Error::UnknownNet {
            path: path.into(),
            message: format!("its card is of a net with `{}`, which is missing", param.name),
        };
        weights.push((param.name.clone(), tensor.ok_or_else(missing)?));
    }
    let statistics = if statistics.is_empty() { None } else { Some(Statistics::from_tensors(&statistics)?) };
    let (order, notes) = (LabelOrder::Sorted, Vec::new());
    let classes = card.classes.clone();
    Ok(Foreign { format, net, weights, card: Some(card), preprocessing: None, statistics, order, classes, notes })
}

/// torchvision's name for the parameter of this index in a net of eight layers.
pub(crate) fn torchvision_name(index: usize) -> Option<String> {
    let part = if index.is_multiple_of(2) { "weight" } else { "bias" };
    TORCHVISION.get(index / 2).map(|layer| format!("{layer}.{part}"))
}

/// A net by names and shapes, and its parameters under our names.
fn of_names(path: &Path, tensors: Tensors, given: &Given, notes: &mut Vec<String>) -> Result<(Net, Tensors)> {
    let tensors = plain(tensors, notes);
    let layers = Layers::of(&tensors);
    let known = [(&TORCHVISION, &["torchvision"]), (&D2L, &["d2l"])];
    let known = known.into_iter().find(|(names, _)| names.iter().all(|name| layers.named.contains_key(*name)));
    let ours = layers.our_orders();
    let (has_ours, is_known) = (!ours.is_empty(), known.is_some());
    let (orders, usual): (Vec<Vec<&str>>, &[&str]) = match known {
        Some((names, usual)) => (vec![names.to_vec()], usual),
        None if has_ours => (ours, &[]),
        None => (vec![layers.order.clone(), layers.by_number()], &["torchvision"]),
    };
    for order in &orders {
        let Some(indices) = layers.indices(order).filter(|indices| indices.len() == tensors.len()) else { continue };
        let shapes: Vec<_> = indices.iter().map(|index| tensors[*index].1.shape.clone()).collect();
        let mut candidates = identify::by_shapes(&shapes);
        if has_ours {
            let named = |net: &Net| net.params().iter().zip(&indices).all(|(param, index)| param.name == tensors[*index].0);
            candidates.retain(named);
        }
        if candidates.is_empty() {
            continue;
        }
        let net = identify::choose(path, candidates, given.net.as_deref(), usual)?;
        if !is_known && !has_ours {
            notes.push("its tensors have names that are not known, so layers were told by their order and shapes".into());
        }
        if !is_known || usual != [net.name()] {
            notes.push(format!(
                "nothing in it says how it wants its images: they are prepared as the recipe of `{}` says",
                net.name()
            ));
        }
        let weights = net.params().iter().zip(&indices).map(|(param, index)| (param.name.clone(), tensors[*index].1.clone()));
        let weights = weights.collect();
        return Ok((net, weights));
    }
    if let Some(name) = &given.net {
        // Says so where there is no such preset at all.
        Net::preset(name)?;
    }
    Err(Error::UnknownNet { path: path.into(), message: why_not(&tensors, &orders[0], given, usual) })
}

/// What keeps tensors from being a preset's: with the layers in this order where there are eight.
fn why_not(tensors: &Tensors, order: &[&str], given: &Given, usual: &[&str]) -> String {
    if tensors.is_empty() {
        return "there are no tensors of floats in it".into();
    }
    let ours: BTreeMap<&str, &str> =
        if order.len() == OURS.len() { order.iter().copied().zip(OURS).collect() } else { BTreeMap::new() };
    let name_of = |name: &str| {
        let (layer, part) = name.rsplit_once('.')?;
        Some(format!("{}.{part}", ours.get(layer)?))
    };
    let shapes: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect();
    let preferred: Vec<&str> = given.net.iter().map(String::as_str).chain(usual.iter().copied()).collect();
    identify::mismatches(&shapes, name_of, &preferred)
}

/// Names without what wrappers add to them and without what they all begin with; says so.
fn plain(tensors: Tensors, notes: &mut Vec<String>) -> Tensors {
    let split: Vec<Vec<&str>> = tensors.iter().map(|(name, _)| name.split('.').collect()).collect();
    let wraps = |part: &&str| WRAPPERS.contains(part);
    let mut removed: Vec<&str> = WRAPPERS.into_iter().filter(|part| split.iter().any(|parts| parts.contains(part))).collect();
    let split: Vec<Vec<&str>> = split.into_iter().map(|parts| parts.into_iter().filter(|part| !wraps(part)).collect()).collect();
    // A layer and what it has remain: `weight`, `bias`.
    let is_shared = |at: usize| split.iter().all(|parts| parts.len() > at + 2 && parts[at] == split[0][at]);
    let shared = if split.is_empty() { 0 } else { (0..).take_while(|at| is_shared(*at)).count() };
    removed.extend(split.first().into_iter().flat_map(|parts| &parts[..shared]));
    if !removed.is_empty() {
        let listed: Vec<_> = removed.iter().take(SHOWN).map(|part| format!("`{}.`", shown(part))).collect();
        let more = if removed.len() > SHOWN { ", …" } else { "" };
        notes.push(format!("{}{more} was taken out of its tensors' names", listed.join(", ")));
    }
    let names: Vec<String> = split.iter().map(|parts| parts[shared..].join(".")).collect();
    names.into_iter().zip(&tensors).map(|(name, (_, tensor))| (name, tensor.clone())).collect()
}

/// As many names are listed.
const SHOWN: usize = 4;

/// Tensors by their layers: `LAYER.weight` and `LAYER.bias`.
struct Layers<'t> {
    /// Layers in the order in which they begin.
    order: Vec<&'t str>,
    /// Indices of their weight and bias.
    named: HashMap<&'t str, [Option<usize>; 2]>,
}

impl<'t> Layers<'t> {
    fn of(tensors: &'t Tensors) -> Layers<'t> {
        let (mut order, mut named) = (Vec::new(), HashMap::new());
        for (index, (name, _)) in tensors.iter().enumerate() {
            let (layer, part) = name.rsplit_once('.').unwrap_or(("", name));
            let place = match part {
                "weight" => 0,
                "bias" => 1,
                _ => continue,
            };
            let pair = named.entry(layer).or_insert_with(|| {
                order.push(layer);
                [None; 2]
            });
            pair[place] = Some(index);
        }
        Layers { order, named }
    }

    /// The tensors of layers in this order, weight and bias in turn; `None` where one is missing.
    fn indices(&self, order: &[&str]) -> Option<Vec<usize>> {
        let pairs: Option<Vec<_>> = order.iter().map(|layer| self.named.get(layer).copied()).collect();
        pairs?.into_iter().flatten().collect()
    }

    /// Where layers are called as ours are: the orders in which presets have them.
    fn our_orders(&self) -> Vec<Vec<&'t str>> {
        let mut orders = Vec::new();
        for preset in identify::presets() {
            let names = preset.params().iter().step_by(2).filter_map(|param| param.name.rsplit_once('.'));
            let found: Option<Vec<_>> = names.map(|(layer, _)| self.named.get_key_value(layer).map(|(name, _)| *name)).collect();
            orders.extend(found.filter(|found| found.len() == self.order.len() && !orders.contains(found)));
        }
        orders
    }

    /// The layers by their names, numbers at their ends by value: files that are sorted by name have 10 before 2. What is called
    /// a classifier comes behind the rest, as data go.
    fn by_number(&self) -> Vec<&'t str> {
        let mut order = self.order.clone();
        order.sort_by_key(|layer| {
            let text = layer.trim_end_matches(|c: char| c.is_ascii_digit());
            let late = ["classifier", "fc", "linear"].iter().any(|kind| text.starts_with(kind));
            (late, text, layer[text.len()..].parse::<u64>().unwrap_or(u64::MAX))
        });
        order
    }
}

#[cfg(test)]
mod tests;
