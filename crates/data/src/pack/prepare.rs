//! Makes a pack, or goes on with one.

use std::fs::{self, File, TryLockError};
use std::ops::{ControlFlow, Range};
use std::path::Path;

use net::random::{Purpose, Stream, permutation};

use super::format::{Header, Parts, shard_name};
use super::in_order::in_order;
use super::manifest::{BEGUN, Begun, MANIFEST, Manifest, Measured, Omitted, STATISTICS, ShardEntry};
use super::reader::{self, Packed};
use super::record::{Record, Recorder};
use super::settings::{Origin, Settings};
use super::writer::{PARTIAL, ShardWriter};
use crate::error::count;
use crate::quarantine::relative_name;
use crate::{BadImage, BadImages, Dataset, Error, Result, Source, Split, Statistics};

/// What is packed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The data set.
    pub dataset: &'a Dataset,
    /// Where it was opened; names are kept without this.
    pub path: &'a Path,
    /// How the pack is made.
    pub settings: &'a Settings,
    /// Threads that decode and encode, at least 1. They change no bit.
    pub threads: usize,
    /// What to do about images that cannot be read; those that are left out stand in the manifest.
    pub bad_images: BadImages,
}

/// What is being done, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Images become records.
    Packing {
        /// Images done, those of earlier calls included.
        done: usize,
        /// Images in all.
        total: usize,
        /// Images done by earlier calls.
        kept: usize,
    },
    /// Mean image and colours are measured on the records.
    Measuring {
        /// Images done.
        done: usize,
        /// Images in all.
        total: usize,
    },
}

/// A pack that is whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// What it holds.
    pub manifest: Manifest,
    /// Records made by this call.
    pub made: usize,
    /// Their bytes.
    pub made_bytes: u64,
    /// Bytes that the source keeps of them.
    pub source_bytes: u64,
}

/// Makes a pack of a data set in the folder `out`, or goes on with one whose making was stopped: shards that are whole stay.
/// The same settings and images give the same bytes, with any number of threads, stopped or not.
///
/// In memory there are at most four images a thread, and the index and names of one shard.
///
/// # Errors
/// Where an image cannot be read, as `bad_images` says, or a file not be written; where `out` holds something else, or a pack
/// begun otherwise, or is being written by another process; [`Error::Stopped`] where `progress` broke it off.
pub fn prepare(job: &Job<'_>, out: &Path, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> Result<Prepared> {
    job.settings.check()?;
    let total = job.dataset.train.len() + job.dataset.val.len();
    if total == 0 {
        return Err(Error::Empty { purpose: "pack" });
    }
    let begun = Begun::new(job.settings.clone(), Origin::of(job.dataset, job.path)?);
    let _lock = take_up(out)?;
    let (begun, before) = begin(out, begun)?;
    let mut making = Making { job, out, begun: begun.clone(), kept: 0, done: 0, total, progress, bad: Vec::new(), sums: [0; 3] };
    let mut manifest = Manifest::new(begun, &job.dataset.name, &job.dataset.classes, &job.dataset.words);
    for split in [Split::Train, Split::Val] {
        making.split(split, &mut manifest)?;
    }
    if job.bad_images == BadImages::Report && !making.bad.is_empty() {
        making.bad.sort();
        return Err(Error::BadImages { bad: making.bad });
    }
    if let (0, Some(first)) = (manifest.train.images + manifest.val.images, manifest.omitted.first()) {
        let first = BadImage { name: first.name.clone(), reason: first.reason.clone() };
        return Err(Error::AllBad { images: total, first });
    }
    let [made, made_bytes, source_bytes] = making.sums;
    // The same records have the same statistics.
    let known = before.filter(|before| before.train == manifest.train && reader::statistics(out, before).is_ok());
    manifest.statistics = match known {
        Some(before) => before.statistics,
        None => {
            unseal(out, &manifest.begun())?;
            measure(job, out, &manifest, progress)?
        }
    };
    manifest.write(&out.join(MANIFEST))?;
    remove(&out.join(BEGUN))?;
    weights::sync_folder(out)?;
    Ok(Prepared { manifest, made: made as usize, made_bytes, source_bytes })
}

