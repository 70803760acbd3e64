//! The emulated device itself: that right kernels are right on it, and that wrong ones are found out.

mod driver;
mod faults;
mod numbers;
mod product;
mod reduce;
mod warp;

use super::*;
use crate::args::Struct;

/// A source: what kernels include, the structures that they are called with, and the text.
fn source(structures: &[fn() -> String], macros: &str, text: &str) -> String {
    let structures: String = structures.iter().map(|write| write()).collect();
    format!("#include \"device.cuh\"\n{macros}\n{structures}\n#line 1\n{text}")
}
