//! Convolutions, local and linear layers: which tile, and how the work is cut.

use net::{Op, Shape};

use super::Element;
use crate::args::{Bytes, Conv, Divisor, Elems, Floats, Ptr, Step, Struct};
use crate::driver::Launch;

/// Blocks that keep a large GPU busy. Parts of a sum are cut by it, whatever GPU there is, so that the bits are the same on each.
const BUSY: usize = 264;
/// Pixels that a part of a sum has at least, and a multiple of which it has.
const LEAST_PART: usize = 512;
const PART_MULTIPLE: usize = 64;

/// A tile of the product, by which kernels are named.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tile {
    name: &'static str,
    m: usize,
    n: usize,
    threads: usize,
    /// Warps in the direction of n.
    warps_n: usize,
    /// How fast it is, against the fastest.
    speed: f64,
}

const LARGE: Tile = Tile { name: "128x128", m: 128, n: 128, threads: 256, warps_n: 4, speed: 1.0 };
const MEDIUM: Tile = Tile { name: "128x96", m: 128, n: 96, threads: 256, warps_n: 2, speed: 0.95 };
const NARROW: Tile = Tile { name: "128x64", m: 128, n: 64, threads: 256, warps_n: 2, speed: 0.85 };
const SMALL: Tile = Tile { name: "64x64", m: 64, n: 64, threads: 128, warps_n: 2, speed: 0.7 };

impl Tile {
    /// Bytes of shared memory: the tiles that are under way, or in the end 16 rows of every warp's results, as `product.cuh` lays them out.
    fn shared(&self, element: Element) -> usize {
        let depth = 4 * element.vector();
        let stages = match element {
            Element::F32 | Element::Tf32 => 2 * depth * (self.m + self.n + 16) * 4,
            Element::Bf16 | Element::F16 => 3 * depth * (self.m + self.n) * 2,
        };
        let results = self.threads / 32 * 16 * (self.n / self.warps_n + 4) * 4;
        stages.max(results)
    }
}

/// A pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pass {
    Forward,
    Data,
    Weight,
}

/// One layer that is a product.
#[derive(Debug, Clone)]
pub(crate) struct Product {
    /// The geometry; addresses are 0.
    geometry: Conv,
    /// Groups, or positions of the output and of the input for a local layer.
    groups: usize,
    local: bool,
    element: Element,
    /// Most images.
    capacity: usize,
}

/// Where the operands of a layer lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operands {
    pub(crate) step: Ptr<Step>,
    pub(crate) x: Elems,
    pub(crate) w: Elems,
    pub(crate) y: Elems,
}

/// A pass of a product in numbers: `[m, k] · [k, n]`, so often.
struct Extent {
    m: usize,
    n: usize,
    times: usize,
}

fn divisor(value: usize) -> Divisor {
    Divisor::new(value.max(1))
}

impl Product {
    /// The layer `op` on `input`, which gives `output`; `None` where it is no product.
    pub(crate) fn new(op: &Op, input: Shape, output: Shape, element: Element, capacity: usize) -> Option<Product> {
        let (input, output) = match op {
            Op::Linear(_) => (Shape { c: input.len(), h: 1, w: 1 }, output),
            _ => (input, output),
        };
        let (kernel, stride, padding, groups) = match op {
            Op::Conv(conv) => (conv.kernel, conv.stride, conv.padding, conv.groups),
            Op::Local(local) => (local.kernel, local.stride, local.padding, 1),
            Op::Linear(_) => (net::Pair::square(1), net::Pair::square(1), net::Padding::default(), 1),
            _ => return None,
        };
        let window = (kernel, stride, padding);
        Some(Product::of(input, output, window, groups, matches!(op, Op::Local(_)), element, capacity))
    }

    /// A convolution of folded pixels: windows of `(r, s)`, each step one pixel, nothing around the image.
    pub(crate) fn folded(input: Shape, output: Shape, (r, s): (usize, usize), element: Element, capacity: usize) -> Product {
        let window = (net::Pair { r, s }, net::Pair::square(1), net::Padding::default());
        Product::of(input, output, window, 1, false, element, capacity)
    }

