//! Layers as a checkpoint describes them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use net::Tensor;

use super::{Dropout, FilterInput, Filters, Layer, Norm, NormOver, Op, Pool};
use crate::pickle::{Id, Node, Value};

// What layers share is read once a layer, so a small file could describe much; no net comes near these numbers.
const MOST_LAYERS: usize = 2000;
const MOST_INPUTS: usize = 64;
/// The most keys of a layer, or of what it has under a key: each of them is looked for among all.
const MOST_KEYS: usize = 1000;
const LONGEST_TEXT: usize = 200;
/// The most that a length or a count of maps is, so that products of several do not overflow.
const LARGEST: usize = 1 << 20;
/// The most values that a layer has.
const MOST_OUTPUTS: usize = 1 << 31;

/// The layers of `model_state`, each behind its inputs; `file_bytes` bounds the weights.
pub(super) fn read(layers: Value, file_bytes: usize) -> Result<Vec<Layer>, String> {
    let count = layers.pairs().map(|pairs| pairs.len()).or(layers.items().map(|items| items.len())).unwrap_or(0);
    if count > MOST_LAYERS {
        return Err(format!("it has {count} layers"));
    }
    let described: Vec<(Option<&str>, Value)> = match (layers.pairs(), layers.items()) {
        (Some(pairs), _) => pairs.into_iter().map(|(name, layer)| (name.as_str(), layer)).collect(),
        (_, Some(items)) => items.map(|layer| (small(layer).and_then(|layer| layer.get("name")?.as_str()), layer)).collect(),
        _ => return Err(format!("`layers` is {}, expected a list or a dictionary", layers.noun())),
    };
    let mut ids = BTreeSet::new();
    if let Some((_, layer)) = described.iter().find(|(_, layer)| !ids.insert(layer.id())) {
        return Err(format!("{} is two layers at once", layer.noun()));
    }
    if let Some((_, layer)) = described.iter().find(|(_, layer)| small(*layer).is_none()) {
        return Err(format!("a layer is {}, expected a dictionary of at most {MOST_KEYS} keys", layer.noun()));
    }
    let mut names = Vec::new();
    for (place, (name, layer)) in described.iter().enumerate() {
        let name = name.filter(|name| name.len() <= LONGEST_TEXT);
        let name = name.ok_or_else(|| format!("layer {place} is {} without a name", layer.noun()))?;
        names.push(name);
    }
    if let Some(twice) = twice(&names) {
        return Err(format!("two layers are called `{}`", shown(twice)));
    }
    // A list is in order. A dictionary of Python 2 is in none; its layers may have numbers, which activations cut off from
    // their layers have out of order.
    let is_list = layers.pairs().is_none();
    let mut matrices = Matrices { read: HashMap::new(), bytes_left: file_bytes };
    let mut read = Vec::new();
    let mut keys = Vec::new();
    for (place, (name, (_, layer))) in names.iter().zip(&described).enumerate() {
        let described = Described { name, layer: *layer };
        keys.push(if is_list { Some(place as i64) } else { described.int("id")? });
        read.push(described.read(&names, &mut matrices)?);
    }
    in_order(read, &keys)
}

/// The value, but for what costs much to look into: large dictionaries, and objects, many of which may be made of one list.
fn small<'p, 'a>(value: Value<'p, 'a>) -> Option<Value<'p, 'a>> {
    match value.node() {
        Node::Dict(pairs) => (pairs.len() <= MOST_KEYS).then_some(value),
        node => (!matches!(node, Node::Call(_))).then_some(value),
    }
}

fn twice<'a>(names: &[&'a str]) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.iter().copied().find(|name| !seen.insert(*name))
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect::<String>().escape_debug().to_string()
}

