//! From bytes to a model.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::tensor::Values;
use super::{Attribute, Dim, ElementType, Graph, Model, Node, Tensor, ValueInfo};
use crate::protobuf::{Fault, Message, Value};
use crate::{Error, Mapped, Result};

/// The most parts (nodes, names, settings, constants) that a graph may have, so that a file of empty ones costs no more memory
/// than a large net.
const MOST_PARTS: usize = 1 << 16;
/// The longest list of numbers that a setting may be.
const LONGEST_LIST: usize = 1 << 12;
/// How many times constants may use the bytes of another file, all together: some may be one, but not many.
const MOST_USES: usize = 4;
/// The most axes that a tensor may have.
const MOST_AXES: usize = 16;

/// The longest message that is passed on, in letters.
const LONGEST_MESSAGE: usize = 500;

pub(super) fn unusable(path: &Path, message: String) -> Error {
    Error::Format { path: path.into(), format: "ONNX", message: in_one_line(&message) }
}

/// A message in which names of a file stand, as one line that a screen can show, whatever the names are.
pub fn in_one_line(message: &str) -> String {
    let plain = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    message.chars().take(LONGEST_MESSAGE).map(plain).collect()
}

/// Whether a file that begins with these bytes is an ONNX model, damaged or not: it begins with a small version of the format,
/// and one of the fields that may follow, text being text.
pub fn recognises(bytes: &[u8]) -> bool {
    // ModelProto: ir_version 1, producer_name 2, producer_version 3, domain 4, model_version 5, doc_string 6, graph 7,
    // opset_import 8, metadata_props 14.
    let [0x08, 1..=0x7f, tag, rest @ ..] = bytes else { return false };
    let is_text = match rest {
        [length, text @ ..] => text.iter().take(usize::from(*length)).all(|&byte| byte >= b' ' && byte != 0x7f),
        [] => true,
    };
    match tag {
        0x12 | 0x1a | 0x22 => is_text,
        0x28 | 0x32 | 0x3a | 0x42 | 0x72 => true,
        _ => false,
    }
}

/// The model in a mapped file, and in the files in the same folder that it names.
///
/// # Errors
/// Names the file and what is wrong: cut off, a tensor whose bytes do not fit its shape, a name of a file that is none of this
/// folder, more parts than any net has.
pub fn read(file: &Arc<Mapped>) -> Result<Model> {
    let mut reader = Reader { file, parts: 0, beside: BTreeMap::new() };
    reader.model(Message(file.bytes())).map_err(|fault| match fault {
        Wrong::Wire(fault) => unusable(file.path(), fault.to_string()),
        Wrong::Content(message) => unusable(file.path(), message),
        Wrong::File(error) => error,
    })
}

/// What can be wrong, before the file is named.
enum Wrong {
    Wire(Fault),
    Content(String),
    File(Error),
}

impl From<Fault> for Wrong {
    fn from(fault: Fault) -> Wrong {
        Wrong::Wire(fault)
    }
}

impl From<String> for Wrong {
    fn from(message: String) -> Wrong {
        Wrong::Content(message)
    }
}

struct Reader<'a> {
    file: &'a Arc<Mapped>,
    /// Parts read so far.
    parts: usize,
    /// Files that hold values, by name, and how many bytes of each are used, counted once for each constant.
    beside: BTreeMap<String, (Arc<Mapped>, usize)>,
}

impl<'a> Reader<'a> {
    fn model(&mut self, message: Message<'a>) -> Result<Model, Wrong> {
        let mut model = Model::default();
        let mut graphs = 0;
        for field in message.fields() {
            match field? {
                (1, value) => model.ir_version = int(value)?,
                (2, value) => model.producer = self.text(value)?,
                (3, value) => model.producer_version = self.text(value)?,
                (6, value) => model.doc = self.text(value)?,
                (7, value) => {
                    model.graph = self.graph(nested(value)?)?;
                    graphs += 1;
                }
                (8, value) => {
                    let set = nested(value)?;
                    let domain = set.last(1)?.map_or(Ok(String::new()), |value| self.text(value))?;
                    model.opsets.push((domain, set.last(2)?.map_or(Ok(0), int)?));
                }
                (14, value) => {
                    let entry = self.entry(value)?;
                    model.metadata.push(entry);
                }
                _ => {}
            }
        }
        match graphs {
            1 => Ok(model),
            _ => Err(format!("it has {graphs} graphs instead of one").into()),
        }
    }

