//! Data sets that are folders of class folders.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::split::{divide, split_note};
use super::{OpenOptions, listing, name_of};
use crate::decode::{Format, SNIFFED_BYTES};
use crate::error::{count, some};
use crate::{Dataset, Error, Result};

/// What the validation folder may be called, the best first; lists and other files too.
pub(super) const VALIDATION: [&str; 4] = ["val", "valid", "validation", "test"];

/// Opens `path/train/CLASS/*` with `path/val/CLASS/*` (or `valid`, `validation` or `test`), or `path/CLASS/*`, which is split class
/// by class. Without a validation folder, `path/train` is split in the same way.
///
/// Classes are sorted by the bytes of their names, files within them too. Names that begin with a dot are ignored. A file
/// is an image if its extension or its content says so; whether it really is shows when it is read.
///
/// # Errors
/// Where the folder is none of these, a class has no images, or validation has classes that training lacks.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    if !path.is_dir() {
        return Ok(None);
    }
    let name = name_of(path);
    let mut notes = Vec::new();
    let train_path = path.join("train");
    let validation = VALIDATION.iter().find(|folder| path.join(folder).is_dir());
    // A folder called `train` may also be a class of vehicles.
    let (train, val) = if train_path.is_dir() && (validation.is_some() || has_folders(&train_path)?) {
        let train = Scan::of(&train_path, &mut notes)?;
        match validation {
            Some(&folder) => {
                if folder != VALIDATION[0] {
                    notes.push(format!("there is no `val`: validating on `{folder}`"));
                }
                let val = Scan::of(&path.join(folder), &mut notes)?;
                let val = matched(&train.names(), val, &path.join(folder), &mut notes)?;
                (train, val)
            }
            None => split(train, options, &mut notes),
        }
    } else {
        if let Some(folder) = validation
            && has_folders(&path.join(folder))?
        {
            let found = format!("there is `{folder}`, but no `train`, in {}", listing(path));
            return Err(Error::Layout { path: path.into(), found });
        }
        split(Scan::of(path, &mut notes)?, options, &mut notes)
    };
    let classes = train.names();
    let label = |name: &str| classes.partition_point(|class| class.as_str() < name) as u32;
    let source = |scan: Scan| Arc::new(scan.files(label, options.exif));
    let (train, val) = (source(train), source(val));
    Ok(Some(Dataset { name, layout: "class folders", classes, words: Vec::new(), train, val, notes }))
}

/// Class folders and the images in them.
pub(super) struct Scan {
    /// Sorted by name.
    classes: Vec<Class>,
}

struct Class {
    name: String,
    path: PathBuf,
    /// Image files, sorted.
    files: Vec<OsString>,
}

/// Files and folders that no one asked for.
#[derive(Default)]
struct Ignored {
    files: usize,
    folders: usize,
    example: Option<PathBuf>,
}

impl Ignored {
    fn add(&mut self, path: PathBuf, is_folder: bool) {
        *(if is_folder { &mut self.folders } else { &mut self.files }) += 1;
        self.example.get_or_insert(path);
    }

    fn note(self, place: &Path, notes: &mut Vec<String>) {
        if let Some(example) = self.example {
            let files = (self.files > 0).then(|| count(self.files, "file that is no image", "files that are no images"));
            let folders = (self.folders > 0).then(|| count(self.folders, "folder within classes", "folders within classes"));
            let what: Vec<String> = files.into_iter().chain(folders).collect();
            notes.push(format!("in {}: ignored {}, such as {}", place.display(), what.join(" and "), example.display()));
        }
    }
}

impl Scan {
    /// The class folders of `path`. Every class has an image.
    pub(super) fn of(path: &Path, notes: &mut Vec<String>) -> Result<Scan> {
        let mut ignored = Ignored::default();
        let mut classes = Vec::new();
        let mut loose_images = 0;
        for entry in entries(path)? {
            if !entry.is_dir {
                loose_images += usize::from(is_image(&path.join(&entry.name)));
                ignored.add(path.join(&entry.name), false);
                continue;
            }
            let Some(name) = entry.name.to_str() else {
                let found = format!("a class name that is not UTF-8, {:?}", entry.name);
                return Err(Error::Layout { path: path.into(), found });
            };
            classes.push(Class::of(name, path.join(name), &mut ignored)?);
        }
        if classes.is_empty() {
            let found = match (loose_images, ignored.files) {
                (0, 0) => "it is empty".into(),
                (0, files) => format!("it holds {} and no folders: {}", count(files, "file", "files"), listing(path)),
                (images, _) => {
                    format!("it holds {} and no class folders: {}", count(images, "image", "images"), listing(path))
                }
            };
            return Err(Error::Layout { path: path.into(), found });
        }
        classes.sort_by(|a, b| a.name.cmp(&b.name));
        ignored.note(path, notes);
        Ok(Scan { classes })
    }

