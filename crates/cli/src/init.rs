//! `--init FILE`: a trained net whose weights a training begins with.

use std::path::Path;

use data::{Dataset, Mean, Preprocessing};
use net::{Net, Op};
use report::format;
use train::checkpoint::Checks;
use train::{Head, Inherited, InitialisedFrom, LayerRate, Recipe, Trained, Transfer, head_of};
use zoo::{Given, Model};

use crate::failure::{Context, Result};

/// The built-in recipe of a training that begins with trained weights.
pub(crate) const RECIPE: &str = "fine-tune";

/// The rate of a last layer that begins anew, as a multiple of the schedule's. Its random values have the whole way to go, while
/// the layers below should change little.
pub(crate) const HEAD_RATE: f64 = 10.0;

/// The trained net.
pub(crate) struct Init {
    model: Model,
}

/// How a training begins with it.
pub(crate) struct Beginning {
    pub(crate) inherited: Box<Inherited>,
    /// Factors of the last layer's rate, to stand before those of the recipe's that they give way to.
    pub(crate) head_rate: Option<LayerRate>,
    /// What the user should know about it.
    pub(crate) notes: Vec<String>,
}

impl Init {
    /// Reads it.
    pub(crate) fn open(path: &Path, given: &Given) -> Result<Init> {
        Ok(Init { model: zoo::open(path, given, Checks::Inference)? })
    }

    /// Its net.
    pub(crate) fn net(&self) -> &Net {
        &self.model.net
    }

    /// The recipe for going on with it: images become inputs as for the model, and training changes them as the recipe says.
    pub(crate) fn recipe(&self, recipe: Recipe, net: &Net) -> Result<Recipe> {
        let own = &self.model.card.preprocessing;
        let preprocessing = own.augmented_as(&recipe.preprocessing);
        preprocessing.check(net.input()).context(|| self.mismatch(own, net)).map_err(|failure| {
            failure.into_usage().hint(if net.input() == self.net().input() {
                "the model's way to prepare images stays; choose a recipe with other augmentations, or leave --recipe out"
            } else {
                "leave --net out to train the model's own net, or choose a net for images of its size"
            })
        })?;
        Ok(Recipe { preprocessing, ..recipe })
    }

    fn mismatch(&self, own: &Preprocessing, net: &Net) -> String {
        let (path, side) = (self.model.path.display(), own.stored);
        format!("{path} was trained on images kept at {side} × {side}; net `{}` takes {}", net.name(), net.input())
    }

    /// The first weights for `net` on `dataset`, by the recipe's seed.
    pub(crate) fn begin(&self, net: &Net, dataset: &Dataset, recipe: &Recipe, head_rate: Option<f64>) -> Result<Beginning> {
        let Model { net: model, weights, path, card, .. } = &self.model;
        let trained = Trained { net: model, weights, classes: &card.classes };
        let threads = crate::engine::cores();
        let transfer = train::transfer(&trained, net, &dataset.classes, recipe.seed, threads);
        let transfer = transfer.context(|| path.display().to_string())?;
        let head = head_of(net).unwrap_or_default().to_string();
        let new_rate = (transfer.head == Head::New).then_some(HEAD_RATE);
        let rate = head_rate.or(new_rate.filter(|_| !recipe.layers.iter().any(|layer| layer.name == head)));
        let from = InitialisedFrom {
            file: self.name(),
            blake3: self.digest()?,
            new: transfer.new.clone(),
            reordered: transfer.head == Head::Reordered,
        };
        Ok(Beginning {
            notes: self.notes(&transfer, dataset, recipe, &head, rate),
            head_rate: rate.map(|rate| LayerRate { name: head, of: Default::default(), rate, from_epoch: 0 }),
            inherited: Box::new(Inherited { weights: transfer.weights, statistics: self.model.statistics.clone(), from }),
        })
    }

    /// The file's name; a checkpoint's from its run's on.
    fn name(&self) -> String {
        let path = &self.model.path;
        let names: Vec<_> = path.iter().collect();
        let in_run = self.model.checkpoint.is_some() && names.iter().rev().nth(1).is_some_and(|name| *name == "checkpoints");
        let shown = &names[names.len().saturating_sub(if in_run { 3 } else { 1 })..];
        shown.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join("/")
    }

    fn digest(&self) -> Result<String> {
        match &self.model.checkpoint {
            Some(saved) => Ok(saved.weights_digest().to_string()),
            None => Ok(weights::digest(&self.model.path)?),
        }
    }

    fn notes(&self, transfer: &Transfer, dataset: &Dataset, recipe: &Recipe, head: &str, rate: Option<f64>) -> Vec<String> {
        let card = &self.model.card;
        let mut notes = self.model.notes.clone();
        let layers = transfer.kept + transfer.new.len();
        notes.push(format!(
            "{} of {} with the weights of {}",
            transfer.kept,
            if layers == 1 { "1 layer begins".into() } else { format!("{layers} layers begin") },
            self.name()
        ));
        let others: Vec<_> = transfer.new.iter().filter(|name| *name != head).map(|name| format!("`{name}`")).collect();
        if !others.is_empty() {
            notes.push(format!("made anew, because the model has no layer of that name and shape: {}", others.join(", ")));
        }
        let factor = rate.map_or(String::new(), |rate| format!("; its rate is {rate} times the schedule's (--head-rate)"));
        notes.push(match transfer.head {
            Head::New => format!(
                "`{head}` is made anew for the {} of `{}`; the model's are {}{factor}",
                format::of(dataset.classes.len() as u64, "class", "classes"),
                dataset.name,
                some(&card.classes)
            ),
            Head::Reordered => {
                format!("the outputs of `{head}` are put into the order of the classes of `{}`{factor}", dataset.name)
            }
            Head::Kept => format!("`{head}` is kept: the classes are the model's{factor}"),
        });
        notes.push(format!(
            "images are prepared as for the model: kept at {0} × {0}, {1}; what else training does to them is the recipe's",
            card.preprocessing.stored,
            match card.preprocessing.mean {
                Mean::None => "nothing subtracted",
                Mean::Image | Mean::ImageAtCrop => "its mean image subtracted",
                Mean::Channels | Mean::Values(_) => "its mean colour subtracted",
            }
        ));
        let dropout = |net: &Net| net.layers().iter().any(|layer| matches!(layer.op, Op::Dropout(_)));
        if !recipe.dropout && dropout(self.net()) {
            notes.push("the recipe takes the model's dropout layers out".into());
        }
        notes
    }
}

/// The first few of a list, and how many there are.
fn some(classes: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = classes.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    if classes.len() <= SHOWN { shown } else { format!("{shown} … ({})", format::count(classes.len() as u64)) }
}
