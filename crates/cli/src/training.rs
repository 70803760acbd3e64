//! Carries out a training run: engine, run directory, listeners, and what is said before and after.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use data::{Cache, Dataset, Preprocessing, Source};
use net::{Mode, Net, Precision};
use report::{Console, Files, Style, format};
use train::{Curve, Event, Inherited, Log, MemoriseOptions, Outcome, Recipe, RunConfig, RunDir, Start};

use crate::dataset::Reading;
use crate::device::Where;
use crate::engine::{Engine, parameter_bytes, pixel_bytes};
use crate::failure::{Context, Failure, Result};
use crate::origin::Origin;
use crate::{Common, interrupt, memory, terminal};

/// What is trained on what, and where it is kept.
pub(crate) struct Job {
    pub(crate) net: Net,
    pub(crate) recipe: Recipe,
    pub(crate) dataset: Dataset,
    /// The data set's folder; `None` for the built-in one.
    pub(crate) data: Option<PathBuf>,
    pub(crate) reading: Reading,
    pub(crate) place: Place,
    /// Trained weights to begin with.
    pub(crate) inherited: Option<Box<Inherited>>,
    /// What the user should know about how this came about.
    pub(crate) notes: Vec<String>,
    /// Whether to memorise one batch first.
    pub(crate) memorise: bool,
    /// Where it is trained.
    pub(crate) device: Where,
    /// How much memory images are kept in.
    pub(crate) cache: Cache,
    /// Whether the size of a step's passes is chosen by the memory that there is.
    pub(crate) choose_passes: bool,
}

/// Where a run is kept.
pub(crate) enum Place {
    /// A new run in this directory.
    Here(PathBuf),
    /// A new run in `runs/<name>-<n>`, for the first n that is free.
    Next(String),
    /// The run in this directory goes on.
    Resume {
        run: PathBuf,
        /// From the newest intact checkpoint, where the newest is damaged.
        fall_back: bool,
    },
}

const RUNS: &str = "runs";

/// Trains. Nothing is written before everything that can be checked has been.
pub(crate) fn run(mut job: Job, common: &Common) -> Result<()> {
    let engine = Engine::new(job.device, common.threads(), job.precision())?;
    if engine.is_gpu() && !job.is_resumed() {
        // Whoever goes on with the run elsewhere goes on in this.
        job.recipe.precision = Some(engine.precision());
    }
    fit_in_memory(&mut job, &engine)?;
    let inherited = job.inherited.take();
    let job = &job;
    let reading = &job.reading;
    let mut executor = engine.prepare(&job.net, job.recipe.micro(), Mode::Train)?;
    let dir = job.place.open()?;
    let style = if common.quiet { Style::Quiet } else { Style::of_stdout() };
    let mut listeners = Listeners { console: Console::new(style), files: Files::new(dir.path()) };
    let loader_threads = reading.threads(&engine);
    introduce(job, &engine, loader_threads, dir.path(), &mut listeners.console);
    let start = match job.place {
        Place::Resume { fall_back, .. } => Start::Resume { fall_back },
        _ => {
            Origin::new(job.data.as_deref(), &job.reading)?.write(&dir)?;
            inherited.map_or(Start::Initial, Start::Weights)
        }
    };
    let config = RunConfig {
        dir: &dir,
        recipe: &job.recipe,
        start,
        threads: loader_threads,
        bad_images: reading.bad_images(),
        revision: env!("ALEXNET_REVISION").into(),
    };
    let stop = interrupt::flag("the step is finished and a checkpoint is written")?;
    let dataset = in_memory(&job.dataset, &job.recipe.preprocessing, job.cache);
    let began = Instant::now();
    let memorised = if job.memorise { memorise(job, &dataset, &engine, &config, &mut listeners, &stop) } else { Ok(()) };
    let outcome = memorised.and_then(|()| Ok(train::run(&mut *executor, &dataset, &config, &mut listeners, &stop)?));
    let outcome = outcome.inspect_err(|_| discard(&dir))?;
    let summary = listeners.console.summary(began.elapsed());
    listeners.console.say(&format!("\n{summary}"));
    conclude(&outcome, job, dir.path(), common, &mut listeners.console)
}

