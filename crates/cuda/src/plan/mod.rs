//! All decisions, made once: what each layer's passes are, what is kept, and where it lies.
//!
//! A plan is a function of net, batch, mode and options. It knows no device: the same plan runs on every one, to the same bits.

mod layout;
mod parameters;
mod print;

#[cfg(test)]
pub(crate) use layout::Order;
pub(crate) use layout::to_planes;
pub(crate) use parameters::Parameters;

use net::lifetimes::{Buffer, Needs, Place};
use net::{DropoutScaling, LrnAcross, MaxPool, Mode, Net, Op, Result, Shape, Ties};

use crate::args::Ptr;
use crate::driver::fault;
use crate::kernels::Element;
use crate::kernels::bias;
use crate::kernels::lrn::Across;
use crate::kernels::norm_pool::NormPooling;
use crate::kernels::pass::Pass;
use crate::kernels::pool::Windows;
use crate::kernels::products::Product;

/// Buffers begin at multiples of this many bytes.
pub(crate) const ALIGN: usize = 256;
/// Bytes of a number that stays f32 whatever the precision.
const F32: usize = 4;
/// Most blocks in the directions that count groups, positions and parts.
const MOST_BLOCKS: usize = 65_535;
/// What kernels count with has 31 bits.
const MOST_PIXELS: usize = (1 << 31) - 1;

/// Everything that the executor walks.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) net: Net,
    /// Most images of a batch.
    pub(crate) capacity: usize,
    pub(crate) mode: Mode,
    pub(crate) element: Element,
    pub(crate) pixels: PixelPlan,
    pub(crate) layers: Vec<LayerPlan>,
    pub(crate) parameters: Parameters,
    /// f32 logits `[n, classes]`, probabilities, and each image's loss and hit.
    pub(crate) logits: Buffer,
    pub(crate) probabilities: Buffer,
    pub(crate) scores: (Buffer, Buffer),
    /// What one pass says of its loss.
    pub(crate) result: Buffer,
    /// Whether all gradients are finite, where the update asks.
    pub(crate) finite: Buffer,
    /// Partial sums of a layer's gradients by weights and by biases.
    pub(crate) scratch: Buffer,
    /// The gradient by the pixels, `[n, c, h, w]` f32, where it is asked for.
    pub(crate) input_gradient: Option<Buffer>,
    /// Place of every buffer.
    places: Vec<Place>,
    /// Bytes of all buffers.
    pub(crate) bytes: usize,
}

/// How the pixels lie before the first layer: `[n, h, w, c]`, folded `fold` by `fold` where the first layer steps so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PixelPlan {
    pub(crate) shape: Shape,
    pub(crate) fold: usize,
    /// Rows and columns of zeros before the image.
    pub(crate) top: usize,
    pub(crate) left: usize,
    pub(crate) buffer: Buffer,
    /// The gradient by it.
    pub(crate) gradient: Option<Buffer>,
}

/// One layer.
#[derive(Debug)]
pub(crate) struct LayerPlan {
    pub(crate) name: String,
    pub(crate) op: Op,
    pub(crate) input: Shape,
    pub(crate) output: Shape,
    /// `[n, h, w, c]` and `[n, p, q, k]`; the same where the layer works in place.
    pub(crate) x: Buffer,
    pub(crate) y: Buffer,
    /// The gradients by them; no `dx` where nobody needs it.
    pub(crate) dy: Option<Buffer>,
    pub(crate) dx: Option<Buffer>,
    /// Whether the layer before has done this one's work, in both directions.
    pub(crate) fused: bool,
    /// Whether the next layer, a pool, does this one's work in both directions: a normalisation's.
    pub(crate) pooled: bool,
    /// Whether the layer does the next one's work, a rectifier's.
    pub(crate) relu: bool,
    /// Whether the output is there, as the layer wrote it, after the pass.
    pub(crate) kept: bool,
    /// Whether the next layer's backward pass is also this one's.
    pub(crate) done_by_next: bool,
    /// Where the backward pass is also that of a rectifier before, or of dropout behind a rectifier: what gradients are multiplied by
    /// where the layer's input is above 0; they are 0 elsewhere.
    pub(crate) through: Option<f32>,
    /// Positions of weight and bias among the net's parameters.
    pub(crate) params: Option<(usize, usize)>,
    pub(crate) product: Option<Product>,
    /// Where the maximum of each window is.
    pub(crate) argmax: Option<Buffer>,
}

/// What [`Plan::new`] plans for.
pub(crate) struct Request<'a> {
    pub(crate) net: &'a Net,
    pub(crate) capacity: usize,
    pub(crate) mode: Mode,
    pub(crate) element: Element,
    pub(crate) inspect: bool,
    /// A layer whose output outlives the pass.
    pub(crate) keep: Option<usize>,
}