    fn graph(&mut self, message: Message<'a>) -> Result<Graph, Wrong> {
        let mut graph = Graph::default();
        for field in message.fields() {
            match field? {
                (1, value) => {
                    let node = self.node(nested(value)?)?;
                    graph.nodes.push(node);
                }
                (2, value) => graph.name = self.text(value)?,
                (5, value) => {
                    let initializer = self.tensor(nested(value)?)?;
                    graph.initializers.push(initializer);
                }
                (11, value) => graph.inputs.push(self.value_info(nested(value)?)?),
                (12, value) => graph.outputs.push(self.value_info(nested(value)?)?),
                (15, _) => return Err("it has sparse constants, which are not read".to_string().into()),
                _ => {}
            }
        }
        Ok(graph)
    }

    fn node(&mut self, message: Message<'a>) -> Result<Node, Wrong> {
        self.count()?;
        let mut node = Node::default();
        for field in message.fields() {
            match field? {
                (1, value) => node.inputs.push(self.text(value)?),
                (2, value) => node.outputs.push(self.text(value)?),
                (3, value) => node.name = self.text(value)?,
                (4, value) => node.op = self.text(value)?,
                (7, value) => node.domain = self.text(value)?,
                (5, value) => {
                    let attribute = self.attribute(nested(value)?)?;
                    node.attributes.push(attribute);
                }
                _ => {}
            }
        }
        Ok(node)
    }

    /// A setting: its type where it says it, else whichever value is there.
    fn attribute(&mut self, message: Message<'a>) -> Result<(String, Attribute), Wrong> {
        self.count()?;
        let (mut name, mut kind, mut found) = (String::new(), 0, None);
        let (mut ints, mut floats) = (Vec::new(), Vec::new());
        let mut single = |number: i64, value: Attribute| found = Some((number, value));
        for field in message.fields() {
            match field? {
                (1, value) => name = self.text(value)?,
                (20, value) => kind = int(value)?,
                (2, value) => single(1, Attribute::Float(value.float().ok_or_else(other_kind)?)),
                (3, value) => single(2, Attribute::Int(int(value)?)),
                (4, value) => {
                    let text = String::from_utf8_lossy(bytes(value)?).into_owned();
                    single(3, Attribute::Text(text));
                }
                (5, value) => {
                    let (_, tensor) = self.tensor(nested(value)?)?;
                    single(4, Attribute::Tensor(tensor));
                }
                (7, value) => {
                    short(value, &floats)?;
                    value.floats(&mut floats)?;
                }
                (8, value) => {
                    short(value, &ints)?;
                    value.ints(&mut ints)?;
                }
                (6 | 9 | 10 | 11 | 14 | 15 | 22 | 23, _) => single(-1, Attribute::Other),
                _ => {}
            }
        }
        let value = match (kind, found) {
            (6, _) => Attribute::Floats(floats),
            (7, _) => Attribute::Ints(ints),
            (0, None) if !floats.is_empty() => Attribute::Floats(floats),
            (0, None) => Attribute::Ints(ints),
            (_, Some((number, value))) if kind == 0 || kind == number => value,
            // Writers leave out what is 0, empty or the default of its type.
            (1, None) => Attribute::Float(0.0),
            (2, None) => Attribute::Int(0),
            (3, None) => Attribute::Text(String::new()),
            _ => Attribute::Other,
        };
        Ok((name, value))
    }

