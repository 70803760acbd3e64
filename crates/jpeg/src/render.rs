//! From blocks of coefficients to rows of RGB, a row of units at a time.

use crate::Colour;
use crate::plan::{Plan, Plane, Upsampling};
use crate::{colour, upsample};

/// Bytes before and behind each row of samples: room for the repeated edge, and for reading and writing whole vectors.
const MARGIN: usize = 64;

/// A component's samples of a row of units, below the last row of the units above.
#[derive(Default)]
pub(crate) struct Samples {
    /// `[1 + unit rows, stride]`
    bytes: Vec<u8>,
    stride: usize,
    /// A row of pixels made of them.
    line: Vec<u8>,
}

impl Samples {
    pub(crate) fn reset(&mut self, plane: &Plane) {
        self.stride = (plane.kept_across() * plane.side).next_multiple_of(MARGIN) + 2 * MARGIN;
        self.bytes.resize(self.stride * (1 + plane.unit_rows()), 0);
        self.line.resize(self.stride * plane.across, 0);
    }

    /// Where the `dy`-th row of blocks of the row of units goes: rows of samples, and how far apart these are. Behind each
    /// there is room for [`MARGIN`] samples more.
    pub(crate) fn block_row(&mut self, plane: &Plane, dy: usize) -> (&mut [u8], usize) {
        let start = (1 + dy * plane.side) * self.stride + MARGIN;
        (&mut self.bytes[start..][..plane.side * self.stride - MARGIN], self.stride)
    }

    /// Repeats the first and the last sample of each row beyond the picture's edges, where interpolation looks for them.
    fn extend_edges(&mut self, plane: &Plane) {
        if !matches!(plane.upsampling, Upsampling::Across | Upsampling::Both) {
            return;
        }
        let first = plane.columns.start * plane.side;
        for row in self.bytes.chunks_exact_mut(self.stride).skip(1) {
            if first == 0 {
                row[MARGIN - 1] = row[MARGIN];
            }
            if plane.columns.end * plane.side >= plane.width {
                let end = MARGIN + plane.width - first;
                row[end] = row[end - 1];
            }
        }
    }

    /// Keeps the last row for the units below.
    fn advance(&mut self) {
        let last = self.bytes.len() - self.stride;
        self.bytes.copy_within(last.., 0);
    }

    /// A row of samples, from `first` on; `row` and `first` count from the picture's edges. `row` may be the one above those of
    /// row of units `unit_row`.
    fn row(&self, plane: &Plane, unit_row: usize, row: usize, first: usize) -> &[u8] {
        let end = (row + 2 - unit_row * plane.unit_rows()) * self.stride;
        &self.bytes[self.at(plane, unit_row, row, first)..end]
    }

    /// The region's pixels of row `y` of the picture.
    #[inline(always)]
    fn pixels(&mut self, plan: &Plan, plane: &Plane, unit_row: usize, y: usize) -> &[u8] {
        let region = plan.region;
        if plane.upsampling == Upsampling::None {
            return self.row(plane, unit_row, y, region.x);
        }
        let mut line = std::mem::take(&mut self.line);
        let first = region.x / plane.across;
        let count = (region.x + region.width - 1) / plane.across + 1 - first;
        let row = y / plane.down;
        let below = !y.is_multiple_of(2);
        let far = if below { (row + 1).min(plane.height - 1) } else { row.saturating_sub(1) };
        // Where interpolation along the row begins with the sample before the first one.
        let with_edge = |row| &self.bytes[self.at(plane, unit_row, row, first) - 1..][..count + 2];
        match plane.upsampling {
            Upsampling::None => {}
            Upsampling::Across => upsample::across(with_edge(row), &mut line[..2 * count]),
            Upsampling::Both => upsample::both(with_edge(row), with_edge(far), &mut line[..2 * count]),
            Upsampling::Down => {
                let (near, far) = (self.row(plane, unit_row, row, first), self.row(plane, unit_row, far, first));
                upsample::down(near, far, if below { 2 } else { 1 }, &mut line[..count]);
            }
            Upsampling::Repeat => {
                let samples = &self.row(plane, unit_row, row, first)[..count];
                upsample::repeat(samples, plane.across, &mut line[..count * plane.across]);
            }
        }
        self.line = line;
        &self.line[region.x - first * plane.across..]
    }

    /// Where the sample is that [`Samples::row`] begins with.
    fn at(&self, plane: &Plane, unit_row: usize, row: usize, first: usize) -> usize {
        let row = row + 1 - unit_row * plane.unit_rows();
        row * self.stride + MARGIN + first - plane.columns.start * plane.side
    }
}

/// Writes the rows of RGB that row of units `unit_row` makes possible, `*next` being the first row that is not written yet.
#[inline(always)]
pub(crate) fn emit(plan: &Plan, colour: Colour, samples: &mut [Samples], unit_row: usize, next: &mut usize, rgb: &mut [u8]) {
    let region = plan.region;
    let mut end = (unit_row + 1) * plan.unit_height;
    if plan.neighbours && unit_row + 1 < plan.units_down {
        // The last row looks at the units below.
        end -= 1;
    }
    for (samples, plane) in samples.iter_mut().zip(plan.planes()) {
        samples.extend_edges(plane);
    }
    while *next < end.min(region.y + region.height) {
        let mut rows: [&[u8]; 4] = [&[]; 4];
        for ((row, samples), plane) in rows.iter_mut().zip(samples.iter_mut()).zip(plan.planes()) {
            *row = samples.pixels(plan, plane, unit_row, *next);
        }
        let out = &mut rgb[3 * region.width * (*next - region.y)..][..3 * region.width];
        colour::convert(colour, rows, out);
        *next += 1;
    }
    for samples in samples.iter_mut().filter(|_| plan.neighbours) {
        samples.advance();
    }
}
