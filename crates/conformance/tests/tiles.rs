//! The bounds of tiles hold for a plain f32 implementation of them, on values chosen to hurt, and catch one that is wrong.

use conformance::bound::{self, Bounded, Propagation, Weights};
use conformance::{Tiles, What, compare};
use net::random::{Purpose, Stream};
use net::{Conv, Init, Layer, Learn, Linear, Net, Op, Padding, Pair, Rounding, Shape};
use reference::Pass;

/// What is wrong with the implementation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// A coefficient of `B` is off by a tenth.
    Coefficient,
    /// The last tile is left out.
    DroppedTile,
    /// The last tile reads its patch one column too far.
    ShiftedPatch,
}

/// A small matrix by rows.
type Matrix = Vec<Vec<f32>>;

/// Three passes by tiles in f32, each operation rounded by itself.
struct Engine<'a> {
    net: &'a Net,
    conv: &'a Conv,
    m: usize,
    r: usize,
    a: usize,
    /// `Bᵀ`, `G`, `A`
    matrices: [Matrix; 3],
    fault: Fault,
    /// Whether results below the normal range become 0.
    flush: bool,
}

fn transposed(matrix: &Matrix) -> Matrix {
    (0..matrix[0].len()).map(|j| matrix.iter().map(|row| row[j]).collect()).collect()
}

fn matrices(m: usize, r: usize) -> [Matrix; 3] {
    let a = m + r - 1;
    let points = &[0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5f64][..a - 1];
    let without = |j: usize| points.iter().enumerate().filter(move |&(l, _)| l != j).map(|(_, &p)| p);
    let input = |j: usize| {
        let mut row = vec![1.0];
        for p in without(j) {
            // Times `x − p`.
            row.insert(0, 0.0);
            (0..row.len() - 1).for_each(|i| row[i] -= p * row[i + 1]);
        }
        row.resize(a, 0.0);
        row.iter().map(|&x| x as f32).collect()
    };
    let powers = |j: usize, cols: usize, over: f64| -> Vec<f32> {
        (0..cols).map(|i| if j < a - 1 { (points[j].powi(i as i32) / over) as f32 } else { f32::from(i + 1 == cols) }).collect()
    };
    let product = |j: usize| if j < a - 1 { without(j).map(|p| points[j] - p).product() } else { 1.0 };
    [(0..a).map(input).collect(), (0..a).map(|j| powers(j, r, product(j))).collect(), (0..a).map(|j| powers(j, m, 1.0)).collect()]
}

