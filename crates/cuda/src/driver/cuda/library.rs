//! Finds NVIDIA's libraries and makes sure of them before anything else is asked of them.

use std::ffi::{c_char, c_int};
use std::fs;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute as Attribute;

use super::calls::{self, Code, Cuda, Nvrtc};
use super::errors::{self, Words};
use super::objects::Context;
use crate::lack::{CUDA, Lack, Library, Version};
use crate::survey::{Found, Gpu};

/// The driver's library. It is never unloaded: its threads and ours outlive any order that could be kept.
#[derive(Debug)]
pub(crate) struct DriverLibrary {
    pub(super) calls: Cuda,
    pub(super) words: Words,
    found: Found,
    gpu_count: usize,
}

/// The compiler's library, which is never unloaded either.
#[derive(Debug)]
pub(crate) struct NvrtcLibrary {
    pub(super) calls: Nvrtc,
    found: Found,
    /// The size of its file, which differs where versions do not.
    pub(super) file_bytes: u64,
    /// What it compiles for: 90 for sm_90, ascending.
    pub(super) architectures: Vec<u32>,
}

/// The first driver in the folders that works, or else what is wrong with the first of them.
pub(crate) fn driver(search: &[PathBuf]) -> Result<Arc<DriverLibrary>, Lack> {
    first(Library::Driver.file(), search, DriverLibrary::open).unwrap_or(Err(Lack::NoDriver)).map(Arc::new)
}

/// The same of the compiler.
pub(crate) fn nvrtc(search: &[PathBuf]) -> Result<Arc<NvrtcLibrary>, Lack> {
    let file = Library::Nvrtc.file();
    first(file, search, |file| NvrtcLibrary::open(file, search))
        .unwrap_or_else(|| Err(Lack::NoCompiler { file: file.into(), folders: search.len(), other: other_compiler(search) }))
        .map(Arc::new)
}

/// The first of the files that `open` takes, else the first refusal; `None` where there is no such file.
fn first<T>(name: &str, search: &[PathBuf], open: impl Fn(&Path) -> Result<T, Lack>) -> Option<Result<T, Lack>> {
    let mut refusal = None;
    for file in files(name, search) {
        match open(&file) {
            Ok(library) => return Some(Ok(library)),
            Err(lack) => _ = refusal.get_or_insert(Err(lack)),
        }
    }
    refusal
}

/// The files of that name in the folders. Their paths are absolute: the system's loader would look elsewhere for a mere name.
fn files(name: &str, search: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    search.iter().filter_map(move |folder| std::path::absolute(folder.join(name)).ok()).filter(|file| file.is_file())
}

fn other_compiler(search: &[PathBuf]) -> Option<PathBuf> {
    ["libnvrtc.so.12", "libnvrtc.so.14", "libnvrtc.so.11.2"].into_iter().find_map(|name| files(name, search).next())
}

/// A library that stays loaded.
struct Opened {
    library: ManuallyDrop<libloading::Library>,
    which: Library,
    file: PathBuf,
}

impl Opened {
    fn new(which: Library, file: &Path) -> Result<Opened, Lack> {
        // SAFETY: whoever can put a file of this name into one of the folders, which are the user's own or the system's, is trusted
        // with what its constructors do.
        let library = unsafe { libloading::Library::new(file) }.map_err(|error| {
            let path = format!("{}: ", file.display());
            let reason = error.to_string().replace(&path, "").replace('\n', " ");
            Lack::NotLoadable { library: which, file: file.into(), reason }
        })?;
        Ok(Opened { library: ManuallyDrop::new(library), which, file: file.into() })
    }

    fn lacks(&self, function: &'static str) -> Lack {
        Lack::NoFunction { library: self.which, file: self.file.clone(), function }
    }

    fn fails(&self, reason: impl Into<String>) -> Lack {
        Lack::Fails { file: self.file.clone(), reason: reason.into() }
    }

    fn other_version(&self, found: Version, release: Option<String>) -> Lack {
        Lack::OtherVersion { library: self.which, file: self.file.clone(), found, release }
    }
}

