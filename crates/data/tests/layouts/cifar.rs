//! CIFAR-10 and CIFAR-100, made up.

use tempfile::TempDir;

use crate::support::{fault, labels, opened, put, refused, tree};

const TEN: &[u8] = b"airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n\n";

/// A record whose pixel `(y, x)` of channel `c` is `c · 50 + y + x + seed`.
fn record(labels: &[u8], seed: usize) -> Vec<u8> {
    let pixels = (0..3 * 1024).map(|i| (i / 1024 * 50 + i / 32 % 32 + i % 32 + seed) as u8);
    labels.iter().copied().chain(pixels).collect()
}

fn ten() -> TempDir {
    let root = tree(&[("batches.meta.txt", TEN), ("test_batch.bin", &record(&[9], 7))]);
    for batch in 1..=5u8 {
        let records = [record(&[batch], batch.into()), record(&[0], 0)].concat();
        put(root.path(), &format!("data_batch_{batch}.bin"), &records);
    }
    root
}

#[test]
fn cifar_10_is_read_in_order_and_its_planes_are_interleaved() {
    let root = ten();
    let dataset = opened(root.path());
    assert_eq!(dataset.layout, "CIFAR-10, binary");
    assert_eq!((dataset.classes.len(), dataset.classes[3].as_str()), (10, "cat"));
    assert_eq!(labels(&*dataset.train), [1, 0, 2, 0, 3, 0, 4, 0, 5, 0]);
    assert_eq!(labels(&*dataset.val), [9]);
    assert_eq!(dataset.notes, ["4 classes have no training images: `frog`, `horse`, `ship`, `truck`"]);
    let image = dataset.train.read(4).expect("in memory");
    assert_eq!((image.width, image.height), (32, 32));
    for (y, x) in [(0, 0), (0, 31), (17, 5), (31, 31)] {
        let at = 3 * (32 * y + x);
        assert_eq!(image.rgb[at..at + 3], [0, 50, 100].map(|c| (c + y + x + 3) as u8), "{y} {x}");
    }
    assert!(dataset.val.name(0).ends_with("/test/00000"));
}

#[test]
fn cifar_100_has_the_fine_labels_also_in_the_folder_above() {
    let names: String = (0..100).map(|i| format!("class {i}\n")).collect();
    let train: Vec<u8> = (0..100u8).flat_map(|label| record(&[19, 99 - label], 1)).collect();
    let root = tree(&[
        ("cifar-100-binary/fine_label_names.txt", names.as_bytes()),
        ("cifar-100-binary/train.bin", &train),
        ("cifar-100-binary/test.bin", &record(&[3, 42], 2)),
    ]);
    let dataset = opened(root.path());
    assert_eq!((dataset.name.as_str(), dataset.layout), ("cifar-100-binary", "CIFAR-100, binary"));
    assert_eq!(dataset.classes[42], "class 42");
    assert_eq!((labels(&*dataset.train)[0], labels(&*dataset.train)[99], labels(&*dataset.val)), (99, 0, vec![42]));
    assert_eq!(dataset.val.read(0).expect("in memory").rgb[..6], [2, 52, 102, 3, 53, 103]);
    assert!(dataset.notes.is_empty());

    std::fs::remove_file(root.path().join("cifar-100-binary/fine_label_names.txt")).expect("removed");
    let dataset = opened(root.path());
    assert_eq!(dataset.classes[42], "42");
    assert_eq!(dataset.notes, ["there is no fine_label_names.txt: classes are called by their numbers"]);
}

#[test]
fn every_truncation_is_refused() {
    let root = ten();
    let whole = [record(&[3], 0), record(&[4], 0)].concat();
    for length in (0..whole.len()).step_by(61).chain([1, 3072, 3074, 6145]) {
        put(root.path(), "data_batch_3.bin", &whole[..length]);
        let found = format!("data_batch_3.bin: expected records of 3073 bytes, found {length} bytes");
        assert_eq!(fault(&root, ""), found);
    }
    put(root.path(), "data_batch_3.bin", &whole[..3073]);
    assert_eq!(opened(root.path()).train.len(), 9);
}

#[test]
fn what_is_missing_or_out_of_range_is_named() {
    let root = ten();
    put(root.path(), "test_batch.bin", &record(&[10], 0));
    assert_eq!(fault(&root, ""), "test_batch.bin: record 0 has the label 10, expected 0 to 9");
    put(root.path(), "test_batch.bin", &record(&[0], 0));
    put(root.path(), "batches.meta.txt", b"cat\ndog\n");
    assert_eq!(fault(&root, ""), "batches.meta.txt: expected 10 class names, found 2");
    std::fs::remove_file(root.path().join("data_batch_4.bin")).expect("removed");
    assert_eq!(fault(&root, ""), "data_batch_4.bin");
}

#[test]
fn pickles_are_pointed_to_the_binary_version() {
    let ten = tree(&[("cifar-10-batches-py/data_batch_1", b"\x80\x02"), ("cifar-10-batches-py/batches.meta", b"\x80\x02")]);
    assert_eq!(fault(&ten, ""), "cifar-10-batches-py is no data set: it is CIFAR-10 as Python pickles, which are not read");
    let hundred = tree(&[("train", b"\x80\x02"), ("test", b"\x80\x02"), ("meta", b"\x80\x02")]);
    let data::Error::OtherForm { found, instead, .. } = refused(hundred.path()) else { panic!("another error") };
    assert_eq!(found, "it is CIFAR-100 as Python pickles, which are not read");
    assert!(instead.contains("cifar-100-binary.tar.gz"), "{instead}");
}

#[test]
fn other_peoples_train_bin_is_no_cifar() {
    let root = tree(&[("train.bin", b"GPT"), ("test.bin", b"GPT")]);
    assert!(fault(&root, "").contains("it holds 2 files and no folders: 2 .bin"));
}
