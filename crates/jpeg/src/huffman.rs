//! Huffman codes, and the bits that they are read from.

use crate::Error;

/// Bits that the table is looked up with.
const LOOKUP_BITS: u32 = 10;

/// The most bits of code and value together of an entry that is not special: three of them fit between two refills.
const MOST_BITS: u32 = 18;

/// What the bits ahead begin with: a code for some zeros and a value, the value's bits, and perhaps the same once more or the
/// end of the block, where all of that is short enough to be seen in the lookup.
///
/// | bits | hold |
/// |---|---|
/// | 0–6 | bits of everything |
/// | 7 | whether it is special: [`Table::symbol`] tells what it is. Its code may be longer than the lookup, or none: then it has no bits |
/// | 8–15 | bits of the first code; of a special entry its symbol |
/// | 16–23 | 64 less the bits of the first value |
/// | 24–31 | places to the first value, [`Entry::END`] for the end of the block |
/// | 32–39 | places from there to the second value, [`Entry::END`] for the end of the block, 0 for neither |
/// | 40–47 | the second value |
/// | 48–63 | what to add to the first value's bits: values whose highest bit is 0 are negative |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry(u64);

impl Entry {
    const SPECIAL: u64 = 1 << 7;
    const UNKNOWN: Entry = Entry(Entry::SPECIAL);
    /// More places than there are, and none of the lower seven bits.
    pub(crate) const END: usize = 128;

    /// Of a code of `length` bits; with `mean` the symbol is but a size.
    fn new(symbol: u8, length: u32, mean: bool) -> Entry {
        let (run, size) = (u64::from(symbol >> 4), u32::from(symbol & 15));
        let places = if symbol == 0 && !mean { Entry::END as u64 } else { run + 1 };
        // The lookup must show the value's sign.
        if (size > 0 || symbol == 0) && length < LOOKUP_BITS && length + size <= MOST_BITS {
            Entry(places << 24 | u64::from(64 - size) << 16 | u64::from(length) << 8 | u64::from(length + size))
        } else {
            Entry(Entry::SPECIAL | u64::from(symbol) << 8 | u64::from(length))
        }
    }

    /// With the sign of its value, and what follows it in the lookup's `bits`, as far as those tell.
    fn completed(self, bits: u32, entries: &[Entry; 1 << LOOKUP_BITS], mean: bool) -> Entry {
        if self.is_special() || self.size() == 0 {
            return self;
        }
        let highest = bits >> (LOOKUP_BITS - 1 - self.code_bits()) & 1;
        let offset = if highest == 0 { 1 - (1i64 << self.size()) } else { 0 };
        let signed = Entry(self.0 | (offset as u64) << 48);
        if mean || self.bits() >= LOOKUP_BITS {
            return signed;
        }
        let known = LOOKUP_BITS - self.bits();
        let rest = bits & ((1 << known) - 1);
        let second = entries[(rest << self.bits()) as usize];
        if second.is_special() || second.bits() > known {
            return signed;
        }
        let size = second.size();
        let value = rest >> (known - second.bits()) & ((1 << size) - 1);
        let value = if size == 0 { 0 } else { extend(value, size) as u8 };
        Entry((signed.0 + u64::from(second.bits())) | (second.places() as u64) << 32 | u64::from(value) << 40)
    }

    fn code_bits(self) -> u32 {
        u32::from((self.0 >> 8) as u8)
    }

    fn bits(self) -> u32 {
        (self.0 & 0x7f) as u32
    }

    /// Whether there is more to it than values, or the value is a long one: [`Table::symbol`] tells.
    #[inline(always)]
    pub(crate) fn is_special(self) -> bool {
        self.0 & Entry::SPECIAL != 0
    }

    /// Places to the first value.
    #[inline(always)]
    pub(crate) fn places(self) -> usize {
        usize::from((self.0 >> 24) as u8)
    }

    /// Bits of the first value.
    #[inline(always)]
    pub(crate) fn size(self) -> u32 {
        64 - u32::from((self.0 >> 16) as u8)
    }

    /// The first value, which has 1 bit at least.
    #[inline(always)]
    pub(crate) fn value(self, bits: &Bits) -> i32 {
        let ahead = bits.window << (self.0 >> 8 & 63);
        (ahead >> (self.0 >> 16 & 63)) as i32 + (self.0 as i64 >> 48) as i32
    }

    /// The first value, 0 where it has no bits.
    #[inline(always)]
    fn value_or_zero(self, bits: &Bits) -> i32 {
        let ahead = bits.window << (self.0 >> 8 & 63);
        (ahead >> 1 >> (((self.0 >> 16 & 0xff) - 1) & 63)) as i32 + (self.0 as i64 >> 48) as i32
    }