    fn of(
        input: Shape,
        output: Shape,
        (kernel, stride, padding): (net::Pair, net::Pair, net::Padding),
        groups: usize,
        local: bool,
        element: Element,
        capacity: usize,
    ) -> Product {
        let geometry = Conv {
            step: Ptr::NULL,
            x: Ptr::NULL,
            w: Ptr::NULL,
            y: Ptr::NULL,
            bias: Ptr::NULL,
            out: Ptr::NULL,
            seen: Ptr::NULL,
            mask: Ptr::NULL,
            h: input.h as u32,
            w_: input.w as u32,
            c: input.c as u32,
            p: output.h as u32,
            q: output.w as u32,
            k: output.c as u32,
            r: kernel.r as u32,
            s: kernel.s as u32,
            top: padding.top as i32,
            left: padding.left as i32,
            group_c: divisor(input.c / groups),
            group_k: divisor(output.c / groups),
            by_p: divisor(output.h),
            by_q: divisor(output.w),
            by_h: divisor(input.h),
            by_w: divisor(input.w),
            by_s: divisor(kernel.s),
            stride_r: divisor(stride.r),
            stride_s: divisor(stride.s),
            relu: 0,
            column_tiles: 1,
            part: 0,
            parts: 1,
            factor: 1.0,
        };
        Product { geometry, groups, local, element, capacity }
    }

    /// Whether vectors of the maps of a group are whole and aligned.
    fn is_vector(&self, pass: Pass, f32_out: bool) -> bool {
        let whole = |maps: u32| (maps as usize).is_multiple_of(self.element.vector());
        let (c, k) = (whole(self.geometry.group_c.value), whole(self.geometry.group_k.value));
        match pass {
            Pass::Forward => c && (k || f32_out),
            Pass::Data | Pass::Weight => c && k,
        }
    }

    fn extent(&self, pass: Pass) -> Extent {
        let g = &self.geometry;
        let [h, w, p, q, r, s] = [g.h, g.w_, g.p, g.q, g.r, g.s].map(|size| size as usize);
        let (c, k) = (g.group_c.value as usize, g.group_k.value as usize);
        let outputs = if self.local { 1 } else { p * q };
        let inputs = if self.local { 1 } else { h * w };
        match pass {
            Pass::Forward => Extent { m: self.capacity * outputs, n: k, times: if self.local { p * q } else { self.groups } },
            Pass::Data => Extent { m: self.capacity * inputs, n: c, times: if self.local { h * w } else { self.groups } },
            Pass::Weight => Extent { m: k, n: r * s * c, times: if self.local { p * q } else { self.groups } },
        }
    }

    /// The tile that a model of time prefers: work with what tiles waste, in waves of blocks.
    fn tile(&self, pass: Pass, vector: bool) -> Tile {
        if self.local || !vector {
            return SMALL;
        }
        let medium = matches!(self.element, Element::Bf16 | Element::F16) && pass == Pass::Forward;
        let candidates = match pass {
            Pass::Forward if medium => &[LARGE, MEDIUM, NARROW, SMALL][..],
            Pass::Forward | Pass::Data => &[LARGE, NARROW, SMALL][..],
            Pass::Weight => &[LARGE, SMALL][..],
        };
        let extent = self.extent(pass);
        let time = |tile: &Tile| {
            let blocks = extent.m.div_ceil(tile.m) * extent.n.div_ceil(tile.n) * extent.times;
            let per_wave = BUSY * LARGE.threads / tile.threads;
            // The weight pass is cut into parts until there are enough blocks.
            let waves = if pass == Pass::Weight { blocks as f64 / per_wave as f64 } else { blocks.div_ceil(per_wave) as f64 };
            waves * (tile.m * tile.n) as f64 / tile.speed
        };
        let mut best = candidates[0];
        for &tile in &candidates[1..] {
            if time(&tile) < time(&best) {
                best = tile;
            }
        }
        best
    }

    /// Parts of the weight pass, and the pixels of each.
    fn parts(&self, tile: &Tile) -> (usize, usize) {
        let pixels = self.extent(Pass::Forward).m;
        if self.local {
            return (1, pixels);
        }
        let extent = self.extent(Pass::Weight);
        let blocks = extent.m.div_ceil(tile.m) * extent.n.div_ceil(tile.n) * extent.times;
        let wanted = BUSY.div_ceil(blocks).min(pixels.div_ceil(LEAST_PART)).max(1);
        let part = pixels.div_ceil(wanted).next_multiple_of(PART_MULTIPLE);
        (pixels.div_ceil(part), part)
    }

    /// Values that the weight pass writes beside the gradient, which `finish` adds up; 0 where it writes the gradient itself.
    pub(crate) fn partials(&self) -> (usize, usize) {
        let (parts, _) = self.parts(&self.tile(Pass::Weight, self.is_vector(Pass::Weight, false)));
        (if parts > 1 { parts * self.weights() } else { 0 }, parts)
    }

