//! Arguments of the kernels of every layer but the products, of the update, and what these leave in memory.

use super::macros::{CType, Ptr, args};
use super::{Bytes, Elems, Floats, Look, Step, Uints};

/// `double*`
pub(crate) type Doubles = Ptr<f64>;

/// Types of this file whose addresses cross over.
macro_rules! pointers {
    ($($of:ty = $name:literal),+ $(,)?) => { $(impl CType for Ptr<$of> { const NAME: &'static str = $name; })+ };
}

pointers! {
    f64 = "double*", PassResult = "PassResult*", Parameter = "const Parameter*", Rate = "const Rate*",
    UpdateNumbers = "const UpdateNumbers*",
}

args! {
    /// `kernels/pointwise.cu`
    pub(crate) struct Pointwise {
        x: Elems,
        y: Elems,
        dy: Elems,
        dx: Elems,
        step: Ptr<Step>,
        /// Values of an image.
        len: u64,
        /// Of `scale`.
        factor: f32,
        reserved: u32,
    }

    /// `kernels/dropout.cu`
    pub(crate) struct Dropout {
        x: Elems,
        y: Elems,
        step: Ptr<Step>,
        c: u32,
        plane: u32,
        /// The layer's position in the net.
        layer: u32,
        /// Random numbers below it zero.
        threshold: u32,
        /// Of the survivors.
        factor: f32,
        reserved: u32,
    }

    /// `kernels/pool.cu`
    pub(crate) struct Pool {
        x: Elems,
        y: Elems,
        dy: Elems,
        dx: Elems,
        arg: Bytes,
        step: Ptr<Step>,
        c: u32,
        h: u32,
        w: u32,
        p: u32,
        q: u32,
        r: u32,
        s: u32,
        stride_r: u32,
        stride_s: u32,
        top: u32,
        left: u32,
        arg_bytes: u32,
        rectified: u32,
        reserved: u32,
    }

    /// `kernels/lrn.cu`
    pub(crate) struct Lrn {
        x: Elems,
        y: Elems,
        dy: Elems,
        dx: Elems,
        step: Ptr<Step>,
        c: u32,
        /// Maps of a tower.
        tower: u32,
        /// Pixels of an image.
        pixels: u32,
        n: u32,
        k: f32,
        /// The factor before the sum of squares.
        a: f32,
        beta: f32,
        /// How the power is computed: a number of `kernels/power.cuh`.
        power: u32,
        rectified: u32,
        reserved: u32,
    }

    /// `kernels/norm_pool.cu`
    pub(crate) struct NormPool {
        lrn: Lrn,
        pool: Pool,
        /// Maps, and rows of the output, that a block of the forward pass works on.
        maps: u32,
        rows: u32,
    }

    /// `kernels/lrn_within.cu`
    pub(crate) struct LrnWithin {
        x: Elems,
        y: Elems,
        dy: Elems,
        dx: Elems,
        step: Ptr<Step>,
        c: u32,
        h: u32,
        w: u32,
        n: u32,
        k: f32,
        /// The factor before the sum of squares.
        a: f32,
        beta: f32,
        /// How the power is computed: a number of `kernels/power.cuh`.
        power: u32,
        /// Pixels that a block works on.
        tile_h: u32,
        tile_w: u32,
    }

    /// `kernels/input.cu`
    pub(crate) struct Input {
        x: Floats,
        /// `[n, h, w, 3]` and `[n]`, where the pixels are bytes.
        rgb: Bytes,
        looks: Ptr<Look>,
        y: Elems,
        dy: Elems,
        dx: Floats,
        step: Ptr<Step>,
        c: u32,
        h: u32,
        w: u32,
        fold: u32,
        top: u32,
        left: u32,
        out_c: u32,
        out_h: u32,
        out_w: u32,
        /// Columns of `y` that a block works on.
        tile: u32,
    }

    /// `kernels/softmax.cu`
    pub(crate) struct Softmax {
        logits: Floats,
        probabilities: Floats,
        labels: Uints,
        /// Or null.
        second: Uints,
        /// Or null.
        shares: Floats,
        dz: Elems,
        nll: Doubles,
        hits: Uints,
        step: Ptr<Step>,
        classes: u32,
        /// Pixels of a map of what the logits were made of, mostly 1; classes are its values in the order `[c, h, w]`.
        plane: u32,
    }

    /// `softmax_logits` of `kernels/softmax.cu`
    pub(crate) struct Logits {
        x: Elems,
        logits: Floats,
        step: Ptr<Step>,
        classes: u32,
        /// Pixels of a map.
        plane: u32,
    }

    /// What a training pass found: a [`net::StepLoss`], on the device.
    pub(crate) struct PassResult {
        nll_sum: f64,
        top1: u32,
        images: u32,
        step: u32,
        /// 1 where `nll_sum` is finite, else 0.
        finite: u32,
    }

    /// `sum_losses` of `kernels/softmax.cu`
    pub(crate) struct SumLosses {
        nll: Doubles,
        hits: Uints,
        result: Ptr<PassResult>,
        step: Ptr<Step>,
    }

    /// One parameter of the list in device memory. Addresses are multiples of 16.
    pub(crate) struct Parameter {
        weight: Floats,
        velocity: Floats,
        gradient: Floats,
        /// What products read, or null.
        copy: Elems,
        /// Values.
        len: u64,
        /// The number of its first chunk; see `kernels/parameters.cuh`.
        first_chunk: u32,
        reserved: u32,
    }

    /// Rate and decay of one parameter: [`net::ParamHyper`], on the device.
    pub(crate) struct Rate {
        rate: f32,
        decay: f32,
    }

    /// What all parameters of an update share.
    pub(crate) struct UpdateNumbers {
        momentum: f32,
        /// 0 where the rate is inside, 1 where it is outside: [`net::Form`].
        form: u32,
    }

    /// `kernels/update.cu`
    pub(crate) struct Update {
        parameters: Ptr<Parameter>,
        rates: Ptr<Rate>,
        numbers: Ptr<UpdateNumbers>,
        /// Null, or 0 where nothing is to change.
        finite: Uints,
        step: Ptr<Step>,
        /// Parameters.
        count: u32,
        reserved: u32,
    }

    /// `kernels/check.cu`
    pub(crate) struct Check {
        parameters: Ptr<Parameter>,
        flags: Uints,
        finite: Uints,
        /// Parameters.
        count: u32,
        chunks: u32,
    }

    /// The kernels of `kernels/bias.cu` whose names begin with bias.
    pub(crate) struct Bias {
        dy: Elems,
        partials: Floats,
        gradient: Floats,
        step: Ptr<Step>,
        /// Channels.
        k: u32,
        /// Rows of an image.
        plane: u32,
        chunk_rows: u32,
        /// Threads of a block along channels.
        lanes: u32,
    }

    /// `finish` of `kernels/bias.cu`
    pub(crate) struct Finish {
        partials: Floats,
        gradient: Floats,
        /// Or null.
        mask: Bytes,
        step: Ptr<Step>,
        len: u64,
        parts: u32,
        /// Bytes of the mask, which counts again and again.
        mask_len: u32,
    }
}

/// Writes the C text of every structure of this file.
pub(crate) const STRUCTS: [fn() -> String; 18] = [
    <Pointwise as super::Struct>::C,
    <Dropout as super::Struct>::C,
    <Pool as super::Struct>::C,
    <Lrn as super::Struct>::C,
    <NormPool as super::Struct>::C,
    <LrnWithin as super::Struct>::C,
    <Input as super::Struct>::C,
    <Softmax as super::Struct>::C,
    <Logits as super::Struct>::C,
    <PassResult as super::Struct>::C,
    <SumLosses as super::Struct>::C,
    <Parameter as super::Struct>::C,
    <Rate as super::Struct>::C,
    <UpdateNumbers as super::Struct>::C,
    <Update as super::Struct>::C,
    <Check as super::Struct>::C,
    <Bias as super::Struct>::C,
    <Finish as super::Struct>::C,
];

impl PassResult {
    /// Its size in memory.
    pub(crate) const LEN: usize = size_of::<PassResult>();

    /// From the bytes that a kernel wrote.
    pub(crate) fn from_bytes(bytes: [u8; PassResult::LEN]) -> PassResult {
        let word = |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let [a, b, c, d, e, f, g, h, ..] = bytes;
        let nll_sum = f64::from_ne_bytes([a, b, c, d, e, f, g, h]);
        PassResult { nll_sum, top1: word(8), images: word(12), step: word(16), finite: word(20) }
    }
}