/// Makes the folder and locks it, so that two processes never write into one pack. The lock ends with the process.
fn take_up(out: &Path) -> Result<File> {
    fs::create_dir_all(out).map_err(|source| weights::Error::io("make folder", out, source))?;
    if !out.join(MANIFEST).exists() && !out.join(BEGUN).exists() {
        let entries = fs::read_dir(out).map_err(|source| Error::Path { path: out.into(), source })?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        // A hidden file may be of a file manager, of a lock, or a text that was never finished. Shards without a manifest are
        // those of a pack whose damaged manifest was taken away.
        let ours = |name: &str| name == STATISTICS || name.ends_with(".shard") || name.ends_with(&format!(".shard{PARTIAL}"));
        if let Some(found) = names.filter(|name| !name.starts_with('.') && !ours(name)).min() {
            return Err(Error::Occupied { path: out.into(), found });
        }
    }
    let path = out.join(".lock");
    let fault = |source| weights::Error::io("lock", &path, source);
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::PackInUse { path: out.into() }),
        Err(TryLockError::Error(source)) => Err(fault(source).into()),
    }
}

/// Checks that a pack begun before was begun like this one; returns how it was begun, and what it holds if it is whole.
fn begin(out: &Path, now: Begun) -> Result<(Begun, Option<Manifest>)> {
    let (manifest, begun) = (out.join(MANIFEST), out.join(BEGUN));
    let whole = match (manifest.exists(), begun.exists()) {
        (true, false) => Some(Manifest::read(&manifest)?),
        // A process was killed, or the power went, between the writing of the one and the taking away of the other.
        (true, true) => Manifest::read(&manifest).ok(),
        (false, _) => None,
    };
    let before = match &whole {
        Some(manifest) => Some(manifest.begun()),
        None if begun.exists() => Some(Begun::read(&begun)?),
        None => None,
    };
    let differences = before.as_ref().map(|before| before.differences(&now)).unwrap_or_default();
    let kept = match before {
        Some(before) if differences.is_empty() => before,
        // Nothing is lost where no shard was finished, as after a first image that was bad.
        Some(_) if whole.is_none() && !has_shards(out)? => {
            remove(&begun)?;
            now
        }
        Some(_) => return Err(Error::PackDiffers { path: out.into(), differences }),
        None => now,
    };
    if whole.is_none() {
        unseal(out, &kept)?;
    }
    for entry in fs::read_dir(out).map_err(|source| Error::Path { path: out.into(), source })?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(&format!(".shard{PARTIAL}")) || name.starts_with('.') && name.ends_with(".tmp") {
            remove(&entry.path())?;
        }
    }
    Ok((kept, whole))
}

fn has_shards(out: &Path) -> Result<bool> {
    let entries = fs::read_dir(out).map_err(|source| Error::Path { path: out.into(), source })?;
    Ok(entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".shard")))
}

/// From here on the folder holds a pack that is not finished.
fn unseal(out: &Path, begun: &Begun) -> Result<()> {
    let path = out.join(BEGUN);
    if !path.exists() {
        begun.write(&path)?;
    }
    remove(&out.join(MANIFEST))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(weights::Error::io("remove", path, source).into()),
        _ => Ok(()),
    }
}

/// The state of making a pack.
struct Making<'a> {
    job: &'a Job<'a>,
    out: &'a Path,
    /// How it was begun: every shard's header has its digest.
    begun: Begun,
    kept: usize,
    done: usize,
    total: usize,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    bad: Vec<BadImage>,
    /// Records made, their bytes, and those of the source.
    sums: [u64; 3],
}

