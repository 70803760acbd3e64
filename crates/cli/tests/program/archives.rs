//! ImageNet's archives in miniature, through the program.

use std::fs;

use crate::support::{Place, alexnet, contains};
use crate::tars::tar;

/// By name; the devkit's ids are 3, 1, 2.
const WNIDS: [&str; 3] = ["n01440764", "n02084071", "n04347754"];

/// A photograph of one colour, mostly.
fn photo(class: usize, number: usize) -> Vec<u8> {
    let colour = [[200, 30, 30], [30, 180, 40], [30, 30, 200]][class];
    let rgb: Vec<u8> =
        (0..12 * 12).flat_map(|i| if (i + number).is_multiple_of(11) { [number as u8 * 9; 3] } else { colour }).collect();
    let mut file = Vec::new();
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&rgb, 12, 12, jpeg_encoder::ColorType::Rgb).expect("memory takes a JPEG");
    file
}

/// The place with `imagenet`: the training archive, the validation archive, the devkit unpacked.
fn imagenet() -> Place {
    let place = Place::new();
    let inner = |class: usize| tar((0..8).map(|n| (format!("{}_{n}.JPEG", WNIDS[class]), photo(class, n))));
    place.write("imagenet/ILSVRC2012_img_train.tar", tar([2, 0, 1].map(|class| (format!("{}.tar", WNIDS[class]), inner(class)))));
    // Image n shows class (n − 1) mod 3, whose id stands in line n; the archive begins with the last.
    let val = (1..=6).rev().map(|n| (format!("ILSVRC2012_val_{n:08}.JPEG"), photo((n - 1) % 3, n)));
    place.write("imagenet/ILSVRC2012_img_val.tar", tar(val));
    let golden = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/mat5/case.safetensors")).expect("there");
    let case = safetensors::SafeTensors::deserialize(&golden).expect("a golden");
    let data = "imagenet/ILSVRC2012_devkit_t12/data";
    place.write(&format!("{data}/meta.mat"), case.tensor("file/synsets-2012-compressed.mat").expect("kept").data());
    place.write(&format!("{data}/ILSVRC2012_validation_ground_truth.txt"), "3\n1\n2\n".repeat(2));
    place
}

#[test]
fn what_the_archives_are_read_as() {
    let place = imagenet();
    let info = || alexnet!("data", "info", place.path("imagenet"));
    contains(&info().ok().out, &["imagenet: ImageNet of 2012, 3 classes", "24 images", "6 images"]);
    let json = |order: &str| -> serde_json::Value {
        serde_json::from_str(&info().and(["--json", "--label-order", order]).ok().out).expect("JSON")
    };
    let (sorted, devkit) = (json("sorted"), json("devkit"));
    assert_eq!(sorted["classes"], serde_json::json!(WNIDS));
    assert_eq!(devkit["classes"], serde_json::json!([WNIDS[1], WNIDS[2], WNIDS[0]]));
    assert_eq!(sorted["words"][0], "tench, Tinca tinca");
    assert_eq!(devkit["words"][2], "tench, Tinca tinca");
    assert_eq!((&sorted["images"]["train"], &sorted["images"]["val"]), (&24.into(), &6.into()));
    contains(&info().and(["--label-order", "random"]).fails(2), &["known are sorted and devkit"]);
    contains(
        &alexnet!("data", "info", place.path("photos"), "--label-order", "devkit").fails(1),
        &["need ILSVRC2012_devkit_t12"],
    );
    fs::remove_dir_all(place.path("imagenet/ILSVRC2012_devkit_t12")).expect("removed");
    contains(&info().fails(1), &["the labels of the images in", "are in ILSVRC2012_devkit_t12.tar.gz"]);
    let archive = fs::read(place.path("imagenet/ILSVRC2012_img_train.tar")).expect("there");
    place.write("imagenet/ILSVRC2012_img_train.tar", &archive[..archive.len() / 2]);
    contains(&info().fails(1), &["ILSVRC2012_img_train.tar, byte ", "it is cut off"]);
}

#[test]
fn words_travel_from_the_devkit_to_a_prediction() {
    let place = imagenet();
    let ran = alexnet!("train", "--data", place.path("imagenet"), "--net", place.path("net.toml"))
        .and(["--recipe"])
        .and([place.path("recipe.toml")])
        .and(["--threads", "2", "--epochs", "30", "--label-order", "devkit", "--run"])
        .and([place.path("run")])
        .within(&place.path(""))
        .ok();
    contains(&ran.out, &["3 classes, 24 training and 6 validation images"]);
    let classes = fs::read_to_string(place.path("run/classes.txt")).expect("there");
    assert_eq!(
        classes,
        "n02084071\tdog, domestic dog, Canis familiaris\nn04347754\tsubmarine, pigboat, sub, café\nn01440764\ttench, Tinca tinca\n"
    );
    contains(
        &fs::read_to_string(place.path("run/per-class.csv")).expect("there"),
        &["top5_error,words\n", ",\"tench, Tinca tinca\"\n"],
    );
    contains(
        &alexnet!("describe", "--net", place.path("run")).ok().out,
        &["3 classes: n02084071 dog, n04347754 submarine, n01440764 tench"],
    );
    // The run remembers the order of the labels; asked for the other one, classes are matched by name.
    let evaluate = || alexnet!("evaluate", "--weights", place.path("run"));
    contains(&evaluate().ok().out, &["6 of 6"]);
    contains(&evaluate().and(["--label-order", "sorted", "--csv"]).and([place.path("tables")]).ok().out, &["6 of 6"]);
    contains(
        &fs::read_to_string(place.path("tables/per-class.csv")).expect("there"),
        &["n01440764,2,2,2,0,0,\"tench, Tinca tinca\"\n"],
    );
    // Wherever the data is now, the run's labels are what they were; of other data only the classes' names matter.
    fs::rename(place.path("imagenet"), place.path("moved")).expect("moved");
    alexnet!("train", "--resume", place.path("run"), "--data", place.path("moved")).ok();
    contains(&evaluate().and(["--data"]).and([place.path("moved")]).ok().out, &["6 of 6"]);
    contains(&evaluate().and(["--data"]).and([place.path("photos")]).fails(1), &["the net was not trained on `7 green`"]);
    place.write("fish.jpg", photo(0, 3));
    let line = alexnet!("predict", "--weights", place.path("run"), "--json", place.path("fish.jpg")).ok().out;
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    let best = &line["top"][0];
    assert_eq!((best["class"].as_str(), best["words"].as_str()), (Some("n01440764"), Some("tench, Tinca tinca")));
}
