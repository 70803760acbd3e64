//! Scans whose coefficients are kept until all are there: progressive ones, and sequential ones of some components each.

use crate::Error;
use crate::huffman::{Bits, Entry, Table, extend};
use crate::plan::Plane;
use crate::scan::{Block, Cursor, ScanHeader};
use crate::sequential;
use crate::tables::{NATURAL, Tables};

/// All blocks of a component. `[rows, across]`, whole units
#[derive(Default)]
pub(crate) struct Stored {
    pub(crate) blocks: Vec<Block>,
    pub(crate) across: usize,
}

impl Stored {
    /// Makes room for blocks of zeros.
    pub(crate) fn reset(&mut self, across: usize, down: usize) {
        self.across = across;
        self.blocks.clear();
        self.blocks.resize(across * down, [0; 64]);
    }
}

/// What a scan does with each block.
enum Pass<'a> {
    /// All coefficients at once.
    Whole([(&'a Table, &'a Table); 4]),
    /// Mean values but for their low bits.
    Means([&'a Table; 4]),
    /// One more bit of each mean value.
    RefineMeans,
    /// Other coefficients but for their low bits.
    Others(&'a Table),
    /// One more bit of other coefficients.
    RefineOthers(&'a Table),
}

/// Decodes a scan into the blocks of its components.
#[inline(always)]
pub(crate) fn decode_scan(
    cursor: &mut Cursor,
    scan: &ScanHeader,
    progressive: bool,
    tables: &Tables,
    planes: &[Plane],
    units: (usize, usize),
    stored: &mut [Stored],
) -> Result<(), Error> {
    let pass = pass(scan, progressive, tables)?;
    walk(cursor, scan, planes, units, stored, &pass)
}

impl Pass<'_> {
    /// Decodes a block of the scan's `member`-th component.
    #[inline(always)]
    fn decode(&self, cursor: &mut Cursor, scan: &ScanHeader, member: usize, block: &mut Block) -> Result<(), Error> {
        let band = (scan.first, scan.last, scan.low);
        match self {
            Pass::Whole(tables) => {
                let (mean, other) = tables[member];
                sequential::decode_block(&mut cursor.bits, mean, other, &mut cursor.means[member], block)
            }
            Pass::Means(tables) => {
                cursor.bits.refill();
                let difference = tables[member].mean_difference(&mut cursor.bits)?;
                cursor.means[member] = cursor.means[member].wrapping_add(difference);
                block[0] = cursor.means[member].wrapping_shl(scan.low) as i16;
                Ok(())
            }
            Pass::RefineMeans => {
                block[0] |= (cursor.bits.bit() as i16) << scan.low;
                Ok(())
            }
            Pass::Others(table) => others(&mut cursor.bits, table, band, &mut cursor.empty, block),
            Pass::RefineOthers(table) => refine_others(&mut cursor.bits, table, band, &mut cursor.empty, block),
        }
    }
}

fn pass<'a>(scan: &ScanHeader, progressive: bool, tables: &'a Tables) -> Result<Pass<'a>, Error> {
    let members = scan.members();
    let lead = &members[0];
    Ok(match (progressive, scan.first, scan.high) {
        (false, ..) => {
            let mut all = [(tables.mean(lead.mean)?, tables.other(lead.other)?); 4];
            for (pair, m) in all.iter_mut().zip(members) {
                *pair = (tables.mean(m.mean)?, tables.other(m.other)?);
            }
            Pass::Whole(all)
        }
        (true, 0, 0) => {
            let mut all = [tables.mean(lead.mean)?; 4];
            for (table, m) in all.iter_mut().zip(members) {
                *table = tables.mean(m.mean)?;
            }
            Pass::Means(all)
        }
        (true, 0, _) => Pass::RefineMeans,
        (true, _, 0) => Pass::Others(tables.other(lead.other)?),
        (true, ..) => Pass::RefineOthers(tables.other(lead.other)?),
    })
}

