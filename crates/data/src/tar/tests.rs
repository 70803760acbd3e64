//! Tar files of all sorts, made here byte by byte.

use proptest::prelude::*;

use super::*;

/// A header of `name`, `size` and `kind` by POSIX.
fn header(name: &str, size: u64, kind: u8) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    summed(block)
}

/// The header with its checksum.
fn summed(mut block: Vec<u8>) -> Vec<u8> {
    let (sum, _) = checksums(&block);
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(512), 0);
    bytes
}

fn member(name: &str, content: &[u8], kind: u8) -> Vec<u8> {
    [header(name, content.len() as u64, kind), padded(content)].concat()
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (rest.len()..).find(|length| length.to_string().len() + rest.len() == *length).expect("there is one");
    format!("{length}{rest}").into_bytes()
}

/// Names and contents.
fn found(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let index = Index::of(tar, 0..tar.len() as u64).expect("a tar file");
    let content = |m: Member| tar[m.offset as usize..(m.offset + m.length) as usize].to_vec();
    index.iter().map(|m| (m.name.to_string(), content(m))).collect()
}

fn damaged(tar: &[u8]) -> (u64, String) {
    match Index::of(tar, 0..tar.len() as u64) {
        Err(Fault::Damaged { offset, message }) => (offset, message),
        other => panic!("{other:?}"),
    }
}

fn pairs(expected: &[(&str, &[u8])]) -> Vec<(String, Vec<u8>)> {
    expected.iter().map(|(name, content)| (name.to_string(), content.to_vec())).collect()
}

#[test]
fn files_are_found_and_all_else_is_passed_over() {
    let tar = [
        member("a/", b"", b'5'),
        member("a/one", b"1", b'0'),
        header("a/hard", 700, b'1'),
        header("a/soft", 0, b'2'),
        member("label", b"a volume's label", b'V'),
        member("a/empty", b"", 0),
        member("two", &[7; 1000], b'7'),
        end(),
        b"whatever follows".to_vec(),
    ];
    assert_eq!(found(&tar.concat()), pairs(&[("a/one", b"1"), ("a/empty", b""), ("two", &[7; 1000])]));
    assert!(found(&end()).is_empty() && found(&[]).is_empty());
    // Neither the end nor the last padding need be there.
    let bare = &member("one", b"1", b'0')[..513];
    assert_eq!(found(bare), pairs(&[("one", b"1")]));
}

