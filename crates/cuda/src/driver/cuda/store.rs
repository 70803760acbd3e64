//! Compiled kernels on disk, so that a program compiles them once.
//!
//! A file is a cubin and its digest behind it, under the digest of what it was made of. It is written beside and renamed; the digest
//! tells a file that a crash or a full disk has cut. A folder that cannot be used is as good as none.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::compile::Key;

/// A folder of compiled kernels. Anything in it may be removed at any time.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
}

const DIGEST_BYTES: usize = blake3::OUT_LEN;

impl Store {
    pub(super) fn new(folder: PathBuf) -> Store {
        Store { folder }
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.cubin", blake3::Hash::from_bytes(*key)))
    }

    /// A cubin that was put here and is whole.
    pub(super) fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let mut file = fs::read(self.path(key)).ok()?;
        let digest = file.split_off(file.len().checked_sub(DIGEST_BYTES)?);
        (blake3::hash(&file).as_bytes()[..] == digest[..]).then_some(file)
    }

    /// Keeps a cubin, where that can be done.
    pub(super) fn put(&self, key: &Key, cubin: &[u8]) {
        // Not being able to is no misfortune: it is compiled again.
        let _ = self.write(key, cubin);
    }

    fn write(&self, key: &Key, cubin: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        fs::create_dir_all(&self.folder)?;
        let path = self.path(key);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let beside = path.with_extension(format!("{}-{number}.tmp", process::id()));
        let written = fs::write(&beside, [cubin, blake3::hash(cubin).as_bytes()].concat());
        written.and_then(|()| fs::rename(&beside, &path)).inspect_err(|_| _ = fs::remove_file(&beside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = [7; 32];

    #[test]
    fn what_is_put_is_what_one_gets() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("a/b"));
        assert_eq!(store.get(&KEY), None);
        for cubin in [&b"first"[..], b"", b"second"] {
            store.put(&KEY, cubin);
            assert_eq!(store.get(&KEY).as_deref(), Some(cubin));
        }
        assert_eq!(store.get(&[8; 32]), None);
        let names: Vec<_> = fs::read_dir(&store.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [format!("{}.cubin", "07".repeat(32)).as_str()], "nothing else is left behind");
    }

    #[test]
    fn a_file_that_is_not_whole_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().into());
        store.put(&KEY, b"machine code");
        let file = fs::read(store.path(&KEY)).unwrap();
        for len in 0..file.len() {
            fs::write(store.path(&KEY), &file[..len]).unwrap();
            assert_eq!(store.get(&KEY), None, "the first {len} bytes");
        }
        for bit in 0..8 * file.len() {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(store.path(&KEY), &flipped).unwrap();
            assert_eq!(store.get(&KEY), None, "bit {bit}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        let store = Store::new(folder.path().join("file/folder"));
        store.put(&KEY, b"machine code");
        assert_eq!(store.get(&KEY), None);
    }
}
