//! The orientation that a camera notes beside the pixels.

use crate::Image;

/// Which row and column of the stored picture are its top and left: 1 (as stored) to 8, tag 0x0112 of EXIF 2.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    /// As stored.
    pub(super) const UPRIGHT: Orientation = Orientation(1);

    /// The orientation of an EXIF block, with or without `Exif\0\0` in front; upright where the block does not say.
    pub(super) fn parse(exif: &[u8]) -> Orientation {
        let tiff = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
        match orientation(tiff) {
            Some(value @ 1..=8) => Orientation(value as u8),
            _ => Orientation::UPRIGHT,
        }
    }

    /// 1 to 8.
    pub(super) fn value(self) -> u8 {
        self.0
    }
}

/// The orientation tag of a TIFF structure's first directory.
fn orientation(tiff: &[u8]) -> Option<u32> {
    let little = match tiff.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    for entry in 0..usize::from(u16_at(directory)?) {
        let at = directory.checked_add(2 + 12 * entry)?;
        if u16_at(at)? == 0x0112 {
            // Type SHORT is usual; LONG is also seen.
            return match u16_at(at + 2)? {
                3 => u16_at(at + 8).map(u32::from),
                4 => u32_at(at + 8),
                _ => None,
            };
        }
    }
    None
}

/// Turns a picture upright.
pub(super) fn orient(image: Image, orientation: Orientation) -> Image {
    let Orientation(value) = orientation;
    if value == 1 {
        return image;
    }
    let Image { width: w, height: h, rgb } = image;
    let (width, height) = if value >= 5 { (h, w) } else { (w, h) };
    let mut out = Vec::with_capacity(rgb.len());
    for y in 0..height {
        for x in 0..width {
            // Where the upright picture's (x, y) lies in the stored one.
            let (sx, sy) = match value {
                2 => (w - 1 - x, y),
                3 => (w - 1 - x, h - 1 - y),
                4 => (x, h - 1 - y),
                5 => (y, x),
                6 => (y, h - 1 - x),
                7 => (w - 1 - y, h - 1 - x),
                _ => (w - 1 - y, x),
            };
            let at = 3 * (sy * w + sx);
            out.extend_from_slice(&rgb[at..at + 3]);
        }
    }
    Image { width, height, rgb: out }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(little: bool, tag: u16, kind: u16, value: [u8; 4]) -> Vec<u8> {
        let two = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let four = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
        let mut out = if little { b"Exif\0\0II*\0".to_vec() } else { b"MM\0*".to_vec() };
        out.extend(four(8));
        out.extend(two(1));
        out.extend(two(tag));
        out.extend(two(kind));
        out.extend(four(1));
        out.extend(value);
        out
    }

    #[test]
    fn both_byte_orders_and_both_types_are_read() {
        assert_eq!(Orientation::parse(&block(true, 0x0112, 3, [6, 0, 0, 0])), Orientation(6));
        assert_eq!(Orientation::parse(&block(false, 0x0112, 3, [0, 8, 0, 0])), Orientation(8));
        assert_eq!(Orientation::parse(&block(false, 0x0112, 4, [0, 0, 0, 3])), Orientation(3));
    }

    #[test]
    fn whatever_is_not_1_to_8_is_upright() {
        assert_eq!(Orientation::parse(&block(true, 0x0112, 3, [9, 0, 0, 0])), Orientation::UPRIGHT);
        assert_eq!(Orientation::parse(&block(true, 0x0112, 3, [0, 0, 0, 0])), Orientation::UPRIGHT);
        assert_eq!(Orientation::parse(&block(true, 0x0113, 3, [6, 0, 0, 0])), Orientation::UPRIGHT);
        assert_eq!(Orientation::parse(&block(true, 0x0112, 2, [6, 0, 0, 0])), Orientation::UPRIGHT);
        assert_eq!(Orientation::parse(b""), Orientation::UPRIGHT);
        assert_eq!(Orientation::parse(b"II*\0\xff\xff\xff\xff"), Orientation::UPRIGHT);
        let whole = block(true, 0x0112, 3, [6, 0, 0, 0]);
        for end in 0..whole.len() - 2 {
            let short = Orientation::parse(&whole[..end]);
            assert!(short == Orientation::UPRIGHT || short == Orientation(6));
        }
    }
}
