//! The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes end to end.
//!
//! Files written here are the same bytes for the same content: the header's keys are sorted, tensors stand in the order
//! given, and only f32 is written. Readers get them back in that order.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use net::{ParamSet, SharedTensor, Tensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::floats::{CHUNK, Float, write_values};
use crate::{Error, Foreign, Mapped, Result};

/// Tensors with their names, in the file's order, and the header's free text.
pub type Contents = (Vec<(String, Tensor)>, BTreeMap<String, String>);

/// Tensors of a mapped file with their names, in the file's order.
pub type SharedContents = Vec<(String, SharedTensor)>;

/// The longest header that the format allows, in bytes.
const LONGEST_HEADER: u64 = 100_000_000;
/// The header's key for free text.
pub(crate) const METADATA: &str = "__metadata__";

/// Reads every tensor of a file, which must all be f32.
///
/// # Errors
/// Names the file and what is wrong: cut off, too long, not JSON, offsets that overlap, a type other than f32.
pub fn read(path: &Path) -> Result<Contents> {
    let fault = |source| Error::io("read", path, source);
    let file = File::open(path).map_err(fault)?;
    let file_bytes = file.metadata().map_err(fault)?.len();
    read_from(&mut BufReader::with_capacity(1 << 18, file), file_bytes, path)
}

/// As [`read`], of a safetensors file that lies within the file at `path`.
///
/// # Errors
/// As [`read`].
pub fn read_within(path: &Path, bytes: &[u8]) -> Result<Contents> {
    read_from(&mut &*bytes, bytes.len() as u64, path)
}

fn read_from(reader: &mut impl Read, file_bytes: u64, path: &Path) -> Result<Contents> {
    let fault = |source| Error::io("read", path, source);
    let format = |message: String| unusable(path, message);
    let header = read_header(reader, file_bytes, &format, &fault)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        check_type(&name, info).map_err(format)?;
        let data = read_values(reader, info.shape.iter().product(), &format, &fault)?;
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
    let (header, start) = mapped_header(file)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        check_type(&name, info).map_err(|message| unusable(file.path(), message))?;
        tensors.push((name, tensor_of(file, start, info, Float::F32)));
    }
    Ok(tensors)
}

/// What another program wrote: tensors of f32 where they lie, as [`shared`]; of f16, bf16 and f64 converted to f32, an f64 to
/// the nearest; those of other types by name only.
///
/// # Errors
/// As [`read`], but for types.
pub fn foreign(file: &Arc<Mapped>) -> Result<Foreign> {
    let (header, start) = mapped_header(file)?;
    let mut found = Foreign { text: header.metadata().clone().unwrap_or_default().into_iter().collect(), ..Foreign::default() };
    for name in header.offset_keys() {
        let Some(info) = header.info(&name) else { continue };
        let float = match info.dtype {
            Dtype::F16 => Float::F16,
            Dtype::BF16 => Float::Bf16,
            Dtype::F32 => Float::F32,
            Dtype::F64 => Float::F64,
            dtype => {
                found.others.push((name, format!("{dtype:?}")));
                continue;
            }
        };
        found.tensors.push((name, tensor_of(file, start, info, float)));
    }
    Ok(found)
}

/// Whether these bytes begin as a safetensors file does, damaged or not: a length that can be one, then a JSON object.
pub fn recognises(bytes: &[u8]) -> bool {
    let Some((length, text)) = bytes.split_first_chunk() else { return false };
    u64::from_le_bytes(*length) <= LONGEST_HEADER && text.first() == Some(&b'{')
}

/// The header of a mapped file, checked, and where its tensors begin.
fn mapped_header(file: &Mapped) -> Result<(Metadata, usize)> {
    let path = file.path();
    let format = |message: String| unusable(path, message);
    let mut rest = file.bytes();
    let header = read_header(&mut rest, file.bytes().len() as u64, &format, &|source| Error::io("read", path, source))?;
    Ok((header, file.bytes().len() - rest.len()))
}

/// The tensor of numbers of type `float` that a checked header describes; tensors begin at byte `start`.
fn tensor_of(file: &Arc<Mapped>, start: usize, info: &TensorInfo, float: Float) -> SharedTensor {
    let range = start + info.data_offsets.0..start + info.data_offsets.1;
    SharedTensor { shape: info.shape.clone(), values: float.share(file, range) }
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
    let parts: Vec<Part> = tensors.iter().map(|(name, tensor)| (*name, &tensor.shape[..], &tensor.data[..])).collect();
    write_parts(writer, &parts, metadata)
}