impl<'a> Engine<'a> {
    fn new(net: &'a Net, m: usize, fault: Fault, flush: bool) -> Engine<'a> {
        let Op::Conv(conv) = &net.layers()[0].op else { panic!("no convolution") };
        let r = conv.kernel.r.div_ceil(conv.stride.r);
        let mut matrices = matrices(m, r);
        if fault == Fault::Coefficient {
            matrices[0][1][2] *= 1.1;
        }
        Engine { net, conv, m, r, a: m + r - 1, matrices, fault, flush }
    }

    fn rounded(&self, x: f32) -> f32 {
        if self.flush && x.abs() < f32::MIN_POSITIVE { 0.0 } else { x }
    }

    fn sum_of_products(&self, terms: impl Iterator<Item = (f32, f32)>) -> f32 {
        terms.fold(0.0, |sum, (a, b)| self.rounded(sum + self.rounded(a * b)))
    }

    /// `M x Mᵀ`
    fn both_sides(&self, matrix: &Matrix, x: &Matrix) -> Matrix {
        let (columns, cols) = (transposed(x), x[0].len());
        let half = |row: &Vec<f32>| {
            (0..cols).map(|j| self.sum_of_products(row.iter().copied().zip(columns[j].iter().copied()))).collect::<Vec<_>>()
        };
        let half: Matrix = matrix.iter().map(half).collect();
        let whole = |row: &Vec<f32>| {
            matrix.iter().map(|other| self.sum_of_products(row.iter().copied().zip(other.iter().copied()))).collect()
        };
        half.iter().map(whole).collect()
    }

    /// Tiles down and across, as the row and column of their first outputs.
    fn tiles(&self) -> Vec<(usize, usize)> {
        let output = self.net.output_of(0);
        let rows = (0..output.h).step_by(self.m);
        let mut all: Vec<_> = rows.flat_map(|p| (0..output.w).step_by(self.m).map(move |q| (p, q))).collect();
        if self.fault == Fault::DroppedTile {
            all.pop();
        }
        all
    }

    /// Maps of a group, of the convolution as it stands.
    fn maps(&self) -> usize {
        self.net.input().c / self.conv.groups
    }

    /// Folded maps of a group: a map of the group, a row and a column of the stride's square.
    fn folded_maps(&self) -> Vec<[usize; 3]> {
        let fold = self.conv.stride.r;
        (0..self.maps() * fold * fold).map(|map| [map / (fold * fold), map / fold % fold, map % fold]).collect()
    }

    /// The pixel that row `i`, column `j` of a tile's patch of a folded map is.
    fn pixel(&self, group: usize, [c, u, v]: [usize; 3], (p, q): (usize, usize), i: usize, j: usize) -> Option<usize> {
        let (fold, input, padding) = (self.conv.stride.r, self.net.input(), self.conv.padding);
        let last = self.fault == Fault::ShiftedPatch && self.tiles().last() == Some(&(p, q));
        let h = (fold * (p + i) + u).checked_sub(padding.top).filter(|&h| h < input.h)?;
        let w = (fold * (q + j + usize::from(last)) + v).checked_sub(padding.left).filter(|&w| w < input.w)?;
        Some(((group * self.maps() + c) * input.h + h) * input.w + w)
    }

    fn tap(&self, k: usize, [c, u, v]: [usize; 3], i: usize, j: usize) -> Option<usize> {
        let (fold, Pair { r, s }) = (self.conv.stride.r, self.conv.kernel);
        let (row, col) = (fold * i + u, fold * j + v);
        (row < r && col < s).then_some(((k * self.maps() + c) * r + row) * s + col)
    }

    fn position(&self, k: usize, (p, q): (usize, usize), i: usize, j: usize) -> Option<usize> {
        let output = self.net.output_of(0);
        (p + i < output.h && q + j < output.w).then_some((k * output.h + p + i) * output.w + q + j)
    }

    fn square(side: usize, from: &[f32], place: impl Fn(usize, usize) -> Option<usize>) -> Matrix {
        (0..side).map(|i| (0..side).map(|j| place(i, j).map_or(0.0, |at| from[at])).collect()).collect()
    }

    fn add_product(&self, sums: &mut Matrix, a: &Matrix, b: &Matrix) {
        for ((sums, a), b) in sums.iter_mut().zip(a).zip(b) {
            sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum = self.rounded(*sum + self.rounded(a * b)));
        }
    }