    /// Weights, on the device.
    pub(crate) fn weights(&self) -> usize {
        let g = &self.geometry;
        let positions = if self.local { g.p as usize * g.q as usize } else { 1 };
        positions * g.k as usize * g.r as usize * g.s as usize * g.group_c.value as usize
    }

    /// Floating-point operations for one image, in each pass.
    pub(crate) fn flops(&self) -> u64 {
        let g = &self.geometry;
        2 * [g.p, g.q, g.k, g.r, g.s, g.group_c.value].iter().map(|&size| u64::from(size)).product::<u64>()
    }

    fn launch(&self, pass: Pass, operands: Operands, f32_out: bool, set: impl FnOnce(&mut Conv)) -> Launch {
        let vector = self.is_vector(pass, f32_out);
        let (tile, extent) = (self.tile(pass, vector), self.extent(pass));
        let column_tiles = extent.n.div_ceil(tile.n);
        let (parts, part) = if pass == Pass::Weight { self.parts(&tile) } else { (1, 0) };
        let Operands { step, x, w, y } = operands;
        let mut args =
            Conv { step, x, w, y, column_tiles: column_tiles as u32, part: part as u32, parts: parts as u32, ..self.geometry };
        set(&mut args);
        Launch {
            kernel: kernel(pass, self.local, vector, &tile),
            grid: [(extent.m.div_ceil(tile.m) * column_tiles) as u32, extent.times as u32, parts as u32],
            threads: tile.threads as u32,
            shared: tile.shared(self.element) as u32,
            args: args.bytes(),
        }
    }

    /// `y`, or where `logits` is not null the same in f32 there.
    pub(crate) fn forward(&self, operands: Operands, bias: Floats, relu: bool, logits: Floats) -> Launch {
        self.launch(Pass::Forward, operands, logits != Ptr::NULL, |args| {
            (args.bias, args.out, args.relu) = (bias, logits, u32::from(relu));
        })
    }

    /// The gradient by the input, into `x`; `through` is the input and the factor of what stands before the layer, where this is also the
    /// backward pass of that.
    pub(crate) fn data(&self, operands: Operands, through: Option<(Elems, f32)>) -> Launch {
        self.launch(Pass::Data, operands, false, |args| {
            if let Some(through) = through {
                (args.seen, args.factor) = through;
            }
        })
    }

    /// The gradient by the weights into `out`, or its parts where there are several.
    pub(crate) fn weight(&self, operands: Operands, out: Floats, mask: Bytes) -> Launch {
        self.launch(Pass::Weight, operands, false, |args| (args.out, args.mask) = (out, mask))
    }

    /// What the kernel of each pass is called, and the parts of the weight pass.
    pub(crate) fn names(&self, f32_out: bool) -> [(&'static str, usize); 3] {
        [Pass::Forward, Pass::Data, Pass::Weight].map(|pass| {
            let vector = self.is_vector(pass, f32_out && pass == Pass::Forward);
            let tile = self.tile(pass, vector);
            let parts = if pass == Pass::Weight { self.parts(&tile).0 } else { 1 };
            (kernel(pass, self.local, vector, &tile), parts)
        })
    }
}

/// The kernel's name.
fn kernel(pass: Pass, local: bool, vector: bool, tile: &Tile) -> &'static str {
    match (pass, local, vector, tile.name) {
        (Pass::Forward, false, true, "128x128") => "forward_128x128",
        (Pass::Forward, false, true, "128x96") => "forward_128x96",
        (Pass::Forward, false, true, "128x64") => "forward_128x64",
        (Pass::Forward, false, true, _) => "forward_64x64",
        (Pass::Forward, false, false, _) => "forward_64x64_any",
        (Pass::Forward, true, true, _) => "local_forward_64x64",
        (Pass::Forward, true, false, _) => "local_forward_64x64_any",
        (Pass::Data, false, true, "128x128") => "data_128x128",
        (Pass::Data, false, true, "128x64") => "data_128x64",
        (Pass::Data, false, true, _) => "data_64x64",
        (Pass::Data, false, false, _) => "data_64x64_any",
        (Pass::Data, true, true, _) => "local_data_64x64",
        (Pass::Data, true, false, _) => "local_data_64x64_any",
        (Pass::Weight, false, true, "128x128") => "weight_128x128",
        (Pass::Weight, false, true, _) => "weight_64x64",
        (Pass::Weight, false, false, _) => "weight_64x64_any",
        (Pass::Weight, true, true, _) => "local_weight_64x64",
        (Pass::Weight, true, false, _) => "local_weight_64x64_any",
    }
}
