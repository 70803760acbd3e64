//! The algorithm of each layer and pass.

use net::random::dropout_threshold;
use net::{Conv, DropoutScaling, Local, LrnAcross, LrnWithin, MaxPool, Mode, Op, Padding, Pair, Shape, Ties};

use super::layout::is_named;
use super::winograd::{self, Geometry, Tiled};
use super::{Context, Pass};
use crate::kernels::blocked::norm_pool_scratch_len;
use crate::kernels::conv::Window;
use crate::kernels::gemm::{LINE, LINE_DEPTH};
use crate::kernels::lrn::LrnNumbers;
use crate::kernels::lrn_within::WithinNumbers;
use crate::kernels::pool::PoolWindow;
use net::lifetimes::Buffer;

/// What a layer does, with all its numbers.
#[derive(Debug)]
pub(crate) enum OpPlan {
    Conv(Box<ConvPlan>),
    Local(LocalPlan),
    Linear(LinearPlan),
    Relu {
        /// Whether the layer before has already rectified.
        fused: bool,
        /// Whether the layer behind has already zeroed the gradient.
        masked: bool,
    },
    Tanh,
    Lrn {
        num: LrnNumbers,
        /// Whether images lie in blocks of channels.
        blocks: bool,
        /// Whether the gradient is 0 where the input is not positive.
        mask: bool,
    },
    /// A normalisation that [`MaxPoolPlan::norm`] does.
    LrnPooled(LrnNumbers),
    LrnWithin(WithinNumbers),
    MaxPool(MaxPoolPlan),
    AvgPool(PoolWindow),
    Dropout {
        threshold: u32,
        /// Multiplies what is kept in training.
        train: f32,
        /// Multiplies everything in testing.
        test: f32,
    },
    Softmax,
}

/// A convolution.
#[derive(Debug)]
pub(crate) struct ConvPlan {
    pub(crate) groups: usize,
    /// Output maps of a group.
    pub(crate) k: usize,
    /// Of a group.
    pub(crate) win: Window,
    pub(crate) relu: bool,
    pub(crate) algorithm: ConvAlgorithm,
}

impl ConvPlan {
    pub(crate) fn is_tiled(&self) -> bool {
        matches!(self.algorithm, ConvAlgorithm::Tiles(_))
    }
}

/// How all passes of a convolution are computed.
#[derive(Debug)]
pub(crate) enum ConvAlgorithm {
    Product(ConvProduct),
    Tiles(Tiled),
}

/// A convolution as matrix products: forward `y[k, (p, q)] = w[k, (c, r, s)] · x[(c, r, s), (p, q)]` for each image and group.
#[derive(Debug)]
pub(crate) struct ConvProduct {
    pub(crate) forward: ConvForward,
    pub(crate) weight: Option<ConvWeight>,
    pub(crate) data: Option<ConvData>,
}

/// The outputs.
#[derive(Debug)]
pub(crate) struct ConvForward {
    /// Output maps of a task: all of a group, or fewer where there are few images.
    pub(crate) rows: usize,
    /// Weights as panels, `[g, panel, (c, r, s), mr]`.
    pub(crate) packed: Buffer,
    /// Depth and positions of the block that a task packs at a time.
    pub(crate) block: (usize, usize),
}

/// The weight gradient, transposed: `dw[(c, r, s), k] = Σ_n x[(c, r, s), (p, q)] · dy[k, (p, q)]ᵀ`; a task owns some rows.
#[derive(Debug)]
pub(crate) struct ConvWeight {
    /// Images whose `dy` is packed at a time.
    pub(crate) images: usize,
    /// Rows of a task.
    pub(crate) rows: usize,
    /// Positions of a block.
    pub(crate) positions: usize,
    /// `[images, g, block, panel, position, nr]`
    pub(crate) dy: Buffer,
    /// `[g, rows rounded up to tasks, k]`
    pub(crate) transposed: Buffer,
}

