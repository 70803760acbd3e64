//! Reading Parquet in place.
//!
//! A file is row groups, a row group has a chunk of each column, a chunk is pages of about a megabyte, and a page is what can
//! be decompressed by itself. Labels are read at once; images by runs of rows, each within a page, of which the last ones
//! used are kept. Images in the order of the files cost one decompression a run; images in random order cost a page, of ten
//! photographs or thousands of small pictures, for each image.
//!
//! The crate's own readers check what they read, but unwrap some of it: a panic there is taken as damage. A page may claim
//! up to 2 GiB, which is reserved though not touched before the data came.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ::parquet::basic::Compression;
use ::parquet::column::reader::ColumnReader;
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{ChunkReader, FileReader, Length, SerializedFileReader};
use bytes::Bytes;

use super::Shards;
use super::columns::Columns;
use crate::layouts::names::{distinct, note_gaps, numbers};
use crate::layouts::planes::malformed;
use crate::layouts::split::split;
use crate::layouts::{OpenOptions, name_of};
use crate::{Content, Dataset, Error, Fault, Result, Source};

/// The most rows of a split.
const MOST_ROWS: usize = 1 << 27;

/// The most rows of a run.
const RUN_ROWS: usize = 256;

/// Bytes of the runs that are kept.
const KEPT_BYTES: usize = 128 << 20;

pub(super) fn open(path: &Path, shards: Shards, options: &OpenOptions) -> Result<Dataset> {
    let mut notes = Vec::new();
    let first = shards.train[0].clone();
    let (train, names) = Rows::open(&shards.train, options.exif)?;
    if let Some(row) = train.labels.iter().position(|&label| label < 0) {
        return Err(malformed(&first, format!("row {row} of the training images has the label {}", train.labels[row])));
    }
    let most = train.labels.iter().max().map_or(0, |&most| most as usize + 1);
    let mut classes = if names.is_empty() { numbers_for(most, train.labels.len(), &first)? } else { names };
    if most > classes.len() {
        let message = format!("a label of {}, where the metadata name {} classes", most - 1, classes.len());
        return Err(malformed(&first, message));
    }
    distinct(&mut classes, &mut notes);
    note_gaps(train.labels.iter().map(|&label| label as u32), &classes, &mut notes);
    notes.push("an image costs the reading of a page, about a megabyte: in random order Parquet is slow".into());
    let val = validation(&shards, classes.len(), options, &mut notes)?;
    let (train, val): (Arc<dyn Source>, Arc<dyn Source>) = match val {
        Some(val) => (Arc::new(train), Arc::new(val)),
        None => split(Arc::new(train), classes.len(), "file", options, &mut notes),
    };
    Ok(Dataset { name: name_of(path), layout: "Parquet", classes, words: vec![], train, val, notes })
}

/// Names for labels without: a label is no reason to make up any number of classes.
fn numbers_for(classes: usize, rows: usize, path: &Path) -> Result<Vec<String>> {
    if classes > 2 * rows + 1000 {
        return Err(malformed(path, format!("a label of {} among {rows} rows", classes - 1)));
    }
    Ok(numbers(classes))
}

/// The images to validate on; `None` where there are none with labels.
fn validation(shards: &Shards, classes: usize, options: &OpenOptions, notes: &mut Vec<String>) -> Result<Option<Rows>> {
    let is_test = shards.validation.is_empty();
    let files = if is_test { &shards.test } else { &shards.validation };
    let Some(first) = files.first() else { return Ok(None) };
    let (val, _) = Rows::open(files, options.exif)?;
    if is_test && val.labels.iter().all(|&label| label < 0) {
        notes.push("the labels of `test` are withheld: it is not used".into());
        return Ok(None);
    }
    if let Some(row) = val.labels.iter().position(|&label| label < 0 || label as usize >= classes) {
        let message = format!("row {row} of the validation images has the label {}, of {classes} classes", val.labels[row]);
        return Err(malformed(first, message));
    }
    if is_test {
        notes.push("there is no `validation`: validating on `test`".into());
    }
    Ok(Some(val))
}

