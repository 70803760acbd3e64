//! `--data DIR`, and how its pictures are read.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use data::{BadImages, Content, Dataset, LabelOrder, OpenOptions, Source};
use serde::{Deserialize, Serialize};

use crate::engine::Engine;
use crate::failure::{Failure, Result};

/// how images are read.
#[derive(Args, Clone, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Threads that decode images [default: as --threads]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    #[serde(skip)]
    loader_threads: Option<u16>,
    /// Share of each class held out for validation where the data set has no val folder [default: 0.1]
    #[arg(long, value_name = "F", value_parser = fraction)]
    val_fraction: Option<f64>,
    /// What to do about images that cannot be read: stop at the first, skip and list them, or report all of them [default: stop]
    #[arg(long, value_name = "stop|skip|report")]
    #[serde(with = "as_text")]
    bad_images: Option<BadImages>,
    /// Ignore the orientation that cameras note in their files
    #[arg(long)]
    no_exif_rotation: bool,
    /// Which class has which label in a data set with a devkit: by name, or by ILSVRC2012_ID [default: sorted]
    #[arg(long, value_name = "sorted|devkit")]
    #[serde(default, with = "as_text")]
    label_order: Option<LabelOrder>,
}

/// A choice by the name that it has on the command line.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    pub(super) fn serialize<T: Display, S: Serializer>(choice: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        choice.as_ref().map(ToString::to_string).serialize(serializer)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<T>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|name| name.parse().map_err(de::Error::custom)).transpose()
    }
}

impl Reading {
    /// What is given here, else what `earlier` says.
    pub(crate) fn or(self, earlier: &Reading) -> Reading {
        Reading {
            loader_threads: self.loader_threads,
            val_fraction: self.val_fraction.or(earlier.val_fraction),
            bad_images: self.bad_images.or(earlier.bad_images),
            no_exif_rotation: self.no_exif_rotation || earlier.no_exif_rotation,
            label_order: self.label_order.or(earlier.label_order),
        }
    }

    /// The data set in a folder, or the built-in one. Neither depends on a run's seed, so that runs can be compared.
    pub(crate) fn open(&self, folder: Option<&Path>) -> Result<Dataset> {
        let usual = OpenOptions::default();
        let val_fraction = self.val_fraction.unwrap_or(usual.val_fraction);
        let label_order = self.label_order.unwrap_or_default();
        let options = OpenOptions { val_fraction, exif: !self.no_exif_rotation, label_order, ..usual };
        match folder {
            Some(folder) => Ok(data::open(folder, &options)?),
            None => Ok(built_in()),
        }
    }

    /// Threads that decode.
    pub(crate) fn threads(&self, engine: &Engine) -> usize {
        self.loader_threads.map_or_else(|| engine.threads(), usize::from)
    }

    /// What to do about images that cannot be read.
    pub(crate) fn bad_images(&self) -> BadImages {
        self.bad_images.unwrap_or(BadImages::Stop)
    }
}

/// The built-in data set: the same one for every run.
pub(crate) fn built_in() -> Dataset {
    data::scenes::dataset(OpenOptions::default().seed)
}

/// A class's name, and the first of the words for it where there are any: `n01440764 tench`.
pub(crate) fn titled(class: &str, words: &[String], label: usize) -> String {
    let first = words.get(label).and_then(|words| words.split(',').next()).map_or("", str::trim);
    if first.is_empty() { class.into() } else { format!("{class} {first}") }
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fraction) if (0.0..1.0).contains(&fraction) => Ok(fraction),
        _ => Err("a fraction is at least 0 and below 1".into()),
    }
}

/// The validation images of `dataset`, labelled by the position of their class in `classes`.
pub(crate) fn validation_as(dataset: &Dataset, classes: &[String]) -> Result<Arc<dyn Source>> {
    if dataset.val.is_empty() {
        return Err(data::Error::Empty { purpose: "evaluate on" }.into());
    }
    if dataset.classes == classes {
        return Ok(Arc::clone(&dataset.val));
    }
    let position = |class: &String| classes.iter().position(|known| known == class).map(|label| label as u32);
    let unknown: Vec<_> =
        dataset.classes.iter().filter(|class| position(class).is_none()).map(|class| format!("`{class}`")).collect();
    if !unknown.is_empty() {
        let message = format!("the net was not trained on {} of data set `{}`", unknown.join(", "), dataset.name);
        return Err(Failure::failed(
            message,
            "evaluate on the data set that it was trained on; `alexnet describe --net RUN` lists its classes",
        ));
    }
    let labels = dataset.classes.iter().filter_map(position).collect();
    Ok(Arc::new(Relabelled { source: Arc::clone(&dataset.val), labels }))
}

/// A source whose classes stand elsewhere.
struct Relabelled {
    source: Arc<dyn Source>,
    /// The new label of each class.
    labels: Vec<u32>,
}

impl Source for Relabelled {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[self.source.label(index) as usize]
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        self.source.name(index)
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        self.source.fetch(index, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        self.source.announce(indices);
    }
}
