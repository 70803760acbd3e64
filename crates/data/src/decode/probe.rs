//! What an image file says of itself, without decoding it.
//!
//! The bytes are walked marker by marker or chunk by chunk; what they claim is reported, never believed: nothing is
//! allocated, and a header that breaks off leaves the rest unsaid.

use super::Format;
use super::exif::Orientation;

/// How a file stores colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Colour {
    /// One value a pixel, apart from opacity.
    Grey,
    /// Three values a pixel: RGB, or YCbCr.
    Rgb,
    /// An index into a palette.
    Palette,
    /// Four values a pixel, for printing.
    Cmyk,
    /// The same, with cyan, magenta and yellow stored as YCbCr.
    Ycck,
}

/// What a file's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The format, by content.
    pub format: Format,
    /// How colours are stored; `None` where the header breaks off before it says so, or says what is unknown.
    pub colour: Option<Colour>,
    /// Which row and column of the stored picture are its top and left: 1 (as stored) to 8, tag 0x0112 of EXIF 2.3.
    pub orientation: u8,
}

/// The header of an image file; `None` where the content is of no known format.
pub fn probe(bytes: &[u8]) -> Option<Header> {
    let format = Format::sniff(bytes)?;
    let (colour, exif) = match format {
        Format::Jpeg => jpeg(bytes),
        Format::Png => png(bytes),
        Format::WebP => webp(bytes),
        Format::Bmp => (bmp(bytes), None),
    };
    let orientation = exif.map_or(Orientation::UPRIGHT, Orientation::parse).value();
    Some(Header { format, colour, orientation })
}

/// Whether a file of a known format ends before its own end: without its closing marker or chunk, or shorter than its header
/// says. A file that is damaged elsewhere may be whole in this sense.
pub(crate) fn is_cut_off(bytes: &[u8]) -> bool {
    match Format::sniff(bytes) {
        Some(Format::Jpeg) => !ends(bytes),
        Some(Format::Png) => !chunks(bytes).any(|(kind, _)| kind == b"IEND"),
        Some(Format::WebP) => u32_le(bytes, 4).is_none_or(|size| u64::from(size) + 8 > bytes.len() as u64),
        Some(Format::Bmp) => bmp_bytes(bytes).is_none_or(|needed| needed > bytes.len() as u64),
        None => false,
    }
}

/// Something between two JPEG markers.
struct Segment<'a> {
    code: u8,
    /// Behind the length, which is left out; as much as there is.
    payload: &'a [u8],
    /// Where the next marker is looked for.
    next: usize,
}

/// The next segment at or behind `at` in a JPEG file. Markers that stand alone have no payload; of a scan, the entropy-coded
/// data are none of its payload.
fn segment(bytes: &[u8], mut at: usize) -> Option<Segment<'_>> {
    loop {
        at += bytes.get(at..)?.iter().position(|&b| b == 0xff)?;
        match *bytes.get(at + 1)? {
            0xff => at += 1,
            // A stuffed 0xff within a scan, and restarts.
            0x00 | 0xd0..=0xd7 => at += 2,
            code @ (0x01 | 0xd8 | 0xd9) => return Some(Segment { code, payload: &[], next: at + 2 }),
            code => {
                let length = usize::from(u16::from_be_bytes(*bytes.get(at + 2..)?.first_chunk()?)).max(2);
                let end = at + 2 + length;
                return Some(Segment { code, payload: bytes.get(at + 4..end.min(bytes.len()))?, next: end });
            }
        }
    }
}