impl Request<'_> {
    fn layers(&self) -> usize {
        self.net.layers().len()
    }

    /// The last moment: all layers forward, then all backward.
    fn end(&self) -> usize {
        2 * self.layers()
    }

    fn backward_at(&self, layer: usize) -> usize {
        2 * self.layers() - 1 - layer
    }

    fn is_looked_at(&self, layer: usize) -> bool {
        self.inspect || self.keep == Some(layer)
    }

    /// The moment until which the output of `layer` matters.
    fn last_use(&self, layer: usize) -> usize {
        if self.is_looked_at(layer) {
            self.end()
        } else if self.mode == Mode::Train {
            // Its own backward pass may look at it.
            self.backward_at(layer)
        } else {
            layer + 1
        }
    }

    /// What kernels are asked about before there is a step.
    fn pass(&self) -> Pass {
        Pass { element: self.element, capacity: self.capacity, step: Ptr::NULL }
    }

    fn activation_bytes(&self, shape: Shape) -> usize {
        self.capacity * shape.len() * self.element.size()
    }

    /// The first layer that learns.
    fn learns_from(&self) -> usize {
        self.net.params().first().map_or(usize::MAX, |param| param.layer)
    }
}

impl LayerPlan {
    /// The rows that the bias's gradient sums: of a local layer every position has a bias of its own, in the order of its output.
    pub(crate) fn bias_rows(&self) -> bias::Rows {
        match self.op {
            Op::Local(_) => bias::Rows { k: self.output.len(), plane: 1 },
            _ => bias::Rows { k: self.output.c, plane: self.output.plane() },
        }
    }
}

impl Plan {
    /// # Errors
    /// Where the batch or a layer is larger than kernels can count.
    pub(crate) fn new(request: &Request<'_>) -> Result<Plan> {
        let (net, capacity, end) = (request.net, request.capacity, request.end());
        let mut needs = Needs::default();
        let mut pixels = plan_pixels(request, &mut needs);
        let mut layers = plan_layers(request, &mut needs, &pixels);
        check_sizes(request, &layers)?;
        let parameters = Parameters::new(request, &layers, &pixels, &mut needs);
        let input_gradient = plan_gradients(request, &mut needs, &mut layers, &mut pixels);
        let classes = capacity * net.classes();
        let logits = needs.buffer(classes * F32, 0, end);
        let probabilities = needs.buffer(classes * F32, request.layers() - 1, end);
        let scores = (needs.buffer(capacity * 8, 0, end), needs.buffer(capacity * 4, 0, end));
        let result = needs.buffer(ALIGN, 0, end);
        let finite = needs.buffer(ALIGN, 0, end);
        let scratch = needs.buffer(scratch_bytes(request, &layers), request.layers(), end);
        let (places, bytes) = needs.place(ALIGN);
        let (net, mode, element) = (net.clone(), request.mode, request.element);
        Ok(Plan {
            net,
            capacity,
            mode,
            element,
            pixels,
            layers,
            parameters,
            logits,
            probabilities,
            scores,
            result,
            finite,
            scratch,
            input_gradient,
            places,
            bytes,
        })
    }

    /// Whether the layer before the last writes logits, in f32; else they are made of its output.
    pub(crate) fn has_logits(&self) -> bool {
        let before = self.layers.len().checked_sub(2).and_then(|before| self.layers.get(before));
        before.is_some_and(|before| before.product.is_some() && before.output.plane() == 1)
    }

    /// Where a buffer lies.
    pub(crate) fn place(&self, buffer: Buffer) -> Place {
        self.places[buffer.0]
    }
}

/// The window of a first convolution after its pixels are folded; `None` where the first layer is no such convolution.
fn first_window(net: &Net) -> Option<(usize, (usize, usize))> {
    match &net.layers()[0].op {
        Op::Conv(conv) if conv.groups == 1 && conv.stride.r == conv.stride.s => {
            let fold = conv.stride.r;
            Some((fold, (conv.kernel.r.div_ceil(fold), conv.kernel.s.div_ceil(fold))))
        }
        _ => None,
    }
}

/// A first convolution of stride f sees pixels folded f by f, which makes it one of stride 1 over f² times as many maps, a whole
/// number of vectors; the zeros around the image are written beside it.
fn plan_pixels(request: &Request<'_>, needs: &mut Needs) -> PixelPlan {
    let (net, input) = (request.net, request.net.input());
    let last = if request.mode == Mode::Train { request.end() } else { 1 };
    let folded = first_window(net).map(|(fold, (r, s))| {
        let Op::Conv(conv) = &net.layers()[0].op else { unreachable!("only a convolution has such a window") };
        let output = net.output_of(0);
        let c = (input.c * fold * fold).next_multiple_of(request.element.vector());
        (Shape { c, h: output.h + r - 1, w: output.w + s - 1 }, fold, conv.padding.top, conv.padding.left)
    });
    let (shape, fold, top, left) = folded.unwrap_or((input, 1, 0, 0));
    let buffer = needs.buffer(request.activation_bytes(shape), 0, last);
    PixelPlan { shape, fold, top, left, buffer, gradient: None }
}

