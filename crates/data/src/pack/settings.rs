//! How a pack is made, and what it is made of.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::format::MOST_CLASSES;
use crate::quarantine::relative_name;
use crate::{Dataset, Error, Filter, Fit, Preprocessing, Result};

/// Which part of each image is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Store {
    /// The shorter side becomes `side`, then the central square: the paper's.
    #[default]
    Crop,
    /// The shorter side becomes `side`; nothing is cut off.
    Side,
    /// The file as it is; `side` and `filter` serve the statistics alone.
    Raw,
}

/// How resized images are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Baseline JPEG.
    #[default]
    Jpeg,
    /// Every pixel: many times the bytes, and nothing to decode.
    Pixels,
}

/// Resolution of a JPEG's colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chroma {
    /// One value a pixel.
    #[serde(rename = "4:4:4")]
    Full,
    /// One value for each 2 × 2 pixels, their mean.
    #[default]
    #[serde(rename = "4:2:0")]
    Quarter,
}

/// How a pack is made. The same settings and images give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which part of each image.
    pub store: Store,
    /// Pixels of the shorter side.
    pub side: usize,
    /// The resampling filter.
    pub filter: Filter,
    /// How it is stored.
    pub format: Encoding,
    /// JPEG quality, 1 to 100.
    pub quality: u8,
    /// Resolution of a JPEG's colour.
    pub chroma: Chroma,
    /// Whether the orientation that a file states is applied.
    pub exif: bool,
    /// Decides the order of the training images.
    pub seed: u64,
    /// Images of a shard, at least 1.
    pub shard_images: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            store: Store::default(),
            side: 256,
            filter: Filter::default(),
            format: Encoding::default(),
            quality: 90,
            chroma: Chroma::default(),
            exif: true,
            seed: 0,
            shard_images: 4096,
        }
    }
}

/// The largest side that is resized to.
const MOST_SIDE: usize = 1 << 14;

impl Settings {
    /// Whether a pack can be made like this.
    ///
    /// # Errors
    /// Names the setting.
    pub fn check(&self) -> Result<()> {
        let fault = |message| Err(Error::Preprocessing(message));
        if self.side == 0 || self.side > MOST_SIDE {
            return fault(format!("a pack's side of {} is not in 1..={MOST_SIDE}", self.side));
        }
        if !(1..=100).contains(&self.quality) {
            return fault(format!("a JPEG quality of {} is not in 1..=100", self.quality));
        }
        if self.shard_images == 0 {
            return fault("a shard has at least 1 image".into());
        }
        Ok(())
    }

    /// The preprocessing that the pack's statistics are measured with.
    pub(super) fn preprocessing(&self) -> Preprocessing {
        let fit = if self.store == Store::Crop { Fit::Crop } else { Fit::ShorterSide };
        Preprocessing { stored: self.side, fit, filter: self.filter, ..Preprocessing::default() }
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Store::Crop => "crop",
            Store::Side => "side",
            Store::Raw => "raw",
        })
    }
}

impl FromStr for Store {
    type Err = String;

    fn from_str(text: &str) -> Result<Store, String> {
        match text {
            "crop" => Ok(Store::Crop),
            "side" => Ok(Store::Side),
            "raw" => Ok(Store::Raw),
            _ => Err(format!("`{text}` is none of crop, side, raw")),
        }
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Encoding::Jpeg => "jpeg",
            Encoding::Pixels => "pixels",
        })
    }
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Encoding, String> {
        match text {
            "jpeg" => Ok(Encoding::Jpeg),
            "pixels" => Ok(Encoding::Pixels),
            _ => Err(format!("`{text}` is none of jpeg, pixels")),
        }
    }
}

impl fmt::Display for Chroma {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Chroma::Full => "4:4:4",
            Chroma::Quarter => "4:2:0",
        })
    }
}

impl FromStr for Chroma {
    type Err = String;

    fn from_str(text: &str) -> Result<Chroma, String> {
        match text {
            "4:4:4" | "444" => Ok(Chroma::Full),
            "4:2:0" | "420" => Ok(Chroma::Quarter),
            _ => Err(format!("`{text}` is none of 4:4:4, 4:2:0")),
        }
    }
}

/// What a pack is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Where the data set was, as it was named when the pack was begun.
    pub path: String,
    /// Its classes.
    pub classes: usize,
    /// Its training images.
    pub train: usize,
    /// Its validation images.
    pub val: usize,
    /// BLAKE3 of classes, words, and the labels and names of all images in order.
    pub digest: String,
}

impl Origin {
    /// Describes a data set whose names of images begin with `path`.
    ///
    /// # Errors
    /// Where it has more classes or images than a pack can tell apart.
    pub(super) fn of(dataset: &Dataset, path: &Path) -> Result<Origin> {
        if dataset.classes.len() > MOST_CLASSES {
            return Err(Error::Preprocessing(format!("a pack has at most {MOST_CLASSES} classes")));
        }
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        };
        for names in [&dataset.classes, &dataset.words] {
            add(&names.len().to_string());
            names.iter().for_each(|name| add(name));
        }
        for source in [&dataset.train, &dataset.val] {
            if u32::try_from(source.len()).is_err() {
                return Err(Error::Preprocessing(format!("a pack has at most {} images in a split", u32::MAX)));
            }
            add(&source.len().to_string());
            for index in 0..source.len() {
                add(&source.label(index).to_string());
                add(&relative_name(source.name(index), Some(path)));
            }
        }
        Ok(Origin {
            path: path.display().to_string(),
            classes: dataset.classes.len(),
            train: dataset.train.len(),
            val: dataset.val.len(),
            digest: hasher.finalize().to_hex().to_string(),
        })
    }
}
