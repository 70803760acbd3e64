//! Tiny ImageNet, 200 classes of 64 × 64 pixels, as its archive unpacks.

use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;

use super::files::Files;
use super::folders::{entries, is_image};
use super::names::{lines, text};
use super::planes::malformed;
use super::{OpenOptions, listing, name_of};
use crate::{Dataset, Error, Result, Source};

/// Opens `wnids.txt`, `train/WNID/images/*`, `val/images/*` with `val/val_annotations.txt` (a file, its wnid and a box a line)
/// and, if there is one, `words.txt` (a wnid and its words a line). Classes are sorted; `test` has no labels and is not read.
///
/// # Errors
/// Where a class has no images, or a line names a class or a file that it should not.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let wnids_path = path.join("wnids.txt");
    if !wnids_path.is_file() || !path.join("train").is_dir() {
        return Ok(None);
    }
    let wnids = text(&wnids_path)?;
    let mut classes = Vec::new();
    for (line, wnid) in lines(&wnids) {
        if !is_plain(wnid) {
            return Err(Error::Line { path: wnids_path, line, message: format!("expected a wnid, found `{wnid}`") });
        }
        classes.push(wnid.to_string());
    }
    // Other data sets come with a list of wnids, but without this folder.
    if classes.first().is_none_or(|class| !path.join("train").join(class).join("images").is_dir()) {
        return Ok(None);
    }
    classes.sort();
    classes.dedup();
    let train = train(path, &classes, options)?;
    let val = val(path, &classes, options)?;
    let words = words(&path.join("words.txt"), &classes)?;
    let (train, val): (Arc<dyn Source>, Arc<dyn Source>) = (Arc::new(train), Arc::new(val));
    Ok(Some(Dataset { name: name_of(path), layout: "Tiny ImageNet", classes, words, train, val, notes: vec![] }))
}

/// Whether a name is one of a file or folder here, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
}

fn train(path: &Path, classes: &[String], options: &OpenOptions) -> Result<Files> {
    let mut files = Files::new(options.exif);
    for (label, class) in classes.iter().enumerate() {
        let images = path.join("train").join(class).join("images");
        let mut names: Vec<_> =
            entries(&images)?.into_iter().filter(|e| !e.is_dir && is_image(&images.join(&e.name))).map(|e| e.name).collect();
        if names.is_empty() {
            let found = listing(&images);
            return Err(Error::EmptyClass { class: class.clone(), path: images, found, others: 0 });
        }
        names.sort();
        let folder = files.folder(images);
        names.into_iter().for_each(|name| files.push(folder, label as u32, name));
    }
    Ok(files)
}

fn val(path: &Path, classes: &[String], options: &OpenOptions) -> Result<Files> {
    let list = path.join("val/val_annotations.txt");
    if !list.is_file() {
        return Err(malformed(&list, "is not there: it says which class each image of val/images has"));
    }
    let label_of: HashMap<&str, u32> = classes.iter().zip(0..).map(|(class, label)| (class.as_str(), label)).collect();
    let mut files = Files::new(options.exif);
    let folder = files.folder(path.join("val/images"));
    for (line, row) in lines(&text(&list)?) {
        let fault = |message: String| Error::Line { path: list.clone(), line, message };
        let mut fields = row.split('\t');
        let (Some(name), Some(wnid)) = (fields.next(), fields.next()) else {
            return Err(fault("expected a file, a tab and its wnid".into()));
        };
        if !is_plain(name) {
            return Err(fault(format!("expected a file in val/images, found `{name}`")));
        }
        let label = label_of.get(wnid).ok_or_else(|| fault(format!("`{wnid}` is not in wnids.txt")))?;
        files.push(folder, *label, name);
    }
    Ok(files)
}

/// What the classes are called in words; a class that the file lacks is called by its wnid.
fn words(path: &Path, classes: &[String]) -> Result<Vec<String>> {
    if !path.is_file() {
        return Ok(vec![]);
    }
    let text = text(path)?;
    let words: HashMap<&str, &str> = lines(&text).filter_map(|(_, line)| line.split_once('\t')).collect();
    Ok(classes.iter().map(|class| words.get(class.as_str()).map_or(class.clone(), |words| words.trim().into())).collect())
}
