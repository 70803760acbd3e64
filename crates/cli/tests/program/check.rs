//! `alexnet data check`, and data sets without what it lists.

use std::fs;

use serde_json::Value;

use crate::support::{Place, Program, Ran, alexnet, bmp, contains, jpeg};

/// Images with faults and with remarks among the good ones.
fn spoil(place: &Place) {
    let jpeg = jpeg();
    place.write("photos/train/blue/cut.jpg", &jpeg[..jpeg.len() / 2]);
    place.write("photos/train/blue/text.jpg", "this is no picture");
    place.write("photos/train/Red/twin.bmp", bmp(12, [1, 2, 3], 30));
    place.write("photos/val/blue/twin.bmp", bmp(12, [1, 2, 3], 30));
    place.write("photos/train/7 green/n02105855_2933.JPEG", bmp(40, [10, 200, 30], 31));
    place.write("photos/val/7 green/again.bmp", bmp(12, [30, 180, 40], 2));
}

const FAULTY: [&str; 4] = ["train/Red/twin.bmp", "train/blue/cut.jpg", "train/blue/text.jpg", "val/blue/twin.bmp"];

fn check(place: &Place) -> Program {
    alexnet!("data", "check", place.path("photos"), "--threads", "2")
}

/// The names on a list.
fn names(place: &Place, list: &str) -> Vec<String> {
    let text = fs::read_to_string(place.path(list)).expect("a list");
    text.lines().filter(|line| !line.starts_with('#')).map(String::from).collect()
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}\n{ran}"))
}

#[test]
fn faults_and_remarks_are_told_apart() {
    let place = Place::new();
    spoil(&place);
    let ran = check(&place).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["error: 4 faulty images in ", "photos"]);
    contains(
        &ran.out,
        &[
            "photos: 3 classes, 28 training and 14 validation images",
            "duplicate-other-label: 2 images; training learns two labels",
            "      train/Red/twin.bmp: same pixels as val/blue/twin.bmp, which is `blue`; this is `Red`",
            "  undecodable: 1 image; training stops there; `--bad-images skip` goes on without it",
            "      train/blue/text.jpg: not an image: expected JPEG, PNG, WebP or BMP, found text",
            "  truncated: 1 image",
            "  misnamed: 1 image; it is read: a format is known by content\n      1 of 1 known in ILSVRC2012",
            "      train/7 green/n02105855_2933.JPEG: the content is BMP",
            "  duplicate-across-splits: ",
            "and 36 more",
        ],
    );
    let (faults, remarks) = ran.out.split_once("\nremarks\n").expect("both");
    assert!(faults.contains("\nfaults\n") && remarks.contains("  tiny: 39 images"), "{ran}");
    contains(remarks, &["formats       BMP 40, JPEG 1, unknown 1", "shorter side  12 at least, 12 in the median, 40 at most"]);
}

#[test]
fn a_report_is_json_and_the_same_for_any_threads() {
    let place = Place::new();
    spoil(&place);
    let mut reports = ["1", "3"].map(|threads| {
        let ran = alexnet!("data", "check", place.path("photos"), "--json", "-", "--threads", threads).run();
        assert_eq!(ran.code, Some(1), "{ran}");
        json(&ran)
    });
    let report = reports[0].clone();
    for report in &mut reports {
        ["seconds", "images_per_s", "threads"]
            .into_iter()
            .for_each(|key| assert!(report.as_object_mut().unwrap().remove(key).is_some()));
    }
    assert_eq!(reports[0], reports[1]);
    assert_eq!((&report["images"]["train"], &report["images"]["val"], &report["decoded"]), (&28.into(), &14.into(), &40.into()));
    assert_eq!((&report["faulty_images"], &report["formats"]["BMP"]), (&4.into(), &40.into()));
    let findings = report["findings"].as_array().unwrap();
    let counted: u64 = report["kinds"].as_array().unwrap().iter().map(|kind| kind["images"].as_u64().unwrap()).sum();
    assert_eq!(findings.len() as u64, counted);
    assert_eq!(findings[0]["kind"], "duplicate-other-label");
    let faulty: Vec<&str> = findings.iter().filter(|f| f["fault"] == true).map(|f| f["image"].as_str().unwrap()).collect();
    let mut sorted = faulty.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, FAULTY);
    let known: Vec<&Value> = findings.iter().filter(|f| f["known_in_ilsvrc2012"] == true).collect();
    assert_eq!((known.len(), &known[0]["class"]), (1, &"7 green".into()));

    let ran = check(&place).and(["--json"]).and([place.path("report.json")]).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.out, &["faults"]);
    let file: Value = serde_json::from_slice(&fs::read(place.path("report.json")).unwrap()).unwrap();
    assert_eq!(file["findings"], report["findings"]);
}

