//! Caffe's lists.

use crate::support::{fault, jpeg, labels, level, opened, put, refused, tree};

#[test]
fn a_label_is_the_last_field_and_paths_may_have_spaces() {
    let root = tree(&[
        ("train.txt", b"a/one two.jpg 1\n\n./b/2.jpg\t0\r\n  a/3  4.jpg   2  \n"),
        ("val.txt", b"v.jpg 2\n"),
        ("a/one two.jpg", &jpeg(10)),
        ("b/2.jpg", &jpeg(20)),
        ("a/3  4.jpg", &jpeg(30)),
        ("v.jpg", &jpeg(40)),
    ]);
    let dataset = opened(root.path());
    assert_eq!(dataset.layout, "lists of paths and labels");
    assert_eq!(dataset.classes, ["0", "1", "2"]);
    assert_eq!((labels(&*dataset.train), labels(&*dataset.val)), (vec![1, 0, 2], vec![2]));
    for (index, expected) in [10, 20, 30].into_iter().enumerate() {
        assert!(level(&*dataset.train, index).abs_diff(expected) <= 2);
    }
    assert!(level(&*dataset.val, 0).abs_diff(40) <= 2);
    let names = "synset_words.txt, synsets.txt, classes.txt, labels.txt";
    assert_eq!(dataset.notes, [format!("there are no {names} beside `train.txt`: classes are called by their numbers")]);
}

#[test]
fn images_may_lie_in_the_folders_of_the_splits_and_synsets_have_words() {
    let root = tree(&[
        ("train.txt", b"n01/gone.JPEG 0\nn01/1.JPEG 0\nn02/2.JPEG 1\n"),
        ("test.txt", b"ILSVRC2012_val_1.JPEG 1\n"),
        ("synset_words.txt", b"n01 tench, Tinca tinca\nn02 goldfish\n"),
        ("train/n01/1.JPEG", &jpeg(10)),
        ("train/n02/2.JPEG", &jpeg(20)),
        ("test/ILSVRC2012_val_1.JPEG", &jpeg(30)),
    ]);
    let dataset = opened(root.path());
    assert_eq!(
        (dataset.classes, dataset.words),
        (vec!["n01".into(), "n02".into()], vec!["tench, Tinca tinca".to_string(), "goldfish".to_string()])
    );
    assert!(level(&*dataset.train, 2).abs_diff(20) <= 2 && level(&*dataset.val, 0).abs_diff(30) <= 2);
    assert_eq!(dataset.notes, ["there is no `val.txt`: validating on `test.txt`"]);
    let bad = dataset.train.read(0).expect_err("gone").bad_image().expect("about an image");
    assert!(bad.name.ends_with("train/n01/gone.JPEG"), "{}", bad.name);
}

#[test]
fn one_list_is_split_and_names_stand_beside_it() {
    let text: String = (0..20).map(|i| format!("{i}.jpg {}\n", i % 2)).collect();
    let root = tree(&[("mine.lst", text.as_bytes()), ("labels.txt", b"cat\ndog\ncat\n"), ("3.jpg", &jpeg(9))]);
    let dataset = opened(&root.path().join("mine.lst"));
    assert_eq!(dataset.classes, ["cat (0)", "dog", "cat (2)"]);
    let mut val = labels(&*dataset.val);
    val.sort();
    assert_eq!((dataset.train.len(), val), (18, vec![0, 1]));
    assert_eq!(
        dataset.notes,
        [
            "2 classes have names that another has too, and the label added: `cat (0)`, `cat (2)`",
            "1 class has no training images: `cat (2)`",
            "there is no validation list: 2 of 20 images, 10 % of each class, are split off for it"
        ]
    );
    let mut names: Vec<String> = [&dataset.train, &dataset.val]
        .iter()
        .flat_map(|s| (0..s.len()).map(|i| format!("{} {}", s.name(i).rsplit('/').next().unwrap_or(""), s.label(i))))
        .collect();
    let mut expected: Vec<String> = text.lines().map(String::from).collect();
    names.sort();
    expected.sort();
    assert_eq!(names, expected);
    // A folder's train.txt alone is split too.
    put(root.path(), "train.txt", text.as_bytes());
    assert_eq!(labels(&*opened(root.path()).val), labels(&*dataset.val));
}

