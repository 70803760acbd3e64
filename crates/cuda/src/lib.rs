//! The GPU engine: every layer of every net on one NVIDIA GPU.
//!
//! Everything that this crate needs of CUDA is found when it is asked for: it builds, links and starts where there is none.

#![allow(dead_code, unused_imports, reason = "the executor is being built on it")]

mod args;
mod driver;
mod kernels;
