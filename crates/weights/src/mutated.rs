//! Files damaged by chance, for tests.

use net::random::{Purpose, Stream};

/// The `case`th damaged form of a file: one to six changes of single bits and bytes, numbers overwritten by extreme ones, pieces
/// moved, left out or doubled, an early end.
pub(crate) fn mutated(bytes: &[u8], case: u32) -> Vec<u8> {
    let random = Stream::new(2, Purpose::Test, 0, 0, case);
    let mut bytes = bytes.to_vec();
    for change in 0..1 + random.below(0, 6) {
        let at = |element: u32, length: usize| random.below(1 + 8 * change + element, length.max(1) as u32) as usize;
        if bytes.is_empty() {
            break;
        }
        let (from, to) = (at(0, bytes.len()), at(1, bytes.len()));
        let piece = bytes[from..(from + 1 + at(2, 40)).min(bytes.len())].to_vec();
        match at(3, 8) {
            0 => bytes[from] = at(4, 256) as u8,
            1 | 2 => bytes[from] ^= 1 << at(4, 8),
            3 => {
                let extreme = [[0; 8], [0xff; 8], 0x7fff_ffff_ffff_ffffu64.to_le_bytes(), (1u64 << 40).to_le_bytes()][at(4, 4)];
                let end = (from + [2, 4, 8][at(5, 3)]).min(bytes.len());
                bytes[from..end].copy_from_slice(&extreme[..end - from]);
            }
            4 => drop(bytes.splice(to..(to + piece.len()).min(bytes.len()), piece)),
            5 => drop(bytes.splice(to..to, piece)),
            6 => drop(bytes.drain(from..from + piece.len())),
            _ if at(4, 4) == 0 => bytes.truncate(from),
            _ => bytes[from] = bytes[from].wrapping_add(1),
        }
    }
    // A file of no bytes is another matter.
    if bytes.is_empty() { vec![0] } else { bytes }
}
