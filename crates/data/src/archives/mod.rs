//! Images that are read where they lie in tar files.
//!
//! To find 1.28 million images in the archive of a large data set takes as many reads all over it. So what was found is
//! kept beside the archives, in [`KEPT`], and believed as long as the archive has the same size and time of change. That
//! file is a convenience: where it cannot be written, all goes on without it, and it may be removed at will.

mod kept;
mod source;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::count;
use crate::tar::{Fault, Index, ReadAt};
use crate::{Error, Result, ahead};

pub(crate) use kept::KEPT;
pub(crate) use source::{Archived, Labelled, Lying};

use kept::{Kept, Stamp};

/// Up to so many archives stay open; of more, each is opened for each image.
const MOST_OPEN: usize = 64;

/// Indices of fewer members are made in no time and not kept.
const WORTH_KEEPING: usize = 10_000;

/// Disks answer several questions at once faster than one after the other, whatever the number of CPUs.
const READERS: usize = 8;

/// An archive and what lies in it.
pub(crate) struct Archive {
    path: PathBuf,
    /// Where it stays open.
    file: Option<File>,
    groups: Vec<Group>,
}

/// The members of one tar file: of the archive itself, or of one within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The inner tar file's name in the archive; empty for the archive itself.
    pub(crate) inner: String,
    /// Offsets count from the start of the archive.
    pub(crate) index: Index,
}

impl Archive {
    /// The tar file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The archive's own members, then those of the archives within it.
    pub(crate) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Fills `buffer` with what stands at `offset`.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.file {
            Some(file) => file.read_exact_at(buffer, offset),
            None => File::open(&self.path)?.read_exact_at(buffer, offset),
        }
    }

    /// Has the system read `bytes` from `offset` on, where the archive stays open.
    pub(crate) fn announce(&self, offset: u64, bytes: u64) {
        if let Some(file) = &self.file {
            ahead::range(file, offset, bytes);
        }
    }
}

/// Opens tar files and finds what lies in them; where `nested`, also within tar files in them.
///
/// # Errors
/// Where one cannot be read or is damaged.
pub(crate) fn open(paths: &[PathBuf], nested: bool, notes: &mut Vec<String>) -> Result<Vec<Archive>> {
    let (mut archives, stay_open) = (Vec::new(), paths.len() <= MOST_OPEN);
    // Archives are known by their names within a folder.
    for paths in paths.chunk_by(|a, b| a.parent() == b.parent()) {
        archives.extend(open_in_folder(paths, nested, stay_open, notes)?);
    }
    Ok(archives)
}

/// Opens tar files that lie in one folder.
fn open_in_folder(paths: &[PathBuf], nested: bool, stay_open: bool, notes: &mut Vec<String>) -> Result<Vec<Archive>> {
    let Some(folder) = paths.first().and_then(|path| path.parent()) else { return Ok(Vec::new()) };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut known = kept::read(folder);
    let mut new = Vec::new();
    for path in paths {
        let stamp = Stamp::of(path, nested)?;
        if known.get(&name(path)).is_none_or(|kept| kept.stamp != stamp) {
            new.push((path.as_path(), stamp));
        }
    }
    let mut members = 0;
    for ((path, stamp), groups) in new.iter().zip(find(&new)?) {
        members += groups.iter().map(|group| group.index.len()).sum::<usize>();
        known.insert(name(path), Kept { stamp: *stamp, groups });
    }
    if members >= WORTH_KEEPING && kept::write(folder, &known).is_ok() {
        let (members, kept) = (count(members, "member", "members"), folder.join(KEPT));
        notes.push(format!("where these archives' {members} lie is kept for the next time in {}", kept.display()));
    }
    let open = |path: &PathBuf| {
        let file = File::open(path).map_err(|source| Error::Path { path: path.clone(), source })?;
        let groups = known.remove(&name(path)).map(|kept| kept.groups).unwrap_or_default();
        Ok(Archive { path: path.clone(), file: stay_open.then_some(file), groups })
    };
    paths.iter().map(open).collect()
}

/// The groups of each archive.
fn find(archives: &[(&Path, Stamp)]) -> Result<Vec<Vec<Group>>> {
    let outer = side_by_side(archives.len(), |i| index(archives[i].0, 0..archives[i].1.size))?;
    let mut inner = Vec::new();
    for ((path, stamp), index) in archives.iter().zip(&outer) {
        // Names that begin with a dot are someone's notes about another file.
        let is_hidden = |name: &str| name.rsplit('/').next().is_some_and(|file| file.starts_with('.'));
        let has_end = |name: &str| Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("tar"));
        let is_tar = |name: &str| stamp.nested && has_end(name) && !is_hidden(name);
        let tars = index.iter().filter(|member| is_tar(member.name));
        inner.extend(tars.map(|member| (*path, member.name.to_string(), member.offset..member.offset + member.length)));
    }
    let indices = side_by_side(inner.len(), |i| index(inner[i].0, inner[i].2.clone()))?;
    let mut nested = inner.iter().zip(indices).peekable();
    let mut all = Vec::new();
    for ((path, _), index) in archives.iter().zip(outer) {
        let mut groups = vec![Group { inner: String::new(), index }];
        while let Some(((_, name, _), index)) = nested.next_if(|((of, ..), _)| of == path) {
            groups.push(Group { inner: name.clone(), index });
        }
        all.push(groups);
    }
    Ok(all)
}

fn index(path: &Path, span: Range<u64>) -> Result<Index> {
    let fault = |source: io::Error| Error::Path { path: path.into(), source };
    let file = File::open(path).map_err(fault)?;
    Index::of(&file, span).map_err(|error| match error {
        Fault::Io(source) => fault(source),
        Fault::Damaged { offset, message } => Error::Archive { path: path.into(), offset, message },
    })
}

/// `work(0)` to `work(n - 1)`, by several threads; the first error in that order.
fn side_by_side<T: Send + Sync>(n: usize, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
    let results: Vec<OnceLock<Result<T>>> = (0..n).map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some((i, result)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, results.get(i)?))) {
            result.get_or_init(|| work(i));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..READERS.min(n) {
            // With fewer threads it takes longer, that is all.
            let _ = std::thread::Builder::new().spawn_scoped(scope, worker);
        }
        worker();
    });
    results.into_iter().filter_map(OnceLock::into_inner).collect()
}
