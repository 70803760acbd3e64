//! Compiles kernels for the GPU that was found.
//!
//! The result is machine code for exactly this GPU (a cubin), never PTX: a driver refuses PTX of a newer compiler, and its own
//! compiler would be a second opinion. What was compiled is kept for the process and, where the caller names a folder, on disk.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::path::PathBuf;
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use cudarc::nvrtc::sys::{self, nvrtcResult};
use net::Result;

use super::calls::{Code, Nvrtc};
use super::errors::SUCCESS;
use super::library::NvrtcLibrary;
use super::store::Store;
use crate::driver::fault;
use crate::kernels::Element;
use crate::lack::{Lack, Version};
use crate::survey::Gpu;

/// Compiles for one GPU and one type of values between layers.
#[derive(Debug)]
pub(super) struct Compiler {
    nvrtc: Arc<NvrtcLibrary>,
    options: Vec<String>,
    store: Option<Store>,
}

/// What is compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// The name that messages give it.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    /// What it may include: names and texts.
    pub(super) headers: &'a [(String, String)],
}

/// A digest of everything that a cubin depends on.
pub(super) type Key = [u8; 32];

type Cubin = Arc<Vec<u8>>;

/// What this process has compiled or read.
static KEPT: LazyLock<Mutex<HashMap<Key, Cubin>>> = LazyLock::new(Mutex::default);

impl Compiler {
    /// # Errors
    /// Where the compiler does not know the GPU.
    pub(super) fn new(nvrtc: Arc<NvrtcLibrary>, gpu: &Gpu, element: Element, store: Option<PathBuf>) -> Result<Compiler, Lack> {
        let architecture = architecture(gpu.capability, &nvrtc.architectures).ok_or_else(|| Lack::NewGpu {
            file: nvrtc.found().file.clone(),
            compiler: nvrtc.found().version,
            gpu: gpu.clone(),
        })?;
        // There are no functions of the host: what is not marked, as a lambda that takes any type, is the GPU's.
        let on_device = "--device-as-default-execution-space".into();
        let mut options = vec![format!("--gpu-architecture={architecture}"), "--std=c++17".into(), on_device];
        options.extend(element.macros().iter().map(|(name, value)| format!("--define-macro={name}={value}")));
        Ok(Compiler { nvrtc, options, store: store.map(Store::new) })
    }

    /// The machine code of a source: kept, stored, or made now.
    ///
    /// # Errors
    /// With the compiler's own words, where it refuses the text.
    pub(super) fn cubin(&self, source: Source<'_>) -> Result<Cubin> {
        let key = self.key(source);
        let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cubin) = kept().get(&key) {
            return Ok(Arc::clone(cubin));
        }
        let cubin = self.stored(&key, source)?;
        Ok(Arc::clone(kept().entry(key).or_insert_with(|| Arc::new(cubin))))
    }

    /// What the store has, or will have from now on.
    pub(super) fn stored(&self, key: &Key, source: Source<'_>) -> Result<Vec<u8>> {
        if let Some(cubin) = self.store.as_ref().and_then(|store| store.get(key)) {
            return Ok(cubin);
        }
        let cubin = self.compile(source)?;
        self.store.iter().for_each(|store| store.put(key, &cubin));
        Ok(cubin)
    }

    pub(super) fn key(&self, source: Source<'_>) -> Key {
        let mut hasher = blake3::Hasher::new();
        let mut add = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        add(&format!("{} {}", self.nvrtc.found().version, self.nvrtc.file_bytes));
        self.options.iter().for_each(|option| add(option));
        add(source.name);
        add(source.text);
        for (name, text) in source.headers {
            add(name);
            add(text);
        }
        *hasher.finalize().as_bytes()
    }

    fn compile(&self, source: Source<'_>) -> Result<Vec<u8>> {
        self.compile_with(source, &[]).map(|(cubin, _)| cubin)
    }

    /// Machine code, and what the compiler said, with more options than it is given for use.
    pub(super) fn compile_with(&self, source: Source<'_>, more: &[&str]) -> Result<(Vec<u8>, String)> {
        let program = Program::new(&self.nvrtc.calls, source)?;
        let options = texts(self.options.iter().map(String::as_str).chain(more.iter().copied()))?;
        let pointers: Vec<*const c_char> = options.iter().map(|option| option.as_ptr()).collect();
        // SAFETY: the program is alive, and there are so many options.
        let code = unsafe { (self.nvrtc.calls.nvrtcCompileProgram)(program.raw, pointers.len() as i32, pointers.as_ptr()) };
        let log = program.log().unwrap_or_default();
        if code != SUCCESS {
            let what = format!("{} does not compile with {}", source.name, self.options.join(" "));
            return Err(fault(format!("{what}: {}\n{}", say(code), log.trim())));
        }
        Ok((program.cubin()?, log))
    }
}

