//! Tables that lie in files.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use super::{FEATURES, NAME_ENDS, NAMES, Values};
use crate::safetensors::{read_header, unusable};
use crate::{Error, Mapped, Result};

/// A table of features in a mapped safetensors file, see the [module](super).
#[derive(Debug)]
pub struct Table {
    file: Mapped,
    text: HashMap<String, String>,
    values: Values,
    /// Of a row.
    shape: Vec<usize>,
    width: usize,
    /// Where the tensors lie in the file.
    features: Range<usize>,
    names: Range<usize>,
    name_ends: Range<usize>,
}

impl Table {
    /// Opens a table. Rows and names stay where they lie.
    ///
    /// # Errors
    /// Names the file and what is wrong: no safetensors file, cut off, without one of the three tensors, or with one of another
    /// type or shape; names that are not UTF-8, or whose ends do not ascend.
    pub fn open(path: &Path) -> Result<Table> {
        let file = Mapped::open(path)?;
        let mut rest = file.bytes();
        let format = |message: String| unusable(path, message);
        let header = read_header(&mut rest, file.bytes().len() as u64, &format, &|source| Error::io("read", path, source))?;
        let start = file.bytes().len() - rest.len();
        let table = Table::of(file, start, &header).map_err(format)?;
        table.check_names().map_err(format)?;
        Ok(table)
    }

    fn of(file: Mapped, start: usize, header: &Metadata) -> Result<Table, String> {
        let tensor = |name| header.info(name).ok_or_else(|| format!("there is no tensor `{name}`: it is no table of features"));
        let (features, names, name_ends) = (tensor(FEATURES)?, tensor(NAMES)?, tensor(NAME_ENDS)?);
        let values = match features.dtype {
            Dtype::F32 => Values::F32,
            Dtype::F16 => Values::F16,
            dtype => return Err(format!("tensor `{FEATURES}` is {dtype:?}, expected F32 or F16")),
        };
        let [rows, shape @ ..] = features.shape.as_slice() else { return Err(format!("tensor `{FEATURES}` has no rows")) };
        let width = shape.iter().try_fold(1usize, |width, &side| width.checked_mul(side)).filter(|&width| width > 0);
        let width = width.ok_or_else(|| format!("tensor `{FEATURES}` has rows of shape {shape:?}"))?;
        if (names.dtype, names.shape.len()) != (Dtype::U8, 1) {
            return Err(format!("tensor `{NAMES}` is {:?} {:?}, expected bytes", names.dtype, names.shape));
        }
        if name_ends.dtype != Dtype::I64 || name_ends.shape != [*rows] {
            return Err(format!("tensor `{NAME_ENDS}` is {:?} {:?}, expected I64 [{rows}]", name_ends.dtype, name_ends.shape));
        }
        let range = |info: &TensorInfo| Some(start.checked_add(info.data_offsets.0)?..start.checked_add(info.data_offsets.1)?);
        let inside = |info| range(info).filter(|range| file.bytes().get(range.clone()).is_some());
        let (Some(features), Some(names), Some(name_ends)) = (inside(features), inside(names), inside(name_ends)) else {
            return Err("its tensors are not inside of it".into());
        };
        let text = header.metadata().clone().unwrap_or_default();
        Ok(Table { text, values, shape: shape.to_vec(), width, features, names, name_ends, file })
    }

    /// That every name can be told.
    fn check_names(&self) -> Result<(), String> {
        let names = self.part(&self.names);
        let mut start = 0;
        for (row, end) in self.ends().enumerate() {
            let name = usize::try_from(end).ok().and_then(|end| names.get(start..end));
            let name = name.ok_or_else(|| format!("the name of row {row} ends at {end}, expected {start} to {}", names.len()))?;
            std::str::from_utf8(name).map_err(|_| format!("the name of row {row} is not UTF-8"))?;
            start += name.len();
        }
        Ok(())
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        // Ranges were found inside when the table was opened, and a map never changes its length.
        self.file.bytes().get(range.clone()).unwrap_or_default()
    }

    fn ends(&self) -> impl Iterator<Item = i64> {
        self.part(&self.name_ends).as_chunks::<8>().0.iter().map(|eight| i64::from_le_bytes(*eight))
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.name_ends.len() / 8
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How values are kept.
    pub fn values(&self) -> Values {
        self.values
    }

    /// The shape of a row.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Values of a row, from 1 on.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows, end to end.
    pub fn rows(&self) -> &[u8] {
        self.part(&self.features)
    }

    /// The name of a row; empty beyond the last.
    pub fn name(&self, row: usize) -> &str {
        let end = |row: usize| self.ends().nth(row).and_then(|end| usize::try_from(end).ok());
        let start = row.checked_sub(1).map_or(Some(0), end);
        let name = start.zip(end(row)).and_then(|(start, end)| self.part(&self.names).get(start..end));
        // Names were found to be UTF-8 when the table was opened.
        name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// The first row of that name.
    pub fn position(&self, name: &str) -> Option<usize> {
        let (names, mut start) = (self.part(&self.names), 0);
        self.ends().position(|end| {
            let end = end as usize;
            let found = names.get(start..end) == Some(name.as_bytes());
            start = end;
            found
        })
    }

    /// What the table says about itself under `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.text.get(key).map(String::as_str)
    }

    /// The file's path when it was opened.
    pub fn path(&self) -> &Path {
        self.file.path()
    }
}
