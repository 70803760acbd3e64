//! OpenCV's reader of Caffe's files, where Python has one, gives the probabilities that we give.
//!
//! OpenCV 4 has that reader, OpenCV 5 no longer: `ALEXNET_OPENCV_PYTHON` names a Python with the former where `ALEXNET_PYTHON` has
//! the latter.

mod skip;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use data::{Channels, Mean};
use net::random::{Purpose, Stream};
use net::{DropoutScaling, Executor, Kind, Mode, Net, Op, ParamSet, SharedTensor, Tensor};
use zoo::Model;

/// Two programs in f32 against one in f64: probabilities of 1000 classes are some 1e-3.
const BOUND: f64 = 1e-5;

fn model_of(net: &Net, channels: Channels) -> Model {
    let mut weights = Vec::new();
    for (index, param) in net.params().iter().enumerate() {
        let draw = Stream::new(17, Purpose::Initialise, index as u32, 0, 0);
        let scale = 6.0 / (param.fan_in as f64).sqrt();
        let values: Vec<f32> = (0..param.len()).map(|i| ((draw.uniform(i as u32) - 0.5) * scale) as f32).collect();
        weights.push((param.name.clone(), SharedTensor { shape: param.shape.clone(), values: Arc::new(values) }));
    }
    let recipe = train::Recipe::builtin(train::recipe_for(net.name())).unwrap();
    let preprocessing = data::Preprocessing { channels, mean: Mean::None, colour_noise: None, ..recipe.preprocessing };
    let card = zoo::Card {
        format: 1,
        version: "0".into(),
        revision: String::new(),
        net: net.to_toml(),
        variant: net::Variant::of(net),
        preprocessing,
        classes: (0..net.classes()).map(|class| class.to_string()).collect(),
        words: Vec::new(),
        dataset: None,
        trained: None,
        metrics: None,
        initialised_from: None,
        origin: None,
    };
    let statistics = data::Statistics::default();
    Model { path: "none".into(), net: net.clone(), weights, statistics, card, notes: Vec::new(), checkpoint: None }
}

/// What the softmax makes probabilities of.
fn scores(model: &Model, pixels: &[f32]) -> Vec<f64> {
    let mut engine = reference::prepare(&model.net, 1, Mode::Infer);
    let tensor = |shared: &SharedTensor| Tensor { shape: shared.shape.clone(), data: shared.data().to_vec() };
    let params = model.weights.iter().map(|(name, shared)| (name.clone(), tensor(shared))).collect();
    engine.load(Kind::Weights, &ParamSet::new(params)).unwrap();
    engine.run(pixels.iter().map(|&x| f64::from(x)).collect(), reference::Pass::Test);
    engine.input_of(model.net.layers().len() - 1).to_vec()
}

fn softmax(scores: &[f64]) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::MIN, f64::max);
    let exponentials: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

/// Scales the last linear layer so that no class takes everything: f32 is compared where it is precise.
fn tempered(mut model: Model, pixels: &[f32]) -> Model {
    let scores = scores(&model, pixels);
    let factor = (2.0 / scores.iter().fold(0.0f64, |most, score| most.max(score.abs()))) as f32;
    let first = model.weights.len() - 2;
    for (_, tensor) in &mut model.weights[first..] {
        tensor.values = Arc::new(tensor.data().iter().map(|value| value * factor).collect::<Vec<f32>>());
    }
    model
}

