//! Preprocessing against straightforward transcriptions of alexnet.md 2.4 and 2.5.

mod pictures;

use std::ops::ControlFlow::Continue;
use std::sync::Arc;

use data::{
    BadImages, Channels, ColourNoise, Fit, Image, LoaderOptions, Mean, Order, Pipeline, Preprocessing, Source, Statistics, Std,
    TrainLoader, Views,
};
use net::Shape;
use net::random::{Purpose, Stream};
use pictures::Pictures;

const STORED: usize = 20;
const INPUT: Shape = Shape { c: 3, h: 12, w: 14 };

fn plain() -> Preprocessing {
    Preprocessing { stored: STORED, mean: Mean::None, colour_noise: None, flip: false, ..Preprocessing::default() }
}

fn measured(source: &dyn Source, p: &Preprocessing) -> Statistics {
    Statistics::compute(source, p, 2, BadImages::Stop, &mut |_, _| Continue(())).expect("good images").0
}

fn options(batch: usize) -> LoaderOptions {
    LoaderOptions { batch, threads: 2, slots: 3, seed: 17, bad: BadImages::Stop }
}

/// Pixel (y, x) of channel c.
fn at(image: &Image, y: usize, x: usize, c: usize) -> f64 {
    f64::from(image.rgb[3 * (y * image.width + x) + c])
}

#[test]
fn ten_views_lie_where_the_source_of_2012_has_them() {
    let image = Pictures::squares(1, STORED).read(0).expect("made up");
    let pipeline = Pipeline::new(plain(), Statistics::default(), INPUT).expect("fits");
    let mut out = vec![0.0; 10 * INPUT.len()];
    pipeline.test_views(&image, Views::Ten, &mut out).expect("a good size");
    // 20 − 12 = 8 rows and 20 − 14 = 6 columns of room.
    let corners = [(0, 0), (0, 6), (4, 3), (8, 0), (8, 6)];
    for (view, values) in out.chunks_exact(INPUT.len()).enumerate() {
        let (top, left) = corners[view % 5];
        for (i, value) in values.iter().enumerate() {
            let (c, y, x) = (i / INPUT.plane(), i / INPUT.w % INPUT.h, i % INPUT.w);
            let x = if view >= 5 { INPUT.w - 1 - x } else { x };
            assert_eq!(f64::from(*value), at(&image, top + y, left + x, c), "view {view}, [{c}, {y}, {x}]");
        }
    }
    let mut centre = vec![0.0; INPUT.len()];
    pipeline.test_views(&image, Views::Centre, &mut centre).expect("a good size");
    assert_eq!(centre, out[2 * INPUT.len()..3 * INPUT.len()]);
}

/// A training value by the formulas, in f64: crop, reflection, mean, colour noise, channel order.
fn transcribed(p: &Preprocessing, s: &Statistics, image: &Image, index: u32, epoch: u32, seed: u64) -> Vec<f64> {
    let crop = Stream::new(seed, Purpose::Crop, 0, epoch, index);
    let (top, left) = (crop.below(0, 9) as usize, crop.below(1, 7) as usize);
    let flip = p.flip && crop.uniform(2) >= 0.5;
    let mut shift = [0.0; 3];
    let mut divisor = 1.0;
    if let Some(noise) = p.colour_noise.filter(|n| n.until_epoch.is_none_or(|end| epoch < end)) {
        let z = Stream::new(seed, Purpose::Colour, 0, epoch, index);
        for (c, shift) in shift.iter_mut().enumerate() {
            for k in 0..3 {
                let std = f64::from(s.eigenvalues[k]).sqrt();
                *shift += f64::from(s.eigenvectors[3 * c + k]) * f64::from(noise.coefficient) * std * z.normal(k as u32);
            }
        }
        divisor = if noise.divide { 1.0 + f64::from(noise.coefficient) } else { 1.0 };
    }
    let mut out = Vec::new();
    for map in 0..3 {
        let c = if p.channels == Channels::Bgr { 2 - map } else { map };
        for y in 0..INPUT.h {
            for x in 0..INPUT.w {
                let from = if flip { INPUT.w - 1 - x } else { x };
                let mean = |y: usize, x: usize| f64::from(s.mean_image[(c * STORED + y) * STORED + x]);
                let mean = match p.mean {
                    Mean::Image => mean(4 + y, 3 + x),
                    Mean::ImageAtCrop => mean(top + y, left + from),
                    Mean::Channels => f64::from(s.mean[c]),
                    Mean::Values(values) => f64::from(values[c]),
                    Mean::None => 0.0,
                };
                let std = match p.std {
                    Std::None => 1.0,
                    Std::Channels => f64::from(s.std[c]),
                    Std::Values(values) => f64::from(values[c]),
                };
                out.push((at(image, top + y, left + from, c) - mean + shift[c]) / (std * divisor));
            }
        }
    }
    out
}

