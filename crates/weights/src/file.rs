//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes a file so that `path` holds either its former content or all of the new one, whenever the program or the
/// machine stops: writes beside it, syncs, renames, syncs the folder. On an error the file beside is removed and what was
/// at `path` stays.
///
/// # Errors
/// [`Error::DiskFull`] where there is no room; else what `write` or the system said.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> Result<T> {
    let beside = beside(path);
    let result = create(&beside, write)
        .and_then(|value| fs::rename(&beside, path).map(|()| value).map_err(|source| Error::io("write", path, source)));
    match result {
        Ok(value) => sync_folder(folder_of(path)).map(|()| value),
        Err(error) => {
            // The error that matters is the first; a file that was never made cannot be removed.
            let _ = fs::remove_file(&beside);
            Err(of_target(error, path))
        }
    }
}

/// Makes a new file, or empties the one there, writes it and syncs it. For files in a folder that nobody reads yet.
///
/// # Errors
/// As [`replace`]; an incomplete file stays behind.
pub fn create<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> Result<T> {
    let all = || {
        let mut writer = BufWriter::with_capacity(1 << 18, File::create(path)?);
        let value = write(&mut writer)?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        Ok(value)
    };
    all().map_err(|source| Error::io("write", path, source))
}

/// Makes renames within a folder last.
///
/// # Errors
/// Where the system refuses.
pub fn sync_folder(path: &Path) -> Result<()> {
    if cfg!(unix) {
        File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| Error::io("sync", path, source))?;
    }
    Ok(())
}

/// `.<name>.<process>.tmp` in the folder of `path`.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The same error, naming the file that the caller asked for.
fn of_target(error: Error, target: &Path) -> Error {
    match error {
        Error::Io { action, source, .. } => Error::Io { action, path: target.into(), source },
        Error::DiskFull { source, .. } => Error::DiskFull { path: target.into(), source },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_failed_write_leaves_the_former_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        replace(&path, |w| w.write_all(b"old")).unwrap();
        let full = |w: &mut dyn Write| {
            w.write_all(&[0; 1 << 20])?;
            Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
        };
        let error = replace(&path, full).unwrap_err();
        assert!(matches!(&error, Error::DiskFull { path: p, .. } if *p == path), "{error}");
        assert!(error.to_string().contains("the disk is full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["weights"]);
        replace(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["weights"]);
    }

    /// What a killed program leaves beside does not matter.
    #[test]
    fn a_leftover_beside_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(beside(&path), b"half a fi").unwrap();
        replace(&path, |w| w.write_all(b"x")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
        assert_eq!(names(folder.path()), ["weights"]);
    }

    #[test]
    fn a_missing_folder_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none/weights");
        let error = replace(&path, |w| w.write_all(b"x")).unwrap_err();
        assert!(error.to_string().contains("none/weights`"), "{error}");
    }
}