    fn add(&self, to: &mut [f32], values: &Matrix, place: impl Fn(usize, usize) -> Option<usize>) {
        for (i, row) in values.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                if let Some(at) = place(i, j) {
                    to[at] = self.rounded(to[at] + x);
                }
            }
        }
    }

    /// Calls `visit(group, output, folded map)` for all that belong together.
    fn each_pair(&self, mut visit: impl FnMut(usize, usize, [usize; 3])) {
        for k in 0..self.conv.k {
            self.folded_maps().into_iter().for_each(|map| visit(k / (self.conv.k / self.conv.groups), k, map));
        }
    }

    /// The outputs of one image.
    fn forward(&self, x: &[f32], w: &[f32], bias: &[f32]) -> Vec<f32> {
        let [input, weight, output] = &self.matrices;
        let mut y = vec![0.0; self.net.output_of(0).len()];
        for tile in self.tiles() {
            let mut sums = vec![vec![vec![0.0; self.a]; self.a]; self.conv.k];
            self.each_pair(|group, k, map| {
                let v = self.both_sides(input, &Self::square(self.a, x, |i, j| self.pixel(group, map, tile, i, j)));
                let u = self.both_sides(weight, &Self::square(self.r, w, |i, j| self.tap(k, map, i, j)));
                self.add_product(&mut sums[k], &u, &v);
            });
            for (k, sums) in sums.iter().enumerate() {
                self.add(&mut y, &self.both_sides(&transposed(output), sums), |i, j| self.position(k, tile, i, j));
            }
        }
        let plane = self.net.output_of(0).plane();
        y.iter_mut().enumerate().for_each(|(e, y)| *y = self.rounded(*y + bias[e / plane]));
        y
    }

    /// The gradient by the weights of several images.
    fn weight(&self, images: &[Vec<f32>], gradients: &[Vec<f32>]) -> Vec<f32> {
        let [input, weight, output] = &self.matrices;
        let mut dw = vec![0.0; self.net.params()[0].len()];
        self.each_pair(|group, k, map| {
            let mut sums = vec![vec![0.0; self.a]; self.a];
            for (x, dy) in images.iter().zip(gradients) {
                for tile in self.tiles() {
                    let v = self.both_sides(input, &Self::square(self.a, x, |i, j| self.pixel(group, map, tile, i, j)));
                    let d = self.both_sides(output, &Self::square(self.m, dy, |i, j| self.position(k, tile, i, j)));
                    self.add_product(&mut sums, &v, &d);
                }
            }
            self.add(&mut dw, &self.both_sides(&transposed(weight), &sums), |i, j| self.tap(k, map, i, j));
        });
        dw
    }

    /// The gradient by one image.
    fn data(&self, w: &[f32], dy: &[f32]) -> Vec<f32> {
        let [input, weight, output] = &self.matrices;
        let mut dx = vec![0.0; self.net.input().len()];
        let outputs = self.conv.k / self.conv.groups;
        for tile in self.tiles() {
            for (group, map) in (0..self.conv.groups).flat_map(|g| self.folded_maps().into_iter().map(move |map| (g, map))) {
                let mut sums = vec![vec![0.0; self.a]; self.a];
                for k in group * outputs..(group + 1) * outputs {
                    let u = self.both_sides(weight, &Self::square(self.r, w, |i, j| self.tap(k, map, i, j)));
                    let d = self.both_sides(output, &Self::square(self.m, dy, |i, j| self.position(k, tile, i, j)));
                    self.add_product(&mut sums, &u, &d);
                }
                let patch = self.both_sides(&transposed(input), &sums);
                self.add(&mut dx, &patch, |i, j| self.pixel(group, map, tile, i, j));
            }
        }
        dx
    }
}

/// Values of `x`, weights and `dy`, chosen to hurt.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// Uniform in ±1.
    Noise,
    /// Pixels from 0 to 255, weights of 0.01.
    Pixels,
    /// 1000 ± 1.
    Offset,
    /// Gradients of 10⁻³⁰.
    TinyGradients,
    /// Gradients of 10⁻³⁸, below the normal range in part.
    LostGradients,
    /// Pixels, weights and gradients whose products are below the normal range in part.
    LostProducts,
    /// ± 1 like a chessboard, and a little noise: whatever is summed cancels.
    Chessboard,
    /// One value of 10⁶ among values of 10⁻⁶.
    OneHuge,
    /// Pixels of 0.
    Zeros,
}

const KINDS: [Kind; 9] = [
    Kind::Noise,
    Kind::Pixels,
    Kind::Offset,
    Kind::TinyGradients,
    Kind::LostGradients,
    Kind::LostProducts,
    Kind::Chessboard,
    Kind::OneHuge,
    Kind::Zeros,
];

