//! Class folders of all sorts, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use data::{Dataset, Error, OpenOptions, Source, list_images, open};
use tempfile::TempDir;

/// The smallest bitmap: one grey pixel.
fn bitmap(level: u8) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [58u32, 0, 54, 40, 1, 1, 24 << 16 | 1, 0, 4, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([level, level, level, 0]);
    file
}

/// Files by path; a path that ends in `/` is a folder.
fn tree(paths: &[&str]) -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    for (level, path) in paths.iter().enumerate() {
        let full = root.path().join(path);
        if path.ends_with('/') {
            fs::create_dir_all(full).expect("made");
            continue;
        }
        fs::create_dir_all(full.parent().expect("within the root")).expect("made");
        fs::write(full, bitmap(level as u8)).expect("written");
    }
    root
}

fn opened(root: &TempDir) -> Dataset {
    open(root.path(), &OpenOptions::default()).expect("a data set")
}

fn refused(root: &Path) -> String {
    open(root, &OpenOptions::default()).expect_err("no data set").to_string()
}

/// Paths below the root, with labels.
fn listed(root: &TempDir, source: &dyn Source) -> Vec<(String, u32)> {
    let short = |i| source.name(i).strip_prefix(&format!("{}/", root.path().display())).expect("below").to_string();
    (0..source.len()).map(|i| (short(i), source.label(i))).collect()
}

#[test]
fn classes_and_files_are_sorted_by_bytes_and_matched_by_name() {
    let root = tree(&[
        "train/b/2.bmp",
        "train/b/10.bmp",
        "train/B/x.bmp",
        "train/é/x.bmp",
        "train/a b/x.bmp",
        "train/.hidden/x.bmp",
        "train/b/.x.bmp",
        "val/é/v.bmp",
        "val/b/v.bmp",
        "val/B/v.bmp",
    ]);
    let dataset = opened(&root);
    assert_eq!(dataset.classes, ["B", "a b", "b", "é"]);
    let train = [("train/B/x.bmp", 0), ("train/a b/x.bmp", 1), ("train/b/10.bmp", 2), ("train/b/2.bmp", 2), ("train/é/x.bmp", 3)];
    assert_eq!(listed(&root, &*dataset.train), train.map(|(p, l)| (p.to_string(), l)));
    let val = [("val/B/v.bmp", 0), ("val/b/v.bmp", 2), ("val/é/v.bmp", 3)];
    assert_eq!(listed(&root, &*dataset.val), val.map(|(p, l)| (p.to_string(), l)));
    assert_eq!(dataset.notes, ["1 class has no validation images: `a b`"]);
    assert_eq!(dataset.train.read(0).expect("a bitmap").rgb, [2; 3]);
}

#[test]
fn other_names_of_validation_are_said_aloud() {
    for folder in ["valid", "validation", "test"] {
        let root = tree(&["train/a/1.bmp", "train/b/1.bmp", &format!("{folder}/a/1.bmp"), &format!("{folder}/b/1.bmp")]);
        let dataset = opened(&root);
        assert_eq!(dataset.val.len(), 2);
        assert_eq!(dataset.notes, [format!("there is no `val`: validating on `{folder}`")]);
    }
    let root = tree(&["train/a/1.bmp", "valid/a/1.bmp", "test/a/1.bmp", "test/a/2.bmp"]);
    assert_eq!(opened(&root).notes, ["there is no `val`: validating on `valid`"]);
    let root = tree(&["train/a/1.bmp", "val/a/1.bmp", "val/a/2.bmp", "test/a/1.bmp"]);
    assert_eq!((opened(&root).val.len(), opened(&root).notes.len()), (2, 0));
}

#[test]
fn one_folder_is_split_by_class_and_seed() {
    let names: Vec<String> = (0..40).map(|i| format!("{}/{i:02}.bmp", if i < 30 { "cat" } else { "dog" })).collect();
    let mut paths: Vec<&str> = names.iter().map(String::as_str).collect();
    paths.push("eel/1.bmp");
    let root = tree(&paths);
    let split = |seed, val_fraction| {
        open(root.path(), &OpenOptions { seed, val_fraction, ..OpenOptions::default() }).expect("a data set")
    };
    let dataset = split(0, 0.1);
    assert_eq!(dataset.classes, ["cat", "dog", "eel"]);
    let (train, val) = (listed(&root, &*dataset.train), listed(&root, &*dataset.val));
    assert_eq!(val.iter().map(|(_, label)| *label).collect::<Vec<_>>(), [0, 0, 0, 1]);
    let mut all: Vec<_> = train.iter().chain(&val).cloned().collect();
    all.sort();
    assert_eq!(all.len(), 41);
    all.dedup();
    assert_eq!(all.len(), 41);
    assert_eq!(dataset.notes, ["there is no validation folder: 4 of 41 images, 10 % of each class, are split off for it"]);
    assert_eq!(listed(&root, &*split(0, 0.1).val), val);
    assert_ne!(listed(&root, &*split(1, 0.1).val), val);
    assert_eq!((split(0, 0.0).val.len(), split(0, 0.999).train.len()), (0, 3));
    assert!(matches!(open(root.path(), &OpenOptions { val_fraction: 1.0, ..OpenOptions::default() }), Err(Error::Split(_))));

    let single = tree(&["cat/1.bmp", "dog/1.bmp"]);
    let dataset = opened(&single);
    assert_eq!((dataset.train.len(), dataset.val.len()), (2, 0));
    assert_eq!(dataset.notes, ["every class has a single image: there are no validation images"]);

    let only_train = tree(&["train/cat/1.bmp", "train/cat/2.bmp"]);
    assert_eq!((opened(&only_train).train.len(), opened(&only_train).val.len()), (1, 1));

    let vehicles = tree(&["train/1.bmp", "car/1.bmp", "bus/1.bmp"]);
    assert_eq!(opened(&vehicles).classes, ["bus", "car", "train"]);
}

