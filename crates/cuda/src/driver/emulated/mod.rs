//! A device that is an ordinary CPU: kernels compiled by g++, memory of the host.
//!
//! Everything happens when it is asked for, in the order in which it is asked for, so events have always come to pass. What a GPU
//! may forgive is a fault here, and an error of the launch that names kernel, block and thread:
//!
//! - a barrier at which threads wait in different lines of the source, a collective that some of its threads never reach, matrix
//!   instructions without all of a warp;
//! - addresses that are misaligned, or nowhere; writes past the end of shared memory or of what was taken at once; indices outside
//!   of arrays, shifts by too much, divisions of whole numbers by 0.
//!
//! Shared memory before it is written, device memory before it is written, what is around both, and the target of a copy that has
//! not been waited for are not numbers, so what a kernel makes of them is not one either. Warps run in a random order, and so do
//! threads between what their warp does together: a missing barrier gives wrong values with most seeds, often with all. With
//! [`Emulated::sanitized`] also reads outside are found.
//!
//! # A test of a kernel
//!
//! It takes a device for the type between layers and a seed (`testing::device`, which skips aloud where there is no g++), puts
//! values there, launches, and compares with what the f64 formula gives, for several seeds and for sizes with tails:
//!
//! ```text
//! for seed in 0..4 {
//!     let Some(mut device) = testing::device(Element::Bf16, seed) else { return };
//!     device.compile("pointwise.cu").unwrap();
//!     // with: numbers as they are; with_elems: rounded to the type between layers; room_for_elems: none yet.
//!     let (x, y) = (device.with_elems(&values), device.room_for_elems(values.len()));
//!     let step = device.with(&step.bytes());
//!     let args = Pointwise { step: Ptr::at(step), x: Ptr::at(x), y: Ptr::at(y), … };
//!     device.call("relu_forward", [3, 1, 1], 256, 0, &args).unwrap();
//!     assert_eq!(device.elems(y, values.len()), expected, "seed {seed}");
//! }
//! ```
//!
//! A text that is no source of the engine's is compiled by [`Emulated::compile_text`]; `tests/product.rs` here is an example, with
//! faults planted. Where one is suspected, `testing::sanitized_device` in place of the first line has sanitizers look at it.
//! A seed that fails fails again: nothing else is random.
//!
//! What this cannot show: the speed of anything, the order and precision in which a GPU adds within a matrix instruction, memory that
//! blocks of one launch share, and work that should wait for an event and does not.

#![cfg_attr(not(test), allow(dead_code, reason = "tests alone ask for sanitizers and for little memory"))]

mod build;
mod child;
mod host;
mod library;
mod memory;
mod signal;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use net::Result;

use self::build::{Build, Compiler};
use self::child::Runner;
use self::host::{Here, Host, Kernel};
use super::{Driver, Event, Launch, Pinned, Queue, Recording, fault};
use crate::kernels::{Element, SOURCES};

/// The most bytes of shared memory of a block: what sm_90 and sm_100 have. sm_80 has 163 KiB, sm_120 99 KiB.
const MOST_SHARED: u32 = 227 << 10;
/// The most threads of a block.
const MOST_THREADS: u32 = 1024;

/// What a recording holds.
#[derive(Debug, Clone)]
enum Operation {
    Launch(Launch),
    Zero { at: u64, len: u64 },
    CopyIn { from: Pinned, to: u64, len: usize },
    CopyOut { from: u64, to: Pinned, len: usize },
}

/// The device.
pub(crate) struct Emulated {
    element: Element,
    seed: u64,
    workers: usize,
    /// Bytes that the device has, and that are not taken.
    capacity: u64,
    free: u64,
    compiler: Compiler,
    kernels: BTreeMap<String, Kernel>,
    compiled: Vec<String>,
    host: Box<dyn Host>,
    /// What was taken: address and bytes.
    taken: Vec<(u64, u64)>,
    pinned: Vec<Vec<u8>>,
    events: usize,
    recording: Option<Vec<Operation>>,
    recordings: Vec<Vec<Operation>>,
}

impl Emulated {
    /// A device for kernels between whose layers values are `element`, whose threads run in an order that depends on `seed`.
    /// Libraries are built into `folder` and found again there.
    ///
    /// # Errors
    /// Where there is no g++.
    pub(crate) fn new(element: Element, seed: u64, folder: &Path) -> Result<Emulated> {
        Ok(Emulated::on(Box::new(Here::default()), Compiler::find(folder, Build::Checked)?, element, seed))
    }

