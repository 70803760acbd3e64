//! The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes end to end.
//!
//! Files written here are the same bytes for the same content: the header's keys are sorted, tensors stand in the order
//! given, and only f32 is written. Readers get them back in that order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use net::{ParamSet, SharedTensor, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::map::as_f32;
use crate::{Error, Mapped, Result};

/// Tensors with their names, in the file's order, and the header's free text.
pub type Contents = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// Tensors of a mapped file with their names, in the file's order.
pub type SharedContents = Vec<(String, SharedTensor)>;

/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;
/// The header's key for free text.
pub(crate) const METADATA: &str = "__metadata__";
/// Values converted at a time, so that a write needs no second copy of a tensor.
const CHUNK: usize = 1 << 14;

/// Reads every tensor of a file, which must all be f32.
///
/// # Errors
/// Names the file and what is wrong: cut off, too long, not JSON, offsets that overlap, a type other than f32.
pub fn read(path: &Path) -> Result<Contents> {
    let fault = |source| Error::io("read", path, source);
    let format = |message: String| unusable(path, message);
    let file = File::open(path).map_err(fault)?;
    let file_bytes = file.metadata().map_err(fault)?.len();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let header = read_header(&mut reader, file_bytes, &format, &fault)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        check_type(&name, info).map_err(format)?;
        let data = read_values(&mut reader, info.shape.iter().product(), &format, &fault)?;
        tensors.push((name, Tensor { shape: info.shape.clone(), data }));
    }
    let text = header.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok((tensors, text))
}

pub(crate) fn unusable(path: &Path, message: String) -> Error {
    Error::Format { path: path.into(), format: "safetensors", message }
}

fn check_type(name: &str, info: &TensorInfo) -> Result<(), String> {
    match info.dtype {
        Dtype::F32 => Ok(()),
        dtype => Err(format!("tensor `{name}` is {dtype:?}, expected F32")),
    }
}

/// Every tensor of a mapped file, which must all be f32, where it lies; copied where the machine cannot read it there.
///
/// # Errors
/// As [`read`].
pub fn shared(file: &Arc<Mapped>) -> Result<SharedContents> {
    let path = file.path();
    let format = |message: String| unusable(path, message);
    let mut rest = file.bytes();
    let header = read_header(&mut rest, file.bytes().len() as u64, &format, &|source| Error::io("read", path, source))?;
    let start = file.bytes().len() - rest.len();
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        check_type(&name, info).map_err(format)?;
        let range = start + info.data_offsets.0..start + info.data_offsets.1;
        tensors.push((name, SharedTensor { shape: info.shape.clone(), values: values_of(file, range) }));
    }
    Ok(tensors)
}

/// The values in a range of a mapped file.
fn values_of(file: &Arc<Mapped>, range: Range<usize>) -> Arc<dyn AsRef<[f32]> + Send + Sync> {
    let bytes = &file.bytes()[range.clone()];
    match as_f32(bytes) {
        Some(_) => Arc::new(Part { file: Arc::clone(file), range }),
        None => Arc::new(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect::<Vec<f32>>()),
    }
}

/// Values that lie in a mapped file.
struct Part {
    file: Arc<Mapped>,
    range: Range<usize>,
}

impl AsRef<[f32]> for Part {
    fn as_ref(&self) -> &[f32] {
        // The range was found readable when the part was made, and a map never moves.
        as_f32(&self.file.bytes()[self.range.clone()]).unwrap_or_default()
    }
}

/// The header, checked: the tensors fill the rest of the file exactly, so nothing read later exceeds the file.
pub(crate) fn read_header(
    reader: &mut impl Read,
    file_bytes: u64,
    format: &dyn Fn(String) -> Error,
    fault: &dyn Fn(io::Error) -> Error,
) -> Result<Metadata> {
    let mut length = [0; 8];
    if file_bytes < 8 {
        return Err(format(format!("it has only {file_bytes} bytes")));
    }
    reader.read_exact(&mut length).map_err(fault)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER || length > file_bytes - 8 {
        return Err(format(format!("a header of {length} bytes does not fit into {file_bytes} bytes")));
    }
    let mut text = vec![0; length as usize];
    reader.read_exact(&mut text).map_err(fault)?;
    // Checks that the tensors lie end to end and that shapes and offsets agree, without overflow.
    let header: Metadata = serde_json::from_slice(&text).map_err(|error| format(format!("its header: {error}")))?;
    let (expected, got) = (header.data_len() as u64, file_bytes - 8 - length);
    if expected != got {
        let what = if got < expected { "cut off" } else { "too long" };
        return Err(format(format!("it is {what}: {got} bytes of tensors, expected {expected}")));
    }
    Ok(header)
}

