//! What is missing for a GPU to be used.

use std::fmt;
use std::path::PathBuf;

use crate::Gpu;

/// Major and minor: of CUDA, or of what a GPU can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 13 of `13.0`
    pub major: u32,
    /// 0 of `13.0`
    pub minor: u32,
}

impl Version {
    pub(crate) const fn new(major: u32, minor: u32) -> Version {
        Version { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{}", self.major, self.minor))
    }
}

/// The least compute capability of a GPU that the engine runs on: that of the A100.
pub const LEAST_CAPABILITY: Version = Version::new(8, 0);
/// The version of CUDA whose driver and compiler are used.
pub(crate) const CUDA: Version = Version::new(13, 0);

pub(crate) const DRIVER_FILE: &str = "libcuda.so.1";
pub(crate) const NVRTC_FILE: &str = "libnvrtc.so.13";
const INSTALL_DRIVER: &str = "install NVIDIA's driver, 580 or newer";
const INSTALL_NVRTC: &str = "`pip install nvidia-cuda-nvrtc`, or install the CUDA 13 toolkit";

/// One of NVIDIA's libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// `libcuda.so.1`, a part of the driver.
    Driver,
    /// `libnvrtc.so.13`, the compiler of the engine's kernels.
    Nvrtc,
}

impl Library {
    /// All of them.
    pub const ALL: [Library; 2] = [Library::Driver, Library::Nvrtc];

    /// The name of its file.
    pub fn file(self) -> &'static str {
        match self {
            Library::Driver => DRIVER_FILE,
            Library::Nvrtc => NVRTC_FILE,
        }
    }

    /// How to get it, as a command or an instruction.
    pub fn install(self) -> &'static str {
        match self {
            Library::Driver => INSTALL_DRIVER,
            Library::Nvrtc => INSTALL_NVRTC,
        }
    }
}

/// Why no GPU, or not the one that was asked for, can be used. Each is one line that says what to install where that would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lack {
    /// There is no driver.
    #[error("{DRIVER_FILE} is not installed: it comes with NVIDIA's driver, of which 580 or newer is needed")]
    NoDriver,
    /// There is no compiler, or not all of it.
    #[error("{file} not found in {folders} {}{}: {INSTALL_NVRTC}", if *.folders == 1 { "folder" } else { "folders" }, remark(.other))]
    NoCompiler {
        /// What was looked for.
        file: String,
        /// In how many folders.
        folders: usize,
        /// Another version that is there instead.
        other: Option<PathBuf>,
    },
    /// A file that has the name of a library and cannot be loaded.
    #[error("{}: cannot be loaded: {reason}; {}", .file.display(), .library.install())]
    NotLoadable {
        /// Which library it should be.
        library: Library,
        /// Where it lies.
        file: PathBuf,
        /// What the system's loader says.
        reason: String,
    },
    /// A library without a function that every version since CUDA 13 has.
    #[error("{}: has no {function}; {}", .file.display(), .library.install())]
    NoFunction {
        /// Which library it should be.
        library: Library,
        /// Where it lies.
        file: PathBuf,
        /// The function's name.
        function: &'static str,
    },
    /// A driver or compiler of another version of CUDA.
    #[error("{}: {}for CUDA {found}, {} is needed; {}", .file.display(), number(.release), needed(*.library), .library.install())]
    OtherVersion {
        /// Which library.
        library: Library,
        /// Where it lies.
        file: PathBuf,
        /// Its version.
        found: Version,
        /// The driver's own number, where its file tells.
        release: Option<String>,
    },
    /// A library that does not work here.
    #[error("{}: {reason}", .file.display())]
    Fails {
        /// Where it lies.
        file: PathBuf,
        /// What it says.
        reason: String,
    },
    /// The driver works, and there is no GPU for it.
    #[error("NVIDIA's driver finds no GPU")]
    NoGpu,
    /// A number that no GPU has.
    #[error("there is no GPU {device}: {}", range(*.count))]
    NoSuchGpu {
        /// The number that was asked for.
        device: usize,
        /// How many there are.
        count: usize,
    },
    /// A GPU that is too old.
    #[error("{} has compute capability {}, {LEAST_CAPABILITY} or more is needed", .0.name, .0.capability)]
    OldGpu(Gpu),
    /// A GPU that is newer than the compiler.
    #[error("{}: for CUDA {compiler}, cannot compile for {} of compute capability {}; {INSTALL_NVRTC}, newer", .file.display(), .gpu.name, .gpu.capability)]
    NewGpu {
        /// The compiler.
        file: PathBuf,
        /// Its version.
        compiler: Version,
        /// The GPU.
        gpu: Gpu,
    },
}

fn remark(other: &Option<PathBuf>) -> String {
    other.as_ref().map_or_else(String::new, |other| format!(" ({} is another version)", other.display()))
}

fn number(release: &Option<String>) -> String {
    release.as_ref().map_or_else(String::new, |release| format!("driver {release}, "))
}

/// Drivers run what older compilers made; a compiler has to be of the version whose functions are called.
fn needed(library: Library) -> String {
    match library {
        Library::Driver => format!("{CUDA} or newer"),
        Library::Nvrtc => format!("{}.x", CUDA.major),
    }
}

fn range(count: usize) -> String {
    if count == 1 { "the only one is 0".into() } else { format!("they are 0 to {}", count.saturating_sub(1)) }
}

impl From<Lack> for net::Error {
    fn from(lack: Lack) -> net::Error {
        net::Error::Engine { engine: "cuda", message: lack.to_string() }
    }
}
