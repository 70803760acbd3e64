//! Zip archives, read where they lie: entries stored as they are, or deflated.
//!
//! The directory of an archive stands at its end, behind it only a record that says where it begins; numbers of 32 bits that
//! do not suffice are continued in an extra field or a record of their own. (PKWARE, APPNOTE.TXT, 4.3 and 4.5.)

use std::borrow::Cow;
use std::io::Read;

/// How a file entry, the directory, and the records at its end begin.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";

/// Bytes of the records without what varies.
const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_BYTES: usize = 22;
const LOCATOR64_BYTES: usize = 20;

/// How many times its packed size an entry may have: a small file must not fill the memory.
const MOST_RATIO: u64 = 64;
/// What an entry may have whatever its packed size, in bytes.
const ALWAYS_ALLOWED: u64 = 1 << 24;

/// Whether bytes begin as an archive does.
pub fn recognises(bytes: &[u8]) -> bool {
    bytes.starts_with(LOCAL) || bytes.starts_with(END)
}

/// An archive's entries.
#[derive(Debug, Clone)]
pub struct Archive<'a> {
    /// In the order of the directory.
    pub entries: Vec<Entry<'a>>,
}

/// What an archive says of one of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its name: a path with `/`.
    pub name: Cow<'a, str>,
    /// Bytes of its content.
    pub bytes: u64,
    archive: &'a [u8],
    flags: u16,
    method: u16,
    crc: u32,
    packed_bytes: u64,
    /// Of its local header.
    offset: u64,
}

impl<'a> Archive<'a> {
    /// Reads the directory of an archive.
    ///
    /// # Errors
    /// What is wrong: there is no directory, it is cut off, or it lies outside the archive.
    pub fn read(archive: &'a [u8]) -> Result<Archive<'a>, String> {
        let (start, bytes) = directory(archive)?;
        let mut rest = range(archive, start, bytes).ok_or("its directory lies outside of it")?;
        let mut entries = Vec::new();
        while !rest.is_empty() {
            let (entry, length) = Entry::read(archive, rest).ok_or("its directory is damaged")?;
            entries.push(entry);
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(Archive { entries })
    }

    /// The entry of a name; of several, the last, which is the one written last.
    pub fn get(&self, name: &str) -> Option<&Entry<'a>> {
        self.entries.iter().rev().find(|entry| entry.name == name)
    }
}

/// Where the directory begins and how many bytes it has.
fn directory(archive: &[u8]) -> Result<(u64, u64), String> {
    // Behind the record there may be a comment of up to 65535 bytes.
    let from = archive.len().saturating_sub(END_BYTES + 0xffff);
    let tail = archive.get(from..).unwrap_or_default();
    let ends = |at: &usize| tail.get(*at..).is_some_and(|rest| rest.starts_with(END) && rest.len() >= END_BYTES);
    let at = (0..tail.len()).rev().find(ends).ok_or("it has no directory at its end: it is cut off")?;
    let end = tail.get(at..).unwrap_or_default();
    let (bytes, start) = (u32_at(end, 12).unwrap_or(0), u32_at(end, 16).unwrap_or(0));
    if bytes != u32::MAX && start != u32::MAX {
        return Ok((start.into(), bytes.into()));
    }
    let locator = (from + at).checked_sub(LOCATOR64_BYTES).and_then(|at| archive.get(at..));
    let locator = locator.filter(|locator| locator.starts_with(LOCATOR64)).ok_or("its directory's place is missing")?;
    let at = u64_at(locator, 8).and_then(|at| usize::try_from(at).ok());
    let end64 = at.and_then(|at| archive.get(at..)).filter(|end64| end64.starts_with(END64));
    let place = end64.and_then(|end64| Some((u64_at(end64, 48)?, u64_at(end64, 40)?)));
    place.ok_or_else(|| "its directory's place is damaged".into())
}

impl<'a> Entry<'a> {
    /// The entry at the beginning of a directory, and how many bytes it has there.
    fn read(archive: &'a [u8], directory: &'a [u8]) -> Option<(Entry<'a>, usize)> {
        if !directory.starts_with(CENTRAL) {
            return None;
        }
        let [name, extra, comment] = [28, 30, 32].map(|at| u16_at(directory, at).map(usize::from));
        let (name_end, extra_bytes) = (CENTRAL_BYTES + name?, extra?);
        let name = directory.get(CENTRAL_BYTES..name_end)?;
        let extra = directory.get(name_end..name_end + extra_bytes)?;
        let length = name_end + extra_bytes + comment?;
        directory.get(..length)?;
        // In this order they are continued in the extra field.
        let mut numbers = [24, 20, 42].map(|at| u32_at(directory, at).unwrap_or(0).into());
        if numbers.contains(&u64::from(u32::MAX)) {
            let mut long = extra_field(extra, 1)?;
            for number in numbers.iter_mut().filter(|number| **number == u64::from(u32::MAX)) {
                *number = u64_at(long, 0)?;
                long = long.get(8..)?;
            }
        }
        let [bytes, packed_bytes, offset] = numbers;
        let (flags, method, crc) = (u16_at(directory, 8)?, u16_at(directory, 10)?, u32_at(directory, 16)?);
        let name = String::from_utf8_lossy(name);
        Some((Entry { name, bytes, archive, flags, method, crc, packed_bytes, offset }, length))
    }

