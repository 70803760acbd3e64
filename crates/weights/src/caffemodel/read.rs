//! Reading.

use std::collections::HashMap;
use std::sync::Arc;

use net::SharedTensor;

use super::settings::{TRANSFORMS, field_of, kind_of_number, kind_of_oldest, read as read_settings, read_oldest, shape_of, size};
use super::{Contents, EXTRA, Layer, MOST_ITEMS, Rule, Settings, TEXT, Transform};
use crate::Mapped;
use crate::floats::Float;
use crate::protobuf::{Fault, Message, Value};
use crate::{Error, Result};

/// Whether a file begins as a `NetParameter` does: fields of its kinds, one of which is a layer.
pub fn recognises(bytes: &[u8]) -> bool {
    for field in Message(bytes).fields() {
        match field {
            Ok((2 | 100, Value::Bytes(layer))) => {
                // Other formats have a name there; a layer has tags, which are no letters.
                let tags = layer.iter().any(|byte| !(b' '..=b'~').contains(byte));
                return tags && Message(layer).fields().next().is_some_and(|field| field.is_ok());
            }
            Ok((1 | 3, Value::Bytes(text))) if std::str::from_utf8(text).is_ok() => {}
            Ok((4, Value::Varint(_) | Value::Bytes(_)) | (6 | 8, Value::Bytes(_)) | (5 | 7, Value::Varint(_))) => {}
            Ok((TEXT | EXTRA, Value::Bytes(_))) => {}
            _ => return false,
        }
    }
    false
}

/// Reads a `NetParameter`.
///
/// # Errors
/// Names the file, the layer, and what is wrong with it.
pub fn read(file: &Arc<Mapped>) -> Result<Contents> {
    let mut reader = Reader { file, items: 0 };
    reader.net().map_err(|message| Error::Format { path: file.path().into(), format: "Caffe", message })
}

/// Reads a file that is one `BlobProto`, such as a mean image: `[1, c, h, w]` with Caffe's own channels, blue, green, red.
///
/// # Errors
/// Names the file and what is wrong with it.
pub fn blob(file: &Arc<Mapped>) -> Result<SharedTensor> {
    let mut reader = Reader { file, items: 0 };
    let read = reader.blob(Message(file.bytes())).and_then(|blob| match blob.data().is_empty() {
        true => Err("it holds no values".into()),
        false => Ok(blob),
    });
    read.map_err(|message| Error::Format { path: file.path().into(), format: "blob", message })
}

struct Reader<'a> {
    file: &'a Arc<Mapped>,
    /// Names, sizes, rules, layers and blobs so far.
    items: usize,
}

type Outcome<T> = std::result::Result<T, String>;

fn said(fault: Fault) -> String {
    fault.to_string()
}

