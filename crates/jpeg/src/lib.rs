//! A JPEG decoder whose pixels are libjpeg-turbo's, bit for bit: whole pictures, rectangles of them, and both at a half, a
//! quarter and an eighth of the size.
//!
//! Baseline, extended sequential and progressive Huffman coding of 8 bits; grey, YCbCr, RGB, CMYK and YCCK; any sampling
//! factors that divide the largest one; restart intervals. What libjpeg-turbo does by default is done: its exact integer
//! inverse transform (`islow`, and the reduced ones for smaller scales), its "fancy" interpolation of chroma by 2, its
//! fixed-point colour conversion. Only its smoothing of progressive pictures that are not all there is not; and where
//! coefficients are larger than any encoder makes them, so that 16 bits overflow, pixels may be others.
//!
//! ```
//! # fn show(bytes: &[u8]) -> Result<(), jpeg::Error> {
//! let header = jpeg::Header::parse(bytes)?;
//! // … is that a size one wants? Then:
//! let scale = jpeg::Scale::Half;
//! let (width, height) = scale.size(header.width, header.height);
//! let mut decoder = jpeg::Decoder::default();
//! let mut rgb = Vec::new();
//! decoder.decode(bytes, scale, jpeg::Region::whole(width, height), &mut rgb)?;
//! assert_eq!(rgb.len(), 3 * width * height);
//! # Ok(())
//! # }
//! ```
//!
//! The way of the bits: `markers` cuts the file into segments and takes the stuffing out of compressed data; `sequential` or
//! `progressive` turns them into coefficients; `render` transforms a row of blocks at a time and hands the rows of samples to
//! `upsample` and `colour`. A sequential picture of one scan is never held as a whole, neither its coefficients nor its samples.

mod colour;
mod decoder;
mod error;
mod header;
mod huffman;
mod markers;
mod plan;
mod progressive;
mod render;
mod scan;
mod sequential;
mod simd;
mod tables;
mod transform;
mod upsample;

pub use decoder::Decoder;
pub use error::Error;
pub use header::{Colour, Header};
pub use plan::{Region, Scale};
