//! What lies at a path that is no data set.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use super::folders::{entries, is_image};
use crate::Error;
use crate::decode::Format;
use crate::error::count;

/// How many leading bytes of a file are looked at: enough for the mark of a tar archive.
const HEAD_BYTES: usize = 512;

/// The first bytes of a file, at most `most`; nothing where it cannot be read.
pub(super) fn head(path: &Path, most: usize) -> Vec<u8> {
    let mut head = Vec::new();
    if let Ok(file) = fs::File::open(path) {
        let _ = file.take(most as u64).read_to_end(&mut head);
    }
    head
}

/// What a folder holds, by kind: `3 folders, 40 .jpg, 12 .txt`.
pub(super) fn listing(folder: &Path) -> String {
    const SHOWN: usize = 8;
    let Ok(entries) = entries(folder) else { return "what cannot be listed".into() };
    let folders = entries.iter().filter(|entry| entry.is_dir).count();
    let mut kinds = BTreeMap::new();
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        let extension = Path::new(&entry.name).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        *kinds.entry(extension).or_insert(0usize) += 1;
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
    let mut parts: Vec<String> = (folders > 0).then(|| count(folders, "folder", "folders")).into_iter().collect();
    parts.extend(kinds.iter().take(SHOWN).map(|(kind, n)| match kind {
        Some(extension) => format!("{n} .{extension}"),
        None => count(*n, "file without extension", "files without extension"),
    }));
    if kinds.len() > SHOWN {
        let others = kinds[SHOWN..].iter().map(|(_, n)| n).sum();
        parts.push(count(others, "other file", "other files"));
    }
    if parts.is_empty() { "nothing".into() } else { parts.join(", ") }
}

/// What to say about a file that no layout reads.
pub(super) fn other_file(path: &Path) -> Error {
    let head = head(path, HEAD_BYTES);
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let other =
        |what: &str, instead: String| Error::OtherForm { path: path.into(), found: format!("it is a file, {what}"), instead };
    let image = || "a data set has a folder of images for each class; `alexnet predict` takes single images".to_string();
    let unpack = |command: &str| format!("unpack it, `{command}`, and give the folder that comes out of it: --data DIR");
    let tar = || unpack(&format!("mkdir DIR && tar xf {} -C DIR", path.display()));
    if let Some(format) = Format::sniff(&head) {
        return other(&format!("a single {} image", format!("{format:?}").to_uppercase()), image());
    }
    match &head[..] {
        [b'P', b'K', 3, 4, ..] => other("a zip archive", unpack(&format!("unzip {} -d DIR", path.display()))),
        [b'P', b'A', b'R', b'1', ..] => other("in the Parquet format", "give it a name that ends in .parquet".into()),
        [0x1f, 0x8b, ..] if name.ends_with(".tar.gz") || name.ends_with(".tgz") => other("a compressed tar archive", tar()),
        [0x1f, 0x8b, ..] => other("compressed by gzip", unpack(&format!("gunzip -k {}", path.display()))),
        [b'B', b'Z', b'h', ..] | [0xfd, b'7', b'z', b'X', b'Z', 0, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            other("compressed, perhaps a tar archive", tar())
        }
        [b'7', b'z', 0xbc, 0xaf, ..] => other("a 7z archive", unpack(&format!("7z x {} -oDIR", path.display()))),
        [0x89, b'H', b'D', b'F', ..] => other("in the HDF5 format", "write its images into a folder for each class".into()),
        [0x80, 2..=5, ..] => other("a Python pickle", "write its images into a folder for each class".into()),
        _ if head.get(257..262) == Some(b"ustar") => other("a tar archive", tar()),
        _ if is_image(path) => other("a single image by its name", image()),
        _ => {
            let what = match &head[..] {
                [] => "an empty file",
                text if !text.contains(&0) => "a text file in which no line is `path label`",
                _ => "a file of no known kind",
            };
            Error::Layout { path: path.into(), found: format!("it is {what}") }
        }
    }
}
