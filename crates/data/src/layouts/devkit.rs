//! The development kits of ILSVRC: which id is which class, and what the validation images show.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::words::Words;
use super::{LabelOrder, read_text};
use crate::error::count;
use crate::synsets::Synsets;
use crate::tar::{Fault, Index};
use crate::{Error, Result};

/// A devkit unpacks to some megabytes.
const MOST_BYTES: u64 = 64 << 20;
/// The file of a devkit that says which id is which class.
const META: &str = "data/meta.mat";

/// A development kit.
pub(super) struct Devkit {
    path: PathBuf,
    year: u16,
    /// What its ids mean.
    pub(super) synsets: Synsets,
    validation: Option<String>,
    test: Option<String>,
}

/// What the devkit of a year may be called: folders, then archives.
fn names(year: u16) -> &'static [&'static str] {
    match year {
        2010 => &["devkit-1.0", "ILSVRC2010_devkit-1.0", "ILSVRC2010_devkit-1.0.tar.gz", "devkit-1.0.tar.gz"],
        _ => &["ILSVRC2012_devkit_t12", "ILSVRC2012_devkit_t12.tar.gz"],
    }
}

/// The devkit's folder or archive in `folder`, if it is there.
pub(super) fn path(folder: &Path, year: u16) -> Option<PathBuf> {
    names(year).iter().map(|name| folder.join(name)).find(|path| path.exists())
}

/// That `folder` has no devkit, which `purpose` (`the labels of val need`).
pub(super) fn lacking(folder: &Path, purpose: &str) -> Error {
    let needed = "ILSVRC2012_devkit_t12.tar.gz of image-net.org (or devkit-1.0 for ILSVRC2010) in this folder".to_string();
    Error::Lacking { path: folder.into(), purpose: purpose.into(), needed }
}

/// That `folder` has nothing that says the classes of the images at `images`.
pub(super) fn lacking_truth(folder: &Path, images: &Path) -> Error {
    let purpose = format!("the labels of the images in {} are in", images.display());
    let needed = "ILSVRC2012_devkit_t12.tar.gz of image-net.org (or devkit-1.0 for ILSVRC2010), or LOC_val_solution.csv of Kaggle's \
                  copy, in this folder";
    Error::Lacking { path: folder.into(), purpose, needed: needed.into() }
}

impl Devkit {
    /// Reads the devkit in `folder`; `None` where there is none.
    ///
    /// # Errors
    /// Where it is damaged, or lacks `meta.mat`.
    pub(super) fn read(folder: &Path, year: u16) -> Result<Option<Devkit>> {
        let Some(path) = path(folder, year) else { return Ok(None) };
        let files = Files::open(&path)?;
        let wrong = |message: String| Error::Description { path: path.clone(), message };
        let meta = files.get(META)?.ok_or_else(|| wrong(format!("it has no {META}")))?;
        let synsets = Synsets::read(&meta, year).map_err(|message| wrong(format!("{META}: {message}")))?;
        let truth = |name: &str| -> Result<Option<String>> {
            let bytes = files.get(&format!("data/ILSVRC{year}_{name}_ground_truth.txt"))?;
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        };
        let (validation, mut test) = (truth("validation")?, truth("test")?);
        // It was published later than the devkit.
        let beside = folder.join(format!("ILSVRC{year}_test_ground_truth.txt"));
        if test.is_none() && beside.is_file() {
            test = Some(read_text(&beside)?);
        }
        Ok(Some(Devkit { path, year, synsets, validation, test }))
    }

    /// The classes of `images` validation or test images in the order of their names, as WordNet ids.
    ///
    /// # Errors
    /// Where the devkit does not say, or says it of another number of images.
    pub(super) fn truth(&self, is_test: bool, images: usize) -> Result<Vec<&str>> {
        let split = if is_test { "test" } else { "validation" };
        let name = format!("data/ILSVRC{}_{split}_ground_truth.txt", self.year);
        let wrong = |message: String| Error::Description { path: self.path.clone(), message };
        let text = if is_test { &self.test } else { &self.validation };
        let beside =
            if is_test { format!(", nor is ILSVRC{}_test_ground_truth.txt beside it", self.year) } else { String::new() };
        let lacks = || format!("it has no {name}{beside}");
        let lines = text.as_ref().ok_or_else(|| wrong(lacks()))?.trim_end().lines();
        let wnid = |(line, text): (usize, &str)| {
            let leaf = text.trim().parse().ok().and_then(|id| self.synsets.leaf(id));
            leaf.map(|leaf| leaf.wnid.as_str())
                .ok_or_else(|| wrong(format!("{name}, line {}: expected the id of a class, found `{text}`", line + 1)))
        };
        let truth = lines.enumerate().map(wnid).collect::<Result<Vec<_>>>()?;
        if truth.len() != images {
            let (lines, images) = (count(truth.len(), "line", "lines"), count(images, "image", "images"));
            return Err(wrong(format!("{name} has {lines} for {images}")));
        }
        Ok(truth)
    }

