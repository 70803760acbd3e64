//! Writes a shard: beside, synced, renamed.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::format::{self, Entry, HEADER_BYTES, Header};
use super::manifest::ShardEntry;
use super::record::Record;
use crate::{BadImage, Error, Result};

/// Files that are being written end like this.
pub(super) const PARTIAL: &str = ".partial";

/// A shard that is being written. Where it is dropped unfinished, nothing of it stays.
///
/// Its index is in memory until the end: 24 bytes and the name for each record.
pub(super) struct ShardWriter {
    path: PathBuf,
    partial: PathBuf,
    file: Option<BufWriter<File>>,
    renamed: bool,
    header: [u8; HEADER_BYTES],
    end: u64,
    index: Vec<u8>,
    names: String,
    omitted: String,
}

impl ShardWriter {
    /// Begins the shard at `path`.
    ///
    /// # Errors
    /// Where the file cannot be made.
    pub(super) fn begin(path: &Path, header: Header) -> Result<ShardWriter> {
        let mut partial = path.as_os_str().to_owned();
        partial.push(PARTIAL);
        let partial = PathBuf::from(partial);
        let file = File::create(&partial).map_err(|source| weights::Error::io("write", &partial, source))?;
        let header = header.to_bytes();
        let mut writer = ShardWriter {
            path: path.into(),
            partial,
            file: Some(BufWriter::with_capacity(1 << 20, file)),
            renamed: false,
            header,
            end: 0,
            index: Vec::new(),
            names: String::new(),
            omitted: String::new(),
        };
        writer.write(&header)?;
        Ok(writer)
    }

    /// Appends a record.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn add(&mut self, record: &Record, label: u32, name: &str) -> Result<()> {
        self.write(&record.bytes)?;
        self.names += name;
        let name_end = u32::try_from(self.names.len())
            .map_err(|_| Error::Preprocessing("the names of one shard's images take more than 4 GiB".into()))?;
        let entry = Entry { end: self.end, kind: record.kind, label, name_end, checksum: record.checksum };
        self.index.extend(entry.to_bytes());
        Ok(())
    }

    /// Notes that an image is left out, and returns it as it is noted: in one line.
    pub(super) fn omit(&mut self, bad: BadImage) -> BadImage {
        let clean = |text: &str| text.replace(|c: char| c.is_control(), " ");
        let bad = BadImage { name: clean(&bad.name), reason: clean(&bad.reason) };
        self.omitted += &format!("{}\t{}\n", bad.name, bad.reason);
        bad
    }

    /// Ends the shard: from here on it is there, whole, whatever happens.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn finish(mut self) -> Result<ShardEntry> {
        let images = self.index.len() / format::ENTRY_BYTES;
        let (tail, digest) = format::tail(&self.header, &self.index, &self.names, &self.omitted);
        self.write(&tail)?;
        let fault = |source| weights::Error::io("write", &self.path, source);
        if let Some(file) = self.file.take() {
            file.into_inner().map_err(|e| e.into_error()).and_then(|file| file.sync_all()).map_err(fault)?;
        }
        fs::rename(&self.partial, &self.path).map_err(fault)?;
        self.renamed = true;
        weights::sync_folder(self.path.parent().unwrap_or(Path::new(".")))?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(ShardEntry { name, images, bytes: self.end, digest: digest.to_hex().to_string() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.end += bytes.len() as u64;
        let Some(file) = &mut self.file else { return Ok(()) };
        Ok(file.write_all(bytes).map_err(|source| weights::Error::io("write", &self.path, source))?)
    }
}

impl Drop for ShardWriter {
    fn drop(&mut self) {
        if let Some(file) = self.file.take() {
            // What waits in memory need not be written to a file that is to go.
            let _ = file.into_parts();
        }
        if !self.renamed {
            // The error that matters is the one that led here.
            let _ = fs::remove_file(&self.partial);
        }
    }
}
