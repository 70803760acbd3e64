//! Parquet files, written here and read back.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use data::{Content, OpenOptions, open};
use parquet::basic::{Compression, GzipLevel};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use crate::support::{fault, jpeg, labels, level, opened, put, tree};

/// As the Hub's library writes it.
const HUB: &str = "message schema {
    optional group image { optional binary bytes; optional binary path (UTF8); }
    optional int64 label;
}";

const CLASSES: &str =
    r#"{"info": {"features": {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}"#;

/// How a file is written.
struct Form {
    schema: &'static str,
    features: Option<&'static str>,
    compression: Compression,
    version: WriterVersion,
    dictionary: bool,
    /// Rows of a group, and bytes of a page.
    group: usize,
    page_bytes: usize,
}

impl Default for Form {
    fn default() -> Form {
        Form {
            schema: HUB,
            features: Some(CLASSES),
            compression: Compression::SNAPPY,
            version: WriterVersion::PARQUET_1_0,
            dictionary: true,
            group: 5,
            page_bytes: 1500,
        }
    }
}

impl Form {
    /// Writes rows of an image and a label; an image may be null.
    fn write(&self, path: &Path, rows: &[(Option<Vec<u8>>, i64)]) {
        std::fs::create_dir_all(path.parent().expect("within a folder")).expect("made");
        let schema = Arc::new(parse_message_type(self.schema).expect("a schema"));
        let metadata = self.features.map(|text| vec![KeyValue::new("huggingface".into(), text.to_string())]);
        let properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_writer_version(self.version)
            .set_dictionary_enabled(self.dictionary)
            .set_data_page_size_limit(self.page_bytes)
            .set_dictionary_page_size_limit(self.page_bytes)
            .set_write_batch_size(1)
            .set_key_value_metadata(metadata)
            .build();
        let file = File::create(path).expect("made");
        let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).expect("a writer");
        for rows in rows.chunks(self.group) {
            self.write_group(&mut writer, rows);
        }
        writer.close().expect("closed");
    }

    fn write_group(&self, writer: &mut SerializedFileWriter<File>, rows: &[(Option<Vec<u8>>, i64)]) {
        let mut group = writer.next_row_group().expect("a group");
        let mut column = 0;
        while let Some(mut next) = group.next_column().expect("a column") {
            let is_struct = self.schema.contains("group");
            match (column, is_struct) {
                (0, _) => {
                    let levels: Vec<i16> = rows.iter().map(|(image, _)| if image.is_some() { 2 } else { 1 }).collect();
                    let values: Vec<ByteArray> = rows.iter().filter_map(|(image, _)| Some(image.clone()?.into())).collect();
                    let levels = is_struct.then_some(&levels[..]);
                    next.typed::<ByteArrayType>().write_batch(&values, levels, None).expect("written");
                }
                (1, true) => {
                    let levels = vec![1; rows.len()];
                    next.typed::<ByteArrayType>().write_batch(&[], Some(&levels), None).expect("written");
                }
                (2, true) => {
                    let values: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
                    next.typed::<Int64Type>().write_batch(&values, Some(&vec![1; rows.len()]), None).expect("written");
                }
                _ => {
                    let values: Vec<i32> = rows.iter().map(|(_, label)| *label as i32).collect();
                    next.typed::<Int32Type>().write_batch(&values, None, None).expect("written");
                }
            }
            next.close().expect("closed");
            column += 1;
        }
        group.close().expect("closed");
    }
}

/// `n` rows, of images of levels `from`, `from + 5`, … and alternating labels.
fn rows(n: usize, from: u8) -> Vec<(Option<Vec<u8>>, i64)> {
    (0..n).map(|i| (Some(jpeg(from + 5 * i as u8)), i as i64 % 2)).collect()
}

#[test]
fn two_splits_of_several_files_groups_and_pages_are_read_in_any_order() {
    for compression in [Compression::SNAPPY, Compression::UNCOMPRESSED, Compression::GZIP(GzipLevel::default())] {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for dictionary in [true, false] {
                let form = Form { compression, version, dictionary, ..Form::default() };
                let root = tree(&[("README.md", b"a card")]);
                let all = rows(23, 0);
                form.write(&root.path().join("data/train-00000-of-00002-0a1b2c3d.parquet"), &all[..13]);
                form.write(&root.path().join("data/train-00001-of-00002-4e5f6071.parquet"), &all[13..]);
                form.write(&root.path().join("data/validation-00000-of-00001.parquet"), &rows(4, 120));
                let dataset = opened(root.path());
                assert_eq!((dataset.layout, &dataset.classes[..]), ("Parquet", &["cat", "dog"].map(String::from)[..]));
                assert_eq!((dataset.train.len(), labels(&*dataset.val)), (23, vec![0, 1, 0, 1]));
                assert_eq!(labels(&*dataset.train)[12..16], [0, 1, 0, 1]);
                for index in (0..23).chain((0..23).map(|i| i * 7 % 23)) {
                    let mut buffer = vec![1, 2, 3];
                    let content = dataset.train.fetch(index, &mut buffer).expect("an image");
                    let bytes = all[index].0.as_deref().expect("given");
                    assert_eq!(content, Content::Encoded { bytes, exif: true });
                }
                assert!(level(&*dataset.val, 3).abs_diff(135) <= 2);
                assert!(dataset.train.name(14).ends_with("data/train-00001-of-00002-4e5f6071.parquet/00001"));
                assert_eq!(dataset.notes.len(), 1);
            }
        }
    }
}

