//! The loaders: order, resuming, threads, bad images, stopping.

mod pictures;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::ControlFlow::{Break, Continue};
use std::sync::{Arc, Mutex};

use data::{
    BadImages, Cache, Content, Error, EvalLoader, Fit, LoaderOptions, Mean, Order, Pipeline, Preprocessing, Source, Statistics,
    TrainLoader, Views, cached,
};
use net::Shape;
use pictures::Pictures;

const INPUT: Shape = Shape { c: 3, h: 10, w: 10 };

fn pipeline(p: Preprocessing, source: &dyn Source) -> Arc<Pipeline> {
    let statistics = Statistics::compute(source, &p, 2, BadImages::Skip, &mut |_, _| Continue(())).expect("some good").0;
    Arc::new(Pipeline::new(p, statistics, INPUT).expect("fits"))
}

fn paper(stored: usize) -> Preprocessing {
    Preprocessing { stored, ..Preprocessing::default() }
}

fn options(batch: usize, threads: usize, bad: BadImages) -> LoaderOptions {
    LoaderOptions { batch, threads, slots: 3, seed: 5, bad }
}

/// Position, images, labels and pixels of a batch.
type Seen = ((u32, u32), Vec<u32>, Vec<u32>, Vec<f32>);

fn take(loader: &mut TrainLoader, batches: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    for _ in 0..batches {
        let loaded = loader.next().expect("a batch");
        let labels = loaded.batch.labels[..loaded.batch.n].to_vec();
        assert_eq!(loaded.samples.len(), loaded.batch.n);
        seen.push(((loaded.epoch, loaded.index), loaded.samples.clone(), labels, loaded.batch.f32().to_vec()));
        loader.give_back(loaded);
    }
    seen
}

#[test]
fn threads_slots_and_caching_change_nothing() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 37, side: 14, square: false, bad: vec![3, 20] });
    let pipeline = pipeline(paper(14), &*source);
    let run = |source: &Arc<dyn Source>, threads, slots| {
        let options = LoaderOptions { slots, ..options(8, threads, BadImages::Skip) };
        let mut loader = TrainLoader::start(source.clone(), pipeline.clone(), options, 0, 0);
        let seen = take(&mut loader, 13);
        (seen, loader.bad())
    };
    let expected = run(&source, 1, 2);
    assert_eq!(expected.1.len(), 2);
    for (threads, slots) in [(2, 2), (3, 5), (8, 3)] {
        assert!(run(&source, threads, slots) == expected, "{threads} threads, {slots} slots");
    }
    // All of them, and twelve and a half of 588 bytes.
    for cache in [Cache::Small, Cache::Bytes(7350)] {
        let kept = cached(source.clone(), pipeline.preprocessing(), cache);
        assert!(run(&kept, 2, 3) == expected, "{cache:?}");
        assert!(run(&kept, 3, 3) == expected, "{cache:?}, from memory");
    }
    let holds = |cache: Cache| cache.holds(37, pipeline.preprocessing());
    assert_eq!(
        (holds(Cache::Small), holds(Cache::Bytes(7350)), holds(Cache::Bytes(587))),
        ((37, 37 * 588), (12, 12 * 588), (0, 0))
    );
}

#[test]
fn what_is_kept_in_memory_is_not_read_ahead() {
    let source = Arc::new(Watched(Pictures::squares(6, 12), Mutex::default()));
    // Four of 432 bytes.
    let kept = cached(source.clone(), &paper(12), Cache::Bytes(4 * 432));
    let announced = || -> Vec<u32> {
        let told = std::mem::take(&mut *source.1.lock().expect("no panic"));
        told.into_iter().filter_map(|told| if let Told::Announced(index) = told { Some(index) } else { None }).collect()
    };
    kept.announce(&[5, 0, 1, 2, 3, 4]);
    assert_eq!(announced(), [5, 0, 1, 2, 3, 4], "nothing is kept yet");
    for index in [0, 3, 5] {
        kept.fetch(index, &mut Vec::new()).unwrap();
    }
    kept.announce(&[5, 0, 1, 2, 3, 4]);
    assert_eq!(announced(), [5, 1, 2, 4]);
}

