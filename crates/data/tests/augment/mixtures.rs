//! Batches whose images are mixed with each other.

use std::sync::Arc;

use data::augment::{BatchAddress, CutMix, Mix, MixUp};
use data::{BadImages, EvalLoader, LoaderOptions, Preprocessing, Source, Views};
use net::{Batch, Mixed, Shape, Target};
use proptest::prelude::*;
use safetensors::SafeTensors;

use crate::loading::{INPUT, pipeline, plain, start};
use crate::pictures::Pictures;
use crate::statistics::{assert_shares, assert_uniform};
use crate::{each, numbers};

fn floats(golden: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f32>) {
    let tensor = golden.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32, "{name}");
    (tensor.shape().to_vec(), tensor.data().as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
}

/// A batch with room for mixtures and one image more than it holds.
fn roomy(values: &[f32], labels: &[u32]) -> Batch {
    let mut batch = Batch::with_capacity(labels.len() + 1, values.len() / labels.len());
    (batch.n, batch.mixed) = (labels.len(), Some(Mixed::with_capacity(labels.len() + 1)));
    batch.f32_mut()[..values.len()].copy_from_slice(values);
    batch.labels[..labels.len()].copy_from_slice(labels);
    batch
}

/// The golden's batch after `mix`, against `name/values` and `name/labels`.
fn assert_mixed(golden: &SafeTensors, name: &str, mix: Mix) {
    let (shape, values) = floats(golden, "mix/values");
    let &[_, c, h, w] = &shape[..] else { panic!("{shape:?}") };
    let mut batch = roomy(&values, &[3, 0, 4, 3]);
    mix.apply(&mut batch, Shape { c, h, w });
    assert_eq!(batch.f32(), floats(golden, &format!("{name}/values")).1, "{name}");
    let (shape, expected) = floats(golden, &format!("{name}/labels"));
    let classes = shape[1];
    for (target, expected) in batch.targets().iter().zip(expected.chunks(classes)) {
        let mut shares = vec![0.0; classes];
        shares[target.label as usize] += target.share;
        shares[target.second as usize] += 1.0 - target.share;
        // torchvision's rest is rounded after the subtraction, ours before it.
        assert!(shares.iter().zip(expected).all(|(a, b)| (a - b).abs() <= f32::EPSILON), "{name}: {shares:?}, not {expected:?}");
    }
    batch.check_targets(classes).expect("labels and shares");
}

#[test]
fn mixtures_are_torchvisions() {
    each("mixup", 5 * 2, |golden, name, rest| {
        let [share] = numbers(rest.split('/').next().expect("a share"));
        assert_mixed(golden, name.rsplit_once('/').expect("a name").0, Mix::Up(share));
    });
    each("cutmix", 5 * 3 * 2, |golden, name, rest| {
        let [share, at, _] = rest.split('/').collect::<Vec<_>>().try_into().expect("share, address, what");
        let ([lambda], [seed, epoch, batch]) = (numbers(share), numbers(at));
        let address = BatchAddress { seed: seed as u64, epoch: epoch as u32, batch: batch as u32 };
        let mix = CutMix::cut(address, lambda, Shape { c: 3, h: 9, w: 7 });
        assert_mixed(golden, name.rsplit_once('/').expect("a name").0, mix);
    });
}

#[test]
fn shares_have_the_beta_distribution() {
    let draw = |alpha: f64| (0..40_000).map(move |batch| BatchAddress { seed: 8, epoch: 1, batch }.beta(alpha));
    // Distribution functions: of Beta(1, 1) x, of Beta(½, ½) 2/π · asin √x, of Beta(2, 2) 3x² − 2x³.
    assert_uniform(&draw(1.0).collect::<Vec<_>>(), "Beta(1, 1)");
    let arcsine = |x: f64| x.sqrt().asin() * std::f64::consts::FRAC_2_PI;
    assert_uniform(&draw(0.5).map(arcsine).collect::<Vec<_>>(), "Beta(½, ½)");
    assert_uniform(&draw(2.0).map(|x| 3.0 * x * x - 2.0 * x * x * x).collect::<Vec<_>>(), "Beta(2, 2)");
    // The mean is ½, the variance v = 1 / (8α + 4), the fourth central moment below v/4 as (x − ½)² is at most ¼.
    for alpha in [0.001, 0.2, 0.4, 5.0, 100.0] {
        let values: Vec<f64> = draw(alpha).collect();
        let (n, variance) = (values.len() as f64, 1.0 / (8.0 * alpha + 4.0));
        let mean = values.iter().sum::<f64>() / n;
        assert!((mean - 0.5).abs() <= 5.0 * (variance / n).sqrt(), "mean {mean} for α = {alpha}");
        let spread = values.iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / n;
        assert!((spread - variance).abs() <= 5.0 * (variance / 4.0 / n).sqrt(), "variance {spread} for α = {alpha}");
    }
}