#[test]
fn training_images_follow_the_formulas() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(11, STORED));
    let noise = |divide, until_epoch| Some(ColourNoise { coefficient: 0.1, divide, until_epoch });
    let base = Preprocessing { flip: true, ..plain() };
    let cases = [
        Preprocessing { mean: Mean::Image, colour_noise: noise(true, Some(1)), ..base.clone() },
        Preprocessing { mean: Mean::ImageAtCrop, channels: Channels::Bgr, ..base.clone() },
        Preprocessing { mean: Mean::Channels, std: Std::Channels, colour_noise: noise(false, None), ..base.clone() },
        Preprocessing { mean: Mean::Values([124.0, 117.0, 104.0]), std: Std::Values([58.0, 57.0, 56.0]), ..base.clone() },
        Preprocessing { channels: Channels::Bgr, colour_noise: noise(true, None), ..base.clone() },
    ];
    for p in cases {
        let statistics = measured(&*source, &p);
        let pipeline = Arc::new(Pipeline::new(p.clone(), statistics.clone(), INPUT).expect("fits"));
        let mut loader = TrainLoader::start(source.clone(), pipeline, options(4), 0, 0);
        for _ in 0..2 * loader.batches_per_epoch() {
            let loaded = loader.next().expect("good images");
            for (&index, values) in loaded.samples.iter().zip(loaded.batch.f32().chunks_exact(INPUT.len())) {
                let image = source.read(index as usize).expect("made up");
                let expected = transcribed(&p, &statistics, &image, index, loaded.epoch, 17);
                for (i, (&ours, &exact)) in values.iter().zip(&expected).enumerate() {
                    // Values of up to 512 before division; the shift, two sums, the scale and the product are rounded.
                    let bound = 6.0 * f64::from(f32::EPSILON) * 512.0;
                    assert!((f64::from(ours) - exact).abs() <= bound, "{p:?}, image {index}, value {i}: {ours}, not {exact}");
                }
            }
            loader.give_back(loaded);
        }
    }
}

#[test]
fn crops_reach_every_place_and_no_other() {
    // Each pixel tells where it is.
    struct Map;
    impl Source for Map {
        fn len(&self) -> usize {
            4000
        }
        fn label(&self, _: usize) -> u32 {
            0
        }
        fn name(&self, index: usize) -> std::borrow::Cow<'_, str> {
            index.to_string().into()
        }
        fn fetch<'a>(&'a self, _: usize, buffer: &'a mut Vec<u8>) -> data::Result<data::Content<'a>> {
            let rgb = (0..STORED * STORED).flat_map(|i| [(i / STORED) as u8, (i % STORED) as u8, 0]).collect();
            Ok(Image { width: STORED, height: STORED, rgb }.keep_in(buffer))
        }
    }
    let p = Preprocessing { flip: true, ..plain() };
    let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"));
    let mut loader = TrainLoader::start(Arc::new(Map), pipeline, options(100), 0, 0);
    let (mut counts, mut flips, n) = ([[0u32; 7]; 9], 0, 4000);
    for _ in 0..40 {
        let loaded = loader.next().expect("good images");
        for values in loaded.batch.f32().chunks_exact(INPUT.len()) {
            let columns = &values[INPUT.plane()..];
            let flipped = columns[0] > columns[1];
            flips += u32::from(flipped);
            counts[values[0] as usize][columns[if flipped { INPUT.w - 1 } else { 0 }] as usize] += 1;
        }
        loader.give_back(loaded);
    }
    // Five standard deviations of a binomial count.
    let expect = |count: u32, p: f64, what: &str| {
        let (mean, std) = (f64::from(n) * p, (f64::from(n) * p * (1.0 - p)).sqrt());
        assert!((f64::from(count) - mean).abs() < 5.0 * std, "{what}: {count} of {n}, expected about {mean}");
    };
    expect(flips, 0.5, "reflections");
    for (y, row) in counts.iter().enumerate() {
        row.iter().enumerate().for_each(|(x, &count)| expect(count, 1.0 / 63.0, &format!("corner ({y}, {x})")));
    }
}