    /// The same in another process, in which address sanitizer and undefined-behaviour sanitizer look at every access. What they
    /// find ends that process: the launch is an error, and so is all that follows.
    ///
    /// # Errors
    /// Where there is no g++ that can build such programs.
    pub(crate) fn sanitized(element: Element, seed: u64, folder: &Path) -> Result<Emulated> {
        let compiler = Compiler::find(folder, Build::Sanitized)?;
        let runner = Runner::start(&compiler.runner()?)?;
        Ok(Emulated::on(Box::new(runner), compiler, element, seed))
    }

    fn on(host: Box<dyn Host>, compiler: Compiler, element: Element, seed: u64) -> Emulated {
        Emulated {
            element,
            seed,
            workers: 1,
            capacity: 16 << 30,
            free: 16 << 30,
            compiler,
            kernels: BTreeMap::new(),
            compiled: Vec::new(),
            host,
            taken: Vec::new(),
            pinned: Vec::new(),
            events: 0,
            recording: None,
            recordings: Vec::new(),
        }
    }

    /// Runs up to so many blocks at once, each on a thread of the host. Nothing but the time that it takes depends on it.
    pub(crate) fn with_workers(mut self, workers: usize) -> Emulated {
        self.workers = workers;
        self
    }

    /// Has so many bytes of memory.
    pub(crate) fn with_capacity(mut self, bytes: u64) -> Emulated {
        (self.capacity, self.free) = (bytes, bytes);
        self
    }

    /// Makes the kernels of a text ready, as [`Driver::compile`] those of a source.
    pub(crate) fn compile_text(&mut self, name: &str, text: &str) -> Result<()> {
        for kernel in self.host.load(&self.compiler.library(name, text, self.element)?)? {
            self.kernels.insert(kernel.name.clone(), kernel);
        }
        Ok(())
    }

    fn check(&self, launch: &Launch) -> Result<&Kernel> {
        let Launch { kernel: name, grid, threads, shared, args } = launch;
        let refuse = |why: String| Err(fault(format!("launch of `{name}`: {why}")));
        let Some(kernel) = self.kernels.get(*name) else { return refuse("no compiled source has it".into()) };
        if args.len() != kernel.args_bytes {
            return refuse(format!("an argument of {} bytes, not {}", args.len(), kernel.args_bytes));
        }
        if *threads == 0 || *threads > kernel.threads.min(MOST_THREADS) {
            return refuse(format!("{threads} threads, and not 1 to {}", kernel.threads.min(MOST_THREADS)));
        }
        if *shared > MOST_SHARED {
            return refuse(format!("{shared} bytes of shared memory, more than {MOST_SHARED}"));
        }
        let [x, y, z] = *grid;
        if x == 0 || x > i32::MAX as u32 || y == 0 || y > 65_535 || z == 0 || z > 65_535 {
            return refuse(format!("a grid of {x} by {y} by {z} blocks"));
        }
        Ok(kernel)
    }

    /// Bytes of the device lie in what was taken at once.
    fn check_taken(&self, at: u64, len: u64) -> Result<()> {
        let inside = |&(start, bytes): &(u64, u64)| {
            at.checked_sub(start).and_then(|offset| offset.checked_add(len)).is_some_and(|end| end <= bytes)
        };
        if self.taken.iter().any(inside) {
            Ok(())
        } else {
            Err(fault(format!("{len} bytes at {at:#x} are not the device's memory")))
        }
    }

    /// Runs it, or records it where that is what becomes of the compute queue.
    fn put(&mut self, operation: Operation) -> Result<()> {
        match &mut self.recording {
            Some(recording) => {
                recording.push(operation);
                Ok(())
            }
            None => self.execute(&operation),
        }
    }

    fn execute(&mut self, operation: &Operation) -> Result<()> {
        match operation {
            Operation::Launch(launch) => {
                let kernel = self.check(launch)?.clone();
                self.host.launch(&kernel, launch, self.seed, self.workers)
            }
            Operation::Zero { at, len } => {
                self.check_taken(*at, *len)?;
                self.host.zero(*at, *len)
            }
            Operation::CopyIn { from, to, len } => {
                let from = self.pinned.get(from.0).and_then(|bytes| bytes.get(..*len)).ok_or_else(outside_pinned)?;
                self.check_taken(*to, *len as u64)?;
                self.host.write(*to, from)
            }
            Operation::CopyOut { from, to, len } => {
                self.check_taken(*from, *len as u64)?;
                let to = self.pinned.get_mut(to.0).and_then(|bytes| bytes.get_mut(..*len)).ok_or_else(outside_pinned)?;
                self.host.read(*from, to)
            }
        }
    }