/// What the compiler calls the GPU, or the newest one whose code this one runs too. Names with an `a` have all instructions of one
/// GPU and run on no other.
fn architecture(capability: Version, known: &[u32]) -> Option<String> {
    let Version { major, minor } = capability;
    let exact = 10 * major + minor;
    if known.contains(&exact) {
        return Some(format!("sm_{exact}{}", if major >= 9 { "a" } else { "" }));
    }
    let older = known.iter().filter(|&&known| known / 10 == major && known < exact).max()?;
    Some(format!("sm_{older}"))
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<CString>> {
    texts.map(|text| CString::new(text).map_err(|_| fault("a kernel's text holds a zero"))).collect()
}

/// A program of the compiler's.
struct Program<'a> {
    calls: &'a Nvrtc,
    raw: sys::nvrtcProgram,
}

impl Program<'_> {
    fn new<'a>(calls: &'a Nvrtc, source: Source<'_>) -> Result<Program<'a>> {
        let source_texts = texts([source.text, source.name].into_iter())?;
        let names = texts(source.headers.iter().map(|(name, _)| name.as_str()))?;
        let headers = texts(source.headers.iter().map(|(_, text)| text.as_str()))?;
        let pointers = |texts: &[CString]| texts.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
        let (names_at, headers_at) = (pointers(&names), pointers(&headers));
        let mut raw = ptr::null_mut();
        // SAFETY: all texts end with a zero and outlive the call, which copies them; there are as many headers as names.
        let code = unsafe {
            (calls.nvrtcCreateProgram)(
                &mut raw,
                source_texts[0].as_ptr(),
                source_texts[1].as_ptr(),
                names_at.len() as i32,
                headers_at.as_ptr(),
                names_at.as_ptr(),
            )
        };
        check("nvrtcCreateProgram", code)?;
        Ok(Program { calls, raw })
    }

    fn log(&self) -> Result<String> {
        let mut len = 0;
        // SAFETY: it writes one number; the program is alive.
        check("nvrtcGetProgramLogSize", unsafe { (self.calls.nvrtcGetProgramLogSize)(self.raw, &mut len) })?;
        let mut log = vec![0_u8; len];
        // SAFETY: it writes as many bytes as it has said.
        check("nvrtcGetProgramLog", unsafe { (self.calls.nvrtcGetProgramLog)(self.raw, log.as_mut_ptr().cast()) })?;
        log.truncate(log.iter().position(|&byte| byte == 0).unwrap_or(len));
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    fn cubin(&self) -> Result<Vec<u8>> {
        let mut len = 0;
        // SAFETY: it writes one number; the program is alive and compiled.
        check("nvrtcGetCUBINSize", unsafe { (self.calls.nvrtcGetCUBINSize)(self.raw, &mut len) })?;
        let mut cubin = vec![0_u8; len];
        // SAFETY: it writes as many bytes as it has said.
        check("nvrtcGetCUBIN", unsafe { (self.calls.nvrtcGetCUBIN)(self.raw, cubin.as_mut_ptr().cast()) })?;
        Ok(cubin)
    }
}

impl Drop for Program<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made once and is freed once.
        let _ = unsafe { (self.calls.nvrtcDestroyProgram)(&mut self.raw) };
    }
}

fn check(called: &str, code: Code) -> Result<()> {
    if code == SUCCESS { Ok(()) } else { Err(fault(format!("{called}: {}", say(code)))) }
}

/// The compiler's name for a code.
pub(super) fn say(code: Code) -> String {
    let known = [
        nvrtcResult::NVRTC_ERROR_OUT_OF_MEMORY,
        nvrtcResult::NVRTC_ERROR_PROGRAM_CREATION_FAILURE,
        nvrtcResult::NVRTC_ERROR_INVALID_INPUT,
        nvrtcResult::NVRTC_ERROR_INVALID_PROGRAM,
        nvrtcResult::NVRTC_ERROR_INVALID_OPTION,
        nvrtcResult::NVRTC_ERROR_COMPILATION,
        nvrtcResult::NVRTC_ERROR_BUILTIN_OPERATION_FAILURE,
        nvrtcResult::NVRTC_ERROR_INTERNAL_ERROR,
    ];
    let name = known.into_iter().find(|&known| known as Code == code);
    name.map_or_else(|| format!("NVRTC error {code}"), |name| format!("{name:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_made_for_exactly_the_gpu_or_for_the_one_before_it() {
        let known = [75, 80, 86, 89, 90, 100, 103, 120];
        let cases = [
            ((8, 0), Some("sm_80")),
            ((8, 9), Some("sm_89")),
            ((9, 0), Some("sm_90a")),
            ((10, 0), Some("sm_100a")),
            ((12, 0), Some("sm_120a")),
            // Newer than the compiler, and of a kind that it knows.
            ((8, 7), Some("sm_86")),
            ((12, 1), Some("sm_120")),
            ((10, 9), Some("sm_103")),
            ((13, 0), None),
            ((7, 0), None),
        ];
        for ((major, minor), expected) in cases {
            assert_eq!(architecture(Version::new(major, minor), &known).as_deref(), expected, "{major}.{minor}");
        }
    }
}
