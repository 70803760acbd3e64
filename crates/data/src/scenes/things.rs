//! The ten things, each a handful of shapes in coordinates from about −1 to 1, with proportions that vary.

use std::f32::consts::{PI, TAU};

use super::{
    canvas::Brush,
    colour::{Palette, mix},
    dice::Dice,
    shape::{Both, Point, disc, ellipse, polar, polygon, rectangle, rounded, stroke, tapered},
};

/// One class.
pub(super) struct Thing {
    pub(super) name: &'static str,
    /// Draws it; the same dice draw the same thing.
    pub(super) draw: fn(&mut Brush, &mut Dice, &Palette),
    /// Radians by which it may lean either way.
    pub(super) turn: f32,
}

/// Every class in the order of its label.
pub(super) const THINGS: [Thing; 10] = [
    Thing { name: "airplane", draw: airplane, turn: 0.9 },
    Thing { name: "butterfly", draw: butterfly, turn: 0.7 },
    Thing { name: "car", draw: car, turn: 0.35 },
    Thing { name: "cat", draw: cat, turn: 0.35 },
    Thing { name: "fish", draw: fish, turn: 0.5 },
    Thing { name: "flower", draw: flower, turn: 0.5 },
    Thing { name: "house", draw: house, turn: 0.35 },
    Thing { name: "lighthouse", draw: lighthouse, turn: 0.35 },
    Thing { name: "sailboat", draw: sailboat, turn: 0.35 },
    Thing { name: "tree", draw: tree, turn: 0.35 },
];

/// Seen from above: a long hull, swept wings, a tailplane, engines.
fn airplane(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (sweep, span, hull) = (dice.between(0.15, 0.5), dice.between(0.85, 1.0), dice.between(0.11, 0.16));
    let (root, engines) = (dice.between(-0.3, -0.1), dice.chance(0.7));
    for side in [1.0, -1.0] {
        if engines {
            let at = [side * 0.45, root + 0.45 * sweep];
            brush.fill(&stroke([at[0], at[1] - 0.08], [at[0], at[1] + 0.15], 0.07), palette.second);
        }
        let wing = [[0.0, root], [side * span, root + sweep], [side * span, root + sweep + 0.16], [0.0, root + 0.42]];
        brush.fill(&polygon(wing), palette.main);
        let tail = [[0.0, 0.62], [side * 0.4, 0.62 + 0.5 * sweep], [side * 0.4, 0.74 + 0.5 * sweep], [0.0, 0.84]];
        brush.fill(&polygon(tail), palette.second);
    }
    brush.fill(&tapered([0.0, -0.82], [0.0, 0.85], [hull, 0.05]), palette.main);
    brush.fill(&stroke([0.0, 0.6], [0.0, 0.9], 0.04), palette.second);
    brush.fill(&stroke([-0.05, -0.8], [0.05, -0.8], 0.045), palette.detail);
    for row in 0..4 {
        brush.blend(&disc([0.0, -0.5 + 0.25 * row as f32], 0.04), palette.detail, 0.8);
    }
}

/// Four wings with spots, a thin body, feelers.
fn butterfly(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (lift, long, wide) = (dice.between(0.5, 0.8), dice.between(0.5, 0.58), dice.between(0.3, 0.38));
    let (low, spots) = (dice.between(0.3, 0.4), dice.chance(0.7));
    for side in [1.0, -1.0] {
        let lower = [side * 0.4, 0.42];
        brush.fill(&ellipse(lower, [low + 0.08, low - 0.06], side * 0.7), palette.second);
        let upper = polar([side * 0.06, 0.0], long, if side > 0.0 { -lift } else { PI + lift });
        brush.fill(&ellipse(upper, [long, wide], -side * lift), palette.main);
        brush.blend(&ellipse(upper, [long * 0.55, wide * 0.5], -side * lift), palette.second, 0.8);
        if spots {
            brush.blend(&disc(polar(upper, long * 0.5, if side > 0.0 { -lift } else { PI + lift }), 0.1), palette.detail, 0.9);
            brush.blend(&disc(lower, 0.13), palette.detail, 0.9);
        }
        brush.fill(&stroke([0.0, -0.4], [side * 0.25, -0.85], 0.03), palette.detail);
    }
    brush.fill(&tapered([0.0, -0.4], [0.0, 0.6], [0.1, 0.05]), palette.detail);
}