    /// Takes the bits of the first code and value.
    #[inline(always)]
    pub(crate) fn pass_first(self, bits: &mut Bits) {
        bits.skip(self.code_bits() + self.size());
    }

    /// Takes the bits of everything.
    #[inline(always)]
    pub(crate) fn pass(self, bits: &mut Bits) {
        // Two masks, so that shifting needs none of its own.
        bits.window <<= self.0 & 63;
        bits.count = bits.count.wrapping_sub((self.0 & 0xff) as u32);
    }

    /// Places from the first value to the second one, [`Entry::END`] or 0.
    #[inline(always)]
    pub(crate) fn more_places(self) -> usize {
        usize::from((self.0 >> 32) as u8)
    }

    /// The second value, or 0.
    #[inline(always)]
    pub(crate) fn second(self) -> i16 {
        ((self.0 >> 40) as i8).into()
    }
}

/// A Huffman table, ready to be looked up.
pub(crate) struct Table {
    entries: [Entry; 1 << LOOKUP_BITS],
    /// Symbols in the order of their codes.
    symbols: [u8; 256],
    /// For each length, the first 16 bits beyond the last code of up to that length.
    limits: [u32; 17],
    /// For each length, what to subtract from the code, aligned right, for its symbol's position.
    offsets: [i32; 17],
    /// The counts and symbols that it was made of: the same again need not be built again.
    counts: [u8; 16],
    used: usize,
}

impl Table {
    /// A table without codes.
    pub(crate) fn empty() -> Table {
        Table {
            entries: [Entry::UNKNOWN; 1 << LOOKUP_BITS],
            symbols: [0; 256],
            limits: [0; 17],
            offsets: [0; 17],
            counts: [0; 16],
            used: 0,
        }
    }

    /// Makes the table of a segment's counts (codes of each length) and symbols. Those of mean values are sizes, all others
    /// a run and a size.
    pub(crate) fn build(&mut self, counts: &[u8; 16], symbols: &[u8], mean: bool) -> Result<(), Error> {
        const SEGMENT: &str = "a huffman table";
        if self.counts == *counts && self.symbols[..self.used] == *symbols {
            return Ok(());
        }
        if mean && let Some(&size) = symbols.iter().find(|&&s| s > 15) {
            return Err(Error::Field { segment: SEGMENT, expected: "sizes of at most 15 bits", found: size.into() });
        }
        self.used = 0;
        self.counts = *counts;
        self.entries.fill(Entry::UNKNOWN);
        self.symbols[..symbols.len()].copy_from_slice(symbols);
        let (mut code, mut position) = (0u32, 0usize);
        for length in 1..=16 {
            self.offsets[length] = position as i32 - code as i32;
            for _ in 0..counts[length - 1] {
                if code >> length != 0 {
                    return Err(Error::Field { segment: SEGMENT, expected: "fewer codes of a length", found: length });
                }
                if length as u32 <= LOOKUP_BITS {
                    let spare = LOOKUP_BITS - length as u32;
                    let entry = Entry::new(symbols[position], length as u32, mean);
                    self.entries[(code << spare) as usize..][..1 << spare].fill(entry);
                }
                code += 1;
                position += 1;
            }
            self.limits[length] = code << (16 - length);
            code <<= 1;
        }
        let single = self.entries;
        for (bits, entry) in self.entries.iter_mut().enumerate() {
            *entry = entry.completed(bits as u32, &single, mean);
        }
        self.used = symbols.len();
        Ok(())
    }

    /// The entry of the bits ahead.
    #[inline(always)]
    pub(crate) fn entry(&self, bits: &Bits) -> Entry {
        self.entries[(bits.window >> (64 - LOOKUP_BITS)) as usize]
    }

    /// The symbol of a special entry, its code taken from the bits. At least 16 bits must be there.
    #[inline(always)]
    pub(crate) fn symbol(&self, bits: &mut Bits, entry: Entry) -> Result<u8, Error> {
        if entry.bits() != 0 {
            bits.skip(entry.bits());
            return Ok((entry.0 >> 8) as u8);
        }
        let (symbol, length) = self.long_symbol(bits.window)?;
        bits.skip(length);
        Ok(symbol)
    }

    /// The symbol and the length of a code that is longer than the lookup. By value, so that nobody's bits need an address.
    #[cold]
    #[inline(never)]
    fn long_symbol(&self, window: u64) -> Result<(u8, u32), Error> {
        let ahead = (window >> 48) as u32;
        for length in LOOKUP_BITS as usize + 1..=16 {
            if ahead < self.limits[length] {
                let position = (ahead >> (16 - length)) as i32 + self.offsets[length];
                let symbol = self.symbols.get(position as usize).copied().ok_or(Error::BadCode)?;
                return Ok((symbol, length as u32));
            }
        }
        Err(Error::BadCode)
    }

