//! Layers spread over processors as one net.
//!
//! The net is walked from its images to its softmax in stages. A stage is one layer, or one in each tower: layers that read
//! nothing but the stage before and all do the same. Their outputs side by side, in the stage's order, are the output of one
//! op of ours: maps of a tower are a block of maps, and since maps are flattened one after the other, so they are for fully
//! connected layers. What a layer reads it names, so a tower that reads the other one first has its weights brought into the
//! stage's order.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use net::{
    AvgPool, Conv, Dropout, DropoutScaling, Layer as NetLayer, Linear, Local, LrnAcross, LrnWithin, MaxPool, Net, Op, Padding,
    Pair, Rounding, Shape, Tensor, Ties,
};
use weights::cuda_convnet::{Filters, Layer, Norm, NormOver, Op as TheirOp, Pool};

use crate::identify::LEARN;

type Result<T, E = String> = std::result::Result<T, E>;

/// How many values a net's weights may have for each that the file holds: what a tower does not read is zeros, and layers may
/// share a matrix.
const MOST_RATIO: usize = 16;
/// What weights may have whatever the file holds.
const ALWAYS_ALLOWED: usize = 1 << 16;

/// More towers than any net has, by far.
const MOST_SOURCES: usize = 256;

/// A net of one tower.
#[derive(Debug)]
pub(super) struct Merged<'c> {
    /// The shape of an image.
    pub(super) input: Shape,
    stages: Vec<Stage<'c>>,
}

/// What is one op of ours.
#[derive(Debug)]
struct Stage<'c> {
    /// `None` for what does nothing.
    op: Option<Op>,
    /// The layers, in the order of their outputs.
    layers: Vec<&'c Layer>,
    /// For each layer with weights, what its columns are made of, in the order of the stage before.
    weights: Vec<Vec<Piece<'c>>>,
}

/// Rows of a matrix of weights.
#[derive(Debug, Clone)]
enum Piece<'c> {
    Rows(&'c Tensor, Range<usize>),
    /// Weights for what the layer does not read.
    Zeros(usize),
}

/// A layer's input that is no concatenation, or a part of one.
#[derive(Debug, Clone, Copy)]
struct Source<'c> {
    layer: &'c Layer,
    /// Which of the reader's inputs it is, or is in.
    input: usize,
    /// Values of that input before it.
    offset: usize,
}

/// Puts towers together.
///
/// # Errors
/// Names a layer that does what no op of ours does, or that no stage has a place for.
pub(super) fn merge(layers: &[Layer]) -> Result<Merged<'_>> {
    let graph = Graph::of(layers)?;
    let images = graph.images()?;
    let mut merged = Merged { input: Shape { c: 0, h: 0, w: 0 }, stages: Vec::new() };
    let mut stage = vec![images];
    loop {
        let mut next = graph.readers(&stage)?;
        // The order in which the towers' outputs lie is free where they all read all: that of the processors.
        next.sort_by(|a, b| (&a.gpus, &a.name).cmp(&(&b.gpus, &b.name)));
        if merged.stages.is_empty() {
            merged.input = input_shape(images, next[0])?;
        }
        let made = graph.stage(&stage, next)?;
        stage = made.layers.clone();
        let last = made.op == Some(Op::Softmax);
        merged.stages.push(made);
        if last {
            break;
        }
    }
    merged.check()?;
    Ok(merged)
}

fn fault(layer: &Layer, what: impl std::fmt::Display) -> String {
    format!("layer `{}`: {what}", layer.name.escape_debug())
}

/// How many values a layer has.
fn width(layer: &Layer) -> Result<usize> {
    layer.outputs.ok_or_else(|| fault(layer, "it does not say how many values it has"))
}

