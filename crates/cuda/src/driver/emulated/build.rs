//! From a source with kernels to a shared library, by g++.

use std::fs;
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

const RUNNER: (&str, &str) = ("runner.cpp", include_str!("../../../kernels/host/runner.cpp"));

/// Kernels are CUDA C++: types may be punned, pragmas are for another compiler, numbers of threads are unsigned. Sums are what is
/// written, on every host.
const FLAGS: [&str; 12] = [
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
    "-Wno-sign-compare",
    "-Wno-unknown-pragmas",
];

/// What looks for faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// The library itself: `kernels/host/library.hpp` has the handlers.
    Checked,
    /// The compiler's own libraries.
    Sanitized,
}

impl Build {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Build::Checked => &["-DEMULATED_CATCHES", "-fsanitize=alignment,bounds,shift,integer-divide-by-zero"],
            Build::Sanitized => &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
        }
    }
}

/// A compiler that was found, and a folder for what it makes.
#[derive(Debug, Clone)]
pub(crate) struct Compiler {
    version: String,
    folder: PathBuf,
    build: Build,
}

impl Compiler {
    /// Looks for g++.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn find(folder: &Path, build: Build) -> Result<Compiler> {
        let output = Command::new("g++").arg("--version").output().map_err(|e| fault(format!("g++ does not start: {e}")))?;
        Ok(Compiler { version: String::from_utf8_lossy(&output.stdout).into_owned(), folder: folder.into(), build })
    }

    /// The shared library of a source, which is built unless one of the same text lies in the folder. Several processes may do this
    /// at the same time.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn library(&self, name: &str, text: &str, element: Element) -> Result<PathBuf> {
        let files = included(name, text, host_files());
        let mut flags: Vec<String> = element.macros().iter().map(|(name, value)| format!("-D{name}={value}")).collect();
        flags.push("-shared".into());
        flags.extend(vectors().iter().map(|&flag| flag.into()));
        self.made(name, &files, flags)
    }

    /// The program for [`super::child::Runner`], likewise.
    ///
    /// # Errors
    /// What the compiler says.
    pub(crate) fn runner(&self) -> Result<PathBuf> {
        let (name, text) = RUNNER;
        self.made(name, &[(name.into(), text.into())], vec!["-ldl".into()])
    }

    fn made(&self, name: &str, files: &[(String, String)], more: Vec<String>) -> Result<PathBuf> {
        let mut flags: Vec<String> = FLAGS.iter().chain(self.build.flags()).map(|&flag| flag.into()).collect();
        flags.extend(more);
        let digest = self.digest(files, &flags);
        let to = self.folder.join(format!("{name}-{digest}"));
        if to.exists() {
            return Ok(to);
        }
        // Who comes second waits, and finds it made. The lock's file may go once there is what it stands for.
        let failed = |e: std::io::Error| fault(format!("{}: {e}", self.folder.display()));
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let lock_path = self.folder.join(format!("{name}-{digest}.lock"));
        let lock = fs::File::create(&lock_path).map_err(failed)?;
        lock.lock().map_err(failed)?;
        if to.exists() {
            return Ok(to);
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let beside = self.folder.join(format!("{}-{}.tmp", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        let made = compile(&beside, files, name, &flags)
            .and_then(|made| fs::rename(made, &to).map_err(|e| fault(format!("{}: {e}", to.display()))));
        // What is left there is of no more use, and no harm.
        let _ = fs::remove_dir_all(&beside);
        let _ = fs::remove_file(&lock_path);
        made.map(|()| to)
    }

    /// Of all that an output depends on.
    fn digest(&self, files: &[(String, String)], flags: &[String]) -> String {
        let mut hasher = blake3::Hasher::new();
        let texts = files.iter().flat_map(|(name, text)| [name, text]).chain(flags).chain([&self.version]);
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        hasher.finalize().to_hex()[..16].into()
    }
}

/// Everything that a source may include.
fn host_files() -> Vec<(String, String)> {
    let host = HOST_HEADERS.iter().map(|&(name, text)| (name.into(), text.into()));
    host.chain(kernels::headers()).collect()
}

/// A source and, of the files, those that it includes, and those that these include: a change elsewhere does not concern it.
fn included(name: &str, text: &str, mut files: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut found = vec![(name.to_string(), text.to_string())];
    let mut read = 0;
    while let Some((name, text)) = found.get(read) {
        let folder = name.rfind('/').map_or("", |slash| &name[..=slash]);
        let names = text.lines().filter_map(|line| line.trim_start().strip_prefix("#include \"")?.split_once('"'));
        let names: Vec<[String; 2]> = names.map(|(name, _)| [format!("{folder}{name}"), name.into()]).collect();
        for name in names.iter().flatten() {
            if let Some(place) = files.iter().position(|(file, _)| file == name) {
                found.push(files.swap_remove(place));
            }
        }
        read += 1;
    }
    found
}

/// Vectors of the CPU that this runs on, where it has them: products and fused sums are exact alike, so no bit depends on it.
fn vectors() -> &'static [&'static str] {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") && std::is_x86_feature_detected!("f16c") {
        return &["-mavx2", "-mfma", "-mf16c"];
    }
    &[]
}