/// From the side: a body on two wheels, a cabin with windows, lamps.
fn car(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (front, back, roof) = (dice.between(0.35, 0.65), dice.between(-0.85, -0.4), dice.between(-0.52, -0.34));
    let (wheel, waist) = (dice.between(0.2, 0.26), dice.between(-0.08, 0.02));
    let (slope, step) = (dice.between(0.15, 0.35), dice.between(0.08, 0.25));
    brush.fill(&rounded([[back, waist], [back + step, roof], [front - slope, roof], [front, waist]], 0.05), palette.main);
    brush.fill(&rounded([[-0.88, waist + 0.08], [0.8, waist + 0.12], [0.9, 0.38], [-0.9, 0.38]], 0.08), palette.main);
    let pillar = (back + step + front - slope) / 2.0;
    let sill = waist + 0.04;
    let rear = [[back + 0.1, sill], [back + step + 0.06, roof + 0.07], [pillar - 0.04, roof + 0.07], [pillar - 0.04, sill]];
    let fore = [[pillar + 0.04, sill], [pillar + 0.04, roof + 0.07], [front - slope - 0.03, roof + 0.07], [front - 0.1, sill]];
    brush.fill(&polygon(rear), palette.detail);
    brush.fill(&polygon(fore), palette.detail);
    brush.blend(&stroke([-0.9, 0.24], [0.9, 0.24], 0.035), palette.second, 0.9);
    brush.fill(&disc([0.9, 0.14], 0.08), palette.accent);
    for x in [-0.52, 0.52] {
        brush.fill(&disc([x, 0.45], wheel), palette.detail);
        brush.fill(&disc([x, 0.45], wheel * 0.5), palette.accent);
    }
}

/// Sitting and facing us, or only its face.
fn cat(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    if dice.chance(0.5) {
        cat_face(brush, dice, palette, [0.0, 0.12], 0.75);
        return;
    }
    let tail = if dice.chance(0.5) { 1.0 } else { -1.0 };
    let curl = dice.between(-0.1, 0.35);
    brush.fill(&stroke([tail * 0.3, 0.85], [tail * 0.8, 0.75], 0.08), palette.main);
    brush.fill(&stroke([tail * 0.8, 0.75], [tail * 0.85, curl], 0.08), palette.main);
    brush.fill(&ellipse([0.0, 0.5], [0.45, 0.5], 0.0), palette.main);
    brush.blend(&ellipse([0.0, 0.45], [0.2, 0.28], 0.0), palette.second, 0.8);
    for x in [-0.17, 0.17] {
        brush.fill(&ellipse([x, 0.92], [0.15, 0.09], 0.0), palette.main);
    }
    cat_face(brush, dice, palette, [0.0, -0.35], 0.5);
}

fn cat_face(brush: &mut Brush, dice: &mut Dice, palette: &Palette, centre: Point, size: f32) {
    let at = |x: f32, y: f32| [centre[0] + size * x, centre[1] + size * y];
    let (ear, apart, striped) = (dice.between(1.2, 1.45), dice.between(0.35, 0.45), dice.chance(0.5));
    for side in [1.0, -1.0] {
        brush.fill(&polygon([at(side * 0.2, -0.7), at(side * 0.85, -ear), at(side * 0.98, -0.1)]), palette.main);
        let inner = [at(side * 0.45, -0.75), at(side * 0.78, -ear + 0.25), at(side * 0.85, -0.4)];
        brush.fill(&polygon(inner), palette.second);
    }
    brush.fill(&ellipse(centre, [size, 0.85 * size], 0.0), palette.main);
    if striped {
        for x in [-0.2, 0.0, 0.2] {
            brush.blend(&stroke(at(x, -0.8), at(x * 0.8, -0.5), 0.05 * size), palette.second, 0.9);
        }
    }
    for side in [1.0, -1.0] {
        let eye = at(side * apart, -0.12);
        brush.fill(&ellipse(eye, [0.2 * size, 0.22 * size], 0.0), palette.detail);
        brush.fill(&ellipse(eye, [0.07 * size, 0.2 * size], 0.0), palette.accent);
        for y in [0.28, 0.46] {
            brush.blend(&stroke(at(side * 0.35, y), at(side * 1.15, y + 0.6 * (y - 0.32)), 0.035 * size), palette.detail, 0.9);
        }
    }
    brush.fill(&polygon([at(-0.13, 0.2), at(0.13, 0.2), at(0.0, 0.36)]), palette.detail);
}

