//! What changes the colours of pixels and moves none: torchvision's functions of the same names on 8-bit tensors, bit for bit.
//!
//! Pixels are `[h, w, 3]`, red, green, blue. torchvision computes in f32, adds a product without rounding it first, and
//! drops what is behind the point; [`fused`] and the casts do the same.

/// A value for each value of a channel.
type Table = [u8; 256];

/// A float as a pixel: clipped, and the rest behind the point dropped.
#[inline]
fn pixel(x: f32) -> u8 {
    // A cast from a float truncates, and saturates at both ends.
    x as u8
}

/// `a + scale · b`, rounded once. The product of two floats is exact in f64, and so is the sum unless `scale` is minute.
#[inline]
fn fused(a: f32, scale: f32, b: f32) -> f32 {
    (f64::from(a) + f64::from(scale) * f64::from(b)) as f32
}

/// Every value by one table.
fn by_table(rgb: &mut [u8], table: &Table) {
    rgb.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// Every channel by its own table.
fn by_tables(rgb: &mut [u8], tables: &[Table; 3]) {
    for pixel in rgb.as_chunks_mut::<3>().0 {
        for (value, table) in pixel.iter_mut().zip(tables) {
            *value = table[usize::from(*value)];
        }
    }
}

/// A table of `f`.
fn table(f: impl Fn(u8) -> u8) -> Table {
    std::array::from_fn(|value| f(value as u8))
}

/// Luma, a whole number: `⌊0.2989 R + 0.587 G + 0.114 B⌋`.
#[inline]
fn grey(&[r, g, b]: &[u8; 3]) -> f32 {
    fused(fused(f32::from(r) * 0.2989, 0.587, f32::from(g)), 0.114, f32::from(b)) as u32 as f32
}

/// `factor · v`: 0 is black, 1 leaves all as it is.
pub fn brightness(rgb: &mut [u8], factor: f64) {
    by_table(rgb, &table(|value| pixel(f32::from(value) * factor as f32)));
}

/// `factor · v + (1 − factor) · m` with the mean luma `m`: 0 is grey, 1 leaves all as it is.
///
/// The mean is torchvision's for up to 65,793 pixels, of which the sum is exact in f32 whatever its order; beyond, it is
/// the exact mean.
pub fn contrast(rgb: &mut [u8], factor: f64) {
    let pixels = rgb.as_chunks::<3>().0;
    let sum: u64 = pixels.iter().map(|pixel| grey(pixel) as u64).sum();
    let mean = (sum as f64 / pixels.len().max(1) as f64) as f32;
    let (factor, rest) = (factor as f32, (1.0 - factor) as f32);
    by_table(rgb, &table(|value| pixel(fused(f32::from(value) * factor, rest, mean))));
}

/// `factor · v + (1 − factor) · l` with each pixel's luma `l`: 0 is without colours, 1 leaves all as it is.
pub fn saturation(rgb: &mut [u8], factor: f64) {
    let (factor, rest) = (factor as f32, (1.0 - factor) as f32);
    for rgb in rgb.as_chunks_mut::<3>().0 {
        let luma = grey(rgb);
        rgb.iter_mut().for_each(|value| *value = pixel(fused(f32::from(*value) * factor, rest, luma)));
    }
}

/// Turns every colour round the hue circle by `turn` of its circumference, `−½..=½`.
pub fn hue(rgb: &mut [u8], turn: f64) {
    let turn = turn as f32;
    for rgb in rgb.as_chunks_mut::<3>().0 {
        let [h, s, v] = to_hsv(rgb.map(|value| f32::from(value) * (1.0 / 255.0)));
        let h = fraction(h + turn);
        // 255.999: no value but 1 would else become 255.
        *rgb = from_hsv([h, s, v]).map(|value| pixel(value * 255.999));
    }
}

/// Hue in `[0, 1)`, saturation and value of red, green and blue in `[0, 1]`.
fn to_hsv([r, g, b]: [f32; 3]) -> [f32; 3] {
    let (least, most) = (r.min(g).min(b), r.max(g).max(b));
    if least == most {
        return [0.0, 0.0, most];
    }
    let range = most - least;
    let [rc, gc, bc] = [r, g, b].map(|value| (most - value) / range);
    let sixths = if most == r {
        bc - gc
    } else if most == g {
        rc + 2.0 - bc
    } else {
        gc + 4.0 - rc
    };
    [fraction(sixths * (1.0 / 6.0) + 1.0), range / most, most]
}

/// What is behind the point of a number in `-1..2`, from the whole number below it on; both differences are torchvision's.
#[inline]
fn fraction(x: f32) -> f32 {
    if x >= 1.0 {
        x - 1.0
    } else if x < 0.0 {
        x + 1.0
    } else {
        x
    }
}

/// The inverse of [`to_hsv`].
fn from_hsv([h, s, v]: [f32; 3]) -> [f32; 3] {
    let sixths = h * 6.0;
    let sector = sixths as u32;
    let (along, pale) = (s * (sixths - sector as f32), 1.0 - s);
    let q = ((1.0 - along) * v).clamp(0.0, 1.0);
    let t = ((along + pale) * v).clamp(0.0, 1.0);
    let p = (pale * v).clamp(0.0, 1.0);
    // A hue may have been rounded to 1.
    match sector % 6 {
        0 => [v, t, p],
        1 => [q, v, p],
        2 => [p, v, t],
        3 => [p, q, v],
        4 => [t, p, v],
        _ => [v, p, q],
    }
}

/// Keeps the highest `bits` of every value, at most 8.
pub fn posterize(rgb: &mut [u8], bits: u32) {
    let mask = !(0xffu32 >> bits.min(8)) as u8;
    rgb.iter_mut().for_each(|value| *value &= mask);
}

/// The negative of every value of at least `threshold`.
pub fn solarize(rgb: &mut [u8], threshold: f64) {
    by_table(rgb, &table(|value| if f32::from(value) >= threshold as f32 { !value } else { value }));
}

/// Stretches each channel's values to 0 to 255; a channel of one value stays.
pub fn autocontrast(rgb: &mut [u8]) {
    let (mut least, mut most) = ([u8::MAX; 3], [0; 3]);
    for pixel in rgb.as_chunks::<3>().0 {
        for c in 0..3 {
            (least[c], most[c]) = (least[c].min(pixel[c]), most[c].max(pixel[c]));
        }
    }
    let tables = std::array::from_fn(|c| {
        let (least, most) = (least[c], most[c]);
        if least >= most {
            return table(|value| value);
        }
        let scale = f32::from(most - least) * (1.0 / 255.0);
        table(|value| pixel((f32::from(value) - f32::from(least)) / scale))
    });
    by_tables(rgb, &tables);
}

/// Spreads each channel's values so that all become about as frequent, by Pillow's rule.
pub fn equalize(rgb: &mut [u8]) {
    let tables = std::array::from_fn(|c| {
        let mut counts = [0usize; 256];
        rgb.iter().skip(c).step_by(3).for_each(|value| counts[usize::from(*value)] += 1);
        let highest = counts.iter().rev().find(|count| **count > 0).copied().unwrap_or(0);
        let step = (rgb.len() / 3 - highest) / 255;
        if step == 0 {
            return table(|value| value);
        }
        let mut below = 0;
        std::array::from_fn(|value| {
            let level = (below + step / 2) / step;
            below += counts[value];
            level.min(255) as u8
        })
    });
    by_tables(rgb, &tables);
}

/// `b + factor · (v − b)` with the smoothed image `b`, whose pixels are a mean of 3 × 3 with the middle one counted five times:
/// 0 is smoothed, 1 leaves all as it is, 2 is sharper. Pixels at the border stay, and images of two rows or columns.
///
/// `before` is overwritten.
pub fn sharpness(rgb: &mut [u8], width: usize, factor: f64, before: &mut Vec<u8>) {
    let row = 3 * width;
    let height = rgb.len().checked_div(row).unwrap_or(0);
    if width <= 2 || height <= 2 {
        return;
    }
    before.clear();
    before.extend_from_slice(rgb);
    let rest = (1.0 - factor) as f32;
    for y in 1..height - 1 {
        let rows: [&[u8]; 3] = std::array::from_fn(|k| &before[(y + k - 1) * row..][..row]);
        for (i, out) in rgb[y * row..][..row].iter_mut().enumerate().take(row - 3).skip(3) {
            let sum: u32 = rows.iter().map(|row| u32::from(row[i - 3]) + u32::from(row[i]) + u32::from(row[i + 3])).sum();
            let value = f32::from(*out);
            // Thirteenths are never half way between two whole numbers.
            let smooth = (2 * (sum + 4 * u32::from(*out)) + 13) / 26;
            *out = pixel(fused(value, rest, smooth as f32 - value));
        }
    }
}
