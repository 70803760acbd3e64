//! Which blocks, samples and rows a picture, a scale and a region come to.

use std::ops::Range;

use crate::{Error, Header};

/// How much smaller than stored a picture is decoded. Smaller ones are made of fewer frequencies, not by averaging pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scale {
    /// As stored.
    Full,
    /// 1/2.
    Half,
    /// 1/4.
    Quarter,
    /// 1/8.
    Eighth,
}

impl Scale {
    /// All of them, the largest first.
    pub const ALL: [Scale; 4] = [Scale::Full, Scale::Half, Scale::Quarter, Scale::Eighth];

    /// Width and height of a picture of that stored size, rounded up.
    pub fn size(self, width: u16, height: u16) -> (usize, usize) {
        let side = self.side();
        ((usize::from(width) * side).div_ceil(8), (usize::from(height) * side).div_ceil(8))
    }

    /// Pixels of a block's side.
    pub(crate) fn side(self) -> usize {
        match self {
            Scale::Full => 8,
            Scale::Half => 4,
            Scale::Quarter => 2,
            Scale::Eighth => 1,
        }
    }
}

/// A rectangle, in pixels of the scaled picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Region {
    /// Its first column.
    pub x: usize,
    /// Its first row.
    pub y: usize,
    /// How many columns it has.
    pub width: usize,
    /// How many rows it has.
    pub height: usize,
}

impl Region {
    /// All of a picture.
    pub fn whole(width: usize, height: usize) -> Region {
        Region { x: 0, y: 0, width, height }
    }
}

/// How a component's samples become as many as there are pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Upsampling {
    /// They are.
    #[default]
    None,
    /// Linear between neighbours, twice as many in a row.
    Across,
    /// Linear between neighbours, twice as many rows.
    Down,
    /// Both.
    Both,
    /// Each repeated.
    Repeat,
}

/// A component's share of the plan.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plane {
    /// Blocks in a row and rows of blocks of an interleaved unit.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Samples of a transformed block's side: 1, 2, 4 or 8.
    pub(crate) side: usize,
    /// Samples of the scaled component.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// Blocks that have samples of the picture: what a scan of this component alone holds.
    pub(crate) blocks_across: usize,
    pub(crate) blocks_down: usize,
    /// Columns of blocks that the region needs.
    pub(crate) columns: Range<usize>,
    pub(crate) upsampling: Upsampling,
    /// Pixels of a sample.
    pub(crate) across: usize,
    pub(crate) down: usize,
}

/// What to do for one picture.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    planes: [Plane; 4],
    components: usize,
    pub(crate) region: Region,
    /// Interleaved units in a row, and rows of them.
    pub(crate) units_across: usize,
    pub(crate) units_down: usize,
    /// Rows of units that the region needs.
    pub(crate) unit_rows: Range<usize>,
    /// Rows of pixels of a row of units.
    pub(crate) unit_height: usize,
    /// Whether rows of samples depend on the ones above and below.
    pub(crate) neighbours: bool,
}

impl Plan {
    pub(crate) fn new(header: &Header, scale: Scale, region: Region) -> Result<Plan, Error> {
        let (width, height) = scale.size(header.width, header.height);
        let fits = |at: usize, length: usize, all: usize| length > 0 && at < all && length <= all - at;
        if !fits(region.x, region.width, width) || !fits(region.y, region.height, height) {
            return Err(Error::Region { width, height, region });
        }
        let largest = |factor: fn(&crate::header::Component) -> usize| header.components.iter().map(factor).max().unwrap_or(1);
        let most = (largest(|c| c.h), largest(|c| c.v));
        let mut planes: [Plane; 4] = Default::default();
        for (plane, c) in planes.iter_mut().zip(header.components.iter()) {
            *plane = Plane::new(header, (c.h, c.v), most, scale.side(), region)?;
        }
        let components = header.components.len();
        let units_across = usize::from(header.width).div_ceil(8 * most.0);
        let units_down = usize::from(header.height).div_ceil(8 * most.1);
        let unit_height = most.1 * scale.side();
        let neighbours = planes.iter().any(|p| matches!(p.upsampling, Upsampling::Down | Upsampling::Both));
        // A row of samples is two rows of pixels where it depends on its neighbours.
        let margin = if neighbours { 2 } else { 0 };
        let first = region.y.saturating_sub(margin) / unit_height;
        let last = (region.y + region.height - 1 + margin).min(height - 1) / unit_height;
        let unit_rows = first..last + 1;
        Ok(Plan { planes, components, region, units_across, units_down, unit_rows, unit_height, neighbours })
    }

    /// The components' shares.
    pub(crate) fn planes(&self) -> &[Plane] {
        &self.planes[..self.components]
    }
}

impl Plane {
    fn new(header: &Header, (h, v): (usize, usize), most: (usize, usize), pixels: usize, region: Region) -> Result<Plane, Error> {
        // Chroma of fewer samples is transformed to a larger block rather than interpolated, where that comes out even.
        let mut side = pixels;
        while side < 8 && (most.0 * pixels).is_multiple_of(2 * h * side) && (most.1 * pixels).is_multiple_of(2 * v * side) {
            side *= 2;
        }
        let (of_h, of_v) = (h * side / pixels, v * side / pixels);
        for (found, largest) in [(of_h, most.0), (of_v, most.1)] {
            if largest % found != 0 {
                return Err(Error::Sampling { found, largest });
            }
        }
        let samples =
            |pixels: u16, factor: usize, most: usize, side: usize| (usize::from(pixels) * factor * side).div_ceil(8 * most);
        let (width, height) = (samples(header.width, h, most.0, side), samples(header.height, v, most.1, side));
        let (across, down) = (most.0 / of_h, most.1 / of_v);
        let smooth = pixels > 1;
        let upsampling = match (across, down) {
            (1, 1) => Upsampling::None,
            (2, 1) if smooth && width > 2 => Upsampling::Across,
            (1, 2) if smooth => Upsampling::Down,
            (2, 2) if smooth && width > 2 => Upsampling::Both,
            _ => Upsampling::Repeat,
        };
        let margin = usize::from(matches!(upsampling, Upsampling::Across | Upsampling::Both));
        let first = (region.x / across).saturating_sub(margin) / side;
        let last = ((region.x + region.width - 1) / across + margin).min(width - 1) / side;
        Ok(Plane {
            h,
            v,
            side,
            width,
            height,
            blocks_across: (usize::from(header.width) * h).div_ceil(8 * most.0),
            blocks_down: (usize::from(header.height) * v).div_ceil(8 * most.1),
            columns: first..last + 1,
            upsampling,
            across,
            down,
        })
    }

    /// Blocks in a row that are kept.
    pub(crate) fn kept_across(&self) -> usize {
        self.columns.len()
    }

    /// Rows of samples of a row of units.
    pub(crate) fn unit_rows(&self) -> usize {
        self.v * self.side
    }
}
