//! Data sets that are folders of class folders.

use std::path::Path;

use crate::{Dataset, Error, Result};

/// How a folder is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOptions {
    /// Decides which images of a single folder are for validation.
    pub seed: u64,
    /// The share of a single folder's images that is for validation, class by class; in `[0, 1)`.
    pub val_fraction: f64,
    /// Whether the orientation that a file states is applied.
    pub exif: bool,
}

impl Default for OpenOptions {
    fn default() -> OpenOptions {
        OpenOptions { seed: 0, val_fraction: 0.1, exif: true }
    }
}

/// Opens `path/train/CLASS/*` with `path/val/CLASS/*`, or `path/CLASS/*`, which is split.
///
/// # Errors
/// Where the folder is none of these, a class has no images, or validation has classes that training lacks.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Dataset> {
    let _ = options;
    Err(Error::Layout { path: path.into(), found: "nothing".into() })
}