/// Whether layer `index` is a normalisation whose work the pool behind it does.
fn is_pooled(request: &Request<'_>, index: usize) -> bool {
    let layers = request.net.layers();
    let (Op::Lrn(norm), Some(Op::MaxPool(pool))) = (&layers[index].op, layers.get(index + 1).map(|next| &next.op)) else {
        return false;
    };
    let shapes = (request.net.input_of(index), request.net.output_of(index + 1));
    pool.ties == Ties::First && !request.is_looked_at(index) && norm_pooling(norm, pool, shapes, false).fits(&request.pass())
}

/// A normalisation and the pool behind it, from the input of the one to the output of the other.
pub(crate) fn norm_pooling(norm: &LrnAcross, pool: &MaxPool, (input, output): (Shape, Shape), rectified: bool) -> NormPooling {
    NormPooling { norm: across(norm, input, rectified), windows: max_windows(pool, (input, output), false) }
}

/// A normalisation across maps, in an engine's numbers.
pub(crate) fn across(op: &LrnAcross, input: Shape, rectified: bool) -> Across {
    let (k, a, beta) = (op.k as f32, op.coefficient() as f32, op.beta as f32);
    Across { c: input.c, towers: op.towers, pixels: input.plane(), n: op.n, k, a, beta, rectified }
}

/// The windows of a pool.
pub(crate) fn max_windows(op: &MaxPool, (input, output): (Shape, Shape), rectified: bool) -> Windows {
    let (kernel, stride, top, left) = (op.kernel, op.stride, op.padding.top, op.padding.left);
    Windows { input, output, kernel, stride, top, left, rectified }
}

/// [`LayerPlan::through`] of an op behind `before`. Dropout has left 0 where it zeroes.
fn through(before: &[LayerPlan], op: &Op) -> Option<f32> {
    let is_product = matches!(op, Op::Conv(_) | Op::Local(_) | Op::Linear(_));
    let ops: Vec<&Op> = before.iter().rev().take(3).map(|layer| &layer.op).collect();
    match *ops.as_slice() {
        [Op::Dropout(dropout), Op::Relu, further] if is_product && !matches!(further, Op::Relu | Op::Dropout(_)) => {
            Some(train_factor(dropout))
        }
        [Op::Relu, further, ..] | [Op::Relu, further]
            if (is_product || matches!(op, Op::Lrn(_) | Op::MaxPool(_))) && !matches!(further, Op::Relu | Op::Dropout(_)) =>
        {
            Some(1.0)
        }
        _ => None,
    }
}

/// What dropout multiplies survivors by in training.
pub(crate) fn train_factor(dropout: &net::Dropout) -> f32 {
    if dropout.scaling == DropoutScaling::Train { (1.0 / (1.0 - dropout.rate)) as f32 } else { 1.0 }
}

/// Whether a layer's backward pass looks at its own output, as it wrote it.
fn needs_its_output(op: &Op) -> bool {
    match op {
        Op::Tanh => true,
        Op::MaxPool(pool) => pool.ties == Ties::All,
        // A rectifier asks whether its output is positive, which dropout in place answers rightly wherever there is a gradient.
        _ => false,
    }
}

