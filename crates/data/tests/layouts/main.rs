//! The layouts of data sets, good and malformed.

mod cifar;
mod idx;
mod lists;
#[cfg(feature = "parquet")]
mod parquet;
mod recognition;
#[path = "../skip/mod.rs"]
mod skip;
mod support;
mod tiny_imagenet;
