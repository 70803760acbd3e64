//! Addresses that are nowhere: what a kernel reads or writes there ends its block, not this process.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Once;

/// What a library does where a thread of a block goes wrong: both are `kernels/host/library.hpp`'s.
#[derive(Clone, Copy)]
pub(crate) struct Escape {
    /// The upper end of the stack that an address lies on, which must be a block's thread's.
    pub(crate) top: unsafe extern "C" fn(*const c_void) -> *mut c_void,
    /// Abandons the block of the thread that runs on this stack, and does not return.
    pub(crate) lost: unsafe extern "C" fn(u64),
}

thread_local! {
    /// The library whose block runs on this thread of the host.
    static RUNNING: Cell<Option<Escape>> = const { Cell::new(None) };
}

/// Runs `block`, which calls that library, so that its faults are caught.
pub(crate) fn caught<T>(escape: Escape, block: impl FnOnce() -> T) -> T {
    install();
    RUNNING.set(Some(escape));
    let result = block();
    RUNNING.set(None);
    result
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod handler {
    use std::mem::MaybeUninit;
    use std::sync::atomic::{AtomicPtr, Ordering};

    use super::*;

    const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];
    /// What was done before, for each.
    static BEFORE: [AtomicPtr<libc::sigaction>; 2] = [const { AtomicPtr::new(std::ptr::null_mut()) }; 2];

    /// Sends the thread of a block to [`Escape::lost`]; leaves anything else to who was there before.
    extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        let context = context.cast::<libc::ucontext_t>();
        // SAFETY: the kernel calls this with a context and an info of this signal that outlive the call. A block's code runs on a
        // stack of its own, and nothing else happens on this thread while `RUNNING` is set but the few lines that switch to it.
        unsafe {
            if let Some(escape) = RUNNING.get() {
                let registers = &mut (*context).uc_mcontext.gregs;
                let top = (escape.top)(registers[libc::REG_RSP as usize] as *const c_void);
                // As if just called, with the address as its argument.
                registers[libc::REG_RSP as usize] = top as i64 - 8;
                registers[libc::REG_RDI as usize] = (*info).si_addr() as i64;
                registers[libc::REG_RIP as usize] = escape.lost as usize as i64;
                return;
            }
            let place = SIGNALS.iter().position(|&s| s == signal).unwrap_or(0);
            libc::sigaction(signal, BEFORE[place].load(Ordering::Acquire), std::ptr::null_mut());
        }
    }

    pub(super) fn install() {
        for (&signal, before) in SIGNALS.iter().zip(&BEFORE) {
            // SAFETY: the structures are valid; zeros are an empty mask and no flags. What was there before is kept for good.
            unsafe {
                let mut kept: Box<MaybeUninit<libc::sigaction>> = Box::new(MaybeUninit::zeroed());
                let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
                action.sa_sigaction = on_signal as *const () as usize;
                action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigaction(signal, std::ptr::null(), kept.as_mut_ptr());
                before.store(Box::into_raw(kept).cast(), Ordering::Release);
                libc::sigaction(signal, &action, std::ptr::null_mut());
            }
        }
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod handler {
    pub(super) fn install() {}
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(handler::install);
}
