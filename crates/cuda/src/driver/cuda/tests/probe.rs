//! What is found, and what is said of what is not.

use std::fs;
use std::path::PathBuf;

use super::stub::Stub;
use crate::driver::cuda::{Device, driver, nvrtc};
use crate::lack::{Lack, Library, Version};
use crate::survey;

fn said<T>(found: Result<T, Lack>) -> String {
    found.err().expect("something is missing").to_string()
}

#[test]
fn nothing_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let search = [folder.path().into(), PathBuf::from("/there/is/no/such/folder")];
    assert_eq!(
        said(driver(&search)),
        "libcuda.so.1 is not installed: it comes with NVIDIA's driver, of which 580 or newer is needed"
    );
    let compiler = |remark: &str| {
        format!("libnvrtc.so.13 not found in 2 folders{remark}: `pip install nvidia-cuda-nvrtc`, or install the CUDA 13 toolkit")
    };
    assert_eq!(said(nvrtc(&search)), compiler(""));
    fs::write(folder.path().join("libnvrtc.so.12"), "").unwrap();
    let other = format!(" ({} is another version)", folder.path().join("libnvrtc.so.12").display());
    assert_eq!(said(nvrtc(&search)), compiler(&other));
    // A folder is no library.
    fs::create_dir(folder.path().join("libcuda.so.1")).unwrap();
    assert_eq!(driver(&search).err(), Some(Lack::NoDriver));
    let survey = survey(&search);
    assert_eq!((survey.gpus.len(), survey.usable(0)), (0, Err(Lack::NoDriver)));
    assert!(survey.free_bytes(0).unwrap_err().to_string().starts_with("cuda engine: libcuda.so.1 is not installed"));
}

#[test]
fn a_name_alone_makes_no_library() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in
        [("libcuda.so.1", "this is text, and longer than the header of an ELF file is: 64 bytes"), ("libnvrtc.so.13", "")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let search = [folder.path().into()];
    let driver = said(driver(&search));
    let file = folder.path().join("libcuda.so.1").display().to_string();
    assert!(driver.starts_with(&format!("{file}: cannot be loaded: ")), "{driver}");
    assert!(driver.ends_with("; install NVIDIA's driver, 580 or newer"), "{driver}");
    assert_eq!(driver.matches(&file).count(), 1, "{driver}");
    let compiler = said(nvrtc(&search));
    assert!(compiler.contains("libnvrtc.so.13: cannot be loaded: ") && compiler.contains("pip install"), "{compiler}");
}

#[test]
fn a_library_without_a_function_is_not_used() {
    let Some(stub) = Stub::empty() else { return };
    let lacks = |library, file: PathBuf, function| Some(Lack::NoFunction { library, file, function });
    let empty = stub.build("libcuda.so.1", "int nothing;", &[]);
    assert_eq!(driver(&stub.search()).err(), lacks(Library::Driver, empty, "cuDriverGetVersion"));
    let functions = ["cuInit", "cuMemAlloc_v2", "cuGraphDestroy", "cuGetErrorName", "cuGetErrorString"];
    for function in functions {
        let stub = Stub::empty().expect("there is cc");
        let file = stub.driver(&[&format!("-D{function}=other")]);
        assert_eq!(driver(&stub.search()).err(), lacks(Library::Driver, file.clone(), function));
        let text = said(driver(&stub.search()));
        assert_eq!(text, format!("{}: has no {function}; install NVIDIA's driver, 580 or newer", file.display()));
    }
    for function in ["nvrtcVersion", "nvrtcGetCUBIN"] {
        let stub = Stub::empty().expect("there is cc");
        let file = stub.compiler(&[&format!("-D{function}=other")]);
        assert_eq!(nvrtc(&stub.search()).err(), lacks(Library::Nvrtc, file, function));
    }
}

#[test]
fn the_stand_in_has_every_function() {
    let Some(stub) = Stub::new(&[]) else { return };
    assert!(driver(&stub.search()).is_ok() && nvrtc(&stub.search()).is_ok());
    assert!(super::super::calls::Cuda::NAMES.contains(&"cuGraphDestroy") && super::super::calls::Nvrtc::NAMES.len() == 10);
}

#[test]
#[cfg(unix)]
fn an_old_driver_is_named_by_its_number() {
    let Some(stub) = Stub::empty() else { return };
    let built = stub.driver(&["-DVERSION=12040", "-DcuGraphUpload=other"]);
    fs::rename(&built, stub.path("libcuda.so.550.90.07")).unwrap();
    std::os::unix::fs::symlink("libcuda.so.550.90.07", &built).unwrap();
    let expected = format!(
        "{}: driver 550.90.07, for CUDA 12.4, 13.0 or newer is needed; install NVIDIA's driver, 580 or newer",
        built.display()
    );
    assert_eq!(said(driver(&stub.search())), expected);
    let refused = Device::open(&stub.settings()).err().expect("it is too old");
    assert_eq!(refused.to_string(), format!("cuda engine: {expected}"));
}

#[test]
fn a_driver_that_does_not_work_says_why() {
    let Some(_) = Stub::empty() else { return };
    let said_by = |option: &str| {
        let stub = Stub::empty().expect("there is cc");
        let file = stub.driver(&[option]).display().to_string();
        let text = said(driver(&stub.search()));
        text.strip_prefix(&format!("{file}: ")).expect("the file comes first").to_string()
    };
    let stand_in = "is the CUDA toolkit's stand-in for linking, not NVIDIA's driver";
    assert_eq!(said_by("-DVERSION_CODE=34"), stand_in);
    assert_eq!(said_by("-DINIT_CODE=34"), stand_in);
    assert_eq!(
        said_by("-DINIT_CODE=803"),
        "cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (system has unsupported display driver / cuda driver combination)"
    );
    assert_eq!(said_by("-DINIT_CODE=12345"), "cuInit: CUDA error 12345, which this driver has no name for");
}