    /// Words by WordNet id.
    pub(super) fn words(&self) -> Words {
        self.synsets.leaves().map(|(_, synset)| (synset.wnid.clone(), synset.words.clone())).collect()
    }
}

/// A devkit's files.
enum Files {
    Folder(PathBuf),
    Unpacked { bytes: Vec<u8>, index: Index },
}

/// The classes of a year of ILSVRC in the order of their labels, as WordNet ids with their words, out of its development kit: a
/// folder or `.tar.gz`, or a folder that holds one of these. `None` where there is neither.
///
/// # Errors
/// Where it is damaged, or has no `data/meta.mat`.
pub fn devkit_classes(path: &Path, order: LabelOrder) -> Result<Option<Vec<(String, String)>>> {
    let inside = || [2012, 2010].into_iter().find_map(|year| self::path(path, year));
    let is_gzip = || {
        let mut magic = [0; 2];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == [0x1f, 0x8b]
    };
    let kit = match path.is_dir() {
        true if path.join(META).is_file() => path.to_path_buf(),
        true => match inside() {
            Some(kit) => kit,
            None => return Ok(None),
        },
        false if is_gzip() => path.to_path_buf(),
        false => return Ok(None),
    };
    let wrong = |message: String| Error::Description { path: kit.clone(), message };
    let meta = Files::open(&kit)?.get(META)?.ok_or_else(|| wrong(format!("it has no {META}")))?;
    let synsets = Synsets::read(&meta, 2012).or_else(|message| Synsets::read(&meta, 2010).map_err(|_| message));
    let synsets = synsets.map_err(|message| wrong(format!("{META}: {message}")))?;
    let mut classes: Vec<_> = synsets.leaves().map(|(_, synset)| (synset.wnid.clone(), synset.words.clone())).collect();
    if order == LabelOrder::Sorted {
        classes.sort();
    }
    Ok(Some(classes))
}

impl Files {
    fn open(path: &Path) -> Result<Files> {
        if path.is_dir() { Ok(Files::Folder(path.into())) } else { Files::unpack(path) }
    }

    fn unpack(path: &Path) -> Result<Files> {
        let fault = |source| Error::Path { path: path.into(), source };
        let wrong = |message: String| Error::Description { path: path.into(), message };
        let mut bytes = Vec::new();
        let decoder = flate2::read::MultiGzDecoder::new(File::open(path).map_err(fault)?);
        decoder.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| wrong(format!("it does not unpack: {error}")))?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(wrong(format!("it unpacks to more than {MOST_BYTES} bytes")));
        }
        let index = Index::of(bytes.as_slice(), 0..bytes.len() as u64).map_err(|error| match error {
            Fault::Io(source) => fault(source),
            Fault::Damaged { offset, message } => Error::Archive { path: path.into(), offset, message },
        })?;
        Ok(Files::Unpacked { bytes, index })
    }

    /// The bytes of a file by its path in the devkit, whatever the devkit's own folder is called.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match self {
            Files::Folder(folder) => {
                let path = folder.join(name);
                if !path.is_file() {
                    return Ok(None);
                }
                let mut bytes = Vec::new();
                let read = File::open(&path).and_then(|file| file.take(MOST_BYTES).read_to_end(&mut bytes));
                read.map_err(|source| Error::Path { path, source })?;
                Ok(Some(bytes))
            }
            Files::Unpacked { bytes, index } => {
                let ends =
                    |found: &str| found.strip_suffix(name).is_some_and(|before| before.is_empty() || before.ends_with('/'));
                let member = index.iter().find(|member| ends(member.name));
                Ok(member.map(|m| bytes[m.offset as usize..(m.offset + m.length) as usize].to_vec()))
            }
        }
    }
}

/// The classes that `LOC_val_solution.csv` of Kaggle's copy states, by the images' names without extension.
///
/// # Errors
/// Where it cannot be read or is of another form.
pub(super) fn solution(path: &Path) -> Result<Words> {
    let text = read_text(path)?;
    let mut truth = Words::new();
    for (number, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
        let class = line.split_once(',').and_then(|(image, boxes)| Some((image, boxes.split_whitespace().next()?)));
        let Some((image, class)) = class else {
            let message = format!("line {}: expected `IMAGE,CLASS …`, found `{line}`", number + 1);
            return Err(Error::Description { path: path.into(), message });
        };
        truth.insert(image.into(), class.into());
    }
    Ok(truth)
}
