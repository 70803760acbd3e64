//! `alexnet predict`: which class does an image show?

use std::borrow::Cow;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use data::{BadImages, EvalLoader, Image, LoaderOptions, Source, Views};
use net::Executor;
use serde_json::json;

use crate::engine::Engine;
use crate::failure::{Failure, Result};
use crate::saved::{Loaded, Weights};
use crate::{Common, terminal};

/// Say what images show, with the five most probable classes
#[derive(Args)]
#[command(after_help = "\
Prints bars on a terminal, and elsewhere one line of JSON for each image.

Examples:
  alexnet predict --weights runs/scenes-scenes-1 cat.jpg
  alexnet predict --weights runs/alexnet-photos-1 holiday 'more/*.png'
  alexnet predict --weights runs/alexnet-photos-1 --json holiday > holiday.jsonl")]
pub(crate) struct Predict {
    #[command(flatten)]
    weights: Weights,
    /// Image files, folders of them, or patterns
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<PathBuf>,
    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Print JSON also on a terminal
    #[arg(long)]
    json: bool,
    /// Ignore the orientation that cameras note in their files
    #[arg(long)]
    no_exif_rotation: bool,
}

impl Predict {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let paths = data::list_images(&self.images)?;
        let engine = Engine::new(common.threads())?;
        let Loaded { saved, mut executor, pipeline } = self.weights.load(&engine, paths.len().min(self.batch.into()))?;
        let classes = &saved.manifest().classes;
        let files = Arc::new(Files { paths, exif: !self.no_exif_rotation });
        let options =
            LoaderOptions { batch: executor.capacity(), threads: engine.threads(), slots: 3, seed: 0, bad: BadImages::Skip };
        let mut loader = EvalLoader::start(Arc::<Files>::clone(&files), pipeline, Views::Centre, options);
        let json = self.json || !terminal::is_terminal();
        while let Some(loaded) = loader.next()? {
            let probabilities = executor.forward(&loaded.batch)?;
            for (row, &sample) in probabilities.chunks_exact(classes.len()).zip(&loaded.samples) {
                let name = files.name(sample as usize);
                terminal::print(&if json { line(&name, classes, row) } else { bars(&name, classes, row) })?;
            }
            loader.give_back(loaded);
        }
        let bad = loader.bad();
        if bad.is_empty() {
            return Ok(());
        }
        bad.iter().for_each(|image| eprintln!("warning: {image}"));
        let count = report::format::of(bad.len() as u64, "image", "images");
        Err(Failure::failed(
            format!("{count} could not be read"),
            "give JPEG, PNG, WebP or BMP files; the others were classified",
        ))
    }
}

/// The most probable classes, the most probable first, the lower index first among equals.
fn top<'a>(classes: &'a [String], probabilities: &[f32]) -> Vec<(&'a str, f32)> {
    let mut all: Vec<_> = classes.iter().map(String::as_str).zip(probabilities.iter().copied()).collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(5);
    all
}

fn line(name: &str, classes: &[String], probabilities: &[f32]) -> String {
    let top: Vec<_> =
        top(classes, probabilities).into_iter().map(|(class, p)| json!({ "class": class, "probability": p })).collect();
    format!("{}\n", json!({ "image": name, "top": top }))
}

fn bars(name: &str, classes: &[String], probabilities: &[f32]) -> String {
    let top = top(classes, probabilities);
    let width = top.iter().map(|(class, _)| class.chars().count()).max().unwrap_or(0);
    let mut text = format!("{name}\n");
    for (class, p) in top {
        let (bar, share) = (report::format::bar(p.into(), 24), report::format::share(p.into()));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {class:<width$}  {bar} {share:>8}");
    }
    text
}

/// The files as a source of images without labels.
struct Files {
    paths: Vec<PathBuf>,
    exif: bool,
}

impl Source for Files {
    fn len(&self) -> usize {
        self.paths.len()
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        self.paths[index].to_string_lossy()
    }

    fn read(&self, index: usize) -> data::Result<Image> {
        data::decode_file(&self.paths[index], self.exif)
    }
}
