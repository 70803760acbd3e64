//! Folders of files, and what is read from them.

use std::fs;
use std::path::Path;

use data::{Dataset, Error, OpenOptions, Source, open};
use tempfile::TempDir;

/// A folder with these files; a path that ends in `/` is a folder.
pub(crate) fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(path, bytes)| put(root.path(), path, bytes));
    root
}

/// Writes a file, or makes a folder, below `root`.
pub(crate) fn put(root: &Path, path: &str, bytes: &[u8]) {
    let full = root.join(path);
    if path.ends_with('/') {
        fs::create_dir_all(full).expect("made");
        return;
    }
    fs::create_dir_all(full.parent().expect("within the root")).expect("made");
    fs::write(full, bytes).expect("written");
}

/// A JPEG of one colour.
pub(crate) fn jpeg(level: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 100);
    encoder.encode(&[level; 8 * 6 * 3], 8, 6, jpeg_encoder::ColorType::Rgb).expect("a small image");
    bytes
}

/// The level of a picture of one colour, as [`jpeg`] makes it; a level of JPEG is right to one or two.
pub(crate) fn level(source: &dyn Source, index: usize) -> u8 {
    let image = source.read(index).expect("an image");
    assert_eq!((image.width, image.height, image.rgb.len()), (8, 6, 144));
    assert!(image.rgb.iter().all(|v| v.abs_diff(image.rgb[0]) <= 2));
    image.rgb[0]
}

pub(crate) fn opened(path: &Path) -> Dataset {
    open(path, &OpenOptions::default()).unwrap_or_else(|e| panic!("{e}"))
}

pub(crate) fn refused(path: &Path) -> Error {
    open(path, &OpenOptions::default()).expect_err("no data set")
}

/// The error's message without the folder of the test.
pub(crate) fn fault(root: &TempDir, path: &str) -> String {
    refused(&root.path().join(path)).to_string().replace(&format!("{}/", root.path().display()), "")
}

pub(crate) fn labels(source: &dyn Source) -> Vec<u32> {
    (0..source.len()).map(|index| source.label(index)).collect()
}