#[test]
fn the_first_that_works_is_taken() {
    let (Some(bad), Some(good)) = (Stub::empty(), Stub::new(&[])) else { return };
    fs::write(bad.path("libcuda.so.1"), "text").unwrap();
    bad.compiler(&["-DMAJOR=12"]);
    let search = [bad.search(), good.search()].concat();
    let survey = survey(&search);
    assert_eq!(survey.driver.as_ref().unwrap().file, good.path("libcuda.so.1"));
    assert_eq!(survey.nvrtc.as_ref().unwrap().file, good.path("libnvrtc.so.13"));
    // Where none works, the first is told of.
    assert!(said(driver(&bad.search())).contains("cannot be loaded"));
    assert_eq!(
        said(nvrtc(&bad.search())),
        format!(
            "{}: for CUDA 12.0, 13.x is needed; `pip install nvidia-cuda-nvrtc`, or install the CUDA 13 toolkit",
            bad.path("libnvrtc.so.13").display()
        )
    );
}

#[test]
fn the_compiler_consists_of_two_files() {
    let (Some(first), Some(second)) = (Stub::empty(), Stub::empty()) else { return };
    first.compiler(&[]);
    fs::rename(first.path("libnvrtc-builtins.so.13.0"), second.path("libnvrtc-builtins.so.13.0")).unwrap();
    let refused = said(nvrtc(&first.search()));
    assert!(refused.starts_with("libnvrtc-builtins.so.13.0 not found in 1 folder: `pip install"), "{refused}");
    assert!(nvrtc(&[first.search(), second.search()].concat()).is_ok());
}

#[test]
fn gpus_are_described_and_judged() {
    let Some(stub) = Stub::new(&["-DGPUS=2", "-DNAME=\"H100\"", "-DMEMORY=0x140000000ull"]) else { return };
    let found = survey(&stub.search());
    assert_eq!(found.library(Library::Driver).as_ref().unwrap().version, Version { major: 13, minor: 0 });
    assert_eq!(found.library(Library::Driver).as_ref().unwrap().release, None);
    let gpu = found.usable(1).unwrap();
    assert_eq!((gpu.device, gpu.name.as_str(), gpu.memory_bytes, gpu.multiprocessors), (1, "H100 1", 5 << 30, 132));
    assert_eq!((gpu.capability.to_string().as_str(), gpu.shared_bytes, gpu.is_supported()), ("9.0", 227 << 10, true));
    assert_eq!(said(found.usable(2)), "there is no GPU 2: they are 0 to 1");
    // Looking takes no GPU.
    assert_eq!(stub.log(), ["cuInit 0", "cuDeviceGetName 0", "cuDeviceGetName 1"]);
    assert_eq!(found.free_bytes(1).unwrap(), 5 << 30);
    let log = stub.log();
    assert_eq!(log[..2], ["cuDevicePrimaryCtxRetain 1", "cuMemGetInfo_v2"], "{log:?}");
    assert!(log[2].starts_with("cuDevicePrimaryCtxRelease_v2 1; left: 0 streams, 0 events"), "{log:?}");
    assert_eq!(found.free_bytes(2).unwrap_err().to_string(), "cuda engine: there is no GPU 2: they are 0 to 1");
    stub.fail("cuDevicePrimaryCtxRetain", 46);
    let busy = "cuda engine: cuDevicePrimaryCtxRetain: CUDA_ERROR_DEVICE_UNAVAILABLE (CUDA-capable device(s) is/are busy or unavailable)";
    assert_eq!(found.free_bytes(0).unwrap_err().to_string(), busy);
}

#[test]
fn some_gpus_will_not_do() {
    let Some(stub) = Stub::new(&["-DCAPABILITY=75", "-DNAME=\"T4\""]) else { return };
    let old = survey(&stub.search());
    assert_eq!(said(old.usable(0)), "T4 0 has compute capability 7.5, 8.0 or more is needed");
    assert_eq!(said(old.usable(1)), "there is no GPU 1: the only one is 0");
    assert!(Device::open(&stub.settings()).err().unwrap().to_string().contains("T4 0 has compute capability 7.5"));
    let stub = Stub::new(&["-DINIT_CODE=100"]).expect("there is cc");
    assert_eq!(survey(&stub.search()).usable(0), Err(Lack::NoGpu));
    assert_eq!(Device::open(&stub.settings()).err().unwrap().to_string(), "cuda engine: NVIDIA's driver finds no GPU");
    let stub = Stub::new(&["-DCAPABILITY=140"]).expect("there is cc");
    let new = Device::open(&stub.settings()).err().unwrap().to_string();
    assert!(new.contains("libnvrtc.so.13: for CUDA 13.0, cannot compile for Stub 0 of compute capability 14.0; "), "{new}");
    let stub = Stub::new(&[]).expect("there is cc");
    stub.fail("cuDeviceGetName", 1);
    let silent = survey(&stub.search());
    let reason = "libcuda.so.1: GPU 0: cuDeviceGetName: CUDA_ERROR_INVALID_VALUE (invalid argument)";
    assert!(said(silent.usable(0)).ends_with(reason), "{silent:?}");
}
