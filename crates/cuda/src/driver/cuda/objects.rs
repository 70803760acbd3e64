//! What CUDA gives out by handles, each freed when it is dropped.
//!
//! Every object holds the context that it lives in, so that the context goes last. CUDA allows every call from every thread once the
//! context is current there, which each function here sees to.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::slice;
use std::sync::Arc;

use cudarc::driver::sys as cuda;
use net::Result;

use super::calls::Code;
use super::errors;
use super::library::DriverLibrary;
use crate::driver::{Launch, fault};

/// A handle, or an address that is only passed on.
#[derive(Debug)]
struct Handle<T>(*mut T);

// SAFETY: what lies behind it is the driver's, which locks what it must; threads only pass it on.
unsafe impl<T> Send for Handle<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Handle<T> {}

/// Free and all memory of a GPU, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amount {
    pub(super) free: u64,
    pub(super) total: u64,
}

/// The primary context of a GPU, which all of the process share.
#[derive(Debug)]
pub(super) struct Context {
    driver: Arc<DriverLibrary>,
    device: c_int,
    raw: Handle<cuda::CUctx_st>,
}

impl Context {
    pub(super) fn new(driver: &Arc<DriverLibrary>, device: usize) -> Result<Arc<Context>> {
        let device = driver.device(device).map_err(fault)?;
        let mut raw = ptr::null_mut();
        // SAFETY: it writes one handle; the device is the driver's.
        let code = unsafe { (driver.calls.cuDevicePrimaryCtxRetain)(&mut raw, device) };
        driver.words.done("cuDevicePrimaryCtxRetain", code).map_err(fault)?;
        let context = Arc::new(Context { driver: Arc::clone(driver), device, raw: Handle(raw) });
        context.enter()?;
        Ok(context)
    }

    fn check(&self, called: &str, code: Code) -> Result<()> {
        self.driver.words.check(called, code)
    }

    /// Makes it current on this thread, whatever the thread did before.
    fn enter(&self) -> Result<()> {
        // SAFETY: it is retained until this is dropped.
        self.check("cuCtxSetCurrent", unsafe { (self.driver.calls.cuCtxSetCurrent)(self.raw.0) })
    }

    /// Passes what `take` writes to a new object.
    fn make<T>(&self, called: &str, take: impl FnOnce(*mut *mut T) -> Code) -> Result<Handle<T>> {
        self.enter()?;
        let mut raw = ptr::null_mut();
        self.check(called, take(&mut raw))?;
        Ok(Handle(raw))
    }

    pub(super) fn memory(&self) -> Result<Amount> {
        self.enter()?;
        let (mut free, mut total) = (0, 0);
        // SAFETY: it writes two numbers.
        self.check("cuMemGetInfo_v2", unsafe { (self.driver.calls.cuMemGetInfo_v2)(&mut free, &mut total) })?;
        Ok(Amount { free: free as u64, total: total as u64 })
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: it was retained once. What is left of it goes with the process where this fails.
        let _ = unsafe { (self.driver.calls.cuDevicePrimaryCtxRelease_v2)(self.device) };
    }
}

/// Declares how an object is freed. A context that is lost frees everything by itself, and refuses.
macro_rules! freed {
    ($object:ident by $function:ident($self:ident . $($raw:tt)+)) => {
        impl Drop for $object {
            fn drop(&mut $self) {
                if $self.context.enter().is_ok() {
                    // SAFETY: it was made once and is freed once; whoever has it sees to it that the GPU is done with it.
                    let _ = unsafe { ($self.context.driver.calls.$function)($self.$($raw)+) };
                }
            }
        }
    };
}

/// Memory of the GPU.
#[derive(Debug)]
pub(super) struct Memory {
    context: Arc<Context>,
    pub(super) address: u64,
    pub(super) bytes: u64,
}

freed!(Memory by cuMemFree_v2(self.address));

