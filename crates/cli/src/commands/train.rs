//! `alexnet train`: the options, and how they become a net, a recipe and a data set.

use std::path::{Path, PathBuf};

use clap::Args;
use data::{Cache, Dataset};
use net::{Net, Precision};
use report::format;
use train::{LayerRate, Recipe, recipe_for};

use crate::dataset::Reading;
use crate::device::{self, Where};
use crate::engine::Engine;
use crate::failure::{Context, Failure, Result};
use crate::freeze;
use crate::init::{self, Beginning, Init};
use crate::memory::{self, Images};
use crate::origin::Origin;
use crate::saved::About;
use crate::training::{self, Job, Place};
use crate::{Common, nets, recipes};

/// The net of `alexnet train` without data.
const SMALL: &str = "scenes";
/// The net of `alexnet train --data DIR`.
const LARGE: &str = "alexnet";

/// Train a net
#[derive(Args)]
#[command(after_help = "\
Without --data, a small net learns the built-in images. With --data, the network
of the paper learns yours: a folder for each class, DIR/train/<class>/* and
DIR/val/<class>/*, or DIR/<class>/*, of which a tenth is held out; or what else
`alexnet data info` knows. A run is kept in its directory: Ctrl-C stops it,
--resume goes on where it stopped.

With --init, a trained net learns your classes: its weights, its mean and the size
of its images stay, a new last layer takes the place of its own unless the classes
are the same, and the recipe is `fine-tune`. With few images, or little time, let
only the new layer learn: --freeze with all layers up to the one before it.

Examples:
  alexnet train                       the built-in images, in minutes
  alexnet train --data photos         the network of the paper, on your images
  alexnet train --data cifar10 --net cifar-80sec
  alexnet train --data photos --net my.toml --recipe my-recipe.toml
  alexnet train --data photos --batch auto    where memory is short
  alexnet train --init runs/mine --data photos              fine-tuning
  alexnet train --init runs/mine --data photos --freeze ..fc7
  alexnet train --resume runs/mine    after Ctrl-C, a crash, or a full disk
  alexnet train --resume              the same, with the newest run")]
pub(crate) struct Train {
    /// The data set [default: the built-in images]
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// A preset or a net's TOML file [default: scenes, or alexnet with --data]
    #[arg(long, value_name = "NAME|FILE")]
    net: Option<String>,
    /// A recipe or its TOML file [default: the net's own, or fine-tune with --init]
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Begin with the weights of a trained net: a run, a checkpoint, or a file of trained weights; --net is its own by default
    #[arg(long, value_name = "FILE")]
    init: Option<PathBuf>,
    /// With --init: the rate of the last layer as a multiple of the schedule's [default: 2 where that layer is new, else 1]
    #[arg(long, value_name = "X", value_parser = rate, requires = "init")]
    head_rate: Option<f64>,
    /// The run's directory [default: runs/NET-DATA-1, 2, …]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    run: Option<PathBuf>,
    /// Go on with a run [default: the newest in runs]
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with_all = ["net", "recipe", "init", "Changes", "memorise"])]
    resume: Option<Option<PathBuf>>,
    /// With --resume: where the newest checkpoint is damaged, go on from the newest one that is intact
    #[arg(long, requires = "resume")]
    fall_back: bool,
    #[command(flatten)]
    changes: Changes,
    /// First memorise one batch, as a test that net, rate and data are sound
    #[arg(long)]
    memorise: bool,
    /// Memory for images kept decoded from epoch to epoch, in MiB: as many as fit [default: 256 where all fit, else none]
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(..=1 << 24))]
    cache: Option<u32>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    about: About,
}

/// What is changed in the recipe.
#[derive(Args)]
#[group(id = "Changes", multiple = true)]
struct Changes {
    /// Length of the run in epochs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    epochs: Option<u32>,
    /// Images in a step; auto: the recipe's, in as few equal passes as fit in memory
    #[arg(long, value_name = "N|auto", value_parser = memory::images)]
    batch: Option<Images>,
    /// Images in a pass, where memory is short: a step is made of several passes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    micro_batch: Option<u32>,
    /// What may be rounded to: on CPUs f32, or bf16 in linear layers; on GPUs also tf32 and f16 [default: the recipe's, or f32, on
    /// GPUs bf16]
    #[arg(long, value_name = "f32|tf32|bf16|f16", value_parser = device::precision)]
    precision: Option<Precision>,
    /// The learning rate to begin with
    #[arg(long, value_name = "X", value_parser = rate)]
    rate: Option<f64>,
    /// From which every random number follows
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Layers that do not learn: names, or `A..B` for all from A to B, `..B` for all up to B
    #[arg(long, value_name = "LAYER|A..B", value_delimiter = ',', num_args = 1..)]
    freeze: Vec<String>,
    /// Views of each image in evaluations: 1 or 10
    #[arg(long, value_name = "1|10", value_parser = ["1", "10"])]
    views: Option<String>,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate.is_finite() => Ok(rate),
        _ => Err("a rate is a number above 0".into()),
    }
}

impl Train {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        // A GPU that cannot be used is known before a data set has been opened.
        Engine::new(self.place, common.threads(), None)?;
        let init = self.init()?;
        let job = match &self.resume {
            Some(run) => self.resumed(run.as_deref())?,
            None => self.new_job(init)?,
        };
        training::run(job, common)
    }

    /// A run from the beginning.
    fn new_job(&self, init: Option<Init>) -> Result<Job> {
        // What is cheap to check comes first.
        let asked = self.net.as_deref().map(nets::resolve).transpose()?;
        let asked = asked.or_else(|| init.as_ref().map(|init| init.net().clone()));
        let recipe = self.recipe_for(asked.as_ref(), init.as_ref())?;
        let reading = self.reading.clone().settled()?;
        let dataset = reading.open(self.data.as_deref())?;
        let asked = asked.map_or_else(|| Net::preset(&recipe.net), Ok)?;
        let net = recipe.net_for(Some(asked.clone()), dataset.classes.len())?;
        let recipe = self.changes.apply(recipe)?;
        let (recipe, inherited, notes) = match init {
            Some(init) => {
                let recipe = init.recipe(recipe, &net)?;
                let Beginning { inherited, head_rate, mut notes } = init.begin(&net, &dataset, &recipe, self.head_rate)?;
                if self.recipe.is_none() {
                    notes.push(format!("the recipe is `{}`; --rate changes its rate, --recipe names another", init::RECIPE));
                }
                (self.with_layers(recipe, head_rate, &net, &inherited.from.new)?, Some(inherited), notes)
            }
            None => (self.with_layers(recipe, None, &net, &[])?, None, resized(&net, &asked, &dataset)),
        };
        let place = match &self.run {
            Some(path) => Place::Here(path.clone()),
            None => Place::Next(format!("{}-{}", net.name(), dataset.name)),
        };
        Ok(Job {
            net,
            recipe,
            dataset,
            data: self.data.clone(),
            reading,
            place,
            inherited,
            notes,
            memorise: self.memorise,
            device: self.place,
            cache: self.cache(),
            choose_passes: self.changes.batch == Some(Images::Auto),
        })
    }

    /// The recipe with the rates of single layers that the options ask for; those that are `new` have to learn.
    fn with_layers(&self, mut recipe: Recipe, head: Option<LayerRate>, net: &Net, new: &[String]) -> Result<Recipe> {
        let frozen = freeze::layers(&self.changes.freeze, net)?;
        if let Some(name) = frozen.iter().find(|name| new.contains(name)) {
            let message = format!("--freeze: `{name}` is made anew, and has to learn");
            return Err(Failure::usage(message, "freeze only layers that have trained weights"));
        }
        recipe.layers.extend(head);
        recipe.layers.extend(frozen.into_iter().map(|name| LayerRate { name, of: Default::default(), rate: 0.0, from_epoch: 0 }));
        recipe.fits(net).usage()?;
        Ok(recipe)
    }

    /// The trained net to begin with.
    fn init(&self) -> Result<Option<Init>> {
        let given = self.about.given();
        match &self.init {
            Some(path) => Init::open(path, &given).map(Some),
            None if given == zoo::Given::default() => Ok(None),
            None => Err(Failure::usage(
                "--preset, --mean and --classes tell of a file of trained weights, and there is none",
                "give one with --init; the net to be trained is named by --net",
            )),
        }
    }

    /// The recipe that was asked for, else the one for trained weights, else the net's own, else the one of the default net.
    fn recipe_for(&self, net: Option<&Net>, init: Option<&Init>) -> Result<Recipe> {
        match (&self.recipe, net, init) {
            (Some(name), ..) => recipes::resolve(name),
            (None, Some(net), Some(init)) => init.usual_recipe(net),
            (None, Some(net), None) => Ok(Recipe::builtin(recipe_for(net.name()))?),
            (None, None, _) if self.data.is_some() => Ok(Recipe::builtin(recipe_for(LARGE))?),
            (None, None, _) => Ok(Recipe::builtin(recipe_for(SMALL))?),
        }
    }

    /// How much memory images are kept in.
    fn cache(&self) -> Cache {
        self.cache.map_or(Cache::Small, |mib| Cache::Bytes(u64::from(mib) << 20))
    }

    /// A run that goes on.
    fn resumed(&self, run: Option<&Path>) -> Result<Job> {
        let run = run.map_or_else(training::newest_run, |run| Ok(run.to_path_buf()))?;
        let (net, recipe) = (train::read_net(&run)?, train::read_recipe(&run)?);
        let Origin { data, mut reading } = Origin::of_run(&run, self.data.as_deref(), &self.reading)?;
        // A run whose memory of its data is lost has --data instead.
        if let Ok(origin) = Origin::read(&run) {
            reading = reading.resuming(&origin.reading)?;
        }
        let dataset: Dataset = reading.open(data.as_deref())?;
        Ok(Job {
            net,
            recipe,
            dataset,
            data,
            reading,
            place: Place::Resume { run, fall_back: self.fall_back },
            inherited: None,
            notes: Vec::new(),
            memorise: false,
            device: self.place,
            cache: self.cache(),
            choose_passes: false,
        })
    }
}

/// What is to be said where `net` is `asked` but for the number of classes.
fn resized(net: &Net, asked: &Net, dataset: &Dataset) -> Vec<String> {
    let (classes, usual) = (net.classes(), asked.classes());
    let text = || {
        let usual = format::count(usual as u64);
        format!("the last layer is made for the {classes} classes of `{}`; `{}` has {usual}", dataset.name, asked.name())
    };
    (classes != usual).then(text).into_iter().collect()
}

impl Changes {
    /// The recipe with the changes, but for layers that do not learn.
    fn apply(&self, mut recipe: Recipe) -> Result<Recipe> {
        if let Some(epochs) = self.epochs {
            (recipe.epochs, recipe.steps) = (Some(epochs), None);
        }
        if let Some(Images::Count(batch)) = self.batch {
            // The recipe's micro-batch was meant for the recipe's batch.
            (recipe.batch, recipe.micro_batch) = (batch, 0);
        }
        if self.batch == Some(Images::Auto) && self.micro_batch.is_some() {
            let message = "--batch auto chooses the micro-batch, and --micro-batch gives one";
            return Err(Failure::usage(message, "give one of the two"));
        }
        if let Some(micro_batch) = self.micro_batch {
            recipe.micro_batch = micro_batch as usize;
        }
        if let Some(precision) = self.precision {
            recipe.precision = Some(precision);
        }
        if let Some(rate) = self.rate {
            recipe.schedule.rate = rate;
        }
        if let Some(seed) = self.seed {
            recipe.seed = seed;
        }
        if let Some(views) = &self.views {
            recipe.evaluation.views = if views == "10" { 10 } else { 1 };
        }
        // Reading it back checks the values against each other.
        Recipe::from_toml(&recipe.to_toml()).map_err(|error| match error {
            train::Error::Text { message, .. } => {
                Failure::usage(message, "`alexnet recipe NAME` shows the recipe that these options change")
            }
            other => other.into(),
        })
    }
}
