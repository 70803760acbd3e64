//! The device without a GPU: on stand-ins of NVIDIA's libraries, and with NVIDIA's compiler where it is.

mod compiled;
mod device;
mod nvrtc;
mod probe;
mod recording;
#[path = "../../../../../data/tests/skip/mod.rs"]
mod skip;
mod stub;
