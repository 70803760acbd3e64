//! The tables that segments define for the scans behind them.

use crate::Error;
use crate::huffman::Table;
use crate::markers::{DHT, DQT, DRI, Segment};

/// Where the k-th coefficient of a block lies in it, row by row; the last one again for indices beyond it.
pub(crate) const NATURAL: [u8; 128] = natural_order();

/// Where the coefficient before the k-th one lies. It repeats itself after 128.
pub(crate) const NATURAL_BEFORE: [u8; 256] = natural_before();

const fn natural_before() -> [u8; 256] {
    let mut order = [0; 256];
    let mut k = 0;
    while k < 256 {
        order[(k + 1) % 256] = NATURAL[k % 128];
        k += 1;
    }
    order
}

const fn natural_order() -> [u8; 128] {
    let mut order = [63; 128];
    let (mut k, mut diagonal) = (0, 0);
    while diagonal < 15 {
        let mut step = 0;
        while step <= diagonal {
            // Odd diagonals run down to the left, even ones up to the right.
            let (y, x) = if diagonal % 2 == 1 { (step, diagonal - step) } else { (diagonal - step, step) };
            if x < 8 && y < 8 {
                order[k] = (8 * y + x) as u8;
                k += 1;
            }
            step += 1;
        }
        diagonal += 1;
    }
    order
}

/// A quantisation table, row by row.
pub(crate) type Quantisation = [i16; 64];

/// All slots, and which of them this file has filled.
pub(crate) struct Tables {
    quantisation: [Option<Quantisation>; 4],
    means: [(bool, Table); 4],
    others: [(bool, Table); 4],
    /// Units between restart markers, or 0.
    pub(crate) restart_interval: usize,
}

impl Default for Tables {
    fn default() -> Tables {
        let tables = || std::array::from_fn(|_| (false, Table::empty()));
        Tables { quantisation: [None; 4], means: tables(), others: tables(), restart_interval: 0 }
    }
}

impl Tables {
    /// Forgets what a previous file defined.
    pub(crate) fn clear(&mut self) {
        self.quantisation = [None; 4];
        self.restart_interval = 0;
        for (defined, _) in self.means.iter_mut().chain(&mut self.others) {
            *defined = false;
        }
    }

    /// Takes in a segment if it defines tables.
    pub(crate) fn read(&mut self, segment: &Segment) -> Result<(), Error> {
        match segment.code {
            DQT => self.read_quantisation(segment.payload),
            DHT => self.read_huffman(segment.payload),
            DRI => {
                let &[high, low] = segment.payload else {
                    return Err(Error::Field {
                        segment: "the restart interval",
                        expected: "two bytes",
                        found: segment.payload.len(),
                    });
                };
                self.restart_interval = u16::from_be_bytes([high, low]).into();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn read_quantisation(&mut self, mut rest: &[u8]) -> Result<(), Error> {
        const SEGMENT: &str = "a quantisation table";
        while let Some((&head, behind)) = rest.split_first() {
            let (wide, slot) = (head >> 4, usize::from(head & 15));
            if wide > 1 || slot > 3 {
                return Err(Error::Field { segment: SEGMENT, expected: "8 or 16 bits in slot 0 to 3", found: head.into() });
            }
            let bytes = if wide == 1 { 128 } else { 64 };
            let Some((values, next)) = behind.split_at_checked(bytes) else {
                return Err(Error::Short { segment: SEGMENT, bytes: behind.len() });
            };
            let mut table = [0; 64];
            for k in 0..64 {
                let value = if wide == 1 { u16::from_be_bytes([values[2 * k], values[2 * k + 1]]) } else { values[k].into() };
                table[usize::from(NATURAL[k])] = value as i16;
            }
            self.quantisation[slot] = Some(table);
            rest = next;
        }
        Ok(())
    }

    fn read_huffman(&mut self, mut rest: &[u8]) -> Result<(), Error> {
        const SEGMENT: &str = "a huffman table";
        while let Some((&head, behind)) = rest.split_first() {
            let (class, slot) = (head >> 4, usize::from(head & 15));
            if class > 1 || slot > 3 {
                return Err(Error::Field { segment: SEGMENT, expected: "class 0 or 1 and slot 0 to 3", found: head.into() });
            }
            let short = Err(Error::Short { segment: SEGMENT, bytes: behind.len() });
            let Some((counts, behind)) = behind.split_first_chunk::<16>() else { return short };
            let total = counts.iter().map(|&c| usize::from(c)).sum::<usize>();
            if total > 256 {
                return Err(Error::Field { segment: SEGMENT, expected: "at most 256 codes", found: total });
            }
            let Some((symbols, next)) = behind.split_at_checked(total) else { return short };
            let (defined, table) = if class == 0 { &mut self.means[slot] } else { &mut self.others[slot] };
            *defined = false;
            table.build(counts, symbols, class == 0)?;
            *defined = true;
            rest = next;
        }
        Ok(())
    }

    /// The table of differences of mean values in a slot.
    pub(crate) fn mean(&self, slot: u8) -> Result<&Table, Error> {
        defined(&self.means, slot)
    }

    /// The table of all other coefficients in a slot.
    pub(crate) fn other(&self, slot: u8) -> Result<&Table, Error> {
        defined(&self.others, slot)
    }

    /// The quantisation table in a slot below 4.
    pub(crate) fn quantisation(&self, slot: u8) -> Result<Quantisation, Error> {
        self.quantisation[usize::from(slot)].ok_or(Error::MissingTable { kind: "quantisation", number: slot })
    }
}

fn defined(tables: &[(bool, Table); 4], slot: u8) -> Result<&Table, Error> {
    match tables.get(usize::from(slot)) {
        Some((true, table)) => Ok(table),
        _ => Err(Error::MissingTable { kind: "huffman", number: slot }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_a_zigzag() {
        assert_eq!(NATURAL[..10], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]);
        assert_eq!(NATURAL[61..66], [55, 62, 63, 63, 63]);
        let mut seen = NATURAL[..64].to_vec();
        seen.sort_unstable();
        assert!(seen.iter().enumerate().all(|(i, &at)| i == usize::from(at)));
    }
}