impl Memory {
    /// Takes at least one byte; `None` where there is too little.
    pub(super) fn new(context: &Arc<Context>, bytes: u64) -> Result<Option<Memory>> {
        context.enter()?;
        let Ok(size) = usize::try_from(bytes.max(1)) else { return Ok(None) };
        let mut address = 0;
        // SAFETY: it writes one address.
        match unsafe { (context.driver.calls.cuMemAlloc_v2)(&mut address, size) } {
            errors::OUT_OF_MEMORY => Ok(None),
            code => {
                context.check("cuMemAlloc_v2", code)?;
                Ok(Some(Memory { context: Arc::clone(context), address, bytes: size as u64 }))
            }
        }
    }

    /// Whether `len` bytes at `at` lie in it.
    pub(super) fn holds(&self, at: u64, len: u64) -> bool {
        at >= self.address && at.checked_add(len).is_some_and(|end| end <= self.address + self.bytes)
    }
}

/// Memory of the host that the GPU reaches.
#[derive(Debug)]
pub(super) struct HostMemory {
    context: Arc<Context>,
    raw: Handle<c_void>,
    len: usize,
}

freed!(HostMemory by cuMemFreeHost(self.raw.0));

impl HostMemory {
    pub(super) fn new(context: &Arc<Context>, len: usize) -> Result<HostMemory> {
        let size = len.max(1);
        let take = |raw| {
            // SAFETY: it writes one address.
            unsafe { (context.driver.calls.cuMemHostAlloc)(raw, size, 0) }
        };
        let raw = context.make("cuMemHostAlloc", take)?;
        // SAFETY: there are so many bytes; whoever reads before writing reads zeros.
        unsafe { ptr::write_bytes(raw.0.cast::<u8>(), 0, size) };
        Ok(HostMemory { context: Arc::clone(context), raw, len })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: they were all written when it was taken, and are this object's alone; that the GPU is not writing there is the
        // condition of `Driver::bytes`.
        unsafe { slice::from_raw_parts_mut(self.raw.0.cast(), self.len) }
    }
}

/// A mark in a stream.
#[derive(Debug)]
pub(super) struct Event {
    context: Arc<Context>,
    raw: Handle<cuda::CUevent_st>,
}

freed!(Event by cuEventDestroy_v2(self.raw.0));

/// Events carry no time, which would cost the GPU some.
const WITHOUT_TIME: c_uint = cuda::CUevent_flags::CU_EVENT_DISABLE_TIMING as c_uint;

impl Event {
    pub(super) fn new(context: &Arc<Context>) -> Result<Event> {
        let take = |raw| {
            // SAFETY: it writes one handle.
            unsafe { (context.driver.calls.cuEventCreate)(raw, WITHOUT_TIME) }
        };
        Ok(Event { raw: context.make("cuEventCreate", take)?, context: Arc::clone(context) })
    }

    pub(super) fn is_done(&self) -> Result<bool> {
        self.context.enter()?;
        // SAFETY: the event is alive.
        match unsafe { (self.context.driver.calls.cuEventQuery)(self.raw.0) } {
            errors::NOT_READY => Ok(false),
            code => self.context.check("cuEventQuery", code).map(|()| true),
        }
    }

    pub(super) fn wait(&self) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the event is alive.
        let code = unsafe { (self.context.driver.calls.cuEventSynchronize)(self.raw.0) };
        self.context.check("cuEventSynchronize", code)
    }
}

/// A module of kernels.
#[derive(Debug)]
pub(super) struct Module {
    context: Arc<Context>,
    raw: Handle<cuda::CUmod_st>,
}

freed!(Module by cuModuleUnload(self.raw.0));

/// A kernel of a module, which has to outlive it.
#[derive(Debug)]
pub(super) struct Kernel {
    raw: Handle<cuda::CUfunc_st>,
    pub(super) name: String,
    /// The size of its one argument.
    argument_bytes: usize,
    /// The shared memory that it has been allowed.
    allowed: u32,
}