fn message_of(value: Value<'_>) -> Outcome<Message<'_>> {
    value.message().ok_or_else(|| "a value of another kind where a message is expected".into())
}

impl Reader<'_> {
    fn count(&mut self, items: usize) -> Outcome<()> {
        self.items = self.items.saturating_add(items);
        if self.items > MOST_ITEMS {
            return Err(format!("it has more than {MOST_ITEMS} layers, names and sizes"));
        }
        Ok(())
    }

    fn text(&mut self, value: Value<'_>) -> Outcome<String> {
        self.count(1)?;
        value.text().map(String::from).ok_or_else(|| "a name that is no text".into())
    }

    fn net(&mut self) -> Outcome<Contents> {
        let mut contents = Contents::default();
        let (mut names, mut shapes, mut dims) = (Vec::new(), Vec::new(), Vec::new());
        for field in Message(self.file.bytes()).fields() {
            let (number, value) = field.map_err(said)?;
            match number {
                1 => contents.name = self.text(value)?,
                2 | 100 => {
                    self.count(1)?;
                    let layer = message_of(value)?;
                    let index = contents.layers.len();
                    let named = |message: String| format!("{}: {message}", name_of(layer, index));
                    contents.layers.push(self.layer(layer, number == 100).map_err(named)?);
                }
                3 => names.push(self.text(value)?),
                4 => {
                    self.count(value.bytes().map_or(1, <[u8]>::len))?;
                    value.ints(&mut dims).map_err(said)?;
                }
                8 => {
                    shapes.push(shape_of(message_of(value)?).map_err(said)?);
                    self.count(1 + shapes.last().map_or(0, Vec::len))?;
                }
                TEXT => contents.text = Some(value.text().ok_or("a card that is no text")?.into()),
                EXTRA => {
                    self.count(1)?;
                    let message = message_of(value)?;
                    let name = message.last(1).map_err(said)?.map_or(Ok(String::new()), |name| self.text(name))?;
                    let blob = message.last(2).map_err(said)?.ok_or("an extra tensor without values")?;
                    contents.extras.push((name, self.blob(message_of(blob)?)?));
                }
                _ => {}
            }
        }
        let legacy = dims.chunks_exact(4).map(|four| four.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect());
        let shapes: Vec<Vec<usize>> = if shapes.is_empty() { legacy.collect() } else { shapes };
        let shapes = shapes.into_iter().map(Some).chain(std::iter::repeat(None));
        contents.inputs = names.into_iter().zip(shapes).map(|(name, shape)| (name, shape.unwrap_or_default())).collect();
        fold_padding(&mut contents.layers);
        Ok(contents)
    }

    fn layer(&mut self, message: Message<'_>, newest: bool) -> Outcome<Layer> {
        let oldest = if newest { None } else { message.last(1).map_err(said)?.map(message_of).transpose()? };
        let mut layer = Layer::default();
        // The newest generation's numbers of name, type, bottom, top, blobs, include and exclude; or those of the one before.
        let numbers = if newest { [1, 2, 3, 4, 7, 8, 9] } else { [4, 5, 2, 3, 6, 32, 33] };
        for field in message.fields() {
            let (number, value) = field.map_err(said)?;
            match numbers.iter().position(|&known| known == number) {
                Some(0) => layer.name = self.text(value)?,
                Some(1) if newest => layer.kind = self.text(value)?,
                Some(1) => layer.kind = kind_of_number(value.int().ok_or("a type that is no number")?),
                Some(2) => layer.bottoms.push(self.text(value)?),
                Some(3) => layer.tops.push(self.text(value)?),
                Some(4) => self.push_blob(&mut layer, value)?,
                Some(5) => layer.include.push(self.rule(message_of(value)?)?),
                Some(6) => layer.exclude.push(self.rule(message_of(value)?)?),
                _ => {}
            }
        }
        if let Some(oldest) = oldest {
            self.oldest(&mut layer, oldest)?;
        } else if let Some(field) = field_of(&layer.kind, newest)
            && let Some(value) = message.last(field).map_err(said)?
        {
            layer.settings = read_settings(&layer.kind, message_of(value)?).map_err(said)?;
        }
        transform(&mut layer.transform, message, newest)?;
        Ok(layer)
    }

    /// A layer of the first generation, within one of the second, which has its bottoms and tops.
    fn oldest(&mut self, layer: &mut Layer, message: Message<'_>) -> Outcome<()> {
        for field in message.fields() {
            let (number, value) = field.map_err(said)?;
            match number {
                1 => layer.name = self.text(value)?,
                2 => layer.kind = kind_of_oldest(&self.text(value)?),
                18 => layer.transform.mean_file = Some(self.text(value)?),
                20 => layer.transform.crop = Some(size(value).map_err(said)?).filter(|&crop| crop > 0),
                50 => self.push_blob(layer, value)?,
                _ => {}
            }
        }
        layer.settings = match layer.kind.as_str() {
            // Only its padding counts: see `fold_padding`.
            "padding" => read_oldest("Pooling", message),
            kind => read_oldest(kind, message),
        }
        .map_err(said)?;
        let scale = message.last(17).map_err(said)?.and_then(Value::float);
        layer.transform.scale = scale;
        Ok(())
    }

    fn push_blob(&mut self, layer: &mut Layer, value: Value<'_>) -> Outcome<()> {
        let index = layer.blobs.len();
        let blob = message_of(value).and_then(|message| self.blob(message));
        layer.blobs.push(blob.map_err(|message| format!("blob {index}: {message}"))?);
        Ok(())
    }

    fn rule(&mut self, message: Message<'_>) -> Outcome<Rule> {
        self.count(1)?;
        let mut rule = Rule::default();
        for field in message.fields() {
            let (number, value) = field.map_err(said)?;
            match number {
                1 => rule.test = value.int().map(|phase| phase == 1),
                2 => rule.min_level = value.int(),
                3 => rule.max_level = value.int(),
                4 => rule.stages = true,
                _ => {}
            }
        }
        Ok(rule)
    }

    /// A `BlobProto`: f32 where they lie if they stand together and aligned, else converted.
    fn blob(&mut self, message: Message<'_>) -> Outcome<SharedTensor> {
        self.count(1)?;
        let (mut shape, mut legacy) = (None, [None; 4]);
        let (mut together, mut floats, mut doubles) = (None, Vec::new(), Vec::new());
        for field in message.fields() {
            let (number, value) = field.map_err(said)?;
            match (number, value) {
                (1..=4, value) => legacy[number as usize - 1] = Some(size(value).map_err(said)?),
                (7, value) => shape = Some(shape_of(message_of(value)?).map_err(said)?),
                (5, Value::Bytes(bytes)) if together.is_none() && floats.is_empty() && bytes.len().is_multiple_of(4) => {
                    together = Some(bytes);
                }
                (5, value) => {
                    if let Some(bytes) = together.take() {
                        Value::Bytes(bytes).floats(&mut floats).map_err(said)?;
                    }
                    value.floats(&mut floats).map_err(said)?;
                }
                (8, value) => value.doubles(&mut doubles).map_err(said)?,
                _ => {}
            }
        }
        let values: Arc<dyn AsRef<[f32]> + Send + Sync> = if !doubles.is_empty() {
            Arc::new(doubles.into_iter().map(|value| value as f32).collect::<Vec<f32>>())
        } else if let Some(bytes) = together {
            let start = bytes.as_ptr() as usize - self.file.bytes().as_ptr() as usize;
            Float::F32.share(self.file, start..start + bytes.len())
        } else {
            Arc::new(floats)
        };
        let count = (*values).as_ref().len();
        let legacy = legacy.iter().any(Option::is_some).then(|| legacy.map(|size| size.unwrap_or(0)).to_vec());
        let shape = shape.or(legacy).unwrap_or_else(|| vec![count]);
        self.count(shape.len())?;
        let claimed = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        if claimed != Some(count) {
            return Err(format!("its shape is {shape:?}, but it has {count} values"));
        }
        Ok(SharedTensor { shape, values })
    }
}