/// A file for readers of any number of threads: the place to read at is theirs, not the file's.
#[derive(Clone)]
struct Shared {
    file: Arc<File>,
    bytes: u64,
}

/// A place in a shared file.
struct At {
    file: Shared,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(unix)]
        let read = std::os::unix::fs::FileExt::read_at(&*self.file.file, buffer, self.offset)?;
        #[cfg(windows)]
        let read = std::os::windows::fs::FileExt::seek_read(&*self.file.file, buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Length for Shared {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Shared {
    type T = BufReader<At>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(At { file: self.clone(), offset: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.bytes) {
            let message = format!("{length} bytes from byte {start} on are claimed, of {} bytes", self.bytes);
            return Err(ParquetError::EOF(message));
        }
        let mut bytes = vec![0; length];
        At { file: self.clone(), offset: start }.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

/// Runs what the crate does with a foreign file; what it refuses and where it panics is damage.
fn guarded<T>(task: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(task)).unwrap_or_else(|_| Err("the file is damaged: its parts contradict each other".into()))
}

fn text(error: ParquetError) -> String {
    error.to_string()
}

struct Shard {
    path: PathBuf,
    reader: SerializedFileReader<Shared>,
    columns: Columns,
}

impl Shard {
    fn open(path: &Path, file: Shared) -> Result<Shard, String> {
        let reader = SerializedFileReader::new(file).map_err(text)?;
        let columns = Columns::of(reader.metadata().file_metadata())?;
        Ok(Shard { path: path.into(), reader, columns })
    }

    /// An error where one of the columns is compressed by what this build does not know.
    fn check_compression(&self) -> Result<()> {
        for group in self.reader.metadata().row_groups() {
            for compression in [self.columns.image, self.columns.label].map(|column| group.column(column).compression()) {
                if !matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_)) {
                    let name = compression.to_string();
                    let name = name.split('(').next().unwrap_or_default();
                    let found = format!("it is Parquet compressed by {name}, where Snappy, gzip and none are read");
                    let instead =
                        "write it again with Snappy, such as by pyarrow's `write_table(…, compression=\"snappy\")`".into();
                    return Err(Error::OtherForm { path: self.path.clone(), found, instead });
                }
            }
        }
        Ok(())
    }
}

struct Group {
    /// The index of its first image.
    first: usize,
    rows: usize,
    shard: usize,
    /// Its number within the file.
    number: usize,
    /// The first row of each run of the image column.
    runs: OnceLock<Result<Vec<usize>, String>>,
}

/// Images of consecutive rows.
#[derive(Default)]
struct Run {
    bytes: Vec<u8>,
    /// Where the image of each row lies in `bytes`; `None` where it is null.
    places: Vec<Option<(usize, usize)>>,
}

type Slot = Arc<OnceLock<Result<Run, String>>>;

/// The runs that were used last.
#[derive(Default)]
struct Kept {
    /// By group and run, with the time of their last use and their bytes, once known.
    slots: HashMap<(usize, usize), (Slot, u64, usize)>,
    time: u64,
    bytes: usize,
}

impl Kept {
    /// The slot of a run, empty where the run is not kept.
    fn slot(&mut self, key: (usize, usize)) -> Slot {
        self.time += 1;
        let entry = self.slots.entry(key).or_default();
        entry.1 = self.time;
        Arc::clone(&entry.0)
    }

    /// Takes note of the bytes of a run, and forgets the runs whose last use was the longest ago.
    fn weigh(&mut self, key: (usize, usize), bytes: usize) {
        if let Some(entry) = self.slots.get_mut(&key)
            && entry.2 == 0
        {
            entry.2 = bytes;
            self.bytes += bytes;
        }
        while self.bytes > KEPT_BYTES && self.slots.len() > 1 {
            let weighed = self.slots.iter().filter(|(other, entry)| entry.2 > 0 && **other != key);
            let Some(oldest) = weighed.min_by_key(|(_, entry)| entry.1).map(|(key, _)| *key) else { return };
            let gone = self.slots.remove(&oldest).map_or(0, |entry| entry.2);
            self.bytes -= gone;
        }
    }
}

/// The rows of some files as a source.
struct Rows {
    shards: Vec<Shard>,
    groups: Vec<Group>,
    labels: Vec<i32>,
    kept: Mutex<Kept>,
    exif: bool,
}

impl Rows {
    /// Opens the files, which all have the first one's columns, and reads their labels; also what their classes are called.
    fn open(paths: &[PathBuf], exif: bool) -> Result<(Rows, Vec<String>)> {
        let mut rows = Rows { shards: vec![], groups: vec![], labels: vec![], kept: Mutex::default(), exif };
        for path in paths {
            let fault = |source| Error::Path { path: path.clone(), source };
            let file = File::open(path).map_err(fault)?;
            let bytes = file.metadata().map_err(fault)?.len();
            let file = Shared { file: Arc::new(file), bytes };
            let shard = guarded(|| Shard::open(path, file)).map_err(|message| malformed(path, message))?;
            shard.check_compression()?;
            guarded(|| rows.append(shard)).map_err(|message| malformed(path, message))?;
        }
        if rows.labels.is_empty() {
            return Err(malformed(&paths[0], "there are no rows"));
        }
        let names = rows.shards[0].columns.names.clone();
        Ok((rows, names))
    }

    fn append(&mut self, shard: Shard) -> Result<(), String> {
        let Shard { reader, columns, .. } = &shard;
        if self.shards.first().is_some_and(|first| first.columns != *columns) {
            return Err(format!("its columns or classes are others than in {}", self.shards[0].path.display()));
        }
        for number in 0..reader.num_row_groups() {
            let first = self.labels.len();
            let rows = usize::try_from(reader.metadata().row_group(number).num_rows()).unwrap_or(usize::MAX);
            if rows > MOST_ROWS - first {
                return Err(format!("row group {number} claims {rows} rows, more than {MOST_ROWS} with those before"));
            }
            read_labels(reader, number, columns.label, rows, &mut self.labels)?;
            self.groups.push(Group { first, rows, shard: self.shards.len(), number, runs: OnceLock::new() });
        }
        self.shards.push(shard);
        Ok(())
    }

    /// The group of an image, and its row there.
    fn place(&self, index: usize) -> (usize, usize) {
        let group = self.groups.partition_point(|group| group.first <= index) - 1;
        (group, index - self.groups[group].first)
    }

    /// Appends the image's bytes to `buffer`.
    fn image(&self, index: usize, buffer: &mut Vec<u8>) -> Result<(), String> {
        let (group_index, row) = self.place(index);
        let group = &self.groups[group_index];
        let shard = &self.shards[group.shard];
        let starts = group.runs.get_or_init(|| guarded(|| runs(shard, group))).as_ref().map_err(String::clone)?;
        let run = starts.partition_point(|&start| start <= row) - 1;
        let (start, end) = (starts[run], starts.get(run + 1).map_or(group.rows, |&end| end));
        let key = (group_index, run);
        // Whoever comes first reads the run; the others wait for it.
        let slot = self.kept.lock().unwrap_or_else(PoisonError::into_inner).slot(key);
        let read = slot.get_or_init(|| guarded(|| read_run(shard, group.number, start, end - start)));
        let bytes = read.as_ref().map_or(0, |run| run.bytes.len()).max(1);
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).weigh(key, bytes);
        let run = read.as_ref().map_err(String::clone)?;
        let (from, to) = run.places[row - start].ok_or("the row has no image")?;
        buffer.extend_from_slice(&run.bytes[from..to]);
        Ok(())
    }
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.labels[index] as u32
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        let (group, row) = self.place(index);
        let shard = self.groups[group].shard;
        let before: usize = self.groups[..group].iter().filter(|other| other.shard == shard).map(|other| other.rows).sum();
        Cow::Owned(format!("{}/{:05}", self.shards[shard].path.display(), before + row))
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        buffer.clear();
        self.image(index, buffer).map_err(|message| {
            let source = Fault::Damaged { format: "Parquet", message };
            Error::Image { name: self.name(index).into_owned(), source }
        })?;
        Ok(Content::Encoded { bytes: buffer, exif: self.exif })
    }
}

