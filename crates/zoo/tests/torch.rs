//! Nets go from PyTorch to us and back, and say the same of the same images. Needs a Python with torch, torchvision and
//! safetensors: `python3`, or what `ALEXNET_PYTHON` names.

mod skip;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cpu::Options;
use data::{Preprocessing, Statistics};
use net::{Batch, Executor, Mode, Tensor};
use train::checkpoint::Checks;
use zoo::{Given, Model, Names, write_safetensors, write_torch};

/// The most that a probability may differ: sums in f32 in another order, and what the softmax makes of it.
const MOST: f64 = 1e-5;

fn python() -> Command {
    Command::new(std::env::var_os("ALEXNET_PYTHON").unwrap_or("python3".into()))
}

/// Why the test cannot run, if it cannot.
fn missing() -> Option<String> {
    match python().args(["-c", "import torch, torchvision, safetensors.torch"]).output() {
        Err(error) => Some(format!("there is no Python: {error}")),
        Ok(output) if !output.status.success() => Some("Python has no torch, torchvision or safetensors".into()),
        Ok(_) => None,
    }
}

/// Runs `pytorch.py`, and gives what it prints.
fn run(arguments: &[&Path]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/pytorch.py");
    let output = python().arg("-B").arg(script).args(arguments).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

/// The largest difference between what a model says of images and what PyTorch said.
fn difference(model: &Model, images: &Tensor, expected: &Tensor) -> f64 {
    let n = images.shape[0];
    let mut engine = cpu::prepare(&model.net, n, Mode::Infer, &Options::default()).unwrap();
    engine.load_shared(&model.weights).unwrap();
    let mut batch = Batch::with_capacity(n, model.net.input().len());
    batch.f32_mut().copy_from_slice(&images.data);
    batch.n = n;
    let said = engine.forward(&batch).unwrap();
    assert_eq!(said.len(), expected.data.len());
    said.iter().zip(&expected.data).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max)
}

#[test]
fn nets_go_to_pytorch_and_back() {
    if let Some(reason) = missing() {
        return skip::skip(&reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    println!("{}", run(&[Path::new("make"), folder]));
    let (said, _) = weights::safetensors::read(&folder.join("said")).unwrap();
    let tensor = |name: &str| &said.iter().find(|(found, _)| found == name).expect("made").1;
    for (name, preset, images, probabilities) in [
        ("archive.pth", "torchvision", "images", "probabilities"),
        ("sequence.pth", "torchvision", "images", "probabilities"),
        ("module.pt", "torchvision", "images", "probabilities"),
        ("state.safetensors", "torchvision", "images", "probabilities"),
        ("d2l.pth", "d2l", "grey", "d2l"),
    ] {
        let path = folder.join(name);
        let model = zoo::open(&path, &Given::default(), Checks::All).unwrap();
        assert_eq!(model.net.name(), preset, "{name}");
        let difference = difference(&model, tensor(images), tensor(probabilities));
        println!("{name}: {} notes, differs by at most {difference:e}", model.notes.len());
        assert!(difference <= MOST, "{name}: {difference:e}");
    }
    let model = zoo::open(&folder.join("archive.pth"), &Given::default(), Checks::All).unwrap();
    let (torch, safetensors) = (folder.join("ours.pth"), folder.join("ours.safetensors"));
    assert_eq!(write_torch(&model, &torch, Names::Torchvision).unwrap(), [""; 0]);
    assert_eq!(write_safetensors(&model, &safetensors, Names::Torchvision).unwrap(), [""; 0]);
    for path in [&torch, &safetensors] {
        let difference: f64 = run(&[Path::new("check"), folder, path]).parse().unwrap();
        println!("{}: differs in PyTorch by at most {difference:e}", path.display());
        assert!(difference <= MOST, "{}: {difference:e}", path.display());
        let back = zoo::open(path, &Given::default(), Checks::All).unwrap();
        assert_eq!((&back.card, &back.net), (&model.card, &model.net));
        assert!(back.weights.iter().zip(&model.weights).all(|(a, b)| a.0 == b.0 && a.1.data() == b.1.data()));
    }
}

/// A net with a mean image beside it, which PyTorch passes over.
#[test]
fn state_dicts_with_statistics_are_read_by_pytorch() {
    if let Some(reason) = missing() {
        return skip::skip(&reason);
    }
    let folder = tempfile::tempdir().unwrap();
    let (path, packed) = (folder.path().join("net.pth"), folder.path().join("net.safetensors"));
    let net = net::Net::preset("scenes").unwrap();
    let params = net.initial_params(3);
    let preprocessing = Preprocessing { stored: 48, colour_noise: None, ..Preprocessing::default() };
    let statistics = Statistics::made_up(&preprocessing);
    let card = serde_json::json!({
        "format": 1, "version": "0", "revision": "", "net": net.to_toml(), "variant": net::Variant::of(&net),
        "preprocessing": preprocessing, "classes": (0..net.classes()).map(|class| class.to_string()).collect::<Vec<_>>(),
    });
    let tensors = statistics.to_tensors();
    let all: Vec<_> = params.iter().chain(tensors.iter().map(|(name, tensor)| (name.as_str(), tensor))).collect();
    weights::safetensors::write(&packed, &all, &BTreeMap::from([("alexnet".to_string(), card.to_string())])).unwrap();
    let model = zoo::open(&packed, &Given::default(), Checks::All).unwrap();
    assert_eq!(model.statistics, statistics);
    write_torch(&model, &path, Names::Ours).unwrap();
    let said = run(&[Path::new("list"), folder.path(), &path]);
    for (line, (name, tensor)) in said.lines().zip(params.iter()) {
        let (head, sum) = line.rsplit_once(' ').unwrap();
        assert_eq!(head, format!("{name} {:?}", tensor.shape));
        let expected: f64 = tensor.data.iter().map(|value| f64::from(*value)).sum();
        assert!((sum.parse::<f64>().unwrap() - expected).abs() < 1e-9, "{line}, expected {expected}");
    }
    assert_eq!(said.lines().count(), net.params().len());
}
