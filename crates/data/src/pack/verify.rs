//! Looks at every byte of a pack.

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use weights::Mapped;

use super::format::{self, MOST_CLASSES, Parts};
use super::manifest::{BEGUN, MANIFEST, Manifest, STATISTICS, ShardEntry};
use super::reader;
use crate::{Error, Result, Split, workers};

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Records that are as they were written.
    pub intact: usize,
    /// Bytes looked at.
    pub bytes: u64,
    /// What is damaged, sorted by file and place.
    pub damage: Vec<Damage>,
}

/// A place that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The file's name within the pack.
    pub file: String,
    /// The first byte of the damaged record; `None` where it is not a record.
    pub offset: Option<u64>,
    /// The image's name, where it is a record.
    pub image: Option<String>,
    /// What is wrong.
    pub message: String,
}

/// A shard to look at.
struct Task {
    name: String,
    /// What the manifest says of it, where the manifest can be read.
    expected: Option<(ShardEntry, (Split, u32))>,
}

/// What threads report.
enum Report {
    /// So many bytes more.
    Bytes(u64),
    /// So many records more that are intact.
    Intact(usize),
    Damage(Damage),
}

/// Bytes between two reports of progress.
const STRIDE: u64 = 1 << 22;

/// Checks a pack: manifest, statistics, and of each shard the header, every record, index, names and footer. Where the
/// manifest is damaged, the shards that are in the folder are checked by themselves. `progress` hears of (bytes done, bytes in
/// all) and may break it off.
///
/// # Errors
/// Where there is no pack, or it is not finished; [`Error::Stopped`] where `progress` broke it off. Damage is no error.
pub fn verify(path: &Path, threads: usize, progress: &mut dyn FnMut(u64, u64) -> ControlFlow<()>) -> Result<Verified> {
    let place = path.join(MANIFEST);
    if !place.is_file() {
        return Err(match path.join(BEGUN).is_file() {
            true => Error::Unfinished { path: path.into() },
            false => Error::Pack { path: path.into(), message: format!("there is no `{MANIFEST}` in it") },
        });
    }
    let mut found = Verified::default();
    let manifest = match Manifest::read(&place) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            found.add(MANIFEST, &error);
            None
        }
    };
    if let Some(manifest) = &manifest
        && let Err(error) = reader::statistics(path, manifest)
    {
        found.add(STATISTICS, &error);
    }
    let tasks = tasks(path, manifest.as_ref())?;
    let length = |name: &str| fs::metadata(path.join(name)).map_or(0, |m| m.len());
    found.bytes = length(MANIFEST) + if manifest.is_some() { length(STATISTICS) } else { 0 };
    let total = found.bytes + tasks.iter().map(|task| length(&task.name)).sum::<u64>();
    check_all(path, manifest.as_ref(), &tasks, threads, &mut found, &mut |done| progress(done, total))?;
    found.damage.sort();
    Ok(found)
}

impl Verified {
    fn add(&mut self, file: &str, error: &Error) {
        let message = match error {
            Error::Pack { message, .. } => message.clone(),
            other => chain(other),
        };
        self.damage.push(Damage { file: file.into(), offset: None, image: None, message });
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// The shards that the manifest names, else those in the folder.
fn tasks(path: &Path, manifest: Option<&Manifest>) -> Result<Vec<Task>> {
    let Some(manifest) = manifest else {
        let entries = fs::read_dir(path).map_err(|source| Error::Path { path: path.into(), source })?;
        let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut tasks: Vec<_> = names.filter(|name| name.ends_with(".shard")).map(|name| Task { name, expected: None }).collect();
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        return Ok(tasks);
    };
    let of = |split| (0..).zip(&manifest.part(split).shards).map(move |(number, entry)| (entry, (split, number)));
    let all = of(Split::Train).chain(of(Split::Val));
    Ok(all.map(|(entry, which)| Task { name: entry.name.clone(), expected: Some((entry.clone(), which)) }).collect())
}

/// Checks all shards, a thread a shard.
fn check_all(
    path: &Path,
    manifest: Option<&Manifest>,
    tasks: &[Task],
    threads: usize,
    found: &mut Verified,
    progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
) -> Result<()> {
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (report, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        let (next, over) = (&next, &over);
        let work = |report: mpsc::Sender<Report>| {
            move || {
                while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    check_shard(path, manifest, task, over, &report);
                }
            }
        };
        workers::start(scope, threads.min(tasks.len()), || work(report.clone()))?;
        drop(report);
        for report in reports {
            match report {
                Report::Intact(records) => found.intact += records,
                Report::Damage(damage) => found.damage.push(damage),
                Report::Bytes(bytes) => {
                    found.bytes += bytes;
                    if progress(found.bytes).is_break() {
                        over.store(true, Ordering::Relaxed);
                    }
                }
            }
        }
        match over.load(Ordering::Relaxed) {
            true => Err(Error::Stopped { done: found.intact, images: manifest.map_or(0, |m| m.train.images + m.val.images) }),
            false => Ok(()),
        }
    })
}

/// Checks one shard. The receiver of reports lives until all senders are gone.
fn check_shard(path: &Path, manifest: Option<&Manifest>, task: &Task, over: &AtomicBool, report: &mpsc::Sender<Report>) {
    let send = |what| {
        let _ = report.send(what);
    };
    let file = || task.name.clone();
    let whole = |message| send(Report::Damage(Damage { file: file(), offset: None, image: None, message }));
    let map = match Mapped::open(&path.join(&task.name)) {
        Ok(map) => map,
        Err(error) => return whole(chain(&error)),
    };
    let bytes = map.bytes();
    let parts = match (&task.expected, manifest) {
        (Some((entry, which)), Some(manifest)) => {
            reader::check_shard(bytes, entry, *which, manifest.begun().digest(), manifest.classes.len())
        }
        _ => Parts::of(bytes, MOST_CLASSES),
    };
    let parts = match parts {
        Ok(parts) => parts,
        Err(message) => {
            whole(format!("{message}; which of its records are whole cannot be said"));
            return send(Report::Bytes(bytes.len() as u64));
        }
    };
    let (mut intact, mut told) = (0, 0);
    for record in 0..parts.records() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let range = parts.range(bytes, record);
        if format::checksum(&bytes[range.clone()]) == parts.entry(bytes, record).checksum {
            intact += 1;
        } else {
            let message = format!("the record was changed: bytes {} to {}", range.start, range.end);
            let image = Some(parts.name(bytes, record).into());
            send(Report::Damage(Damage { file: file(), offset: Some(range.start as u64), image, message }));
        }
        if range.end as u64 - told >= STRIDE {
            send(Report::Bytes(range.end as u64 - told));
            told = range.end as u64;
        }
    }
    send(Report::Intact(intact));
    send(Report::Bytes(bytes.len() as u64 - told));
}
