//! PNG: every colour type and depth.

use std::io::Cursor;

use png::{ColorType, Decoder, Transformations};

use super::exif::Orientation;
use super::{Fault, check_size, drop_fourth, grey_to_rgb};
use crate::Image;

const FORMAT: &str = "PNG";

/// Deflate reaches 1032 bytes a byte, and a byte may hold eight pixels.
const PIXELS_PER_BYTE: usize = 8 * 1032;

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    let mut decoder = Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::EXPAND | Transformations::STRIP_16);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let header = decoder.read_header_info().map_err(|e| Fault::damaged(FORMAT, e))?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let mut reader = decoder.read_info().map_err(|e| Fault::damaged(FORMAT, e))?;
    let size = reader.output_buffer_size().ok_or_else(|| Fault::damaged(FORMAT, "the size overflows"))?;
    let mut pixels = vec![0; size];
    let frame = reader.next_frame(&mut pixels).map_err(|e| Fault::damaged(FORMAT, e))?;
    if (frame.width as usize, frame.height as usize) != (width, height) {
        return Err(Fault::damaged(FORMAT, "the first frame does not cover the picture"));
    }
    pixels.truncate(frame.buffer_size());
    let rgb = match frame.color_type {
        ColorType::Rgb => pixels,
        ColorType::Rgba => drop_fourth(pixels),
        ColorType::Grayscale => grey_to_rgb(pixels.iter().copied()),
        ColorType::GrayscaleAlpha => grey_to_rgb(pixels.chunks_exact(2).map(|p| p[0])),
        ColorType::Indexed => return Err(Fault::damaged(FORMAT, "there is no palette")),
    };
    let exif = reader.info().exif_metadata.as_deref();
    Ok((Image { width, height, rgb }, exif.map_or(Orientation::UPRIGHT, Orientation::parse)))
}