/// A lens of two discs, a forked tail, fins, an eye, stripes.
fn fish(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (height, fork, stripes) = (dice.between(0.34, 0.52), dice.between(0.05, 0.22), dice.below(3));
    let tail = [[0.35, 0.0], [0.95, -0.42], [0.95 - fork, 0.0], [0.95, 0.42]];
    brush.fill(&polygon(tail), palette.second);
    let fin = dice.between(0.15, 0.4);
    brush.fill(&polygon([[-0.35, -height * 0.75], [0.1, -height - fin], [0.35, -height * 0.5]]), palette.second);
    brush.fill(&polygon([[-0.1, height * 0.75], [0.2, height + 0.7 * fin], [0.3, height * 0.5]]), palette.second);
    // Two discs whose overlap is 1.5 long and 2 · height high.
    let reach = 0.75;
    let radius = (reach * reach + height * height) / (2.0 * height);
    let body = || Both(disc([-0.2, radius - height], radius), disc([-0.2, height - radius], radius));
    brush.fill(&body(), palette.main);
    for i in 0..stripes {
        let x = -0.3 + 0.3 * i as f32;
        brush.blend(&Both(body(), rectangle([x, -1.0], [x + 0.12, 1.0])), palette.second, 1.0);
    }
    brush.blend(&polygon([[-0.2, 0.05], [0.12, -0.02], [0.08, 0.24]]), palette.second, 0.95);
    brush.fill(&disc([-0.6, -0.08], 0.11), palette.accent);
    brush.fill(&disc([-0.6, -0.08], 0.06), palette.detail);
}

/// Petals around a centre, a stem, two leaves.
fn flower(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let head = [dice.around(0.15), -0.38];
    let (petals, first) = (5 + dice.below(4), dice.between(0.0, TAU));
    let leaf = dice.between(0.35, 0.65);
    let stalk = mix(palette.second, palette.main, 0.25);
    brush.fill(&stroke(head, [0.0, 0.95], 0.06), stalk);
    for side in [1.0, -1.0] {
        let at = [side * 0.25, leaf];
        brush.fill(&ellipse(at, [0.28, 0.11], -side * 0.6), stalk);
    }
    let (length, width) = (0.27, 1.25 / petals as f32 * dice.between(0.75, 0.95));
    for petal in 0..petals {
        let angle = first + TAU * petal as f32 / petals as f32;
        brush.fill(&ellipse(polar(head, 0.33, angle), [length, width.min(0.2)], angle), palette.main);
    }
    brush.fill(&disc(head, 0.19), palette.detail);
    brush.blend(&disc(head, 0.1), palette.second, 0.9);
}

/// Walls, a gable, a door, windows, and often a chimney.
fn house(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (half, eaves, ridge) = (dice.between(0.5, 0.72), dice.between(-0.15, 0.1), dice.between(-0.9, -0.6));
    let (over, hip) = (dice.between(0.12, 0.25), dice.between(0.0, 0.3));
    if dice.chance(0.7) {
        let x = half * dice.between(0.35, 0.6);
        brush.fill(&rectangle([x - 0.1, ridge - 0.05], [x + 0.1, eaves]), palette.main);
    }
    brush.fill(&rectangle([-half, eaves - 0.02], [half, 0.85]), palette.main);
    let roof = [[-half - over, eaves], [-hip - 0.01, ridge], [hip + 0.01, ridge], [half + over, eaves]];
    brush.fill(&polygon(roof), palette.second);
    let door = half * dice.around(0.6);
    brush.fill(&rectangle([door - 0.13, 0.4], [door + 0.13, 0.85]), palette.detail);
    let pane = dice.between(0.11, 0.15);
    for x in [-0.62, 0.0, 0.62] {
        let (x, y) = (x * half, eaves + 0.25);
        brush.fill(&rectangle([x - pane, y - 0.12], [x + pane, y + 0.12]), palette.detail);
        brush.blend(&rectangle([x - 0.02, y - 0.12], [x + 0.02, y + 0.12]), palette.main, 0.9);
    }
}

