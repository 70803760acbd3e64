//! ZIP archives as PyTorch keeps its records in: members that lie in the file as they are.
//!
//! The central directory says where members lie (PKWARE's APPNOTE, 4.3 and 4.5). Everything that two places of the archive
//! say is held against each other, and no two members may share bytes, so that what is read is never more than the file.

use std::collections::HashMap;
use std::io::{self, Write};
use std::ops::Range;

/// Little-endian numbers, one after another; `None` where the bytes end too early.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// Bytes of the end record without its comment.
const END_BYTES: usize = 22;
/// Bytes of the record that says where the end record of 64 bits is.
const LOCATOR_BYTES: usize = 20;
/// Instead of a number that does not fit into 32 bits.
const ELSEWHERE: u64 = u32::MAX as u64;
/// Bytes of a local header without name and extra fields.
const LOCAL_BYTES: usize = 30;

/// A member.
#[derive(Debug, Clone)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// Where its content lies; else why it cannot be read where it lies.
    pub(super) content: Result<Range<usize>, &'static str>,
}

/// The members of an archive, in the order of the central directory.
#[derive(Debug)]
pub(super) struct Archive<'a> {
    members: Vec<Member<'a>>,
    by_name: HashMap<&'a str, usize>,
}

/// Whether these bytes begin as an archive that has members.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(&LOCAL.to_le_bytes())
}

/// The name of the first member, by its own header.
pub(super) fn first_name(bytes: &[u8]) -> Option<&str> {
    let mut fields = Fields(bytes.get(26..)?);
    let length = fields.u16()?;
    fields.u16()?;
    std::str::from_utf8(fields.take(length.into())?).ok()
}

impl<'a> Archive<'a> {
    /// Reads the central directory of the archive that `bytes` are.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Archive<'a>, String> {
        let directory = directory(bytes)?;
        let mut fields = Fields(&bytes[directory.place.clone()]);
        let (mut members, mut spans) = (Vec::new(), Vec::new());
        for number in 0..directory.members {
            let entry =
                Entry::read(&mut fields).ok_or_else(|| format!("entry {number} of its directory is damaged or cut off"))?;
            let (member, span) = entry.member(bytes, directory.place.start)?;
            spans.push(span);
            members.push(member);
        }
        if !fields.0.is_empty() {
            return Err(format!("its directory has {} bytes behind its last entry", fields.0.len()));
        }
        spans.sort_unstable_by_key(|span| (span.start, span.end));
        if let Some(pair) = spans.windows(2).find(|pair| pair[0].end > pair[1].start) {
            return Err(format!("two members share the bytes from {}", pair[1].start));
        }
        let mut by_name = HashMap::new();
        for (index, member) in members.iter().enumerate() {
            if by_name.insert(member.name, index).is_some() {
                return Err(format!("two members are called `{}`", super::shown(member.name)));
            }
        }
        Ok(Archive { members, by_name })
    }

    /// Every member.
    pub(super) fn members(&self) -> &[Member<'a>] {
        &self.members
    }

    /// Where the content of the member called `name` lies; `None` where there is none.
    ///
    /// # Errors
    /// Where it does not lie in the file as it is.
    pub(super) fn find(&self, name: &str) -> Result<Option<Range<usize>>, String> {
        let Some(member) = self.by_name.get(name).and_then(|index| self.members.get(*index)) else { return Ok(None) };
        match &member.content {
            Ok(range) => Ok(Some(range.clone())),
            Err(why) => Err(format!("its member `{}` is {why}", super::shown(name))),
        }
    }
}

/// Where the central directory lies, and how many entries it has.
struct Directory {
    place: Range<usize>,
    members: u64,
}

fn directory(bytes: &[u8]) -> Result<Directory, String> {
    let cut_off = || "it has no end record, so it is cut off or no archive".to_string();
    // The last possible place first: a comment of at most 65535 bytes follows it.
    let latest = bytes.len().checked_sub(END_BYTES).ok_or_else(cut_off)?;
    let end = (latest.saturating_sub(usize::from(u16::MAX))..=latest).rev().find(|&at| is_end(bytes, at)).ok_or_else(cut_off)?;
    let (offset, size, members, limit) = match long_end(bytes, end)? {
        Some(found) => found,
        None => short_end(bytes, end).ok_or_else(cut_off)?,
    };
    let start = usize::try_from(offset).ok();
    let place = start.zip(usize::try_from(size).ok()).and_then(|(start, size)| Some(start..start.checked_add(size)?));
    match place {
        Some(place) if place.end <= limit => Ok(Directory { place, members }),
        _ => Err(format!("its directory of {size} bytes at {offset} does not lie before its end record")),
    }
}

