//! Files that results go to.

use std::path::Path;

use crate::failure::{Failure, Result};

/// Refuses before the work what could not be written after it.
pub(crate) fn check_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if path.is_dir() || folder.is_some_and(|folder| !folder.is_dir()) {
        let message = format!(
            "{} cannot be written: {}",
            path.display(),
            if path.is_dir() { "it is a folder" } else { "its folder is not there" }
        );
        return Err(Failure::failed(message, "name a file in a folder that exists"));
    }
    Ok(())
}
