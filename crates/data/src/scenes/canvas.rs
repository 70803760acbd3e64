//! Where shapes become pixels.

use super::{
    colour::{Colour, mix},
    shape::{Point, Shape},
};

/// A square picture in the making: gamma-encoded RGB, 0 to 1, `[h, w, 3]`.
pub(super) struct Canvas {
    pub(super) side: usize,
    pub(super) pixels: Vec<Colour>,
}

impl Canvas {
    pub(super) fn new(side: usize) -> Canvas {
        Canvas { side, pixels: vec![[0.0; 3]; side * side] }
    }

    /// Sets every pixel to `colour(x, y, old)`, where x and y are pixel centres divided by the side.
    pub(super) fn repaint(&mut self, mut colour: impl FnMut(f32, f32, Colour) -> Colour) {
        let unit = 1.0 / self.side as f32;
        for (row_index, row) in self.pixels.chunks_exact_mut(self.side).enumerate() {
            let y = (row_index as f32 + 0.5) * unit;
            for (column_index, pixel) in row.iter_mut().enumerate() {
                *pixel = colour((column_index as f32 + 0.5) * unit, y, *pixel);
            }
        }
    }
}

/// How an object's own coordinates lie on the canvas: turned, mirrored, stretched, scaled, moved.
#[derive(Clone, Copy)]
pub(super) struct Pose {
    /// Pixels of the object's origin.
    pub(super) centre: Point,
    /// Pixels per unit.
    pub(super) scale: f32,
    /// Radians, clockwise.
    pub(super) angle: f32,
    /// Horizontal over vertical scale; the square root goes to each.
    pub(super) stretch: f32,
    /// Left and right exchanged.
    pub(super) mirrored: bool,
}

/// A pose as an affine map, both ways.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    /// Rows of the linear part from object to pixels.
    forward: [Point; 2],
    /// Rows of its inverse.
    inverse: [Point; 2],
    /// Pixels of the origin.
    centre: Point,
    /// Pixels per unit.
    scale: f32,
}

impl Pose {
    pub(super) fn placement(self) -> Placement {
        let (sin, cos) = libm::sincosf(self.angle);
        let root = self.stretch.sqrt();
        let (sx, sy) = (self.scale * root * if self.mirrored { -1.0 } else { 1.0 }, self.scale / root);
        Placement {
            forward: [[cos * sx, -sin * sy], [sin * sx, cos * sy]],
            inverse: [[cos / sx, sin / sx], [-sin / sy, cos / sy]],
            centre: self.centre,
            scale: self.scale,
        }
    }
}

/// Draws shapes on a canvas in an object's coordinates.
pub(super) struct Brush<'a> {
    pub(super) canvas: &'a mut Canvas,
    pub(super) placement: Placement,
    /// When set, everything is drawn as a shadow or rim instead of in its own colour.
    pub(super) under: Option<Under>,
    /// By which share colours darken per unit along each axis of the object.
    pub(super) light: Point,
}

/// A flat silhouette beneath an object: a soft shadow, or a rim around it.
#[derive(Clone, Copy)]
pub(super) struct Under {
    pub(super) colour: Colour,
    pub(super) opacity: f32,
    /// Pixels by which shapes grow.
    pub(super) grow: f32,
    /// Pixels over which the edge fades.
    pub(super) blur: f32,
    /// Pixels by which it is moved.
    pub(super) offset: Point,
}

impl Brush<'_> {
    /// Fills `shape` with `colour`.
    pub(super) fn fill(&mut self, shape: &impl Shape, colour: Colour) {
        self.blend(shape, colour, 1.0);
    }

    /// Fills `shape` with `colour` at `opacity`.
    pub(super) fn blend(&mut self, shape: &impl Shape, colour: Colour, opacity: f32) {
        match self.under {
            None => self.draw(shape, colour, opacity, 0.0, 1.0, [0.0; 2]),
            Some(u) if opacity >= 1.0 => self.draw(shape, u.colour, u.opacity, u.grow, u.blur, u.offset),
            Some(_) => {}
        }
    }

    /// Blends `colour` into the pixels that `shape`, grown, blurred and moved by as many pixels, covers. Coverage falls
    /// linearly from 1 to 0 over `blur` pixels around the outline.
    fn draw(&mut self, shape: &impl Shape, colour: Colour, opacity: f32, grow: f32, blur: f32, offset: Point) {
        let Placement { forward, inverse, centre, scale } = self.placement;
        let (middle, half) = shape.bounds();
        let origin = [centre[0] + offset[0], centre[1] + offset[1]];
        let at = forward.map(|row| row[0] * middle[0] + row[1] * middle[1]);
        let margin = forward.map(|row| row[0].abs() * half[0] + row[1].abs() * half[1] + grow + blur);
        let side = self.canvas.side;
        // Pixels whose centres can lie within the margin.
        let span = |axis: usize| {
            let low = (origin[axis] + at[axis] - margin[axis]).max(0.0) as usize;
            let high = (origin[axis] + at[axis] + margin[axis] + 1.0).max(0.0) as usize;
            low.min(side)..high.min(side)
        };
        let (columns, flat) = (span(0), self.under.is_some());
        let (edge, light, sharp) = (grow / blur + 0.5, self.light, scale / blur);
        let mut coverage = vec![0.0; columns.len()];
        for row_index in span(1) {
            let dy = row_index as f32 + 0.5 - origin[1];
            let local = |column_index: usize| {
                let dx = column_index as f32 + 0.5 - origin[0];
                inverse.map(|row| row[0] * dx + row[1] * dy)
            };
            // Apart from the blending, so that the compiler makes vector code of it.
            for (value, column_index) in coverage.iter_mut().zip(columns.clone()) {
                *value = (edge - shape.distance(local(column_index)) * sharp).clamp(0.0, 1.0);
            }
            let row = &mut self.canvas.pixels[row_index * side..][columns.clone()];
            for ((pixel, &value), column_index) in row.iter_mut().zip(&coverage).zip(columns.clone()) {
                if value > 0.0 {
                    let p = local(column_index);
                    let shade = if flat { 1.0 } else { 1.0 - light[0] * p[0] - light[1] * p[1] };
                    *pixel = mix(*pixel, colour.map(|c| c * shade), value * opacity);
                }
            }
        }
    }
}
