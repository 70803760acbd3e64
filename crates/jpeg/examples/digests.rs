//! Prints a checksum of the pixels of each file that it is given, at each scale, to be compared with another decoder's:
//! `digests FILE…` against `bench/peers/jpeg_digests.py FILE…`.

use std::collections::hash_map::Entry;

use jpeg::{Decoder, Header, Region, Scale};

fn main() {
    let mut decoder = Decoder::default();
    let mut rgb = Vec::new();
    let table = crc_table();
    let mut failures = std::collections::HashMap::new();
    for file in std::env::args().skip(1) {
        let bytes = std::fs::read(&file).expect("a readable file");
        let side = Header::parse(&bytes).map_or(usize::MAX, |header| header.width.min(header.height).into());
        for (name, scale) in [1, 2, 4, 8].into_iter().zip(Scale::ALL) {
            if side < name {
                // Pillow would scale less.
                continue;
            }
            let outcome = Header::parse(&bytes).and_then(|header| {
                let (width, height) = scale.size(header.width, header.height);
                decoder.decode(&bytes, scale, Region::whole(width, height), &mut rgb)?;
                Ok((width, height))
            });
            match outcome {
                Ok((width, height)) => println!("{file} 1/{name} {width}x{height} {:08x}", crc(&table, &rgb)),
                Err(error) => {
                    println!("{file} 1/{name} no picture");
                    if let Entry::Vacant(place) = failures.entry(file.clone()) {
                        eprintln!("{file}: {error}");
                        place.insert(());
                    }
                }
            }
        }
    }
}

/// CRC-32 as zlib has it.
fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &b| table[(crc as u8 ^ b) as usize] ^ (crc >> 8))
}

fn crc_table() -> [u32; 256] {
    std::array::from_fn(|i| (0..8).fold(i as u32, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 }))
}
