//! Tables of the functions of NVIDIA's libraries, filled from one file that was found.
//!
//! cudarc has their types and signatures, and is not let near the libraries: its own functions search for them by names, take the
//! first that any folder has, and panic where there is none or a function is missing. A table is filled whole or not at all.

use std::ffi::{c_char, c_int, c_uint, c_void};

use cudarc::driver::sys as cuda;
use cudarc::nvrtc::sys as nvrtc;
use libloading::Library;

/// What CUDA's functions return. cudarc has an `enum` for it, which a newer library could not be trusted to stay within.
pub(super) type Code = u32;

/// Declares a table. Every signature is compared with cudarc's when this is compiled.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident: $sys:ident, $result:ty; $($function:ident($($argument:ty),* $(,)?);)+) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        #[allow(non_snake_case, reason = "the names are NVIDIA's")]
        pub(super) struct $name { $(pub(super) $function: unsafe extern "C" fn($($argument),*) -> Code,)+ }

        impl $name {
            /// Every name in it.
            #[cfg(test)]
            pub(super) const NAMES: &[&str] = &[$(stringify!($function)),+];

            /// The functions of `library`; or the name of one that it lacks.
            ///
            /// # Safety
            /// What has these names in the library is what NVIDIA documents under them.
            pub(super) unsafe fn of(library: &Library) -> Result<$name, &'static str> {
                // SAFETY: the caller knows the library, and the types are cudarc's.
                Ok($name { $($function: unsafe { function(library, stringify!($function)) }?,)+ })
            }
        }

        $(const _: unsafe fn($($argument),*) -> $result = $sys::$function;)+
        const _: () = assert!(size_of::<$result>() == size_of::<Code>());
    };
}

table! {
    /// `libcuda.so.1`, the driver: <https://docs.nvidia.com/cuda/cuda-driver-api/>
    Cuda: cuda, cuda::CUresult;
    cuInit(c_uint);
    cuDeviceGetCount(*mut c_int);
    cuDeviceGet(*mut cuda::CUdevice, c_int);
    cuDeviceGetName(*mut c_char, c_int, cuda::CUdevice);
    cuDeviceGetAttribute(*mut c_int, cuda::CUdevice_attribute, cuda::CUdevice);
    cuDeviceTotalMem_v2(*mut usize, cuda::CUdevice);
    cuDevicePrimaryCtxRetain(*mut cuda::CUcontext, cuda::CUdevice);
    cuDevicePrimaryCtxRelease_v2(cuda::CUdevice);
    cuCtxSetCurrent(cuda::CUcontext);
    cuMemGetInfo_v2(*mut usize, *mut usize);
    cuMemAlloc_v2(*mut cuda::CUdeviceptr, usize);
    cuMemFree_v2(cuda::CUdeviceptr);
    cuMemHostAlloc(*mut *mut c_void, usize, c_uint);
    cuMemFreeHost(*mut c_void);
    cuMemcpyHtoDAsync_v2(cuda::CUdeviceptr, *const c_void, usize, cuda::CUstream);
    cuMemcpyDtoHAsync_v2(*mut c_void, cuda::CUdeviceptr, usize, cuda::CUstream);
    cuMemsetD8Async(cuda::CUdeviceptr, u8, usize, cuda::CUstream);
    cuStreamCreate(*mut cuda::CUstream, c_uint);
    cuStreamDestroy_v2(cuda::CUstream);
    cuStreamSynchronize(cuda::CUstream);
    cuStreamWaitEvent(cuda::CUstream, cuda::CUevent, c_uint);
    cuStreamBeginCapture_v2(cuda::CUstream, cuda::CUstreamCaptureMode);
    cuStreamEndCapture(cuda::CUstream, *mut cuda::CUgraph);
    cuEventCreate(*mut cuda::CUevent, c_uint);
    cuEventDestroy_v2(cuda::CUevent);
    cuEventRecord(cuda::CUevent, cuda::CUstream);
    cuEventQuery(cuda::CUevent);
    cuEventSynchronize(cuda::CUevent);
    cuModuleLoadData(*mut cuda::CUmodule, *const c_void);
    cuModuleUnload(cuda::CUmodule);
    cuModuleGetFunctionCount(*mut c_uint, cuda::CUmodule);
    cuModuleEnumerateFunctions(*mut cuda::CUfunction, c_uint, cuda::CUmodule);
    cuFuncGetName(*mut *const c_char, cuda::CUfunction);
    cuFuncGetParamInfo(cuda::CUfunction, usize, *mut usize, *mut usize);
    cuFuncLoad(cuda::CUfunction);
    cuFuncSetAttribute(cuda::CUfunction, cuda::CUfunction_attribute, c_int);
    cuLaunchKernel(
        cuda::CUfunction, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, c_uint, cuda::CUstream, *mut *mut c_void, *mut *mut c_void,
    );
    cuGraphInstantiateWithFlags(*mut cuda::CUgraphExec, cuda::CUgraph, u64);
    cuGraphUpload(cuda::CUgraphExec, cuda::CUstream);
    cuGraphLaunch(cuda::CUgraphExec, cuda::CUstream);
    cuGraphExecDestroy(cuda::CUgraphExec);
    cuGraphDestroy(cuda::CUgraph);
}

table! {
    /// `libnvrtc.so.13`, the compiler: <https://docs.nvidia.com/cuda/nvrtc/>
    Nvrtc: nvrtc, nvrtc::nvrtcResult;
    nvrtcVersion(*mut c_int, *mut c_int);
    nvrtcGetNumSupportedArchs(*mut c_int);
    nvrtcGetSupportedArchs(*mut c_int);
    nvrtcCreateProgram(*mut nvrtc::nvrtcProgram, *const c_char, *const c_char, c_int, *const *const c_char, *const *const c_char);
    nvrtcDestroyProgram(*mut nvrtc::nvrtcProgram);
    nvrtcCompileProgram(nvrtc::nvrtcProgram, c_int, *const *const c_char);
    nvrtcGetProgramLogSize(nvrtc::nvrtcProgram, *mut usize);
    nvrtcGetProgramLog(nvrtc::nvrtcProgram, *mut c_char);
    nvrtcGetCUBINSize(nvrtc::nvrtcProgram, *mut usize);
    nvrtcGetCUBIN(nvrtc::nvrtcProgram, *mut c_char);
}

/// `cuGetErrorName` and `cuGetErrorString`, which take a [`Code`], so that cudarc's signatures are not theirs.
pub(super) type Describe = unsafe extern "C" fn(Code, *mut *const c_char) -> Code;

/// A function of a library by its name; or that name.
///
/// # Safety
/// What has this name there is of type `F`.
pub(super) unsafe fn function<F: Copy>(library: &Library, name: &'static str) -> Result<F, &'static str> {
    // SAFETY: as the caller says.
    unsafe { library.get::<F>(name) }.map(|found| *found).map_err(|_| name)
}
