//! A model as an ONNX file.

use std::path::Path;

use data::{Channels, Mean, Preprocessing, Std};
use weights::onnx;

use super::build::{self, IR_VERSION, OPSET};
use super::{CLASSES, own};
use crate::card::KEY;
use crate::{Model, Result};

/// How an ONNX file is to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OnnxOptions {
    /// Whether the graph takes bytes of red, green and blue, `[N, 3, h, w]`, and prepares them itself: order of colours, mean,
    /// deviation. Resizing and cropping stay outside. Without it the graph takes what the net takes: f32, `[N, c, h, w]`.
    pub preprocessing: bool,
}

/// Writes a model as ONNX, whole or not at all: version 17 of the ops, any number of images at once, probabilities as output. Our
/// own reader gets the same model back, bit for bit, card and mean image included; other programs find its classes under
/// `classes`, a line each, and what its input is in its description. Returns what the user should know, a sentence each.
///
/// # Errors
/// [`crate::Error::Inexpressible`] where ONNX cannot say what the net or its preprocessing does; where the file cannot be
/// written.
pub fn write_onnx(model: &Model, path: &Path, options: &OnnxOptions) -> Result<Vec<String>> {
    let preprocessing = &model.card.preprocessing;
    let pixels = options.preprocessing.then_some((preprocessing, &model.statistics));
    let graph = build::graph_of(&model.net, &model.weights, pixels)?;
    let mut metadata = vec![
        (KEY.to_string(), model.card.to_json()),
        (CLASSES.to_string(), class_lines(&model.card.classes, &model.card.words)),
        ("input".to_string(), input_text(model, options)),
    ];
    metadata.extend(own::statistics_text(&model.statistics));
    let file = onnx::Model {
        ir_version: IR_VERSION,
        opsets: vec![(String::new(), OPSET)],
        producer: "alexnet".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        doc: format!("{} for {} classes. {}", model.net.name(), model.net.classes(), input_text(model, options)),
        metadata,
        graph,
    };
    onnx::write(path, &file)?;
    let mut notes = Vec::new();
    if options.preprocessing && preprocessing.mean == Mean::ImageAtCrop {
        notes.push("the graph subtracts the central crop of the mean image, so its input should be a central crop".into());
    }
    if !options.preprocessing {
        notes.push(input_text(model, options));
    }
    Ok(notes)
}

/// A class a line: its name, and its words behind a tab.
fn class_lines(classes: &[String], words: &[String]) -> String {
    let line = |(index, class): (usize, &String)| match words.get(index) {
        Some(words) => format!("{class}\t{words}"),
        None => class.clone(),
    };
    classes.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// What the graph takes, in words.
fn input_text(model: &Model, options: &OnnxOptions) -> String {
    let (shape, p) = (model.net.input(), &model.card.preprocessing);
    let crop = format!("the centre of an image brought to {0} × {0}", p.stored);
    if options.preprocessing {
        return format!("the input is bytes of red, green and blue, [N, 3, {}, {}], {crop}", shape.h, shape.w);
    }
    let colours = match p.channels {
        Channels::Rgb => "red, green, blue",
        Channels::Bgr => "blue, green, red",
        Channels::Grey => "luma",
    };
    format!("the input is f32 of {colours}, [N, {}, {}, {}], {crop}, {}", shape.c, shape.h, shape.w, scale_text(p))
}

fn scale_text(p: &Preprocessing) -> String {
    let mean = match p.mean {
        Mean::None => "0 to 255".to_string(),
        Mean::Values([r, g, b]) => format!("0 to 255 less {r}, {g}, {b} (red, green, blue)"),
        Mean::Channels => "0 to 255 less the training images' mean colour".into(),
        Mean::Image | Mean::ImageAtCrop => "0 to 255 less the training images' mean image".into(),
    };
    match p.std {
        Std::None => mean,
        Std::Values([r, g, b]) => format!("{mean}, divided by {r}, {g}, {b}"),
        Std::Channels => format!("{mean}, divided by the training images' deviation of each colour"),
    }
}