fn plan_layers(request: &Request<'_>, needs: &mut Needs, pixels: &PixelPlan) -> Vec<LayerPlan> {
    let net = request.net;
    let mut layers: Vec<LayerPlan> = Vec::new();
    for (index, layer) in net.layers().iter().enumerate() {
        let (input, output) = (net.input_of(index), net.output_of(index));
        let through = through(&layers, &layer.op);
        if through.is_some() {
            layers.iter_mut().rev().take_while(|before| matches!(before.op, Op::Relu | Op::Dropout(_))).for_each(|before| {
                before.done_by_next = true;
            });
        }
        let before = layers.last_mut();
        let looked_at = index > 0 && request.is_looked_at(index - 1);
        let x = before.as_ref().map_or(pixels.buffer, |before| before.y);
        let product = match (index, first_window(net)) {
            (0, Some((_, window))) => Some(Product::folded(pixels.shape, output, window, request.element, request.capacity)),
            _ => Product::new(&layer.op, input, output, request.element, request.capacity),
        };
        let fused = layer.op == Op::Relu && !looked_at && before.as_ref().is_some_and(|before| before.product.is_some());
        let pointwise = matches!(layer.op, Op::Relu | Op::Tanh | Op::Dropout(_));
        let overwrites = before.as_ref().is_some_and(|before| !needs_its_output(&before.op));
        let in_place = fused || (pointwise && !looked_at && overwrites);
        let pooled = is_pooled(request, index);
        if let Some(before) = before {
            before.relu |= fused;
            before.kept &= !in_place;
        }
        // Logits and probabilities are f32 and have buffers of their own.
        let y = if in_place || pooled || layer.op == Op::Softmax {
            x
        } else {
            needs.buffer(request.activation_bytes(output), index, index)
        };
        needs.keep_until(x, index);
        needs.keep_until(y, request.last_use(index));
        let train = request.mode == Mode::Train;
        let argmax = match &layer.op {
            Op::MaxPool(pool) if train && pool.ties == Ties::First => {
                let bytes = crate::kernels::pool::arg_bytes(pool.kernel);
                Some(needs.buffer(request.capacity * output.len() * bytes, index, request.backward_at(index)))
            }
            _ => None,
        };
        if train {
            // The backward pass of a layer may look at its input.
            needs.keep_until(x, request.backward_at(index));
        }
        let kept = !pooled && (train || request.is_looked_at(index) || index + 1 == net.layers().len());
        layers.push(LayerPlan {
            name: layer.name.clone(),
            op: layer.op.clone(),
            input,
            output,
            x,
            y,
            dy: None,
            dx: None,
            fused,
            pooled,
            relu: false,
            kept,
            done_by_next: false,
            through,
            params: net.params_of(index),
            product,
            argmax,
        });
    }
    layers
}

/// Gradients by activations: one by every layer's output from the last to the first that learns; one buffer where a layer works on
/// it in place. Returns the buffer of the gradient by the pixels, where that is asked for.
fn plan_gradients(request: &Request<'_>, needs: &mut Needs, layers: &mut [LayerPlan], pixels: &mut PixelPlan) -> Option<Buffer> {
    if request.mode != Mode::Train {
        return None;
    }
    let first = if request.inspect { 0 } else { request.learns_from() };
    let mut dy: Option<Buffer> = None;
    for index in (0..layers.len()).rev() {
        let (at, input) = (request.backward_at(index), layers[index].input);
        layers[index].dy = dy;
        if let Some(dy) = dy {
            needs.keep_until(dy, at);
        }
        let passes_on = index > first || (request.inspect && index == 0);
        if !passes_on {
            break;
        }
        let in_place =
            layers[index].fused || layers[index].pooled || matches!(layers[index].op, Op::Relu | Op::Tanh | Op::Dropout(_));
        let shape = if index == 0 { pixels.shape } else { input };
        let dx = match dy {
            Some(dy) if in_place => dy,
            _ => needs.buffer(request.activation_bytes(shape), at, at + 1),
        };
        layers[index].dx = Some(dx);
        dy = Some(dx);
    }
    if !request.inspect {
        return None;
    }
    pixels.gradient = layers[0].dx;
    let buffer = needs.buffer(request.capacity * request.net.input().len() * F32, request.end() - 1, request.end());
    if let Some(gradient) = pixels.gradient {
        needs.keep_until(gradient, request.end());
    }
    Some(buffer)
}

/// Bytes for the partial sums of one layer at a time.
fn scratch_bytes(request: &Request<'_>, layers: &[LayerPlan]) -> usize {
    let one = |layer: &LayerPlan| {
        let weights = layer.product.as_ref().map_or(0, |product| product.partials().0);
        let biases = layer.bias_rows().partials_len(&request.pass());
        weights.max(biases) * F32
    };
    if request.mode == Mode::Train { layers.iter().filter(|layer| layer.params.is_some()).map(one).max().unwrap_or(0) } else { 0 }
}

fn check_sizes(request: &Request<'_>, layers: &[LayerPlan]) -> Result<()> {
    for layer in layers {
        let most = layer.input.plane().max(layer.output.plane());
        if request.capacity.saturating_mul(most) > MOST_PIXELS {
            let fits = MOST_PIXELS / most;
            return Err(fault(format!(
                "a batch of {} images is too large for `{}`: {fits} are the most",
                request.capacity, layer.name
            )));
        }
        if matches!(layer.op, Op::Local(_)) && most > MOST_BLOCKS {
            return Err(fault(format!("`{}` has {most} positions, a local layer may have {MOST_BLOCKS}", layer.name)));
        }
        if layer.input.len().max(layer.output.len()) > MOST_PIXELS {
            return Err(fault(format!("`{}` has more than 2^31 values an image", layer.name)));
        }
    }
    Ok(())
}