/// Chooses the size of passes where that is left to us, and refuses a run for which memory is too small.
fn fit_in_memory(job: &mut Job, engine: &Engine) -> Result<()> {
    // The loader's threads allocate, and the one that waits for Ctrl-C.
    let (available, batch) = (memory::available(job.reading.threads(engine) + 1), job.recipe.batch);
    let choices = memory::equal_passes(batch);
    if job.choose_passes {
        let fitting = memory::largest_that_fits(&choices, available, |images| job.need(engine, images))?;
        let on_gpu = engine.largest_on_gpu(&job.net, &choices, Mode::Train)?;
        // Where nothing fits, the check of one image says so.
        let images = fitting.unwrap_or(1).min(on_gpu.unwrap_or(1));
        job.recipe.micro_batch = if images == batch { 0 } else { images };
        if images < batch {
            let place = match on_gpu < fitting {
                true => "the GPU's memory".to_string(),
                false => format!("the {} of memory available", memory::mib(available)),
            };
            job.notes.push(format!(
                "each step of {batch} images is made of {} passes of {images}, which is what fits in {place}",
                batch / images,
            ));
        }
    }
    let need = |images| job.need(engine, images);
    let shortage = memory::shortage(job.recipe.micro(), &choices, available, need)?;
    let shortage = match shortage {
        None => engine.shortage_on_gpu(&job.net, job.recipe.micro(), &choices, Mode::Train)?,
        found => found,
    };
    let Some(shortage) = shortage else { return Ok(()) };
    Err(shortage.failure(&job.net, |images| match &job.place {
        Place::Resume { run, .. } => format!(
            "free some memory, or set `micro_batch = {images}` in {}: the run goes on as well, but no longer bit for bit",
            run.join("recipe.toml").display()
        ),
        _ => format!(
            "`--micro-batch {images}` makes each step of passes that fit; `--batch auto` chooses them for the recipe's batch"
        ),
    }))
}

/// Batches that the loader of training images holds, and that of an evaluation, whose batches are of one pass.
const LOADED: usize = 3;

impl Job {
    fn is_resumed(&self) -> bool {
        matches!(self.place, Place::Resume { .. })
    }

    /// What is asked for. A run goes on in what it was begun in, and f32 on a CPU is written as nothing.
    fn precision(&self) -> Option<Precision> {
        self.recipe.precision.or(self.is_resumed().then_some(Precision::F32))
    }

    /// Bytes that the run needs with passes of so many images: the engine's own, pixels that wait and those of a pass that is
    /// cut from them, weights and momenta on their way to a checkpoint, and images that are kept.
    fn need(&self, engine: &Engine, images: usize) -> Result<u64> {
        let Job { net, recipe, dataset, .. } = self;
        let mut bytes = engine.memory_bytes(net, images, Mode::Train)?;
        bytes += pixel_bytes(net, LOADED * recipe.batch + (LOADED + 1) * images) + 2 * parameter_bytes(net);
        let caches = caches(dataset, &recipe.preprocessing, self.cache);
        for (source, cache) in [&dataset.train, &dataset.val].into_iter().zip(caches) {
            bytes += cache.holds(source.len(), &recipe.preprocessing).1;
        }
        if self.memorise {
            bytes += engine.memory_bytes(&train::without_dropout(net)?, memorise_options(images).images, Mode::Train)?;
        }
        Ok(bytes)
    }
}

/// The self-test's options with passes of so many images.
fn memorise_options(images: usize) -> MemoriseOptions {
    let usual = MemoriseOptions::default();
    MemoriseOptions { images: images.min(usual.images), ..usual }
}

/// The same data set; of as many images as `cache` holds, each is decoded once.
fn in_memory(dataset: &Dataset, preprocessing: &Preprocessing, cache: Cache) -> Dataset {
    let [train, val] = caches(dataset, preprocessing, cache);
    let keep = |source: &Arc<dyn Source>, cache| data::cached(Arc::clone(source), preprocessing, cache);
    Dataset { train: keep(&dataset.train, train), val: keep(&dataset.val, val), ..dataset.clone() }
}

/// What of the budget is for training and for validation images: the former come first.
fn caches(dataset: &Dataset, preprocessing: &Preprocessing, cache: Cache) -> [Cache; 2] {
    match cache {
        Cache::Small => [Cache::Small; 2],
        Cache::Bytes(budget) => {
            let (_, taken) = cache.holds(dataset.train.len(), preprocessing);
            [cache, Cache::Bytes(budget - taken)]
        }
    }
}

/// The self-test. It has an executor of its own, because it runs the net without dropout.
fn memorise(
    job: &Job,
    dataset: &Dataset,
    engine: &Engine,
    config: &RunConfig<'_>,
    log: &mut dyn Log,
    stop: &AtomicBool,
) -> Result<()> {
    let options = memorise_options(job.recipe.micro());
    let mut executor = engine.prepare(&train::without_dropout(&job.net)?, options.images, Mode::Train)?;
    match train::self_test(&mut *executor, dataset, config, options, log, stop)? {
        Some(_) => Ok(()),
        None => Err(Failure::interrupted()),
    }
}

