//! Antialiased resizing of 8-bit RGB, as Pillow does it: two passes, each a weighted sum in 22-bit fixed point that is rounded
//! to 8 bits. Weights, rounding and the order of the passes are those of Pillow 13, so the results are equal.
//!
//! Only the rows and columns that an output needs are computed, so a strip of 60,000 × 1 pixels costs no more than its
//! central square.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Image;

/// A resampling filter; stretched by the scale where an image shrinks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The mean over the pixel's area.
    Box,
    /// A triangle of radius 1.
    #[default]
    Bilinear,
    /// Keys' cubic with a = −½, radius 2.
    Bicubic,
    /// A windowed sinc of radius 3.
    Lanczos,
}

impl Filter {
    /// Half the width, in source pixels at scale 1.
    fn radius(self) -> f64 {
        match self {
            Filter::Box => 0.5,
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
            Filter::Lanczos => 3.0,
        }
    }

    /// The weight at distance `x`.
    fn weight(self, x: f64) -> f64 {
        let a = x.abs();
        match self {
            // Half open, so that two neighbours never both take a pixel on their border.
            Filter::Box => f64::from(x > -0.5 && x <= 0.5),
            Filter::Bilinear => (1.0 - a).max(0.0),
            Filter::Bicubic if a < 1.0 => (1.5 * a - 2.5) * a * a + 1.0,
            Filter::Bicubic if a < 2.0 => (((a - 5.0) * a + 8.0) * a - 4.0) * -0.5,
            Filter::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Filter::Bicubic | Filter::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    libm::sin(x) / x
}

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
}

/// Weights are multiples of 2⁻²²: 32 bits less 8 of the pixel and 2 for overshoot.
const PRECISION: u32 = 32 - 8 - 2;

/// One axis: which source pixels make up each output pixel.
#[derive(Debug, Default)]
struct Taps {
    /// First source pixel and number of source pixels, for each output pixel.
    bounds: Vec<(usize, usize)>,
    /// Their weights, each output pixel's at `i · stride`.
    weights: Vec<i32>,
    stride: usize,
    /// One output pixel's weights before they are rounded.
    exact: Vec<f64>,
}

impl Taps {
    /// Weights for output pixels `begin..begin + n` of an axis that is resized from `source` to `target` pixels.
    fn compute(&mut self, filter: Filter, source: usize, target: usize, begin: usize, n: usize) {
        let scale = source as f64 / target as f64;
        let stretch = scale.max(1.0);
        let radius = filter.radius() * stretch;
        self.stride = libm::ceil(radius) as usize * 2 + 1;
        self.bounds.clear();
        self.weights.clear();
        self.weights.resize(n * self.stride, 0);
        for (i, weights) in self.weights.chunks_exact_mut(self.stride).enumerate() {
            let centre = ((begin + i) as f64 + 0.5) * scale;
            // A cast from a float truncates and saturates, so what is below 0 is 0.
            let first = (centre - radius + 0.5) as usize;
            let count = ((centre + radius + 0.5) as usize).min(source) - first;
            self.exact.clear();
            self.exact.extend((0..count).map(|k| filter.weight(((k + first) as f64 - centre + 0.5) * (1.0 / stretch))));
            let sum: f64 = self.exact.iter().sum();
            for (weight, exact) in weights.iter_mut().zip(&self.exact) {
                let normal = if sum == 0.0 { *exact } else { exact / sum };
                // Away from zero where it is half way.
                *weight = libm::round(normal * f64::from(1 << PRECISION)) as i32;
            }
            self.bounds.push((first, count));
        }
    }

    /// The source pixels that some output pixel needs, and those between.
    fn needs(&self) -> Range<usize> {
        let begin = self.bounds.iter().map(|b| b.0).min().unwrap_or(0);
        begin..self.bounds.iter().map(|b| b.0 + b.1).max().unwrap_or(0)
    }

    /// Source range and weights of output pixel `i`.
    fn of(&self, i: usize) -> (usize, &[i32]) {
        let (first, count) = self.bounds[i];
        (first, &self.weights[i * self.stride..][..count])
    }
}

#[inline]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// An image of which only a rectangle is at hand.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Pixels in a row of the whole image.
    pub width: usize,
    /// Rows of the whole image.
    pub height: usize,
    /// What is at hand of it.
    pub region: Region,
    /// `[region.height, region.width, 3]`
    pub rgb: &'a [u8],
}

impl<'a> From<&'a Image> for Part<'a> {
    fn from(image: &'a Image) -> Part<'a> {
        let Image { width, height, rgb } = image;
        Part { width: *width, height: *height, region: Region { x: 0, y: 0, width: *width, height: *height }, rgb }
    }
}

