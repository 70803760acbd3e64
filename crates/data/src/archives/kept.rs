//! The file that keeps where the members of a folder's archives lie.
//!
//! Little-endian: [`MAGIC`]; number of archives; of each its name, size, time of change (seconds and nanoseconds), whether
//! archives within it were looked into, and its groups: number, and of each its name and its members: number, and of each
//! name, offset and length. Names are a length and UTF-8. At the end the CRC-32 of all before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::Group;
use crate::tar::{Index, Member};
use crate::{Error, Result};

/// The file's name in the archives' folder.
pub(crate) const KEPT: &str = ".alexnet-tars";

const MAGIC: &[u8] = b"alexnet: where the members of tar files lie, 1\n";

/// More than this is none of ours.
const LARGEST: u64 = 4 << 30;

/// Tells whether an archive is the one that was indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    seconds: u64,
    nanoseconds: u32,
    /// Whether archives within it are looked into.
    pub(super) nested: bool,
}

impl Stamp {
    pub(super) fn of(path: &Path, nested: bool) -> Result<Stamp> {
        let fault = |source| Error::Path { path: path.into(), source };
        let metadata = fs::metadata(path).map_err(fault)?;
        let since = metadata.modified().map_err(fault)?.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Stamp { size: metadata.len(), seconds: since.as_secs(), nanoseconds: since.subsec_nanos(), nested })
    }
}

/// What is kept of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) stamp: Stamp,
    pub(super) groups: Vec<Group>,
}

/// What is kept in a folder, by the archives' names; nothing where the file is not there or not whole.
pub(super) fn read(folder: &Path) -> BTreeMap<String, Kept> {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(folder.join(KEPT)) else { return BTreeMap::new() };
    match file.take(LARGEST).read_to_end(&mut bytes) {
        Ok(_) => decode(&bytes).unwrap_or_default(),
        Err(_) => BTreeMap::new(),
    }
}

/// Keeps what is known of archives that are still there, whole or not at all.
pub(super) fn write(folder: &Path, known: &BTreeMap<String, Kept>) -> io::Result<()> {
    let there: BTreeMap<_, _> = known.iter().filter(|(name, _)| folder.join(name).is_file()).collect();
    let beside = folder.join(format!("{KEPT}.{}.tmp", std::process::id()));
    let written = File::create(&beside).and_then(|mut file| file.write_all(&encode(&there)));
    written.and_then(|()| fs::rename(&beside, folder.join(KEPT))).inspect_err(|_| {
        // The error that matters is the first.
        let _ = fs::remove_file(&beside);
    })
}

fn encode(known: &BTreeMap<&String, &Kept>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let number = |bytes: &mut Vec<u8>, n: u64| bytes.extend(n.to_le_bytes());
    let name = |bytes: &mut Vec<u8>, name: &str| {
        number(bytes, name.len() as u64);
        bytes.extend(name.as_bytes());
    };
    number(&mut bytes, known.len() as u64);
    for (archive, Kept { stamp, groups }) in known {
        name(&mut bytes, archive);
        for n in [stamp.size, stamp.seconds, stamp.nanoseconds.into(), stamp.nested.into(), groups.len() as u64] {
            number(&mut bytes, n);
        }
        for Group { inner, index } in groups {
            name(&mut bytes, inner);
            number(&mut bytes, index.len() as u64);
            for member in index.iter() {
                name(&mut bytes, member.name);
                number(&mut bytes, member.offset);
                number(&mut bytes, member.length);
            }
        }
    }
    let sum = sum(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn sum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// `None` where anything is not as it was written, or a member does not lie within its archive.
fn decode(bytes: &[u8]) -> Option<BTreeMap<String, Kept>> {
    let (bytes, end) = bytes.split_last_chunk::<4>()?;
    if sum(bytes) != u32::from_le_bytes(*end) {
        return None;
    }
    let mut left = Left(bytes.strip_prefix(MAGIC)?);
    let mut known = BTreeMap::new();
    for _ in 0..left.number()? {
        let archive = left.name()?.to_string();
        let [size, seconds, nanoseconds, nested, groups] =
            [left.number()?, left.number()?, left.number()?, left.number()?, left.number()?];
        let stamp = Stamp { size, seconds, nanoseconds: nanoseconds.try_into().ok()?, nested: nested != 0 };
        let mut all = Vec::new();
        for _ in 0..groups {
            let (inner, mut index) = (left.name()?.to_string(), Index::default());
            for _ in 0..left.number()? {
                let member = Member { name: left.name()?, offset: left.number()?, length: left.number()? };
                member.offset.checked_add(member.length).filter(|&end| end <= size)?;
                index.push(member);
            }
            all.push(Group { inner, index });
        }
        known.insert(archive, Kept { stamp, groups: all });
    }
    left.0.is_empty().then_some(known)
}

/// What has not been read yet.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeMap<String, Kept> {
        let mut index = Index::default();
        index.push(Member { name: "a/ä.jpg", offset: 512, length: 100 });
        index.push(Member { name: "b.jpg", offset: 2048, length: 0 });
        let stamp = Stamp { size: 4096, seconds: 1 << 33, nanoseconds: 5, nested: true };
        let groups = vec![Group { inner: String::new(), index: Index::default() }, Group { inner: "n1.tar".into(), index }];
        BTreeMap::from([("x.tar".to_string(), Kept { stamp, groups })])
    }

    #[test]
    fn what_is_kept_reads_back_and_what_is_changed_counts_for_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(read(folder.path()).is_empty());
        write(folder.path(), &known()).expect("written");
        assert!(read(folder.path()).is_empty(), "there is no such archive");
        fs::write(folder.path().join("x.tar"), "").expect("written");
        write(folder.path(), &known()).expect("written");
        assert_eq!(read(folder.path()), known());
        let path = folder.path().join(KEPT);
        let whole = fs::read(&path).expect("there");
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(&damaged), None, "byte {at}");
            assert_eq!(decode(&whole[..at]), None, "{at} bytes");
        }
        // Right sums do not help wrong numbers.
        for at in MAGIC.len()..whole.len() - 4 {
            let mut damaged = whole[..whole.len() - 4].to_vec();
            damaged[at] ^= 0xff;
            let crc = sum(&damaged);
            damaged.extend(crc.to_le_bytes());
            for kept in decode(&damaged).unwrap_or_default().values() {
                let members = kept.groups.iter().flat_map(|group| group.index.iter());
                assert!(members.into_iter().all(|m| m.offset + m.length <= kept.stamp.size), "byte {at}");
            }
        }
    }
}
