//! How many images a second a loader delivers: `cargo run --release -p alexnet-data --example throughput -- DIR [THREADS]`.

use std::ops::ControlFlow::Continue;
use std::sync::Arc;
use std::time::Instant;

use data::{BadImages, LoaderOptions, OpenOptions, Pipeline, Preprocessing, Statistics, TrainLoader};
use net::Shape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: throughput DIR [THREADS]")?;
    let threads: usize = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let dataset = data::open(folder.as_ref(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() })?;
    let p = Preprocessing::default();

    let started = Instant::now();
    let (statistics, bad) = Statistics::compute(&*dataset.train, &p, threads, BadImages::Skip, &mut |_, _| Continue(()))?;
    let images_per_s = dataset.train.len() as f64 / started.elapsed().as_secs_f64();
    println!("statistics: {} images ({} bad), {threads} threads, {images_per_s:.0} images/s", statistics.images, bad.len());

    let pipeline = Arc::new(Pipeline::new(p, statistics, Shape { c: 3, h: 224, w: 224 })?);
    let options = LoaderOptions { batch: 128, threads, slots: 3, seed: 0, bad: BadImages::Skip };
    let mut loader = TrainLoader::start(dataset.train.clone(), pipeline, options, 0, 0);
    let (started, mut images) = (Instant::now(), 0);
    for _ in 0..loader.batches_per_epoch().clamp(8, 64) {
        let loaded = loader.next()?;
        images += loaded.batch.n;
        loader.give_back(loaded);
    }
    let images_per_s = images as f64 / started.elapsed().as_secs_f64();
    println!("training batches: {images} images, {threads} threads, {images_per_s:.0} images/s");
    Ok(())
}
