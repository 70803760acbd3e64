//! The self-test: whoever cannot learn one batch by heart learns nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use data::{LoaderOptions, Pipeline, TrainLoader};
use net::{Batch, Executor, Hyper, Kind, Net, ParamSet, StepInfo};

use crate::begin::{check, first_weights};
use crate::run::{RunConfig, statistics};
use crate::split::Splitter;
use crate::{Error, Event, Log, Recipe, Result, Scheduler, Span};

/// How to memorise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoriseOptions {
    /// The mean loss to reach.
    pub target: f64,
    /// The most steps.
    pub steps: u32,
    /// Images in the batch.
    pub images: usize,
}

impl Default for MemoriseOptions {
    fn default() -> MemoriseOptions {
        MemoriseOptions { target: 0.01, steps: 500, images: 32 }
    }
}

/// A rise of the mean loss that no good rate has, in nats: the labels' probabilities fall by a factor of e.
pub const RISE: f64 = 1.0;

/// What memorising took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Memorised {
    /// Steps taken.
    pub steps: u32,
    /// The last mean loss, below the target.
    pub loss: f64,
}

/// Memorises the first batch of a run, before the run. `exec` should run the net without dropout
/// ([`crate::without_dropout`]), because with it every step sees another net and the loss never comes to rest; its weights
/// and momenta are afterwards what they were. `None` where `stop` became true.
///
/// # Errors
/// [`Error::NotMemorised`] where the loss did not fall below the target; else the data's or the executor's.
pub fn self_test(
    exec: &mut dyn Executor,
    dataset: &data::Dataset,
    config: &RunConfig<'_>,
    options: MemoriseOptions,
    log: &mut dyn Log,
    stop: &AtomicBool,
) -> Result<Option<Memorised>> {
    check(exec.net(), dataset, config.recipe)?;
    let measured = statistics(dataset, config, log, stop)?;
    // No net gets the loss of mixtures below the entropy of their shares.
    let pipeline = Pipeline::new(config.recipe.preprocessing.clone().unmixed(), measured, exec.net().input())?;
    let loading = LoaderOptions {
        batch: options.images.max(1),
        threads: config.threads,
        slots: 2,
        seed: config.recipe.seed,
        bad: config.bad_images,
    };
    let mut loader = TrainLoader::start(Arc::clone(&dataset.train), Arc::new(pipeline), loading, 0, 0);
    let loaded = loader.next()?;
    let before = (exec.save(Kind::Weights)?, exec.save(Kind::Momentum)?);
    exec.load(Kind::Weights, &first_weights(exec.net(), config))?;
    exec.load(Kind::Momentum, &ParamSet::zeros(exec.net()))?;
    let hyper = first_rates(config.recipe, exec.net())?;
    let result = memorise(exec, &loaded.batch, hyper, config.recipe.seed, options, log, stop);
    exec.load(Kind::Weights, &before.0)?;
    exec.load(Kind::Momentum, &before.1)?;
    result
}

/// The rates that a recipe begins with, warm-up left out, and without decay.
fn first_rates(recipe: &Recipe, net: &Net) -> Result<Hyper> {
    let mut recipe = recipe.clone();
    recipe.decay = 0.0;
    recipe.schedule.warmup = None;
    recipe.bias_schedule.iter_mut().for_each(|schedule| schedule.warmup = None);
    let mut hyper = Hyper::default();
    Scheduler::new(&recipe, net, Span { steps: 1, steps_per_epoch: 1 })?.at(0, &mut hyper);
    Ok(hyper)
}

/// Trains on `batch` alone, from the executor's present weights and momenta, until the mean loss is below the target. `None`
/// where `stop` became true.
///
/// The rates are those of `hyper` at first. Whenever the loss is not finite or more than [`RISE`] above the lowest so far, it
/// begins again with half the rates: a recipe's rate is chosen for many batches and dropout, and may be too high for one
/// batch without.
///
/// # Errors
/// [`Error::NotMemorised`] where it did not come to that; else the executor's.
pub fn memorise(
    exec: &mut dyn Executor,
    batch: &Batch,
    hyper: Hyper,
    seed: u64,
    options: MemoriseOptions,
    log: &mut dyn Log,
    stop: &AtomicBool,
) -> Result<Option<Memorised>> {
    let mut splitter = Splitter::new(exec.capacity(), exec.net().input().len());
    let beginning = (exec.save(Kind::Weights)?, exec.save(Kind::Momentum)?);
    let (mut hyper, mut loss, mut lowest, mut steps) = (hyper, f64::INFINITY, f64::INFINITY, 0);
    while steps < options.steps && !stop.load(Ordering::Relaxed) {
        splitter.each(batch, |piece, first| {
            let info = StepInfo { seed, step: steps, first_image: first as u32, step_images: batch.n as u32 };
            Ok(exec.forward_backward(piece, info)?)
        })?;
        let mut nll_sum = 0.0;
        while let Some(pass) = exec.take_loss(true)? {
            nll_sum += pass.nll_sum;
        }
        loss = nll_sum / batch.n.max(1) as f64;
        log.record(&Event::Memorising { step: steps, loss });
        if loss < options.target {
            log.record(&Event::Memorised { steps, loss });
            return Ok(Some(Memorised { steps, loss }));
        }
        if loss.is_finite() && loss <= lowest + RISE {
            lowest = lowest.min(loss);
            exec.apply(&hyper)?;
        } else {
            lowest = f64::INFINITY;
            hyper.params.iter_mut().for_each(|param| param.rate *= 0.5);
            exec.load(Kind::Weights, &beginning.0)?;
            exec.load(Kind::Momentum, &beginning.1)?;
        }
        steps += 1;
    }
    if stop.load(Ordering::Relaxed) {
        return Ok(None);
    }
    Err(Error::NotMemorised { images: batch.n, steps, loss, target: options.target })
}
