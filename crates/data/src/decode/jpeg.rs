//! JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK.
//!
//! Values differ from libjpeg-turbo's by the rounding of the inverse transform and of chroma interpolation: by at most 2 in
//! all but about one of ten thousand values of real photographs.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::exif::Orientation;
use super::{Fault, check_size};
use crate::Image;

const FORMAT: &str = "JPEG";

/// A flat block of 8 × 8 takes two bits in a baseline scan and one in a progressive one: 512 pixels a byte.
const PIXELS_PER_BYTE: usize = 1024;

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    if !is_ended(bytes) {
        return Err(Fault::damaged(FORMAT, "the file breaks off: it has no end-of-image marker"));
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(u16::MAX.into())
        .set_max_height(u16::MAX.into())
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| Fault::damaged(FORMAT, e))?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let mut rgb = vec![0; 3 * width * height];
    decoder.decode_into(&mut rgb).map_err(|e| Fault::damaged(FORMAT, e))?;
    let orientation = decoder.exif().map_or(Orientation::UPRIGHT, |exif| Orientation::parse(exif));
    Ok((Image { width, height, rgb }, orientation))
}

/// Whether the first picture's end-of-image marker is there: the decoder alone does not notice that the last row of blocks
/// is missing. Pictures inside of segments (thumbnails) do not count.
fn is_ended(bytes: &[u8]) -> bool {
    const RESTART: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
    let mut rest = &bytes[2..];
    // The next marker; behind one, what a segment's length says is skipped, and then whatever is no marker.
    while let Some(at) = rest.iter().position(|&b| b == 0xff) {
        let Some(&code) = rest.get(at + 1) else { return false };
        match code {
            0xd9 => return true,
            0xff => rest = &rest[at + 1..],
            // A stuffed 0xff, and markers that stand alone.
            0x00 | 0x01 | 0xd8 => rest = &rest[at + 2..],
            _ if RESTART.contains(&code) => rest = &rest[at + 2..],
            _ => {
                let Some(&[high, low]) = rest.get(at + 2..at + 4) else { return false };
                let length = usize::from(u16::from_be_bytes([high, low]));
                let Some(behind) = rest.get(at + 2 + length..) else { return false };
                rest = behind;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_ended;

    #[test]
    fn an_end_inside_of_a_segment_is_none() {
        let head = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        assert!(!is_ended(&head));
        let scan = [&head[..], &[0xff, 0xda, 0, 2, 5, 0xff, 0, 7, 0xff, 0xd3, 8]].concat();
        assert!(!is_ended(&scan));
        assert!(is_ended(&[&scan[..], &[0xff, 0xff, 0xd9]].concat()));
        for end in 2..scan.len() {
            assert!(!is_ended(&scan[..end]));
        }
    }
}
