//! How to train, as TOML.

use data::Preprocessing;
use net::{Form, Net, Op, Precision, Role};
use serde::{Deserialize, Serialize};

use crate::schedule::{Curve, Fault};
use crate::{Error, Result, Schedule};

/// How to train a net: batch, rates, preprocessing, when to evaluate and when to keep a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The net's preset.
    pub net: String,
    /// Images a step.
    pub batch: usize,
    /// Images a forward-backward pass, where memory is short; 0 for the whole batch.
    #[serde(default)]
    pub micro_batch: usize,
    /// Length of the run in epochs; or else [`Recipe::steps`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// Length of the run in steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u32>,
    /// What the engine may round to; `None` is what is usual on the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// From which every random number follows.
    #[serde(default = "one")]
    pub seed: u64,
    /// `m` of [`Form`], in `[0, 1)`.
    pub momentum: f64,
    /// `λ` of [`Form`]; each parameter's share is the net's.
    pub decay: f64,
    /// Which update.
    #[serde(default)]
    pub form: UpdateForm,
    /// Whether the net's dropout layers stay in; without them every step on a batch sees the same function.
    #[serde(default = "yes")]
    pub dropout: bool,
    /// Train on the first batch over and over; an epoch has as many steps as it would have with all batches.
    #[serde(default)]
    pub one_batch: bool,
    /// End the run once a step's loss is below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_below: Option<f64>,
    /// The learning rate of the weights, and of the biases unless they have their own.
    pub schedule: Schedule,
    /// The learning rate of the biases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias_schedule: Option<Schedule>,
    /// Factors of single layers' rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerRate>,
    /// When and how to evaluate.
    #[serde(default)]
    pub evaluation: EvaluationPlan,
    /// When to write checkpoints and which to keep.
    #[serde(default)]
    pub checkpoints: CheckpointPlan,
    /// From image to input.
    pub preprocessing: Preprocessing,
}

/// [`Form`] as a recipe writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdateForm {
    /// `v ← m·v − ε·λ·w − ε·g; w ← w + v`
    #[default]
    RateInside,
    /// `v ← m·v + g + λ·w; w ← w − ε·v`
    RateOutside,
}

impl From<UpdateForm> for Form {
    fn from(form: UpdateForm) -> Form {
        match form {
            UpdateForm::RateInside => Form::RateInside,
            UpdateForm::RateOutside => Form::RateOutside,
        }
    }
}

/// A factor of one layer's learning rate. Where several have begun, the last in the recipe's order holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRate {
    /// The layer.
    pub name: String,
    /// Weights, biases or both.
    #[serde(default)]
    pub of: Part,
    /// Multiplies the rate; 0 freezes: neither values nor momenta change.
    pub rate: f64,
    /// The first epoch, counted from 0, that it holds for.
    #[serde(default)]
    pub from_epoch: u32,
}

impl LayerRate {
    /// Whether it holds for parameters of this role.
    pub fn covers(&self, role: Role) -> bool {
        match self.of {
            Part::Both => true,
            Part::Weight => role == Role::Weight,
            Part::Bias => role == Role::Bias,
        }
    }
}

/// Which of a layer's parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Weight and bias.
    #[default]
    Both,
    /// The weight.
    Weight,
    /// The bias.
    Bias,
}

/// When and how to evaluate the validation images. The end of a run always does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationPlan {
    /// Every so many epochs; 0 for only at the end.
    #[serde(default = "one_epoch")]
    pub every_epochs: u32,
    /// 1 (the centre crop) or 10 (corners and centre, reflected), averaging probabilities.
    #[serde(default = "one_view")]
    pub views: usize,
}

impl Default for EvaluationPlan {
    fn default() -> EvaluationPlan {
        EvaluationPlan { every_epochs: 1, views: 1 }
    }
}

/// When to write checkpoints and which to keep. The end of a run, and an interruption, always write one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointPlan {
    /// Every so many epochs; 0 for never.
    #[serde(default = "one_epoch")]
    pub every_epochs: u32,
    /// Every so many steps; 0 for never.
    #[serde(default)]
    pub every_steps: u32,
    /// How many of the newest to keep, at least 1.
    #[serde(default = "two")]
    pub keep_last: usize,
    /// Whether to write one whenever an evaluation is the best so far, and to keep the best.
    #[serde(default = "yes")]
    pub keep_best: bool,
}