/// Whole presets of Caffe's, and others that are rewritten: a window with zeros (`alexnet`, `owt`), towers and normalisation
/// within a map (`alexnet-2012`), factors instead of dropout and of a normalisation's k. OpenCV does not know Caffe's
/// `round_mode`, so those that need it are not among them.
fn models() -> Vec<Model> {
    let mut models: Vec<Model> =
        ["caffe", "caffenet"].iter().map(|name| model_of(&Net::preset(name).unwrap(), Channels::Bgr)).collect();
    for name in ["alexnet", "alexnet-2012", "owt", "torchvision", "cifar-18pct"] {
        let net = Net::preset(name).unwrap();
        let mut layers = net.layers().to_vec();
        if !name.starts_with("cifar") {
            for layer in &mut layers {
                match &mut layer.op {
                    Op::Conv(conv) => conv.k /= 8,
                    Op::Linear(linear) => linear.k = linear.k.min(100),
                    _ => {}
                }
            }
        }
        models.push(model_of(&Net::new(name, net.input(), layers).unwrap(), Channels::Rgb));
    }
    models
}

/// Images in the order in which a Caffe user feeds them: the net's own, or its reverse where its weights were turned round.
fn feed(model: &Model, pixels: &[f32]) -> Vec<f32> {
    let plane = model.net.input().plane();
    match model.card.preprocessing.channels {
        Channels::Rgb => pixels.chunks(plane).rev().flatten().copied().collect(),
        _ => pixels.to_vec(),
    }
}

fn write(folder: &Path, model: &Model, pixels: &[f32]) {
    let (name, input) = (model.net.name(), model.net.input());
    let path = |ending: &str| folder.join(format!("{name}.{ending}"));
    zoo::write_caffe(model, &path("caffemodel")).unwrap();
    fs::write(path("shape"), format!("1 {} {} {}", input.c, input.h, input.w)).unwrap();
    let bytes: Vec<u8> = feed(model, pixels).iter().flat_map(|value| value.to_le_bytes()).collect();
    fs::write(path("input"), bytes).unwrap();
}

#[test]
fn opencv_gives_the_same_probabilities() {
    let named = std::env::var("ALEXNET_OPENCV_PYTHON").or_else(|_| std::env::var("ALEXNET_PYTHON"));
    let python = named.unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/caffe.py");
    let run = |folder: &Path, names: &[&str]| Command::new(&python).arg(script).arg(folder).args(names).output();
    let folder = tempfile::tempdir().unwrap();
    // Asks with nothing to do first, for the nets take a while.
    match run(folder.path(), &[]) {
        Err(error) => return skip::skip(&format!("`{python}`: {error}")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            if let Some(reason) = said.strip_prefix("skipped: ") {
                return skip::skip(reason.trim());
            }
        }
    }
    for model in models() {
        let (name, input) = (model.net.name().to_string(), model.net.input());
        let draw = Stream::new(23, Purpose::Crop, 0, 0, 0);
        let pixels: Vec<f32> = (0..input.len()).map(|i| (draw.uniform(i as u32) * 256.0 - 128.0) as f32).collect();
        let model = tempered(model, &pixels);
        write(folder.path(), &model, &pixels);
        let output = run(folder.path(), &[&name]).unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let bytes = fs::read(folder.path().join(format!("{name}.output"))).unwrap();
        let theirs: Vec<f32> = bytes.as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        let ours = softmax(&scores(&model, &pixels));
        let distance = ours.iter().zip(&theirs).map(|(a, &b)| (a - f64::from(b)).abs()).fold(0.0, f64::max);
        let (most, least) = ours.iter().fold((0.0f64, 1.0f64), |(most, least), &p| (most.max(p), least.min(p)));
        assert_eq!(ours.len(), theirs.len(), "{name}");
        assert!(distance <= BOUND, "{name}: {distance} apart; probabilities are {least} to {most}");
        // Probabilities that are all alike would agree whatever was read.
        assert!(most > 1.5 * least, "{name}: {least} to {most}");
        let scales = model.net.layers().iter().any(|layer| match &layer.op {
            Op::Dropout(dropout) => dropout.scaling == DropoutScaling::Test,
            Op::Lrn(lrn) => lrn.k != 1.0,
            _ => false,
        });
        let text = fs::read_to_string(folder.path().join(format!("{name}.prototxt"))).unwrap();
        assert_eq!(text.contains("\"Power\""), scales, "{name}");
    }
}
