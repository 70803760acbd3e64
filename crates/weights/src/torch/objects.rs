//! Tensors as PyTorch's pickles describe them.
//!
//! A tensor is a call of `torch._utils._rebuild_tensor_v2` (or one of its kin) with a storage, an offset into it, sizes and
//! strides, all counted in elements. A storage is an identification ("storage", type, key, device, elements) of what is kept
//! outside the pickle. Everything is checked against the storage's bytes before a value is read.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use net::SharedTensor;

use super::{Storages, shown};
use crate::Mapped;
use crate::floats::Float;
use crate::pickle::Value;

/// The type of a storage's elements: a float that is read, or another one, by PyTorch's name for it without `Storage`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Float(Float),
    Other(String),
}

impl Kind {
    /// The type that a storage class such as `FloatStorage` is of.
    pub(super) fn of_storage(value: Value) -> Option<Kind> {
        let (_, name) = value.global()?;
        let name = name.strip_suffix("Storage")?;
        Some(Kind::of_name(name).unwrap_or_else(|| Kind::Other(shown(name))))
    }

    /// The type called `torch.float32`.
    fn of_dtype(value: Value) -> Option<Kind> {
        let ("torch", name) = value.global()? else { return None };
        Some(match name {
            "float16" | "half" => Kind::Float(Float::F16),
            "bfloat16" => Kind::Float(Float::Bf16),
            "float32" | "float" => Kind::Float(Float::F32),
            "float64" | "double" => Kind::Float(Float::F64),
            _ => Kind::Other(shown(name)),
        })
    }

    fn of_name(name: &str) -> Option<Kind> {
        Some(Kind::Float(match name {
            "Half" => Float::F16,
            "BFloat16" => Float::Bf16,
            "Float" => Float::F32,
            "Double" => Float::F64,
            _ => return None,
        }))
    }

    /// Bytes of an element, where that is known.
    pub(super) fn bytes(&self) -> Option<usize> {
        match self {
            Kind::Float(float) => Some(float.bytes()),
            Kind::Other(name) => Some(match name.as_str() {
                "Byte" | "Char" | "Bool" | "QInt8" | "QUInt8" | "Untyped" => 1,
                "Short" => 2,
                "Int" | "QInt32" => 4,
                "Long" | "ComplexFloat" => 8,
                "ComplexDouble" => 16,
                _ => return None,
            }),
        }
    }
}

/// A storage as an identification names it.
pub(super) struct Storage<'p> {
    pub(super) kind: Kind,
    pub(super) key: std::borrow::Cow<'p, str>,
    pub(super) elements: usize,
    /// First element and elements of the part that is meant, where it is not all.
    view: Option<(usize, usize)>,
}

impl<'p> Storage<'p> {
    /// The storage that `value` stands for; `None` where it stands for something else.
    ///
    /// # Errors
    /// What is wrong with the identification.
    pub(super) fn of(value: Value<'p, '_>) -> Option<Result<Storage<'p>, String>> {
        let identification = value.persistent()?;
        let items: Vec<_> = identification.items()?.take(6).collect();
        let (tag, rest) = items.split_first()?;
        (tag.as_str() == Some("storage")).then_some(())?;
        let read = || {
            let kind = Kind::of_storage(*rest.first()?)?;
            let key = super::legacy::key(*rest.get(1)?)?;
            let elements = rest.get(3)?.as_usize()?;
            let view = match rest.get(4) {
                Some(view) if !view.is_none() => {
                    let mut view = view.items()?.skip(1);
                    Some((view.next()?.as_usize()?, view.next()?.as_usize()?))
                }
                _ => None,
            };
            Some(Storage { kind, key, elements, view })
        };
        Some(read().ok_or_else(|| "the identification of a storage is damaged".to_string()))
    }
}

/// A tensor: which elements of which bytes, checked.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) kind: Kind,
    /// Where its storage's bytes lie in the file.
    pub(super) bytes: Range<usize>,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// More axes than any tensor has.
const MOST_AXES: usize = 64;

