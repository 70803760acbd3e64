//! What lies where in a tar file, found without reading what its members hold.
//!
//! Read are old (v7), POSIX (ustar, pax) and GNU headers: 512 bytes, numbers in octal or, where the first bit is set, as
//! big-endian binary; a member's bytes follow its header, padded to 512. A member of type `L` (GNU) or `x` (pax) says the
//! name, and with pax the size, of the member after it. Links, folders and devices are passed over.

use std::fs::File;
use std::io;
use std::ops::Range;

/// Headers and padding come in blocks of so many bytes.
const BLOCK: u64 = 512;

/// The longest name or pax record that is believed.
const LONGEST_RECORD: u64 = 1 << 20;

/// Bytes that can be read anywhere.
pub(crate) trait ReadAt: Sync {
    /// Fills `buffer` with what stands at `offset`.
    ///
    /// # Errors
    /// Where that cannot be read or ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
}

#[cfg(unix)]
impl ReadAt for File {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, buffer, offset)
    }
}

#[cfg(windows)]
impl ReadAt for File {
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(self, buffer, offset)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => {
                    buffer = &mut buffer[n..];
                    offset += n as u64;
                }
            }
        }
        Ok(())
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let bytes = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a tar file cannot be indexed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It cannot be read.
    Io(io::Error),
    /// It is damaged, or no tar file.
    Damaged {
        /// Where, in bytes from the start of the file that holds it.
        offset: u64,
        /// What was expected and found.
        message: String,
    },
}

/// The regular files in a tar file, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// All names, one after the other.
    names: String,
    places: Vec<Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    name_end: usize,
    offset: u64,
    length: u64,
}

/// A file in a tar file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Its path in the archive; what is not UTF-8 is replaced.
    pub(crate) name: &'a str,
    /// Where its bytes begin, from the start of the file that was indexed.
    pub(crate) offset: u64,
    /// How many there are.
    pub(crate) length: u64,
}

impl Index {
    /// Number of members.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Member `index`.
    pub(crate) fn get(&self, index: usize) -> Member<'_> {
        let Place { name_end, offset, length } = self.places[index];
        let name_start = index.checked_sub(1).map_or(0, |before| self.places[before].name_end);
        Member { name: &self.names[name_start..name_end], offset, length }
    }

    /// All members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Member<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// Adds a member.
    pub(crate) fn push(&mut self, member: Member<'_>) {
        self.names.push_str(member.name);
        self.places.push(Place { name_end: self.names.len(), offset: member.offset, length: member.length });
    }

    /// Indexes the tar file that lies at `span` of `archive`.
    ///
    /// # Errors
    /// Where it cannot be read, a header's checksum is wrong, or a member reaches beyond the end.
    pub(crate) fn of<R: ReadAt + ?Sized>(archive: &R, span: Range<u64>) -> Result<Index, Fault> {
        let mut index = Index::default();
        let mut walk = Walk { archive, at: span.start, end: span.end };
        let mut said = Said::default();
        while let Some(header) = walk.next()? {
            let size = match header.kind {
                Kind::File | Kind::Passed => said.size.unwrap_or(header.size),
                Kind::Hollow => 0,
                _ => header.size,
            };
            let payload = walk.payload(&header, size)?;
            match header.kind {
                Kind::LongName => said.name = Some(text(&walk.record(&header, payload)?)),
                Kind::Pax => said.read(&walk.record(&header, payload)?).map_err(|message| header.fault(message))?,
                Kind::AlsoSaid => {}
                Kind::File | Kind::Hollow | Kind::Passed => {
                    let name = std::mem::take(&mut said).name.unwrap_or(header.name);
                    if matches!(header.kind, Kind::File) && !name.ends_with('/') {
                        index.push(Member { name: &name, offset: payload.start, length: size });
                    }
                }
            }
        }
        Ok(index)
    }
}

/// What a header is for.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A regular file.
    File,
    /// Links, folders and devices: no bytes follow, whatever size is stated.
    Hollow,
    /// What is no file and has bytes.
    Passed,
    /// The name of the next member, by GNU.
    LongName,
    /// Records about the next member, by POSIX.
    Pax,
    /// Something else about the next member or all of them.
    AlsoSaid,
}

struct Header {
    /// Where it stands.
    at: u64,
    name: String,
    size: u64,
    kind: Kind,
}

impl Header {
    fn read(block: &[u8; BLOCK as usize], at: u64) -> Result<Header, Fault> {
        let fault = |message: String| Fault::Damaged { offset: at, message };
        let stated = octal(&block[148..156]);
        let (unsigned, signed) = checksums(block);
        if stated != Some(unsigned) && (stated.is_none() || stated.map(|sum| sum as i64) != Some(signed)) {
            let found = stated.map_or("none".into(), |sum| sum.to_string());
            return Err(fault(format!("expected the header of a member, whose checksum is {unsigned}, found {found}")));
        }
        let kind = match block[156] {
            0 | b'0' | b'7' => Kind::File,
            b'1'..=b'6' => Kind::Hollow,
            b'L' => Kind::LongName,
            b'x' => Kind::Pax,
            b'K' | b'g' | b'X' => Kind::AlsoSaid,
            b'S' => return Err(fault("a member is stored as a sparse file, which is not read".into())),
            _ => Kind::Passed,
        };
        let size = number(&block[124..136]).ok_or_else(|| fault(format!("no size: {:02x?}", &block[124..136])))?;
        let mut name = text(&block[..100]);
        // GNU's own headers have other things where POSIX has the first part of long names.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = format!("{}/{name}", text(&block[345..500]));
        }
        Ok(Header { at, name, size, kind })
    }

    fn fault(&self, message: String) -> Fault {
        Fault::Damaged { offset: self.at, message }
    }
}

