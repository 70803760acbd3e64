//! Reading what Pillow says.

use std::path::PathBuf;

use safetensors::SafeTensors;

/// The bytes of `golden/<name>/case.safetensors`.
pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../golden").join(name).join("case.safetensors");
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The picture `[h, w, 3]` called `name`, if there is one.
pub(crate) fn picture(case: &SafeTensors, name: &str) -> Option<data::Image> {
    let tensor = case.tensor(name).ok()?;
    let &[height, width, 3] = tensor.shape() else { panic!("{name}: shape {:?}", tensor.shape()) };
    Some(data::Image { width, height, rgb: tensor.data().to_vec() })
}

/// The largest difference, and where it is.
pub(crate) fn worst(ours: &data::Image, theirs: &data::Image) -> (u8, String) {
    assert_eq!((ours.width, ours.height), (theirs.width, theirs.height), "columns and rows");
    let differences = ours.rgb.iter().zip(&theirs.rgb).map(|(a, b)| a.abs_diff(*b));
    let (at, worst) = differences.enumerate().max_by_key(|(_, d)| *d).expect("a pixel");
    let (y, x, c) = (at / (3 * ours.width), at / 3 % ours.width, at % 3);
    (worst, format!("row {y}, column {x}, channel {c}: {} where Pillow has {}", ours.rgb[at], theirs.rgb[at]))
}
