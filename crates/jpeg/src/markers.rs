//! The file as a chain of segments, each behind a marker.

use crate::Error;

pub(crate) const SOF0: u8 = 0xc0;
pub(crate) const SOF2: u8 = 0xc2;
pub(crate) const DHT: u8 = 0xc4;
pub(crate) const EOI: u8 = 0xd9;
pub(crate) const SOS: u8 = 0xda;
pub(crate) const DQT: u8 = 0xdb;
pub(crate) const DRI: u8 = 0xdd;
pub(crate) const APP0: u8 = 0xe0;
pub(crate) const APP1: u8 = 0xe1;
pub(crate) const APP14: u8 = 0xee;

const SOI: u8 = 0xd8;
const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;

/// A marker's code and what its segment holds; nothing for the end of the image.
pub(crate) struct Segment<'a> {
    pub(crate) code: u8,
    pub(crate) payload: &'a [u8],
}

/// Walks a file from marker to marker.
pub(crate) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Segments<'a>, Error> {
        if !bytes.starts_with(&[0xff, SOI]) {
            return Err(Error::NotAJpeg { found: bytes[..bytes.len().min(2)].to_vec() });
        }
        Ok(Segments { bytes, at: 2 })
    }

    /// The next segment. Bytes that are no marker, and markers that say nothing here, are passed over.
    pub(crate) fn next(&mut self) -> Result<Segment<'a>, Error> {
        loop {
            self.at += find_ff(self.bytes.get(self.at..).unwrap_or(&[])).ok_or(Error::NoEnd)?;
            while *self.bytes.get(self.at).ok_or(Error::NoEnd)? == 0xff {
                self.at += 1;
            }
            let code = self.bytes[self.at];
            self.at += 1;
            match code {
                0x00 | 0x01 => {}
                _ if RESTARTS.contains(&code) => {}
                SOI => return Err(Error::SecondPicture),
                EOI => return Ok(Segment { code, payload: &[] }),
                _ => {
                    let rest = &self.bytes[self.at..];
                    let &[high, low, ..] = rest else { return Err(Error::NoEnd) };
                    let length = usize::from(u16::from_be_bytes([high, low]));
                    if length < 2 {
                        return Err(Error::Field { segment: "a segment", expected: "a length of 2 or more", found: length });
                    }
                    let payload = rest.get(2..length).ok_or(Error::NoEnd)?;
                    self.at += length;
                    return Ok(Segment { code, payload });
                }
            }
        }
    }

    /// Takes the compressed data that follow a scan's header: leaves them in `scan`, and itself at the marker behind them.
    pub(crate) fn take_scan(&mut self, scan: &mut ScanData) {
        scan.bytes.clear();
        scan.pieces.clear();
        scan.restarts.clear();
        let mut start = 0;
        let mut rest = &self.bytes[self.at..];
        loop {
            let plain = find_ff(rest).unwrap_or(rest.len());
            scan.bytes.extend_from_slice(&rest[..plain]);
            rest = &rest[plain..];
            let fill = rest.iter().take_while(|&&b| b == 0xff).count();
            match rest.get(fill) {
                Some(0) if fill > 0 => scan.bytes.push(0xff),
                Some(code) if RESTARTS.contains(code) => {
                    start = scan.close(start);
                    scan.restarts.push(code & 7);
                }
                _ => break,
            }
            rest = &rest[fill + 1..];
        }
        scan.close(start);
        self.at = self.bytes.len() - rest.len();
    }
}

/// Zero bytes behind each piece, so that reading ahead of its end does no harm.
const PADDING: usize = 16;

/// The compressed data of a scan without stuffed bytes and markers, in pieces that restart markers set apart.
#[derive(Default)]
pub(crate) struct ScanData {
    pub(crate) bytes: Vec<u8>,
    /// Where each piece begins and ends in `bytes`.
    pub(crate) pieces: Vec<(usize, usize)>,
    /// The number of the restart marker behind each piece but the last.
    pub(crate) restarts: Vec<u8>,
}

impl ScanData {
    /// Ends a piece; returns where the next one begins.
    fn close(&mut self, start: usize) -> usize {
        self.pieces.push((start, self.bytes.len()));
        self.bytes.extend_from_slice(&[0; PADDING]);
        self.bytes.len()
    }
}

/// Where the first 0xff is, eight bytes at a time.
fn find_ff(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let (words, tail) = bytes.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        let inverted = !u64::from_le_bytes(*word);
        // Non-zero exactly where a byte is zero; its lowest set bit belongs to the first such byte.
        let zeros = inverted.wrapping_sub(ONES) & !inverted & (ONES << 7);
        if zeros != 0 {
            return Some(8 * i + zeros.trailing_zeros() as usize / 8);
        }
    }
    tail.iter().position(|&b| b == 0xff).map(|i| 8 * words.len() + i)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_ff_is_found_wherever_it_is() {
        for length in 0..40 {
            let mut bytes: Vec<u8> = (0..length).map(|i| if i % 3 == 0 { 0xfe } else { 0x00 }).collect();
            assert_eq!(find_ff(&bytes), None);
            for at in (0..length as usize).rev() {
                bytes[at] = 0xff;
                assert_eq!(find_ff(&bytes), Some(at));
            }
        }
    }

    #[test]
    fn an_end_inside_of_a_segment_is_none() {
        let ends = |bytes: &[u8]| {
            let mut segments = Segments::new(bytes).expect("a start");
            let mut scan = ScanData::default();
            loop {
                match segments.next() {
                    Ok(Segment { code: EOI, .. }) => return true,
                    Ok(Segment { code: SOS, .. }) => segments.take_scan(&mut scan),
                    Ok(_) => {}
                    Err(_) => return false,
                }
            }
        };
        let head = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        assert!(!ends(&head));
        let scan = [&head[..], &[0xff, 0xda, 0, 2, 5, 0xff, 0, 7, 0xff, 0xd3, 8]].concat();
        assert!(!ends(&scan));
        assert!(ends(&[&scan[..], &[0xff, 0xff, 0xd9]].concat()));
        for end in 2..scan.len() {
            assert!(!ends(&scan[..end]));
        }
    }

    #[test]
    fn data_lose_their_stuffing_and_are_cut_at_restarts() {
        let file = [0xff, 0xd8, 1, 2, 0xff, 0, 3, 0xff, 0xd0, 0xff, 0xff, 0, 5, 0xff, 0xff, 0xd1, 6, 0xff, 0xd9];
        let mut segments = Segments::new(&file).expect("a start");
        let mut scan = ScanData::default();
        segments.take_scan(&mut scan);
        let pieces: Vec<&[u8]> = scan.pieces.iter().map(|&(a, b)| &scan.bytes[a..b]).collect();
        assert_eq!(pieces, [&[1, 2, 0xff, 3][..], &[0xff, 5], &[6]]);
        assert_eq!(scan.restarts, [0, 1]);
        assert!(matches!(segments.next(), Ok(Segment { code: EOI, .. })));
    }
}
