//! What lies behind the object: five kinds of backdrop, small clutter, light and grain. None of it knows the class.

use net::random::Stream;

use super::{
    canvas::{Brush, Canvas, Pose},
    colour::{Colour, Palette, colour, mix},
    dice::Dice,
    shape::{disc, polar, polygon, rectangle, ring, stroke},
};

/// Fills the canvas with one of the backdrops.
pub(super) fn paint(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    match dice.below(5) {
        0 => hills(canvas, palette, dice),
        1 => sea(canvas, palette, dice),
        2 => wallpaper(canvas, palette, dice),
        3 => bokeh(canvas, palette, dice),
        _ => clouds(canvas, palette, dice),
    }
}

fn brighter(c: Colour, by: f32) -> Colour {
    c.map(|v| (v + by).clamp(0.0, 1.0))
}

/// A sky that fades towards a horizon of rolling hills, and a sun.
fn hills(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    let (top, low) = (brighter(palette.far, -0.06), brighter(palette.far, 0.08));
    canvas.repaint(|_, y, _| mix(top, low, y));
    let place = [dice.between(0.0, 1.0), dice.between(0.05, 0.5)];
    fill_whole(canvas, |brush| brush.fill(&disc(place, 0.09), brighter(palette.far, 0.18)));
    let horizon = dice.between(0.4, 0.75);
    for layer in 0..2 {
        let (height, waves, phase) = (dice.between(0.02, 0.1), dice.between(3.0, 9.0), dice.between(0.0, 6.3));
        let tilt = dice.around(0.15);
        let level = horizon + 0.15 * layer as f32;
        let ground = brighter(palette.near, 0.05 - 0.1 * layer as f32);
        let softness = canvas.side as f32;
        let ridge: Vec<f32> = (0..canvas.side)
            .map(|x| (x as f32 + 0.5) / canvas.side as f32)
            .map(|x| level + tilt * (x - 0.5) + height * libm::sinf(waves * x + phase))
            .collect();
        canvas.repaint(|x, y, old| {
            let column_index = (x * softness) as usize;
            mix(old, brighter(ground, 0.1 * (y - level)), ((y - ridge[column_index]) * softness + 0.5).clamp(0.0, 1.0))
        });
    }
}

/// Open water with glints under a plain sky.
fn sea(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    let (horizon, tilt, fine) = (dice.between(0.35, 0.7), dice.around(0.1), canvas.side as f32);
    let (sky, haze) = (palette.far, brighter(palette.far, 0.1));
    canvas.repaint(|x, y, _| {
        let depth = y - horizon - tilt * (x - 0.5);
        let air = mix(sky, haze, y);
        mix(air, brighter(palette.near, -0.12 * depth), (depth * fine + 0.5).clamp(0.0, 1.0))
    });
    for _ in 0..14 {
        let (x, depth) = (dice.between(0.0, 1.0), dice.between(0.03, 1.0));
        let (y, half) = (horizon + tilt * (x - 0.5) + depth * (1.0 - horizon), 0.02 + 0.05 * depth);
        let glint = brighter(palette.near, dice.around(0.16));
        fill_whole(canvas, |brush| brush.fill(&stroke([x - half, y], [x + half, y], 0.004 + 0.006 * depth), glint));
    }
}

/// Stripes or checks at any angle.
fn wallpaper(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    let [cos, sin] = polar([0.0; 2], 1.0, dice.between(0.0, 3.2));
    let (period, checked, shift) = (dice.between(3.0, 9.0), dice.chance(0.4), dice.between(0.0, 1.0));
    let soft = |v: f32| {
        // A triangle wave with blunt flanks: −1 to 1.
        let t = (v - libm::floorf(v) - 0.5).abs() * 4.0 - 1.0;
        (t * 3.0).clamp(-1.0, 1.0)
    };
    canvas.repaint(|x, y, _| {
        let (u, v) = (cos * x + sin * y, cos * y - sin * x);
        let wave = if checked { soft(u * period + shift) * soft(v * period) } else { soft(u * period + shift) };
        mix(palette.far, palette.near, 0.5 + 0.5 * wave)
    });
}

