//! Plane shapes as signed distances: negative inside, positive outside, in units of the shape's own coordinates.
//!
//! The distance is exact for discs, strokes, rings and polygons and a first-order estimate near the edge for ellipses,
//! which is all that anti-aliasing needs. Coordinates: x to the right, y down.

use std::array;

/// A point or a vector.
pub(super) type Point = [f32; 2];

/// The point in direction `angle` (radians, clockwise on the screen) at distance `radius` from `centre`.
pub(super) fn polar(centre: Point, radius: f32, angle: f32) -> Point {
    let (sin, cos) = libm::sincosf(angle);
    [centre[0] + radius * cos, centre[1] + radius * sin]
}

fn dot(a: Point, b: Point) -> f32 {
    a[0] * b[0] + a[1] * b[1]
}

fn length(a: Point) -> f32 {
    dot(a, a).sqrt()
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1]]
}

/// Centre and half sides of the upright rectangle around some points.
fn between(points: &[Point]) -> (Point, [f32; 2]) {
    let low = points.iter().fold([f32::INFINITY; 2], |m, p| [m[0].min(p[0]), m[1].min(p[1])]);
    let high = points.iter().fold([f32::NEG_INFINITY; 2], |m, p| [m[0].max(p[0]), m[1].max(p[1])]);
    ([(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0], [(high[0] - low[0]) / 2.0, (high[1] - low[1]) / 2.0])
}

/// What a canvas can fill.
pub(super) trait Shape {
    /// Signed distance of `p` from the outline.
    fn distance(&self, p: Point) -> f32;
    /// Centre and half sides of an upright rectangle that holds the shape.
    fn bounds(&self) -> (Point, [f32; 2]);
}

/// An ellipse whose first radius points in direction `turn`.
pub(super) struct Ellipse {
    centre: Point,
    radii: [f32; 2],
    axis: Point,
}

/// An ellipse around `centre`, its first radius turned by `angle`.
pub(super) fn ellipse(centre: Point, radii: [f32; 2], angle: f32) -> Ellipse {
    Ellipse { centre, radii, axis: polar([0.0; 2], 1.0, angle) }
}

pub(super) fn disc(centre: Point, radius: f32) -> Ellipse {
    Ellipse { centre, radii: [radius; 2], axis: [1.0, 0.0] }
}

impl Shape for Ellipse {
    /// To first order: `k − 1` over its gradient's length, where `k = |p / radii|` is 1 on the outline.
    #[inline]
    fn distance(&self, p: Point) -> f32 {
        let q = minus(p, self.centre);
        let [a, b] = self.radii;
        let (u, v) = (dot(q, self.axis) / a, (q[1] * self.axis[0] - q[0] * self.axis[1]) / b);
        let k = length([u, v]);
        let slope = length([u / a, v / b]);
        if slope > 0.0 { k * (k - 1.0) / slope } else { -a.min(b) }
    }

    fn bounds(&self) -> (Point, [f32; 2]) {
        let ([a, b], [cos, sin]) = (self.radii, self.axis);
        (self.centre, [length([a * cos, b * sin]), length([a * sin, b * cos])])
    }
}

/// A line with round ends whose half width runs from `radii[0]` to `radii[1]`.
pub(super) struct Stroke {
    from: Point,
    to: Point,
    radii: [f32; 2],
}

pub(super) fn stroke(from: Point, to: Point, radius: f32) -> Stroke {
    Stroke { from, to, radii: [radius; 2] }
}

pub(super) fn tapered(from: Point, to: Point, radii: [f32; 2]) -> Stroke {
    Stroke { from, to, radii }
}

impl Shape for Stroke {
    #[inline]
    fn distance(&self, p: Point) -> f32 {
        let (along, q) = (minus(self.to, self.from), minus(p, self.from));
        let t = (dot(q, along) / dot(along, along)).clamp(0.0, 1.0);
        length([q[0] - t * along[0], q[1] - t * along[1]]) - (self.radii[0] + t * (self.radii[1] - self.radii[0]))
    }

    fn bounds(&self) -> (Point, [f32; 2]) {
        let (centre, half) = between(&[self.from, self.to]);
        (centre, half.map(|h| h + self.radii[0].max(self.radii[1])))
    }
}

/// A circle drawn with a pen of half width `pen`.
pub(super) struct Ring {
    centre: Point,
    radius: f32,
    pen: f32,
}

pub(super) fn ring(centre: Point, radius: f32, pen: f32) -> Ring {
    Ring { centre, radius, pen }
}

impl Shape for Ring {
    #[inline]
    fn distance(&self, p: Point) -> f32 {
        (length(minus(p, self.centre)) - self.radius).abs() - self.pen
    }

    fn bounds(&self) -> (Point, [f32; 2]) {
        (self.centre, [self.radius + self.pen; 2])
    }
}

/// A simple polygon, convex or not, with its corners rounded outwards by `round`.
pub(super) struct Polygon<const N: usize> {
    corners: [Point; N],
    edges: [Point; N],
    inverse_squares: [f32; N],
    round: f32,
}

pub(super) fn polygon<const N: usize>(corners: [Point; N]) -> Polygon<N> {
    rounded(corners, 0.0)
}

pub(super) fn rounded<const N: usize>(corners: [Point; N], round: f32) -> Polygon<N> {
    let edges: [Point; N] = array::from_fn(|i| minus(corners[(i + 1) % N], corners[i]));
    Polygon { corners, edges, inverse_squares: edges.map(|e| 1.0 / dot(e, e)), round }
}

/// The rectangle between two opposite corners.
pub(super) fn rectangle([x0, y0]: Point, [x1, y1]: Point) -> Polygon<4> {
    polygon([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
}

impl<const N: usize> Shape for Polygon<N> {
    /// The nearest edge gives the distance, the parity of crossings the sign.
    #[inline]
    fn distance(&self, p: Point) -> f32 {
        let (mut nearest, mut inside) = (f32::INFINITY, false);
        for i in 0..N {
            let (edge, q) = (self.edges[i], minus(p, self.corners[i]));
            let t = (dot(q, edge) * self.inverse_squares[i]).clamp(0.0, 1.0);
            let off = [q[0] - t * edge[0], q[1] - t * edge[1]];
            nearest = nearest.min(dot(off, off));
            // Without short circuits, so that the compiler makes vector code of it.
            let (below_first, above_second) = (q[1] >= 0.0, q[1] < edge[1]);
            let left = edge[0] * q[1] > edge[1] * q[0];
            inside ^= (below_first & above_second & left) | (!below_first & !above_second & !left);
        }
        (if inside { -1.0 } else { 1.0 }) * nearest.sqrt() - self.round
    }

    fn bounds(&self) -> (Point, [f32; 2]) {
        let (centre, half) = between(&self.corners);
        (centre, half.map(|h| h + self.round))
    }
}

/// What two shapes have in common: a lens from two discs, half a disc from a disc and a rectangle.
pub(super) struct Both<A, B>(pub(super) A, pub(super) B);

impl<A: Shape, B: Shape> Shape for Both<A, B> {
    #[inline]
    fn distance(&self, p: Point) -> f32 {
        self.0.distance(p).max(self.1.distance(p))
    }

    fn bounds(&self) -> (Point, [f32; 2]) {
        let ((c, h), (d, i)) = (self.0.bounds(), self.1.bounds());
        between(&[
            [(c[0] - h[0]).max(d[0] - i[0]), (c[1] - h[1]).max(d[1] - i[1])],
            [(c[0] + h[0]).min(d[0] + i[0]), (c[1] + h[1]).min(d[1] + i[1])],
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_signed_and_euclidean() {
        let close = |a: f32, b: f32| assert!((a - b).abs() < 1e-5, "{a} is not {b}");
        close(disc([1.0, 2.0], 0.5).distance([1.0, 4.0]), 1.5);
        close(disc([1.0, 2.0], 0.5).distance([1.0, 2.0]), -0.5);
        close(ellipse([0.0; 2], [2.0, 1.0], std::f32::consts::FRAC_PI_2).distance([0.0, 2.0]), 0.0);
        close(stroke([0.0; 2], [2.0, 0.0], 0.25).distance([1.0, 1.0]), 0.75);
        close(ring([0.0; 2], 1.0, 0.1).distance([0.0; 2]), 0.9);
        close(rectangle([-1.0, -1.0], [1.0, 1.0]).distance([0.5, 0.0]), -0.5);
        close(rectangle([-1.0, -1.0], [1.0, 1.0]).distance([4.0, 5.0]), 5.0);
        // An L: the notch is outside.
        let l = polygon([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [3.0, 2.0], [3.0, 3.0], [0.0, 3.0]]);
        close(l.distance([2.0, 1.0]), 1.0);
        close(l.distance([0.5, 1.0]), -0.5);
        close(Both(disc([0.0; 2], 1.0), rectangle([0.0, -2.0], [2.0, 2.0])).distance([-0.5, 0.0]), 0.5);
    }

    #[test]
    fn bounds_hold_the_shape() {
        let l = rounded([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0], [3.0, 2.0], [3.0, 3.0], [0.0, 3.0]], 0.1);
        let shapes: [&dyn Shape; 4] =
            [&l, &tapered([0.0; 2], [1.0, 1.0], [0.3, 0.1]), &ellipse([0.5; 2], [0.2, 0.9], 0.7), &ring([0.1; 2], 0.6, 0.1)];
        for shape in shapes {
            let (centre, [w, h]) = shape.bounds();
            for step in 0..64 {
                let [x, y] = polar([0.0; 2], 2.0, step as f32 * 0.1);
                let outside = [centre[0] + w * 1.001 * x.clamp(-1.0, 1.0), centre[1] + h * 1.001 * y.clamp(-1.0, 1.0)];
                assert!(shape.distance(outside) >= 0.0);
            }
        }
    }
}