#[test]
fn long_names_and_large_sizes_in_every_dialect() {
    let long = format!("{}/n.jpg", "deep/".repeat(40));
    let mut name = long.clone().into_bytes();
    name.push(0);
    let gnu = [member("././@LongLink", &name, b'L'), member("cut", b"gnu", b'0'), member("next", b"n", b'0'), end()];
    assert_eq!(found(&gnu.concat()), pairs(&[(&long, b"gnu"), ("next", b"n")]));

    let records = [pax("mtime", "1.5"), pax("path", &long), pax("size", "3")].concat();
    let mut wrong_size = header("cut", 0, b'0');
    wrong_size.extend(padded(b"pax"));
    let posix = [member("g", &pax("comment", "x"), b'g'), member("x", &records, b'x'), wrong_size, member("next", b"n", b'0')];
    assert_eq!(found(&posix.concat()), pairs(&[(&long, b"pax"), ("next", b"n")]));

    let mut split = header("n.jpg", 1, b'0');
    split[345..352].copy_from_slice(b"folders");
    let ustar = [summed(split), padded(b"u")].concat();
    assert_eq!(found(&ustar), pairs(&[("folders/n.jpg", b"u")]));

    let mut binary = header("big", 0, b'0');
    binary[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    assert_eq!(found(&[summed(binary), padded(b"2b")].concat()), pairs(&[("big", b"2b")]));

    let mut old = header("old", 1, 0);
    old[257..265].fill(0);
    let folder = { header("folder/", 0, 0) };
    assert_eq!(found(&[summed(old), padded(b"7"), folder].concat()), pairs(&[("old", b"7")]));
}

#[test]
fn sums_of_signed_bytes_are_sums_too() {
    let mut block = header("\u{fc}ber", 0, b'0');
    let (unsigned, signed) = checksums(&block);
    assert_ne!(unsigned as i64, signed);
    block[148..156].copy_from_slice(format!("{signed:06o}\0 ").as_bytes());
    assert_eq!(found(&block), pairs(&[("\u{fc}ber", b"")]));
}

#[test]
fn damage_is_said_with_its_place() {
    let whole = [member("first", b"1", b'0'), member("second", &[9; 600], b'0')].concat();
    let (offset, message) = damaged(&whole[..1024 + 512 + 300]);
    assert_eq!((offset, message.as_str()), (1024, "`second` claims 600 bytes, the archive ends after 300: it is cut off"));
    let (offset, message) = damaged(&whole[..1024 + 100]);
    assert_eq!((offset, message.as_str()), (1024, "expected a header of 512 bytes, the archive ends after 100"));
    let mut flipped = whole.clone();
    flipped[1024 + 3] ^= 1;
    let (offset, message) = damaged(&flipped);
    assert!(offset == 1024 && message.starts_with("expected the header of a member, whose checksum is "), "{message}");
    let (offset, _) = damaged(b"\x1f\x8b a gzip file".repeat(100).as_slice());
    assert_eq!(offset, 0);
    let huge = [member("x", &pax("size", &u64::MAX.to_string()), b'x'), member("f", b"", b'0')].concat();
    assert!(damaged(&huge).1.contains("claims 18446744073709551615 bytes"));
    let mut no_size = header("f", 0, b'0');
    no_size[124..128].copy_from_slice(b"size");
    assert!(damaged(&summed(no_size)).1.starts_with("no size: "));
    for (kind, records) in [(b'S', vec![]), (b'x', pax("GNU.sparse.major", "1"))] {
        assert!(damaged(&member("f", &records, kind)).1.contains("sparse"));
    }
    for records in [&b"nonsense"[..], b"99 a=b\n", b"0 a=b\n", b"6 abc\n"] {
        assert!(damaged(&member("x", records, b'x')).1.starts_with("a pax record is not"));
    }
}

#[test]
fn a_tar_within_a_tar_is_indexed_where_it_lies() {
    let inner = [member("n1/a.jpg", b"aa", b'0'), member("n1/b.jpg", b"b", b'0'), end()].concat();
    let outer = [member("readme", b"r", b'0'), member("n1.tar", &inner, b'0'), end()].concat();
    let place = Index::of(outer.as_slice(), 0..outer.len() as u64).expect("a tar file");
    let Member { name, offset, length } = place.get(1);
    assert_eq!((name, length), ("n1.tar", inner.len() as u64));
    let nested = Index::of(outer.as_slice(), offset..offset + length).expect("a tar file");
    let names: Vec<_> = nested.iter().map(|m| (m.name, &outer[m.offset as usize..][..m.length as usize])).collect();
    assert_eq!(names, [("n1/a.jpg", &b"aa"[..]), ("n1/b.jpg", b"b")]);
    // What reaches beyond the inner file is cut off, though the outer one goes on.
    match Index::of(outer.as_slice(), offset..offset + 513) {
        Err(Fault::Damaged { offset: at, .. }) => assert_eq!(at, offset),
        other => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_every_member_lies_within(
        damage in prop::collection::vec((0usize..6000, any::<u8>()), 0..12), cut in 0usize..7000, fix in any::<bool>(),
    ) {
        let mut tar = [
            member("././@LongLink", "long".repeat(40).as_bytes(), b'L'), member("cut", b"gnu", b'0'),
            member("x", &[pax("path", "p"), pax("size", "9")].concat(), b'x'), member("f", b"123456789", b'0'),
            member("n.tar", &[3; 700], b'0'), end(),
        ].concat();
        for (at, byte) in damage {
            if let Some(place) = tar.get_mut(at) {
                *place = byte;
            }
        }
        tar.truncate(cut);
        if fix {
            // Lets damage pass the checksums.
            tar = tar.chunks(512).flat_map(|block| match block.len() {
                512 if block.iter().any(|&byte| byte != 0) => summed(block.to_vec()),
                _ => block.to_vec(),
            }).collect();
        }
        if let Ok(index) = Index::of(tar.as_slice(), 0..tar.len() as u64) {
            prop_assert!(index.iter().all(|m| m.offset + m.length <= tar.len() as u64));
        }
    }
}
