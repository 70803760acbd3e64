//! Everything before the first step of a run.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use data::{Dataset, LoaderOptions, Pipeline, TrainLoader};
use net::{Executor, Hyper, Kind, Net, ParamSet, SharedTensor, Tensor};

use crate::checkpoint::{self, DatasetId, InitialisedFrom, Position, Saved};
use crate::event::Started;
use crate::run::{RunConfig, Start, statistics};
use crate::run_dir::read_limited;
use crate::schedule::Curve;
use crate::session::{Newest, Session, Spent, Training};
use crate::split::Splitter;
use crate::{Error, Event, Log, Recipe, Result, Scheduler, Span, initial_params};

impl<'a> Session<'a> {
    /// Checks that everything fits, describes the run in its folder, measures the data, loads the executor and starts the
    /// loader.
    pub(crate) fn begin(
        exec: &'a mut dyn Executor,
        dataset: &'a Dataset,
        config: &'a RunConfig<'a>,
        log: &'a mut dyn Log,
        stop: &'a AtomicBool,
    ) -> Result<Session<'a>> {
        let began = Instant::now();
        check(exec.net(), dataset, config.recipe)?;
        if exec.capacity() < config.recipe.micro() {
            let (room, images) = (exec.capacity(), config.recipe.micro());
            let message = format!("the engine has room for {room} images, the recipe asks for {images}");
            return Err(Error::RecipeFit { key: "micro_batch".into(), message });
        }
        let identity = DatasetId::of(dataset);
        let (saved, warnings) = find_checkpoint(exec.net(), dataset, config, &identity)?;
        let span = span_of(dataset, config);
        let position = saved.as_ref().map_or(Position::default(), |saved| saved.manifest().position);
        let initialised_from = match (&saved, &config.start) {
            (Some(saved), _) => saved.manifest().initialised_from.clone(),
            (None, Start::Weights(inherited)) => Some(inherited.from.clone()),
            (None, _) => None,
        };
        describe(exec, dataset, config, &identity, initialised_from.as_ref())?;
        log.record(&Event::Started(started(exec, dataset, config, span, saved.as_ref().map(|_| position.step))));
        dataset.notes.iter().for_each(|text| log.record(&Event::Note { text: text.clone() }));
        let remark = dataset.train.remark(&config.recipe.preprocessing);
        remark.into_iter().for_each(|text| log.record(&Event::Note { text }));
        warnings.into_iter().for_each(|text| log.record(&Event::Warning { step: position.step, text }));
        let measured = match &saved {
            Some(saved) => saved.statistics()?,
            None => statistics(dataset, config, log, stop)?,
        };
        let pipeline = Arc::new(
            Pipeline::new(config.recipe.preprocessing.clone(), measured, exec.net().input())?.for_bytes(exec.takes_bytes()),
        );
        load(exec, config, saved.as_ref())?;
        let mut schedule = Scheduler::new(config.recipe, exec.net(), span)?;
        let progress = saved.as_ref().map(|saved| saved.manifest().progress.clone()).unwrap_or_default();
        schedule.restore(progress.schedule);
        Ok(Session {
            step: position.step,
            span,
            training: training(dataset, config, &pipeline, position),
            rates: schedule.rates(position.step),
            schedule,
            hyper: Hyper::default(),
            splitter: Splitter::new(config.recipe.micro(), exec.net().input().len()),
            exec,
            dataset,
            config,
            log,
            stop,
            pipeline,
            identity,
            initialised_from,
            progress,
            in_flight: VecDeque::new(),
            logged_rates: None,
            stuck: None,
            newest: saved.map(|saved| Newest {
                step: position.step,
                path: saved.path().to_path_buf(),
                evaluated: saved.manifest().metrics.is_some(),
            }),
            bad: 0,
            began,
            step_began: Instant::now(),
            spent: Spent::default(),
        })
    }
}

