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
mod search;
mod write;
mod zip;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::pickle::Pickle;
use crate::{Error, Foreign, Mapped, Result};

pub use write::write_to;

/// The name of the pickle in the archive, behind the archive's own.
const PICKLE: &str = "data.pkl";

/// Whether a file of these bytes is of one of PyTorch's forms, damaged or not. An archive is where its first member is the
/// pickle, as in all that PyTorch writes, or any member is.
pub fn recognises(bytes: &[u8]) -> bool {
    let of_pickle = |name: &str| name == PICKLE || name.ends_with("/data.pkl");
    if zip::begins(bytes) {
        return zip::first_name(bytes).is_some_and(of_pickle)
            || zip::Archive::read(bytes).is_ok_and(|archive| archive.members().iter().any(|member| of_pickle(member.name)));
    }
    legacy::recognises(bytes) || legacy::recognises_tape(bytes)
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
    let found = if zip::begins(bytes) {
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
    let bytes = file.bytes();
    let find = || {
        let archive = zip::Archive::read(bytes)?;
        let found = archive.find(&format!("{}{name}", base(&archive)?))?;
        Ok(found.and_then(|range| bytes.get(range)))
    };
    if zip::begins(bytes) { find().map_err(|message| unusable(file, message)) } else { Ok(None) }
}

fn unusable(file: &Mapped, message: String) -> Error {
    Error::Format { path: file.path().into(), format: "PyTorch", message }
}

/// What all names in the archive begin with: what stands before the pickle's.
fn base<'a>(archive: &zip::Archive<'a>) -> Result<&'a str, String> {
    let bases = archive
        .members()
        .iter()
        .filter_map(|member| member.name.strip_suffix(PICKLE).filter(|base| base.is_empty() || base.ends_with('/')));
    let mut bases: Vec<_> = bases.collect();
    bases.sort_unstable_by_key(|base| base.matches('/').count());
    bases.first().copied().ok_or_else(|| format!("it is an archive without a `{PICKLE}`"))
}

fn read_archive(file: &Arc<Mapped>) -> Result<Foreign, String> {
    let bytes = file.bytes();
    let archive = zip::Archive::read(bytes)?;
    let base = base(&archive)?;
    let find = |name: &str| Ok::<_, String>(archive.find(&format!("{base}{name}"))?.and_then(|range| bytes.get(range)));
    if find("constants.pkl")?.is_some() {
        return Err("it is a TorchScript program; save its `state_dict()` instead".into());
    }
    if let Some(order) = find("byteorder")?
        && order != b"little"
    {
        return Err(format!("its numbers are {}-endian, expected little-endian", shown(&String::from_utf8_lossy(order))));
    }
    let pickle = find(PICKLE)?.unwrap_or_default();
    let (pickle, _) = Pickle::read(pickle).map_err(|error| format!("`{PICKLE}`: {error}"))?;
    let data = format!("{base}data/");
    let mut storages = HashMap::new();
    for member in archive.members() {
        if let Some(key) = member.name.strip_prefix(&data) {
            storages.insert(key.to_string(), member.content.clone().map_err(|why| format!("storage `{}` is {why}", shown(key))));
        }
    }
    search::parameters(file, &pickle, objects::Objects { storages, tensors: HashMap::new() })
}

/// Where each storage lies, by its key; else why it cannot be read.
type Storages = HashMap<String, Result<Range<usize>, String>>;

/// A name out of a file, for an error: on one line, and not endless.
fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let shown: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() { shown + "…" } else { shown }
}
