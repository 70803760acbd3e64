//! What an AlexNet is, and the contract of whoever runs one.
//!
//! A [`Net`] is a checked list of layers: shapes, parameter table and initialisation follow from it. Engines implement
//! [`Executor`]; they agree with `reference`, which is the only meaning of a layer. There are no kernels, files or
//! threads in here.
//!
//! Letters: an input is `[n, c, h, w]`, an output `[n, k, p, q]`, a kernel window `r × s`, and there are `g` groups.

mod batch;
mod error;
mod executor;
mod layer;
pub mod lifetimes;
mod net;
mod params;
mod pixels;
mod presets;
pub mod random;
mod shape;
mod table;
mod text;
mod variant;

pub use batch::{Batch, Mixed, Target, Targets};
pub use error::Error;
pub use executor::{Bucket, BucketValues, Executor, Form, Hyper, Kind, Mode, ParamHyper, Precision, StepInfo, StepLoss};
pub use layer::{
    AvgPool, Conv, Dropout, DropoutScaling, Init, Layer, Learn, Linear, Local, LrnAcross, LrnWithin, MaxPool, Op, Padding, Pair,
    Rounding, Ties,
};
pub use net::Net;
pub use params::{ParamInfo, ParamSet, Role, SharedTensor, Tensor, check_shared, initialise};
pub use pixels::{Bytes, Look, Pixels, Toning};
pub use presets::{PRESETS, Preset};
pub use shape::{Shape, window};
pub use text::text_position;
pub use variant::{Variant, differences, learning_differences};

/// The result of everything in this crate and of every [`Executor`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
