//! Trained nets in every form they come in.
//!
//! [`open`] takes a run, a checkpoint or a file of any known format, says which AlexNet it holds and how that wants its
//! images, and gives a [`Model`]: a net, its weights under our names, preprocessing, classes, and a [`Card`] that says where
//! it is from. [`write_safetensors`], [`write_torch`], [`write_onnx`] and [`write_caffe`] are the ways back. `weights` reads the
//! formats and knows no networks; what their contents mean is known here.

mod caffe;
mod card;
mod classes;
mod cuda_convnet;
mod error;
mod foreign;
mod given;
mod identify;
mod mean;
mod model;
mod native;
mod onnx;
mod pictures;
mod state_dict;
mod write;

pub use caffe::write_caffe;
pub use card::{Card, Origin, Trained};
pub use error::Error;
pub use given::Given;
pub use model::Model;
pub use native::{is_checkpoint, is_run, saved};
pub use onnx::{OnnxOptions, write_onnx};
pub use pictures::Pictures;
pub use write::{Names, write_safetensors, write_torch};

use std::fs;
use std::path::Path;

use train::checkpoint::Checks;
use weights::Mapped;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The model at `path`: the best checkpoint of a run, a checkpoint, the weights file in one, a file of a known format, or the
/// newest checkpoint in a folder of cuda-convnet's.
///
/// # Errors
/// Where there is nothing that can be read, or it holds no AlexNet that is known; says what was found instead.
pub fn open(path: &Path, given: &Given, checks: Checks) -> Result<Model> {
    fs::metadata(path).map_err(|source| weights::Error::io("read", path, source))?;
    if let Some(saved) = native::saved(path, checks)? {
        given.refuse_for_checkpoints(path)?;
        return Model::of_checkpoint(saved);
    }
    let newest = if path.is_dir() { weights::cuda_convnet::newest(path)? } else { None };
    if path.is_dir() && newest.is_none() {
        // Says which file of a run is missing.
        train::read_net(path)?;
    }
    let file = std::sync::Arc::new(Mapped::open(newest.as_deref().unwrap_or(path))?);
    foreign::read(&file, given)?.into_model(&file, given)
}
