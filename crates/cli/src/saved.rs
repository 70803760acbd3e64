//! `--weights RUN|CHECKPOINT|FILE`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use data::{Pipeline, Views};
use net::Mode;
use train::checkpoint::Checks;
use zoo::{Given, Model};

use crate::engine::Engine;
use crate::failure::{Context, Result};
use crate::prepared::Prepared;
use crate::training::quoted;

/// Which weights.
#[derive(Args)]
pub(crate) struct Weights {
    /// A run directory (its best checkpoint is used), a checkpoint, or a file of trained weights
    #[arg(long, value_name = "RUN|CHECKPOINT|FILE")]
    pub(crate) weights: PathBuf,
    #[command(flatten)]
    pub(crate) about: About,
}

/// The heading of its options, named at each: one for the whole would also take the options of the command that come after.
const OTHERS: &str = "Files of other programs";

/// What a file of another program leaves open.
#[derive(Args, Clone, Default)]
pub(crate) struct About {
    /// Which preset the file holds, where several have parameters of its shapes
    #[arg(long, value_name = "NAME", help_heading = OTHERS, display_order = 800)]
    preset: Option<String>,
    /// What is subtracted from images: a mean image's file, or three numbers
    #[arg(long, value_name = "FILE|R,G,B", help_heading = OTHERS, display_order = 801)]
    mean: Option<String>,
    /// The names of its classes: a list, a class a line, or ILSVRC's development kit
    #[arg(long, value_name = "FILE", help_heading = OTHERS, display_order = 802)]
    classes: Option<PathBuf>,
}

impl About {
    /// As the library takes it.
    pub(crate) fn given(&self) -> Given {
        let About { preset, mean, classes } = self.clone();
        Given { net: preset, mean, classes }
    }

    /// Those of the options that features depend on, as they have to be given again: each with a space before it.
    pub(crate) fn of_features(&self) -> String {
        let options = [("--preset", &self.preset), ("--mean", &self.mean)];
        let given = options.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        given.map(|(name, value)| format!(" {name} {}", quoted(Path::new(value)))).collect()
    }
}

/// A model, ready to classify.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) executor: Prepared,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Weights {
    /// Reads and checks the model, says what its user should know unless that is to be `quiet`, and prepares its net for batches
    /// of `batch` images.
    pub(crate) fn load(&self, engine: &Engine, batch: usize, checks: Checks, quiet: bool) -> Result<Loaded> {
        let model = zoo::open(&self.weights, &self.about.given(), checks)?;
        model.notes.iter().filter(|_| !quiet).for_each(|note| eprintln!("note: {note}"));
        let pipeline = pipeline(&model)?;
        let executor = executor(&model, engine, batch)?;
        Ok(Loaded { model, executor, pipeline })
    }
}

/// How a model wants its images.
pub(crate) fn pipeline(model: &Model) -> Result<Arc<Pipeline>> {
    let (preprocessing, statistics) = (model.card.preprocessing.clone(), model.statistics.clone());
    Ok(Arc::new(Pipeline::new(preprocessing, statistics, model.net.input())?))
}

/// A model's net with its weights, for batches of `batch` images.
pub(crate) fn executor(model: &Model, engine: &Engine, batch: usize) -> Result<Prepared> {
    let mut executor = engine.prepare(&model.net, batch, Mode::Infer)?;
    executor.load_shared(&model.weights).context(|| model.path.display().to_string())?;
    Ok(executor)
}

/// Whether `path` is a run directory, a checkpoint, or a file.
pub(crate) fn is_one(path: &Path) -> bool {
    zoo::is_checkpoint(path) || zoo::is_run(path) || (path.is_file() && path.extension().is_none_or(|end| end != "toml"))
}

/// `--views 1|10`
pub(crate) fn views(text: &str) -> Result<Views, String> {
    match text {
        "1" => Ok(Views::Centre),
        "10" => Ok(Views::Ten),
        _ => Err("an image has 1 view, its centre, or 10: the corners and the centre, and their reflections".into()),
    }
}