#[test]
fn a_good_set_ends_well() {
    let place = Place::new();
    for (class, colour) in [("a", [250, 240, 20]), ("b", [245, 255, 250])] {
        for i in 0..3 {
            place.write(&format!("good/train/{class}/{i}.bmp"), bmp(40, colour, i));
            place.write(&format!("good/val/{class}/{i}.bmp"), bmp(40, colour, i + 3));
        }
    }
    let ran = alexnet!("data", "check", place.path("good")).ok();
    contains(&ran.out, &["nothing was found", "formats       BMP 12"]);
    assert_eq!(ran.err, "");
    place.write("good/val/a/9.bmp", bmp(40, [250, 240, 20], 0));
    let ran = alexnet!("data", "check", place.path("good")).ok();
    contains(&ran.out, &["duplicate-across-splits: 1 image", "train/a/0.bmp: same pixels as val/a/9.bmp"]);
}

#[test]
fn classes_are_counted_once_their_faults_are_known() {
    let place = Place::new();
    for class in ["a", "b", "c", "d", "e"] {
        place.write(&format!("few/train/{class}/0.bmp"), bmp(40, [9, 8, 7], class.as_bytes()[0].into()));
    }
    place.write("few/train/none/0.bmp", "broken");
    let ran = alexnet!("data", "check", place.path("few"), "--val-fraction", "0").run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["1 faulty image and 1 class without good images in "]);
    contains(
        &ran.out,
        &[
            "  empty-class: the only training image of class `none` has a fault\n",
            "  one-image-class: class `a` has one training image; class `b` has one training image; ",
            "class `c` has one training image; and 2 more classes\n",
        ],
    );
}

#[test]
fn what_is_in_quarantine_is_not_trained_on() {
    let place = Place::new();
    spoil(&place);
    let with_list = |program: Program, list: &str| program.and(["--quarantine".into(), place.path(list)]);
    assert_eq!(with_list(check(&place), "bad.txt").run().code, Some(1));
    assert_eq!(names(&place, "bad.txt"), FAULTY);
    contains(
        &fs::read_to_string(place.path("bad.txt")).unwrap(),
        &[
            "# 4 images of photos to leave out",
            "# duplicate-other-label: same pixels as train/Red/twin.bmp, which is `Red`; this is `blue`\nval/blue/twin.bmp\n",
            "# truncated: ",
        ],
    );
    let again = check(&place).and(["--without".into(), place.path("bad.txt")]).ok();
    contains(&again.out, &["4 images are in quarantine", "3 of training, 1 of validation", "remarks"]);
    assert!(!again.out.contains("faults"), "{again}");

    place.train("refused").fails(1);
    contains(&with_list(place.train("run"), "bad.txt").ok().out, &["4 images are in quarantine by"]);
    let evaluated = json(&alexnet!("evaluate", "--json", "--weights", place.path("run")).ok());
    assert_eq!(evaluated["images"], 13, "the run remembers its list");
    let elsewhere = alexnet!("evaluate", "--json", "--weights", place.path("run"), "--data", place.path("photos/../photos"));
    assert_eq!(json(&elsewhere.ok())["images"], 13, "the same folder by another path");
    let info = with_list(alexnet!("data", "info", place.path("photos"), "--json"), "bad.txt").ok();
    assert_eq!(json(&info)["images"]["train"], 25);
}

#[test]
fn a_list_is_added_to() {
    let place = Place::new();
    spoil(&place);
    place.write("bad.txt", "# mine\nval/Red/3.bmp\n");
    let ran = check(&place).and(["--also", "misnamed,duplicate-across-splits", "--without"]).and([place.path("bad.txt")]);
    let ran = ran.and(["--quarantine".into(), place.path("bad.txt")]).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    let listed = names(&place, "bad.txt");
    assert!(listed.is_sorted() && FAULTY.iter().all(|name| listed.iter().any(|l| l == name)), "{listed:?}");
    contains(&listed.join("\n"), &["train/7 green/n02105855_2933.JPEG", "val/Red/3.bmp", "train/7 green/2.bmp"]);
    contains(&check(&place).and(["--also", "grey"]).fails_usage(), &["--quarantine"]);
    let unknown = check(&place).and(["--also", "blurred", "--quarantine", "x"]).fails_usage();
    contains(&unknown, &["`blurred` is none of duplicate-other-label, unreadable"]);
}

