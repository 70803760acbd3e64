//! What tests of kernels have in common: values on the emulated device, and comparing them with the oracle's.

use conformance::bound::Bounded;
use conformance::inputs::Values;
use conformance::{What, compare};
use net::{Layer, Net, Op, Shape};

use super::Element;
use super::pass::Pass;
use crate::args::{Elems, Floats, Ptr, Step, Struct};
use crate::driver::emulated::Emulated;
use crate::driver::emulated::testing::{Value, device, narrow, wide};
use crate::driver::{Driver, Launch};

/// The seed of all passes.
pub(super) const SEED: u64 = 0x0123_4567_89ab_cdef;
/// What a kernel may be compiled for.
pub(super) const ELEMENTS: [Element; 3] = [Element::F32, Element::Bf16, Element::F16];

/// A device with one source's kernels, room for one image more than the batch has, and a pass of it.
pub(super) struct Bench {
    pub(super) device: Emulated,
    pub(super) pass: Pass,
    pub(super) images: usize,
    /// Whether blocks are as few as where a batch has more images than a grid has rows.
    few_blocks: bool,
}

/// What differs from pass to pass.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) first_image: u32,
    pub(super) step_images: u32,
    pub(super) loss_scale: f32,
}

/// The first batch of a step, with an image more in the step, so that a division shows.
pub(super) fn first(images: usize) -> Turn {
    Turn { first_image: 0, step_images: images as u32 + 1, loss_scale: 1.0 }
}

impl Bench {
    /// `None` is a skip that has been counted. The order of threads depends on `seed`.
    pub(super) fn new(source: &'static str, element: Element, seed: u64, images: usize, turn: Turn) -> Option<Bench> {
        let mut device = device(element, seed)?;
        device.compile(source).expect("the kernels compile");
        let Turn { first_image, step_images, loss_scale } = turn;
        let images32 = images as u32;
        let step = Step { seed: SEED, step: 7, first_image, step_images, images: images32, loss_scale, ..Step::NONE };
        let at = device.with(&step.bytes());
        let pass = Pass { element, capacity: images + 1, step: Ptr::at(at) };
        Some(Bench { device, pass, images, few_blocks: seed % 2 == 1 })
    }

    /// `[n, c, h, w]` as `[n, h, w, c]` of the type between layers; of the image more there are no values.
    pub(super) fn maps(&mut self, shape: Shape, values: &[f32]) -> Elems {
        assert_eq!(values.len(), self.images * shape.len());
        let mut all: Vec<f32> = values.chunks_exact(shape.len()).flat_map(|image| to_pixels(shape, image)).collect();
        all.resize(all.len() + shape.len(), f32::NAN);
        Elems::at(self.device.with_elems(&all))
    }

    /// Room for as much.
    pub(super) fn room(&mut self, shape: Shape) -> Elems {
        Elems::at(self.device.room_for_elems(self.pass.capacity * shape.len()))
    }

    /// The images there as `[n, c, h, w]`. Nothing has been written behind them.
    pub(super) fn read(&mut self, shape: Shape, at: Elems) -> Vec<f32> {
        let all = self.device.elems(at.address, self.pass.capacity * shape.len());
        let (images, behind) = all.split_at(self.images * shape.len());
        assert!(behind.iter().all(|x| x.is_nan()), "the image behind the last was written");
        images.chunks_exact(shape.len()).flat_map(|image| to_maps(shape, image)).collect()
    }

    /// f32 with NaN for the image more.
    pub(super) fn floats(&mut self, values: &[f32]) -> Floats {
        let mut all = values.to_vec();
        all.resize(values.len() + values.len() / self.images.max(1), f32::NAN);
        Floats::at(self.device.with(&all))
    }

    pub(super) fn values<T: Value>(&mut self, values: &[T]) -> Ptr<T> {
        Ptr::at(self.device.with(values))
    }

    pub(super) fn room_for<T: Value>(&mut self, count: usize) -> Ptr<T> {
        Ptr::at(self.device.room::<T>(count))
    }

    pub(super) fn read_values<T: Value>(&mut self, at: Ptr<T>, count: usize) -> Vec<T> {
        self.device.values(at.address, count)
    }

    pub(super) fn run(&mut self, launches: impl IntoIterator<Item = Launch>) {
        for mut launch in launches {
            // Of most kernels, images are blocks in y; of these in x, and of a bias's gradient nowhere.
            let images = usize::from(!launch.kernel.starts_with("softmax"));
            if self.few_blocks && launch.grid[images] == self.pass.rows() && !launch.kernel.starts_with("bias") {
                launch.grid[images] = 1;
            }
            self.device.launch(&launch).unwrap_or_else(|e| panic!("{e}"));
        }
    }
}