/// Blocks may have so many bytes of shared memory without asking.
const SHARED_BYTES: u32 = 48 << 10;

impl Module {
    /// Loads what the compiler made, with all its kernels.
    pub(super) fn new(context: &Arc<Context>, cubin: &[u8]) -> Result<(Module, Vec<Kernel>)> {
        if !cubin.starts_with(b"\x7fELF") {
            return Err(fault("the compiler returned something else than a cubin"));
        }
        let take = |raw| {
            // SAFETY: it writes one handle; a cubin says how long it is, and this one is what the compiler returned, whole.
            unsafe { (context.driver.calls.cuModuleLoadData)(raw, cubin.as_ptr().cast()) }
        };
        let module = Module { raw: context.make("cuModuleLoadData", take)?, context: Arc::clone(context) };
        let kernels = module.functions()?.into_iter().map(|raw| module.kernel(raw)).collect::<Result<_>>()?;
        Ok((module, kernels))
    }

    fn functions(&self) -> Result<Vec<cuda::CUfunction>> {
        let calls = &self.context.driver.calls;
        let mut count = 0;
        // SAFETY: it writes one number.
        let code = unsafe { (calls.cuModuleGetFunctionCount)(&mut count, self.raw.0) };
        self.context.check("cuModuleGetFunctionCount", code)?;
        let mut all = vec![ptr::null_mut(); count as usize];
        // SAFETY: it writes as many handles as it is told, and they are there.
        let code = unsafe { (calls.cuModuleEnumerateFunctions)(all.as_mut_ptr(), count, self.raw.0) };
        self.context.check("cuModuleEnumerateFunctions", code)?;
        Ok(all)
    }

    /// What there is to know of a kernel, which is loaded now rather than when it first runs.
    fn kernel(&self, raw: cuda::CUfunction) -> Result<Kernel> {
        let calls = &self.context.driver.calls;
        let mut name: *const c_char = ptr::null();
        // SAFETY: it writes one pointer; the kernel is this module's.
        self.context.check("cuFuncGetName", unsafe { (calls.cuFuncGetName)(&mut name, raw) })?;
        if name.is_null() {
            return Err(fault("a kernel has no name"));
        }
        // SAFETY: the name ends with a zero, and lives as long as the module.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        let (mut offset, mut argument_bytes) = (0, 0);
        // SAFETY: it writes two numbers.
        let code = unsafe { (calls.cuFuncGetParamInfo)(raw, 0, &mut offset, &mut argument_bytes) };
        self.context.check("cuFuncGetParamInfo", code)?;
        // SAFETY: the kernel is this module's.
        self.context.check("cuFuncLoad", unsafe { (calls.cuFuncLoad)(raw) })?;
        Ok(Kernel { raw: Handle(raw), name, argument_bytes, allowed: SHARED_BYTES })
    }
}

/// A recorded graph, ready to run.
#[derive(Debug)]
pub(super) struct Graph {
    context: Arc<Context>,
    raw: Handle<cuda::CUgraphExec_st>,
}

freed!(Graph by cuGraphExecDestroy(self.raw.0));

/// A queue.
#[derive(Debug)]
pub(super) struct Stream {
    context: Arc<Context>,
    raw: Handle<cuda::CUstream_st>,
}

freed!(Stream by cuStreamDestroy_v2(self.raw.0));

/// Streams do not wait for the default stream, which nothing here uses.
const ON_ITS_OWN: c_uint = cuda::CUstream_flags::CU_STREAM_NON_BLOCKING as c_uint;

impl Stream {
    pub(super) fn new(context: &Arc<Context>) -> Result<Stream> {
        let take = |raw| {
            // SAFETY: it writes one handle.
            unsafe { (context.driver.calls.cuStreamCreate)(raw, ON_ITS_OWN) }
        };
        Ok(Stream { raw: context.make("cuStreamCreate", take)?, context: Arc::clone(context) })
    }

