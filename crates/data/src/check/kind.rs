//! What a check can find, and what it means for training.

use std::fmt;
use std::str::FromStr;

/// What can be wrong with an image, or worth knowing about it; faults come first, the worst at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The same pixels as an image with another label: at most one of the two is right, and none says which.
    DuplicateOtherLabel,
    /// The file cannot be opened or read.
    Unreadable,
    /// The file is no image of a known format, or a damaged one.
    Undecodable,
    /// The file ends before the image does.
    Truncated,
    /// A training image with the same pixels as a validation image.
    DuplicateAcrossSplits,
    /// The same pixels as an earlier image of the same split and label.
    Duplicate,
    /// Almost no variation: luma's standard deviation is below [`super::LEAST_DEVIATION`], or one colour has
    /// [`super::MOST_OF_ONE_COLOUR_PERMILLE`] of the pixels.
    NearEmpty,
    /// A JPEG of four components: CMYK or YCCK.
    Cmyk,
    /// The name's extension is another format's.
    Misnamed,
    /// One component, or three that are equal in every pixel.
    Grey,
    /// A camera's note says that the stored picture is turned or mirrored.
    Rotated,
    /// The shorter side is below [`super::TINY_SIDE`].
    Tiny,
    /// More than [`super::HUGE_PIXELS`] pixels.
    Huge,
    /// One side is more than [`super::EXTREME_ASPECT`] times the other.
    ExtremeAspect,
}

/// What is to be said about a kind.
struct Entry {
    kind: Kind,
    name: &'static str,
    is_fault: bool,
    training: &'static str,
}

const STOPS: &str = "training stops there; `--bad-images skip` goes on without it";

/// In the order of [`Kind`].
const TABLE: [Entry; 14] = [
    fault(Kind::DuplicateOtherLabel, "duplicate-other-label", "training learns two labels for the same pixels"),
    fault(Kind::Unreadable, "unreadable", STOPS),
    fault(Kind::Undecodable, "undecodable", STOPS),
    fault(Kind::Truncated, "truncated", STOPS),
    remark(
        Kind::DuplicateAcrossSplits,
        "duplicate-across-splits",
        "training learns what it is validated on: errors come out too low",
    ),
    remark(Kind::Duplicate, "duplicate", "training sees it more often than others, validation counts it more than once"),
    remark(Kind::NearEmpty, "near-empty", "training learns its label all the same"),
    remark(Kind::Cmyk, "cmyk", "it is converted to RGB, as Pillow does"),
    remark(Kind::Misnamed, "misnamed", "it is read: a format is known by content"),
    remark(Kind::Grey, "grey", "it is given three equal channels"),
    remark(Kind::Rotated, "rotated", "it is turned upright; with --no-exif-rotation it stays as stored"),
    remark(Kind::Tiny, "tiny", "it is enlarged to the recipe's `stored`"),
    remark(Kind::Huge, "huge", "it is shrunk, and takes long to decode in every epoch"),
    remark(Kind::ExtremeAspect, "extreme-aspect", "the recipe's `fit` crops most of it away, or warps it"),
];

const fn fault(kind: Kind, name: &'static str, training: &'static str) -> Entry {
    Entry { kind, name, is_fault: true, training }
}

const fn remark(kind: Kind, name: &'static str, training: &'static str) -> Entry {
    Entry { kind, name, is_fault: false, training }
}

impl Kind {
    /// All kinds, in order.
    pub fn all() -> impl Iterator<Item = Kind> {
        TABLE.iter().map(|entry| entry.kind)
    }

    fn entry(self) -> &'static Entry {
        &TABLE[self as usize]
    }

    /// Its name in reports and lists: `duplicate-other-label`. Names do not change.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether it makes training fail or teaches something false; else it is a remark.
    pub fn is_fault(self) -> bool {
        self.entry().is_fault
    }

    /// What training does with such an image, in words.
    pub fn training(self) -> &'static str {
        self.entry().training
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Kind, String> {
        Kind::all().find(|kind| kind.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Kind::all().map(Kind::name).collect();
            format!("`{text}` is none of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_kinds_order_and_faults_come_first() {
        for (number, kind) in Kind::all().enumerate() {
            assert_eq!(kind as usize, number, "{kind}");
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!(Kind::all().map(Kind::is_fault).is_sorted_by(|a, b| a >= b));
        assert!("grey ".parse::<Kind>().expect_err("no kind").contains("is none of duplicate-other-label"));
    }
}