#[derive(Clone, Copy, PartialEq)]
enum Operand {
    Pixels,
    Weights,
    Biases,
    Gradients,
}

impl Kind {
    /// Value `e`, of row and column `i` and `j`, where `noise` is uniform in ±1.
    fn value(self, of: Operand, (e, i, j): (usize, usize, usize), noise: f64) -> f64 {
        match (self, of) {
            (Kind::Pixels, Operand::Pixels) => (127.5 * (1.0 + noise)).round(),
            (Kind::Pixels, Operand::Weights) => 0.01 * noise,
            (Kind::Offset, _) => 1000.0 + noise,
            (Kind::TinyGradients, Operand::Gradients) => 1e-30 * noise,
            (Kind::LostGradients, Operand::Gradients) => 1e-38 * noise,
            (Kind::LostProducts, Operand::Biases) => 0.0,
            (Kind::LostProducts, _) => 1e-18 * noise,
            (Kind::Chessboard, _) => (if (i + j) % 2 == 0 { 1.0 } else { -1.0 }) + 1e-3 * noise,
            (Kind::OneHuge, _) => {
                if e == 5 {
                    1e6
                } else {
                    1e-6 * noise
                }
            }
            (Kind::Zeros, Operand::Pixels) => 0.0,
            _ => noise,
        }
    }

    fn fill(self, of: Operand, item: u32, len: usize, (rows, cols): (usize, usize)) -> Vec<f32> {
        let stream = Stream::new(1980, Purpose::Test, of as u32, self as u32, item);
        let place = |e: usize| (e, e / cols % rows, e % cols);
        (0..len).map(|e| self.value(of, place(e), 2.0 * stream.uniform(e as u32) - 1.0) as f32).collect()
    }
}

/// A convolution to run by tiles of `m`.
struct Case {
    name: String,
    net: Net,
    m: usize,
}

fn case(input: [usize; 3], k: usize, kernel: usize, stride: usize, padding: [usize; 4], groups: usize) -> Case {
    let name = format!("{input:?} to {k}, {kernel}×{kernel} stride {stride} pad {padding:?} in {groups} groups");
    let ([c, h, w], [top, left, bottom, right]) = (input, padding);
    let learn = Learn { init: Init::Constant(0.0), rate: 1.0, decay: 1.0 };
    let (kernel, stride, padding) = (Pair::square(kernel), Pair::square(stride), Padding { top, left, bottom, right });
    let conv = Conv { k, kernel, stride, padding, rounding: Rounding::Floor, groups, weight: learn, bias: learn };
    let head = Linear { k: 2, weight: learn, bias: learn };
    let ops = [("op", Op::Conv(conv)), ("head", Op::Linear(head)), ("prob", Op::Softmax)];
    let layers = ops.into_iter().map(|(name, op)| Layer { name: name.into(), op }).collect();
    Case { name, net: Net::new("one-conv", Shape { c, h, w }, layers).expect("a net"), m: 4 }
}

/// In the last of each size, maps are smaller than a tile.
fn cases() -> Vec<Case> {
    vec![
        case([6, 13, 9], 4, 3, 1, [1; 4], 2),
        case([40, 6, 5], 3, 3, 1, [0, 2, 1, 0], 1),
        case([3, 2, 3], 3, 3, 1, [1; 4], 1),
        case([4, 11, 12], 6, 5, 1, [2; 4], 2),
        case([3, 2, 2], 3, 5, 1, [2; 4], 1),
        case([3, 23, 27], 4, 11, 4, [2; 4], 1),
        case([2, 13, 10], 4, 5, 2, [2, 1, 0, 2], 2),
    ]
}

/// What a case computes, and from what.
struct Run {
    tiles: Tiles,
    x: Vec<f32>,
    w: Vec<f32>,
    bias: Vec<f32>,
    dy: Vec<f32>,
    /// Outputs, gradient by the weights, and by the pixels.
    results: [Vec<f32>; 3],
}

