//! Windows bitmaps: 1, 4 and 8 bits with a palette, run-length coded or not; 16, 24 and 32 bits with or without masks.

use super::exif::Orientation;
use super::{Fault, check_size};
use crate::Image;

const FORMAT: &str = "BMP";

/// A run of 255 pixels takes two bytes, a whole row is skipped by two more.
const PIXELS_PER_BYTE: usize = 1 << 12;

/// Sizes of the known information headers: core, info, the two with masks, OS/2, version 4 and 5.
pub(super) fn is_header_size(bytes: &[u8]) -> bool {
    matches!(bytes, &[12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])
}

/// What the headers say.
struct Header {
    width: usize,
    height: usize,
    top_down: bool,
    bits: u16,
    compression: Compression,
    /// Where the pixels begin.
    pixels_at: usize,
    /// Where the palette begins, and the bytes and number of its entries.
    palette: (usize, usize, usize),
    /// Bits of red, green and blue in a pixel of 16 or 32 bits.
    masks: [u32; 3],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Plain,
    Runs,
}

pub(super) fn decode(bytes: &[u8]) -> Result<(Image, Orientation), Fault> {
    let header = read_header(bytes).unwrap_or_else(|| Err(Fault::damaged(FORMAT, "the header breaks off")))?;
    let (width, height) = (header.width, header.height);
    check_size(FORMAT, width, height, bytes.len(), PIXELS_PER_BYTE)?;
    let data = bytes.get(header.pixels_at..).unwrap_or(&[]);
    let mut rgb = match header.bits {
        1 | 4 | 8 => {
            let palette = read_palette(bytes, &header);
            let indices = match header.compression {
                Compression::Plain => plain_indices(data, &header),
                Compression::Runs => run_indices(data, &header),
            };
            let indices = indices.ok_or_else(|| Fault::damaged(FORMAT, "the pixels break off"))?;
            indices.iter().flat_map(|&i| palette[usize::from(i)]).collect()
        }
        _ => direct(data, &header).ok_or_else(|| Fault::damaged(FORMAT, "the pixels break off"))?,
    };
    if !header.top_down {
        let (row, half) = (3 * width, height / 2);
        let (top, bottom) = rgb.split_at_mut((height - half) * row);
        for (a, b) in top.chunks_exact_mut(row).zip(bottom.rchunks_exact_mut(row)) {
            a.swap_with_slice(b);
        }
    }
    Ok((Image { width, height, rgb }, Orientation::UPRIGHT))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The headers; `None` where they break off.
fn read_header(bytes: &[u8]) -> Option<Result<Header, Fault>> {
    let pixels_at = u32_at(bytes, 10)? as usize;
    let size = u32_at(bytes, 14)? as usize;
    let old = size == 12;
    let (width, height, bits, code) = if old {
        (i32::from(u16_at(bytes, 18)?), i32::from(u16_at(bytes, 20)?), u16_at(bytes, 24)?, 0)
    } else {
        (u32_at(bytes, 18)? as i32, u32_at(bytes, 22)? as i32, u16_at(bytes, 28)?, u32_at(bytes, 30)?)
    };
    let fault = |message: String| Some(Err(Fault::damaged(FORMAT, message)));
    if width <= 0 || height == 0 {
        return fault(format!("{width} × {height} pixels"));
    }
    let (compression, masked) = match (code, bits) {
        (0, 1 | 4 | 8 | 16 | 24 | 32) => (Compression::Plain, false),
        (1, 8) | (2, 4) => (Compression::Runs, false),
        (3 | 6, 16 | 32) => (Compression::Plain, true),
        _ => return fault(format!("{bits} bits with compression {code} are not supported")),
    };
    let masks = match bits {
        _ if masked => [u32_at(bytes, 54)?, u32_at(bytes, 58)?, u32_at(bytes, 62)?],
        16 => [0x7c00, 0x03e0, 0x001f],
        _ => [0x00ff_0000, 0x0000_ff00, 0x0000_00ff],
    };
    let colours = if old { 0 } else { u32_at(bytes, 46)? as usize };
    let most = if bits <= 8 { 1 << bits } else { 0 };
    let entries = if colours == 0 { most } else { colours.min(most) };
    let palette = (14 + size, if old { 3 } else { 4 }, entries);
    let (width, top_down, height) = (width as usize, height < 0, height.unsigned_abs() as usize);
    Some(Ok(Header { width, height, top_down, bits, compression, pixels_at, palette, masks }))
}

/// The palette as RGB; entries that the file lacks are black.
fn read_palette(bytes: &[u8], header: &Header) -> [[u8; 3]; 256] {
    let (at, entry_bytes, entries) = header.palette;
    let mut palette = [[0; 3]; 256];
    let stored = bytes.get(at..).unwrap_or(&[]).chunks_exact(entry_bytes);
    for (colour, entry) in palette.iter_mut().zip(stored.take(entries)) {
        *colour = [entry[2], entry[1], entry[0]];
    }
    palette
}

/// Bytes of a stored row: whole pixels, padded to a multiple of four.
fn row_bytes(header: &Header) -> usize {
    (header.width * usize::from(header.bits)).div_ceil(32) * 4
}

/// Palette indices of a picture without compression, `[h, w]` in stored order; `None` where the data break off.
fn plain_indices(data: &[u8], header: &Header) -> Option<Vec<u8>> {
    let (row, bits) = (row_bytes(header), usize::from(header.bits));
    let data = data.get(..row * header.height)?;
    let per_byte = 8 / bits;
    let mask = if bits == 8 { 0xff } else { (1u8 << bits) - 1 };
    let mut indices = Vec::with_capacity(header.width * header.height);
    for row in data.chunks_exact(row) {
        indices.extend((0..header.width).map(|x| row[x / per_byte] >> (8 - bits - x % per_byte * bits) & mask));
    }
    Some(indices)
}

/// Palette indices of a run-length coded picture, `[h, w]` in stored order; `None` where the data break off. What the
/// code skips is index 0.
fn run_indices(data: &[u8], header: &Header) -> Option<Vec<u8>> {
    let (width, height) = (header.width, header.height);
    let mut indices = vec![0; width * height];
    let mut put = |x: &mut usize, y: usize, index: u8| {
        if *x < width && y < height {
            indices[y * width + *x] = index;
        }
        *x = x.saturating_add(1);
    };
    // The `i`-th pixel of packed values: a byte each, or the high and low half of a byte.
    let pixel = |packed: &[u8], i: usize| match header.bits {
        8 => packed.get(i).copied(),
        _ => packed.get(i / 2).map(|b| if i.is_multiple_of(2) { b >> 4 } else { b & 15 }),
    };
    let (mut at, mut x, mut y) = (0, 0usize, 0usize);
    while y < height {
        let (count, value) = (*data.get(at)?, *data.get(at + 1)?);
        at += 2;
        match (count, value) {
            (0, 0) => (x, y) = (0, y + 1),
            (0, 1) => break,
            (0, 2) => {
                x = x.saturating_add(usize::from(*data.get(at)?));
                y = y.saturating_add(usize::from(*data.get(at + 1)?));
                at += 2;
            }
            (0, literal) => {
                let n = usize::from(literal);
                let bytes = (n * usize::from(header.bits)).div_ceil(8);
                let packed = data.get(at..at + bytes)?;
                for i in 0..n {
                    put(&mut x, y, pixel(packed, i)?);
                }
                at += bytes.next_multiple_of(2);
            }
            (n, _) => {
                for i in 0..usize::from(n) {
                    let index = if header.bits == 8 { value } else { pixel(&[value], i % 2)? };
                    put(&mut x, y, index);
                }
            }
        }
    }
    Some(indices)
}

/// RGB of a picture of 16, 24 or 32 bits a pixel, in stored order; `None` where the data break off.
fn direct(data: &[u8], header: &Header) -> Option<Vec<u8>> {
    let (row, pixel_bytes) = (row_bytes(header), usize::from(header.bits / 8));
    let data = data.get(..row * header.height)?;
    let mut rgb = Vec::with_capacity(3 * header.width * header.height);
    for row in data.chunks_exact(row) {
        for pixel in row.chunks_exact(pixel_bytes).take(header.width) {
            match *pixel {
                [blue, green, red] => rgb.extend([red, green, blue]),
                _ => {
                    let value = pixel.iter().rev().fold(0u32, |acc, &b| acc << 8 | u32::from(b));
                    rgb.extend(header.masks.map(|mask| scaled(value, mask)));
                }
            }
        }
    }
    Some(rgb)
}

/// The masked bits of `value`, stretched to 0..=255 and rounded down as Pillow does.
fn scaled(value: u32, mask: u32) -> u8 {
    if mask == 0 {
        return 0;
    }
    let shift = mask.trailing_zeros();
    let most = u64::from(mask >> shift);
    (u64::from((value & mask) >> shift) * 255 / most).min(255) as u8
}
