//! The pixels of a batch, in one of the forms that executors accept.

use std::borrow::Cow;
use std::sync::Arc;

use crate::Shape;

/// The pixels of a batch, in one of the forms that executors accept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Pixels {
    /// Ready values, `[n, c, h, w]`, f32, contiguous: every executor accepts them.
    F32(Vec<f32>),
    /// Crops as they were stored, to be finished by the executor: for one that [`crate::Executor::takes_bytes`], a quarter as many
    /// bytes, and no work for the host.
    Bytes(Bytes),
}

/// Crops of three bytes a pixel, and what makes a net's input of each.
///
/// The value of image `n`, map `c`, row `y` and column `x` is `(v − m + shift[c]) · scale[c]` in f32, operation by operation, where
/// `v = rgb[n, y, x′, order[c]]` and `m` is the mean of map `c` at row `y` and column `x` of the crop. In a reflected crop
/// `x′ = w − 1 − x`, and the mean is that of `x′` where it moves with the crop.
#[derive(Debug, Clone)]
pub struct Bytes {
    /// `[n, h, w, 3]`
    pub rgb: Vec<u8>,
    /// How each crop is shown.
    pub looks: Vec<Look>,
    /// What all of them have in common.
    pub toning: Arc<Toning>,
}

/// How one crop is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Look {
    /// Row and column of the crop's corner in the square that it was cut from.
    pub place: [u32; 2],
    /// Whether left and right change places.
    pub reflected: bool,
    /// Of each map.
    pub shift: [f32; 3],
    /// Of each map.
    pub scale: [f32; 3],
}

/// What is subtracted, and which colour each map shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Toning {
    /// Which of red, green and blue each map shows.
    pub order: [u8; 3],
    /// The means, `[3, height, width]` in the order of the maps: of a crop's size, or of the size of the square that crops are cut from.
    pub mean: Vec<f32>,
    /// Rows of the means.
    pub height: usize,
    /// Columns of the means.
    pub width: usize,
    /// Whether a crop has the means of its own place in the square.
    pub moves: bool,
}

impl Toning {
    /// Where the mean of map `c` at row `y` and column `x` of a crop of `w` columns is.
    #[inline]
    pub fn mean_at(&self, look: &Look, c: usize, y: usize, x: usize, w: usize) -> usize {
        let [top, left] = if self.moves { look.place.map(|at| at as usize) } else { [0, 0] };
        let x = if self.moves && look.reflected { w - 1 - x } else { x };
        (c * self.height + top + y) * self.width + left + x
    }
}

impl Bytes {
    /// The value of a pixel; `shape` is that of a crop.
    fn value(&self, shape: Shape, n: usize, c: usize, y: usize, x: usize) -> f32 {
        let (look, Shape { h, w, .. }) = (&self.looks[n], shape);
        let column = if look.reflected { w - 1 - x } else { x };
        let pixel = self.rgb[((n * h + y) * w + column) * 3 + usize::from(self.toning.order[c])];
        let mean = self.toning.mean[self.toning.mean_at(look, c, y, x, w)];
        (f32::from(pixel) - mean + look.shift[c]) * look.scale[c]
    }
}

impl Pixels {
    /// Copies `n` images, from image `first` of another batch of the same form on, to the front; `values` is the number of an image's.
    ///
    /// # Panics
    /// Where the forms differ, or there is no such image or no room.
    pub fn copy_images(&mut self, from: &Pixels, first: usize, n: usize, values: usize) {
        match (self, from) {
            (Pixels::F32(to), Pixels::F32(from)) => {
                to[..n * values].copy_from_slice(&from[first * values..(first + n) * values]);
            }
            (Pixels::Bytes(to), Pixels::Bytes(from)) => {
                to.rgb[..n * values].copy_from_slice(&from.rgb[first * values..(first + n) * values]);
                to.looks[..n].copy_from_slice(&from.looks[first..first + n]);
                to.toning.clone_from(&from.toning);
            }
            _ => panic!("two batches of the same form"),
        }
    }

    /// Moves `n` images, from image `from` on, to image `to`.
    ///
    /// # Panics
    /// Where there is no such image.
    pub fn move_images(&mut self, from: usize, to: usize, n: usize, values: usize) {
        match self {
            Pixels::F32(all) => all.copy_within(from * values..(from + n) * values, to * values),
            Pixels::Bytes(all) => {
                all.rgb.copy_within(from * values..(from + n) * values, to * values);
                all.looks.copy_within(from..from + n, to);
            }
        }
    }

    /// Room of the same form for `capacity` images.
    pub fn room(&self, capacity: usize, values: usize) -> Pixels {
        match self {
            Pixels::F32(_) => Pixels::F32(vec![0.0; capacity * values]),
            Pixels::Bytes(bytes) => Pixels::Bytes(Bytes {
                rgb: vec![0; capacity * values],
                looks: vec![Look::default(); capacity],
                toning: Arc::clone(&bytes.toning),
            }),
        }
    }

    /// The first `n` images as f32, `[n, c, h, w]`, whatever their form.
    pub fn to_f32(&self, shape: Shape, n: usize) -> Cow<'_, [f32]> {
        match self {
            Pixels::F32(values) => Cow::Borrowed(&values[..n * shape.len()]),
            Pixels::Bytes(bytes) => {
                let Shape { c, h, w } = shape;
                let each = (0..n * shape.len()).map(|at| {
                    let (row, x) = (at / w, at % w);
                    bytes.value(shape, row / h / c, row / h % c, row % h, x)
                });
                Cow::Owned(each.collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_is_toned_reflected_and_shifted() {
        let mean: Vec<f32> = (0..3 * 2 * 3).map(|x| x as f32).collect();
        let toning = |moves| Arc::new(Toning { order: [2, 1, 0], mean: mean.clone(), height: 2, width: 3, moves });
        let look = Look { place: [1, 1], reflected: true, shift: [0.5, 0.0, 0.0], scale: [2.0, 1.0, 1.0] };
        let shape = Shape { c: 3, h: 1, w: 2 };
        let values = |moves| {
            let bytes = Bytes { rgb: vec![10, 20, 30, 40, 50, 60], looks: vec![look], toning: toning(moves) };
            Pixels::Bytes(bytes).to_f32(shape, 1).into_owned()
        };
        // Blue first; the right pixel comes first; means 0, 1 stay, or those of row 1, columns 2 and 1.
        assert_eq!(values(false), [121.0, 59.0, 44.0, 13.0, 28.0, -3.0]);
        assert_eq!(values(true), [(60.0 - 5.0 + 0.5) * 2.0, (30.0 - 4.0 + 0.5) * 2.0, 39.0, 10.0, 23.0, -6.0]);
    }
}