    /// A constant and its name.
    fn tensor(&mut self, message: Message<'a>) -> Result<(String, Tensor), Wrong> {
        self.count()?;
        let (mut dims, mut element, mut name, mut raw, mut external) = (Vec::new(), 0, String::new(), None, false);
        let mut entries = Vec::new();
        for field in message.fields() {
            match field? {
                (1, value) => {
                    short(value, &dims)?;
                    value.ints(&mut dims)?;
                }
                (2, value) => element = int(value)?,
                (3, _) => return Err("it has a constant in several segments, which are not read".to_string().into()),
                (8, value) => name = self.text(value)?,
                (9, value) => raw = Some(bytes(value)?),
                (13, value) => entries.push(self.entry(value)?),
                (14, value) => external = int(value)? == 1,
                _ => {}
            }
        }
        let fault = |what: String| Wrong::Content(format!("the constant `{name}` {what}"));
        let shape: Option<Vec<usize>> = dims.iter().map(|&dim| usize::try_from(dim).ok()).collect();
        let shape = shape.filter(|shape| shape.len() <= MOST_AXES).ok_or_else(|| fault(format!("has the shape {dims:?}")))?;
        let mut tensor = Tensor {
            element: ElementType::of_number(element),
            shape,
            values: Values::Fields(Arc::clone(self.file), self.range(message.0)),
        };
        if tensor.count().is_none() {
            return Err(fault(format!("has the shape {dims:?}, which nothing holds")));
        }
        if external {
            let (file, range) = self.external(&entries, &tensor).map_err(|wrong| match wrong {
                Wrong::Content(message) => fault(message),
                other => other,
            })?;
            tensor.values = Values::Raw(file, range);
        } else if let Some(raw) = raw {
            tensor.values = Values::Raw(Arc::clone(self.file), self.range(raw));
        }
        if !tensor.fits() {
            let have = match &tensor.values {
                Values::Raw(_, range) => range.len(),
                _ => 0,
            };
            return Err(fault(format!("of {} and shape {:?} has {have} bytes", tensor.element, tensor.shape)));
        }
        Ok((name, tensor))
    }

    /// Where the values of a constant lie that is in another file.
    fn external(&mut self, entries: &[(String, String)], tensor: &Tensor) -> Result<(Arc<Mapped>, Range<usize>), Wrong> {
        let find = |key: &str| entries.iter().find(|(found, _)| found == key).map(|(_, value)| value.as_str());
        let location = find("location").ok_or("is in another file, which is not named".to_string())?;
        let number = |key: &str| -> Result<Option<usize>, Wrong> {
            let parse = |text: &str| text.parse().map_err(|_| format!("lies at `{key}` = `{text}`, which is no number of bytes"));
            Ok(find(key).map(parse).transpose()?)
        };
        if !self.beside.contains_key(location) {
            let path = beside(self.file.path(), location)?;
            self.beside.insert(location.into(), (Arc::new(Mapped::open(&path).map_err(Wrong::File)?), 0));
        }
        let (file, used) = self.beside.get_mut(location).ok_or("is in another file, which is gone".to_string())?;
        let start = number("offset")?.unwrap_or(0);
        let length = match number("length")? {
            Some(length) => length,
            None => tensor.expected_bytes().ok_or("is of a type that is not read".to_string())?,
        };
        let end = start.checked_add(length).filter(|&end| end <= file.bytes().len());
        let end = end.ok_or_else(|| {
            let name = file.path().display();
            format!("lies in `{name}` at {start} with {length} bytes, but that has {} bytes", file.bytes().len())
        })?;
        *used = used.saturating_add(length);
        if *used > file.bytes().len().saturating_mul(MOST_USES) {
            return Err(format!("lies in `{}`, whose bytes others use more than {MOST_USES} times", file.path().display()).into());
        }
        Ok((Arc::clone(file), start..end))
    }

