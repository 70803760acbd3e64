//! `--weights RUN|CHECKPOINT|FILE`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cpu::Cpu;
use data::{Pipeline, Views};
use net::{Mode, SharedTensor};
use train::checkpoint::{self, Checks, Saved};

use crate::engine::Engine;
use crate::failure::{Context, Failure, Result};

/// Which weights.
#[derive(Args)]
pub(crate) struct Weights {
    /// A run directory (its best checkpoint is used), a checkpoint, or the weights file in one
    #[arg(long, value_name = "RUN|CHECKPOINT|FILE")]
    pub(crate) weights: PathBuf,
}

/// Everything that a checkpoint brings, ready to classify.
pub(crate) struct Loaded {
    pub(crate) saved: Saved,
    pub(crate) executor: Cpu,
    pub(crate) pipeline: Arc<Pipeline>,
}

impl Weights {
    /// Reads and checks the checkpoint, and prepares its net for batches of `batch` images.
    pub(crate) fn load(&self, engine: &Engine, batch: usize, checks: Checks) -> Result<Loaded> {
        let (saved, weights) = open(&self.weights, checks)?;
        let net = saved.net()?;
        let pipeline = Pipeline::new(saved.manifest().preprocessing.clone(), saved.statistics()?, net.input())?;
        let mut executor = engine.prepare(&net, batch, Mode::Infer)?;
        executor.load_shared(&weights).context(|| saved.path().display().to_string())?;
        Ok(Loaded { saved, executor, pipeline: Arc::new(pipeline) })
    }
}

/// The checkpoint that `path` means, and its weights.
pub(crate) fn open(path: &Path, checks: Checks) -> Result<(Saved, Vec<(String, SharedTensor)>)> {
    fs::metadata(path).context(|| path.display().to_string())?;
    if is_checkpoint(path) {
        return Ok(checkpoint::read_shared(path, checks)?);
    }
    if let Some(folder) = path.parent().filter(|folder| path.is_file() && is_checkpoint(folder)) {
        return Ok(checkpoint::read_shared(folder, checks)?);
    }
    if path.is_file() {
        let message = format!("{} lies in no checkpoint, so its net, classes and preprocessing are unknown", path.display());
        return Err(Failure::failed(message, "give a run directory, a checkpoint directory, or the weights file inside one"));
    }
    // Says which file is missing where this is no run.
    train::read_net(path)?;
    checkpoint::best(&train::checkpoints(path), checks)?.ok_or_else(|| {
        let hint = format!("let it train for longer: `alexnet train --resume {}`", path.display());
        Failure::failed(format!("{} has no checkpoint yet", path.display()), hint)
    })
}

/// Whether `path` is a run directory, a checkpoint, or a file in one.
pub(crate) fn is_one(path: &Path) -> bool {
    is_checkpoint(path)
        || path.parent().is_some_and(|folder| path.is_file() && is_checkpoint(folder))
        || path.join("net.toml").is_file()
}

fn is_checkpoint(path: &Path) -> bool {
    path.join("manifest.json").is_file()
}

/// `--views 1|10`
pub(crate) fn views(text: &str) -> Result<Views, String> {
    match text {
        "1" => Ok(Views::Centre),
        "10" => Ok(Views::Ten),
        _ => Err("an image has 1 view, its centre, or 10: the corners and the centre, and their reflections".into()),
    }
}
