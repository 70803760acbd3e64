//! The two forms before archives: pickles and storages one behind the other, and those in a tape archive.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::objects::{Kind, Layout, Objects, Storage};
use super::{Storages, search, shown};
use crate::pickle::{Node, Pickle, Value};
use crate::{Foreign, Mapped};

/// The number that the second form begins with, 0x1950a86a20f9469cfc6c, as a pickle has it.
const MAGIC: &[u8] = &[0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The only version of it.
const VERSION: i64 = 1001;
/// The number is a few bytes from the beginning.
const NEAR: usize = 32;

pub(super) fn recognises(bytes: &[u8]) -> bool {
    bytes.first() == Some(&0x80) && bytes[..bytes.len().min(NEAR)].windows(MAGIC.len()).any(|part| part == MAGIC)
}

/// Keys are numbers, so longer ones are nobody's.
const LONGEST_KEY: usize = 100;

/// A storage's key: short text, or in the oldest files a number.
pub(super) fn key<'p>(value: Value<'p, '_>) -> Option<Cow<'p, str>> {
    let number = || value.as_int().map(|number| Cow::Owned(number.to_string()));
    value.as_str().filter(|text| text.len() <= LONGEST_KEY).map(Cow::Borrowed).or_else(number)
}

/// A part of the file that is read from front to back.
struct Stream<'a> {
    /// The file up to the part's end.
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Stream<'a> {
    fn pickle(&mut self, what: &str) -> Result<Pickle<'a>, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (pickle, length) = Pickle::read(rest).map_err(|error| format!("{what}, a pickle at byte {}: {error}", self.at))?;
        self.at += length;
        Ok(pickle)
    }

    fn take(&mut self, length: usize) -> Option<Range<usize>> {
        let range = self.at..self.at.checked_add(length)?;
        self.bytes.get(range.clone())?;
        self.at = range.end;
        Some(range)
    }

    fn i64(&mut self) -> Option<i64> {
        let range = self.take(8)?;
        self.bytes[range].first_chunk().copied().map(i64::from_le_bytes)
    }

    fn sizes(&mut self, count: usize) -> Option<Vec<usize>> {
        // Grows as it is read: the count is only claimed.
        (0..count).map(|_| usize::try_from(self.i64()?).ok()).collect()
    }

    /// A storage's number of elements, and their bytes.
    fn storage(&mut self, kind: &Kind, key: &str) -> Result<Range<usize>, String> {
        let Some(width) = kind.bytes() else {
            return Err(format!("storage `{}` is of an unknown type", shown(key)));
        };
        let elements = self.i64().ok_or_else(|| format!("it is cut off before storage `{}`", shown(key)))?;
        let range = usize::try_from(elements).ok().and_then(|elements| self.take(elements.checked_mul(width)?));
        range.ok_or_else(|| format!("it is cut off: storage `{}` should have {elements} elements", shown(key)))
    }
}

/// Reads the second form: a magic number, a version, what machine it is from, the object, the keys of its storages, and these.
pub(super) fn read(file: &Arc<Mapped>) -> Result<Foreign, String> {
    let mut stream = Stream { bytes: file.bytes(), at: 0 };
    let magic = stream.pickle("its magic number")?;
    if !matches!(magic.root().node(), Node::Long(bytes) if **bytes == *MAGIC) {
        return Err("it does not begin with the magic number of PyTorch's older form".into());
    }
    let version = stream.pickle("its version")?;
    if version.root().as_int() != Some(VERSION) {
        return Err(format!("it is of another version than {VERSION}"));
    }
    let machine = stream.pickle("what it says of its machine")?;
    if machine.root().get("little_endian").and_then(Value::as_bool) != Some(true) {
        return Err("its numbers are not little-endian".into());
    }
    let object = stream.pickle("its object")?;
    let kinds = kinds(&object)?;
    let keys = stream.pickle("its list of storages")?;
    let keys = keys.root();
    let mut storages = Storages::new();
    for value in keys.items().ok_or_else(|| format!("its list of storages is {}", keys.noun()))? {
        let key = key(value).ok_or_else(|| format!("the key of a storage is {}", value.noun()))?;
        let kind = kinds.get(&*key).ok_or_else(|| format!("storage `{}` is nowhere used", shown(&key)))?;
        let range = stream.storage(kind, &key)?;
        if storages.insert(key.to_string(), Ok(range)).is_some() {
            return Err(format!("storage `{}` is listed twice", shown(&key)));
        }
    }
    search::parameters(file, &object, Objects { storages, tensors: HashMap::new() })
}

/// The type of each storage that the pickle names.
fn kinds(pickle: &Pickle) -> Result<HashMap<String, Kind>, String> {
    let mut kinds = HashMap::new();
    for value in pickle.values() {
        if let Some(storage) = Storage::of(value) {
            let storage = storage?;
            kinds.entry(storage.key.into_owned()).or_insert(storage.kind);
        }
    }
    Ok(kinds)
}

/// Bytes of a tape archive's blocks and headers.
const BLOCK: usize = 512;