/// Decodes each block of a scan in turn.
#[inline(always)]
fn walk(
    cursor: &mut Cursor,
    scan: &ScanHeader,
    planes: &[Plane],
    (units_across, units_down): (usize, usize),
    stored: &mut [Stored],
    pass: &Pass,
) -> Result<(), Error> {
    if let [member] = scan.members() {
        let (plane, stored) = (&planes[member.component], &mut stored[member.component]);
        for row in 0..plane.blocks_down {
            for block in &mut stored.blocks[row * stored.across..][..plane.blocks_across] {
                cursor.begin_unit(row, plane.blocks_down)?;
                pass.decode(cursor, scan, 0, block)?;
            }
            cursor.check(row, plane.blocks_down)?;
        }
        return Ok(());
    }
    for row in 0..units_down {
        for unit in 0..units_across {
            cursor.begin_unit(row, units_down)?;
            for (m, member) in scan.members().iter().enumerate() {
                let (plane, stored) = (&planes[member.component], &mut stored[member.component]);
                for dy in 0..plane.v {
                    let at = (row * plane.v + dy) * stored.across + unit * plane.h;
                    for block in &mut stored.blocks[at..at + plane.h] {
                        pass.decode(cursor, scan, m, block)?;
                    }
                }
            }
        }
        cursor.check(row, units_down)?;
    }
    Ok(())
}

/// The coefficients `first..=last` but for their `low` low bits.
#[inline(always)]
fn others(
    bits: &mut Bits,
    table: &Table,
    (first, last, low): (usize, usize, u32),
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), Error> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut k = first;
    while k <= last {
        bits.refill();
        let entry = table.entry(bits);
        if !entry.is_special() {
            if entry.places() == Entry::END {
                entry.pass_first(bits);
                return Ok(());
            }
            k += entry.places();
            block[place(k - 1)] = (entry.value(bits) << low) as i16;
            entry.pass_first(bits);
            continue;
        }
        let symbol = table.symbol(bits, entry)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size > 0 {
            k += run + 1;
            block[place(k - 1)] = (extend(bits.take(size), size) << low) as i16;
        } else if run == 15 {
            k += 16;
        } else {
            *empty = empty_blocks(bits, run) - 1;
            return Ok(());
        }
    }
    if k > last + 1 { Err(Error::BadIndex) } else { Ok(()) }
}

/// One more bit, at `low`, of the coefficients `first..=last`.
#[inline(always)]
fn refine_others(
    bits: &mut Bits,
    table: &Table,
    (first, last, low): (usize, usize, u32),
    empty: &mut u32,
    block: &mut Block,
) -> Result<(), Error> {
    let mut k = first;
    while *empty == 0 && k <= last {
        bits.refill();
        let entry = table.entry(bits);
        let (mut run, value) = if !entry.is_special() {
            if entry.places() == Entry::END {
                entry.pass_first(bits);
                *empty = 1;
                break;
            }
            if entry.size() > 1 {
                return Err(Error::BadCode);
            }
            let value = entry.value(bits);
            entry.pass_first(bits);
            (entry.places() - 1, value)
        } else {
            let symbol = table.symbol(bits, entry)?;
            match (usize::from(symbol >> 4), symbol & 15) {
                (15, 0) => (15, 0),
                (run, 0) => {
                    *empty = empty_blocks(bits, run);
                    break;
                }
                (run, 1) => (run, 2 * bits.take(1) as i32 - 1),
                _ => return Err(Error::BadCode),
            }
        };
        // Zeros are counted, whatever is none gets its bit.
        while k <= last {
            let coefficient = &mut block[place(k)];
            if *coefficient != 0 {
                refine(bits, low, coefficient);
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            k += 1;
        }
        if value != 0 {
            if k > last {
                return Err(Error::BadIndex);
            }
            block[place(k)] = (value << low) as i16;
        }
        k += 1;
    }
    if *empty > 0 {
        *empty -= 1;
        for k in k..=last {
            let coefficient = &mut block[place(k)];
            if *coefficient != 0 {
                refine(bits, low, coefficient);
            }
        }
    }
    Ok(())
}

/// How many blocks, this one included, have no new coefficients.
#[inline(always)]
fn empty_blocks(bits: &mut Bits, size: usize) -> u32 {
    if size == 0 { 1 } else { (1 << size) + bits.take(size as u32) }
}

#[inline(always)]
fn refine(bits: &mut Bits, low: u32, coefficient: &mut i16) {
    let bit = 1i16 << low;
    if bits.bit() == 1 && *coefficient & bit == 0 {
        *coefficient = coefficient.wrapping_add(if *coefficient >= 0 { bit } else { -bit });
    }
}

#[inline(always)]
fn place(k: usize) -> usize {
    usize::from(NATURAL[k & 127] & 63)
}
