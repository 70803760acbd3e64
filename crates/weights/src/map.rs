//! Files whose pages are the memory that is read: no copy, and none of them twice in memory.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use crate::{Error, Result};

/// A whole file, mapped for reading.
///
/// Nobody may write into the file or shorten it while it is mapped. What this crate writes keeps to that: it writes beside
/// and renames, so that a mapped file stays as it is, even when it is replaced or removed. Where another program shortens
/// the file in place, or the disk fails, the next read beyond its end does not return: the system ends the program, by
/// SIGBUS on Unix. Where another program overwrites it in place, its new bytes may be read after the old ones were checked.
#[derive(Debug)]
pub struct Mapped {
    map: Mmap,
    path: PathBuf,
}

impl Mapped {
    /// Maps the file as it is now.
    ///
    /// # Errors
    /// Where the file cannot be read or mapped.
    pub fn open(path: &Path) -> Result<Mapped> {
        let fault = |source| Error::io("read", path, source);
        let file = File::open(path).map_err(fault)?;
        // SAFETY: nobody changes the file, by the contract above, which is the caller's to keep.
        let map = unsafe { Mmap::map(&file) }.map_err(fault)?;
        Ok(Mapped { map, path: path.into() })
    }

    /// As if a file of these bytes, called `file`, had been opened.
    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: &[u8]) -> std::sync::Arc<Mapped> {
        let mut map = memmap2::MmapMut::map_anon(bytes.len()).unwrap();
        map.copy_from_slice(bytes);
        std::sync::Arc::new(Mapped { map: map.make_read_only().unwrap(), path: "file".into() })
    }

    /// The file's path when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content.
    pub fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Says that a part of the file will be read soon: a chance for the system to read it ahead.
    pub fn will_need(&self, part: Range<usize>) {
        #[cfg(unix)]
        if part.start <= part.end && part.end <= self.map.len() {
            // Advice that is not taken changes nothing but the speed.
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, part.start, part.len());
        }
        #[cfg(not(unix))]
        let _ = part;
    }

    /// The BLAKE3 digest of its content, as [`crate::digest`] gives it.
    pub fn digest(&self) -> String {
        crate::digest::of_bytes(self.bytes())
    }
}

/// Little-endian f32 values where they lie; `None` where the machine cannot read them there.
pub(crate) fn as_f32(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every pattern of bits is an f32.
    let (before, values, behind) = unsafe { bytes.align_to::<f32>() };
    (cfg!(target_endian = "little") && before.is_empty() && behind.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_aligned_values_are_read_where_they_lie() {
        let values = [1.5f32, -2.0, 0.0].map(f32::to_le_bytes);
        let mut bytes = [0; 20];
        let start = bytes.as_ptr().align_offset(4);
        bytes[start..start + 12].copy_from_slice(values.as_flattened());
        assert_eq!(as_f32(&bytes[start..start + 12]), Some(&[1.5, -2.0, 0.0][..]));
        assert_eq!(as_f32(&bytes[start + 1..start + 13]), None);
        assert_eq!(as_f32(&bytes[start..start + 11]), None);
    }

    #[test]
    fn a_mapped_file_outlives_its_replacement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights");
        crate::replace(&path, |w| w.write_all(&[7; 10_000])).unwrap();
        let mapped = Mapped::open(&path).unwrap();
        crate::replace(&path, |w| w.write_all(b"new")).unwrap();
        // Advice about any part, there or not, changes nothing.
        for part in [0..10_000, 5000..5000, 9000..20_000, 1..usize::MAX] {
            mapped.will_need(part);
        }
        assert_eq!(mapped.bytes(), [7; 10_000]);
        assert_ne!(mapped.digest(), crate::digest(&path).unwrap());
        assert!(matches!(Mapped::open(&folder.path().join("none")), Err(Error::Io { action: "read", .. })));
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Mapped::open(&path).unwrap().bytes(), b"");
    }
}
