//! Preprocessing, statistics and a net's input put together: from a decoded image to a net's numbers.

use std::sync::Arc;

use net::random::{Purpose, Stream};
use net::{Batch, Bytes, Look, Pixels, Shape, Toning};

use crate::augment::{self, Address, BatchAddress, Mix};
use crate::kernels::Target;
use crate::kernels::planes::{Affine, Way, planes, publish};
use crate::preprocessing::Placement;
use crate::scratch::Scratch;
use crate::{Channels, ColourNoise, Content, Error, Fault, Image, Mean, Preprocessing, Region, Result, Statistics, Std};

/// Which crops of an image are shown in testing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Views {
    /// The central crop.
    #[default]
    Centre,
    /// Top left, top right, centre, bottom left, bottom right, and the same reflected (alexnet.md 2.5).
    Ten,
}

impl Views {
    /// How many there are: 1 or 10.
    pub fn count(self) -> usize {
        match self {
            Views::Centre => 1,
            Views::Ten => 10,
        }
    }
}

/// Turns images into a net's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    preprocessing: Preprocessing,
    statistics: Statistics,
    input: Shape,
    /// Which of red, green and blue each map shows; empty for grey.
    order: Vec<usize>,
    /// What is subtracted, in the maps' order.
    mean: MeanPlanes,
    /// What is divided by, for each map.
    std: Vec<f32>,
    /// What makes pixels of bytes, where whoever gets the batches takes those.
    toning: Option<Arc<Toning>>,
    target: Target,
}

/// Where the views of one image are written.
#[derive(Debug)]
pub(crate) enum Room<'a> {
    /// `[views, c, h, w]`
    F32(&'a mut [f32]),
    /// `[views, h, w, 3]`, and how each view is shown.
    Bytes(&'a mut [u8], &'a mut [Look]),
}

impl Room<'_> {
    /// The part of view `index`, of `values` each.
    fn view(&mut self, index: usize, values: usize) -> Room<'_> {
        match self {
            Room::F32(all) => Room::F32(&mut all[index * values..][..values]),
            Room::Bytes(rgb, looks) => Room::Bytes(&mut rgb[index * values..][..values], &mut looks[index..][..1]),
        }
    }
}

/// `[c, h, w]`: of the stored square's size if it moves with the crop, else of the crop's.
#[derive(Debug, Clone, PartialEq)]
struct MeanPlanes {
    values: Vec<f32>,
    height: usize,
    width: usize,
    moves: bool,
}

/// The random choices of one training image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Draw {
    /// Element 0 places the crop vertically, 1 horizontally, the top bit of 2 reflects.
    crop: Stream,
    noise: Option<Noise>,
    /// Of all else.
    address: Address,
}

/// What is added to red, green and blue, and what the sum is divided by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Noise {
    shift: [f32; 3],
    divisor: f32,
}

/// A crop of the net's size.
#[derive(Debug, Clone, Copy)]
struct View {
    /// Its top left corner within the pixels at hand, (y, x).
    corner: (usize, usize),
    /// The same within the stored square.
    place: (usize, usize),
    flip: bool,
    noise: Option<Noise>,
}

impl Pipeline {
    /// Puts the parts together. Statistics that the preprocessing does not ask for may be missing.
    ///
    /// # Errors
    /// Where the parts do not fit each other.
    pub fn new(preprocessing: Preprocessing, statistics: Statistics, input: Shape) -> Result<Pipeline> {
        preprocessing.check(input)?;
        if preprocessing.needs_statistics() {
            statistics.check(&preprocessing)?;
        }
        let order = match preprocessing.channels {
            Channels::Rgb => vec![0, 1, 2],
            Channels::Bgr => vec![2, 1, 0],
            Channels::Grey => vec![],
        };
        let in_order = |rgb: &[f32]| -> Vec<f32> {
            if order.is_empty() { vec![rgb[rgb.len() / 2]] } else { order.iter().map(|&c| rgb[c]).collect() }
        };
        let std = match preprocessing.std {
            Std::None => vec![1.0; input.c],
            Std::Channels => in_order(&statistics.std),
            Std::Values(values) => in_order(&values),
        };
        if let Some(zero) = std.iter().find(|s| !(**s > 0.0 && s.is_finite())) {
            return Err(Error::Statistics(format!("a channel's standard deviation is {zero}; nothing can be divided by it")));
        }
        let mean = match preprocessing.mean {
            Mean::None => MeanPlanes::constant(&vec![0.0; input.c], input),
            Mean::Channels => MeanPlanes::constant(&in_order(&statistics.mean), input),
            Mean::Values([r, g, b]) if order.is_empty() => {
                MeanPlanes::constant(&[(19595.0 * r + 38470.0 * g + 7471.0 * b) / 65536.0], input)
            }
            Mean::Values(values) => MeanPlanes::constant(&in_order(&values), input),
            Mean::Image | Mean::ImageAtCrop => MeanPlanes::of_image(&preprocessing, &statistics, &order, input),
        };
        Ok(Pipeline { preprocessing, statistics, input, order, mean, std, toning: None, target: Target::detect() })
    }

