//! The kernels: their sources, which are part of the program and compiled for the GPU that is found, and how each is launched. What
//! `kernels/<name>.cu` computes, `src/kernels/<name>.rs` asks for.

pub(crate) mod bias;
pub(crate) mod dropout;
pub(crate) mod input;
pub(crate) mod lrn;
pub(crate) mod parameters;
pub(crate) mod pass;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod softmax;
#[cfg(test)]
mod testing;

use crate::args;

/// What kernels may include, by name.
pub(crate) const HEADERS: [(&str, &str); 9] = [
    ("device.cuh", include_str!("../kernels/device.cuh")),
    ("product.cuh", include_str!("../kernels/product.cuh")),
    ("product_16.cuh", include_str!("../kernels/product_16.cuh")),
    ("product_f32.cuh", include_str!("../kernels/product_f32.cuh")),
    ("conv.cuh", include_str!("../kernels/conv.cuh")),
    ("parameters.cuh", include_str!("../kernels/parameters.cuh")),
    ("philox.cuh", include_str!("../kernels/philox.cuh")),
    ("power.cuh", include_str!("../kernels/power.cuh")),
    ("vectors.cuh", include_str!("../kernels/vectors.cuh")),
];

/// What is compiled, each by itself.
pub(crate) const SOURCES: [(&str, &str); 13] = [
    ("conv_forward.cu", include_str!("../kernels/conv_forward.cu")),
    ("conv_data.cu", include_str!("../kernels/conv_data.cu")),
    ("conv_weight.cu", include_str!("../kernels/conv_weight.cu")),
    ("bias.cu", include_str!("../kernels/bias.cu")),
    ("check.cu", include_str!("../kernels/check.cu")),
    ("dropout.cu", include_str!("../kernels/dropout.cu")),
    ("input.cu", include_str!("../kernels/input.cu")),
    ("lrn.cu", include_str!("../kernels/lrn.cu")),
    ("lrn_within.cu", include_str!("../kernels/lrn_within.cu")),
    ("pointwise.cu", include_str!("../kernels/pointwise.cu")),
    ("pool.cu", include_str!("../kernels/pool.cu")),
    ("softmax.cu", include_str!("../kernels/softmax.cu")),
    ("update.cu", include_str!("../kernels/update.cu")),
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

    /// Values that 16 bytes hold: `VEC` of kernels.
    pub(crate) fn vector(self) -> usize {
        16 / self.size()
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
