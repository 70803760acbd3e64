//! CIFAR-10 and CIFAR-100 as their binary versions.
//!
//! A record is a label, one byte (CIFAR-100: the coarse label, which is not used, then the fine one), and 32 × 32 pixels as
//! planes of red, green and blue. The 180 MB are kept in memory: the labels lie between the images, so that finding them
//! reads every page anyway.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::names::{distinct, lines, note_gaps, numbers, text};
use super::planes::{Planes, malformed};
use super::{OpenOptions, name_of};
use crate::{Dataset, Error, Result};

const SIDE: usize = 32;
const PIXEL_BYTES: usize = 3 * SIDE * SIDE;

/// The most bytes of one file: twenty times the largest there is.
const MOST_FILE_BYTES: u64 = 4 << 30;

/// One of the two data sets.
struct Kind {
    layout: &'static str,
    /// The folder that its archive unpacks to.
    folder: &'static str,
    train: &'static [&'static str],
    val: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes of a record before the pixels; the last one is the label.
    label_bytes: usize,
    /// The folder, and two files, of the version for Python; the archive of this one.
    python: (&'static str, [&'static str; 2]),
    archive: &'static str,
}

const KINDS: [Kind; 2] = [
    Kind {
        layout: "CIFAR-10, binary",
        folder: "cifar-10-batches-bin",
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        val: "test_batch.bin",
        names: "batches.meta.txt",
        classes: 10,
        label_bytes: 1,
        python: ("cifar-10-batches-py", ["data_batch_1", "batches.meta"]),
        archive: "cifar-10-binary.tar.gz",
    },
    Kind {
        layout: "CIFAR-100, binary",
        folder: "cifar-100-binary",
        train: &["train.bin"],
        val: "test.bin",
        names: "fine_label_names.txt",
        classes: 100,
        label_bytes: 2,
        python: ("cifar-100-python", ["train", "meta"]),
        archive: "cifar-100-binary.tar.gz",
    },
];

/// Opens a folder that holds a binary version, or the folder that holds that folder. All files but the names must be there.
///
/// # Errors
/// Where a file is missing or of a wrong size, a label has no class, or the folder is the version for Python.
pub(super) fn open(path: &Path, _: &OpenOptions) -> Result<Option<Dataset>> {
    for kind in &KINDS {
        for folder in [path.to_path_buf(), path.join(kind.folder)] {
            if kind.is_at(&folder) {
                return kind.open(&folder).map(Some);
            }
        }
    }
    for kind in &KINDS {
        for folder in [path.to_path_buf(), path.join(kind.python.0)] {
            if kind.python.1.iter().all(|file| folder.join(file).is_file()) {
                return Err(kind.is_python(folder));
            }
        }
    }
    Ok(None)
}

impl Kind {
    fn record_bytes(&self) -> usize {
        self.label_bytes + PIXEL_BYTES
    }

    /// Any file of CIFAR-10's is telling; CIFAR-100's are called as others' may be, and need their names or a fitting size.
    fn is_at(&self, folder: &Path) -> bool {
        let is_file = |name: &str| folder.join(name).is_file();
        if self.train.len() > 1 {
            return self.train.iter().any(|name| is_file(name)) || is_file(self.val);
        }
        let fits = |name: &str| {
            fs::metadata(folder.join(name)).is_ok_and(|m| m.len() > 0 && m.len().is_multiple_of(self.record_bytes() as u64))
        };
        let (train, val) = (self.train[0], self.val);
        (is_file(train) || is_file(val)) && is_file(self.names) || fits(train) && fits(val)
    }

    fn is_python(&self, path: PathBuf) -> Error {
        let name = self.layout.trim_end_matches(", binary");
        let found = format!("it is {name} as Python pickles, which are not read");
        let instead = format!("take the binary version, {}, from https://www.cs.toronto.edu/~kriz/cifar.html", self.archive);
        Error::OtherForm { path, found, instead }
    }

    fn open(&self, folder: &Path) -> Result<Dataset> {
        let mut notes = Vec::new();
        let train = self.read(folder, self.train, "train")?;
        let val = self.read(folder, &[self.val], "test")?;
        let names_path = folder.join(self.names);
        let mut classes: Vec<String> = if names_path.is_file() {
            lines(&text(&names_path)?).map(|(_, name)| name.to_string()).collect()
        } else {
            notes.push(format!("there is no {}: classes are called by their numbers", self.names));
            numbers(self.classes)
        };
        if classes.len() != self.classes {
            return Err(malformed(&names_path, format!("expected {} class names, found {}", self.classes, classes.len())));
        }
        distinct(&mut classes, &mut notes);
        note_gaps(train.labels.iter().copied(), &classes, &mut notes);
        let (train, val) = (Arc::new(train), Arc::new(val));
        Ok(Dataset { name: name_of(folder), layout: self.layout, classes, words: vec![], train, val, notes })
    }

    /// The records of some files.
    fn read(&self, folder: &Path, files: &[&str], split: &str) -> Result<Planes> {
        let name = format!("{}/{split}", folder.display());
        let mut planes = Planes { name, width: SIDE, height: SIDE, channels: 3, pixels: vec![], labels: vec![] };
        for file in files {
            let path = folder.join(file);
            let fault = |source| Error::Path { path: path.clone(), source };
            let size = fs::metadata(&path).map_err(fault)?.len();
            if size > MOST_FILE_BYTES {
                return Err(malformed(&path, format!("{size} bytes, more than {MOST_FILE_BYTES}")));
            }
            self.append(&path, &fs::read(&path).map_err(fault)?, &mut planes)?;
        }
        Ok(planes)
    }

    fn append(&self, path: &Path, bytes: &[u8], planes: &mut Planes) -> Result<()> {
        let record = self.record_bytes();
        if bytes.is_empty() || !bytes.len().is_multiple_of(record) {
            return Err(malformed(path, format!("expected records of {record} bytes, found {} bytes", bytes.len())));
        }
        planes.pixels.reserve_exact(bytes.len() / record * PIXEL_BYTES);
        for (number, record) in bytes.chunks_exact(record).enumerate() {
            let (labels, pixels) = record.split_at(self.label_bytes);
            let label = labels[self.label_bytes - 1];
            if usize::from(label) >= self.classes {
                let most = self.classes - 1;
                return Err(malformed(path, format!("record {number} has the label {label}, expected 0 to {most}")));
            }
            planes.labels.push(label.into());
            planes.pixels.extend_from_slice(pixels);
        }
        Ok(())
    }
}
