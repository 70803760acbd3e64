//! Reads a pack: shards are mapped, and their records borrowed from the map.
//!
//! Nothing of a record is kept in memory but one bit, which says that its checksum was found right; index and names are
//! read where they lie.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use weights::Mapped;

use super::format::{self, Kind, PIXELS_HEAD_BYTES, Parts};
use super::manifest::{MANIFEST, Manifest, STATISTICS, ShardEntry};
use super::settings::{Settings, Store};
use crate::layouts::name_of;
use crate::{Channels, Content, Dataset, Error, Fault, Fit, Preprocessing, Result, Source, Split, Statistics};

/// Opens a whole pack. `exif` applies the orientation that files state, in packs of files as they were.
///
/// # Errors
/// Where a file is missing, of another length than it was written with, or damaged outside of its records. Damaged records
/// are found when they are read, as bad images.
pub(crate) fn open(path: &Path, exif: bool) -> Result<Dataset> {
    let manifest = Manifest::read(&path.join(MANIFEST))?;
    let train = Packed::open(path, &manifest, Split::Train, exif)?;
    let val = Packed::open(path, &manifest, Split::Val, exif)?;
    let statistics = statistics(path, &manifest)?;
    let mut notes = Vec::new();
    if !manifest.omitted.is_empty() {
        let images = crate::error::count(manifest.omitted.len(), "image", "images");
        notes.push(format!("the pack was made without {images} that could not be read; {MANIFEST} names them"));
    }
    Ok(Dataset {
        name: name_of(path),
        layout: match manifest.settings.store {
            Store::Crop => "a pack of squares",
            Store::Side => "a pack of resized images",
            Store::Raw => "a pack of files",
        },
        classes: manifest.classes,
        words: manifest.words,
        train: Arc::new(Packed { statistics, ..train }),
        val: Arc::new(val),
        notes,
    })
}

/// The statistics of a pack, checked.
pub(super) fn statistics(path: &Path, manifest: &Manifest) -> Result<Option<Statistics>> {
    let Some(measured) = &manifest.statistics else { return Ok(None) };
    let file = path.join(STATISTICS);
    let map = Arc::new(Mapped::open(&file)?);
    if map.digest() != measured.digest {
        return Err(Error::Pack { path: file, message: "it was changed: its digest is not the manifest's".into() });
    }
    Ok(Some(Statistics::from_tensors(&weights::safetensors::read(&file)?.0)?))
}

/// A mapped shard.
struct Shard {
    name: String,
    map: Mapped,
    parts: Parts,
    /// A bit for each record whose checksum was right.
    checked: Vec<AtomicU64>,
}

/// One split of a pack.
pub(super) struct Packed {
    shards: Vec<Shard>,
    /// Records before each shard.
    starts: Vec<usize>,
    records: usize,
    exif: bool,
    settings: Settings,
    statistics: Option<Statistics>,
}

impl Packed {
    /// Opens the shards of a split.
    pub(super) fn open(path: &Path, manifest: &Manifest, split: Split, exif: bool) -> Result<Packed> {
        let (settings, classes) = (manifest.settings.clone(), manifest.classes.len());
        let digest = manifest.begun().digest();
        let mut packed = Packed { shards: Vec::new(), starts: Vec::new(), records: 0, exif, settings, statistics: None };
        for (number, entry) in (0..).zip(&manifest.part(split).shards) {
            let file = path.join(&entry.name);
            let map = Mapped::open(&file)?;
            let parts = check_shard(map.bytes(), entry, (split, number), digest, classes)
                .map_err(|message| Error::Pack { path: file, message })?;
            let checked = (0..parts.records().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
            packed.starts.push(packed.records);
            packed.records += parts.records();
            packed.shards.push(Shard { name: entry.name.clone(), map, parts, checked });
        }
        Ok(packed)
    }

    /// The shard of a record, and its place there.
    fn locate(&self, index: usize) -> (&Shard, usize) {
        assert!(index < self.records, "record {index} of {}", self.records);
        // Of shards that begin at the same record, all but the last are empty.
        let shard = self.starts.partition_point(|&start| start <= index) - 1;
        (&self.shards[shard], index - self.starts[shard])
    }
}

/// Whether a shard is the one that the manifest names, its records aside.
pub(super) fn check_shard(
    bytes: &[u8],
    entry: &ShardEntry,
    (split, number): (Split, u32),
    settings: [u8; 32],
    classes: usize,
) -> Result<Parts, String> {
    if bytes.len() as u64 != entry.bytes {
        return Err(format!("it has {} bytes, expected {}", bytes.len(), entry.bytes));
    }
    let parts = Parts::of(bytes, classes)?;
    let header = parts.header;
    if (header.split, header.number, header.settings) != (split, number, settings) {
        return Err(format!("it is shard {} of `{}`, perhaps of another pack", header.number, header.split));
    }
    if parts.records() != entry.images || parts.digest.to_hex().as_str() != entry.digest {
        return Err("it is a whole shard, but not the one that the manifest names".into());
    }
    Ok(parts)
}

impl Shard {
    /// A record's bytes, which are those that were written.
    fn record(&self, record: usize) -> Result<&[u8], Fault> {
        let (bytes, file) = (self.map.bytes(), &self.name);
        let range = self.parts.range(bytes, record);
        let content = &bytes[range.clone()];
        let (word, bit) = (&self.checked[record / 64], 1 << (record % 64));
        if word.load(Ordering::Relaxed) & bit == 0 {
            if format::checksum(content) != self.parts.entry(bytes, record).checksum {
                let message = format!("the record at bytes {} to {} of {file} was changed", range.start, range.end);
                return Err(Fault::Damaged { format: "pack", message });
            }
            word.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(content)
    }
}

impl Source for Packed {
    fn len(&self) -> usize {
        self.records
    }

