//! `alexnet bench data`: how fast images become batches here, and whether an engine would have to wait for them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use data::{BadImages, LoaderOptions, Pipeline, Stages, Statistics, TrainLoader};
use net::{Batch, Executor, Kind, Mode, Net};
use report::format;
use serde_json::json;
use train::{Recipe, recipe_for};

use super::{median, small_steps, step};
use crate::dataset::{self, Reading};
use crate::device::Compute;
use crate::engine::Engine;
use crate::failure::Result;
use crate::{Common, nets, recipes, terminal, usage};

/// Time the way of a data set's images to ready batches, stage by stage
#[derive(Args)]
#[command(after_help = "\
Batches are made as for training, by the recipe's preprocessing, in the order of an epoch; the means are made up, which
changes no work. With --train, training steps on these batches and on one of them that is kept are timed in turns: their
ratio is what the loader costs an engine that shares the cores with it.

Examples:
  alexnet bench data photos                    images a second, and where the time goes
  alexnet bench data photos --loader-threads 1 --seconds 20
  alexnet bench data packs/imagenet --train    what it leaves to the engine")]
pub(crate) struct BenchData {
    /// The data set [default: the built-in images]
    path: Option<PathBuf>,
    /// The net that would take the batches: a preset or a net's TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "alexnet")]
    net: String,
    /// The recipe whose preprocessing is used: its name or TOML file [default: the net's own]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Images in a batch
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    batch: u32,
    /// Seconds to measure, after one batch for each that the loader holds
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Train on the batches as well, and on one that is kept in memory, in turns
    #[arg(long)]
    train: bool,
    // Of use with --train alone.
    #[command(flatten)]
    compute: Compute,
    #[command(flatten)]
    reading: Reading,
    /// Print the result as JSON, on one line
    #[arg(long)]
    json: bool,
}

/// Batches that a loader holds, as in training.
const SLOTS: usize = 3;

impl BenchData {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let net = nets::resolve(&self.net)?;
        let recipe = match &self.recipe {
            Some(name) => recipes::resolve(name)?,
            None => Recipe::builtin(recipe_for(net.name()))?,
        };
        let dataset = self.path.as_deref().map_or_else(|| Ok(dataset::built_in()), |path| self.reading.open(Some(path)))?;
        let engine = self.compute.engine(common.threads())?;
        let p = recipe.preprocessing;
        let pipeline = Arc::new(Pipeline::new(p.clone(), Statistics::made_up(&p), net.input())?);
        let options = LoaderOptions {
            batch: self.batch as usize,
            threads: self.reading.threads(&engine),
            slots: SLOTS,
            seed: 0,
            bad: if self.reading.bad_images() == BadImages::Stop { BadImages::Stop } else { BadImages::Skip },
        };
        let mut loader = TrainLoader::start(Arc::clone(&dataset.train), pipeline, options, 0, 0);
        for _ in 0..SLOTS {
            let loaded = loader.next()?;
            loader.give_back(loaded);
        }
        let trained = self.train.then(|| self.train(&net, &engine, &mut loader)).transpose()?;
        let alone = if trained.is_none() { Some(self.drain(&mut loader)?) } else { None };
        let measured = Measured {
            name: &dataset.name,
            images: dataset.train.len(),
            bad: loader.bad().len(),
            batch: self.batch,
            stages: loader.stages(),
            alone,
            trained,
            peak_bytes: usage::peak_bytes(),
        };
        terminal::print(&if self.json { measured.json() } else { measured.text() })
    }

    /// Takes batches as fast as they come: what was done meanwhile, and how long it took.
    fn drain(&self, loader: &mut TrainLoader) -> Result<(Stages, f64)> {
        let (began, before) = (Instant::now(), loader.stages());
        while began.elapsed() < Duration::from_secs(self.seconds) {
            let loaded = loader.next()?;
            loader.give_back(loaded);
        }
        Ok((loader.stages().since(&before), began.elapsed().as_secs_f64()))
    }

    /// Trains on the loader's batches and on one that is kept, in turns.
    fn train(&self, net: &Net, engine: &Engine, loader: &mut TrainLoader) -> Result<Trained> {
        let images = self.batch as usize;
        let mut exec = engine.prepare(net, images, Mode::Train)?;
        exec.load(Kind::Weights, &net.initial_params(0))?;
        let hyper = small_steps(net);
        // One of the loader's own, so that both kinds of steps see the same pixels.
        let loaded = loader.next()?;
        let kept = with_labels_of(net, loaded.batch.clone());
        loader.give_back(loaded);
        let mut trained = Trained::default();
        let one = |exec: &mut dyn Executor, batch: &Batch, number: u32| -> Result<f64> {
            let began = Instant::now();
            step(exec, Mode::Train, batch, number, &hyper)?;
            Ok(began.elapsed().as_secs_f64())
        };
        // The first steps touch memory for the first time.
        for number in 0..2 {
            one(&mut *exec, &kept, number)?;
        }
        let began = Instant::now();
        for turn in 0.. {
            if turn >= 2 && began.elapsed() >= Duration::from_secs(self.seconds) {
                break;
            }
            // The loader fills its batches and then rests, and only the engine works.
            std::thread::sleep(REST);
            let seconds = (0..STEPS).map(|i| one(&mut *exec, &kept, i)).collect::<Result<Vec<_>>>()?;
            trained.alone.push((kept.n * seconds.len()) as f64 / seconds.iter().sum::<f64>());
            // As many batches as were made beforehand are not what a long run lives on.
            for _ in 0..SLOTS {
                let loaded = loader.next()?;
                loader.give_back(loaded);
            }
            let (since, mut taken) = (Instant::now(), 0);
            for i in 0..STEPS {
                let mut loaded = loader.next()?;
                loaded.batch = with_labels_of(net, loaded.batch);
                taken += loaded.batch.n;
                one(&mut *exec, &loaded.batch, i)?;
                loader.give_back(loaded);
            }
            trained.fed.push(taken as f64 / since.elapsed().as_secs_f64());
        }
        Ok(trained)
    }
}