#[test]
fn strangers_are_ignored_and_counted_but_broken_images_are_kept() {
    let root = tree(&["a/1.bmp", "a/2.bmp", "a/deeper/3.bmp", "b/photo", "b/1.bmp"]);
    fs::write(root.path().join("a/Thumbs.db"), "no image").expect("written");
    fs::write(root.path().join("README.txt"), "no image").expect("written");
    fs::write(root.path().join("b/text.jpg"), "no image").expect("written");
    let dataset = opened(&root);
    assert_eq!(dataset.train.len() + dataset.val.len(), 5);
    let note = &dataset.notes[0];
    assert!(note.contains("2 files that are no images and 1 folder within classes"), "{note}");
    let sources = [&dataset.train, &dataset.val];
    let broken = sources.iter().flat_map(|s| (0..s.len()).map(move |i| (s, i))).find(|(s, i)| s.name(*i).ends_with("text.jpg"));
    let (source, index) = broken.expect("kept");
    assert!(source.read(index).expect_err("text").bad_image().is_some());
}

#[test]
fn what_is_no_data_set_says_what_it_found() {
    let empty = tree(&[]);
    let text = refused(empty.path());
    assert!(text.contains("is no data set: it is empty; known are\n") && text.contains("\n  DIR/train/CLASS/*"), "{text}");
    let flat = tree(&["1.bmp", "2.bmp"]);
    assert!(refused(flat.path()).contains("it holds 2 images and no class folders"));
    assert!(refused(&flat.path().join("1.bmp")).contains("it is a file"));
    assert!(matches!(open(&flat.path().join("gone"), &OpenOptions::default()), Err(Error::Path { .. })));
    let only_val = tree(&["val/a/1.bmp"]);
    assert!(refused(only_val.path()).contains("there is `val`, but no `train`"));
    let hollow = tree(&["train/a/1.bmp", "train/b/", "val/a/1.bmp"]);
    assert!(refused(hollow.path()).starts_with("class `b` has no images: "));
    let nested = tree(&["x/train/a/1.bmp"]);
    assert!(refused(nested.path()).contains("class `x` has no images"));
    let error = open(nested.path(), &OpenOptions::default()).expect_err("a folder too high");
    assert!(matches!(error, Error::EmptyClass { others: 1, .. }), "{error:?}");
    let unknown = tree(&["train/a/1.bmp", "val/a/1.bmp", "val/zebra/1.bmp", "val/yak/1.bmp"]);
    assert!(refused(unknown.path()).ends_with("has 2 classes that the training folder lacks: `yak`, `zebra`"));
}

#[test]
fn a_file_that_vanishes_is_a_bad_image() {
    let root = tree(&["a/1.bmp", "a/2.bmp", "a/3.bmp"]);
    let dataset = open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set");
    fs::remove_file(root.path().join("a/2.bmp")).expect("removed");
    assert!(dataset.train.read(0).is_ok());
    let bad = dataset.train.read(1).expect_err("gone").bad_image().expect("about an image");
    assert!(bad.name.ends_with("a/2.bmp"));
}

#[test]
fn paths_to_predict() {
    let root = tree(&["b/2.bmp", "b/1.bmp", "a/deep/3.bmp", "a/.hidden.bmp", "4.bmp", "none/"]);
    fs::write(root.path().join("b/notes.txt"), "no image").expect("written");
    let list = |paths: &[&str]| {
        let full: Vec<PathBuf> = paths.iter().map(|p| root.path().join(p)).collect();
        let short = |p: &PathBuf| p.strip_prefix(root.path()).expect("below").display().to_string();
        list_images(&full).map(|found| found.iter().map(short).collect::<Vec<_>>())
    };
    assert_eq!(list(&[""]).expect("images"), ["4.bmp", "a/deep/3.bmp", "b/1.bmp", "b/2.bmp"]);
    assert_eq!(list(&["b", "4.bmp"]).expect("images"), ["b/1.bmp", "b/2.bmp", "4.bmp"]);
    assert_eq!(list(&["b/*"]).expect("images"), ["b/1.bmp", "b/2.bmp"]);
    assert_eq!(list(&["**/[1-3].bmp"]).expect("images"), ["a/deep/3.bmp", "b/1.bmp", "b/2.bmp"]);
    assert_eq!(list(&["b/notes.txt"]).expect("taken at one's word"), ["b/notes.txt"]);
    assert!(matches!(list(&["gone.bmp"]), Err(Error::Path { .. })));
    assert!(matches!(list(&["none"]), Err(Error::NoImages { .. })));
    assert!(matches!(list(&["*.png"]), Err(Error::NoImages { .. })));
    assert!(matches!(list(&["[.bmp"]), Err(Error::NoImages { .. })));
}
