//! NumPy's `.npy` files, versions 1 to 3, read to f32.
//!
//! A file is `\x93NUMPY`, two bytes of version, the header's length (two bytes, from version 2 on four, little-endian), a
//! header that is a Python dictionary of `descr` (byte order, kind and size of an element), `fortran_order` and `shape`, and
//! the elements end to end (the page on `numpy.lib.format` in NumPy's manual).

use net::Tensor;

use crate::floats::of_f16;
use crate::{Error, Mapped, Result};

const MAGIC: &[u8] = b"\x93NUMPY";
/// The most axes that NumPy has.
const MOST_AXES: usize = 64;

/// The most bytes of a type's name that an error repeats.
const LONGEST_SHOWN: usize = 40;

/// Whether a file begins as `.npy` files do.
pub fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Reads an array of numbers of up to 64 bits, in C order whatever the file's; each is rounded to the nearest f32.
///
/// # Errors
/// Names the file and what is wrong with it: cut off, too long, no numbers.
pub fn read(file: &Mapped) -> Result<Tensor> {
    parse(file.bytes()).map_err(|message| Error::Format { path: file.path().into(), format: "npy", message })
}

/// An element's type.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Kind {
    letter: u8,
    bytes: usize,
    big_endian: bool,
}

struct Header {
    kind: Kind,
    fortran: bool,
    shape: Vec<usize>,
}

fn parse(bytes: &[u8]) -> Result<Tensor, String> {
    let (header, values) = split(bytes)?;
    let Header { kind, fortran, shape } = Text { rest: header }.header()?;
    let count = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    let expected = count.and_then(|count| count.checked_mul(kind.bytes));
    if expected != Some(values.len()) {
        return Err(format!("shape {shape:?} of {} bytes each does not fit {} bytes of elements", kind.bytes, values.len()));
    }
    let data: Vec<f32> = values.chunks_exact(kind.bytes).map(|element| convert(kind, element)).collect();
    Ok(if fortran { to_c_order(shape, &data) } else { Tensor { shape, data } })
}

/// The header's text, and the elements' bytes.
fn split(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    const CUT: &str = "it is cut off in its header";
    let rest = bytes.strip_prefix(MAGIC).ok_or("it does not begin as one")?;
    let ([major, _minor], rest) = rest.split_first_chunk::<2>().ok_or(CUT)?;
    let (length, rest) = match major {
        1 => rest.split_first_chunk::<2>().map(|(length, rest)| (usize::from(u16::from_le_bytes(*length)), rest)).ok_or(CUT)?,
        2 | 3 => rest.split_first_chunk::<4>().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest)).ok_or(CUT)?,
        major => return Err(format!("version {major} is not known, only 1 to 3")),
    };
    rest.split_at_checked(length).ok_or(CUT.into())
}

/// What is left of a header.
struct Text<'a> {
    rest: &'a [u8],
}

const NOT_A_HEADER: &str = "its header is no dictionary of descr, fortran_order and shape";