#[test]
fn gaps_and_labels_from_one_are_noted() {
    let root = tree(&[("train.txt", b"a.jpg 1\nb.jpg 3\n"), ("val.txt", b"c.jpg 1\n")]);
    let notes = opened(root.path()).notes.split_off(1);
    assert_eq!(notes[0], "2 classes have no training images: `0`, `2`");
    assert!(notes[1].starts_with("no label of ") && notes[1].ends_with("train.txt is 0: do they count from 1?"), "{}", notes[1]);
}

#[test]
fn bad_lines_are_named() {
    let of = |text: &str| fault(&tree(&[("train.txt", text.as_bytes())]), "");
    assert_eq!(of("a.jpg 0\nb.jpg\n"), "train.txt:2: expected `path label`, found `b.jpg`");
    assert_eq!(of("a.jpg 0\n\nb.jpg -1\n"), "train.txt:3: expected `path label`, found `b.jpg -1`");
    assert_eq!(of("a.jpg 0\nb.jpg 99999999999\n"), "train.txt:2: expected `path label`, found `b.jpg 99999999999`");
    assert_eq!(of("a.jpg 0\n7\n"), "train.txt:2: expected `path label`, found `7`");
    let long = format!("a.jpg 0\n{}\n", "é".repeat(100));
    assert_eq!(of(&long), format!("train.txt:2: expected `path label`, found `{}…`", "é".repeat(60)));
    for outside in ["../b.jpg", "/etc/passwd", "a/../../b.jpg", "."] {
        assert_eq!(
            of(&format!("a.jpg 0\n{outside} 1\n")),
            format!("train.txt:2: `{outside}` leads out of the folder of the list")
        );
    }
    assert_eq!(of("a.jpg 0\nb.jpg 4000000000\n"), "train.txt:2: the label 4000000000, where the list has 2 lines");
    let root = tree(&[("train.txt", b"a.jpg 0\n\xff.jpg 0\n")]);
    assert_eq!(fault(&root, ""), "train.txt:2: expected UTF-8");
    let root = tree(&[("train.txt", b"a.jpg 0\nb.jpg 2\n"), ("classes.txt", b"cat\ndog\n")]);
    assert_eq!(fault(&root, ""), "train.txt:2: the label 2, where classes.txt names 2 classes");
    let root = tree(&[("train.txt", b"a.jpg 0\n"), ("val.txt", b"b.jpg 0\nc.jpg 1\n")]);
    assert_eq!(fault(&root, ""), "val.txt:2: the label 1, where train.txt has the classes 0 to 0");
    let root = tree(&[("train.txt", b"a.jpg 0\n"), ("val.txt", b"b.jpg\n")]);
    assert_eq!(fault(&root, ""), "val.txt:1: expected `path label`, as in every line");
}

#[test]
fn absolute_paths_are_fine_within_the_folder() {
    let root = tree(&[("a.jpg", &jpeg(70))]);
    let line = format!("{}/a.jpg 0\n", root.path().display());
    put(root.path(), "train.txt", line.as_bytes());
    put(root.path(), "val.txt", b"a.jpg 0\n");
    assert!(level(&*opened(root.path()).train, 0).abs_diff(70) <= 2);
}

#[test]
fn a_train_txt_without_labels_does_not_hide_class_folders() {
    let root = tree(&[("train.txt", b"read me\nimages/a.jpg\n"), ("train/a/1.jpg", &jpeg(1)), ("val/a/1.jpg", &jpeg(1))]);
    assert_eq!(opened(root.path()).layout, "class folders");
    assert!(refused(&root.path().join("train.txt")).to_string().contains("it is a text file in which no line is `path label`"));
}