#[test]
fn a_group_shares_crop_and_reflection_and_the_next_one_has_its_own() {
    let source: Arc<dyn Source> = Arc::new(Pictures::squares(96, STORED));
    let p = Preprocessing { flip: true, crop_group: 32, ..plain() };
    let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), INPUT).expect("fits"));
    // 24 does not divide 32: a group goes on in the next batch.
    let mut loader = TrainLoader::start(source.clone(), pipeline, options(24), 0, 0);
    let (mut position, mut corners) = (0usize, Vec::new());
    for _ in 0..4 {
        let loaded = loader.next().expect("good images");
        for (&index, values) in loaded.samples.iter().zip(loaded.batch.f32().chunks_exact(INPUT.len())) {
            let image = source.read(index as usize).expect("made up");
            let crop = Stream::new(17, Purpose::Crop, 1, 0, (position / 32) as u32);
            let (top, left, flip) = (crop.below(0, 9) as usize, crop.below(1, 7) as usize, crop.uniform(2) >= 0.5);
            let x = if flip { left + INPUT.w - 1 } else { left };
            assert_eq!(f64::from(values[0]), at(&image, top, x, 0), "position {position}");
            corners.push((top, left, flip));
            position += 1;
        }
        loader.give_back(loaded);
    }
    corners.dedup();
    assert_eq!(corners.len(), 3, "{corners:?}");
}

#[test]
fn fits_and_grey() {
    // 40 × 20 with a white left half: its central square holds the border in its middle.
    let rgb = (0..20 * 40).flat_map(|i| [if i % 40 < 20 { 255 } else { 0 }; 3]).collect();
    let image = Image { width: 40, height: 20, rgb };
    let input = Shape { c: 3, h: 20, w: 20 };
    let view = |fit| {
        let pipeline = Pipeline::new(Preprocessing { fit, ..plain() }, Statistics::default(), input).expect("fits");
        let mut out = vec![0.0; input.len()];
        pipeline.test_views(&image, Views::Centre, &mut out).map(|()| out)
    };
    let crop = view(Fit::Crop).expect("any size");
    assert_eq!((crop[9], crop[10]), (255.0, 0.0));
    assert_eq!(view(Fit::ShorterSide).expect("any size"), crop);
    let warp = view(Fit::Warp).expect("any size");
    assert_eq!((warp[0], warp[8], warp[11], warp[19]), (255.0, 255.0, 0.0, 0.0));
    assert!(view(Fit::AsIs).expect_err("40 × 20 is not 20 × 20").to_string().contains("40 × 20"));

    let grey = Shape { c: 1, h: 20, w: 20 };
    let p = Preprocessing { channels: Channels::Grey, std: Std::Values([255.0; 3]), ..plain() };
    let image = Image { width: 20, height: 20, rgb: [10, 200, 30].repeat(400) };
    let mut out = vec![0.0; 400];
    Pipeline::new(p, Statistics::default(), grey).expect("fits").test_views(&image, Views::Centre, &mut out).expect("fits");
    // Pillow: (10, 200, 30) is luma 124.
    assert_eq!(out, vec![124.0 * (1.0 / 255.0); 400]);
}

