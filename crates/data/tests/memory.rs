//! A loader's memory does not grow with the images that it has loaded.

mod skip;

use std::fs;
use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use data::{BadImages, LoaderOptions, OpenOptions, Pipeline, Preprocessing, Statistics, TrainLoader};
use jpeg_encoder::{ColorType, Encoder};
use net::Shape;

/// Bytes that this process holds, as Linux counts them.
fn resident_bytes() -> Option<usize> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split_whitespace().nth(1)?.parse::<usize>().ok()? * 4096)
}

#[test]
fn memory_is_that_of_the_first_epoch() {
    if resident_bytes().is_none() {
        return skip::skip("memory is counted on Linux only");
    }
    // Sixty photos, each of a size of its own, every fourth upright only by its orientation, which is decoded as a whole.
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("class")).expect("a class");
    for i in 0..60u16 {
        let (width, height) = (300 + 7 * i, 700 - 5 * i);
        let pixel = |n: usize| ((n * n / 31) ^ (n >> 4)) as u8;
        let rgb: Vec<u8> = (0..3 * usize::from(width) * usize::from(height)).map(pixel).collect();
        let mut encoder = Encoder::new_file(folder.path().join(format!("class/{i:02}.jpg")), 90).expect("a file");
        if i % 4 == 0 {
            let turned = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
            encoder.add_app_segment(1, turned.to_vec()).expect("a segment");
        }
        encoder.encode(&rgb, width, height, ColorType::Rgb).expect("encoded");
    }
    let dataset = data::open(folder.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a folder");
    let p = Preprocessing::default();
    let (statistics, _) = Statistics::compute(&*dataset.train, &p, 2, BadImages::Stop, &mut |_, _| Continue(())).expect("good");
    let pipeline = Arc::new(Pipeline::new(p, statistics, Shape { c: 3, h: 224, w: 224 }).expect("fits"));
    let options = LoaderOptions { batch: 20, threads: 2, slots: 3, seed: 1, bad: BadImages::Stop };
    let mut loader = TrainLoader::start(dataset.train, pipeline, options, 0, 0);
    let mut epochs = |n: usize| {
        for _ in 0..3 * n {
            let loaded = loader.next().expect("good");
            loader.give_back(loaded);
        }
        resident_bytes().expect("counted before")
    };
    // By then each of the two threads has met each photo: that one has not is as likely as twelve heads in a row.
    let early = epochs(12);
    let late = epochs(20);
    // The smallest image's pixels, if kept, would come to more: 60 × 20 of them were loaded in between.
    assert!(late < early + (2 << 20), "{early} bytes were held after twelve epochs, {late} after thirty-two");
}