    /// Waits for everything on it.
    pub(super) fn finish(&self) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the stream is alive.
        let code = unsafe { (self.context.driver.calls.cuStreamSynchronize)(self.raw.0) };
        self.context.check("cuStreamSynchronize", code)
    }

    pub(super) fn record(&self, event: &Event) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both are alive and of one context.
        let code = unsafe { (self.context.driver.calls.cuEventRecord)(event.raw.0, self.raw.0) };
        self.context.check("cuEventRecord", code)
    }

    pub(super) fn wait(&self, event: &Event) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both are alive and of one context; there are no flags.
        let code = unsafe { (self.context.driver.calls.cuStreamWaitEvent)(self.raw.0, event.raw.0, 0) };
        self.context.check("cuStreamWaitEvent", code)
    }

    /// Copies the first bytes of pinned memory to the GPU.
    ///
    /// # Safety
    /// `to` has `len` bytes of this context's memory, and the host memory stays until the stream is done.
    pub(super) unsafe fn copy_in(&self, from: &HostMemory, to: u64, len: usize) -> Result<()> {
        assert!(len <= from.len, "{len} bytes of {}", from.len);
        // SAFETY: so many bytes are there, and stay, as the caller says.
        unsafe { self.copy_from(from.raw.0.cast(), to, len) }
    }

    /// Copies bytes to the GPU, perhaps after this has returned.
    ///
    /// # Safety
    /// `to` has `len` bytes of this context's memory, and `from` has and keeps as many until the stream is done.
    pub(super) unsafe fn copy_from(&self, from: *const u8, to: u64, len: usize) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both places are there, as the caller says.
        let code = unsafe { (self.context.driver.calls.cuMemcpyHtoDAsync_v2)(to, from.cast(), len, self.raw.0) };
        self.context.check("cuMemcpyHtoDAsync_v2", code)
    }

    /// Copies bytes of the GPU to pinned memory.
    ///
    /// # Safety
    /// `from` has `len` bytes of this context's memory, and the host memory stays, unread, until the stream is done.
    pub(super) unsafe fn copy_out(&self, from: u64, to: &HostMemory, len: usize) -> Result<()> {
        assert!(len <= to.len, "{len} bytes of {}", to.len);
        // SAFETY: so many bytes are there, and stay, as the caller says.
        unsafe { self.copy_to(from, to.raw.0.cast(), len) }
    }

    /// Copies bytes of the GPU, perhaps after this has returned.
    ///
    /// # Safety
    /// `from` has `len` bytes of this context's memory, and `to` has as many until the stream is done.
    pub(super) unsafe fn copy_to(&self, from: u64, to: *mut u8, len: usize) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both places are there, as the caller says.
        let code = unsafe { (self.context.driver.calls.cuMemcpyDtoHAsync_v2)(to.cast(), from, len, self.raw.0) };
        self.context.check("cuMemcpyDtoHAsync_v2", code)
    }

    /// Sets bytes of the GPU to 0.
    ///
    /// # Safety
    /// `at` has `len` bytes of this context's memory.
    pub(super) unsafe fn zero(&self, at: u64, len: usize) -> Result<()> {
        self.context.enter()?;
        // SAFETY: the place is there, as the caller says.
        let code = unsafe { (self.context.driver.calls.cuMemsetD8Async)(at, 0, len, self.raw.0) };
        self.context.check("cuMemsetD8Async", code)
    }

    /// Puts a launch on it.
    ///
    /// # Safety
    /// The kernel's module is alive, and stays so until the stream is done; the argument's addresses are this context's memory.
    pub(super) unsafe fn launch(&self, kernel: &mut Kernel, launch: &Launch) -> Result<()> {
        self.context.enter()?;
        self.allow(kernel, launch.shared)?;
        // The driver reads as many bytes as the kernel's argument has.
        if launch.args.len() != kernel.argument_bytes {
            let (got, needs) = (launch.args.len(), kernel.argument_bytes);
            return Err(fault(format!("`{}` is called with {got} bytes and reads {needs}", launch.kernel)));
        }
        let mut arguments = [launch.args.as_ptr().cast_mut().cast::<c_void>()];
        let [x, y, z] = launch.grid;
        // SAFETY: the argument is as long as the kernel says, and is only read, before this returns.
        let code = unsafe {
            (self.context.driver.calls.cuLaunchKernel)(
                kernel.raw.0,
                x,
                y,
                z,
                launch.threads,
                1,
                1,
                launch.shared,
                self.raw.0,
                arguments.as_mut_ptr(),
                ptr::null_mut(),
            )
        };
        let called = || format!("cuLaunchKernel of `{}`, {x} × {y} × {z} blocks of {} threads", launch.kernel, launch.threads);
        if code == errors::SUCCESS { Ok(()) } else { self.context.check(&called(), code) }
    }

    /// Lets a kernel have more shared memory than every kernel may.
    fn allow(&self, kernel: &mut Kernel, shared: u32) -> Result<()> {
        if shared <= kernel.allowed {
            return Ok(());
        }
        let attribute = cuda::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        let value = c_int::try_from(shared).unwrap_or(c_int::MAX);
        // SAFETY: the kernel's module is alive.
        let code = unsafe { (self.context.driver.calls.cuFuncSetAttribute)(kernel.raw.0, attribute, value) };
        self.context.check(&format!("cuFuncSetAttribute of `{}`, {shared} bytes of shared memory", kernel.name), code)?;
        kernel.allowed = shared;
        Ok(())
    }

    /// From now on work is recorded.
    pub(super) fn begin_recording(&self) -> Result<()> {
        self.context.enter()?;
        // What threads of the process do meanwhile is none of the recording's business.
        let mode = cuda::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: the stream is alive.
        let code = unsafe { (self.context.driver.calls.cuStreamBeginCapture_v2)(self.raw.0, mode) };
        self.context.check("cuStreamBeginCapture_v2", code)
    }

    /// What was recorded, already on the GPU.
    pub(super) fn end_recording(&self) -> Result<Graph> {
        let calls = &self.context.driver.calls;
        let take = |raw| {
            // SAFETY: it writes one handle; the stream is alive.
            unsafe { (calls.cuStreamEndCapture)(self.raw.0, raw) }
        };
        let recorded = self.context.make("cuStreamEndCapture", take)?;
        let take = |raw| {
            // SAFETY: it writes one handle; the graph is alive.
            unsafe { (calls.cuGraphInstantiateWithFlags)(raw, recorded.0, 0) }
        };
        let graph = self.context.make("cuGraphInstantiateWithFlags", take);
        // SAFETY: it was made once and is freed once; what was instantiated does not need it.
        let _ = unsafe { (calls.cuGraphDestroy)(recorded.0) };
        let graph = Graph { raw: graph?, context: Arc::clone(&self.context) };
        // SAFETY: both are alive and of one context.
        self.context.check("cuGraphUpload", unsafe { (calls.cuGraphUpload)(graph.raw.0, self.raw.0) })?;
        Ok(graph)
    }

    /// Ends a recording that nobody wants.
    pub(super) fn forget_recording(&self) {
        let calls = &self.context.driver.calls;
        let mut recorded = ptr::null_mut();
        // SAFETY: it writes one handle, null where the recording is not valid; the stream is alive.
        let code = unsafe { (calls.cuStreamEndCapture)(self.raw.0, &mut recorded) };
        if code == errors::SUCCESS && !recorded.is_null() {
            // SAFETY: it was made once and is freed once.
            let _ = unsafe { (calls.cuGraphDestroy)(recorded) };
        }
    }

    pub(super) fn replay(&self, graph: &Graph) -> Result<()> {
        self.context.enter()?;
        // SAFETY: both are alive and of one context.
        let code = unsafe { (self.context.driver.calls.cuGraphLaunch)(graph.raw.0, self.raw.0) };
        self.context.check("cuGraphLaunch", code)
    }
}