/// Appends the labels of a row group.
fn read_labels(
    reader: &SerializedFileReader<Shared>,
    group: usize,
    column: usize,
    rows: usize,
    labels: &mut Vec<i32>,
) -> Result<(), String> {
    const ROWS: usize = 4096;
    let group_reader = reader.get_row_group(group).map_err(text)?;
    let mut column = group_reader.get_column_reader(column).map_err(text)?;
    let all = labels.len() + rows;
    while labels.len() < all {
        let most = ROWS.min(all - labels.len());
        let (mut levels, mut wide, mut narrow) = (Vec::new(), Vec::new(), Vec::new());
        let (records, values, _) = match &mut column {
            ColumnReader::Int64ColumnReader(c) => c.read_records(most, Some(&mut levels), None, &mut wide),
            ColumnReader::Int32ColumnReader(c) => c.read_records(most, Some(&mut levels), None, &mut narrow),
            _ => return Err("labels are not integers".into()),
        }
        .map_err(text)?;
        if records == 0 {
            return Err(format!("row group {group} has fewer labels than rows"));
        }
        if values < records {
            return Err(format!("row group {group} has rows without a label"));
        }
        for label in wide.into_iter().chain(narrow.into_iter().map(i64::from)) {
            labels.push(i32::try_from(label).map_err(|_| format!("row group {group} has the label {label}"))?);
        }
    }
    Ok(())
}