/// Whether net, data and recipe fit each other.
pub(crate) fn check(net: &Net, dataset: &Dataset, recipe: &Recipe) -> Result<()> {
    recipe.fits(net)?;
    let data = |message: String| Error::Dataset { dataset: dataset.name.clone(), message };
    if dataset.train.is_empty() {
        return Err(data("there are no images to train on".into()));
    }
    if dataset.classes.len() == 1 {
        return Err(data("it has one class, and there is nothing to tell apart".into()));
    }
    if dataset.classes.len() != net.classes() {
        let message = format!("it has {} classes, net `{}` tells {} apart", dataset.classes.len(), net.name(), net.classes());
        return Err(data(message));
    }
    let schedules = [Some(&recipe.schedule), recipe.bias_schedule.as_ref()];
    if dataset.val.is_empty() && schedules.into_iter().flatten().any(|s| matches!(s.curve, Curve::Plateau(_))) {
        return Err(data("a plateau schedule needs validation images, and there are none".into()));
    }
    Ok(())
}

/// The length of the run.
fn span_of(dataset: &Dataset, config: &RunConfig<'_>) -> Span {
    let steps_per_epoch = dataset.train.len().div_ceil(config.recipe.batch) as u32;
    Span { steps: config.recipe.total_steps(steps_per_epoch), steps_per_epoch }
}

/// The checkpoint to go on from, if any, and what is to be said about it.
fn find_checkpoint(
    net: &Net,
    dataset: &Dataset,
    config: &RunConfig<'_>,
    identity: &DatasetId,
) -> Result<(Option<Saved>, Vec<String>)> {
    let Start::Resume { fall_back } = config.start else { return Ok((None, Vec::new())) };
    let mut warnings = Vec::new();
    let found = checkpoint::latest(&config.dir.checkpoints());
    if let (Ok(None), Some(file)) = (&found, weights_lost(config.dir.path())) {
        return Err(Error::WeightsLost { path: config.dir.path().into(), file });
    }
    let saved = match found {
        Err(Error::Damaged { path, reason, older: Some(older) }) if fall_back => {
            let (damaged, older_name) = (path.display(), older.display());
            warnings.push(format!("checkpoint `{damaged}` is damaged: {reason}; going on from `{older_name}`"));
            Some(checkpoint::read(&older)?)
        }
        other => other?,
    };
    if let Some(saved) = &saved {
        fits(saved, net, dataset, identity)?;
        if saved.manifest().recipe != config.recipe.to_toml() {
            warnings.push("the recipe is not the checkpoint's: the result is not that of one run by either".into());
        }
    }
    Ok((saved, warnings))
}

/// Where a run that has no checkpoint was to have its weights from, if not from their initial values.
fn weights_lost(run: &Path) -> Option<String> {
    let about: serde_json::Value = serde_json::from_str(&read_limited(&run.join(ABOUT)).ok()?).ok()?;
    Some(about.get(INITIALISED_FROM)?.get("file")?.as_str()?.to_string())
}

/// Whether a checkpoint is of this net and of this data.
fn fits(saved: &Saved, net: &Net, dataset: &Dataset, identity: &DatasetId) -> Result<()> {
    let mismatch = |message: String| Err(Error::Mismatch { path: saved.path().into(), message });
    let theirs = saved.net()?;
    if theirs != *net {
        if theirs.name() != net.name() {
            return mismatch(format!("it is of net `{}`, this run trains `{}`", theirs.name(), net.name()));
        }
        let layers = || theirs.layers().iter().zip(net.layers());
        let what = match layers().find(|(a, b)| a != b) {
            Some((_, layer)) => format!("layer `{}`", layer.name),
            None => "the input or the number of layers".into(),
        };
        return mismatch(format!("its net `{}` differs in {what}", net.name()));
    }
    let data = &saved.manifest().dataset;
    if (data.train_images, data.val_images, &data.labels) != (identity.train_images, identity.val_images, &identity.labels) {
        return mismatch(format!(
            "it was trained on `{}` with {} + {} images, this is `{}` with {} + {}{}",
            data.name,
            data.train_images,
            data.val_images,
            identity.name,
            identity.train_images,
            identity.val_images,
            if data.labels == identity.labels { "" } else { " and other labels" }
        ));
    }
    // As many images of other classes have the same labels.
    if let Some((theirs, ours)) = saved.manifest().classes.iter().zip(&dataset.classes).find(|(theirs, ours)| theirs != ours) {
        return mismatch(format!(
            "it was trained on `{}` with the class `{theirs}` where `{}` has `{ours}`",
            data.name, identity.name
        ));
    }
    Ok(())
}

