//! Antialiased resizing of 8-bit RGB, as Pillow does it: two passes, each a weighted sum in 22-bit fixed point that is rounded
//! to 8 bits. Weights, rounding and the order of the passes are those of Pillow 13, so the results are equal.
//!
//! Only the rows and columns that an output needs are computed, so a strip of 60,000 × 1 pixels costs no more than its
//! central square.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::Image;
use crate::kernels::Target;
use crate::kernels::resample::{self, PRECISION, Weights};

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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

impl Region {
    /// All of an image.
    pub(crate) fn whole(width: usize, height: usize) -> Region {
        Region { x: 0, y: 0, width, height }
    }

    /// The same place in an image that is resized as a whole, at least a pixel of it.
    pub(crate) fn scaled(self, from: (usize, usize), to: (usize, usize)) -> Region {
        let span = |begin: usize, length: usize, from: usize, to: usize| {
            let first = (begin * to / from).min(to - 1);
            (first, ((begin + length) * to / from).max(first + 1) - first)
        };
        let (x, width) = span(self.x, self.width, from.0, to.0);
        let (y, height) = span(self.y, self.height, from.1, to.1);
        Region { x, y, width, height }
    }

    /// Whether `other` lies within.
    fn contains(self, other: Region) -> bool {
        self.x <= other.x
            && self.y <= other.y
            && other.x + other.width <= self.x + self.width
            && other.y + other.height <= self.y + self.height
    }
}

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

    fn weights(&self) -> Weights<'_> {
        Weights { bounds: &self.bounds, weights: &self.weights, stride: self.stride }
    }
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
        Part { width: *width, height: *height, region: Region::whole(*width, *height), rgb }
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

impl<'a> Rows<'a> {
    fn row(self, y: usize) -> &'a [u8] {
        &self.values[(y - self.top) * self.stride..][..self.stride]
    }
}

/// Resizes images, keeping its memory from one to the next.
#[derive(Debug, Default)]
pub struct Resizer {
    target: Target,
    plan: Plan,
    across: Taps,
    down: Taps,
    /// What the first pass makes: `[rows, columns, 3]`.
    half: Vec<u8>,
}

/// What is to be made of an image.
#[derive(Debug, Default)]
struct Plan {
    /// Pixels of a row, and rows, of the whole image.
    source: (usize, usize),
    /// Whether the width changes, and the height.
    wide: bool,
    tall: bool,
    /// Which pass comes first where both are needed. The values in between are rounded and clipped, so it matters.
    vertical_first: bool,
    /// Output rows and columns.
    rows: Range<usize>,
    columns: Range<usize>,
    /// The rectangle of the source that is needed.
    needs: Region,
}

impl Resizer {
    /// What `region` of `image` shows once the whole of it is resized to `width × height`: `[region.height, region.width,
    /// 3]`, into `out`, which is overwritten.
    ///
    /// # Panics
    /// Where the image is empty or not all there, or the region lies outside of `width × height`.
    pub fn resize(&mut self, image: Part<'_>, width: usize, height: usize, filter: Filter, region: Region, out: &mut Vec<u8>) {
        self.plan(image.width, image.height, width, height, filter, region);
        self.run(image, out);
    }

    /// Prepares for [`Resizer::run`] with images of `source_width × source_height`; returns the rectangle of them that is
    /// needed for `region` of the result.
    ///
    /// # Panics
    /// Where the image is empty, or the region is or lies outside of `width × height`.
    pub(crate) fn plan(
        &mut self,
        source_width: usize,
        source_height: usize,
        width: usize,
        height: usize,
        filter: Filter,
        region: Region,
    ) -> Region {
        assert!(source_width > 0 && source_height > 0 && region.width > 0 && region.height > 0, "an image");
        assert!(region.x + region.width <= width && region.y + region.height <= height, "{region:?} of {width} × {height}");
        let (wide, tall) = (source_width != width, source_height != height);
        let (rows, columns) = (region.y..region.y + region.height, region.x..region.x + region.width);
        let mut needed = (rows.clone(), columns.clone());
        if wide {
            self.across.compute(filter, source_width, width, region.x, region.width);
            needed.1 = self.across.needs();
        }
        if tall {
            self.down.compute(filter, source_height, height, region.y, region.height);
            needed.0 = self.down.needs();
        }
        let vertical_first = source_height.saturating_sub(height) > 2 * source_width.saturating_sub(width);
        let needs = Region { x: needed.1.start, y: needed.0.start, width: needed.1.len(), height: needed.0.len() };
        self.plan = Plan { source: (source_width, source_height), wide, tall, vertical_first, rows, columns, needs };
        needs
    }

