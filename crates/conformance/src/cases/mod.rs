//! The cases, by what they look at.

pub(crate) mod contract;
pub(crate) mod geometry;
pub(crate) mod nets;
pub(crate) mod ops;
pub(crate) mod training;
