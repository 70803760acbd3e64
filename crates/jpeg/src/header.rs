//! What a file says of itself before its first scan.

use crate::Error;
use crate::markers::{APP0, APP1, APP14, DHT, EOI, SOF0, SOF2, SOS, Segments};

/// How a picture's components are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// One component, shown as three equal ones.
    Grey,
    /// Luma and two chroma components.
    Ycc,
    /// Red, green and blue as they are.
    Rgb,
    /// Four inks, inverted as Adobe writes them.
    Cmyk,
    /// The same with the first three as luma and chroma.
    Ycck,
}

/// What a file says of itself before its first scan: enough to decide whether to decode it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header<'a> {
    /// Pixels in a row, at least 1.
    pub width: u16,
    /// Rows, at least 1.
    pub height: u16,
    /// How the components are to be read.
    pub colour: Colour,
    /// Whether the picture comes in scans that refine each other. Such a picture is decoded by way of all its coefficients,
    /// 2 bytes for each sample.
    pub progressive: bool,
    /// The first Exif block, without `Exif\0\0` in front.
    pub exif: Option<&'a [u8]>,
    pub(crate) components: Components,
}

/// A component of the frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Component {
    pub(crate) id: u8,
    /// Samples in a row for each unit of the picture, 1 to 4.
    pub(crate) h: usize,
    /// Rows of samples for each unit, 1 to 4.
    pub(crate) v: usize,
    /// The slot of its quantisation table.
    pub(crate) table: u8,
}

/// One, three or four components.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Components {
    all: [Component; 4],
    count: usize,
}

impl std::ops::Deref for Components {
    type Target = [Component];

    fn deref(&self) -> &[Component] {
        &self.all[..self.count]
    }
}

/// What the application segments say of the colours.
#[derive(Default)]
struct Hints {
    jfif: bool,
    adobe: Option<u8>,
}

impl<'a> Header<'a> {
    /// Reads everything up to the first scan.
    ///
    /// # Errors
    /// Where this is no JPEG of a supported coding, or breaks off.
    pub fn parse(bytes: &'a [u8]) -> Result<Header<'a>, Error> {
        let mut segments = Segments::new(bytes)?;
        let mut frame = None;
        let mut hints = Hints::default();
        let mut exif = None;
        loop {
            let segment = segments.next()?;
            let payload = segment.payload;
            match segment.code {
                SOS => break,
                EOI => return Err(Error::NoFrame),
                APP0 if payload.starts_with(b"JFIF\0") && payload.len() >= 14 => hints.jfif = true,
                APP1 => exif = exif.or(payload.strip_prefix(b"Exif\0\0")),
                APP14 if payload.starts_with(b"Adobe") => hints.adobe = payload.get(11).copied().or(hints.adobe),
                code if is_frame(code) => {
                    if frame.is_some() {
                        return Err(Error::SecondPicture);
                    }
                    frame = Some((code == SOF2, parse_frame(code, payload)?));
                }
                _ => {}
            }
        }
        let (progressive, (width, height, components)) = frame.ok_or(Error::NoFrame)?;
        let colour = colour(&components, &hints);
        Ok(Header { width, height, colour, progressive, exif, components })
    }
}

/// Whether a marker begins a frame, of whatever coding.
pub(crate) fn is_frame(code: u8) -> bool {
    // 0xc8 is reserved for extensions, 0xcc defines conditions of arithmetic coding.
    matches!(code, 0xc0..=0xcf) && code != DHT && code != 0xcc
}

fn parse_frame(code: u8, payload: &[u8]) -> Result<(u16, u16, Components), Error> {
    const SEGMENT: &str = "the frame header";
    let unsupported = |found| Err(Error::Unsupported { found });
    match code {
        SOF0..=SOF2 => {}
        0xc3 => return unsupported("lossless coding"),
        0xc5..=0xc7 => return unsupported("hierarchical coding"),
        0xc8 => return unsupported("an extension"),
        _ => return unsupported("arithmetic coding"),
    }
    let &[bits, h1, h0, w1, w0, count, ref rest @ ..] = payload else {
        return Err(Error::Short { segment: SEGMENT, bytes: payload.len() });
    };
    if bits != 8 {
        return unsupported(if bits == 12 { "12 bits" } else { "a depth of neither 8 nor 12 bits" });
    }
    let (width, height) = (u16::from_be_bytes([w1, w0]), u16::from_be_bytes([h1, h0]));
    let field = |expected, found: usize| Err(Error::Field { segment: SEGMENT, expected, found });
    if width == 0 || height == 0 {
        return field("a width and a height of 1 or more", 0);
    }
    let count = usize::from(count);
    if !matches!(count, 1 | 3 | 4) {
        return field("1, 3 or 4 components", count);
    }
    if rest.len() != 3 * count {
        return field("three bytes for each component", rest.len());
    }
    let mut all = [Component::default(); 4];
    for (c, entry) in all.iter_mut().zip(rest.chunks_exact(3)) {
        *c = Component { id: entry[0], h: (entry[1] >> 4).into(), v: (entry[1] & 15).into(), table: entry[2] };
        if !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v) {
            return field("sampling factors of 1 to 4", entry[1].into());
        }
        if c.table > 3 {
            return field("a quantisation table of 0 to 3", c.table.into());
        }
    }
    if count == 1 {
        // Alone, a component is not interleaved, whatever its factors.
        (all[0].h, all[0].v) = (1, 1);
    }
    let components = Components { all, count };
    for (position, c) in components.iter().enumerate() {
        if components[..position].iter().any(|other| other.id == c.id) {
            return field("components of different names", c.id.into());
        }
    }
    Ok((width, height, components))
}

