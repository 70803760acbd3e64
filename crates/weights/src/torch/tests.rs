//! What PyTorch writes, and what a hostile hand would.

use net::SharedTensor;
use safetensors::SafeTensors;

use super::pack::Packer;
use super::*;
use crate::mutated::mutated;
use crate::safetensors::Part;

/// The golden's bytes.
fn golden() -> Vec<u8> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/torch-files/case.safetensors");
    std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The golden's files, each with its name.
fn files() -> Vec<(String, Vec<u8>)> {
    let bytes = golden();
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    let names = case.names().into_iter().filter_map(|name| name.strip_prefix("file/"));
    let mut files: Vec<_> =
        names.map(|name| (name.to_string(), case.tensor(&format!("file/{name}")).expect("kept").data().to_vec())).collect();
    files.sort_unstable();
    files
}

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("no file {name}")).1
}

fn read_of(bytes: &[u8]) -> Result<Foreign> {
    read(&Mapped::of_bytes(bytes))
}

/// The error's text, which is one line and names the file.
fn fault(bytes: &[u8]) -> String {
    let error = read_of(bytes).expect_err("no net").to_string();
    assert!(error.starts_with("`file` is not a usable PyTorch file: ") && error.lines().count() == 1, "{error}");
    error
}

#[test]
fn files_hold_what_pytorch_put_into_them() {
    let bytes = golden();
    let case = SafeTensors::deserialize(&bytes).expect("a golden");
    let lines = |name: &str| {
        let text = String::from_utf8(case.tensor(name).expect("kept").data().to_vec()).expect("text");
        text.lines().filter(|line| !line.is_empty()).map(String::from).collect::<Vec<_>>()
    };
    let files = files();
    assert_eq!(files.len(), 19);
    for (name, bytes) in &files {
        assert!(recognises(bytes), "{name}");
        let found = read_of(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
        let names: Vec<_> = found.tensors.iter().map(|(tensor, _)| tensor.clone()).collect();
        assert_eq!(names, lines(&format!("names/{name}")), "{name}");
        let others: Vec<_> = found.others.iter().map(|(tensor, kind)| format!("{tensor} {kind}")).collect();
        assert_eq!(others, lines(&format!("others/{name}")), "{name}");
        for (tensor, found) in &found.tensors {
            let expected = case.tensor(&format!("tensor/{name}/{tensor}")).expect("kept");
            assert_eq!(found.shape, expected.shape(), "{name}: {tensor}");
            let bytes: Vec<u8> = found.data().iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(bytes, expected.data(), "{name}: {tensor}");
        }
    }
}

#[test]
fn where_the_parameters_were_is_told() {
    let notes = |name: &str| read_of(&file(name)).unwrap().notes;
    assert_eq!(notes("archive"), [""; 0]);
    assert_eq!(notes("archive-checkpoint"), ["the parameters were found under `state_dict`"]);
    let both = ["the parameters were found under `model`", "as many tensors under `ema` were passed over"];
    assert_eq!(notes("archive-two"), both);
    let whole = "the file holds a whole module, an object of torch.nn.modules.container.Sequential: \
                 its parameters were taken, its code was not";
    assert_eq!(notes("archive-module"), [whole]);
    assert!(notes("sequence-module")[0].starts_with("the file holds a whole module"));
}

#[test]
fn values_that_lie_well_are_not_copied() {
    let inside = |bytes: &[u8]| {
        let map = Mapped::of_bytes(bytes);
        let (place, found) = (map.bytes().as_ptr_range(), read(&map).unwrap());
        found.tensors.iter().all(|(_, tensor)| place.contains(&tensor.data().as_ptr().cast()))
    };
    assert!(inside(&file("archive")));
    assert!(inside(&file("archive-checkpoint")));
    assert!(!inside(&file("archive-packed-anew")));
    assert!(!inside(&file("archive-float16")));
}

#[test]
fn every_truncation_is_an_error() {
    for (name, bytes) in files() {
        for length in 1..bytes.len() {
            let read = read_of(&bytes[..length]);
            // A tape archive ends in zeros that nobody needs.
            assert!(read.is_err() || name == "tape" && bytes[length..].iter().all(|byte| *byte == 0), "{name}: {length} bytes");
        }
    }
}

/// Ten thousand mutated files of each form: an error of one line, or no more memory than a small multiple of the file.
#[test]
fn mutated_files_read_or_say_why_not() {
    let files = files();
    for form in ["archive", "sequence", "tape"] {
        let zoo: Vec<_> = files.iter().filter(|(name, _)| name.starts_with(form)).collect();
        let mut read = 0;
        for case in 0..10_000 {
            let bytes = mutated(&zoo[case as usize % zoo.len()].1, case);
            recognises(&bytes);
            let map = Mapped::of_bytes(&bytes);
            let _ = record(&map, "version");
            match super::read(&map) {
                Ok(found) => {
                    let copied: usize = copies(&map, &found).map(|tensor| 4 * tensor.data().len()).sum();
                    assert!(copied <= 8 * bytes.len() + (1 << 16), "{form} {case}");
                    read += 1;
                }
                Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
            }
        }
        assert!((100..9900).contains(&read), "{read} of 10000 mutated files of form {form} can be read still");
    }
}

/// The tensors that do not lie in the file.
fn copies<'a>(map: &'a Mapped, found: &'a Foreign) -> impl Iterator<Item = &'a SharedTensor> {
    let place = map.bytes().as_ptr_range();
    found.tensors.iter().map(|(_, tensor)| tensor).filter(move |tensor| !place.contains(&tensor.data().as_ptr().cast()))
}

/// An archive of records, as PyTorch lays them out.
fn archive(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut packer = Packer::new(&mut bytes);
    for (name, content) in records {
        packer.add(name, content.len() as u64, |writer| writer.write_all(content)).unwrap();
    }
    packer.finish().unwrap();
    bytes
}

/// Instructions for a whole number.
fn whole(number: i64) -> Vec<u8> {
    [&[0x8a, 8][..], &number.to_le_bytes()].concat()
}

/// Instructions for a tuple of whole numbers.
fn tuple(numbers: &[i64]) -> Vec<u8> {
    [b"(", &numbers.iter().flat_map(|number| whole(*number)).collect::<Vec<_>>()[..], b"t"].concat()
}

/// Instructions for a tensor of the storage `0`.
fn tensor(class: &str, elements: i64, offset: i64, sizes: &[i64], strides: &[i64]) -> Vec<u8> {
    let storage = format!("(U\x07storagectorch\n{class}\nU\x010U\x03cpu");
    let head = [b"ctorch._utils\n_rebuild_tensor_v2\n(", storage.as_bytes(), &whole(elements), b"tQ"].concat();
    [&head[..], &whole(offset), &tuple(sizes), &tuple(strides), b"\x89NtR"].concat()
}

/// An archive with one tensor `w` and a storage `0` of these bytes.
fn with(tensor: &[u8], storage: &[u8]) -> Vec<u8> {
    let pickle = [b"\x80\x02}U\x01w", tensor, b"s."].concat();
    archive(&[("a/data.pkl", &pickle), ("a/data/0", storage)])
}

#[test]
fn tensors_stay_within_their_storages() {
    let storage: Vec<u8> = (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let found = read_of(&with(&tensor("FloatStorage", 6, 1, &[2, 2], &[1, 3]), &storage)).unwrap();
    assert_eq!((&found.tensors[0].1.shape[..], found.tensors[0].1.data()), (&[2, 2][..], &[1.0, 4.0, 2.0, 5.0][..]));
    for (tensor, expected) in [
        (
            tensor("FloatStorage", 6, 0, &[1_000_000_000_000], &[0]),
            "tensor `w`: sizes [1000000000000] with strides [0] from 0 on",
        ),
        (tensor("FloatStorage", 6, 0, &[7], &[0]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, 1, &[2, 3], &[3, 1]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, 6, &[1], &[1]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, 0, &[2, 2], &[i64::MAX, 2]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, 0, &[1 << 32, 1 << 32, 1 << 32], &[0, 0, 0]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, i64::MAX, &[1], &[1]), "do not fit into its storage of 6 elements"),
        (tensor("FloatStorage", 6, 0, &[2], &[-1]), "its strides are no short list of whole numbers from 0 on"),
        (tensor("FloatStorage", 6, -1, &[2], &[1]), "its offset is no whole number"),
        (tensor("FloatStorage", 6, 0, &[-2], &[1]), "its sizes are no short list"),
        (tensor("FloatStorage", 6, 0, &[1; 65], &[1; 65]), "its sizes are no short list"),
        (tensor("FloatStorage", 6, 0, &[2, 2], &[1]), "it has 2 sizes and 1 strides"),
        (tensor("FloatStorage", 7, 0, &[2], &[1]), "storage `0` has 24 bytes, too few for 7 elements"),
        (tensor("DoubleStorage", 6, 0, &[2], &[1]), "storage `0` has 24 bytes, too few for 6 elements"),
        (tensor("FloatStorage", i64::MAX, 0, &[2], &[1]), "too few for 9223372036854775807 elements"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R".to_vec(), "tensor `w`: `_rebuild_tensor_v2` has only 0 arguments"),
        (b"ctorch._utils\n_rebuild_tensor\n(K\0K\0))tR".to_vec(), "its storage is an integer"),
        (
            b"ctorch._utils\n_rebuild_tensor\n(ctorch.storage\n_load_from_bytes\nU\0\x85RK\0))tR".to_vec(),
            "its values are a file within the file",
        ),
    ] {
        let error = fault(&with(&tensor, &storage));
        assert!(error.contains(expected), "{error}, expected {expected}");
    }
    let error = fault(&archive(&[("data.pkl", &[b"}U\x01w", &tensor("FloatStorage", 1, 0, &[1], &[1])[..], b"s."].concat())]));
    assert!(error.contains("tensor `w`: there is no storage `0`"), "{error}");
}

/// Python 2 makes an ordered dictionary of a list of lists, and its strings are bytes.
#[test]
fn dictionaries_of_python_2_are_read() {
    let tensor = tensor("FloatStorage", 2, 0, &[2], &[1]);
    let pickle = [b"\x80\x02}U\x05modelccollections\nOrderedDict\n](](U\x01w", &tensor[..], b"ee\x85Rs."].concat();
    let found =
        read_of(&archive(&[("a/data.pkl", &pickle), ("a/data/0", &[1.0f32, 2.0].map(f32::to_le_bytes).concat())])).unwrap();
    assert_eq!((found.tensors[0].0.as_str(), found.tensors[0].1.data()), ("w", &[1.0, 2.0][..]));
    assert_eq!(found.notes, ["the parameters were found under `model`"]);
}

/// A few bytes of pickle for each view of one storage: its copies must not add up.
#[test]
fn copies_do_not_exceed_a_small_multiple_of_the_file() {
    let storage = vec![0; 1 << 16];
    let views = |count: usize, class: &str| {
        let mut pickle = b"\x80\x02}(".to_vec();
        for index in 0..count {
            pickle.extend(format!("U\x04{index:04}").bytes());
            match index {
                0 => pickle.extend([&tensor(class, 1 << 14, 0, &[128, 128], &[1, 128])[..], b"q\0"].concat()),
                _ => pickle.extend(b"h\0"),
            }
        }
        pickle.extend(b"u.");
        archive(&[("a/data.pkl", &pickle), ("a/data/0", &storage)])
    };
    assert_eq!(read_of(&views(7, "FloatStorage")).unwrap().tensors.len(), 7);
    assert_eq!(read_of(&views(7, "HalfStorage")).unwrap().tensors.len(), 7);
    for class in ["FloatStorage", "HalfStorage"] {
        assert!(fault(&views(1000, class)).contains("many times as much memory as the file is large"));
    }
    // A dictionary that holds one dictionary twice, and so on: each is met once.
    let bomb = [b"\x80\x02}U\x01w", &tensor("FloatStorage", 1, 0, &[1], &[1])[..], b"sq\0"].concat();
    let level = b"0}q\0(U\x01ah\x01U\x01bh\x01uq\x00";
    let pickle = [&bomb[..], b"q\x01", &level.repeat(30), b"h\0."].concat();
    assert!(read_of(&archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 4])])).is_ok());
}