#[test]
fn every_epoch_shows_every_image_once_in_an_order_of_its_own() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(37, 12));
    let orders = |order| {
        let p = Preprocessing { order, ..paper(12) };
        let mut loader = TrainLoader::start(source.clone(), pipeline(p, &*source), options(8, 2, BadImages::Stop), 0, 0);
        assert_eq!(loader.batches_per_epoch(), 5);
        let mut epochs = vec![Vec::new(), Vec::new()];
        for ((epoch, index), samples, labels, _) in take(&mut loader, 10) {
            assert_eq!(samples.len(), if index == 4 { 5 } else { 8 });
            assert!(samples.iter().zip(&labels).all(|(&s, &l)| source.label(s as usize) == l));
            epochs[epoch as usize].extend(samples);
        }
        for epoch in &epochs {
            assert_eq!(epoch.iter().copied().collect::<BTreeSet<u32>>(), (0..37).collect());
        }
        epochs
    };
    let each = orders(Order::EachEpoch);
    assert_ne!(each[0], each[1]);
    let once = orders(Order::Once);
    assert_eq!(once[0], once[1]);
    assert_eq!(once[0], each[0]);
}

#[test]
fn starting_anywhere_continues_the_same_stream() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(37, 12));
    let p = Preprocessing { crop_group: 32, ..paper(12) };
    let pipeline = pipeline(p, &*source);
    let start = |epoch, batch| TrainLoader::start(source.clone(), pipeline.clone(), options(8, 2, BadImages::Stop), epoch, batch);
    let all = take(&mut start(0, 0), 15);
    for (at, (epoch, batch)) in [(1, (0, 1)), (4, (0, 4)), (5, (1, 0)), (5, (0, 5)), (8, (1, 3)), (12, (0, 12))] {
        assert!(take(&mut start(epoch, batch), 3) == all[at..at + 3], "from epoch {epoch}, batch {batch}");
    }
}

#[test]
fn evaluation_shows_each_image_once_with_its_views_side_by_side() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 23, side: 14, square: false, bad: vec![7] });
    let pipeline = pipeline(Preprocessing { mean: Mean::ImageAtCrop, ..paper(14) }, &*source);
    for (views, batch) in [(Views::Centre, 4), (Views::Centre, 64), (Views::Ten, 10), (Views::Ten, 37)] {
        let mut loader = EvalLoader::start(source.clone(), pipeline.clone(), views, options(batch, 3, BadImages::Skip));
        let mut images = Vec::new();
        while let Some(loaded) = loader.next().expect("skips") {
            let rows = loaded.samples.chunks_exact(views.count());
            for (row, values) in rows.zip(loaded.batch.f32().chunks_exact(views.count() * INPUT.len())) {
                assert!(row.iter().all(|&s| s == row[0]));
                let mut expected = vec![0.0; values.len()];
                let image = source.read(row[0] as usize).expect("good");
                pipeline.test_views(&image, views, &mut expected).expect("any size");
                assert!(values == expected, "image {}", row[0]);
                images.push(row[0]);
            }
            assert!(loaded.batch.n <= batch);
            loader.give_back(loaded);
        }
        assert_eq!(images, (0..23).filter(|&i| i != 7).collect::<Vec<u32>>(), "{views:?}, {batch}");
        assert_eq!(loader.bad().len(), 1);
        assert!(loader.next().expect("still at the end").is_none());
    }
    let mut narrow = EvalLoader::start(source, pipeline, Views::Ten, options(9, 1, BadImages::Skip));
    assert!(matches!(narrow.next(), Err(Error::Loader(_))));
}