#[test]
fn shorter_side_lets_training_crops_roam() {
    let rgb = (0..20 * 200).flat_map(|i| [(i % 200) as u8, 0, 0]).collect();
    struct One(Image);
    impl Source for One {
        fn len(&self) -> usize {
            300
        }
        fn label(&self, _: usize) -> u32 {
            0
        }
        fn name(&self, _: usize) -> std::borrow::Cow<'_, str> {
            "one".into()
        }
        fn fetch<'a>(&'a self, _: usize, buffer: &'a mut Vec<u8>) -> data::Result<data::Content<'a>> {
            Ok(self.0.clone().keep_in(buffer))
        }
    }
    let source = Arc::new(One(Image { width: 200, height: 20, rgb }));
    let pipeline = Pipeline::new(Preprocessing { fit: Fit::ShorterSide, ..plain() }, Statistics::default(), INPUT);
    let mut loader = TrainLoader::start(source, Arc::new(pipeline.expect("fits")), options(300), 0, 0);
    let loaded = loader.next().expect("good images");
    let lefts: Vec<f32> = loaded.batch.f32().chunks_exact(INPUT.len()).map(|values| values[0]).collect();
    assert!(lefts.iter().all(|&x| x <= 186.0));
    assert!(lefts.iter().any(|&x| x < 20.0) && lefts.iter().any(|&x| x > 166.0));
}

#[test]
fn statistics_are_the_plain_sums_whatever_the_threads() {
    let source = Pictures { images: 23, side: 18, square: false, bad: vec![4, 9] };
    let p = Preprocessing { stored: STORED, ..Preprocessing::default() };
    let compute =
        |threads| Statistics::compute(&source, &p, threads, BadImages::Skip, &mut |_, _| Continue(())).expect("some good");
    let (one, bad) = compute(1);
    assert_eq!(bad.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["picture 004", "picture 009"]);
    for threads in [2, 3, 8] {
        assert_eq!(compute(threads), (one.clone(), bad.clone()), "{threads} threads");
    }
    assert_eq!((one.images, one.side), (21, STORED));

    // The stored squares, through the pipeline with nothing subtracted, in f64.
    let whole = Shape { c: 3, h: STORED, w: STORED };
    let pipeline = Pipeline::new(plain(), Statistics::default(), whole).expect("fits");
    let mut squares = Vec::new();
    for index in (0..23).filter(|i| ![4, 9].contains(i)) {
        let mut square = vec![0.0; whole.len()];
        pipeline.test_views(&source.read(index).expect("good"), Views::Centre, &mut square).expect("any size");
        squares.push(square);
    }
    let n = squares.len() as f64;
    for i in 0..whole.len() {
        let mean = squares.iter().map(|s| f64::from(s[i])).sum::<f64>() / n;
        assert!((f64::from(one.mean_image[i]) - mean).abs() <= 256.0 * f64::from(f32::EPSILON), "mean {i}");
    }
    let pixels = n * whole.plane() as f64;
    let values =
        |c: usize| squares.iter().flat_map(move |s| s[c * whole.plane()..][..whole.plane()].iter().map(|&v| f64::from(v)));
    for a in 0..3 {
        for b in 0..3 {
            let (mean_a, mean_b) = (values(a).sum::<f64>() / pixels, values(b).sum::<f64>() / pixels);
            let covariance = values(a).zip(values(b)).map(|(x, y)| (x - mean_a) * (y - mean_b)).sum::<f64>() / pixels;
            let rebuilt: f64 =
                (0..3).map(|k| f64::from(one.eigenvectors[3 * a + k] * one.eigenvalues[k] * one.eigenvectors[3 * b + k])).sum();
            // Each of three products is of f32 values of at most the largest eigenvalue.
            let bound = 12.0 * f64::from(f32::EPSILON) * f64::from(one.eigenvalues[0]);
            assert!((covariance - rebuilt).abs() <= bound, "[{a}, {b}]: {covariance}, rebuilt {rebuilt}");
        }
        let mean = values(a).sum::<f64>() / pixels;
        let std = (values(a).map(|x| (x - mean) * (x - mean)).sum::<f64>() / pixels).sqrt();
        assert!((f64::from(one.mean[a]) - mean).abs() <= 256.0 * f64::from(f32::EPSILON));
        assert!((f64::from(one.std[a]) - std).abs() <= 256.0 * f64::from(f32::EPSILON));
    }
}

