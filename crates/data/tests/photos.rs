//! Real photographs, where they are at hand: every one of them is decoded.

mod skip;

use std::ops::ControlFlow::Continue;
use std::path::{Path, PathBuf};
use std::process::Command;

use data::check::{self, Kind};
use data::{BadImages, OpenOptions, Preprocessing, Statistics};

/// The folder of 1000 photos, unpacked beside the build's output once.
fn photos() -> Result<PathBuf, String> {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/imagenet-samples.tar");
    if !archive.is_file() {
        return Err(format!("{} is not here", archive.display()));
    }
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = place.join("imagenet-samples");
    if !folder.join("complete").is_file() {
        let status = Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(place).status();
        match status {
            Ok(status) if status.success() => std::fs::write(folder.join("complete"), "").map_err(|e| e.to_string())?,
            Ok(status) => return Err(format!("tar ended with {status}")),
            Err(error) => return Err(format!("tar cannot run: {error}")),
        }
    }
    Ok(folder)
}

#[test]
fn a_thousand_photos_are_read_and_none_is_bad() {
    let folder = match photos() {
        Ok(folder) => folder,
        Err(reason) => return skip::skip(&reason),
    };
    let dataset = data::open(&folder, &OpenOptions::default()).expect("class folders");
    assert_eq!((dataset.classes.len(), dataset.train.len(), dataset.val.len()), (1000, 1000, 0));
    let p = Preprocessing { stored: 64, ..Preprocessing::default() };
    let (statistics, bad) =
        Statistics::compute(&*dataset.train, &p, 2, BadImages::Report, &mut |_, _| Continue(())).expect("a thousand good photos");
    assert!(bad.is_empty());
    assert_eq!(statistics.images, 1000);
    // The means of ILSVRC-2012 are 123.7, 116.3 and 103.5 with a standard deviation of an image's mean of about 30.
    for (mean, known) in statistics.mean.iter().zip([123.7, 116.3, 103.5]) {
        assert!((mean - known).abs() < 5.0 * 30.0 / 1000f32.sqrt(), "{:?}", statistics.mean);
    }
    let report = check::run(&dataset, 2, &mut |_, _| Continue(())).expect("a report");
    let found: Vec<(Kind, usize)> =
        Kind::all().map(|kind| (kind, report.of_kind(kind).len())).filter(|(_, images)| *images > 0).collect();
    // As Pillow says; the shorter sides too.
    assert_eq!(found, [(Kind::Grey, 23), (Kind::Rotated, 1)]);
    assert_eq!(report.sides(), Some([56, 374, 1600]));
}