impl Default for CheckpointPlan {
    fn default() -> CheckpointPlan {
        CheckpointPlan { every_epochs: 1, every_steps: 0, keep_last: 2, keep_best: true }
    }
}

fn one() -> u64 {
    1
}

fn one_epoch() -> u32 {
    1
}

fn one_view() -> usize {
    1
}

fn two() -> usize {
    2
}

fn yes() -> bool {
    true
}

/// A recipe that comes with the program.
pub struct BuiltIn {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its text, comments and all.
    pub text: &'static str,
}

impl BuiltIn {
    /// The first line of its comment.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or("").trim_start_matches(['#', ' '])
    }
}

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => {
        &[$(BuiltIn { name: $name, text: include_str!(concat!("../../../recipes/", $name, ".toml")) }),+]
    };
}

/// Every recipe that comes with the program.
pub const RECIPES: &[BuiltIn] = built_in![
    "paper",
    "alexnet-2012",
    "alexnet-2012-1gpu",
    "owt",
    "caffe",
    "caffenet",
    "torchvision",
    "onnx-bvlc",
    "d2l",
    "cifar-80sec",
    "cifar-19pct",
    "cifar-18pct",
    "cifar-13pct",
    "cifar-11pct",
    "scenes",
    "fine-tune",
    "overfit-one-batch",
];

/// The built-in recipe that belongs to a preset, or to a net derived from it by name; `paper` for every other.
pub fn recipe_for(net_name: &str) -> &'static str {
    RECIPES.iter().map(|recipe| recipe.name).find(|name| *name == net_name).unwrap_or("paper")
}

impl Recipe {
    /// The built-in recipe called `name`.
    ///
    /// # Errors
    /// Lists the recipes when there is none of that name.
    pub fn builtin(name: &str) -> Result<Recipe> {
        let recipe = RECIPES.iter().find(|recipe| recipe.name == name).ok_or_else(|| Error::UnknownRecipe {
            name: name.into(),
            known: RECIPES.iter().map(|recipe| recipe.name).collect::<Vec<_>>().join(", "),
        })?;
        Recipe::from_toml(recipe.text)
    }

    /// Reads a recipe from its TOML text.
    ///
    /// # Errors
    /// With line and column: bad TOML, an unknown key, a wrong type, a value that cannot be.
    pub fn from_toml(text: &str) -> Result<Recipe> {
        let at = |offset: usize, message: String| {
            let (line, column) = net::text_position(text, offset);
            Error::Text { line, column, message }
        };
        let one_line = |message: &str| message.lines().collect::<Vec<_>>().join(" ");
        let recipe: Recipe =
            toml::from_str(text).map_err(|e| at(e.span().map_or(0, |span| span.start), one_line(e.message())))?;
        recipe.check().map_err(|(path, message)| at(locate(text, &path), format!("`{}`: {message}", path.join("."))))?;
        Ok(recipe)
    }

    /// The recipe as TOML text, which [`Recipe::from_toml`] reads back equal.
    pub fn to_toml(&self) -> String {
        match toml::to_string(self) {
            Ok(text) => text,
            Err(error) => unreachable!("recipes always print: {error}"),
        }
    }

    /// The first value that cannot be, whatever the net and the data.
    fn check(&self) -> Result<(), Fault> {
        let need = |good: bool, key: &str, message: &str| {
            if good { Ok(()) } else { Err((key.split('.').map(String::from).collect::<Vec<_>>(), message.to_string())) }
        };
        need((1..=1 << 20).contains(&self.batch), "batch", "a batch has 1 to 1,048,576 images")?;
        need(self.micro_batch <= self.batch, "micro_batch", "a micro-batch is no larger than the batch")?;
        match (self.epochs, self.steps) {
            (Some(epochs), None) => need(epochs > 0, "epochs", "a run has at least one epoch")?,
            (None, Some(steps)) => need(steps > 0, "steps", "a run has at least one step")?,
            (None, None) => need(false, "net", "the recipe tells neither `epochs` nor `steps`")?,
            (Some(_), Some(_)) => need(false, "steps", "the recipe tells both `epochs` and `steps`")?,
        }
        need((0.0..1.0).contains(&self.momentum), "momentum", "the momentum lies in [0, 1)")?;
        need(self.decay >= 0.0 && self.decay.is_finite(), "decay", "the decay is a number of at least 0")?;
        need(self.stop_below.is_none_or(|loss| loss > 0.0), "stop_below", "the loss to stop at is above 0")?;
        need(matches!(self.evaluation.views, 1 | 10), "evaluation.views", "an image has 1 view or 10")?;
        need(self.checkpoints.keep_last >= 1, "checkpoints.keep_last", "at least the newest checkpoint is kept")?;
        for (i, layer) in self.layers.iter().enumerate() {
            let good = layer.rate >= 0.0 && layer.rate.is_finite();
            need(good, &format!("layers.{i}.rate"), "a factor is a number of at least 0")?;
        }
        self.check_schedules()
    }