/// Pickles in which much refers to one large thing, which a reader must not go through each time.
#[test]
fn what_is_shared_is_gone_through_once() {
    const MANY: usize = 200_000;
    let large = [
        &b"(dq\0"[..],
        b"(",
        &(0..MANY as u32).flat_map(|i| [b"J", &i.to_le_bytes()[..], b"N"].concat()).collect::<Vec<_>>(),
        b"u0",
    ]
    .concat();
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let long = [text(&"n".repeat(1 << 20)), b"q\x000".to_vec()].concat();
    let list = [b"]q\0(", &b"]".repeat(MANY)[..], b"e0"].concat();
    for (shared, each) in [
        // Objects with one state, modules with one dictionary of parameters, dictionaries made of one list, sets of it.
        (large.clone(), &b"cm\nC\n)Rh\0b"[..]),
        (large.clone(), b"cm\nC\n)R}(U\x0b_parametersh\0U\x08_modulesh\0ub"),
        (list.clone(), b"ccollections\nOrderedDict\nh\0\x85R"),
        (list, b"cbuiltins\nset\nh\0\x85R"),
        // Functions and storages with one long name.
        (long.clone(), b"h\0h\0\x93)R"),
        (long, b"(U\x07storagectorch\nFloatStorage\nh\0NK\0tQ"),
    ] {
        let pickle = [b"\x80\x04", &shared[..], b"(", &each.repeat(MANY / 10), b"l."].concat();
        let error = fault(&archive(&[("a/data.pkl", &pickle)]));
        assert!(error.contains("it holds a list") || error.contains("would call `nnn"), "{error}");
        let sequence =
            [b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.M\xe9\x03.}U\x0dlittle_endian\x88s.", &pickle[..], b"]."].concat();
        let error = fault(&sequence);
        assert!(
            error.contains("it holds a list") || error.contains("would call `nnn") || error.contains("identification"),
            "{error}"
        );
    }
}

