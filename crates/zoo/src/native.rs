//! Our own forms: run directories and checkpoints.

use std::path::Path;

use train::checkpoint::{self, Checks, Saved};
use weights::safetensors::SharedContents;

use crate::{Error, Result};

/// The checkpoint that `path` means, with its weights: the best one of a run, itself, or the one that the file is a part
/// of; `None` where it is none of these.
///
/// # Errors
/// Where it is one, but damaged or without any checkpoint.
pub fn saved(path: &Path, checks: Checks) -> Result<Option<(Saved, SharedContents)>> {
    if is_checkpoint(path) {
        return Ok(Some(checkpoint::read_shared(path, checks)?));
    }
    if path.is_file() {
        let is_own = path.file_name().is_some_and(|name| checkpoint::FILES.iter().any(|own| name == *own));
        return match path.parent().filter(|folder| is_own && is_checkpoint(folder)) {
            Some(folder) => Ok(Some(checkpoint::read_shared(folder, checks)?)),
            None => Ok(None),
        };
    }
    if !is_run(path) {
        return Ok(None);
    }
    train::read_net(path)?;
    match checkpoint::best(&train::checkpoints(path), checks)? {
        Some(found) => Ok(Some(found)),
        None => Err(Error::NoCheckpoint { path: path.into() }),
    }
}

/// Whether `path` is a checkpoint's folder.
pub fn is_checkpoint(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}

/// Whether `path` is a run directory.
pub fn is_run(path: &Path) -> bool {
    path.join("net.toml").is_file()
}
