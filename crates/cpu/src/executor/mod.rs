//! Walks the plan.

use net::{Batch, Bucket, Error, Executor, Hyper, Kind, Mode, Net, ParamSet, Result, StepInfo, StepLoss, Tensor};

use crate::Options;

/// A prepared net.
pub struct Cpu {
    net: Net,
    capacity: usize,
}

impl Cpu {
    pub(crate) fn new(net: &Net, batch: usize, _mode: Mode, _options: &Options) -> Result<Cpu> {
        Ok(Cpu { net: net.clone(), capacity: batch })
    }
}

fn missing<T>() -> Result<T> {
    Err(Error::Engine { engine: "cpu", message: "this part of the engine is not built".into() })
}

impl Executor for Cpu {
    fn engine(&self) -> &'static str {
        "cpu"
    }
    fn net(&self) -> &Net {
        &self.net
    }
    fn capacity(&self) -> usize {
        self.capacity
    }
    fn load(&mut self, _kind: Kind, _values: &ParamSet) -> Result<()> {
        missing()
    }
    fn save(&mut self, _kind: Kind) -> Result<ParamSet> {
        missing()
    }
    fn forward_backward(&mut self, _batch: &Batch, _info: StepInfo) -> Result<()> {
        missing()
    }
    fn take_loss(&mut self, _wait: bool) -> Result<Option<StepLoss>> {
        missing()
    }
    fn each_bucket(&mut self, _visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        missing()
    }
    fn apply(&mut self, _hyper: &Hyper) -> Result<()> {
        missing()
    }
    fn forward(&mut self, _batch: &Batch) -> Result<&[f32]> {
        missing()
    }
    fn activation(&mut self, _layer: &str) -> Result<Tensor> {
        missing()
    }
    fn input_gradient(&mut self) -> Result<Tensor> {
        missing()
    }
    fn plan(&self) -> String {
        String::new()
    }
}
