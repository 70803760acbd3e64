//! Floating-point numbers as they lie in files, little-endian, and as f32.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::Mapped;
use crate::map::as_f32;

/// Values converted at a time, so that a write needs no second copy of a tensor.
pub(crate) const CHUNK: usize = 1 << 14;

/// Values that several may read.
pub(crate) type Shared = Arc<dyn AsRef<[f32]> + Send + Sync>;

/// A type of floating-point numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Float {
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an f32.
    Bf16,
    F32,
    F64,
}

impl Float {
    /// Bytes that one takes.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Float::F16 | Float::Bf16 => 2,
            Float::F32 => 4,
            Float::F64 => 8,
        }
    }

    /// The numbers in `bytes` as f32: of f64 the nearest, of the others exactly the same. Bytes behind the last whole
    /// number are left out.
    pub(crate) fn read(self, bytes: &[u8]) -> Vec<f32> {
        match self {
            Float::F16 => bytes.as_chunks().0.iter().map(|two| of_f16(u16::from_le_bytes(*two))).collect(),
            Float::Bf16 => bytes.as_chunks().0.iter().map(|two| of_bf16(u16::from_le_bytes(*two))).collect(),
            Float::F32 => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            Float::F64 => bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect(),
        }
    }

    /// The number at `index` of `bytes`; `None` beyond their end.
    pub(crate) fn get(self, bytes: &[u8], index: usize) -> Option<f32> {
        let rest = bytes.get(index.checked_mul(self.bytes())?..)?;
        Some(match self {
            Float::F16 => of_f16(u16::from_le_bytes(*rest.first_chunk()?)),
            Float::Bf16 => of_bf16(u16::from_le_bytes(*rest.first_chunk()?)),
            Float::F32 => f32::from_le_bytes(*rest.first_chunk()?),
            Float::F64 => f64::from_le_bytes(*rest.first_chunk()?) as f32,
        })
    }

    /// The numbers in a range of a mapped file: f32 where they lie, if the machine can read them there; else copies.
    pub(crate) fn share(self, file: &Arc<Mapped>, range: Range<usize>) -> Shared {
        let bytes = &file.bytes()[range.clone()];
        match as_f32(bytes) {
            Some(_) if self == Float::F32 => Arc::new(Part { file: Arc::clone(file), range }),
            _ => Arc::new(self.read(bytes)),
        }
    }
}

/// Values that lie in a mapped file.
struct Part {
    file: Arc<Mapped>,
    range: Range<usize>,
}

impl AsRef<[f32]> for Part {
    fn as_ref(&self) -> &[f32] {
        // The range was found readable when the part was made, and a map never moves.
        as_f32(&self.file.bytes()[self.range.clone()]).unwrap_or_default()
    }
}

/// Writes values as little-endian f32, a chunk at a time.
pub(crate) fn write_values(writer: &mut dyn Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 * CHUNK.min(values.len()));
    for values in values.chunks(CHUNK) {
        bytes.clear();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        writer.write_all(&bytes)?;
    }
    Ok(())
}

fn of_bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A sign, five bits of exponent (bias 15), ten of mantissa.
pub(crate) fn of_f16(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (u32::from(bits & 0x8000) << 16, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    match exponent {
        // Below the least normal number: a whole number of 2⁻²⁴, which f32 holds exactly.
        0 => f32::from_bits((mantissa as f32 * 2f32.powi(-24)).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | mantissa << 13),
        _ => f32::from_bits(sign | (exponent + 127 - 15) << 23 | mantissa << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every f16 against its definition, in f64.
    #[test]
    fn every_half_is_what_its_bits_say() {
        for bits in 0..=u16::MAX {
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let size = match exponent {
                0 => mantissa * 2f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (1024.0 + mantissa) * 2f64.powi(exponent - 25),
            };
            let (expected, got) = (if bits >> 15 == 1 { -size } else { size }, Float::F16.read(&bits.to_le_bytes())[0]);
            assert_eq!(got.is_nan(), expected.is_nan(), "{bits:#06x}");
            assert!(got.is_nan() || f64::from(got).to_bits() == expected.to_bits(), "{bits:#06x}: {got}, expected {expected}");
        }
    }

    #[test]
    fn numbers_are_read_in_order_and_one_by_one() {
        let of = |float: Float, bytes: &[u8]| {
            let all = float.read(bytes);
            let single: Vec<_> = (0..=all.len()).map_while(|index| float.get(bytes, index)).collect();
            assert_eq!(all, single);
            all
        };
        assert_eq!(of(Float::Bf16, &[0x80, 0x3f, 0x20, 0xc0, 9]), [1.0, -2.5]);
        assert_eq!(of(Float::F64, &[1.0f64, -0.1].map(f64::to_le_bytes).concat()), [1.0, -0.1]);
        assert_eq!(of(Float::F32, &[1.5f32, -0.1].map(f32::to_le_bytes).concat()), [1.5, -0.1]);
        assert_eq!(of(Float::F64, &f64::MAX.to_le_bytes()), [f32::INFINITY]);
        assert_eq!(Float::F64.get(&[0; 8], usize::MAX), None);
    }
}
