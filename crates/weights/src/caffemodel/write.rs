//! Writing, layer by layer, so that no copy of a net's weights is made.

use std::io::{self, Write};
use std::path::Path;

use net::SharedTensor;

use super::settings::{field_of, write as settings, write_shape};
use super::{Contents, EXTRA, Layer, Rule, TEXT, Transform};
use crate::Result;
use crate::floats::write_values;
use crate::protobuf::Writer;

/// Writes a `NetParameter` in the newest generation's form, whole or not at all (see [`crate::replace`]).
///
/// # Errors
/// Where the file cannot be written.
pub fn write(path: &Path, contents: &Contents) -> Result<()> {
    crate::replace(path, |out| {
        let mut head = Writer::new();
        head.text(1, &contents.name);
        for (name, _) in &contents.inputs {
            head.text(3, name);
        }
        for (_, shape) in contents.inputs.iter().filter(|(_, shape)| !shape.is_empty()) {
            head.message(8, write_shape(shape));
        }
        out.write_all(&head.into_bytes())?;
        for layer in &contents.layers {
            write_nested(out, 100, layer_head(layer), 7, &layer.blobs)?;
        }
        if let Some(text) = &contents.text {
            let mut field = Writer::new();
            field.text(TEXT, text);
            out.write_all(&field.into_bytes())?;
        }
        for (name, tensor) in &contents.extras {
            let mut head = Writer::new();
            head.text(1, name);
            write_nested(out, EXTRA, head, 2, std::slice::from_ref(tensor))?;
        }
        Ok(())
    })
}

/// Writes one `BlobProto` of up to four axes, with the four sizes that every Caffe reads.
///
/// # Errors
/// Where the file cannot be written.
pub fn write_blob(path: &Path, tensor: &SharedTensor) -> Result<()> {
    crate::replace(path, |out| write_blob_to(out, tensor))
}

/// [`write_blob`] to where the caller says.
///
/// # Errors
/// What `out` says.
pub fn write_blob_to(out: &mut dyn Write, tensor: &SharedTensor) -> io::Result<()> {
    let mut head = Writer::new();
    let missing = 4usize.saturating_sub(tensor.shape.len());
    for (number, size) in (1..=4).zip(std::iter::repeat_n(&1, missing).chain(&tensor.shape)) {
        head.int(number, *size as i64);
    }
    head.head(5, 4 * tensor.data().len());
    out.write_all(&head.into_bytes())?;
    write_values(out, tensor.data())
}

/// A message that is a field of another: `head`, then `tensors` as blobs.
fn write_nested(out: &mut dyn Write, number: u32, head: Writer, blob_number: u32, tensors: &[SharedTensor]) -> io::Result<()> {
    let head = head.into_bytes();
    let blobs: Vec<(Vec<u8>, &[f32])> = tensors.iter().map(|tensor| (blob_head(blob_number, tensor), tensor.data())).collect();
    let length = head.len() + blobs.iter().map(|(head, values)| head.len() + 4 * values.len()).sum::<usize>();
    let mut tag = Writer::new();
    tag.head(number, length);
    out.write_all(&tag.into_bytes())?;
    out.write_all(&head)?;
    for (head, values) in blobs {
        out.write_all(&head)?;
        write_values(out, values)?;
    }
    Ok(())
}

/// Everything of a blob's field before its values.
fn blob_head(number: u32, tensor: &SharedTensor) -> Vec<u8> {
    let bytes = 4 * tensor.data().len();
    let mut inner = Writer::new();
    inner.message(7, write_shape(&tensor.shape)).head(5, bytes);
    let inner = inner.into_bytes();
    let mut all = Writer::new();
    all.head(number, inner.len() + bytes);
    [all.into_bytes(), inner].concat()
}

fn layer_head(layer: &Layer) -> Writer {
    let mut out = Writer::new();
    out.text(1, &layer.name).text(2, &layer.kind);
    for bottom in &layer.bottoms {
        out.text(3, bottom);
    }
    for top in &layer.tops {
        out.text(4, top);
    }
    for rule in &layer.include {
        out.message(8, rule_of(rule));
    }
    for rule in &layer.exclude {
        out.message(9, rule_of(rule));
    }
    if layer.transform != Transform::default() {
        out.message(100, transform_of(&layer.transform));
    }
    if let (Some(field), Some(settings)) = (field_of(&layer.kind, true), settings(&layer.settings)) {
        out.message(field, settings);
    }
    out
}

fn rule_of(rule: &Rule) -> Writer {
    let mut out = Writer::new();
    if let Some(test) = rule.test {
        out.int(1, i64::from(test));
    }
    if let Some(level) = rule.min_level {
        out.int(2, level);
    }
    if let Some(level) = rule.max_level {
        out.int(3, level);
    }
    if rule.stages {
        out.text(4, "stage");
    }
    out
}

fn transform_of(transform: &Transform) -> Writer {
    let mut out = Writer::new();
    if let Some(scale) = transform.scale {
        out.float(1, scale);
    }
    if let Some(crop) = transform.crop {
        out.int(3, crop as i64);
    }
    if let Some(file) = &transform.mean_file {
        out.text(4, file);
    }
    for &value in &transform.mean_values {
        out.float(5, value);
    }
    out
}
