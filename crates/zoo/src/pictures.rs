//! Pictures to compare two models on, generated so that none need be at hand.

use std::borrow::Cow;
use std::f64::consts::TAU;

use data::{Content, Source};
use net::random::{Purpose, Stream};

/// Coloured waves of many lengths and a little grain: what a net answers differs from picture to picture, and every part of
/// each matters.
#[derive(Debug, Clone)]
pub struct Pictures {
    side: usize,
    count: usize,
}

/// Waves in a picture.
const WAVES: usize = 12;

impl Pictures {
    /// `count` square pictures with `side` pixels a side.
    pub fn new(side: usize, count: usize) -> Pictures {
        Pictures { side, count }
    }

    /// Red, green and blue of 0 to 255, `[side, side, 3]`.
    fn draw(&self, index: usize, rgb: &mut Vec<u8>) {
        let waves: Vec<Wave> = (0..WAVES).map(|wave| Wave::of(index, wave)).collect();
        let grain = Stream::new(1, Purpose::Test, 0, 0, index as u32);
        rgb.clear();
        for y in 0..self.side {
            for x in 0..self.side {
                let mut colour = [128.0; 3];
                for wave in &waves {
                    let along = (x as f64 * wave.direction.0 + y as f64 * wave.direction.1) / self.side as f64;
                    let height = (TAU * (wave.count * along + wave.phase)).sin();
                    colour.iter_mut().zip(wave.colour).for_each(|(value, share)| *value += share * height);
                }
                let noise = f64::from(grain.u32((y * self.side + x) as u32) >> 28) - 7.5;
                rgb.extend(colour.map(|value| (value + noise).clamp(0.0, 255.0) as u8));
            }
        }
    }
}

/// A wave across a picture.
struct Wave {
    /// Waves along a side.
    count: f64,
    direction: (f64, f64),
    phase: f64,
    /// How much of red, green and blue it adds at its height.
    colour: [f64; 3],
}

impl Wave {
    fn of(picture: usize, wave: usize) -> Wave {
        let stream = Stream::new(0, Purpose::Test, 0, 0, picture as u32);
        let unit = |k: usize| stream.uniform((8 * wave + k) as u32);
        let (count, angle) = (16f64.powf(unit(0)), TAU * unit(1));
        // Longer waves are higher, as in photographs.
        let colour = [3, 4, 5].map(|k| 60.0 * (2.0 * unit(k) - 1.0) / count.sqrt());
        Wave { count, direction: (angle.cos(), angle.sin()), phase: unit(2), colour }
    }
}

impl Source for Pictures {
    fn len(&self) -> usize {
        self.count
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        format!("pictures/{index:05}").into()
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        self.draw(index, buffer);
        Ok(Content::Pixels { width: self.side, height: self.side, rgb: buffer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_differ_and_have_contrast() {
        let pictures = Pictures::new(64, 3);
        let rgb = |index| pictures.read(index).unwrap().rgb;
        let (first, second) = (rgb(0), rgb(1));
        assert_eq!(first, rgb(0));
        assert_eq!(first.len(), 64 * 64 * 3);
        let far = first.iter().zip(&second).filter(|(a, b)| a.abs_diff(**b) > 8).count();
        assert!(far > first.len() / 3, "{far}");
        for values in [first, second, rgb(2)] {
            assert!(values.iter().max() > Some(&170) && values.iter().min() < Some(&90));
        }
    }
}
