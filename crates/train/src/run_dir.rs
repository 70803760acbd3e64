//! The folder of a run.
//!
//! ```text
//! net.toml  recipe.toml   what is trained and how, resolved
//! plan.txt  run.json      how the engine runs it; seed, revision, data set, and the trained weights that it began with
//! classes.txt             class names, one a line; after a tab, what a class is called in words
//! statistics.safetensors  mean image and colour statistics of the training images
//! checkpoints/step-…/     see `checkpoint`
//! events.jsonl  metrics.csv
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use net::Net;

use crate::{Error, Recipe, Result};

/// The mean image and the colour statistics of the training images.
pub(crate) const STATISTICS: &str = "statistics.safetensors";

/// A text file longer than this is none of ours.
const LONGEST_TEXT: u64 = 64 << 20;

/// A run's folder, locked against other processes until dropped (or until the process ends, however it does).
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: File,
}

impl RunDir {
    /// Makes the folder of a new run. The folder may exist, but holds no run yet.
    ///
    /// # Errors
    /// [`Error::InUse`] where a run is going on in it, [`Error::Occupied`] where it holds one.
    pub fn create(path: &Path) -> Result<RunDir> {
        fs::create_dir_all(path).map_err(|source| weights::Error::io("make folder", path, source))?;
        let dir = RunDir::lock(path)?;
        if ["recipe.toml", "net.toml", "checkpoints"].iter().any(|name| path.join(name).exists()) {
            return Err(Error::Occupied { path: path.into() });
        }
        // What a process killed before the run's first file may have left would be of another run.
        remove_leftovers(path)?;
        match fs::remove_file(path.join(STATISTICS)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(weights::Error::io("remove", path, source).into()),
            _ => Ok(dir),
        }
    }

    /// Takes up the folder of a run, and clears away what a killed process left half written.
    ///
    /// # Errors
    /// [`Error::NoRun`] where it holds none, [`Error::InUse`] where it is going on.
    pub fn open(path: &Path) -> Result<RunDir> {
        for missing in ["recipe.toml", "net.toml"] {
            if !path.join(missing).exists() {
                return Err(Error::NoRun { path: path.into(), missing });
            }
        }
        let dir = RunDir::lock(path)?;
        remove_leftovers(path)?;
        remove_leftovers(&dir.checkpoints())?;
        Ok(dir)
    }

    fn lock(path: &Path) -> Result<RunDir> {
        let file = path.join(".lock");
        let fault = |source| weights::Error::io("lock", &file, source);
        let lock = File::options().create(true).truncate(false).write(true).open(&file).map_err(fault)?;
        match lock.try_lock() {
            Ok(()) => Ok(RunDir { path: path.into(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.into() }),
            Err(TryLockError::Error(source)) => Err(fault(source).into()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the checkpoints; it exists once there is one.
    pub fn checkpoints(&self) -> PathBuf {
        checkpoints(&self.path)
    }

    /// Writes a text file of the run, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        Ok(weights::replace(&self.path.join(name), |writer| writer.write_all(text.as_bytes()))?)
    }
}

/// The folder of a run's checkpoints.
pub fn checkpoints(run: &Path) -> PathBuf {
    run.join("checkpoints")
}

/// The net of a run.
///
/// # Errors
/// Where there is none, or it does not read as one.
pub fn read_net(run: &Path) -> Result<Net> {
    let (path, text) = read_text(run, "net.toml")?;
    Net::from_toml(&text).map_err(|error| Error::File { path, message: error.to_string() })
}

/// The recipe of a run.
///
/// # Errors
/// Where there is none, or it does not read as one.
pub fn read_recipe(run: &Path) -> Result<Recipe> {
    let (path, text) = read_text(run, "recipe.toml")?;
    Recipe::from_toml(&text).map_err(|error| Error::File { path, message: error.to_string() })
}

fn read_text(run: &Path, name: &'static str) -> Result<(PathBuf, String)> {
    let path = run.join(name);
    if !path.exists() {
        return Err(Error::NoRun { path: run.into(), missing: name });
    }
    let text = read_limited(&path).map_err(|message| Error::File { path: path.clone(), message })?;
    Ok((path, text))
}

/// The text of a file of sensible length, or what is wrong with it.
pub(crate) fn read_limited(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LONGEST_TEXT + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > LONGEST_TEXT {
        return Err(format!("it is longer than {LONGEST_TEXT} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not text".into())
}

/// Removes what begins with a dot and ends in `.tmp` or `.old`: files and checkpoints that were never finished, or were
/// being removed.
fn remove_leftovers(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if name.starts_with('.') && (name.ends_with(".tmp") || name.ends_with(".old")) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(|source| weights::Error::io("remove", &path, source))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_one_run_and_one_process() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("a/run");
        assert!(matches!(RunDir::open(&path), Err(Error::NoRun { .. })));
        let dir = RunDir::create(&path).unwrap();
        assert!(matches!(RunDir::create(&path), Err(Error::InUse { .. })));
        dir.write("net.toml", "x").unwrap();
        dir.write("recipe.toml", "x").unwrap();
        assert!(matches!(RunDir::open(&path), Err(Error::InUse { .. })));
        drop(dir);
        assert!(matches!(RunDir::create(&path), Err(Error::Occupied { .. })));
        fs::write(path.join(".net.toml.77.tmp"), "half").unwrap();
        fs::create_dir_all(path.join("checkpoints/.step-00000003.77.tmp")).unwrap();
        let dir = RunDir::open(&path).unwrap();
        assert!(!path.join(".net.toml.77.tmp").exists());
        assert!(!path.join("checkpoints/.step-00000003.77.tmp").exists());
        assert!(matches!(RunDir::open(&path), Err(Error::InUse { .. })));
        drop(dir);
        let message = read_net(&path).unwrap_err().to_string();
        assert!(message.contains("net.toml`: line 1, column "), "{message}");
    }
}
