//! All decisions, made once: the algorithm of each layer and pass, what is kept, and where it lies.
//!
//! A plan is a function of net, batch, mode, instruction set and options, but for the number of workers' scratch shares: no
//! decision that touches a result depends on the number of threads.

mod choose;
mod layout;
mod print;
mod winograd;

pub(crate) use choose::{
    ConvAlgorithm, ConvData, ConvPlan, ConvProduct, ConvWeight, LINEAR_COLS, LINEAR_ROWS, LINEAR_WEIGHT_BLOCK, LinearForward,
    LinearPlan, LocalPlan, MaxPoolBackward, MaxPoolPlan, OpPlan, TASKS, linear_depth,
};
pub(crate) use layout::{Layout, Reorder};
pub(crate) use net::lifetimes::Buffer;
pub(crate) use winograd::{Tiled, TiledBackward};

use net::lifetimes::Needs;
use net::{Mode, Net, Op};

use crate::arena::{ALIGN, Slot};
use crate::kernels::gemm::Gemm;

/// Everything that the executor walks.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) net: String,
    pub(crate) isa: crate::Isa,
    pub(crate) threads: usize,
    /// Most images of a batch.
    pub(crate) capacity: usize,
    pub(crate) mode: Mode,
    pub(crate) layers: Vec<LayerPlan>,
    /// Where each parameter lies in [`Plan::weights`], and alike in gradients and momenta.
    pub(crate) params: Vec<Slot>,
    pub(crate) weights: Buffer,
    /// Gradients and momenta, in training.
    pub(crate) learning: Option<(Buffer, Buffer)>,
    /// Every worker's share of scratch, one behind the other.
    pub(crate) scratch: Buffer,
    /// Place of every buffer.
    memory: Vec<Slot>,
    /// Values of all buffers.
    pub(crate) arena_len: usize,
}

/// Where a layer's input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Input {
    /// The batch's own pixels.
    Pixels,
    /// A buffer `[n, c, h, w]`.
    Buffer(Buffer),
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerPlan {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) input: Input,
    /// Where that is not as the layer before has written it.
    pub(crate) reorder: Option<Reorder>,
    /// `[n, k, p, q]`; the input's own buffer where the layer works in place.
    pub(crate) output: Buffer,
    /// The layout of the output, and of `dy`.
    pub(crate) layout: Layout,
    /// Values of one image, and of one of its maps.
    pub(crate) input_len: usize,
    pub(crate) input_area: usize,
    pub(crate) output_len: usize,
    /// Whether the output survives the pass.
    pub(crate) kept: bool,
    /// Gradients by output and input; the same buffer where the layer works in place. No `dx` where nobody needs it.
    pub(crate) dy: Option<Buffer>,
    pub(crate) dx: Option<Buffer>,
    /// Positions of weight and bias among the net's parameters.
    pub(crate) params: Option<(usize, usize)>,
    pub(crate) op: OpPlan,
    pub(crate) passes: Vec<PassNote>,
}

/// What the plan says about one pass of one layer.
#[derive(Debug)]
pub(crate) struct PassNote {
    pub(crate) pass: Pass,
    pub(crate) algorithm: &'static str,
    pub(crate) reason: String,
    /// Floating-point operations for one image.
    pub(crate) flops: u64,
    /// Whether another layer's pass does them.
    pub(crate) elsewhere: bool,
    /// Bytes of buffers that the pass needs for itself.
    pub(crate) bytes: usize,
}

/// A pass through a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    Forward,
    /// The gradient by weights and biases.
    Weight,
    /// The gradient by the input.
    Data,
}

impl Pass {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Pass::Forward => "forward",
            Pass::Weight => "weight",
            Pass::Data => "data",
        }
    }
}

/// What [`Plan::new`] plans for.
pub(crate) struct Request<'a> {
    pub(crate) net: &'a Net,
    pub(crate) capacity: usize,
    pub(crate) mode: Mode,
    pub(crate) inspect: bool,
    /// A layer whose output outlives the pass.
    pub(crate) keep: Option<usize>,
    pub(crate) convolutions: Option<crate::Convolution>,
    pub(crate) threads: usize,
    pub(crate) gemm: &'a Gemm,
    /// Products of linear layers.
    pub(crate) linear: &'a Gemm,
}

