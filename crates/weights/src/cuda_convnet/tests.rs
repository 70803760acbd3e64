//! What the programs write, and the same damaged.

use net::random::{Purpose, Stream};
use safetensors::SafeTensors;

use super::*;

fn golden<T>(read: impl FnOnce(&SafeTensors) -> T) -> T {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../golden/cuda-convnet/case.safetensors");
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    read(&SafeTensors::deserialize(&bytes).expect("a golden"))
}

/// The golden's files as `(name, bytes)`, sorted.
fn files() -> Vec<(String, Vec<u8>)> {
    golden(|case| {
        let mut files: Vec<_> = case
            .iter()
            .filter_map(|(name, view)| Some((name.strip_prefix("file/")?.to_string(), view.data().to_vec())))
            .collect();
        files.sort();
        files
    })
}

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(found, _)| found == name).expect("kept").1
}

fn of_bytes(bytes: &[u8]) -> Result<Checkpoint, String> {
    of_pickle(&unpacked(bytes)?)
}

/// The golden's line for a layer.
fn line(layer: &Layer) -> String {
    let outputs = layer.outputs.expect("every layer says it");
    let mut words = vec![layer.name.clone(), layer.kind.clone(), layer.inputs.join(","), outputs.to_string()];
    match &layer.op {
        Op::Data { index } => words.push(format!("index {}", index.expect("given"))),
        Op::Conv(filters) | Op::Local(filters) => {
            for i in &filters.inputs {
                assert!(!i.rand_sparse);
                let FilterInput { channels, image_size, filter_size, padding, stride, groups, .. } = i;
                words.push(format!("{channels}x{image_size}:{filter_size}/{stride}+{padding}g{groups}"));
            }
            assert!(filters.shared_biases);
            words.push(format!("filters {} places {}", filters.filters, filters.modules_x));
        }
        Op::Neuron { kind, params } => {
            words.push(kind.clone());
            words.extend(params.iter().map(|(name, value)| format!("{name}={value:?}")));
        }
        Op::Pool(Pool { how, channels, image_size, size, stride, outputs_x, sum: false, start: 0 }) => {
            words.push(format!("{how} {channels}x{image_size}:{size}/{stride} places {outputs_x}"));
        }
        Op::Norm(Norm { over, channels, size, scale, pow, min_div, blocked: false }) => {
            assert_eq!(*over, if layer.kind == "rnorm" { NormOver::Places } else { NormOver::Maps });
            words.push(format!("{channels} {size} {scale:?} {pow:?} {min_div:?}"));
        }
        Op::Dropout(Dropout { keep, scales_tests }) => {
            words.push(format!("keep {keep:?}{}", if *scales_tests { " tests scaled" } else { "" }));
        }
        Op::FullyConnected | Op::Softmax | Op::Cost => {}
        op => panic!("{op:?}"),
    }
    words.join(" ")
}

#[test]
fn layers_are_what_the_definition_says() {
    let files = files();
    assert_eq!(files.len(), 7);
    golden(|case| {
        for (name, bytes) in &files {
            assert!(recognises(bytes), "{name}");
            let checkpoint = of_bytes(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
            let lines: Vec<_> = checkpoint.layers.iter().map(line).collect();
            let expected = case.tensor(&format!("text/{name}")).expect("kept").data();
            assert_eq!(lines.join("\n"), std::str::from_utf8(expected).unwrap(), "{name}");
            let net = name.split('.').next().expect("a name");
            let kept = |name: &str| {
                let view = case.tensor(name).unwrap_or_else(|_| panic!("{name}"));
                let values = view.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
                Tensor { shape: view.shape().to_vec(), data: values }
            };
            let mut matrices = 0;
            for layer in &checkpoint.layers {
                for (input, matrix) in layer.weights.iter().enumerate() {
                    assert_eq!(**matrix, kept(&format!("weights/{net}/{}/{input}", layer.name)));
                }
                if let Some(biases) = &layer.biases {
                    assert_eq!(**biases, kept(&format!("biases/{net}/{}", layer.name)));
                }
                matrices += layer.weights.len() + usize::from(layer.biases.is_some());
            }
            let prefixes = [format!("weights/{net}/"), format!("biases/{net}/")];
            let all = case.names().into_iter().filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))).count();
            assert_eq!(matrices, all, "{name}");
        }
    });
}

#[test]
fn a_run_is_where_it_was_saved_and_has_been_tested() {
    for (name, bytes) in files() {
        let checkpoint = of_bytes(&bytes).unwrap();
        assert_eq!((checkpoint.epoch, checkpoint.batch), (Some(12), Some(3)), "{name}");
        let tests: Vec<_> = checkpoint.tests.iter().map(|test| (test.costs["logprob"].clone(), test.images)).collect();
        assert_eq!(tests, [(vec![1.75, 0.5], Some(1000)), (vec![0.875, 0.25], Some(1000))], "{name}: sums are divided");
        let options: Vec<_> = checkpoint.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(options, ["layer_def=layers.cfg", "max_test_err=0.25", "minibatch_size=128", "test_only=false"], "{name}");
    }
}

