//! From a layer's numbers to launches of kernels.

mod products;
#[cfg(test)]
mod products_tests;

pub(crate) use products::{Operands, Product};

/// Values of partial sums of a bias's gradient.
pub(crate) fn bias_partials(capacity: usize, output: net::Shape) -> usize {
    (capacity * output.plane()).div_ceil(256) * output.c
}