/// The images that the first layer reads; it knows how many maps they have.
fn input_shape(images: &Layer, first: &Layer) -> Result<Shape> {
    match &first.op {
        TheirOp::Conv(Filters { inputs, .. }) | TheirOp::Local(Filters { inputs, .. }) if inputs.len() == 1 => {
            let (c, side) = (inputs[0].channels, inputs[0].image_size);
            let values = side.checked_mul(side).and_then(|plane| plane.checked_mul(c));
            if images.outputs.is_some() && images.outputs != values {
                let message = format!("it reads {c} maps of {side} × {side}, but an image has {} values", width(images)?);
                return Err(fault(first, message));
            }
            Ok(Shape { c, h: side, w: side })
        }
        _ => Err(fault(first, format!("it is of type {} and reads the images; only conv and local are read there", first.kind))),
    }
}

/// What the softmax is made from.
struct Graph<'c> {
    layers: Vec<&'c Layer>,
    sources: HashMap<&'c str, Vec<Source<'c>>>,
}

impl<'c> Graph<'c> {
    fn of(layers: &'c [Layer]) -> Result<Graph<'c>> {
        let softmax: Vec<&Layer> = layers.iter().filter(|layer| layer.op == TheirOp::Softmax).collect();
        let &[softmax] = &softmax[..] else { return Err(format!("it has {} softmax layers, expected 1", softmax.len())) };
        // Layers stand behind their inputs.
        let mut needed = HashSet::from([softmax.name.as_str()]);
        for layer in layers.iter().rev().filter(|layer| layer.op != TheirOp::Cost) {
            if needed.contains(layer.name.as_str()) {
                needed.extend(layer.inputs.iter().map(String::as_str));
            }
        }
        let by_name: HashMap<&str, &Layer> = layers.iter().map(|layer| (layer.name.as_str(), layer)).collect();
        let mut sources: HashMap<&str, Vec<Source>> = HashMap::new();
        for layer in layers.iter().filter(|layer| needed.contains(layer.name.as_str())) {
            let mut own = Vec::new();
            for (input, name) in layer.inputs.iter().enumerate() {
                let read = *by_name.get(name.as_str()).ok_or_else(|| fault(layer, format!("there is no `{name}`")))?;
                if read.op != TheirOp::Concat {
                    own.push(Source { layer: read, input, offset: 0 });
                    continue;
                }
                let mut offset = 0;
                for part in sources.get(name.as_str()).into_iter().flatten() {
                    own.push(Source { layer: part.layer, input, offset });
                    offset += width(part.layer)?;
                }
            }
            if own.len() > MOST_SOURCES {
                return Err(fault(layer, "it reads too many layers"));
            }
            sources.insert(layer.name.as_str(), own);
        }
        let needed = layers.iter().filter(|layer| needed.contains(layer.name.as_str()) && layer.op != TheirOp::Concat);
        Ok(Graph { layers: needed.collect(), sources })
    }

    fn sources(&self, layer: &Layer) -> &[Source<'c>] {
        self.sources.get(layer.name.as_str()).map_or(&[], Vec::as_slice)
    }

    /// The one layer of data that the softmax is made from.
    fn images(&self) -> Result<&'c Layer> {
        let data: Vec<_> = self.layers.iter().filter(|layer| self.sources(layer).is_empty()).collect();
        match data[..] {
            [&images] if matches!(images.op, TheirOp::Data { .. }) => Ok(images),
            [other] => Err(fault(other, "it reads nothing, and is no data")),
            _ => Err(format!("its softmax is made from {} layers of data, expected 1", data.len())),
        }
    }