/// Components and the Adobe marker, and the EXIF block, both in front of the first scan.
fn jpeg(bytes: &[u8]) -> (Option<Colour>, Option<&[u8]>) {
    const FIRST_SCAN: u8 = 0xda;
    let (mut components, mut transform, mut exif) = (None, None, None);
    let mut at = 2;
    while let Some(Segment { code, payload, next }) = segment(bytes, at) {
        match code {
            FIRST_SCAN | 0xd9 => break,
            // Frames of all codings; 0xc4, 0xc8 and 0xcc are tables and an extension.
            0xc0..=0xcf if !matches!(code, 0xc4 | 0xc8 | 0xcc) => components = payload.get(5).copied(),
            0xee if payload.starts_with(b"Adobe") => transform = payload.get(11).copied(),
            0xe1 if exif.is_none() && payload.starts_with(b"Exif\0\0") => exif = Some(payload),
            _ => {}
        }
        at = next;
    }
    let colour = match (components, transform) {
        (Some(1), _) => Some(Colour::Grey),
        (Some(3), _) => Some(Colour::Rgb),
        (Some(4), Some(2)) => Some(Colour::Ycck),
        (Some(4), _) => Some(Colour::Cmyk),
        _ => None,
    };
    (colour, exif)
}

/// Whether the first picture's end-of-image marker is there; those of thumbnails lie within segments.
fn ends(bytes: &[u8]) -> bool {
    let mut at = 2;
    while let Some(Segment { code, next, .. }) = segment(bytes, at) {
        if code == 0xd9 {
            return true;
        }
        at = next;
    }
    false
}

/// The chunks of a PNG file whose data are there, kind and data.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 8;
    std::iter::from_fn(move || {
        let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?) as usize;
        let kind = bytes.get(at + 4..at + 8)?;
        let data = bytes.get(at + 8..(at + 8).checked_add(length)?)?;
        at += 12 + length;
        Some((kind, data))
    })
}

/// The colour type, and the EXIF block in front of the pixels.
fn png(bytes: &[u8]) -> (Option<Colour>, Option<&[u8]>) {
    let (mut colour, mut exif) = (None, None);
    for (kind, data) in chunks(bytes).take_while(|(kind, _)| *kind != b"IDAT") {
        match kind {
            b"IHDR" => {
                colour = match data.get(9) {
                    Some(0 | 4) => Some(Colour::Grey),
                    Some(2 | 6) => Some(Colour::Rgb),
                    Some(3) => Some(Colour::Palette),
                    _ => None,
                }
            }
            b"eXIf" => exif = Some(data),
            _ => {}
        }
    }
    (colour, exif)
}

/// WebP stores colours in one way; the EXIF block may lie anywhere among the chunks.
fn webp(bytes: &[u8]) -> (Option<Colour>, Option<&[u8]>) {
    let mut at = 12;
    let exif = loop {
        let Some(kind) = bytes.get(at..at + 4) else { break None };
        let Some(length) = u32_le(bytes, at + 4).map(|length| length as usize) else { break None };
        let Some(end) = (at + 8).checked_add(length) else { break None };
        if kind == b"EXIF" {
            break bytes.get(at + 8..end);
        }
        at = end + length % 2;
    };
    (Some(Colour::Rgb), exif)
}

/// Up to 8 bits are indices into a palette.
fn bmp(bytes: &[u8]) -> Option<Colour> {
    let bits_at = if u32_le(bytes, 14)? == 12 { 24 } else { 28 };
    match bytes.get(bits_at)? {
        1 | 4 | 8 => Some(Colour::Palette),
        16 | 24 | 32 => Some(Colour::Rgb),
        _ => None,
    }
}

