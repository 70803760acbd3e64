//! Tiny ImageNet, made up.

use tempfile::TempDir;

use crate::support::{fault, jpeg, labels, level, opened, put, tree};

fn tiny() -> TempDir {
    tree(&[
        ("wnids.txt", b"n02\nn01\n"),
        ("words.txt", b"n00\tentity\nn01\tgoldfish, Carassius auratus\nn02\tfire salamander\n"),
        ("train/n01/images/n01_0.JPEG", &jpeg(10)),
        ("train/n01/images/n01_1.JPEG", &jpeg(20)),
        ("train/n01/n01_boxes.txt", b"n01_0.JPEG\t0\t0\t1\t1\n"),
        ("train/n02/images/n02_0.JPEG", &jpeg(30)),
        ("val/images/val_0.JPEG", &jpeg(40)),
        ("val/images/val_1.JPEG", &jpeg(50)),
        ("val/val_annotations.txt", b"val_0.JPEG\tn02\t0\t32\t44\t62\nval_1.JPEG\tn01\t52\t55\t57\t59\n"),
        ("test/images/test_0.JPEG", &jpeg(60)),
    ])
}

#[test]
fn classes_are_sorted_and_have_words() {
    let root = tiny();
    let dataset = opened(root.path());
    assert_eq!((dataset.layout, &dataset.classes[..]), ("Tiny ImageNet", &["n01", "n02"].map(String::from)[..]));
    assert_eq!(dataset.words, ["goldfish, Carassius auratus", "fire salamander"]);
    assert_eq!((labels(&*dataset.train), labels(&*dataset.val)), (vec![0, 0, 1], vec![1, 0]));
    for (source, index, expected) in
        [(&dataset.train, 1, 20), (&dataset.train, 2, 30), (&dataset.val, 0, 40), (&dataset.val, 1, 50)]
    {
        assert!(level(&**source, index).abs_diff(expected) <= 2);
    }
    assert!(dataset.val.name(0).ends_with("val/images/val_0.JPEG"));
    std::fs::remove_file(root.path().join("words.txt")).expect("removed");
    assert!(opened(root.path()).words.is_empty());
}

#[test]
fn faults_are_named_with_their_lines() {
    let annotated = |text: &str| {
        let root = tiny();
        put(root.path(), "val/val_annotations.txt", text.as_bytes());
        fault(&root, "")
    };
    let list = "val/val_annotations.txt";
    assert_eq!(annotated("val_0.JPEG\tn02\n\nval_1.JPEG n01\n"), format!("{list}:3: expected a file, a tab and its wnid"));
    assert_eq!(annotated("val_0.JPEG\tn03\n"), format!("{list}:1: `n03` is not in wnids.txt"));
    for outside in ["../../../etc/passwd", "/etc/passwd", "a/b.JPEG", ".."] {
        assert_eq!(
            annotated(&format!("{outside}\tn01\n")),
            format!("{list}:1: expected a file in val/images, found `{outside}`")
        );
    }
    let root = tiny();
    std::fs::remove_file(root.path().join(list)).expect("removed");
    assert_eq!(fault(&root, ""), format!("{list}: is not there: it says which class each image of val/images has"));
    let root = tiny();
    put(root.path(), "wnids.txt", b"n01\n../n02\n");
    assert_eq!(fault(&root, ""), "wnids.txt:2: expected a wnid, found `../n02`");
    put(root.path(), "wnids.txt", b"n01\nn03\n");
    assert_eq!(fault(&root, ""), "train/n03/images");
    put(root.path(), "train/n03/images/notes.txt", b"none");
    assert_eq!(fault(&root, ""), "class `n03` has no images: train/n03/images holds 1 .txt");
    put(root.path(), "wnids.txt", b"n01\n\xff\n");
    assert_eq!(fault(&root, ""), "wnids.txt:2: expected UTF-8");
}

#[test]
fn a_list_of_wnids_alone_makes_no_tiny_imagenet() {
    let root = tree(&[("wnids.txt", b"n01\n"), ("train/n01/a.jpg", &jpeg(1)), ("val/n01/b.jpg", &jpeg(2))]);
    assert_eq!(opened(root.path()).layout, "class folders");
}

#[test]
fn a_missing_validation_image_is_a_bad_image() {
    let root = tiny();
    std::fs::remove_file(root.path().join("val/images/val_1.JPEG")).expect("removed");
    let dataset = opened(root.path());
    let bad = dataset.val.read(1).expect_err("gone").bad_image().expect("about an image");
    assert!(bad.name.ends_with("val_1.JPEG"));
}
