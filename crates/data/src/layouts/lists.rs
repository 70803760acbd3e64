//! Caffe's lists: a text file with a path and a label a line.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::folders::VALIDATION;
use super::names::{distinct, lines, note_gaps, numbers, text};
use super::recognise::head;
use super::split::split;
use super::{OpenOptions, name_of};
use crate::{Dataset, Error, Result, Source};

/// The most bytes of a list: a hundred times ImageNet's.
const MOST_BYTES: u64 = 4 << 30;

/// Files that say what classes are called, the best first.
const NAMES: [&str; 4] = ["synset_words.txt", "synsets.txt", "classes.txt", "labels.txt"];

/// How many leading bytes of a file tell whether it is a text.
const TEXT_BYTES: usize = 8 << 10;

/// How many images are looked for to find the folder that paths are relative to.
const PROBED: usize = 16;

/// Opens a folder's `train.txt` with its `val.txt` (or `valid.txt`, `validation.txt` or `test.txt`), or a single list, whose images are
/// split class by class, as are those of a `train.txt` alone.
///
/// The label is a line's last field; what stands before it is the path, with any spaces in it. Paths are relative to the
/// list's folder, or to the folder beneath it that has the list's name, if the images are there. Labels count from 0. The
/// names of classes are in `synset_words.txt`, `synsets.txt`, `classes.txt` or `labels.txt` beside the list, or are the
/// labels. Whether an image is there shows when it is read.
///
/// # Errors
/// Where a line is no path with a label, leads out of the folder, or has a label without a class.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    let is_folder = path.is_dir();
    let list = if is_folder { path.join("train.txt") } else { path.to_path_buf() };
    if !list.is_file() {
        return Ok(None);
    }
    let Some(train) = List::read(&list)? else { return Ok(None) };
    let folder = list.parent().map_or_else(PathBuf::new, PathBuf::from);
    let mut notes = Vec::new();
    let Names { classes, words } = Names::of(&folder, &train, &mut notes)?;
    note_gaps(train.rows.iter().map(|row| row.label), &classes, &mut notes);
    if train.rows.iter().all(|row| row.label > 0) {
        notes.push(format!("no label of {} is 0: do they count from 1?", list.display()));
    }
    let validation = VALIDATION.iter().map(|name| folder.join(format!("{name}.txt"))).find(|path| path.is_file());
    let (train, val): (Arc<dyn Source>, Arc<dyn Source>) = match validation {
        Some(val_path) if is_folder => {
            let val = List::read(&val_path)?.ok_or_else(|| no_row(&val_path))?;
            if let Some(row) = val.rows.iter().find(|row| row.label as usize >= classes.len()) {
                let message =
                    format!("the label {}, where {} has the classes 0 to {}", row.label, list.display(), classes.len() - 1);
                return Err(Error::Line { path: val_path, line: row.line, message });
            }
            if !val_path.ends_with("val.txt") {
                let name = val_path.file_name().unwrap_or_default().to_string_lossy();
                notes.push(format!("there is no `val.txt`: validating on `{name}`"));
            }
            (Arc::new(train.files(options.exif)), Arc::new(val.files(options.exif)))
        }
        _ => split(Arc::new(train.files(options.exif)), classes.len(), "list", options, &mut notes),
    };
    Ok(Some(Dataset { name: name_of(path), layout: "lists of paths and labels", classes, words, train, val, notes }))
}

fn no_row(path: &Path) -> Error {
    Error::Line { path: path.into(), line: 1, message: "expected `path label`, as in every line".into() }
}

/// A line of a list.
struct Row {
    /// Counted from 1.
    line: usize,
    label: u32,
    /// Relative to the list's folder, or to the folder beneath it.
    path: PathBuf,
}

struct List {
    path: PathBuf,
    folder: PathBuf,
    rows: Vec<Row>,
}

