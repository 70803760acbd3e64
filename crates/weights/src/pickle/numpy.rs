//! NumPy's arrays and scalars in pickles.
//!
//! An array is `_reconstruct(type, (0,), b"b")` with the state `(version, shape, dtype, fortran, bytes)`, or since protocol 5
//! `_frombuffer(bytes, dtype, shape, order)`; a scalar is `scalar(dtype, bytes)`; a type is `dtype("f4", …)` with the order
//! of its bytes second in its state. (`numpy/_core/src/multiarray/methods.c` and `descriptor.c`, `__reduce__` and
//! `__setstate__`.)

use std::borrow::Cow;

use super::{Node, Value};
use crate::floats::of_f16;

/// The most bytes of text that stand for a scalar's: two for each of eight.
const LONGEST_SCALAR: usize = 16;

/// What the elements of an array are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Truth values of 1 byte.
    Bool,
    /// Integers of 1, 2, 4 or 8 bytes, in two's complement.
    Int,
    /// Integers of 1, 2, 4 or 8 bytes from 0 on.
    Uint,
    /// IEEE 754 of 2, 4 or 8 bytes.
    Float,
}

/// An array of numbers, as it lies in the pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array<'p> {
    shape: Vec<usize>,
    fortran: bool,
    dtype: Dtype,
    /// As many bytes as the shape and the type say.
    data: Cow<'p, [u8]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dtype {
    kind: Kind,
    item_bytes: usize,
    big_endian: bool,
}

impl<'p> Value<'p, '_> {
    /// Whether it is an array of NumPy, of numbers or of anything else.
    pub fn is_array(self) -> bool {
        self.class().is_some_and(|class| is_multiarray(class, "_reconstruct") || is_frombuffer(class))
    }

    /// An array of NumPy.
    ///
    /// # Errors
    /// What it is instead; or what is wrong with the array: its elements are no numbers, or its bytes are not as many as
    /// its shape says.
    pub fn array(self) -> Result<Array<'p>, String> {
        match self.class() {
            Some(class) if is_multiarray(class, "_reconstruct") => {
                let state: Vec<_> = self.state().and_then(Value::items).into_iter().flatten().collect();
                match state[..] {
                    // Before it had a version, the state began with the shape.
                    [shape, dtype, order, data] | [_, shape, dtype, order, data] => {
                        let fortran = order.as_bool().or(order.as_int().map(|order| order != 0));
                        checked(shape, dtype, fortran, data)
                    }
                    _ => Err("an array without its state".into()),
                }
            }
            Some(class) if is_frombuffer(class) => {
                let args: Vec<_> = self.args().into_iter().flatten().collect();
                match args[..] {
                    [data, dtype, shape, order] => {
                        let fortran = match order.as_str() {
                            Some("C") => Some(false),
                            Some("F") => Some(true),
                            _ => None,
                        };
                        checked(shape, dtype, fortran, data)
                    }
                    _ => Err(format!("an array of {} arguments, expected 4", args.len())),
                }
            }
            _ => Err(format!("{}, expected an array", self.noun())),
        }
    }

    /// A scalar of NumPy, as an array without axes.
    pub(super) fn scalar(self) -> Option<Array<'p>> {
        let class = self.class()?;
        if !is_multiarray(class, "scalar") {
            return None;
        }
        let (dtype, data) = (Dtype::of(self.arg(0)?).ok()?, self.arg(1)?);
        // Text that stands for bytes is made bytes each time, and many scalars may refer to one long text.
        if let Some(Node::Str(text)) = data.arg(0).map(Value::node)
            && text.len() > LONGEST_SCALAR
        {
            return None;
        }
        let data = data.as_bytes()?;
        (data.len() == dtype.item_bytes).then_some(Array { shape: Vec::new(), fortran: false, dtype, data })
    }
}

fn is_multiarray((module, name): (&str, &str), function: &str) -> bool {
    matches!(module, "numpy.core.multiarray" | "numpy._core.multiarray") && name == function
}

fn is_frombuffer((module, name): (&str, &str)) -> bool {
    matches!(module, "numpy.core.numeric" | "numpy._core.numeric") && name == "_frombuffer"
}

