//! Tables written and read, whole, damaged and hostile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;

use super::*;
use crate::Error;

const ROWS: [(&str, [f32; 6]); 3] = [
    ("a/b.jpg", [0.0, 1.0, -2.5, 65504.0, 1e-7, 0.333]),
    ("", [f32::NAN, f32::INFINITY, -0.0, 3.0, 4.0, 5.0]),
    ("ü\n\\.png", [6.0; 6]),
];

fn about() -> BTreeMap<String, String> {
    BTreeMap::from([("layer".to_string(), "relu7".to_string()), ("note".into(), "é\"".into())])
}

/// A table of the first `rows` of [`ROWS`].
fn written(path: &Path, values: Values, rows: usize) -> PathBuf {
    let mut writer = Writer::new(path, Format::of(path).unwrap(), values, &[2, 3], about()).unwrap();
    ROWS[..rows].iter().for_each(|(name, row)| writer.push(name, row).unwrap());
    assert_eq!(writer.rows(), rows);
    writer.finish().unwrap();
    path.into()
}

fn names(folder: &Path) -> Vec<String> {
    let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    all.sort();
    all
}

#[test]
fn what_is_written_is_read_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    for (values, rows) in [(Values::F32, 3), (Values::F16, 3), (Values::F16, 1), (Values::F32, 0)] {
        let path = written(&folder.path().join("x.safetensors"), values, rows);
        let table = Table::open(&path).unwrap();
        assert_eq!((table.len(), table.is_empty(), table.values()), (rows, rows == 0, values));
        assert_eq!(
            (table.shape(), table.width(), table.text("layer"), table.text("none")),
            (&[2, 3][..], 6, Some("relu7"), None)
        );
        for (i, (name, row)) in ROWS[..rows].iter().enumerate() {
            assert_eq!((table.name(i), table.position(name)), (*name, Some(i)));
            let bytes = &table.rows()[i * 6 * values.bytes()..][..6 * values.bytes()];
            let expected: Vec<u8> = match values {
                Values::F32 => row.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Values::F16 => row.iter().flat_map(|&x| half::bits(x).to_le_bytes()).collect(),
            };
            assert_eq!(bytes, expected);
        }
        assert_eq!((table.name(rows), table.position("b.jpg")), ("", None));
        let first = fs::read(&path).unwrap();
        assert!(first == fs::read(written(&path, values, rows)).unwrap(), "the same content gives the same bytes");
    }
    assert_eq!(names(folder.path()), ["x.safetensors"]);
}

/// The format's own library reads the file, and every tensor lies at a multiple of its values' size.
#[test]
fn the_format_library_agrees() {
    let folder = tempfile::tempdir().unwrap();
    for (values, rows) in [(Values::F32, 2), (Values::F16, 1), (Values::F16, 3)] {
        let bytes = fs::read(written(&folder.path().join("x.safetensors"), values, rows)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let at = |name: &str| {
            let view = file.tensor(name).unwrap();
            (view.data().as_ptr() as usize - bytes.as_ptr() as usize, view.shape().to_vec())
        };
        let (features, shape) = at("features");
        assert_eq!((features % 64, shape), (0, vec![rows, 2, 3]));
        let (ends, shape) = at("name_ends");
        assert_eq!((ends % 8, shape), (0, vec![rows]));
        let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(header.metadata().as_ref().unwrap()["note"], "é\"");
    }
}

/// numpy.lib.format, version 1.0.
#[test]
fn numpy_files_have_their_header_and_a_list_of_names() {
    let folder = tempfile::tempdir().unwrap();
    for (values, dtype) in [(Values::F32, "<f4"), (Values::F16, "<f2")] {
        let bytes = fs::read(written(&folder.path().join("x.npy"), values, 3)).unwrap();
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let expected = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': (3, 2, 3,), }}");
        let header = std::str::from_utf8(&bytes[10..start]).unwrap();
        assert!(header.trim_end() == expected && header.ends_with(" \n") && start % 64 == 0, "{header:?}");
        assert_eq!(bytes.len(), start + 18 * values.bytes());
        let six = [6.0f32.to_le_bytes().to_vec(), half::bits(6.0).to_le_bytes().to_vec()];
        assert!(bytes.ends_with(&six[usize::from(values == Values::F16)].repeat(6)));
        assert_eq!(fs::read_to_string(folder.path().join("x.txt")).unwrap(), "a/b.jpg\n\nü\\n\\\\.png\n");
    }
    assert_eq!(names(folder.path()), ["x.npy", "x.txt"]);
    assert_eq!(Format::of(Path::new("x.txt")), None);
}

#[test]
fn a_table_that_is_not_finished_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let mut writer = Writer::new(&path, Format::Safetensors, Values::F16, &[1], about()).unwrap();
    writer.push("good", &[65519.0]).unwrap();
    let error = writer.push("photo.jpg", &[-65520.0]).unwrap_err();
    assert!(matches!(error, Error::TooLarge { value: -65520.0, .. }));
    assert!(error.to_string().contains("x.safetensors`: -65520 in the row of `photo.jpg` is beyond 65504"), "{error}");
    drop(writer);
    assert!(names(folder.path()).is_empty());
    let missing = Writer::new(&folder.path().join("none/x.npy"), Format::Npy, Values::F32, &[1], about());
    assert!(matches!(missing, Err(Error::Io { action: "write", .. })));
}

