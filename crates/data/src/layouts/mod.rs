//! Data sets as they lie on a disk: a file a layout.

use std::fs;
use std::path::Path;

use crate::{Dataset, Error, Result};

mod cifar;
mod files;
pub(crate) mod folders;
mod idx;
mod lists;
mod names;
pub(crate) mod pack;
mod parquet;
mod planes;
mod recognise;
mod split;
mod tiny_imagenet;

use recognise::{listing, other_file};

/// How a data set is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Decides which images of a set without validation images are for validation.
    pub seed: u64,
    /// The share of such a set's images that is for validation, class by class; in `[0, 1)`.
    pub val_fraction: f64,
    /// Whether the orientation that a file states is applied.
    pub exif: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { seed: 0, val_fraction: 0.1, exif: true }
    }
}

/// A way in which data sets lie on a disk.
struct Layout {
    /// How it is recognised, for people: `DIR/train/CLASS/* with DIR/val/CLASS/*`.
    form: &'static str,
    /// Opens what lies at a path; `None` where that is not of this layout, an error where it is and is faulty.
    open: fn(&Path, &OpenOptions) -> Result<Option<Dataset>>,
}

/// Tried in this order, the most specific first. Class folders come last: what they make of a folder that is no data set is
/// the error that is shown.
const LAYOUTS: &[Layout] = &[
    Layout { form: "DIR/pack.json with DIR/*.shard: a pack", open: pack::open },
    Layout {
        form: "DIR/data_batch_1.bin or DIR/train.bin, and others: CIFAR-10 and CIFAR-100, the binary version",
        open: cifar::open,
    },
    Layout { form: "DIR/train-images-idx3-ubyte(.gz) and others: MNIST and its kin", open: idx::open },
    Layout { form: "DIR/wnids.txt with DIR/train/WNID/images/*: Tiny ImageNet", open: tiny_imagenet::open },
    Layout { form: "DIR(/data)/train-*.parquet or FILE.parquet: Parquet of the Hugging Face Hub", open: parquet::open },
    Layout { form: "DIR/train.txt with DIR/val.txt, or LIST.txt, of lines `path label`: Caffe's lists", open: lists::open },
    Layout { form: "DIR/train/CLASS/* with DIR/val/CLASS/*, or DIR/CLASS/*: class folders", open: folders::open },
];

/// Opens the data set at `path`, whichever of the known layouts it has.
///
/// # Errors
/// Where the path is of no known layout, or of one and faulty.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    if !(0.0..1.0).contains(&options.val_fraction) {
        return Err(Error::Split(options.val_fraction));
    }
    fs::metadata(path).map_err(|source| Error::Path { path: path.into(), source })?;
    for layout in LAYOUTS {
        if let Some(dataset) = (layout.open)(path, options)? {
            return Ok(dataset);
        }
    }
    Err(other_file(path))
}

/// The forms of all layouts, one a line, the most general first.
pub(crate) fn forms() -> String {
    LAYOUTS.iter().rev().map(|layout| format!("\n  {}", layout.form)).collect()
}

/// What to call a data set at `path`: its last part.
pub(crate) fn name_of(path: &Path) -> String {
    let name = fs::canonicalize(path).ok().and_then(|p| Some(p.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| path.display().to_string())
}
