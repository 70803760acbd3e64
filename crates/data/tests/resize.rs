//! Resizing against Pillow, value by value.

mod case;

use data::{Filter, Image, Region, Resizer};
use safetensors::SafeTensors;

fn whole(width: usize, height: usize) -> Region {
    Region { x: 0, y: 0, width, height }
}

fn filter(name: &str) -> Filter {
    match name {
        "box" => Filter::Box,
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        other => panic!("no filter {other}"),
    }
}

#[test]
fn every_filter_and_size_equals_pillow() {
    let bytes = case::bytes("data-resize");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let (mut resizer, mut compared) = (Resizer::default(), 0);
    for name in golden.names().iter().filter(|n| !n.starts_with("source/")) {
        let parts: Vec<&str> = name.split('/').collect();
        let source = case::picture(&golden, &format!("source/{}", parts[1])).expect("its source");
        let expected = case::picture(&golden, name).expect("listed");
        let mut rgb = Vec::new();
        let (width, height) = (expected.width, expected.height);
        resizer.resize((&source).into(), width, height, filter(parts[0]), whole(width, height), &mut rgb);
        let (worst, place) = case::worst(&Image { width, height, rgb }, &expected);
        assert_eq!(worst, 0, "{name}: {place}");
        compared += 1;
    }
    assert_eq!(compared, 4 * 4 * 8);
}

#[test]
fn a_region_is_the_same_as_that_part_of_the_whole() {
    let bytes = case::bytes("data-resize");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let source = case::picture(&golden, "source/1").expect("kept");
    let mut resizer = Resizer::default();
    // 40 × 64 pixels: enlarged, vertical and horizontal pass first, one pass, none.
    for (width, height) in [(70, 80), (30, 20), (12, 30), (40, 20), (20, 64), (40, 64)] {
        for filter in [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos] {
            let (mut all, mut part) = (Vec::new(), Vec::new());
            resizer.resize((&source).into(), width, height, filter, whole(width, height), &mut all);
            let region = Region { x: 3, y: 5, width: width - 9, height: height - 8 };
            resizer.resize((&source).into(), width, height, filter, region, &mut part);
            for (y, row) in part.chunks_exact(3 * region.width).enumerate() {
                let at = 3 * ((y + region.y) * width + region.x);
                assert_eq!(row, &all[at..at + row.len()], "{filter:?} to {width} × {height}, row {y}");
            }
        }
    }
}

#[test]
fn a_strip_costs_no_more_than_its_square() {
    let strip = Image { width: 60_000, height: 1, rgb: vec![77; 180_000] };
    let mut out = Vec::new();
    let (width, height) = (256 * 60_000, 256);
    let region = Region { x: (width - 256) / 2, y: 0, width: 256, height: 256 };
    let started = std::time::Instant::now();
    Resizer::default().resize((&strip).into(), width, height, Filter::Bicubic, region, &mut out);
    assert_eq!(out, vec![77; 3 * 256 * 256]);
    assert!(started.elapsed().as_secs_f64() < 1.0, "{:?}", started.elapsed());
}
