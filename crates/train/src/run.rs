//! The training loop.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use data::{BadImages, Dataset, Statistics};
use net::{Executor, SharedTensor};

use crate::checkpoint::{InitialisedFrom, Metrics};
use crate::run_dir::STATISTICS;
use crate::session::Session;
use crate::{Event, Log, Recipe, Result, RunDir};

/// Everything about a run besides the net, which is the executor's, and the data.
#[derive(Debug)]
pub struct RunConfig<'a> {
    /// Where it is kept.
    pub dir: &'a RunDir,
    /// How to train.
    pub recipe: &'a Recipe,
    /// What to begin with.
    pub start: Start,
    /// Loader threads, at least 1. They change no bit of the result.
    pub threads: usize,
    /// What to do about images that cannot be used.
    pub bad_images: BadImages,
    /// Revision of the program's source, for the records.
    pub revision: String,
}

/// What a run begins with. Momenta are zero at the beginning, whatever the weights.
#[derive(Debug, Clone)]
pub enum Start {
    /// Initial values by the net and the recipe's seed.
    Initial,
    /// Trained weights. They are kept in a checkpoint of no step before the first one, so that the run can be resumed without
    /// the file that they are from.
    Weights(Box<Inherited>),
    /// The newest checkpoint in the run's folder, or the beginning where there is none.
    Resume {
        /// Whether to take the newest intact one where the newest is damaged.
        fall_back: bool,
    },
}

/// Trained weights, and what else of their net goes on.
#[derive(Debug, Clone)]
pub struct Inherited {
    /// Exactly the parameters of the net to be trained; see [`crate::transfer`].
    pub weights: Vec<(String, SharedTensor)>,
    /// What the weights have been used to seeing subtracted, and the colours that noise followed. Of what is missing here and
    /// needed by the recipe, the training images are measured; nothing else is taken from them.
    pub statistics: Statistics,
    /// Where the weights are from.
    pub from: InitialisedFrom,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// All steps are taken.
    Finished(Box<Summary>),
    /// It was asked to stop.
    Interrupted {
        /// Steps taken.
        step: u32,
        /// The checkpoint's folder.
        checkpoint: PathBuf,
    },
}

/// A run that is complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Steps taken.
    pub step: u32,
    /// The last evaluation; `None` without validation images.
    pub last: Option<Metrics>,
    /// The best evaluation.
    pub best: Option<Metrics>,
    /// The last checkpoint's folder.
    pub checkpoint: PathBuf,
}

/// Trains the executor's net on `dataset`, from the start or from a checkpoint, until the recipe's end or until `stop`
/// becomes true; then it finishes the step, writes a checkpoint and returns. Going on later gives the same bits as never
/// having stopped.
///
/// # Errors
/// The recipe does not fit; images cannot be used; a file cannot be written; the loss is not finite. Whatever happens, the
/// checkpoints written before stay.
pub fn run(
    exec: &mut dyn Executor,
    dataset: &Dataset,
    config: &RunConfig<'_>,
    log: &mut dyn Log,
    stop: &AtomicBool,
) -> Result<Outcome> {
    Session::begin(exec, dataset, config, log, stop)?.train()
}

impl Session<'_> {
    fn train(mut self) -> Result<Outcome> {
        if matches!(self.config.start, Start::Weights(_)) {
            self.checkpoint()?;
        }
        while self.step < self.span.steps && !self.progress.reached {
            if self.evaluation_due() {
                self.evaluate()?;
            }
            if self.checkpoint_due() {
                self.checkpoint()?;
            }
            if self.stopped() {
                return self.interrupt();
            }
            let loaded = self.training.next()?;
            self.forward_backward(&loaded)?;
            self.rates = self.schedule.at(self.step, &mut self.hyper);
            self.exec.apply(&self.hyper)?;
            self.step += 1;
            self.record_losses(&loaded)?;
            self.training.give_back(loaded);
        }
        self.finish()
    }
}

/// The statistics of the training images, kept in the run's folder: taken from the data set where it has them, or measured
/// once; then read. Preprocessing that uses none has none measured, except where all bad images are to be reported, which
/// takes a look at each. A run that begins with trained weights has those that came with them, as far as they go.
///
/// # Errors
/// Where an image cannot be used, the file not be written or read, or `stop` became true.
pub fn statistics(dataset: &Dataset, config: &RunConfig<'_>, log: &mut dyn Log, stop: &AtomicBool) -> Result<Statistics> {
    let path = config.dir.path().join(STATISTICS);
    if path.exists() {
        return Ok(Statistics::from_tensors(&weights::safetensors::read(&path)?.0)?);
    }
    let recipe = config.recipe;
    let inherited = match &config.start {
        Start::Weights(inherited) => inherited.statistics.clone(),
        _ => Statistics::default(),
    };
    if inherited.suffice(&recipe.preprocessing) && inherited != Statistics::default() && config.bad_images != BadImages::Report {
        return keep(&path, inherited);
    }
    if !recipe.preprocessing.needs_statistics() && config.bad_images != BadImages::Report {
        return Ok(Statistics::default());
    }
    // What was measured beforehand is what would be found, but no look at each image.
    if config.bad_images != BadImages::Report
        && let Some(statistics) = dataset.train.measured(&recipe.preprocessing)
    {
        return keep(&path, inherited.or(statistics));
    }
    let mut progress = |done, total| {
        log.record(&Event::Statistics { done: done as u64, total: total as u64 });
        if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let (statistics, bad) =
        Statistics::compute(&*dataset.train, &recipe.preprocessing, config.threads, config.bad_images, &mut progress)?;
    if !bad.is_empty() {
        log.record(&Event::bad_images("train", &bad));
    }
    keep(&path, inherited.or(statistics))
}

/// Writes the statistics.
fn keep(path: &Path, statistics: Statistics) -> Result<Statistics> {
    let tensors = statistics.to_tensors();
    weights::safetensors::write(path, &weights::safetensors::of_list(&tensors), &Default::default())?;
    Ok(statistics)
}