#[test]
fn a_run_goes_on_with_the_images_that_it_began_with() {
    let place = Place::new();
    let listed = |run: &str, more: &[&str]| place.train(run).and(["--quarantine", "list.txt"]).and(more.iter().copied());
    place.write("list.txt", "train/blue/0.bmp\nval/blue/0.bmp\n");
    listed("whole", &["--epochs", "4"]).ok();
    let weights = |run: &str| fs::read(crate::checkpoints::newest(&place.path(run)).join("weights.safetensors")).unwrap();

    // A run that was stopped: as long as the whole one, with the last checkpoint taken away.
    listed("run", &["--epochs", "4"]).ok();
    fs::remove_dir_all(crate::checkpoints::newest(&place.path("run"))).unwrap();
    let resume = || alexnet!("train", "--resume", place.path("run"));
    place.write("list.txt", "train/blue/1.bmp\nval/blue/0.bmp\n");
    contains(&resume().fails(1), &["list.txt names other images than when the run began"]);
    contains(&alexnet!("evaluate", "--weights", place.path("run")).fails(1), &["list.txt names other images"]);
    fs::remove_file(place.path("list.txt")).unwrap();
    contains(&resume().fails(1), &["list.txt"]);
    place.write("moved.txt", "# moved, and sorted\nval/blue/0.bmp\ntrain/blue/0.bmp\n");
    resume().and(["--quarantine".into(), place.path("moved.txt")]).ok();
    assert!(weights("run") == weights("whole"), "the same bits");

    place.train("plain").ok();
    let error = alexnet!("train", "--resume", place.path("plain"), "--quarantine", place.path("moved.txt")).fails(2);
    contains(&error, &["leaves out images that this run began with"]);
    // What a list names in one data set says nothing about another.
    place.write("other/train/blue/0.bmp", bmp(12, [1, 2, 3], 4));
    for (class, _) in crate::support::CLASSES {
        place.write(&format!("other/train/{class}/1.bmp"), bmp(12, [1, 2, 3], 4));
        place.write(&format!("other/val/{class}/0.bmp"), bmp(12, [1, 2, 3], 5));
    }
    let other = alexnet!("evaluate", "--json", "--weights", place.path("run"), "--data", place.path("other")).ok();
    assert_eq!(json(&other)["images"], 3);
}

#[test]
fn lists_that_cannot_be() {
    let place = Place::new();
    let with = |list: &str| place.train("run").and(["--quarantine".into(), place.path(list)]);
    contains(&with("none.txt").fails(1), &["none.txt"]);
    place.write("noise.txt", [0xff, 0xfe, 0, 1]);
    contains(&with("noise.txt").fails(1), &["noise.txt is no list of images"]);
    place.write("class.txt", (0..8).map(|i| format!("train/blue/{i}.bmp\n")).collect::<String>());
    contains(&with("class.txt").fails(1), &["class.txt leaves 1 class without training images: `blue`"]);
    assert!(!place.path("run").exists(), "no run has begun");
    place.write("photos/quarantine.txt", "train/gone/0.bmp\n");
    contains(&alexnet!("data", "info", place.path("photos")).ok().out, &["note: `quarantine.txt` in it is not read"]);
    let named = alexnet!("data", "info", place.path("photos"), "--quarantine", place.path("photos/quarantine.txt")).ok();
    contains(&named.out, &["0 images are in quarantine", "1 name is of no image here: `train/gone/0.bmp`"]);
    let error = check(&place).and(["--quarantine".into(), place.path("no/such/list.txt")]).fails(1);
    contains(&error, &["list.txt cannot be written: its folder is not there"]);
}

impl Program {
    /// Runs it and expects a mistake in the command, all of whose text is returned.
    fn fails_usage(self) -> String {
        let ran = self.run();
        assert_eq!(ran.code, Some(2), "{ran}");
        ran.err
    }
}
