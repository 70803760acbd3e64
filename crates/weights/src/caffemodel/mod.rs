//! Caffe's files: trained nets (`NetParameter`, `.caffemodel`), single blobs such as mean images (`BlobProto`,
//! `.binaryproto`), and the text form of a net (`.prototxt`), which is only written.
//!
//! All are protocol buffers; the fields' numbers are those of `src/caffe/proto/caffe.proto` in BVLC/caffe. Three generations
//! of layers are read: those of 2015 and later (`layer`, [`LayerParameter`](read) with types by name), those before
//! (`layers`, types by number), and the first ones (`layers` that hold a `layer`). What is read is what the file says, in
//! the newest generation's words; which network that is, is for others to say.
//!
//! A blob whose values stand together and aligned stays in the mapped file. No count that a file claims is allocated: a file
//! yields at most [`MOST_ITEMS`] names, sizes, rules and blobs, and as many values as it has bytes for.

mod prototxt;
mod read;
mod settings;
#[cfg(test)]
mod tests;
mod write;

pub use prototxt::prototxt;
pub use read::{blob, read, recognises};
pub use write::{write, write_blob, write_blob_to};

use net::SharedTensor;

/// The most layers, names, sizes, rules and blobs of one file, all counted together: far more than any net has.
pub const MOST_ITEMS: usize = 100_000;

/// The field of `NetParameter` under which this program keeps a text: far above Caffe's numbers, so that Caffe skips it.
const TEXT: u32 = 20_000_001;
/// The same for tensors that belong to no layer: messages of a name (1) and a blob (2).
const EXTRA: u32 = 20_000_002;

/// A `NetParameter`.
#[derive(Debug, Clone, Default)]
pub struct Contents {
    /// The net's name.
    pub name: String,
    /// Inputs that no layer makes, with their shapes: batch, channels, rows, columns. A shape may be missing (empty).
    pub inputs: Vec<(String, Vec<usize>)>,
    /// The layers, in the order in which they run.
    pub layers: Vec<Layer>,
    /// The text that this program put into the file, if it wrote it.
    pub text: Option<String>,
    /// Tensors that this program put into the file beside the layers' own.
    pub extras: Vec<(String, SharedTensor)>,
}

/// A layer.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// Its name.
    pub name: String,
    /// Its type as the newest generation of layers calls it: `Convolution`, `InnerProduct`, `LRN`, …
    pub kind: String,
    /// The blobs that it reads.
    pub bottoms: Vec<String>,
    /// The blobs that it writes.
    pub tops: Vec<String>,
    /// When it is there; always, if neither this nor [`Layer::exclude`] says something.
    pub include: Vec<Rule>,
    /// When it is not there.
    pub exclude: Vec<Rule>,
    /// What its type needs to know.
    pub settings: Settings,
    /// What a layer that reads data does to it.
    pub transform: Transform,
    /// Its parameters, in its order: weights, then biases. Shapes as they stand, `[1, 1, out, in]` in old files.
    pub blobs: Vec<SharedTensor>,
}

/// When a layer is there: `NetStateRule`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// In testing (`true`) or in training only.
    pub test: Option<bool>,
    /// From this level on.
    pub min_level: Option<i64>,
    /// Up to this level.
    pub max_level: Option<i64>,
    /// Whether it asks for stages, which plain testing has none of.
    pub stages: bool,
}

impl Rule {
    /// Whether it holds at level 0 without stages.
    fn holds(&self, test: bool) -> bool {
        self.test.is_none_or(|asked| asked == test)
            && self.min_level.is_none_or(|level| level <= 0)
            && self.max_level.is_none_or(|level| level >= 0)
            && !self.stages
    }
}

impl Layer {
    /// Whether it is there in testing, or in training if `test` is false.
    pub fn is_there(&self, test: bool) -> bool {
        match self.include.is_empty() {
            true => !self.exclude.iter().any(|rule| rule.holds(test)),
            false => self.include.iter().any(|rule| rule.holds(test)),
        }
    }
}

/// What a layer's type needs to know; defaults where the file leaves something out.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Settings {
    /// Nothing, or the file does not say it.
    #[default]
    Unsaid,
    /// `ConvolutionParameter`.
    Convolution(Convolution),
    /// `PoolingParameter`.
    Pooling(Pooling),
    /// `LRNParameter`.
    Lrn(Lrn),
    /// `InnerProductParameter`.
    InnerProduct(InnerProduct),
    /// `DropoutParameter`: the probability of zeroing.
    Dropout(f32),
    /// `ReLUParameter`: the slope below 0.
    Relu(f32),
    /// `PowerParameter`: `(shift + scale · x) ^ power`.
    Power {
        /// The exponent.
        power: f32,
        /// The factor.
        scale: f32,
        /// The summand.
        shift: f32,
    },
    /// `InputParameter`: the tops' shapes.
    Input(Vec<Vec<usize>>),
    /// `SliceParameter`: the axis, and where its parts after the first begin; equal parts if nowhere.
    Slice(i64, Vec<usize>),
    /// `ConcatParameter`: the axis.
    Concat(i64),
    /// `SoftmaxParameter`: the axis.
    Softmax(i64),
}

/// `ConvolutionParameter`: pairs are vertical, horizontal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Convolution {
    /// Output maps.
    pub outputs: usize,
    /// Window.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Zeros on both sides.
    pub pad: [usize; 2],
    /// Distance of the window's taps.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Whether there are biases.
    pub bias: bool,
}

/// How a pooling layer makes one of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolMethod {
    /// The largest.
    Max,
    /// The mean.
    Average,
    /// One by chance.
    Stochastic,
}

/// `PoolingParameter`: pairs are vertical, horizontal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooling {
    /// Largest or mean.
    pub method: PoolMethod,
    /// Window; 0 where it is the whole image.
    pub kernel: [usize; 2],
    /// Step.
    pub stride: [usize; 2],
    /// Room on both sides.
    pub pad: [usize; 2],
    /// Whether the window is the whole image.
    pub global: bool,
    /// Whether a last window that overhangs is dropped; Caffe keeps it unless told otherwise (`round_mode`).
    pub floor: bool,
}

/// `LRNParameter`.
#[derive(Debug, Clone, PartialEq)]
pub struct Lrn {
    /// Window: maps, or a window's side within a map.
    pub size: usize,
    /// Weight of the window's mean square, for Caffe divides it by the window's maps or area.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Summand; Caffe takes 1 within a map, whatever this says.
    pub k: f32,
    /// Whether it is within a map, not across maps.
    pub within: bool,
}

/// `InnerProductParameter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InnerProduct {
    /// Outputs.
    pub outputs: usize,
    /// Whether there are biases.
    pub bias: bool,
    /// The first axis that is summed over.
    pub axis: i64,
    /// Whether weights are `[in, out]`.
    pub transpose: bool,
}

/// What a layer that reads data does to it: `TransformationParameter`, or the same in the fields of older layers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Transform {
    /// Side of the crop, where there is one.
    pub crop: Option<usize>,
    /// The factor after the subtraction of the mean.
    pub scale: Option<f32>,
    /// The mean image's file.
    pub mean_file: Option<String>,
    /// Mean of each channel, or of all.
    pub mean_values: Vec<f32>,
}

impl Default for Lrn {
    fn default() -> Lrn {
        Lrn { size: 5, alpha: 1.0, beta: 0.75, k: 1.0, within: false }
    }
}
