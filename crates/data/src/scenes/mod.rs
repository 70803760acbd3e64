//! The built-in data set: ten kinds of scenes, drawn from a seed.
//!
//! Each picture shows one thing at some place, size and angle, with proportions of its own, on a backdrop that knows
//! nothing of the class: hills, a sea, wallpaper, lights or clouds, littered with small shapes before and behind, unevenly
//! lit, grainy. Colours are drawn by brightness and hue, and a thing is as often darker than its backdrop as lighter, so
//! neither colours nor a template of pixels tell the classes apart; what remains is form.
//!
//! Everything is computed in `f32` from addressed random numbers by operations that IEEE 754 rounds in one way, and by
//! `libm` for sine and cosine: the same pixels on every platform. Reflections keep the class.

mod backdrop;
mod canvas;
mod colour;
mod dice;
mod shape;
mod things;

use std::{borrow::Cow, sync::Arc};

use backdrop::litter;
use canvas::{Brush, Canvas, Pose, Under};
use colour::Palette;
use dice::Dice;

use crate::{Content, Dataset, Result, Source, Split};

/// Pixels of an image's side.
pub const SIDE: usize = 56;
/// Images to learn from.
pub const TRAIN_IMAGES: usize = 10_000;
/// Images to validate on.
pub const VAL_IMAGES: usize = 2_000;

/// Ten classes of rendered scenes, [`SIDE`] × [`SIDE`] pixels: [`TRAIN_IMAGES`] to learn from and [`VAL_IMAGES`] to
/// validate on, equally many of each class. An image is a function of the seed, the split and its index, is drawn whenever
/// it is read, and its label is the index modulo 10.
pub fn dataset(seed: u64) -> Dataset {
    Dataset {
        name: "scenes".into(),
        layout: "built in",
        classes: things::THINGS.iter().map(|thing| thing.name.into()).collect(),
        words: Vec::new(),
        train: Arc::new(Scenes { seed, split: Split::Train, images: TRAIN_IMAGES }),
        val: Arc::new(Scenes { seed, split: Split::Val, images: VAL_IMAGES }),
        notes: Vec::new(),
    }
}

/// One split. Nothing is kept: an image is drawn when it is read.
struct Scenes {
    seed: u64,
    split: Split,
    images: usize,
}

impl Source for Scenes {
    fn len(&self) -> usize {
        self.images
    }

    fn label(&self, index: usize) -> u32 {
        (index % things::THINGS.len()) as u32
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("scenes/{}/{index:05}", self.split).into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        let pixels = render(self.seed, self.split, index as u32, self.label(index)).pixels;
        buffer.clear();
        buffer.extend(pixels.iter().flatten().map(|&c| (c * 255.0 + 0.5).clamp(0.0, 255.0) as u8));
        Ok(Content::Pixels { width: SIDE, height: SIDE, rgb: buffer })
    }
}

/// Draws image `index` of `split`, showing a thing of class `label`.
fn render(seed: u64, split: Split, index: u32, label: u32) -> Canvas {
    let mut dice = Dice::composition(seed, split, index);
    let palette = Palette::roll(&mut dice);
    let mut canvas = Canvas::new(SIDE);
    backdrop::paint(&mut canvas, &palette, &mut dice);
    for _ in 0..dice.below(6) {
        litter(&mut canvas, &mut dice, 0.09);
    }
    place(&mut canvas, &palette, &mut dice, &things::THINGS[label as usize]);
    for _ in 0..dice.below(3) {
        litter(&mut canvas, &mut dice, 0.05);
    }
    backdrop::expose(&mut canvas, &mut dice, Dice::grain(seed, split, index));
    canvas
}

/// Draws the thing somewhere, at some size and angle, in some light.
fn place(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice, thing: &things::Thing) {
    let side = canvas.side as f32;
    let scale = side * dice.between(0.3, 0.43);
    // Room for nine tenths of the thing's half width; what is beyond may be cut off.
    let room = (side / 2.0 - 0.9 * scale).max(0.03 * side);
    let pose = Pose {
        centre: [side / 2.0 + dice.around(room), side / 2.0 + dice.around(room)],
        scale,
        angle: dice.around(thing.turn),
        stretch: dice.between(0.85, 1.18),
        mirrored: dice.chance(0.5),
    };
    let under = under(palette, dice);
    let light = [dice.around(0.22), dice.around(0.22)];
    let mut brush = Brush { canvas, placement: pose.placement(), under, light };
    if under.is_some() {
        (thing.draw)(&mut brush, &mut dice.clone(), palette);
        brush.under = None;
    }
    (thing.draw)(&mut brush, dice, palette);
}