    /// Leaves the arithmetic on pixels to whoever gets the batches, where `takes_bytes`: batches are [`Pixels::Bytes`], if that is
    /// possible. It is for three maps of colour; not where training changes finished values, by erasing or mixing.
    #[must_use]
    pub fn for_bytes(mut self, takes_bytes: bool) -> Pipeline {
        let order = self.order.iter().map(|&c| c as u8).collect::<Vec<u8>>().try_into().ok();
        self.toning = order.filter(|_| takes_bytes).map(|order| {
            let MeanPlanes { values, height, width, moves } = self.mean.clone();
            Arc::new(Toning { order, mean: values, height, width, moves })
        });
        self
    }

    /// Whether batches are bytes, as far as possible.
    pub fn takes_bytes(&self) -> bool {
        self.toning.is_some()
    }

    /// Room for the pixels of `capacity` views, in the form that they will have.
    pub(crate) fn pixels(&self, capacity: usize, trains: bool) -> Pixels {
        let values = self.input.len();
        let finished = trains && (self.preprocessing.erasing.is_some() || self.preprocessing.mixes());
        match &self.toning {
            Some(toning) if !finished => {
                let (rgb, looks) = (vec![0; capacity * values], vec![Look::default(); capacity]);
                Pixels::Bytes(Bytes { rgb, looks, toning: Arc::clone(toning) })
            }
            _ => Pixels::F32(vec![0.0; capacity * values]),
        }
    }

    /// How images are brought to the net.
    pub fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// What was measured on the training images.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The net's input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// The views of `image` for testing, into `out`: `[views, c, h, w]`.
    ///
    /// # Errors
    /// [`Fault::Size`] where the image must be of the stored size and is not.
    ///
    /// # Panics
    /// Where `out` has another length than `views.count() · c · h · w`.
    pub fn test_views(&self, image: &Image, views: Views, out: &mut [f32]) -> Result<(), Fault> {
        assert_eq!(out.len(), views.count() * self.input.len(), "room for {} views of {}", views.count(), self.input);
        let Image { width, height, rgb } = image;
        let content = Content::Pixels { width: *width, height: *height, rgb };
        self.prepare_test(content, views, &mut Scratch::default(), || (), Room::F32(out))
    }

    /// The random choices for image `image`, the `position`-th of its epoch.
    pub(crate) fn draw(&self, seed: u64, epoch: u32, position: usize, image: u32) -> Draw {
        let group = self.preprocessing.crop_group;
        // Groups and images are told apart by the address's layer, so that neither repeats the other's numbers.
        let (kind, item) = if group == 1 { (0, image) } else { (1, (position / group) as u32) };
        let crop = Stream::new(seed, Purpose::Crop, kind, epoch, item);
        let noise = self
            .preprocessing
            .noise_at(epoch)
            .map(|noise| self.noise(noise, Stream::new(seed, Purpose::Colour, 0, epoch, image).normal_block(0)));
        Draw { crop, noise, address: Address { seed, epoch, image } }
    }