/// The batch with labels that the net knows, whatever the data set's are.
fn with_labels_of(net: &Net, mut batch: Batch) -> Batch {
    let second = batch.mixed.iter_mut().flat_map(|mixed| &mut mixed.labels);
    batch.labels.iter_mut().chain(second).for_each(|label| *label %= net.classes() as u32);
    batch
}

/// Steps in a turn.
const STEPS: u32 = 6;
/// Long enough for the loader to fill its batches of any data set that keeps up.
const REST: Duration = Duration::from_millis(1500);

/// Images a second of each turn.
#[derive(Default)]
struct Trained {
    /// On a batch that is kept.
    alone: Vec<f64>,
    /// On the loader's batches.
    fed: Vec<f64>,
}

impl Trained {
    fn ratio(&self) -> f64 {
        median(&self.fed) / median(&self.alone)
    }
}

/// All that has been measured.
struct Measured<'a> {
    name: &'a str,
    images: usize,
    bad: usize,
    batch: u32,
    /// Since the loader was started.
    stages: Stages,
    /// Of the measured time, where the loader ran by itself.
    alone: Option<(Stages, f64)>,
    trained: Option<Trained>,
    peak_bytes: Option<u64>,
}

impl Measured<'_> {
    /// The stages that are shown.
    fn shown(&self) -> &Stages {
        self.alone.as_ref().map_or(&self.stages, |(stages, _)| stages)
    }

    fn json(&self) -> String {
        let stages = self.shown();
        let per_image = |time: Duration| time.as_secs_f64() / stages.images.max(1) as f64;
        let result = json!({
            "data": self.name, "images": self.images, "bad": self.bad, "batch": self.batch, "threads": stages.threads,
            "images_per_s": self.alone.as_ref().map(|(stages, seconds)| stages.images as f64 / seconds),
            "thread_images_per_s": stages.images_per_s(),
            "bytes_per_image": stages.bytes as f64 / stages.images.max(1) as f64,
            "read_s_per_image": per_image(stages.read), "decode_s_per_image": per_image(stages.decode),
            "augment_s_per_image": per_image(stages.augment),
            "longest": stages.longest(),
            "train_images_per_s": self.trained.as_ref().map(|t| median(&t.fed)),
            "train_in_memory_images_per_s": self.trained.as_ref().map(|t| median(&t.alone)),
            "train_ratio": self.trained.as_ref().map(Trained::ratio),
            "peak_bytes": self.peak_bytes,
        });
        format!("{result}\n")
    }

    fn text(&self) -> String {
        let stages = self.shown();
        let threads = format::of(stages.threads as u64, "thread", "threads");
        let mut text = format!(
            "{}: {}, {:.1} KB each, batches of {}, {threads}\n",
            self.name,
            format::of(self.images as u64, "training image", "training images"),
            stages.bytes as f64 / stages.images.max(1) as f64 / 1e3,
            self.batch
        );
        if self.bad > 0 {
            text += &format!("{} cannot be read\n", format::of(self.bad as u64, "image", "images"));
        }
        if let Some((stages, seconds)) = &self.alone {
            text += &format!(
                "{} images/s, {:.1} MB/s; {}-bound\n",
                format::rate(stages.images as f64 / seconds),
                stages.bytes as f64 / seconds / 1e6,
                stages.longest()
            );
        }
        text += "\n";
        let busy = (stages.read + stages.decode + stages.augment).as_secs_f64();
        let mut rows = vec![vec!["stage".to_string(), "µs an image".into(), "share".into()]];
        for (name, time) in [("read", stages.read), ("decode", stages.decode), ("augment", stages.augment)] {
            let each = 1e6 * time.as_secs_f64() / stages.images.max(1) as f64;
            rows.push(vec![name.into(), format!("{each:.1}"), format!("{:.1} %", 100.0 * time.as_secs_f64() / busy)]);
        }
        text += &format::table(&rows, &[1, 2]);
        if let Some(trained) = &self.trained {
            let (fed, alone) = (format::rate(median(&trained.fed)), format::rate(median(&trained.alone)));
            text +=
                &format!("\ntraining: {fed} images/s on these batches, {alone} on one kept in memory: {:.3}\n", trained.ratio());
        }
        if let Some(bytes) = self.peak_bytes {
            text += &format!("\nmemory held at most: {} MiB\n", bytes >> 20);
        }
        text
    }
}
