//! A data set's images, all of them decoded and looked at.
//!
//! [`run`] reads training and validation on any number of threads and reports the same for each number. An image is found
//! for what it is alone (undecodable, grey, tiny, …) and for what it shares with others: duplicates are images whose decoded
//! size and pixels have the same BLAKE3 digest, cut to 128 bits.
//!
//! Memory: 24 bytes for each image, 40 for each finding and the text of its reason where a decoder gave one, and one file
//! and one decoded image for each thread.

mod classes;
mod duplicates;
mod kind;
mod known;
mod look;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, SyncSender};

pub use classes::ClassFinding;
pub use kind::Kind;

use crate::decode::probe::Colour;
use crate::quarantine::relative_name;
use crate::{Dataset, Error, Format, Result, Split, workers};
use look::{Digest, Look};

/// An image whose luma deviates by less than this many levels (of 255) is [`Kind::NearEmpty`].
pub const LEAST_DEVIATION: u64 = 2;
/// So is one of whose pixels this many in a thousand have one colour.
pub const MOST_OF_ONE_COLOUR_PERMILLE: u64 = 995;
/// An image whose shorter side has fewer pixels is [`Kind::Tiny`]: stored at 256, it is enlarged more than eightfold.
pub const TINY_SIDE: u32 = 32;
/// An image of more pixels is [`Kind::Huge`].
pub const HUGE_PIXELS: u64 = 25_000_000;
/// An image with one side longer than this many times the other is [`Kind::ExtremeAspect`].
pub const EXTREME_ASPECT: u32 = 10;

/// Which image of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The part it belongs to.
    pub split: Split,
    /// Its index there.
    pub index: u32,
}

/// Something found about one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Of which image.
    pub place: Place,
    /// More about it.
    pub detail: Detail,
}

/// What a finding is more exactly.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Detail {
    /// What the decoder or the system said.
    Reason(Box<str>),
    /// Another image has the same pixels.
    Same {
        /// That image.
        like: Place,
    },
    /// How colours are stored.
    Colour(Colour),
    /// Three components that are equal in every pixel.
    EqualChannels,
    /// The format that the content is of.
    Format(Format),
    /// The orientation that the file states, 2 to 8.
    Orientation(u8),
    /// The size as decoded.
    Size {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The standard deviation of luma, in levels.
    Deviation {
        /// 0 to 255.
        luma: f32,
    },
    /// One colour has almost all pixels.
    OneColour {
        /// That colour.
        rgb: [u8; 3],
        /// Its share of the pixels.
        share: f32,
    },
}

/// All that a check found.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Training images.
    pub train: u64,
    /// Validation images.
    pub val: u64,
    /// Images that could be decoded.
    pub decoded: u64,
    /// Bytes of the encoded files.
    pub bytes: u64,
    /// Images by the name of their format, `pixels` where a source keeps no files, `unknown` where none is recognised.
    pub formats: BTreeMap<&'static str, u64>,
    /// Decoded images by their shorter side in pixels.
    pub shorter_sides: BTreeMap<u32, u64>,
    /// Sorted by kind, then by place.
    pub findings: Vec<Finding>,
    /// About classes; empty ones first.
    pub classes: Vec<ClassFinding>,
}

/// Decodes and looks at every image of `dataset` on `threads` threads; the report does not depend on how many. `progress`
/// hears of (images done, images in all) and may break it off.
///
/// # Errors
/// Where there are no images, where `progress` broke it off, and where a source fails in another way than at an image.
pub fn run(dataset: &Dataset, threads: usize, progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>) -> Result<Report> {
    let total = dataset.train.len() + dataset.val.len();
    if total == 0 {
        return Err(Error::Empty { purpose: "check" });
    }
    let next = AtomicUsize::new(0);
    let mut gathered = Gathered { digests: Vec::with_capacity(total), report: Report::of(dataset) };
    std::thread::scope(|scope| {
        // Short, so that findings do not pile up where progress is slow.
        let (sender, looks) = mpsc::sync_channel(4 * threads.max(1));
        workers::start(scope, threads.min(total), || {
            let (sender, next) = (sender.clone(), &next);
            move || look_at_all(dataset, next, sender)
        })?;
        drop(sender);
        // On an early return the receiver is dropped, and with it every thread's wish to go on.
        for (done, look) in (1..).zip(looks) {
            let (place, look) = look?;
            gathered.add(place, look);
            if progress(done, total).is_break() {
                return Err(Error::Stopped { done, images: total });
            }
        }
        Ok(())
    })?;
    Ok(gathered.finish(dataset))
}

