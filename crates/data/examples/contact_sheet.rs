//! Writes a contact sheet of the built-in scenes, a class a row: `contact_sheet FILE.png [SEED]`.

use std::{env, error::Error, fs::File, io::BufWriter};

use data::scenes;

/// Pictures of each class.
const COLUMNS: usize = 8;
/// Screen pixels of an image's pixel.
const ZOOM: usize = 1;
/// Pixels between two images.
const GAP: usize = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).ok_or("usage: contact_sheet FILE.png [SEED]")?;
    let seed = env::args().nth(2).map_or(Ok(1), |seed| seed.parse())?;
    let dataset = scenes::dataset(seed);
    let (rows, pitch) = (dataset.classes.len(), scenes::SIDE * ZOOM + GAP);
    let (width, height) = (COLUMNS * pitch - GAP, rows * pitch - GAP);
    let mut sheet = vec![255u8; width * height * 3]; // [h, w, 3]
    for (row_index, column_index) in (0..rows).flat_map(|row| (0..COLUMNS).map(move |column| (row, column))) {
        let image = dataset.train.read(column_index * rows + row_index)?;
        for y in 0..scenes::SIDE * ZOOM {
            for x in 0..scenes::SIDE * ZOOM {
                let from = 3 * (y / ZOOM * image.width + x / ZOOM);
                let to = 3 * ((row_index * pitch + y) * width + column_index * pitch + x);
                sheet[to..to + 3].copy_from_slice(&image.rgb[from..from + 3]);
            }
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(path)?), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    Ok(())
}