    /// The layers that read a stage, which read nothing else.
    fn readers(&self, stage: &[&'c Layer]) -> Result<Vec<&'c Layer>> {
        let of_stage = |source: &Source| stage.iter().any(|layer| layer.name == source.layer.name);
        let readers: Vec<_> = self.layers.iter().copied().filter(|layer| self.sources(layer).iter().any(of_stage)).collect();
        for layer in &readers {
            if let Some(other) = self.sources(layer).iter().find(|source| !of_stage(source)) {
                let what = format!("it reads `{}` and `{}`, which are not side by side", stage[0].name, other.layer.name);
                return Err(fault(layer, what));
            }
        }
        match readers.is_empty() {
            true => Err(fault(stage[0], "nothing reads it")),
            false => Ok(readers),
        }
    }

    /// The op of the layers `next`, which read `stage`.
    fn stage(&self, stage: &[&'c Layer], next: Vec<&'c Layer>) -> Result<Stage<'c>> {
        let first = next[0];
        let same = |layer: &&&Layer| layer.kind == first.kind;
        if let Some(other) = next.iter().find(|layer| !same(layer)) {
            return Err(fault(first, format!("`{}` reads the same, and is of another type", other.name)));
        }
        match &first.op {
            TheirOp::Conv(filters) => self.conv(stage, next, filters),
            TheirOp::Local(filters) => self.local(stage, next, filters),
            TheirOp::FullyConnected => self.linear(stage, next),
            _ => {
                let layers = self.one_to_one(stage, &next)?;
                let layers = layers.ok_or_else(|| fault(first, "it does not read one layer, which it alone reads"))?;
                if let Some(other) = layers.iter().find(|layer| layer.op != first.op) {
                    return Err(fault(first, format!("`{}` does not do the same", other.name)));
                }
                Ok(Stage { op: simple(first, layers.len())?, layers, weights: Vec::new() })
            }
        }
    }

    /// The layers in the order of the stage that they read, if each reads one layer of it and each of it is read by one.
    fn one_to_one(&self, stage: &[&'c Layer], next: &[&'c Layer]) -> Result<Option<Vec<&'c Layer>>> {
        if next.len() != stage.len() {
            return Ok(None);
        }
        let reader = |read: &&Layer| {
            next.iter().copied().find(|layer| matches!(self.sources(layer), [source] if source.layer.name == read.name))
        };
        Ok(stage.iter().map(reader).collect())
    }

    /// Convolutions are one in groups where each keeps to its tower, and one without where each reads all.
    fn conv(&self, stage: &[&'c Layer], next: Vec<&'c Layer>, filters: &Filters) -> Result<Stage<'c>> {
        let (layers, towers) = match self.one_to_one(stage, &next)? {
            Some(layers) => (layers, stage.len()),
            None => (next, 1),
        };
        let first = layers[0];
        let mut weights = Vec::new();
        for layer in &layers {
            let TheirOp::Conv(own) = &layer.op else { return Err(fault(layer, "it is no conv")) };
            if !own.shared_biases {
                return Err(fault(layer, "it has a bias of its own for each place"));
            }
            if (own.filters, own.modules_x) != (filters.filters, filters.modules_x) {
                return Err(fault(layer, format!("its filters are not those of `{}`", first.name)));
            }
            let read = if towers > 1 { None } else { Some(stage) };
            weights.push(self.filter_pieces(layer, own, read)?);
        }
        let geometry = Geometry::of(first, filters)?;
        if let Some(other) = layers.iter().find(|layer| match &layer.op {
            TheirOp::Conv(own) => Geometry::of(layer, own).as_ref() != Ok(&geometry),
            _ => true,
        }) {
            return Err(fault(other, format!("its filters are not those of `{}`", first.name)));
        }
        let op = Op::Conv(Conv {
            k: filters.filters * layers.len(),
            kernel: Pair::square(geometry.size),
            stride: Pair::square(geometry.stride),
            padding: geometry.padding,
            rounding: Rounding::Floor,
            groups: towers * geometry.groups,
            weight: LEARN.0,
            bias: LEARN.1,
        });
        Ok(Stage { op: Some(op), layers, weights })
    }

    /// What a conv's columns are made of: of one input all of it, of several in the order of the stage, if it reads all of it.
    fn filter_pieces(&self, layer: &'c Layer, filters: &Filters, stage: Option<&[&'c Layer]>) -> Result<Vec<Piece<'c>>> {
        let sources = self.sources(layer);
        for (input, matrix) in filters.inputs.iter().zip(&layer.weights) {
            let rows = input.channels / input.groups.max(1) * input.filter_size * input.filter_size;
            expect_shape(layer, matrix, [rows, filters.filters])?;
        }
        let ordered: Vec<Source> = match stage {
            Some(stage) if stage.len() > 1 => in_order(layer, sources, stage)?.into_iter().flatten().collect(),
            _ => sources.to_vec(),
        };
        if ordered.len() != stage.map_or(1, <[_]>::len) {
            return Err(fault(layer, "it reads some of the towers, not one or all"));
        }
        let mut pieces = Vec::new();
        for source in ordered {
            let missing = || fault(layer, "an input has no weights");
            let (input, matrix) = (filters.inputs.get(source.input).ok_or_else(missing)?, layer.weights.get(source.input));
            let matrix = matrix.ok_or_else(missing)?;
            let (plane, window) = (input.image_size * input.image_size, input.filter_size * input.filter_size);
            let range = match sources.len() {
                1 => 0..matrix.shape[0],
                _ if input.groups != 1 => return Err(fault(layer, "it has groups, and reads several layers")),
                _ => {
                    let own = |values: usize| values.checked_div(plane)?.checked_mul(window);
                    let (start, rows) = (own(source.offset), own(width(source.layer)?));
                    let end = start.zip(rows).and_then(|(start, rows)| start.checked_add(rows)).ok_or_else(missing)?;
                    start.unwrap_or(end)..end
                }
            };
            pieces.push(Piece::Rows(matrix, range));
        }
        expect_rows(layer, &pieces, layer.weights.iter().map(|matrix| matrix.shape[0]).sum())?;
        Ok(pieces)
    }

    fn local(&self, stage: &[&'c Layer], next: Vec<&'c Layer>, filters: &Filters) -> Result<Stage<'c>> {
        let layer = next[0];
        let ([_], [_], [_], [matrix]) = (stage, &next[..], self.sources(layer), &layer.weights[..]) else {
            return Err(fault(layer, "local layers are read from and to one tower only"));
        };
        let geometry = Geometry::of(layer, filters)?;
        if geometry.groups != 1 {
            return Err(fault(layer, format!("a local layer in {} groups is not read", geometry.groups)));
        }
        let rows = filters.inputs.first().map_or(0, |input| input.channels) * geometry.size * geometry.size;
        let all = (filters.modules_x * filters.modules_x).saturating_mul(rows);
        expect_shape(layer, matrix, [all, filters.filters])?;
        let op = Op::Local(Local {
            k: filters.filters,
            kernel: Pair::square(geometry.size),
            stride: Pair::square(geometry.stride),
            padding: geometry.padding,
            weight: LEARN.0,
            bias: LEARN.1,
        });
        // Each place has its rows one after the other.
        let places = filters.modules_x * filters.modules_x;
        let pieces = (0..places).map(|place| vec![Piece::Rows(matrix, place * rows..(place + 1) * rows)]).collect();
        Ok(Stage { op: Some(op), layers: next, weights: pieces })
    }

    /// Fully connected layers; what one does not read of the stage has weights of 0.
    fn linear(&self, stage: &[&'c Layer], next: Vec<&'c Layer>) -> Result<Stage<'c>> {
        let mut weights = Vec::new();
        let mut k = 0;
        for layer in &next {
            let outputs = width(layer)?;
            k += outputs;
            let mut pieces = Vec::new();
            for (source, read) in in_order(layer, self.sources(layer), stage)?.into_iter().zip(stage) {
                let Some(source) = source else {
                    pieces.push(Piece::Zeros(width(read)?));
                    continue;
                };
                let matrix = layer.weights.get(source.input).ok_or_else(|| fault(layer, "an input has no weights"))?;
                expect_shape(layer, matrix, [matrix.shape[0], outputs])?;
                pieces.push(Piece::Rows(matrix, source.offset..source.offset + width(read)?));
            }
            let all: usize = layer.weights.iter().map(|matrix| matrix.shape[0]).sum();
            expect_rows(layer, &pieces, all)?;
            weights.push(pieces);
        }
        Ok(Stage { op: Some(Op::Linear(Linear { k, weight: LEARN.0, bias: LEARN.1 })), layers: next, weights })
    }
}

