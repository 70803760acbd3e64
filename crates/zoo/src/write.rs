//! The way back: a model as a file for other programs, with its card wherever the format has a place for it.

use std::collections::BTreeMap;
use std::path::Path;

use data::{Mean, Statistics, Std};
use net::{Net, Tensor};
use weights::safetensors::{self, Part};

use crate::{Card, Error, Model, Result, card, state_dict};

/// How the tensors of a state dict are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As the net calls its parameters: `conv1.weight`.
    Ours,
    /// As torchvision's alexnet does (`features.0.weight`), for nets whose parameters have its shapes.
    Torchvision,
}

/// Writes a model as a safetensors file with its card, and says what its user should know, a sentence each. With our names the
/// statistics lie beside the parameters, where the preprocessing needs them; with torchvision's nothing lies beside them, so
/// the card gets their means in place of the mean image.
///
/// # Errors
/// [`Error::Inexpressible`] where the names are torchvision's and the shapes are not; else where the file cannot be written.
pub fn write_safetensors(model: &Model, path: &Path, names: Names) -> Result<Vec<String>> {
    let (named, mut notes) = named(model, names)?;
    let mut card = model.card.clone();
    let statistics = match names {
        Names::Ours => statistics(model),
        Names::Torchvision => {
            notes.extend(replace_statistics(&mut card, &model.statistics));
            Vec::new()
        }
    };
    let parts: Vec<Part> = parts(&named, model).chain(statistics.iter().map(part)).collect();
    let text = BTreeMap::from([(card::KEY.to_string(), card.to_json())]);
    weights::replace(path, |writer| safetensors::write_parts(writer, &parts, &text))?;
    Ok(notes)
}

/// Writes a model as a state dict that `torch.load` reads with its defaults. Card and statistics are records beside PyTorch's, which
/// it passes over. Says what its user should know, a sentence each.
///
/// # Errors
/// As [`write_safetensors`].
pub fn write_torch(model: &Model, path: &Path, names: Names) -> Result<Vec<String>> {
    let (named, notes) = named(model, names)?;
    let statistics = statistics(model);
    let (card, mut packed) = (model.card.to_json(), Vec::new());
    if !statistics.is_empty() {
        let parts: Vec<Part> = statistics.iter().map(part).collect();
        let packing = safetensors::write_parts(&mut packed, &parts, &BTreeMap::new());
        packing.map_err(|source| weights::Error::io("write", path, source))?;
    }
    let [card_name, statistics_name] = state_dict::RECORDS;
    let mut records = vec![(card_name, card.as_bytes())];
    records.extend((!packed.is_empty()).then_some((statistics_name, &packed[..])));
    let parts: Vec<Part> = parts(&named, model).collect();
    weights::replace(path, |writer| weights::torch::write_to(writer, &parts, &records))?;
    Ok(notes)
}

fn parts<'a>(names: &'a [String], model: &'a Model) -> impl Iterator<Item = Part<'a>> {
    names.iter().zip(&model.weights).map(|(name, (_, tensor))| (name.as_str(), &tensor.shape[..], tensor.data()))
}

fn part((name, tensor): &(String, Tensor)) -> Part<'_> {
    (name, &tensor.shape, &tensor.data)
}

fn statistics(model: &Model) -> Vec<(String, Tensor)> {
    if model.card.preprocessing.needs_statistics() { model.statistics.to_tensors() } else { Vec::new() }
}

/// What the model's parameters are called in the file, in their order; and what is to be said of that.
fn named(model: &Model, names: Names) -> Result<(Vec<String>, Vec<String>)> {
    if names == Names::Ours {
        return Ok((model.net.params().iter().map(|param| param.name.clone()).collect(), Vec::new()));
    }
    let net = &model.net;
    let theirs = Net::preset("torchvision")?.with_classes(net.classes())?;
    let inexpressible = |message| Error::Inexpressible { format: "a state dict with torchvision's names", message };
    if net.params().len() != theirs.params().len() {
        let message = format!("it has {} parameters, torchvision's alexnet has {}", net.params().len(), theirs.params().len());
        return Err(inexpressible(message));
    }
    let mut named = Vec::new();
    for (index, (param, their)) in net.params().iter().zip(theirs.params()).enumerate() {
        let name = state_dict::torchvision_name(index).unwrap_or_default();
        if param.shape != their.shape {
            let message = format!("`{}` has shape {:?}, torchvision's `{name}` has {:?}", param.name, param.shape, their.shape);
            return Err(inexpressible(message));
        }
        named.push(name);
    }
    let mut notes = Vec::new();
    if !net.tests_like(&theirs) {
        let how = net::differences(net, &theirs);
        notes.push(format!(
            "torchvision's own alexnet takes these parameters but computes something else with them, because here {}",
            how.join("; ")
        ));
    }
    Ok((named, notes))
}

/// Lets a card do without statistics: means of channels in place of the mean image, and no colour noise in training. Says what
/// is lost.
fn replace_statistics(card: &mut Card, statistics: &Statistics) -> Vec<String> {
    let (preprocessing, mut notes) = (&mut card.preprocessing, Vec::new());
    // Of grey images there is one value for all.
    let three = |values: &[f32]| match *values {
        [r, g, b] => Some([r, g, b]),
        [grey] => Some([grey; 3]),
        _ => None,
    };
    if let (Mean::Image | Mean::ImageAtCrop | Mean::Channels, Some(mean)) = (preprocessing.mean, three(&statistics.mean)) {
        if preprocessing.mean != Mean::Channels {
            let [r, g, b] = mean;
            notes.push(format!(
                "there is no place for the mean image beside torchvision's names, so its mean colour is in the card instead: {r}, {g}, {b} (red, green, blue)"
            ));
        }
        preprocessing.mean = Mean::Values(mean);
    }
    if let (Std::Channels, Some(std)) = (preprocessing.std, three(&statistics.std)) {
        preprocessing.std = Std::Values(std);
    }
    if preprocessing.colour_noise.take().is_some() {
        notes.push("there is no place for the principal colours beside torchvision's names, so the card is without colour noise in training".into());
    }
    notes
}