/// The same of what modules and dictionaries are made of.
#[test]
fn what_modules_and_keys_share_is_gone_through_once() {
    const MANY: usize = 200_000;
    let read = |pickle: &[u8]| fault(&archive(&[("a/data.pkl", pickle)]));
    // Objects whose states are dictionaries made of one list.
    let list = [b"NN\x86q\x010]q\0(", &b"h\x01".repeat(MANY)[..], b"e0"].concat();
    let objects = b"cm\nC\n)Rccollections\nOrderedDict\nh\0\x85Rb".repeat(MANY / 10);
    let error = read(&[&list[..], b"(", &objects, b"l."].concat());
    assert!(error.contains("it holds a list"), "{error}");
    // Modules of a module, which have one state.
    let pairs: Vec<u8> = (0..MANY as u32).flat_map(|i| [b"J", &i.to_le_bytes()[..], b"N"].concat()).collect();
    let modules: Vec<u8> = (0..MANY / 10).flat_map(|i| format!("U\x05{i:05}cm\nC\n)Rh\0b").into_bytes()).collect();
    let module = b"cm\nC\n)R}(U\x0b_parameters}U\x08_modules}(";
    let error = read(&[b"}q\0(", &pairs[..], b"u0", module, &modules, b"uub."].concat());
    assert!(error.contains("it holds an object of m.C"), "{error}");
    // Keys that are one long string of Python 2.
    let long = [&b"T\0\0\x10\0"[..], &[b'n'; 1 << 20]].concat();
    let error = read(&[&long[..], b"q\x000}(", &b"h\0N".repeat(MANY), b"u."].concat());
    assert!(error.contains("it holds a dictionary"), "{error}");
}

