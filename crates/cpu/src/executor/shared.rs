//! Weights that are read where they lie: for inference the weights of linear layers, most of a net, are copied nowhere.
//!
//! Their place in the arena is planned all the same and never touched, so that it costs addresses but no memory where the
//! system gives pages when they are touched.

use net::{Mode, Result, SharedTensor};

use super::Cpu;
use crate::plan::OpPlan;

/// By the parameter's position in the net; short or empty where the rest is in the arena.
#[derive(Debug, Default)]
pub(super) struct Shared(Vec<Option<SharedTensor>>);

impl Shared {
    /// The values of parameter `index`, which the arena would hold in `found`.
    pub(super) fn or<'a>(&'a self, index: usize, found: &'a [f32]) -> &'a [f32] {
        self.0.get(index).and_then(Option::as_ref).map_or(found, SharedTensor::data)
    }
}

impl Cpu {
    /// Sets the weights as [`net::Executor::load`] does, but in [`Mode::Infer`] keeps those of linear layers shared and reads
    /// them where they lie.
    ///
    /// # Errors
    /// Where the tensors are not exactly those of the net.
    pub fn load_shared(&mut self, weights: &[(String, SharedTensor)]) -> Result<()> {
        net::check_shared(&self.net, weights)?;
        let engine = &mut self.engine;
        let mut shared = vec![None; self.net.params().len()];
        if engine.plan.mode == Mode::Infer {
            let linear = engine.plan.layers.iter().filter(|layer| matches!(layer.op, OpPlan::Linear(_)));
            for (index, _) in linear.filter_map(|layer| layer.params) {
                let of_it = |(name, _): &&(String, SharedTensor)| *name == self.net.params()[index].name;
                shared[index] = weights.iter().find(of_it).map(|(_, tensor)| tensor.clone());
            }
        }
        for (index, info) in self.net.params().iter().enumerate().filter(|(index, _)| shared[*index].is_none()) {
            if let Some((_, tensor)) = weights.iter().find(|(name, _)| *name == info.name) {
                engine.arena.get_mut(engine.plan.param(engine.plan.weights, index)).copy_from_slice(tensor.data());
            }
        }
        engine.shared = Shared(shared);
        engine.loaded = true;
        Ok(())
    }
}
