//! Parameters in files: one format a module, and files that are either whole or not there.
//!
//! A hostile file yields an error, never a panic or an allocation beyond the file's own size.

mod digest;
mod error;
pub mod features;
mod file;
mod map;
pub mod safetensors;

pub use digest::{DigestWriter, digest};
pub use error::Error;
pub use file::{Beside, create, replace, sync_folder};
pub use map::Mapped;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
