//! The kernels' sources, which are part of the program: they are compiled for the GPU that is found.

use crate::args;

/// What kernels may include, by name.
pub(crate) const HEADERS: [(&str, &str); 1] = [("device.cuh", include_str!("../kernels/device.cuh"))];

/// What is compiled, each by itself.
pub(crate) const SOURCES: [(&str, &str); 0] = [];

/// The type of the values between layers, which kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    Bf16,
    F16,
}

impl Element {
    /// The value of the macro `ELEM`.
    pub(crate) fn macro_value(self) -> u32 {
        match self {
            Element::F32 => 0,
            Element::Bf16 => 1,
            Element::F16 => 2,
        }
    }

    /// Bytes of one.
    pub(crate) fn size(self) -> usize {
        match self {
            Element::F32 => 4,
            Element::Bf16 | Element::F16 => 2,
        }
    }
}

/// Every file that a compiler needs beside a source, `args.cuh` included.
pub(crate) fn headers() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = HEADERS.iter().map(|&(name, text)| (name.into(), text.into())).collect();
    all.push(("args.cuh".into(), args::header()));
    all
}
