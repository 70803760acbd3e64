//! The built-in data set: ten kinds of scenes, drawn from a seed.

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

use crate::{Dataset, Image, Result, Source};

/// Pixels of an image's side.
pub const SIDE: usize = 56;
/// Images to learn from.
pub const TRAIN_IMAGES: usize = 20_000;
/// Images to validate on.
pub const VAL_IMAGES: usize = 2_000;

/// The two splits; the value is the `time` of their random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Split {
    Train = 0,
    Val = 1,
}

/// Ten classes of rendered scenes.
pub fn dataset(seed: u64) -> Dataset {
    Dataset {
        name: "scenes".into(),
        classes: things::THINGS.iter().map(|thing| thing.name.into()).collect(),
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
        let split = match self.split {
            Split::Train => "train",
            Split::Val => "val",
        };
        format!("scenes/{split}/{index:05}").into()
    }

    fn read(&self, index: usize) -> Result<Image> {
        Ok(render(self.seed, self.split, index as u32, self.label(index)))
    }
}

/// Draws image `index` of `split`, showing a thing of class `label`.
fn render(seed: u64, split: Split, index: u32, label: u32) -> Image {
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
    let rgb = canvas.pixels.iter().flatten().map(|&c| (c * 255.0 + 0.5).clamp(0.0, 255.0) as u8).collect();
    Image { width: SIDE, height: SIDE, rgb }
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
