//! A trained net with all that its use needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::Statistics;
use net::{Net, SharedTensor};
use train::checkpoint::Saved;
use weights::safetensors::SharedContents;

use crate::{Card, Result};

/// A trained net with all that its use needs.
#[derive(Debug, Clone)]
pub struct Model {
    /// The file or checkpoint that it was read from.
    pub path: PathBuf,
    /// The net.
    pub net: Net,
    /// Its parameters: the names, shapes and order of [`Net::params`].
    pub weights: Vec<(String, SharedTensor)>,
    /// The mean image and colours that its preprocessing uses.
    pub statistics: Statistics,
    /// Everything else: preprocessing, classes, where it is from, how well it does.
    pub card: Card,
    /// What its user should know about how it was read, a sentence each.
    pub notes: Vec<String>,
    /// The checkpoint that it was read from, if it was one.
    pub checkpoint: Option<Saved>,
}

impl Model {
    /// The model of a checkpoint whose files have been checked.
    pub(crate) fn of_checkpoint((saved, weights): (Saved, SharedContents)) -> Result<Model> {
        let net = saved.net()?;
        net::check_shared(&net, &weights)?;
        Ok(Model {
            path: Path::to_path_buf(saved.path()),
            card: Card::of_manifest(&net, saved.manifest()),
            net,
            weights,
            statistics: saved.statistics()?,
            notes: Vec::new(),
            checkpoint: Some(saved),
        })
    }

    /// The parameter called `name`.
    pub fn weight(&self, name: &str) -> Option<&SharedTensor> {
        self.weights.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor)
    }
}

/// A tensor for a model: `values` in the order of `shape`, the slowest axis first.
pub(crate) fn tensor(shape: Vec<usize>, values: Vec<f32>) -> SharedTensor {
    SharedTensor { shape, values: Arc::new(values) }
}
