//! BLAKE3 digests, as `b3sum` prints them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use blake3::hazmat::{self, HasherExt};

use crate::{Error, Result};

/// The BLAKE3 digest of a file's content: 64 hexadecimal digits.
///
/// # Errors
/// Where the file cannot be read.
pub fn digest(path: &Path) -> Result<String> {
    let fault = |source| Error::io("read", path, source);
    let mut file = File::open(path).map_err(fault)?;
    let mut hasher = blake3::Hasher::new();
    let mut block = vec![0; 1 << 18];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finalize().to_hex().to_string()),
            Ok(n) => hasher.update(&block[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(fault(error)),
        };
    }
}

/// From here on a digest is worth a second thread.
const WORTH_A_THREAD: usize = 1 << 20;

/// The BLAKE3 digest of `bytes`; the two subtrees of a long input are digested at the same time.
pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    if bytes.len() < WORTH_A_THREAD {
        return blake3::hash(bytes).to_hex().to_string();
    }
    let middle = hazmat::left_subtree_len(bytes.len() as u64) as usize;
    let (left, right) = bytes.split_at(middle);
    let subtree = |offset: usize, bytes| {
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(offset as u64).update(bytes);
        hasher.finalize_non_root()
    };
    let (left, right) = std::thread::scope(|scope| {
        let left = std::thread::Builder::new().spawn_scoped(scope, || subtree(0, left));
        let right = subtree(middle, right);
        (left.ok().and_then(|left| left.join().ok()), right)
    });
    match left {
        Some(left) => hazmat::merge_subtrees_root(&left, &right, hazmat::Mode::Hash).to_hex().to_string(),
        // The system gave no thread.
        None => blake3::hash(bytes).to_hex().to_string(),
    }
}

/// Hands bytes on to another writer and digests them on the way.
pub struct DigestWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> DigestWriter<W> {
    /// Digests what is written to `inner`.
    pub fn new(inner: W) -> DigestWriter<W> {
        DigestWriter { inner, hasher: blake3::Hasher::new(), bytes: 0 }
    }

    /// The writer, the digest of everything written, and its length in bytes.
    pub fn finish(self) -> (W, String, u64) {
        (self.inner, self.hasher.finalize().to_hex().to_string(), self.bytes)
    }
}

impl<W: Write> Write for DigestWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answer for "abc", and the same through a file and through the writer.
    #[test]
    fn digests_are_blake3() {
        let expected = "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85";
        let mut writer = DigestWriter::new(Vec::new());
        writer.write_all(b"a").unwrap();
        writer.write_all(b"bc").unwrap();
        let (written, hex, bytes) = writer.finish();
        assert_eq!((written.as_slice(), hex.as_str(), bytes), (b"abc".as_slice(), expected, 3));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(digest(&path).unwrap(), expected);
        assert!(matches!(digest(&folder.path().join("none")), Err(Error::Io { action: "read", .. })));
    }

    #[test]
    fn two_threads_find_the_same_digest() {
        let bytes: Vec<u8> = (0..WORTH_A_THREAD * 2 + 1).map(|i| ((i * i) >> 7) as u8).collect();
        for len in [0, 5, WORTH_A_THREAD - 1, WORTH_A_THREAD, WORTH_A_THREAD + 1, WORTH_A_THREAD / 2 * 3 + 7, bytes.len()] {
            assert_eq!(of_bytes(&bytes[..len]), blake3::hash(&bytes[..len]).to_hex().to_string(), "{len} bytes");
        }
    }
}
