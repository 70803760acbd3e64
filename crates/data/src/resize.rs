//! Antialiased resizing as Pillow does it.

use serde::{Deserialize, Serialize};

/// A resampling filter; stretched by the scale where an image shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// The mean over the pixel's area.
    Box,
    /// A triangle of radius 1.
    #[default]
    Bilinear,
    /// Keys' cubic with a = −½, radius 2.
    Bicubic,
    /// A windowed sinc of radius 3.
    Lanczos,
}

/// Resizes images, keeping its memory from one to the next.
#[derive(Debug, Default)]
pub struct Resizer {}
