//! The contract of whoever runs a net.
//!
//! It is whole-network on purpose: fusion, layouts, memory plans and overlap stay inside an engine. An engine also has a
//! function `prepare(&Net, batch, Mode, &Options)` that plans and allocates; after it, a training step allocates nothing.
//!
//! A training step is `forward_backward` once for each micro-batch, then `each_bucket` where several machines share the
//! work, then `apply`. None of the calls needs the host to wait for a device, except those that return values.

use crate::{Batch, Net, ParamSet, Result, Tensor};

/// What an executor is prepared for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Forward, backward, update, and forward as in [`Mode::Infer`].
    Train,
    /// Forward only.
    Infer,
}

/// What an engine may round to, where that makes it faster: the operands of products, and with [`Precision::Bf16`] and
/// [`Precision::F16`] also what it keeps between layers. Weights, momenta, gradients of parameters and sums stay f32. An engine
/// refuses what it does not compute in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 24 bits: nothing is rounded.
    #[default]
    F32,
    /// 11 bits with the exponents of f32, in products alone: what GPUs multiply f32 in. CPUs do not.
    Tf32,
    /// 8 bits with the exponents of f32. Where a CPU has no instruction for it, the same bits are computed without, slowly.
    Bf16,
    /// IEEE half precision: 11 bits with small exponents, so that gradients need a scale against underflow. CPUs do not.
    F16,
}

impl Precision {
    /// All of them, from the most exact on.
    pub const ALL: [Precision; 4] = [Precision::F32, Precision::Tf32, Precision::Bf16, Precision::F16];
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Precision::F32 => "f32",
            Precision::Tf32 => "tf32",
            Precision::Bf16 => "bf16",
            Precision::F16 => "f16",
        })
    }
}

/// Which of the three tensors that a parameter has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The parameters themselves.
    Weights,
    /// The velocity of [`Form`].
    Momentum,
    /// The gradient of the step's mean loss, by the last `forward_backward`.
    Gradients,
}

/// Where a micro-batch stands: all that a forward-backward pass may depend on besides pixels, labels and parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepInfo {
    /// The run's seed.
    pub seed: u64,
    /// The number of the training step, from 0.
    pub step: u32,
    /// The position of the batch's first image in the step's mini-batch; image `i` draws its dropout masks at
    /// `first_image + i`. Gradients are overwritten where this is 0 and added to where it is not.
    pub first_image: u32,
    /// Images in the whole step: the loss's gradient is divided by this.
    pub step_images: u32,
}

impl StepInfo {
    /// A step that consists of one batch of `n` images.
    pub fn whole(seed: u64, step: u32, n: usize) -> StepInfo {
        StepInfo { seed, step, first_image: 0, step_images: n as u32 }
    }
}

/// What one forward-backward pass found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepLoss {
    /// The step of the pass.
    pub step: u32,
    /// Images in the pass.
    pub images: u32,
    /// Sum over the images of −ln p(label), of a mixed image `−s·ln p(label) − (1 − s)·ln p(second)` with the share `s` of its
    /// label; not finite where training has diverged.
    pub nll_sum: f64,
    /// Images whose label, of a mixed image that of the larger share ([`crate::Target::main`]), has the highest probability, the
    /// lowest class index winning ties.
    pub top1: u32,
}

/// Where the learning rate stands in the update. With g the gradient of the mean loss, ε the rate, λ the decay:
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// `v ← m·v − ε·λ·w − ε·g; w ← w + v` (the paper, cuda-convnet, Caffe).
    #[default]
    RateInside,
    /// `v ← m·v + g + λ·w; w ← w − ε·v` (PyTorch).
    RateOutside,
}

/// The numbers of one update, for every parameter of the net.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hyper {
    /// Which update.
    pub form: Form,
    /// `m`
    pub momentum: f32,
    /// Rate and decay of each parameter, in the order of [`Net::params`].
    pub params: Vec<ParamHyper>,
}

