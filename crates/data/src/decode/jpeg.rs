//! JPEG: baseline and progressive, grey, YCbCr, RGB, CMYK and YCCK, with libjpeg-turbo's values.

use jpeg::{Decoder, Header, Region, Scale};

use super::exif::Orientation;
use super::{Fault, KEPT_PIXELS, check_size};
use crate::Image;

const FORMAT: &str = "JPEG";

/// A flat block of 8 × 8 takes two bits in a baseline scan and one in a progressive one: 512 pixels a byte.
const PIXELS_PER_BYTE: usize = 1024;

thread_local! {
    /// Each thread's decoder keeps its memory from picture to picture; those above `KEPT_PIXELS` get one of their own.
    static DECODER: std::cell::RefCell<Decoder> = std::cell::RefCell::default();
}

/// What a file's header says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) orientation: Orientation,
}

/// Reads the header, and refuses a size that the file cannot hold.
pub(super) fn open(bytes: &[u8]) -> Result<Opened, Fault> {
    let header = Header::parse(bytes).map_err(|e| Fault::damaged(FORMAT, e))?;
    let (width, height) = Scale::Full.size(header.width, header.height);
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let orientation = header.exif.map_or(Orientation::UPRIGHT, Orientation::parse);
    Ok(Opened { width: header.width, height: header.height, orientation })
}

/// A rectangle of the picture that was opened, decoded at `scale`, in pixels of that, as it is stored. `rgb` is overwritten.
pub(super) fn part(bytes: &[u8], opened: &Opened, scale: Scale, region: Region, rgb: &mut Vec<u8>) -> Result<(), Fault> {
    let mut part = |decoder: &mut Decoder| decoder.decode(bytes, scale, region, rgb);
    let large = usize::from(opened.width) * usize::from(opened.height) > KEPT_PIXELS;
    let outcome = if large { part(&mut Decoder::default()) } else { DECODER.with_borrow_mut(part) };
    outcome.map_err(|e| Fault::damaged(FORMAT, e))
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    let opened = open(bytes)?;
    let (width, height) = Scale::Full.size(opened.width, opened.height);
    let mut rgb = Vec::new();
    part(bytes, &opened, Scale::Full, Region::whole(width, height), &mut rgb)?;
    Ok((Image { width, height, rgb }, opened.orientation))
}
