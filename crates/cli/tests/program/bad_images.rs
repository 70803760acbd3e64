//! Folders and files that are not what they should be.

use std::fs;

use crate::support::{Place, RECIPE, alexnet, bmp, contains, jpeg};

#[test]
fn a_folder_that_is_not_there() {
    contains(&alexnet!("train", "--data", "no/such/folder").fails(1), &["no/such/folder"]);
}

#[test]
fn an_empty_folder() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).unwrap();
    contains(&alexnet!("train", "--data", place.path("empty")).within(&place.path("")).fails(1), &["empty"]);
    assert!(!place.path("runs").exists(), "no run begins without data");
}

#[test]
fn a_class_without_images() {
    let place = Place::new();
    place.write("photos/train/empty/.hidden", "");
    contains(&place.train("run").fails(1), &["class `empty` has no images"]);
}

#[test]
fn validation_classes_that_training_lacks() {
    let place = Place::new();
    place.write("photos/val/purple/0.bmp", bmp(12, [90, 0, 90], 0));
    contains(&place.train("run").fails(1), &["photos/val", "`purple`", "lacks"]);
}

/// Bad files of every kind among the good ones, in training and validation.
fn spoil(place: &Place) -> [&'static str; 5] {
    let jpeg = jpeg();
    place.write("photos/train/blue/truncated.jpg", &jpeg[..jpeg.len() / 2]);
    place.write("photos/train/blue/text.jpg", "this is no picture");
    place.write("photos/train/Red/wide.jpg", wide());
    fs::create_dir_all(place.path("photos/train/Red")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere.jpg", place.path("photos/train/Red/dangling.jpg")).unwrap();
    #[cfg(not(unix))]
    place.write("photos/train/Red/dangling.jpg", "");
    place.write("photos/val/7 green/text.jpg", "nor is this");
    ["blue/truncated.jpg", "blue/text.jpg", "Red/wide.jpg", "Red/dangling.jpg", "7 green/text.jpg"]
}

/// The beginning of a JPEG file of 65,535 × 65,535 pixels, without any.
fn wide() -> Vec<u8> {
    let mut file = vec![0xff, 0xd8];
    file.extend([0xff, 0xc0, 0, 17, 8, 0xff, 0xff, 0xff, 0xff, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    file.extend([0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0]);
    file
}

#[test]
fn bad_images_stop_the_run_unless_told_otherwise() {
    for options in [&[][..], &["--bad-images", "stop"]] {
        let place = Place::new();
        let bad = spoil(&place);
        let error = place.train("run").and(options.iter().copied()).fails(1);
        assert!(bad.iter().any(|name| error.contains(name)), "no bad file is named: {error}");
    }
}

#[test]
fn bad_images_that_are_skipped_are_counted_and_listed() {
    let place = Place::new();
    let bad = spoil(&place);
    let ran = place.train("run").and(["--bad-images", "skip"]).ok();
    contains(&ran.err, &bad);
    contains(&ran.err, &["4 images", "1 image"]);
    let list = fs::read_to_string(place.path("run/bad-images.txt")).unwrap();
    contains(&list, &bad);
    assert_eq!(list.lines().count(), bad.len(), "{list}");
    let evaluated = alexnet!("evaluate", "--json", "--weights", place.path("run"), "--data", place.path("photos"));
    let ran = evaluated.and(["--bad-images", "skip"]).ok();
    contains(&ran.err, &["7 green/text.jpg"]);
    let result: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(result["images"], 12, "exactly the good ones are counted");
}

#[test]
fn all_bad_images_are_reported_at_once() {
    let place = Place::new();
    let bad = spoil(&place);
    let error = place.train("run").and(["--bad-images", "report"]).fails(1);
    contains(&error, &bad[..4]);
}

#[test]
fn a_schedule_that_needs_validation_images_and_has_none() {
    let place = Place::new();
    let plateau = "rate = 0.001\nplateau = { factor = 0.1, times = 3, patience = 1 }";
    place.write("recipe.toml", RECIPE.replace("rate = 0.001", plateau));
    fs::remove_dir_all(place.path("photos/val")).unwrap();
    let error = place.train("run").and(["--val-fraction", "0"]).fails(1);
    contains(&error, &["`photos`", "validation"]);
    assert!(!place.path("run").exists(), "no run has begun");
}

#[test]
fn a_picture_of_one_pixel_is_a_picture() {
    let place = Place::new();
    place.write("photos/train/blue/pixel.bmp", bmp(1, [0, 0, 255], 0));
    place.train("run").ok();
}

#[test]
fn an_image_that_vanishes_during_the_run_stops_it_and_nothing_is_lost() {
    let place = Place::new();
    // Crops along the longer side are cut from the files each time.
    place.write("recipe.toml", format!("{RECIPE}fit = \"shorter_side\"\n"));
    let mut child = place.train("run").and(["--epochs", "100000"]).start(&place.path(""));
    child.until("a checkpoint", || place.path("run/checkpoints").exists());
    let image = place.path("photos/train/blue/3.bmp");
    let content = fs::read(&image).unwrap();
    fs::remove_file(&image).unwrap();
    let ran = child.finish();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["blue/3.bmp"]);
    fs::write(&image, content).unwrap();
    let steps = || fs::read_to_string(place.path("run/events.jsonl")).unwrap().lines().count();
    let before = steps();
    let mut resumed = alexnet!("train", "--resume", place.path("run")).start(&place.path(""));
    resumed.until("it goes on", || steps() > before);
    resumed.kill();
}

#[test]
fn class_names_mean_the_same_in_training_and_prediction() {
    let place = Place::new();
    place.train("run").and(["--epochs", "20"]).ok();
    for (class, file) in
        [("Red", "photos/val/Red/1.bmp"), ("blue", "photos/val/blue/2.bmp"), ("7 green", "photos/val/7 green/3.bmp")]
    {
        let ran = alexnet!("predict", "--json", "--weights", place.path("run"), place.path(file)).ok();
        let result: serde_json::Value = serde_json::from_str(ran.out.lines().next().unwrap()).unwrap();
        assert_eq!(result["top"][0]["class"], class, "{ran}");
    }
    let ran = alexnet!("describe", "--net", place.path("run")).ok();
    contains(&ran.out, &["7 green", "Red", "blue"]);
}
