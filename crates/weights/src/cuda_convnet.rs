//! Checkpoints of cuda-convnet, of cuda-convnet2, and of the program that trained AlexNet in 2012.
//!
//! A run is a folder `ConvNet__<date>`, a checkpoint in it a file `<epoch>.<batch>`: a pickle of Python 2 of
//! `{"model_state": {…}, "op": OptionsParser}`, plain, in gzip, or in a zip archive under the name `data`. In `model_state`
//! there are `epoch`, `batchnum`, `test_outputs`, and `layers`: a list in cuda-convnet, in which layers name their inputs by
//! place, or a dictionary in the others, in which they do so by name. (`gpumodel.py`, `convnet.py`, `layer.py`, `util.py` of
//! `dnouri/cuda-convnet`, `akrizhevsky/cuda-convnet2` and `computerhistory/AlexNet-Source-Code`.)
//!
//! What is read is what the file says, in its own order of axes:
//!
//! | layer | a matrix of weights, one for each input | biases |
//! |---|---|---|
//! | `conv` | `[channels / groups · y · x, filters]` | `[filters, 1]` |
//! | `local` | `[modules · channels / groups · y · x, filters]` | `[modules · filters, 1]` |
//! | `fc` | `[inputs, outputs]` | `[1, outputs]` |
//!
//! An activation that a layer was given (`neuron=relu`) is a layer of its own here, as it is in the file.

mod layers;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use net::Tensor;

use crate::pickle::{Node, Pickle, Value};
use crate::{Error, Mapped, Result, zip};

/// The format's name.
const FORMAT: &str = "cuda-convnet";
/// Where a checkpoint's keys are looked for, in bytes: options may stand before them.
const SEARCHED: usize = 1 << 20;
/// More costs, and values of a cost, than any test has.
const MOST_COSTS: usize = 1000;

/// What a checkpoint holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The layers, each behind its inputs.
    pub layers: Vec<Layer>,
    /// The epoch in which it was saved, counted from 1.
    pub epoch: Option<u64>,
    /// The file of training images after which it was saved.
    pub batch: Option<u64>,
    /// The tests so far, in order.
    pub tests: Vec<Test>,
    /// The run's options that are numbers, truth values or texts, by their names in the program.
    pub options: BTreeMap<String, String>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    /// By the names of their layers, means over the images: of `cost.logreg` the negative logarithm of the class'
    /// probability, then the rate of errors, and with `topk` that of top-k errors.
    pub costs: BTreeMap<String, Vec<f64>>,
    /// How many images were tested.
    pub images: Option<u64>,
}

/// A layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Its name, unique in its checkpoint.
    pub name: String,
    /// Its type in the layer definition: `conv`, `cost.logreg`, …
    pub kind: String,
    /// The names of the layers that it reads.
    pub inputs: Vec<String>,
    /// How many values it has for an image.
    pub outputs: Option<usize>,
    /// The processors that it ran on.
    pub gpus: Vec<i64>,
    /// What it does.
    pub op: Op,
    /// A matrix `[rows, columns]` for each input, rows outermost; shared ones are one.
    pub weights: Vec<Arc<Tensor>>,
    /// A matrix of one row or one column.
    pub biases: Option<Arc<Tensor>>,
}

/// What a layer does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Op {
    /// Gives what the data provider gives under an index: 0 images, 1 labels.
    Data {
        /// The index.
        index: Option<usize>,
    },
    /// `conv`: filters moved over the images, summed over the inputs.
    Conv(Filters),
    /// `local`: a filter of its own in each place.
    Local(Filters),
    /// `fc`: each value from all values of all inputs.
    FullyConnected,
    /// `neuron`: a function of each value.
    Neuron {
        /// Which: `relu`, `tanh`, …
        kind: String,
        /// Its parameters: `tanh[a,b]` is a·tanh(b·x).
        params: BTreeMap<String, f64>,
    },
    /// `pool`: one value for each window of each map.
    Pool(Pool),
    /// `cmrnorm`, `rnorm`, `cnorm`: each value divided by what is around it.
    Norm(Norm),
    /// `dropout`, `dropout2`, `hs`: nothing but noise while training.
    Dropout(Dropout),
    /// `concat`, `pass`: the inputs one after the other.
    Concat,
    /// `softmax`.
    Softmax,
    /// `cost.…`: what is minimised.
    Cost,
    /// Any other.
    Other,
}

/// The geometry of `conv` and `local`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filters {
    /// How each input is read.
    pub inputs: Vec<FilterInput>,
    /// How many filters, over all groups.
    pub filters: usize,
    /// How many places a filter has along an axis: `1 + ⌈(image + 2 · padding − filter) / stride⌉`.
    pub modules_x: usize,
    /// Whether a filter has one bias, rather than one in each place.
    pub shared_biases: bool,
}

