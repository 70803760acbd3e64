//! The stand-ins of `crates/cuda/tests/stub`, built for a test.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int};
use std::fs;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use libloading::Library;

use super::super::{Device, Settings};
use super::skip::skip;
use crate::kernels::Element;

const CUDA: &str = include_str!("../../../../tests/stub/libcuda.c");
const NVRTC: &str = include_str!("../../../../tests/stub/libnvrtc.c");

/// A folder with libraries that are not NVIDIA's. A library of its own for every test: what it remembers is one test's.
pub(super) struct Stub {
    folder: tempfile::TempDir,
}

impl Stub {
    /// An empty folder; `None`, and the test is skipped, where there is no C compiler.
    pub(super) fn empty() -> Option<Stub> {
        if Command::new("cc").arg("--version").output().is_err() {
            skip("there is no C compiler `cc` to build stand-ins of NVIDIA's libraries with");
            return None;
        }
        Some(Stub { folder: tempfile::tempdir().expect("there is a place for temporary files") })
    }

    /// A driver, which the options of the C compiler change, and a compiler.
    pub(super) fn new(options: &[&str]) -> Option<Stub> {
        let stub = Stub::empty()?;
        stub.driver(options);
        stub.compiler(&[]);
        Some(stub)
    }

    pub(super) fn driver(&self, options: &[&str]) -> PathBuf {
        self.build("libcuda.so.1", CUDA, options)
    }

    pub(super) fn compiler(&self, options: &[&str]) -> PathBuf {
        self.build("libnvrtc-builtins.so.13.0", "int nothing;", &[]);
        self.build("libnvrtc.so.13", NVRTC, options)
    }

    /// A library made of C. What was built before is copied: another file is another library.
    pub(super) fn build(&self, name: &str, text: &str, options: &[&str]) -> PathBuf {
        static BUILT: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let (source, library) = (self.path(&format!("{name}.c")), self.path(name));
        let built = || BUILT.lock().unwrap_or_else(PoisonError::into_inner);
        let key = format!("{options:?}{text}");
        let known = built().get(&key).cloned();
        if let Some(known) = known {
            fs::write(&library, known).expect("a file can be written");
            return library;
        }
        fs::write(&source, text).expect("a file can be written");
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-O1"]).args(options).arg("-o").arg(&library).arg(&source);
        let output = command.output().expect("cc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        built().insert(key, fs::read(&library).expect("cc has written it"));
        library
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn search(&self) -> Vec<PathBuf> {
        vec![self.folder.path().into()]
    }

    pub(super) fn settings(&self) -> Settings {
        Settings { device: 0, element: Element::F32, search: self.search(), cache: None }
    }

    pub(super) fn open(&self) -> Device {
        Device::open(&self.settings()).expect("the stand-in is a device")
    }

    /// What the driver was asked since the last time, a line a call.
    pub(super) fn log(&self) -> Vec<String> {
        log(&self.path("libcuda.so.1"))
    }

    /// The same of the compiler.
    pub(super) fn compiled(&self) -> Vec<String> {
        log(&self.path("libnvrtc.so.13"))
    }

    /// The next call of the function returns the code, and does nothing.
    pub(super) fn fail(&self, function: &str, code: c_int) {
        let library = open(&self.path("libcuda.so.1"));
        let name = CString::new(function).unwrap();
        // SAFETY: the stand-in's function, which copies the name.
        unsafe { library.get::<unsafe extern "C" fn(*const c_char, c_int)>("stub_fail").unwrap()(name.as_ptr(), code) }
    }

    /// From now on everything in a context fails with the code.
    pub(super) fn lose(&self, code: c_int) {
        let library = open(&self.path("libcuda.so.1"));
        // SAFETY: the stand-in's function.
        unsafe { library.get::<unsafe extern "C" fn(c_int)>("stub_lose").unwrap()(code) }
    }
}

/// It stays loaded, and remembers.
fn open(path: &Path) -> ManuallyDrop<Library> {
    // SAFETY: it is the stand-in, which is loaded already or does nothing when it is.
    ManuallyDrop::new(unsafe { Library::new(path) }.expect("the stand-in can be loaded"))
}

fn log(path: &Path) -> Vec<String> {
    let library = open(path);
    // SAFETY: the stand-in's functions; the text is copied before it changes.
    unsafe {
        let text = CStr::from_ptr(library.get::<unsafe extern "C" fn() -> *const c_char>("stub_log").unwrap()());
        let lines = text.to_str().expect("UTF-8").lines().map(|line| line.trim_end().to_string()).collect();
        library.get::<unsafe extern "C" fn()>("stub_clear").unwrap()();
        lines
    }
}