impl List {
    /// The rows of a list; `None` where the file is no text or has not one line that is `path label`.
    fn read(path: &Path) -> Result<Option<List>> {
        let fault = |source| Error::Path { path: path.into(), source };
        let head = head(path, TEXT_BYTES);
        if head.contains(&0) || fs::metadata(path).map_err(fault)?.len() > MOST_BYTES {
            return Ok(None);
        }
        // A file that is no text at all is no faulty list.
        let starts = std::str::from_utf8(&head).map_or_else(|fault| fault.valid_up_to(), str::len);
        let sample = std::str::from_utf8(&head[..starts]).unwrap_or_default();
        if !lines(sample).any(|(_, line)| fields(line).is_some()) {
            return Ok(None);
        }
        let folder = path.parent().map_or_else(PathBuf::new, PathBuf::from);
        let mut rows = Vec::new();
        for (line, row) in lines(&text(path)?) {
            let fault = |message: String| Error::Line { path: path.into(), line, message };
            let (name, label) = fields(row).ok_or_else(|| fault(format!("expected `path label`, found `{}`", shortened(row))))?;
            let inner = within(&folder, Path::new(name))
                .ok_or_else(|| fault(format!("`{}` leads out of the folder of the list", shortened(name))))?;
            rows.push(Row { line, label, path: inner });
        }
        Ok(Some(List { path: path.into(), folder, rows }))
    }

    /// The folder that most likely holds the images: this list's, or one beneath it.
    fn base(&self) -> PathBuf {
        let stem = self.path.file_stem().unwrap_or_default();
        let beneath = [stem.as_ref(), Path::new("train"), Path::new("val")].map(|name: &Path| self.folder.join(name));
        let bases = std::iter::once(self.folder.clone()).chain(beneath);
        let holds = |base: &PathBuf| self.rows.iter().take(PROBED).any(|row| base.join(&row.path).is_file());
        bases.into_iter().find(holds).unwrap_or_else(|| self.folder.clone())
    }

    fn files(self, exif: bool) -> Files {
        let mut files = Files::new(exif);
        let folder = files.folder(self.base());
        self.rows.into_iter().for_each(|row| files.push(folder, row.label, row.path));
        files
    }
}

/// A trimmed line's path and label.
fn fields(line: &str) -> Option<(&str, u32)> {
    let (path, label) = line.rsplit_once([' ', '\t'])?;
    let path = path.trim_end();
    Some((path, label.parse().ok()?)).filter(|_| !path.is_empty())
}

/// `path` relative to `folder`, unless it leads out of it.
fn within(folder: &Path, path: &Path) -> Option<PathBuf> {
    let path = if path.has_root() { path.strip_prefix(folder).ok()? } else { path };
    let mut inner = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => inner.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!inner.as_os_str().is_empty()).then_some(inner)
}

/// A piece of a foreign text that fits a message.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// What classes are called.
struct Names {
    classes: Vec<String>,
    words: Vec<String>,
}

impl Names {
    /// The names beside the list, one for each label at least; else the labels themselves.
    fn of(folder: &Path, list: &List, notes: &mut Vec<String>) -> Result<Names> {
        let most = list.rows.iter().max_by_key(|row| row.label).ok_or_else(|| no_row(&list.path))?;
        let Some(path) = NAMES.map(|name| folder.join(name)).into_iter().find(|path| path.is_file() && *path != list.path) else {
            // Not every label needs an image, but a label is no reason to make up any number of classes.
            if most.label as usize >= 2 * list.rows.len() + 1000 {
                let message = format!("the label {}, where the list has {} lines", most.label, list.rows.len());
                return Err(Error::Line { path: list.path.clone(), line: most.line, message });
            }
            let name = list.path.file_name().unwrap_or_default().to_string_lossy();
            notes.push(format!("there are no {} beside `{name}`: classes are called by their numbers", NAMES.join(", ")));
            return Ok(Names { classes: numbers(most.label as usize + 1), words: vec![] });
        };
        let text = text(&path)?;
        let rows: Vec<&str> = lines(&text).map(|(_, line)| line).collect();
        if most.label as usize >= rows.len() {
            let message = format!("the label {}, where {} names {} classes", most.label, path.display(), rows.len());
            return Err(Error::Line { path: list.path.clone(), line: most.line, message });
        }
        let has_words = path.ends_with("synset_words.txt");
        let parts = rows.iter().map(|row| match row.split_once(char::is_whitespace) {
            Some((id, words)) if has_words => (id.to_string(), words.trim().to_string()),
            _ => (row.to_string(), row.to_string()),
        });
        let (mut classes, words): (Vec<_>, Vec<_>) = parts.unzip();
        distinct(&mut classes, notes);
        Ok(Names { classes, words: if has_words { words } else { vec![] } })
    }
}
