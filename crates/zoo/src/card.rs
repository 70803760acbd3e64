//! What a trained net says about itself, wherever it goes.

use data::Preprocessing;
use net::{Net, Variant};
use serde::{Deserialize, Serialize};
use train::checkpoint::{DatasetId, Manifest};
use train::{InitialisedFrom, Metrics, Recipe};

/// The card's form. A reader refuses others.
pub(crate) const FORMAT: u32 = 1;
/// The key under which files that can hold free text hold a card, as JSON.
pub(crate) const KEY: &str = "alexnet";

/// A model card: which net, how it wants its images, what it tells apart, what it was trained on and how, and how well it
/// does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// The form of this card: 1.
    pub format: u32,
    /// Version of the program that trained or imported the net.
    pub version: String,
    /// Revision of its source, as far as it is known.
    pub revision: String,
    /// The net, as TOML.
    pub net: String,
    /// Which AlexNet that is.
    pub variant: Variant,
    /// From image to input.
    pub preprocessing: Preprocessing,
    /// Class names; the position is the label.
    pub classes: Vec<String>,
    /// What they are called in words, one for each, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What it was trained on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<DatasetId>,
    /// How it was trained, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trained: Option<Trained>,
    /// The trained net that it was trained on from, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialised_from: Option<InitialisedFrom>,
    /// How well it does, and by which protocol that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Metrics>,
    /// The file that it was imported from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// How a net was trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trained {
    /// Steps taken.
    pub steps: u32,
    /// The run's seed.
    pub seed: u64,
    /// The recipe, as TOML.
    pub recipe: String,
}

/// The file that a net was imported from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The format's name.
    pub format: String,
    /// The file's name, without folders.
    pub file: String,
    /// BLAKE3 of the file, 64 hexadecimal digits.
    pub blake3: String,
}

impl Card {
    /// The card of a net about which nothing else is known.
    pub(crate) fn of_net(net: &Net, preprocessing: Preprocessing, classes: Vec<String>, words: Vec<String>) -> Card {
        Card::of_variant(net, Variant::of(net), preprocessing, classes, words)
    }

    fn of_variant(net: &Net, variant: Variant, preprocessing: Preprocessing, classes: Vec<String>, words: Vec<String>) -> Card {
        Card {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            revision: String::new(),
            net: net.to_toml(),
            variant,
            preprocessing,
            classes,
            words,
            dataset: None,
            trained: None,
            initialised_from: None,
            metrics: None,
            origin: None,
        }
    }

    /// The card of a checkpoint.
    pub(crate) fn of_manifest(net: &Net, manifest: &Manifest) -> Card {
        let trained = Trained { steps: manifest.position.step, seed: manifest.seed, recipe: manifest.recipe.clone() };
        // Comparing with every preset takes longer than reading the rest; a checkpoint has the answer, unless it is an old one.
        let variant = if manifest.variant.preset.is_empty() { Variant::of(net) } else { manifest.variant.clone() };
        Card {
            version: manifest.version.clone(),
            revision: manifest.revision.clone(),
            net: manifest.net.clone(),
            dataset: Some(manifest.dataset.clone()),
            trained: Some(trained),
            initialised_from: manifest.initialised_from.clone(),
            metrics: manifest.metrics.clone(),
            ..Card::of_variant(net, variant, manifest.preprocessing.clone(), manifest.classes.clone(), manifest.words.clone())
        }
    }

    /// As JSON on one line.
    pub fn to_json(&self) -> String {
        // Every value has a JSON form, and no map has keys other than text.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads a card, and the net that it describes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(text: &str) -> Result<(Card, Net), String> {
        #[derive(Deserialize)]
        struct Form {
            format: u32,
        }
        // The form comes first: a later one may have fields that are unknown here.
        let Form { format } = serde_json::from_str(text).map_err(|error| format!("its card: {error}"))?;
        if format != FORMAT {
            return Err(format!("its card is of form {format}, this program reads form {FORMAT}"));
        }
        let card: Card = serde_json::from_str(text).map_err(|error| format!("its card: {error}"))?;
        let net = Net::from_toml(&card.net).map_err(|error| format!("its card's net: {error}"))?;
        if card.classes.len() != net.classes() {
            return Err(format!("its card names {} classes, its net tells {} apart", card.classes.len(), net.classes()));
        }
        if !card.words.is_empty() && card.words.len() != card.classes.len() {
            return Err(format!("its card has words for {} of {} classes", card.words.len(), card.classes.len()));
        }
        card.preprocessing.check(net.input()).map_err(|error| format!("its card's preprocessing: {error}"))?;
        Ok((card, net))
    }

    /// Whether its classes are only numbered, because the file that it was imported from does not name them.
    pub fn has_unnamed_classes(&self) -> bool {
        self.origin.is_some() && self.classes.iter().enumerate().all(|(label, class)| *class == label.to_string())
    }

    /// The recipe that the net was trained by, where that is known and readable.
    pub fn recipe(&self) -> Option<Recipe> {
        self.trained.as_ref().and_then(|trained| Recipe::from_toml(&trained.recipe).ok())
    }
}