/// For each layer of the stage, as what a reader reads it; `None` where it does not.
fn in_order<'c>(layer: &Layer, sources: &[Source<'c>], stage: &[&Layer]) -> Result<Vec<Option<Source<'c>>>> {
    let find = |read: &&Layer| {
        let mut found = sources.iter().filter(|source| source.layer.name == read.name);
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(fault(layer, format!("it reads `{}` twice", read.name))),
            (source, _) => Ok(source.copied()),
        }
    };
    stage.iter().map(find).collect()
}

fn expect_shape(layer: &Layer, matrix: &Tensor, expected: [usize; 2]) -> Result<()> {
    match matrix.shape == expected {
        true => Ok(()),
        false => Err(fault(layer, format!("a matrix of weights has shape {:?}, expected {expected:?}", matrix.shape))),
    }
}

/// The pieces are within their matrices and use them up.
fn expect_rows(layer: &Layer, pieces: &[Piece], rows: usize) -> Result<()> {
    let mut used = 0;
    for piece in pieces {
        if let Piece::Rows(matrix, range) = piece {
            used += range.len();
            if range.end > matrix.shape[0] {
                return Err(fault(layer, format!("its weights have {} rows, expected {}", matrix.shape[0], range.end)));
            }
        }
    }
    match used == rows {
        true => Ok(()),
        false => Err(fault(layer, format!("its weights have {rows} rows, but it reads {used}"))),
    }
}