fn checked<'p>(
    shape: Value<'p, '_>,
    dtype: Value<'p, '_>,
    fortran: Option<bool>,
    data: Value<'p, '_>,
) -> Result<Array<'p>, String> {
    let dtype = Dtype::of(dtype)?;
    let axes: Option<Vec<usize>> = match shape.items() {
        Some(axes) => axes.map(Value::as_usize).collect(),
        None => shape.as_usize().map(|length| vec![length]),
    };
    let shape = axes.ok_or_else(|| format!("an array whose shape is {}", shape.noun()))?;
    let fortran = fortran.ok_or("an array of no known order")?;
    let data = data.as_bytes().ok_or_else(|| format!("an array whose content is {}", data.noun()))?;
    // An axis of length 0 makes any other axes' product nothing.
    let count = if shape.contains(&0) { Some(0) } else { shape.iter().try_fold(1usize, |n, axis| n.checked_mul(*axis)) };
    if count.and_then(|count| count.checked_mul(dtype.item_bytes)) != Some(data.len()) {
        let axes: Vec<_> = shape.iter().take(8).collect();
        return Err(format!("an array of shape {axes:?}, {} bytes an element, has {} bytes", dtype.item_bytes, data.len()));
    }
    Ok(Array { shape, fortran, dtype, data })
}

impl Dtype {
    fn of(value: Value) -> Result<Dtype, String> {
        if value.class() != Some(("numpy", "dtype")) {
            return Err(format!("an array whose type is {}", value.noun()));
        }
        let name = value.arg(0).and_then(Value::as_str).unwrap_or("");
        let (kind, item_bytes) = match name {
            "b1" | "?" => (Kind::Bool, 1),
            "i1" => (Kind::Int, 1),
            "i2" => (Kind::Int, 2),
            "i4" => (Kind::Int, 4),
            "i8" => (Kind::Int, 8),
            "u1" => (Kind::Uint, 1),
            "u2" => (Kind::Uint, 2),
            "u4" => (Kind::Uint, 4),
            "u8" => (Kind::Uint, 8),
            "f2" => (Kind::Float, 2),
            "f4" => (Kind::Float, 4),
            "f8" => (Kind::Float, 8),
            _ => {
                let name: String = name.chars().take(20).collect();
                return Err(format!("an array whose elements are of type `{}`", name.escape_debug()));
            }
        };
        let order = match value.state().map(Value::node) {
            Some(Node::Tuple(state)) => state.get(1).and_then(|id| value.pickle().value(*id).as_str()),
            _ => None,
        };
        match order {
            // `=` is the order of the machine that wrote; `|` says that there is none.
            None | Some("<" | "=" | "|") => Ok(Dtype { kind, item_bytes, big_endian: false }),
            Some(">") => Ok(Dtype { kind, item_bytes, big_endian: true }),
            Some(_) => Err("an array of an unknown order of bytes".into()),
        }
    }
}