#[test]
fn the_policy_for_bad_images_is_kept() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 20, side: 12, square: true, bad: vec![2, 11, 12] });
    let pipeline = pipeline(paper(12), &*source);
    let start = |bad| TrainLoader::start(source.clone(), pipeline.clone(), options(4, 3, bad), 0, 0);

    let stopped = || {
        let mut stop = start(BadImages::Stop);
        let error = (0..5).find_map(|_| stop.next().map(|loaded| stop.give_back(loaded)).err()).expect("stops in the epoch");
        error.bad_image().expect("about an image").name
    };
    let first = stopped();
    assert!(["picture 002", "picture 011", "picture 012"].contains(&first.as_str()));
    assert!((0..5).all(|_| stopped() == first), "the same one whatever the threads do");

    let mut skip = start(BadImages::Skip);
    let images: usize = take(&mut skip, 5).iter().map(|(_, samples, ..)| samples.len()).sum();
    assert_eq!(images, 17);
    take(&mut skip, 5);
    assert_eq!(skip.bad().iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["picture 002", "picture 011", "picture 012"]);

    let mut report = start(BadImages::Report);
    take(&mut report, 5);
    let Err(Error::BadImages { bad }) = report.next() else { panic!("reports after the epoch") };
    assert_eq!(bad.len(), 3);

    let mut evaluation = EvalLoader::start(source.clone(), pipeline.clone(), Views::Centre, options(4, 2, BadImages::Report));
    let error = loop {
        match evaluation.next() {
            Ok(Some(loaded)) => evaluation.give_back(loaded),
            Ok(None) => panic!("reports at the end"),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(text.starts_with("3 images are bad\n  picture 002: not an image") && text.lines().count() == 4, "{text}");
}

#[test]
fn a_batch_of_bad_images_is_left_out_and_an_epoch_of_them_is_an_error() {
    let p = Preprocessing { mean: Mean::None, colour_noise: None, ..paper(12) };
    let pipeline = Arc::new(Pipeline::new(p.clone(), Statistics::default(), INPUT).expect("fits"));
    let one_good = Arc::new(Pictures { images: 9, side: 12, square: true, bad: (1..9).collect() });
    let mut loader = TrainLoader::start(one_good, pipeline.clone(), options(2, 2, BadImages::Skip), 0, 0);
    for (epoch, seen) in take(&mut loader, 3).iter().enumerate() {
        assert_eq!((seen.0.0 as usize, &seen.1[..]), (epoch, &[0][..]));
    }
    let none_good: Arc<dyn Source> = Arc::new(Pictures { images: 9, side: 12, square: true, bad: (0..9).collect() });
    let mut loader = TrainLoader::start(none_good.clone(), pipeline.clone(), options(2, 2, BadImages::Skip), 0, 0);
    assert!(matches!(loader.next(), Err(Error::AllBad { images: 9, .. })));
    let measured = Statistics::compute(&*none_good, &p, 2, BadImages::Skip, &mut |_, _| Continue(()));
    assert!(matches!(measured, Err(Error::AllBad { images: 9, .. })));
    let mut heard = 0;
    let broken_off = Statistics::compute(&*none_good, &p, 2, BadImages::Skip, &mut |done, _| {
        heard += 1;
        if done < 3 { Continue(()) } else { Break(()) }
    });
    assert!(matches!(broken_off, Err(Error::Stopped { done: 3, images: 9 })));
    assert_eq!(heard, 3, "nothing is heard after the end");
    let reported = Statistics::compute(&*none_good, &p, 2, BadImages::Report, &mut |_, _| Continue(()));
    assert!(matches!(reported, Err(Error::BadImages { bad }) if bad.len() == 9));
    for _ in 0..5 {
        let stopped = Statistics::compute(&*none_good, &p, 3, BadImages::Stop, &mut |_, _| Continue(())).expect_err("bad");
        assert!(stopped.bad_image().is_some_and(|b| b.name == "picture 000"), "the first one, whatever the threads");
    }
}

#[test]
fn nothing_to_learn_from_is_an_error_and_nothing_to_evaluate_is_the_end() {
    let p = Preprocessing { mean: Mean::None, colour_noise: None, ..paper(12) };
    let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"));
    let none: Arc<dyn Source> = Arc::new(Pictures::squares(0, 12));
    let mut train = TrainLoader::start(none.clone(), pipeline.clone(), options(4, 2, BadImages::Stop), 0, 0);
    assert!(matches!(train.next(), Err(Error::Empty { .. })));
    let mut evaluation = EvalLoader::start(none, pipeline, Views::Ten, options(10, 2, BadImages::Stop));
    assert!(evaluation.next().expect("no fault").is_none());
}

#[test]
fn a_wrong_size_is_a_bad_image() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 30, side: 12, square: false, bad: vec![] });
    let p = Preprocessing { fit: Fit::AsIs, mean: Mean::None, colour_noise: None, ..paper(12) };
    let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"));
    let source = cached(source, pipeline.preprocessing(), Cache::Small);
    let mut loader = TrainLoader::start(source, pipeline, options(4, 2, BadImages::Stop), 0, 0);
    let error = (0..8).find_map(|_| loader.next().map(|loaded| loader.give_back(loaded)).err()).expect("some are not 12 × 12");
    assert!(error.bad_image().is_some_and(|b| b.reason.contains("12 × 12")), "{error}");
}