/// The windows of filters.
#[derive(Debug, PartialEq, Eq)]
struct Geometry {
    size: usize,
    stride: usize,
    padding: Padding,
    groups: usize,
}

impl Geometry {
    fn of(layer: &Layer, filters: &Filters) -> Result<Geometry> {
        let [first, others @ ..] = &filters.inputs[..] else { return Err(fault(layer, "it reads nothing")) };
        let what = |input: &weights::cuda_convnet::FilterInput| {
            (input.image_size, input.filter_size, input.stride, input.padding, input.groups, input.rand_sparse)
        };
        if others.iter().any(|other| what(other) != what(first)) {
            return Err(fault(layer, "it reads its inputs in different ways"));
        }
        if first.rand_sparse && first.groups != 1 {
            return Err(fault(layer, "its groups read maps drawn at random"));
        }
        // The last window may reach beyond the padding of the program, and reads zeros there.
        let reach = filters.modules_x.checked_sub(1).and_then(|steps| steps.checked_mul(first.stride));
        let reach = reach.and_then(|reach| reach.checked_add(first.filter_size));
        let end = reach.and_then(|reach| reach.checked_sub(first.padding.checked_add(first.image_size)?));
        let end = end.ok_or_else(|| fault(layer, format!("it has {} places, too few for its image", filters.modules_x)))?;
        let before = first.padding;
        Ok(Geometry {
            size: first.filter_size,
            stride: first.stride,
            padding: Padding { top: before, left: before, bottom: end, right: end },
            groups: first.groups,
        })
    }
}

/// The op of a layer without weights; `None` where it does nothing.
fn simple(layer: &Layer, towers: usize) -> Result<Option<Op>> {
    Ok(match &layer.op {
        TheirOp::Neuron { kind, params } => match (kind.as_str(), params.get("a"), params.get("b")) {
            ("relu", ..) => Some(Op::Relu),
            ("ident", ..) => None,
            ("tanh", Some(1.0), Some(1.0)) => Some(Op::Tanh),
            _ => return Err(fault(layer, format!("the function `{kind}` {params:?} is not known"))),
        },
        TheirOp::Pool(pool) => Some(pooling(layer, pool)?),
        TheirOp::Norm(norm) => Some(normalisation(layer, norm, towers)?),
        TheirOp::Dropout(dropout) => {
            let scaling = if dropout.scales_tests { DropoutScaling::Test } else { DropoutScaling::Train };
            (dropout.keep != 1.0).then_some(Op::Dropout(Dropout { rate: 1.0 - dropout.keep, scaling }))
        }
        TheirOp::Softmax if towers == 1 => Some(Op::Softmax),
        _ => return Err(fault(layer, format!("layers of type `{}` are not known here", layer.kind.escape_debug()))),
    })
}