/// The data gradient.
#[derive(Debug)]
pub(crate) enum ConvData {
    /// A stride-1 convolution of `dy` with the weights turned by half a turn.
    Flipped {
        /// Of a group, from `dy` to `dx`.
        win: Window,
        rows: usize,
        /// `[g, panel, (k, r, s), mr]`
        packed: Buffer,
        block: (usize, usize),
    },
    /// `wᵀ · dy`, whose columns are added up at the pixels they came from.
    Columns {
        /// Transposed weights, `[g, panel, k, mr]`.
        packed: Buffer,
        block: (usize, usize),
    },
}

/// Locally connected: for each position `y[n, k] = x[n, (c, r, s)] · w[k, (c, r, s)]ᵀ`.
#[derive(Debug)]
pub(crate) struct LocalPlan {
    pub(crate) k: usize,
    pub(crate) win: Window,
    pub(crate) relu: bool,
    /// `[position, n, k]`
    pub(crate) by_position: Buffer,
    /// Images of a task of the data gradient.
    pub(crate) images: usize,
}

/// `y[n, k] = x[n, i] · w[k, i]ᵀ`
#[derive(Debug)]
pub(crate) struct LinearPlan {
    pub(crate) k: usize,
    pub(crate) inputs: usize,
    pub(crate) relu: bool,
    pub(crate) forward: LinearForward,
    /// `dy` as panels of outputs and `x` as panels of inputs, both over the images: `[panel, n, mr]`, `[panel, n, nr]`.
    pub(crate) weight: Option<(Buffer, Buffer)>,
    /// `dy` as panels of images, `[panel, k, mr]`.
    pub(crate) data_dy: Option<Buffer>,
}

/// The forward pass of a linear layer.
#[derive(Debug)]
pub(crate) enum LinearForward {
    /// Dot products of weight rows, as they lie, with every image.
    MatrixVector,
    /// The same with weights and images rounded to bf16, `[k, i / 2]` and `[n, i / 2]`.
    RoundedRows { w: Buffer, x: Buffer },
    /// A product with `x` as panels of images, `[panel, i, mr]`, and `w` as panels of outputs, in blocks along `i` of
    /// `[panel, i, nr]`, where it is kept.
    Product { x: Buffer, w: Option<Buffer> },
}

/// Maximum pooling.
#[derive(Debug)]
pub(crate) struct MaxPoolPlan {
    pub(crate) win: PoolWindow,
    pub(crate) backward: MaxPoolBackward,
    /// Whether images lie in blocks of channels.
    pub(crate) blocks: bool,
    /// The normalisation of the input that is done on the way.
    pub(crate) norm: Option<LrnNumbers>,
    /// Whether windows of maximum 0 have no winner: the input is a ReLU's output, and that layer has nothing to do.
    pub(crate) rectified: bool,
}

/// How the maximum's backward pass finds the elements that won.
#[derive(Debug)]
pub(crate) enum MaxPoolBackward {
    /// The forward pass wrote them down, one byte each.
    Stored(Buffer),
    /// They are looked for again.
    Recomputed { all: bool },
}

/// The deepest block that is packed at a time: a panel of each operand of this depth fits the first-level cache.
const BLOCK_DEPTH: usize = 384;
/// The widest such block: with the depth above it fits the second-level cache.
const BLOCK_COLS: usize = 256;
/// Outputs or inputs of a linear layer's task.
pub(crate) const LINEAR_COLS: usize = 128;
/// Outputs of a task of a linear layer whose weights are read as they lie.
pub(crate) const LINEAR_ROWS: usize = 24;
/// The largest batch for which that is done: with more images, packing weights costs less than what packed panels save.
const MATRIX_VECTOR_IMAGES: usize = 8;
/// Outputs and inputs of a task of a linear layer's weight gradient.
pub(crate) const LINEAR_WEIGHT_BLOCK: (usize, usize) = (96, 1024);
/// Values of packed `dy` that several tasks read: a part of the last-level cache.
const SHARED_VALUES: usize = 2 << 20;
/// Tasks that a pass should have at least, whatever the number of threads.
pub(crate) const TASKS: usize = 16;

/// Equal blocks of at most `most` that cover `size`, rounded up to a multiple of `of`.
fn balanced(size: usize, most: usize, of: usize) -> usize {
    size.div_ceil(size.div_ceil(most)).next_multiple_of(of)
}