    /// `Σ_k E[·, k] · coefficient · √eigenvalue_k · z_k` (alexnet.md 2.4).
    fn noise(&self, noise: ColourNoise, z: [f64; 4]) -> Noise {
        let (values, vectors) = (&self.statistics.eigenvalues, &self.statistics.eigenvectors);
        let shift = std::array::from_fn(|c| {
            let along = (0..3).map(|k| {
                let std = libm::sqrt(f64::from(values[k]).max(0.0));
                f64::from(vectors[3 * c + k]) * f64::from(noise.coefficient) * std * z[k]
            });
            along.sum::<f64>() as f32
        });
        Noise { shift, divisor: if noise.divide { 1.0 + noise.coefficient } else { 1.0 } }
    }

    /// A training image as the net's input, `[c, h, w]`, into `out`. Calls `decoded` once that is done.
    pub(crate) fn prepare_train(
        &self,
        content: Content<'_>,
        draw: Draw,
        scratch: &mut Scratch,
        decoded: impl FnOnce(),
        mut out: Room<'_>,
    ) -> Result<(), Fault> {
        let p = &self.preprocessing;
        let (h, w) = (self.input.h, self.input.w);
        let mut place = self.centre();
        let choose = |placement: &Placement| {
            let mut origin = placement.origin;
            if p.random_crop {
                let (corner, tall, wide) = placement.roams(p.stored);
                let (y, x) = (draw.crop.below(0, (tall - h) as u32 + 1), draw.crop.below(1, (wide - w) as u32 + 1));
                (origin, place) = (corner, (y as usize, x as usize));
            }
            Region { y: origin.0 + place.0, x: origin.1 + place.1, height: h, width: w }
        };
        match &p.random_resized_crop {
            Some(crop) => scratch.resized_crop(content, p, |image| crop.region(draw.address, image), (w, h), decoded)?,
            None => scratch.region(content, p, choose, decoded)?,
        };
        let flip = p.flip && draw.crop.u32(2) >> 31 == 1;
        let pixels = scratch.change(|pixels, memory| augment::change(p, draw.address, flip, pixels, w, memory));
        self.write(pixels, w, View { corner: (0, 0), place, flip, noise: draw.noise }, &mut out);
        if let Room::F32(out) = out {
            augment::erase(p, draw.address, self.input, out);
        }
        Ok(())
    }

    /// Mixes the images of a training batch with each other, where the preprocessing says so.
    pub(crate) fn mix(&self, address: BatchAddress, batch: &mut Batch) {
        if let Some(mix) = Mix::draw(&self.preprocessing, address, self.input) {
            mix.apply(batch, self.input);
        }
    }

    /// The views of a test image, `[views, c, h, w]`, into `out`. Calls `decoded` once that is done.
    pub(crate) fn prepare_test(
        &self,
        content: Content<'_>,
        views: Views,
        scratch: &mut Scratch,
        decoded: impl FnOnce(),
        mut out: Room<'_>,
    ) -> Result<(), Fault> {
        let (p, centre) = (&self.preprocessing, self.centre());
        let view = |corner, place, flip| View { corner, place, flip, noise: None };
        match views {
            Views::Centre => {
                let (h, w) = (self.input.h, self.input.w);
                let choose = |placement: &Placement| {
                    let (oy, ox) = placement.origin;
                    Region { y: oy + centre.0, x: ox + centre.1, height: h, width: w }
                };
                let pixels = scratch.region(content, p, choose, decoded)?;
                self.write(pixels, w, view((0, 0), centre, false), &mut out);
            }
            Views::Ten => {
                let pixels = scratch.region(content, p, |placement| placement.square(p.stored), decoded)?;
                let (bottom, right) = (p.stored - self.input.h, p.stored - self.input.w);
                let places = [(0, 0), (0, right), centre, (bottom, 0), (bottom, right)];
                let all = [false, true].into_iter().flat_map(|flip| places.map(|place| view(place, place, flip)));
                for (index, view) in all.enumerate() {
                    self.write(pixels, p.stored, view, &mut out.view(index, self.input.len()));
                }
            }
        }
        Ok(())
    }

    /// The centre crop's top left corner within the stored square, (y, x).
    fn centre(&self) -> (usize, usize) {
        ((self.preprocessing.stored - self.input.h) / 2, (self.preprocessing.stored - self.input.w) / 2)
    }

