//! What the user says about a file that does not say it itself.

use std::path::{Path, PathBuf};

use net::Net;

use crate::{Error, Result};

/// What the user says about a file: everything that a foreign format leaves open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// Which preset it is, where several have parameters of the same shapes.
    pub net: Option<String>,
    /// Where its mean is: a `.binaryproto`, `.npy`, `batches.meta` or statistics file, or three numbers `R,G,B`.
    pub mean: Option<String>,
    /// Where the names of its classes are: a development kit of ILSVRC, or a list with a class a line.
    pub classes: Option<PathBuf>,
}

impl Given {
    /// A file that says which net it holds must not be called another one; `message` says what it holds beside that name.
    pub(crate) fn check_net(&self, net: &Net, message: impl FnOnce(&str) -> String) -> Result<()> {
        let Some(name) = self.net.as_deref().filter(|name| *name != net.name()) else { return Ok(()) };
        // Says so where there is no such preset at all.
        Net::preset(name)?;
        Err(Error::Given { option: "--preset", message: message(name) })
    }

    /// A checkpoint says all of this itself.
    pub(crate) fn refuse_for_checkpoints(&self, path: &Path) -> Result<()> {
        let options = [("--preset", self.net.is_some()), ("--mean", self.mean.is_some()), ("--classes", self.classes.is_some())];
        match options.into_iter().find(|(_, given)| *given) {
            Some((option, _)) => {
                Err(Error::Given { option, message: format!("`{}` is a checkpoint, which says this itself", path.display()) })
            }
            None => Ok(()),
        }
    }
}