/// The layers, each behind its inputs; of those whose inputs are there, the one with the lowest key comes first, then the one
/// whose name does.
fn in_order(layers: Vec<Layer>, keys: &[Option<i64>]) -> Result<Vec<Layer>, String> {
    let places: HashMap<&str, usize> = layers.iter().enumerate().map(|(place, layer)| (layer.name.as_str(), place)).collect();
    let mut missing = vec![0; layers.len()];
    let mut readers = vec![Vec::new(); layers.len()];
    for (place, layer) in layers.iter().enumerate() {
        for input in &layer.inputs {
            let source = *places
                .get(input.as_str())
                .ok_or_else(|| format!("layer `{}` reads `{}`, which there is not", shown(&layer.name), shown(input)))?;
            missing[place] += 1;
            readers[source].push(place);
        }
    }
    let rank = |place: usize| (keys[place].unwrap_or(i64::MAX), layers[place].name.as_str(), place);
    let mut ready: BTreeSet<(i64, &str, usize)> = (0..layers.len()).filter(|place| missing[*place] == 0).map(rank).collect();
    let mut order = Vec::new();
    while let Some((.., next)) = ready.pop_first() {
        order.push(next);
        for &reader in &readers[next] {
            missing[reader] -= 1;
            if missing[reader] == 0 {
                ready.insert(rank(reader));
            }
        }
    }
    if let Some(place) = (0..layers.len()).find(|place| missing[*place] > 0) {
        return Err(format!("layer `{}` reads itself, by way of others", shown(&layers[place].name)));
    }
    let mut layers: Vec<Option<Layer>> = layers.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|place| layers[place].take()).collect())
}

/// The matrices that have been read: a matrix that layers share is one, and all together are no more than the file.
struct Matrices {
    read: HashMap<Id, Arc<Tensor>>,
    bytes_left: usize,
}

impl Matrices {
    fn get(&mut self, value: Value) -> Result<Arc<Tensor>, String> {
        if let Some(tensor) = self.read.get(&value.id()) {
            return Ok(Arc::clone(tensor));
        }
        let array = value.array()?;
        let &[rows, columns] = array.shape() else {
            return Err(format!("an array of {} axes, expected a matrix", array.shape().len()));
        };
        // Without values any number of rows would be claimed for nothing.
        if rows == 0 || columns == 0 {
            return Err(format!("a matrix of {rows} × {columns} has no values"));
        }
        let bytes = rows.saturating_mul(columns).saturating_mul(array.item_bytes());
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or("there are more weights than the file has bytes")?;
        let tensor = Arc::new(Tensor { shape: vec![rows, columns], data: array.to_f32() });
        self.read.insert(value.id(), Arc::clone(&tensor));
        Ok(tensor)
    }
}

/// A layer's dictionary.
struct Described<'n, 'p, 'a> {
    name: &'n str,
    layer: Value<'p, 'a>,
}

