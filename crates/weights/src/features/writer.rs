//! Rows to files, one by one.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

use safetensors::tensor::{Dtype, TensorInfo};

use super::{FEATURES, NAME_ENDS, NAMES, Values, half};
use crate::safetensors::METADATA;
use crate::{Beside, Error, Result};

/// Rows begin at a multiple of so many bytes.
const ALIGN: usize = 64;

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One file with everything.
    Safetensors,
    /// NumPy's, and a text file of names beside it.
    Npy,
}

impl Format {
    /// The format that a file's name ends in; `None` where it is neither `.safetensors` nor `.npy`.
    pub fn of(path: &Path) -> Option<Format> {
        match path.extension().and_then(OsStr::to_str) {
            Some("safetensors") => Some(Format::Safetensors),
            Some("npy") => Some(Format::Npy),
            _ => None,
        }
    }
}

/// A table being written; it takes its place when it is finished. Memory holds the names and no rows.
pub struct Writer {
    file: Beside,
    format: Format,
    values: Values,
    /// Of a row.
    shape: Vec<usize>,
    text: BTreeMap<String, String>,
    header_len: usize,
    names: Vec<u8>,
    name_ends: Vec<u64>,
    /// A row's bytes.
    row: Vec<u8>,
}

impl Writer {
    /// Begins a table of rows of `shape`; `text` is what it says about itself, in safetensors files.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn new(path: &Path, format: Format, values: Values, shape: &[usize], text: BTreeMap<String, String>) -> Result<Writer> {
        let file = Beside::new(path)?;
        let (shape, row) = (shape.to_vec(), Vec::new());
        let mut writer =
            Writer { file, format, values, shape, text, header_len: 0, names: Vec::new(), name_ends: Vec::new(), row };
        let longest = writer.header(u64::MAX, [u64::MAX; 2], 0).and_then(|header| {
            writer.header_len = header.len();
            writer.file.write_all(&header)
        });
        longest.map_err(|source| Error::io("write", path, source))?;
        Ok(writer)
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.name_ends.len()
    }

    /// Writes the row of an image.
    ///
    /// # Errors
    /// [`Error::TooLarge`] where a finite value has no finite half-precision number near it; else what the system said.
    ///
    /// # Panics
    /// Where the row is not of the table's shape.
    pub fn push(&mut self, name: &str, row: &[f32]) -> Result<()> {
        assert_eq!(row.len(), self.shape.iter().product::<usize>(), "values of a row of shape {:?}", self.shape);
        self.row.clear();
        match self.values {
            Values::F32 => self.row.extend(row.iter().flat_map(|value| value.to_le_bytes())),
            Values::F16 => {
                if let Some(&value) =
                    row.iter().find(|value| value.is_finite() && half::bits(value.abs()) == half::bits(f32::INFINITY))
                {
                    return Err(Error::TooLarge { path: self.file.path().into(), name: name.into(), value });
                }
                self.row.extend(row.iter().flat_map(|&value| half::bits(value).to_le_bytes()));
            }
        }
        self.file.write_all(&self.row).map_err(|source| Error::io("write", self.file.path(), source))?;
        self.names.extend(name.as_bytes());
        self.name_ends.push(self.names.len() as u64);
        Ok(())
    }

    /// Writes what is known only now, and puts the file in its place, after its names where they are a file of their own.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub fn finish(mut self) -> Result<()> {
        let features = (self.rows() * self.shape.iter().product::<usize>() * self.values.bytes()) as u64;
        if self.format == Format::Npy {
            let names = self.file.path().with_extension("txt");
            crate::replace(&names, |file| self.lines().try_for_each(|line| writeln!(file, "{line}")))?;
        } else {
            self.names.resize(self.names.len() + (features + self.names.len() as u64).wrapping_neg() as usize % 8, 0);
        }
        self.complete(features).map_err(|source| Error::io("write", self.file.path(), source))?;
        self.file.finish()
    }

    /// Everything behind the rows, and the header over the room left for it.
    fn complete(&mut self, features: u64) -> io::Result<()> {
        if self.format == Format::Safetensors {
            self.file.write_all(&self.names)?;
            for end in &self.name_ends {
                self.file.write_all(&end.to_le_bytes())?;
            }
        }
        let header = self.header(self.rows() as u64, [features, self.names.len() as u64], self.header_len)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)
    }

    /// The names as lines: `\n`, `\r` and `\\` for a line's end, a carriage return and a backslash in them.
    fn lines(&self) -> impl Iterator<Item = String> {
        let starts = std::iter::once(0).chain(self.name_ends.iter().copied());
        starts.zip(&self.name_ends).map(|(start, &end)| {
            let name = String::from_utf8_lossy(&self.names[start as usize..end as usize]);
            name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r")
        })
    }

    /// The file's beginning for so many rows, and bytes of rows and names, at least `len` bytes long.
    fn header(&self, rows: u64, bytes: [u64; 2], len: usize) -> io::Result<Vec<u8>> {
        match self.format {
            Format::Safetensors => self.safetensors_header(rows, bytes, len),
            Format::Npy => Ok(self.npy_header(rows, len)),
        }
    }

    fn safetensors_header(&self, rows: u64, [features, names]: [u64; 2], len: usize) -> io::Result<Vec<u8>> {
        let dtype = match self.values {
            Values::F32 => Dtype::F32,
            Values::F16 => Dtype::F16,
        };
        let names_end = features.saturating_add(names);
        let ends_end = names_end.saturating_add(rows.saturating_mul(8));
        let tensor = |dtype, shape: Vec<usize>, from: u64, to: u64| {
            serde_json::to_value(TensorInfo { dtype, shape, data_offsets: (from as usize, to as usize) })
        };
        let shape = [&[rows as usize], self.shape.as_slice()].concat();
        let header = BTreeMap::from([
            (METADATA, serde_json::to_value(&self.text)?),
            (FEATURES, tensor(dtype, shape, 0, features)?),
            (NAMES, tensor(Dtype::U8, vec![names as usize], features, names_end)?),
            (NAME_ENDS, tensor(Dtype::I64, vec![rows as usize], names_end, ends_end)?),
        ]);
        let mut text = vec![0; 8];
        serde_json::to_writer(&mut text, &header)?;
        text.resize(text.len().max(len).next_multiple_of(ALIGN), b' ');
        let length = (text.len() - 8) as u64;
        text[..8].copy_from_slice(&length.to_le_bytes());
        Ok(text)
    }

    /// Version 1.0, as numpy.lib.format describes it.
    fn npy_header(&self, rows: u64, len: usize) -> Vec<u8> {
        let dtype = match self.values {
            Values::F32 => "<f4",
            Values::F16 => "<f2",
        };
        let shape: String = self.shape.iter().map(|side| format!(" {side},")).collect();
        let dictionary = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': ({rows},{shape}), }}");
        let mut text = [b"\x93NUMPY\x01\x00\x00\x00", dictionary.as_bytes()].concat();
        text.resize((text.len() + 1).max(len).next_multiple_of(ALIGN) - 1, b' ');
        text.push(b'\n');
        let length = (text.len() - 10) as u16;
        text[8..10].copy_from_slice(&length.to_le_bytes());
        text
    }
}