fn pooling(layer: &Layer, pool: &Pool) -> Result<Op> {
    let (kernel, stride, rounding) = (Pair::square(pool.size), Pair::square(pool.stride), Rounding::Ceil);
    let before = pool.start.checked_neg().and_then(|before| usize::try_from(before).ok());
    let before = before.ok_or_else(|| fault(layer, format!("it starts at {}, expected 0 or before", pool.start)))?;
    let padding = Padding { top: before, left: before, ..Padding::default() };
    match pool.how.as_str() {
        "max" => Ok(Op::MaxPool(MaxPool { kernel, stride, padding, rounding, ties: Ties::All })),
        "avg" if !pool.sum => Ok(Op::AvgPool(AvgPool { kernel, stride, padding, rounding })),
        how => {
            Err(fault(layer, format!("a pool of `{}`{} is not known", how.escape_debug(), if pool.sum { " sums" } else { "" })))
        }
    }
}

fn normalisation(layer: &Layer, norm: &Norm, towers: usize) -> Result<Op> {
    if norm.blocked {
        return Err(fault(layer, "it normalises blocks of maps"));
    }
    let Norm { size: n, pow: beta, min_div: k, .. } = *norm;
    let over = match norm.over {
        NormOver::Maps => n,
        NormOver::Places => n.saturating_mul(n),
        NormOver::Contrast => return Err(fault(layer, "contrast normalisation is not known here")),
    };
    let (alpha, alpha_over_n) = undivided(norm.scale, over as f64);
    match norm.over {
        NormOver::Maps => Ok(Op::Lrn(LrnAcross { n, k, alpha, beta, alpha_over_n, towers })),
        _ => Ok(Op::LrnWithin(LrnWithin { n, k, alpha, beta, alpha_over_n })),
    }
}

/// The short number that, divided, gives `scale`, and that it is to be divided; `scale` itself where there is none.
fn undivided(scale: f64, divisor: f64) -> (f64, bool) {
    let short: f64 = format!("{:.9e}", scale * divisor).parse().unwrap_or(scale);
    if short / divisor == scale { (short, true) } else { (scale, false) }
}

impl Merged<'_> {
    /// What the net does, without what does nothing.
    pub(super) fn ops(&self) -> Vec<Op> {
        self.stages.iter().filter_map(|stage| stage.op.clone()).collect()
    }

    /// In how many towers its widest stage is.
    pub(super) fn most_towers(&self) -> usize {
        self.stages.iter().map(|stage| stage.layers.len()).max().unwrap_or(1)
    }

    /// The ops fit each other, and give as many values as the file says of their layers.
    fn check(&self) -> Result<()> {
        let ops = self.stages.iter().filter(|stage| stage.op.is_some());
        let layers = self.ops().into_iter().enumerate().map(|(index, op)| NetLayer { name: format!("op{index}"), op });
        let net = Net::new("merged", self.input, layers.collect()).map_err(|error| self.in_their_words(&error))?;
        for (index, stage) in ops.enumerate() {
            let mut expected = 0;
            for layer in &stage.layers {
                expected += width(layer)?;
            }
            let got = net.output_of(index).len();
            if got != expected {
                return Err(fault(stage.layers[0], format!("with its like it has {expected} values, where {got} are expected")));
            }
        }
        Ok(())
    }

    /// A fault of an op, with the name that the file has for it.
    fn in_their_words(&self, error: &net::Error) -> String {
        let mut ops = self.stages.iter().filter(|stage| stage.op.is_some());
        match error {
            net::Error::Layer { index, message, .. } => match ops.nth(*index) {
                Some(stage) => fault(stage.layers[0], message),
                None => error.to_string(),
            },
            _ => error.to_string(),
        }
    }

    /// Weights and biases of every op that has them, in the layouts of [`net::ParamInfo::shape`].
    ///
    /// # Errors
    /// Where a layer's biases are missing or of another number, or weights would have many times as many values as the file.
    pub(super) fn params(&self) -> Result<Vec<Vec<f32>>> {
        self.check_size()?;
        let mut params = Vec::new();
        for stage in &self.stages {
            let Some((weight, bias)) = stage.params()? else { continue };
            params.extend([weight, bias]);
        }
        Ok(params)
    }
}

