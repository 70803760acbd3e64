//! `alexnet data prepare` and `alexnet data verify`, and learning from what they make.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::checkpoints::newest;
#[cfg(target_os = "linux")]
use crate::support::Disk;
use crate::support::{Place, Program, alexnet, bmp, contains};

/// Every file of a pack but its lock.
fn files(pack: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(pack).expect("the pack is a folder").map(|entry| entry.expect("it can be listed").path());
    let named = entries.map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path));
    named.filter(|(name, _)| name != ".lock").map(|(name, path)| (name, fs::read(path).expect("it can be read"))).collect()
}

/// Packs the place's photos as squares of 10 pixels, ten a shard.
fn prepare(place: &Place, out: &str) -> Program {
    alexnet!("data", "prepare", place.path("photos"), place.path(out)).and(["--side", "10", "--shard-images", "10"])
}

#[test]
fn the_same_bytes_for_any_number_of_threads_and_by_any_path() {
    let place = Place::new();
    let ran = prepare(&place, "one").and(["--threads", "1"]).ok();
    contains(&ran.out, &["3 classes, 24 training images and 12 validation images in 5 shards", "36 images packed", "images/s"]);
    prepare(&place, "three").and(["--threads", "3"]).ok();
    let (one, three) = (files(&place.path("one")), files(&place.path("three")));
    assert_eq!(one, three);
    assert_eq!(one.len(), 3 + 2 + 2);
    contains(&prepare(&place, "one").ok().out, &["it was whole already"]);
    assert_eq!(files(&place.path("one")), one);
    let json = prepare(&place, "one").and(["--json"]).ok().out;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["images"]["train"], &json["made"]), (&24.into(), &0.into()));
    contains(
        &alexnet!("data", "info", place.path("one")).ok().out,
        &["one: a pack of squares, 3 classes", "train   24 images", "val     12 images"],
    );
    // The folder may be named otherwise the second time.
    let same =
        alexnet!("data", "prepare", "photos/", "one").and(["--side", "10", "--shard-images", "10"]).within(&place.path(""));
    contains(&same.ok().out, &["it was whole already"]);
    let other = prepare(&place, "one").and(["--quality", "50"]).fails(1);
    contains(&other, &["one was begun otherwise", "`quality` was 90, now 50"]);
}

#[test]
fn learning_from_a_pack_is_learning_from_its_images() {
    let place = Place::new();
    // Pixels at the stored size: what is learnt from is the same, bit for bit, but for the order in which it is numbered.
    prepare(&place, "pack").and(["--format", "pixels"]).ok();
    let train = |data: &str, run: &str, more: &[&str]| {
        let run = place.path(run);
        alexnet!("train", "--data", place.path(data), "--net", place.path("net.toml"), "--recipe", place.path("recipe.toml"))
            .and(["--threads", "2", "--epochs", "2", "--run"])
            .and([run])
            .and(more.iter().copied())
            .ok()
    };
    train("photos", "from-photos", &[]);
    let ran = train("pack", "from-pack", &[]);
    contains(&ran.out, &["pack: 3 classes, 24 training and 12 validation images", "2.00 epochs"]);
    let statistics = |run: &str| fs::read(place.path(run).join("statistics.safetensors")).expect("a run has statistics");
    assert_eq!(statistics("from-pack"), statistics("from-photos"), "what the pack knows is what is measured");
    train("pack", "all-looked-at", &["--bad-images", "report"]);
    assert_eq!(statistics("all-looked-at"), statistics("from-photos"));
    let weights = |run: &str| fs::read(newest(&place.path(run)).join("weights.safetensors")).expect("a run has weights");
    assert_eq!(weights("all-looked-at"), weights("from-pack"));
    let evaluate = |data: &str| {
        let weights = place.path("from-pack");
        alexnet!("evaluate", "--weights", weights, "--data", place.path(data)).and(["--json"]).ok().out
    };
    let error = |json: &str| serde_json::from_str::<serde_json::Value>(json).expect("JSON")["nll"].clone();
    assert_eq!(error(&evaluate("pack")), error(&evaluate("photos")), "validation images are the same and in order");
    // A recipe for other sizes is told.
    alexnet!("data", "prepare", place.path("photos"), place.path("large")).and(["--side", "16"]).ok();
    contains(
        &train("large", "other", &[]).out,
        &["note: the pack holds squares of 16 × 16 pixels, and the recipe has stored = 10"],
    );
}