const IMAGES: usize = 3;

const PASSES: [&str; 3] = ["forward", "weight", "data"];

impl Case {
    fn run(&self, kind: Kind, fault: Fault, flush: bool) -> Run {
        let engine = Engine::new(&self.net, self.m, fault, flush);
        let (input, output, conv) = (self.net.input(), self.net.output_of(0), engine.conv);
        let of_images = |of, shape: Shape| -> Vec<Vec<f32>> {
            (0..IMAGES).map(|image| kind.fill(of, image as u32, shape.len(), (shape.h, shape.w))).collect()
        };
        let (x, dy) = (of_images(Operand::Pixels, input), of_images(Operand::Gradients, output));
        let w = kind.fill(Operand::Weights, 0, self.net.params()[0].len(), (conv.kernel.r, conv.kernel.s));
        let bias = kind.fill(Operand::Biases, 0, conv.k, (1, 1));
        let y = x.iter().flat_map(|x| engine.forward(x, &w, &bias)).collect();
        let dx = dy.iter().flat_map(|dy| engine.data(&w, dy)).collect();
        let results = [y, engine.weight(&x, &dy), dx];
        let tiles = Tiles { m: self.m, fold: conv.stride.r };
        Run { tiles, x: x.concat(), w, bias, dy: dy.concat(), results }
    }

    /// The oracle's results and their bounds by tiles, or those of plain sums; its gradient by outputs is `dy` with an error.
    fn oracle(&self, run: &Run, tiles: Option<Tiles>, how: Propagation, dy: &Bounded) -> [Bounded; 3] {
        let x: Vec<f64> = run.x.iter().map(|&x| f64::from(x)).collect();
        let y = bound::forward(&self.net, 0, Weights { weight: &run.w, bias: &run.bias }, tiles, Pass::Test, &x);
        let mut dw = Bounded::default();
        bound::backward_params(&self.net, 0, how, tiles, &x, dy, &mut |param, _, gradient| {
            if param == 0 {
                dw = gradient;
            }
        });
        [y, dw, bound::backward_input(&self.net, 0, how, &run.w, tiles, Pass::Test, &x, dy)]
    }
}

/// `dy` in f64, off by the relative `error` at random.
fn off_by(error: f64, dy: &[f32]) -> Bounded {
    let stream = Stream::new(2018, Purpose::Test, 0, 0, 0);
    let off = |(e, &dy): (usize, &f32)| f64::from(dy) * (1.0 + error * (2.0 * stream.uniform(e as u32) - 1.0));
    let value: Vec<f64> = dy.iter().enumerate().map(off).collect();
    let bound = value.iter().map(|dy| 2.0 * error * dy.abs()).collect();
    Bounded { value, bound }
}

/// What the bounds of a pass are multiplied by: no errors travel forward.
fn factor(how: Propagation, pass: usize) -> f64 {
    if PASSES[pass] == "forward" { 1.0 } else { how.factor() }
}

/// The largest share of its bound that a value uses, in each pass; more than 1 where it is out of it.
fn shares(run: &Run, oracle: &[Bounded; 3], how: Propagation) -> [f64; 3] {
    std::array::from_fn(|pass| {
        let what = || What { op: "conv".into(), tensor: PASSES[pass].into(), shape: vec![oracle[pass].value.len()], first: 0 };
        compare(what, &run.results[pass], &oracle[pass], factor(how, pass))
            .unwrap_or_else(|bad| (f64::from(bad.engine) - bad.oracle).abs() / bad.bound)
    })
}

const HOW: [Propagation; 2] = [Propagation::Worst, Propagation::Probable];

