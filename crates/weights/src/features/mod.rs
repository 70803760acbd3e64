//! Tables of features: a row of values for each image, and the images' names; written row by row, read where they lie.
//!
//! In the safetensors format the file has three tensors in this order: `features` (`[n, …]`, f32 or f16), `names` (bytes, the
//! names in UTF-8 end to end, then zeros up to a multiple of eight), `name_ends` (`[n]`, i64: where each name ends). Room is left
//! for the longest header, so that rows can be written before they have been counted; the rows begin at a multiple of 64 bytes.
//! NumPy's format has the rows alone; the names stand in a text file beside it, a line each.

mod half;
mod table;
#[cfg(test)]
mod tests;
mod writer;

pub use table::Table;
pub use writer::{Format, Writer};

/// How values are kept, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Four bytes each.
    F32,
    /// Two bytes each, IEEE 754 binary16.
    F16,
}

impl Values {
    /// Bytes of a value: 4 or 2.
    pub fn bytes(self) -> usize {
        match self {
            Values::F32 => 4,
            Values::F16 => 2,
        }
    }
}

/// The tensor of rows.
const FEATURES: &str = "features";
/// The tensor of the names' bytes.
const NAMES: &str = "names";
/// The tensor of the names' ends.
const NAME_ENDS: &str = "name_ends";