    /// The classes' names.
    pub(super) fn names(&self) -> Vec<String> {
        self.classes.iter().map(|class| class.name.clone()).collect()
    }

    /// The images as a source, class by class; `label` of each class's name.
    pub(super) fn files(self, label: impl Fn(&str) -> u32, exif: bool) -> Files {
        let mut files = Files::new(exif);
        for class in self.classes {
            let (folder, label) = (files.folder(class.path), label(&class.name));
            class.files.into_iter().for_each(|file| files.push(folder, label, file));
        }
        files
    }

    fn images(&self) -> usize {
        self.classes.iter().map(|class| class.files.len()).sum()
    }
}

impl Class {
    fn of(name: &str, path: PathBuf, ignored: &mut Ignored) -> Result<Class> {
        let (mut files, mut others) = (Vec::new(), (0, 0));
        for entry in entries(&path)? {
            let full = path.join(&entry.name);
            if !entry.is_dir && is_image(&full) {
                files.push(entry.name);
            } else {
                *(if entry.is_dir { &mut others.1 } else { &mut others.0 }) += 1;
                ignored.add(full, entry.is_dir);
            }
        }
        if files.is_empty() {
            let found = match others {
                (0, 0) => "nothing".into(),
                (files, 0) => format!("{}, no image", count(files, "file", "files")),
                (0, folders) => count(folders, "folder", "folders"),
                (files, folders) => {
                    format!("{} and {}, no image", count(files, "file", "files"), count(folders, "folder", "folders"))
                }
            };
            return Err(Error::EmptyClass { class: name.into(), path, found, others: others.0 + others.1 });
        }
        files.sort();
        Ok(Class { name: name.into(), path, files })
    }
}

/// Something in a folder.
pub(crate) struct Entry {
    pub(crate) name: OsString,
    pub(crate) is_dir: bool,
}

/// What is in a folder, without dot-files, in no order. Links are followed.
pub(crate) fn entries(path: &Path) -> Result<Vec<Entry>> {
    let fault = |source: io::Error| Error::Path { path: path.into(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type().map_err(fault)?;
        let is_dir = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
        found.push(Entry { name, is_dir });
    }
    Ok(found)
}

pub(super) fn has_folders(path: &Path) -> Result<bool> {
    Ok(entries(path)?.iter().any(|entry| entry.is_dir))
}

/// Extensions of image files, also of kinds that cannot be read: those are bad images, not strangers.
const EXTENSIONS: [&str; 16] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "apng", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif", "avif", "jxl"];

/// Whether a file is an image by its extension or else its content.
pub(crate) fn is_image(path: &Path) -> bool {
    if has_extension_of_image(path) {
        return true;
    }
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    let Ok(file) = fs::File::open(path) else { return false };
    file.take(SNIFFED_BYTES as u64).read_to_end(&mut head).is_ok() && Format::sniff(&head).is_some()
}

/// Whether a name says that it is an image's.
pub(super) fn has_extension_of_image(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or("");
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

/// The validation classes in the order of the training classes; those that have no images become empty.
pub(super) fn matched(train: &[String], val: Scan, path: &Path, notes: &mut Vec<String>) -> Result<Scan> {
    let known: BTreeSet<&str> = train.iter().map(String::as_str).collect();
    let unknown: Vec<String> =
        val.classes.iter().filter(|class| !known.contains(class.name.as_str())).map(|class| class.name.clone()).collect();
    if !unknown.is_empty() {
        return Err(Error::UnknownClasses { path: path.into(), classes: unknown });
    }
    let mut given = val.classes.into_iter().peekable();
    let mut lacking = Vec::new();
    let mut classes = Vec::with_capacity(train.len());
    for class in train {
        classes.push(given.next_if(|val| val.name == *class).unwrap_or_else(|| {
            lacking.push(class.clone());
            Class { name: class.clone(), path: path.join(class), files: vec![] }
        }));
    }
    if !lacking.is_empty() {
        let classes = count(lacking.len(), "class has", "classes have");
        notes.push(format!("{classes} no validation images: {}", some(&lacking)));
    }
    Ok(Scan { classes })
}

/// Divides every class.
pub(super) fn split(scan: Scan, options: &OpenOptions, notes: &mut Vec<String>) -> (Scan, Scan) {
    let all = scan.images();
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (number, Class { name, path, files }) in scan.classes.into_iter().enumerate() {
        let (kept, given) = divide(files, number as u32, options);
        train.push(Class { name: name.clone(), path: path.clone(), files: kept });
        val.push(Class { name, path, files: given });
    }
    let (train, val) = (Scan { classes: train }, Scan { classes: val });
    notes.push(split_note("folder", val.images(), all, options));
    (train, val)
}
