//! cuda-convnet's checkpoints as nets of ours.
//!
//! A checkpoint has a layer for each processor that a layer was spread over: the net of 2012 is two towers that read each
//! other's maps in the third and in the fully-connected layers. Here such layers are one ([`towers`]), so that the two
//! towers' convolutions are groups and their normalisation keeps to its tower.

mod towers;

use std::sync::Arc;

use data::LabelOrder;
use weights::cuda_convnet::Checkpoint;
use weights::{Mapped, cuda_convnet};

use crate::foreign::Foreign;
use crate::{Error, Given, Result, identify, model};

/// The format's name.
const FORMAT: &str = "cuda-convnet";

/// Reads a checkpoint as a net.
///
/// # Errors
/// Where the file is damaged, or its layers do what no net of ours does; names the layer.
pub(crate) fn read(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let unknown = |message: String| Error::UnknownNet { path: file.path().into(), message };
    let checkpoint = cuda_convnet::read(file)?;
    let merged = towers::merge(&checkpoint.layers).map_err(unknown)?;
    let net = identify::by_ops(merged.input, merged.ops(), given.net.as_deref())?;
    if let Some(named) = given.net.as_deref().filter(|named| *named != net.name()) {
        // Says so where there is no such preset at all.
        net::Net::preset(named)?;
        let message = format!("`{}` has the layers of `{}`, not of `{named}`", file.path().display(), net.name());
        return Err(Error::Given { option: "--preset", message });
    }
    // Ops with parameters are the same in the same order, whichever net it is.
    let names = net.params().iter().map(|param| (param.name.clone(), param.shape.clone()));
    let weights = names.zip(merged.params().map_err(unknown)?);
    let weights = weights.map(|((name, shape), values)| (name, model::tensor(shape, values))).collect();
    Ok(Foreign {
        format: FORMAT,
        net,
        weights,
        card: None,
        preprocessing: None,
        statistics: None,
        order: LabelOrder::Devkit,
        classes: Vec::new(),
        notes: notes(&checkpoint, merged.most_towers()),
    })
}

/// When the checkpoint was saved, what it was tested with, and that it had towers.
fn notes(checkpoint: &Checkpoint, towers: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if let (Some(epoch), Some(batch)) = (checkpoint.epoch, checkpoint.batch) {
        let tested = checkpoint.tests.last().map(|test| {
            let costs = test.costs.iter().map(|(name, values)| {
                let values: Vec<_> = values.iter().map(|value| format!("{value:.4}")).collect();
                format!("{name} {}", values.join(", "))
            });
            format!("; its last test gave {}", costs.collect::<Vec<_>>().join("; "))
        });
        notes.push(format!("it was saved in epoch {epoch} after batch {batch}{}", tested.unwrap_or_default()));
    }
    if towers > 1 {
        notes.push(format!("its {towers} towers are one here, whose convolutions are in groups where towers do not meet"));
    }
    notes
}
