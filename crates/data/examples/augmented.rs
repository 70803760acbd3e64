//! Writes a sheet of training images as each augmentation makes them, an image a row: `augmented FILE.png [DATA [SEED]]`.
//!
//! Columns: the centre crop; a random resized crop; RandAugment; colour jitter; erasing; MixUp; CutMix; all of them. Without a data
//! set it shows the built-in scenes.

use std::{env, error::Error, fs::File, io::BufWriter, path::Path, sync::Arc};

use data::augment::{ColourJitter, CutMix, Erasing, MixUp, RandAugment, RandomResizedCrop};
use data::{BadImages, LoaderOptions, Mean, OpenOptions, Pipeline, Preprocessing, Statistics, TrainLoader, open, scenes};
use net::Shape;

/// Images.
const ROWS: usize = 6;
/// Pixels between two images.
const GAP: usize = 2;

fn columns(stored: usize) -> Vec<Preprocessing> {
    let plain = Preprocessing {
        stored,
        mean: Mean::None,
        colour_noise: None,
        random_crop: false,
        flip: false,
        ..Preprocessing::default()
    };
    let crop = Some(RandomResizedCrop::default());
    let operations = Some(RandAugment::default());
    let jitter = Some(ColourJitter { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 });
    let erasing = Some(Erasing { probability: 1.0, ..Erasing::default() });
    let (mixup, cutmix) = (Some(MixUp { alpha: 1.0 }), Some(CutMix { alpha: 1.0 }));
    vec![
        plain.clone(),
        Preprocessing { random_resized_crop: crop, flip: true, ..plain.clone() },
        Preprocessing { rand_augment: operations, ..plain.clone() },
        Preprocessing { colour_jitter: jitter, ..plain.clone() },
        Preprocessing { erasing, ..plain.clone() },
        Preprocessing { mixup, ..plain.clone() },
        Preprocessing { cutmix, ..plain.clone() },
        Preprocessing {
            random_resized_crop: crop,
            flip: true,
            rand_augment: operations,
            colour_jitter: jitter,
            erasing: Some(Erasing::default()),
            mixup,
            cutmix,
            ..plain
        },
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: augmented FILE.png [DATA [SEED]]")?;
    let dataset = match env::args().nth(2) {
        Some(folder) => open(Path::new(&folder), &OpenOptions::default())?,
        None => scenes::dataset(1),
    };
    let seed = env::args().nth(3).map_or(Ok(1), |seed| seed.parse())?;
    let (stored, side) = if env::args().len() > 2 { (256, 224) } else { (scenes::SIDE, scenes::SIDE) };
    let (columns, pitch) = (columns(stored), side + GAP);
    let (width, height) = (columns.len() * pitch - GAP, ROWS * pitch - GAP);
    let mut sheet = vec![255u8; width * height * 3]; // [h, w, 3]
    for (column_index, p) in columns.into_iter().enumerate() {
        let pipeline = Arc::new(Pipeline::new(p, Statistics::default(), Shape { c: 3, h: side, w: side })?);
        let options = LoaderOptions { batch: ROWS, threads: 1, slots: 2, seed, bad: BadImages::Skip };
        let loaded = TrainLoader::start(Arc::clone(&dataset.train), pipeline, options, 0, 0).next()?;
        for (row_index, image) in loaded.batch.f32().chunks_exact(3 * side * side).enumerate() {
            for (i, value) in image.iter().enumerate() {
                let (c, y, x) = (i / (side * side), i / side % side, i % side);
                sheet[3 * ((row_index * pitch + y) * width + column_index * pitch + x) + c] = value.round() as u8;
            }
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    Ok(())
}
