//! Images of the same pixels.

use super::look::Digest;
use super::{Detail, Finding, Kind, Place};
use crate::{Dataset, Split};

/// Digests and places of all decoded images: 24 bytes an image. Sorted by digest, then by place.
pub(super) fn findings(dataset: &Dataset, digests: &mut [(Digest, Place)]) -> Vec<Finding> {
    digests.sort_unstable();
    let mut found = Vec::new();
    for group in digests.chunk_by(|(a, _), (b, _)| a == b).filter(|group| group.len() > 1) {
        of_group(dataset, group, &mut found);
    }
    found
}

/// Places of images of the same pixels, sorted, so that those of training come first.
fn of_group(dataset: &Dataset, group: &[(Digest, Place)], found: &mut Vec<Finding>) {
    let label = |place: Place| dataset.split(place.split).label(place.index as usize);
    let first = group[0].1;
    let other = group.iter().map(|&(_, place)| place).find(|&place| label(place) != label(first));
    let validation = group.iter().map(|&(_, place)| place).find(|place| place.split == Split::Val);
    let mut firsts = [None; 2];
    for &(_, place) in group {
        let earlier = *firsts[place.split as usize].get_or_insert(place);
        let (kind, like) = match (other, validation) {
            (Some(other), _) => (Kind::DuplicateOtherLabel, if label(place) == label(first) { other } else { first }),
            (None, Some(validation)) if place.split == Split::Train => (Kind::DuplicateAcrossSplits, validation),
            _ if earlier != place => (Kind::Duplicate, earlier),
            _ => continue,
        };
        found.push(Finding { kind, place, detail: Detail::Same { like } });
    }
}