/// Claimed at once, and announced to the source.
const BLOCK: usize = 16;

/// Looks at blocks of images until none is left or nobody listens.
fn look_at_all(dataset: &Dataset, next: &AtomicUsize, looks: SyncSender<Result<(Place, Look)>>) {
    let train = dataset.train.len();
    let total = train + dataset.val.len();
    let mut buffer = Vec::new();
    loop {
        let begin = next.fetch_add(BLOCK, Ordering::Relaxed).min(total);
        let end = (begin + BLOCK).min(total);
        if begin == end {
            return;
        }
        let parts: [(Split, Range<usize>); 2] =
            [(Split::Train, begin.min(train)..end.min(train)), (Split::Val, begin.max(train) - train..end.max(train) - train)];
        for (split, range) in parts {
            let (source, indices): (_, Vec<u32>) = (dataset.split(split), range.map(|index| index as u32).collect());
            source.announce(&indices);
            for index in indices {
                let look = look::at(source, index as usize, &mut buffer).map(|look| (Place { split, index }, look));
                if looks.send(look).is_err() {
                    return;
                }
            }
        }
    }
}

/// What is known while images are being looked at, in any order.
struct Gathered {
    digests: Vec<(Digest, Place)>,
    report: Report,
}

impl Gathered {
    fn add(&mut self, place: Place, look: Look) {
        let Look { format, is_pixels, bytes, pixels, findings } = look;
        let report = &mut self.report;
        let format = if is_pixels { "pixels" } else { format.map_or("unknown", Format::name) };
        *report.formats.entry(format).or_default() += 1;
        report.bytes += bytes;
        if let Some(pixels) = pixels {
            report.decoded += 1;
            *report.shorter_sides.entry(pixels.shorter_side).or_default() += 1;
            self.digests.push((pixels.digest, place));
        }
        report.findings.extend(findings.into_iter().map(|(kind, detail)| Finding { kind, place, detail }));
    }

    fn finish(self, dataset: &Dataset) -> Report {
        let Gathered { mut digests, mut report } = self;
        report.findings.extend(duplicates::findings(dataset, &mut digests));
        report.findings.sort_by_key(|finding| (finding.kind, finding.place));
        let faulty = report.findings.iter().filter(|finding| finding.kind.is_fault()).map(|finding| finding.place);
        report.classes = classes::findings(dataset, faulty);
        report
    }
}

impl Report {
    fn of(dataset: &Dataset) -> Report {
        Report {
            train: dataset.train.len() as u64,
            val: dataset.val.len() as u64,
            decoded: 0,
            bytes: 0,
            formats: BTreeMap::new(),
            shorter_sides: BTreeMap::new(),
            findings: Vec::new(),
            classes: Vec::new(),
        }
    }

    /// The findings of one kind, by place.
    pub fn of_kind(&self, kind: Kind) -> &[Finding] {
        let begin = self.findings.partition_point(|finding| finding.kind < kind);
        let end = self.findings.partition_point(|finding| finding.kind <= kind);
        &self.findings[begin..end]
    }

    /// Images with a fault.
    pub fn faulty_images(&self) -> u64 {
        let mut places: Vec<Place> =
            self.findings.iter().filter(|finding| finding.kind.is_fault()).map(|finding| finding.place).collect();
        places.sort_unstable();
        places.dedup();
        places.len() as u64
    }

