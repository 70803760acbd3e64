//! Photos of which only a part is decoded, or less than their size: what a net sees of them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use data::{BadImages, EvalLoader, Fit, LoaderOptions, Mean, OpenOptions, Pipeline, Preprocessing, Statistics, Views};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use net::Shape;

const INPUT: Shape = Shape { c: 3, h: 56, w: 56 };

/// A photo of slopes, discs and a little noise, as a JPEG of 4:2:0.
fn photo(path: &Path, width: u16, height: u16) {
    let value = |x: usize, y: usize, c: usize| {
        let slope = (x * (c + 1) + 2 * y) as f32 / 9.0 % 200.0;
        let disc = if (x % 97).pow(2) + (y % 83).pow(2) < 1500 { 45.0 } else { 0.0 };
        (slope + disc + ((x * 31 + y * 17) % 7) as f32) as u8
    };
    let (w, h) = (usize::from(width), usize::from(height));
    let rgb: Vec<u8> = (0..3 * w * h).map(|i| value(i / 3 % w, i / 3 / w, i % 3)).collect();
    let mut encoder = Encoder::new_file(path, 92).expect("a file");
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.encode(&rgb, width, height, ColorType::Rgb).expect("encoded");
}

/// What a loader gives for the photos, and what comes of decoding all of each and resizing that.
fn both_ways(sizes: &[(u16, u16)], fit: Fit, views: Views) -> (Vec<f32>, Vec<f32>) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("class")).expect("a class");
    for (i, &(width, height)) in sizes.iter().enumerate() {
        photo(&folder.path().join(format!("class/{i:02}.jpg")), width, height);
    }
    let dataset = data::open(folder.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a folder");
    let p = Preprocessing { stored: 64, fit, mean: Mean::None, colour_noise: None, ..Preprocessing::default() };
    let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"));
    let mut whole = vec![0.0; sizes.len() * views.count() * INPUT.len()];
    for (i, out) in whole.chunks_exact_mut(views.count() * INPUT.len()).enumerate() {
        pipeline.test_views(&dataset.train.read(i).expect("whole"), views, out).expect("any size");
    }
    let batch = sizes.len() * views.count();
    let options = LoaderOptions { batch, threads: 2, slots: 2, seed: 0, bad: BadImages::Stop };
    let mut loader = EvalLoader::start(dataset.train, pipeline, views, options);
    let loaded = loader.next().expect("good").expect("a batch");
    (loaded.batch.f32().to_vec(), whole)
}

#[test]
fn a_part_is_decoded_to_the_pixels_of_the_whole() {
    // Shorter sides of up to three times 64, where a half has less than three times the pixels that are wanted.
    let sizes = [(64, 64), (65, 64), (200, 90), (90, 333), (381, 381), (70, 70), (33, 17), (1, 1), (500, 380)];
    for fit in [Fit::Crop, Fit::ShorterSide, Fit::Warp] {
        for views in [Views::Centre, Views::Ten] {
            let sizes: Vec<_> =
                if fit == Fit::Warp { sizes.iter().filter(|s| s.0.min(s.1) < 381).copied().collect() } else { sizes.into() };
            let (parts, wholes) = both_ways(&sizes, fit, views);
            assert!(parts == wholes, "{fit:?} {views:?}");
        }
    }
}

#[test]
fn large_photos_are_decoded_smaller_and_look_the_same() {
    let sizes = [(420, 384), (384, 800), (800, 768), (900, 1000), (1600, 1536)];
    let (scaled, whole) = both_ways(&sizes, Fit::Crop, Views::Ten);
    for (i, (scaled, whole)) in scaled.chunks(10 * INPUT.len()).zip(whole.chunks(10 * INPUT.len())).enumerate() {
        let (mut sum, mut most) = (0.0f64, 0.0f64);
        for (a, b) in scaled.iter().zip(whole) {
            let distance = f64::from(a - b).abs();
            (sum, most) = (sum + distance, most.max(distance));
        }
        let mean = sum / scaled.len() as f64;
        // Levels of 0 to 255. Not one that differs would mean that all of it was decoded.
        assert!(mean > 0.0 && mean < 1.0, "{:?}: {mean} on average, {most} at most", sizes[i]);
    }
}
