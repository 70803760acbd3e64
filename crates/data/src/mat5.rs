//! MATLAB's Level-5 MAT files, as far as a table of numbers, texts, cells and structs goes.
//!
//! After 128 bytes of header come elements: a tag of 8 bytes (type, length), the bytes, padding to 8; or the short form, in
//! which up to 4 bytes stand within the tag. A variable is an element of type `miMATRIX`, whose parts are elements again;
//! one of type `miCOMPRESSED` is a variable in a zlib stream. Arrays are stored column by column. (MAT-File Format, The
//! MathWorks, chapter 1.)

use std::io::Read;

/// Structs and cells deeper than this are a trap.
const MOST_DEPTH: usize = 16;

/// The most that a file's compressed variables together may unpack to.
const MOST_UNPACKED: u64 = 32 << 20;

/// More dimensions than any array of interest has.
const MOST_DIMENSIONS: usize = 32;

/// What a variable holds, its elements column by column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Numbers of any type, their real part; integers beyond 2⁵³ are rounded.
    Numbers(Vec<f64>),
    /// Characters.
    Text(String),
    /// Values of any kind.
    Cells(Vec<Value>),
    /// Field names, and element by element the value of each field.
    Structs {
        /// Names of the fields.
        fields: Vec<String>,
        /// `[elements, fields]`.
        values: Vec<Value>,
    },
    /// A kind that is not read: objects, sparse matrices, functions.
    Other,
}

/// The variables of a MAT file by name.
///
/// # Errors
/// What is wrong, and at which byte.
pub(crate) fn read(file: &[u8]) -> Result<Vec<(String, Value)>, String> {
    let header =
        file.get(..128).ok_or_else(|| format!("expected a MAT file's header of 128 bytes, found {} bytes", file.len()))?;
    let big = match &header[126..128] {
        b"IM" => false,
        b"MI" => true,
        _ => return Err("it is no MAT file of level 5: bytes 126 and 127 are not IM or MI".into()),
    };
    let mut elements = Elements { bytes: file, at: 128, big };
    let (mut variables, mut room) = (Vec::new(), MOST_UNPACKED);
    while elements.at < file.len() {
        let element = elements.next()?;
        match element.kind {
            Type::Compressed => {
                let bytes =
                    unpack(element.bytes, &mut room).map_err(|e| format!("byte {}: a compressed variable: {e}", element.at))?;
                let inner = Elements { bytes: &bytes, at: 0, big }.next();
                let matrix = inner.and_then(|inner| inner.matrix(big, 0));
                variables.push(matrix.map_err(|e| format!("in the compressed variable at byte {}: {e}", element.at))?);
            }
            Type::Matrix => variables.push(element.matrix(big, 0)?),
            // Nothing else is a variable.
            _ => {}
        }
    }
    Ok(variables)
}

fn unpack(bytes: &[u8], room: &mut u64) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::ZlibDecoder::new(bytes).take(*room + 1);
    reader.read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
    let left = room.checked_sub(unpacked.len() as u64);
    *room = left.ok_or_else(|| format!("with it, the file unpacks to more than {MOST_UNPACKED} bytes"))?;
    Ok(unpacked)
}

/// The types of elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
    I64,
    U64,
    Matrix,
    Compressed,
    Utf8,
    Utf16,
    Utf32,
}

impl Type {
    fn of(number: u32) -> Option<Type> {
        use Type::*;
        Some(match number {
            1 => I8,
            2 => U8,
            3 => I16,
            4 => U16,
            5 => I32,
            6 => U32,
            7 => F32,
            9 => F64,
            12 => I64,
            13 => U64,
            14 => Matrix,
            15 => Compressed,
            16 => Utf8,
            17 => Utf16,
            18 => Utf32,
            _ => return None,
        })
    }
}

/// Elements, one after the other.
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

struct Element<'a> {
    /// Where it begins.
    at: usize,
    kind: Type,
    bytes: &'a [u8],
}

impl<'a> Elements<'a> {
    fn next(&mut self) -> Result<Element<'a>, String> {
        let at = self.at;
        let cut = |what: &str| format!("byte {at}: {what}, the data ends at byte {}", self.bytes.len());
        let tag =
            self.bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(|| cut("expected an element's tag"))?;
        let (first, second) = (word(&tag[..4], self.big), word(&tag[4..], self.big));
        let known = |number| Type::of(number).ok_or_else(|| format!("byte {at}: an element of unknown type {number}"));
        // The short form has the length in the upper half, which is 0 in the long one.
        if first >> 16 != 0 {
            let length = (first >> 16) as usize;
            if length > 4 {
                return Err(format!("byte {at}: a short element of {length} bytes, at most 4 fit"));
            }
            self.at = at + 8;
            return Ok(Element { at, kind: known(first & 0xffff)?, bytes: &self.bytes[at + 4..at + 4 + length] });
        }
        let (kind, length, start) = (known(first)?, second as usize, at + 8);
        let end = start.checked_add(length).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| cut(&format!("an element claims {length} bytes")))?;
        // Compressed elements are not padded; the last padding may be missing.
        let next = if kind == Type::Compressed { end } else { end.saturating_add((8 - length % 8) % 8) };
        self.at = next.min(self.bytes.len());
        Ok(Element { at, kind, bytes: &self.bytes[start..end] })
    }
}

fn word(bytes: &[u8], big: bool) -> u32 {
    let bytes = [bytes[0], bytes[1], bytes[2], bytes[3]];
    if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
}