    /// Classes with a fault.
    pub fn faulty_classes(&self) -> u64 {
        self.classes.iter().filter(|finding| finding.is_fault()).count() as u64
    }

    /// Minimum, median (the lower of two) and maximum of decoded images' shorter sides; `None` where there is none.
    pub fn sides(&self) -> Option<[u32; 3]> {
        let mut before = 0;
        let median = self.shorter_sides.iter().find(|&(_, images)| {
            before += images;
            2 * before >= self.decoded
        });
        let [min, max] = [self.shorter_sides.first_key_value(), self.shorter_sides.last_key_value()];
        Some([*min?.0, *median?.0, *max?.0])
    }

    /// How many findings of a kind are files of ILSVRC2012 that are known to be of it, and how many such files there are;
    /// `None` where not one of them was found.
    pub fn known(&self, kind: Kind, dataset: &Dataset) -> Option<(u64, u64)> {
        let found = self.of_kind(kind).iter().filter(|finding| finding.is_known(dataset)).count() as u64;
        (found > 0).then(|| (found, known::names(kind).len() as u64))
    }
}

impl Finding {
    /// The image's path within the data set that was opened at `root`, as it stands in a [`crate::Quarantine`].
    pub fn name(&self, dataset: &Dataset, root: Option<&Path>) -> String {
        name(self.place, dataset, root).into_owned()
    }

    /// The image's class.
    pub fn class<'a>(&self, dataset: &'a Dataset) -> &'a str {
        class(self.place, dataset)
    }

    /// Whether this is a file of ILSVRC2012 that is known to be of this kind.
    pub fn is_known(&self, dataset: &Dataset) -> bool {
        let known = known::names(self.kind);
        !known.is_empty() && {
            let name = dataset.split(self.place.split).name(self.place.index as usize);
            let stem = Path::new(&*name).file_stem().map(|stem| stem.to_string_lossy());
            stem.is_some_and(|stem| known.binary_search(&&*stem).is_ok())
        }
    }

    /// The detail in words: `1 × 1 pixels`, `same pixels as train/cat/7.jpg`.
    pub fn text(&self, dataset: &Dataset, root: Option<&Path>) -> String {
        match &self.detail {
            Detail::Reason(reason) => reason.lines().collect::<Vec<_>>().join(" "),
            Detail::Same { like } => {
                let same = format!("same pixels as {}", name(*like, dataset, root));
                let (own, other) = (self.class(dataset), class(*like, dataset));
                if own == other { same } else { format!("{same}, which is `{other}`; this is `{own}`") }
            }
            Detail::Colour(Colour::Grey) => "one component".into(),
            Detail::Colour(colour) => format!("{colour:?}").to_uppercase(),
            Detail::EqualChannels => "three components, all equal".into(),
            Detail::Format(format) => format!("the content is {}", format.name()),
            Detail::Orientation(orientation) => format!("orientation {orientation}"),
            Detail::Size { width, height } => format!("{width} × {height} pixels"),
            Detail::Deviation { luma } => format!("luma deviates by {luma:.2} levels"),
            Detail::OneColour { rgb: [r, g, b], share } => {
                format!("#{r:02x}{g:02x}{b:02x} has {:.2} % of the pixels", 100.0 * share)
            }
        }
    }
}

fn name<'a>(place: Place, dataset: &'a Dataset, root: Option<&Path>) -> Cow<'a, str> {
    relative_name(dataset.split(place.split).name(place.index as usize), root)
}

fn class(place: Place, dataset: &Dataset) -> &str {
    &dataset.classes[dataset.split(place.split).label(place.index as usize) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_and_a_finding_take_as_much_memory_as_is_said() {
        assert_eq!((size_of::<(Digest, Place)>(), size_of::<Finding>()), (24, 40));
    }
}