/// How errors call a layer, which may be damaged.
fn name_of(layer: Message<'_>, index: usize) -> String {
    fn text(message: Message<'_>, number: u32) -> Option<&str> {
        message.last(number).ok().flatten().and_then(Value::text)
    }
    let inner = || layer.last(1).ok().flatten().and_then(Value::message).and_then(|inner| text(inner, 1));
    match text(layer, 4).or_else(|| text(layer, 1)).or_else(inner).filter(|name| !name.is_empty() && name.len() < 100) {
        Some(name) => format!("layer `{}`", name.escape_default()),
        None => format!("layer {index}"),
    }
}

/// What a layer that reads data does to it, in whichever of its messages that stands; `transform_param` counts last.
fn transform(out: &mut Transform, layer: Message<'_>, newest: bool) -> Outcome<()> {
    for (before, now, numbers) in TRANSFORMS {
        let field = if newest { *now } else { *before };
        let Some(message) = layer.last(field).map_err(said)?.and_then(Value::message) else { continue };
        let [crop, scale, mean] = numbers.map(|number| message.last(number));
        if let Some(crop) = crop.map_err(said)? {
            out.crop = Some(size(crop).map_err(said)?).filter(|&crop| crop > 0);
        }
        out.scale = scale.map_err(said)?.and_then(Value::float).or(out.scale);
        out.mean_file = mean.map_err(said)?.and_then(Value::text).map(String::from).or(out.mean_file.take());
        if matches!(field, 36 | 100) {
            for value in message.all(5).take(16) {
                value.map_err(said)?.floats(&mut out.mean_values).map_err(said)?;
            }
        }
    }
    Ok(())
}

/// The first generation pads by a layer of its own, whose readers pad by themselves since.
fn fold_padding(layers: &mut Vec<Layer>) {
    let padding: Vec<Layer> = layers.extract_if(.., |layer| layer.kind == "padding").collect();
    let by_top: HashMap<&String, &Layer> = padding.iter().filter_map(|pad| Some((pad.tops.first()?, pad))).collect();
    for layer in layers {
        let Some(bottom) = layer.bottoms.first_mut() else { continue };
        let Some(pad) = by_top.get(bottom) else { continue };
        let (Some(from), Settings::Pooling(by)) = (pad.bottoms.first(), &pad.settings) else { continue };
        match &mut layer.settings {
            Settings::Convolution(conv) => conv.pad = by.pad,
            Settings::Pooling(pool) => pool.pad = by.pad,
            _ => continue,
        }
        bottom.clone_from(from);
    }
}