    fn value_info(&mut self, message: Message<'a>) -> Result<ValueInfo, Wrong> {
        self.count()?;
        let name = message.last(1)?.map_or(Ok(String::new()), |value| self.text(value))?;
        let mut info = ValueInfo { name, ..ValueInfo::default() };
        // TypeProto's tensor_type is field 1.
        let Some(kind) = message.last(2)?.map(nested).transpose()? else { return Ok(info) };
        let Some(tensor) = kind.last(1)?.map(nested).transpose()? else { return Ok(info) };
        info.element = tensor.last(1)?.map(int).transpose()?.map(ElementType::of_number);
        let Some(shape) = tensor.last(2)?.map(nested).transpose()? else { return Ok(info) };
        let mut dims = Vec::new();
        for dim in shape.all(1) {
            if dims.len() == MOST_AXES {
                return Err(format!("`{}` has more than {MOST_AXES} axes", info.name).into());
            }
            let dim = nested(dim?)?;
            let size = dim.last(1)?.map(int).transpose()?;
            let named = dim.last(2)?.map(|value| self.text(value)).transpose()?;
            dims.push(match (size, named) {
                (Some(size), _) => match usize::try_from(size) {
                    // Old writers put 0 and -1 for what is open.
                    Ok(0) | Err(_) => Dim::Unknown,
                    Ok(size) => Dim::Size(size),
                },
                (None, Some(name)) => Dim::Named(name),
                (None, None) => Dim::Unknown,
            });
        }
        info.shape = Some(dims);
        Ok(info)
    }

    /// Key and value of a `StringStringEntryProto`.
    fn entry(&mut self, value: Value<'a>) -> Result<(String, String), Wrong> {
        let entry = nested(value)?;
        let mut text = |number| entry.last(number)?.map_or(Ok(String::new()), |value| self.text(value));
        Ok((text(1)?, text(2)?))
    }

    fn text(&mut self, value: Value<'a>) -> Result<String, Wrong> {
        self.count()?;
        Ok(value.text().ok_or(Fault("something else where a text is expected"))?.to_string())
    }

    fn count(&mut self) -> Result<(), Wrong> {
        self.parts += 1;
        match self.parts > MOST_PARTS {
            true => Err(format!("it has more than {MOST_PARTS} nodes, names and settings").into()),
            false => Ok(()),
        }
    }

    /// Where a part of the file lies in it.
    fn range(&self, part: &'a [u8]) -> Range<usize> {
        let start = part.as_ptr().addr().saturating_sub(self.file.bytes().as_ptr().addr());
        start..start.saturating_add(part.len())
    }
}

fn other_kind() -> Wrong {
    Wrong::Wire(Fault("a value of another kind than its field has"))
}

fn int(value: Value<'_>) -> Result<i64, Wrong> {
    value.int().ok_or_else(other_kind)
}

fn bytes<'a>(value: Value<'a>) -> Result<&'a [u8], Wrong> {
    value.bytes().ok_or_else(other_kind)
}

fn nested<'a>(value: Value<'a>) -> Result<Message<'a>, Wrong> {
    value.message().ok_or_else(other_kind)
}

/// Refuses lists that are longer than any setting.
fn short<T>(value: Value<'_>, so_far: &[T]) -> Result<(), Wrong> {
    let more = value.bytes().map_or(1, <[u8]>::len);
    match so_far.len().saturating_add(more) > LONGEST_LIST {
        true => Err(format!("it has a setting of more than {LONGEST_LIST} numbers").into()),
        false => Ok(()),
    }
}

/// The file called `name` beside `model`: a plain name, and a file that really lies where the model lies, so that no model
/// makes others of the user's files be read.
fn beside(model: &Path, name: &str) -> Result<PathBuf, Wrong> {
    let plain = match Path::new(name).components().collect::<Vec<_>>()[..] {
        [Component::Normal(only)] => only == name,
        _ => false,
    };
    if !plain || name.contains(['/', '\\', '\0']) {
        return Err(format!("lies in `{name}`, which is no plain name of a file").into());
    }
    let path = model.with_file_name(name);
    let io = |path: &Path, source| Wrong::File(Error::io("read", path, source));
    let real = fs::canonicalize(&path).map_err(|source| io(&path, source))?;
    let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = fs::canonicalize(folder).map_err(|source| io(folder, source))?;
    // Caches keep files under other names elsewhere and link to them, to the model as to its values.
    let real_model = fs::canonicalize(model).map_err(|source| io(model, source))?;
    let homes = [Some(folder.as_path()), real_model.parent()];
    if !homes.contains(&real.parent()) {
        return Err(format!("lies in `{name}`, which is a link out of the model's folder").into());
    }
    if !real.is_file() {
        return Err(format!("lies in `{name}`, which is no file").into());
    }
    Ok(path)
}