impl Request<'_> {
    /// Whether somebody wants to see what layer `index` has written, as it has written it.
    fn is_looked_at(&self, index: usize) -> bool {
        self.inspect || self.keep == Some(index)
    }

    /// Whether what layer `index` has written is there after the pass.
    fn lives_on(&self, index: usize) -> bool {
        self.mode == Mode::Train || self.is_looked_at(index) || index + 1 == self.net.layers().len()
    }
}

/// What the choice for one layer works with.
struct Context<'a> {
    request: &'a Request<'a>,
    needs: Needs,
    /// Scratch values that some pass wants for each worker.
    scratch: usize,
    layer: usize,
    /// Whether the layer learns or passes a gradient on.
    backward: bool,
    data_gradient: bool,
    passes: Vec<PassNote>,
}

impl Context<'_> {
    /// The moment of the layer's forward pass.
    fn forward_at(&self) -> usize {
        self.layer
    }

    /// The moment of the layer's backward pass.
    fn backward_at(&self) -> usize {
        2 * self.request.net.layers().len() - 1 - self.layer
    }

    fn scratch(&mut self, values: usize) {
        self.scratch = self.scratch.max(values.next_multiple_of(ALIGN));
    }

    fn note(&mut self, pass: Pass, algorithm: &'static str, reason: impl Into<String>, flops: u64, values: usize) {
        let bytes = values * size_of::<f32>();
        let elsewhere = algorithm == "fused";
        self.passes.push(PassNote { pass, algorithm, reason: reason.into(), flops, elsewhere, bytes });
    }

    /// A buffer for what is made of a layer's weights for the forward pass. Without training it stays, for weights do.
    fn weights_buffer(&mut self, len: usize) -> Buffer {
        let at = self.forward_at();
        match self.request.mode {
            Mode::Train => self.needs.buffer(len, at, at),
            Mode::Infer => self.needs.buffer(len, 0, 2 * self.request.net.layers().len()),
        }
    }
}

impl Plan {
    pub(crate) fn new(request: &Request<'_>) -> Plan {
        let net = request.net;
        let end = 2 * net.layers().len();
        let training = request.mode == Mode::Train;
        let learns_from = net.params().first().map_or(usize::MAX, |param| param.layer);
        let mut context = Context {
            request,
            needs: Needs::default(),
            scratch: 0,
            layer: 0,
            backward: false,
            data_gradient: false,
            passes: Vec::new(),
        };
        let (params, params_len) = place_params(net);
        let weights = context.needs.buffer(params_len, 0, end);
        let learning = training.then(|| (context.needs.buffer(params_len, 0, end), context.needs.buffer(params_len, 0, end)));
        let mut layers: Vec<LayerPlan> = Vec::new();
        for index in 0..net.layers().len() {
            context.layer = index;
            context.data_gradient = training && (request.inspect || index > learns_from);
            context.backward = training && (context.data_gradient || index >= learns_from);
            plan_layer(&mut context, &mut layers);
        }
        if training {
            place_gradients(&mut context, &mut layers, learns_from);
        }
        let scratch = context.needs.buffer(context.scratch * request.threads, 0, end);
        let (places, arena_len) = context.needs.place(ALIGN);
        let memory = places.iter().map(|place| Slot { offset: place.offset, len: place.len }).collect();
        let (isa, threads, capacity) = (request.gemm.target().isa(), request.threads, request.capacity);
        let (net, mode) = (net.name().to_string(), request.mode);
        Plan { net, isa, threads, capacity, mode, layers, params, weights, learning, scratch, memory, arena_len }
    }

    /// Every convolution, and what its candidates cost by the model.
    pub(crate) fn choices(&self) -> impl Iterator<Item = crate::Choice> + '_ {
        self.layers.iter().filter_map(|layer| {
            let OpPlan::Conv(conv) = &layer.op else { return None };
            let (by_tiles, product) = winograd::costs(conv.groups, &conv.win, conv.k);
            let picked = if conv.is_tiled() { crate::Convolution::Tiles } else { crate::Convolution::Product };
            let tiles_cost = by_tiles.map(|cost| cost as u64);
            Some(crate::Choice { layer: layer.name.clone(), picked, tiles_cost, product_cost: product as u64 })
        })
    }

    /// Where a buffer lies.
    pub(crate) fn slot(&self, buffer: Buffer) -> Slot {
        self.memory[buffer.0]
    }

    /// Where parameter `index` lies within the buffer `of` (weights, gradients or momenta).
    pub(crate) fn param(&self, of: Buffer, index: usize) -> Slot {
        let (whole, part) = (self.slot(of), self.params[index]);
        Slot { offset: whole.offset + part.offset, len: part.len }
    }
}

