//! What is said of a path that is no data set.

use data::Error;

use crate::support::{fault, jpeg, put, refused, tree};

#[test]
fn a_folder_is_listed_by_kind_beside_the_known_layouts() {
    let root = tree(&[("a.txt", b""), ("b.TXT", b""), ("c.csv", b""), ("README", b""), (".hidden", b"")]);
    let message = fault(&root, "");
    let found = "is no data set: it holds 4 files and no folders: 2 .txt, 1 file without extension, 1 .csv; known are\n";
    assert!(message.contains(found), "{message}");
    for form in ["DIR/train/CLASS/*", "CIFAR-10", "MNIST", "Tiny ImageNet", "Parquet", "`path label`"] {
        assert!(message.contains(form), "{form}: {message}");
    }
    let root = tree(&[("1.jpg", &jpeg(1)), ("notes.txt", b"")]);
    assert!(fault(&root, "").contains("it holds 1 image and no class folders: 1 .jpg, 1 .txt; known are"));
    let root = tree(&[("val/a/1.jpg", &jpeg(1)), ("x.txt", b"")]);
    assert!(fault(&root, "").contains("there is `val`, but no `train`, in 1 folder, 1 .txt; known are"));
    let many = tree(&[]);
    (0..12).for_each(|i| put(many.path(), &format!("x.kind{i}"), b""));
    assert!(fault(&many, "").contains("1 .kind4, 1 .kind5, 4 other files; known are"), "{}", fault(&many, ""));
}

#[test]
fn files_are_told_by_their_content_and_what_to_do_is_said() {
    let mut tar = vec![b'x'; 512];
    tar[257..262].copy_from_slice(b"ustar");
    let cases: [(&str, &[u8], &str, &str); 9] = [
        ("photo", &jpeg(3), "a single JPEG image", "`alexnet predict` takes single images"),
        ("photo.gif", b"GIF89a", "a single image by its name", "`alexnet predict` takes single images"),
        ("set.zip", b"PK\x03\x04rest", "a zip archive", "unzip "),
        ("set.tar.gz", b"\x1f\x8b\x08\0", "a compressed tar archive", "tar xf "),
        ("set.gz", b"\x1f\x8b\x08\0", "compressed by gzip", "gunzip "),
        ("set.tar", &tar, "a tar archive", "tar xf "),
        ("set.7z", b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x "),
        ("set.h5", b"\x89HDF\r\n", "in the HDF5 format", "a folder for each class"),
        ("data_batch_1", b"\x80\x02}q", "a Python pickle", "a folder for each class"),
    ];
    for (name, bytes, what, advice) in cases {
        let root = tree(&[(name, bytes)]);
        let Error::OtherForm { found, instead, .. } = refused(&root.path().join(name)) else { panic!("{name}") };
        assert_eq!(found, format!("it is a file, {what}"));
        assert!(instead.contains(advice), "{name}: {instead}");
        assert_eq!(fault(&root, name), format!("{name} is no data set: {found}"));
    }
    let root = tree(&[("empty", b""), ("text.txt", b"hello\n"), ("odd.bin", b"\0\x01\x02")]);
    assert!(fault(&root, "empty").contains("is no data set: it is an empty file; known are"));
    assert!(fault(&root, "text.txt").contains("it is a text file in which no line is `path label`"));
    assert!(fault(&root, "odd.bin").contains("it is a file of no known kind"));
}

#[cfg(not(feature = "parquet"))]
#[test]
fn parquet_names_the_feature_that_reads_it() {
    let root = tree(&[("data/train-00000-of-00002.parquet", b"PAR1"), ("data/train-00001-of-00002.parquet", b"PAR1")]);
    let Error::OtherForm { found, instead, .. } = refused(root.path()) else { panic!("another error") };
    assert_eq!(found, "it holds 2 Parquet files, which this build does not read");
    assert_eq!(instead, "build the program with the feature: `cargo build --release --features parquet`");
}

#[test]
fn missing_parquet_files_are_noticed() {
    let root = tree(&[("train-00000-of-00003.parquet", b"PAR1"), ("train-00001-of-00003-0123456789abcdef.parquet", b"PAR1")]);
    assert_eq!(fault(&root, ""), "train-00000-of-00003.parquet: one of 3, of which 2 here");
    let root = tree(&[("data/test-00000-of-00001.parquet", b"PAR1")]);
    assert_eq!(fault(&root, ""), "data: there are Parquet files to validate on, but no train-*.parquet");
}
