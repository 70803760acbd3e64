//! JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK, with libjpeg-turbo's values.

use jpeg::{Decoder, Header, Region, Scale};

use super::exif::Orientation;
use super::{Fault, check_size};
use crate::Image;

const FORMAT: &str = "JPEG";

/// A flat block of 8 × 8 takes two bits in a baseline scan and one in a progressive one: 512 pixels a byte.
const PIXELS_PER_BYTE: usize = 1024;

/// Pictures above this size get a decoder of their own, so that no thread keeps the memory of the largest one it met.
const KEPT_PIXELS: usize = 1 << 24;

thread_local! {
    /// Each thread's decoder keeps its memory from picture to picture.
    static DECODER: std::cell::RefCell<Decoder> = std::cell::RefCell::default();
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    let header = Header::parse(bytes).map_err(|e| Fault::damaged(FORMAT, e))?;
    let (width, height) = Scale::Full.size(header.width, header.height);
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let mut rgb = Vec::new();
    let mut whole = |decoder: &mut Decoder| decoder.decode(bytes, Scale::Full, Region::whole(width, height), &mut rgb);
    let outcome = if width * height > KEPT_PIXELS { whole(&mut Decoder::default()) } else { DECODER.with_borrow_mut(whole) };
    outcome.map_err(|e| Fault::damaged(FORMAT, e))?;
    let orientation = header.exif.map_or(Orientation::UPRIGHT, Orientation::parse);
    Ok((Image { width, height, rgb }, orientation))
}
