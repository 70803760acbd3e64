//! Images in, batches out.
//!
//! [`open`] recognises how a data set lies on the disk, [`decode`] turns a file's bytes into RGB, [`Preprocessing`] says how an
//! image becomes the numbers that a net sees, [`Statistics`] holds what was measured on the training images, a
//! [`Pipeline`] is the three put together, and [`TrainLoader`] and [`EvalLoader`] fill a ring of batches ahead of their
//! reader. [`scenes`] is a data set that needs no files. [`check`] looks at every image and says what is wrong or unusual, and
//! a [`Quarantine`] leaves images out.
//!
//! Every random choice is a function of the seed, the epoch and the image (`net::random`), so the number of threads
//! changes nothing but the speed. Nothing here knows a network or an engine.

mod ahead;
mod archives;
pub mod augment;
mod bad;
mod cached;
pub mod check;
mod decode;
mod eigen;
mod error;
mod kernels;
mod layouts;
mod list;
mod loader;
mod mat5;
pub mod pack;
mod pipeline;
mod preprocessing;
mod quarantine;
mod resize;
pub mod scenes;
mod scratch;
mod source;
mod statistics;
mod synsets;
mod tar;
mod workers;

pub use bad::{BadImage, BadImages};
pub use cached::{Cache, cached};
pub use decode::probe::{Colour, Header, probe};
pub use decode::{Fault, Format, decode};
pub use error::Error;
pub use layouts::devkit::devkit_classes;
pub use layouts::{LabelOrder, OpenOptions, open};
pub use list::list_images;
pub use loader::{EvalLoader, Loaded, LoaderOptions, Stages, TrainLoader};
pub use pipeline::{Pipeline, Views};
pub use preprocessing::{Channels, ColourNoise, Fit, Mean, Order, Preprocessing, Std};
pub use quarantine::{Quarantine, quarantine_line};
pub use resize::{Filter, Part, Region, Resizer};
pub use source::{Content, Dataset, Image, Source, Split, fetch_file};
pub use statistics::Statistics;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
