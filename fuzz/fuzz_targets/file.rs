//! The bytes of a test case as a file: readers map what they read.

use std::path::PathBuf;
use std::sync::Arc;

use weights::Mapped;

/// Where the file of this process is: in memory, where the system has such a place.
fn path() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    folder.join(format!("alexnet-fuzz-{}", std::process::id()))
}

/// A file of these bytes.
pub fn mapped(bytes: &[u8]) -> Option<Arc<Mapped>> {
    let path = written(bytes)?;
    Mapped::open(&path).ok().map(Arc::new)
}

/// The path of a file of these bytes.
pub fn written(bytes: &[u8]) -> Option<PathBuf> {
    let path = path();
    std::fs::write(&path, bytes).ok().map(|()| path)
}

/// Opens it as a trained net of whatever format it seems to be.
pub fn open(bytes: &[u8]) {
    if let Some(path) = written(bytes) {
        let _ = zoo::open(&path, &zoo::Given::default(), train::checkpoint::Checks::All);
    }
}
