//! The engines under test, and what each is granted.

use std::path::Path;

use conformance::golden::{self, Golden};
use cpu::Cpu;
use net::{Batch, Executor, Kind, Mode, Net};
use reference::Reference;

pub(crate) fn read(case: &str) -> Golden {
    Golden::read(&golden::folder().join(Path::new(case))).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether a distance is more than what is granted, or no number.
pub(crate) fn exceeds(apart: f64, granted: f64) -> bool {
    apart.is_nan() || apart > granted
}

pub(crate) enum Engine {
    Reference(Box<Reference>),
    Cpu(Box<Cpu>),
}

/// Values in the precision that the engine has.
pub(crate) enum Column {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Column {
    pub(crate) fn len(&self) -> usize {
        match self {
            Column::F32(values) => values.len(),
            Column::F64(values) => values.len(),
        }
    }

    pub(crate) fn at(&self, i: usize) -> f64 {
        match self {
            Column::F32(values) => f64::from(values[i]),
            Column::F64(values) => values[i],
        }
    }
}

impl Engine {
    pub(crate) fn reference(net: &Net, batch: usize) -> Engine {
        Engine::Reference(Box::new(reference::prepare(net, batch, Mode::Train)))
    }

    pub(crate) fn cpu(net: &Net, batch: usize) -> Engine {
        let options = cpu::Options { inspect: true, ..cpu::Options::default() };
        match cpu::prepare(net, batch, Mode::Train, &options) {
            Ok(engine) => Engine::Cpu(Box::new(engine)),
            Err(e) => panic!("{}: {e}", net.name()),
        }
    }

    pub(crate) fn executor(&mut self) -> &mut dyn Executor {
        match self {
            Engine::Reference(engine) => engine.as_mut(),
            Engine::Cpu(engine) => engine.as_mut(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Engine::Reference(engine) => engine.engine(),
            Engine::Cpu(engine) => engine.engine(),
        }
    }

    /// How far from a golden the engine may be, where f32 roundings may carry it `noise` far. Both f64 computations, the
    /// engine's and PyTorch's, may err by 2⁻²⁹ of that: the ratio of the formats' roundoff.
    pub(crate) fn granted(&self, noise: f64) -> f64 {
        match self {
            Engine::Reference(_) => 2.0 * noise / f64::from(1 << 29),
            Engine::Cpu(_) => noise,
        }
    }

    /// What a testing pass says. The oracle's are read in full precision.
    pub(crate) fn probabilities(&mut self, batch: &Batch) -> Column {
        let p = self.executor().forward(batch).unwrap_or_else(|e| panic!("{e}")).to_vec();
        match self {
            Engine::Reference(engine) => Column::F64(engine.output_of(engine.net().layers().len() - 1).to_vec()),
            Engine::Cpu(_) => Column::F32(p),
        }
    }

    /// The output of a layer in the last pass.
    pub(crate) fn activation(&mut self, layer: &str) -> Column {
        if let Engine::Reference(engine) = self {
            let index = engine.net().layer_index(layer).unwrap_or_else(|| panic!("no layer `{layer}`"));
            return Column::F64(engine.output_of(index).to_vec());
        }
        Column::F32(self.executor().activation(layer).unwrap_or_else(|e| panic!("{layer}: {e}")).data)
    }

    pub(crate) fn input_gradient(&mut self) -> Column {
        if let Engine::Reference(engine) = self {
            return Column::F64(engine.pixel_gradient().unwrap_or_else(|| panic!("no backward pass")).to_vec());
        }
        Column::F32(self.executor().input_gradient().unwrap_or_else(|e| panic!("{e}")).data)
    }

    /// Every parameter's weights, gradients or momenta, in the order of [`Net::params`]. The oracle shows momenta only as f32.
    pub(crate) fn parameters(&mut self, kind: Kind) -> Vec<Column> {
        if let Engine::Reference(engine) = self {
            let count = engine.net().params().len();
            match kind {
                Kind::Weights => return (0..count).map(|i| Column::F64(engine.weight(i).to_vec())).collect(),
                Kind::Gradients => return (0..count).map(|i| Column::F64(engine.gradient(i).to_vec())).collect(),
                Kind::Momentum => {}
            }
        }
        let set = self.executor().save(kind).unwrap_or_else(|e| panic!("{e}"));
        set.iter().map(|(_, tensor)| Column::F32(tensor.data.clone())).collect()
    }
}