#[test]
fn what_would_act_is_named_and_not_run() {
    let of = |pickle: &[u8]| fault(&archive(&[("a/data.pkl", pickle)]));
    for (pickle, name) in [
        (&b"cposix\nsystem\nU\x04echo\x85R."[..], "posix.system"),
        (b"csubprocess\nPopen\n)R0}.", "subprocess.Popen"),
        (b"c__builtin__\neval\nU\x01x\x85R.", "__builtin__.eval"),
        (b"cbuiltins\ngetattr\n)R.", "builtins.getattr"),
        (b"ctorch.hub\nload\n)R.", "torch.hub.load"),
        (b"ctorch\nload\n)R.", "torch.load"),
    ] {
        let expected = format!("would call `{name}`, which builds no tensor; nothing of it was run");
        assert!(of(pickle).contains(&expected), "{}", of(pickle));
    }
    assert!(of(b"ca\nb\n)Rcc\nd\n)R\x86.").contains("would call `a.b` and 1 more,"));
    assert!(of(b"cmine\nConfig\n)R.").contains("there is no state dict in it: it holds an object of mine.Config"));
    assert!(of(b"(dU\x01aK\x01s.").contains("it holds a dictionary"));
}

#[test]
fn other_archives_are_refused() {
    let good: (&str, &[u8]) = ("a/data.pkl", &[b"}U\x01w", &tensor("FloatStorage", 1, 0, &[1], &[1])[..], b"s."].concat());
    let data: (&str, &[u8]) = ("a/data/0", &[0; 4]);
    assert!(read_of(&archive(&[good, data, ("a/byteorder", b"little"), ("a/../../etc/passwd", b"x")])).is_ok());
    for (bytes, expected) in [
        (archive(&[good, data, ("a/byteorder", b"big")]), "its numbers are big-endian, expected little-endian"),
        (archive(&[good, data, ("a/constants.pkl", b")")]), "it is a TorchScript program"),
        (archive(&[data]), "it is an archive without a `data.pkl`"),
        (archive(&[good, data, data]), "two members are called `a/data/0`"),
        (archive(&[("a/data.pkl", b"}")]), "`data.pkl`: byte 1: the pickle ends before its STOP"),
    ] {
        assert!(fault(&bytes).contains(expected), "{}, expected {expected}", fault(&bytes));
    }
}