/// `[c, h, w]` to `[h, w, c]`.
fn to_pixels(shape: Shape, image: &[f32]) -> Vec<f32> {
    let plane = shape.plane();
    (0..shape.len()).map(|e| image[e % shape.c * plane + e / shape.c]).collect()
}

/// `[h, w, c]` to `[c, h, w]`.
fn to_maps(shape: Shape, image: &[f32]) -> Vec<f32> {
    (0..shape.len()).map(|e| image[e % shape.plane() * shape.c + e / shape.plane()]).collect()
}

/// The nearest value of the type between layers.
pub(super) fn rounded(element: Element, x: f32) -> f32 {
    match element {
        Element::F32 | Element::Tf32 => x,
        Element::Bf16 | Element::F16 => wide(element, narrow(element, x)),
    }
}

/// Values of `images` images, rounded to the type between layers.
pub(super) fn numbers(element: Element, kind: Values, seed: u64, images: usize, len: usize) -> Vec<f32> {
    let mut all = vec![0.0; images * len];
    all.chunks_exact_mut(len.max(1)).enumerate().for_each(|(image, out)| kind.fill(seed, image as u32, out));
    all.iter_mut().for_each(|x| *x = rounded(element, *x));
    all
}

pub(super) fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// A net of one op, behind which is a softmax.
pub(super) fn one_op(input: Shape, op: Op) -> net::Result<Net> {
    let layer = |name: &str, op| Layer { name: name.into(), op };
    Net::new("one-op", input, vec![layer("op", op), layer("prob", Op::Softmax)])
}

/// Whether every value is one that an f32 within the oracle's bound is rounded to.
pub(super) fn close(what: &str, element: Element, shape: Shape, engine: &[f32], oracle: &Bounded) {
    let reach = |(&value, &bound): (&f64, &f64)| {
        // A rounding is monotonous, so what lies between two values is rounded to what lies between their roundings.
        let end = |x: f64| (f64::from(rounded(element, x as f32)) - value).abs();
        end(value - bound).max(end(value + bound))
    };
    let bound = oracle.value.iter().zip(&oracle.bound).map(reach).collect();
    let oracle = Bounded { value: oracle.value.clone(), bound };
    let images = engine.len() / shape.len().max(1);
    let shape = vec![images, shape.c, shape.h, shape.w];
    let named = || What { op: format!("{what} of {element:?}"), tensor: "result".into(), shape, first: 0 };
    if let Err(mismatch) = compare(named, engine, &oracle, 1.0) {
        panic!("{mismatch}");
    }
}

/// Whether every value is the oracle's, rounded to the type between layers.
pub(super) fn equal(what: &str, element: Element, shape: Shape, engine: &[f32], oracle: &[f64]) {
    close(what, element, shape, engine, &Bounded { value: oracle.to_vec(), bound: vec![0.0; oracle.len()] });
}

/// Random numbers in the order of their use, for shapes.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 += 1;
        net::random::Stream::new(2012, net::random::Purpose::Test, 3, 0, self.0 as u32).below(0, n as u32) as usize
    }
}

/// Every kernel of these sources is launched by some function of these modules.
#[test]
fn every_kernel_is_launched() {
    const MODULES: [&str; 9] = [
        include_str!("bias.rs"),
        include_str!("dropout.rs"),
        include_str!("input.rs"),
        include_str!("lrn.rs"),
        include_str!("norm_pool.rs"),
        include_str!("parameters.rs"),
        include_str!("pointwise.rs"),
        include_str!("pool.rs"),
        include_str!("softmax.rs"),
    ];
    for source in
        ["bias", "check", "dropout", "input", "lrn", "lrn_within", "norm_pool", "pointwise", "pool", "softmax", "update"]
    {
        let name = format!("{source}.cu");
        let (_, text) = super::SOURCES.iter().find(|(other, _)| *other == name).expect("it is a source");
        let kernels: Vec<&str> = text.split("\nKERNEL(").skip(1).filter_map(|rest| rest.split(',').next()).collect();
        assert!(!kernels.is_empty(), "{name} has no kernel");
        for kernel in kernels {
            assert!(MODULES.iter().any(|module| module.contains(&format!("\"{kernel}\""))), "nobody launches {kernel} of {name}");
        }
    }
}
