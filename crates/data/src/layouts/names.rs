//! Class names, and text files of a line each.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::error::{count, some};
use crate::{Error, Result};

/// The text of a file of the data set.
pub(super) fn text(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| Error::Path { path: path.into(), source })?;
    String::from_utf8(bytes).map_err(|fault| {
        let before = &fault.as_bytes()[..fault.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
        Error::Line { path: path.into(), line, message: "expected UTF-8".into() }
    })
}

/// Lines that are not blank, trimmed, and their numbers from 1.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line.trim())).filter(|(_, line)| !line.is_empty())
}

/// The names `0`, `1`, … of `n` classes.
pub(super) fn numbers(n: usize) -> Vec<String> {
    (0..n).map(|label| label.to_string()).collect()
}

/// Makes names differ: one that stands more than once gains its label, and a note says so.
pub(super) fn distinct(names: &mut [String], notes: &mut Vec<String>) {
    let mut counts = BTreeMap::new();
    names.iter().for_each(|name| *counts.entry(name.clone()).or_insert(0usize) += 1);
    let mut taken: BTreeSet<String> = counts.iter().filter(|(_, n)| **n == 1).map(|(name, _)| name.clone()).collect();
    let mut changed = Vec::new();
    for (label, name) in names.iter_mut().enumerate().filter(|(_, name)| counts[name.as_str()] > 1) {
        let mut new = format!("{name} ({label})");
        while !taken.insert(new.clone()) {
            new.push('\'');
        }
        *name = new.clone();
        changed.push(new);
    }
    if !changed.is_empty() {
        let classes = count(changed.len(), "class has a name", "classes have names");
        notes.push(format!("{classes} that another has too, and the label added: {}", some(&changed)));
    }
}

/// Notes which classes have no images to learn from.
pub(super) fn note_gaps(labels: impl Iterator<Item = u32>, classes: &[String], notes: &mut Vec<String>) {
    let mut seen = vec![false; classes.len()];
    labels.for_each(|label| seen[label as usize] = true);
    let lacking: Vec<String> = seen.iter().zip(classes).filter(|(seen, _)| !**seen).map(|(_, name)| name.clone()).collect();
    if !lacking.is_empty() {
        let classes = count(lacking.len(), "class has", "classes have");
        notes.push(format!("{classes} no training images: {}", some(&lacking)));
    }
}
