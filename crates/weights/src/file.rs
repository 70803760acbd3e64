//! Files that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Bytes that are written at a time.
const BUFFER: usize = 1 << 18;

/// Writes a file so that `path` holds either its former content or all of the new one, whenever the program or the
/// machine stops: writes beside it, syncs, renames, syncs the folder. On an error the file beside is removed and what was
/// at `path` stays.
///
/// # Errors
/// [`Error::DiskFull`] where there is no room; else what `write` or the system said.
pub fn replace<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> Result<T> {
    let mut file = Beside::new(path)?;
    let value = write(&mut file).map_err(|source| Error::io("write", path, source))?;
    file.finish()?;
    Ok(value)
}

/// A file that is written beside the place that it takes at its end, as by [`replace`], but bit by bit and with a way back to
/// what has been written. Dropped before its end, it is removed, and what was at its place stays.
#[derive(Debug)]
pub struct Beside {
    /// `None` once the file has taken its place.
    writer: Option<BufWriter<File>>,
    beside: PathBuf,
    path: PathBuf,
}

impl Beside {
    /// Begins the file that will stand at `path`.
    ///
    /// # Errors
    /// Where the system refuses a file in that folder.
    pub fn new(path: &Path) -> Result<Beside> {
        let beside = beside(path);
        let file = File::create(&beside).map_err(|source| Error::io("write", path, source))?;
        Ok(Beside { writer: Some(BufWriter::with_capacity(BUFFER, file)), beside, path: path.into() })
    }

    /// Where it will stand.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Syncs it, puts it in its place, and makes that last.
    ///
    /// # Errors
    /// [`Error::DiskFull`] where there is no room; else what the system said.
    pub fn finish(mut self) -> Result<()> {
        let fault = |source| Error::io("write", &self.path, source);
        if let Some(writer) = &mut self.writer {
            writer.flush().and_then(|()| writer.get_ref().sync_all()).map_err(fault)?;
        }
        fs::rename(&self.beside, &self.path).map_err(fault)?;
        self.writer = None;
        sync_folder(folder_of(&self.path))
    }

    fn writer(&mut self) -> io::Result<&mut BufWriter<File>> {
        self.writer.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Write for Beside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer()?.flush()
    }
}

impl Seek for Beside {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.writer()?.seek(to)
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // The error that matters came before; a file that is gone cannot be removed.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// Makes a new file, or empties the one there, writes it and syncs it. For files in a folder that nobody reads yet.
///
/// # Errors
/// As [`replace`]; an incomplete file stays behind.
pub fn create<T>(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<T>) -> Result<T> {
    let all = || {
        let mut writer = BufWriter::with_capacity(BUFFER, File::create(path)?);
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

    #[test]
    fn a_file_beside_takes_its_place_at_its_end_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        fs::write(&path, "old").unwrap();
        let begun = || {
            let mut file = Beside::new(&path).unwrap();
            file.write_all(b"?? and more").unwrap();
            file.seek(SeekFrom::Start(0)).unwrap();
            file.write_all(b"me").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"old");
            file
        };
        drop(begun());
        assert_eq!((names(folder.path()), fs::read(&path).unwrap().as_slice()), (vec!["weights".to_string()], &b"old"[..]));
        begun().finish().unwrap();
        assert_eq!(
            (names(folder.path()), fs::read(&path).unwrap().as_slice()),
            (vec!["weights".to_string()], &b"me and more"[..])
        );
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
