//! Having the system read from a disk before it is asked to wait for it.
//!
//! A spinning disk or a network answers many requests at once far faster than one after the other. Where the system cannot be
//! asked, or the files are in its memory already, nothing happens; nothing depends on it but the speed.

use std::fs::File;
use std::path::Path;

/// Announces a whole file.
pub(crate) fn file(path: &Path) {
    // Whoever reads it hears what is wrong with it.
    if let Ok(file) = File::open(path) {
        range(&file, 0, 0);
    }
}

/// Announces `bytes` of a file from `offset` on; 0 is all that follow.
pub(crate) fn range(file: &File, offset: u64, bytes: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Advice, fadvise};
        let _ = fadvise(file, offset, std::num::NonZeroU64::new(bytes), Advice::WillNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (file, offset, bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_read_as_ever() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a");
        std::fs::write(&path, vec![7; 100_000]).expect("written");
        file(&path);
        file(&folder.path().join("none"));
        range(&File::open(&path).expect("opened"), 5000, 100);
        assert_eq!(std::fs::read(&path).expect("read"), vec![7; 100_000]);
    }
}