    /// What waits for the device cannot be recorded.
    fn check_not_recording(&self, what: &str) -> Result<()> {
        if self.recording.is_some() { Err(fault(format!("{what} while a recording is made"))) } else { Ok(()) }
    }
}

fn outside_pinned() -> net::Error {
    fault("a copy outside the pinned memory")
}

impl Driver for Emulated {
    fn name(&self) -> String {
        format!("emulated device ({:?}, seed {})", self.element, self.seed)
    }

    fn memory(&mut self, bytes: u64) -> Result<u64> {
        self.check_not_recording("memory is taken")?;
        if bytes > self.free {
            return Err(fault(format!("{bytes} bytes of memory are asked for and {} of {} are free", self.free, self.capacity)));
        }
        let at = self.host.take(bytes)?;
        self.taken.push((at, bytes));
        self.free -= bytes;
        Ok(at)
    }

    #[cfg(test)]
    fn free_memory(&self) -> Result<u64> {
        Ok(self.free)
    }

    fn pinned(&mut self, bytes: usize) -> Result<Pinned> {
        self.pinned.push(vec![0xff; bytes]);
        Ok(Pinned(self.pinned.len() - 1))
    }

    fn bytes(&mut self, pinned: Pinned) -> &mut [u8] {
        &mut self.pinned[pinned.0]
    }

    fn event(&mut self) -> Result<Event> {
        self.events += 1;
        Ok(Event(self.events - 1))
    }

    fn record(&mut self, _event: Event, _queue: Queue) -> Result<()> {
        Ok(())
    }

    fn wait(&mut self, _queue: Queue, _event: Event) -> Result<()> {
        Ok(())
    }

    fn is_done(&mut self, _event: Event) -> Result<bool> {
        Ok(true)
    }

    fn block_on(&mut self, _event: Event) -> Result<()> {
        Ok(())
    }

    fn copy_in(&mut self, from: Pinned, to: u64, len: usize, queue: Queue) -> Result<()> {
        let operation = Operation::CopyIn { from, to, len };
        if queue == Queue::Compute { self.put(operation) } else { self.execute(&operation) }
    }

    fn copy_out(&mut self, from: u64, to: Pinned, len: usize, queue: Queue) -> Result<()> {
        let operation = Operation::CopyOut { from, to, len };
        if queue == Queue::Compute { self.put(operation) } else { self.execute(&operation) }
    }

    fn zero(&mut self, at: u64, len: u64) -> Result<()> {
        self.put(Operation::Zero { at, len })
    }

    fn upload(&mut self, bytes: &[u8], to: u64) -> Result<()> {
        self.check_not_recording("an upload")?;
        self.check_taken(to, bytes.len() as u64)?;
        self.host.write(to, bytes)
    }

    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()> {
        self.check_not_recording("a download")?;
        self.check_taken(from, bytes.len() as u64)?;
        self.host.read(from, bytes)
    }

    fn compile(&mut self, source: &'static str) -> Result<()> {
        if self.compiled.iter().any(|compiled| compiled == source) {
            return Ok(());
        }
        let Some(&(name, text)) = SOURCES.iter().find(|(name, _)| *name == source) else {
            return Err(fault(format!("no source is called {source}")));
        };
        self.compile_text(name, text)?;
        self.compiled.push(source.into());
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<()> {
        self.check(launch)?;
        self.put(Operation::Launch(launch.clone()))
    }

    fn begin_recording(&mut self) -> Result<()> {
        self.check_not_recording("a recording begins")?;
        self.recording = Some(Vec::new());
        Ok(())
    }

    fn end_recording(&mut self) -> Result<Recording> {
        let recording = self.recording.take().ok_or_else(|| fault("no recording is made"))?;
        self.recordings.push(recording);
        Ok(Recording(self.recordings.len() - 1))
    }

    fn replay(&mut self, recording: Recording) -> Result<()> {
        self.check_not_recording("a replay")?;
        let operations = self.recordings.get_mut(recording.0).map(std::mem::take).ok_or_else(|| fault("no such recording"))?;
        let done = operations.iter().try_for_each(|operation| self.execute(operation));
        self.recordings[recording.0] = operations;
        done
    }
}
