//! What can go wrong with a file of parameters.

use std::io;
use std::path::{Path, PathBuf};

/// A file that cannot be read or written, or that does not hold what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room left. What was at `path` before is still there.
    #[error("the disk is full: `{}` could not be written, and what was there before is untouched", path.display())]
    DiskFull {
        /// The file that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is not what its format says.
    #[error("`{}` is not a usable {format} file: {message}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// `safetensors`, …
        format: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A value that the precision asked for does not reach.
    #[error("`{}`: {value} in the row of `{name}` is beyond 65504, the largest half-precision number", path.display())]
    TooLarge {
        /// The file that was to be written.
        path: PathBuf,
        /// The row.
        name: String,
        /// The value.
        value: f32,
    },
}

impl Error {
    /// The error of `action` on `path`.
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::DiskFull { path, source },
            _ => Error::Io { action, path, source },
        }
    }
}