/// The colour space, guessed as libjpeg does.
fn colour(components: &[Component], hints: &Hints) -> Colour {
    match (components.len(), hints.adobe) {
        (1, _) => Colour::Grey,
        (3, _) if hints.jfif => Colour::Ycc,
        (3, Some(0)) => Colour::Rgb,
        (3, Some(_)) => Colour::Ycc,
        (3, None) if components.iter().map(|c| c.id).eq(*b"RGB") => Colour::Rgb,
        (3, None) => Colour::Ycc,
        (_, None | Some(0)) => Colour::Cmyk,
        _ => Colour::Ycck,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(code: u8, bits: u8, factors: &[u8], before: &[u8]) -> Vec<u8> {
        let length = 8 + 3 * factors.len() as u8;
        let mut out = [&[0xff, 0xd8], before, &[0xff, code, 0, length, bits, 0, 5, 0, 7, factors.len() as u8]].concat();
        for (i, &factor) in factors.iter().enumerate() {
            out.extend([i as u8 + 1, factor, 0]);
        }
        out.extend([0xff, 0xda, 0, 2]);
        out
    }

    #[test]
    fn sizes_and_colours_are_read() {
        let bytes = file(0xc2, 8, &[0x22, 0x11, 0x11], b"\xff\xe1\0\x0aExif\0\0ab");
        let header = Header::parse(&bytes).expect("a header");
        assert_eq!((header.width, header.height, header.progressive), (7, 5, true));
        assert_eq!((header.colour, header.exif), (Colour::Ycc, Some(&b"ab"[..])));
        let adobe = |transform| [&b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"[..], &[transform]].concat();
        let colour = |factors: &[u8], before: &[u8]| Header::parse(&file(0xc0, 8, factors, before)).expect("a header").colour;
        assert_eq!(colour(&[0x22, 0x11, 0x11], &adobe(0)), Colour::Rgb);
        assert_eq!(colour(&[0x22, 0x11, 0x11], &adobe(1)), Colour::Ycc);
        assert_eq!(colour(&[0x11; 4], &adobe(0)), Colour::Cmyk);
        assert_eq!(colour(&[0x11; 4], &adobe(2)), Colour::Ycck);
        assert_eq!(colour(&[0x11; 4], b""), Colour::Cmyk);
        assert_eq!(colour(&[0x41], b""), Colour::Grey);
    }

    #[test]
    fn what_is_not_read_is_named() {
        for (code, bits, word) in
            [(0xc3, 8, "lossless"), (0xc9, 8, "arithmetic"), (0xc5, 8, "hierarchical"), (0xc1, 12, "12 bits")]
        {
            let message = Header::parse(&file(code, bits, &[0x11], b"")).expect_err("not supported").to_string();
            assert!(message.contains(word), "{message}");
        }
        assert!(Header::parse(&file(0xc0, 8, &[0x11; 2], b"")).is_err());
        assert!(Header::parse(&file(0xc0, 8, &[0x51], b"")).is_err());
        assert!(Header::parse(&file(0xc0, 8, &[0x01], b"")).is_err());
        let once = file(0xc0, 8, &[0x11], b"");
        let twice = [&once[..15], &once[2..]].concat();
        assert_eq!(Header::parse(&twice), Err(Error::SecondPicture));
        assert!(matches!(Header::parse(b"GIF8"), Err(Error::NotAJpeg { .. })));
        for end in 0..once.len() {
            assert!(Header::parse(&once[..end]).is_err());
        }
    }
}