/// The bytes that a bitmap needs; `None` where its header breaks off. Of a run-length coded one only the place of the pixels
/// is known.
fn bmp_bytes(bytes: &[u8]) -> Option<u64> {
    let pixels_at = u64::from(u32_le(bytes, 10)?);
    let u16_le = |at: usize| Some(u64::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let (width, height, bits, compression) = if u32_le(bytes, 14)? == 12 {
        (u16_le(18)?, u16_le(20)?, u16_le(24)?, 0)
    } else {
        let height = (u32_le(bytes, 22)? as i32).unsigned_abs();
        (u64::from(u32_le(bytes, 18)?), u64::from(height), u16_le(28)?, u32_le(bytes, 30)?)
    };
    let runs = matches!(compression, 1 | 2);
    let row_bytes = width.saturating_mul(bits).div_ceil(32).saturating_mul(4);
    Some(pixels_at.saturating_add(if runs { 1 } else { row_bytes.saturating_mul(height) }))
}

fn u32_le(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A JPEG of segments, marker and payload, without any pixels.
    fn jpeg_of(segments: &[(u8, &[u8])]) -> Vec<u8> {
        let mut file = vec![0xff, 0xd8];
        for (code, payload) in segments {
            file.extend([0xff, *code]);
            file.extend((payload.len() as u16 + 2).to_be_bytes());
            file.extend(*payload);
        }
        file
    }

    fn frame(components: u8) -> [u8; 6] {
        [8, 0, 9, 0, 7, components]
    }

    #[test]
    fn the_adobe_marker_tells_cmyk_from_ycck() {
        let adobe = |transform| [&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        let colour = |file: &[u8]| probe(file).expect("a JPEG").colour;
        assert_eq!(colour(&jpeg_of(&[(0xee, &adobe(2)), (0xc0, &frame(4))])), Some(Colour::Ycck));
        assert_eq!(colour(&jpeg_of(&[(0xee, &adobe(0)), (0xc2, &frame(4))])), Some(Colour::Cmyk));
        assert_eq!(colour(&jpeg_of(&[(0xc0, &frame(4))])), Some(Colour::Cmyk));
        assert_eq!(colour(&jpeg_of(&[(0xee, &adobe(1)), (0xc1, &frame(3))])), Some(Colour::Rgb));
        assert_eq!(colour(&jpeg_of(&[(0xc4, &frame(1)), (0xc0, &frame(1))])), Some(Colour::Grey));
        assert_eq!(colour(&jpeg_of(&[(0xc4, &frame(1))])), None);
        assert_eq!(colour(&jpeg_of(&[(0xc0, &frame(2))])), None);
    }

    #[test]
    fn what_lies_within_a_segment_or_behind_the_first_scan_is_no_header() {
        let hidden = [0xff, 0xc0, 0, 8, 8, 0, 9, 0, 7, 4];
        let file = jpeg_of(&[(0xe2, &hidden), (0xc0, &frame(3)), (0xda, &[0; 10]), (0xc0, &frame(4))]);
        assert_eq!(probe(&file).expect("a JPEG").colour, Some(Colour::Rgb));
    }

    #[test]
    fn an_end_inside_of_a_segment_is_none() {
        let mut file = jpeg_of(&[(0xe1, &[0xff, 0xd9]), (0xda, &[])]);
        file.extend([5, 0xff, 0, 7, 0xff, 0xd3, 8]);
        assert!(is_cut_off(&file));
        file.extend([0xff, 0xff, 0xd9]);
        assert!(!is_cut_off(&file));
    }

    #[test]
    fn no_beginning_of_a_file_is_out_of_bounds() {
        let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".to_vec();
        let jpeg = jpeg_of(&[(0xe1, &exif), (0xee, b"Adobe\0\x64\0\0\0\0\x02"), (0xc0, &frame(4))]);
        exif.drain(..6);
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\x03\0\0\0....\0\0\0\x16eXIf".to_vec();
        png.extend(&exif);
        png.extend(b"....\0\0\0\0IEND....");
        let mut webp = b"RIFF\x2c\0\0\0WEBPABCD\x01\0\0\0..EXIF\x16\0\0\0".to_vec();
        webp.extend(&exif);
        let mut bmp = b"BM".to_vec();
        for word in [58u32, 0, 54, 40, 1, 1, 24 << 16 | 1, 0, 4, 0, 0, 0, 0, 7] {
            bmp.extend(word.to_le_bytes());
        }
        for (file, colour, orientation) in
            [(jpeg, Colour::Ycck, 6), (png, Colour::Palette, 6), (webp, Colour::Rgb, 6), (bmp, Colour::Rgb, 1)]
        {
            let header = probe(&file).expect("a known format");
            assert_eq!((header.colour, header.orientation), (Some(colour), orientation), "{:?}", header.format);
            for end in 0..file.len() {
                let _ = (probe(&file[..end]), is_cut_off(&file[..end]));
            }
            assert!(header.format == Format::Png || is_cut_off(&file[..file.len() - 1]), "{:?}", header.format);
            assert_eq!(is_cut_off(&file), header.format == Format::Jpeg, "{:?}", header.format);
        }
    }
}