fn is_end(bytes: &[u8], at: usize) -> bool {
    let comment = || bytes.get(at + 20..at + END_BYTES).map(|two| usize::from(two[0]) | usize::from(two[1]) << 8);
    bytes.get(at..).is_some_and(|rest| rest.starts_with(&END.to_le_bytes())) && comment() == Some(bytes.len() - at - END_BYTES)
}

/// Offset and size of the directory, its entries, and where it must have ended.
type Place = (u64, u64, u64, usize);

fn short_end(bytes: &[u8], end: usize) -> Option<Place> {
    let mut fields = Fields(bytes.get(end + 4..)?);
    let disks = (fields.u16()?, fields.u16()?);
    let (here, members) = (fields.u16()?, fields.u16()?);
    let (size, offset) = (fields.u32()?, fields.u32()?);
    (disks == (0, 0) && here == members).then_some((offset.into(), size.into(), members.into(), end))
}

/// What the end record of 64 bits says, where there is one.
fn long_end(bytes: &[u8], end: usize) -> Result<Option<Place>, String> {
    let Some(at) = end.checked_sub(LOCATOR_BYTES) else { return Ok(None) };
    let mut locator = Fields(bytes.get(at..).unwrap_or_default());
    if locator.u32() != Some(LOCATOR_64) {
        return Ok(None);
    }
    let mut read = || {
        let disk = locator.u32()?;
        let (start, disks) = (usize::try_from(locator.u64()?).ok()?, locator.u32()?);
        let mut fields = Fields(bytes.get(start..at)?);
        (fields.u32()? == END_64).then_some(())?;
        fields.take(12)?;
        let (disk_64, directory_disk) = (fields.u32()?, fields.u32()?);
        let (here, members) = (fields.u64()?, fields.u64()?);
        let (size, offset) = (fields.u64()?, fields.u64()?);
        ((disk, disk_64, directory_disk) == (0, 0, 0) && disks <= 1 && here == members).then_some((offset, size, members, start))
    };
    read().map(Some).ok_or_else(|| "its end record of 64 bits is damaged".to_string())
}

/// An entry of the central directory.
struct Entry<'a> {
    flags: u16,
    method: u16,
    /// In the file, and unpacked.
    bytes: [u64; 2],
    local: u64,
    name: &'a [u8],
}

impl<'a> Entry<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Entry<'a>> {
        (fields.u32()? == CENTRAL).then_some(())?;
        fields.take(4)?;
        let (flags, method) = (fields.u16()?, fields.u16()?);
        fields.take(8)?;
        let (packed, unpacked) = (fields.u32()?, fields.u32()?);
        let (name, extra, comment) = (fields.u16()?, fields.u16()?, fields.u16()?);
        let disk = fields.u16()?;
        fields.take(6)?;
        let local = fields.u32()?;
        let (name, extra) = (fields.take(name.into())?, fields.take(extra.into())?);
        fields.take(comment.into())?;
        // What does not fit into 32 bits stands in an extra field, in this order.
        let mut numbers = [unpacked, packed, local].map(u64::from);
        if numbers.contains(&ELSEWHERE) {
            let mut long = Fields(extra_field(extra, 1)?);
            for number in numbers.iter_mut().filter(|number| **number == ELSEWHERE) {
                *number = long.u64()?;
            }
        }
        let [unpacked, packed, local] = numbers;
        (disk == 0).then_some(Entry { flags, method, bytes: [packed, unpacked], local, name })
    }

    /// The member, whose local header must say the same, and all the bytes that are its own, which must lie before `limit`.
    fn member(&self, bytes: &'a [u8], limit: usize) -> Result<(Member<'a>, Range<usize>), String> {
        let name = std::str::from_utf8(self.name).map_err(|_| "the name of a member is not UTF-8")?;
        let place = || {
            let start = usize::try_from(self.local).ok()?;
            let mut fields = Fields(bytes.get(start..limit)?);
            (fields.u32()? == LOCAL).then_some(())?;
            fields.take(4)?;
            (fields.u16()? == self.method).then_some(())?;
            fields.take(16)?;
            let (name, extra) = (fields.u16()?, fields.u16()?);
            (fields.take(name.into())? == self.name).then_some(())?;
            fields.take(extra.into())?;
            let content = start + LOCAL_BYTES + usize::from(name) + usize::from(extra);
            let end = content.checked_add(usize::try_from(self.bytes[0]).ok()?)?;
            (end <= limit).then_some((start, content..end))
        };
        let damaged = || format!("its member `{}` does not lie where its directory says", super::shown(name));
        let (start, content) = place().ok_or_else(damaged)?;
        let span = start..content.end;
        let content = match (self.flags & 1, self.method) {
            (1, _) => Err("encrypted"),
            (_, 0) if self.bytes[0] == self.bytes[1] => Ok(content),
            (_, 0) => return Err(damaged()),
            _ => Err("compressed, which PyTorch never does: unpack the archive, and pack it anew without compression (`zip -0`)"),
        };
        Ok((Member { name, content }, span))
    }
}

