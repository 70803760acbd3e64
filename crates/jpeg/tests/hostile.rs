//! Files that are damaged, cut off or made to mislead: errors, never panics, and no more memory than was agreed to.

mod case;

use jpeg::{Decoder, Error, Header, Region, Scale};
use proptest::prelude::*;

/// Decodes if the header claims no more than a small picture, as a caller would.
fn decode(file: &[u8], scale: Scale, rgb: &mut Vec<u8>) -> Result<(), Error> {
    let header = Header::parse(file)?;
    let (width, height) = scale.size(header.width, header.height);
    if usize::from(header.width) * usize::from(header.height) > 1 << 20 {
        return Ok(());
    }
    // A middle part, so that blocks and rows are passed over.
    let region = Region { x: width / 3, y: height / 3, width: width.div_ceil(3), height: height.div_ceil(3) };
    Decoder::default().decode(file, scale, region, rgb)?;
    assert_eq!(rgb.len(), 3 * region.width * region.height);
    Decoder::default().decode(file, scale, Region::whole(width, height), rgb)
}

fn scale() -> impl Strategy<Value = Scale> {
    prop::sample::select(&Scale::ALL[..])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_never_panics(
        which in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        scale in scale(),
    ) {
        let files = FILES.with(|f| f.clone());
        let mut file = which.get(&files).clone();
        for (at, value, early) in flips {
            let span = if early { file.len().min(400) } else { file.len() };
            file[at.index(span)] = value;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let _ = decode(&file, scale, &mut Vec::new());
    }

    #[test]
    fn noise_behind_a_header_never_panics(
        which in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..3000),
        scale in scale(),
    ) {
        let files = FILES.with(|f| f.clone());
        let file = which.get(&files);
        let data = file.windows(2).position(|w| w == [0xff, 0xda]).expect("a scan") + 14;
        let file = [&file[..data.min(file.len())], &noise, &[0xff, 0xd9]].concat();
        let _ = decode(&file, scale, &mut Vec::new());
    }
}

thread_local! {
    static FILES: std::rc::Rc<Vec<Vec<u8>>> =
        std::rc::Rc::new(case::Golden::read().files().into_iter().map(|(_, file)| file).collect());
}

#[test]
fn a_file_that_breaks_off_is_an_error() {
    for (name, file) in case::Golden::read().files() {
        for end in (0..file.len()).step_by(5).chain([file.len() - 1]) {
            assert!(decode(&file[..end], Scale::Full, &mut Vec::new()).is_err(), "{name}: {end} of {} bytes", file.len());
        }
    }
}

/// Where the data of the first scan begin, and the end marker of a file of one scan.
fn data_of(file: &[u8]) -> std::ops::Range<usize> {
    let scan = file.windows(2).position(|w| w == [0xff, 0xda]).expect("a scan");
    let length = usize::from(u16::from_be_bytes([file[scan + 2], file[scan + 3]]));
    scan + 2 + length..file.len() - 2
}

#[test]
fn data_that_end_inside_of_a_scan_are_an_error_in_spite_of_an_end_marker() {
    let golden = case::Golden::read();
    for name in ["420", "444", "grey", "440", "flat", "grey-progressive"] {
        let file = golden.file(name);
        let data = data_of(&file);
        for left in [0, 1, data.len() / 2, data.len() - 3] {
            let short = [&file[..data.start + left], &[0xff, 0xd9]].concat();
            let error = decode(&short, Scale::Full, &mut Vec::new()).expect_err(name);
            let expected = matches!(error, Error::DataEnds { .. } | Error::BadCode | Error::BadIndex | Error::Incomplete { .. });
            assert!(expected || name == "grey-progressive", "{name}, {left} bytes: {error}");
        }
    }
}

#[test]
fn restart_markers_are_counted() {
    let file = case::Golden::read().file("420-restarts");
    let data = data_of(&file);
    let markers: Vec<usize> = data.clone().filter(|&i| file[i] == 0xff && (0xd0..=0xd7).contains(&file[i + 1])).collect();
    assert!(markers.len() > 3);
    let mut swapped = file.clone();
    swapped[markers[1] + 1] = 0xd5;
    let error = decode(&swapped, Scale::Full, &mut Vec::new()).expect_err("out of turn");
    assert_eq!(error, Error::Restart { expected: 1, found: 5 });
    let lacking = [&file[..markers[1]], &file[markers[1] + 2..]].concat();
    assert!(decode(&lacking, Scale::Full, &mut Vec::new()).is_err());
}

#[test]
fn what_libjpeg_only_warns_of_is_no_error() {
    let file = case::Golden::read().file("420");
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    decode(&file, Scale::Full, &mut expected).expect("a picture");
    // Bytes that are no marker, segments of unknown meaning, fill bytes, and whatever follows the end.
    let strange = [&file[..2], &[7, 8, 9], &[0xff, 0xe7, 0, 4, 1, 2], &[0xff, 0xff], &file[2..], b"more"].concat();
    decode(&strange, Scale::Full, &mut found).expect("a picture");
    assert!(expected == found);
}

#[test]
fn missing_tables_and_second_frames_are_named() {
    let file = case::Golden::read().file("420");
    let without = |code: u8| {
        let mut file = file.clone();
        while let Some(at) = file.windows(2).position(|w| w == [0xff, code]) {
            let length = usize::from(u16::from_be_bytes([file[at + 2], file[at + 3]]));
            file.drain(at..at + 2 + length);
        }
        decode(&file, Scale::Full, &mut Vec::new()).expect_err("something is missing")
    };
    assert_eq!(without(0xdb), Error::MissingTable { kind: "quantisation", number: 0 });
    assert_eq!(without(0xc4), Error::MissingTable { kind: "huffman", number: 0 });
    assert_eq!(without(0xc0), Error::NoFrame);
    let frame = file.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame header");
    let twice = [&file[..frame + 19], &file[frame..]].concat();
    assert_eq!(decode(&twice, Scale::Full, &mut Vec::new()), Err(Error::SecondPicture));
    let behind = [&file[..file.len() - 2], &file[frame..frame + 19], &[0xff, 0xd9]].concat();
    assert_eq!(decode(&behind, Scale::Full, &mut Vec::new()), Err(Error::SecondPicture));
}
