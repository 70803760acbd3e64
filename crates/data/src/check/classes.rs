//! What a check finds about classes.

use super::Place;
use crate::{Dataset, Split};

/// More training images in the largest class than this many times those of the smallest are an imbalance.
const IMBALANCE: u64 = 100;

/// Something found about a class; images with a fault are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClassFinding {
    /// No training image is left.
    Empty {
        /// The class.
        class: u32,
        /// Training images with a fault.
        faulty: u64,
    },
    /// A single training image is left.
    OneImage {
        /// The class.
        class: u32,
    },
    /// The largest class has more than a hundred times as many training images as the smallest that has any.
    Imbalance {
        /// The largest, the first of equals.
        largest: u32,
        /// Its training images.
        most: u64,
        /// The smallest, the first of equals.
        smallest: u32,
        /// Its training images.
        least: u64,
    },
}

/// Of all classes, `faulty` being the places with a fault, in no order and possibly more than once.
pub(super) fn findings(dataset: &Dataset, faulty: impl Iterator<Item = Place>) -> Vec<ClassFinding> {
    let mut listed = vec![0u64; dataset.classes.len()];
    (0..dataset.train.len()).for_each(|index| listed[dataset.train.label(index) as usize] += 1);
    let mut places: Vec<u32> = faulty.filter(|place| place.split == Split::Train).map(|place| place.index).collect();
    places.sort_unstable();
    places.dedup();
    let mut left = listed.clone();
    places.iter().for_each(|&index| left[dataset.train.label(index as usize) as usize] -= 1);
    let numbered = || (0u32..).zip(left.iter().copied());
    let empty = numbered().filter(|&(_, images)| images == 0);
    let mut found: Vec<_> = empty.map(|(class, _)| ClassFinding::Empty { class, faulty: listed[class as usize] }).collect();
    found.extend(numbered().filter(|&(_, images)| images == 1).map(|(class, _)| ClassFinding::OneImage { class }));
    let smallest = numbered().filter(|&(_, images)| images > 0).min_by_key(|&(class, images)| (images, class));
    let largest = numbered().max_by_key(|&(class, images)| (images, std::cmp::Reverse(class)));
    if let (Some((smallest, least)), Some((largest, most))) = (smallest, largest)
        && most > IMBALANCE * least
    {
        found.push(ClassFinding::Imbalance { largest, most, smallest, least });
    }
    found
}

impl ClassFinding {
    /// The names of all kinds of findings about classes, in the order of reports.
    pub const NAMES: [&str; 3] = ["empty-class", "one-image-class", "imbalance"];

    /// Its name in reports, one of [`ClassFinding::NAMES`]; names do not change.
    pub fn name(self) -> &'static str {
        ClassFinding::NAMES[match self {
            ClassFinding::Empty { .. } => 0,
            ClassFinding::OneImage { .. } => 1,
            ClassFinding::Imbalance { .. } => 2,
        }]
    }

    /// Whether there is nothing to learn from; else it is a remark.
    pub fn is_fault(self) -> bool {
        matches!(self, ClassFinding::Empty { .. })
    }

    /// In words: ``class `cat` has one training image``.
    pub fn text(self, classes: &[String]) -> String {
        let class = |class: u32| format!("`{}`", classes[class as usize]);
        match self {
            ClassFinding::Empty { class: empty, faulty: 0 } => format!("class {} has no training images", class(empty)),
            ClassFinding::Empty { class: empty, faulty: 1 } => {
                format!("the only training image of class {} has a fault", class(empty))
            }
            ClassFinding::Empty { class: empty, faulty } => {
                format!("all {faulty} training images of class {} have faults", class(empty))
            }
            ClassFinding::OneImage { class: one } => format!("class {} has one training image", class(one)),
            ClassFinding::Imbalance { largest, most, smallest, least } => {
                format!("class {} has {most} training images, class {} has {least}", class(largest), class(smallest))
            }
        }
    }
}
