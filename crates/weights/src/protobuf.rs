//! Protocol buffers' wire format, read field by field where it lies, and written.
//!
//! A message is a sequence of fields, each a tag `number · 8 + wire type` and a value (the encoding page of the protocol
//! buffers' documentation). Nothing is allocated while reading, and nested messages are read only where someone asks, so
//! that a hostile file costs no more than its size.

use std::iter::FusedIterator;

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Wire type 0: every kind of integer, and booleans.
    Varint(u64),
    /// Wire type 1: eight bytes, little-endian.
    Fixed64([u8; 8]),
    /// Wire type 2: bytes, text, a message, or packed numbers.
    Bytes(&'a [u8]),
    /// Wire type 5: four bytes, little-endian.
    Fixed32([u8; 4]),
}

impl<'a> Value<'a> {
    /// An integer field's value: negative ones are written in ten bytes.
    pub fn int(self) -> Option<i64> {
        match self {
            Value::Varint(value) => Some(value as i64),
            _ => None,
        }
    }

    /// A float field's value.
    pub fn float(self) -> Option<f32> {
        match self {
            Value::Fixed32(bytes) => Some(f32::from_le_bytes(bytes)),
            _ => None,
        }
    }

    /// The bytes of a length-delimited field.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A text field's value; `None` where it is not UTF-8.
    pub fn text(self) -> Option<&'a str> {
        self.bytes().and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// A nested message.
    pub fn message(self) -> Option<Message<'a>> {
        self.bytes().map(Message)
    }

    /// The integers of one occurrence of a repeated field, packed or not.
    ///
    /// # Errors
    /// Where the field is of another kind or a packed number is cut off.
    pub fn ints(self, out: &mut Vec<i64>) -> Result<(), Fault> {
        match self {
            Value::Varint(value) => out.push(value as i64),
            Value::Bytes(mut rest) => {
                while !rest.is_empty() {
                    out.push(varint(&mut rest)? as i64);
                }
            }
            _ => return Err(Fault("a number of another kind where integers are expected")),
        }
        Ok(())
    }

    /// The floats of one occurrence of a repeated field, packed or not.
    ///
    /// # Errors
    /// Where the field is of another kind or a packed number is cut off.
    pub fn floats(self, out: &mut Vec<f32>) -> Result<(), Fault> {
        match self {
            Value::Fixed32(bytes) => out.push(f32::from_le_bytes(bytes)),
            Value::Bytes(bytes) => {
                let (fours, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(Fault("packed floats whose length is no multiple of 4"));
                }
                out.extend(fours.iter().map(|&four| f32::from_le_bytes(four)));
            }
            _ => return Err(Fault("a value of another kind where floats are expected")),
        }
        Ok(())
    }

    /// The doubles of one occurrence of a repeated field, packed or not.
    ///
    /// # Errors
    /// Where the field is of another kind or a packed number is cut off.
    pub fn doubles(self, out: &mut Vec<f64>) -> Result<(), Fault> {
        match self {
            Value::Fixed64(bytes) => out.push(f64::from_le_bytes(bytes)),
            Value::Bytes(bytes) => {
                let (eights, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Fault("packed doubles whose length is no multiple of 8"));
                }
                out.extend(eights.iter().map(|&eight| f64::from_le_bytes(eight)));
            }
            _ => return Err(Fault("a value of another kind where doubles are expected")),
        }
        Ok(())
    }
}

/// What is wrong with bytes that should be a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub &'static str);

/// A message's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a>(pub &'a [u8]);

impl<'a> Message<'a> {
    /// Its fields in the order in which they stand, each with its number. Ends behind the first fault.
    pub fn fields(self) -> Fields<'a> {
        Fields { rest: self.0 }
    }

    /// The values of the field of this number, in order.
    pub fn all(self, number: u32) -> impl Iterator<Item = Result<Value<'a>, Fault>> {
        self.fields().filter_map(move |field| match field {
            Ok((found, value)) if found == number => Some(Ok(value)),
            Ok(_) => None,
            Err(fault) => Some(Err(fault)),
        })
    }

    /// The last value of the field of this number, which is the one that counts.
    ///
    /// # Errors
    /// Where the message is cut off or has a field of an unknown kind.
    pub fn last(self, number: u32) -> Result<Option<Value<'a>>, Fault> {
        self.all(number).try_fold(None, |_, value| value.map(Some))
    }

    /// Whether every field can be read.
    ///
    /// # Errors
    /// The first fault.
    pub fn check(self) -> Result<(), Fault> {
        self.fields().try_for_each(|field| field.map(|_| ()))
    }
}

/// The fields of a message.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = field(&mut self.rest);
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl FusedIterator for Fields<'_> {}

fn field<'a>(rest: &mut &'a [u8]) -> Result<(u32, Value<'a>), Fault> {
    let tag = varint(rest)?;
    let number = u32::try_from(tag >> 3).ok().filter(|&number| number > 0 && number < 1 << 29);
    let number = number.ok_or(Fault("a field whose number is out of range"))?;
    let value = match tag & 7 {
        0 => Value::Varint(varint(rest)?),
        1 => Value::Fixed64(fixed(rest)?),
        2 => {
            let length = usize::try_from(varint(rest)?).ok().filter(|&length| length <= rest.len());
            let (bytes, behind) = rest.split_at(length.ok_or(Fault("a field that is longer than what is left"))?);
            *rest = behind;
            Value::Bytes(bytes)
        }
        5 => Value::Fixed32(fixed(rest)?),
        _ => return Err(Fault("a field of an unknown kind")),
    };
    Ok((number, value))
}

