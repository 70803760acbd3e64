//! A net that is ready to run, on whichever engine.

use std::ops::{Deref, DerefMut};

use cpu::Cpu;
use cuda::Cuda;
use net::{Executor, Kind, ParamSet, Result, SharedTensor, Tensor};

/// A net on one of the engines. What every engine can do is reached through it as it is.
pub(crate) enum Prepared {
    Cpu(Box<Cpu>),
    Cuda(Box<Cuda>),
}

impl Deref for Prepared {
    type Target = dyn Executor;

    fn deref(&self) -> &Self::Target {
        match self {
            Prepared::Cpu(cpu) => &**cpu,
            Prepared::Cuda(cuda) => &**cuda,
        }
    }
}

impl DerefMut for Prepared {
    fn deref_mut(&mut self) -> &mut Self::Target {
        match self {
            Prepared::Cpu(cpu) => &mut **cpu,
            Prepared::Cuda(cuda) => &mut **cuda,
        }
    }
}

impl Prepared {
    /// What the CPU engine alone tells.
    pub(crate) fn cpu(&self) -> Option<&Cpu> {
        match self {
            Prepared::Cpu(cpu) => Some(cpu),
            Prepared::Cuda(_) => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn cpu_mut(&mut self) -> Option<&mut Cpu> {
        match self {
            Prepared::Cpu(cpu) => Some(cpu),
            Prepared::Cuda(_) => None,
        }
    }

    /// Sets the weights. A CPU reads those of linear layers where they lie; a GPU has copies of them all.
    ///
    /// # Errors
    /// Where the tensors are not exactly those of the net.
    pub(crate) fn load_shared(&mut self, weights: &[(String, SharedTensor)]) -> Result<()> {
        match self {
            Prepared::Cpu(cpu) => cpu.load_shared(weights),
            Prepared::Cuda(cuda) => {
                net::check_shared(cuda.net(), weights)?;
                let copy = |tensor: &SharedTensor| Tensor { shape: tensor.shape.clone(), data: tensor.data().to_vec() };
                let found = |name: &String| weights.iter().find(|(known, _)| known == name);
                let all = cuda.net().params().iter().filter_map(|info| found(&info.name));
                let all = ParamSet::new(all.map(|(name, tensor)| (name.clone(), copy(tensor))).collect());
                cuda.load(Kind::Weights, &all)
            }
        }
    }
}
