//! Names and shapes of other programs' tensors, and our own files.

use std::sync::Arc;

use data::{Mean, Preprocessing};
use train::checkpoint::Checks;

use super::*;
use crate::{Model, Names, open, write_safetensors, write_torch};

/// The parameters of a preset under other names for its layers, without values.
fn tensors(net: &Net, layers: &[&str]) -> Tensors {
    let parts = ["weight", "bias"];
    let name = |index: usize| format!("{}.{}", layers[index / 2], parts[index % 2]);
    let shapes = net.params().iter().map(|param| param.shape.clone());
    shapes.enumerate().map(|(index, shape)| (name(index), SharedTensor { shape, values: Arc::new(Vec::new()) })).collect()
}

fn preset(name: &str) -> Net {
    Net::preset(name).unwrap()
}

/// What these tensors are taken for: the net's name, the names of the first and the last of them, and what is said of it.
fn taken(tensors: Tensors, net: Option<&str>) -> Result<(String, usize, Vec<String>), String> {
    let given = Given { net: net.map(String::from), ..Given::default() };
    let mut notes = Vec::new();
    let (net, weights) = of_names(Path::new("file"), tensors, &given, &mut notes).map_err(|error| error.to_string())?;
    for (param, (name, tensor)) in net.params().iter().zip(&weights) {
        assert_eq!((&param.name, &param.shape), (name, &tensor.shape));
    }
    assert_eq!(net.params().len(), weights.len());
    Ok((net.name().to_string(), net.classes(), notes))
}

#[test]
fn known_names_need_no_words() {
    let known = |preset: &str, classes| Ok((preset.to_string(), classes, vec![]));
    assert_eq!(taken(tensors(&preset("torchvision"), &TORCHVISION), None), known("torchvision", 1000));
    assert_eq!(taken(tensors(&preset("d2l"), &D2L), None), known("d2l", 10));
    let mut ten = tensors(&preset("torchvision").with_classes(10).unwrap(), &TORCHVISION);
    assert_eq!(taken(ten.clone(), None), known("torchvision", 10));
    // As files have them that are sorted by name.
    ten.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(taken(ten, None), known("torchvision", 10));
}

#[test]
fn what_wrappers_add_is_taken_off() {
    let wrapped = |net: &str, names: &[&str; 8], wrap: fn(&str) -> String| {
        let mut tensors = tensors(&preset(net), names);
        tensors.iter_mut().for_each(|(name, _)| *name = wrap(name));
        taken(tensors, None).unwrap()
    };
    let whole = wrapped("torchvision", &TORCHVISION, |name| format!("module.{name}"));
    assert_eq!(whole.2, ["`module.` was taken out of its tensors' names"]);
    // Convolutions alone on several devices.
    let part = wrapped("torchvision", &TORCHVISION, |name| name.replace("features.", "features.module."));
    assert_eq!((part.0.as_str(), &part.2), ("torchvision", &whole.2));
    let both = wrapped("d2l", &D2L, |name| format!("_orig_mod.net.{name}"));
    assert_eq!(
        (both.0.as_str(), &both.2[..]),
        ("d2l", &["`_orig_mod.`, `net.` was taken out of its tensors' names".to_string()][..])
    );
}

/// A header's length may begin with the byte that pickles begin with, and names may be those of a checkpoint's parts.
#[test]
fn a_header_that_begins_as_a_pickle_is_a_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let net = preset("tiny");
    let values: Vec<Vec<f32>> = net.params().iter().map(|param| vec![0.5; param.len()]).collect();
    let names: Vec<String> = net.params().iter().map(|param| format!("model_state.{}", param.name)).collect();
    let parts: Vec<weights::safetensors::Part> =
        names.iter().zip(net.params()).zip(&values).map(|((name, p), v)| (name.as_str(), &p.shape[..], &v[..])).collect();
    let mut bytes = Vec::new();
    for more in (0..256).step_by(8) {
        bytes.clear();
        let text = BTreeMap::from([("more".to_string(), " ".repeat(more))]);
        weights::safetensors::write_parts(&mut bytes, &parts, &text).unwrap();
        if bytes[0] == 0x80 {
            break;
        }
    }
    assert_eq!(bytes[0], 0x80);
    std::fs::write(&path, bytes).unwrap();
    let given = Given { net: Some("tiny".into()), ..Given::default() };
    assert_eq!(open(&path, &given, Checks::All).unwrap().net.name(), "tiny");
}

