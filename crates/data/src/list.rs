//! The images that paths on a command line mean.

use std::fs;
use std::path::{Path, PathBuf};

use crate::layouts::folders::{entries, is_image};
use crate::{Error, Result};

/// Folders deeper than this are a loop of links.
const MOST_DEPTH: usize = 64;

/// The files that `paths` mean, in the order given: a file is itself, whatever it holds; a folder is the images in and
/// below it, sorted by path; a path that does not exist and has `*`, `?` or `[` is a pattern (`**` spans folders), sorted
/// likewise.
///
/// # Errors
/// Where a path does not exist, or a folder or pattern leads to no image.
pub fn list_images(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut images = Vec::new();
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => images.extend(below_or_error(path)?),
            Ok(_) => images.push(path.clone()),
            Err(source) => match path.to_str().filter(|text| text.contains(['*', '?', '['])) {
                Some(pattern) => images.extend(matching(pattern)?),
                None => return Err(Error::Path { path: path.clone(), source }),
            },
        }
    }
    Ok(images)
}

fn below_or_error(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    below(folder, 0, &mut found)?;
    if found.is_empty() {
        return Err(Error::NoImages { pattern: folder.display().to_string(), found: "a folder without images".into() });
    }
    found.sort();
    Ok(found)
}

fn below(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    if depth > MOST_DEPTH {
        let pattern = folder.display().to_string();
        return Err(Error::NoImages { pattern, found: format!("more than {MOST_DEPTH} folders within each other") });
    }
    for entry in entries(folder)? {
        let path = folder.join(&entry.name);
        if entry.is_dir {
            below(&path, depth + 1, found)?;
        } else if is_image(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>> {
    let none = |found: String| Error::NoImages { pattern: pattern.into(), found };
    let options = glob::MatchOptions { require_literal_leading_dot: true, require_literal_separator: true, case_sensitive: true };
    let paths = glob::glob_with(pattern, options).map_err(|e| none(format!("the pattern is wrong at {}: {}", e.pos, e.msg)))?;
    let mut found = Vec::new();
    for path in paths {
        let path = path.map_err(|e| Error::Path { path: e.path().into(), source: e.into() })?;
        if path.is_dir() {
            below(&path, 0, &mut found)?;
        } else if is_image(&path) {
            found.push(path);
        }
    }
    if found.is_empty() {
        return Err(none("nothing that matches is an image".into()));
    }
    found.sort();
    Ok(found)
}