const ABOUT: &str = "run.json";
const INITIALISED_FROM: &str = "initialised_from";

/// Writes into the run's folder what it is.
fn describe(
    exec: &dyn Executor,
    dataset: &Dataset,
    config: &RunConfig<'_>,
    identity: &DatasetId,
    initialised_from: Option<&InitialisedFrom>,
) -> Result<()> {
    let (dir, recipe) = (config.dir, config.recipe);
    let mut about = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": config.revision,
        "engine": exec.engine(),
        "seed": recipe.seed,
        "dataset": identity,
    });
    if let Some(from) = initialised_from {
        about[INITIALISED_FROM] = serde_json::json!(from);
    }
    // Before the files that make it a run, so that none ever seems to have begun with initial values that has not.
    dir.write(ABOUT, &format!("{about:#}\n"))?;
    dir.write("net.toml", &exec.net().to_toml())?;
    dir.write("recipe.toml", &recipe.to_toml())?;
    dir.write("plan.txt", &exec.plan())?;
    dir.write("classes.txt", &classes(dataset))
}

/// A class a line, with its words where they are known.
fn classes(dataset: &Dataset) -> String {
    let words = dataset.words.iter().map(String::as_str).chain(std::iter::repeat(""));
    let line =
        |(class, words): (&String, &str)| if words.is_empty() { format!("{class}\n") } else { format!("{class}\t{words}\n") };
    dataset.classes.iter().zip(words).map(line).collect()
}

fn started(exec: &dyn Executor, dataset: &Dataset, config: &RunConfig<'_>, span: Span, resumed_from: Option<u32>) -> Started {
    let (net, recipe) = (exec.net(), config.recipe);
    Started {
        net: net.name().into(),
        parameters: net.parameter_count(),
        engine: exec.engine().into(),
        dataset: dataset.name.clone(),
        classes: net.classes(),
        train_images: dataset.train.len() as u64,
        val_images: dataset.val.len() as u64,
        batch: recipe.batch,
        micro_batch: recipe.micro(),
        steps_per_epoch: span.steps_per_epoch,
        steps: span.steps,
        seed: recipe.seed,
        run: Path::to_path_buf(config.dir.path()),
        resumed_from,
    }
}

/// Gives the executor its weights and momenta.
fn load(exec: &mut dyn Executor, config: &RunConfig<'_>, saved: Option<&Saved>) -> Result<()> {
    let (weights, momentum) = match saved {
        Some(saved) => (saved.weights()?, saved.momentum()?),
        None => (first_weights(exec.net(), config), ParamSet::zeros(exec.net())),
    };
    exec.load(Kind::Weights, &weights)?;
    exec.load(Kind::Momentum, &momentum)?;
    Ok(())
}

/// The weights of a run of which there is no checkpoint.
pub(crate) fn first_weights(net: &Net, config: &RunConfig<'_>) -> ParamSet {
    let Start::Weights(inherited) = &config.start else { return initial_params(net, config.recipe.seed, config.threads) };
    let copy = |tensor: &SharedTensor| Tensor { shape: tensor.shape.clone(), data: tensor.data().to_vec() };
    ParamSet::new(inherited.weights.iter().map(|(name, tensor)| (name.clone(), copy(tensor))).collect())
}

fn training(dataset: &Dataset, config: &RunConfig<'_>, pipeline: &Arc<Pipeline>, position: Position) -> Training {
    let recipe = config.recipe;
    let options =
        LoaderOptions { batch: recipe.batch, threads: config.threads, slots: 3, seed: recipe.seed, bad: config.bad_images };
    let (epoch, batch) = if recipe.one_batch { (0, 0) } else { (position.epoch, position.batch) };
    let loader = TrainLoader::start(Arc::clone(&dataset.train), Arc::clone(pipeline), options, epoch, batch);
    Training::new(loader, recipe.one_batch, position)
}