impl Making<'_> {
    /// All shards of a split.
    fn split(&mut self, split: Split, manifest: &mut Manifest) -> Result<()> {
        let source = self.job.dataset.split(split);
        let (images, seed, settings) = (source.len(), self.job.settings.seed, self.begun.digest());
        // Any run of training records is a sample of them all.
        let order = match split {
            Split::Train => permutation(Stream::new(seed, Purpose::Shuffle, 1, 0, 0), images),
            Split::Val => (0..images as u32).collect(),
        };
        for (number, order) in (0..).zip(order.chunks(self.job.settings.shard_images as usize)) {
            let first = u64::from(number) * u64::from(self.job.settings.shard_images);
            let header = Header { split, number, first, images: order.len() as u32, settings };
            let path = self.out.join(shard_name(split, number));
            let (entry, omitted) = match self.find(&path, header)? {
                Some(found) => {
                    self.kept += order.len();
                    self.done += order.len();
                    found
                }
                None => self.make(source, order, &path, header)?,
            };
            let part = manifest.part_mut(split);
            part.images += entry.images;
            part.shards.push(entry);
            self.bad.extend_from_slice(&omitted);
            manifest.omitted.extend(omitted.into_iter().map(|bad| Omitted { split, name: bad.name, reason: bad.reason }));
        }
        Ok(())
    }

    /// The shard that an earlier call has made, if it is whole. Where bad images are not to be left out, a shard without some
    /// of its images is made again: they may have been repaired.
    fn find(&self, path: &Path, header: Header) -> Result<Option<(ShardEntry, Vec<BadImage>)>> {
        if !path.exists() {
            return Ok(None);
        }
        let map = weights::Mapped::open(path)?;
        let bytes = map.bytes();
        let Ok(parts) = Parts::of(bytes, self.job.dataset.classes.len()) else { return Ok(None) };
        if parts.header.settings != header.settings {
            let differences = vec![format!("`{}` is a shard of another pack", shard_name(header.split, header.number))];
            return Err(Error::PackDiffers { path: self.out.into(), differences });
        }
        let omitted: Vec<_> =
            parts.omitted(bytes).map(|(name, reason)| BadImage { name: name.into(), reason: reason.into() }).collect();
        if parts.header != header || !(omitted.is_empty() || self.job.bad_images == BadImages::Skip) {
            return Ok(None);
        }
        let name = shard_name(header.split, header.number);
        let digest = parts.digest.to_hex().to_string();
        Ok(Some((ShardEntry { name, images: parts.records(), bytes: bytes.len() as u64, digest }, omitted)))
    }

    /// Makes the shard of the images in `order`.
    fn make(&mut self, source: &dyn Source, order: &[u32], path: &Path, header: Header) -> Result<(ShardEntry, Vec<BadImage>)> {
        let mut writer = ShardWriter::begin(path, header)?;
        let (mut omitted, job) = (Vec::new(), self.job);
        let range: Range<usize> = 0..order.len();
        let recorder = || Recorder::new(job.settings);
        let record = |recorder: &mut Recorder<'_>, place: usize| recorder.record(source, order[place] as usize);
        in_order(range, job.threads, recorder, record, |place, made: Result<Record>| {
            let index = order[place] as usize;
            match made {
                Ok(record) => {
                    writer.add(&record, source.label(index), &relative_name(source.name(index), Some(job.path)))?;
                    let made = [1, record.bytes.len() as u64, record.source_bytes];
                    self.sums.iter_mut().zip(made).for_each(|(sum, more)| *sum += more);
                }
                Err(error) => {
                    let mut bad = omitted_image(error, job.bad_images)?;
                    bad.name = relative_name(bad.name.into(), Some(job.path)).into_owned();
                    omitted.push(writer.omit(bad));
                }
            }
            self.done += 1;
            let (done, total, kept) = (self.done, self.total, self.kept);
            match (self.progress)(Progress::Packing { done, total, kept }) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(Error::Stopped { done, images: total }),
            }
        })?;
        // A pack that is whole stays so until it has another shard.
        unseal(self.out, &self.begun)?;
        Ok((writer.finish()?, omitted))
    }
}

/// The image that is left out, or the error that ends it.
fn omitted_image(error: Error, policy: BadImages) -> Result<BadImage> {
    // A file that was listed and is not there any more is not a bad image: the disk or the share may have gone. A link that
    // leads nowhere was never more than that.
    if let Error::File { name, source } = &error
        && source.kind() == std::io::ErrorKind::NotFound
        && fs::symlink_metadata(name).is_err()
    {
        return Err(Error::Vanished { name: name.clone() });
    }
    match error.bad_image() {
        Some(bad) if policy != BadImages::Stop => Ok(bad),
        _ => Err(error),
    }
}

/// Measures the training records and keeps what was found beside them.
fn measure(
    job: &Job<'_>,
    out: &Path,
    manifest: &Manifest,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Option<Measured>> {
    if manifest.train.images == 0 {
        return Ok(None);
    }
    let packed = Packed::open(out, manifest, Split::Train, true)?;
    let mut measuring = |done, total| progress(Progress::Measuring { done, total });
    let (statistics, _) =
        Statistics::compute(&packed, &job.settings.preprocessing(), job.threads, BadImages::Stop, &mut measuring)?;
    let path = out.join(STATISTICS);
    let tensors = statistics.to_tensors();
    weights::safetensors::write(&path, &weights::safetensors::of_list(&tensors), &Default::default())?;
    Ok(Some(Measured { name: STATISTICS.into(), digest: weights::digest(&path)? }))
}

impl Prepared {
    /// What was packed, in one line.
    pub fn describe(&self) -> String {
        let m = &self.manifest;
        format!(
            "{}, {} and {} in {}",
            count(m.classes.len(), "class", "classes"),
            count(m.train.images, "training image", "training images"),
            count(m.val.images, "validation image", "validation images"),
            count(m.train.shards.len() + m.val.shards.len(), "shard", "shards")
        )
    }
}