fn fixed<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (bytes, behind) = rest.split_first_chunk::<N>().ok_or(Fault("a number that is cut off"))?;
    *rest = behind;
    Ok(*bytes)
}

fn varint(rest: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0u64;
    for (i, &byte) in rest.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *rest = &rest[i + 1..];
            return Ok(value);
        }
    }
    Err(Fault("an integer that is cut off or longer than ten bytes"))
}

/// A message that is being written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty message.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// What has been written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// An integer field.
    pub fn int(&mut self, number: u32, value: i64) -> &mut Writer {
        self.tag(number, 0);
        self.varint(value as u64);
        self
    }

    /// A float field.
    pub fn float(&mut self, number: u32, value: f32) -> &mut Writer {
        self.tag(number, 5);
        self.bytes.extend(value.to_le_bytes());
        self
    }

    /// A text field.
    pub fn text(&mut self, number: u32, text: &str) -> &mut Writer {
        self.blob(number, text.as_bytes())
    }

    /// A field of bytes.
    pub fn blob(&mut self, number: u32, bytes: &[u8]) -> &mut Writer {
        self.head(number, bytes.len());
        self.bytes.extend(bytes);
        self
    }

    /// A nested message.
    pub fn message(&mut self, number: u32, message: Writer) -> &mut Writer {
        self.blob(number, &message.bytes)
    }

    /// A packed field of floats.
    pub fn floats(&mut self, number: u32, values: &[f32]) -> &mut Writer {
        self.head(number, 4 * values.len());
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self
    }

    /// A packed field of integers.
    pub fn ints(&mut self, number: u32, values: &[i64]) -> &mut Writer {
        let mut packed = Writer::new();
        values.iter().for_each(|&value| packed.varint(value as u64));
        self.blob(number, &packed.bytes)
    }

    /// Tag and length of a field whose bytes follow, for those who write them elsewhere.
    pub fn head(&mut self, number: u32, length: usize) -> &mut Writer {
        self.tag(number, 2);
        self.varint(length as u64);
        self
    }

    fn tag(&mut self, number: u32, kind: u64) {
        self.varint(u64::from(number) << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut inner = Writer::new();
        inner.text(1, "é").int(2, -3);
        let mut writer = Writer::new();
        writer.int(1, 300).message(4, inner).floats(5, &[1.5, -2.0]).float(5, 0.25).ints(7, &[0, 1 << 40, -1]).int(7, 9);
        writer.blob((1 << 29) - 1, &[0, 255]);
        writer.into_bytes()
    }

    #[test]
    fn the_documented_bytes_are_written() {
        // The encoding page's examples: 150 in field 1, and "testing" in field 2.
        let mut writer = Writer::new();
        writer.int(1, 150).text(2, "testing");
        assert_eq!(writer.into_bytes(), [&[0x08, 0x96, 0x01, 0x12, 0x07][..], b"testing"].concat());
    }

    #[test]
    fn what_is_written_is_read() {
        let bytes = sample();
        let message = Message(&bytes);
        assert_eq!(message.last(1).unwrap().unwrap().int(), Some(300));
        let inner = message.last(4).unwrap().unwrap().message().unwrap();
        assert_eq!((inner.last(1).unwrap().unwrap().text(), inner.last(2).unwrap().unwrap().int()), (Some("é"), Some(-3)));
        let (mut floats, mut ints) = (Vec::new(), Vec::new());
        message.all(5).for_each(|value| value.unwrap().floats(&mut floats).unwrap());
        message.all(7).for_each(|value| value.unwrap().ints(&mut ints).unwrap());
        assert_eq!((floats, ints), (vec![1.5, -2.0, 0.25], vec![0, 1 << 40, -1, 9]));
        assert_eq!(message.last((1 << 29) - 1).unwrap().unwrap().bytes(), Some(&[0, 255][..]));
        assert_eq!(message.last(6), Ok(None));
        assert_eq!(message.fields().count(), 7);
    }

    #[test]
    fn cut_off_messages_end_in_a_fault_or_at_a_field() {
        let bytes = sample();
        let ends: Vec<usize> = {
            let mut fields = Message(&bytes).fields();
            std::iter::from_fn(|| fields.next().map(|_| bytes.len() - fields.rest.len())).collect()
        };
        for length in 1..bytes.len() {
            let whole = ends.contains(&length);
            assert_eq!(Message(&bytes[..length]).check().is_ok(), whole, "{length}");
        }
    }

    #[test]
    fn hostile_fields_are_faults() {
        for (bytes, fault) in [
            (&[0x80; 11][..], "an integer that is cut off or longer than ten bytes"),
            (&[0x00, 0x01], "a field whose number is out of range"),
            (&[0x0b], "a field of an unknown kind"),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f], "a field that is longer than what is left"),
            (&[0x0d, 1, 2, 3], "a number that is cut off"),
        ] {
            assert_eq!(Message(bytes).check(), Err(Fault(fault)));
        }
        assert!(Value::Bytes(&[1, 2, 3]).floats(&mut Vec::new()).is_err());
        assert!(Value::Bytes(&[0x80]).ints(&mut Vec::new()).is_err());
        assert!(Value::Fixed64([0; 8]).ints(&mut Vec::new()).is_err());
    }
}