const RECIPE: &str = "nothing in it says how it wants its images: they are prepared as the recipe of";

#[test]
fn unknown_names_are_told_by_order_and_shapes() {
    let names = ["c1", "c2", "c3", "c4", "c5", "l1", "l2", "l3"];
    let (net, _, notes) = taken(tensors(&preset("torchvision"), &names), None).unwrap();
    assert_eq!(net, "torchvision");
    assert_eq!(notes[0], "its tensors have names that are not known, so layers were told by their order and shapes");
    assert_eq!(notes[1], format!("{RECIPE} `torchvision` says"));
    let mut sorted = tensors(&preset("torchvision"), &["s.0", "s.3", "s.6", "s.8", "s.10", "t.1", "t.4", "t.16"]);
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(sorted[2].0, "s.10.bias");
    assert_eq!(taken(sorted, None).unwrap().0, "torchvision");
}

#[test]
fn our_names_alone_may_mean_several_nets() {
    let own = |name: &str| {
        let net = preset(name);
        let params = net.params().iter().map(|param| (param.name.clone(), param.shape.clone()));
        params.map(|(name, shape)| (name, SharedTensor { shape, values: Arc::new(Vec::new()) })).collect::<Tensors>()
    };
    let several = "`file` could be `owt` or `torchvision`: nothing in it says which";
    assert_eq!(taken(own("torchvision"), None).unwrap_err(), several);
    let (net, _, notes) = taken(own("torchvision"), Some("owt")).unwrap();
    assert_eq!((net.as_str(), notes), ("owt", vec![format!("{RECIPE} `owt` says")]));
    assert_eq!(taken(own("d2l"), None).unwrap().0, "d2l");
    for name in ["cifar-13pct", "cifar-80sec", "scenes"] {
        let mut tensors = own(name);
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(taken(tensors, None).unwrap().0, name);
    }
    let other = taken(own("torchvision"), Some("caffe")).unwrap_err();
    assert!(other.contains("--preset: `file` has the parameters of `owt` or `torchvision`, not of `caffe`"), "{other}");
    assert!(taken(own("torchvision"), Some("lenet")).unwrap_err().contains("lenet"));
}

#[test]
fn what_does_not_fit_is_listed() {
    let mut changed = tensors(&preset("torchvision"), &TORCHVISION);
    changed[0].1.shape[1] = 1;
    changed.remove(3);
    changed.push(("extra.weight".into(), changed[1].1.clone()));
    let said = taken(changed, None).unwrap_err();
    for line in [
        "`file` holds no AlexNet that is known: of the presets, `torchvision` is the nearest, but",
        "`features.0.weight` has shape [64, 1, 11, 11], expected [64, 3, 11, 11]",
        "`conv2.bias` [192] is missing",
        "`extra.weight` [64] is not among them",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(taken(Vec::new(), None).unwrap_err().contains("there are no tensors of floats in it"));
    let mut unbiased = tensors(&preset("torchvision"), &TORCHVISION);
    unbiased.retain(|(name, _)| name.ends_with("weight"));
    assert!(taken(unbiased, None).unwrap_err().contains("`conv1.bias` [64] is missing"));
}

/// A model of the smallest AlexNet, whose statistics are needed or not.
fn model(preprocessing: Preprocessing) -> Model {
    small("scenes", preprocessing)
}

fn small(name: &str, preprocessing: Preprocessing) -> Model {
    let net = preset(name);
    let params = net.initial_params(7);
    let weights =
        params.iter().map(|(name, tensor)| (name.to_string(), crate::model::tensor(tensor.shape.clone(), tensor.data.clone())));
    let weights = weights.collect();
    let statistics = if preprocessing.needs_statistics() { Statistics::made_up(&preprocessing) } else { Statistics::default() };
    let classes = (0..net.classes()).map(|class| format!("class {class}")).collect();
    let card = Card::of_net(&net, preprocessing, classes, Vec::new());
    Model { path: "made".into(), net, weights, statistics, card, notes: Vec::new(), checkpoint: None }
}

fn preprocessing(mean: Mean) -> Preprocessing {
    Preprocessing { stored: 48, mean, colour_noise: None, ..Preprocessing::default() }
}

fn assert_same(read: &Model, model: &Model) {
    assert_eq!((&read.net, &read.card, &read.statistics), (&model.net, &model.card, &model.statistics));
    for ((name, tensor), (expected, other)) in read.weights.iter().zip(&model.weights) {
        assert_eq!((name, &tensor.shape, tensor.data()), (expected, &other.shape, other.data()));
    }
}

#[test]
fn our_own_files_say_everything_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    for write in [write_safetensors, write_torch] {
        for mean in [Mean::Values([1.0, 2.0, 3.0]), Mean::Image, Mean::Channels] {
            let model = model(preprocessing(mean));
            assert_eq!(write(&model, &path, Names::Ours).unwrap(), [""; 0]);
            let bytes = std::fs::read(&path).unwrap();
            write(&model, &path, Names::Ours).unwrap();
            assert!(bytes == std::fs::read(&path).unwrap(), "the same model gives the same bytes");
            let read = open(&path, &Given::default(), Checks::All).unwrap();
            assert_same(&read, &model);
            assert_eq!(read.notes, [""; 0]);
            let said = |net: &str| open(&path, &Given { net: Some(net.into()), ..Given::default() }, Checks::All);
            assert!(said("scenes").is_ok());
            let error = said("caffe").unwrap_err().to_string();
            assert!(error.starts_with("--preset: the card in ") && error.ends_with("is of `scenes`, not of `caffe`"), "{error}");
            let given = Given { mean: Some("1,2,3".into()), ..Given::default() };
            assert_eq!(open(&path, &given, Checks::All).unwrap().card.preprocessing.mean, Mean::Values([1.0, 2.0, 3.0]));
        }
    }
}