impl Array<'_> {
    /// Lengths of the axes, outermost first; none for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Whether the first axis is the one whose neighbours lie side by side, rather than the last.
    pub fn fortran(&self) -> bool {
        self.fortran
    }

    /// What the elements are.
    pub fn kind(&self) -> Kind {
        self.dtype.kind
    }

    /// Bytes of an element.
    pub fn item_bytes(&self) -> usize {
        self.dtype.item_bytes
    }

    pub(super) fn is_bool(&self) -> bool {
        self.dtype.kind == Kind::Bool
    }

    /// The elements, the last axis innermost; those that f32 lacks are rounded to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        match (self.dtype.kind, self.dtype.item_bytes) {
            (Kind::Float, 2) => self.ordered(|bytes| of_f16(u16::from_le_bytes(bytes))),
            (Kind::Float, 4) => self.ordered(f32::from_le_bytes),
            (Kind::Float, _) => self.ordered(|bytes| f64::from_le_bytes(bytes) as f32),
            (Kind::Bool, _) => self.ordered(|bytes: [u8; 1]| if bytes == [0] { 0.0 } else { 1.0 }),
            (Kind::Int, 1) => self.ordered(|bytes| i8::from_le_bytes(bytes).into()),
            (Kind::Int, 2) => self.ordered(|bytes| i16::from_le_bytes(bytes).into()),
            (Kind::Int, 4) => self.ordered(|bytes| i32::from_le_bytes(bytes) as f32),
            (Kind::Int, _) => self.ordered(|bytes| i64::from_le_bytes(bytes) as f32),
            (Kind::Uint, 1) => self.ordered(|bytes| u8::from_le_bytes(bytes).into()),
            (Kind::Uint, 2) => self.ordered(|bytes| u16::from_le_bytes(bytes).into()),
            (Kind::Uint, 4) => self.ordered(|bytes| u32::from_le_bytes(bytes) as f32),
            (Kind::Uint, _) => self.ordered(|bytes| u64::from_le_bytes(bytes) as f32),
        }
    }

    /// As [`Array::to_f32`], in f64.
    pub fn to_f64(&self) -> Vec<f64> {
        match (self.dtype.kind, self.dtype.item_bytes) {
            (Kind::Float, 8) => self.ordered(f64::from_le_bytes),
            (Kind::Int, 4) => self.ordered(|bytes| i32::from_le_bytes(bytes).into()),
            (Kind::Int, 8) => self.ordered(|bytes| i64::from_le_bytes(bytes) as f64),
            (Kind::Uint, 4) => self.ordered(|bytes| u32::from_le_bytes(bytes).into()),
            (Kind::Uint, 8) => self.ordered(|bytes| u64::from_le_bytes(bytes) as f64),
            // f32 holds every other type.
            _ => self.to_f32().into_iter().map(f64::from).collect(),
        }
    }

    /// The elements where they are integers or truth values, the last axis innermost, and 64 bits with a sign hold them.
    pub fn integers(&self) -> Option<Vec<i64>> {
        Some(match (self.dtype.kind, self.dtype.item_bytes) {
            (Kind::Float, _) => return None,
            (Kind::Bool, _) => self.ordered(|bytes: [u8; 1]| (bytes != [0]).into()),
            (Kind::Int, 1) => self.ordered(|bytes| i8::from_le_bytes(bytes).into()),
            (Kind::Int, 2) => self.ordered(|bytes| i16::from_le_bytes(bytes).into()),
            (Kind::Int, 4) => self.ordered(|bytes| i32::from_le_bytes(bytes).into()),
            (Kind::Int, _) => self.ordered(i64::from_le_bytes),
            (Kind::Uint, 1) => self.ordered(|bytes| u8::from_le_bytes(bytes).into()),
            (Kind::Uint, 2) => self.ordered(|bytes| u16::from_le_bytes(bytes).into()),
            (Kind::Uint, 4) => self.ordered(|bytes| u32::from_le_bytes(bytes).into()),
            (Kind::Uint, _) => {
                let all: Option<Vec<i64>> =
                    self.ordered(|bytes| i64::try_from(u64::from_le_bytes(bytes)).ok()).into_iter().collect();
                all?
            }
        })
    }

    /// Elements of `N` bytes, which `convert` gets the lowest first, the last axis innermost.
    fn ordered<const N: usize, T>(&self, convert: impl Fn([u8; N]) -> T) -> Vec<T> {
        let elements = self.data.as_chunks::<N>().0;
        let big = self.dtype.big_endian;
        let convert = |mut bytes: [u8; N]| {
            if big {
                bytes.reverse();
            }
            convert(bytes)
        };
        // Axes of length 1 say nothing about the order; without them there are few.
        let axes: Vec<usize> = self.shape.iter().copied().filter(|axis| *axis != 1).collect();
        let [outer @ .., inner] = &axes[..] else { return elements.iter().copied().map(convert).collect() };
        if !self.fortran || outer.is_empty() || elements.is_empty() {
            return elements.iter().copied().map(convert).collect();
        }
        // Fortran's order: an axis' stride is the product of the axes before it.
        let stride: usize = outer.iter().product();
        let mut values = Vec::with_capacity(elements.len());
        let (mut index, mut start) = (vec![0; outer.len()], 0);
        loop {
            values.extend((0..*inner).map(|step| convert(elements[start + step * stride])));
            let mut axis = outer.len();
            let mut axis_stride = stride;
            loop {
                if axis == 0 {
                    return values;
                }
                axis -= 1;
                axis_stride /= outer[axis];
                index[axis] += 1;
                start += axis_stride;
                if index[axis] < outer[axis] {
                    break;
                }
                start -= axis_stride * outer[axis];
                index[axis] = 0;
            }
        }
    }
}
