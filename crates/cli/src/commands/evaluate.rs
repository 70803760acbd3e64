//! `alexnet evaluate`: how well a net does on images that it was not trained on.

use std::fs;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use clap::Args;
use data::{Dataset, Views};
use net::Net;
use report::{Console, Style, format};
use serde_json::json;
use train::checkpoint::Checks;
use train::evaluate::{EvaluateOptions, Evaluation, evaluate};
use zoo::Model;

use crate::dataset::{self, Reading};
use crate::device::Compute;
use crate::failure::{Context, Failure, Result};
use crate::origin::Origin;
use crate::saved::{self, Loaded, Weights};
use crate::{Common, interrupt, terminal};

/// Measure the error on validation images
#[derive(Args)]
#[command(after_help = "\
Errors are counted over every validation image; classes that are equally probable share the point.
Ten views: the corners and the centre, and their reflections; their probabilities are averaged.

Examples:
  alexnet evaluate --weights runs/scenes-scenes-1
  alexnet evaluate --weights runs/alexnet-photos-1 --data photos --views 10
  alexnet evaluate --weights runs/alexnet-photos-1 --data photos --csv tables")]
pub(crate) struct Evaluate {
    #[command(flatten)]
    weights: Weights,
    /// The data set [default: the one that the run was trained on]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// Views of each image whose probabilities are averaged: 1 or 10
    #[arg(long, value_name = "1|10", default_value = "1", value_parser = saved::views)]
    views: Views,
    /// Write per-class.csv and confusion.csv into this folder
    #[arg(long, value_name = "DIR")]
    csv: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    compute: Compute,
}

impl Evaluate {
    /// What is given, else what the run directory remembers; a checkpoint that lies in none is measured on the built-in images.
    fn data_and_reading(&self) -> (Option<PathBuf>, Reading) {
        match Origin::of_run(Origin::run_of(&self.weights.weights), self.data.as_deref(), &self.reading) {
            Ok(origin) => (origin.data, origin.reading),
            Err(_) => (None, self.reading.clone()),
        }
    }

    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let engine = self.compute.engine(common.threads())?;
        let (data, reading) = self.data_and_reading();
        let dataset = reading.open(data.as_deref())?;
        let Loaded { model, mut executor, pipeline } =
            self.weights.load(&engine, self.batch.into(), Checks::All, common.quiet)?;
        let by_position = model.card.has_unnamed_classes() && dataset.classes.len() == model.net.classes();
        let (classes, words) = match by_position {
            true => (&dataset.classes, &dataset.words),
            false => (&model.card.classes, &model.card.words),
        };
        let is_open = model.card.has_unnamed_classes() && !dataset.val.is_empty();
        let source = dataset::validation_as(&dataset, classes)
            .map_err(|failure| if is_open { unnamed(&model, &dataset) } else { failure })?;
        let mut console = Console::with_outputs(self.progress_style(common), Box::new(io::stderr()), Box::new(io::stderr()));
        dataset.notes.iter().for_each(|note| console.say(&format!("note: {note}")));
        if by_position {
            console.say(
                "note: the file does not name its classes: they are taken in the data set's order, which --label-order changes",
            );
        }
        source.remark(pipeline.preprocessing()).iter().for_each(|remark| console.say(&format!("note: {remark}")));
        let stop = interrupt::flag("nothing has been written")?;
        let options = EvaluateOptions { views: self.views, threads: reading.threads(&engine), bad: reading.bad_images() };
        let result = evaluate(&mut *executor, &source, &pipeline, &options, &stop, &mut |done, total| {
            console.progress(&[format!("evaluating: {} of {}", format::count(done), format::of(total, "image", "images"))]);
        })?;
        console.clear();
        let evaluation = result.ok_or_else(Failure::interrupted)?;
        evaluation.bad.iter().for_each(|image| console.warn(&format!("not counted: {}: {}", image.name, image.reason)));
        if let Some(folder) = &self.csv {
            write_tables(folder, &evaluation, classes, words)?;
        }
        let subject = Subject { checkpoint: &model.path, net: executor.net(), dataset: &dataset };
        terminal::print(&if self.json { json(&subject, &evaluation) } else { text(&subject, &evaluation) })
    }

    fn progress_style(&self, common: &Common) -> Style {
        if !common.quiet && io::stderr().is_terminal() { Style::Live } else { Style::Quiet }
    }
}

/// Why a net whose classes have no names cannot be measured on a data set with more or fewer of them.
fn unnamed(model: &Model, dataset: &Dataset) -> Failure {
    let classes = format::of(dataset.classes.len() as u64, "class", "classes");
    let (path, outputs) = (model.path.display(), format::count(model.net.classes() as u64));
    Failure::failed(
        format!("`{path}` does not name the {outputs} classes that it tells apart; data set `{}` has {classes}", dataset.name),
        "name them with --classes FILE, or evaluate on a data set with as many classes",
    )
}

/// What was evaluated on what.
struct Subject<'a> {
    checkpoint: &'a Path,
    net: &'a Net,
    dataset: &'a Dataset,
}

fn text(subject: &Subject<'_>, evaluation: &Evaluation) -> String {
    let Evaluation { views, images, .. } = *evaluation;
    let share = |error: f64, points: f64| format!("{}  ({points} of {} right)", format::share(error), format::count(images));
    let protocol = match views {
        1 => "centre crop".to_string(),
        _ => format!("{views} views, probabilities averaged"),
    };
    let rows = [
        ("checkpoint", subject.checkpoint.display().to_string()),
        ("net", subject.net.name().to_string()),
        ("data", format!("validation images of {}", subject.dataset.name)),
        ("images", format::count(images)),
        ("protocol", format!("{protocol}; classes equally probable share the point")),
        ("top-1 error", share(evaluation.top1_error(), evaluation.top1.points())),
        ("top-5 error", share(evaluation.top5_error(), evaluation.top5.points())),
        ("mean NLL", format!("{:.4}", evaluation.nll())),
    ];
    format::table(&rows.map(|(name, value)| vec![name.to_string(), value]), &[])
}

fn json(subject: &Subject<'_>, evaluation: &Evaluation) -> String {
    let bad: Vec<_> = evaluation.bad.iter().map(|image| json!({ "image": image.name, "reason": image.reason })).collect();
    let result = json!({
        "checkpoint": subject.checkpoint.to_string_lossy(),
        "net": subject.net.name(),
        "data": subject.dataset.name,
        "images": evaluation.images,
        "views": evaluation.views,
        "top1_correct": evaluation.top1.points(),
        "top5_correct": evaluation.top5.points(),
        "top1_error": evaluation.top1_error(),
        "top5_error": evaluation.top5_error(),
        "nll": evaluation.nll(),
        "bad": bad,
    });
    format!("{result:#}\n")
}

fn write_tables(folder: &Path, evaluation: &Evaluation, classes: &[String], words: &[String]) -> Result<()> {
    fs::create_dir_all(folder).context(|| folder.display().to_string())?;
    for (name, table) in
        [("per-class.csv", evaluation.per_class_csv(classes, words)), ("confusion.csv", evaluation.confusion_csv(classes))]
    {
        let path = folder.join(name);
        fs::write(&path, table).context(|| path.display().to_string())?;
    }
    Ok(())
}
