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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use data::{Channels, ColourNoise, Preprocessing};
    use net::SharedTensor;

    use super::*;

    /// A model of a preset without values.
    fn model(name: &str) -> Model {
        let net = Net::preset(name).unwrap();
        let empty = |shape: &Vec<usize>| SharedTensor { shape: shape.clone(), values: Arc::new(Vec::new()) };
        let weights = net.params().iter().map(|param| (param.name.clone(), empty(&param.shape))).collect();
        let classes = (0..net.classes()).map(|class| class.to_string()).collect();
        let card = Card::of_net(&net, Preprocessing::default(), classes, Vec::new());
        Model { path: "made".into(), net, weights, statistics: Statistics::default(), card, notes: Vec::new(), checkpoint: None }
    }

    #[test]
    fn names_are_those_of_the_place() {
        let (names, notes) = named(&model("torchvision"), Names::Torchvision).unwrap();
        assert_eq!(notes, [""; 0]);
        assert_eq!(
            (names.len(), &names[..3]),
            (16, &["features.0.weight", "features.0.bias", "features.3.weight"].map(String::from)[..])
        );
        assert_eq!(names[15], "classifier.6.bias");
        let (names, notes) = named(&model("owt"), Names::Torchvision).unwrap();
        assert_eq!((names.len(), notes.len()), (16, 1));
        assert!(
            notes[0].starts_with("torchvision's own alexnet takes these parameters but computes something else"),
            "{}",
            notes[0]
        );
        assert!(notes[0].contains("`norm1`"), "{}", notes[0]);
        assert_eq!(named(&model("owt"), Names::Ours).unwrap().0[15], "fc8.bias");
    }

    #[test]
    fn nets_of_other_shapes_have_no_place() {
        let said = |name| named(&model(name), Names::Torchvision).unwrap_err().to_string();
        assert!(
            said("caffe")
                .ends_with("`conv1.weight` has shape [96, 3, 11, 11], torchvision's `features.0.weight` has [64, 3, 11, 11]")
        );
        assert!(said("cifar-19pct").ends_with("it has 8 parameters, torchvision's alexnet has 16"));
    }

    #[test]
    fn statistics_become_numbers() {
        let mut card = model("torchvision").card;
        card.preprocessing.std = Std::Channels;
        card.preprocessing.colour_noise = Some(ColourNoise::default());
        let statistics = Statistics { mean: vec![1.0, 2.0, 3.0], std: vec![4.0, 5.0, 6.0], ..Statistics::default() };
        let notes = replace_statistics(&mut card, &statistics);
        assert_eq!(card.preprocessing.mean, Mean::Values([1.0, 2.0, 3.0]));
        assert_eq!(card.preprocessing.std, Std::Values([4.0, 5.0, 6.0]));
        assert!(!card.preprocessing.needs_statistics());
        assert!(notes[0].contains("1, 2, 3 (red, green, blue)") && notes[1].contains("colour noise") && notes.len() == 2);
        // Values stay, and means of channels lose nothing.
        assert_eq!(replace_statistics(&mut card, &Statistics::default()), [""; 0]);
        card.preprocessing =
            Preprocessing { mean: Mean::Channels, colour_noise: None, channels: Channels::Grey, ..card.preprocessing };
        assert_eq!(replace_statistics(&mut card, &Statistics { mean: vec![9.0], ..Statistics::default() }), [""; 0]);
        assert_eq!(card.preprocessing.mean, Mean::Values([9.0; 3]));
    }
}
