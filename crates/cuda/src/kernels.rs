//! The kernels: their sources, which are part of the program and compiled for the GPU that is found, and how each is launched. What
//! `kernels/<name>.cu` computes, `src/kernels/<name>.rs` asks for.

pub(crate) mod bias;
pub(crate) mod dropout;
pub(crate) mod input;
pub(crate) mod lrn;
pub(crate) mod norm_pool;
pub(crate) mod parameters;
pub(crate) mod pass;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod products;
#[cfg(test)]
mod products_tests;
pub(crate) mod softmax;
#[cfg(test)]
mod testing;

use crate::args;

/// What kernels may include, by name.
pub(crate) const HEADERS: [(&str, &str); 11] = [
    ("device.cuh", include_str!("../kernels/device.cuh")),
    ("product.cuh", include_str!("../kernels/product.cuh")),
    ("product_16.cuh", include_str!("../kernels/product_16.cuh")),
    ("product_f32.cuh", include_str!("../kernels/product_f32.cuh")),
    ("conv.cuh", include_str!("../kernels/conv.cuh")),
    ("across.cuh", include_str!("../kernels/across.cuh")),
    ("parameters.cuh", include_str!("../kernels/parameters.cuh")),
    ("philox.cuh", include_str!("../kernels/philox.cuh")),
    ("power.cuh", include_str!("../kernels/power.cuh")),
    ("vectors.cuh", include_str!("../kernels/vectors.cuh")),
    ("windows.cuh", include_str!("../kernels/windows.cuh")),
];

/// What is compiled, each by itself.
pub(crate) const SOURCES: [(&str, &str); 14] = [
    ("conv_forward.cu", include_str!("../kernels/conv_forward.cu")),
    ("conv_data.cu", include_str!("../kernels/conv_data.cu")),
    ("conv_weight.cu", include_str!("../kernels/conv_weight.cu")),
    ("bias.cu", include_str!("../kernels/bias.cu")),
    ("check.cu", include_str!("../kernels/check.cu")),
    ("dropout.cu", include_str!("../kernels/dropout.cu")),
    ("input.cu", include_str!("../kernels/input.cu")),
    ("lrn.cu", include_str!("../kernels/lrn.cu")),
    ("lrn_within.cu", include_str!("../kernels/lrn_within.cu")),
    ("norm_pool.cu", include_str!("../kernels/norm_pool.cu")),
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

impl From<net::Precision> for Element {
    fn from(precision: net::Precision) -> Element {
        match precision {
            net::Precision::F32 => Element::F32,
            net::Precision::Tf32 => Element::Tf32,
            net::Precision::Bf16 => Element::Bf16,
            net::Precision::F16 => Element::F16,
        }
    }
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

    /// Values as the device has them, in f32; exact.
    pub(crate) fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        let halves = bytes.chunks_exact(2).map(|b| u16::from_ne_bytes([b[0], b[1]]));
        match self {
            Element::F32 | Element::Tf32 => bytes.chunks_exact(4).map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]])).collect(),
            Element::Bf16 => halves.map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            Element::F16 => halves.map(f16_to_f32).collect(),
        }
    }
}

/// The source that has a kernel.
///
/// # Panics
/// Where none has.
pub(crate) fn source_of(kernel: &str) -> &'static str {
    let declared = format!("KERNEL({kernel},");
    let found = SOURCES.iter().find(|(_, text)| text.contains(&declared));
    found.unwrap_or_else(|| panic!("no source has the kernel `{kernel}`")).0
}

/// Every file that a compiler needs beside a source, `args.cuh` included.
pub(crate) fn headers() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = HEADERS.iter().map(|&(name, text)| (name.into(), text.into())).collect();
    all.push(("args.cuh".into(), args::header()));
    all
}

/// The value of a half-precision number; exact.
fn f16_to_f32(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (u32::from(bits >> 15) << 31, u32::from(bits >> 10 & 31), u32::from(bits & 1023));
    let magnitude = match exponent {
        // 2^-24 times a small integer.
        0 => return f32::from_bits(sign | (fraction as f32 * 2.0_f32.powi(-24)).to_bits()),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read() {
        let cases = [(0x3c00, 1.0), (0xc000, -2.0), (0x7bff, 65504.0), (1, 2.0_f32.powi(-24)), (0x0400, 2.0_f32.powi(-14))];
        for (bits, value) in cases.into_iter().chain([(0x7c00, f32::INFINITY), (0x8000, -0.0), (0x3555, 0.333_251_95)]) {
            assert_eq!(Element::F16.to_f32(&u16::to_ne_bytes(bits))[0].to_bits(), value.to_bits(), "{bits:#x}");
        }
        assert!(f16_to_f32(0x7e01).is_nan());
        assert_eq!(Element::Bf16.to_f32(&0xc040_u16.to_ne_bytes()), [-3.0]);
    }
}
