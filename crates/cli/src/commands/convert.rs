//! `alexnet convert`: a trained net in another program's form.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use clap::{Args, ValueEnum};
use data::{BadImages, EvalLoader, LoaderOptions, Source, Views};
use net::Precision;
use report::format;
use serde_json::json;
use train::checkpoint::Checks;
use weights::Error as FileError;
use zoo::{Given, Model, Names, OnnxOptions, Pictures};

use crate::commands::describe::variant;
use crate::device::Where;
use crate::engine::Engine;
use crate::failure::{Failure, Result};
use crate::saved::{self, About};
use crate::{Common, interrupt, outputs, terminal};

/// Write a trained net in another program's form, and show that it still answers the same
#[derive(Args)]
#[command(after_help = "\
What is written is read back, and both nets answer the same generated pictures:
the largest difference of any probability is printed.

Examples:
  alexnet convert runs/mine mine.safetensors
  alexnet convert runs/mine mine.onnx --preprocessing   takes RGB of 0 to 255
  alexnet convert runs/mine mine.pth --names torchvision
  alexnet convert bvlc_alexnet.caffemodel caffe.safetensors --mean mean.binaryproto
  alexnet convert alexnet-owt-7be5be79.pth owt.onnx --classes synset_words.txt")]
pub(crate) struct Convert {
    /// A run directory, a checkpoint, or a file of trained weights
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// The file to write; its name's end says which form: .safetensors, .pth or .pt, .onnx, .caffemodel
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// How parameters are called in safetensors and PyTorch files: conv1.weight, or features.0.weight [default: as in the net's
    /// own program]
    #[arg(long, value_name = "ours|torchvision")]
    names: Option<NamesOf>,
    /// ONNX: the graph takes RGB of 0 to 255, and subtracts and divides by itself
    #[arg(long)]
    preprocessing: bool,
    /// Pictures to compare both nets on; 0 compares nothing
    #[arg(long, value_name = "N", default_value_t = 16)]
    pictures: u16,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    about: About,
}

/// Whose names parameters have.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum NamesOf {
    Ours,
    Torchvision,
}

/// The forms that are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Safetensors,
    Torch,
    Onnx,
    Caffe,
}

impl Form {
    fn of(path: &Path) -> Result<Form> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("safetensors") => Ok(Form::Safetensors),
            Some("pth" | "pt") => Ok(Form::Torch),
            Some("onnx") => Ok(Form::Onnx),
            Some("caffemodel") => Ok(Form::Caffe),
            _ => Err(Failure::usage(
                format!("`{}` does not say which form to write", path.display()),
                "let its name end in .safetensors, .pth, .onnx or .caffemodel",
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Form::Safetensors => "safetensors",
            Form::Torch => "a PyTorch state dict",
            Form::Onnx => "ONNX",
            Form::Caffe => "a caffemodel, with its prototxt beside it",
        }
    }
}

