//! The parts of a run that the loop calls by name.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use data::{Dataset, Loaded, Pipeline, Stages, TrainLoader, Views};
use net::{Executor, Hyper, Kind, ParamSet, StepInfo, StepLoss};

use crate::checkpoint::{self, DatasetId, FORMAT, InitialisedFrom, Manifest, Metrics, Position, Progress, Running};
use crate::evaluate::{EvaluateOptions, Evaluation, evaluate};
use crate::event::{Evaluated, Step, Time};
use crate::run::{Outcome, RunConfig, Summary};
use crate::split::Splitter;
use crate::{Error, Event, Log, Rates, Result, Scheduler, Span, watch};

/// A run that is going on.
pub(crate) struct Session<'a> {
    pub(crate) exec: &'a mut dyn Executor,
    pub(crate) step: u32,
    pub(crate) span: Span,
    pub(crate) training: Training,
    pub(crate) schedule: Scheduler,
    pub(crate) hyper: Hyper,
    pub(crate) rates: Rates,
    pub(crate) dataset: &'a Dataset,
    pub(crate) config: &'a RunConfig<'a>,
    pub(crate) log: &'a mut dyn Log,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) splitter: Splitter,
    pub(crate) identity: DatasetId,
    pub(crate) initialised_from: Option<InitialisedFrom>,
    pub(crate) progress: Progress,
    pub(crate) in_flight: VecDeque<InFlight>,
    pub(crate) logged_rates: Option<Rates>,
    /// A mean loss that looks like guessing, until it has been looked into.
    pub(crate) stuck: Option<f64>,
    /// The newest checkpoint.
    pub(crate) newest: Option<Newest>,
    /// Bad training images recorded so far.
    pub(crate) bad: usize,
    pub(crate) began: Instant,
    pub(crate) step_began: Instant,
    pub(crate) spent: Spent,
}

/// What the steps have taken since the last [`Event::Time`].
#[derive(Default)]
pub(crate) struct Spent {
    images: u64,
    seconds: f64,
    /// What the loader had done by then.
    stages: Stages,
}

/// The newest checkpoint on the disk.
pub(crate) struct Newest {
    pub(crate) step: u32,
    pub(crate) path: PathBuf,
    /// Whether it holds an evaluation at its own step.
    pub(crate) evaluated: bool,
}

/// A step whose loss has not been taken yet.
pub(crate) struct InFlight {
    step: u32,
    epoch: u32,
    batch: u32,
    images: u32,
    samples: Vec<u32>,
    passes: u32,
    nll_sum: f64,
    top1: u32,
    rates: Rates,
    seconds: f64,
    wait_seconds: f64,
}

impl InFlight {
    fn add(&mut self, loss: StepLoss) {
        self.passes -= 1;
        self.nll_sum += loss.nll_sum;
        self.top1 += loss.top1;
    }
}

/// Training batches: the loader's, or its first one over and over.
pub(crate) struct Training {
    loader: TrainLoader,
    one_batch: bool,
    kept: Option<Loaded>,
    /// The batch that comes next.
    next: Position,
    /// How long the last batch had to be waited for.
    wait_seconds: f64,
}

impl Training {
    /// Batches from `next` on.
    pub(crate) fn new(loader: TrainLoader, one_batch: bool, next: Position) -> Training {
        Training { loader, one_batch, kept: None, next, wait_seconds: 0.0 }
    }

    /// The next batch; waits for it.
    pub(crate) fn next(&mut self) -> Result<Loaded> {
        let began = Instant::now();
        let mut loaded = match self.kept.take() {
            Some(kept) => kept,
            None => self.loader.next()?,
        };
        self.wait_seconds = began.elapsed().as_secs_f64();
        self.next.step += 1;
        let batches = self.loader.batches_per_epoch().max(1);
        if self.one_batch {
            (loaded.epoch, loaded.index) = (self.next.epoch, self.next.batch);
        }
        let last = loaded.index + 1 >= batches;
        (self.next.epoch, self.next.batch) = if last { (loaded.epoch + 1, 0) } else { (loaded.epoch, loaded.index + 1) };
        Ok(loaded)
    }

