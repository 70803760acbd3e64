//! What SciPy writes, and the same damaged.

use std::io::Write;

use proptest::prelude::*;
use safetensors::SafeTensors;

use super::*;
use crate::synsets::{Synsets, is_wnid};

fn golden() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/mat5/case.safetensors");
    std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn numbers(case: &SafeTensors, name: &str) -> Vec<f64> {
    let data = case.tensor(name).expect("kept").data();
    data.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

const TABLES: [(&str, u16); 4] = [
    ("synsets-2012.mat", 2012),
    ("synsets-2012-compressed.mat", 2012),
    ("synsets-2010.mat", 2010),
    ("synsets-2012-big-endian.mat", 2012),
];

#[test]
fn tables_of_synsets_are_what_scipy_says() {
    let bytes = golden();
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    let lines = |name: &str| std::str::from_utf8(case.tensor(name).expect("kept").data()).expect("text").lines();
    for (name, year) in TABLES {
        let synsets = Synsets::read(case.tensor(&format!("file/{name}")).expect("kept").data(), year).expect(name);
        let ids = numbers(&case, &format!("id/{name}"));
        let children = numbers(&case, &format!("children/{name}"));
        let (wnids, words) = (format!("wnid/{name}"), format!("words/{name}"));
        let rows = ids.iter().zip(children).zip(lines(&wnids).zip(lines(&words)));
        let mut expected: Vec<_> = rows.filter(|((_, n), _)| *n == 0.0).map(|((id, _), (w, t))| (*id as u32, w, t)).collect();
        expected.sort();
        let found: Vec<_> = synsets.leaves().map(|(id, s)| (id, s.wnid.as_str(), s.words.as_str())).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(found.len(), 3, "{name}");
        assert_eq!(synsets.leaf(1).map(|s| s.wnid.as_str()), Some("n02084071"));
        assert!(synsets.leaf(4).is_none(), "an inner node is no class");
        let other = if year == 2012 { 2010 } else { 2012 };
        let wrong_year = Synsets::read(case.tensor(&format!("file/{name}")).expect("kept").data(), other);
        assert!(wrong_year.unwrap_err().contains(&format!("no field `ILSVRC{other}_ID`; there are ILSVRC{year}_ID, WNID")));
    }
}

#[test]
fn every_type_of_number_and_cells_are_what_scipy_says() {
    let bytes = golden();
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    let variables = read(case.tensor("file/numbers.mat").expect("kept").data()).expect("a MAT file");
    for kind in ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8", "i8", "u8"] {
        let (_, value) = variables.iter().find(|(name, _)| name == kind).expect("saved");
        assert_eq!(*value, Value::Numbers(numbers(&case, &format!("numbers/{kind}"))), "{kind}");
    }
    let (_, cells) = variables.iter().find(|(name, _)| name == "cells").expect("saved");
    let Value::Cells(cells) = cells else { panic!("{cells:?}") };
    assert_eq!(cells[0], Value::Text("text".into()));
    assert_eq!(cells[1], Value::Numbers(vec![1.0, 2.0]));
    assert_eq!(cells[2], Value::Numbers(vec![7.0]));
}

fn element(kind: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A file that holds `elements`.
fn file(elements: &[u8]) -> Vec<u8> {
    let mut bytes = vec![b' '; 124];
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(elements);
    bytes
}

fn array(class: u32, dimensions: [i32; 2], parts: &[u8]) -> Vec<u8> {
    let flags = element(6, &[class.to_le_bytes(), [0; 4]].concat());
    let dimensions = element(5, &dimensions.map(i32::to_le_bytes).concat());
    element(14, &[flags, dimensions, element(1, b""), parts.to_vec()].concat())
}

#[test]
fn what_is_wrong_is_said() {
    let wrong = |bytes: &[u8]| read(bytes).expect_err("wrong");
    assert_eq!(wrong(b"MATLAB"), "expected a MAT file's header of 128 bytes, found 6 bytes");
    assert!(wrong(&[0; 200]).contains("no MAT file of level 5"));
    assert!(wrong(&file(&[14, 0, 0, 0])).starts_with("byte 128: expected an element's tag"));
    assert!(wrong(&file(&element(14, &[0; 16])[..12])).contains("an element claims 16 bytes"));
    assert!(wrong(&file(&element(99, b""))).contains("unknown type 99"));
    assert!(wrong(&file(&array(1, [i32::MAX, 1], b""))).contains("2147483647 values are claimed where 0 have room"));
    assert!(wrong(&file(&array(6, [2, 2], &element(9, &[0; 24])))).contains("3 numbers in an array of 4"));
    assert!(wrong(&file(&array(6, [-1, 1], &element(9, &[])))).contains("dimensions [-1.0, 1.0]"));
    assert!(wrong(&file(&array(6, [1, 1], &element(9, &[0; 7])))).contains("not whole numbers of 8 bytes"));
    let mut deep = array(6, [1, 1], &element(9, &[0; 8]));
    for _ in 0..20 {
        deep = array(1, [1, 1], &deep);
    }
    assert!(wrong(&file(&deep)).contains("arrays more than 16 deep"));
    assert!(Synsets::read(&file(b""), 2012).unwrap_err().contains("called `synsets`, there is none"));
}

#[test]
fn a_value_of_any_size_is_not_shown_whole() {
    let names = ["ILSVRC2012_ID", "WNID", "words", "num_children"].map(|name| format!("{name:\0<16}")).concat();
    let number = array(6, [1, 1], &element(9, &1f64.to_le_bytes()));
    let long = array(4, [1, 4000], &element(16, &[b'x'; 4000]));
    let parts = [element(5, &16i32.to_le_bytes()), element(1, names.as_bytes()), number.clone(), long.clone(), long, number];
    let flags = element(6, &[2u32.to_le_bytes(), [0; 4]].concat());
    let dimensions = element(5, &[1i32, 1].map(i32::to_le_bytes).concat());
    let variable = element(14, &[flags, dimensions, element(1, b"synsets"), parts.concat()].concat());
    let message = Synsets::read(&file(&variable), 2012).unwrap_err();
    assert!(message.starts_with("`WNID` of synset 1 is not as expected: Text(\"xxxx") && message.len() < 200, "{message}");
}

#[test]
fn a_compressed_variable_unpacks_to_a_limit() {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..34 {
        encoder.write_all(&vec![0; 1 << 20]).expect("memory takes it");
    }
    let packed = encoder.finish().expect("memory takes it");
    assert!(packed.len() < 1 << 16);
    assert!(read(&file(&element(15, &packed))).unwrap_err().contains("with it, the file unpacks to more than 33554432 bytes"));
}

#[test]
fn names_of_synsets() {
    assert!(is_wnid("n01440764"));
    assert!(!["", "n0144076", "n014407641", "x01440764", "n0144076a", "cat"].into_iter().any(is_wnid));
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        table in 0usize..4, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), cut in any::<Option<prop::sample::Index>>(),
    ) {
        let bytes = golden();
        let case = SafeTensors::deserialize(&bytes).expect("a golden");
        let (name, year) = TABLES[table];
        let mut file = case.tensor(&format!("file/{name}")).expect("kept").data().to_vec();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(synsets) = Synsets::read(&file, year) {
            prop_assert!(synsets.leaves().zip(1..).all(|((id, synset), expected)| id == expected && is_wnid(&synset.wnid)));
        }
    }
}
