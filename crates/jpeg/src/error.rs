//! What can be wrong with a file, or with what is asked of it.

/// Why there is no picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The content does not begin as a JPEG does.
    #[error("expected a jpeg, which begins with [ff, d8], found {found:02x?}")]
    NotAJpeg {
        /// The first bytes, at most two.
        found: Vec<u8>,
    },
    /// The file ends before its end-of-image marker.
    #[error("the file breaks off: it has no end-of-image marker")]
    NoEnd,
    /// A scan begins, or the file ends, before a frame header.
    #[error("expected a frame header before the first scan, found none")]
    NoFrame,
    /// There is more than one frame header, or more than one start of an image.
    #[error("expected one picture, found the start of a second")]
    SecondPicture,
    /// A coding that exists, but is not read.
    #[error("expected baseline, extended or progressive huffman coding of 8 bits, found {found}")]
    Unsupported {
        /// What the frame header asks for.
        found: &'static str,
    },
    /// A field of a segment is out of range.
    #[error("{segment}: expected {expected}, found {found}")]
    Field {
        /// The segment's name.
        segment: &'static str,
        /// What the standard, or this decoder, asks for.
        expected: &'static str,
        /// The field's value.
        found: usize,
    },
    /// A segment is too short for what it must hold.
    #[error("{segment}: expected more than its {bytes} bytes")]
    Short {
        /// The segment's name.
        segment: &'static str,
        /// How long it is.
        bytes: usize,
    },
    /// A scan uses a table that was never defined.
    #[error("a scan uses {kind} table {number}, which the file does not define")]
    MissingTable {
        /// What sort of table.
        kind: &'static str,
        /// Its slot; there are 0 to 3.
        number: u8,
    },
    /// A component's samples do not divide a pixel grid evenly.
    #[error("expected sampling factors that divide the largest one, found {found} beside {largest}")]
    Sampling {
        /// The component's factor.
        found: usize,
        /// The largest factor of all components.
        largest: usize,
    },
    /// The compressed data are used up before all blocks are there.
    #[error("the data of a scan end in row {row} of its {rows} rows of blocks")]
    DataEnds {
        /// The row of units in which they end.
        row: usize,
        /// How many rows there must be.
        rows: usize,
    },
    /// Bits that are no code of the Huffman table.
    #[error("expected a huffman code, found bits that are none")]
    BadCode,
    /// A run of zeros leads beyond a block's 64 coefficients.
    #[error("expected at most 64 coefficients in a block, found more")]
    BadIndex,
    /// The pieces of a scan are not numbered in turn.
    #[error("expected restart marker {expected}, found {found}")]
    Restart {
        /// The number in turn, 0 to 7.
        expected: u8,
        /// The number that is there.
        found: u8,
    },
    /// No scan has a component's mean values.
    #[error("expected scans of every component, found none of component {component}")]
    Incomplete {
        /// The component's position in the frame header.
        component: usize,
    },
    /// More scans than any encoder writes: each may cost as much as a whole picture, for a few bytes.
    #[error("expected at most {most} scans, found more")]
    TooManyScans {
        /// The limit.
        most: usize,
    },
    /// The rectangle asked for is empty or not inside of the picture.
    #[error("expected a region inside of {width} × {height} pixels, found {region:?}")]
    Region {
        /// The scaled picture's pixels in a row.
        width: usize,
        /// Its rows.
        height: usize,
        /// What was asked for.
        region: crate::Region,
    },
}
