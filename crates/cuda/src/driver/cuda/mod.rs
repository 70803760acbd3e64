//! The device as CUDA has it.
//!
//! Everything that CUDA consists of is loaded when it is asked for, from files that were found and looked at ([`library`]); then
//! [`objects`] are what it gives out, [`compile`] makes kernels, and [`Device`] puts it together.
#![allow(unsafe_code)]

mod calls;
mod compile;
mod errors;
mod library;
mod objects;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use net::Result;

use super::{Driver, Event, Launch, Pinned, Queue, Recording, fault};
use crate::kernels::{self, Element};
use crate::lack::Lack;
use crate::survey::Gpu;
use compile::{Compiler, Source};
pub(crate) use library::{DriverLibrary, driver, nvrtc};
use objects::{Amount, Context, Graph, HostMemory, Kernel, Memory, Module, Stream};

/// Which device, and how its kernels are made.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The driver's number of the GPU.
    pub(crate) device: usize,
    /// The type of values between layers.
    pub(crate) element: Element,
    /// Where NVIDIA's libraries are looked for.
    pub(crate) search: Vec<PathBuf>,
    /// Where compiled kernels are kept.
    pub(crate) cache: Option<PathBuf>,
}

/// One GPU. What it has made is freed in the order of the fields, once everything on its queues is done.
pub(crate) struct Device {
    recordings: Vec<Graph>,
    events: Vec<objects::Event>,
    /// By name. Each is a part of one of the modules.
    kernels: HashMap<String, Kernel>,
    modules: Vec<(&'static str, Module)>,
    compute: Stream,
    copy: Stream,
    pinned: Vec<HostMemory>,
    memory: Vec<Memory>,
    context: Arc<Context>,
    compiler: Compiler,
    gpu: Gpu,
    is_recording: bool,
}

impl Device {
    /// # Errors
    /// Where a library is missing or does not work, or there is no such GPU, or it is too old or busy.
    pub(crate) fn open(settings: &Settings) -> Result<Device> {
        let driver = driver(&settings.search)?;
        let count = driver.gpu_count();
        if settings.device >= count {
            return Err(if count == 0 { Lack::NoGpu } else { Lack::NoSuchGpu { device: settings.device, count } }.into());
        }
        let gpu = driver.gpu(settings.device)?;
        if !gpu.is_supported() {
            return Err(Lack::OldGpu(gpu).into());
        }
        let compiler = Compiler::new(nvrtc(&settings.search)?, &gpu, settings.element, settings.cache.clone())?;
        let context = Context::new(&driver, settings.device)?;
        Ok(Device {
            recordings: Vec::new(),
            events: Vec::new(),
            kernels: HashMap::new(),
            modules: Vec::new(),
            compute: Stream::new(&context)?,
            copy: Stream::new(&context)?,
            pinned: Vec::new(),
            memory: Vec::new(),
            context,
            compiler,
            gpu,
            is_recording: false,
        })
    }

    /// What the driver says of it.
    #[cfg(test)]
    pub(crate) fn gpu(&self) -> &Gpu {
        &self.gpu
    }

    fn queue(&self, queue: Queue) -> &Stream {
        match queue {
            Queue::Compute => &self.compute,
            Queue::Copy => &self.copy,
        }
    }

    fn mark(&self, event: Event) -> Result<&objects::Event> {
        self.events.get(event.0).ok_or_else(|| fault(format!("there is no event {}", event.0)))
    }

    fn host(&self, pinned: Pinned, len: usize) -> Result<&HostMemory> {
        let memory = self.pinned.get(pinned.0).ok_or_else(|| fault(format!("there is no pinned memory {}", pinned.0)))?;
        let has = memory.len();
        if len <= has { Ok(memory) } else { Err(fault(format!("{len} bytes of pinned memory that has {has}"))) }
    }

    /// Refuses what is not in memory that was taken: elsewhere CUDA might do it.
    fn inside(&self, at: u64, len: u64) -> Result<()> {
        match self.memory.iter().any(|memory| memory.holds(at, len)) {
            true => Ok(()),
            false => Err(fault(format!("{len} bytes at {at:#x}, which are not the engine's"))),
        }
    }

    /// Refuses what a recording cannot hold.
    fn not_recording(&self, what: &str) -> Result<()> {
        if self.is_recording { Err(fault(format!("{what} while work is recorded"))) } else { Ok(()) }
    }

    /// Makes kernels ready that are in `source`.
    fn load(&mut self, name: &'static str, source: Source<'_>) -> Result<()> {
        let cubin = self.compiler.cubin(source)?;
        let (module, kernels) = Module::new(&self.context, &cubin)?;
        for kernel in kernels {
            if let Some(other) = self.kernels.insert(kernel.name.clone(), kernel) {
                return Err(fault(format!("two kernels are called `{}`", other.name)));
            }
        }
        self.modules.push((name, module));
        Ok(())
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        if self.is_recording {
            self.compute.forget_recording();
        }
        // Nothing is freed that a kernel or a copy may still use. A GPU that is lost uses nothing.
        let _ = (self.compute.finish(), self.copy.finish());
    }
}

impl Driver for Device {
    fn name(&self) -> String {
        self.gpu.name.clone()
    }

    fn memory(&mut self, bytes: u64) -> Result<u64> {
        let Some(memory) = Memory::new(&self.context, bytes)? else {
            let Amount { free, total } = self.context.memory()?;
            return Err(fault(too_little(bytes, free, total)));
        };
        let address = memory.address;
        self.memory.push(memory);
        Ok(address)
    }