impl Merged<'_> {
    /// The weights are not many times as many as those of the file.
    fn check_size(&self) -> Result<()> {
        let (mut held, mut wanted, mut seen) = (0usize, 0usize, HashSet::new());
        for stage in &self.stages {
            let matrices = stage.layers.iter().flat_map(|layer| &layer.weights);
            held += matrices.filter(|matrix| seen.insert(Arc::as_ptr(matrix))).map(|matrix| matrix.data.len()).sum::<usize>();
            for pieces in &stage.weights {
                let rows = pieces.iter().fold(0usize, |rows, piece| rows.saturating_add(piece.rows()));
                wanted = wanted.saturating_add(rows.saturating_mul(columns(pieces)));
            }
        }
        match wanted <= held.saturating_mul(MOST_RATIO).saturating_add(ALWAYS_ALLOWED) {
            true => Ok(()),
            false => Err(format!("its layers would have {wanted} weights, of which the file holds {held}")),
        }
    }
}

/// Outputs of a layer whose weights these are; 0 where it has none.
fn columns(pieces: &[Piece]) -> usize {
    let of = |piece: &Piece| match piece {
        Piece::Rows(matrix, _) => Some(matrix.shape[1]),
        Piece::Zeros(_) => None,
    };
    pieces.iter().find_map(of).unwrap_or(0)
}

impl Stage<'_> {
    fn params(&self) -> Result<Option<(Vec<f32>, Vec<f32>)>> {
        if self.weights.is_empty() {
            return Ok(None);
        }
        let mut weight = Vec::new();
        for pieces in &self.weights {
            transposed(pieces, &mut weight);
        }
        let mut bias = Vec::new();
        for layer in &self.layers {
            let own = layer.biases.as_ref().ok_or_else(|| fault(layer, "it has no biases"))?;
            let expected = match &layer.op {
                TheirOp::Conv(filters) => filters.filters,
                _ => width(layer)?,
            };
            if own.data.len() != expected {
                return Err(fault(layer, format!("it has {} biases, expected {expected}", own.data.len())));
            }
            bias.extend(&own.data);
        }
        Ok(Some((weight, bias)))
    }
}

/// Adds the pieces' columns, one after the other: rows on rows they are a matrix `[inputs, outputs]`, and `[outputs, inputs]` is
/// what we have.
fn transposed(pieces: &[Piece], to: &mut Vec<f32>) {
    /// Columns at a time, as many as a line of cache has values.
    const TILE: usize = 16;
    let rows: usize = pieces.iter().map(|piece| piece.rows()).sum();
    let columns = columns(pieces);
    let start = to.len();
    to.resize(start + rows * columns, 0.0);
    let to = &mut to[start..];
    for first in (0..columns).step_by(TILE) {
        let tile = first..(first + TILE).min(columns);
        let mut at = 0;
        for piece in pieces {
            if let Piece::Rows(matrix, range) = piece {
                for (place, row) in range.clone().enumerate() {
                    for column in tile.clone() {
                        to[column * rows + at + place] = matrix.data[row * columns + column];
                    }
                }
            }
            at += piece.rows();
        }
    }
}

impl Piece<'_> {
    fn rows(&self) -> usize {
        match self {
            Piece::Rows(_, range) => range.len(),
            Piece::Zeros(rows) => *rows,
        }
    }
}

#[cfg(test)]
mod tests;