impl DriverLibrary {
    fn open(file: &Path) -> Result<DriverLibrary, Lack> {
        let opened = Opened::new(Library::Driver, file)?;
        // The version first: an old driver lacks functions, and the reason is that it is old.
        // SAFETY: this function has had one form in all versions.
        let version = unsafe {
            let get: unsafe extern "C" fn(*mut c_int) -> Code =
                calls::function(&opened.library, "cuDriverGetVersion").map_err(|name| opened.lacks(name))?;
            let mut number = 0;
            (get(&mut number), number)
        };
        let version = match version {
            (errors::SUCCESS, number) => version_of(number),
            (errors::STUB, _) => return Err(opened.fails(STAND_IN)),
            (code, _) => return Err(opened.fails(format!("cuDriverGetVersion: CUDA error {code}"))),
        };
        let release = release(file);
        if version < CUDA {
            return Err(opened.other_version(version, release));
        }
        // SAFETY: a driver of this version has these functions in these forms.
        let found = unsafe { Cuda::of(&opened.library).and_then(|calls| Ok((calls, Words::of(&opened.library)?))) };
        let (calls, words) = found.map_err(|name| opened.lacks(name))?;
        let said = |call: &str, code| opened.fails(format!("{call}: {}", words.say(code)));
        // SAFETY: there is one argument, which is 0.
        let gpu_count = match unsafe { (calls.cuInit)(0) } {
            errors::SUCCESS => {
                let mut count = 0;
                // SAFETY: it writes one number.
                match unsafe { (calls.cuDeviceGetCount)(&mut count) } {
                    errors::SUCCESS => usize::try_from(count).unwrap_or(0),
                    code => return Err(said("cuDeviceGetCount", code)),
                }
            }
            errors::NO_DEVICE => 0,
            errors::STUB => return Err(opened.fails(STAND_IN)),
            code => return Err(said("cuInit", code)),
        };
        Ok(DriverLibrary { calls, words, found: Found { file: file.into(), version, release }, gpu_count })
    }

    pub(crate) fn found(&self) -> &Found {
        &self.found
    }

    /// How many GPUs it shows.
    pub(crate) fn gpu_count(&self) -> usize {
        self.gpu_count
    }

    /// What it says of one of them.
    pub(crate) fn gpu(&self, device: usize) -> Result<Gpu, Lack> {
        let fails = |reason| Lack::Fails { file: self.found.file.clone(), reason: format!("GPU {device}: {reason}") };
        self.describe(device).map_err(fails)
    }

    fn describe(&self, device: usize) -> Result<Gpu, String> {
        let handle = self.device(device)?;
        let done = |call: &str, code| self.words.done(call, code);
        let mut name = [0 as c_char; 256];
        // SAFETY: it writes as many characters as it is told, of which the last is 0.
        let code = unsafe { (self.calls.cuDeviceGetName)(name.as_mut_ptr(), name.len() as c_int, handle) };
        done("cuDeviceGetName", code)?;
        let mut memory_bytes = 0;
        // SAFETY: it writes one number.
        done("cuDeviceTotalMem_v2", unsafe { (self.calls.cuDeviceTotalMem_v2)(&mut memory_bytes, handle) })?;
        let attribute = |attribute| {
            let mut value = 0;
            // SAFETY: it writes one number.
            done("cuDeviceGetAttribute", unsafe { (self.calls.cuDeviceGetAttribute)(&mut value, attribute, handle) })?;
            Ok::<u32, String>(u32::try_from(value).unwrap_or(0))
        };
        let name: Vec<u8> = name.iter().take_while(|&&c| c != 0).map(|&c| c as u8).collect();
        Ok(Gpu {
            device,
            name: String::from_utf8_lossy(&name).trim().into(),
            capability: Version::new(
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
                attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
            ),
            memory_bytes: memory_bytes as u64,
            multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
            shared_bytes: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        })
    }

    /// The driver's handle of a GPU.
    pub(super) fn device(&self, device: usize) -> Result<c_int, String> {
        let mut handle = 0;
        // SAFETY: it writes one number.
        let code = unsafe { (self.calls.cuDeviceGet)(&mut handle, c_int::try_from(device).unwrap_or(c_int::MAX)) };
        self.words.done("cuDeviceGet", code).map(|()| handle)
    }