/// The first row of each run: pages, cut where they have more than [`RUN_ROWS`] rows. Only the heads of pages are read.
fn runs(shard: &Shard, group: &Group) -> Result<Vec<usize>, String> {
    let reader = shard.reader.get_row_group(group.number).map_err(text)?;
    let mut pages = reader.get_column_page_reader(shard.columns.image).map_err(text)?;
    let (mut starts, mut row) = (Vec::new(), 0);
    while let Some(page) = pages.peek_next_page().map_err(text)? {
        // The column repeats nothing, so a page has as many rows as levels.
        let rows = if page.is_dict { 0 } else { page.num_rows.or(page.num_levels).unwrap_or(0) };
        if rows > group.rows - row {
            return Err(format!("row group {} has pages of more than its {} rows", group.number, group.rows));
        }
        starts.extend((row..row + rows).step_by(RUN_ROWS));
        row += rows;
        pages.skip_next_page().map_err(text)?;
    }
    if row < group.rows {
        return Err(format!("row group {} has {row} images for {} rows", group.number, group.rows));
    }
    Ok(starts)
}

/// Reads `rows` images of a row group from row `start` on; pages before are skipped unread.
fn read_run(shard: &Shard, group: usize, start: usize, rows: usize) -> Result<Run, String> {
    let reader = shard.reader.get_row_group(group).map_err(text)?;
    let column = reader.get_column_reader(shard.columns.image).map_err(text)?;
    let ColumnReader::ByteArrayColumnReader(mut column) = column else { return Err("images are not bytes".into()) };
    let whole = shard.reader.metadata().file_metadata().schema_descr().column(shard.columns.image).max_def_level();
    let (mut levels, mut values) = (Vec::new(), Vec::<ByteArray>::new());
    let skipped = column.skip_records(start).map_err(text)?;
    let (records, _, _) = column.read_records(rows, Some(&mut levels), None, &mut values).map_err(text)?;
    if (skipped, records) != (start, rows) {
        return Err(format!("row group {group} has fewer images than rows"));
    }
    let mut run = Run { bytes: Vec::with_capacity(values.iter().map(ByteArray::len).sum()), places: Vec::with_capacity(rows) };
    let mut values = values.iter();
    for row in 0..rows {
        // A column that may not be null has no levels.
        let value = if whole == 0 || levels.get(row) == Some(&whole) { values.next() } else { None };
        run.places.push(value.map(|value| {
            let from = run.bytes.len();
            run.bytes.extend_from_slice(value.data());
            (from, run.bytes.len())
        }));
    }
    Ok(run)
}