/// Whether the file begins with the header of one of the members that the oldest form has.
pub(super) fn recognises_tape(bytes: &[u8]) -> bool {
    let name = member(bytes, 0).map(|(name, _)| name);
    name.is_some_and(|name| ["sys_info", "pickle", "storages", "tensors"].contains(&name))
}

/// The name of the tape archive's member whose header is at `at`, and where its content lies.
fn member(bytes: &[u8], at: usize) -> Option<(&str, Range<usize>)> {
    let header = bytes.get(at..at.checked_add(BLOCK)?)?;
    let text = |field: Range<usize>| {
        let field = header.get(field)?;
        std::str::from_utf8(field.split(|byte| *byte == 0).next()?).ok()
    };
    let octal = |field| usize::from_str_radix(text(field)?.trim(), 8).ok();
    // The checksum counts itself as spaces.
    let sum: usize =
        header.iter().enumerate().map(|(i, byte)| usize::from(if (148..156).contains(&i) { b' ' } else { *byte })).sum();
    (octal(148..156)? == sum).then_some(())?;
    let start = at + BLOCK;
    let end = start.checked_add(octal(124..136)?)?;
    let name = text(0..100)?;
    (end <= bytes.len()).then_some((name.strip_prefix("./").unwrap_or(name), start..end))
}

/// Reads the oldest form: a tape archive whose `storages` and `tensors` are sequences of pickles and numbers, and whose
/// `pickle` refers to the tensors by their numbers.
pub(super) fn read_tape(file: &Arc<Mapped>) -> Result<Foreign, String> {
    let bytes = file.bytes();
    let (mut at, mut members) = (0, HashMap::new());
    while let Some((name, content)) = member(bytes, at) {
        at = content.end.next_multiple_of(BLOCK);
        members.entry(name).or_insert(content);
    }
    let stream = |name: &str| {
        let content = members.get(name).ok_or_else(|| format!("it is a tape archive without `{name}`"))?;
        Ok::<_, String>(Stream { bytes: &bytes[..content.end], at: content.start })
    };
    let held = tape_storages(stream("storages")?)?;
    let tensors = tape_tensors(stream("tensors")?, &held)?;
    let object = stream("pickle")?.pickle("its object")?;
    search::parameters(file, &object, Objects { storages: Storages::new(), tensors })
}

fn tape_storages(mut stream: Stream) -> Result<HashMap<i64, (Kind, Range<usize>)>, String> {
    let damaged = || "what it says of a storage is damaged".to_string();
    let mut held = HashMap::new();
    let count = stream.pickle("its number of storages")?.root().as_usize().ok_or_else(damaged)?;
    for _ in 0..count {
        let pickle = stream.pickle("a storage")?;
        let value = pickle.root();
        let items: Vec<_> = value.items().ok_or_else(damaged)?.take(3).collect();
        let &[key, _, class] = &items[..] else { return Err(damaged()) };
        let (key, kind) = (key.as_int().ok_or_else(damaged)?, Kind::of_storage(class).ok_or_else(damaged)?);
        let range = stream.storage(&kind, &key.to_string())?;
        held.insert(key, (kind, range));
    }
    // Parts of storages that are storages themselves.
    let views = stream.pickle("its list of views")?;
    for view in views.root().items().ok_or_else(damaged)? {
        let numbers: Option<Vec<_>> = view.items().and_then(|items| items.take(4).map(Value::as_int).collect());
        let Some(&[target, root, first, elements]) = numbers.as_deref() else { return Err(damaged()) };
        let (kind, range) = held.get(&root).ok_or_else(damaged)?.clone();
        let part = || {
            let width = kind.bytes()?;
            let start = range.start.checked_add(usize::try_from(first).ok()?.checked_mul(width)?)?;
            let end = start.checked_add(usize::try_from(elements).ok()?.checked_mul(width)?)?;
            (end <= range.end).then_some(start..end)
        };
        let part = part().ok_or_else(damaged)?;
        held.insert(target, (kind, part));
    }
    Ok(held)
}

fn tape_tensors(mut stream: Stream, held: &HashMap<i64, (Kind, Range<usize>)>) -> Result<HashMap<i64, Layout>, String> {
    let damaged = || "what it says of a tensor is damaged".to_string();
    let mut tensors = HashMap::new();
    let count = stream.pickle("its number of tensors")?.root().as_usize().ok_or_else(damaged)?;
    for _ in 0..count {
        let pickle = stream.pickle("a tensor")?;
        let numbers: Option<Vec<_>> = pickle.root().items().and_then(|items| items.take(2).map(Value::as_int).collect());
        let Some(&[key, storage]) = numbers.as_deref() else { return Err(damaged()) };
        let (kind, bytes) = held.get(&storage).ok_or_else(damaged)?.clone();
        let read = || {
            // Four bytes of axes, and four of nothing.
            let axes = usize::try_from(stream.i64()? as i32).ok()?;
            let (shape, strides) = (stream.sizes(axes)?, stream.sizes(axes)?);
            let offset = usize::try_from(stream.i64()?).ok()?;
            Some(Layout { kind, bytes, offset, shape, strides })
        };
        let layout = read().ok_or_else(damaged)?;
        layout.check().map_err(|why| format!("tensor {key}: {why}"))?;
        tensors.insert(key, layout);
    }
    Ok(tensors)
}
