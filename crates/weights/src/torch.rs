//! PyTorch's files (`.pth`, `.pt`), read without PyTorch and without running what is in them, and written.
//!
//! Such a file is a pickle in which storages are named, and the storages' bytes. There have been three forms
//! (`torch/serialization.py`): since PyTorch 1.6 a ZIP archive with a record for the pickle (`data.pkl`) and one for each storage
//! (`data/0`), before that a sequence of pickles and storages, and before 0.1.10 a tape archive of such sequences. All three are
//! recognised by their content. What is f32 and lies in the file as it should lie in memory stays there.
//!
//! Whatever was saved, the parameters are looked for in it: see [`read`].

mod legacy;
mod objects;
mod pack;
mod search;
mod write;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::pickle::Pickle;
use crate::{Error, Foreign, Mapped, Result, shown, zip};

pub use write::write_to;

/// The name of the pickle in the archive, behind the archive's own.
const PICKLE: &str = "data.pkl";

/// Whether a file of these bytes is of one of PyTorch's forms, damaged or not. An archive is where its first member is the
/// pickle, as in all that PyTorch writes, or any member is.
pub fn recognises(bytes: &[u8]) -> bool {
    let is_pickle = |name: &str| name == PICKLE || name.ends_with("/data.pkl");
    if is_archive(bytes) {
        return first_name(bytes).is_some_and(is_pickle)
            || zip::Archive::read(bytes).is_ok_and(|archive| archive.entries.iter().any(|entry| is_pickle(&entry.name)));
    }
    legacy::recognises(bytes) || legacy::recognises_tape(bytes)
}

fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The name of an archive's first member, by its own header.
fn first_name(bytes: &[u8]) -> Option<&str> {
    let length = u16::from_le_bytes(*bytes.get(26..)?.first_chunk()?);
    std::str::from_utf8(bytes.get(30..30 + usize::from(length))?).ok()
}

/// The parameters in a file of PyTorch.
///
/// They are taken from the dictionary with the most tensors (a state dict, alone or within a checkpoint), or from the modules
/// of a pickled `nn.Module`, under the names that its `state_dict()` would give. Where it was found is among the notes, unless
/// it is the whole file. Tensors of integers and other types than floats are listed by name. Floats of 16 and 64 bits are
/// converted; so that a small file cannot fill the memory, copies are at most eight times as large as the file.
///
/// # Errors
/// Names the file and what is wrong with it: damaged, big-endian, compressed, TorchScript, tensors outside of their storages, no
/// tensors at all, or functions called of which it is not known that they build plain values.
pub fn read(file: &Arc<Mapped>) -> Result<Foreign> {
    let bytes = file.bytes();
    let found = if is_archive(bytes) {
        read_archive(file)
    } else if legacy::recognises_tape(bytes) {
        legacy::read_tape(file)
    } else {
        legacy::read(file)
    };
    found.map_err(|message| unusable(file, message))
}

/// The record called `name` of a file in the form of an archive, such as another program put there; `None` where there is
/// none, or the file is of another form.
///
/// # Errors
/// Names the file and what is wrong with the archive.
pub fn record<'a>(file: &'a Mapped, name: &str) -> Result<Option<&'a [u8]>> {
    if !is_archive(file.bytes()) {
        return Ok(None);
    }
    Records::of(file.bytes()).and_then(|records| records.get(name)).map_err(|message| unusable(file, message))
}

fn unusable(file: &Mapped, message: String) -> Error {
    Error::Format { path: file.path().into(), format: "PyTorch", message }
}

/// The members of an archive, by their names behind the archive's own.
struct Records<'a> {
    bytes: &'a [u8],
    places: HashMap<String, Result<Range<usize>, String>>,
}

impl<'a> Records<'a> {
    /// Finds every member. Two of them under one name or in one place are an error: readers would differ on what they are.
    fn of(bytes: &'a [u8]) -> Result<Records<'a>, String> {
        let archive = zip::Archive::read(bytes)?;
        let bases = archive.entries.iter().filter_map(|entry| entry.name.strip_suffix(PICKLE));
        let base = bases.filter(|base| base.is_empty() || base.ends_with('/')).min_by_key(|base| base.matches('/').count());
        let base = base.ok_or_else(|| format!("it is an archive without a `{PICKLE}`"))?;
        let (mut places, mut spans) = (HashMap::new(), Vec::new());
        for entry in &archive.entries {
            let place = entry.place()?.ok_or_else(|| {
                format!("`{}` is compressed, which PyTorch never does: unpack the archive, and pack it anew without compression (`zip -0`)", shown(&entry.name))
            });
            spans.extend(place.clone().ok().filter(|place| !place.is_empty()));
            let Some(name) = entry.name.strip_prefix(base) else { continue };
            if places.insert(name.to_string(), place).is_some() {
                return Err(format!("two members are called `{}`", shown(&entry.name)));
            }
        }
        spans.sort_unstable_by_key(|span| span.start);
        if let Some(pair) = spans.windows(2).find(|pair| pair[0].end > pair[1].start) {
            return Err(format!("two members share the bytes from {}", pair[1].start));
        }
        Ok(Records { bytes, places })
    }

    /// The content of the member of this name; `None` where there is none.
    fn get(&self, name: &str) -> Result<Option<&'a [u8]>, String> {
        let place = self.places.get(name).cloned().transpose()?;
        Ok(place.and_then(|place| self.bytes.get(place)))
    }
}

fn read_archive(file: &Arc<Mapped>) -> Result<Foreign, String> {
    let records = Records::of(file.bytes())?;
    if records.get("constants.pkl")?.is_some() {
        return Err("it is a TorchScript program; save its `state_dict()` instead".into());
    }
    if let Some(order) = records.get("byteorder")?
        && order != b"little"
    {
        return Err(format!("its numbers are {}-endian, expected little-endian", shown(&String::from_utf8_lossy(order))));
    }
    let pickle = records.get(PICKLE)?.unwrap_or_default();
    let (pickle, _) = Pickle::read(pickle).map_err(|error| format!("`{PICKLE}`: {error}"))?;
    let storages =
        records.places.iter().filter_map(|(name, place)| Some((name.strip_prefix("data/")?.to_string(), place.clone())));
    search::parameters(file, &pickle, objects::Objects { storages: storages.collect(), tensors: HashMap::new() })
}

/// Where each storage lies, by its key; else why it cannot be read.
type Storages = HashMap<String, Result<Range<usize>, String>>;