/// The numbers of one update for one parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ParamHyper {
    /// `ε`; at 0 the parameter and its velocity stay as they are.
    pub rate: f32,
    /// `λ`
    pub decay: f32,
}

/// A block of gradients that is final and may be reduced over machines.
#[derive(Debug)]
pub struct Bucket<'a> {
    /// Buckets are numbered from 0; the last layers' gradients come first.
    pub index: usize,
    /// The gradients, in the engine's own order, which is the same on every machine that runs the same plan.
    pub values: BucketValues<'a>,
}

/// Where a bucket's gradients lie.
#[derive(Debug)]
#[non_exhaustive]
pub enum BucketValues<'a> {
    /// In host memory.
    Host(&'a mut [f32]),
}

/// Runs one net.
pub trait Executor: Send {
    /// The engine's name: `cpu`, `reference`, …
    fn engine(&self) -> &'static str;

    /// The net it was prepared for.
    fn net(&self) -> &Net;

    /// The most images that one batch may hold.
    fn capacity(&self) -> usize;

    /// Whether batches may hold [`crate::Pixels::Bytes`].
    fn takes_bytes(&self) -> bool {
        false
    }

    /// Sets weights, momenta or gradients.
    ///
    /// # Errors
    /// Where the tensors are not exactly those of the net.
    fn load(&mut self, kind: Kind, values: &ParamSet) -> Result<()>;

    /// Weights, momenta or gradients in the net's own layout.
    ///
    /// # Errors
    /// Where the executor does not hold them (only weights in [`Mode::Infer`]).
    fn save(&mut self, kind: Kind) -> Result<ParamSet>;

    /// Starts a forward and a backward pass on a batch; it has been read when the call returns.
    ///
    /// # Errors
    /// Where the batch is empty, too large, of another shape, or has a label that is no class or a share that is none.
    fn forward_backward(&mut self, batch: &Batch, info: StepInfo) -> Result<()>;

    /// The result of the oldest pass not yet taken. `None` where there is none or, unless `wait`, it is still running.
    ///
    /// # Errors
    /// Where the pass failed on its device.
    fn take_loss(&mut self, wait: bool) -> Result<Option<StepLoss>>;

    /// Shows every bucket of gradients once, the last layers' first.
    ///
    /// # Errors
    /// The first error of `visit`.
    fn each_bucket(&mut self, visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()>;

    /// Updates weights and momenta from the gradients.
    ///
    /// # Errors
    /// Where `hyper` does not have one entry for each parameter.
    fn apply(&mut self, hyper: &Hyper) -> Result<()>;

    /// Class probabilities `[n, classes]` as in testing: no random number, dropout as its scaling says.
    ///
    /// # Errors
    /// Where the batch is empty, too large or of another shape.
    fn forward(&mut self, batch: &Batch) -> Result<&[f32]>;

    /// The output of a layer in the last pass, `[n, k, p, q]`.
    ///
    /// # Errors
    /// Where there is no such layer, or the plan did not keep its output.
    fn activation(&mut self, layer: &str) -> Result<Tensor>;

    /// The gradient of the step's mean loss by the input pixels in the last `forward_backward`, `[n, c, h, w]`.
    ///
    /// # Errors
    /// Where the executor was not prepared to compute it.
    fn input_gradient(&mut self) -> Result<Tensor>;

    /// The plan as a table: for each layer the algorithm, why, bytes and FLOPs.
    fn plan(&self) -> String;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Holder {
        precision: Precision,
    }

    #[test]
    fn precisions_are_written_as_they_print() {
        assert_eq!(Precision::ALL.map(|precision| precision.to_string()), ["f32", "tf32", "bf16", "f16"]);
        for precision in Precision::ALL {
            let text = format!("precision = \"{precision}\"\n");
            assert_eq!(toml::to_string(&Holder { precision }).unwrap(), text);
            assert_eq!(toml::from_str::<Holder>(&text).unwrap().precision, precision);
        }
    }
}