/// The largest of 8, 4, 2, 1 times `unit` that leaves [`TASKS`] tasks of `size`, `times` over.
fn rows_of_task(size: usize, unit: usize, times: usize) -> usize {
    [8, 4, 2].iter().map(|n| n * unit).find(|rows| size.div_ceil(*rows) * times >= TASKS).unwrap_or(unit)
}

pub(super) fn window(input: Shape, output: Shape, groups: usize, kernel: Pair, stride: Pair, padding: Padding) -> Window {
    let (Shape { c, h, w }, Pair { r, s }) = (input, kernel);
    let (stride_r, stride_s, top, left) = (stride.r, stride.s, padding.top, padding.left);
    Window { c: c / groups, h, w, r, s, stride_r, stride_s, top, left, p: output.h, q: output.w }
}

fn pool_window(input: Shape, output: Shape, kernel: Pair, stride: Pair, padding: Padding) -> PoolWindow {
    let (Shape { h, w, .. }, Pair { r, s }) = (input, kernel);
    let (stride_r, stride_s, top, left) = (stride.r, stride.s, padding.top, padding.left);
    PoolWindow { h, w, r, s, stride_r, stride_s, top, left, p: output.h, q: output.w }
}

/// What the layer of `context` is to do with its neighbours.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Surroundings {
    /// Whether the layer before does this one's work: a ReLU's.
    pub(super) done_before: bool,
    /// Whether the layer behind does this one's work: a normalisation's, which is pooled.
    pub(super) done_behind: bool,
    /// The normalisation whose work this pooling does.
    pub(super) normalises: Option<LrnNumbers>,
    /// Whether the input is a ReLU's output whose gradient this layer can zero itself.
    pub(super) rectified: bool,
    /// The tiles of a convolution that goes through tiles.
    pub(super) tiles: Option<Geometry>,
    /// The layout of the input and of the output, where they are the same.
    pub(super) blocks: bool,
}

/// Decides for the layer of `context`.
pub(super) fn op(context: &mut Context<'_>, around: Surroundings) -> OpPlan {
    let net = context.request.net;
    let (input, output) = (net.input_of(context.layer), net.output_of(context.layer));
    match &net.layers()[context.layer].op {
        Op::Conv(op) => OpPlan::Conv(Box::new(conv(context, op, input, output, around.tiles))),
        Op::Local(op) => OpPlan::Local(local(context, op, input, output)),
        Op::Linear(op) => OpPlan::Linear(linear(context, input.len(), op.k)),
        Op::Relu => {
            let (algorithm, reason) = match around.done_before {
                true => ("fused", "the layer before rectifies what it writes"),
                false => ("pointwise", ""),
            };
            let flops = input.len() as u64;
            context.note(Pass::Forward, algorithm, reason, flops, 0);
            if context.data_gradient {
                context.note(Pass::Data, "pointwise", "", flops, 0);
            }
            OpPlan::Relu { fused: around.done_before, masked: false }
        }
        Op::Tanh => {
            simple(context, "pointwise", "", input.len(), 1);
            OpPlan::Tanh
        }
        Op::Lrn(op) => lrn(context, op, input, around),
        Op::LrnWithin(op) => lrn_within(context, op, input),
        Op::MaxPool(op) => max_pool(context, op, input, output, around),
        Op::AvgPool(op) => {
            simple(context, "windows", "", output.len(), op.kernel.r * op.kernel.s);
            OpPlan::AvgPool(pool_window(input, output, op.kernel, op.stride, op.padding))
        }
        Op::Dropout(op) => {
            simple(
                context,
                "addressed mask",
                "drawn again in the backward pass, which costs less than to keep it",
                input.len(),
                1,
            );
            let keep = 1.0 - op.rate;
            let (train, test) = match op.scaling {
                DropoutScaling::Train => ((1.0 / keep) as f32, 1.0),
                DropoutScaling::Test => (1.0, keep as f32),
            };
            OpPlan::Dropout { threshold: dropout_threshold(op.rate), train, test }
        }
        Op::Softmax => {
            simple(context, "per image", "with cross-entropy in training", input.len(), 4);
            OpPlan::Softmax
        }
        other => unreachable!("{} has no plan", other.kind()),
    }
}

