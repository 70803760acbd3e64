//! The kernels' sources, which are part of the program: they are compiled for the GPU that is found.

use crate::args;

/// What kernels may include, by name.
pub(crate) const HEADERS: [(&str, &str); 5] = [
    ("device.cuh", include_str!("../kernels/device.cuh")),
    ("product.cuh", include_str!("../kernels/product.cuh")),
    ("product_16.cuh", include_str!("../kernels/product_16.cuh")),
    ("product_f32.cuh", include_str!("../kernels/product_f32.cuh")),
    ("conv.cuh", include_str!("../kernels/conv.cuh")),
];

/// What is compiled, each by itself.
pub(crate) const SOURCES: [(&str, &str); 3] = [
    ("conv_forward.cu", include_str!("../kernels/conv_forward.cu")),
    ("conv_data.cu", include_str!("../kernels/conv_data.cu")),
    ("conv_weight.cu", include_str!("../kernels/conv_weight.cu")),
];

/// The type of the values between layers, which kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    F32,
    /// f32 whose products round their factors to tf32.
    Tf32,
    Bf16,
    F16,
}

impl Element {
    /// The macros that a compiler is given.
    pub(crate) fn macros(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Element::F32 => &[("ELEM", "0")],
            Element::Tf32 => &[("ELEM", "0"), ("TF32", "1")],
            Element::Bf16 => &[("ELEM", "1")],
            Element::F16 => &[("ELEM", "2")],
        }
    }

    /// Bytes of one.
    pub(crate) fn size(self) -> usize {
        match self {
            Element::F32 | Element::Tf32 => 4,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the files for a compiler that is run by hand.
    #[test]
    #[ignore = "writes files for whoever asks"]
    fn write() {
        let dir = std::env::var_os("KERNELS").expect("KERNELS names a folder");
        let sources = SOURCES.iter().map(|&(name, text)| (name.to_string(), text.to_string()));
        for (name, text) in headers().into_iter().chain(sources) {
            std::fs::write(std::path::Path::new(&dir).join(name), text).expect("it can be written");
        }
    }
}