impl Element<'_> {
    fn fault(&self, message: impl std::fmt::Display) -> String {
        format!("byte {}: {message}", self.at)
    }

    /// A variable: its name, empty within cells and structs, and its value. Places in messages count from the innermost array.
    fn matrix(&self, big: bool, depth: usize) -> Result<(String, Value), String> {
        if self.kind != Type::Matrix {
            return Err(self.fault(format!("expected an array, found {:?}", self.kind)));
        }
        if depth > MOST_DEPTH {
            return Err(self.fault(format!("arrays more than {MOST_DEPTH} deep")));
        }
        // What a cell or field holds that was never set.
        if self.bytes.is_empty() {
            return Ok((String::new(), Value::Numbers(Vec::new())));
        }
        let mut parts = Elements { bytes: self.bytes, at: 0, big };
        let flags = parts.next()?;
        let class = flags.bytes.get(..4).map(|flags| word(flags, big) & 0xff).ok_or_else(|| flags.fault("no array flags"))?;
        // These have no dimensions.
        if class == 17 {
            return Ok((String::new(), Value::Other));
        }
        let elements = parts.next()?.dimensions(big)?;
        let name = parts.next()?.text(big)?;
        let value = match class {
            1 => Value::Cells(values(&mut parts, elements, depth)?),
            2 => structs(&mut parts, elements, depth)?,
            4 => Value::Text(parts.next()?.text(big)?),
            6..=15 => {
                let part = parts.next()?;
                let numbers = part.numbers(big)?;
                if numbers.len() != elements {
                    return Err(part.fault(format!("{} numbers in an array of {elements}", numbers.len())));
                }
                Value::Numbers(numbers)
            }
            _ => Value::Other,
        };
        Ok((name, value))
    }

    /// Number of elements of an array with these dimensions.
    fn dimensions(&self, big: bool) -> Result<usize, String> {
        let dimensions = self.numbers(big)?;
        if dimensions.len() > MOST_DIMENSIONS || self.kind != Type::I32 {
            return Err(self.fault("no dimensions"));
        }
        let product =
            dimensions.iter().try_fold(1usize, |product, &n| if n < 0.0 { None } else { product.checked_mul(n as usize) });
        product.ok_or_else(|| self.fault(format!("dimensions {dimensions:?}")))
    }

    /// The numbers of an element, whatever their type.
    fn numbers(&self, big: bool) -> Result<Vec<f64>, String> {
        macro_rules! all {
            ($type:ty) => {{
                const SIZE: usize = size_of::<$type>();
                let (chunks, rest) = self.bytes.as_chunks::<SIZE>();
                if !rest.is_empty() {
                    return Err(self.fault(format!("{} bytes are not whole numbers of {SIZE} bytes", self.bytes.len())));
                }
                let one = |chunk: &[u8; SIZE]| if big { <$type>::from_be_bytes(*chunk) } else { <$type>::from_le_bytes(*chunk) };
                chunks.iter().map(|chunk| one(chunk) as f64).collect()
            }};
        }
        Ok(match self.kind {
            Type::I8 => all!(i8),
            Type::U8 | Type::Utf8 => all!(u8),
            Type::I16 => all!(i16),
            Type::U16 | Type::Utf16 => all!(u16),
            Type::I32 => all!(i32),
            Type::U32 | Type::Utf32 => all!(u32),
            Type::F32 => all!(f32),
            Type::F64 => all!(f64),
            Type::I64 => all!(i64),
            Type::U64 => all!(u64),
            Type::Matrix | Type::Compressed => return Err(self.fault("expected numbers, found an array")),
        })
    }

    /// Characters; what is none is replaced.
    fn text(&self, big: bool) -> Result<String, String> {
        if self.kind == Type::Utf8 {
            return Ok(String::from_utf8_lossy(self.bytes).into_owned());
        }
        let units = self.numbers(big)?;
        if self.kind == Type::Utf32 {
            return Ok(units.iter().map(|&unit| char::from_u32(unit as u32).unwrap_or(char::REPLACEMENT_CHARACTER)).collect());
        }
        // One byte a character is Latin-1 here, whose characters are the first of UTF-16.
        let unit = |&unit: &f64| if self.kind == Type::I8 { u16::from(unit as i8 as u8) } else { unit as u16 };
        Ok(String::from_utf16_lossy(&units.iter().map(unit).collect::<Vec<_>>()))
    }
}

/// `count` arrays, one after the other.
fn values(parts: &mut Elements<'_>, count: usize, depth: usize) -> Result<Vec<Value>, String> {
    // Each has a tag at least.
    let room = (parts.bytes.len() - parts.at) / 8;
    if count > room {
        return Err(format!("byte {}: {count} values are claimed where {room} have room", parts.at));
    }
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(parts.next()?.matrix(parts.big, depth + 1)?.1);
    }
    Ok(values)
}

fn structs(parts: &mut Elements<'_>, elements: usize, depth: usize) -> Result<Value, String> {
    let part = parts.next()?;
    let length = match part.numbers(parts.big)?[..] {
        [length] if length >= 1.0 => length as usize,
        _ => return Err(part.fault("no length of field names")),
    };
    let names = parts.next()?;
    let field = |name: &[u8]| String::from_utf8_lossy(name.split(|&byte| byte == 0).next().unwrap_or(&[])).into_owned();
    let fields: Vec<String> = names.bytes.chunks(length).map(field).collect();
    let count = elements.checked_mul(fields.len()).ok_or_else(|| part.fault("too many elements"))?;
    Ok(Value::Structs { values: values(parts, count, depth)?, fields })
}

#[cfg(test)]
mod tests;