/// How filters read one of their inputs, in values along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterInput {
    /// Maps.
    pub channels: usize,
    /// Values of a map along an axis; maps are square.
    pub image_size: usize,
    /// Of a filter.
    pub filter_size: usize,
    /// Zeros before the first value; the file has them negated. Behind the last there are as many as filters reach.
    pub padding: usize,
    /// From a place to the next.
    pub stride: usize,
    /// Parts into which maps and filters fall.
    pub groups: usize,
    /// Whether groups read maps drawn at random, where they are not their part.
    pub rand_sparse: bool,
}

/// The geometry of `pool`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    /// `max`, `avg`, `maxabs`, `rand`.
    pub how: String,
    /// Whether an average is a sum.
    pub sum: bool,
    /// Maps.
    pub channels: usize,
    /// Values of a map along an axis.
    pub image_size: usize,
    /// Of a window.
    pub size: usize,
    /// From a window to the next.
    pub stride: usize,
    /// Where the first window begins: 0, or less.
    pub start: i64,
    /// Windows along an axis: as a rule `1 + ⌈(image − start − size) / stride⌉`.
    pub outputs_x: usize,
}

/// `y = x · (min_div + scale · Σ x²)^−pow`.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// What is summed over.
    pub over: NormOver,
    /// Maps.
    pub channels: usize,
    /// Maps, or values along an axis, that are summed over.
    pub size: usize,
    /// The factor of the sum: that of the parameter file, which the program has divided by `size`, or by `size²` where the
    /// sum is over places.
    pub scale: f64,
    /// The exponent.
    pub pow: f64,
    /// What is added to the sum: 1 where the file does not say, as the program then does.
    pub min_div: f64,
    /// Whether maps fall into blocks of `size` rather than having neighbours.
    pub blocked: bool,
}

/// What a norm sums over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormOver {
    /// `cmrnorm`: neighbouring maps.
    Maps,
    /// `rnorm`: neighbouring places of the same map.
    Places,
    /// `cnorm`: as [`NormOver::Places`], of values less their mean.
    Contrast,
}

/// Dropout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The part of the values that is kept while training.
    pub keep: f64,
    /// Whether a test multiplies by `keep` (`dropout2`, `hs`), where otherwise training divides by it (`dropout`).
    pub scales_tests: bool,
}

/// Whether a file of these bytes is a checkpoint, damaged or not.
pub fn recognises(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"model_state";
    let has_key = |bytes: &[u8]| bytes.get(..SEARCHED).unwrap_or(bytes).windows(KEY.len()).any(|window| window == KEY);
    // The first entry's name stands in its local header.
    let is_zip = bytes.starts_with(b"PK\x03\x04") && bytes.get(26..28) == Some(&[4, 0]) && bytes.get(30..34) == Some(b"data");
    let is_gzip = || {
        let mut start = Vec::new();
        let reader = std::io::Read::take(flate2::read::GzDecoder::new(bytes), SEARCHED as u64);
        // Of a damaged file, what comes before the damage.
        let _ = std::io::Read::read_to_end(&mut { reader }, &mut start);
        start.starts_with(&[0x80]) && has_key(&start)
    };
    match bytes {
        [0x80, ..] => has_key(bytes),
        [0x1f, 0x8b, ..] => is_gzip(),
        _ => is_zip,
    }
}