/// Out-of-focus lights on a gradient.
fn bokeh(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    let slope = dice.around(1.0);
    canvas.repaint(|x, y, _| mix(palette.far, palette.near, (0.5 + slope * (x - 0.5) + 0.6 * (y - 0.5)).clamp(0.0, 1.0)));
    for _ in 0..9 {
        let (place, radius) = ([dice.between(0.0, 1.0), dice.between(0.0, 1.0)], dice.between(0.05, 0.17));
        let light = brighter(if dice.chance(0.5) { palette.far } else { palette.near }, dice.around(0.14));
        fill_whole(canvas, |brush| brush.blend(&disc(place, radius), light, 0.7));
    }
}

/// Smooth noise: values on a lattice, blended with a cubic.
fn clouds(canvas: &mut Canvas, palette: &Palette, dice: &mut Dice) {
    const CELLS: usize = 6;
    let lattice: [[f32; CELLS + 1]; CELLS + 1] = std::array::from_fn(|_| std::array::from_fn(|_| dice.between(0.0, 1.0)));
    let cell = |t: f32| {
        let i = ((t * CELLS as f32) as usize).min(CELLS - 1);
        let f = t * CELLS as f32 - i as f32;
        (i, f * f * (3.0 - 2.0 * f))
    };
    canvas.repaint(|x, y, _| {
        let ((i, fx), (j, fy)) = (cell(x), cell(y));
        let along = |row: &[f32; CELLS + 1]| row[i] + fx * (row[i + 1] - row[i]);
        let (upper, lower) = (along(&lattice[j]), along(&lattice[j + 1]));
        let value = upper + fy * (lower - upper);
        brighter(mix(palette.far, palette.near, value), 0.2 * (value - 0.5))
    });
}

/// Runs `draw` with a brush whose unit is the canvas' side.
fn fill_whole(canvas: &mut Canvas, draw: impl FnOnce(&mut Brush)) {
    let pose = Pose { centre: [0.0; 2], scale: canvas.side as f32, angle: 0.0, stretch: 1.0, mirrored: false };
    draw(&mut Brush { canvas, placement: pose.placement(), under: None, light: [0.0; 2] });
}

/// One small meaningless thing somewhere, in a colour near the backdrop's brightness or, rarely, far from it.
pub(super) fn litter(canvas: &mut Canvas, dice: &mut Dice, size: f32) {
    let side = canvas.side as f32;
    let pose = Pose {
        centre: [dice.between(0.0, side), dice.between(0.0, side)],
        scale: side * size * dice.between(0.5, 1.0),
        angle: dice.between(0.0, 6.3),
        stretch: dice.between(0.7, 1.4),
        mirrored: false,
    };
    let paint = colour(dice.between(0.1, 0.9), dice.between(0.0, 0.25), dice.between(0.0, 1.0));
    let brush = &mut Brush { canvas, placement: pose.placement(), under: None, light: [0.0; 2] };
    match dice.below(5) {
        0 => brush.fill(&disc([0.0; 2], 0.8), paint),
        1 => brush.fill(&polygon([[-0.9, 0.7], [0.0, -0.9], [0.9, 0.7]]), paint),
        2 => brush.fill(&stroke([-1.3, 0.0], [1.3, 0.0], 0.2), paint),
        3 => brush.fill(&rectangle([-0.8, -0.6], [0.8, 0.6]), paint),
        _ => brush.fill(&ring([0.0; 2], 0.7, 0.2), paint),
    }
}

/// Light that falls off across the picture, a change of contrast, and the grain of the film.
pub(super) fn expose(canvas: &mut Canvas, dice: &mut Dice, grain: Stream) {
    let fall = polar([0.0; 2], dice.between(0.0, 0.35), dice.between(0.0, 6.3));
    let (gain, lift) = (dice.between(0.75, 1.1), dice.around(0.06));
    let strength = dice.between(0.01, 0.045);
    let mut index = 0;
    let mut block = [0; 4];
    canvas.repaint(|x, y, old| {
        if index % 4 == 0 {
            block = grain.block(index / 4);
        }
        let noise = grains(block[index as usize % 4]);
        index += 1;
        let light = gain * (1.0 + fall[0] * (x - 0.5) + fall[1] * (y - 0.5));
        std::array::from_fn(|c| (old[c] - 0.5) * light + 0.5 + lift + strength * (noise[0] + 0.5 * noise[c + 1]))
    });
}

/// Four bytes of a random number, centred and scaled to variance 1.
fn grains(bits: u32) -> [f32; 4] {
    // The variance of a byte is (256² − 1) / 12, its standard deviation 73.9.
    bits.to_le_bytes().map(|byte| (f32::from(byte) - 127.5) * (1.0 / 73.9))
}