/// Rows of `stride` values, the first of which is source row `top` and begins with source column `left`.
#[derive(Clone, Copy)]
struct Rows<'a> {
    values: &'a [u8],
    stride: usize,
    top: usize,
    left: usize,
}

/// Resizes images, keeping its memory from one to the next.
#[derive(Debug, Default)]
pub struct Resizer {
    across: Taps,
    down: Taps,
    /// What the first pass makes: `[rows, columns, 3]`.
    half: Vec<u8>,
    /// `[columns, 3]`
    sums: Vec<i32>,
}

impl Resizer {
    /// What `region` of `image` shows once the whole of it is resized to `width × height`: `[region.height, region.width,
    /// 3]`, into `out`, which is overwritten.
    ///
    /// # Panics
    /// Where the image is empty, the region lies outside of `width × height`, or what [`Resizer::needs`] says is not at hand.
    pub fn resize(&mut self, image: Part<'_>, width: usize, height: usize, filter: Filter, region: Region, out: &mut Vec<u8>) {
        let held = image.region;
        assert!(image.width > 0 && image.height > 0 && image.rgb.len() == 3 * held.width * held.height, "an image");
        assert!(region.x + region.width <= width && region.y + region.height <= height, "{region:?} of {width} × {height}");
        let (wide, tall) = (image.width != width, image.height != height);
        let source = Rows { values: image.rgb, stride: 3 * held.width, top: held.y, left: held.x };
        let (rows, columns) = (region.y..region.y + region.height, region.x..region.x + region.width);
        out.clear();
        if wide {
            self.across.compute(filter, image.width, width, region.x, region.width);
        }
        if tall {
            self.down.compute(filter, image.height, height, region.y, region.height);
        }
        self.half.clear();
        match (wide, tall) {
            (false, false) => copy(source, rows, columns, out),
            (true, false) => horizontal(source, rows, &self.across, out),
            (false, true) => vertical(source, columns, &self.down, &mut self.sums, out),
            (true, true) if vertical_first(image, width, height) => {
                let columns = self.across.needs();
                vertical(source, columns.clone(), &self.down, &mut self.sums, &mut self.half);
                let half = Rows { values: &self.half, stride: 3 * columns.len(), top: rows.start, left: columns.start };
                horizontal(half, rows, &self.across, out);
            }
            (true, true) => {
                let needed = self.down.needs();
                horizontal(source, needed.clone(), &self.across, &mut self.half);
                let half = Rows { values: &self.half, stride: 3 * columns.len(), top: needed.start, left: columns.start };
                vertical(half, columns, &self.down, &mut self.sums, out);
            }
        }
    }
}

/// Which pass comes first where both are needed. The values in between are rounded and clipped, so it matters.
fn vertical_first(image: Part<'_>, width: usize, height: usize) -> bool {
    image.height.saturating_sub(height) > 2 * image.width.saturating_sub(width)
}

/// Appends a part of `source`.
fn copy(source: Rows, rows: Range<usize>, columns: Range<usize>, out: &mut Vec<u8>) {
    out.reserve(3 * rows.len() * columns.len());
    for y in rows {
        out.extend_from_slice(
            &source.values[(y - source.top) * source.stride + 3 * (columns.start - source.left)..][..3 * columns.len()],
        );
    }
}

/// Appends `rows` of `source`, resized across.
fn horizontal(source: Rows, rows: Range<usize>, taps: &Taps, out: &mut Vec<u8>) {
    out.reserve(3 * rows.len() * taps.bounds.len());
    for y in rows {
        let row = &source.values[(y - source.top) * source.stride..][..source.stride];
        for i in 0..taps.bounds.len() {
            let (first, weights) = taps.of(i);
            let mut sum = [1 << (PRECISION - 1); 3];
            for (pixel, weight) in row[3 * (first - source.left)..].chunks_exact(3).zip(weights) {
                for c in 0..3 {
                    sum[c] += i32::from(pixel[c]) * weight;
                }
            }
            out.extend(sum.map(clip));
        }
    }
}

/// Appends `columns` of `source`, resized down.
fn vertical(source: Rows, columns: Range<usize>, taps: &Taps, sums: &mut Vec<i32>, out: &mut Vec<u8>) {
    let (left, n) = (3 * (columns.start - source.left), 3 * columns.len());
    out.reserve(n * taps.bounds.len());
    sums.resize(n, 0);
    for i in 0..taps.bounds.len() {
        let (first, weights) = taps.of(i);
        sums.fill(1 << (PRECISION - 1));
        for (k, &weight) in weights.iter().enumerate() {
            let row = &source.values[(first + k - source.top) * source.stride + left..][..n];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| clip(sum)));
    }
}