    /// By how much the next mean value differs. At least 31 bits must be there.
    #[inline(always)]
    pub(crate) fn mean_difference(&self, bits: &mut Bits) -> Result<i32, Error> {
        let entry = self.entry(bits);
        if !entry.is_special() {
            let value = entry.value_or_zero(bits);
            entry.pass_first(bits);
            return Ok(value);
        }
        let size = u32::from(self.symbol(bits, entry)?);
        Ok(if size == 0 { 0 } else { extend(bits.take(size), size) })
    }
}

/// The signed value that `size` bits stand for, 1 to 16: the lower half of them is negative.
#[inline(always)]
pub(crate) fn extend(bits: u32, size: u32) -> i32 {
    let negative = (bits >> (size - 1)) as i32 - 1;
    bits as i32 + (negative & (1 - (1 << size)))
}

/// Bits of a piece of a scan, the first one highest.
///
/// Loops over symbols work on a copy, which can live in registers, and put that back when they are done.
#[derive(Clone)]
pub(crate) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
    /// The bits ahead, aligned left.
    pub(crate) window: u64,
    /// How many of them are there.
    count: u32,
}

impl<'a> Bits<'a> {
    /// The bits of `bytes[start..end]`, with zeros behind them.
    pub(crate) fn new(bytes: &'a [u8], (start, end): (usize, usize)) -> Bits<'a> {
        Bits { bytes, at: start, end, window: 0, count: 0 }
    }

    /// Makes at least 56 bits available.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if let Some(word) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.window |= u64::from_be_bytes(*word) >> self.count;
            self.at += ((63 - self.count) >> 3) as usize;
            self.count |= 56;
        } else {
            // Far beyond the end, which `is_overrun` tells.
            self.at += 8;
            self.count = 56;
        }
    }

    /// Passes over bits, fewer than 64, that are there.
    #[inline(always)]
    pub(crate) fn skip(&mut self, bits: u32) {
        self.window <<= bits & 63;
        self.count = self.count.wrapping_sub(bits);
    }

    /// Takes 1 to 16 bits that are there.
    #[inline(always)]
    pub(crate) fn take(&mut self, bits: u32) -> u32 {
        let value = (self.window >> 32) as u32 >> (32 - bits);
        self.skip(bits);
        value
    }

    /// The next bit, wherever it comes from.
    #[inline(always)]
    pub(crate) fn bit(&mut self) -> u32 {
        if self.count == 0 {
            self.refill();
        }
        self.take(1)
    }

    /// Whether more bits were taken than there are.
    pub(crate) fn is_overrun(&self) -> bool {
        8 * self.at > 8 * self.end + self.count as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_extend_as_the_standard_says() {
        assert_eq!((extend(0, 1), extend(1, 1)), (-1, 1));
        assert_eq!((extend(0, 3), extend(3, 3), extend(4, 3), extend(7, 3)), (-7, -4, 4, 7));
        assert_eq!((extend(0, 15), extend(0x7fff, 15)), (-32767, 32767));
    }

    #[test]
    fn short_and_long_codes_give_their_symbols() {
        // Lengths 1, 2, …, 12: 0, 10, 110, … with sizes in turn.
        let mut counts = [0; 16];
        counts[..12].fill(1);
        let symbols: Vec<u8> = (0..12).collect();
        let mut table = Table::empty();
        table.build(&counts, &symbols, true).expect("a table");
        let mut bytes = vec![0b0101_1100, 0b0111_1111, 0b1111_0101, 0b0101_1010];
        bytes.extend([0; 16]);
        let mut bits = Bits::new(&bytes, (0, 4));
        bits.refill();
        assert_eq!(table.mean_difference(&mut bits), Ok(0));
        assert_eq!(table.mean_difference(&mut bits), Ok(1));
        assert_eq!(table.mean_difference(&mut bits), Ok(-3));
        assert_eq!(table.mean_difference(&mut bits), Ok(0b101_0101_1010));
        assert!(!bits.is_overrun());
        bits.skip(1);
        assert!(bits.is_overrun());
        let mut bits = Bits::new(&[0xff; 24], (0, 8));
        bits.refill();
        assert_eq!(table.mean_difference(&mut bits), Err(Error::BadCode));
    }

    #[test]
    fn too_many_codes_are_refused() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::empty().build(&counts, &[1, 2, 3], false).is_err());
    }
}
