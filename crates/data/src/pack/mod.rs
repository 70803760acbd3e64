//! Packs: a data set in few large files, its images resized once, to be read without a copy.
//!
//! [`prepare`] makes one, [`crate::open`] reads it, [`verify`] looks at its every byte. `docs/pack.md` has the format.

mod format;
mod in_order;
mod manifest;
mod prepare;
mod reader;
mod record;
mod settings;
mod verify;
mod writer;

pub use manifest::{Manifest, Measured, Omitted, Part, ShardEntry};
pub use prepare::{Job, Prepared, Progress, prepare};
pub use settings::{Chroma, Encoding, Origin, Settings, Store};
pub use verify::{Damage, Verified, verify};

pub(crate) use manifest::{BEGUN, MANIFEST};
pub(crate) use reader::open;