    /// Bytes of a GPU's memory that are free.
    pub(crate) fn free_bytes(self: &Arc<DriverLibrary>, device: usize) -> net::Result<u64> {
        Ok(Context::new(self, device)?.memory()?.free)
    }
}

const STAND_IN: &str = "is the CUDA toolkit's stand-in for linking, not NVIDIA's driver";

impl NvrtcLibrary {
    fn open(file: &Path, search: &[PathBuf]) -> Result<NvrtcLibrary, Lack> {
        let opened = Opened::new(Library::Nvrtc, file)?;
        // SAFETY: a compiler of this name has these functions in these forms.
        let calls = unsafe { Nvrtc::of(&opened.library) }.map_err(|name| opened.lacks(name))?;
        let fails = |call: &str, code: Code| opened.fails(format!("{call}: {}", super::compile::say(code)));
        let (mut major, mut minor) = (0, 0);
        // SAFETY: it writes two numbers.
        match unsafe { (calls.nvrtcVersion)(&mut major, &mut minor) } {
            errors::SUCCESS => {}
            code => return Err(fails("nvrtcVersion", code)),
        }
        let version = Version::new(u32::try_from(major).unwrap_or(0), u32::try_from(minor).unwrap_or(0));
        if version.major != CUDA.major {
            return Err(opened.other_version(version, None));
        }
        // SAFETY: they are this library's own.
        let architectures = unsafe { architectures(&calls) }.map_err(|(call, code)| fails(call, code))?;
        load_builtins(file, version, search)?;
        let file_bytes = fs::metadata(file).map_or(0, |metadata| metadata.len());
        Ok(NvrtcLibrary { calls, found: Found { file: file.into(), version, release: None }, file_bytes, architectures })
    }

    pub(crate) fn found(&self) -> &Found {
        &self.found
    }
}

/// # Safety
/// They are the functions of a compiler.
unsafe fn architectures(calls: &Nvrtc) -> Result<Vec<u32>, (&'static str, Code)> {
    let mut count = 0;
    // SAFETY: it writes one number.
    match unsafe { (calls.nvrtcGetNumSupportedArchs)(&mut count) } {
        errors::SUCCESS => {}
        code => return Err(("nvrtcGetNumSupportedArchs", code)),
    }
    let mut all: Vec<c_int> = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: it writes as many numbers as it has said.
    match unsafe { (calls.nvrtcGetSupportedArchs)(all.as_mut_ptr()) } {
        errors::SUCCESS => {}
        code => return Err(("nvrtcGetSupportedArchs", code)),
    }
    let mut all: Vec<u32> = all.into_iter().filter_map(|number| u32::try_from(number).ok()).collect();
    all.sort_unstable();
    Ok(all)
}

/// Loads the second half of the compiler, which the first would look for by its name in the system's folders alone.
fn load_builtins(file: &Path, version: Version, search: &[PathBuf]) -> Result<(), Lack> {
    let name = format!("libnvrtc-builtins.so.{version}");
    let beside = [Some(file.to_path_buf()), fs::canonicalize(file).ok()];
    let mut folders: Vec<PathBuf> = beside.into_iter().flatten().filter_map(|file| Some(file.parent()?.into())).collect();
    folders.extend_from_slice(search);
    let open = |file: &Path| Opened::new(Library::Nvrtc, file).map(|_| ());
    first(&name, &folders, open).unwrap_or(Err(Lack::NoCompiler { file: name, folders: search.len(), other: None }))
}

/// 13.0 of 13000, 12.4 of 12040.
fn version_of(number: c_int) -> Version {
    let number = u32::try_from(number).unwrap_or(0);
    Version::new(number / 1000, number % 1000 / 10)
}

/// 580.65.06 of libcuda.so.1 where that is a link to libcuda.so.580.65.06.
fn release(file: &Path) -> Option<String> {
    let file = fs::canonicalize(file).ok()?;
    let release = file.file_name()?.to_str()?.strip_prefix("libcuda.so.")?;
    (release.split('.').count() >= 2).then(|| release.into())
}
