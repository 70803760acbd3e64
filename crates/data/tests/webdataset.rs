//! WebDataset shards, read in place.

mod tars;

use std::fs;
use std::path::Path;

use data::{Dataset, Error, LabelOrder, OpenOptions, Source, open};
use tars::tar;
use tempfile::TempDir;

fn photo(number: u8) -> Vec<u8> {
    let mut file = Vec::new();
    let rgb = vec![number * 10; 8 * 8 * 3];
    jpeg_encoder::Encoder::new(&mut file, 95).encode(&rgb, 8, 8, jpeg_encoder::ColorType::Rgb).expect("memory takes a JPEG");
    file
}

/// Shards by name.
fn place(files: &[(&str, Vec<u8>)]) -> TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().expect("within")).expect("made");
        fs::write(path, content).expect("written");
    }
    place
}

/// A shard of samples: an image, a class.
fn shard(samples: &[(&str, u8, &str)]) -> Vec<u8> {
    tar(samples.iter().flat_map(|(key, number, class)| {
        [(format!("{key}.jpg"), photo(*number)), (format!("{key}.cls"), class.as_bytes().to_vec())]
    }))
}

fn opened(path: &Path) -> Dataset {
    open(path, &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set")
}

fn refused(path: &Path) -> String {
    open(path, &OpenOptions::default()).expect_err("no data set").to_string()
}

fn listed(source: &dyn Source) -> Vec<(String, u32, u8)> {
    let grey = |i| ((u16::from(source.read(i).expect("an image").rgb[0]) + 5) / 10) as u8;
    let name = |i| source.name(i).rsplit_once(".tar/").expect("in a shard").1.to_string();
    (0..source.len()).map(|i| (name(i), source.label(i), grey(i))).collect()
}

fn images(expected: &[(&str, u32, u8)]) -> Vec<(String, u32, u8)> {
    expected.iter().map(|(name, label, number)| (name.to_string(), *label, *number)).collect()
}

#[test]
fn samples_come_in_the_order_of_shards_and_members() {
    let long = "deep/".repeat(30) + "00";
    let second = tar([
        ("x/b.v1.txt", b"not asked for".to_vec()),
        ("x/a.JPEG", photo(4)),
        ("x/a.json", br#"{"label": 3, "caption": "a"}"#.to_vec()),
        ("x/b.jpeg", photo(5)),
        ("x/._b.jpg", b"someone's note".to_vec()),
        ("x/c.json", br#"{"cls": 0}"#.to_vec()),
        ("x/c.jpg", photo(6)),
        ("x/b.cls", b" 1\n".to_vec()),
        (&long[..], b"".to_vec()),
        (&format!("{long}.jpg"), photo(7)),
        (&format!("{long}.cls"), b"2".to_vec()),
        ("d.jpg", photo(8)),
        ("e.jpg", photo(9)),
        ("e.json", br#"{"caption": "no label"}"#.to_vec()),
        ("f.cls", b"0".to_vec()),
    ]);
    let place = place(&[("s-1.tar", second), ("s-0.tar", shard(&[("q", 2, "1"), ("p", 1, "0")])), ("readme.md", b"#".to_vec())]);
    let dataset = opened(place.path());
    assert_eq!(dataset.classes, ["0", "1", "2", "3"]);
    let long = format!("{long}.jpg");
    let expected = [("q.jpg", 1, 2), ("p.jpg", 0, 1), ("x/b.jpeg", 1, 5), ("x/a.JPEG", 3, 4), ("x/c.jpg", 0, 6), (&long, 2, 7)];
    assert_eq!(listed(&*dataset.train), images(&expected));
    assert!(dataset.val.is_empty());
    assert!(dataset.notes[0].starts_with("2 images without a label ignored, such as "), "{:?}", dataset.notes);
    assert!(dataset.notes[0].ends_with("s-1.tar/d.jpg"));
}

#[test]
fn splits_by_folder_by_name_by_pattern_or_by_class() {
    let (train, val) = (shard(&[("a", 1, "0"), ("b", 2, "1"), ("c", 3, "1")]), shard(&[("d", 4, "2")]));
    let folders = place(&[("train/0.tar", train.clone()), ("val/0.tar", val.clone())]);
    let names = place(&[("in-train-00.tar", train.clone()), ("in-validation-00.tar", val.clone())]);
    let patterns = place(&[("in-train-0.tar", train.clone()), ("in-val-0.tar", val), ("other.tar", b"no tar file".repeat(99))]);
    for path in [folders.path(), names.path(), &patterns.path().join("in-*.tar")] {
        let dataset = opened(path);
        assert_eq!(dataset.classes.len(), 3);
        assert_eq!(listed(&*dataset.train), images(&[("a.jpg", 0, 1), ("b.jpg", 1, 2), ("c.jpg", 1, 3)]));
        assert_eq!(listed(&*dataset.val), images(&[("d.jpg", 2, 4)]));
    }
    let tested = place(&[("train/0.tar", train.clone()), ("test/0.tar", train.clone())]);
    assert_eq!(opened(tested.path()).notes, ["there is no `val`: validating on `test`"]);
    for path in [place(&[("0.tar", train.clone())]), place(&[("train/0.tar", train)])] {
        let dataset = open(path.path(), &OpenOptions { val_fraction: 0.4, ..OpenOptions::default() }).expect("a data set");
        let (train, val) = (listed(&*dataset.train), listed(&*dataset.val));
        assert_eq!((train.len(), val.len(), val[0].1), (2, 1, 1), "one of two images of class 1: {val:?}");
        assert_eq!(dataset.notes, ["there is no validation folder: 1 of 3 images, 40 % of each class, are split off for it"]);
        // One shard is a data set too.
        let file = path.path().join("0.tar");
        if file.is_file() {
            assert_eq!(opened(&file).train.len(), 3);
        }
    }
}

#[test]
fn shards_of_several_folders_may_have_the_same_names() {
    let place = place(&[
        ("a/train-0.tar", shard(&[("a", 1, "0"), ("b", 2, "1")])),
        ("b/train-0.tar", shard(&[("c", 3, "1")])),
        ("b/val-0.tar", shard(&[("d", 4, "0")])),
    ]);
    let dataset = opened(&place.path().join("*/*.tar"));
    assert_eq!(listed(&*dataset.train), images(&[("a.jpg", 0, 1), ("b.jpg", 1, 2), ("c.jpg", 1, 3)]));
    assert_eq!(listed(&*dataset.val), images(&[("d.jpg", 0, 4)]));
}

#[test]
fn classes_are_named_by_a_file() {
    let shards = || ("0.tar", shard(&[("a", 1, "1"), ("b", 2, "0")]));
    let named = place(&[shards(), ("classes.txt", b"n01440764\tx, y\nn02084071\n".to_vec())]);
    let dataset = opened(named.path());
    assert_eq!(
        (dataset.classes, dataset.words),
        (vec!["n01440764".to_string(), "n02084071".into()], vec!["x, y".to_string(), "".into()])
    );
    let mapped = place(&[
        shards(),
        ("classnames.txt", b"n01440764\nn02084071\n".to_vec()),
        ("synset_words.txt", b"n02084071 dog, hound\n".to_vec()),
    ]);
    assert_eq!(opened(mapped.path()).words, ["", "dog, hound"]);
    let twice = opened(place(&[shards(), ("classes.txt", b"crane\ncrane\n".to_vec())]).path());
    assert_eq!(twice.classes, ["crane (0)", "crane (1)"]);
    assert!(twice.notes[0].starts_with("2 classes have names that another has too"), "{:?}", twice.notes);
    let few = place(&[shards(), ("classes.txt", b"only\n".to_vec())]);
    assert!(refused(few.path()).ends_with("classes.txt: 1 class is named, but there is an image with the label 1"));
}

#[test]
fn what_is_wrong_is_said() {
    for (class, expected) in [("cat", "found `cat`"), ("-1", "found `-1`"), ("4000000000", "from 0 to 1048576"), ("", "found ``")]
    {
        let error = refused(place(&[("0.tar", shard(&[("a", 1, class)]))]).path());
        assert!(error.contains("0.tar/a.cls: expected a label") && error.contains(expected), "{error}");
    }
    for json in ["{", r#"{"label": "cat"}"#, r#"{"label": 1.5}"#] {
        let shard = tar([("a.jpg", photo(1)), ("a.json", json.as_bytes().to_vec())]);
        assert!(
            matches!(open(place(&[("0.tar", shard)]).path(), &OpenOptions::default()), Err(Error::Description { .. })),
            "{json}"
        );
    }
    let photos = place(&[("photos.tar", tar([("a.jpg", photo(1))]))]);
    assert!(refused(photos.path()).contains("no image with a label, such as 000.jpg with 000.cls"));
    let damaged = place(&[("0.tar", b"no tar file".repeat(99))]);
    assert!(matches!(open(damaged.path(), &OpenOptions::default()), Err(Error::Archive { offset: 0, .. })));
    assert!(refused(&damaged.path().join("x-*.tar")).starts_with("no image at "));
    let options = OpenOptions { label_order: LabelOrder::Devkit, ..OpenOptions::default() };
    assert!(matches!(open(damaged.path(), &options), Err(Error::Lacking { .. })));
}

#[test]
fn class_folders_beside_an_archive_are_class_folders() {
    let place = place(&[("photos.tar", b"whatever".to_vec()), ("cat/1.jpg", photo(1)), ("dog/1.jpg", photo(2))]);
    let dataset = opened(place.path());
    assert_eq!((dataset.classes, dataset.train.len()), (vec!["cat".to_string(), "dog".into()], 2));
    let mapped =
        self::place(&[("n02084071/1.jpg", photo(1)), ("cat/1.jpg", photo(1)), ("synset_words.txt", b"n02084071 dog\n".to_vec())]);
    assert_eq!(
        (opened(mapped.path()).classes, opened(mapped.path()).words),
        (vec!["cat".to_string(), "n02084071".into()], vec!["".to_string(), "dog".into()])
    );
}

#[test]
fn many_shards_are_not_all_open() {
    let files: Vec<(String, Vec<u8>)> = (0..70u8).map(|i| (format!("{i:03}.tar"), shard(&[("a", i % 20, "0")]))).collect();
    let place = place(&files.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect::<Vec<_>>());
    let dataset = opened(place.path());
    assert_eq!(dataset.train.len(), 70);
    assert_eq!(listed(&*dataset.train)[69], ("a.jpg".to_string(), 0, 9));
}
