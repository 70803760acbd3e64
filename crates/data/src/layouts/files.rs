//! Image files on a disk as a source.

use std::borrow::Cow;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::{Content, Result, Source, ahead, fetch_file};

/// Image files, each in one of some folders.
pub(super) struct Files {
    folders: Vec<PathBuf>,
    /// Folder, label and file.
    files: Vec<(u32, u32, OsString)>,
    exif: bool,
}

impl Files {
    /// No files; whether the orientation that a file states is applied.
    pub(super) fn new(exif: bool) -> Files {
        Files { folders: Vec::new(), files: Vec::new(), exif }
    }

    /// Adds a folder, and returns its number.
    pub(super) fn folder(&mut self, path: PathBuf) -> u32 {
        self.folders.push(path);
        self.folders.len() as u32 - 1
    }

    /// Adds `file`, a path below the folder of that number.
    pub(super) fn push(&mut self, folder: u32, label: u32, file: impl Into<OsString>) {
        self.files.push((folder, label, file.into()));
    }

    fn path(&self, index: usize) -> PathBuf {
        let (folder, _, file) = &self.files[index];
        self.folders[*folder as usize].join(file)
    }
}

impl Source for Files {
    fn len(&self) -> usize {
        self.files.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.files[index].1
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        Cow::Owned(self.path(index).display().to_string())
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        fetch_file(&self.path(index), self.exif, buffer)
    }

    fn announce(&self, indices: &[u32]) {
        indices.iter().for_each(|&index| ahead::file(&self.path(index as usize)));
    }
}
