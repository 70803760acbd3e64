//! From a model to Caffe's files.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use data::{Channels, Mean, Std};
use net::{DropoutScaling, LrnAcross, LrnWithin, Net, Op, Shape, SharedTensor};
use weights::Beside;
use weights::caffemodel::{self, Contents, InnerProduct, Layer, Lrn, Settings};

use super::geometry::{self, Window};
use super::{FORMAT, STATISTICS};
use crate::{Card, Error, Model, Result, model};

/// Writes `path` (`X.caffemodel`), the net without weights beside it (`X.prototxt`, as for deployment), and, where the net
/// wants a mean image, that (`X.mean.binaryproto`); what its user should know is returned, a sentence each.
///
/// Caffe's users feed blue, green, red, so the first weights of a net that sees red first are written the other way round. What
/// Caffe says in another way is rewritten so that the probabilities stay: a padding of the ends only by zeros within the
/// window, towers by slices, a factor by a power. The model's card and statistics go into fields that Caffe skips, so that
/// [`crate::open`] gives back the same model, bit for bit.
///
/// # Errors
/// [`Error::Inexpressible`] names the layer that Caffe does not have; else where a file cannot be written.
pub fn write_caffe(model: &Model, path: &Path) -> Result<Vec<String>> {
    let mut out = Out::new(&model.net);
    for index in 0..model.net.layers().len() {
        out.layer(model, index)?;
    }
    let mut notes = out.notes;
    notes.extend(input_notes(model));
    let mean = mean_image(model);
    let mean_path = path.with_extension("mean.binaryproto");
    if mean.is_some() {
        let name = mean_path.file_name().unwrap_or_default().to_string_lossy();
        notes.push(format!("the mean image is subtracted from the input: `{name}` holds it, blue, green, red"));
    }
    let extras = match model.card.preprocessing.needs_statistics() {
        true => model.statistics.to_tensors(),
        false => Vec::new(),
    };
    let contents = Contents {
        name: model.net.name().into(),
        inputs: Vec::new(),
        layers: out.layers,
        text: Some(model.card.to_json()),
        extras: extras.into_iter().map(|(name, tensor)| (name, model::tensor(tensor.shape, tensor.data))).collect(),
    };
    debug_assert!(contents.extras.iter().all(|(name, _)| name.starts_with(STATISTICS)));
    let text = caffemodel::prototxt(&contents, &comments(model, &notes));
    // They take their places only when the large file, which a full disk may refuse, has taken its own.
    let mut beside = vec![begun(&path.with_extension("prototxt"), |file| file.write_all(text.as_bytes()))?];
    if let Some(mean) = mean {
        beside.push(begun(&mean_path, |file| caffemodel::write_blob_to(file, &mean))?);
    }
    caffemodel::write(path, &contents)?;
    beside.into_iter().try_for_each(Beside::finish)?;
    Ok(notes)
}