impl<'a> Text<'a> {
    fn header(mut self) -> Result<Header, String> {
        let (mut kind, mut fortran, mut shape) = (None, None, None);
        self.expect(b'{')?;
        while !self.found(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key {
                b"descr" => kind = Some(kind_of(self.string().map_err(|_| "its elements are records, not numbers")?)?),
                b"fortran_order" => fortran = Some(self.boolean()?),
                b"shape" => shape = Some(self.sizes()?),
                _ => return Err(NOT_A_HEADER.into()),
            }
            if !self.found(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        match (kind, fortran, shape) {
            (Some(kind), Some(fortran), Some(shape)) => Ok(Header { kind, fortran, shape }),
            _ => Err(NOT_A_HEADER.into()),
        }
    }

    /// Whether the next character is this one; it is taken if so.
    fn found(&mut self, character: u8) -> bool {
        self.rest = self.rest.trim_ascii_start();
        let found = self.rest.first() == Some(&character);
        if found {
            self.rest = &self.rest[1..];
        }
        found
    }

    fn expect(&mut self, character: u8) -> Result<(), String> {
        if self.found(character) { Ok(()) } else { Err(NOT_A_HEADER.into()) }
    }

    fn string(&mut self) -> Result<&'a [u8], String> {
        let quote = if self.found(b'"') { b'"' } else { self.expect(b'\'').map(|()| b'\'')? };
        let end = self.rest.iter().position(|&c| c == quote).ok_or(NOT_A_HEADER)?;
        let (string, behind) = self.rest.split_at(end);
        self.rest = &behind[1..];
        Ok(string)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_ascii_start();
        for (word, value) in [(&b"True"[..], true), (b"False", false)] {
            if let Some(behind) = self.rest.strip_prefix(word) {
                self.rest = behind;
                return Ok(value);
            }
        }
        Err(NOT_A_HEADER.into())
    }

    fn sizes(&mut self) -> Result<Vec<usize>, String> {
        let mut sizes = Vec::new();
        self.expect(b'(')?;
        while !self.found(b')') {
            self.rest = self.rest.trim_ascii_start();
            let digits = self.rest.iter().take_while(|c| c.is_ascii_digit()).count();
            let (number, behind) = self.rest.split_at(digits);
            // Python 2 writes long integers with an L.
            self.rest = behind.strip_prefix(b"L").unwrap_or(behind);
            let size = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
            sizes.push(size.ok_or("its shape is not made of sizes")?);
            if sizes.len() > MOST_AXES {
                return Err(format!("it has more than {MOST_AXES} axes"));
            }
            if !self.found(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(sizes)
    }
}

fn kind_of(descr: &[u8]) -> Result<Kind, String> {
    let shown = descr.get(..LONGEST_SHOWN).unwrap_or(descr).escape_ascii();
    let unknown = || format!("its elements are `{shown}`, not numbers of up to 64 bits");
    let (order, letter, digits) = match descr {
        [order @ (b'<' | b'>' | b'|' | b'='), letter, digits @ ..] => (*order, *letter, digits),
        [letter, digits @ ..] => (b'=', *letter, digits),
        [] => return Err(unknown()),
    };
    let bytes = match (letter, digits) {
        (b'b' | b'i' | b'u', b"1") => 1,
        (b'f' | b'i' | b'u', b"2") => 2,
        (b'f' | b'i' | b'u', b"4") => 4,
        (b'f' | b'i' | b'u', b"8") => 8,
        _ => return Err(unknown()),
    };
    let big_endian = order == b'>' || (order == b'=' && cfg!(target_endian = "big"));
    Ok(Kind { letter, bytes, big_endian })
}

/// One element; `element` has as many bytes as its kind.
fn convert(kind: Kind, element: &[u8]) -> f32 {
    let mut bytes = [0; 8];
    bytes[..element.len()].copy_from_slice(element);
    if kind.big_endian {
        bytes[..element.len()].reverse();
    }
    let unsigned = u64::from_le_bytes(bytes);
    let unused = 64 - 8 * kind.bytes;
    match (kind.letter, kind.bytes) {
        (b'f', 2) => of_f16(unsigned as u16),
        (b'f', 4) => f32::from_bits(unsigned as u32),
        (b'f', _) => f64::from_bits(unsigned) as f32,
        (b'i', _) => ((unsigned << unused) as i64 >> unused) as f32,
        (b'b', _) => f32::from(u8::from(unsigned != 0)),
        _ => unsigned as f32,
    }
}

/// Values whose first axis is the fastest, with the last axis the fastest.
fn to_c_order(shape: Vec<usize>, values: &[f32]) -> Tensor {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &size in &shape {
        strides.push(stride);
        stride *= size;
    }
    let mut data = Vec::with_capacity(values.len());
    let (mut index, mut from) = (vec![0; shape.len()], 0);
    for _ in 0..values.len() {
        data.push(values[from]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
            from -= strides[axis] * shape[axis];
        }
    }
    Tensor { shape, data }
}
