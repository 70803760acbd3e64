//! Constants: where their values lie, and how they become numbers.

use std::ops::Range;
use std::sync::Arc;

use net::SharedTensor;

use super::read::unusable;
use crate::floats::{Float, Shared};
use crate::protobuf::{Fault, Message};
use crate::{Mapped, Result};

/// The type of a tensor's elements, as `TensorProto.DataType` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// 1: IEEE 754 binary32.
    F32,
    /// 2: unsigned, one byte.
    U8,
    /// 3: signed, one byte.
    I8,
    /// 6: signed, four bytes.
    I32,
    /// 7: signed, eight bytes.
    I64,
    /// 9: one byte, 0 or 1.
    Bool,
    /// 10: IEEE 754 binary16.
    F16,
    /// 11: IEEE 754 binary64.
    F64,
    /// 16: the upper half of a binary32.
    BF16,
    /// Any other.
    Other(i64),
}

impl ElementType {
    pub(super) fn of_number(number: i64) -> ElementType {
        match number {
            1 => ElementType::F32,
            2 => ElementType::U8,
            3 => ElementType::I8,
            6 => ElementType::I32,
            7 => ElementType::I64,
            9 => ElementType::Bool,
            10 => ElementType::F16,
            11 => ElementType::F64,
            16 => ElementType::BF16,
            other => ElementType::Other(other),
        }
    }

    pub(super) fn number(self) -> i64 {
        match self {
            ElementType::F32 => 1,
            ElementType::U8 => 2,
            ElementType::I8 => 3,
            ElementType::I32 => 6,
            ElementType::I64 => 7,
            ElementType::Bool => 9,
            ElementType::F16 => 10,
            ElementType::F64 => 11,
            ElementType::BF16 => 16,
            ElementType::Other(other) => other,
        }
    }

    fn float(self) -> Option<Float> {
        match self {
            ElementType::F16 => Some(Float::F16),
            ElementType::BF16 => Some(Float::Bf16),
            ElementType::F32 => Some(Float::F32),
            ElementType::F64 => Some(Float::F64),
            _ => None,
        }
    }

    /// Bytes of an element where tensors are raw bytes; `None` for types that are not read.
    fn bytes(self) -> Option<usize> {
        match self {
            ElementType::U8 | ElementType::I8 | ElementType::Bool => Some(1),
            ElementType::I32 => Some(4),
            ElementType::I64 => Some(8),
            _ => self.float().map(Float::bytes),
        }
    }
}

impl std::fmt::Display for ElementType {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            ElementType::F32 => "float",
            ElementType::U8 => "uint8",
            ElementType::I8 => "int8",
            ElementType::I32 => "int32",
            ElementType::I64 => "int64",
            ElementType::Bool => "bool",
            ElementType::F16 => "float16",
            ElementType::F64 => "double",
            ElementType::BF16 => "bfloat16",
            ElementType::Other(number) => return write!(f, "type {number}"),
        })
    }
}

/// A constant, whose values are made numbers when someone asks for them.
#[derive(Clone)]
pub struct Tensor {
    /// The type of its elements.
    pub element: ElementType,
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    pub(super) values: Values,
}

/// Where a constant's values are.
#[derive(Clone)]
pub(super) enum Values {
    /// End to end in a mapped file, little-endian.
    Raw(Arc<Mapped>, Range<usize>),
    /// In repeated fields of the `TensorProto` that lies in this part of a mapped file.
    Fields(Arc<Mapped>, Range<usize>),
    /// In memory.
    Floats(Shared),
    /// In memory.
    Ints(Vec<i64>),
}