/// A striped tower with a gallery, a lantern under a cap, two beams, a rock.
fn lighthouse(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (foot, neck, bands) = (dice.between(0.28, 0.38), dice.between(0.15, 0.2), 2 + dice.below(3));
    if dice.chance(0.6) {
        let fall = dice.around(0.15);
        for side in [1.0, -1.0] {
            let beam = [[0.0, -0.62], [side, -0.8 + fall * side], [side, -0.48 + fall * side]];
            brush.blend(&polygon(beam), palette.accent, 0.45);
        }
    }
    brush.fill(&ellipse([0.0, 0.98], [dice.between(0.55, 0.8), 0.22], 0.0), palette.second);
    brush.fill(&polygon([[-foot, 0.88], [-neck, -0.45], [neck, -0.45], [foot, 0.88]]), palette.main);
    let (top, high) = (-0.45, 1.33 / (2 * bands) as f32);
    for band in 0..bands {
        let (y0, y1) = (top + high * (2 * band + 1) as f32, top + high * (2 * band + 2) as f32);
        let half = |y: f32| neck + (foot - neck) * (y - top) / 1.33;
        let stripe = [[-half(y0), y0], [half(y0), y0], [half(y1), y1], [-half(y1), y1]];
        brush.fill(&polygon(stripe), palette.detail);
    }
    brush.fill(&rectangle([-neck - 0.1, -0.52], [neck + 0.1, -0.43]), palette.detail);
    brush.fill(&rectangle([-neck * 0.75, -0.76], [neck * 0.75, -0.52]), palette.accent);
    brush.fill(&polygon([[-neck - 0.05, -0.74], [0.0, -1.0], [neck + 0.05, -0.74]]), palette.second);
}

/// A hull under two sails, a mast, a pennant, a little water.
fn sailboat(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let (mast, boom, jib) = (dice.around(0.15), dice.between(0.5, 0.8), dice.between(0.4, 0.65));
    let (peak, deck) = (dice.between(-0.95, -0.75), dice.between(0.4, 0.5));
    brush.fill(&stroke([mast, peak - 0.03], [mast, deck], 0.035), palette.detail);
    brush.fill(&polygon([[mast + 0.07, peak], [mast + 0.07, deck - 0.12], [mast + boom, deck - 0.12]]), palette.main);
    brush.fill(&polygon([[mast - 0.07, peak + 0.15], [mast - 0.07, deck - 0.12], [mast - jib, deck - 0.12]]), palette.second);
    let hull = [[-0.85, deck], [0.9, deck], [dice.between(0.5, 0.65), deck + 0.36], [-0.55, deck + 0.36]];
    brush.fill(&polygon(hull), palette.main);
    brush.blend(&rectangle([-0.72, deck + 0.1], [0.75, deck + 0.17]), palette.detail, 0.9);
    if dice.chance(0.5) {
        for x in [-0.65, 0.0, 0.65] {
            brush.blend(&ellipse([x, deck + 0.42], [0.36, 0.07], 0.0), palette.accent, 0.7);
        }
    }
}

/// A trunk under a round crown or under three tiers of needles.
fn tree(brush: &mut Brush, dice: &mut Dice, palette: &Palette) {
    let girth = dice.between(0.09, 0.14);
    brush.fill(&tapered([0.0, 0.9], [0.0, 0.0], [girth * 1.4, girth * 0.8]), palette.second);
    if dice.chance(0.5) {
        let width = dice.between(0.55, 0.72);
        for tier in 0..3 {
            let (y, w) = (0.45 - 0.42 * tier as f32, width * (1.0 - 0.22 * tier as f32));
            let shade = mix(palette.main, palette.second, 0.25 * (tier % 2) as f32);
            brush.fill(&polygon([[-w, y], [0.0, y - 0.62], [w, y]]), shade);
        }
        return;
    }
    for side in [1.0, -1.0] {
        brush.fill(&stroke([0.0, 0.45], [side * 0.35, 0.0], 0.06), palette.second);
    }
    let (first, fruits) = (dice.between(0.0, TAU), dice.below(5));
    for puff in 0..6 {
        let at = polar([0.0, -0.32], 0.36, first + TAU * puff as f32 / 6.0);
        let shade = mix(palette.main, palette.second, 0.2 * (puff % 2) as f32);
        brush.fill(&disc([at[0] * 1.2, at[1]], dice.between(0.26, 0.34)), shade);
    }
    brush.fill(&disc([0.0, -0.32], 0.36), palette.main);
    for fruit in 0..fruits {
        let at = polar([0.0, -0.3], dice.between(0.1, 0.5), first + TAU * fruit as f32 / 4.5);
        brush.blend(&disc(at, 0.07), palette.detail, 0.9);
    }
}
