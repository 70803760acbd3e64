//! A file's bytes to RGB, as Pillow's `Image.open(f).convert("RGB")` shows them.
//!
//! The format is known by content. Alpha is dropped, not blended; CMYK and YCCK are taken as Adobe writes them, inverted;
//! 16-bit values keep their high byte. That is Pillow's behaviour for everything except 16-bit grey, which Pillow clips at
//! 255 instead, and so turns almost all of it white.
//!
//! A header is believed only as far as the file can hold what it claims, and a file that breaks off is an error, not half
//! a picture.

mod bmp;
mod exif;
mod jpeg;
mod png;
pub(crate) mod probe;
mod webp;

use ::jpeg::Scale;

use exif::Orientation;

use crate::{Content, Image, Part, Region, Result};

/// What is wrong with the bytes of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The content is of no known format.
    #[error("not an image: expected JPEG, PNG, WebP or BMP, found {found}")]
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
    /// The content breaks off, is damaged, or uses what is not supported.
    #[error("{format}: {message}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder says.
        message: String,
    },
    /// The image is whole, but not of the size that is asked for.
    #[error("{width} × {height} pixels where `fit = as_is` asks for {side} × {side}")]
    Size {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// The side asked for.
        side: usize,
    },
}

impl Fault {
    fn damaged(format: &'static str, message: impl std::fmt::Display) -> Fault {
        Fault::Damaged { format, message: message.to_string() }
    }
}

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// JPEG, whatever its coding.
    Jpeg,
    /// PNG.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
}

/// How many leading bytes [`Format::sniff`] looks at.
pub(crate) const SNIFFED_BYTES: usize = 18;

impl Format {
    /// `JPEG`, `PNG`, `WebP`, `BMP`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
        }
    }

    /// The format whose signature `bytes` begins with.
    pub(crate) fn sniff(bytes: &[u8]) -> Option<Format> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            Some(Format::Jpeg)
        } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(Format::Png)
        } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            Some(Format::WebP)
        } else if bytes.starts_with(b"BM") && bytes.get(14..18).is_some_and(bmp::is_header_size) {
            Some(Format::Bmp)
        } else {
            None
        }
    }
}

/// The most pixels of one image.
const MOST_PIXELS: usize = 1 << 28;

/// Images up to this size are decoded without asking whether the file can hold them.
const SMALL_PIXELS: usize = 1 << 20;

/// Checks a claimed size before anything of that size is allocated. `pixels_per_byte` is more than the format's best
/// compression reaches on anything but an empty canvas.
fn check_size(format: &'static str, width: usize, height: usize, file_bytes: usize, pixels_per_byte: usize) -> Result<(), Fault> {
    let fault = |limit| Err(Fault::TooLarge { format, width, height, limit });
    match width.checked_mul(height) {
        Some(0) => fault("which is none".into()),
        Some(pixels) if pixels <= MOST_PIXELS => {
            if pixels > SMALL_PIXELS && pixels / pixels_per_byte > file_bytes {
                return fault(format!("the file's {file_bytes} bytes cannot hold them"));
            }
            Ok(())
        }
        _ => fault(format!("above the limit of {MOST_PIXELS}")),
    }
}

/// Decodes an image, its format known by content. `exif` applies the orientation that the file states.
///
/// # Errors
/// Where the bytes are not a whole image of a known format. No content panics, or allocates much more than it needs.
pub fn decode(bytes: &[u8], exif: bool) -> Result<Image, Fault> {
    let Some(format) = Format::sniff(bytes) else {
        return Err(Fault::NotAnImage { found: describe(bytes) });
    };
    let decoder = match format {
        Format::Jpeg => jpeg::decode,
        Format::Png => png::decode,
        Format::WebP => webp::decode,
        Format::Bmp => bmp::decode,
    };
    let (image, orientation) = caught(|| decoder(bytes))?;
    Ok(if exif { exif::orient(image, orientation) } else { image })
}

/// Pixels of each side that a photo keeps for each that is wanted, when it is decoded at less than its size: what filters make
/// of it then differs from what they make of all its pixels by less than a level on average (`docs/loader.md`).
const ENOUGH: usize = 3;

/// No thread keeps the memory of pictures above this size once they are done with.
const KEPT_PIXELS: usize = 1 << 24;

/// Decodes image after image, and of each no more than is asked for; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    open: Opened,
    /// What was decoded of the image that is open.
    rgb: Vec<u8>,
}

/// The image that is open.
#[derive(Debug, Default)]
enum Opened {
    /// Pixels that need no decoding stay where they are.
    #[default]
    Pixels,
    /// All of it is decoded, with this size.
    Whole { width: usize, height: usize },
    /// Only the header is read.
    Jpeg { header: jpeg::Opened, scale: Scale },
}

impl Decoder {
    /// Opens an image: its width and height, upright.
    ///
    /// # Errors
    /// Where it is seen already that the content is no whole image of a known format.
    pub(crate) fn open(&mut self, content: Content<'_>) -> Result<(usize, usize), Fault> {
        if self.rgb.capacity() > 3 * KEPT_PIXELS {
            self.rgb = Vec::new();
        }
        let (bytes, exif) = match content {
            Content::Pixels { width, height, .. } => {
                self.open = Opened::Pixels;
                return Ok((width, height));
            }
            Content::Encoded { bytes, exif } => (bytes, exif),
        };
        if Format::sniff(bytes) == Some(Format::Jpeg) {
            let header = caught(|| jpeg::open(bytes))?;
            if !exif || header.orientation == Orientation::UPRIGHT {
                let size = Scale::Full.size(header.width, header.height);
                self.open = Opened::Jpeg { header, scale: Scale::Full };
                return Ok(size);
            }
        }
        let Image { width, height, rgb } = decode(bytes, exif)?;
        self.rgb = rgb;
        self.open = Opened::Whole { width, height };
        Ok((width, height))
    }

