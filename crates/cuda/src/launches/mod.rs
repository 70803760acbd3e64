//! From a layer's numbers to launches of kernels.

mod products;

pub(crate) use products::{Operands, Product};