/// Notes for ops that do the same in both directions.
fn simple(context: &mut Context<'_>, algorithm: &'static str, reason: &str, values: usize, flops_each: usize) {
    let flops = (values * flops_each) as u64;
    context.note(Pass::Forward, algorithm, reason, flops, 0);
    if context.data_gradient {
        context.note(Pass::Data, algorithm, reason, flops, 0);
    }
}

fn conv(context: &mut Context<'_>, op: &Conv, input: Shape, output: Shape, tiles: Option<Geometry>) -> ConvPlan {
    let (groups, k) = (op.groups, op.k / op.groups);
    let win = window(input, output, groups, op.kernel, op.stride, op.padding);
    let flops = 2 * context.request.net.multiply_adds_of(context.layer);
    let algorithm = match tiles {
        Some(tiles) => ConvAlgorithm::Tiles(winograd::plan(context, tiles, groups, &win, flops)),
        None => ConvAlgorithm::Product(ConvProduct {
            forward: conv_product(context, groups, k, &win, flops),
            weight: context.backward.then(|| conv_weight(context, groups, k, &win, flops)),
            data: context.data_gradient.then(|| conv_data(context, groups, k, &win, flops)),
        }),
    };
    ConvPlan { groups, k, win, relu: false, algorithm }
}

fn conv_product(context: &mut Context<'_>, groups: usize, k: usize, win: &Window, flops: u64) -> ConvForward {
    let gemm = context.request.gemm;
    let block = (balanced(win.depth(), BLOCK_DEPTH, 1), balanced(win.positions(), BLOCK_COLS, gemm.nr()));
    let rows = match context.request.capacity * groups {
        tasks if tasks >= TASKS => k,
        tasks => balanced(k, k.div_ceil(TASKS.div_ceil(tasks)), gemm.mr()),
    };
    let packed_len = groups * gemm.a_len(k, win.depth());
    let packed = context.weights_buffer(packed_len);
    context.scratch(win.spread_len(win.c) + gemm.b_len(block.0, block.1));
    let (by_tiles, product) = winograd::costs(groups, win, k);
    let model = winograd::model_of(by_tiles, product);
    let reason = format!("{model}; columns are cut from the image into cache in blocks of {} × {}; bias fused", block.0, block.1);
    context.note(Pass::Forward, "implicit product", reason, flops, packed_len);
    ConvForward { rows, packed, block }
}

fn conv_weight(context: &mut Context<'_>, groups: usize, k: usize, win: &Window, flops: u64) -> ConvWeight {
    let (gemm, at) = (context.request.gemm, context.backward_at());
    let rows = rows_of_task(win.depth(), gemm.mr(), groups);
    let positions = balanced(win.positions(), LINE_DEPTH, 1);
    let image = groups * gemm.b_len(win.positions(), k);
    let images = (SHARED_VALUES / image).clamp(1, context.request.capacity);
    let dy = context.needs.buffer(images * image, at, at);
    let transposed_len = groups * win.depth().next_multiple_of(rows) * k;
    let transposed = context.needs.buffer(transposed_len, at, at);
    let maps = (rows - 1).div_ceil(win.r * win.s) + 1;
    context.scratch(win.spread_len(maps.min(win.c)) + rows * LINE);
    let reason = format!("a task owns {rows} rows of the transpose and adds images in order: no partial sums");
    context.note(Pass::Weight, "transposed product", reason, flops, images * image + transposed_len);
    ConvWeight { images, rows, positions, dy, transposed }
}

