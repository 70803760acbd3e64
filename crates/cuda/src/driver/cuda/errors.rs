//! What CUDA's functions return, in words.

use std::ffi::{CStr, c_char};
use std::ptr;

use cudarc::driver::sys::CUresult;
use libloading::Library;
use net::{Error, Result};

use super::calls::{self, Code, Describe};
use crate::driver::fault;

pub(super) const SUCCESS: Code = CUresult::CUDA_SUCCESS as Code;
pub(super) const OUT_OF_MEMORY: Code = CUresult::CUDA_ERROR_OUT_OF_MEMORY as Code;
pub(super) const NOT_READY: Code = CUresult::CUDA_ERROR_NOT_READY as Code;
pub(super) const NO_DEVICE: Code = CUresult::CUDA_ERROR_NO_DEVICE as Code;
pub(super) const STUB: Code = CUresult::CUDA_ERROR_STUB_LIBRARY as Code;

/// Errors after which nothing works any more in the context, or on the GPU: a part of it that failed, and kernels that did
/// something impossible, whichever of the two came first.
const LOST: [CUresult; 16] = [
    CUresult::CUDA_ERROR_ECC_UNCORRECTABLE,
    CUresult::CUDA_ERROR_NVLINK_UNCORRECTABLE,
    CUresult::CUDA_ERROR_CONTAINED,
    CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
    CUresult::CUDA_ERROR_LAUNCH_TIMEOUT,
    CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED,
    CUresult::CUDA_ERROR_ASSERT,
    CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR,
    CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION,
    CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
    CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE,
    CUresult::CUDA_ERROR_INVALID_PC,
    CUresult::CUDA_ERROR_LAUNCH_FAILED,
    CUresult::CUDA_ERROR_MPS_CLIENT_TERMINATED,
    CUresult::CUDA_ERROR_EXTERNAL_DEVICE,
    CUresult::CUDA_ERROR_UNKNOWN,
];

/// Tells what a code means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    name: Describe,
    text: Describe,
}

impl Words {
    /// # Safety
    /// The library is CUDA's driver.
    pub(super) unsafe fn of(library: &Library) -> std::result::Result<Words, &'static str> {
        // SAFETY: the signature is the documented one, and the caller knows the library.
        unsafe {
            let (name, text) = (calls::function(library, "cuGetErrorName")?, calls::function(library, "cuGetErrorString")?);
            Ok(Words { name, text })
        }
    }

    /// `CUDA_ERROR_OUT_OF_MEMORY (out of memory)`
    pub(super) fn say(&self, code: Code) -> String {
        match (ask(self.name, code), ask(self.text, code)) {
            (Some(name), Some(text)) => format!("{name} ({text})"),
            (Some(name), None) => name,
            (None, _) => format!("CUDA error {code}, which this driver has no name for"),
        }
    }

    /// Whether what was `called` succeeded, else what it said.
    pub(super) fn done(&self, called: &str, code: Code) -> std::result::Result<(), String> {
        if code == SUCCESS { Ok(()) } else { Err(format!("{called}: {}", self.say(code))) }
    }

    /// Whether what was `called` in a context succeeded.
    pub(super) fn check(&self, called: &str, code: Code) -> Result<()> {
        let error = |message| if is_lost(code) { Error::Lost { engine: "cuda", message } } else { fault(message) };
        self.done(called, code).map_err(error)
    }
}

fn is_lost(code: Code) -> bool {
    LOST.iter().any(|&lost| lost as Code == code)
}

fn ask(describe: Describe, code: Code) -> Option<String> {
    let mut text: *const c_char = ptr::null();
    // SAFETY: the function writes a pointer to text that is never freed, or leaves or makes it null.
    let known = unsafe { describe(code, &mut text) };
    if known != SUCCESS || text.is_null() {
        return None;
    }
    // SAFETY: it is not null, and ends with a zero.
    Some(unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}
