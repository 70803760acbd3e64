//! Augmentations as the loader applies them.

use std::sync::Arc;

use data::augment::{Address, ColourJitter, CutMix, Erasing, MixUp, RandAugment, RandomResizedCrop, Value};
use data::{BadImages, Cache, LoaderOptions, Mean, Pipeline, Preprocessing, Source, Statistics, Std, TrainLoader, cached};
use net::Shape;
use net::random::{Purpose, Stream};

use crate::crops::cut_and_resize;
use crate::pictures::Pictures;

pub(crate) const INPUT: Shape = Shape { c: 3, h: 10, w: 12 };
const SEED: u64 = 23;

pub(crate) fn plain() -> Preprocessing {
    Preprocessing { stored: 14, mean: Mean::None, colour_noise: None, flip: false, ..Preprocessing::default() }
}

pub(crate) fn pipeline(p: Preprocessing) -> Arc<Pipeline> {
    Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"))
}

pub(crate) fn start(source: &Arc<dyn Source>, p: &Preprocessing, threads: usize, epoch: u32, batch: u32) -> TrainLoader {
    let options = LoaderOptions { batch: 8, threads, slots: 3, seed: SEED, bad: BadImages::Skip };
    TrainLoader::start(source.clone(), pipeline(p.clone()), options, epoch, batch)
}

/// Epoch, image and values of an image.
type Seen = (u32, u32, Vec<f32>);

/// The next batches.
fn take(loader: &mut TrainLoader, batches: usize) -> Vec<Vec<Seen>> {
    let mut take_one = || {
        let loaded = loader.next().expect("a batch");
        let images = loaded.batch.f32().chunks_exact(INPUT.len()).zip(&loaded.samples);
        let seen = images.map(|(values, &image)| (loaded.epoch, image, values.to_vec())).collect();
        loader.give_back(loaded);
        seen
    };
    (0..batches).map(|_| take_one()).collect()
}

/// `[h, w, 3]` as `[c, h, w]`.
fn planes(rgb: &[u8]) -> Vec<f32> {
    (0..3).flat_map(|c| rgb.iter().skip(c).step_by(3).map(|&v| f32::from(v))).collect()
}

#[test]
fn a_random_resized_crop_takes_the_place_of_the_fixed_one() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 21, side: 14, square: false, bad: vec![] });
    let crop = RandomResizedCrop::default();
    let p = Preprocessing { random_resized_crop: Some(crop), ..plain() };
    for (epoch, image, values) in take(&mut start(&source, &p, 2, 0, 0), 6).concat() {
        let picture = source.read(image as usize).expect("made up");
        let region = crop.region(Address { seed: SEED, epoch, image }, (picture.width, picture.height));
        let expected = cut_and_resize(&picture, region, INPUT.w, INPUT.h);
        assert_eq!(values, planes(&expected.rgb), "image {image} of epoch {epoch}");
    }
    let as_cached = cached(source.clone(), &p, Cache::Small);
    let seen = |source, threads| take(&mut start(source, &p, threads, 0, 0), 6);
    assert!(seen(&as_cached, 2) == seen(&source, 3), "what is kept in memory is not the stored square alone");
}

/// Everything at once.
fn all() -> Preprocessing {
    Preprocessing {
        flip: true,
        random_resized_crop: Some(RandomResizedCrop::default()),
        rand_augment: Some(RandAugment::default()),
        colour_jitter: Some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 }),
        ..plain()
    }
}

#[test]
fn crop_reflection_operations_and_jitter_follow_each_other() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 40, side: 14, square: false, bad: vec![] });
    let (p, mut reflected) = (all(), 0);
    for (epoch, image, values) in take(&mut start(&source, &p, 2, 0, 0), 10).concat() {
        let (picture, at) = (source.read(image as usize).expect("made up"), Address { seed: SEED, epoch, image });
        let region = RandomResizedCrop::default().region(at, (picture.width, picture.height));
        let mut rgb = cut_and_resize(&picture, region, INPUT.w, INPUT.h).rgb;
        if Stream::new(SEED, Purpose::Crop, 0, epoch, image).uniform(2) >= 0.5 {
            reflected += 1;
            rgb = rgb.chunks(3 * INPUT.w).flat_map(|row| row.chunks(3).rev().flatten()).copied().collect();
        }
        RandAugment::default().apply(at, &mut rgb, INPUT.w, &mut Vec::new());
        p.colour_jitter.expect("just set").apply(at, &mut rgb);
        assert_eq!(values, planes(&rgb), "image {image} of epoch {epoch}");
    }
    assert!((20..60).contains(&reflected), "{reflected} of 80");
}

#[test]
fn erasing_comes_last_and_leaves_the_rest() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(40, 14));
    let mean = Mean::Values([90.0, 100.0, 110.0]);
    let before = Preprocessing { mean, std: Std::Values([50.0, 60.0, 70.0]), ..all() };
    for value in [Value::Zero, Value::Noise] {
        let erasing = Erasing { probability: 0.8, value, ..Erasing::default() };
        let whole = take(&mut start(&source, &before, 2, 0, 0), 10).concat();
        let p = Preprocessing { erasing: Some(erasing), ..before.clone() };
        let mut empty = 0;
        for ((epoch, image, whole), (.., values)) in whole.into_iter().zip(take(&mut start(&source, &p, 2, 0, 0), 10).concat()) {
            let region = erasing.region(Address { seed: SEED, epoch, image }, INPUT.w, INPUT.h);
            let noise = Stream::new(SEED, Purpose::Augment, 4, epoch, image);
            let (mut expected, mut element) = (whole, 0);
            empty += u32::from(region.is_none());
            for (i, expected) in expected.iter_mut().enumerate() {
                let (y, x) = (i / INPUT.w % INPUT.h, i % INPUT.w);
                let inside = |r: data::Region| (r.y..r.y + r.height).contains(&y) && (r.x..r.x + r.width).contains(&x);
                if region.is_some_and(inside) {
                    *expected = if value == Value::Zero { 0.0 } else { noise.normal(element) as f32 };
                    element += 1;
                }
            }
            assert_eq!(values, expected, "image {image} of epoch {epoch}");
        }
        assert!((1..79).contains(&empty), "{empty} of 80 are whole");
    }
}

#[test]
fn neither_threads_nor_where_a_run_is_resumed_change_anything() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 37, side: 14, square: false, bad: vec![3, 20] });
    let all = || Preprocessing {
        erasing: Some(Erasing { value: Value::Noise, ..Erasing::default() }),
        mixup: Some(MixUp { alpha: 0.4 }),
        cutmix: Some(CutMix { alpha: 1.0 }),
        ..all()
    };
    let expected = take(&mut start(&source, &all(), 1, 0, 0), 15);
    for threads in [2, 3, 8] {
        assert!(take(&mut start(&source, &all(), threads, 0, 0), 15) == expected, "{threads} threads");
    }
    for (at, (epoch, batch)) in (0..3).flat_map(|epoch| (0..5).map(move |batch| (epoch, batch))).enumerate() {
        assert!(take(&mut start(&source, &all(), 2, epoch, batch), 1) == expected[at..at + 1], "epoch {epoch}, batch {batch}");
    }
}
