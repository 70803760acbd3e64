//! A net on a GPU.

use net::{Batch, Bucket, Executor, Hyper, Kind, Net, ParamSet, Result, StepInfo, StepLoss, Tensor};

/// Runs one net on one GPU. There is none of it before [`crate::READY`].
#[derive(Debug)]
pub enum Cuda {}

impl Executor for Cuda {
    fn engine(&self) -> &'static str {
        match *self {}
    }

    fn net(&self) -> &Net {
        match *self {}
    }

    fn capacity(&self) -> usize {
        match *self {}
    }

    fn load(&mut self, _: Kind, _: &ParamSet) -> Result<()> {
        match *self {}
    }

    fn save(&mut self, _: Kind) -> Result<ParamSet> {
        match *self {}
    }

    fn forward_backward(&mut self, _: &Batch, _: StepInfo) -> Result<()> {
        match *self {}
    }

    fn take_loss(&mut self, _: bool) -> Result<Option<StepLoss>> {
        match *self {}
    }

    fn each_bucket(&mut self, _: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        match *self {}
    }

    fn apply(&mut self, _: &Hyper) -> Result<()> {
        match *self {}
    }

    fn forward(&mut self, _: &Batch) -> Result<&[f32]> {
        match *self {}
    }

    fn activation(&mut self, _: &str) -> Result<Tensor> {
        match *self {}
    }

    fn input_gradient(&mut self) -> Result<Tensor> {
        match *self {}
    }

    fn plan(&self) -> String {
        match *self {}
    }
}