/// Fields of `TensorProto` that hold values.
const FLOAT_DATA: u32 = 4;
const INT32_DATA: u32 = 5;
const INT64_DATA: u32 = 7;
const DOUBLE_DATA: u32 = 10;

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tensor").field("element", &self.element).field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Tensor {
    /// A constant of f32.
    pub fn of_floats(tensor: &SharedTensor) -> Tensor {
        let values = Values::Floats(Arc::clone(&tensor.values));
        Tensor { element: ElementType::F32, shape: tensor.shape.clone(), values }
    }

    /// A constant of 64-bit integers.
    pub fn of_ints(shape: Vec<usize>, values: Vec<i64>) -> Tensor {
        Tensor { element: ElementType::I64, shape, values: Values::Ints(values) }
    }

    /// How many bytes of a file or of memory hold its values: at least one for each.
    pub fn held_bytes(&self) -> usize {
        match &self.values {
            Values::Raw(_, range) | Values::Fields(_, range) => range.len(),
            Values::Floats(values) => size_of_val((**values).as_ref()),
            Values::Ints(values) => size_of_val(&**values),
        }
    }

    /// How many values the shape asks for, where that can be counted.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size))
    }

    /// Its values as f32: where they lie if they are f32 and aligned there, else converted.
    ///
    /// # Errors
    /// Where they are of no floating type, or not as many as the shape says; names the file.
    pub fn floats(&self) -> Result<SharedTensor> {
        let float = |file: &Mapped| self.element.float().ok_or_else(|| self.not(file, "floating"));
        let values: Shared = match &self.values {
            Values::Floats(values) => Arc::clone(values),
            Values::Ints(_) => Arc::new(Vec::new()),
            Values::Raw(file, range) => float(file)?.share(file, range.clone()),
            Values::Fields(file, range) => {
                let message = Message(file.bytes().get(range.clone()).unwrap_or_default());
                let values = of_fields(float(file)?, message);
                Arc::new(values.map_err(|fault| unusable(file.path(), fault.to_string()))?)
            }
        };
        self.check_count((*values).as_ref().len())?;
        Ok(SharedTensor { shape: self.shape.clone(), values })
    }

    /// Its values as integers.
    ///
    /// # Errors
    /// Where they are of no integer type, or not as many as the shape says; names the file.
    pub fn ints(&self) -> Result<Vec<i64>> {
        let values = match &self.values {
            Values::Ints(values) => values.clone(),
            Values::Floats(_) => Vec::new(),
            Values::Raw(file, range) => {
                let bytes = file.bytes().get(range.clone()).unwrap_or_default();
                match self.element {
                    ElementType::I64 => bytes.as_chunks().0.iter().map(|&eight| i64::from_le_bytes(eight)).collect(),
                    ElementType::I32 => bytes.as_chunks().0.iter().map(|&four| i64::from(i32::from_le_bytes(four))).collect(),
                    ElementType::U8 | ElementType::Bool => bytes.iter().map(|&byte| i64::from(byte)).collect(),
                    ElementType::I8 => bytes.iter().map(|&byte| i64::from(byte as i8)).collect(),
                    _ => return Err(self.not(file, "integer")),
                }
            }
            Values::Fields(file, range) => {
                let field = match self.element {
                    ElementType::I64 => INT64_DATA,
                    ElementType::I32 | ElementType::U8 | ElementType::I8 | ElementType::Bool => INT32_DATA,
                    _ => return Err(self.not(file, "integer")),
                };
                let message = Message(file.bytes().get(range.clone()).unwrap_or_default());
                let mut values = Vec::new();
                let read = message.all(field).try_for_each(|value| value?.ints(&mut values));
                read.map_err(|fault| unusable(file.path(), fault.to_string()))?;
                values
            }
        };
        self.check_count(values.len())?;
        Ok(values)
    }

    /// Whether another constant has the same type, shape and bits.
    pub fn same(&self, other: &Tensor) -> bool {
        let bits = |tensor: &Tensor| -> Option<Vec<u32>> {
            Some(tensor.floats().ok()?.data().iter().map(|value| value.to_bits()).collect())
        };
        let ints = |tensor: &Tensor| tensor.ints().ok();
        self.element == other.element
            && self.shape == other.shape
            && match self.element {
                ElementType::F32 => bits(self).is_some_and(|mine| Some(mine) == bits(other)),
                _ => ints(self).is_some_and(|mine| Some(mine) == ints(other)),
            }
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if self.count() == Some(count) {
            return Ok(());
        }
        let message = format!("a tensor of shape {:?} holds {count} values", self.shape);
        Err(match &self.values {
            Values::Raw(file, _) | Values::Fields(file, _) => unusable(file.path(), message),
            Values::Floats(_) | Values::Ints(_) => unusable(std::path::Path::new(""), message),
        })
    }

    fn not(&self, file: &Mapped, kind: &str) -> crate::Error {
        unusable(file.path(), format!("a tensor of {} stands where {kind} numbers are expected", self.element))
    }

    /// Whether the bytes of a raw tensor are as many as its shape and type ask for; types that are not read may be anything.
    pub(super) fn fits(&self) -> bool {
        match (&self.values, self.element.bytes()) {
            (Values::Raw(_, range), Some(bytes)) => self.count().and_then(|n| n.checked_mul(bytes)) == Some(range.len()),
            _ => true,
        }
    }

    /// Bytes that its shape and type ask for, where they can be counted.
    pub(super) fn expected_bytes(&self) -> Option<usize> {
        self.count()?.checked_mul(self.element.bytes()?)
    }
}

fn of_fields(float: Float, message: Message<'_>) -> Result<Vec<f32>, Fault> {
    let mut values = Vec::new();
    match float {
        Float::F32 => message.all(FLOAT_DATA).try_for_each(|value| value?.floats(&mut values))?,
        Float::F64 => {
            let mut doubles = Vec::new();
            message.all(DOUBLE_DATA).try_for_each(|value| value?.doubles(&mut doubles))?;
            values = doubles.into_iter().map(|value| value as f32).collect();
        }
        // The bits of two-byte numbers stand in integers.
        Float::F16 | Float::Bf16 => {
            let mut bits = Vec::new();
            message.all(INT32_DATA).try_for_each(|value| value?.ints(&mut bits))?;
            let bytes: Vec<u8> = bits.into_iter().flat_map(|bits| (bits as u16).to_le_bytes()).collect();
            values = float.read(&bytes);
        }
    }
    Ok(values)
}