/// The extra field with this identification.
fn extra_field(extra: &[u8], identification: u16) -> Option<&[u8]> {
    let mut fields = Fields(extra);
    loop {
        let (found, length) = (fields.u16()?, fields.u16()?);
        let content = fields.take(length.into())?;
        if found == identification {
            return Some(content);
        }
    }
}

/// Contents begin at multiples of this many bytes, as PyTorch's do.
const ALIGNMENT: usize = 64;
/// The extra field whose content is only there to move what follows it; PyTorch's has the same number.
const PADDING: u16 = 0x4246;
/// 1 January 1980, the first day there is: no file differs by when it was written.
const DAY: u16 = 1 << 5 | 1;

/// Writes an archive, one member after another.
pub(super) struct Packer<'w> {
    writer: &'w mut dyn Write,
    written: u64,
    members: u16,
    directory: Vec<u8>,
}

impl<'w> Packer<'w> {
    pub(super) fn new(writer: &'w mut dyn Write) -> Packer<'w> {
        Packer { writer, written: 0, members: 0, directory: Vec::new() }
    }

    /// Adds a member of `bytes` bytes with this checksum, which `write` writes.
    ///
    /// # Errors
    /// The writer's; `InvalidInput` where the archive would have more than 4 GiB or 65534 members.
    pub(super) fn add(
        &mut self,
        name: &str,
        bytes: u64,
        crc: u32,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let before = self.written + (LOCAL_BYTES + name.len() + 4) as u64;
        let padding = before.next_multiple_of(ALIGNMENT as u64) - before;
        let short = |number: u64| u32::try_from(number).ok().filter(|number| *number != u32::MAX);
        let (Some(start), Some(size), Some(end)) = (short(self.written), short(bytes), short(before + padding + bytes)) else {
            return Err(invalid("an archive of more than 4 GiB"));
        };
        let name_bytes = u16::try_from(name.len()).map_err(|_| invalid("a name of more than 65535 bytes"))?;
        self.members = self.members.checked_add(1).filter(|n| *n < u16::MAX).ok_or_else(|| invalid("more than 65534 members"))?;
        // Version 2.0, names in UTF-8, stored.
        let mut both = Vec::new();
        both.extend([20, 1 << 11, 0, 0, DAY].map(u16::to_le_bytes).concat());
        both.extend([crc, size, size].map(u32::to_le_bytes).concat());
        both.extend(name_bytes.to_le_bytes());
        let mut local = LOCAL.to_le_bytes().to_vec();
        local.extend(&both);
        local.extend((padding as u16 + 4).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend([PADDING, padding as u16].map(u16::to_le_bytes).concat());
        local.resize(local.len() + padding as usize, 0);
        self.writer.write_all(&local)?;
        write(&mut *self.writer)?;
        self.directory.extend([&CENTRAL.to_le_bytes()[..], &20u16.to_le_bytes(), &both, &[0; 12], &start.to_le_bytes()].concat());
        self.directory.extend(name.as_bytes());
        self.written = end.into();
        Ok(())
    }

    /// Writes the directory.
    ///
    /// # Errors
    /// As [`Packer::add`].
    pub(super) fn finish(self) -> io::Result<()> {
        let fault = || io::Error::new(io::ErrorKind::InvalidInput, "an archive of more than 4 GiB");
        let (start, size) = (self.written as u32, u32::try_from(self.directory.len()).map_err(|_| fault())?);
        self.writer.write_all(&self.directory)?;
        self.writer.write_all(&END.to_le_bytes())?;
        self.writer.write_all(&[0, 0, self.members, self.members].map(u16::to_le_bytes).concat())?;
        self.writer.write_all(&[size, start].map(u32::to_le_bytes).concat())?;
        self.writer.write_all(&[0; 2])
    }
}