    fn label(&self, index: usize) -> u32 {
        let (shard, record) = self.locate(index);
        shard.parts.entry(shard.map.bytes(), record).label
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        let (shard, record) = self.locate(index);
        shard.parts.name(shard.map.bytes(), record).into()
    }

    fn fetch<'a>(&'a self, index: usize, _buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        let (shard, record) = self.locate(index);
        let named = |source: Fault| Error::Image { name: self.name(index).into_owned(), source };
        let bytes = shard.record(record).map_err(named)?;
        match shard.parts.entry(shard.map.bytes(), record).kind {
            Kind::File => Ok(Content::Encoded { bytes, exif: false }),
            Kind::Oriented => Ok(Content::Encoded { bytes, exif: self.exif }),
            Kind::Pixels => pixels(bytes).map_err(named),
        }
    }

    fn announce(&self, indices: &[u32]) {
        for &index in indices {
            let (shard, record) = self.locate(index as usize);
            shard.map.will_need(shard.parts.range(shard.map.bytes(), record));
        }
    }

    fn measured(&self, p: &Preprocessing) -> Option<Statistics> {
        let statistics = self.statistics.as_ref()?;
        let settings = &self.settings;
        let upright = matches!(p.fit, Fit::Crop | Fit::ShorterSide);
        let same = p.stored == settings.side
            && p.channels != Channels::Grey
            && match settings.store {
                // A square of the stored side stays what it is, whichever way it is fitted.
                Store::Crop => true,
                Store::Side => upright,
                Store::Raw => upright && p.filter == settings.filter && self.exif == settings.exif,
            };
        same.then(|| statistics.clone())
    }

    fn keeps_files(&self) -> bool {
        self.settings.store == Store::Raw
    }

    fn remark(&self, p: &Preprocessing) -> Option<String> {
        let Settings { store, side, .. } = self.settings;
        let kept = match store {
            Store::Raw => return None,
            Store::Crop => format!("squares of {side} × {side} pixels"),
            Store::Side => format!("images whose shorter side is {side}"),
        };
        if p.stored != side {
            let again = "each image is resized a second time";
            return Some(format!("the pack holds {kept}, and the recipe has stored = {}: {again}", p.stored));
        }
        let lost = match (store, p.fit) {
            (Store::Crop, _) if p.random_resized_crop.is_some() => "random resized crops cannot reach beyond them",
            (Store::Side, _) if p.random_resized_crop.is_some() => "random resized crops are resized a second time",
            (Store::Crop, Fit::ShorterSide) => "crops cannot roam along the longer side",
            (Store::Crop, Fit::Warp) => "what a warped image would show beside them is cut off",
            (Store::Side, Fit::Warp) => "each image is resized a second time",
            _ => return None,
        };
        Some(format!("the pack holds {kept}: {lost}"))
    }
}

/// A record of pixels.
fn pixels(bytes: &[u8]) -> Result<Content<'_>, Fault> {
    let fault = |message| Err(Fault::Damaged { format: "pack", message });
    let Some((head, rgb)) = bytes.split_at_checked(PIXELS_HEAD_BYTES) else {
        return fault(format!("a record of pixels has {} bytes", bytes.len()));
    };
    let sides = format::u32_at(head, 0);
    let (width, height) = ((sides & 0xffff) as usize, (sides >> 16) as usize);
    if width == 0 || height == 0 || rgb.len() != 3 * width * height {
        return fault(format!("a record of {width} × {height} pixels has {} bytes of them", rgb.len()));
    }
    Ok(Content::Pixels { width, height, rgb })
}