#[test]
fn dropping_a_loader_ends_its_threads() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(64, 12));
    let pipeline = pipeline(paper(12), &*source);
    for batches in [0, 1, 3] {
        let mut loader = TrainLoader::start(source.clone(), pipeline.clone(), options(8, 4, BadImages::Stop), 0, 0);
        take(&mut loader, batches);
        drop(loader);
    }
    // The threads held the source.
    assert_eq!(Arc::strong_count(&source), 1);
}

#[test]
#[should_panic(expected = "give one back")]
fn a_reader_that_keeps_everything_is_told_so() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(64, 12));
    let mut loader = TrainLoader::start(source.clone(), pipeline(paper(12), &*source), options(8, 2, BadImages::Stop), 0, 0);
    let _kept: Vec<_> = (0..4).map(|_| loader.next()).collect();
}

/// What a source was told and asked, in order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Announced(u32),
    Fetched(u32),
}

/// Pictures that remember what they were told and asked.
struct Watched(Pictures, Mutex<Vec<Told>>);
impl Source for Watched {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn label(&self, index: usize) -> u32 {
        self.0.label(index)
    }
    fn name(&self, index: usize) -> Cow<'_, str> {
        self.0.name(index)
    }
    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        self.1.lock().expect("no panic").push(Told::Fetched(index as u32));
        self.0.fetch(index, buffer)
    }
    fn announce(&self, indices: &[u32]) {
        self.1.lock().expect("no panic").extend(indices.iter().map(|&index| Told::Announced(index)));
    }
}

#[test]
fn images_are_announced_before_they_are_fetched_and_stages_add_up() {
    let source = Arc::new(Watched(Pictures::squares(40, 14), Mutex::default()));
    let pipeline = pipeline(paper(14), &source.0);
    let mut loader = TrainLoader::start(source.clone(), pipeline, options(8, 3, BadImages::Stop), 0, 0);
    let began = std::time::Instant::now();
    let seen = take(&mut loader, 5);
    let stages = loader.stages();
    let elapsed = began.elapsed();
    drop(loader);
    let mut order: Vec<u32> = seen.into_iter().flat_map(|batch| batch.1).collect();
    let told = source.1.lock().expect("no panic");
    for &image in &order {
        let at = |what| told.iter().position(|&told| told == what);
        assert!(at(Told::Announced(image)).expect("announced") < at(Told::Fetched(image)).expect("fetched"), "image {image}");
    }
    let announced: Vec<u32> = told.iter().filter_map(|t| if let Told::Announced(i) = t { Some(*i) } else { None }).collect();
    order.truncate(announced.len());
    assert_eq!(announced[..order.len()], order, "in the order of the epoch");
    assert!(stages.images >= 40 && stages.threads == 3);
    assert!(stages.bytes >= 40 * 14 * 14 * 3);
    assert!(stages.read + stages.decode + stages.augment + stages.idle <= elapsed * 3 + std::time::Duration::from_millis(50));
    assert!(stages.wait <= elapsed && stages.images_per_s() > 0.0);
}