#[test]
fn a_killed_preparation_goes_on_and_ends_as_if_never_killed() {
    let place = Place::new();
    for class in ["Red", "blue"] {
        for i in 0..150 {
            place.write(&format!("many/train/{class}/{i}.bmp"), bmp(40, [200, i as u8, 30], i));
        }
        place.write(&format!("many/val/{class}/0.bmp"), bmp(40, [1, 2, 3], 7));
    }
    let prepare = |out: &str, threads: &str| {
        let prepare = alexnet!("data", "prepare", place.path("many"), place.path(out));
        prepare.and(["--shard-images", "8", "--threads", threads])
    };
    prepare("whole", "2").ok();
    let expected = files(&place.path("whole"));
    for (n, shard, threads) in [(0, "train-00000.shard.partial", "1"), (1, "train-00004.shard", "3"), (2, "val-00000.shard", "1")]
    {
        let out = format!("killed-{n}");
        let mut child = prepare(&out, "1").start(&place.path(""));
        child.until(shard, || place.path(&out).join(shard).exists());
        child.kill();
        assert!(!place.path(&out).join("pack.json").exists(), "the pack was whole before it could be killed");
        let unfinished = alexnet!("train", "--data", place.path(&out)).within(&place.path("")).run();
        assert_eq!(unfinished.code, Some(1), "{unfinished}");
        contains(&unfinished.error(), &["is not finished"]);
        contains(&alexnet!("data", "verify", place.path(&out)).fails(1), &["is not finished"]);
        prepare(&out, threads).ok();
        assert!(files(&place.path(&out)) == expected, "killed when there was {shard}");
    }
}

#[test]
#[cfg(unix)]
fn an_interrupt_says_that_the_same_command_goes_on() {
    let place = Place::new();
    for i in 0..300 {
        place.write(&format!("many/red/{i}.bmp"), bmp(40, [200, i as u8, 30], i));
    }
    let prepare =
        || alexnet!("data", "prepare", place.path("many"), place.path("pack")).and(["--shard-images", "8", "--threads", "1"]);
    let mut child = prepare().start(&place.path(""));
    child.until("a shard", || place.path("pack/train-00001.shard").exists());
    let second = prepare().fails(1);
    contains(&second, &["pack is being prepared by another process"]);
    child.signal("INT");
    let ran = child.finish();
    assert_eq!(ran.code, Some(130), "{ran}");
    contains(&ran.out, &["stopped: the same command goes on"]);
    contains(&ran.err, &["stopping: finished shards stay"]);
    prepare().ok();
    contains(&alexnet!("data", "verify", place.path("pack")).ok().out, &["300 images are intact"]);
}

#[test]
fn verify_names_what_is_damaged() {
    let place = Place::new();
    prepare(&place, "pack").ok();
    contains(&alexnet!("data", "verify", place.path("pack")).ok().out, &["36 images are intact"]);
    let shard = place.path("pack/train-00001.shard");
    let whole = fs::read(&shard).expect("the shard can be read");
    let mut damaged = whole.clone();
    damaged[70] ^= 4;
    fs::write(&shard, &damaged).expect("it can be written");
    let ran = alexnet!("data", "verify", place.path("pack")).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["pack has 1 damaged place"]);
    contains(&ran.out, &["train-00001.shard: train/", ".bmp: the record was changed: bytes 64 to ", "35 images are intact"]);
    let ran = alexnet!("data", "verify", place.path("pack"), "--json").run();
    assert_eq!(ran.code, Some(1), "{ran}");
    let json: serde_json::Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((&json["intact"], &json["damage"][0]["offset"]), (&35.into(), &64.into()));
    // A run meets it as a bad image, wherever its policy is to stop or to go on.
    let train = |run: &str| {
        alexnet!("train", "--data", place.path("pack"), "--net", place.path("net.toml"), "--recipe", place.path("recipe.toml"))
            .and(["--epochs", "1", "--run"])
            .and([place.path(run)])
    };
    contains(&train("stops").fails(1), &[".bmp: pack: the record at bytes 64 to "]);
    contains(&train("goes-on").and(["--bad-images", "skip"]).ok().err, &["1 image of `train` cannot be used"]);
    // As the hint says.
    fs::remove_file(&shard).expect("it can be removed");
    contains(&alexnet!("data", "verify", place.path("pack")).fails(1), &["1 damaged place"]);
    contains(&alexnet!("data", "info", place.path("pack")).fails(1), &["train-00001.shard"]);
    prepare(&place, "pack").ok();
    assert_eq!(fs::read(&shard).expect("it is there again"), whole);
    alexnet!("data", "verify", place.path("pack")).ok();
    contains(&alexnet!("data", "verify", place.path("photos")).fails(1), &["there is no `pack.json` in it"]);
}

#[test]
fn bad_images_are_left_out_and_listed_or_stop_it() {
    let place = Place::new();
    place.write("photos/train/Red/3.bmp", "this is no picture");
    contains(&prepare(&place, "pack").fails(1), &["train/Red/3.bmp", "not an image"]);
    contains(&prepare(&place, "pack").and(["--bad-images", "report"]).fails(1), &["1 image is bad"]);
    let ran = prepare(&place, "pack").and(["--bad-images", "skip"]).ok();
    contains(&ran.err, &["warning: left out of `train`: train/Red/3.bmp: not an image"]);
    contains(&alexnet!("data", "info", place.path("pack")).ok().out, &["23 images", "made without 1 image"]);
    contains(&fs::read_to_string(place.path("pack/pack.json")).expect("a manifest"), &["\"name\": \"train/Red/3.bmp\""]);
}

