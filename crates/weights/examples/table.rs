//! Writes a table of made-up features for measurements: `table FILE.safetensors ROWS WIDTH f16|f32`. Rows are called 0, 1, …; as
//! behind a ReLU, about three values in four are zero and the others are up to 8.

use std::collections::BTreeMap;
use std::path::Path;

use weights::features::{Format, Values, Writer};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, rows, width, values] = arguments.as_slice() else { panic!("table FILE.safetensors ROWS WIDTH f16|f32") };
    let (rows, width): (usize, usize) = (rows.parse().expect("a number of rows"), width.parse().expect("a width"));
    let values = if values == "f16" { Values::F16 } else { Values::F32 };
    let text = [("format", "alexnet features 1"), ("net", "none"), ("layer", "none"), ("digest", ""), ("weights", "")];
    let more = [("precision", "f32"), ("exif_rotation", "true"), ("folder", "/")];
    let text: BTreeMap<String, String> =
        text.iter().chain(&more).map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let mut writer = Writer::new(Path::new(path), Format::Safetensors, values, &[width], text).expect("a place for the file");
    // xorshift64* (Vigna, 2014)
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut row = vec![0.0; width];
    for index in 0..rows {
        for value in &mut row {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let bits = (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40) as f32 / (1 << 21) as f32;
            *value = if state & 3 == 0 { bits } else { 0.0 };
        }
        writer.push(&index.to_string(), &row).expect("room on the disk");
    }
    writer.finish().expect("room on the disk");
}
