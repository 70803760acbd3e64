//! The bytes of a shard; `docs/pack.md` shows them as a table. Numbers are little-endian.

use std::ops::Range;

use crate::Split;

/// What a shard begins with.
const MAGIC: &[u8; 8] = b"ALEXPACK";
/// The version of shards and manifest.
pub(super) const VERSION: u32 = 1;
/// Length of the header; the first record begins here.
pub(super) const HEADER_BYTES: usize = 64;
/// Length of one record's entry in the index.
pub(super) const ENTRY_BYTES: usize = 24;
/// Length of the footer.
pub(super) const FOOTER_BYTES: usize = 64;
/// Labels share their word with the kind.
pub(super) const MOST_CLASSES: usize = 1 << 24;
/// Width and height before a record's pixels.
pub(super) const PIXELS_HEAD_BYTES: usize = 4;

/// The name of a shard's file.
pub(super) fn shard_name(split: Split, number: u32) -> String {
    format!("{split}-{number:05}.shard")
}

/// Which part of which pack a shard is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) split: Split,
    pub(super) number: u32,
    /// The place in the split's order of the shard's first image.
    pub(super) first: u64,
    /// Images that it was made of; as many records, less those left out.
    pub(super) images: u32,
    /// Digest of the settings and of the source's list of images.
    pub(super) settings: [u8; 32],
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(self.split as u32).to_le_bytes());
        bytes[16..20].copy_from_slice(&self.number.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.images.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first.to_le_bytes());
        bytes[32..].copy_from_slice(&self.settings);
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Header, String> {
        if bytes.len() < HEADER_BYTES || &bytes[..8] != MAGIC {
            return Err("it is no shard: it does not begin with a shard's header".into());
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(format!("it is of format version {version}, read is {VERSION}"));
        }
        let split = match u32_at(bytes, 12) {
            0 => Split::Train,
            1 => Split::Val,
            other => return Err(format!("its header names split {other}, expected 0 or 1")),
        };
        let mut settings = [0; 32];
        settings.copy_from_slice(&bytes[32..HEADER_BYTES]);
        Ok(Header { split, number: u32_at(bytes, 16), images: u32_at(bytes, 20), first: u64_at(bytes, 24), settings })
    }
}

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image file, shown as its pixels lie.
    File = 0,
    /// An image file whose stated orientation is applied.
    Oriented = 1,
    /// Width and height as u16, then `[h, w, 3]`: red, green, blue.
    Pixels = 2,
}

/// One record's entry in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where the record ends, from the shard's first byte; it begins where the one before ends.
    pub(super) end: u64,
    pub(super) kind: Kind,
    pub(super) label: u32,
    /// Where the name ends within the names.
    pub(super) name_end: u32,
    pub(super) checksum: u64,
}

impl Entry {
    pub(super) fn to_bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&self.end.to_le_bytes());
        bytes[8..12].copy_from_slice(&((self.kind as u32) << 24 | self.label).to_le_bytes());
        bytes[12..16].copy_from_slice(&self.name_end.to_le_bytes());
        bytes[16..].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    fn parse(bytes: &[u8]) -> Result<Entry, String> {
        let word = u32_at(bytes, 8);
        let kind = match word >> 24 {
            0 => Kind::File,
            1 => Kind::Oriented,
            2 => Kind::Pixels,
            other => return Err(format!("a record of kind {other}, known are 0 to 2")),
        };
        let (end, name_end) = (u64_at(bytes, 0), u32_at(bytes, 12));
        Ok(Entry { end, kind, label: word & 0x00ff_ffff, name_end, checksum: u64_at(bytes, 16) })
    }
}

/// The checksum of a record: the first eight bytes of its BLAKE3 digest.
pub(super) fn checksum(record: &[u8]) -> u64 {
    u64_at(blake3::hash(record).as_bytes(), 0)
}

/// What stands behind the records: index, names, the images left out, footer. `header` is digested with it.
pub(super) fn tail(header: &[u8; HEADER_BYTES], index: &[u8], names: &str, omitted: &str) -> (Vec<u8>, blake3::Hash) {
    let mut lengths = [0; FOOTER_BYTES - blake3::OUT_LEN];
    lengths[..8].copy_from_slice(&(index.len() as u64).to_le_bytes());
    lengths[8..16].copy_from_slice(&(names.len() as u64).to_le_bytes());
    lengths[16..24].copy_from_slice(&(omitted.len() as u64).to_le_bytes());
    let tail = [index, names.as_bytes(), omitted.as_bytes(), &lengths].concat();
    let digest = digest(header, &tail);
    ([&tail[..], digest.as_bytes()].concat(), digest)
}