fn read_values(
    reader: &mut impl Read,
    count: usize,
    format: &dyn Fn(String) -> Error,
    fault: &dyn Fn(io::Error) -> Error,
) -> Result<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| format(format!("a tensor of {count} values does not fit into memory")))?;
    let mut bytes = [0; 4 * CHUNK];
    while values.len() < count {
        let bytes = &mut bytes[..4 * CHUNK.min(count - values.len())];
        reader.read_exact(bytes).map_err(fault)?;
        values.extend(bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)));
    }
    Ok(values)
}

/// Writes tensors and free text, whole or not at all (see [`crate::replace`]).
///
/// # Errors
/// Where the file cannot be written, or a name occurs twice.
pub fn write(path: &Path, tensors: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> Result<()> {
    crate::replace(path, |writer| write_to(writer, tensors, metadata))
}

/// Writes tensors and free text into `writer`.
///
/// # Errors
/// The writer's, and `InvalidInput` where a name occurs twice or is the format's own, or a shape does not fit its data.
pub fn write_to(writer: &mut dyn Write, tensors: &[(&str, &Tensor)], metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let mut header = BTreeMap::new();
    let mut offset = 0;
    for (name, tensor) in tensors {
        if tensor.shape.iter().product::<usize>() != tensor.data.len() {
            return Err(invalid(format!("tensor `{name}`: {} values in shape {:?}", tensor.data.len(), tensor.shape)));
        }
        let end = offset + 4 * tensor.data.len();
        let info = TensorInfo { dtype: Dtype::F32, shape: tensor.shape.clone(), data_offsets: (offset, end) };
        if *name == METADATA || header.insert(*name, serde_json::to_value(info)?).is_some() {
            return Err(invalid(format!("tensor name `{name}` is taken")));
        }
        offset = end;
    }
    if !metadata.is_empty() {
        header.insert(METADATA, serde_json::to_value(metadata)?);
    }
    let mut text = serde_json::to_vec(&header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    writer.write_all(&(text.len() as u64).to_le_bytes())?;
    writer.write_all(&text)?;
    let mut bytes = Vec::with_capacity(4 * CHUNK);
    for (_, tensor) in tensors {
        for values in tensor.data.chunks(CHUNK) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            writer.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// The tensors of a parameter set, for writing.
pub fn of_params(params: &ParamSet) -> Vec<(&str, &Tensor)> {
    params.iter().collect()
}

/// The tensors of a list, for writing.
pub fn of_list(tensors: &[(String, Tensor)]) -> Vec<(&str, &Tensor)> {
    tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<(String, Tensor)>, BTreeMap<String, String>) {
        let tensors = vec![
            (
                "z.weight".to_string(),
                Tensor { shape: vec![2, 3], data: vec![1.0, -2.5, f32::MIN_POSITIVE, 0.0, -0.0, f32::INFINITY] },
            ),
            ("a.bias".to_string(), Tensor { shape: vec![3], data: vec![f32::NAN, 1e-45, 3.0] }),
            ("scalar".to_string(), Tensor { shape: vec![], data: vec![7.0] }),
            ("empty".to_string(), Tensor { shape: vec![0, 5], data: vec![] }),
        ];
        (tensors, BTreeMap::from([("net".to_string(), "é\n\"".to_string()), ("b".to_string(), String::new())]))
    }

    /// Reads a file both ways, which must agree.
    fn read(path: &Path) -> Result<Contents> {
        let (by_copy, in_place) = (super::read(path), Mapped::open(path).and_then(|file| shared(&Arc::new(file))));
        match (&by_copy, &in_place) {
            (Ok((tensors, _)), Ok(shared)) => {
                let bits = |data: &[f32]| data.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                assert_eq!(tensors.len(), shared.len());
                for ((name, tensor), (shared_name, shared)) in tensors.iter().zip(shared) {
                    assert_eq!((name, &tensor.shape), (shared_name, &shared.shape));
                    assert_eq!(bits(&tensor.data), bits(shared.data()));
                }
            }
            (Err(by_copy), Err(in_place)) => assert_eq!(by_copy.to_string(), in_place.to_string()),
            _ => panic!("{by_copy:?} by copy, {in_place:?} in place"),
        }
        by_copy
    }

    fn written(folder: &Path) -> std::path::PathBuf {
        let (tensors, text) = sample();
        let path = folder.join("x.safetensors");
        write(&path, &of_list(&tensors), &text).unwrap();
        path
    }

    #[test]
    fn what_is_written_reads_back_bit_for_bit_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let (tensors, text) = read(&path).unwrap();
        let (expected, expected_text) = sample();
        let bits = |list: &[(String, Tensor)]| {
            list.iter()
                .map(|(n, t)| (n.clone(), t.shape.clone(), t.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>()))
                .collect::<Vec<_>>()
        };
        assert_eq!(bits(&tensors), bits(&expected));
        assert_eq!(text, expected_text);
        let first = std::fs::read(&path).unwrap();
        written(folder.path());
        assert_eq!(first, std::fs::read(&path).unwrap(), "the same content gives the same bytes");
    }

    /// Foreign writers need not align: a header of odd length moves every tensor.
    #[test]
    fn unaligned_values_are_copied_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let end = 8 + header as usize;
        let inside = |path: &Path| {
            let file = Arc::new(Mapped::open(path).unwrap());
            let (all, tensors) = (file.bytes().as_ptr_range(), shared(&file).unwrap());
            all.contains(&tensors[0].1.data().as_ptr().cast())
        };
        assert!(inside(&path));
        std::fs::write(&path, [&(header + 1).to_le_bytes()[..], &bytes[8..end], b" ", &bytes[end..]].concat()).unwrap();
        assert!(!inside(&path));
        assert_eq!(read(&path).unwrap().0.len(), sample().0.len());
    }

    /// The format's own library reads our files.
    #[test]
    fn the_format_library_agrees() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = std::fs::read(written(folder.path())).unwrap();
        let file = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let view = file.tensor("a.bias").unwrap();
        assert_eq!((view.dtype(), view.shape()), (Dtype::F32, &[3][..]));
        assert_eq!(view.data()[8..], 3.0f32.to_le_bytes());
    }

    #[test]
    fn every_truncation_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(read(&path), Err(Error::Format { .. })), "{length} of {} bytes", bytes.len());
        }
        std::fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
        assert!(matches!(read(&path), Err(Error::Format { .. })));
    }

    /// No flipped byte panics or allocates what it promises; a file either reads or says why not.
    #[test]
    fn no_flipped_byte_of_the_header_panics() {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for position in 0..header {
            for flip in [1, 16, 128] {
                let mut hostile = bytes.clone();
                hostile[position] ^= flip;
                std::fs::write(&path, hostile).unwrap();
                let _ = read(&path);
            }
        }
    }

    #[test]
    fn hostile_headers_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hostile");
        let huge = u64::MAX / 2;
        for header in [
            format!(r#"{{"a":{{"dtype":"F32","shape":[{huge},{huge}],"data_offsets":[0,4]}}}}"#),
            r#"{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}"#.into(),
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#.into(),
            r#"{"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}}"#.into(),
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#
                .into(),
            r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#.into(),
            "[".repeat(100_000),
            "not json".into(),
        ] {
            let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
            bytes.extend(header.as_bytes());
            bytes.extend([0; 8]);
            std::fs::write(&path, &bytes).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("hostile` is not a usable safetensors file"), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        std::fs::write(&path, u64::MAX.to_le_bytes()).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("a header of 18446744073709551615 bytes"));
    }

    #[test]
    fn two_tensors_of_one_name_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let tensor = Tensor::zeros(&[2]);
        let path = folder.path().join("x");
        for name in ["a", METADATA] {
            let error = write(&path, &[("a", &tensor), (name, &tensor)], &BTreeMap::new()).unwrap_err();
            assert!(matches!(error, Error::Io { source, .. } if source.to_string().contains("is taken")));
            assert!(!path.exists());
        }
    }
}