#[test]
fn statistics_survive_the_way_through_tensors_and_refuse_damage() {
    let p = Preprocessing { stored: STORED, ..Preprocessing::default() };
    let mut statistics = measured(&Pictures::squares(5, STORED), &p);
    statistics.images = (1 << 40) + 12_345_678_901;
    let tensors = statistics.to_tensors();
    assert_eq!(Statistics::from_tensors(&tensors).expect("whole"), statistics);
    for missing in 0..tensors.len() {
        let mut fewer = tensors.clone();
        fewer.remove(missing);
        assert!(Statistics::from_tensors(&fewer).is_err());
        let mut wrong = tensors.clone();
        wrong[missing].1.data[0] = f32::NAN;
        assert!(Statistics::from_tensors(&wrong).is_err());
        let mut short = tensors.clone();
        short[missing].1.data.pop();
        assert!(Statistics::from_tensors(&short).is_err());
    }
    let other = Preprocessing { stored: 64, ..Preprocessing::default() };
    assert!(Pipeline::new(other, statistics.clone(), INPUT).is_err());
    assert!(Pipeline::new(p, statistics, INPUT).is_ok());
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let good = Preprocessing::default();
    let paper = Shape { c: 3, h: 224, w: 224 };
    assert!(good.check(paper).is_ok());
    let bad = [
        (Preprocessing { stored: 223, ..good.clone() }, "does not fit"),
        (Preprocessing { stored: 0, ..good.clone() }, "stored = 0"),
        (Preprocessing { crop_group: 0, ..good.clone() }, "crop_group"),
        (Preprocessing { channels: Channels::Grey, ..good.clone() }, "1 maps"),
        (Preprocessing { fit: Fit::ShorterSide, mean: Mean::ImageAtCrop, ..good.clone() }, "shorter_side"),
        (Preprocessing { std: Std::Values([1.0, 0.0, 1.0]), ..good.clone() }, "above 0"),
        (Preprocessing { mean: Mean::Values([1.0, f32::NAN, 1.0]), ..good.clone() }, "finite"),
    ];
    for (p, word) in bad {
        let message = p.check(paper).expect_err(word).to_string();
        assert!(message.contains(word), "`{message}` lacks `{word}`");
    }
    let grey = Preprocessing { channels: Channels::Grey, ..good };
    assert!(grey.check(Shape { c: 1, h: 224, w: 224 }).expect_err("noise").to_string().contains("colour_noise"));
}

#[test]
fn toml_says_everything_and_nothing_else() {
    let p = Preprocessing {
        fit: Fit::Warp,
        mean: Mean::Values([123.675, 116.28, 103.53]),
        std: Std::Values([58.395, 57.12, 57.375]),
        channels: Channels::Bgr,
        colour_noise: Some(ColourNoise { coefficient: 0.1, divide: true, until_epoch: Some(66) }),
        order: Order::Once,
        crop_group: 32,
        ..Preprocessing::default()
    };
    let text = toml::to_string(&p).expect("writes");
    assert_eq!(toml::from_str::<Preprocessing>(&text).expect("reads"), p, "{text}");
    let short: Preprocessing = toml::from_str("stored = 32\nfit = \"as_is\"\nmean = \"image_at_crop\"").expect("reads");
    assert_eq!((short.stored, short.fit, short.mean, short.colour_noise), (32, Fit::AsIs, Mean::ImageAtCrop, None));
    assert!(toml::from_str::<Preprocessing>("sored = 32").is_err());
    assert!(toml::from_str::<Preprocessing>("[colour_noise]\ncoeff = 1").is_err());
}