    /// Returns a batch.
    pub(crate) fn give_back(&mut self, loaded: Loaded) {
        if self.one_batch {
            self.kept = Some(loaded);
        } else {
            self.loader.give_back(loaded);
        }
    }
}

impl Session<'_> {
    pub(crate) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One forward and backward pass a micro-batch.
    pub(crate) fn forward_backward(&mut self, loaded: &Loaded) -> Result<()> {
        let (seed, step, n) = (self.config.recipe.seed, self.step, loaded.batch.n as u32);
        let (exec, mut passes) = (&mut *self.exec, 0);
        self.splitter.each(&loaded.batch, |piece, first| {
            passes += 1;
            Ok(exec.forward_backward(piece, StepInfo { seed, step, first_image: first as u32, step_images: n })?)
        })?;
        self.in_flight.push_back(InFlight {
            step,
            epoch: loaded.epoch,
            batch: loaded.index,
            images: n,
            samples: loaded.samples.clone(),
            passes,
            nll_sum: 0.0,
            top1: 0,
            rates: self.rates,
            seconds: 0.0,
            wait_seconds: self.training.wait_seconds,
        });
        Ok(())
    }

    /// Records the losses that are there, `loaded` being the batch of the last step.
    pub(crate) fn record_losses(&mut self, loaded: &Loaded) -> Result<()> {
        let seconds = self.step_began.elapsed().as_secs_f64();
        self.step_began = Instant::now();
        if let Some(last) = self.in_flight.back_mut() {
            (last.rates, last.seconds) = (self.rates, seconds);
        }
        self.take_losses(false)?;
        self.account(loaded, seconds);
        // Only here, because the diagnosis looks at the batch that the executor has just seen.
        if let Some(mean) = self.stuck.take() {
            let text = watch::diagnosis(self.exec, &loaded.batch, mean);
            self.log.record(&Event::Warning { step: self.step, text });
        }
        Ok(())
    }

    /// Counts a step's time; at the end of an epoch, says where the time has gone.
    fn account(&mut self, loaded: &Loaded, seconds: f64) {
        self.spent.images += loaded.batch.n as u64;
        self.spent.seconds += seconds;
        if self.training.one_batch || loaded.index + 1 < self.training.loader.batches_per_epoch() {
            return;
        }
        let stages = self.training.loader.stages();
        let Spent { images, seconds, stages: before } = std::mem::replace(&mut self.spent, Spent { stages, ..Spent::default() });
        let loader = stages.since(&before);
        self.log.record(&Event::Time(Time { step: self.step, epoch: loaded.epoch, images, seconds, loader }));
    }

    /// Takes the losses of past passes, waiting for all of them if asked to.
    fn take_losses(&mut self, wait: bool) -> Result<()> {
        while let Some(loss) = self.exec.take_loss(wait)? {
            let Some(oldest) = self.in_flight.front_mut() else { break };
            debug_assert_eq!(oldest.step, loss.step);
            oldest.add(loss);
            if oldest.passes == 0
                && let Some(complete) = self.in_flight.pop_front()
            {
                self.record_step(complete)?;
            }
        }
        Ok(())
    }

    fn record_step(&mut self, done: InFlight) -> Result<()> {
        let loss = done.nll_sum / f64::from(done.images.max(1));
        if !loss.is_finite() {
            let images = done.samples.iter().map(|&i| self.dataset.train.name(i as usize).into_owned()).collect();
            return Err(Error::NotFinite { step: done.step, loss, images, checkpoint: self.last_checkpoint() });
        }
        if self.logged_rates != Some(done.rates) {
            self.logged_rates = Some(done.rates);
            let Rates { weight: rate, bias: bias_rate } = done.rates;
            self.log.record(&Event::Rate { step: done.step, epoch: done.epoch, rate, bias_rate });
        }
        let running = &mut self.progress.running;
        if running.epoch != done.epoch {
            *running = Running { epoch: done.epoch, ..Running::default() };
        }
        running.images += u64::from(done.images);
        running.nll_sum += done.nll_sum;
        running.top1 += u64::from(done.top1);
        let images = running.images as f64;
        self.log.record(&Event::Step(Step {
            step: done.step,
            epoch: done.epoch,
            batch: done.batch,
            images: done.images,
            loss,
            top1: done.top1,
            epoch_loss: running.nll_sum / images,
            epoch_top1_error: 1.0 - running.top1 as f64 / images,
            rate: done.rates.weight,
            seconds: done.seconds,
            wait_seconds: done.wait_seconds,
        }));
        let classes = self.exec.net().classes();
        let stuck = self.progress.watch.observe(u64::from(done.images), done.nll_sum, classes, self.span);
        self.stuck = self.stuck.or(stuck);
        self.progress.reached |= self.config.recipe.stop_below.is_some_and(|target| loss < target);
        Ok(())
    }

    fn last_checkpoint(&self) -> Option<PathBuf> {
        self.newest.as_ref().map(|newest| newest.path.clone())
    }

    /// Whether `step` ends a multiple of `every` epochs.
    fn ends_epochs(&self, every: u32) -> bool {
        every > 0 && self.step > 0 && u64::from(self.step) % (u64::from(every) * u64::from(self.span.steps_per_epoch)) == 0
    }

    fn evaluated_here(&self) -> bool {
        self.progress.last.as_ref().is_some_and(|last| last.step == self.step)
    }

    pub(crate) fn evaluation_due(&self) -> bool {
        self.ends_epochs(self.config.recipe.evaluation.every_epochs) && !self.evaluated_here() && !self.dataset.val.is_empty()
    }

    /// Evaluates the validation images, unless asked to stop meanwhile.
    pub(crate) fn evaluate(&mut self) -> Result<Option<Evaluation>> {
        self.take_losses(true)?;
        let began = Instant::now();
        let (step, log) = (self.step, &mut *self.log);
        let options = EvaluateOptions {
            views: if self.config.recipe.evaluation.views == 10 { Views::Ten } else { Views::Centre },
            threads: self.config.threads,
            bad: self.config.bad_images,
        };
        let mut progress = |done, total| log.record(&Event::Evaluating { step, done, total });
        let found = evaluate(self.exec, &self.dataset.val, &self.pipeline, &options, self.stop, &mut progress)?;
        if let Some(evaluation) = &found {
            self.record_evaluation(evaluation, began);
        }
        self.step_began = Instant::now();
        Ok(found)
    }

    fn record_evaluation(&mut self, evaluation: &Evaluation, began: Instant) {
        let metrics = Metrics::of(self.step, evaluation);
        let best = self.progress.best.as_ref().is_none_or(|best| metrics.top1_error < best.top1_error);
        if !evaluation.bad.is_empty() {
            self.log.record(&Event::bad_images("val", &evaluation.bad));
        }
        self.log.record(&Event::Evaluated(Evaluated {
            step: self.step,
            epochs: f64::from(self.step) / f64::from(self.span.steps_per_epoch),
            views: metrics.views,
            images: metrics.images,
            top1_error: metrics.top1_error,
            top5_error: metrics.top5_error,
            nll: evaluation.nll(),
            best,
            seconds: began.elapsed().as_secs_f64(),
        }));
        self.schedule.observe(metrics.top1_error);
        if best {
            self.progress.best = Some(metrics.clone());
        }
        self.progress.last = Some(metrics);
    }

    pub(crate) fn checkpoint_due(&self) -> bool {
        let plan = &self.config.recipe.checkpoints;
        let is_best = self.progress.best.as_ref().is_some_and(|best| best.step == self.step);
        let due = (plan.every_steps > 0 && self.step.is_multiple_of(plan.every_steps))
            || self.ends_epochs(plan.every_epochs)
            || (plan.keep_best && is_best);
        due && self.step > 0 && !self.written_here()
    }

    /// Whether the newest checkpoint says all there is to say at this step.
    fn written_here(&self) -> bool {
        self.newest.as_ref().is_some_and(|n| n.step == self.step && n.evaluated == self.evaluated_here())
    }

    /// Writes a checkpoint; removes those that are not to be kept once it is safe.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        self.take_losses(true)?;
        self.report_bad_images();
        let began = Instant::now();
        let (weights, momentum) = (self.exec.save(Kind::Weights)?, self.exec.save(Kind::Momentum)?);
        self.check_finite("weight tensor", &weights)?;
        self.check_finite("momentum tensor", &momentum)?;
        let manifest = self.manifest();
        let folder = self.config.dir.checkpoints();
        let path = checkpoint::write(&folder, manifest, &weights, &momentum, self.pipeline.statistics())?;
        let plan = &self.config.recipe.checkpoints;
        self.newest = Some(Newest { step: self.step, path: path.clone(), evaluated: self.evaluated_here() });
        checkpoint::prune(&folder, plan.keep_last, plan.keep_best)?;
        self.log.record(&Event::Checkpoint {
            step: self.step,
            path,
            best: self.progress.best.as_ref().is_some_and(|best| best.step == self.step),
            seconds: began.elapsed().as_secs_f64(),
        });
        self.step_began = Instant::now();
        Ok(())
    }

    fn check_finite(&self, what: &'static str, params: &ParamSet) -> Result<()> {
        match params.iter().find(|(_, tensor)| tensor.data.iter().any(|value| !value.is_finite())) {
            None => Ok(()),
            Some((name, _)) => {
                let (name, checkpoint) = (name.to_string(), self.last_checkpoint());
                Err(Error::ParamNotFinite { step: self.step, what, name, checkpoint })
            }
        }
    }

    fn manifest(&self) -> Manifest {
        let recipe = self.config.recipe;
        let progress = Progress { schedule: self.schedule.state(), ..self.progress.clone() };
        Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            revision: self.config.revision.clone(),
            net: self.exec.net().to_toml(),
            variant: net::Variant::of(self.exec.net()),
            recipe: recipe.to_toml(),
            preprocessing: recipe.preprocessing.clone(),
            classes: self.dataset.classes.clone(),
            words: self.dataset.words.clone(),
            dataset: self.identity.clone(),
            seed: recipe.seed,
            initialised_from: self.initialised_from.clone(),
            position: Position { step: self.step, ..self.training.next },
            metrics: progress.last.clone().filter(|last| last.step == self.step),
            progress,
            files: BTreeMap::new(),
        }
    }

    /// Tells of bad training images found since the last time.
    fn report_bad_images(&mut self) {
        let bad = self.training.loader.bad();
        if bad.len() > self.bad {
            self.bad = bad.len();
            self.log.record(&Event::bad_images("train", &bad));
        }
    }

    /// Ends a run that was asked to stop.
    pub(crate) fn interrupt(mut self) -> Result<Outcome> {
        if !self.written_here() {
            self.checkpoint()?;
        }
        let (step, checkpoint) = (self.step, self.last_checkpoint().unwrap_or_default());
        self.log.record(&Event::Interrupted { step, checkpoint: checkpoint.clone() });
        Ok(Outcome::Interrupted { step, checkpoint })
    }

    /// Ends a run whose steps are all taken.
    pub(crate) fn finish(mut self) -> Result<Outcome> {
        self.take_losses(true)?;
        if !self.evaluated_here() && !self.dataset.val.is_empty() {
            match self.evaluate()? {
                Some(evaluation) => self.write_tables(&evaluation)?,
                None => return self.interrupt(),
            }
        }
        if !self.written_here() {
            self.checkpoint()?;
        }
        self.report_bad_images();
        let checkpoint = self.last_checkpoint().unwrap_or_default();
        let seconds = self.began.elapsed().as_secs_f64();
        let epochs = self.step.div_ceil(self.span.steps_per_epoch);
        self.log.record(&Event::Finished { step: self.step, epochs, seconds, checkpoint: checkpoint.clone() });
        let Progress { last, best, .. } = self.progress;
        Ok(Outcome::Finished(Box::new(Summary { step: self.step, last, best, checkpoint })))
    }

    fn write_tables(&self, evaluation: &Evaluation) -> Result<()> {
        let names = &self.dataset.classes;
        self.config.dir.write("per-class.csv", &evaluation.per_class_csv(names, &self.dataset.words))?;
        self.config.dir.write("confusion.csv", &evaluation.confusion_csv(names))
    }
}