#[test]
fn where_both_are_asked_for_each_gets_half_of_the_batches() {
    let both = Preprocessing { mixup: Some(MixUp { alpha: 0.2 }), cutmix: Some(CutMix { alpha: 1.0 }), ..plain() };
    let mut counts = [0; 2];
    for batch in 0..4000 {
        let address = BatchAddress { seed: 2, epoch: 0, batch };
        let mix = Mix::draw(&both, address, INPUT).expect("asked for");
        counts[usize::from(matches!(mix, Mix::Cut(_)))] += 1;
        let alone = match mix {
            Mix::Up(_) => Preprocessing { cutmix: None, ..both.clone() },
            Mix::Cut(_) => Preprocessing { mixup: None, ..both.clone() },
        };
        assert_eq!(Mix::draw(&alone, address, INPUT), Some(mix), "the other's being there changes nothing");
    }
    assert_shares(&counts, &[0.5, 0.5], "MixUp, CutMix");
    assert_eq!(Mix::draw(&both.unmixed(), BatchAddress { seed: 2, epoch: 0, batch: 0 }, INPUT), None);
}

#[test]
fn the_loader_mixes_training_batches_and_no_others() {
    let source: Arc<dyn Source> = Arc::new(Pictures { images: 37, side: 14, square: false, bad: vec![3, 20] });
    let p = Preprocessing { mixup: Some(MixUp { alpha: 0.4 }), cutmix: Some(CutMix { alpha: 1.0 }), ..plain() };
    let (mut whole, mut mixed) = (start(&source, &plain(), 2, 0, 0), start(&source, &p, 3, 0, 0));
    for _ in 0..15 {
        let (whole_batch, mixed_batch) = (whole.next().expect("a batch"), mixed.next().expect("a batch"));
        let address = BatchAddress { seed: 23, epoch: mixed_batch.epoch, batch: mixed_batch.index };
        let n = whole_batch.batch.n;
        assert_eq!((mixed_batch.batch.n, &mixed_batch.samples), (n, &whole_batch.samples));
        assert!(whole_batch.batch.mixed.is_none());
        let mut expected = roomy(whole_batch.batch.f32(), &whole_batch.batch.labels[..n]);
        Mix::draw(&p, address, INPUT).expect("asked for").apply(&mut expected, INPUT);
        assert_eq!(mixed_batch.batch.f32(), expected.f32());
        assert!(mixed_batch.batch.targets().iter().eq(expected.targets().iter()));
        let labels: Vec<u32> = mixed_batch.samples.iter().map(|&image| source.label(image as usize)).collect();
        let seconds: Vec<u32> = mixed_batch.batch.targets().iter().map(|target| target.second).collect();
        assert!(seconds[0] == labels[n - 1] && seconds[1..] == labels[..n - 1]);
        whole.give_back(whole_batch);
        mixed.give_back(mixed_batch);
    }
    let options = LoaderOptions { batch: 8, threads: 2, slots: 3, seed: 23, bad: BadImages::Skip };
    let mut testing = EvalLoader::start(source, pipeline(p), Views::Centre, options);
    while let Some(loaded) = testing.next().expect("skips") {
        assert!(loaded.batch.mixed.is_none());
        testing.give_back(loaded);
    }
}

#[test]
fn alphas_that_cannot_be_are_refused() {
    for alpha in [0.0, -1.0, 1001.0, f64::NAN, f64::INFINITY] {
        let up = Preprocessing { mixup: Some(MixUp { alpha }), ..plain() };
        let cut = Preprocessing { cutmix: Some(CutMix { alpha }), ..plain() };
        for (p, name) in [(up, "mixup"), (cut, "cutmix")] {
            let message = p.check(INPUT).expect_err("refused").to_string();
            assert_eq!(message, format!("preprocessing: {name} alpha = {alpha} is not in 0.001..=1000"));
        }
    }
}

proptest! {
    /// Large images are mixed in pieces; a lone image is mixed with itself.
    #[test]
    fn any_size_and_number_of_images(
        n in 1..6usize,
        (c, h, w) in prop_oneof![(1..4usize, 1..30usize, 1..30usize), (Just(1), Just(1), 1..9000usize), (Just(3), 1..2500usize, Just(1))],
        lambda in 0.0..=1.0,
        batch in any::<u32>(),
    ) {
        let input = Shape { c, h, w };
        let values: Vec<f32> = (0..n * input.len()).map(|i| (i * 31 % 1009) as f32).collect();
        let labels: Vec<u32> = (0..n as u32).collect();
        let cut = CutMix::cut(BatchAddress { seed: 1, epoch: 0, batch }, lambda, input);
        for mix in [Mix::Up(lambda), cut] {
            let mut mixed = roomy(&values, &labels);
            mix.apply(&mut mixed, input);
            for (i, own) in mixed.f32().iter().enumerate() {
                let (image, place) = (i / input.len(), i % input.len());
                let previous = values[(image + n - 1) % n * input.len() + place];
                let (y, x) = (place / w % h, place % w);
                let expected = match mix {
                    Mix::Up(share) => previous * (1.0 - share) as f32 + values[i] * share as f32,
                    Mix::Cut(r) if (r.y..r.y + r.height).contains(&y) && (r.x..r.x + r.width).contains(&x) => previous,
                    Mix::Cut(_) => values[i],
                };
                prop_assert_eq!(*own, expected);
            }
            let second = |image: u32| (image + n as u32 - 1) % n as u32;
            let right = |(image, target): (usize, Target)| target.label == image as u32 && target.second == second(image as u32);
            prop_assert!(mixed.targets().iter().enumerate().all(right));
            prop_assert!(mixed.check_targets(n).is_ok());
        }
        if let Mix::Cut(r) = cut {
            prop_assert!(r.x + r.width <= w && r.y + r.height <= h);
        }
    }
}