#[test]
fn rounding_stays_within_the_bounds() {
    for (kind, flush) in KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
        let mut closest = [0.0f64; 3];
        for case in cases() {
            let run = case.run(kind, Fault::None, flush);
            for (how, error) in HOW.into_iter().flat_map(|how| [(how, 0.0), (how, 1e-5)]) {
                let shares = shares(&run, &case.oracle(&run, Some(run.tiles), how, &off_by(error, &run.dy)), how);
                assert!(shares.iter().all(|&s| s <= 1.0), "{}: {kind:?}, {how:?}, {error}, {flush}: {shares:?}", case.name);
                closest = std::array::from_fn(|pass| closest[pass].max(shares[pass]));
            }
        }
        println!(
            "{:<14} flush {flush:<5} largest error / bound of each pass: {}",
            format!("{kind:?}"),
            closest.map(|share| format!("{share:.1e}")).join(", ")
        );
    }
}

/// How many times a bound may be larger than the largest error of noise: what `n` roundings that conspire are above as many
/// that do not, and the sum of sizes above the values that it bounds.
const MOST_SLACK: f64 = 2000.0;

#[test]
fn the_bounds_are_not_idle() {
    println!("bound / largest error, and the median of error / bound, each {PASSES:?}");
    for case in cases() {
        let run = case.run(Kind::Noise, Fault::None, false);
        for how in HOW {
            let oracle = case.oracle(&run, Some(run.tiles), how, &off_by(0.0, &run.dy));
            let slack = shares(&run, &oracle, how).map(|share| 1.0 / share);
            let medians: [String; 3] = std::array::from_fn(|pass| format!("{:.1e}", median_share(&run, &oracle, how, pass)));
            println!("{:<9} {slack:>6.0?}; {medians:?}; {}", format!("{how:?}"), case.name);
            assert!(slack.iter().all(|&slack| slack < MOST_SLACK), "{}, {how:?}: {slack:?}", case.name);
        }
    }
}

fn median_share(run: &Run, oracle: &[Bounded; 3], how: Propagation, pass: usize) -> f64 {
    let oracle = &oracle[pass];
    let pairs = run.results[pass].iter().zip(oracle.value.iter().zip(&oracle.bound));
    let mut all: Vec<f64> =
        pairs.map(|(&y, (value, bound))| (f64::from(y) - value).abs() / (factor(how, pass) * bound)).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[test]
fn a_fault_is_caught_in_every_pass() {
    for (fault, kind) in [Fault::Coefficient, Fault::DroppedTile, Fault::ShiftedPatch]
        .into_iter()
        .flat_map(|fault| [(fault, Kind::Noise), (fault, Kind::Pixels)])
    {
        let mut least = [f64::INFINITY; 3];
        for case in cases() {
            let run = case.run(kind, fault, false);
            for how in HOW {
                let shares = shares(&run, &case.oracle(&run, Some(run.tiles), how, &off_by(0.0, &run.dy)), how);
                assert!(shares.iter().all(|&s| s > 1.0), "{}: {fault:?}, {kind:?}, {how:?}: {shares:?}", case.name);
                least = std::array::from_fn(|pass| least[pass].min(shares[pass]));
            }
        }
        println!("{fault:?}, {kind:?}: error / bound of each pass, at least: {least:.0?}");
    }
}

/// Why tiles need bounds of their own: on maps smaller than a window, some weights meet zeros alone.
#[test]
fn a_plain_sum_is_exact_where_tiles_are_not() {
    let case = case([3, 2, 2], 3, 5, 1, [2; 4], 1);
    let run = case.run(Kind::Noise, Fault::None, false);
    let [_, dw, _] = case.oracle(&run, None, Propagation::Worst, &off_by(0.0, &run.dy));
    let left = run.results[1].iter().zip(&dw.value).filter(|&(&engine, &oracle)| oracle == 0.0 && engine != 0.0).count();
    assert!(left > 0, "tiles leave no rounding where the gradient is 0");
    let [_, weight, _] = shares(&run, &case.oracle(&run, None, Propagation::Worst, &off_by(0.0, &run.dy)), Propagation::Worst);
    assert!(weight > 1.0, "a plain sum's bound grants {left} values that are not 0");
}
