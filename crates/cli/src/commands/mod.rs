//! The subcommands, one file each.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod data;
pub(crate) mod describe;
pub(crate) mod doctor;
pub(crate) mod evaluate;
pub(crate) mod features;
pub(crate) mod gpu_check;
pub(crate) mod plan;
pub(crate) mod predict;
pub(crate) mod recipe;
pub(crate) mod similar;
pub(crate) mod train;
