#![no_main]

use weights::zip::Archive;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(archive) = Archive::read(bytes) else { return };
    for entry in archive.entries.iter().take(16) {
        let _ = (entry.stored(), entry.content());
    }
});
