//! Decoding against Pillow, and against files that are not what they claim.

mod case;

use data::{Fault, decode};
use net::random::{Purpose, Stream};
use safetensors::SafeTensors;

#[test]
fn every_form_of_every_format_is_what_pillow_shows() {
    let bytes = case::bytes("data-decode");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let mut files = 0;
    let mut wrong = Vec::new();
    for name in golden.names().iter().filter_map(|n| n.strip_prefix("file/")) {
        let file = golden.tensor(&format!("file/{name}")).expect("listed").data().to_vec();
        let upright = case::picture(&golden, &format!("rgb/{name}")).expect("every file has its picture");
        let stored = case::picture(&golden, &format!("stored/{name}")).unwrap_or_else(|| upright.clone());
        for (exif, expected) in [(true, upright), (false, stored)] {
            match decode(&file, exif) {
                Ok(image) if (image.width, image.height) == (expected.width, expected.height) => {
                    let (worst, place) = case::worst(&image, &expected);
                    if worst > 0 {
                        wrong.push(format!("{name}, exif {exif}: {place}"));
                    }
                }
                Ok(image) => wrong.push(format!("{name}, exif {exif}: {} × {}", image.width, image.height)),
                Err(fault) => wrong.push(format!("{name}, exif {exif}: {fault}")),
            }
        }
        files += 1;
    }
    assert!(files >= 50, "only {files} files");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A file of each format and coding.
fn samples(golden: &SafeTensors) -> Vec<(String, Vec<u8>)> {
    let chosen = [
        "rgb-420.jpg",
        "progressive-422.jpg",
        "restarts.jpg",
        "cmyk-adobe.jpg",
        "ycck-adobe.jpg",
        "orientation-6.jpg",
        "rgb.png",
        "palette-transparent.png",
        "grey-4.png",
        "rgba-16.png",
        "lossy.webp",
        "lossy-alpha.webp",
        "lossless-alpha.webp",
        "animated.webp",
        "rgb.bmp",
        "palette.bmp",
        "runs-8.bmp",
        "runs-4.bmp",
        "565.bmp",
    ];
    let bytes = |name: &str| golden.tensor(&format!("file/{name}")).expect("a chosen file").data().to_vec();
    chosen.iter().map(|name| (name.to_string(), bytes(name))).collect()
}

#[test]
fn a_file_that_breaks_off_is_an_error_and_no_picture() {
    let bytes = case::bytes("data-decode");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    // A run-length coded bitmap may end early.
    for (name, file) in samples(&golden).into_iter().filter(|(name, _)| !name.starts_with("runs")) {
        // A PNG is whole before its closing chunk, 12 bytes, and the checksums in front of it, 8 bytes.
        let tail = if name.ends_with(".png") { 21 } else { 1 };
        let last = file.len() - tail;
        for end in (0..=last).step_by(7).chain([last]) {
            assert!(decode(&file[..end], true).is_err(), "{name}: {end} of {} bytes are a picture", file.len());
        }
    }
}

#[test]
fn damaged_files_never_panic() {
    let bytes = case::bytes("data-decode");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let (mut pictures, mut faults) = (0, 0);
    for (number, (name, file)) in samples(&golden).into_iter().enumerate() {
        for round in 0..1500 {
            let stream = Stream::new(5, Purpose::Test, 0, number as u32, round);
            let mut damaged = file.clone();
            // One to four bytes anywhere, often in the headers, and sometimes an early end.
            for k in 0..1 + stream.below(0, 4) {
                let span = if stream.below(4 * k + 1, 2) == 0 { damaged.len().min(64) } else { damaged.len() };
                let at = stream.below(4 * k + 2, span as u32) as usize;
                damaged[at] ^= 1 << stream.below(4 * k + 3, 8);
            }
            if stream.below(40, 4) == 0 {
                damaged.truncate(stream.below(41, damaged.len() as u32) as usize);
            }
            match decode(&damaged, true) {
                Ok(image) => {
                    assert_eq!(image.rgb.len(), 3 * image.width * image.height, "{name}, round {round}");
                    pictures += 1;
                }
                Err(Fault::Damaged { format: "image", message }) => panic!("{name}, round {round}: {message}"),
                Err(_) => faults += 1,
            }
        }
    }
    assert!(pictures > 100 && faults > 100, "{pictures} pictures, {faults} faults: damage of one kind only");
}

#[test]
fn a_header_without_data_is_refused_at_once() {
    let bytes = case::bytes("data-decode");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let file = |name: &str| golden.tensor(&format!("file/{name}")).expect("kept").data().to_vec();
    let started = std::time::Instant::now();

    let mut jpeg = file("rgb-420.jpg");
    let sof = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).expect("a frame header");
    for (height, width) in [(29u16, 65535u16), (65535, 65535), (60000, 29), (4000, 4000)] {
        jpeg[sof + 5..sof + 7].copy_from_slice(&height.to_be_bytes());
        jpeg[sof + 7..sof + 9].copy_from_slice(&width.to_be_bytes());
        assert!(decode(&jpeg, true).is_err(), "{width} × {height}");
    }
    assert!(matches!(decode(&jpeg, true), Err(Fault::TooLarge { width: 4000, height: 4000, .. })));

    let mut bmp = file("rgb.bmp");
    bmp[18..22].copy_from_slice(&i32::MAX.to_le_bytes());
    bmp[22..26].copy_from_slice(&i32::MIN.to_le_bytes());
    assert!(matches!(decode(&bmp, true), Err(Fault::TooLarge { .. })));

    // A lossy frame of 16383 × 16383 within a small canvas.
    let mut webp = file("lossy-alpha.webp");
    let frame = webp.windows(4).position(|w| w == b"VP8 ").expect("a lossy frame");
    webp[frame + 14..frame + 18].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    assert!(matches!(decode(&webp, true), Err(Fault::TooLarge { width: 16383, .. })));

    assert!(started.elapsed().as_secs_f64() < 2.0, "{:?} for headers alone", started.elapsed());
}

#[test]
fn text_with_an_image_extension_says_that_it_is_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("class/poem.jpg");
    std::fs::create_dir(folder.path().join("class")).expect("a folder");
    std::fs::write(&path, "Roses are red,\nviolets are blue.\n").expect("written");
    let source = data::open(folder.path(), &data::OpenOptions::default()).expect("a class folder").train;
    let bad = source.read(0).expect_err("no image").bad_image().expect("about an image");
    assert_eq!(bad.name, path.display().to_string());
    assert_eq!(bad.reason, "not an image: expected JPEG, PNG, WebP or BMP, found text");
    std::fs::remove_file(&path).expect("removed");
    let missing = source.read(0).expect_err("no file").bad_image().expect("about a file");
    assert!(missing.name.ends_with("poem.jpg") && missing.reason != bad.reason, "{missing}");
}