/// The newest checkpoint in the folder of a run: the file `<epoch>.<batch>` of the highest numbers; `None` where there is
/// none of such a name.
///
/// # Errors
/// Where the folder cannot be listed.
pub fn newest(folder: &Path) -> Result<Option<PathBuf>> {
    let fault = |source| Error::io("read", folder, source);
    let mut newest = None;
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let numbers = path.file_name().and_then(|name| name.to_str()).and_then(|name| {
            let (epoch, batch) = name.split_once('.')?;
            let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())?;
            Some((number(epoch)?, number(batch)?))
        });
        if let Some(numbers) = numbers.filter(|_| path.is_file()) {
            newest = newest.max(Some((numbers, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Reads a checkpoint.
///
/// # Errors
/// Names the file and what is wrong: it is damaged, or a pickle of something else, or a layer lacks what its type needs.
pub fn read(file: &Mapped) -> Result<Checkpoint> {
    let read = || -> Result<Checkpoint, String> { of_pickle(&unpacked(file.bytes())?) };
    read().map_err(|message| Error::Format { path: file.path().into(), format: FORMAT, message })
}

/// The pickle in a file.
fn unpacked(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if zip::recognises(bytes) {
        let archive = zip::Archive::read(bytes)?;
        return archive.get("data").ok_or("it is an archive without an entry `data`")?.content();
    }
    match bytes {
        [0x1f, 0x8b, ..] => {
            zip::unpack(flate2::read::GzDecoder::new(bytes), bytes.len() as u64).map(Cow::Owned).map_err(|e| format!("gzip: {e}"))
        }
        _ => Ok(Cow::Borrowed(bytes)),
    }
}

fn of_pickle(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (pickle, _) = Pickle::read(bytes)?;
    let root = pickle.root();
    let state = root.get("model_state").ok_or_else(|| {
        let strange = pickle.calls().into_iter().find(|call| !is_usual(*call));
        let calls = strange.map(|(module, name)| {
            let shown = |text: &str| text.chars().take(60).collect::<String>().escape_debug().to_string();
            format!("; it calls {}.{}, which nothing of a checkpoint does", shown(module), shown(name))
        });
        format!("it is a pickle of {} without `model_state`{}", root.noun(), calls.unwrap_or_default())
    })?;
    let list = state.get("layers").ok_or("`model_state` has no `layers`")?;
    let layers = layers::read(list, bytes.len())?;
    let number = |key| state.get(key).and_then(Value::as_int).and_then(|value| u64::try_from(value).ok());
    Ok(Checkpoint {
        epoch: number("epoch"),
        batch: number("batchnum"),
        tests: tests(state, list, bytes.len())?,
        options: root.get("op").map(options).unwrap_or_default(),
        layers,
    })
}

/// What a checkpoint calls: the makers of arrays, bytes and collections, and the classes of the programs' options.
fn is_usual((module, name): (&str, &str)) -> bool {
    match module {
        "_codecs" | "collections" | "ordereddict" | "copy_reg" | "copyreg" => true,
        "__builtin__" | "builtins" => matches!(name, "set" | "frozenset" | "bytearray" | "dict" | "list" | "object"),
        _ => module == "numpy" || module.starts_with("numpy.") || module.split('.').next_back() == Some("options"),
    }
}

/// The tests so far: pairs of costs by name and the number of images. The costs are sums where their layer has the function
/// that divides them, as it has in cuda-convnet2; the other programs divide them as they print them.
fn tests(state: Value, layers: Value, most: usize) -> Result<Vec<Test>, String> {
    let sums: Vec<&str> = match layers.pairs() {
        Some(pairs) => {
            pairs.iter().filter(|(_, layer)| layer.get("outputFilter").is_some()).filter_map(|(name, _)| name.as_str()).collect()
        }
        None => Vec::new(),
    };
    let mut tests = Vec::new();
    let mut count = 0;
    for output in state.get("test_outputs").and_then(Value::items).into_iter().flatten() {
        let mut parts = output.items().into_iter().flatten();
        let (Some(Node::Dict(costs)), images) = (parts.next().map(Value::node), parts.next()) else { continue };
        let images = images.and_then(Value::as_int).and_then(|images| u64::try_from(images).ok());
        // What tests share is read once a test, which could be without end.
        count += 1 + costs.len();
        if count > most {
            return Err("its tests have more values than it has bytes".into());
        }
        let mut test = Test { costs: BTreeMap::new(), images };
        for &(name, values) in costs.iter().take(MOST_COSTS) {
            let (name, values) = (state.pickle().value(name), state.pickle().value(values));
            let (Some(name), Some(values)) = (name.as_str(), values.items()) else { continue };
            count += name.len() + values.len().min(MOST_COSTS);
            let divisor = match images {
                Some(images @ 1..) if sums.contains(&name) => images as f64,
                _ => 1.0,
            };
            let values: Vec<f64> = values.take(MOST_COSTS).filter_map(Value::as_float).map(|value| value / divisor).collect();
            test.costs.insert(name.into(), values);
        }
        tests.push(test);
    }
    Ok(tests)
}

/// The values of an `OptionsParser`'s options.
fn options(parser: Value) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    for (name, option) in parser.attribute("options").and_then(Value::pairs).unwrap_or_default() {
        let (Some(name), Some(value)) = (name.as_str(), option.attribute("value")) else { continue };
        let text = match (value.as_bool(), value.as_int(), value.as_float(), value.as_str()) {
            (Some(value), ..) => value.to_string(),
            (_, Some(value), ..) => value.to_string(),
            (_, _, Some(value), _) => value.to_string(),
            (.., Some(text)) if text.len() < 4096 => text.to_string(),
            _ => continue,
        };
        options.insert(name.to_string(), text);
        if options.len() > MOST_COSTS {
            break;
        }
    }
    options
}
