//! The device: memory, copies, launches, recorded steps.
//!
//! Work is put on two queues and runs in the order of each: copies of batches on one, everything else on the other. Nothing here
//! waits for the device but [`Driver::block_on`].

pub(crate) mod cuda;
#[cfg(feature = "emulator")]
pub(crate) mod emulated;

use net::{Error, Result};

/// A queue of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    Compute,
    Copy,
}

/// A place in pinned host memory, made by [`Driver::pinned`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pinned(pub(crate) usize);

/// A mark on a queue, made by [`Driver::event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Event(pub(crate) usize);

/// Recorded work, made by [`Driver::end_recording`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Recording(pub(crate) usize);

/// One launch of a kernel.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    /// The kernel's name.
    pub(crate) kernel: &'static str,
    /// Blocks in x, y, z.
    pub(crate) grid: [u32; 3],
    /// Threads of a block.
    pub(crate) threads: u32,
    /// Bytes of shared memory of a block.
    pub(crate) shared: u32,
    /// The bytes of the kernel's one argument, a structure of [`crate::args`].
    pub(crate) args: Vec<u8>,
}

/// A device.
pub(crate) trait Driver: Send {
    /// `NVIDIA H100 80GB HBM3`
    fn name(&self) -> String;

    /// Takes memory, which is freed with the driver. Its contents are unspecified; an emulated device fills it with NaN.
    ///
    /// # Errors
    /// Where there is too little; the message says how much was asked for and how much is free.
    fn memory(&mut self, bytes: u64) -> Result<u64>;

    /// Bytes that [`Driver::memory`] can still give, about.
    #[cfg(test)]
    fn free_memory(&self) -> Result<u64>;

    /// Takes host memory that the device can copy from and to by itself.
    fn pinned(&mut self, bytes: usize) -> Result<Pinned>;

    /// The bytes of pinned memory. The caller sees to it that no copy is under way there.
    fn bytes(&mut self, pinned: Pinned) -> &mut [u8];

    /// Makes an event, which counts as having come to pass.
    fn event(&mut self) -> Result<Event>;

    /// The event comes to pass when everything that is now on the queue is done.
    fn record(&mut self, event: Event, queue: Queue) -> Result<()>;

    /// What is put on the queue from now on waits for the event.
    fn wait(&mut self, queue: Queue, event: Event) -> Result<()>;

    /// Whether the event has come to pass.
    fn is_done(&mut self, event: Event) -> Result<bool>;

    /// Waits until the event has come to pass.
    fn block_on(&mut self, event: Event) -> Result<()>;

    /// Copies the first `len` bytes of pinned memory to the device.
    fn copy_in(&mut self, from: Pinned, to: u64, len: usize, queue: Queue) -> Result<()>;

    /// Copies `len` bytes of the device to pinned memory.
    fn copy_out(&mut self, from: u64, to: Pinned, len: usize, queue: Queue) -> Result<()>;

    /// Sets `len` bytes of the device to 0, on the compute queue.
    fn zero(&mut self, at: u64, len: u64) -> Result<()>;

    /// Copies bytes to the device, and waits.
    fn upload(&mut self, bytes: &[u8], to: u64) -> Result<()>;

    /// Copies bytes from the device, after everything on the compute queue, and waits.
    fn download(&mut self, from: u64, bytes: &mut [u8]) -> Result<()>;

    /// Makes the kernels of a source file (a name of [`crate::kernels::SOURCES`]) ready, unless they are.
    ///
    /// # Errors
    /// Where the compiler refuses it, which is our fault, or cannot be found.
    fn compile(&mut self, source: &'static str) -> Result<()>;

    /// Puts a launch on the compute queue.
    ///
    /// # Errors
    /// Where no compiled source has the kernel, or the device refuses the launch.
    fn launch(&mut self, launch: &Launch) -> Result<()>;

    /// From now on what is put on the compute queue is recorded and not run, until [`Driver::end_recording`].
    fn begin_recording(&mut self) -> Result<()>;

    /// Ends the recording.
    fn end_recording(&mut self) -> Result<Recording>;

    /// Puts everything recorded on the compute queue, at once.
    fn replay(&mut self, recording: Recording) -> Result<()>;
}

pub(crate) fn fault(message: impl Into<String>) -> Error {
    Error::Engine { engine: "cuda", message: message.into() }
}
