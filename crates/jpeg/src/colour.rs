//! Rows of components to rows of RGB, with libjpeg's fixed-point factors.

use crate::Colour;

/// A factor in 16 bits.
const fn factor(value: f64) -> i32 {
    (value * 65536.0 + 0.5) as i32
}

const RED_OF_CR: i32 = factor(1.40200);
const GREEN_OF_CB: i32 = factor(0.34414);
const GREEN_OF_CR: i32 = factor(0.71414);
const BLUE_OF_CB: i32 = factor(1.77200);
const HALF: i32 = 1 << 15;

/// Writes `rgb`, `[w, 3]`, from one, three or four rows of at least `w` values.
#[inline(always)]
pub(crate) fn convert(colour: Colour, rows: [&[u8]; 4], rgb: &mut [u8]) {
    let (rgb, _) = rgb.as_chunks_mut::<3>();
    let n = rgb.len();
    let [a, b, c] = [rows[0], rows[1], rows[2]].map(|row| &row[..n.min(row.len())]);
    match colour {
        Colour::Grey => {
            for (rgb, &grey) in rgb.iter_mut().zip(a) {
                *rgb = [grey; 3];
            }
        }
        Colour::Rgb => {
            for (((rgb, &a), &b), &c) in rgb.iter_mut().zip(a).zip(b).zip(c) {
                *rgb = [a, b, c];
            }
        }
        Colour::Ycc => {
            for (((rgb, &a), &b), &c) in rgb.iter_mut().zip(a).zip(b).zip(c) {
                *rgb = from_ycc(a, b, c);
            }
        }
        Colour::Cmyk => {
            for ((((rgb, &a), &b), &c), &black) in rgb.iter_mut().zip(a).zip(b).zip(c).zip(rows[3]) {
                *rgb = [a, b, c].map(|ink| inked(ink, black));
            }
        }
        Colour::Ycck => {
            for ((((rgb, &a), &b), &c), &black) in rgb.iter_mut().zip(a).zip(b).zip(c).zip(rows[3]) {
                // libjpeg takes these three for the inverse of inks.
                *rgb = from_ycc(a, b, c).map(|light| inked(255 - light, black));
            }
        }
    }
}

#[inline(always)]
pub(crate) fn from_ycc(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    let red = y + ((RED_OF_CR * cr + HALF) >> 16);
    let green = y + ((HALF - GREEN_OF_CB * cb - GREEN_OF_CR * cr) >> 16);
    let blue = y + ((BLUE_OF_CB * cb + HALF) >> 16);
    [red, green, blue].map(|v| v.clamp(0, 255) as u8)
}

/// What Pillow makes of an ink and black, both stored inverted.
fn inked(ink: u8, black: u8) -> u8 {
    let (ink, light) = (255 - u32::from(ink), u32::from(black));
    let product = ink * light + 128;
    (light - ((product + (product >> 8)) >> 8)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inks_stay_in_range() {
        for ink in 0..=255 {
            for black in 0..=255 {
                inked(ink, black);
            }
            assert_eq!(inked(ink, 255), ink);
            assert_eq!(inked(ink, 0), 0);
        }
    }
}