#[test]
fn files_that_lack_what_their_card_says_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    let model = model(preprocessing(Mean::Image));
    let card = BTreeMap::from([(card::KEY.to_string(), model.card.to_json())]);
    let error = |tensors: &[(String, SharedTensor)], text: &BTreeMap<String, String>| {
        let parts: Vec<_> = tensors.iter().map(|(name, tensor)| (name.as_str(), &tensor.shape[..], tensor.data())).collect();
        weights::replace(&path, |writer| weights::safetensors::write_parts(writer, &parts, text)).unwrap();
        open(&path, &Given::default(), Checks::All).unwrap_err().to_string()
    };
    assert!(error(&model.weights[1..], &card).contains("its card is of a net with `conv1.weight`, which is missing"));
    assert!(error(&model.weights, &card).contains("needs statistics of its training images, which are missing"));
    let later = BTreeMap::from([(card::KEY.to_string(), r#"{"format": 2}"#.to_string())]);
    assert!(error(&model.weights, &later).contains("its card is of form 2, this program reads form 1"));
}

/// Whatever becomes of a byte, files are read or say on one line why not; lists of tensors may follow.
#[test]
fn damaged_files_of_ours_do_not_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    for write in [write_safetensors, write_torch] {
        let model =
            small("tiny", Preprocessing { stored: 16, mean: Mean::Channels, colour_noise: None, ..Preprocessing::default() });
        write(&model, &path, Names::Ours).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (mut read, mut refused) = (0, 0);
        for position in (0..bytes.len()).step_by(bytes.len() / 1000 + 1) {
            for flip in [1, 128] {
                let mut hostile = bytes.clone();
                hostile[position] ^= flip;
                // Some file systems wait for the disk where a file is overwritten in place.
                std::fs::remove_file(&path).unwrap();
                std::fs::write(&path, hostile).unwrap();
                match open(&path, &Given::default(), Checks::All) {
                    Ok(_) => read += 1,
                    Err(error) => {
                        assert!(!error.to_string().is_empty());
                        refused += 1;
                    }
                }
            }
        }
        assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
    }
}

/// Checkpoints of other programs are told apart from PyTorch's that have keys like theirs.
#[test]
fn checkpoints_with_keys_of_other_programs_are_pytorch_s() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    let head = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}U\x0dlittle_endian\x88s.";
    std::fs::write(&path, [&head[..], b"\x80\x02}U\x10model_state_dict}s.\x80\x02]."].concat()).unwrap();
    let error = open(&path, &Given::default(), Checks::All).unwrap_err().to_string();
    assert!(error.contains("is not a usable PyTorch file: there is no state dict in it: it holds a dictionary"), "{error}");
}

#[test]
fn only_nets_of_torchvision_s_shapes_get_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net");
    for write in [write_safetensors, write_torch] {
        let error = write(&model(preprocessing(Mean::None)), &path, Names::Torchvision).unwrap_err().to_string();
        let expected = "a state dict with torchvision's names cannot hold this net: `conv1.weight` has shape [";
        assert!(error.starts_with(expected), "{error}");
        assert!(!path.exists());
    }
}
