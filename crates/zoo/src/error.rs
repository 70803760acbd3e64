//! What can go wrong between a file and a net.

use std::path::PathBuf;

/// A file that holds no net that is known, or options that contradict it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is of none of the known formats.
    #[error("`{}` is of no known format: {message}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What it seems to be.
        message: String,
    },
    /// The file reads, but what it holds is no net that can be run.
    #[error("`{}` holds no AlexNet that is known: {message}", path.display())]
    UnknownNet {
        /// The file.
        path: PathBuf,
        /// What stands in the way; further lines list tensors.
        message: String,
    },
    /// Several nets have parameters of these shapes, and nothing in the file says which it is.
    #[error("`{}` could be {candidates}: nothing in it says which", path.display())]
    Ambiguous {
        /// The file.
        path: PathBuf,
        /// Names of presets, joined by `or`.
        candidates: String,
    },
    /// What was said about a file does not fit it.
    #[error("{option}: {message}")]
    Given {
        /// The option, such as `--classes`.
        option: &'static str,
        /// What does not fit.
        message: String,
    },
    /// The target format cannot express the net.
    #[error("{format} cannot hold this net: {message}")]
    Inexpressible {
        /// The format's name.
        format: &'static str,
        /// Which layer, and why.
        message: String,
    },
    /// A run that has no checkpoint yet.
    #[error("`{}` has no checkpoint yet", path.display())]
    NoCheckpoint {
        /// The run's directory.
        path: PathBuf,
    },
    /// A fault of the net or its parameters.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// A fault of the preprocessing.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// A fault of a file.
    #[error(transparent)]
    Weights(#[from] weights::Error),
    /// A fault of a checkpoint.
    #[error(transparent)]
    Train(#[from] train::Error),
}
