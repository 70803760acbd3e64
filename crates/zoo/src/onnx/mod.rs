//! ONNX: which AlexNet a graph computes, and the way back.
//!
//! A graph is read as a chain of ops from its input to its output ([`chain`]); constants, padding and normalisation on the way
//! become what they mean in a net. A file that this program wrote says in its card what it holds, and is believed if its graph is
//! the one that the card's net makes ([`build`]).

mod base64;
mod border;
mod build;
mod chain;
mod layers;
mod matrix;
mod own;
mod sizes;
mod window;
mod write;

pub use write::{OnnxOptions, write_onnx};

use std::path::Path;
use std::sync::Arc;

use data::{Channels, LabelOrder, Mean, Preprocessing, Statistics, Std};
use net::{AvgPool, Conv, DropoutScaling, MaxPool, Net, Op, Variant};
use weights::Mapped;
use weights::onnx::{Model, in_one_line};

use crate::foreign::{Foreign, usual_preprocessing};
use crate::{Error, Given, Result, identify, mean};
use chain::{Chain, Wrong};

/// The format's name.
pub(crate) const FORMAT: &str = "ONNX";
/// The key under which a file names its classes, a line each.
const CLASSES: &str = "classes";

/// Reads the net in an ONNX file.
///
/// # Errors
/// Where the file is damaged or computes no AlexNet: names the node in the way.
pub(crate) fn read(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let model = weights::onnx::read(file)?;
    let mut notes = Vec::new();
    if let Some(own) = own::read(file.path(), &model, &mut notes)? {
        check_given(given, file.path(), &own.net)?;
        return Ok(own);
    }
    let fault = |wrong| match wrong {
        Wrong::Net(message) => Error::UnknownNet { path: file.path().into(), message: in_one_line(&message) },
        Wrong::File(error) => error.into(),
    };
    let chain = chain::of_model(&model).map_err(fault)?;
    notes.extend(chain.notes.iter().cloned());
    let net = net_of(&chain, &model, given).map_err(|error| match error {
        Error::Net(error) => Error::UnknownNet { path: file.path().into(), message: error.to_string() },
        other => other,
    })?;
    check_given(given, file.path(), &net)?;
    let (preprocessing, statistics) = preprocessing(file.path(), &net, &model, &chain, &mut notes)?;
    let weights = net.params().iter().map(|param| param.name.clone()).zip(chain.params.into_iter().flatten()).collect();
    let classes = model.text(CLASSES).map(|text| text.lines().map(name_of_line).collect()).unwrap_or_default();
    Ok(Foreign {
        format: FORMAT,
        net,
        weights,
        card: None,
        preprocessing: Some(preprocessing),
        statistics,
        order: LabelOrder::Sorted,
        classes,
        notes,
    })
}

/// The name in a line of a list of classes: what stands before a tab.
fn name_of_line(line: &str) -> String {
    line.split('\t').next().unwrap_or_default().to_string()
}

/// Checks that a file holds the preset that the user says it holds.
fn check_given(given: &Given, path: &Path, net: &Net) -> Result<()> {
    given.check_net(net, |name| format!("the graph of `{}` computes `{}`, not `{name}`", shown(path), net.name()))
}

/// Whether PyTorch wrote a model.
fn is_of_torch(model: &Model) -> bool {
    model.producer.eq_ignore_ascii_case("pytorch")
}

/// The net of a chain: a preset where one does the same.
fn net_of(chain: &Chain, model: &Model, given: &Given) -> Result<Net> {
    let preferred = given.net.as_deref().or(is_of_torch(model).then_some("torchvision"));
    let net = identify::by_ops(chain.input, chain.ops.clone(), preferred)?;
    if net.name() != "imported" {
        return Ok(net);
    }
    for preset in identify::presets().filter(|preset| preset.input() == chain.input) {
        if let Some(ops) = with_borders_of(&net, &preset)
            && let Ok(same) = identify::by_ops(chain.input, ops, preferred)
            && same.name() == preset.name()
        {
            return Ok(same);
        }
    }
    Ok(net)
}