    /// One view of `pixels`, `[h, width, 3]`, as the net's input, `[c, h, w]`: `(pixel − mean + shift) · 1 / (std · divisor)`; or the
    /// bytes, with the shift and the scale.
    fn write(&self, pixels: &[u8], width: usize, view: View, out: &mut Room<'_>) {
        let Shape { h, w, .. } = self.input;
        let shift = |map: usize| view.noise.map_or(0.0, |noise| noise.shift[self.order[map]]);
        let scale = |map: usize| 1.0 / (self.std[map] * view.noise.map_or(1.0, |noise| noise.divisor));
        let row = |y: usize| &pixels[3 * ((view.corner.0 + y) * width + view.corner.1)..][..3 * w];
        let out = match out {
            Room::F32(out) => out,
            Room::Bytes(rgb, looks) => {
                rgb.chunks_exact_mut(3 * w).enumerate().for_each(|(y, out)| out.copy_from_slice(row(y)));
                let place = [view.place.0 as u32, view.place.1 as u32];
                let (shift, scale) = ([0, 1, 2].map(shift), [0, 1, 2].map(scale));
                looks[0] = Look { place, reflected: view.flip, shift, scale };
                return;
            }
        };
        debug_assert_eq!(out.len(), self.input.c * h * w);
        let way = match (view.flip, self.mean.moves) {
            (false, _) => Way::Forward,
            (true, false) => Way::Reflected,
            (true, true) => Way::ReflectedWithMean,
        };
        if self.order.is_empty() {
            for (y, out) in out.chunks_exact_mut(w).enumerate() {
                grey_row(row(y), self.mean.row(0, y, w, view.place), scale(0), way, out);
            }
            return;
        }
        // The pixel's values and the maps are each other's reverse, or the same.
        let order = [self.order[0], self.order[1], self.order[2]];
        let (shift, scale) = (order.map(shift), order.map(scale));
        let (first, rest) = out.split_at_mut(h * w);
        let (second, third) = rest.split_at_mut(h * w);
        let rows = first.chunks_exact_mut(w).zip(second.chunks_exact_mut(w)).zip(third.chunks_exact_mut(w));
        for (y, ((first, second), third)) in rows.enumerate() {
            let affine = std::array::from_fn(|c| Affine {
                mean: self.mean.row(order[c], y, w, view.place),
                shift: shift[c],
                scale: scale[c],
            });
            let out = if order[0] == 0 { [first, second, third] } else { [third, second, first] };
            planes(self.target, row(y), affine, way, out);
        }
        publish();
    }
}

/// One row of a grey map.
fn grey_row(row: &[u8], mean: &[f32], scale: f32, way: Way, out: &mut [f32]) {
    let w = out.len();
    for (x, pixel) in row.as_chunks::<3>().0.iter().enumerate() {
        let at = if way == Way::Forward { x } else { w - 1 - x };
        let mean = mean[if way == Way::ReflectedWithMean { x } else { at }];
        out[at] = (f32::from(luma(pixel)) - mean) * scale;
    }
}

/// Luma as Pillow's `convert("L")`.
#[inline]
pub(crate) fn luma(&[r, g, b]: &[u8; 3]) -> u8 {
    ((19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 32768) >> 16) as u8
}

impl MeanPlanes {
    fn constant(means: &[f32], input: Shape) -> MeanPlanes {
        let values = means.iter().flat_map(|&mean| std::iter::repeat_n(mean, input.plane())).collect();
        MeanPlanes { values, height: input.h, width: input.w, moves: false }
    }

    fn of_image(p: &Preprocessing, statistics: &Statistics, order: &[usize], input: Shape) -> MeanPlanes {
        let side = p.stored;
        let moves = p.mean == Mean::ImageAtCrop;
        let (height, width) = if moves { (side, side) } else { (input.h, input.w) };
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let grey = [0];
        let mut values = Vec::with_capacity(input.c * height * width);
        for &c in if order.is_empty() { &grey } else { order } {
            for y in top..top + height {
                values.extend_from_slice(&statistics.mean_image[(c * side + y) * side + left..][..width]);
            }
        }
        MeanPlanes { values, height, width, moves }
    }

    /// The means for row `y` of a view, `[w]`.
    fn row(&self, map: usize, y: usize, w: usize, place: (usize, usize)) -> &[f32] {
        let (top, left) = if self.moves { place } else { (0, 0) };
        &self.values[(map * self.height + top + y) * self.width + left..][..w]
    }
}
