//! Blocks of a sequential scan.

use std::ops::Range;

use crate::Error;
use crate::huffman::{Bits, Entry, Table, extend};
use crate::scan::{Block, Cursor};
use crate::tables::NATURAL_BEFORE;

/// Plain entries between two refills: each takes at most 18 of 56 bits.
const ENTRIES_PER_REFILL: usize = 3;

/// A component's part in a row of units.
pub(crate) struct Strip<'a> {
    pub(crate) mean: &'a Table,
    pub(crate) other: &'a Table,
    /// Blocks of a unit.
    pub(crate) h: usize,
    pub(crate) v: usize,
    /// Columns of blocks that are kept.
    pub(crate) columns: Range<usize>,
    /// Whether mean values are all that is kept.
    pub(crate) means_only: bool,
    /// The kept blocks. `[v, columns]`
    pub(crate) blocks: &'a mut [Block],
    /// Of each, its last coefficient that is not zero, in zigzag order.
    pub(crate) lasts: &'a mut [u8],
}

/// Decodes row `row` of `rows` rows of units; keeps nothing where it is not `wanted`.
#[inline(always)]
pub(crate) fn decode_row(
    cursor: &mut Cursor,
    strips: &mut [Strip],
    units_across: usize,
    (row, rows): (usize, usize),
    wanted: bool,
) -> Result<(), Error> {
    let mut unit = 0;
    while unit < units_across {
        let end = unit + cursor.begin_units(units_across - unit, row, rows)?;
        // A copy that can live in registers.
        let mut bits = cursor.bits.clone();
        while unit < end {
            for (strip, prediction) in strips.iter_mut().zip(&mut cursor.means) {
                decode_unit(&mut bits, strip, prediction, unit, wanted)?;
            }
            unit += 1;
        }
        cursor.bits = bits;
    }
    cursor.check(row, rows)
}

/// A component's blocks of a unit.
#[inline(always)]
fn decode_unit(bits: &mut Bits, strip: &mut Strip, prediction: &mut i32, unit: usize, wanted: bool) -> Result<(), Error> {
    for dy in 0..strip.v {
        for dx in 0..strip.h {
            let column = strip.h * unit + dx;
            let mean = decode_mean(bits, strip.mean, prediction)?;
            if !wanted || !strip.columns.contains(&column) {
                skip_others(bits, strip.other)?;
                continue;
            }
            let at = dy * strip.columns.len() + column - strip.columns.start;
            let block = &mut strip.blocks[at];
            *block = [0; 64];
            block[0] = mean;
            strip.lasts[at] = if strip.means_only {
                skip_others(bits, strip.other)?;
                0
            } else {
                decode_others(bits, strip.other, block)?
            };
        }
    }
    Ok(())
}

/// A whole block, for scans that are not rendered at once.
#[inline(always)]
pub(crate) fn decode_block(
    bits: &mut Bits,
    mean: &Table,
    other: &Table,
    prediction: &mut i32,
    block: &mut Block,
) -> Result<(), Error> {
    *block = [0; 64];
    block[0] = decode_mean(bits, mean, prediction)?;
    decode_others(bits, other, block).map(|_| ())
}

#[inline(always)]
fn decode_mean(bits: &mut Bits, mean: &Table, prediction: &mut i32) -> Result<i16, Error> {
    bits.refill();
    *prediction = prediction.wrapping_add(mean.mean_difference(bits)?);
    Ok(*prediction as i16)
}

/// The coefficients 1 to 63 of a block that is zero so far; returns the last one that may not be.
#[inline(always)]
fn decode_others(bits: &mut Bits, table: &Table, block: &mut Block) -> Result<u8, Error> {
    let mut k = 1usize;
    'block: while k < 64 {
        bits.refill();
        for _ in 0..ENTRIES_PER_REFILL {
            let entry = table.entry(bits);
            if entry.is_special() {
                match special(bits, table, entry)? {
                    None => break 'block,
                    Some((run, value)) => {
                        k += run + 1;
                        put(block, k, value);
                    }
                }
                continue 'block;
            }
            k += entry.places();
            let (at, value) = (k, entry.value(bits) as i16);
            if k >= 64 {
                // What comes second is the next block's.
                entry.pass_first(bits);
                if k < Entry::END {
                    put(block, at, value);
                }
                break 'block;
            }
            entry.pass(bits);
            k += entry.more_places();
            // Without a second value this is a zero in the place of the first one, which comes after it for that.
            put(block, k, entry.second());
            put(block, at, value);
            if k >= 64 {
                break 'block;
            }
        }
    }
    k -= k & Entry::END;
    if k > 64 { Err(Error::BadIndex) } else { Ok((k - 1) as u8) }
}

/// Passes over the coefficients 1 to 63.
#[inline(always)]
fn skip_others(bits: &mut Bits, table: &Table) -> Result<(), Error> {
    let mut k = 1usize;
    'block: while k < 64 {
        bits.refill();
        for _ in 0..ENTRIES_PER_REFILL {
            let entry = table.entry(bits);
            if entry.is_special() {
                match special(bits, table, entry)? {
                    None => break 'block,
                    Some((run, _)) => k += run + 1,
                }
                continue 'block;
            }
            k += entry.places();
            if k >= 64 {
                entry.pass_first(bits);
                break 'block;
            }
            entry.pass(bits);
            k += entry.more_places();
            if k >= 64 {
                break 'block;
            }
        }
    }
    k -= k & Entry::END;
    if k > 64 { Err(Error::BadIndex) } else { Ok(()) }
}

/// Zeros to pass over and the value behind them, or the block's end.
#[inline(always)]
fn special(bits: &mut Bits, table: &Table, entry: Entry) -> Result<Option<(usize, i16)>, Error> {
    // Code and value may take 31 bits.
    bits.refill();
    let symbol = table.symbol(bits, entry)?;
    let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
    Ok(match (run, size) {
        (15, 0) => Some((15, 0)),
        (_, 0) => None,
        _ => Some((run, extend(bits.take(size), size) as i16)),
    })
}

/// Sets the coefficient before the `k`-th one.
#[inline(always)]
fn put(block: &mut Block, k: usize, value: i16) {
    block[usize::from(NATURAL_BEFORE[k & 255] & 63)] = value;
}
