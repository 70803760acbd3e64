//! MNIST and its kin, made up, and Fashion-MNIST where it is installed.

use std::io::Write;
use std::path::Path;

use data::{OpenOptions, open};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use crate::skip::skip;
use crate::support::{fault, labels, opened, put, tree};

fn images(n: u32, height: u32, width: u32) -> Vec<u8> {
    let mut file = [0x803, n, height, width].map(u32::to_be_bytes).concat();
    file.extend((0..n * height * width).map(|i| i as u8));
    file
}

fn label_file(labels: &[u8]) -> Vec<u8> {
    let mut file = [0x801, labels.len() as u32].map(u32::to_be_bytes).concat();
    file.extend(labels);
    file
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn mnist() -> TempDir {
    tree(&[
        ("train-images-idx3-ubyte", &images(4, 3, 5)),
        ("train-labels-idx1-ubyte.gz", &zipped(&label_file(&[2, 0, 1, 2]))),
        ("t10k-images-idx3-ubyte.gz", &zipped(&images(2, 3, 5))),
        ("t10k-labels-idx1-ubyte", &label_file(&[1, 0])),
    ])
}

#[test]
fn grey_becomes_three_channels_whether_compressed_or_not() {
    let root = mnist();
    let dataset = opened(root.path());
    assert_eq!((dataset.layout, &dataset.classes[..]), ("IDX, as MNIST", &["0", "1", "2"].map(String::from)[..]));
    assert_eq!((labels(&*dataset.train), labels(&*dataset.val)), (vec![2, 0, 1, 2], vec![1, 0]));
    for source in [&dataset.train, &dataset.val] {
        let image = source.read(1).expect("in memory");
        assert_eq!((image.width, image.height), (5, 3));
        assert_eq!(image.rgb, (15..30u8).flat_map(|grey| [grey; 3]).collect::<Vec<_>>());
    }
    assert!(dataset.notes.is_empty());
}

#[test]
fn dots_in_names_torchvisions_folders_and_a_missing_test_are_fine() {
    let root = tree(&[
        ("FashionMNIST/raw/train-images.idx3-ubyte", &images(4, 2, 2)),
        ("FashionMNIST/raw/train-labels.idx1-ubyte", &label_file(&[1, 0, 1, 0])),
    ]);
    let dataset = opened(root.path());
    assert_eq!((dataset.classes.len(), dataset.classes[1].as_str()), (10, "Trouser"));
    for source in [&dataset.train, &dataset.val] {
        let mut split = labels(&**source);
        split.sort();
        assert_eq!(split, [0, 1]);
    }
    assert_eq!(
        dataset.notes[1],
        "there is no validation file `t10k-images-idx3-ubyte`: 2 of 4 images, 10 % of each class, are split off for it"
    );
    let again = open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set");
    assert_eq!(labels(&*again.train), [1, 0, 1, 0]);
    assert_eq!(again.train.read(3).expect("in memory").rgb[..3], [12; 3]);
}

#[test]
fn headers_are_believed_as_far_as_the_file_goes() {
    let claims = |file: &str, bytes: &[u8]| {
        let root = mnist();
        put(root.path(), file, bytes);
        fault(&root, "")
    };
    let train = "train-images-idx3-ubyte";
    let mut long = images(4, 3, 5);
    long.push(0);
    let huge = [0x803, u32::MAX, u32::MAX, u32::MAX].map(u32::to_be_bytes).concat();
    let large = [0x803, 1 << 16, 1 << 8, 1 << 7].map(u32::to_be_bytes).concat();
    let found = "the header claims [4, 3, 5] values, 60 bytes; there are";
    assert_eq!(claims(train, &long), format!("{train}: {found} more"));
    assert_eq!(claims(train, &huge), format!("{train}: the header claims {:?} values, more than 4294967296", [u32::MAX; 3]));
    assert!(claims(train, &large).ends_with("2147483648 bytes; there are 0"));
    assert!(claims(train, &label_file(&[1])).contains("expected a header of 16 bytes, found 9 bytes"));
    let wrong = [label_file(&[1]), vec![0; 20]].concat();
    assert!(claims(train, &wrong).contains("expected the magic number 0x00000803 of bytes in 3-D, found 0x00000801"));
    assert!(claims(train, &images(4, 0, 5)).contains("the header claims 4 images of 5 × 0 pixels"));
    assert_eq!(claims(train, &images(3, 3, 5)), "train-labels-idx1-ubyte.gz: 4 labels for 3 images");
    assert_eq!(
        claims("t10k-labels-idx1-ubyte", &label_file(&[0, 3])),
        "t10k-labels-idx1-ubyte: image 1 has the label 3, of 3 classes"
    );
    let root = mnist();
    std::fs::remove_file(root.path().join("train-labels-idx1-ubyte.gz")).expect("removed");
    assert_eq!(fault(&root, ""), "train-labels-idx1-ubyte: is not there, with .gz neither");
}

#[test]
fn every_truncation_is_refused() {
    let root = mnist();
    let (whole, small) = (images(4, 3, 5), zipped(&label_file(&[2, 0, 1, 2])));
    for length in 0..whole.len() {
        put(root.path(), "train-images-idx3-ubyte", &whole[..length]);
        assert!(fault(&root, "").starts_with("train-images-idx3-ubyte: "), "{length}");
    }
    put(root.path(), "train-images-idx3-ubyte", &whole);
    for length in 0..small.len() {
        put(root.path(), "train-labels-idx1-ubyte.gz", &small[..length]);
        assert!(fault(&root, "").starts_with("train-labels-idx1-ubyte.gz: "), "{length}");
    }
    // The checksum at the end counts.
    let mut changed = small.clone();
    changed[small.len() - 8] ^= 1;
    put(root.path(), "train-labels-idx1-ubyte.gz", &changed);
    assert!(fault(&root, "").starts_with("train-labels-idx1-ubyte.gz: "));
    put(root.path(), "train-labels-idx1-ubyte.gz", &small);
    assert_eq!(opened(root.path()).train.len(), 4);
}

proptest! {
    #[test]
    fn changed_bytes_are_read_or_refused(at in 0usize..16, value: u8, length in 16usize..76) {
        let root = mnist();
        let mut file = images(4, 3, 5);
        file[at] = value;
        file.truncate(length);
        put(root.path(), "train-images-idx3-ubyte", &file);
        match open(root.path(), &OpenOptions::default()) {
            Ok(dataset) => prop_assert!(dataset.train.read(3).is_ok()),
            Err(error) => prop_assert!(error.to_string().contains("ubyte"), "{error}"),
        }
    }
}

#[test]
fn fashion_mnist_as_debian_has_it() {
    let folder = Path::new("/usr/share/datasets/fashion-mnist");
    if !folder.is_dir() {
        return skip("dataset-fashion-mnist is not installed");
    }
    let dataset = opened(folder);
    assert_eq!((dataset.train.len(), dataset.val.len(), dataset.classes[9].as_str()), (60_000, 10_000, "Ankle boot"));
    for (source, each) in [(&dataset.train, 6000), (&dataset.val, 1000)] {
        let mut counts = [0; 10];
        labels(&**source).iter().for_each(|&label| counts[label as usize] += 1);
        assert_eq!(counts, [each; 10]);
    }
    assert_eq!(labels(&*dataset.train)[..4], [9, 0, 0, 3]);
    let image = dataset.train.read(0).expect("in memory");
    assert_eq!((image.width, image.height), (28, 28));
    // The mean of all training images is known to be 0.2860.
    let mut sum = 0u64;
    for index in 0..dataset.train.len() {
        sum += dataset.train.read(index).expect("in memory").rgb.iter().map(|&v| u64::from(v)).sum::<u64>();
    }
    assert!((sum as f64 / (60_000.0 * 3.0 * 784.0 * 255.0) - 0.2860).abs() < 0.0001);
    assert!(dataset.notes.is_empty());
}
