//! NVIDIA's own compiler, where `ALEXNET_CUDA` names the folders that hold it.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use super::skip::skip;
use crate::driver::cuda::compile::{Compiler, Source};
use crate::driver::cuda::library::NvrtcLibrary;
use crate::driver::cuda::nvrtc;
use crate::kernels::{self, Element};
use crate::lack::Version;
use crate::survey::Gpu;

fn library() -> Option<Arc<NvrtcLibrary>> {
    let Some(folders) = env::var_os("ALEXNET_CUDA") else {
        skip("ALEXNET_CUDA names no folder with libnvrtc.so.13");
        return None;
    };
    let search: Vec<PathBuf> = env::split_paths(&folders).collect();
    Some(nvrtc(&search).expect("ALEXNET_CUDA names folders that hold the compiler"))
}

fn compiler(library: &Arc<NvrtcLibrary>, capability: (u32, u32), element: Element) -> Compiler {
    let gpu = Gpu {
        device: 0,
        name: "a GPU".into(),
        capability: Version::new(capability.0, capability.1),
        memory_bytes: 0,
        multiprocessors: 1,
        shared_bytes: 0,
    };
    Compiler::new(Arc::clone(library), &gpu, element, None).expect("the compiler knows the GPU")
}

const ELEMENTS: [Element; 3] = [Element::F32, Element::Bf16, Element::F16];

/// A kernel of what `device.cuh` has.
const TEXT: &str = r#"#include "args.cuh"
KERNEL(doubled, Step, 128) {
    SHARED(shared);
    float* sums = (float*)shared;
    sums[threadIdx.x] = to_float(to_elem(a.loss_scale)) * 2;
    __syncthreads();
    if (threadIdx.x == 0) *(float*)a.seed = sums[127] + multiply_high(a.step, a.images);
}
"#;

#[test]
fn a_kernel_becomes_machine_code_for_every_gpu() {
    let Some(library) = library() else { return };
    assert!(library.found().version >= Version::new(13, 0) && library.architectures.contains(&90));
    let headers = kernels::headers();
    for capability in [(8, 0), (8, 6), (9, 0), (10, 0), (12, 0)] {
        for element in ELEMENTS {
            let source = Source { name: "test.cu", text: TEXT, headers: &headers };
            let cubin = compiler(&library, capability, element).cubin(source).unwrap();
            // An ELF file for the machine EM_CUDA, with the kernel's name in it.
            assert_eq!((&cubin[..4], &cubin[18..20]), (&b"\x7fELF"[..], &190_u16.to_le_bytes()[..]), "{capability:?}");
            assert!(cubin.windows(7).any(|bytes| bytes == b"doubled"));
        }
    }
}

#[test]
fn the_engines_kernels_compile() {
    let Some(library) = library() else { return };
    let headers = kernels::headers();
    for element in ELEMENTS {
        let compiler = compiler(&library, (9, 0), element);
        for (name, text) in kernels::SOURCES {
            compiler.cubin(Source { name, text, headers: &headers }).unwrap();
        }
    }
}

#[test]
fn the_compiler_is_quoted() {
    let Some(library) = library() else { return };
    let wrong =
        Source { name: "wrong.cu", text: "#include \"args.cuh\"\nconstexpr int x = nothing;\n", headers: &kernels::headers() };
    let refused = compiler(&library, (9, 0), Element::F32).cubin(wrong).unwrap_err().to_string();
    let mut lines = refused.lines();
    let options = "--gpu-architecture=sm_90a --std=c++17 --device-as-default-execution-space --define-macro=ELEM=0";
    let first = format!("cuda engine: wrong.cu does not compile with {options}: NVRTC_ERROR_COMPILATION");
    assert_eq!(lines.next(), Some(first.as_str()));
    assert_eq!(lines.next(), Some("wrong.cu(2): error: identifier \"nothing\" is undefined"), "{refused}");
    let lone = Source { name: "lone.cu", text: "#include \"nowhere.cuh\"\n", headers: &[] };
    let refused = compiler(&library, (8, 0), Element::F32).cubin(lone).unwrap_err().to_string();
    assert!(refused.contains("lone.cu(1): catastrophic error: cannot open source file \"nowhere.cuh\""), "{refused}");
}