/// A tensor for writing: its name, its shape, its values.
pub type Part<'a> = (&'a str, &'a [usize], &'a [f32]);

/// As [`write_to`], from wherever the values lie.
///
/// # Errors
/// As [`write_to`].
pub fn write_parts(writer: &mut dyn Write, tensors: &[Part], metadata: &BTreeMap<String, String>) -> io::Result<()> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let mut header = BTreeMap::new();
    let mut offset = 0;
    for (name, shape, data) in tensors {
        if shape.iter().product::<usize>() != data.len() {
            return Err(invalid(format!("tensor `{name}`: {} values in shape {shape:?}", data.len())));
        }
        let end = offset + 4 * data.len();
        let info = TensorInfo { dtype: Dtype::F32, shape: shape.to_vec(), data_offsets: (offset, end) };
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
    tensors.iter().try_for_each(|(_, _, data)| write_values(writer, data))
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

    /// A file of another program, and what is in it: every type of float, and one type that is none.
    fn of_another_program() -> Vec<u8> {
        let header = r#"{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[2],"data_offsets":[0,4]},
            "b":{"dtype":"BF16","shape":[1,2],"data_offsets":[4,8]},"c":{"dtype":"F32","shape":[],"data_offsets":[8,12]},
            "d":{"dtype":"I64","shape":[1],"data_offsets":[12,20]},"e":{"dtype":"F64","shape":[2],"data_offsets":[20,36]}}"#;
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend([0x00, 0x3c, 0x01, 0x80, 0x80, 0x3f, 0x20, 0xc0]);
        bytes.extend(7.5f32.to_le_bytes());
        bytes.extend(3i64.to_le_bytes());
        bytes.extend([0.1f64, -2.0].map(f64::to_le_bytes).concat());
        bytes
    }

    fn foreign_of(bytes: &[u8]) -> Result<Foreign> {
        foreign(&Mapped::of_bytes(bytes))
    }

    #[test]
    fn other_floats_become_f32_and_other_types_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let bytes = of_another_program();
        assert!(recognises(&bytes) && !recognises(&bytes[1..]) && !recognises(&bytes[..8]));
        let found = foreign_of(&bytes).unwrap();
        let tensors: Vec<_> = found.tensors.iter().map(|(name, t)| (name.as_str(), &t.shape[..], t.data())).collect();
        let expected: [(&str, &[usize], &[f32]); 4] =
            [("a", &[2], &[1.0, -(2f32.powi(-24))]), ("b", &[1, 2], &[1.0, -2.5]), ("c", &[], &[7.5]), ("e", &[2], &[0.1, -2.0])];
        assert_eq!(tensors, expected);
        assert_eq!(found.others, [("d".to_string(), "I64".to_string())]);
        assert_eq!(found.text["format"], "pt");
        for length in 1..bytes.len() {
            assert!(matches!(foreign_of(&bytes[..length]), Err(Error::Format { .. })), "{length} bytes");
        }
        let (tensors, text) = sample();
        write(&path, &of_list(&tensors), &text).unwrap();
        let file = Arc::new(Mapped::open(&path).unwrap());
        let (found, strict) = (foreign(&file).unwrap(), shared(&file).unwrap());
        let places = |list: &SharedContents| list.iter().map(|(n, t)| (n.clone(), t.data().as_ptr())).collect::<Vec<_>>();
        assert_eq!((places(&found.tensors), found.text), (places(&strict), text), "f32 lies in the file");
    }

    /// Ten thousand mutated files: an error or no more values than the file has bytes.
    #[test]
    fn mutated_files_of_other_programs_read_or_say_why_not() {
        let bytes = of_another_program();
        let (mut read, mut refused) = (0, 0);
        for case in 0..10_000 {
            match foreign_of(&crate::mutated::mutated(&bytes, case)) {
                Ok(found) => {
                    assert!(found.tensors.iter().map(|(_, tensor)| tensor.data().len()).sum::<usize>() <= bytes.len());
                    read += 1;
                }
                Err(error) => {
                    assert_eq!(error.to_string().lines().count(), 1, "{error}");
                    refused += 1;
                }
            }
        }
        assert!(read > 100 && refused > 1000, "{read} read, {refused} refused");
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
