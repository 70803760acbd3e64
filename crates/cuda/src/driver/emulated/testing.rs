//! What tests of kernels need of the emulated device.

use std::path::PathBuf;

use super::Emulated;
use crate::args::Struct;
use crate::driver::{Driver, Launch};
use crate::kernels::Element;

/// A device, or `None` and a skip that is counted where there is no g++.
pub(crate) fn device(element: Element, seed: u64) -> Option<Emulated> {
    match Emulated::new(element, seed, &folder()) {
        Ok(device) => Some(device),
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

/// The same under sanitizers, or `None` and a skip where g++ cannot build for them.
pub(crate) fn sanitized_device(element: Element, seed: u64) -> Option<Emulated> {
    match Emulated::sanitized(element, seed, &folder()) {
        Ok(device) => Some(device),
        Err(error) => {
            skip(&error.to_string());
            None
        }
    }
}

/// Where libraries are kept between runs: beside what cargo builds.
pub(crate) fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a test knows its own path");
    // target/release/deps/cuda-…
    program.ancestors().nth(3).expect("it lies in cargo's folder").join("tmp/alexnet/emulated")
}

/// Says that a test does not run, aloud; a failure where nothing may be skipped.
pub(crate) fn skip(reason: &str) {
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|v| v != "1"), "skipped: {reason}");
    // Past the test runner, which keeps to itself what passing tests print.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
}

/// Values that cross over.
pub(crate) trait Value: Copy {
    fn to_bytes(values: &[Self]) -> Vec<u8>;
    fn from_bytes(bytes: &[u8]) -> Vec<Self>;
}

macro_rules! values {
    ($($type:ty),+) => { $(impl Value for $type {
        fn to_bytes(values: &[$type]) -> Vec<u8> {
            values.iter().flat_map(|value| value.to_ne_bytes()).collect()
        }

        fn from_bytes(bytes: &[u8]) -> Vec<$type> {
            bytes.chunks_exact(size_of::<$type>()).map(|b| <$type>::from_ne_bytes(b.try_into().expect("as many"))).collect()
        }
    })+ };
}

values!(f32, u8, u16, u32, u64);

impl Emulated {
    /// Memory that holds the values.
    pub(crate) fn with<T: Value>(&mut self, values: &[T]) -> u64 {
        let at = self.memory(size_of_val(values) as u64).expect("there is memory");
        self.upload(&T::to_bytes(values), at).expect("the memory was taken");
        at
    }

    /// Memory for so many values, which are not numbers yet.
    pub(crate) fn room<T: Value>(&mut self, count: usize) -> u64 {
        self.memory((count * size_of::<T>()) as u64).expect("there is memory")
    }

    /// So many values from there on.
    pub(crate) fn values<T: Value>(&mut self, at: u64, count: usize) -> Vec<T> {
        let mut bytes = vec![0; count * size_of::<T>()];
        self.download(at, &mut bytes).expect("the memory was taken");
        T::from_bytes(&bytes)
    }

    /// Memory that holds the numbers, each rounded to the type between layers.
    pub(crate) fn with_elems(&mut self, values: &[f32]) -> u64 {
        match self.element {
            Element::F32 | Element::Tf32 => self.with(values),
            Element::Bf16 | Element::F16 => {
                let bits: Vec<u16> = values.iter().map(|&x| narrow(self.element, x)).collect();
                self.with(&bits)
            }
        }
    }

    /// Memory for so many values of the type between layers.
    pub(crate) fn room_for_elems(&mut self, count: usize) -> u64 {
        self.memory((count * self.element.size()) as u64).expect("there is memory")
    }

    /// So many values of the type between layers from there on.
    pub(crate) fn elems(&mut self, at: u64, count: usize) -> Vec<f32> {
        match self.element {
            Element::F32 | Element::Tf32 => self.values(at, count),
            Element::Bf16 | Element::F16 => {
                self.values::<u16>(at, count).into_iter().map(|bits| wide(self.element, bits)).collect()
            }
        }
    }

    /// Launches a kernel and waits for it.
    pub(crate) fn call<A: Struct>(
        &mut self,
        kernel: &'static str,
        grid: [u32; 3],
        threads: u32,
        shared: u32,
        args: &A,
    ) -> net::Result<()> {
        self.launch(&Launch { kernel, grid, threads, shared, args: args.bytes() })
    }
}

/// The nearest value of 16 bits, ties to even: written from the definition, by halving an interval, and not as kernels do it.
pub(crate) fn narrow(element: Element, x: f32) -> u16 {
    if x.is_nan() {
        return 0x7fff;
    }
    let sign = if x.is_sign_negative() { 0x8000 } else { 0 };
    let x = f64::from(x.abs());
    let infinity: u16 = if element == Element::F16 { 0x7c00 } else { 0x7f80 };
    // The value that infinity's bits would have if its exponent were one of a number: halfway to it, numbers become infinite.
    let beyond = if element == Element::F16 { 65_536.0 } else { 2.0_f64.powi(128) };
    let value = |bits: u16| if bits == infinity { beyond } else { f64::from(wide(element, bits)) };
    if x >= beyond {
        return sign | infinity;
    }
    // value(low) ≤ x < value(high), for bits of positive values are in the order of the values.
    let (mut low, mut high) = (0, infinity);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if value(middle) <= x { low = middle } else { high = middle }
    }
    let (below, above) = (x - value(low), value(high) - x);
    let up = above < below || (above == below && low % 2 == 1);
    sign | if up { high } else { low }
}

/// The value of 16 bits, by the definition.
pub(crate) fn wide(element: Element, bits: u16) -> f32 {
    let (exponent_bits, fraction_bits) = if element == Element::F16 { (5, 10) } else { (8, 7) };
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
    let fraction = f64::from(bits & ((1 << fraction_bits) - 1)) / f64::from(1_u32 << fraction_bits);
    let bias = (1 << (exponent_bits - 1)) - 1;
    let size = if exponent == (1 << exponent_bits) - 1 {
        if fraction == 0.0 { f64::INFINITY } else { f64::NAN }
    } else if exponent == 0 {
        fraction * 2.0_f64.powi(1 - bias)
    } else {
        (1.0 + fraction) * 2.0_f64.powi(exponent - bias)
    };
    (sign * size) as f32
}