impl Layout {
    /// How many values there are, all of which lie within the storage, which has no fewer.
    ///
    /// # Errors
    /// Where that is not so.
    pub(super) fn check(&self) -> Result<usize, String> {
        if self.shape.len() != self.strides.len() || self.shape.len() > MOST_AXES {
            return Err(format!("it has {} sizes and {} strides", self.shape.len(), self.strides.len()));
        }
        let Some(width) = self.kind.bytes() else { return Ok(0) };
        let held = self.bytes.len() / width;
        let count = self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size));
        if count == Some(0) {
            return Ok(0);
        }
        let steps = self.shape.iter().zip(&self.strides);
        let last =
            steps.into_iter().try_fold(self.offset, |at, (&size, &stride)| at.checked_add((size - 1).checked_mul(stride)?));
        match (count, last) {
            (Some(count), Some(last)) if last < held && count <= held => Ok(count),
            _ => Err(format!(
                "sizes {:?} with strides {:?} from {} on do not fit into its storage of {held} elements",
                self.shape, self.strides, self.offset
            )),
        }
    }

    /// Bytes of memory that it takes itself.
    pub(super) fn memory(&self) -> usize {
        size_of::<Layout>() + size_of_val(&*self.shape) + size_of_val(&*self.strides)
    }

    /// Whether values lie one behind the other in the order of the sizes, the slowest first.
    fn is_contiguous(&self) -> bool {
        let mut expected = 1usize;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected = expected.saturating_mul(size);
            fits
        })
    }

    /// The values, `count` of them, of a layout that has been checked.
    fn values(&self, file: &Mapped, float: Float, count: usize) -> Vec<f32> {
        let bytes = &file.bytes()[self.bytes.clone()];
        let (mut values, mut place, mut at) = (Vec::with_capacity(count), vec![0; self.shape.len()], self.offset);
        while values.len() < count {
            values.push(float.get(bytes, at).unwrap_or_default());
            // The next place: the last axis that is not at its end takes a step, those behind it begin anew.
            for axis in (0..place.len()).rev() {
                if place[axis] + 1 < self.shape[axis] {
                    place[axis] += 1;
                    at += self.strides[axis];
                    break;
                }
                at -= place[axis] * self.strides[axis];
                place[axis] = 0;
            }
        }
        values
    }
}

/// What the pickle's identifications stand for.
pub(super) struct Objects {
    pub(super) storages: Storages,
    /// Whole tensors by their number, in the oldest form.
    pub(super) tensors: HashMap<i64, Layout>,
}

/// How deep parameters may be wrapped: a parameter around a tensor, both around a subclass's.
const DEEPEST: usize = 8;

