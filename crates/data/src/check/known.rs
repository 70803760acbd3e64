//! The files of ILSVRC2012's training images that are known to be unlike the others.

use super::Kind;

/// A PNG whose name ends in `.JPEG`.
const MISNAMED: [&str; 1] = ["n02105855_2933"];

/// JPEGs in CMYK.
const CMYK: [&str; 22] = [
    "n01739381_1309",
    "n02077923_14822",
    "n02447366_23489",
    "n02492035_15739",
    "n02747177_10752",
    "n03018349_4028",
    "n03062245_4620",
    "n03347037_9675",
    "n03467068_12171",
    "n03529860_11437",
    "n03544143_17228",
    "n03633091_5218",
    "n03710637_5125",
    "n03961711_5286",
    "n04033995_2932",
    "n04258138_17003",
    "n04264628_27969",
    "n04336792_7448",
    "n04371774_5854",
    "n04596742_4225",
    "n07583066_647",
    "n13037406_4650",
];

/// The names, without folder and extension, of the files that are known to be of a kind; sorted.
pub(super) fn names(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Misnamed => &MISNAMED,
        Kind::Cmyk => &CMYK,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_differ() {
        for kind in Kind::all() {
            assert!(names(kind).is_sorted_by(|a, b| a < b), "{kind}");
        }
    }
}
