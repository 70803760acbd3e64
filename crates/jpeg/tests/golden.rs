//! Pixels against libjpeg-turbo's, and parts of pictures against the whole ones.

mod case;

use jpeg::{Decoder, Header, Region, Scale};

#[test]
fn every_form_at_every_scale_is_what_libjpeg_turbo_makes_of_it() {
    let golden = case::Golden::read();
    let mut decoder = Decoder::default();
    let mut rgb = Vec::new();
    let (mut pictures, mut wrong) = (0, Vec::new());
    for (name, file) in golden.files() {
        let header = Header::parse(&file).expect("a header");
        for (number, scale) in [1, 2, 4, 8].into_iter().zip(Scale::ALL) {
            let Some(expected) = golden.picture(&name, number) else { continue };
            let (width, height) = scale.size(header.width, header.height);
            assert_eq!((expected.width, expected.height), (width, height), "{name} at 1/{number}");
            pictures += 1;
            match decoder.decode(&file, scale, Region::whole(width, height), &mut rgb) {
                Err(error) => wrong.push(format!("{name} at 1/{number}: {error}")),
                Ok(()) => wrong.extend(expected.difference(&rgb).map(|d| format!("{name} at 1/{number}: {d}"))),
            }
        }
    }
    assert!(pictures > 160, "only {pictures} pictures");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_region_is_that_part_of_the_whole_picture() {
    let golden = case::Golden::read();
    for (name, file) in golden.files() {
        regions_are_parts(&name, &file, 20);
    }
}

#[test]
fn regions_far_from_the_edges_are_parts_too_for_any_sampling() {
    let factors: [&[[u8; 2]]; 9] = [
        &[[1, 1]],
        &[[2, 1], [1, 1], [1, 1]],
        &[[1, 2], [1, 1], [1, 1]],
        &[[2, 2], [1, 1], [1, 1]],
        &[[4, 2], [1, 1], [1, 1]],
        &[[1, 4], [1, 1], [1, 1]],
        &[[2, 2], [2, 1], [1, 2]],
        &[[1, 1], [2, 2], [1, 2]],
        &[[2, 1], [1, 1], [1, 1], [2, 1]],
    ];
    for factors in factors {
        for (width, height) in [(701, 90), (83, 705), (65535, 1), (1, 65535), (2, 3), (641, 16)] {
            for apart in [false, true] {
                let file = case::noise(width, height, factors, apart);
                regions_are_parts(&format!("{width} × {height}, {factors:?}, apart: {apart}"), &file, 6);
            }
        }
    }
}

/// Compares some regions at each scale with the same pixels of the whole picture.
fn regions_are_parts(name: &str, file: &[u8], regions: usize) {
    let (mut decoder, mut other) = (Decoder::default(), Decoder::default());
    let (mut whole, mut part) = (Vec::new(), Vec::new());
    let mut draw = case::Draw(7);
    let header = Header::parse(file).expect("a header");
    for scale in Scale::ALL {
        let (width, height) = scale.size(header.width, header.height);
        decoder.decode(file, scale, Region::whole(width, height), &mut whole).expect("a picture");
        for _ in 0..regions {
            let (x, y) = (draw.below(width), draw.below(height));
            let region = Region { x, y, width: 1 + draw.below(width - x), height: 1 + draw.below(height - y) };
            other.decode(file, scale, region, &mut part).expect("a part");
            let rows = whole.chunks_exact(3 * width).skip(y).take(region.height);
            let expected: Vec<u8> = rows.flat_map(|row| &row[3 * x..][..3 * region.width]).copied().collect();
            assert!(part == expected, "{name}, {scale:?}, {region:?}");
        }
    }
}

#[test]
fn a_region_outside_of_the_picture_is_refused() {
    let golden = case::Golden::read();
    let file = golden.file("420");
    let mut decoder = Decoder::default();
    let mut rgb = Vec::new();
    for (x, y, width, height) in
        [(0, 0, 0, 1), (0, 0, 1, 0), (0, 0, 38, 1), (37, 0, 1, 1), (0, 52, 1, 2), (1, 1, usize::MAX, 1), (usize::MAX, 0, 1, 1)]
    {
        let region = Region { x, y, width, height };
        let error = decoder.decode(&file, Scale::Full, region, &mut rgb).expect_err("outside");
        assert!(matches!(error, jpeg::Error::Region { width: 37, height: 53, .. }), "{error}");
    }
}