/// Which net, data, engine and recipe, and where.
fn introduce(job: &Job, engine: &Engine, loader_threads: usize, run: &Path, console: &mut Console) {
    let Job { net, recipe, dataset, .. } = job;
    let images = |n: usize| format::count(n as u64);
    let length = match (recipe.epochs, recipe.steps) {
        (Some(epochs), _) => format::of(epochs.into(), "epoch", "epochs"),
        (None, steps) => format::of(steps.unwrap_or(0).into(), "step", "steps"),
    };
    let micro = if recipe.micro() == recipe.batch { String::new() } else { format!(" in passes of {}", recipe.micro()) };
    let rows = [
        (
            "net",
            format!(
                "{}: {} parameters, {} multiply-adds an image, input {}",
                net.name(),
                format::about(net.parameter_count() as u64),
                format::about(net.multiply_adds()),
                net.input()
            ),
        ),
        (
            "data",
            format!(
                "{}: {}, {} training and {} validation images",
                dataset.name,
                format::of(dataset.classes.len() as u64, "class", "classes"),
                images(dataset.train.len()),
                images(dataset.val.len())
            ),
        ),
        ("engine", format!("{}; {} read images", engine.describe(), format::of(loader_threads as u64, "thread", "threads"))),
        (
            "recipe",
            format!(
                "{length}, batch {}{micro}, rate {} ({}), momentum {}, decay {}, seed {}",
                recipe.batch,
                recipe.schedule.rate,
                curve(&recipe.schedule.curve),
                recipe.momentum,
                recipe.decay,
                recipe.seed
            ),
        ),
        ("run", run.display().to_string()),
    ];
    console.say(format::table(&rows.map(|(name, value)| vec![name.to_string(), value]), &[]).trim_end());
    job.notes.iter().for_each(|note| console.say(&format!("note: {note}")));
}

fn curve(curve: &Curve) -> &'static str {
    match curve {
        Curve::Constant => "constant",
        Curve::Plateau(_) => "dropped when the error stops falling",
        Curve::Step(_) => "in steps",
        Curve::Polynomial(_) => "polynomial",
        Curve::Cosine(_) => "cosine",
        Curve::Linear(_) => "linear",
        Curve::Dexp(_) => "exponential steps",
    }
}

/// Says how it ended and what can be done next.
fn conclude(outcome: &Outcome, job: &Job, run: &Path, common: &Common, console: &mut Console) -> Result<()> {
    let name = quoted(run);
    match outcome {
        Outcome::Finished(_) => {
            let image = if job.data.is_some() { "IMAGE" } else { "scenes/val/00000" };
            console.say(&format!(
                "curves in {}\n\nnext:\n  alexnet evaluate --weights {name}\n  alexnet predict --weights {name} {image}",
                run.join("curves.svg").display()
            ));
            if common.quiet { terminal::print(&format!("{}\n", run.display())) } else { Ok(()) }
        }
        Outcome::Interrupted { step, checkpoint } => {
            console.say(&format!(
                "stopped after step {}; checkpoint {}\n\nnext:\n  alexnet train --resume {name}",
                format::count((*step).into()),
                checkpoint.display()
            ));
            Err(Failure::interrupted())
        }
    }
}

/// A path as a shell reads it.
pub(crate) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Place {
    fn open(&self) -> Result<RunDir> {
        match self {
            Place::Here(path) => Ok(RunDir::create(path)?),
            Place::Resume { run, .. } => Ok(RunDir::open(run)?),
            Place::Next(name) => {
                fs::create_dir_all(RUNS).context(|| RUNS.to_string())?;
                // Making the directory is what decides between two runs that begin at once.
                for n in 1.. {
                    let path = Path::new(RUNS).join(format!("{name}-{n}"));
                    match fs::create_dir(&path) {
                        Ok(()) => return Ok(RunDir::create(&path)?),
                        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                        Err(error) => return Err(Failure::from(error).context(path.display().to_string())),
                    }
                }
                unreachable!("there are more numbers than directories")
            }
        }
    }
}

/// Takes a directory away in which no run has begun: one that holds nothing but what was put there here.
fn discard(dir: &RunDir) {
    let path = dir.path();
    if !path.join("recipe.toml").exists() {
        Origin::remove(path);
        // A directory that stays behind does no harm.
        let _ = fs::remove_file(path.join(".lock"));
        let _ = fs::remove_dir(path);
    }
}

/// The run in `runs` whose directory was changed last.
pub(crate) fn newest_run() -> Result<PathBuf> {
    let entries = fs::read_dir(RUNS).context(|| RUNS.to_string())?;
    let runs = entries.flatten().map(|entry| entry.path()).filter(|path| path.join("recipe.toml").is_file());
    let changed = |path: &PathBuf| fs::metadata(path.join("events.jsonl")).and_then(|m| m.modified()).ok();
    runs.max_by_key(changed).ok_or_else(|| {
        Failure::failed(format!("there is no run in {RUNS}"), "name the run's directory: `alexnet train --resume DIR`")
    })
}

/// Everyone who listens to a run.
struct Listeners {
    console: Console,
    files: Files,
}

impl Log for Listeners {
    fn record(&mut self, event: &Event) {
        self.files.record(event);
        self.console.record(event);
        self.files.problems().iter().for_each(|problem| self.console.warn(problem));
    }
}
