//! WebDataset shards: tar files of samples, each some files whose names differ after the first dot only.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folders::{VALIDATION, entries, has_folders};
use super::names::distinct;
use super::{OpenOptions, name_of, read_text, split};
use crate::archives::{self, Archive, Archived, Labelled, Lying};
use crate::error::count;
use crate::{Dataset, Error, Result};

/// Extensions of images, by which a sample's image is known.
const IMAGES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];

/// Files that name the classes, a line a label; what stands after a tab is what the class is called in words.
const CLASSES: [&str; 2] = ["classes.txt", "classnames.txt"];

/// A larger label is a mistake, not a class.
const LARGEST_LABEL: u32 = 1 << 20;

/// No description of a sample is longer.
const LONGEST_LABEL: u64 = 1 << 20;

/// Opens `path/train/*.tar` with `path/val/*.tar` (or `valid`, `validation` or `test`), or `path/*.tar`, where shards are for validation
/// whose names say so, or else some images of each class.
///
/// # Errors
/// Where a shard is damaged, or a label is none.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    if path.is_file() && is_tar(path) {
        return match dataset(path, Shards { train: vec![path.into()], val: Vec::new() }, options) {
            // What else it may be is said of any file that is no data set.
            Err(Error::Layout { .. } | Error::Archive { offset: 0, .. }) => Ok(None),
            other => other.map(Some),
        };
    }
    if !path.is_dir() {
        return Ok(None);
    }
    let train = shards_in(&path.join("train"))?;
    if !train.is_empty() {
        for folder in VALIDATION {
            let val = shards_in(&path.join(folder))?;
            if !val.is_empty() {
                let mut dataset = dataset(path, Shards { train, val }, options)?;
                if folder != VALIDATION[0] {
                    dataset.notes.push(format!("there is no `val`: validating on `{folder}`"));
                }
                return Ok(Some(dataset));
            }
        }
        return dataset(path, Shards { train, val: Vec::new() }, options).map(Some);
    }
    match shards_in(path)? {
        shards if shards.is_empty() => Ok(None),
        shards => dataset(path, Shards::by_name(shards), options).map(Some),
    }
}

/// Opens the shards that a pattern means, such as `DIR/train-*.tar`; `None` where the path is none.
///
/// # Errors
/// As [`open`].
pub(super) fn open_pattern(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']) && is_tar(path));
    let Some(pattern) = pattern.filter(|_| fs::metadata(path).is_err()) else { return Ok(None) };
    let none = |found: &str| Error::NoImages { pattern: pattern.into(), found: found.into() };
    let mut shards: Vec<PathBuf> = glob::glob(pattern).map_err(|error| none(error.msg))?.flatten().collect();
    shards.sort();
    match shards.first() {
        None => Err(none("no such file")),
        Some(_) => dataset(path, Shards::by_name(shards), options).map(Some),
    }
}

fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

/// The tar files of a folder that has nothing but files; sorted.
fn shards_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() || has_folders(folder)? {
        return Ok(Vec::new());
    }
    let mut shards: Vec<PathBuf> = entries(folder)?.into_iter().map(|entry| folder.join(entry.name)).collect();
    shards.retain(|path| is_tar(path));
    shards.sort();
    Ok(shards)
}

/// Shards to learn from and shards to validate on.
struct Shards {
    train: Vec<PathBuf>,
    /// May be empty.
    val: Vec<PathBuf>,
}

impl Shards {
    /// Those of one folder, divided where some say `train` and all others `val`, `valid`, `validation` or `test`.
    fn by_name(shards: Vec<PathBuf>) -> Shards {
        let says = |path: &Path, all: &[&str]| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            name.split(|c: char| !c.is_ascii_alphabetic()).any(|word| all.contains(&word))
        };
        let (train, others): (Vec<_>, Vec<_>) = shards.into_iter().partition(|path| says(path, &["train"]));
        match train.is_empty() {
            false if others.iter().all(|path| says(path, &VALIDATION)) => Shards { train, val: others },
            _ => {
                let mut all = [train, others].concat();
                all.sort();
                Shards { train: all, val: Vec::new() }
            }
        }
    }
}

fn dataset(path: &Path, shards: Shards, options: &OpenOptions) -> Result<Dataset> {
    let mut notes = Vec::new();
    let (train_archives, mut train) = samples(&shards.train, &mut notes)?;
    let (mut val_archives, mut val) = samples(&shards.val, &mut notes)?;
    if train.is_empty() {
        let found = "its tar files have no image with a label, such as 000.jpg with 000.cls".into();
        return Err(Error::Layout { path: path.into(), found });
    }
    let least = train.iter().chain(&val).map(|(_, label)| label + 1).max().unwrap_or(0) as usize;
    let (mut classes, words) = classes(path, least)?;
    distinct(&mut classes, &mut notes);
    if shards.val.is_empty() {
        (train, val) = divide(train, classes.len(), options);
        notes.push(split::split_note("folder", val.len(), train.len() + val.len(), options));
        val_archives = Arc::clone(&train_archives);
    }
    let train = Arc::new(Archived::new(train_archives, train, options.exif));
    let val = Arc::new(Archived::new(val_archives, val, options.exif));
    Ok(Dataset { name: name_of(path), layout: "WebDataset shards", classes, words, train, val, notes })
}

