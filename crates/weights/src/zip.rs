//! Zip archives, read where they lie: entries stored as they are, or deflated.
//!
//! The directory of an archive stands at its end, behind it only a record that says where it begins; numbers of 32 bits that
//! do not suffice are continued in an extra field or a record of their own. (PKWARE, APPNOTE.TXT, 4.3 and 4.5.)

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

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
    let comment = |at: &usize| tail.get(*at..).and_then(|rest| u16_at(rest, 20)).map(usize::from);
    // The comment may look like the record; what follows the record is as long as it says.
    let exact = |at: &usize| ends(at) && comment(at) == Some(tail.len() - at - END_BYTES);
    let at = (0..tail.len()).rev().find(exact).or_else(|| (0..tail.len()).rev().find(ends));
    let at = at.ok_or("it has no directory at its end: it is cut off")?;
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

    /// Where in the archive the bytes of an entry lie that is stored as it is; `None` for one that is packed. Their checksum is
    /// not looked at.
    ///
    /// # Errors
    /// Where they lie outside the archive or are encrypted.
    pub fn place(&self) -> Result<Option<Range<usize>>, String> {
        let packed = self.packed_place()?;
        match self.method {
            0 if self.bytes == self.packed_bytes => Ok(Some(packed)),
            0 => Err(self.fault("its two sizes differ")),
            _ => Ok(None),
        }
    }

    /// The bytes at [`Entry::place`].
    ///
    /// # Errors
    /// As there.
    pub fn stored(&self) -> Result<Option<&'a [u8]>, String> {
        Ok(self.place()?.and_then(|place| self.archive.get(place)))
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
                let unpacked = unpack(
                    flate2::read::DeflateDecoder::new(self.archive.get(self.packed_place()?).unwrap_or_default()),
                    self.packed_bytes,
                );
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

    /// Where the bytes behind the local header lie.
    fn packed_place(&self) -> Result<Range<usize>, String> {
        if self.flags & 1 != 0 {
            return Err(self.fault("it is encrypted"));
        }
        let outside = || self.fault("it lies outside the archive: the archive is cut off or damaged");
        let header = range(self.archive, self.offset, LOCAL_BYTES as u64).filter(|header| header.starts_with(LOCAL));
        let header = header.ok_or_else(outside)?;
        // The extra field here need not be as long as the directory's.
        let variable = u64::from(u16_at(header, 26).unwrap_or(0)) + u64::from(u16_at(header, 28).unwrap_or(0));
        let start = self.offset.checked_add(LOCAL_BYTES as u64 + variable);
        start.and_then(|start| span(self.archive, start, self.packed_bytes)).ok_or_else(outside)
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
    bytes.get(span(bytes, start, length)?)
}

/// `start..start + length`, where `bytes` have these.
fn span(bytes: &[u8], start: u64, length: u64) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
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

#[cfg(test)]
mod tests {
    use net::random::{Purpose, Stream};
    use safetensors::SafeTensors;

    use super::*;

    const NAMES: [&str; 6] = ["stored", "deflated", "comment", "long", "streamed", "long-directory"];

    fn golden<T>(read: impl FnOnce(&SafeTensors) -> T) -> T {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/zip/case.safetensors");
        let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        read(&SafeTensors::deserialize(&bytes).expect("a golden"))
    }

    fn file(name: &str) -> Vec<u8> {
        golden(|case| case.tensor(&format!("file/{name}")).expect("kept").data().to_vec())
    }