    #[cfg(test)]
    fn free_memory(&self) -> Result<u64> {
        Ok(self.context.memory()?.free)
    }

    fn pinned(&mut self, bytes: usize) -> Result<Pinned> {
        self.pinned.push(HostMemory::new(&self.context, bytes)?);
        Ok(Pinned(self.pinned.len() - 1))
    }

    fn bytes(&mut self, pinned: Pinned) -> &mut [u8] {
        self.pinned[pinned.0].bytes()
    }

    fn event(&mut self) -> Result<Event> {
        self.events.push(objects::Event::new(&self.context)?);
        Ok(Event(self.events.len() - 1))
    }

    fn record(&mut self, event: Event, queue: Queue) -> Result<()> {
        if queue == Queue::Compute {
            self.not_recording("an event is recorded")?;
        }
        self.queue(queue).record(self.mark(event)?)
    }

    fn wait(&mut self, queue: Queue, event: Event) -> Result<()> {
        if queue == Queue::Compute {
            self.not_recording("an event is waited for")?;
        }
        self.queue(queue).wait(self.mark(event)?)
    }

    fn is_done(&mut self, event: Event) -> Result<bool> {
        self.mark(event)?.is_done()
    }

    fn block_on(&mut self, event: Event) -> Result<()> {
        self.mark(event)?.wait()
    }

    fn copy_in(&mut self, from: Pinned, to: u64, len: usize, queue: Queue) -> Result<()> {
        self.inside(to, len as u64)?;
        // SAFETY: the place is ours, and both memories stay until the queues are done.
        unsafe { self.queue(queue).copy_in(self.host(from, len)?, to, len) }
    }

    fn copy_out(&mut self, from: u64, to: Pinned, len: usize, queue: Queue) -> Result<()> {
        self.inside(from, len as u64)?;
        // SAFETY: the place is ours, both memories stay until the queues are done, and who reads sees to it that this is done.
        unsafe { self.queue(queue).copy_out(from, self.host(to, len)?, len) }
    }

    fn zero(&mut self, at: u64, len: u64) -> Result<()> {
        self.inside(at, len)?;
        // SAFETY: the place is ours; what was taken has a length that fits.
        unsafe { self.compute.zero(at, len as usize) }
    }

    fn upload(&mut self, bytes: &[u8], to: u64) -> Result<()> {
        self.not_recording("bytes are uploaded")?;
        self.inside(to, bytes.len() as u64)?;
        // SAFETY: the place is ours, and the bytes stay until the queue is done, below.
        let begun = unsafe { self.compute.copy_from(bytes.as_ptr(), to, bytes.len()) };
        // Also where it was refused: nothing may be under way when the bytes are given back.
        let finished = self.compute.finish();
        begun.and(finished)
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.not_recording("bytes are downloaded")?;
        self.inside(from, bytes.len() as u64)?;
        // SAFETY: the place is ours, and the bytes stay until the queue is done, below.
        let begun = unsafe { self.compute.copy_to(from, bytes.as_mut_ptr(), bytes.len()) };
        let finished = self.compute.finish();
        begun.and(finished)
    }

    fn compile(&mut self, source: &'static str) -> Result<()> {
        if self.modules.iter().any(|(name, _)| *name == source) {
            return Ok(());
        }
        let (name, text) = (kernels::SOURCES.iter().find(|(name, _)| *name == source))
            .ok_or_else(|| fault(format!("there is no source `{source}`")))?;
        self.load(name, Source { name, text, headers: &kernels::headers() })
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        let most = self.gpu.shared_bytes;
        if launch.shared > most {
            return Err(fault(format!("`{}` needs {} bytes of shared memory, {most} can be", launch.kernel, launch.shared)));
        }
        let kernel = self.kernels.get_mut(launch.kernel);
        let kernel = kernel.ok_or_else(|| fault(format!("no source that was compiled has the kernel `{}`", launch.kernel)))?;
        // SAFETY: its module is one of ours, which stay until the queues are done; what its argument points at is the plan's doing,
        // which lays out memory that was taken here.
        unsafe { self.compute.launch(kernel, launch) }
    }

    fn begin_recording(&mut self) -> Result<()> {
        self.not_recording("a recording is begun")?;
        self.compute.begin_recording()?;
        self.is_recording = true;
        Ok(())
    }

    fn end_recording(&mut self) -> Result<Recording> {
        if !self.is_recording {
            return Err(fault("no work is being recorded"));
        }
        self.is_recording = false;
        self.recordings.push(self.compute.end_recording()?);
        Ok(Recording(self.recordings.len() - 1))
    }

    fn replay(&mut self, recording: Recording) -> Result<()> {
        self.not_recording("a recording is run")?;
        let graph = self.recordings.get(recording.0);
        self.compute.replay(graph.ok_or_else(|| fault(format!("there is no recording {}", recording.0)))?)
    }
}

/// Bytes of memory that the GPU does not have.
fn too_little(asked: u64, free: u64, total: u64) -> String {
    let mib = |bytes: u64| bytes >> 20;
    let asked = asked.div_ceil(1 << 20);
    format!("too little memory on the GPU: {asked} MiB are asked for, {} MiB of {} MiB are free", mib(free), mib(total))
}
