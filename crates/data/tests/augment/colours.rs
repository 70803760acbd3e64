//! Colours: each operation, and jitter.

use data::Image;
use data::Preprocessing;
use data::augment::{Address, ColourJitter, colour};
use net::Shape;

use crate::statistics::{assert_shares, assert_uniform};
use crate::{case, each, numbers};

/// `source/N` changed by `change`, against the golden `name`.
#[track_caller]
pub(crate) fn assert_equals(golden: &safetensors::SafeTensors, name: &str, change: impl FnOnce(&mut Image)) {
    let source = name.rsplit('/').next().expect("a source");
    let mut ours = case::picture(golden, &format!("source/{source}")).expect("its source");
    change(&mut ours);
    let expected = case::picture(golden, name).expect("listed");
    let (worst, place) = case::worst(&ours, &expected);
    assert_eq!(worst, 0, "{name}: {place}");
}

/// An operation by its name in the golden.
fn adjust(what: &str, value: f64, image: &mut Image) {
    let rgb = &mut image.rgb[..];
    match what {
        "brightness" => colour::brightness(rgb, value),
        "contrast" => colour::contrast(rgb, value),
        "saturation" => colour::saturation(rgb, value),
        "sharpness" => colour::sharpness(rgb, image.width, value, &mut vec![7; 5]),
        "hue" => colour::hue(rgb, value),
        "posterize" => colour::posterize(rgb, value as u32),
        "solarize" => colour::solarize(rgb, value),
        "autocontrast" => colour::autocontrast(rgb),
        "equalize" => colour::equalize(rgb),
        other => panic!("no operation {other}"),
    }
}

#[test]
fn every_operation_equals_torchvisions() {
    each("adjust", 3 * (4 * 6 + 5 + 9 + 6) + 5 * 2 + 2, |golden, name, rest| {
        let [what, value, _] = rest.split('/').collect::<Vec<_>>().try_into().expect("operation, value, source");
        assert_equals(golden, name, |image| adjust(what, value.parse().expect("a number"), image));
    });
}

fn jitter([brightness, contrast, saturation, hue]: [f64; 4]) -> ColourJitter {
    ColourJitter { brightness, contrast, saturation, hue }
}

pub(crate) fn address(text: &str) -> Address {
    let [seed, epoch, image] = numbers(text);
    Address { seed: seed as u64, epoch: epoch as u32, image: image as u32 }
}

#[test]
fn jitter_equals_torchvisions_with_the_same_numbers() {
    each("jitter", 4 * 2 * 3, |golden, name, rest| {
        let [amounts, at, _] = rest.split('/').collect::<Vec<_>>().try_into().expect("amounts, address, source");
        assert_equals(golden, name, |image| jitter(numbers(amounts)).apply(address(at), &mut image.rgb));
    });
}

#[test]
fn brightness_is_uniform_and_every_order_as_frequent() {
    // 100 · factor within 100 ± 80; nothing else changes it.
    let only_brightness = jitter([0.8, 0.0, 0.0, 0.0]);
    let factors: Vec<f64> = (0..40_000)
        .map(|image| {
            let mut rgb = [100; 3];
            only_brightness.apply(Address { seed: 9, epoch: 0, image }, &mut rgb);
            // A value is the whole part, so that 20 to 179 are as frequent and 180 never comes.
            (f64::from(rgb[0]) - 20.0 + 0.5) / 160.0
        })
        .collect();
    assert_uniform(&factors, "brightness");
    // Black and white only: brightness × 0 after contrast × 0 gives black, before it gives black too; the order of contrast
    // and brightness shows in a pixel that each alone would move.
    let mut first = [0; 2];
    let both = jitter([1.0, 1.0, 0.0, 0.0]);
    for image in 0..4000 {
        let at = Address { seed: 10, epoch: 3, image };
        let mut rgb = [40, 40, 40, 200, 200, 200];
        both.apply(at, &mut rgb);
        let (mut one, mut other) = ([40, 40, 40, 200, 200, 200], [40, 40, 40, 200, 200, 200]);
        for (order, pixels) in [([0, 1], &mut one), ([1, 0], &mut other)] {
            let stream = net::random::Stream::new(10, net::random::Purpose::Augment, 1, 3, image);
            let factor = |e| f64::from((2.0 * stream.uniform(e)) as f32);
            for quality in order {
                [colour::brightness, colour::contrast][quality](pixels, factor(quality as u32));
            }
        }
        assert!(rgb == one || rgb == other, "image {image}");
        if one != other {
            first[usize::from(rgb == other)] += 1;
        }
    }
    assert_shares(&first, &[0.5, 0.5], "brightness first, contrast first");
}

#[test]
fn nothing_strays_where_nothing_may_and_odd_sizes_are_fine() {
    for (width, height) in [(1, 1), (1000, 1), (1, 1000), (2, 2), (2, 9), (3, 3)] {
        let rgb: Vec<u8> = (0..3 * width * height).map(|i| (i * 37 % 256) as u8).collect();
        let image = Image { width, height, rgb };
        let still = |change: &dyn Fn(&mut Image)| {
            let mut changed = image.clone();
            change(&mut changed);
            assert_eq!(changed.rgb, image.rgb, "{width} × {height}");
        };
        still(&|image| jitter([0.0; 4]).apply(Address { seed: 1, epoch: 1, image: 1 }, &mut image.rgb));
        for what in ["brightness", "contrast", "saturation", "sharpness"] {
            still(&|image| adjust(what, 1.0, image));
        }
        still(&|image| adjust("posterize", 8.0, image));
        let mut all = image.clone();
        for what in ["brightness", "contrast", "saturation", "sharpness", "hue", "solarize", "autocontrast", "equalize"] {
            adjust(what, 0.4, &mut all);
        }
        assert_eq!(all.rgb.len(), image.rgb.len());
    }
    for what in ["contrast", "saturation", "sharpness", "hue", "autocontrast", "equalize"] {
        adjust(what, 0.4, &mut Image { width: 0, height: 0, rgb: vec![] });
    }
}

#[test]
fn numbers_that_cannot_be_are_refused() {
    let input = Shape { c: 3, h: 8, w: 8 };
    let with = |amounts| Preprocessing { colour_jitter: Some(jitter(amounts)), ..Preprocessing::default() };
    assert!(with([0.4, 0.4, 0.4, 0.5]).check(input).is_ok());
    for (amounts, name) in [
        ([-0.1, 0.0, 0.0, 0.0], "brightness"),
        ([0.0, f64::NAN, 0.0, 0.0], "contrast"),
        ([0.0, 0.0, f64::INFINITY, 0.0], "saturation"),
        ([0.0, 0.0, 0.0, 0.6], "hue"),
    ] {
        let message = with(amounts).check(input).expect_err("refused").to_string();
        assert!(message.starts_with(&format!("preprocessing: colour_jitter {name} = ")), "{message}");
    }
}
