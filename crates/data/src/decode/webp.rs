//! WebP: lossy and lossless; of an animation, the first frame.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::exif::Orientation;
use super::{Fault, check_size, drop_fourth};
use crate::Image;

const FORMAT: &str = "WebP";

/// Lossless WebP can describe a flat canvas in no bits at all; this is beyond any photograph.
const PIXELS_PER_BYTE: usize = 1 << 14;

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    let claimed = bytes.get(4..8).and_then(|b| Some(u32::from_le_bytes(b.try_into().ok()?)));
    if claimed.is_none_or(|size| size as usize + 8 > bytes.len()) {
        return Err(Fault::damaged(FORMAT, "the file breaks off"));
    }
    check_frames(bytes)?;
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|e| Fault::damaged(FORMAT, e))?;
    decoder.set_memory_limit(bytes.len());
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let alpha = decoder.has_alpha();
    let mut pixels = vec![0; (if alpha { 4 } else { 3 }) * width * height];
    decoder.read_image(&mut pixels).map_err(|e| Fault::damaged(FORMAT, e))?;
    let rgb = if alpha { drop_fourth(pixels) } else { pixels };
    let exif = decoder.exif_metadata().ok().flatten();
    Ok((Image { width, height, rgb }, exif.map_or(Orientation::UPRIGHT, |exif| Orientation::parse(&exif))))
}

/// Checks the sizes that the frames claim for themselves, which may differ from the container's.
fn check_frames(bytes: &[u8]) -> Result<(), Fault> {
    let mut at = 12;
    while let Some(header) = bytes.get(at..at + 8) {
        let length = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let payload = &bytes[at + 8..];
        match &header[..4] {
            // A frame of an animation: sixteen bytes about it, then chunks of its own.
            b"ANMF" => {
                at += 8 + 16;
                continue;
            }
            b"VP8 " => {
                if let Some(&[w0, w1, h0, h1]) = payload.get(6..10) {
                    let side = |low, high| usize::from(u16::from_le_bytes([low, high]) & 0x3fff);
                    check_size(FORMAT, side(w0, w1), side(h0, h1), bytes.len(), PIXELS_PER_BYTE)?;
                }
            }
            b"VP8L" => {
                if let Some(&[a, b, c, d]) = payload.get(1..5) {
                    let bits = u32::from_le_bytes([a, b, c, d]) as usize;
                    check_size(FORMAT, (bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1, bytes.len(), PIXELS_PER_BYTE)?;
                }
            }
            _ => {}
        }
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
        if at > bytes.len() {
            break;
        }
    }
    Ok(())
}