impl Objects {
    /// The tensor or parameter that `value` is; `None` where it is something else.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn tensor(&self, value: Value) -> Option<Result<Layout, String>> {
        let mut value = value;
        for _ in 0..DEEPEST {
            if let Some(identification) = value.persistent() {
                let number = identification.as_int().or_else(|| identification.as_str()?.parse().ok())?;
                return self.tensors.get(&number).cloned().map(Ok);
            }
            let ("torch._utils" | "torch._tensor", name) = value.class()? else { return None };
            match name {
                "_rebuild_parameter" | "_rebuild_parameter_with_state" => value = value.arg(0)?,
                // The function that makes the tensor, the class, that function's arguments.
                "_rebuild_from_type" | "_rebuild_from_type_v2" => {
                    let ("torch._utils", function) = value.arg(0)?.global()? else { return None };
                    let arguments: Vec<_> = value.arg(2)?.items()?.take(8).collect();
                    return Some(self.rebuilt(function, &arguments));
                }
                _ => {
                    let arguments: Vec<_> = value.args()?.take(8).collect();
                    return name.starts_with("_rebuild").then(|| self.rebuilt(name, &arguments));
                }
            }
        }
        None
    }

    /// The tensor that a function of `torch._utils` makes of these arguments.
    fn rebuilt(&self, function: &str, arguments: &[Value]) -> Result<Layout, String> {
        if !["_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"].contains(&function) {
            // Sparse, quantised and the like.
            return Ok(Layout { kind: Kind::Other(shown(function)), bytes: 0..0, offset: 0, shape: vec![], strides: vec![] });
        }
        let &[storage, offset, sizes, strides, ..] = arguments else {
            return Err(format!("`{}` has only {} arguments", shown(function), arguments.len()));
        };
        if storage.class() == Some(("torch.storage", "_load_from_bytes")) {
            return Err(
                "its values are a file within the file (`torch.storage._load_from_bytes`); save it with `torch.save`".into()
            );
        }
        let Some(found) = Storage::of(storage) else {
            return Err(format!("its storage is {}", storage.noun()));
        };
        let mut found = found?;
        if let ("_rebuild_tensor_v3", Some(dtype)) = (function, arguments.get(6)) {
            found.kind = Kind::of_dtype(*dtype).ok_or_else(|| format!("its type is {}", dtype.noun()))?;
        }
        let list = |what: &str, value: Value| {
            let items = value.items().filter(|items| items.len() <= MOST_AXES);
            let numbers = items.and_then(|items| items.map(Value::as_usize).collect::<Option<Vec<usize>>>());
            numbers.ok_or_else(|| format!("its {what} are no short list of whole numbers from 0 on"))
        };
        let (shape, strides) = (list("sizes", sizes)?, list("strides", strides)?);
        let offset = offset.as_usize().ok_or("its offset is no whole number from 0 on")?;
        let bytes = self.bytes_of(&found, function == "_rebuild_tensor_v3")?;
        Ok(Layout { kind: found.kind, bytes, offset, shape, strides })
    }

    /// Where the bytes of a storage lie; those of an untyped one are counted one by one.
    fn bytes_of(&self, storage: &Storage, untyped: bool) -> Result<Range<usize>, String> {
        let found = self.storages.get(&*storage.key).ok_or_else(|| format!("there is no storage `{}`", shown(&storage.key)))?;
        let range = found.clone()?;
        let width = if untyped { Some(1) } else { storage.kind.bytes() };
        let Some(width) = width else { return Ok(range) };
        let (first, elements) = storage.view.unwrap_or((0, storage.elements));
        let part = || {
            let start = range.start.checked_add(first.checked_mul(width)?)?;
            let end = start.checked_add(elements.checked_mul(width)?)?;
            (end <= range.end).then_some(start..end)
        };
        part().ok_or_else(|| {
            format!("storage `{}` has {} bytes, too few for {elements} elements", shown(&storage.key), range.len())
        })
    }
}

/// Makes tensors of layouts, and keeps account of the memory that their copies take.
pub(super) struct Maker<'f> {
    file: &'f Arc<Mapped>,
    left: usize,
}

/// Copies are at most this many times as large as the file: f16 doubles, and a few tensors may share a storage.
const MOST_COPIES: usize = 8;
/// Any file may have copies of this many bytes.
const ALWAYS: usize = 1 << 16;

impl<'f> Maker<'f> {
    pub(super) fn new(file: &'f Arc<Mapped>) -> Maker<'f> {
        Maker { file, left: file.bytes().len().saturating_mul(MOST_COPIES).saturating_add(ALWAYS) }
    }

    /// Takes note of `bytes` of memory.
    ///
    /// # Errors
    /// Where the file has had its share.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), String> {
        self.left =
            self.left.checked_sub(bytes).ok_or("its tensors would take many times as much memory as the file is large")?;
        Ok(())
    }

    /// The tensor of a layout; `None` where it is not of floats.
    ///
    /// # Errors
    /// What is wrong with the layout.
    pub(super) fn make(&mut self, layout: &Layout) -> Result<Option<SharedTensor>, String> {
        let Kind::Float(float) = layout.kind else { return Ok(None) };
        let count = layout.check()?;
        let shape = layout.shape.clone();
        if count == 0 {
            return Ok(Some(SharedTensor { shape, values: Arc::new(Vec::new()) }));
        }
        let start = layout.bytes.start + layout.offset * float.bytes();
        let range = start..start + count * float.bytes();
        let lies_well = layout.is_contiguous();
        let in_place = lies_well && float == Float::F32 && crate::map::as_f32(&self.file.bytes()[range.clone()]).is_some();
        if !in_place {
            self.charge(count.saturating_mul(4))?;
        }
        let values = if lies_well { float.share(self.file, range) } else { Arc::new(layout.values(self.file, float, count)) };
        Ok(Some(SharedTensor { shape, values }))
    }
}
