//! What classes named by WordNet ids are called in words.

use std::collections::BTreeMap;
use std::path::Path;

use super::read_text;
use crate::synsets::is_wnid;
use crate::{Dataset, Result};

/// Files that say so, a class a line: `n01440764 tench, Tinca tinca`.
const FILES: [&str; 2] = ["LOC_synset_mapping.txt", "synset_words.txt"];

/// Words by WordNet id.
pub(super) type Words = BTreeMap<String, String>;

/// What the files in a folder say; empty where there are none.
///
/// # Errors
/// Where one cannot be read.
pub(super) fn read(folder: &Path) -> Result<Words> {
    let Some(path) = FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else { return Ok(Words::new()) };
    let text = read_text(&path)?;
    let lines = text.lines().filter_map(|line| line.split_once([' ', '\t']));
    Ok(lines.filter(|(wnid, _)| is_wnid(wnid)).map(|(wnid, words)| (wnid.into(), words.trim().into())).collect())
}

/// The words of each class; none at all where none is known.
pub(super) fn of(classes: &[String], words: &Words) -> Vec<String> {
    if !classes.iter().any(|class| words.contains_key(class)) {
        return Vec::new();
    }
    classes.iter().map(|class| words.get(class).cloned().unwrap_or_default()).collect()
}

/// Gives a data set of classes named by WordNet ids the words that a file in its folder has.
///
/// # Errors
/// Where that file cannot be read.
pub(super) fn fill(path: &Path, dataset: &mut Dataset) -> Result<()> {
    if dataset.words.is_empty() && dataset.classes.iter().any(|class| is_wnid(class)) {
        dataset.words = of(&dataset.classes, &read(path)?);
    }
    Ok(())
}