#[test]
fn towers_say_which_processor_they_ran_on() {
    for name in ["towers", "towers-inverted"] {
        let checkpoint = of_bytes(&file(name)).unwrap();
        let gpus = |name: &str| checkpoint.layers.iter().find(|layer| layer.name == name).expect("there").gpus.clone();
        assert_eq!((gpus("conv1a"), gpus("conv1b")), (vec![0], vec![1]));
    }
}

#[test]
fn the_newest_file_of_a_folder_is_found() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(newest(folder.path()).unwrap(), None);
    for name in ["9.5", "10.3", "10.12", "10.12.tmp", "notes", "11", "a.b"] {
        std::fs::write(folder.path().join(name), file("cifar-local")).unwrap();
    }
    std::fs::create_dir(folder.path().join("99.1")).unwrap();
    let found = newest(folder.path()).unwrap().expect("a checkpoint");
    assert_eq!(found, folder.path().join("10.12"));
    assert_eq!(read(&Mapped::open(&found).unwrap()).unwrap().epoch, Some(12));
    assert!(newest(&found.join("none")).is_err());
}

/// `bytes` with one text for another of the same length, once.
fn with(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at = bytes.windows(old.len()).position(|window| window == old).expect("there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[test]
fn what_is_no_checkpoint_says_why() {
    let towers = file("towers");
    for (bytes, expected) in [
        (b"\x80\x02]q\x00.".to_vec(), "a pickle of a list without `model_state`"),
        (b"\x80\x02cos\nsystem\nU\x01x\x85R.".to_vec(), "it calls os.system, which nothing of a checkpoint does"),
        (with(&towers, b"U\x06layers", b"U\x06leyers"), "`model_state` has no `layers`"),
        (with(&towers, b"U\x06conv1a", b"U\x06conv1b"), "two layers are called `conv1b`"),
        (with(&towers, b"modulesX", b"modulesY"), "`modulesX` is missing"),
        (with(&towers, b"U\x07weights", b"U\x07weightz"), "it has no weights"),
        (with(&towers, b"U\x06biases", b"U\x06biasez"), "`biases` is missing"),
        (b"PK\x05\x06rest".to_vec(), "cut off"),
        (b"\x1f\x8b\x08rest".to_vec(), "gzip: "),
        (Vec::new(), "the pickle ends before its STOP"),
    ] {
        let error = of_bytes(&bytes).expect_err(expected);
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}, expected {expected}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1.1");
    std::fs::write(&path, b"\x80\x02N.").unwrap();
    let error = read(&Mapped::open(&path).unwrap()).unwrap_err().to_string();
    assert!(error.contains("1.1` is not a usable cuda-convnet file: it is a pickle of None without"), "{error}");
}

#[test]
fn other_files_are_not_recognised() {
    for bytes in [&b""[..], b"PK\x03\x04", b"\x80\x02}q\x00.", b"\x1f\x8b", b"\x08\x03", b"model_state"] {
        assert!(!recognises(bytes), "{bytes:?}");
    }
    assert!(recognises(&file("one-way.gz")[..3000]), "a file that is cut off is recognised still");
    assert!(recognises(&file("cifar.zip")[..100]));
}

/// Layers that read each other are no net; a matrix that layers share is read once, and weights are no more than the file.
#[test]
fn what_layers_share_is_bounded() {
    let layer = |name: &[u8], reads: &[u8]| [&b"}(U\x04typeU\x02fcU\x04name"[..], name, b"U\x06inputs", reads].concat();
    let circle = [
        &b"\x80\x02}U\x0bmodel_state}U\x06layers]("[..],
        &layer(b"U\x01a", b"(K\x01l"),
        b"U\x07weights(",
        &matrix(2, 1),
        b"q\x01lU\x06biasesh\x01u",
        &layer(b"U\x01b", b"(K\0l"),
        b"U\x07weights(h\x01lU\x06biasesh\x01u",
        b"ess.",
    ]
    .concat();
    let error = of_bytes(&circle).unwrap_err();
    assert!(error.contains("layer `a` reads itself, by way of others"), "{error}");
    // A hundred matrices of the bytes of one.
    let bytes = [&b"(cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K\x20K\x20\x86"[..], DTYPE, b"\x89h\x09tb"].concat();
    let many = [
        &b"\x80\x02T\0\x10\0\0"[..],
        &[0; 4096][..],
        b"q\x09}U\x0bmodel_state}U\x06layers](",
        &layer(b"U\x01a", &[b"(", &b"K\0".repeat(40)[..], b"l"].concat()),
        b"U\x07weights(",
        &bytes[1..].repeat(40),
        b"lU\x06biasesh\x09u",
        b"ess.",
    ]
    .concat();
    let error = of_bytes(&many).unwrap_err();
    assert!(error.contains("there are more weights than the file has bytes"), "{error}");
}

/// Rows without columns are as many as the file likes to say.
#[test]
fn a_matrix_without_values_is_none() {
    let shape = b"_reconstruct\n)R(K\x01\x8a\x06\0\0\0\0\0\x01K\0\x86";
    let matrix = [&b"cnumpy.core.multiarray\n"[..], shape, DTYPE, b"\x89U\0tb"].concat();
    let layer = b"}(U\x04typeU\x02fcU\x04nameU\x01aU\x06inputs(K\0lU\x07weights(";
    let bytes = [&b"\x80\x02}U\x0bmodel_state}U\x06layers]("[..], layer, &matrix, b"lU\x06biasesNuess."].concat();
    let error = of_bytes(&bytes).unwrap_err();
    assert!(error.contains("layer `a`: `weights`: a matrix of 1099511627776 × 0 has no values"), "{error}");
}

/// Dictionaries in which every look is long, and lists that many are made of.
#[test]
fn what_layers_and_tests_are_made_of_is_not_gone_through_again_and_again() {
    const MANY: usize = 400_000;
    let pairs: Vec<u8> = (0..MANY as u32).flat_map(|i| [b"J", &i.to_le_bytes()[..], b"N"].concat()).collect();
    let layers = b"(U\x04typeU\x04dataU\x04nameU\x01au";
    let bytes = [b"\x80\x02}U\x0bmodel_state}U\x06layers]}(", &pairs[..], b"u", layers, b"ass."].concat();
    let error = of_bytes(&bytes).unwrap_err();
    assert!(error.contains("a layer is a dictionary, expected a dictionary of at most 1000 keys"), "{error}");
    // The last of the pairs is none.
    let list = [b"NN\x86q\x010]q\0(", &b"h\x01".repeat(MANY)[..], b"Ne0"].concat();
    let costs = b"ccollections\nOrderedDict\nh\0\x85RK\x01\x86".repeat(MANY / 20);
    let state = b"}U\x0bmodel_state}(U\x06layers]U\x0ctest_outputs](";
    let checkpoint = of_bytes(&[b"\x80\x02", &list[..], state, &costs, b"eus."].concat()).unwrap();
    assert_eq!((checkpoint.layers.len(), checkpoint.tests.len()), (0, 0));
}

const DTYPE: &[u8] = b"cnumpy\ndtype\nU\x02f4K\0K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb";

/// An array of zeros.
fn matrix(rows: u8, columns: u8) -> Vec<u8> {
    let bytes = rows * columns * 4;
    let head = [&b"cnumpy.core.multiarray\n_reconstruct\n)R(K\x01K"[..], &[rows], b"K", &[columns], b"\x86", DTYPE].concat();
    [&head[..], b"\x89U", &[bytes], &vec![0; bytes.into()], b"tb"].concat()
}

#[test]
fn every_truncation_is_an_error() {
    for (name, bytes) in files() {
        let near = |length: &usize| *length < 1500 || length.is_multiple_of(61) || length + 200 > bytes.len();
        for length in (0..bytes.len()).filter(near) {
            let cut = &bytes[..length];
            let (_, error) = (recognises(cut), of_bytes(cut).expect_err(&name));
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn no_flipped_byte_panics() {
    for (_, bytes) in files() {
        let mut hostile = bytes.clone();
        for position in (0..bytes.len()).filter(|position| position % 7 == 0 && *position < 2500 || position % 211 == 0) {
            for flip in [1, 16, 128] {
                hostile[position] ^= flip;
                let _ = (recognises(&hostile), of_bytes(&hostile));
                hostile[position] ^= flip;
            }
        }
    }
}

#[test]
fn ten_thousand_mutated_checkpoints_do_not_panic() {
    let files = files();
    let mut read = 0;
    for item in 0..10_000 {
        let random = Stream::new(2, Purpose::Test, 0, 0, item);
        let mut bytes = files[item as usize % files.len()].1.clone();
        for cut in 0..1 + random.below(0, 6) {
            let at = |element: u32, length: usize| random.below(1 + 5 * cut + element, length as u32) as usize;
            let from = at(0, bytes.len());
            match at(1, 4) {
                0 => bytes[from] = at(2, 256) as u8,
                1 => bytes[from] ^= 1 << at(2, 8),
                2 => drop(bytes.drain(from..(from + at(2, 5)).min(bytes.len()))),
                // A piece of the file elsewhere in it.
                _ => {
                    let other = at(2, bytes.len());
                    let length = at(3, 40).min(bytes.len() - from.max(other));
                    bytes.copy_within(other..other + length, from);
                }
            }
        }
        read += i32::from(of_bytes(&bytes).is_ok_and(|checkpoint| !checkpoint.layers.is_empty()));
    }
    assert!((200..9800).contains(&read), "{read} of 10000 mutated checkpoints are checkpoints still");
}