#[test]
fn only_images_kept_as_files_can_be_misnamed() {
    let place = Place::new();
    place.write("photos/train/Red/9.jpg", bmp(12, [9, 20, 30], 9));
    for (store, misnamed) in [("crop", false), ("raw", true)] {
        prepare(&place, store).and(["--store", store]).ok();
        let checked = alexnet!("data", "check", place.path(store)).ok();
        assert_eq!(checked.out.contains("misnamed: 1 image; "), misnamed, "{checked}");
        assert_eq!(checked.out.contains("misnamed"), misnamed, "{checked}");
    }
}

#[test]
fn a_list_of_bad_images_is_of_the_same_use_for_a_pack_and_for_a_list() {
    let place = Place::new();
    place.write("photos/train/Red/3.bmp", "this is no picture");
    let quarantine = ["--quarantine".into(), place.path("bad.txt")];
    assert_eq!(alexnet!("data", "check", place.path("photos")).and(quarantine.clone()).run().code, Some(1));
    contains(&prepare(&place, "pack").and(quarantine.clone()).ok().out, &["1 image is in quarantine", "23 training images"]);
    // Other images: another pack.
    contains(&prepare(&place, "pack").fails(1), &["pack was begun otherwise"]);
    // What was packed can be left out as well, by the same names.
    place.write("more.txt", "train/Red/2.bmp\n");
    let info = alexnet!("data", "info", place.path("pack"), "--quarantine", place.path("more.txt")).ok();
    contains(&info.out, &["22 images", "1 image is in quarantine"]);
    place.write("photos/list.txt", "train/Red/3.bmp 0\ntrain/Red/2.bmp 0\ntrain/Red/1.bmp 0\ntrain/blue/2.bmp 1\n");
    for list in ["photos/list.txt", "./photos/list.txt"] {
        let here = |program: Program| program.and(["--quarantine", "listed.txt"]).within(&place.path(""));
        assert_eq!(here(alexnet!("data", "check", list)).run().code, Some(1));
        contains(&here(alexnet!("data", "info", list)).ok().out, &["1 image is in quarantine"]);
    }
}

#[test]
fn a_pack_of_which_nothing_is_finished_may_begin_otherwise() {
    let place = Place::new();
    place.write("photos/train/Red/3.bmp", "this is no picture");
    place.write("bad.txt", "train/Red/3.bmp\n");
    let prepare = |out: &str| alexnet!("data", "prepare", place.path("photos"), place.path(out), "--side", "64");
    contains(&prepare("pack").fails(1), &["not an image"]);
    assert!(place.path("pack/prepare.json").exists(), "it was begun");
    prepare("pack").and(["--quarantine".into(), place.path("bad.txt")]).ok();
    prepare("at-once").and(["--quarantine".into(), place.path("bad.txt")]).ok();
    assert_eq!(files(&place.path("pack")), files(&place.path("at-once")));
}

#[test]
fn a_place_that_is_no_place_for_a_pack() {
    let place = Place::new();
    place.write("full/thesis.tex", "text");
    contains(&prepare(&place, "full").fails(1), &["full is no place for a pack: it holds thesis.tex"]);
    contains(&prepare(&place, "photos").fails(2), &["photos lies within"]);
    place.write("file", "text");
    contains(&prepare(&place, "file").fails(1), &["file"]);
    contains(&prepare(&place, "photos/train/pack").fails(2), &["photos/train/pack lies within", "photos"]);
    assert!(!place.path("photos/train/pack").exists(), "nothing is made there");
    prepare(&place, "out").and(["--store", "mosaic"]).run().error();
    alexnet!("data", "prepare", place.path("none"), place.path("out")).fails(1);
}

/// On a file system of its own that is too small for the pack.
#[test]
#[cfg(target_os = "linux")]
fn a_full_or_read_only_disk_is_said_to_be_that() {
    let place = Place::new();
    let Some(disk) = Disk::mount(place.path("disk"), "64k") else { return };
    let prepare = |out: &str| {
        let prepare = alexnet!("data", "prepare", place.path("photos"), place.path(out));
        prepare.and(["--side", "64", "--format", "pixels", "--shard-images", "3"])
    };
    prepare("roomy").ok();
    let ran = prepare("disk/pack").run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["the disk is full", "train-00001.shard"]);
    contains(&ran.err, &["hint: free some space on that disk, then give the command again"]);
    let names: Vec<_> = files(&place.path("disk/pack")).into_keys().collect();
    assert_eq!(names, ["prepare.json", "train-00000.shard"], "nothing half-written is there");
    contains(&alexnet!("data", "info", place.path("disk/pack")).fails(1), &["is not finished"]);
    disk.remount("size=4m");
    prepare("disk/pack").ok();
    assert_eq!(files(&place.path("disk/pack")), files(&place.path("roomy")));
    disk.remount("ro");
    contains(&prepare("disk/another").fails(1), &["cannot make folder", "disk/another", "ead-only"]);
    alexnet!("data", "verify", place.path("disk/pack")).ok();
}
