//! The foreign interface of a compiled source: `kernels/host/library.hpp`.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_void};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use net::Result;

use super::host::Order;
use super::signal::{self, Escape};
use crate::driver::{self, fault};

/// A loaded library. Its functions are called while it lives.
struct Code {
    run: unsafe extern "C" fn(*mut c_void, *const c_void, *const Launch, u64) -> *const c_char,
    new: unsafe extern "C" fn() -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    escape: Escape,
    _library: libloading::Library,
}

/// `emulated::Launch`
#[repr(C)]
struct Launch {
    grid: [u32; 3],
    threads: u32,
    shared: u32,
    reserved: u32,
    seed: u64,
    args: *const c_void,
}

/// A kernel of a loaded library.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) args_bytes: usize,
    /// The most that a block may have.
    pub(crate) threads: u32,
    address: *const c_void,
    code: Arc<Code>,
}

// SAFETY: the address is of a constant of the library, which `code` keeps loaded; nothing writes there.
unsafe impl Send for Kernel {}
// SAFETY: as above.
unsafe impl Sync for Kernel {}

/// What one thread of the host runs blocks on: `emulated::Machine`.
struct Machine {
    address: *mut c_void,
    code: Arc<Code>,
}

// SAFETY: a machine is memory without ties to a thread, and belongs to one value.
unsafe impl Send for Machine {}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: the address came from `new` of the same library and is freed once.
        unsafe { (self.code.free)(self.address) }
    }
}

/// Loads a library that [`super::build::Compiler::library`] made.
///
/// # Errors
/// Where it cannot be loaded.
pub(crate) fn load(path: &Path) -> Result<Vec<Kernel>> {
    let failed = |e: libloading::Error| fault(format!("{}: {e}", path.display()));
    // SAFETY: the library is our own; its initialisers only list its kernels.
    let library = unsafe { libloading::Library::new(path) }.map_err(failed)?;
    // SAFETY: the types are those of library.hpp, and `Code` keeps the library loaded while the functions can be called.
    let (list, code) = unsafe {
        let list: unsafe extern "C" fn(u32, *mut *const c_char, *mut u32, *mut u32) -> *const c_void =
            *library.get(c"emulated_kernel").map_err(failed)?;
        let run = *library.get(c"emulated_run").map_err(failed)?;
        let new = *library.get(c"emulated_machine").map_err(failed)?;
        let free = *library.get(c"emulated_free").map_err(failed)?;
        let escape =
            Escape { top: *library.get(c"emulated_top").map_err(failed)?, lost: *library.get(c"emulated_lost").map_err(failed)? };
        (list, Arc::new(Code { run, new, free, escape, _library: library }))
    };
    let mut kernels = Vec::new();
    loop {
        let (mut name, mut args_bytes, mut threads) = (std::ptr::null(), 0, 0);
        // SAFETY: the function writes to the three places, which outlive the call, where it does not return null.
        let address = unsafe { list(kernels.len() as u32, &mut name, &mut args_bytes, &mut threads) };
        if address.is_null() {
            return Ok(kernels);
        }
        // SAFETY: the name is a constant of the library, ended by 0.
        let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
        kernels.push(Kernel { name, args_bytes: args_bytes as usize, threads, address, code: Arc::clone(&code) });
    }
}

/// Runs the blocks of launches on threads of the host.
#[derive(Default)]
pub(crate) struct Machines {
    /// One for each thread.
    machines: Vec<Machine>,
}

impl Machines {
    /// Runs all blocks, in an order that depends on the seed, on at most `workers` threads.
    ///
    /// # Errors
    /// The fault of the first block, by its number, among those that ran.
    pub(crate) fn launch(&mut self, kernel: &Kernel, launch: &driver::Launch, seed: u64, workers: usize) -> Result<()> {
        let order = Order::new(launch.grid, seed);
        let blocks = order.blocks();
        let workers = workers.clamp(1, blocks as usize);
        while self.machines.len() < workers {
            // SAFETY: the function takes nothing.
            let address = unsafe { (kernel.code.new)() };
            if address.is_null() {
                return Err(fault("no memory for the threads of a block"));
            }
            self.machines.push(Machine { address, code: Arc::clone(&kernel.code) });
        }
        // Eight bytes each, so that the structure is aligned.
        let args: Vec<u64> = launch
            .args
            .chunks(8)
            .map(|eight| u64::from_ne_bytes(std::array::from_fn(|i| eight.get(i).copied().unwrap_or(0))))
            .collect();
        let next = AtomicU64::new(0);
        let work = |machine: &mut Machine| -> Option<(u64, String)> {
            let described = Launch {
                grid: launch.grid,
                threads: launch.threads,
                shared: launch.shared,
                reserved: 0,
                seed,
                args: args.as_ptr().cast(),
            };
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= blocks {
                    return None;
                }
                let block = order.block(number);
                // SAFETY: machine, kernel and argument live through the call and are of the types that library.hpp says. What the
                // kernel reads and writes is our own kernel's to answer for: it is given addresses of the device's memory, which
                // nobody borrows while the driver is borrowed for this.
                let run = || unsafe { (kernel.code.run)(machine.address, kernel.address, &described, block) };
                let message = signal::caught(kernel.code.escape, run);
                if !message.is_null() {
                    next.store(blocks, Ordering::Relaxed);
                    // SAFETY: a text ended by 0, which the machine keeps until it runs again.
                    return Some((block, unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()));
                }
            }
        };
        let faults: Vec<(u64, String)> = match &mut self.machines[..workers] {
            [one] => work(one).into_iter().collect(),
            several => std::thread::scope(|scope| {
                let running: Vec<_> = several.iter_mut().map(|machine| scope.spawn(|| work(machine))).collect();
                running.into_iter().filter_map(|thread| thread.join().expect("a worker does not panic")).collect()
            }),
        };
        faults.into_iter().min().map_or(Ok(()), |(_, message)| Err(fault(message)))
    }
}