/// A soft shadow, a rim, or nothing.
fn under(palette: &Palette, dice: &mut Dice) -> Option<Under> {
    let away = [dice.around(2.5), dice.around(2.5)];
    match dice.below(3) {
        0 => Some(Under { colour: [0.0; 3], opacity: 0.3, grow: 0.5, blur: 3.0, offset: away }),
        1 => {
            let colour = if palette.light_on_dark { [0.06; 3] } else { [0.96; 3] };
            Some(Under { colour, opacity: 1.0, grow: dice.between(0.6, 1.3), blur: 1.0, offset: [0.0; 2] })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::Image;

    /// Fowler, Noll and Vo's 64-bit hash (FNV-1a).
    fn fnv(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    fn image(source: &dyn Source, index: usize) -> Image {
        source.read(index).unwrap_or_else(|e| panic!("{}: {e}", source.name(index)))
    }

    /// Every platform draws the same pixels: the hashes change only when the data set is meant to.
    #[test]
    fn the_first_images_are_the_same_everywhere() {
        let dataset = dataset(1);
        for (source, expected) in [(&dataset.train, 0x7549_4064_7c2f_5fc8), (&dataset.val, 0x7359_1bbd_6d32_ebd6)] {
            let pixels: Vec<u8> = (0..20).flat_map(|index| image(&**source, index).rgb).collect();
            assert_eq!(fnv(&pixels), expected, "{}: {:#018x}", source.name(0), fnv(&pixels));
        }
    }

    #[test]
    fn the_seed_the_split_and_the_index_each_change_the_picture_and_nothing_else_does() {
        let (a, b) = (dataset(1), dataset(2));
        assert_eq!(image(&*a.train, 12), image(&*dataset(1).train, 12));
        assert_ne!(image(&*a.train, 12), image(&*b.train, 12));
        assert_ne!(image(&*a.train, 12), image(&*a.val, 12));
        assert_ne!(image(&*a.train, 12), image(&*a.train, 22));
    }

    #[test]
    fn no_picture_is_in_both_splits_and_none_twice() {
        let dataset = dataset(1);
        let mut seen = HashSet::new();
        for (source, images) in [(&dataset.train, 4000), (&dataset.val, 1000)] {
            assert!((0..images).all(|index| seen.insert(image(&**source, index).rgb)));
        }
    }

    #[test]
    fn classes_are_balanced() {
        let dataset = dataset(1);
        for source in [&dataset.train, &dataset.val] {
            let mut counts = vec![0; dataset.classes.len()];
            (0..source.len()).for_each(|index| counts[source.label(index) as usize] += 1);
            assert_eq!(counts, vec![source.len() / 10; 10]);
        }
    }

    /// The mean of each channel over an image's pixels.
    fn mean_colour(image: &Image) -> [f64; 3] {
        let sums = image.rgb.chunks_exact(3).fold([0.0; 3], |s, p| std::array::from_fn(|c| s[c] + f64::from(p[c])));
        sums.map(|s| s / (image.width * image.height) as f64)
    }

    /// Choosing the class whose mean colour is nearest is right for hardly more than one image in ten.
    #[test]
    fn mean_colour_tells_nothing() {
        let dataset = dataset(1);
        let mut means = [[0.0; 3]; 10];
        let images = 4000;
        for index in 0..images {
            let colour = mean_colour(&image(&*dataset.train, index));
            let mean = &mut means[dataset.train.label(index) as usize];
            *mean = std::array::from_fn(|c| mean[c] + colour[c] / (images / 10) as f64);
        }
        let spread = (0..3).map(|c| {
            let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(l, h), m| (l.min(m[c]), h.max(m[c])));
            high - low
        });
        // An image's mean varies by about 35 levels, so a class mean of 400 images by 1.8, and the range of ten by 3.1 times that.
        assert!(spread.fold(0.0, f64::max) < 12.0, "{means:?}");
        let right = (0..2000).filter(|&index| {
            let colour = mean_colour(&image(&*dataset.val, index));
            let distance = |m: &[f64; 3]| (0..3).map(|c| (m[c] - colour[c]) * (m[c] - colour[c])).sum::<f64>();
            let own = distance(&means[dataset.val.label(index) as usize]);
            means.iter().all(|m| distance(m) >= own)
        });
        // Chance is 0.1 with a standard deviation of √(0.1 · 0.9 / 2000) = 0.0067.
        assert!((right.count() as f64) < 0.14 * 2000.0);
    }
}