fn conv_data(context: &mut Context<'_>, groups: usize, k: usize, win: &Window, flops: u64) -> ConvData {
    let (gemm, at) = (context.request.gemm, context.backward_at());
    if win.stride_r == 1 && win.stride_s == 1 && win.top < win.r && win.left < win.s {
        let flipped =
            Window { c: k, h: win.p, w: win.q, top: win.r - 1 - win.top, left: win.s - 1 - win.left, p: win.h, q: win.w, ..*win };
        let block = (balanced(flipped.depth(), BLOCK_DEPTH, 1), balanced(flipped.positions(), BLOCK_COLS, gemm.nr()));
        let rows = match context.request.capacity * groups {
            tasks if tasks >= TASKS => win.c,
            tasks => balanced(win.c, win.c.div_ceil(TASKS.div_ceil(tasks)), gemm.mr()),
        };
        let packed_len = groups * gemm.a_len(win.c, flipped.depth());
        let packed = context.needs.buffer(packed_len, at, at);
        context.scratch(flipped.spread_len(k) + gemm.b_len(block.0, block.1));
        let reason = "stride 1: a convolution with turned weights writes each pixel once";
        context.note(Pass::Data, "flipped implicit product", reason, flops, packed_len);
        return ConvData::Flipped { win: flipped, rows, packed, block };
    }
    let block = (balanced(k, BLOCK_DEPTH, 1), balanced(win.positions(), BLOCK_COLS, gemm.nr()));
    let packed_len = groups * gemm.a_len(win.depth(), k);
    let packed = context.needs.buffer(packed_len, at, at);
    context.scratch(gemm.b_len(block.0, block.1) + win.depth() * block.1);
    context.note(
        Pass::Data,
        "product, columns added",
        "the stride is not 1, or the padding exceeds the kernel",
        flops,
        packed_len,
    );
    ConvData::Columns { packed, block }
}

fn linear(context: &mut Context<'_>, inputs: usize, k: usize) -> LinearPlan {
    let (gemm, n) = (context.request.linear, context.request.capacity);
    let (forward_at, backward_at) = (context.forward_at(), context.backward_at());
    let (flops, bf16) = (2 * (inputs * k) as u64, gemm.is_bf16());
    let stays = bf16 && context.request.mode == Mode::Infer;
    let product = if bf16 { "bf16 product" } else { "product" };
    let forward = if n <= MATRIX_VECTOR_IMAGES && (stays || !bf16) {
        let (name, w_len, x_len) = match stays {
            true => ("bf16 matrix-vector", k * gemm.words(inputs), n * gemm.words(inputs)),
            false => ("matrix-vector", 0, 0),
        };
        let how = if stays { "rounded once" } else { "as they lie" };
        let reason = format!("at most {MATRIX_VECTOR_IMAGES} images: weights are read once, {how}; bias fused");
        context.note(Pass::Forward, name, reason, flops, w_len + x_len);
        match stays {
            true => LinearForward::RoundedRows {
                w: context.weights_buffer(w_len),
                x: context.needs.buffer(x_len, forward_at, forward_at),
            },
            false => LinearForward::MatrixVector,
        }
    } else {
        let (x_len, w_len) = (gemm.a_len(n, inputs), if stays { gemm.b_len(inputs, k) } else { 0 });
        let how = if stays { "once" } else { "as they are read" };
        context.note(Pass::Forward, product, format!("images are packed once, weights {how}; bias fused"), flops, x_len + w_len);
        context.scratch(gemm.b_len(BLOCK_DEPTH, LINEAR_COLS));
        let w = stays.then(|| context.weights_buffer(w_len));
        LinearForward::Product { x: context.needs.buffer(x_len, forward_at, forward_at), w }
    };
    let weight = context.backward.then(|| {
        let (dy_len, x_len) = (gemm.a_len(k, n), gemm.b_len(n, inputs));
        context.note(Pass::Weight, product, "both operands packed once; each block written once", flops, dy_len + x_len);
        (context.needs.buffer(dy_len, backward_at, backward_at), context.needs.buffer(x_len, backward_at, backward_at))
    });
    let data_dy = context.data_gradient.then(|| {
        let len = gemm.a_len(n, k);
        context.scratch(gemm.b_len(BLOCK_DEPTH, LINEAR_COLS));
        context.note(Pass::Data, product, "gradients are packed once, weights as they are read", flops, len);
        context.needs.buffer(len, backward_at, backward_at)
    });
    LinearPlan { k, inputs, relu: false, forward, weight, data_dy }
}

/// The depth of the blocks in which a linear layer's products of depth `depth` are summed: even, so that pairs stay together.
pub(crate) fn linear_depth(depth: usize) -> usize {
    balanced(depth, BLOCK_DEPTH, 2)
}