/// Plans the layer of `context`, behind `layers`.
fn plan_layer(context: &mut Context<'_>, layers: &mut Vec<LayerPlan>) {
    let (request, index) = (context.request, context.layer);
    let net = request.net;
    let (source, from) =
        layers.last().map_or((Input::Pixels, Layout::Planes), |before| (Input::Buffer(before.output), before.layout));
    let tiles = tiles_of(request, index);
    let (reads, layout) = layout::of(context, from, tiles.map(|tiles| tiles.fold_stride()));
    let reorder = (reads != from).then_some(Reorder { from: source, to: reads, dx: None });
    let input = match reorder {
        None => source,
        Some(_) => {
            let (len, at) = (request.capacity * net.input_of(index).len(), context.forward_at());
            Input::Buffer(context.needs.buffer(len, at, if context.backward { context.backward_at() } else { at }))
        }
    };
    let blocks = reads == Layout::Blocks;
    let normalises = layers.last().and_then(|before| match before.op {
        OpPlan::LrnPooled(num) => Some(num),
        _ => None,
    });
    let in_place = works_in_place(request, index);
    let around = choose::Surroundings {
        done_before: fuse_relu(net, index, in_place, layers.last_mut()),
        done_behind: blocks && is_pooled_on_the_way(context),
        normalises,
        rectified: rectified(&layers[..layers.len() - usize::from(normalises.is_some())]),
        tiles,
        blocks,
    };
    let output = output_buffer(context, input, in_place || around.done_behind);
    let op = choose::op(context, around);
    if in_place && let Some(before) = layers.last_mut() {
        before.kept = false;
    }
    layers.push(LayerPlan {
        name: net.layers()[index].name.clone(),
        kind: net.layers()[index].op.kind(),
        input,
        reorder,
        output,
        layout,
        input_len: net.input_of(index).len(),
        input_area: net.input_of(index).plane(),
        output_len: net.output_of(index).len(),
        kept: request.lives_on(index) && !around.done_behind,
        dy: None,
        dx: None,
        params: net.params_of(index),
        op,
        passes: std::mem::take(&mut context.passes),
    });
    mask_relu(context, layers);
}

/// The tiles of a convolution that goes through tiles.
fn tiles_of(request: &Request<'_>, index: usize) -> Option<winograd::Geometry> {
    let net = request.net;
    let Op::Conv(op) = &net.layers()[index].op else { return None };
    let win = choose::window(net.input_of(index), net.output_of(index), op.groups, op.kernel, op.stride, op.padding);
    winograd::choose(request.convolutions, &win, op.k / op.groups)
}

/// Whether a normalisation that works on blocks can be left to the pooling behind it.
fn is_pooled_on_the_way(context: &Context<'_>) -> bool {
    let (request, index) = (context.request, context.layer);
    let layers = request.net.layers();
    let Some(Op::MaxPool(pool)) = layers.get(index + 1).map(|layer| &layer.op) else { return false };
    let named = layout::is_named(pool) || request.mode == Mode::Infer;
    matches!(layers[index].op, Op::Lrn(_)) && !request.is_looked_at(index) && named
}

/// Whether what the last of `layers` has written is a ReLU's output that has taken the place of its input.
fn rectified(layers: &[LayerPlan]) -> bool {
    layers.last().is_some_and(|last| matches!(last.op, OpPlan::Relu { .. }) && last.input == Input::Buffer(last.output))
}

