//! A state dict as PyTorch keeps it: an archive that `torch.load` reads with its defaults.

use std::io::{self, Write};

use super::pack::Packer;
use crate::floats::write_values;
use crate::safetensors::Part;

/// The archive's name, before each record's.
const NAME: &str = "alexnet";

/// Writes tensors as a state dict (an `OrderedDict` of f32 tensors, pickle protocol 2, storages at multiples of 64 bytes), and
/// `records` beside them, each with its name, which PyTorch passes over. The same content gives the same bytes.
///
/// # Errors
/// The writer's; `InvalidInput` where a shape does not fit its values, a record has the name of one of PyTorch's, or the whole is
/// more than 4 GiB.
pub fn write_to(writer: &mut dyn Write, tensors: &[Part], records: &[(&str, &[u8])]) -> io::Result<()> {
    let invalid = |message: String| Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    for (name, shape, values) in tensors {
        if shape.iter().product::<usize>() != values.len() {
            return invalid(format!("tensor `{name}`: {} values in shape {shape:?}", values.len()));
        }
    }
    let own = ["data.pkl", "byteorder", "version"];
    if let Some((name, _)) = records.iter().find(|(name, _)| own.contains(name) || name.starts_with("data/")) {
        return invalid(format!("a record cannot be called `{name}`"));
    }
    let mut packer = Packer::new(writer);
    let mut add =
        |name: &str, bytes: &[u8]| packer.add(&format!("{NAME}/{name}"), bytes.len() as u64, |writer| writer.write_all(bytes));
    add("data.pkl", &pickle(tensors))?;
    add("byteorder", b"little")?;
    for (name, bytes) in records {
        add(name, bytes)?;
    }
    for (index, (_, _, values)) in tensors.iter().enumerate() {
        let name = format!("{NAME}/data/{index}");
        packer.add(&name, 4 * values.len() as u64, |writer| write_values(writer, values))?;
    }
    packer.add(&format!("{NAME}/version"), 2, |writer| writer.write_all(b"3\n"))?;
    packer.finish()
}

/// The pickle: `OrderedDict` with `_rebuild_tensor_v2(storage, 0, sizes, strides, False, OrderedDict())` under each name.
fn pickle(tensors: &[Part]) -> Vec<u8> {
    let mut out = b"\x80\x02ccollections\nOrderedDict\n)R(".to_vec();
    for (index, (name, shape, values)) in tensors.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &index.to_string());
        text(&mut out, "cpu");
        whole(&mut out, values.len());
        out.extend(b"tQK\0(");
        shape.iter().for_each(|size| whole(&mut out, *size));
        out.extend(b"t(");
        let mut strides: Vec<usize> =
            shape.iter().rev().scan(1, |step, size| Some(std::mem::replace(step, *step * (*size).max(1)))).collect();
        strides.reverse();
        strides.iter().for_each(|stride| whole(&mut out, *stride));
        out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"u.");
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// A number from 0 on: four bytes with a sign, or eight.
fn whole(out: &mut Vec<u8>, number: usize) {
    match i32::try_from(number) {
        Ok(number) => {
            out.push(b'J');
            out.extend(number.to_le_bytes());
        }
        Err(_) => {
            out.extend([0x8a, 8]);
            out.extend((number as i64).to_le_bytes());
        }
    }
}