impl Convert {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let form = Form::of(&self.to)?;
        if self.preprocessing && form != Form::Onnx {
            return Err(Failure::usage("--preprocessing is for ONNX files", "let the name of OUT end in .onnx, or leave it out"));
        }
        if let Some(path) = self.files(form).iter().find(|path| path.exists()) {
            let exists = FileError::io("write", path, io::ErrorKind::AlreadyExists.into());
            return Err(exists.into());
        }
        outputs::check_place(&self.to)?;
        let mut model = zoo::open(&self.from, &self.about.given(), Checks::Inference)?;
        if model.card.revision.is_empty() {
            // What another program wrote is imported by this one.
            model.card.revision = env!("ALEXNET_REVISION").into();
        }
        let stop = interrupt::flag("nothing is left behind")?;
        let changes = self.write(&model, form)?;
        let compared = self.compare(&model, common, &stop);
        if stop.load(Ordering::Relaxed) {
            // Those that this net does not need are not there.
            self.files(form).iter().for_each(|path| drop(fs::remove_file(path)));
            return Err(Failure::interrupted());
        }
        let difference = compared?;
        let notes: Vec<&String> = model.notes.iter().chain(&changes).collect();
        terminal::print(&match self.json {
            true => self.in_json(&model, &notes, difference),
            false => self.in_text(&model, form, &notes, difference),
        })
    }

    /// All files that may be written: OUT, and what a form has beside it.
    fn files(&self, form: Form) -> Vec<PathBuf> {
        let beside: &[&str] = if form == Form::Caffe { &["prototxt", "mean.binaryproto"] } else { &[] };
        let beside = beside.iter().map(|end| self.to.with_extension(end));
        std::iter::once(self.to.clone()).chain(beside).collect()
    }

    /// Writes the file; returns what is not as it was, a sentence each.
    fn write(&self, model: &Model, form: Form) -> Result<Vec<String>> {
        let usual = if model.net.name() == "torchvision" { Names::Torchvision } else { Names::Ours };
        let names = match self.names {
            Some(NamesOf::Ours) => Names::Ours,
            Some(NamesOf::Torchvision) => Names::Torchvision,
            None => usual,
        };
        Ok(match form {
            Form::Safetensors => zoo::write_safetensors(model, &self.to, names)?,
            Form::Torch => zoo::write_torch(model, &self.to, names)?,
            Form::Onnx => zoo::write_onnx(model, &self.to, &OnnxOptions { preprocessing: self.preprocessing })?,
            Form::Caffe => zoo::write_caffe(model, &self.to)?,
        })
    }

    /// Reads what was written; gives the largest difference of any probability that both models give to the same pictures, unless
    /// there are to be none, or `stop` has come.
    fn compare(&self, model: &Model, common: &Common, stop: &AtomicBool) -> Result<Option<f32>> {
        let written = zoo::open(&self.to, &Given::default(), Checks::Inference)?;
        if self.pictures == 0 {
            return Ok(None);
        }
        let engine = Engine::new(self.place, common.threads(), Some(Precision::F32))?;
        let side = model.card.preprocessing.stored;
        let pictures: Arc<dyn Source> = Arc::new(Pictures::new(side, self.pictures.into()));
        let a = answers(model, &pictures, &engine, stop)?;
        let b = answers(&written, &pictures, &engine, stop)?;
        Ok(Some(a.iter().zip(&b).map(|(a, b)| difference(*a, *b)).fold(0.0, f32::max)))
    }

    fn in_text(&self, model: &Model, form: Form, notes: &[&String], difference: Option<f32>) -> String {
        let parameters = format::count(model.net.parameter_count() as u64);
        let mut rows = vec![
            ("from", self.from.display().to_string()),
            ("net", variant(&model.net, &model.card.variant)),
            ("to", format!("{}: {}, {parameters} parameters", self.to.display(), form.name())),
        ];
        if let Some(difference) = difference {
            let count = format::of(self.pictures.into(), "generated picture", "generated pictures");
            let same = if difference == 0.0 {
                "none: every probability is the same".into()
            } else {
                format!("{difference:.1e} in probability")
            };
            rows.push(("difference", format!("{same}, on {count}")));
        }
        let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
        let notes: String = notes.iter().map(|note| format!("note: {note}\n")).collect();
        format!("{}{notes}", format::table(&rows, &[]))
    }

    fn in_json(&self, model: &Model, notes: &[&String], difference: Option<f32>) -> String {
        let result = json!({
            "from": self.from.to_string_lossy(),
            "to": self.to.to_string_lossy(),
            "net": model.net.name(),
            "preset": model.card.variant.preset,
            "parameters": model.net.parameter_count(),
            "pictures": self.pictures,
            "largest_difference": difference,
            "notes": notes,
        });
        format!("{result:#}\n")
    }
}

/// By how much two probabilities differ; one that is no number differs from every number by infinitely much.
fn difference(a: f32, b: f32) -> f32 {
    match (a.is_nan(), b.is_nan()) {
        (false, false) => (a - b).abs(),
        (true, true) => 0.0,
        _ => f32::INFINITY,
    }
}

/// What a model says of pictures, `[n, classes]`; of fewer where `stop` has come.
fn answers(model: &Model, pictures: &Arc<dyn Source>, engine: &Engine, stop: &AtomicBool) -> Result<Vec<f32>> {
    let mut executor = saved::executor(model, engine, pictures.len().min(16))?;
    let options =
        LoaderOptions { batch: executor.capacity(), threads: engine.threads(), slots: 2, seed: 0, bad: BadImages::Stop };
    let mut loader = EvalLoader::start(Arc::clone(pictures), saved::pipeline(model)?, Views::Centre, options);
    let mut all = Vec::new();
    while let Some(loaded) = loader.next()? {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        all.extend_from_slice(executor.forward(&loaded.batch)?);
        loader.give_back(loaded);
    }
    Ok(all)
}
