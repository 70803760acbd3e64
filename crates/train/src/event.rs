//! What a run tells whoever listens.

use std::path::PathBuf;

use data::Stages;
use serde::Serialize;

/// Something that happened in a run. Printed as JSON with the key `event` naming the kind.
///
/// Events are recorded in the order of their steps. A resumed run begins with [`Event::Started`] whose `resumed_from` is a
/// step: whatever an earlier process recorded for that step and later is superseded, because those steps run again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The run is about to begin; always the first event.
    Started(Started),
    /// Something to be said aloud that is no fault: how a folder was split, what a recipe changes in its net.
    Note {
        /// One line.
        text: String,
    },
    /// Statistics of the training images are being computed.
    Statistics {
        /// Images read so far.
        done: u64,
        /// Images there are.
        total: u64,
    },
    /// One step of the self-test that memorises a batch.
    Memorising {
        /// From 0.
        step: u32,
        /// Mean loss over the batch.
        loss: f64,
    },
    /// The self-test is over.
    Memorised {
        /// Steps taken.
        steps: u32,
        /// The last mean loss.
        loss: f64,
    },
    /// One training step.
    Step(Step),
    /// An epoch has ended: where the time of its steps has gone.
    Time(Time),
    /// The learning rate of the weights or of the biases is another than at the step before.
    Rate {
        /// The first step with these rates.
        step: u32,
        /// Its epoch.
        epoch: u32,
        /// The schedule's rate of the weights, before the factors of net and recipe.
        rate: f64,
        /// The schedule's rate of the biases, before the factors of net and recipe.
        bias_rate: f64,
    },
    /// An evaluation is going on.
    Evaluating {
        /// Training steps taken.
        step: u32,
        /// Images evaluated.
        done: u64,
        /// Images there are.
        total: u64,
    },
    /// The validation images have been evaluated.
    Evaluated(Evaluated),
    /// A checkpoint is safe on the disk.
    Checkpoint {
        /// Training steps taken.
        step: u32,
        /// Its folder.
        path: PathBuf,
        /// Whether its validation error is the lowest so far.
        best: bool,
        /// How long it took.
        seconds: f64,
    },
    /// Something may be wrong; the run goes on.
    Warning {
        /// Training steps taken.
        step: u32,
        /// What, and what it may come from. May have several lines.
        text: String,
    },
    /// Images that cannot be used, as far as they are known. Recorded when there are more than before.
    BadImages {
        /// `train` or `val`.
        split: &'static str,
        /// Every bad image of the split found so far.
        images: Vec<BadImage>,
    },
    /// The run was asked to stop, finished its step and wrote a checkpoint.
    Interrupted {
        /// Training steps taken.
        step: u32,
        /// The checkpoint's folder.
        checkpoint: PathBuf,
    },
    /// The run is complete.
    Finished {
        /// Training steps taken.
        step: u32,
        /// Epochs begun.
        epochs: u32,
        /// Time since this process started the run.
        seconds: f64,
        /// The last checkpoint's folder.
        checkpoint: PathBuf,
    },
}

/// Where the time of an epoch's steps has gone, or of those that this process has taken of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Time {
    /// Training steps taken.
    pub step: u32,
    /// The epoch, from 0.
    pub epoch: u32,
    /// Images in these steps.
    pub images: u64,
    /// Time of the steps on the clock.
    pub seconds: f64,
    /// What the loader did meanwhile, and how long the engine waited for it.
    pub loader: Stages,
}

impl Time {
    /// Images a second that the engine takes when data is there.
    pub fn engine_images_per_s(&self) -> f64 {
        self.images as f64 / (self.seconds - self.loader.wait.as_secs_f64())
    }

    /// Share of the time, in `[0, 1]`, that the engine waited for data.
    pub fn waiting(&self) -> f64 {
        self.loader.wait.as_secs_f64() / self.seconds
    }

    /// What holds the run up: `engine`, or the loader's longest stage, `read`, `decode` or `augment`, where the engine waits
    /// for more than a fiftieth of the time.
    pub fn bound(&self) -> &'static str {
        if self.waiting() <= 0.02 { "engine" } else { self.loader.longest() }
    }
}

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Started {
    /// The net's name.
    pub net: String,
    /// Number of parameters.
    pub parameters: usize,
    /// The engine's name.
    pub engine: String,
    /// The data set's name.
    pub dataset: String,
    /// Number of classes.
    pub classes: usize,
    /// Training images.
    pub train_images: u64,
    /// Validation images.
    pub val_images: u64,
    /// Images a step.
    pub batch: usize,
    /// Images a forward-backward pass.
    pub micro_batch: usize,
    /// Steps in one epoch.
    pub steps_per_epoch: u32,
    /// Steps in the whole run.
    pub steps: u32,
    /// The run's seed.
    pub seed: u64,
    /// The run's folder.
    pub run: PathBuf,
    /// The step a checkpoint takes the run up from; `None` for a new run.
    pub resumed_from: Option<u32>,
}

/// What one training step did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// The step's number, from 0.
    pub step: u32,
    /// Its epoch, from 0.
    pub epoch: u32,
    /// Its number within the epoch, from 0.
    pub batch: u32,
    /// Images in it.
    pub images: u32,
    /// Mean negative log-likelihood of the labels, before the update.
    pub loss: f64,
    /// Images whose label had the highest probability, with dropout and before the update.
    pub top1: u32,
    /// Mean loss over the epoch so far, this step included.
    pub epoch_loss: f64,
    /// Share of the epoch's images so far whose label did not have the highest probability.
    pub epoch_top1_error: f64,
    /// The schedule's rate of the weights.
    pub rate: f64,
    /// Time from the end of the step before to the end of this one, evaluations and checkpoints left out.
    pub seconds: f64,
    /// Of this, time spent waiting for the loader.
    pub wait_seconds: f64,
}

/// The outcome of an evaluation. Errors are shares in `[0, 1]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluated {
    /// Training steps taken.
    pub step: u32,
    /// Epochs completed, with fraction.
    pub epochs: f64,
    /// Views an image, whose probabilities are averaged.
    pub views: usize,
    /// Images evaluated.
    pub images: u64,
    /// Share of images whose label is not the most probable class; ties count in part.
    pub top1_error: f64,
    /// Share of images whose label is not among the five most probable classes; ties count in part.
    pub top5_error: f64,
    /// Mean of −ln of the label's (averaged) probability.
    pub nll: f64,
    /// Whether the top-1 error is the lowest so far.
    pub best: bool,
    /// How long it took.
    pub seconds: f64,
}

impl Event {
    /// Images of a split that cannot be used.
    pub(crate) fn bad_images(split: &'static str, bad: &[data::BadImage]) -> Event {
        let image = |bad: &data::BadImage| BadImage { name: bad.name.clone(), reason: bad.reason.clone() };
        Event::BadImages { split, images: bad.iter().map(image).collect() }
    }
}

/// An image that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadImage {
    /// Path or name.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Listens to a run.
pub trait Log {
    /// Takes note of an event. Must not fail and should be quick: the run waits.
    fn record(&mut self, event: &Event);
}

/// Listens to nothing.
pub struct Silent;

impl Log for Silent {
    fn record(&mut self, _: &Event) {}
}

impl Log for Vec<Event> {
    fn record(&mut self, event: &Event) {
        self.push(event.clone());
    }
}