/// The way over the headers.
struct Walk<'a, R: ?Sized> {
    archive: &'a R,
    at: u64,
    end: u64,
}

impl<R: ReadAt + ?Sized> Walk<'_, R> {
    /// The next header; `None` at the end, which is a block of zeros or where the file ends between members.
    fn next(&mut self) -> Result<Option<Header>, Fault> {
        let at = self.at;
        if at >= self.end {
            return Ok(None);
        }
        let mut block = [0; BLOCK as usize];
        let there = (self.end - at).min(BLOCK) as usize;
        self.archive.read_exact_at(&mut block[..there], at).map_err(Fault::Io)?;
        if block.iter().all(|&byte| byte == 0) {
            return Ok(None);
        }
        if there < block.len() {
            let message = format!("expected a header of {BLOCK} bytes, the archive ends after {there}");
            return Err(Fault::Damaged { offset: at, message });
        }
        self.at += BLOCK;
        Header::read(&block, at).map(Some)
    }

    /// Where the `size` bytes after a header lie; goes beyond them.
    fn payload(&mut self, header: &Header, size: u64) -> Result<Range<u64>, Fault> {
        let (start, there) = (self.at, self.end - self.at);
        if size > there {
            let name = &header.name;
            return Err(header.fault(format!("`{name}` claims {size} bytes, the archive ends after {there}: it is cut off")));
        }
        // The last padding may be missing.
        self.at = (start + size).saturating_add((BLOCK - size % BLOCK) % BLOCK).min(self.end);
        Ok(start..start + size)
    }

    /// The bytes that say something about the next member.
    fn record(&self, header: &Header, payload: Range<u64>) -> Result<Vec<u8>, Fault> {
        let length = payload.end - payload.start;
        if length > LONGEST_RECORD {
            return Err(header.fault(format!("a name or record of {length} bytes, above the limit of {LONGEST_RECORD}")));
        }
        let mut bytes = vec![0; length as usize];
        self.archive.read_exact_at(&mut bytes, payload.start).map_err(Fault::Io)?;
        Ok(bytes)
    }
}

/// What records before a header say about its member.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
}

impl Said {
    /// Reads pax records: `LENGTH KEY=VALUE\n`, where the length counts all of it.
    fn read(&mut self, mut records: &[u8]) -> Result<(), String> {
        while !records.is_empty() && records[0] != 0 {
            let wrong = || "a pax record is not `LENGTH KEY=VALUE`".to_string();
            let space = records.iter().position(|&byte| byte == b' ').ok_or_else(wrong)?;
            let length: usize = std::str::from_utf8(&records[..space]).ok().and_then(|n| n.parse().ok()).ok_or_else(wrong)?;
            let record = records.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or_else(wrong)?;
            let equals = record.iter().position(|&byte| byte == b'=').ok_or_else(wrong)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(text(value)),
                b"size" => {
                    let size = std::str::from_utf8(value).ok().and_then(|n| n.parse().ok());
                    self.size = Some(size.ok_or_else(|| "the size in a pax record is no number".to_string())?);
                }
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err("a member is stored as a sparse file, which is not read".into());
                }
                _ => {}
            }
            records = &records[length..];
        }
        Ok(())
    }
}

/// A name, up to the first zero.
fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).into_owned()
}

/// A number in octal digits, spaces or zeros around it; nothing is 0.
fn octal(field: &[u8]) -> Option<u64> {
    let digits = field.iter().skip_while(|&&byte| byte == b' ' || byte == 0);
    let digits = digits.take_while(|&&byte| byte != b' ' && byte != 0);
    digits.copied().try_fold(0u64, |n, digit| {
        (b'0'..=b'7').contains(&digit).then_some(())?;
        n.checked_mul(8)?.checked_add(u64::from(digit - b'0'))
    })
}

/// A number in octal, or in big-endian binary after a first byte of 0x80.
fn number(field: &[u8]) -> Option<u64> {
    match field[0] {
        0x80 => field[1..].iter().try_fold(0u64, |n, &byte| n.checked_mul(256)?.checked_add(byte.into())),
        byte if byte > 0x80 => None,
        _ => octal(field),
    }
}

/// The sums of a header's bytes, its checksum counted as spaces: as they should be, and as old programs with signed bytes
/// made them.
fn checksums(block: &[u8]) -> (u64, i64) {
    let bytes = block.iter().enumerate().map(|(i, &byte)| if (148..156).contains(&i) { b' ' } else { byte });
    bytes.fold((0, 0), |(unsigned, signed), byte| (unsigned + u64::from(byte), signed + i64::from(byte as i8)))
}

#[cfg(test)]
mod tests;