#[test]
fn every_truncation_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder.path().join("x.safetensors"), Values::F16, 3);
    let bytes = fs::read(&path).unwrap();
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        assert!(matches!(Table::open(&path), Err(Error::Format { .. })), "{length} of {} bytes", bytes.len());
    }
}

/// Looks at everything in a table, or at the error; either way nothing panics, and an error is one line that names the file.
fn look(path: &Path) -> bool {
    match Table::open(path) {
        Ok(table) => {
            let names: usize =
                (0..table.len()).map(|row| table.name(row).len() + usize::from(table.position("x").is_some())).sum();
            assert!(names <= fs::metadata(path).unwrap().len() as usize);
            assert_eq!(table.rows().len(), table.len() * table.width() * table.values().bytes());
            true
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("hostile` is not a usable safetensors file: ") && text.lines().count() == 1, "{text}");
            false
        }
    }
}

#[test]
fn mutated_files_are_read_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = fs::read(written(&folder.path().join("x.safetensors"), Values::F16, 3)).unwrap();
    let path = folder.path().join("hostile");
    let stream = net::random::Stream::new(3, net::random::Purpose::Test, 0, 0, 0);
    let (mut read, digits) = (0, b"0123456789-,:[]{}\"e. ");
    for case in 0..10_000 {
        let mut hostile = bytes.clone();
        let mut draw = (0..).map(|i| stream.block(case * 16 + i)[0] as usize);
        let mut next = || draw.next().unwrap();
        for _ in 0..1 + next() % 3 {
            // Half of the mutations in the header, with characters that it is made of.
            let header = next() % 2 == 0;
            let position = next() % if header { 600.min(hostile.len()) } else { hostile.len() };
            hostile[position] = if header { digits[next() % digits.len()] } else { hostile[position] ^ 1 << (next() % 8) };
        }
        // A new file each time: some file systems write a file to the disk that was emptied and written again.
        let _ = fs::remove_file(&path);
        fs::write(&path, &hostile).unwrap();
        read += usize::from(look(&path));
    }
    assert!((500..9_500).contains(&read), "{read} of 10,000 were read");
}

#[test]
fn what_is_no_table_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile");
    let f = r#""features":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}"#;
    let n = r#""names":{"dtype":"U8","shape":[8],"data_offsets":[8,16]}"#;
    let e = r#""name_ends":{"dtype":"I64","shape":[2],"data_offsets":[16,32]}"#;
    let file = |header: String, names: &[u8; 8], ends: [i64; 2]| {
        let ends: Vec<u8> = ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        let length = (header.len() as u64).to_le_bytes();
        fs::write(&path, [&length, header.as_bytes(), &[0; 8], names, &ends].concat()).unwrap();
    };
    let whole = || format!("{{{f},{n},{e}}}");
    file(whole(), b"ab\xc3\xbc\0\0\0\0", [1, 4]);
    assert!(look(&path));
    let refused = |reason: &str| {
        let error = Table::open(&path).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}, expected `{reason}`");
        look(&path);
    };
    for (ends, reason) in [
        ([2, 1], "the name of row 1 ends at 1, expected 2 to 8"),
        ([-1, 4], "the name of row 0 ends at -1"),
        ([0, 9], "the name of row 1 ends at 9, expected 0 to 8"),
        ([i64::MIN, i64::MAX], "ends at -9223372036854775808"),
        ([1, 3], "the name of row 1 is not UTF-8"),
    ] {
        file(whole(), b"ab\xc3\xbc\0\0\0\0", ends);
        refused(reason);
    }
    for (from, to, reason) in [
        ("\"names\"", "\"other\"", "there is no tensor `names`: it is no table of features"),
        ("\"features\"", "\"weight\"", "there is no tensor `features`"),
        ("\"F32\",\"shape\":[2,1]", "\"F64\",\"shape\":[1,1]", "tensor `features` is F64, expected F32 or F16"),
        ("[2,1]", "[]", "its header"),
        ("\"F32\",\"shape\":[2,1]", "\"F32\",\"shape\":[1,2]", "tensor `name_ends` is I64 [2], expected I64 [1]"),
        ("\"I64\"", "\"U64\"", "tensor `name_ends` is U64 [2], expected I64 [2]"),
        ("\"U8\",\"shape\":[8]", "\"U8\",\"shape\":[2,4]", "tensor `names` is U8 [2, 4], expected bytes"),
        ("\"U8\",\"shape\":[8]", "\"F16\",\"shape\":[4]", "tensor `names` is F16 [4], expected bytes"),
    ] {
        file(whole().replace(from, to), &[0; 8], [1, 4]);
        refused(reason);
    }
    let huge = r#"{"features":{"dtype":"F16","shape":[9000000000000000000,0],"data_offsets":[0,0]}}"#;
    fs::write(&path, [&(huge.len() as u64).to_le_bytes()[..], huge.as_bytes()].concat()).unwrap();
    refused("is no");
}