/// Where in an archive the entry of the central directory for the `index`th member is, and the end record.
fn places(bytes: &[u8]) -> (Vec<usize>, usize) {
    let all = |signature: &[u8]| (0..bytes.len() - 4).filter(|at| bytes[*at..].starts_with(signature)).collect::<Vec<_>>();
    (all(b"PK\x01\x02"), all(b"PK\x05\x06")[0])
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let pickle = [b"}U\x01w", &tensor("FloatStorage", 1, 0, &[1], &[1])[..], b"s."].concat();
    let good = archive(&[("a/data.pkl", &pickle), ("a/data/0", &[0; 4]), ("a/data/1", &[0; 4])]);
    assert!(read_of(&good).is_ok() && read_of(&[&good[..good.len() - 2], b"\x05\0hello"].concat()).is_ok());
    let (entries, end) = places(&good);
    let patched = |at: usize, bytes: &[u8]| {
        let mut patched = good.clone();
        patched[at..at + bytes.len()].copy_from_slice(bytes);
        patched
    };
    let second = &good[entries[1] + 42..entries[1] + 46];
    for (bytes, expected) in [
        (patched(entries[2] + 42, second), "two members share the bytes from"),
        (patched(entries[2] + 53, b"0"), "two members are called `a/data/0`"),
        (patched(entries[1] + 20, &[200; 8]), "entry `a/data/0`: it lies outside the archive"),
        (patched(entries[1] + 20, &[5, 0, 0, 0, 4, 0, 0, 0]), "entry `a/data/0`: its two sizes differ"),
        (patched(entries[1] + 8, &[1]), "entry `a/data/0`: it is encrypted"),
        (patched(entries[1] + 10, &[8]), "`a/data/0` is compressed, which PyTorch never does"),
        (patched(entries[0] + 10, &[8]), "`a/data.pkl` is compressed, which PyTorch never does"),
        (patched(entries[1], b"QK"), "its directory is damaged"),
        (patched(end, b"QK"), "it has no directory at its end: it is cut off"),
    ] {
        assert!(fault(&bytes).contains(expected), "{}, expected {expected}", fault(&bytes));
    }
}

