//! Data sets that `alexnet data prepare` has packed.

use std::path::Path;

use super::OpenOptions;
use crate::pack::{self, BEGUN, MANIFEST};
use crate::{Dataset, Error, Result};

/// Opens a folder with a `pack.json`.
///
/// # Errors
/// Where the pack is damaged, of another version, or not finished.
pub(super) fn open(path: &Path, options: &OpenOptions) -> Result<Option<Dataset>> {
    if path.join(MANIFEST).is_file() {
        return pack::open(path, options.exif).map(Some);
    }
    if path.join(BEGUN).is_file() {
        return Err(Error::Unfinished { path: path.into() });
    }
    Ok(None)
}
