//! ONNX files: those of other programs, our own there and back, damaged ones, and what a runtime makes of ours.

mod files;
mod hostile;
mod made;
mod round;
mod runtime;
#[path = "../skip/mod.rs"]
mod skip;

use std::path::Path;

use net::{Batch, Executor, Mode, ParamSet, Pixels, Tensor};
use train::checkpoint::Checks;
use zoo::{Given, Model};

/// The model in a file.
fn open(path: &Path) -> zoo::Result<Model> {
    zoo::open(path, &Given::default(), Checks::All)
}

/// The model in a file of these bytes.
fn open_bytes(folder: &Path, bytes: &[u8]) -> zoo::Result<Model> {
    let path = folder.join("x.onnx");
    std::fs::write(&path, bytes).unwrap();
    open(&path)
}

/// The parameters of a model, owned.
fn params(model: &Model) -> ParamSet {
    let owned = |(name, tensor): &(String, net::SharedTensor)| {
        (name.clone(), Tensor { shape: tensor.shape.clone(), data: tensor.data().to_vec() })
    };
    ParamSet::new(model.weights.iter().map(owned).collect())
}

/// What the oracle says of pixels, `[n, c, h, w]`: the probabilities, `[n, classes]`.
fn probabilities(model: &Model, pixels: &[f32]) -> Vec<f64> {
    let n = pixels.len() / model.net.input().len();
    let mut engine = reference::prepare(&model.net, n, Mode::Infer);
    engine.load(net::Kind::Weights, &params(model)).unwrap();
    let batch = Batch { n, pixels: Pixels::F32(pixels.to_vec()), labels: vec![0; n], mixed: None };
    engine.forward(&batch).unwrap();
    engine.output_of(model.net.layers().len() - 1).to_vec()
}

/// The largest difference of two lists of probabilities.
fn distance(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len(), "probabilities");
    // Not `max` alone, to which a NaN would be nothing.
    ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d <= most { most } else { d })
}