    fn check_schedules(&self) -> Result<(), Fault> {
        let schedules = [("schedule", Some(&self.schedule)), ("bias_schedule", self.bias_schedule.as_ref())];
        for (key, schedule) in schedules.into_iter().filter_map(|(key, schedule)| Some((key, schedule?))) {
            let within = |(mut path, message): Fault| {
                path.insert(0, key.into());
                (path, message)
            };
            schedule.check().map_err(within)?;
            if matches!(schedule.curve, Curve::Plateau(_)) && self.evaluation.every_epochs == 0 {
                let message = "a plateau schedule needs evaluations, but `evaluation.every_epochs` is 0".into();
                return Err((vec![key.into(), "plateau".into()], message));
            }
        }
        Ok(())
    }

    /// Whether a net can be trained by this recipe: its input suits the preprocessing, its layers the rates.
    ///
    /// # Errors
    /// Names the recipe's key that does not fit.
    pub fn fits(&self, net: &Net) -> Result<()> {
        let fault = |error: data::Error| Error::RecipeFit { key: "preprocessing".into(), message: error.to_string() };
        self.preprocessing.check(net.input()).map_err(fault)?;
        crate::Scheduler::new(self, net, crate::Span { steps: 1, steps_per_epoch: 1 }).map(|_| ())
    }

    /// The net that this recipe trains: `net`, or the recipe's preset, for `classes` classes, without dropout where the
    /// recipe says so.
    ///
    /// # Errors
    /// Where there is no such preset or its classes cannot be changed.
    pub fn net_for(&self, net: Option<Net>, classes: usize) -> Result<Net> {
        let net = net.map_or_else(|| Net::preset(&self.net), Ok)?;
        let net = if net.classes() == classes { net } else { net.with_classes(classes)? };
        if self.dropout { Ok(net) } else { without_dropout(&net) }
    }

    /// Images a forward-backward pass: what an executor must have room for.
    pub fn micro(&self) -> usize {
        if self.micro_batch == 0 { self.batch } else { self.micro_batch }
    }

    /// Length of the run in steps.
    pub fn total_steps(&self, steps_per_epoch: u32) -> u32 {
        self.steps.unwrap_or_else(|| self.epochs.unwrap_or(0).saturating_mul(steps_per_epoch))
    }
}

/// The same net without its dropout layers. It has the same parameters.
///
/// # Errors
/// Never for a net that was checked with them.
pub fn without_dropout(net: &Net) -> Result<Net> {
    let layers = net.layers().iter().filter(|layer| !matches!(layer.op, Op::Dropout(_))).cloned().collect();
    Ok(Net::new(net.name(), net.input(), layers)?)
}

/// The byte offset of the value at a path of keys and indices, or of the innermost table on the way that exists.
fn locate(text: &str, path: &[String]) -> usize {
    let Ok(table) = toml::de::DeTable::parse(text) else { return 0 };
    let mut offset = 0;
    let mut keys = path.iter();
    let Some(mut value) = keys.next().and_then(|key| table.get_ref().get(key.as_str())) else { return offset };
    loop {
        offset = value.span().start;
        let Some(key) = keys.next() else { return offset };
        let inner = match key.parse::<usize>() {
            Ok(index) => value.get_ref().get(index),
            Err(_) => value.get_ref().get(key.as_str()),
        };
        match inner {
            Some(inner) => value = inner,
            None => return offset,
        }
    }
}