/// Some images of each class to validate on; the order stays.
fn divide(images: Vec<Labelled>, classes: usize, options: &OpenOptions) -> (Vec<Labelled>, Vec<Labelled>) {
    let mut by_class = vec![Vec::new(); classes];
    for (i, (_, label)) in images.iter().enumerate() {
        by_class[*label as usize].push(i);
    }
    let mut is_val = vec![false; images.len()];
    for (number, images) in by_class.into_iter().enumerate() {
        split::divide(images, number as u32, options).1.into_iter().for_each(|i| is_val[i] = true);
    }
    let (train, val): (Vec<_>, Vec<_>) = images.into_iter().zip(is_val).partition(|(_, is_val)| !is_val);
    let images = |part: Vec<(Labelled, bool)>| part.into_iter().map(|(image, _)| image).collect();
    (images(train), images(val))
}

/// A sample's files.
#[derive(Default)]
struct Sample {
    image: Option<u32>,
    /// `.cls`.
    class: Option<u32>,
    /// `.json`.
    json: Option<u32>,
}

/// The labelled images of some shards, in the order of shards and members.
fn samples(shards: &[PathBuf], notes: &mut Vec<String>) -> Result<(Arc<Vec<Archive>>, Vec<Labelled>)> {
    let archives = Arc::new(archives::open(shards, false, notes)?);
    let mut images = Vec::new();
    let (mut unlabelled, mut example) = (0, None);
    for (number, archive) in archives.iter().enumerate() {
        for sample in samples_of(archive) {
            let Some(member) = sample.image else { continue };
            match label(archive, &sample)? {
                Some(label) => images.push((Lying { archive: number as u32, group: 0, member }, label)),
                None => {
                    unlabelled += 1;
                    example.get_or_insert_with(|| format!("{}/{}", archive.path().display(), name(archive, member)));
                }
            }
        }
    }
    if let Some(example) = example {
        notes.push(format!("{} without a label ignored, such as {example}", count(unlabelled, "image", "images")));
    }
    Ok((archives, images))
}

fn name(archive: &Archive, member: u32) -> &str {
    archive.groups()[0].index.get(member as usize).name
}

/// The samples of a shard in the order of their first files.
fn samples_of(archive: &Archive) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut by_key: HashMap<&str, usize> = HashMap::new();
    for (member, found) in archive.groups()[0].index.iter().enumerate() {
        let file = found.name.rfind('/').map_or(0, |slash| slash + 1);
        // Names that begin with a dot are someone's notes about another file.
        let Some(dot) = found.name[file..].find('.').filter(|&dot| dot > 0) else { continue };
        let (key, extension) = (&found.name[..file + dot], &found.name[file + dot + 1..]);
        let number = *by_key.entry(key).or_insert_with(|| {
            samples.push(Sample::default());
            samples.len() - 1
        });
        let (sample, extension) = (&mut samples[number], extension.to_ascii_lowercase());
        let place = match extension.as_str() {
            "cls" => &mut sample.class,
            "json" => &mut sample.json,
            image if IMAGES.contains(&image) => &mut sample.image,
            _ => continue,
        };
        place.get_or_insert(member as u32);
    }
    samples
}

/// The label in a sample's `.cls`, a decimal number, or else in its `.json`, as `label` or `cls`.
fn label(archive: &Archive, sample: &Sample) -> Result<Option<u32>> {
    let Some(member) = sample.class.or(sample.json) else { return Ok(None) };
    let found = archive.groups()[0].index.get(member as usize);
    let wrong = |expected: &str, text: &[u8]| {
        let text = String::from_utf8_lossy(&text[..text.len().min(40)]).into_owned();
        Error::Description { path: archive.path().join(found.name), message: format!("expected {expected}, found `{text}`") }
    };
    if found.length > LONGEST_LABEL {
        return Err(wrong("a label", format!("{} bytes", found.length).as_bytes()));
    }
    let mut text = vec![0; found.length as usize];
    archive.read(&mut text, found.offset).map_err(|source| Error::Path { path: archive.path().into(), source })?;
    let (label, expected) = if sample.class.is_some() {
        (std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()), "a label from 0 to 1048576")
    } else {
        let Ok(json) = serde_json::from_slice::<serde_json::Value>(&text) else { return Err(wrong("JSON", &text)) };
        let Some(label) = json.get("label").or_else(|| json.get("cls")) else { return Ok(None) };
        (label.as_u64(), "a whole number as `label`, from 0 to 1048576")
    };
    let label = label.and_then(|label| u32::try_from(label).ok()).filter(|&label| label <= LARGEST_LABEL);
    label.map(Some).ok_or_else(|| wrong(expected, &text))
}

/// The classes' names and words from a file beside the shards, else their numbers; at least `least`.
fn classes(path: &Path, least: usize) -> Result<(Vec<String>, Vec<String>)> {
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let Some(list) = CLASSES.iter().map(|name| folder.join(name)).find(|path| path.is_file()) else {
        return Ok(((0..least).map(|label| label.to_string()).collect(), Vec::new()));
    };
    let text = read_text(&list)?;
    let lines = text.trim_end().lines().map(|line| line.split_once('\t').unwrap_or((line, "")));
    let (classes, mut words): (Vec<String>, Vec<String>) = lines.map(|(class, words)| (class.into(), words.into())).unzip();
    if classes.len() < least {
        let classes = count(classes.len(), "class is", "classes are");
        let message = format!("{classes} named, but there is an image with the label {}", least - 1);
        return Err(Error::Description { path: list, message });
    }
    if words.iter().all(String::is_empty) {
        words.clear();
    }
    Ok((classes, words))
}