    #[test]
    fn entries_are_what_python_says() {
        for name in NAMES {
            let bytes = file(name);
            assert!(recognises(&bytes));
            let archive = Archive::read(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(archive.entries.len(), 4, "{name}");
            for entry in &archive.entries {
                let expected = golden(|case| {
                    let key = format!("content/{name}/{}", entry.name.replace('/', "|"));
                    case.tensor(&key).unwrap_or_else(|_| panic!("{key}")).data().to_vec()
                });
                assert_eq!(*entry.content().unwrap(), expected, "{name}: {}", entry.name);
                let stored = entry.stored().unwrap();
                assert_eq!(stored.is_some(), matches!(name, "stored" | "comment" | "long-directory"), "{name}");
                if let Some(stored) = stored {
                    assert!(bytes.as_ptr_range().contains(&stored.as_ptr()), "{name}: where it lies");
                }
            }
            assert_eq!(archive.get("archive/data.pkl").map(|entry| entry.bytes), Some(6));
            assert!(archive.get("data.pkl").is_none());
        }
    }

    /// Reads everything; whether all is whole.
    fn whole(bytes: &[u8]) -> Result<bool, String> {
        let archive = Archive::read(bytes)?;
        let contents: Result<Vec<_>, String> = archive.entries.iter().map(Entry::content).collect();
        contents.map(|contents| contents.len() == 4)
    }

    #[test]
    fn every_truncation_is_an_error() {
        for name in NAMES {
            let bytes = file(name);
            for length in 0..bytes.len() {
                let result = whole(&bytes[..length]);
                // A comment may be cut off, but not what is before it.
                assert!(result != Ok(true) || (name == "comment" && length + 9 >= bytes.len()), "{name}: {length}");
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let zoo: Vec<Vec<u8>> = NAMES.iter().map(|name| file(name)).collect();
        for bytes in &zoo {
            let mut hostile = bytes.clone();
            for position in 0..bytes.len() {
                for flip in [1, 16, 128] {
                    hostile[position] ^= flip;
                    let _ = whole(&hostile);
                    hostile[position] ^= flip;
                }
            }
        }
        let mut read = 0;
        for item in 0..10_000 {
            let random = Stream::new(3, Purpose::Test, 0, 0, item);
            let mut bytes = zoo[item as usize % zoo.len()].clone();
            for cut in 0..1 + random.below(0, 6) {
                let at = |element: u32, length: usize| random.below(1 + 5 * cut + element, length as u32) as usize;
                let from = at(0, bytes.len());
                match at(1, 4) {
                    0 => bytes[from] = at(2, 256) as u8,
                    1 => bytes[from] = [0, 255][at(2, 2)],
                    2 => drop(bytes.drain(from..(from + at(2, 5)).min(bytes.len()))),
                    _ => bytes.insert(from, at(2, 256) as u8),
                }
            }
            read += i32::from(whole(&bytes).is_ok());
        }
        assert!((100..9900).contains(&read), "{read} of 10000 mutated archives are whole still");
    }

    #[test]
    fn faults_say_what_is_wrong() {
        let stored = file("stored");
        let central = stored.windows(4).position(|window| window == CENTRAL).unwrap();
        let changed = |at: usize, value: &[u8]| {
            let mut bytes = stored.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            whole(&bytes).unwrap_err()
        };
        assert_eq!(whole(b"PK\x03\x04").unwrap_err(), "it has no directory at its end: it is cut off");
        assert_eq!(changed(central, b"X"), "its directory is damaged");
        assert_eq!(changed(central + 8, &[1]), "entry `archive/data.pkl`: it is encrypted");
        assert_eq!(changed(central + 10, &[12]), "entry `archive/data.pkl`: it is packed by method 12, expected 0 or 8");
        assert_eq!(changed(central + 16, &[0]), "entry `archive/data.pkl`: its checksum is another than the archive says");
        assert_eq!(changed(central + 24, &[9]), "entry `archive/data.pkl`: its two sizes differ");
        assert!(changed(central + 42, &[255, 255, 255, 127]).contains("it lies outside the archive"));
        assert_eq!(changed(stored.len() - 6, &[255, 255, 255, 127]), "its directory lies outside of it");
        assert_eq!(changed(stored.len() - 6, &[255; 4]), "its directory's place is missing");
    }

    #[test]
    fn a_comment_may_look_like_the_end() {
        let mut bytes = file("stored");
        let comment = [END, &[0; 40]].concat();
        let at = bytes.len() - 2;
        bytes[at] = comment.len() as u8;
        assert_eq!(whole(&[bytes, comment].concat()), Ok(true));
    }

    /// A thousandfold bomb is not unpacked to its end.
    #[test]
    fn a_small_entry_does_not_fill_the_memory() {
        let zeros = std::io::repeat(0).take(1 << 27);
        let mut packed = Vec::new();
        flate2::read::DeflateEncoder::new(zeros, flate2::Compression::best()).read_to_end(&mut packed).unwrap();
        let error = unpack(flate2::read::DeflateDecoder::new(&packed[..]), packed.len() as u64).unwrap_err();
        assert!(error.ends_with("unpack to more than 16777216"), "{error}");
    }
}
