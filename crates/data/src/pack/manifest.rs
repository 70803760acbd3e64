//! The two texts of a pack: `prepare.json`, which says how it was begun, and `pack.json`, which says that it is whole.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::format::{VERSION, shard_name};
use super::settings::{Origin, Settings};
use crate::{Error, Result, Split};

/// The manifest's name. It is written last: a folder without it is no whole pack.
pub(crate) const MANIFEST: &str = "pack.json";
/// Settings and source of a pack that is being made; taken away at the end.
pub(crate) const BEGUN: &str = "prepare.json";
/// The file of the mean image and the colours.
pub(super) const STATISTICS: &str = "statistics.safetensors";

const FORMAT: &str = "alexnet-pack";

/// A text longer than this is none of ours.
const LONGEST: u64 = 1 << 28;

/// How a pack was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Begun {
    format: String,
    version: u32,
    pub(super) settings: Settings,
    pub(super) source: Origin,
}

/// What a pack holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    version: u32,
    /// The data set's name.
    pub name: String,
    /// How it was made.
    pub settings: Settings,
    /// What it was made of.
    pub source: Origin,
    /// Images to learn from, in a random order.
    pub train: Part,
    /// Images to validate on, in the source's order.
    pub val: Part,
    /// Mean image and colours; absent where there are no training images.
    pub statistics: Option<Measured>,
    /// Images that could not be read and were left out.
    pub omitted: Vec<Omitted>,
    /// Class names; a label is an index into them.
    pub classes: Vec<String>,
    /// What the classes are called in words; one each, or none.
    pub words: Vec<String>,
    /// BLAKE3 of this text with nothing between these quotes.
    digest: String,
}

/// One split.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Records in all shards.
    pub images: usize,
    /// Its shards, in order.
    pub shards: Vec<ShardEntry>,
}

/// One shard's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardEntry {
    /// Its name in the pack's folder.
    pub name: String,
    /// Records.
    pub images: usize,
    /// Length of the file.
    pub bytes: u64,
    /// BLAKE3 of everything but the records, each of which has a checksum there.
    pub digest: String,
}

/// The statistics' file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// Its name in the pack's folder.
    pub name: String,
    /// BLAKE3 of the file.
    pub digest: String,
}

/// An image that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Omitted {
    /// Its split.
    pub split: Split,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl Begun {
    pub(super) fn new(settings: Settings, source: Origin) -> Begun {
        Begun { format: FORMAT.into(), version: VERSION, settings, source }
    }

    /// What a shard's header names: the digest of settings and source, without the source's place.
    pub(super) fn digest(&self) -> [u8; 32] {
        let source = Origin { path: String::new(), ..self.source.clone() };
        *blake3::hash(text(&Begun { source, ..self.clone() }).as_bytes()).as_bytes()
    }

    pub(super) fn read(path: &Path) -> Result<Begun> {
        parse(path, &read(path)?)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write(path, &text(self))
    }

    /// What is otherwise in `now`, one sentence each.
    pub(super) fn differences(&self, now: &Begun) -> Vec<String> {
        let fields = |value: serde_json::Value| value.as_object().cloned().unwrap_or_default();
        let json = |settings: &Settings| fields(serde_json::to_value(settings).unwrap_or_default());
        let (before, after) = (json(&self.settings), json(&now.settings));
        let said = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), String::from);
        let mut differences: Vec<String> = (before.iter())
            .filter_map(|(key, was)| after.get(key).filter(|is| *is != was).map(|is| (key, was, is)))
            .map(|(key, was, is)| format!("`{}` was {}, now {}", key.replace('_', "-"), said(was), said(is)))
            .collect();
        if self.source.digest != now.source.digest {
            let counts = |o: &Origin| format!("{} classes, {} training and {} validation images", o.classes, o.train, o.val);
            let (was, is) = (counts(&self.source), counts(&now.source));
            differences.push(match was == is {
                true => format!("the names of the {was} are others than in `{}`", self.source.path),
                false => format!("the source was `{}` with {was}, now it has {is}", self.source.path),
            });
        }
        differences
    }
}

impl Manifest {
    pub(super) fn new(begun: Begun, name: &str, classes: &[String], words: &[String]) -> Manifest {
        Manifest {
            format: FORMAT.into(),
            version: VERSION,
            name: name.into(),
            settings: begun.settings,
            source: begun.source,
            train: Part::default(),
            val: Part::default(),
            statistics: None,
            omitted: Vec::new(),
            classes: classes.into(),
            words: words.into(),
            digest: String::new(),
        }
    }

    /// How the pack was begun.
    pub(super) fn begun(&self) -> Begun {
        Begun::new(self.settings.clone(), self.source.clone())
    }

    pub(super) fn part(&self, split: Split) -> &Part {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
        }
    }

    pub(super) fn part_mut(&mut self, split: Split) -> &mut Part {
        match split {
            Split::Train => &mut self.train,
            Split::Val => &mut self.val,
        }
    }

    /// Reads a manifest and checks its digest and whatever must hold within it.
    pub(super) fn read(path: &Path) -> Result<Manifest> {
        let bytes = read(path)?;
        let manifest: Manifest = parse(path, &bytes)?;
        let fault = |message: String| Err(Error::Pack { path: path.into(), message });
        if manifest.sealed().as_bytes() != bytes {
            return fault("it was changed: its digest does not fit its text".into());
        }
        let known =
            manifest.settings.check().is_ok() && (manifest.words.is_empty() || manifest.words.len() == manifest.classes.len());
        if !known || manifest.statistics.as_ref().is_some_and(|s| s.name != STATISTICS) {
            return fault("its settings, words or statistics are not as they are written".into());
        }
        for split in [Split::Train, Split::Val] {
            let part = manifest.part(split);
            let named = (0..).zip(&part.shards).all(|(number, shard)| shard.name == shard_name(split, number));
            let images = part.shards.iter().try_fold(0usize, |sum, shard| sum.checked_add(shard.images));
            if !named || images != Some(part.images) || u32::try_from(part.images).is_err() {
                return fault(format!("its shards of `{split}` are not as they are written"));
            }
        }
        Ok(manifest)
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        write(path, &self.sealed())
    }

    /// The text with its digest in it.
    fn sealed(&self) -> String {
        let bare = text(&Manifest { digest: String::new(), ..self.clone() });
        text(&Manifest { digest: blake3::hash(bare.as_bytes()).to_hex().to_string(), ..self.clone() })
    }
}

fn text(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("texts and whole numbers are always JSON");
    text.push('\n');
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(weights::replace(path, |writer| writer.write_all(text.as_bytes()))?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let fault = |source: io::Error| Error::Path { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(fault)?.take(LONGEST).read_to_end(&mut bytes).map_err(fault)?;
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Kind {
        format: String,
        version: u32,
    }
    let fault = |message: String| Error::Pack { path: path.into(), message };
    let json = |e: serde_json::Error| fault(format!("it does not read as a pack's: {e}"));
    let kind: Kind = serde_json::from_slice(bytes).map_err(json)?;
    if kind.format != FORMAT {
        return Err(fault(format!("it is of format `{}`, expected `{FORMAT}`", kind.format)));
    }
    if kind.version != VERSION {
        return Err(fault(format!("it is of format version {}, read is {VERSION}", kind.version)));
    }
    serde_json::from_slice(bytes).map_err(json)
}