    /// Does what was planned to an image of which at least the needed rectangle is there. `out` is overwritten.
    ///
    /// # Panics
    /// Where the image is not the planned one or not all there.
    pub(crate) fn run(&mut self, image: Part<'_>, out: &mut Vec<u8>) {
        let Resizer { target, plan, across, down, half } = self;
        let Plan { source, wide, tall, vertical_first, rows, columns, needs } = plan;
        let held = image.region;
        assert!((image.width, image.height) == *source && image.rgb.len() == 3 * held.width * held.height, "the image planned");
        assert!(held.contains(*needs), "{needs:?} is needed, {held:?} is there");
        let source = Rows { values: image.rgb, stride: 3 * held.width, top: held.y, left: held.x };
        let (across, down) = (across.weights(), down.weights());
        out.clear();
        match (wide, tall) {
            (false, false) => copy(source, rows.clone(), columns.clone(), out),
            (true, false) => horizontal(*target, source, rows.clone(), across, out),
            (false, true) => vertical(*target, source, columns.clone(), down, out),
            (true, true) if *vertical_first => {
                let columns = needs.x..needs.x + needs.width;
                half.clear();
                vertical(*target, source, columns.clone(), down, half);
                let half = Rows { values: half, stride: 3 * columns.len(), top: rows.start, left: columns.start };
                horizontal(*target, half, rows.clone(), across, out);
            }
            (true, true) => {
                let needed = needs.y..needs.y + needs.height;
                half.clear();
                horizontal(*target, source, needed.clone(), across, half);
                let half = Rows { values: half, stride: 3 * columns.len(), top: needed.start, left: columns.start };
                vertical(*target, half, columns.clone(), down, out);
            }
        }
    }
}

/// Appends a part of `source`.
fn copy(source: Rows, rows: Range<usize>, columns: Range<usize>, out: &mut Vec<u8>) {
    out.reserve(3 * rows.len() * columns.len());
    for y in rows {
        out.extend_from_slice(&source.row(y)[3 * (columns.start - source.left)..][..3 * columns.len()]);
    }
}

/// Appends `rows` of `source`, resized across.
fn horizontal(target: Target, source: Rows, rows: Range<usize>, taps: Weights, out: &mut Vec<u8>) {
    let (width, begin) = (3 * taps.bounds.len(), out.len());
    out.resize(begin + rows.len() * width, 0);
    let values = &source.values[(rows.start - source.top) * source.stride..][..rows.len() * source.stride];
    resample::across(target, values, source.stride, source.left, taps, &mut out[begin..]);
}

/// Appends `columns` of `source`, resized down.
fn vertical(target: Target, source: Rows, columns: Range<usize>, taps: Weights, out: &mut Vec<u8>) {
    let (left, width) = (3 * (columns.start - source.left), 3 * columns.len());
    let begin = out.len();
    out.resize(begin + taps.bounds.len() * width, 0);
    for (i, out) in out[begin..].chunks_exact_mut(width).enumerate() {
        let (first, count) = taps.bounds[i];
        let rows = &source.values[(first - source.top) * source.stride + left..];
        resample::down(target, rows, source.stride, &taps.weights[i * taps.stride..][..count], out);
    }
}
