//! Batches of bytes show what batches of finished values show, to the bit.

mod pictures;

use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use data::{
    BadImages, Channels, ColourNoise, EvalLoader, LoaderOptions, Mean, Pipeline, Preprocessing, Source, Statistics, Std,
    TrainLoader, Views,
};
use net::{Pixels, Shape};
use pictures::Pictures;

const STORED: usize = 20;
const INPUT: Shape = Shape { c: 3, h: 12, w: 14 };

fn cases() -> [Preprocessing; 4] {
    let noise = Some(ColourNoise { coefficient: 0.1, divide: true, until_epoch: None });
    let base = Preprocessing { stored: STORED, flip: true, ..Preprocessing::default() };
    [
        Preprocessing { colour_noise: noise, ..base.clone() },
        Preprocessing { mean: Mean::ImageAtCrop, channels: Channels::Bgr, colour_noise: None, ..base.clone() },
        Preprocessing { mean: Mean::Channels, std: Std::Channels, ..base.clone() },
        Preprocessing { mean: Mean::None, colour_noise: noise, channels: Channels::Bgr, ..base },
    ]
}

fn pipelines(p: &Preprocessing, source: &dyn Source) -> [Arc<Pipeline>; 2] {
    let statistics = Statistics::compute(source, p, 2, BadImages::Skip, &mut |_, _| Continue(())).expect("some good").0;
    [false, true].map(|bytes| {
        let pipeline = Pipeline::new(p.clone(), statistics.clone(), INPUT).expect("fits");
        Arc::new(pipeline.for_bytes(bytes))
    })
}

/// Every batch that `next` gives, as values.
fn values(batch: &net::Batch, bytes: bool) -> Vec<f32> {
    assert_eq!(matches!(batch.pixels, Pixels::Bytes(_)), bytes);
    batch.pixels.to_f32(INPUT, batch.n).into_owned()
}

#[test]
fn training_batches_are_the_same() {
    // Bad images, so that others move up.
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 23, side: STORED, square: true, bad: vec![3, 4, 20] });
    for p in cases() {
        let options = LoaderOptions { batch: 8, threads: 3, slots: 3, seed: 5, bad: BadImages::Skip };
        let [finished, bytes] = pipelines(&p, &*source).map(|pipeline| {
            let takes_bytes = pipeline.takes_bytes();
            let mut loader = TrainLoader::start(source.clone(), pipeline, options.clone(), 0, 0);
            let mut batches = Vec::new();
            for _ in 0..7 {
                let loaded = loader.next().expect("a batch");
                batches.push((loaded.samples.clone(), values(&loaded.batch, takes_bytes)));
                loader.give_back(loaded);
            }
            batches
        });
        assert!(finished == bytes, "{p:?}");
    }
}

#[test]
fn ten_views_are_the_same() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 5, side: STORED, square: true, bad: vec![1] });
    for p in cases() {
        let options = LoaderOptions { batch: 30, threads: 2, slots: 3, seed: 0, bad: BadImages::Skip };
        let [finished, bytes] = pipelines(&p, &*source).map(|pipeline| {
            let takes_bytes = pipeline.takes_bytes();
            let mut loader = EvalLoader::start(source.clone(), pipeline, Views::Ten, options.clone());
            let mut all = Vec::new();
            while let Some(loaded) = loader.next().expect("good images") {
                all.extend(values(&loaded.batch, takes_bytes));
                loader.give_back(loaded);
            }
            all
        });
        assert_eq!(finished.len(), 40 * INPUT.len());
        assert!(finished == bytes, "{p:?}");
    }
}

#[test]
fn what_changes_finished_values_gets_them() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(4, STORED));
    let mixes = Preprocessing { mixup: Some(data::augment::MixUp { alpha: 0.2 }), colour_noise: None, ..cases()[0].clone() };
    let grey = Preprocessing { channels: Channels::Grey, mean: Mean::None, colour_noise: None, ..cases()[0].clone() };
    let [_, pipeline] = pipelines(&mixes, &*source);
    let options = LoaderOptions { batch: 4, threads: 1, slots: 2, seed: 0, bad: BadImages::Stop };
    let loaded = TrainLoader::start(source.clone(), pipeline, options, 0, 0).next().expect("a batch");
    assert!(matches!(loaded.batch.pixels, Pixels::F32(_)));
    let pipeline = Pipeline::new(grey, Statistics::default(), Shape { c: 1, ..INPUT }).expect("fits");
    assert!(!pipeline.for_bytes(true).takes_bytes());
}
