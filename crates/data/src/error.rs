//! What can be wrong with the user's images and folders.

use std::io;
use std::path::PathBuf;

use crate::{BadImage, Fault};

/// Errors of the user's world. All messages name the file or folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A folder or file that cannot be opened or listed.
    #[error("{}", path.display())]
    Path {
        /// What could not be opened.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path that is no data set.
    #[error("{} is no data set: {found}; known are{}", path.display(), crate::layouts::forms())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What was found there.
        found: String,
    },
    /// A path that is recognised and read in another form only: one image, an archive, pickles.
    #[error("{} is no data set: {found}", path.display())]
    OtherForm {
        /// What was given.
        path: PathBuf,
        /// What it looks like.
        found: String,
        /// What to do about it.
        instead: String,
    },
    /// A line of a list that is none of its kind.
    #[error("{}:{line}: {message}", path.display())]
    Line {
        /// The list.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What was expected and found.
        message: String,
    },
    /// A file of a data set that is damaged, missing, or at odds with its neighbours.
    #[error("{}: {message}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A class folder without a single image.
    #[error("class `{class}` has no images: {} holds {found}", path.display())]
    EmptyClass {
        /// The class.
        class: String,
        /// Its folder.
        path: PathBuf,
        /// What was found there.
        found: String,
        /// Number of files and folders there: the data set may begin in another folder than the one given.
        others: usize,
    },
    /// Validation has classes that cannot be learnt.
    #[error("{} has {} that the training folder lacks: {}", path.display(), count(classes.len(), "class", "classes"), some(classes))]
    UnknownClasses {
        /// The validation folder.
        path: PathBuf,
        /// The classes that training lacks, sorted.
        classes: Vec<String>,
    },
    /// An archive that is damaged, cut off, or none.
    #[error("{}, byte {offset}: {message}", path.display())]
    Archive {
        /// The archive.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was expected and found.
        message: String,
    },
    /// A file that describes a data set, and is not as it should be.
    #[error("{}: {message}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A file without which a data set cannot be read as asked.
    #[error("{}: {purpose} {needed}, which is not there", path.display())]
    Lacking {
        /// The data set's folder.
        path: PathBuf,
        /// What it is needed for, and a verb: `the labels of … are in`.
        purpose: String,
        /// The file, and where it belongs.
        needed: String,
    },
    /// A path to predict that leads to no image.
    #[error("no image at {pattern}: {found}")]
    NoImages {
        /// The path or pattern as given.
        pattern: String,
        /// What was found instead.
        found: String,
    },
    /// An image file that cannot be opened or read.
    #[error("{name}")]
    File {
        /// The file.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A file that is not an image, or not a whole one.
    #[error("{name}")]
    Image {
        /// The file, or whatever its source calls it.
        name: String,
        /// What is wrong with it.
        source: Fault,
    },
    /// Bad images, collected by [`crate::BadImages::Report`].
    #[error("{} bad{}", count(bad.len(), "image is", "images are"), bad.iter().map(|b| format!("\n  {b}")).collect::<String>())]
    BadImages {
        /// Every bad image, sorted by name.
        bad: Vec<BadImage>,
    },
    /// A whole epoch without a readable image.
    #[error("not one of {images} images can be read; the first: {first}")]
    AllBad {
        /// How many there are.
        images: usize,
        /// One of them.
        first: BadImage,
    },
    /// A split without images where at least one is needed.
    #[error("there are no images to {purpose}")]
    Empty {
        /// `learn from`, `measure`.
        purpose: &'static str,
    },
    /// A list of images to leave out that is none.
    #[error("{} is no list of images: expected a path a line, found {found}", path.display())]
    Quarantine {
        /// The list.
        path: PathBuf,
        /// What it holds.
        found: String,
    },
    /// A list of images to leave out that leaves nothing of a class to learn from.
    #[error("{} leaves {} without training images: {}", path.display(), count(classes.len(), "class", "classes"), some(classes))]
    QuarantinedClasses {
        /// The list.
        path: PathBuf,
        /// The classes, sorted.
        classes: Vec<String>,
    },
    /// A share of validation images that is none.
    #[error("a validation share of {0} is not in [0, 1)")]
    Split(f64),
    /// Preprocessing that contradicts itself or the net's input.
    #[error("preprocessing: {0}")]
    Preprocessing(String),
    /// Stored statistics that are damaged or do not fit the preprocessing.
    #[error("statistics: {0}")]
    Statistics(String),
    /// Loader options that cannot work.
    #[error("loader: {0}")]
    Loader(String),
    /// The caller asked to stop.
    #[error("stopped after {done} of {images} images")]
    Stopped {
        /// Images measured.
        done: usize,
        /// Images in all.
        images: usize,
    },
    /// A pack whose making was stopped.
    #[error("pack {} is not finished", path.display())]
    Unfinished {
        /// The pack's folder.
        path: PathBuf,
    },
    /// A pack that is damaged, or of another version.
    #[error("pack {}: {message}", path.display())]
    Pack {
        /// The pack's folder, or the file in it.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A pack that was begun otherwise than it shall go on.
    #[error("{} was begun otherwise: {}", path.display(), differences.join("; "))]
    PackDiffers {
        /// The pack's folder.
        path: PathBuf,
        /// What differs: `side was 256, now 128`.
        differences: Vec<String>,
    },
    /// A pack that another process is making.
    #[error("{} is being prepared by another process", path.display())]
    PackInUse {
        /// The pack's folder.
        path: PathBuf,
    },
    /// A folder for a pack that holds something else.
    #[error("{} is no place for a pack: it holds {found}", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// One of the things that it holds.
        found: String,
    },
    /// A file of the data set that was there when the data set was opened.
    #[error("{name} is gone: the data set changed while it was read")]
    Vanished {
        /// The file.
        name: String,
    },
    /// A file that is written or mapped.
    #[error(transparent)]
    Storage(#[from] weights::Error),
    /// The system gives no threads.
    #[error("loader threads cannot start")]
    Threads(#[source] io::Error),
}

impl Error {
    /// The image that cannot be read, where the error is about one; policies apply to these errors only.
    pub fn bad_image(&self) -> Option<BadImage> {
        match self {
            Error::File { name, source } => Some(BadImage { name: name.clone(), reason: source.to_string() }),
            Error::Image { name, source } => Some(BadImage { name: name.clone(), reason: source.to_string() }),
            _ => None,
        }
    }
}

/// `1 class`, `2 classes`.
pub(crate) fn count(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// The first names, and how many more there are.
pub(crate) fn some(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut text = names.iter().take(SHOWN).map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}
