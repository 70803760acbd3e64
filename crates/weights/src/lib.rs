//! Parameters in files: one format a module, and files that are either whole or not there.
//!
//! A hostile file yields an error, never a panic or an allocation beyond the file's own size.

pub mod caffemodel;
pub mod cuda_convnet;
mod digest;
mod error;
pub mod features;
mod file;
mod floats;
mod foreign;
mod map;
#[cfg(test)]
mod mutated;
pub mod npy;
pub mod onnx;
pub mod pickle;
pub mod protobuf;
pub mod safetensors;
pub mod torch;
pub mod zip;

pub use digest::{DigestWriter, digest};
pub use error::Error;
pub use file::{Beside, create, replace, sync_folder};
pub use foreign::{Foreign, shown};
pub use map::Mapped;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