/// The ops of `net`, each window's end written as in `preset` where both see the same pixels: what lies behind the last window
/// may be padding, rounding or nothing. `None` where the nets differ in more.
fn with_borders_of(net: &Net, preset: &Net) -> Option<Vec<Op>> {
    let tested = |net: &Net| -> Vec<usize> {
        let kept = |op: &Op| !matches!(op, Op::Dropout(dropout) if dropout.scaling == DropoutScaling::Train);
        (0..net.layers().len()).filter(|&index| kept(&net.layers()[index].op)).collect()
    };
    let (mine, theirs) = (tested(net), tested(preset));
    if mine.len() != theirs.len() {
        return None;
    }
    let mut ops = Vec::new();
    for (&index, &other) in mine.iter().zip(&theirs) {
        let (shape, other_shape) = (net.output_of(index), preset.output_of(other));
        let op = match (&net.layers()[index].op, &preset.layers()[other].op) {
            (mine, theirs) if std::mem::discriminant(mine) != std::mem::discriminant(theirs) => return None,
            (Op::Conv(a), Op::Conv(b)) if shape == other_shape && start(a.padding) == start(b.padding) => {
                Op::Conv(Conv { padding: b.padding, rounding: b.rounding, ..a.clone() })
            }
            (Op::MaxPool(a), Op::MaxPool(b)) if shape == other_shape && start(a.padding) == start(b.padding) => {
                Op::MaxPool(MaxPool { padding: b.padding, rounding: b.rounding, ..a.clone() })
            }
            (Op::AvgPool(a), Op::AvgPool(b)) if shape == other_shape && start(a.padding) == start(b.padding) => {
                Op::AvgPool(AvgPool { padding: b.padding, rounding: b.rounding, ..a.clone() })
            }
            (mine, _) => mine.clone(),
        };
        ops.push(op);
    }
    Some(ops)
}

fn start(padding: net::Padding) -> (usize, usize) {
    (padding.top, padding.left)
}

/// How the net wants its images: as its preset's recipe says, but for what its graph does to pixels itself; and the mean image
/// that this needs.
fn preprocessing(
    path: &Path,
    net: &Net,
    model: &Model,
    chain: &Chain,
    notes: &mut Vec<String>,
) -> Result<(Preprocessing, Option<Statistics>)> {
    let fault = |message: String| Error::UnknownNet { path: path.into(), message };
    let mut usual = match identify::presets().any(|preset| preset.name() == net.name()) {
        true => usual_preprocessing(net)?,
        false => assumed(net, model, notes)?,
    };
    if chain.border.reversed {
        usual.channels = Channels::Bgr;
    }
    let Some(done) = chain.border.normalisation().map_err(fault)? else { return Ok((usual, None)) };
    let in_rgb = |values: &[f32]| match (values, usual.channels) {
        (&[b, g, r], Channels::Bgr) => [r, g, b],
        (&[r, g, b], _) => [r, g, b],
        (values, _) => [values.first().copied().unwrap_or_default(); 3],
    };
    usual.mean = if done.mean.iter().all(|&value| value == 0.0) { Mean::None } else { Mean::Values(in_rgb(&done.mean)) };
    usual.std = if done.std.iter().all(|&value| value == 1.0) { Std::None } else { Std::Values(in_rgb(&done.std)) };
    let scale = if done.unit { "0 to 1" } else { "0 to 255" };
    notes.push(format!("the graph normalises its pixels, which it takes from {scale}; this became the net's preprocessing"));
    let statistics = match done.image {
        None => None,
        Some(image) => {
            let reversed = |image: &[f32]| image.chunks(net.input().plane()).rev().flatten().copied().collect();
            let image = if usual.channels == Channels::Bgr { reversed(&image) } else { image };
            mean::apply_crop(path, image, &mut usual, net.input(), notes).map_err(fault)?
        }
    };
    Ok((usual, statistics))
}

/// The preprocessing of a net that is no preset: that of PyTorch's models if PyTorch wrote it, else of the nearest preset.
fn assumed(net: &Net, model: &Model, notes: &mut Vec<String>) -> Result<Preprocessing> {
    let nearest = if is_of_torch(model) { "torchvision".to_string() } else { Variant::of(net).preset };
    let mut usual = usual_preprocessing(&Net::preset(&nearest)?)?;
    let input = net.input();
    let side = input.h.max(input.w);
    if side > usual.stored || 2 * side < usual.stored {
        // As 224 of 256.
        usual.stored = side.saturating_mul(8).div_ceil(7);
    }
    match (input.c, usual.channels) {
        (1, _) => usual.channels = Channels::Grey,
        (_, Channels::Grey) => usual.channels = Channels::Rgb,
        _ => {}
    }
    notes.push(format!("the file does not say how images are prepared; assumed as for `{nearest}`"));
    Ok(usual)
}

/// The number of at most six digits that an f32, or a quotient or product of some, was made from; else the number itself.
fn decimal(value: f64) -> f64 {
    let short: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    if (short - value).abs() <= 4e-7 * value.abs() { short } else { value }
}

/// A file's name, for messages.
fn shown(path: &Path) -> String {
    path.display().to_string()
}