/// Has the last layer zero the gradient of the ReLU that wrote its input, where it can.
fn mask_relu(context: &Context<'_>, layers: &mut [LayerPlan]) {
    let Some((last, before)) = layers.split_last_mut() else { return };
    let skipped = usize::from(matches!(&last.op, OpPlan::MaxPool(pool) if pool.norm.is_some()));
    let count = before.len().saturating_sub(skipped);
    let before = &mut before[..count];
    if !context.data_gradient || !rectified(before) {
        return;
    }
    let masks = match &mut last.op {
        OpPlan::Conv(conv) => match &mut conv.algorithm {
            ConvAlgorithm::Tiles(Tiled { backward: Some(backward), .. }) => {
                backward.mask = true;
                true
            }
            _ => false,
        },
        OpPlan::Lrn { mask, .. } => *mask,
        OpPlan::MaxPool(pool) => pool.rectified,
        _ => false,
    };
    if let Some(relu) = before.last_mut().filter(|_| masks) {
        relu.op = OpPlan::Relu { fused: matches!(relu.op, OpPlan::Relu { fused: true, .. }), masked: true };
        for note in relu.passes.iter_mut().filter(|note| note.pass == Pass::Data) {
            (note.algorithm, note.reason, note.elsewhere) = ("fused", "the layer behind zeroes what it writes".into(), true);
        }
    }
}

/// Parameters in layer order, weight before bias; layers begin on cache lines.
fn place_params(net: &Net) -> (Vec<Slot>, usize) {
    let mut end = 0;
    let slots = net.params().iter().map(|param| {
        let offset = if param.role == net::Role::Weight { usize::next_multiple_of(end, ALIGN) } else { end };
        end = offset + param.len();
        Slot { offset, len: param.len() }
    });
    (slots.collect(), end.next_multiple_of(ALIGN))
}

/// Whether a layer may overwrite its input: it is pointwise, the input is not the caller's, nobody wants to see it, and
/// the backward pass of the layer before does not read it.
fn works_in_place(request: &Request<'_>, index: usize) -> bool {
    let layers = request.net.layers();
    let pointwise = matches!(layers[index].op, Op::Relu | Op::Tanh);
    let read_again = |op: &Op| request.mode == Mode::Train && matches!(op, Op::Relu | Op::Tanh);
    pointwise && index > 0 && !request.is_looked_at(index - 1) && !read_again(&layers[index - 1].op)
}

/// The buffer that a layer writes. In training it lives to the end of the step, so that it can be looked at afterwards.
fn output_buffer(context: &mut Context<'_>, input: Input, in_place: bool) -> Buffer {
    let request = context.request;
    let end = 2 * request.net.layers().len();
    // The next layer reads it.
    let last = if request.lives_on(context.layer) { end } else { context.layer + 1 };
    match input {
        Input::Buffer(buffer) if in_place => {
            context.needs.keep_until(buffer, last);
            buffer
        }
        _ => {
            let len = request.capacity * request.net.output_of(context.layer).len();
            context.needs.buffer(len, context.layer, last)
        }
    }
}

/// Gives the layer before a ReLU that works in place the task of rectifying, where it can; says whether it did.
fn fuse_relu(net: &Net, index: usize, in_place: bool, before: Option<&mut LayerPlan>) -> bool {
    let relu = match before.map(|before| &mut before.op) {
        Some(OpPlan::Conv(conv)) => &mut conv.relu,
        Some(OpPlan::Linear(linear)) => &mut linear.relu,
        Some(OpPlan::Local(local)) => &mut local.relu,
        _ => return false,
    };
    *relu = in_place && net.layers()[index].op == Op::Relu;
    *relu
}

/// A buffer for every gradient by a layer's input that somebody needs.
fn place_gradients(context: &mut Context<'_>, layers: &mut [LayerPlan], learns_from: usize) {
    let count = layers.len();
    let mut dy: Option<Buffer> = None;
    for index in (0..count).rev() {
        let wanted = context.request.inspect || index > learns_from;
        let layer = &mut layers[index];
        layer.dy = dy;
        if !wanted {
            dy = None;
            continue;
        }
        let at = 2 * count - 1 - index;
        let pointwise = matches!(layer.op, OpPlan::Relu { .. } | OpPlan::Tanh | OpPlan::Dropout { .. } | OpPlan::LrnPooled(_));
        // The layer below reads it a moment later; the gradient by the pixels stays.
        let last = if index == 0 { 2 * count } else { at + 1 };
        layer.dx = Some(match dy {
            Some(dy) if pointwise => {
                context.needs.keep_until(dy, last);
                dy
            }
            _ => context.needs.buffer(context.request.capacity * layer.input_len, at, last),
        });
        dy = layer.dx;
        if let Some(reorder) = &mut layer.reorder {
            reorder.dx = Some(context.needs.buffer(context.request.capacity * layer.input_len, at, last));
            dy = reorder.dx;
        }
    }
}
