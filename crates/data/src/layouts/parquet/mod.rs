//! Parquet files as the Hugging Face Hub has them: `data/train-00000-of-00002.parquet`.
//!
//! The files are found always, and read by a build with the feature `parquet` only.

#[cfg(feature = "parquet")]
mod columns;
#[cfg(feature = "parquet")]
mod read;

use std::path::{Path, PathBuf};

use super::OpenOptions;
use super::folders::entries;
use super::planes::malformed;
use crate::{Dataset, Result};

/// Where the Hub keeps the files below a data set's folder: beside its card, or converted by itself.
const PLACES: [&str; 4] = ["", "data", "default", "plain_text"];

/// What the files of a split are called, and the split's name.
const SPLITS: [(&str, &str); 5] =
    [("train", "train"), ("validation", "validation"), ("valid", "validation"), ("val", "validation"), ("test", "test")];

/// The files of each split, sorted.
#[derive(Debug, Default)]
struct Shards {
    train: Vec<PathBuf>,
    validation: Vec<PathBuf>,
    test: Vec<PathBuf>,
}

/// Opens a Parquet file, or a folder of them: `train-*`, `validation-*` (or `test-*`), in the folder itself or in `data`, or
/// in folders of these names; else all files of the folder are to learn from. A set without validation images is split.
///
/// # Errors
/// Where files are missing, damaged, or without a column of images and one of labels; and where this build reads none.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let Some(shards) = Shards::of(path)? else { return Ok(None) };
    #[cfg(feature = "parquet")]
    return read::open(path, shards, options).map(Some);
    #[cfg(not(feature = "parquet"))]
    {
        let _ = options;
        let files = shards.train.len() + shards.validation.len() + shards.test.len();
        let found =
            format!("it holds {}, which this build does not read", crate::error::count(files, "Parquet file", "Parquet files"));
        let instead = "build the program with the feature: `cargo build --release --features parquet`".into();
        Err(crate::Error::OtherForm { path: path.into(), found, instead })
    }
}

impl Shards {
    fn of(path: &Path) -> Result<Option<Shards>> {
        if is_parquet(path) && path.is_file() {
            return Ok(Some(Shards { train: vec![path.into()], ..Shards::default() }));
        }
        let folders: Vec<PathBuf> = PLACES.map(|place| path.join(place)).into_iter().filter(|folder| folder.is_dir()).collect();
        let mut unnamed = Vec::new();
        for folder in &folders {
            let (shards, others) = Shards::within(folder)?;
            if shards.train.is_empty() && !(shards.validation.is_empty() && shards.test.is_empty()) {
                return Err(malformed(folder, "there are Parquet files to validate on, but no train-*.parquet"));
            }
            if !shards.train.is_empty() {
                [&shards.train, &shards.validation, &shards.test].into_iter().try_for_each(|files| is_complete(files))?;
                return Ok(Some(shards));
            }
            unnamed.push(others);
        }
        let train = unnamed.into_iter().find(|files| !files.is_empty());
        Ok(train.map(|train| Shards { train, ..Shards::default() }))
    }

    /// The files of the splits in a folder, and the files of none.
    fn within(folder: &Path) -> Result<(Shards, Vec<PathBuf>)> {
        let (mut shards, mut others) = (Shards::default(), Vec::new());
        for entry in entries(folder)? {
            let full = folder.join(&entry.name);
            let name = entry.name.to_string_lossy();
            let of_split = SPLITS.iter().find(|(prefix, _)| {
                let rest = name.strip_prefix(prefix);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', '_']))
            });
            let files = match of_split {
                Some((_, "train")) => &mut shards.train,
                Some((_, "test")) => &mut shards.test,
                Some(_) => &mut shards.validation,
                None => &mut others,
            };
            if !entry.is_dir && is_parquet(&full) {
                files.push(full);
            } else if entry.is_dir && of_split.is_some_and(|(prefix, _)| *prefix == name) {
                let inner = entries(&full)?.into_iter().filter(|inner| !inner.is_dir).map(|inner| full.join(inner.name));
                files.extend(inner.filter(|inner| is_parquet(inner)));
            }
        }
        let all = [&mut shards.train, &mut shards.validation, &mut shards.test, &mut others];
        all.into_iter().for_each(|files| files.sort());
        Ok((shards, others))
    }
}

fn is_parquet(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

/// Names that end in `-of-00003` say how many there are.
fn is_complete(files: &[PathBuf]) -> Result<()> {
    for file in files {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        // What follows the number is a checksum of the content.
        let said = stem.split_once("-of-").and_then(|(_, rest)| rest.split('-').next()?.parse().ok());
        if said.is_some_and(|all: usize| all != files.len()) {
            return Err(malformed(file, format!("one of {}, of which {} here", said.unwrap_or(0), files.len())));
        }
    }
    Ok(())
}
