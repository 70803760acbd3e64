//! cuda-convnet's checkpoints as nets of ours.
//!
//! A checkpoint has a layer for each processor that a layer was spread over: the net of 2012 is two towers that read each
//! other's maps in the third and in the fully-connected layers. Here such layers are one ([`towers`]), so that the two
//! towers' convolutions are groups and their normalisation keeps to its tower.

mod towers;

use std::sync::Arc;

use data::{LabelOrder, Preprocessing};
use net::Net;
use weights::cuda_convnet::Checkpoint;
use weights::{Mapped, cuda_convnet};

use crate::foreign::{Foreign, usual_preprocessing};
use crate::{Error, Given, Result, identify, model};

/// The format's name.
const FORMAT: &str = "cuda-convnet";
/// The largest image of a data set of small images, in pixels along an axis; ImageNet's are cut to 224.
const LARGEST_SMALL: usize = 96;

/// Reads a checkpoint as a net.
///
/// # Errors
/// Where the file is damaged, or its layers do what no net of ours does; names the layer.
pub(crate) fn read(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    let unknown = |message: String| Error::UnknownNet { path: file.path().into(), message };
    let checkpoint = cuda_convnet::read(file)?;
    let merged = towers::merge(&checkpoint.layers).map_err(unknown)?;
    let net = identify::by_ops(merged.input, merged.ops(), given.net.as_deref())?;
    given.check_net(&net, |name| format!("`{}` has the layers of `{}`, not of `{name}`", file.path().display(), net.name()))?;
    // Ops with parameters are the same in the same order, whichever net it is.
    let names = net.params().iter().map(|param| (param.name.clone(), param.shape.clone()));
    let weights = names.zip(merged.params().map_err(unknown)?);
    let weights = weights.map(|((name, shape), values)| (name, model::tensor(shape, values))).collect();
    let preprocessing = preprocessing(&net, &checkpoint)?;
    Ok(Foreign {
        format: FORMAT,
        net,
        weights,
        card: None,
        preprocessing,
        statistics: None,
        order: LabelOrder::Devkit,
        classes: Vec::new(),
        notes: notes(&checkpoint, merged.most_towers()),
    })
}

/// How a net for small images that is no preset wants them: whole, or cut from what is larger by the border that the run's
/// options say where their data provider is one that cuts.
fn preprocessing(net: &Net, checkpoint: &Checkpoint) -> Result<Option<Preprocessing>> {
    let side = net.input().h;
    if identify::presets().any(|preset| preset.name() == net.name()) || side > LARGEST_SMALL {
        return Ok(None);
    }
    let cuts = checkpoint.options.get("dp_type").is_some_and(|provider| provider.contains("crop"));
    let border = checkpoint.options.get("crop_border").filter(|_| cuts).and_then(|border| border.parse::<usize>().ok());
    let stored = side + 2 * border.filter(|border| *border <= LARGEST_SMALL).unwrap_or(0);
    Ok(Some(Preprocessing { stored, ..usual_preprocessing(net)? }))
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

#[cfg(test)]
mod tests {
    use safetensors::SafeTensors;
    use train::checkpoint::Checks;

    use crate::{Error, Given};

    fn file(name: &str) -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cuda-convnet/case.safetensors");
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let case = SafeTensors::deserialize(&bytes).expect("a golden");
        case.tensor(&format!("file/{name}")).expect("kept").data().to_vec()
    }

    #[test]
    fn the_newest_checkpoint_of_a_folder_is_a_model() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("9.1"), b"older").unwrap();
        std::fs::write(folder.path().join("12.3"), file("towers")).unwrap();
        let model = crate::open(folder.path(), &Given::default(), Checks::All).unwrap();
        assert_eq!(model.path, folder.path().join("12.3"));
        assert_eq!((model.net.name(), model.net.classes(), model.net.input().h), ("imported", 5, 32));
        assert_eq!(model.weight("conv2.weight").unwrap().shape, [12, 4, 5, 5]);
        assert_eq!(model.card.preprocessing.stored, 32);
        for note in
            ["it was saved in epoch 12 after batch 3; its last test gave logprob 0.8750, 0.2500", "its 2 towers are one here"]
        {
            assert!(model.notes.iter().any(|said| said.contains(note)), "{note}: {:?}", model.notes);
        }
        let origin = model.card.origin.expect("said");
        assert_eq!((origin.format.as_str(), origin.file.as_str()), ("cuda-convnet", "12.3"));
    }

    #[test]
    fn what_was_said_must_fit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.1");
        std::fs::write(&path, file("cifar.zip")).unwrap();
        let given = Given { net: Some("owt".into()), ..Given::default() };
        let error = crate::open(&path, &given, Checks::All).unwrap_err();
        assert!(matches!(&error, Error::Given { option: "--preset", .. }), "{error}");
        assert!(error.to_string().contains("has the layers of `imported`, not of `owt`"), "{error}");
        std::fs::write(&path, &file("cifar-local")[..20_000]).unwrap();
        let error = crate::open(&path, &Given::default(), Checks::All).unwrap_err().to_string();
        assert!(error.contains("1.1` is not a usable cuda-convnet file: byte "), "{error}");
    }
}
