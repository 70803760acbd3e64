//! What there is for the engine: libraries and GPUs.

use std::path::PathBuf;
use std::sync::Arc;

use net::Result;

use crate::driver::cuda::{self, DriverLibrary};
use crate::lack::{LEAST_CAPABILITY, Lack, Library, Version};

/// A library that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it lies.
    pub file: PathBuf,
    /// The version of CUDA that it is for.
    pub version: Version,
    /// The driver's own number, such as `580.65.06`, where its file tells.
    pub release: Option<String>,
}

/// A GPU, as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// The driver's number of it, from 0.
    pub device: usize,
    /// `NVIDIA H100 80GB HBM3`
    pub name: String,
    /// Its compute capability, such as 9.0.
    pub capability: Version,
    /// Bytes of its memory, used or not.
    pub memory_bytes: u64,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// The most bytes of shared memory of one block.
    pub shared_bytes: u32,
}

impl Gpu {
    /// Whether the engine runs on it: on those of compute capability 8.0 and more.
    pub fn is_supported(&self) -> bool {
        self.capability >= LEAST_CAPABILITY
    }
}

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// NVIDIA's driver.
    pub driver: Result<Found, Lack>,
    /// The compiler of the engine's kernels.
    pub nvrtc: Result<Found, Lack>,
    /// The GPUs in the driver's order; what is wrong with one that does not answer.
    pub gpus: Vec<Result<Gpu, Lack>>,
    library: Option<Arc<DriverLibrary>>,
}

/// Looks for NVIDIA's libraries in the folders `search`, in this order, and nowhere else, and asks the driver for its GPUs. Takes no
/// memory of any GPU.
pub fn survey(search: &[PathBuf]) -> Survey {
    let (driver, nvrtc) = (cuda::driver(search), cuda::nvrtc(search));
    let gpus = driver.iter().flat_map(|driver| (0..driver.gpu_count()).map(|device| driver.gpu(device))).collect();
    Survey {
        driver: driver.as_ref().map(|library| library.found().clone()).map_err(Lack::clone),
        nvrtc: nvrtc.map(|library| library.found().clone()),
        gpus,
        library: driver.ok(),
    }
}

impl Survey {
    /// A library, or why there is none.
    pub fn library(&self, library: Library) -> &Result<Found, Lack> {
        match library {
            Library::Driver => &self.driver,
            Library::Nvrtc => &self.nvrtc,
        }
    }

    /// The GPU of this number, where the engine can run on it.
    ///
    /// # Errors
    /// The first thing that is missing.
    pub fn usable(&self, device: usize) -> Result<&Gpu, Lack> {
        let library = |found: &Result<Found, Lack>| found.as_ref().map(|_| ()).map_err(Lack::clone);
        library(&self.driver)?;
        let gpu = self.gpus.get(device).ok_or(match self.gpus.len() {
            0 => Lack::NoGpu,
            count => Lack::NoSuchGpu { device, count },
        })?;
        let gpu = gpu.as_ref().map_err(Lack::clone)?;
        if !gpu.is_supported() {
            return Err(Lack::OldGpu(gpu.clone()));
        }
        library(&self.nvrtc)?;
        Ok(gpu)
    }

    /// Bytes of a GPU's memory that are free now. Some are in use while this looks: it takes a moment and some memory.
    ///
    /// # Errors
    /// Where the GPU cannot be used, because others have it for themselves or have all of its memory.
    pub fn free_bytes(&self, device: usize) -> Result<u64> {
        let library = self.library.as_ref().ok_or(Lack::NoDriver)?;
        let count = library.gpu_count();
        if device >= count {
            return Err(Lack::NoSuchGpu { device, count }.into());
        }
        library.free_bytes(device)
    }
}