/// Sizes and places of 64 bits, as archives above 4 GiB have them.
#[test]
fn numbers_of_64_bits_are_read() {
    let pickle = [b"}U\x01w", &tensor("FloatStorage", 1, 0, &[1], &[1])[..], b"s."].concat();
    let good = archive(&[("a/data.pkl", &pickle), ("a/data/0", &7.5f32.to_le_bytes())]);
    let (entries, end) = places(&good);
    let local = good[entries[1] + 42..entries[1] + 46].to_vec();
    let mut entry = good[entries[1]..end].to_vec();
    entry[20..28].fill(0xff);
    entry[42..46].fill(0xff);
    entry[30..32].copy_from_slice(&28u16.to_le_bytes());
    entry.extend([&[1, 0, 24, 0][..], &4u64.to_le_bytes(), &4u64.to_le_bytes(), &local, &[0; 4]].concat());
    let directory = [&good[entries[0]..entries[1]], &entry].concat();
    let (start, place) = (entries[0] as u64, (entries[0] + directory.len()) as u64);
    let with = |size: u64, members: u64| {
        let numbers = [44, 0x2d002d, 0, members, members, size, start].map(u64::to_le_bytes);
        let long = [b"PK\x06\x06", &numbers[0][..], &numbers[1][..4], &[0; 8], numbers[3..].as_flattened()].concat();
        let locator = [b"PK\x06\x07\0\0\0\0", &place.to_le_bytes()[..], b"\x01\0\0\0"].concat();
        [&good[..entries[0]], &directory, &long, &locator, b"PK\x05\x06\0\0\0\0", &[0xff; 12], b"\0\0"].concat()
    };
    assert_eq!(read_of(&with(directory.len() as u64, 2)).unwrap().tensors[0].1.data(), [7.5]);
    assert!(fault(&with(u64::MAX, 2)).contains("its directory lies outside of it"));
}

#[test]
fn sequences_that_contradict_themselves_are_refused() {
    let good = file("sequence");
    assert!(good.starts_with(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}"));
    let patched = |from: &[u8], to: &[u8]| {
        let at = (0..good.len()).find(|at| good[*at..].starts_with(from)).unwrap();
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    for (bytes, expected) in [
        (patched(b"M\xe9\x03", b"M\xea\x03"), "it is of another version than 1001"),
        (patched(b"little_endianq\x02\x88", b"little_endianq\x02\x89"), "its numbers are not little-endian"),
        (patched(b"FloatStorage", b"OtherStorage"), "is of an unknown type"),
        (patched(b"\x18\0\0\0\0\0\0\0", &[0xff; 8]), "should have -1 elements"),
        (patched(b"\x18\0\0\0\0\0\0\0", &[0x7f; 8]), "should have 9187201950435737471 elements"),
    ] {
        assert!(fault(&bytes).contains(expected), "{}, expected {expected}", fault(&bytes));
    }
}

#[test]
fn what_is_written_is_read_and_lies_well() {
    let tensors: [Part; 3] = [
        ("conv1.weight", &[2, 1, 3], &[1.0, -2.5, f32::MIN_POSITIVE, 0.0, -0.0, 1e30]),
        ("é", &[], &[3.0]),
        ("none", &[0, 4], &[]),
    ];
    let written = |records: &[(&str, &[u8])]| {
        let mut bytes = Vec::new();
        write_to(&mut bytes, &tensors, records).map(|()| bytes)
    };
    let bytes = written(&[("card.json", b"{}")]).unwrap();
    assert_eq!(bytes, written(&[("card.json", b"{}")]).unwrap(), "the same content gives the same bytes");
    assert!(recognises(&bytes));
    let map = Mapped::of_bytes(&bytes);
    assert_eq!((record(&map, "card.json").unwrap(), record(&map, "other").unwrap()), (Some(&b"{}"[..]), None));
    let found = read(&map).unwrap();
    for ((name, tensor), (expected, shape, values)) in found.tensors.iter().zip(tensors) {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!((name.as_str(), &tensor.shape[..], bits(tensor.data())), (expected, shape, bits(values)));
    }
    let archive = zip::Archive::read(&bytes).unwrap();
    assert_eq!(archive.entries.len(), 7);
    for entry in &archive.entries {
        assert_eq!(entry.place().unwrap().unwrap().start % 64, 0, "{}", entry.name);
        assert!(entry.content().is_ok(), "the checksum of {}", entry.name);
    }
    assert!(written(&[("data/0", b"")]).is_err() && written(&[("version", b"")]).is_err());
    assert!(write_to(&mut Vec::new(), &[("w", &[2], &[0.0])], &[]).is_err());
    for length in 1..bytes.len() {
        assert!(read_of(&bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn other_files_are_not_recognised() {
    for bytes in [&b""[..], b"PK\x03\x04", b"\x80\x02}.", &[0; 600], b"{}", b"PK\x05\x06"] {
        assert!(!recognises(bytes), "{}", bytes.escape_ascii());
    }
    assert!(!recognises(&archive(&[("arr_0.npy", b"x")])));
    assert!(recognises(&archive(&[("a/version", b"3"), ("a/data.pkl", b"N.")])));
}