/// A file that is written, but not yet in its place.
fn begun(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<Beside> {
    let mut file = Beside::new(path)?;
    write(&mut file).and_then(|()| file.flush()).map_err(|source| weights::Error::io("write", path, source))?;
    Ok(file)
}

/// The layers so far.
struct Out {
    layers: Vec<Layer>,
    /// The blob that the next layer reads.
    blob: String,
    notes: Vec<String>,
}

fn inexpressible(layer: &str, why: impl std::fmt::Display) -> Error {
    Error::Inexpressible { format: FORMAT, message: format!("`{layer}` {why}") }
}

impl Out {
    fn new(net: &Net) -> Out {
        let Shape { c, h, w } = net.input();
        // A name that no layer of ours can have.
        let blob = if net.layer_index("data").is_some() { "/data" } else { "data" };
        let settings = Settings::Input(vec![vec![1, c, h, w]]);
        let data = Layer { name: blob.into(), kind: "Input".into(), tops: vec![blob.into()], settings, ..Layer::default() };
        Out { layers: vec![data], blob: blob.into(), notes: Vec::new() }
    }

    /// A layer that reads the blob at hand and makes one of its own name.
    fn push(&mut self, name: &str, kind: &str, settings: Settings, blobs: Vec<SharedTensor>) {
        let bottoms = vec![std::mem::replace(&mut self.blob, name.into())];
        let tops = vec![name.into()];
        self.layers.push(Layer { name: name.into(), kind: kind.into(), bottoms, tops, settings, blobs, ..Layer::default() });
    }

    /// A layer that changes the blob at hand.
    fn push_in_place(&mut self, name: &str, kind: &str, settings: Settings) {
        let (bottoms, tops) = (vec![self.blob.clone()], vec![self.blob.clone()]);
        self.layers.push(Layer { name: name.into(), kind: kind.into(), bottoms, tops, settings, ..Layer::default() });
    }

    fn factor(&mut self, name: &str, scale: f64) {
        self.push(name, "Power", Settings::Power { power: 1.0, scale: scale as f32, shift: 0.0 }, Vec::new());
    }

    fn layer(&mut self, model: &Model, index: usize) -> Result<()> {
        let net = &model.net;
        let (layer, input, output) = (&net.layers()[index], net.input_of(index), net.output_of(index));
        let name = layer.name.as_str();
        match &layer.op {
            Op::Conv(conv) => {
                let window = geometry::convolution(conv, input, output);
                if window.front != [0; 2] || window.kernel != [conv.kernel.r, conv.kernel.s] {
                    let [r, s] = window.kernel;
                    self.notes.push(format!(
                        "Caffe pads both ends alike, so the window of `{name}` is {r} × {s} with zeros where it was less"
                    ));
                }
                let settings = Settings::Convolution(geometry::settings(conv, &window));
                self.push(name, "Convolution", settings, blobs(model, index)?);
            }
            Op::Linear(linear) => {
                let settings = InnerProduct { outputs: linear.k, bias: true, axis: 1, transpose: false };
                self.push(name, "InnerProduct", Settings::InnerProduct(settings), blobs(model, index)?);
            }
            Op::Relu => self.push_in_place(name, "ReLU", Settings::Unsaid),
            Op::Tanh => self.push(name, "TanH", Settings::Unsaid, Vec::new()),
            Op::Lrn(lrn) => self.across(name, lrn, input),
            Op::LrnWithin(lrn) => self.within(name, lrn),
            Op::MaxPool(_) | Op::AvgPool(_) => {
                let pool = geometry::pooling(&layer.op, input, output).map_err(|why| inexpressible(name, why))?;
                if pool.floor {
                    self.notes.push(format!(
                        "`{name}` drops a last window that overhangs: only Caffe of 2018 and later can (round_mode)"
                    ));
                }
                self.push(name, "Pooling", Settings::Pooling(pool), Vec::new());
            }
            Op::Dropout(dropout) if dropout.scaling == DropoutScaling::Test => {
                self.factor(name, 1.0 - dropout.rate);
                self.notes
                    .push(format!("`{name}` scales in testing, which Caffe's dropout does not: it is written as that factor"));
            }
            Op::Dropout(dropout) => self.push_in_place(name, "Dropout", Settings::Dropout(dropout.rate as f32)),
            Op::Softmax => {
                if input.plane() > 1 {
                    self.push(&format!("{name}/flat"), "Flatten", Settings::Unsaid, Vec::new());
                }
                self.push(name, "Softmax", Settings::Unsaid, Vec::new());
            }
            Op::Local(_) => {
                return Err(inexpressible(name, "has weights of its own at every position, which no layer of Caffe has"));
            }
            other => return Err(inexpressible(name, format!("is a `{}`, which no layer of Caffe is", other.kind()))),
        }
        Ok(())
    }

    /// `x (k + a S)^-β = k^-β · x (1 + (a / k) S)^-β`: Caffe's k is 1 within a map, and OpenCV's reader takes it for 1 across
    /// maps too, whatever the file says.
    fn factor_of_k(&mut self, name: &str, k: f64, beta: f64) {
        if k != 1.0 {
            self.factor(&format!("{name}/factor"), k.powf(-beta));
        }
    }

    fn across(&mut self, name: &str, lrn: &LrnAcross, input: Shape) {
        let alpha = lrn.coefficient() * lrn.n as f64 / lrn.k;
        // What is divided and multiplied by the same is left as it was.
        let alpha = if lrn.alpha_over_n && lrn.k == 1.0 { lrn.alpha } else { alpha };
        let settings = Lrn { size: lrn.n, alpha: alpha as f32, beta: lrn.beta as f32, k: 1.0, within: false };
        self.towers(name, lrn.towers, input, &settings);
        self.factor_of_k(name, lrn.k, lrn.beta);
    }

    /// Normalisation across the maps of each tower.
    fn towers(&mut self, name: &str, towers: usize, input: Shape, settings: &Lrn) {
        if towers == 1 {
            return self.push(name, "LRN", Settings::Lrn(settings.clone()), Vec::new());
        }
        let part = |what: &str, tower: usize| format!("{name}/{what}{}", tower + 1);
        let names = |what: &str| (0..towers).map(|tower| part(what, tower)).collect::<Vec<_>>();
        let points = (1..towers).map(|tower| tower * (input.c / towers)).collect();
        let layer = |name: String, kind: &str, bottoms, tops, settings| Layer {
            name,
            kind: kind.into(),
            bottoms,
            tops,
            settings,
            ..Layer::default()
        };
        let bottom = std::mem::replace(&mut self.blob, name.into());
        self.layers.push(layer(format!("{name}/slice"), "Slice", vec![bottom], names("slice"), Settings::Slice(1, points)));
        for tower in 0..towers {
            let (bottoms, tops) = (vec![part("slice", tower)], vec![part("tower", tower)]);
            self.layers.push(layer(part("tower", tower), "LRN", bottoms, tops, Settings::Lrn(settings.clone())));
        }
        self.layers.push(layer(name.into(), "Concat", names("tower"), vec![name.into()], Settings::Concat(1)));
    }

    fn within(&mut self, name: &str, lrn: &LrnWithin) {
        let alpha = lrn.coefficient() * (lrn.n * lrn.n) as f64 / lrn.k;
        let alpha = if lrn.alpha_over_n && lrn.k == 1.0 { lrn.alpha } else { alpha };
        let settings = Lrn { size: lrn.n, alpha: alpha as f32, beta: lrn.beta as f32, k: 1.0, within: true };
        self.push(name, "LRN", Settings::Lrn(settings), Vec::new());
        self.factor_of_k(name, lrn.k, lrn.beta);
    }
}

/// The layer whose weights are written with their input maps the other way round: the first one of a net that sees red first.
fn reversed(net: &Net, card: &Card) -> Option<usize> {
    if card.preprocessing.channels != Channels::Rgb || net.input().c != 3 {
        return None;
    }
    let first = net.params().first()?.layer;
    match &net.layers()[first].op {
        Op::Conv(conv) if conv.groups == 1 => Some(first),
        Op::Linear(_) => Some(first),
        _ => None,
    }
}

/// Weights with their three input maps the other way round; `[out, 3 · rest]`.
fn reverse_maps(weight: &SharedTensor) -> SharedTensor {
    let outputs = weight.shape.first().copied().unwrap_or(1).max(1);
    let data = weight.data();
    let part = (data.len() / outputs / 3).max(1);
    let rows = data.chunks(3 * part);
    model::tensor(weight.shape.clone(), rows.flat_map(|row| row.chunks(part).rev().flatten().copied()).collect())
}

/// A layer's weights and biases as Caffe wants them.
fn blobs(model: &Model, index: usize) -> Result<Vec<SharedTensor>> {
    let net = &model.net;
    let Some((weight, bias)) = net.params_of(index) else { return Ok(Vec::new()) };
    let find = |param: usize| {
        let name = &net.params()[param].name;
        let missing = || net::Error::Param { name: name.clone(), message: "missing".into() };
        model.weight(name).cloned().ok_or_else(missing)
    };
    let mut weights = find(weight)?;
    if reversed(net, &model.card) == Some(index) {
        weights = reverse_maps(&weights);
    }
    if let Op::Conv(conv) = &net.layers()[index].op {
        let window = geometry::convolution(conv, net.input_of(index), net.output_of(index));
        weights = enlarged(weights, &window);
    }
    Ok(vec![weights, find(bias)?])
}

/// A convolution's weights with zeros around them.
fn enlarged(weight: SharedTensor, window: &Window) -> SharedTensor {
    let [k, c, r, s] = weight.shape[..] else { return weight };
    let [tall, wide] = window.kernel;
    if [r, s] == window.kernel {
        return weight;
    }
    let mut values = vec![0.0; k * c * tall * wide];
    for (row, from) in weight.data().chunks_exact(s.max(1)).enumerate() {
        let (map, y) = (row / r, row % r);
        values[(map * tall + window.front[0] + y) * wide + window.front[1]..][..s].copy_from_slice(from);
    }
    model::tensor(vec![k, c, tall, wide], values)
}

/// The weights of layer `index` out of what [`write_caffe`] makes of them.
///
/// # Errors
/// Where they have another shape.
pub(super) fn weight_back(net: &Net, card: &Card, index: usize, blob: &SharedTensor) -> Result<SharedTensor, String> {
    let mut weight = blob.clone();
    if let Op::Conv(conv) = &net.layers()[index].op {
        let window = geometry::convolution(conv, net.input_of(index), net.output_of(index));
        let ([tall, wide], Some((param, _))) = (window.kernel, net.params_of(index)) else { return Ok(weight) };
        let shape = &net.params()[param].shape;
        let [k, c, r, s] = shape[..] else { return Ok(weight) };
        if blob.shape != [k, c, tall, wide] {
            return Err(format!("its weights have shape {:?}, expected {:?}", blob.shape, [k, c, tall, wide]));
        }
        if [r, s] != window.kernel {
            let rows = (0..k * c).flat_map(|map| (0..r).map(move |y| (map, y)));
            let row = |(map, y)| &blob.data()[(map * tall + window.front[0] + y) * wide + window.front[1]..][..s];
            weight = model::tensor(shape.clone(), rows.flat_map(row).copied().collect());
        }
    }
    Ok(if reversed(net, card) == Some(index) { reverse_maps(&weight) } else { weight })
}

/// What must be done to an image, in Caffe's words.
fn input_notes(model: &Model) -> Vec<String> {
    let (net, p) = (&model.net, &model.card.preprocessing);
    let mut notes = Vec::new();
    match reversed(net, &model.card) {
        Some(index) => {
            let name = &net.layers()[index].name;
            notes.push(format!("the weights of `{name}` are written for blue, green, red, the order of Caffe's images"));
        }
        None if p.channels == Channels::Rgb => notes.push("the net sees red, green, blue, not Caffe's order".into()),
        None => {}
    }
    match (p.mean, p.channels) {
        (Mean::Values([r, g, b]), Channels::Rgb | Channels::Bgr) => {
            notes.push(format!("subtracted from the input are {b}, {g}, {r} (blue, green, red)"));
        }
        (Mean::Channels, _) => {
            let mean: Vec<String> = model.statistics.mean.iter().rev().map(f32::to_string).collect();
            notes.push(format!("subtracted from the input are {} (blue, green, red)", mean.join(", ")));
        }
        (Mean::None, _) => notes.push("nothing is subtracted from the input".into()),
        _ => {}
    }
    let std = match p.std {
        Std::None => return notes,
        Std::Channels => model.statistics.std.clone(),
        Std::Values(values) => values.to_vec(),
    };
    let std: Vec<String> = std.iter().rev().map(f32::to_string).collect();
    notes.push(format!("then the input is divided by {} (blue, green, red), which Caffe's users do themselves", std.join(", ")));
    notes
}

/// The mean image as Caffe keeps it, `[1, c, side, side]`: blue, green, red.
fn mean_image(model: &Model) -> Option<SharedTensor> {
    let statistics = &model.statistics;
    let (side, c) = (statistics.side, statistics.mean.len());
    let wanted = matches!(model.card.preprocessing.mean, Mean::Image | Mean::ImageAtCrop);
    if !wanted || c == 0 || side == 0 || statistics.mean_image.len() != c * side * side {
        return None;
    }
    let values: Vec<f32> = statistics.mean_image.chunks(side * side).rev().flatten().copied().collect();
    Some(SharedTensor { shape: vec![1, c, side, side], values: Arc::new(values) })
}

/// The card in words, for people who read the text.
fn comments(model: &Model, notes: &[String]) -> Vec<String> {
    let card = &model.card;
    let mut lines = vec![format!("Written by alexnet {} from the net `{}`.", card.version, model.net.name())];
    lines.push(format!("Nearest preset: {}", card.variant.preset));
    lines.extend(card.variant.differences.iter().map(|difference| format!("  {difference}")));
    // Every value has a JSON form.
    lines.push(format!("Images: {}", serde_json::to_string(&card.preprocessing).unwrap_or_default()));
    lines.push(format!("Classes: {}", card.classes.len()));
    if let Some(trained) = &card.trained {
        lines.push(format!("Trained: {} steps, seed {}", trained.steps, trained.seed));
    }
    if let Some(metrics) = &card.metrics {
        lines.push(format!("Measured: {}", serde_json::to_string(metrics).unwrap_or_default()));
    }
    if let Some(origin) = &card.origin {
        lines.push(format!("From: {} ({}), BLAKE3 {}", origin.file, origin.format, origin.blake3));
    }
    lines.extend(notes.iter().map(|note| format!("Note: {note}")));
    lines
}