    /// Says that the whole of the image that is open is going to be `width × height`. Returns the size to resize it from,
    /// which is smaller than its own where it can be decoded at a half, a quarter or an eighth of that and is still more than
    /// large enough.
    pub(crate) fn shrink(&mut self, size: (usize, usize), width: usize, height: usize) -> (usize, usize) {
        let Opened::Jpeg { header, scale } = &mut self.open else { return size };
        let fits = |scale: &Scale| {
            let (w, h) = scale.size(header.width, header.height);
            w >= ENOUGH * width && h >= ENOUGH * height
        };
        *scale = Scale::ALL.into_iter().rev().find(fits).unwrap_or(Scale::Full);
        scale.size(header.width, header.height)
    }

    /// At least the rectangle `region` of the image that was opened, which is `content`, in pixels of the size that it is
    /// resized from.
    ///
    /// # Errors
    /// Where the content is no whole image.
    pub(crate) fn part<'a>(&'a mut self, content: Content<'a>, region: Region) -> Result<Part<'a>, Fault> {
        let whole = |width, height, rgb| Part { width, height, region: Region::whole(width, height), rgb };
        match (content, &self.open) {
            (Content::Pixels { width, height, rgb }, _) => Ok(whole(width, height, rgb)),
            (Content::Encoded { bytes, .. }, Opened::Jpeg { header, scale }) => {
                let (width, height) = scale.size(header.width, header.height);
                let Region { x, y, width: w, height: h } = region;
                let wanted = ::jpeg::Region { x, y, width: w, height: h };
                let rgb = &mut self.rgb;
                caught(|| jpeg::part(bytes, header, *scale, wanted, rgb))?;
                Ok(Part { width, height, region, rgb })
            }
            (Content::Encoded { .. }, Opened::Whole { width, height }) => Ok(whole(*width, *height, &self.rgb)),
            (Content::Encoded { .. }, Opened::Pixels) => unreachable!("another image is open"),
        }
    }
}

/// The decoders' authors promise not to panic; one hostile file must not end a run of days if one does.
fn caught<T>(decode: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(Fault::Damaged { format: "image", message: "the decoder failed".into() }))
}

/// What bytes that are no image look like.
fn describe(bytes: &[u8]) -> String {
    const NAMED: [(&[u8], &str); 7] = [
        (b"GIF8", "GIF"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"%PDF", "PDF"),
        (b"\x1f\x8b", "gzip"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\0\0\0\x0cJXL ", "JPEG XL"),
    ];
    if bytes.is_empty() {
        return "an empty file".into();
    }
    if let Some((_, name)) = NAMED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*name).into();
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return "HEIF, AVIF or a film".into();
    }
    let head = &bytes[..bytes.len().min(512)];
    let is_text = head.iter().all(|&b| b >= 0x20 && b != 0x7f || b"\t\r\n".contains(&b));
    if is_text { "text".into() } else { format!("{} bytes that begin with {:02x?}", bytes.len(), &head[..head.len().min(4)]) }
}

/// Grey values as RGB.
fn grey_to_rgb(grey: impl ExactSizeIterator<Item = u8>) -> Vec<u8> {
    let mut rgb = Vec::with_capacity(3 * grey.len());
    rgb.extend(grey.flat_map(|v| [v; 3]));
    rgb
}

/// Drops the fourth of every four values, in place.
fn drop_fourth(mut rgba: Vec<u8>) -> Vec<u8> {
    let pixels = rgba.len() / 4;
    for i in 1..pixels {
        rgba.copy_within(4 * i..4 * i + 3, 3 * i);
    }
    rgba.truncate(3 * pixels);
    rgba
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_said_to_be_what_it_looks_like() {
        let found = |bytes: &[u8]| match decode(bytes, true) {
            Err(Fault::NotAnImage { found }) => found,
            other => panic!("{other:?}"),
        };
        assert_eq!(found(b""), "an empty file");
        assert_eq!(found("Grüße, this is a text\n".as_bytes()), "text");
        assert_eq!(found(b"GIF89a..."), "GIF");
        assert_eq!(found(&[0, 1, 2]), "3 bytes that begin with [00, 01, 02]");
        assert_eq!(found(b"BM looks like a bitmap, is none"), "text");
    }

    #[test]
    fn a_size_beyond_the_limit_or_the_file_is_refused() {
        assert!(check_size("t", 1, 1, 0, 1).is_ok());
        assert!(check_size("t", 0, 5, 100, 1).is_err());
        assert!(check_size("t", usize::MAX, 3, usize::MAX, 1).is_err());
        assert!(check_size("t", 1 << 14, (1 << 14) + 1, usize::MAX, 1).is_err());
        assert!(check_size("t", 1 << 14, 1 << 14, 1 << 20, 256).is_ok());
        assert!(check_size("t", 1 << 14, 1 << 14, (1 << 20) - 1, 256).is_err());
    }

    #[test]
    fn dropping_the_fourth_keeps_three() {
        assert_eq!(drop_fourth(vec![1, 2, 3, 9, 4, 5, 6, 9, 7, 8, 9, 9]), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert!(drop_fourth(vec![]).is_empty());
    }
}