/// Writes the files into a new folder and compiles one of them there.
fn compile(folder: &Path, files: &[(String, String)], name: &str, flags: &[String]) -> Result<PathBuf> {
    let failed = |e: std::io::Error| fault(format!("{}: {e}", folder.display()));
    write(folder, files).map_err(failed)?;
    let made = folder.join("made");
    let output =
        Command::new("g++").args(["-x", "c++", name, "-o", "made"]).args(flags).current_dir(folder).output().map_err(failed)?;
    if output.status.success() {
        return Ok(made);
    }
    Err(fault(format!("g++ refuses {name}:\n{}", String::from_utf8_lossy(&output.stderr))))
}

fn write(folder: &Path, files: &[(String, String)]) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("host"))?;
    files.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::emulated::testing;

    const ELEMENTS: [Element; 3] = [Element::F32, Element::Tf32, Element::Bf16];

    #[test]
    fn no_source_has_a_warning() {
        if let Err(error) = Compiler::find(&testing::folder(), Build::Checked) {
            return testing::skip(&error.to_string());
        }
        let folder = testing::folder().join(format!("{}-warnings.tmp", std::process::id()));
        let sources = kernels::SOURCES.iter().map(|&(name, text)| (name.into(), text.into()));
        write(&folder, &host_files().into_iter().chain(sources).collect::<Vec<_>>()).unwrap();
        for (element, (name, _)) in ELEMENTS.iter().flat_map(|element| kernels::SOURCES.map(|source| (element, source))) {
            let macros = element.macros().iter().map(|(name, value)| format!("-D{name}={value}"));
            let arguments = ["-x", "c++", name, "-fsyntax-only"];
            let run = Command::new("g++").args(arguments).args(FLAGS).args(macros).current_dir(&folder).output().unwrap();
            assert!(run.stderr.is_empty(), "{name}, {element:?}: {}", String::from_utf8_lossy(&run.stderr));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_source_comes_with_what_it_includes() {
        let file = |name: &str, text: &str| (name.to_string(), text.to_string());
        let files = vec![
            file("a.cuh", "#pragma once\n#include \"host/b.hpp\""),
            file("other.cuh", "#include \"a.cuh\""),
            file("host/b.hpp", "  #include \"c.hpp\"\n#include <math.h>\n#include \"a.cuh\""),
            file("host/c.hpp", ""),
        ];
        let found = included("x.cu", "#include \"a.cuh\"\n// #include \"other.cuh\"\n", files);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x.cu", "a.cuh", "host/b.hpp", "host/c.hpp"]);
    }
}
