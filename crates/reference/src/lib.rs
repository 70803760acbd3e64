//! The oracle: every layer in f64, forward and backward, as the formula reads.
//!
//! One file a layer, plain loops over one image. [`layer`] runs any layer of a net on a batch; [`Reference`] runs whole
//! nets behind [`net::Executor`] and lets its f64 values be seen. Slow on purpose: what an engine computes is right when
//! it is what this crate computes, up to rounding. Buffers are flat, row-major, in the layouts of [`net`].

pub mod avg_pool;
pub mod conv;
pub mod dropout;
mod executor;
pub mod layer;
pub mod linear;
pub mod local;
pub mod lrn;
pub mod lrn_within;
pub mod max_pool;
pub mod relu;
pub mod softmax;
pub mod tanh;
pub mod update;
mod window;

pub use executor::{Reference, check_batch, prepare};
pub use layer::Pass;