#[test]
fn threads_may_share_a_source() {
    let root = tree(&[]);
    let all = rows(40, 0);
    Form::default().write(&root.path().join("train.parquet"), &all);
    let dataset = open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (train, all) = (&dataset.train, &all);
            scope.spawn(move || {
                for index in (0..400).map(|i| (i * 11 + thread * 10) % 40) {
                    let mut buffer = Vec::new();
                    let Content::Encoded { bytes, .. } = train.fetch(index, &mut buffer).expect("an image") else {
                        panic!("pixels")
                    };
                    assert_eq!(bytes, all[index].0.as_deref().expect("given"));
                }
            });
        }
    });
}

#[test]
fn long_pages_are_read_in_runs() {
    let root = tree(&[]);
    let all: Vec<_> = (0..700).map(|i| (Some(format!("image {i}").into_bytes()), 0)).collect();
    Form { group: 1000, page_bytes: 1 << 20, dictionary: false, ..Form::default() }
        .write(&root.path().join("train.parquet"), &all);
    let dataset = open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set");
    for index in (0..700).map(|i| i * 257 % 700).chain([255, 256, 511, 512, 699]) {
        let mut buffer = Vec::new();
        let Content::Encoded { bytes, .. } = dataset.train.fetch(index, &mut buffer).expect("bytes") else { panic!("pixels") };
        assert_eq!(bytes, format!("image {index}").as_bytes());
    }
}

#[test]
fn a_single_file_of_plain_columns_is_split() {
    let schema = "message schema { required binary img; required int32 fine_label; }";
    let form = Form { schema, features: None, ..Form::default() };
    let root = tree(&[]);
    form.write(&root.path().join("mine.parquet"), &rows(10, 0));
    let dataset = opened(&root.path().join("mine.parquet"));
    assert_eq!((dataset.classes.len(), dataset.train.len(), dataset.val.len()), (2, 8, 2));
    assert!(dataset.notes[1].starts_with("there is no validation file: 2 of 10 images"), "{}", dataset.notes[1]);
    let seen: usize =
        [&dataset.train, &dataset.val].iter().flat_map(|s| (0..s.len()).map(|i| usize::from(level(&***s, i)))).sum();
    assert!(seen.abs_diff(5 * 45) <= 20, "{seen}");
}

#[test]
fn files_of_no_split_are_read_where_there_are_no_others() {
    let root = tree(&[]);
    Form::default().write(&root.path().join("part.0.parquet"), &rows(6, 0));
    assert_eq!(opened(root.path()).train.len() + opened(root.path()).val.len(), 6);
    Form::default().write(&root.path().join("data/train-0.parquet"), &rows(10, 0));
    assert_eq!(opened(root.path()).train.len() + opened(root.path()).val.len(), 10);
}

#[test]
fn a_compression_that_is_not_read_is_named() {
    let root = tree(&[]);
    let path = root.path().join("train.parquet");
    Form { dictionary: false, ..Form::default() }.write(&path, &rows(1, 0));
    // The only places of three columns' codec in the footer: field 4 of the column's metadata, an i32 of value 1 as a zigzag.
    let mut bytes = std::fs::read(&path).expect("written");
    let footer = bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().expect("four")) as usize;
    let paths: Vec<usize> = (footer..bytes.len() - 5).filter(|&at| bytes[at..].starts_with(b"label\x15\x02")).collect();
    assert_eq!(paths.len(), 1);
    bytes[paths[0] + 6] = 12;
    std::fs::write(&path, bytes).expect("written");
    let found = "train.parquet is no data set: it is Parquet compressed by ZSTD, where Snappy, gzip and none are read";
    assert_eq!(fault(&root, ""), found);
}

