#![no_main]

#[allow(dead_code)]
mod file;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some(file) = file::mapped(bytes) {
        let _ = (weights::npy::read(&file), weights::caffemodel::blob(&file));
    }
});