    /// The bytes of an entry that is stored as it is, where they lie; `None` for one that is packed. Their checksum is not
    /// looked at.
    ///
    /// # Errors
    /// Where they lie outside the archive or are encrypted.
    pub fn stored(&self) -> Result<Option<&'a [u8]>, String> {
        let packed = self.packed()?;
        match self.method {
            0 if self.bytes == self.packed_bytes => Ok(Some(packed)),
            0 => Err(self.fault("its two sizes differ")),
            _ => Ok(None),
        }
    }

    /// The entry's bytes, unpacked where they are packed, after a look at their checksum.
    ///
    /// # Errors
    /// Where they lie outside the archive, are encrypted, packed in another way than by deflate, damaged, or unpack to more
    /// than 64 times their packed size (and 16 MiB).
    pub fn content(&self) -> Result<Cow<'a, [u8]>, String> {
        let content = match self.stored()? {
            Some(bytes) => Cow::Borrowed(bytes),
            None if self.method == 8 => {
                let unpacked = unpack(flate2::read::DeflateDecoder::new(self.packed()?), self.packed_bytes);
                Cow::Owned(unpacked.map_err(|error| self.fault(&error))?)
            }
            None => return Err(self.fault(&format!("it is packed by method {}, expected 0 or 8", self.method))),
        };
        if content.len() as u64 != self.bytes {
            return Err(self.fault(&format!("it has {} bytes, expected {}", content.len(), self.bytes)));
        }
        let mut crc = flate2::Crc::new();
        crc.update(&content);
        match crc.sum() == self.crc {
            true => Ok(content),
            false => Err(self.fault("its checksum is another than the archive says")),
        }
    }

    /// The bytes behind the local header.
    fn packed(&self) -> Result<&'a [u8], String> {
        if self.flags & 1 != 0 {
            return Err(self.fault("it is encrypted"));
        }
        let outside = || self.fault("it lies outside the archive: the archive is cut off or damaged");
        let header = range(self.archive, self.offset, LOCAL_BYTES as u64).filter(|header| header.starts_with(LOCAL));
        let header = header.ok_or_else(outside)?;
        // The extra field here need not be as long as the directory's.
        let variable = u64::from(u16_at(header, 26).unwrap_or(0)) + u64::from(u16_at(header, 28).unwrap_or(0));
        let start = self.offset.checked_add(LOCAL_BYTES as u64 + variable);
        start.and_then(|start| range(self.archive, start, self.packed_bytes)).ok_or_else(outside)
    }

    fn fault(&self, what: &str) -> String {
        let name: String = self.name.chars().take(80).collect();
        format!("entry `{}`: {what}", name.escape_debug())
    }
}

/// Everything that `reader` has, which unpacks `packed_bytes`.
///
/// # Errors
/// The reader's, and where that is too much of them.
pub(crate) fn unpack(reader: impl Read, packed_bytes: u64) -> Result<Vec<u8>, String> {
    let most = packed_bytes.saturating_mul(MOST_RATIO).max(ALWAYS_ALLOWED);
    let mut unpacked = Vec::new();
    let read = reader.take(most.saturating_add(1)).read_to_end(&mut unpacked);
    read.map_err(|error| error.to_string())?;
    match unpacked.len() as u64 <= most {
        true => Ok(unpacked),
        false => Err(format!("{packed_bytes} packed bytes unpack to more than {most}")),
    }
}

/// The content of the extra field of a kind.
fn extra_field(mut extra: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let (found, length) = (u16_at(extra, 0)?, usize::from(u16_at(extra, 2)?));
        let content = extra.get(4..4 + length)?;
        if found == kind {
            return Some(content);
        }
        extra = extra.get(4 + length..)?;
    }
}

fn range(bytes: &[u8], start: u64, length: u64) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}
