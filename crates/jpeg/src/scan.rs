//! A scan's header, and the way through its pieces.

use crate::Error;
use crate::header::Header;
use crate::huffman::Bits;
use crate::markers::ScanData;

/// A block's coefficients, row by row.
pub(crate) type Block = [i16; 64];

/// A component's part in a scan: its position in the frame, and the slots of its tables, of which a scan may not need both.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Member {
    pub(crate) component: usize,
    pub(crate) mean: u8,
    pub(crate) other: u8,
}

/// A scan's header.
#[derive(Debug, Clone)]
pub(crate) struct ScanHeader {
    members: [Member; 4],
    count: usize,
    /// The first and the last coefficient, in zigzag order.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// Bits that earlier scans left out, or 0 for none.
    pub(crate) high: u32,
    /// Bits that this scan leaves out.
    pub(crate) low: u32,
}

impl ScanHeader {
    pub(crate) fn parse(payload: &[u8], header: &Header) -> Result<ScanHeader, Error> {
        const SEGMENT: &str = "a scan header";
        let field = |expected, found: usize| Err(Error::Field { segment: SEGMENT, expected, found });
        let short = Err(Error::Short { segment: SEGMENT, bytes: payload.len() });
        let Some((&count, rest)) = payload.split_first() else { return short };
        let count = usize::from(count);
        if count == 0 || count > header.components.len() {
            return field("1 to 4 of the frame's components", count);
        }
        let Some((entries, &[first, last, bits])) = rest.split_at_checked(2 * count) else { return short };
        let mut members = [Member::default(); 4];
        for (i, entry) in entries.chunks_exact(2).enumerate() {
            let position = header.components.iter().position(|c| c.id == entry[0]);
            let Some(component) = position else { return field("a component of the frame", entry[0].into()) };
            if members[..i].iter().any(|m| m.component == component) {
                return field("each component once", entry[0].into());
            }
            members[i] = Member { component, mean: entry[1] >> 4, other: entry[1] & 15 };
        }
        let scan = ScanHeader {
            members,
            count,
            first: first.into(),
            last: last.into(),
            high: (bits >> 4).into(),
            low: (bits & 15).into(),
        };
        if count > 1 {
            let blocks = scan.members().iter().map(|m| header.components[m.component].h * header.components[m.component].v).sum();
            if blocks > 10 {
                return field("at most 10 blocks in a unit", blocks);
            }
        }
        if header.progressive {
            scan.check_progression()?;
        }
        Ok(scan)
    }

    fn check_progression(&self) -> Result<(), Error> {
        let field = |expected, found: usize| Err(Error::Field { segment: "a progressive scan", expected, found });
        let fits = if self.first == 0 { self.last == 0 } else { self.first <= self.last && self.last < 64 };
        if !fits {
            return field("mean values alone or some of the coefficients 1 to 63", self.last);
        }
        if self.first != 0 && self.count != 1 {
            return field("one component", self.count);
        }
        if self.low > 13 || (self.high != 0 && self.high != self.low + 1) {
            return field("at most 13 bits left out, and refinement by one", self.low as usize);
        }
        Ok(())
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members[..self.count]
    }
}

/// Where in a scan's data one is.
pub(crate) struct Cursor<'a> {
    data: &'a ScanData,
    pub(crate) bits: Bits<'a>,
    piece: usize,
    /// Units between restart markers, or 0.
    interval: usize,
    /// Units left of this piece.
    left: usize,
    /// The last mean value of each component of the scan.
    pub(crate) means: [i32; 4],
    /// Blocks to come without new coefficients.
    pub(crate) empty: u32,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(data: &'a ScanData, interval: usize) -> Cursor<'a> {
        let bits = Bits::new(&data.bytes, data.pieces.first().copied().unwrap_or((0, 0)));
        Cursor { data, bits, piece: 0, interval, left: interval, means: [0; 4], empty: 0 }
    }

    /// To be called before each unit: goes to the next piece where this one's units are done. `row` and `rows` tell where that
    /// is, should there be none.
    #[inline(always)]
    pub(crate) fn begin_unit(&mut self, row: usize, rows: usize) -> Result<(), Error> {
        if self.interval != 0 {
            if self.left == 0 {
                self.restart(row, rows)?;
            }
            self.left -= 1;
        }
        Ok(())
    }

    /// Begins a row's next units, of which `most` are left: how many there are before the next restart marker.
    pub(crate) fn begin_units(&mut self, most: usize, row: usize, rows: usize) -> Result<usize, Error> {
        if self.interval == 0 {
            return Ok(most);
        }
        if self.left == 0 {
            self.restart(row, rows)?;
        }
        let units = most.min(self.left);
        self.left -= units;
        Ok(units)
    }

    #[cold]
    #[inline(never)]
    fn restart(&mut self, row: usize, rows: usize) -> Result<(), Error> {
        self.check(row, rows)?;
        let (Some(&found), Some(&piece)) = (self.data.restarts.get(self.piece), self.data.pieces.get(self.piece + 1)) else {
            return Err(Error::DataEnds { row, rows });
        };
        let expected = (self.piece % 8) as u8;
        if found != expected {
            return Err(Error::Restart { expected, found });
        }
        self.piece += 1;
        self.bits = Bits::new(&self.data.bytes, piece);
        self.left = self.interval;
        self.means = [0; 4];
        self.empty = 0;
        Ok(())
    }

    /// Refuses data that were used up. To be called often enough that a file without any is noticed soon.
    pub(crate) fn check(&self, row: usize, rows: usize) -> Result<(), Error> {
        if self.bits.is_overrun() { Err(Error::DataEnds { row, rows }) } else { Ok(()) }
    }
}
