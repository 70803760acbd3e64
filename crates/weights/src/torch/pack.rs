//! ZIP archives as PyTorch writes them: members that lie as they are, at multiples of 64 bytes (PKWARE's APPNOTE, 4.3).

use std::io::{self, Write};

/// How a local header, an entry of the directory, and the record behind it begin.
const LOCAL: &[u8] = b"PK\x03\x04";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
/// Bytes of a local header without name and extra fields.
const LOCAL_BYTES: usize = 30;
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

    /// Adds a member of `bytes` bytes, which `write` writes: twice, because their checksum stands before them.
    ///
    /// # Errors
    /// The writer's; `InvalidInput` where the archive would have more than 4 GiB or 65534 members.
    pub(super) fn add(&mut self, name: &str, bytes: u64, write: impl Fn(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let invalid = |what| io::Error::new(io::ErrorKind::InvalidInput, what);
        let before = self.written + (LOCAL_BYTES + name.len() + 4) as u64;
        let padding = before.next_multiple_of(ALIGNMENT as u64) - before;
        let short = |number: u64| u32::try_from(number).ok().filter(|number| *number != u32::MAX);
        let (Some(start), Some(size), Some(end)) = (short(self.written), short(bytes), short(before + padding + bytes)) else {
            return Err(invalid("an archive of more than 4 GiB"));
        };
        let name_bytes = u16::try_from(name.len()).map_err(|_| invalid("a name of more than 65535 bytes"))?;
        self.members = self.members.checked_add(1).filter(|n| *n < u16::MAX).ok_or_else(|| invalid("more than 65534 members"))?;
        let mut checksum = Checksum(flate2::Crc::new());
        write(&mut checksum)?;
        let crc = checksum.0.sum();
        // Version 2.0, names in UTF-8, stored.
        let mut both = Vec::new();
        both.extend([20, 1 << 11, 0, 0, DAY].map(u16::to_le_bytes).concat());
        both.extend([crc, size, size].map(u32::to_le_bytes).concat());
        both.extend(name_bytes.to_le_bytes());
        let mut local = LOCAL.to_vec();
        local.extend(&both);
        local.extend((padding as u16 + 4).to_le_bytes());
        local.extend(name.as_bytes());
        local.extend([PADDING, padding as u16].map(u16::to_le_bytes).concat());
        local.resize(local.len() + padding as usize, 0);
        self.writer.write_all(&local)?;
        write(&mut *self.writer)?;
        self.directory.extend([CENTRAL, &20u16.to_le_bytes(), &both, &[0; 12], &start.to_le_bytes()].concat());
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
        self.writer.write_all(END)?;
        self.writer.write_all(&[0, 0, self.members, self.members].map(u16::to_le_bytes).concat())?;
        self.writer.write_all(&[size, start].map(u32::to_le_bytes).concat())?;
        self.writer.write_all(&[0; 2])
    }
}

/// Takes bytes for their checksum only.
struct Checksum(flate2::Crc);

impl Write for Checksum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
