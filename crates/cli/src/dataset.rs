//! `--data DIR`, and how its pictures are read.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use data::{BadImages, Content, Dataset, LabelOrder, OpenOptions, Quarantine, Source};
use serde::{Deserialize, Serialize};

use crate::Common;
use crate::engine::{Engine, cores};
use crate::failure::{Context, Failure, Result};

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
    /// Leave out the images that this list names, as `alexnet data check` writes it
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// What the list was when a run began: a change is noticed.
    #[arg(skip)]
    quarantine_digest: Option<String>,
}

/// A list in the data set's folder that is likely meant for `--quarantine`.
const LIKELY_LIST: &str = "quarantine.txt";

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
            quarantine_digest: if self.quarantine.is_some() { None } else { earlier.quarantine_digest.clone() },
            quarantine: self.quarantine.or_else(|| earlier.quarantine.clone()),
        }
    }

    /// How a check reads: `without` is its list of images to leave out.
    pub(crate) fn of_check(val_fraction: Option<f64>, no_exif_rotation: bool, without: Option<PathBuf>) -> Reading {
        let (loader_threads, bad_images, label_order, quarantine_digest) = (None, None, None, None);
        Reading {
            loader_threads,
            val_fraction,
            bad_images,
            no_exif_rotation,
            label_order,
            quarantine: without,
            quarantine_digest,
        }
    }

    /// For a run that begins: the list by its absolute path, and what it is now.
    pub(crate) fn settled(mut self) -> Result<Reading> {
        if let Some(path) = &mut self.quarantine {
            self.quarantine_digest = Some(Quarantine::read(path)?.digest());
            *path = fs::canonicalize(&*path).context(|| path.display().to_string())?;
        }
        Ok(self)
    }

    /// For a run that goes on: its images and labels are those that it began with, wherever its list and its data lie now.
    pub(crate) fn resuming(self, run: &Reading) -> Result<Reading> {
        if run.quarantine.is_none() && self.quarantine.is_some() {
            let message = "--quarantine leaves out images that this run began with";
            return Err(Failure::usage(message, "resume without it, or begin a new run: `alexnet train --quarantine FILE`"));
        }
        let quarantine = self.quarantine.or_else(|| run.quarantine.clone());
        let label_order = self.label_order.or(run.label_order);
        Ok(Reading { quarantine, quarantine_digest: run.quarantine_digest.clone(), label_order, ..self })
    }

    /// For other data than a run's: neither its list nor its order of labels is of any meaning there.
    pub(crate) fn elsewhere(&self) -> Reading {
        Reading { quarantine: None, quarantine_digest: None, label_order: None, ..self.clone() }
    }

    /// The data set in a folder, or the built-in one. Neither depends on a run's seed, so that runs can be compared.
    pub(crate) fn open(&self, folder: Option<&Path>) -> Result<Dataset> {
        let usual = OpenOptions::default();
        let val_fraction = self.val_fraction.unwrap_or(usual.val_fraction);
        let label_order = self.label_order.unwrap_or_default();
        let options = OpenOptions { val_fraction, exif: self.exif(), label_order, ..usual };
        let mut dataset = match folder {
            Some(folder) => data::open(folder, &options)?,
            None => built_in(),
        };
        if let Some(path) = &self.quarantine {
            return Ok(self.listed(path)?.apply(dataset, folder)?);
        }
        if folder.is_some_and(|folder| folder.join(LIKELY_LIST).is_file()) {
            dataset
                .notes
                .push(format!("`{LIKELY_LIST}` in it is not read: a list of images to leave out is named by --quarantine"));
        }
        Ok(dataset)
    }

    /// The list at `path`, which is still what it was.
    fn listed(&self, path: &Path) -> Result<Quarantine> {
        let list = Quarantine::read(path)?;
        match &self.quarantine_digest {
            Some(digest) if *digest != list.digest() => Err(Failure::failed(
                format!("{} names other images than when the run began", path.display()),
                "restore the list; or begin a new run with it, or evaluate with --quarantine FILE",
            )),
            _ => Ok(list),
        }
    }

    /// Threads that decode.
    pub(crate) fn threads(&self, engine: &Engine) -> usize {
        self.loader_threads.map_or_else(|| engine.threads(), usize::from)
    }

    /// Threads that decode where no engine computes.
    pub(crate) fn workers(&self, common: &Common) -> usize {
        self.loader_threads.map_or_else(|| workers(common), usize::from)
    }

    /// Whether the orientation that a file states is applied.
    pub(crate) fn exif(&self) -> bool {
        !self.no_exif_rotation
    }

    /// What to do about images that cannot be read.
    pub(crate) fn bad_images(&self) -> BadImages {
        self.bad_images.unwrap_or(BadImages::Stop)
    }
}

/// Threads for work without an engine: as many as asked for, else one for each core.
pub(crate) fn workers(common: &Common) -> usize {
    common.threads().unwrap_or_else(cores)
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

pub(crate) fn fraction(text: &str) -> Result<f64, String> {
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

    fn remark(&self, preprocessing: &data::Preprocessing) -> Option<String> {
        self.source.remark(preprocessing)
    }
}

/// All images of a data set, those to learn from first.
pub(crate) struct Both {
    train: Arc<dyn Source>,
    val: Arc<dyn Source>,
}

impl Both {
    pub(crate) fn new(dataset: &Dataset) -> Both {
        Both { train: Arc::clone(&dataset.train), val: Arc::clone(&dataset.val) }
    }

    /// The source that has image `index`, and where.
    fn at(&self, index: usize) -> (&dyn Source, usize) {
        match index.checked_sub(self.train.len()) {
            Some(index) => (&*self.val, index),
            None => (&*self.train, index),
        }
    }
}

impl Source for Both {
    fn len(&self) -> usize {
        self.train.len() + self.val.len()
    }

    fn label(&self, index: usize) -> u32 {
        let (source, index) = self.at(index);
        source.label(index)
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        let (source, index) = self.at(index);
        source.name(index)
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        let (source, index) = self.at(index);
        source.fetch(index, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        let train = self.train.len() as u32;
        let (of_val, of_train): (Vec<u32>, Vec<u32>) = indices.iter().partition(|&&index| index >= train);
        self.train.announce(&of_train);
        self.val.announce(&of_val.iter().map(|index| index - train).collect::<Vec<u32>>());
    }
}
