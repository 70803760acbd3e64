//! From a source with kernels to a shared library, by g++.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use net::Result;

use crate::driver::fault;
use crate::kernels::{self, Element};

/// What `device.cuh` includes where CUDA is not compiled.
const HOST_HEADERS: [(&str, &str); 6] = [
    ("host/device.hpp", include_str!("../../../kernels/host/device.hpp")),
    ("host/block.hpp", include_str!("../../../kernels/host/block.hpp")),
    ("host/fiber.hpp", include_str!("../../../kernels/host/fiber.hpp")),
    ("host/library.hpp", include_str!("../../../kernels/host/library.hpp")),
    ("host/number.hpp", include_str!("../../../kernels/host/number.hpp")),
    ("host/warp.hpp", include_str!("../../../kernels/host/warp.hpp")),
];

/// Kernels are CUDA C++: types may be punned, pragmas are for another compiler. Sums are what is written, on every host.
const FLAGS: [&str; 13] = [
    "-std=c++17",
    "-O2",
    "-g1",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-gnu-unique",
    "-fno-strict-aliasing",
    "-ffp-contract=off",
    "-Wall",
    "-Wextra",
    "-Wno-unknown-pragmas",
    "-x",
    "c++",
];

/// Faults that the library's own handlers catch (`kernels/host/library.hpp`).
const CATCHES: [&str; 3] = ["-shared", "-DEMULATED_CATCHES", "-fsanitize=alignment,null,bounds,shift,integer-divide-by-zero"];

/// A compiler that was found, and a folder for what it makes.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    version: String,
    folder: PathBuf,
}

impl Compiler {
    /// Looks for g++.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn find(folder: &Path) -> Result<Compiler> {
        let output = Command::new("g++").arg("--version").output().map_err(|e| fault(format!("g++ does not start: {e}")))?;
        Ok(Compiler { version: String::from_utf8_lossy(&output.stdout).into_owned(), folder: folder.into() })
    }

    /// The shared library of a source, which is built unless one of the same text lies in the folder. Several processes may do this
    /// at the same time.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn library(&self, name: &str, text: &str, element: Element) -> Result<PathBuf> {
        self.build(name, text, element, &CATCHES)
    }

    fn build(&self, name: &str, text: &str, element: Element, more: &[&str]) -> Result<PathBuf> {
        let mut files: Vec<(String, String)> = HOST_HEADERS.iter().map(|&(name, text)| (name.into(), text.into())).collect();
        files.extend(kernels::headers());
        files.push((name.into(), text.into()));
        let mut flags: Vec<String> = FLAGS.iter().chain(more).map(|&flag| flag.into()).collect();
        flags.extend(element.macros().iter().map(|(name, value)| format!("-D{name}={value}")));
        let mut hasher = DefaultHasher::new();
        (&self.version, &files, &flags).hash(&mut hasher);
        let to = self.folder.join(format!("{name}-{:016x}", hasher.finish()));
        if to.exists() {
            return Ok(to);
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let beside = self.folder.join(format!("{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let made = compile(&beside, &files, name, &flags)
            .and_then(|made| fs::rename(made, &to).map_err(|e| fault(format!("{}: {e}", to.display()))));
        // What is left there is of no more use, and no harm.
        let _ = fs::remove_dir_all(&beside);
        made.map(|()| to)
    }
}

/// Writes the files into a new folder and compiles one of them there.
fn compile(folder: &Path, files: &[(String, String)], name: &str, flags: &[String]) -> Result<PathBuf> {
    let failed = |e: std::io::Error| fault(format!("{}: {e}", folder.display()));
    fs::create_dir_all(folder.join("host")).map_err(failed)?;
    for (name, text) in files {
        fs::write(folder.join(name), text).map_err(failed)?;
    }
    let made = folder.join("made");
    let output = Command::new("g++").args(flags).arg(name).arg("-o").arg("made").current_dir(folder).output().map_err(failed)?;
    if output.status.success() {
        return Ok(made);
    }
    Err(fault(format!("g++ refuses {name}:\n{}", String::from_utf8_lossy(&output.stderr))))
}