impl<'p, 'a> Described<'_, 'p, 'a> {
    fn fault(&self, what: &str) -> String {
        format!("layer `{}`: {what}", shown(self.name))
    }

    fn get(&self, key: &str) -> Option<Value<'p, 'a>> {
        self.layer.get(key).filter(|value| !value.is_none())
    }

    /// A value under a key, where there is one; `as_kind` makes what is wanted of it.
    fn maybe<T>(&self, key: &str, wanted: &str, as_kind: impl Fn(Value<'p, 'a>) -> Option<T>) -> Result<Option<T>, String> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let wrong = || self.fault(&format!("`{key}` is {}, expected {wanted}", value.noun()));
        as_kind(value).ok_or_else(wrong).map(Some)
    }

    fn needed<T>(&self, key: &str, found: Option<T>) -> Result<T, String> {
        found.ok_or_else(|| self.fault(&format!("`{key}` is missing")))
    }

    fn int(&self, key: &str) -> Result<Option<i64>, String> {
        self.maybe(key, "an integer", Value::as_int)
    }

    /// A length, or a count of maps.
    fn size(&self, key: &str) -> Result<usize, String> {
        let size = |value: Value| value.as_usize().filter(|size| *size <= LARGEST);
        self.needed(key, self.maybe(key, "an integer from 0 to 2^20", size)?)
    }

    fn float(&self, key: &str) -> Result<f64, String> {
        self.needed(key, self.maybe(key, "a number", Value::as_float)?)
    }

    fn flag(&self, key: &str, default: bool) -> Result<bool, String> {
        Ok(self.maybe(key, "a truth value", Value::as_int)?.map_or(default, |flag| flag != 0))
    }

    fn text(&self, key: &str) -> Result<String, String> {
        let text = self.maybe(key, "a short string", |value| value.as_str().filter(|text| text.len() <= LONGEST_TEXT))?;
        self.needed(key, text).map(String::from)
    }

    /// An integer for each of `count` inputs: a list, or one for all.
    fn ints(&self, key: &str, count: usize, default: Option<i64>) -> Result<Vec<i64>, String> {
        let Some(value) = self.get(key) else {
            return self.needed(key, default).map(|default| vec![default; count]);
        };
        let ints: Option<Vec<i64>> = match value.items() {
            Some(items) if items.len() == count => items.map(Value::as_int).collect(),
            Some(_) => None,
            None => value.as_int().map(|int| vec![int; count]),
        };
        ints.ok_or_else(|| self.fault(&format!("`{key}` is {}, expected {count} integers", value.noun())))
    }

    fn sizes(&self, key: &str, count: usize, default: Option<i64>) -> Result<Vec<usize>, String> {
        let size = |int: i64| usize::try_from(int).ok().filter(|size| *size <= LARGEST);
        let sizes: Option<Vec<usize>> = self.ints(key, count, default)?.into_iter().map(size).collect();
        sizes.ok_or_else(|| self.fault(&format!("`{key}` has a number that is not from 0 to 2^20")))
    }

    fn read(&self, names: &[&str], matrices: &mut Matrices) -> Result<Layer, String> {
        let kind = self.text("type")?;
        let inputs = self.inputs(names)?;
        let op = self.op(&kind, inputs.len())?;
        let gpus = match self.get("gpu").map(|gpu| (gpu.as_int(), gpu.items())) {
            Some((Some(gpu), _)) => vec![gpu],
            Some((_, Some(items))) => items.take(MOST_INPUTS).filter_map(Value::as_int).collect(),
            _ => Vec::new(),
        };
        let mut weights = Vec::new();
        let mut biases = None;
        if let Some(list) = self.get("weights") {
            // An early version had one matrix, and no list.
            let list: Vec<Value> = if list.is_array() { vec![list] } else { list.items().into_iter().flatten().collect() };
            if list.len() != inputs.len() {
                return Err(self.fault(&format!("{} matrices of weights for {} inputs", list.len(), inputs.len())));
            }
            for value in list {
                weights.push(matrices.get(value).map_err(|what| self.fault(&format!("`weights`: {what}")))?);
            }
            let value = self.needed("biases", self.get("biases"))?;
            biases = Some(matrices.get(value).map_err(|what| self.fault(&format!("`biases`: {what}")))?);
        }
        if weights.is_empty() && matches!(op, Op::Conv(_) | Op::Local(_) | Op::FullyConnected) {
            return Err(self.fault("it has no weights"));
        }
        let few = |value: Value| value.as_usize().filter(|outputs| *outputs <= MOST_OUTPUTS);
        let outputs = self.maybe("outputs", "an integer from 0 to 2^31", few)?;
        Ok(Layer { name: self.name.into(), kind, inputs, outputs, gpus, op, weights, biases })
    }

    /// The names of the inputs, which are given by name or by place.
    fn inputs(&self, names: &[&str]) -> Result<Vec<String>, String> {
        let Some(inputs) = self.get("inputs") else { return Ok(Vec::new()) };
        let inputs = inputs.items().ok_or_else(|| self.fault(&format!("`inputs` is {}, expected a list", inputs.noun())))?;
        if inputs.len() > MOST_INPUTS {
            return Err(self.fault(&format!("it has {} inputs", inputs.len())));
        }
        let name = |input: Value| match (input.as_str(), input.as_usize()) {
            (Some(name), _) if name.len() <= LONGEST_TEXT => Some(name.to_string()),
            (_, Some(place)) => names.get(place).map(|name| name.to_string()),
            _ => None,
        };
        let wrong = |input: Value| self.fault(&format!("an input is {}, expected a layer's name or place", input.noun()));
        inputs.map(|input| name(input).ok_or_else(|| wrong(input))).collect()
    }

    fn op(&self, kind: &str, inputs: usize) -> Result<Op, String> {
        Ok(match kind {
            "data" => Op::Data { index: self.maybe("dataIdx", "an integer from 0 on", Value::as_usize)? },
            "conv" => Op::Conv(self.filters(inputs)?),
            "local" => Op::Local(self.filters(inputs)?),
            "fc" => Op::FullyConnected,
            "neuron" => self.neuron()?,
            "pool" => Op::Pool(self.pool()?),
            "cmrnorm" => Op::Norm(self.norm(NormOver::Maps)?),
            "rnorm" => Op::Norm(self.norm(NormOver::Places)?),
            "cnorm" => Op::Norm(self.norm(NormOver::Contrast)?),
            "dropout" => Op::Dropout(Dropout { keep: self.float("keep")?, scales_tests: false }),
            "dropout2" | "hs" => Op::Dropout(Dropout { keep: self.float("keep")?, scales_tests: true }),
            "concat" | "pass" => Op::Concat,
            "softmax" => Op::Softmax,
            kind if kind.starts_with("cost.") => Op::Cost,
            _ => Op::Other,
        })
    }

    fn filters(&self, inputs: usize) -> Result<Filters, String> {
        let channels = self.sizes("channels", inputs, None)?;
        let image_size = self.sizes("imgSize", inputs, None)?;
        let filter_size = self.sizes("filterSize", inputs, None)?;
        let stride = self.sizes("stride", inputs, Some(1))?;
        let groups = self.sizes("groups", inputs, Some(1))?;
        let rand_sparse = self.ints("randSparse", inputs, Some(0))?;
        let mut all = Vec::new();
        for (input, stored) in self.ints("padding", inputs, Some(0))?.into_iter().enumerate() {
            let padding = stored.checked_neg().and_then(|padding| usize::try_from(padding).ok());
            let padding = padding.filter(|padding| *padding <= LARGEST);
            all.push(FilterInput {
                channels: channels[input],
                image_size: image_size[input],
                filter_size: filter_size[input],
                padding: padding.ok_or_else(|| self.fault(&format!("`padding` is {stored}, expected 0 or less")))?,
                stride: stride[input],
                groups: groups[input],
                rand_sparse: rand_sparse[input] != 0,
            });
        }
        let filters = self.size("filters")?;
        Ok(Filters { inputs: all, filters, modules_x: self.size("modulesX")?, shared_biases: self.flag("sharedBiases", true)? })
    }

    fn neuron(&self) -> Result<Op, String> {
        let neuron = self.needed("neuron", self.get("neuron").and_then(small))?;
        let kind = neuron.get("type").and_then(Value::as_str).filter(|kind| kind.len() <= LONGEST_TEXT);
        let kind = kind.ok_or_else(|| self.fault(&format!("`neuron` is {} without a type", neuron.noun())))?;
        let params = neuron.get("params").and_then(small).and_then(Value::pairs).unwrap_or_default();
        let short = |text: &&str| text.len() <= LONGEST_TEXT;
        let params = params.iter().take(MOST_INPUTS);
        let params: BTreeMap<String, f64> =
            params.filter_map(|(name, value)| Some((name.as_str().filter(short)?.to_string(), value.as_float()?))).collect();
        Ok(Op::Neuron { kind: kind.into(), params })
    }

    fn pool(&self) -> Result<Pool, String> {
        Ok(Pool {
            how: self.text("pool")?,
            sum: self.flag("sum", false)?,
            channels: self.size("channels")?,
            image_size: self.size("imgSize")?,
            size: self.size("sizeX")?,
            stride: self.size("stride")?,
            start: self.int("start")?.unwrap_or(0),
            outputs_x: self.size("outputsX")?,
        })
    }

    fn norm(&self, over: NormOver) -> Result<Norm, String> {
        Ok(Norm {
            over,
            channels: self.size("channels")?,
            size: self.size("size")?,
            scale: self.float("scale")?,
            pow: self.float("pow")?,
            min_div: self.maybe("minDiv", "a number", Value::as_float)?.unwrap_or(1.0),
            blocked: self.flag("blocked", false)?,
        })
    }
}