fn local(context: &mut Context<'_>, op: &Local, input: Shape, output: Shape) -> LocalPlan {
    let (gemm, n, k) = (context.request.gemm, context.request.capacity, op.k);
    let win = window(input, output, 1, op.kernel, op.stride, op.padding);
    let (depth, flops) = (win.depth(), 2 * context.request.net.multiply_adds_of(context.layer));
    let moment = context.forward_at();
    let len = win.positions() * n * k;
    let by_position = context.needs.buffer(len, moment, if context.backward { context.backward_at() } else { moment });
    let images = n.div_ceil(TASKS).max(gemm.mr()).min(n);
    context.scratch(n * depth + gemm.a_len(n, depth) + gemm.b_len(depth, k));
    context.note(Pass::Forward, "product per position", "every position has weights of its own", flops, len);
    if context.backward {
        context.scratch(n * depth + gemm.a_len(k, n) + gemm.b_len(n, depth));
        context.note(Pass::Weight, "product per position", "a task owns a position", flops, len);
    }
    if context.data_gradient {
        context.scratch(gemm.a_len(images, k) + gemm.b_len(k, depth) + images * depth);
        context.note(Pass::Data, "product per position", format!("a task owns {images} images"), flops, len);
    }
    LocalPlan { k, win, relu: false, by_position, images }
}

fn lrn(context: &mut Context<'_>, op: &LrnAcross, input: Shape, around: Surroundings) -> OpPlan {
    let num = LrnNumbers::new(op, input.c);
    let flops = 2 * op.n + 8;
    if around.done_behind {
        simple(context, "fused", "the layer behind pools the rows as they are normalised", input.len(), flops);
        return OpPlan::LrnPooled(num);
    }
    context.scratch(if around.blocks { num.blocks_scratch_len() } else { num.scratch_len() });
    let reason = match (around.blocks, op.beta == 0.75) {
        (true, true) => "power 3/4 by the inverse fourth root",
        (false, true) => "power 3/4 by square roots",
        (_, false) => "power by the library",
    };
    simple(context, if around.blocks { "blocks of maps" } else { "strips of pixels" }, reason, input.len(), flops);
    OpPlan::Lrn { num, blocks: around.blocks, mask: around.blocks && around.rectified }
}

fn lrn_within(context: &mut Context<'_>, op: &LrnWithin, input: Shape) -> OpPlan {
    let (a, beta) = (op.coefficient() as f32, op.beta as f32);
    let numbers = WithinNumbers { h: input.h, w: input.w, n: op.n, k: op.k as f32, a, beta };
    context.scratch(numbers.scratch_len());
    simple(context, "row then column sums", "", input.len(), 2 * op.n + 8);
    OpPlan::LrnWithin(numbers)
}

fn max_pool(context: &mut Context<'_>, op: &MaxPool, input: Shape, output: Shape, around: Surroundings) -> OpPlan {
    let win = pool_window(input, output, op.kernel, op.stride, op.padding);
    let area = op.kernel.r * op.kernel.s;
    let blocks = around.blocks;
    context.scratch(match around.normalises {
        Some(num) => norm_pool_scratch_len(&num, &win),
        None if blocks => 0,
        None => win.max_scratch_len(),
    });
    let algorithm = match (around.normalises, blocks) {
        (Some(_), _) => "normalise and pool",
        (None, true) => "windows of vectors",
        (None, false) => "columns, then windows",
    };
    context.note(Pass::Forward, algorithm, "", (output.len() * area) as u64, 0);
    let stored = if blocks { is_named(op) } else { op.ties == Ties::First && area <= 256 };
    let backward = if stored && context.data_gradient {
        let len = (context.request.capacity * output.len()).div_ceil(size_of::<f32>());
        let reason = "one byte an output names the winner";
        context.note(Pass::Data, "winners stored", reason, output.len() as u64, len);
        MaxPoolBackward::Stored(context.needs.buffer(len, context.forward_at(), context.backward_at()))
    } else {
        if context.data_gradient {
            let reason = if stored { "" } else { "a window may have several winners, or more elements than a byte counts" };
            context.note(Pass::Data, "winners searched", reason, (output.len() * area) as u64, 0);
        }
        MaxPoolBackward::Recomputed { all: op.ties == Ties::All }
    };
    OpPlan::MaxPool(MaxPoolPlan { win, backward, blocks, norm: around.normalises, rectified: blocks && around.rectified })
}