fn digest(header: &[u8], tail: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header).update(tail);
    hasher.finalize()
}

/// Where the parts of a shard lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) header: Header,
    index: Range<usize>,
    names: Range<usize>,
    omitted: Range<usize>,
    /// Digest of everything but the records.
    pub(super) digest: blake3::Hash,
}

impl Parts {
    /// Finds the parts of a whole shard and checks everything but the records: behind this, no entry, name or range can be
    /// amiss. Labels are below `classes`.
    pub(super) fn of(bytes: &[u8], classes: usize) -> Result<Parts, String> {
        let header = Header::parse(bytes)?;
        let room = bytes.len().checked_sub(HEADER_BYTES + FOOTER_BYTES).ok_or("it breaks off within its header or footer")?;
        let footer = &bytes[bytes.len() - FOOTER_BYTES..];
        let [index, names, omitted] = [0, 8, 16].map(|at| usize::try_from(u64_at(footer, at)).unwrap_or(usize::MAX));
        let behind = index.checked_add(names).and_then(|n| n.checked_add(omitted)).filter(|&n| n <= room);
        let (Some(behind), 0) = (behind, index % ENTRY_BYTES) else {
            return Err("its footer is damaged, or the end of the file is missing".into());
        };
        let start = bytes.len() - FOOTER_BYTES - behind;
        let found = digest(&bytes[..HEADER_BYTES], &bytes[start..bytes.len() - blake3::OUT_LEN]);
        if found.as_bytes()[..] != footer[FOOTER_BYTES - blake3::OUT_LEN..] {
            return Err("its header, index, names or footer were changed, or the end of the file is missing".into());
        }
        let names_start = start + index;
        let parts = Parts {
            header,
            index: start..names_start,
            names: names_start..names_start + names,
            omitted: names_start + names..names_start + names + omitted,
            digest: found,
        };
        parts.check(bytes, classes)?;
        Ok(parts)
    }

    /// Walks the index: a right digest shows that nothing was changed since, not that it was made by us.
    fn check(&self, bytes: &[u8], classes: usize) -> Result<(), String> {
        let text = |range: &Range<usize>| std::str::from_utf8(&bytes[range.clone()]).map_err(|_| "its names are not UTF-8");
        let names = text(&self.names)?;
        text(&self.omitted)?;
        let (mut end, mut name_end) = (HEADER_BYTES as u64, 0);
        for (number, entry) in bytes[self.index.clone()].chunks_exact(ENTRY_BYTES).enumerate() {
            let entry = Entry::parse(entry).map_err(|e| format!("index entry {number}: {e}"))?;
            if entry.end < end || entry.end > self.index.start as u64 {
                return Err(format!("index entry {number}: the record ends at byte {} and begins at {end}", entry.end));
            }
            if entry.name_end < name_end || !names.is_char_boundary(entry.name_end as usize) {
                return Err(format!("index entry {number}: its name ends at byte {} of the names", entry.name_end));
            }
            if entry.label as usize >= classes {
                return Err(format!("index entry {number}: label {} of {classes} classes", entry.label));
            }
            (end, name_end) = (entry.end, entry.name_end);
        }
        if end != self.index.start as u64 || name_end as usize != names.len() {
            return Err("there are bytes that belong to no record".into());
        }
        Ok(())
    }

    /// Number of records.
    pub(super) fn records(&self) -> usize {
        self.index.len() / ENTRY_BYTES
    }

    /// The entry of a record.
    pub(super) fn entry(&self, bytes: &[u8], record: usize) -> Entry {
        let at = self.index.start + record * ENTRY_BYTES;
        Entry::parse(&bytes[at..at + ENTRY_BYTES]).expect("entries were checked")
    }

    /// Where a record lies.
    pub(super) fn range(&self, bytes: &[u8], record: usize) -> Range<usize> {
        let start = if record == 0 { HEADER_BYTES as u64 } else { self.entry(bytes, record - 1).end };
        start as usize..self.entry(bytes, record).end as usize
    }

    /// The name of a record.
    pub(super) fn name<'a>(&self, bytes: &'a [u8], record: usize) -> &'a str {
        let start = if record == 0 { 0 } else { self.entry(bytes, record - 1).name_end as usize };
        let range = self.names.start + start..self.names.start + self.entry(bytes, record).name_end as usize;
        std::str::from_utf8(&bytes[range]).expect("names were checked")
    }

    /// The images left out: a line each, name and reason with a tab between.
    pub(super) fn omitted<'a>(&self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let text = std::str::from_utf8(&bytes[self.omitted.clone()]).expect("texts were checked");
        text.lines().map(|line| line.split_once('\t').unwrap_or((line, "")))
    }
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
