//! Damaged files: a model or an error, never a panic.

use std::path::Path;

use net::random::{Purpose, Stream};
use safetensors::SafeTensors;
use zoo::{OnnxOptions, write_onnx};

use super::{files, made, open_bytes};

/// A folder that is memory where the system has one.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()) } else { tempfile::tempdir() }.unwrap()
}

/// The `case`th damaged form: bits, bytes, extreme numbers, pieces moved, left out or doubled.
fn damaged(bytes: &[u8], case: u32) -> Vec<u8> {
    let random = Stream::new(3, Purpose::Test, 0, 0, case);
    let mut bytes = bytes.to_vec();
    for change in 0..1 + random.below(0, 4) {
        let at = |element: u32, length: usize| random.below(1 + 8 * change + element, length.max(1) as u32) as usize;
        // Half of the changes are in the first kilobyte, where the graph is.
        let reach = if at(6, 2) == 0 { bytes.len().min(1024) } else { bytes.len() };
        let (from, to) = (at(0, reach), at(1, reach));
        let piece = bytes[from..(from + 1 + at(2, 40)).min(bytes.len())].to_vec();
        match at(3, 6) {
            0 => bytes[from] = [0, 1, 0x7f, 0xff][at(4, 4)],
            1 => bytes[from] ^= 1 << at(4, 8),
            2 => bytes[from] = bytes[from].wrapping_add(1),
            3 => drop(bytes.splice(to..(to + piece.len()).min(bytes.len()), piece)),
            4 => drop(bytes.splice(to..to, piece)),
            _ => drop(bytes.drain(from..from + piece.len())),
        }
        if bytes.is_empty() {
            return vec![0];
        }
    }
    bytes
}

#[test]
fn ten_thousand_damaged_files_give_a_net_or_an_error_of_one_line() {
    let golden = files::golden();
    let case = SafeTensors::deserialize(&golden).unwrap();
    let folder = folder();
    let mut samples: Vec<Vec<u8>> = ["forms-14", "bvlc-9", "torch-trace-11-view"]
        .map(|name| case.tensor(&format!("file/{name}")).unwrap().data().to_vec())
        .into();
    let own = folder.path().join("own.onnx");
    write_onnx(&made::of(net::Net::preset("tiny").unwrap(), "scenes"), &own, &OnnxOptions::default()).unwrap();
    samples.push(std::fs::read(&own).unwrap());
    let mut read = 0;
    for case in 0..10_000 {
        match open_bytes(folder.path(), &damaged(&samples[case as usize % samples.len()], case)) {
            Ok(model) => {
                assert!(model.weights.iter().all(|(_, tensor)| tensor.data().len() == tensor.shape.iter().product::<usize>()));
                read += 1;
            }
            Err(error) => assert_eq!(error.to_string().lines().count(), 1, "{error}"),
        }
    }
    assert!((500..9500).contains(&read), "{read} of 10,000 were read");
}

#[test]
fn cut_off_files_are_errors() {
    let golden = files::golden();
    let case = SafeTensors::deserialize(&golden).unwrap();
    let folder = folder();
    for name in files::names(&case) {
        let whole = case.tensor(&format!("file/{name}")).unwrap();
        let whole = whole.data();
        for length in (0..whole.len()).step_by(37).chain(whole.len().saturating_sub(20)..whole.len()) {
            // Other writers put the versions of the ops last, without which version 1 is meant.
            if let Ok(model) = open_bytes(folder.path(), &whole[..length]) {
                assert!(length + 20 > whole.len(), "{name}: {length} of {} bytes gave {}", whole.len(), model.net.to_toml());
            }
        }
    }
}
