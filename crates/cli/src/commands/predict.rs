//! `alexnet predict`: which class does an image show?

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use data::{BadImages, EvalLoader, LoaderOptions, Source, Views};
use report::format;
use serde_json::json;
use train::checkpoint::Checks;
use zoo::Card;

use crate::dataset::titled;
use crate::device::Compute;
use crate::failure::{Failure, Result};
use crate::inputs::Inputs;
use crate::saved::{Loaded, Weights};
use crate::{Common, terminal};

/// Say what images show, with the five most probable classes
#[derive(Args)]
#[command(after_help = "\
Prints bars on a terminal, and elsewhere one line of JSON for each image. The
built-in images have names, scenes/val/00000 and so on; they have no files.

Examples:
  alexnet predict --weights runs/scenes-scenes-1 scenes/val/00000
  alexnet predict --weights runs/alexnet-photos-1 cat.jpg
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
    #[command(flatten)]
    compute: Compute,
}

impl Predict {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let inputs = Arc::new(Inputs::new(&self.images, !self.no_exif_rotation)?);
        let engine = self.compute.engine(common.threads())?;
        let batch = inputs.len().min(self.batch.into());
        let Loaded { model, mut executor, pipeline } = self.weights.load(&engine, batch, Checks::Inference, common.quiet)?;
        let Card { classes, words, .. } = &model.card;
        let options =
            LoaderOptions { batch: executor.capacity(), threads: engine.threads(), slots: 3, seed: 0, bad: BadImages::Skip };
        let mut loader = EvalLoader::start(Arc::<Inputs>::clone(&inputs), pipeline, Views::Centre, options);
        let json = self.json || !terminal::is_terminal();
        while let Some(loaded) = loader.next()? {
            let probabilities = executor.forward(&loaded.batch)?;
            for (row, &sample) in probabilities.chunks_exact(classes.len()).zip(&loaded.samples) {
                let (name, truth) = (&inputs.name(sample as usize), inputs.truth(sample as usize));
                let answer = Answer { name, truth, classes, words };
                terminal::print(&if json { answer.line(row) } else { answer.bars(row) })?;
            }
            loader.give_back(loaded);
        }
        let bad = loader.bad();
        if bad.is_empty() {
            return Ok(());
        }
        bad.iter().for_each(|image| eprintln!("warning: {image}"));
        let count = format::of(bad.len() as u64, "image", "images");
        Err(Failure::failed(
            format!("{count} could not be read"),
            "give JPEG, PNG, WebP or BMP files; the others were classified",
        ))
    }
}

/// The most probable classes, the most probable first, the lower index first among equals.
fn top(probabilities: &[f32]) -> Vec<(usize, f32)> {
    let mut all: Vec<_> = probabilities.iter().copied().enumerate().collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(5);
    all
}

/// What there is to say about an image besides its probabilities.
struct Answer<'a> {
    name: &'a str,
    /// Its class, where it is known.
    truth: Option<&'a str>,
    classes: &'a [String],
    /// What they are called in words, if there are any.
    words: &'a [String],
}

impl Answer<'_> {
    fn line(&self, probabilities: &[f32]) -> String {
        let one = |(label, p): (usize, f32)| {
            let mut one = json!({ "class": self.classes[label], "probability": p });
            if let Some(words) = self.words.get(label).filter(|words| !words.is_empty()) {
                one["words"] = words.as_str().into();
            }
            one
        };
        let top: Vec<_> = top(probabilities).into_iter().map(one).collect();
        let mut line = json!({ "image": self.name, "top": top });
        if let Some(truth) = self.truth {
            line["truth"] = truth.into();
        }
        format!("{line}\n")
    }

    fn bars(&self, probabilities: &[f32]) -> String {
        let titled = |(label, p): (usize, f32)| (titled(&self.classes[label], self.words, label), p);
        let top: Vec<_> = top(probabilities).into_iter().map(titled).collect();
        let width = top.iter().map(|(class, _)| class.chars().count()).max().unwrap_or(0);
        let mut text = match self.truth {
            Some(truth) => format!("{}, which shows: {truth}\n", self.name),
            None => format!("{}\n", self.name),
        };
        for (class, p) in top {
            let (bar, share) = (format::bar(p.into(), 24), format::share(p.into()));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {class:<width$}  {bar} {share:>8}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_shown_with_their_first_word() {
        let classes = ["n01440764".to_string(), "mine".into()];
        let words = ["tench, Tinca tinca".to_string(), String::new()];
        let answer = Answer { name: "a.jpg", truth: None, classes: &classes, words: &words };
        let bars = answer.bars(&[0.25, 0.75]);
        let rows: Vec<&str> = bars.lines().collect();
        assert!(rows[0] == "a.jpg" && rows[1].starts_with("  mine             "), "{bars}");
        assert!(rows[2].starts_with("  n01440764 tench  "), "{bars}");
        let line: serde_json::Value = serde_json::from_str(&answer.line(&[0.25, 0.75])).expect("JSON");
        assert_eq!((line["top"][0].get("words"), &line["top"][1]["words"]), (None, &"tench, Tinca tinca".into()));
        let unworded = Answer { words: &[], ..answer };
        assert!(unworded.bars(&[0.25, 0.75]).contains("  n01440764  "));
    }
}