#[test]
fn test_splits_serve_where_their_labels_are_there() {
    let root = tree(&[]);
    Form::default().write(&root.path().join("train/0000.parquet"), &rows(10, 0));
    Form::default().write(&root.path().join("test/0000.parquet"), &rows(4, 0));
    let dataset = opened(root.path());
    assert_eq!((dataset.train.len(), dataset.val.len()), (10, 4));
    assert_eq!(dataset.notes[1], "there is no `validation`: validating on `test`");
    let withheld: Vec<_> = rows(4, 0).into_iter().map(|(image, _)| (image, -1)).collect();
    Form::default().write(&root.path().join("test/0000.parquet"), &withheld);
    let dataset = opened(root.path());
    assert_eq!((dataset.train.len(), dataset.val.len()), (8, 2));
    assert_eq!(dataset.notes[1], "the labels of `test` are withheld: it is not used");
}

#[test]
fn a_null_image_is_a_bad_image() {
    let root = tree(&[]);
    let mut some = rows(6, 0);
    some[3].0 = None;
    Form::default().write(&root.path().join("train.parquet"), &some);
    let dataset = open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }).expect("a data set");
    let bad = dataset.train.read(3).expect_err("null").bad_image().expect("about an image");
    assert!(bad.name.ends_with("train.parquet/00003"), "{}", bad.name);
    assert_eq!(bad.reason, "Parquet: the row has no image");
    assert!(level(&*dataset.train, 4).abs_diff(20) <= 2);
}

#[test]
fn labels_and_columns_that_do_not_fit_are_named() {
    let of = |form: Form, rows: &[(Option<Vec<u8>>, i64)]| {
        let root = tree(&[]);
        form.write(&root.path().join("train.parquet"), rows);
        fault(&root, "")
    };
    let relabelled = |label| {
        let mut some = rows(3, 0);
        some[1].1 = label;
        some
    };
    assert_eq!(of(Form::default(), &relabelled(-1)), "train.parquet: row 1 of the training images has the label -1");
    assert_eq!(of(Form::default(), &relabelled(2)), "train.parquet: a label of 2, where the metadata name 2 classes");
    let unnamed = Form { features: None, ..Form::default() };
    assert_eq!(of(unnamed, &relabelled(2_000_000_000)), "train.parquet: a label of 2000000000 among 3 rows");
    assert_eq!(of(Form::default(), &relabelled(1 << 40)), "train.parquet: row group 0 has the label 1099511627776");
    assert_eq!(of(Form::default(), &[]), "train.parquet: there are no rows");
    let schema = "message schema { required binary text; required int32 label; }";
    let found = "train.parquet: expected a column `image` of bytes, found \"text\": BYTE_ARRAY, \"label\": INT32";
    assert_eq!(of(Form { schema, features: None, ..Form::default() }, &rows(1, 0)), found);
    let schema = "message schema { required binary image; required int32 age; }";
    let found = "train.parquet: expected a column `label` of integers, found \"image\": BYTE_ARRAY, \"age\": INT32";
    assert_eq!(of(Form { schema, features: None, ..Form::default() }, &rows(1, 0)), found);
    let root = tree(&[]);
    Form::default().write(&root.path().join("train-0.parquet"), &rows(2, 0));
    Form { features: None, ..Form::default() }.write(&root.path().join("train-1.parquet"), &rows(2, 0));
    assert_eq!(fault(&root, ""), "train-1.parquet: its columns or classes are others than in train-0.parquet");
}

/// Opens damaged bytes and reads every image: all of it is done or refused.
fn survive(bytes: &[u8]) -> bool {
    let root = tree(&[("train.parquet", bytes)]);
    match open(root.path(), &OpenOptions { val_fraction: 0.0, ..OpenOptions::default() }) {
        Ok(dataset) => (0..dataset.train.len()).all(|index| dataset.train.read(index).is_ok()),
        Err(error) => {
            assert!(error.to_string().contains("train.parquet"), "{error}");
            false
        }
    }
}

fn small() -> Vec<u8> {
    let root = tree(&[]);
    let path = root.path().join("train.parquet");
    Form { page_bytes: 100, ..Form::default() }.write(&path, &rows(6, 0));
    std::fs::read(path).expect("written")
}

#[test]
fn every_truncation_is_refused() {
    let whole = small();
    assert!(survive(&whole));
    for length in (0..whole.len()).step_by(13) {
        assert!(!survive(&whole[..length]), "{length}");
    }
    let root = tree(&[]);
    put(root.path(), "train.parquet", b"");
    assert!(fault(&root, "").starts_with("train.parquet: "));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn changed_bytes_are_read_or_refused(place: prop::sample::Index, value: u8, from_end: bool) {
        let mut bytes = small();
        // The footer is a small part of the file, and most of what is believed.
        let at = if from_end { bytes.len() - 1 - place.index(bytes.len().min(900)) } else { place.index(bytes.len()) };
        bytes[at] = value;
        survive(&bytes);
    }
}
