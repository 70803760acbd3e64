//! The CPU engine on nets that nobody would train: drawn at random, and made smaller where one fails.
//!
//! Each net runs with every instruction set that this machine has, through the suite's own comparisons. The nets are the
//! same on every run. `ALEXNET_ODD_NETS=50` draws 50 times as many; `ALEXNET_ODD_NETS=50,7` does so from seed 7. A failure
//! prints the smallest net that still fails, as TOML, with all that [`kept`] needs to run it again.

mod planned;

use std::cell::Cell;
use std::fmt;

use conformance::inputs::Values;
use conformance::{Keep, Prepare, Report, Subject, Trial, trial, trial_same_bits};
use cpu::{Isa, Options};
use net::{
    AvgPool, Conv, Dropout, DropoutScaling, Executor, Init, Layer, Learn, Linear, Local, LrnAcross, LrnWithin, MaxPool, Mode,
    Net, Op, Padding, Pair, Rounding, Shape, Ties,
};
use planned::tiles;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::{Union, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

/// A net and how it is run.
#[derive(Clone)]
struct Case {
    net: Net,
    values: Values,
    images: usize,
    capacity: usize,
    threads: usize,
    seed: u64,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { net, values, images, capacity, threads, seed } = self;
        writeln!(f, "{images} images of {capacity}, values {values:?}, {threads} threads, seed {seed}")?;
        f.write_str(&net.to_toml())
    }
}

/// The nets that stay, whatever is drawn.
fn kept() -> [Case; 4] {
    let case = |images, values, seed, text| {
        let net = Net::from_toml(text).expect("a net");
        Case { net, values, images, capacity: images, threads: 1, seed }
    };
    [
        case(1, Values::Normal, 0, PADDING_ONLY),
        case(1, Values::Normal, 0, SPARSE_GRADIENT),
        case(1, Values::Integers, 116, UNEVEN_GRADIENT),
        case(80, Values::Normal, 1, MANY_IMAGES),
    ]
}

/// Outputs that see nothing but padding, in a tile that sees the image.
const PADDING_ONLY: &str = r#"
name = "padding-only"
input = { c = 48, h = 3, w = 2 }
[[layer]]
name = "conv0"
conv = { k = 32, kernel = 3, padding = [0, 0, 2, 3], weight = { init = "fan_in" }, bias = { init = "fan_in" } }
[[layer]]
name = "prob"
softmax = {}
"#;

/// Pixels whose gradient is all but 0, in a tile where that of others is not.
const SPARSE_GRADIENT: &str = r#"
name = "sparse-gradient"
input = { c = 17, h = 12, w = 4 }
[[layer]]
name = "conv0"
conv = { k = 16, kernel = 5, padding = 2, weight = { init = "fan_in" }, bias = { init = "fan_in" } }
[[layer]]
name = "dropout1"
dropout = { rate = 0.9, scaling = "train" }
[[layer]]
name = "prob"
softmax = {}
"#;

/// An ordinary convolution, whose data gradient by tiles strays a little further than that of a plain sum may.
const UNEVEN_GRADIENT: &str = r#"
name = "uneven-gradient"
input = { c = 16, h = 7, w = 9 }
[[layer]]
name = "conv0"
conv = { k = 48, kernel = 5, padding = 2, weight = { init = "fan_in" }, bias = { init = "fan_in" } }
[[layer]]
name = "prob"
softmax = {}
"#;

/// More images than are transformed at a time, and pools that leave most gradients 0.
const MANY_IMAGES: &str = r#"
name = "many-images"
input = { c = 16, h = 28, w = 28 }
[[layer]]
name = "conv0"
conv = { k = 16, kernel = 3, padding = 1, weight = { init = "fan_in" }, bias = { init = "fan_in" } }
[[layer]]
name = "pool1"
max_pool = { kernel = 3, stride = 3 }
[[layer]]
name = "linear2"
linear = { k = 3, weight = { init = "fan_in" }, bias = { init = "fan_in" } }
[[layer]]
name = "prob"
softmax = {}
"#;

// The engine under test.

fn engine(isa: Isa, threads: usize) -> Box<Prepare<'static>> {
    Box::new(move |net: &Net, batch: usize, mode: Mode, keep: Keep| {
        let options = Options { isa: Some(isa), threads: Some(threads), inspect: keep == Keep::Everything, ..Options::default() };
        let exec = cpu::prepare(net, batch, mode, &options).map_err(|error| error.to_string())?;
        Ok(Box::new(exec) as Box<dyn Executor>)
    })
}

fn skip(case: &str, reason: &str) {
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|value| value != "1"), "skipped: {case}: {reason}");
    // Past the test runner, which keeps to itself what passing tests print.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {case}: {reason}\n").as_bytes());
}

/// The instruction sets that are here; the others are skips.
fn isas() -> Vec<Isa> {
    let (here, missing): (Vec<Isa>, Vec<Isa>) = Isa::ALL.into_iter().partition(|isa| isa.available());
    missing.iter().for_each(|isa| skip(&format!("odd nets, {isa}"), &format!("this CPU has no {isa}")));
    here
}

/// Runs a suite with subjects of the given numbers of threads.
fn with_threads(isa: Isa, threads: &[usize], suite: impl Fn(&[Subject<'_>]) -> Report) -> Result<(), String> {
    let engines: Vec<_> = threads.iter().map(|&n| (format!("cpu, {isa}, {n} threads"), engine(isa, n))).collect();
    let subjects: Vec<_> =
        engines.iter().map(|(name, prepare)| Subject { name, prepare: &**prepare, tiles: &tiles, cannot: &[] }).collect();
    suite(&subjects).verdict(false).map(|_| ())
}

fn has_tiles(isa: Isa, case: &Case) -> Result<bool, String> {
    let exec = engine(isa, 1)(&case.net, case.capacity, Mode::Train, Keep::Everything)?;
    Ok(exec.plan().contains("winograd"))
}

/// The values are the oracle's, and the bits do not depend on what is kept.
fn holds(isas: &[Isa], case: &Case) -> Result<(), String> {
    let Case { ref net, values, images, capacity, threads, seed } = *case;
    for &isa in isas {
        let run = Trial { net, values, images, capacity, seed };
        with_threads(isa, &[threads], |subjects| trial(&subjects[0], &run))?;
        with_threads(isa, &[threads], |subjects| trial_same_bits(subjects, net, images))?;
    }
    Ok(())
}

/// What draws so many cases, or as many more as are asked for.
fn runner(count: u32) -> TestRunner {
    let asked = std::env::var("ALEXNET_ODD_NETS").unwrap_or_else(|_| "1".into());
    let (times, seed) = asked.split_once(',').unwrap_or((&asked, "0"));
    let times: u32 = times.trim().parse().expect("ALEXNET_ODD_NETS is TIMES or TIMES,SEED");
    let seed = seed.trim().parse().expect("ALEXNET_ODD_NETS is TIMES or TIMES,SEED");
    TestRunner::new(Config {
        cases: count * times,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    })
}

/// Runs `test` on what `cases` draws, so many times.
fn for_all<T: fmt::Debug>(count: u32, cases: impl Strategy<Value = T>, test: impl Fn(&T) -> Result<(), String>) {
    let outcome = runner(count).run(&cases, |case| test(&case).map_err(TestCaseError::fail));
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(reason, case)) => panic!("{reason}\nthe smallest that fails:\n{case:?}"),
        Err(error) => panic!("{error}"),
    }
}

// From numbers to nets.

/// How many output maps stand for as many as there are input maps.
const AS_INPUT: usize = 0;

/// Parameters that these tests do not initialise.
const LEARN: Learn = Learn { init: Init::Constant(0.0), rate: 1.0, decay: 1.0 };

/// The greatest number up to `most` that divides both.
fn divisor(most: usize, a: usize, b: usize) -> usize {
    (1..=most.clamp(1, a)).rev().find(|d| a.is_multiple_of(*d) && b.is_multiple_of(*d)).unwrap_or(1)
}

/// The padding before and behind an axis that lets the kernel fit; a pool's is smaller than its kernel.
fn reach(size: usize, kernel: usize, before: usize, after: usize, pool: bool) -> (usize, usize) {
    let (before, after) = if pool { (before % kernel, after % kernel) } else { (before, after) };
    (before, after.max(kernel.saturating_sub(size + before)))
}

fn padded(input: Shape, kernel: Pair, padding: Padding, pool: bool) -> Padding {
    let (top, bottom) = reach(input.h, kernel.r, padding.top, padding.bottom, pool);
    let (left, right) = reach(input.w, kernel.s, padding.left, padding.right, pool);
    Padding { top, left, bottom, right }
}

/// The op with its groups, towers and paddings changed to what the input allows.
fn fitted(op: &Op, input: Shape) -> Op {
    let maps = |k: usize| if k == AS_INPUT { input.c } else { k };
    let mut op = op.clone();
    match &mut op {
        Op::Conv(conv) => {
            conv.k = maps(conv.k);
            conv.groups = divisor(conv.groups, input.c, conv.k);
            conv.padding = padded(input, conv.kernel, conv.padding, false);
        }
        Op::Local(local) => {
            local.k = maps(local.k);
            local.padding = padded(input, local.kernel, local.padding, false);
        }
        Op::MaxPool(pool) => pool.padding = padded(input, pool.kernel, pool.padding, true),
        Op::AvgPool(pool) => pool.padding = padded(input, pool.kernel, pool.padding, true),
        Op::Lrn(lrn) => lrn.towers = divisor(lrn.towers, input.c, input.c),
        _ => {}
    }
    op
}

/// The input and the ops that fit, in their order, then a softmax. An op that would make the net cost more than `budget` is
/// left out, and so is one that the net refuses; an input that is too large by itself has its sides halved.
fn assemble(mut input: Shape, ops: &[Op], budget: u64) -> Net {
    while 2 * VALUE_COST * input.len() as u64 > budget && input.plane() > 1 {
        (input.h, input.w) = (input.h.div_ceil(2), input.w.div_ceil(2));
    }
    let with_softmax = |mut layers: Vec<Layer>| {
        layers.push(Layer { name: "prob".into(), op: Op::Softmax });
        Net::new("odd", input, layers)
    };
    let mut net = with_softmax(Vec::new()).expect("a softmax takes any input");
    for (index, op) in ops.iter().enumerate() {
        let mut layers = net.layers()[..net.layers().len() - 1].to_vec();
        let here = net.input_of(layers.len());
        layers.push(Layer { name: format!("{}{index}", op.kind()), op: fitted(op, here) });
        match with_softmax(layers) {
            Ok(longer) if cost(&longer) <= budget => net = longer,
            _ => {}
        }
    }
    net
}

/// Multiply-adds of the time that a value takes to be computed and compared.
const VALUE_COST: u64 = 16;

/// Multiply-adds of an image, and as many as its values are worth.
fn cost(net: &Net) -> u64 {
    let values: usize = (0..net.layers().len()).map(|index| net.output_of(index).len()).sum();
    net.multiply_adds() + VALUE_COST * values as u64
}

// What is drawn. The first of several choices is what a failing case shrinks to.

/// One of several strategies, each as likely as its weight says.
fn any_of<T: fmt::Debug + 'static>(choices: Vec<(u32, BoxedStrategy<T>)>) -> Union<BoxedStrategy<T>> {
    Union::new_weighted(choices)
}

fn side() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(1_usize), 4 => select(vec![2, 3, 5, 7, 11, 13]), 2 => select(vec![4, 6, 8, 9, 12, 16, 17, 23, 37])]
}

fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![1 => 1..8_usize, 1 => around_16()]
}

/// Around multiples of a vector's lanes.
fn around_16() -> impl Strategy<Value = usize> {
    select(vec![16, 15, 17, 32, 33, 48])
}

fn maps() -> impl Strategy<Value = usize> {
    prop_oneof![3 => channels(), 1 => Just(AS_INPUT)]
}

/// 1, a few, or as many as there are channels.
fn groups() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(1), 2 => 2..5_usize, 1 => Just(16), 1 => Just(usize::MAX)]
}

fn kernel() -> impl Strategy<Value = Pair> {
    let axis = || prop_oneof![6 => 1..6_usize, 1 => 6..12_usize];
    (axis(), axis()).prop_map(|(r, s)| Pair { r, s })
}

fn stride() -> impl Strategy<Value = Pair> {
    let axis = || prop_oneof![1 => Just(1), 1 => 1..6_usize];
    (axis(), axis()).prop_map(|(r, s)| Pair { r, s })
}

fn padding(most: usize) -> impl Strategy<Value = Padding> {
    let around = (0..=most, 0..=most, 0..=most, 0..=most);
    around.prop_map(|(top, left, bottom, right)| Padding { top, left, bottom, right })
}

/// Often none, sometimes more than most kernels are large.
fn any_padding() -> impl Strategy<Value = Padding> {
    prop_oneof![2 => Just(Padding::all(0)), 4 => padding(3), 1 => padding(8)]
}

fn rounding() -> impl Strategy<Value = Rounding> {
    select(vec![Rounding::Floor, Rounding::Ceil])
}

fn conv() -> impl Strategy<Value = Op> {
    (maps(), groups(), kernel(), stride(), any_padding(), rounding()).prop_map(
        |(k, groups, kernel, stride, padding, rounding)| {
            Op::Conv(Conv { k, kernel, stride, padding, rounding, groups, weight: LEARN, bias: LEARN })
        },
    )
}

/// What may be computed by tiles: 3 × 3 or 5 × 5, stride 1, whole blocks of channels more often than not, and paddings of all
/// kinds.
fn tileable() -> impl Strategy<Value = Op> {
    let maps = prop_oneof![2 => select(vec![16, 32, 48]), 1 => around_16()];
    let odd_padding = prop_oneof![1 => Just(None), 1 => padding(4).prop_map(Some), 1 => padding(6).prop_map(Some)];
    let groups = prop_oneof![4 => Just(1), 1 => 2..4_usize];
    (maps, select(vec![3, 5]), odd_padding, groups).prop_map(|(k, side, padding, groups)| {
        let padding = padding.unwrap_or(Padding::all(side / 2));
        let (kernel, stride, rounding) = (Pair::square(side), Pair::square(1), Rounding::Floor);
        Op::Conv(Conv { k, kernel, stride, padding, rounding, groups, weight: LEARN, bias: LEARN })
    })
}

fn local() -> impl Strategy<Value = Op> {
    (maps(), kernel(), stride(), any_padding())
        .prop_map(|(k, kernel, stride, padding)| Op::Local(Local { k, kernel, stride, padding, weight: LEARN, bias: LEARN }))
}

/// Also kernels of more elements than one byte counts.
fn max_pool() -> impl Strategy<Value = Op> {
    let kernel = prop_oneof![8 => kernel(), 1 => Just(Pair { r: 17, s: 16 })];
    (kernel, stride(), any_padding(), rounding(), select(vec![Ties::First, Ties::All]))
        .prop_map(|(kernel, stride, padding, rounding, ties)| Op::MaxPool(MaxPool { kernel, stride, padding, rounding, ties }))
}

fn avg_pool() -> impl Strategy<Value = Op> {
    (kernel(), stride(), any_padding(), rounding())
        .prop_map(|(kernel, stride, padding, rounding)| Op::AvgPool(AvgPool { kernel, stride, padding, rounding }))
}

fn lrn() -> impl Strategy<Value = Op> {
    let numbers = (select(vec![5, 1, 3, 7, 9, 15]), select(vec![1.0, 2.0, 0.1]), select(vec![1e-4, 0.0, 1e-3, 0.5]));
    let towers = prop_oneof![2 => Just(1), 1 => 2..5_usize, 1 => Just(usize::MAX)];
    (numbers, select(vec![0.75, 0.5, 0.6, 1.0]), any::<bool>(), towers)
        .prop_map(|((n, k, alpha), beta, alpha_over_n, towers)| Op::Lrn(LrnAcross { n, k, alpha, beta, alpha_over_n, towers }))
}

fn lrn_within() -> impl Strategy<Value = Op> {
    let numbers = (select(vec![3, 1, 5, 9]), select(vec![1.0, 2.0]), select(vec![1e-4, 0.0, 1e-3, 0.5]));
    (numbers, select(vec![0.75, 0.6, 1.0]), any::<bool>())
        .prop_map(|((n, k, alpha), beta, alpha_over_n)| Op::LrnWithin(LrnWithin { n, k, alpha, beta, alpha_over_n }))
}

fn dropout() -> impl Strategy<Value = Op> {
    (select(vec![0.5, 0.0, 0.1, 0.9]), select(vec![DropoutScaling::Train, DropoutScaling::Test]))
        .prop_map(|(rate, scaling)| Op::Dropout(Dropout { rate, scaling }))
}

fn linear() -> impl Strategy<Value = Op> {
    select(vec![2, 1, 3, 7, 10, 15, 16, 17, 24, 25, 33, 130]).prop_map(|k| Op::Linear(Linear { k, weight: LEARN, bias: LEARN }))
}

fn any_op() -> impl Strategy<Value = Op> {
    any_of(vec![
        (3, Just(Op::Relu).boxed()),
        (1, Just(Op::Tanh).boxed()),
        (2, dropout().boxed()),
        (2, linear().boxed()),
        (2, lrn().boxed()),
        (1, lrn_within().boxed()),
        (3, max_pool().boxed()),
        (1, avg_pool().boxed()),
        (3, local().boxed()),
        (6, conv().boxed()),
    ])
}

/// What stands between convolutions by tiles.
fn between() -> impl Strategy<Value = Op> {
    let small = |kernel: usize, stride: usize| {
        let (kernel, stride, padding) = (Pair::square(kernel), Pair::square(stride), Padding::all(0));
        Just(Op::MaxPool(MaxPool { kernel, stride, padding, rounding: Rounding::Ceil, ties: Ties::First })).boxed()
    };
    let more = vec![(2, Just(Op::Relu).boxed()), (1, small(2, 1)), (1, small(3, 2)), (1, lrn().boxed())];
    any_of([more, vec![(1, dropout().boxed()), (4, tileable().boxed())]].concat())
}

/// Most of them where plans change with the number of images.
fn images() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(1_usize), 3 => Just(2), 3 => Just(3), 2 => select(vec![8, 9]), 1 => Just(127)]
}

/// A case whose net has this input and these ops, and often a linear layer before its softmax; more images, less net.
fn case(
    input: impl Strategy<Value = Shape>,
    ops: impl Strategy<Value = Vec<Op>>,
    images: impl Strategy<Value = usize>,
    budget: u64,
) -> impl Strategy<Value = Case> {
    let values = prop_oneof![
        5 => Just(Values::Normal),
        2 => Just(Values::Pixels),
        4 => select(vec![Values::Integers, Values::Zeros, Values::Negative, Values::Tiny, Values::Offset, Values::Extreme]),
    ];
    let head = prop_oneof![1 => Just(None), 4 => linear().prop_map(Some)];
    let room = prop_oneof![3 => Just(0_usize), 1 => 1..4_usize];
    let run = (values, images, room, 1..=3_usize, any::<u8>());
    (input, ops, head, run).prop_map(move |(input, mut ops, head, (values, images, room, threads, seed))| {
        ops.extend(head);
        let net = assemble(input, &ops, budget / images as u64);
        Case { net, values, images, capacity: images + room, threads, seed: seed.into() }
    })
}

/// One to five layers of any kind.
fn mixed() -> impl Strategy<Value = Case> {
    let input = (channels(), side(), side()).prop_map(|(c, h, w)| Shape { c, h, w });
    case(input, prop::collection::vec(any_op(), 1..=5), images(), 1 << 19)
}

/// Convolutions that tiles may compute, and what stands between them.
fn chains() -> impl Strategy<Value = Case> {
    let ops = (tileable(), prop::collection::vec(between(), 0..=4)).prop_map(|(first, mut ops)| {
        ops.insert(0, first);
        ops
    });
    let side = || prop_oneof![1 => 1..5_usize, 4 => 5..=14_usize];
    let input = (around_16(), side(), side()).prop_map(|(c, h, w)| Shape { c, h, w });
    case(input, ops, prop_oneof![6 => 1..=3_usize, 1 => select(vec![8, 9])], 1 << 22)
}

/// Numbers at the ends of what a net allows, and behind them.
fn extreme() -> impl Strategy<Value = usize> {
    select(vec![0, 1, 2, 1 << 12, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, 1 << 40, (1 << 40) + 1, usize::MAX / 2, usize::MAX])
}

/// An op with one of its numbers replaced; a pool or convolution with its paddings as they were drawn.
fn spoilt() -> impl Strategy<Value = Op> {
    (any_op(), extreme(), 0..8_usize).prop_map(|(mut op, number, which)| {
        let windows = |kernel: &mut Pair, stride: &mut Pair, padding: &mut Padding| match which {
            1 => kernel.r = number,
            2 => kernel.s = number,
            3 => stride.r = number,
            4 => stride.s = number,
            5 => padding.top = number,
            6 => padding.right = number,
            _ => {}
        };
        match &mut op {
            Op::Conv(conv) if which == 0 => conv.k = number,
            Op::Conv(conv) if which == 7 => conv.groups = number,
            Op::Conv(conv) => windows(&mut conv.kernel, &mut conv.stride, &mut conv.padding),
            Op::Local(local) if which == 0 => local.k = number,
            Op::Local(local) => windows(&mut local.kernel, &mut local.stride, &mut local.padding),
            Op::MaxPool(pool) => windows(&mut pool.kernel, &mut pool.stride, &mut pool.padding),
            Op::AvgPool(pool) => windows(&mut pool.kernel, &mut pool.stride, &mut pool.padding),
            Op::Linear(linear) => linear.k = number,
            Op::Lrn(lrn) if which < 4 => lrn.n = number,
            Op::Lrn(lrn) => lrn.towers = number,
            Op::LrnWithin(lrn) => lrn.n = number,
            Op::Dropout(dropout) => dropout.rate = [1.0, -0.1, f64::NAN, f64::INFINITY][which % 4],
            _ => {}
        }
        op
    })
}

/// An input and layers that may or may not be a net.
fn perhaps() -> impl Strategy<Value = (Shape, Vec<Layer>)> {
    let number = || prop_oneof![8 => side(), 1 => extreme()];
    let op = prop_oneof![6 => any_op(), 3 => spoilt(), 1 => Just(Op::Softmax)];
    let name = prop_oneof![8 => Just("layer".to_string()), 1 => select(vec!["", "a b", "é", "layer0"]).prop_map(String::from)];
    let layers = prop::collection::vec((name, op), 0..5);
    ((number(), number(), number()), layers, 0..8).prop_map(|((c, h, w), layers, end)| {
        let numbered = layers.into_iter().enumerate();
        let mut layers: Vec<Layer> = numbered
            .map(|(index, (name, op))| Layer { name: if name == "layer" { format!("{name}{index}") } else { name }, op })
            .collect();
        if end > 0 {
            layers.push(Layer { name: "prob".into(), op: Op::Softmax });
        }
        (Shape { c, h, w }, layers)
    })
}

// The tests.

#[test]
fn mixed_layers_compute_what_the_oracle_does() {
    let isas = isas();
    for_all(400, mixed(), |case| holds(&isas, case));
}

#[test]
fn chains_of_convolutions_compute_what_the_oracle_does() {
    let isas = isas();
    for_all(100, chains(), |case| holds(&isas, case));
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let isas = isas();
    let cases = (prop_oneof![mixed().boxed(), chains().boxed()], 2..=64_usize, 2..=64_usize);
    for_all(60, cases, |(case, some, more)| {
        let same =
            |&isa: &Isa| with_threads(isa, &[1, *some, *more], |subjects| trial_same_bits(subjects, &case.net, case.images));
        isas.iter().try_for_each(same)
    });
}

#[test]
fn what_is_no_net_is_refused_with_a_reason() {
    let (nets, refusals) = (Cell::new(0), Cell::new(0));
    for_all(4000, perhaps(), |(input, layers)| match Net::new("perhaps", *input, layers.clone()) {
        Ok(net) => {
            nets.set(nets.get() + 1);
            let read = Net::from_toml(&net.to_toml()).map_err(|error| format!("{error} in\n{}", net.to_toml()))?;
            if read == net { Ok(()) } else { Err(format!("reads back otherwise:\n{}", net.to_toml())) }
        }
        Err(error) => {
            refusals.set(refusals.get() + 1);
            if error.to_string().len() > 10 { Ok(()) } else { Err(format!("no reason: {error}")) }
        }
    });
    assert!(nets.get() > 1000 && refusals.get() > 1000, "{} nets and {} refusals", nets.get(), refusals.get());
}

/// The windows of a layer that has any: whether it is a pool, kernel, stride, padding.
fn windows(op: &Op) -> Option<(bool, Pair, Pair, Padding)> {
    match op {
        Op::Conv(conv) => Some((false, conv.kernel, conv.stride, conv.padding)),
        Op::Local(local) => Some((false, local.kernel, local.stride, local.padding)),
        Op::MaxPool(pool) => Some((true, pool.kernel, pool.stride, pool.padding)),
        Op::AvgPool(pool) => Some((true, pool.kernel, pool.stride, pool.padding)),
        _ => None,
    }
}

/// Says something of a layer and its input.
type Is = fn(&Op, Shape) -> bool;

/// What is to be drawn often, each by name.
const ODDITIES: &[(&str, Is)] = &[
    ("a map of one pixel", |_, input| input.plane() == 1),
    ("a map of one row", |_, input| input.h == 1 && input.w > 1),
    ("sides of different primes", |_, input| input.h != input.w && [input.h, input.w].iter().all(|n| [3, 5, 7, 11].contains(n))),
    ("a kernel larger than its map", |op, input| windows(op).is_some_and(|(_, kernel, ..)| kernel.r > input.h)),
    ("strides that differ", |op, _| windows(op).is_some_and(|(_, _, stride, _)| stride.r != stride.s)),
    ("a stride larger than the kernel", |op, _| windows(op).is_some_and(|(_, kernel, stride, _)| stride.r > kernel.r)),
    ("paddings that differ", |op, _| windows(op).is_some_and(|(.., padding)| padding != Padding::all(padding.top))),
    ("padding larger than the kernel", |op, _| windows(op).is_some_and(|(_, kernel, _, padding)| padding.left > kernel.s)),
    ("a pool that is padded", |op, _| windows(op).is_some_and(|(pool, .., padding)| pool && padding != Padding::default())),
    ("groups", |op, _| matches!(op, Op::Conv(conv) if conv.groups > 1)),
    ("a group for each channel", |op, input| matches!(op, Op::Conv(conv) if conv.groups > 2 && conv.groups == input.c)),
    ("channels around a multiple of 16", |op, input| windows(op).is_some() && [15, 17, 31, 33].contains(&input.c)),
    ("towers", |op, _| matches!(op, Op::Lrn(lrn) if lrn.towers > 1)),
    ("a linear layer on maps", |op, input| matches!(op, Op::Linear(_)) && input.plane() > 1),
    ("a linear layer on a vector", |op, input| matches!(op, Op::Linear(_)) && input.plane() == 1),
    ("a local layer", |op, _| matches!(op, Op::Local(_))),
    ("normalisation within a map", |op, _| matches!(op, Op::LrnWithin(_))),
    ("dropout", |op, _| matches!(op, Op::Dropout(_))),
    ("tanh", |op, _| *op == Op::Tanh),
    ("a rectifier", |op, _| *op == Op::Relu),
    ("an average pool", |op, _| matches!(op, Op::AvgPool(_))),
    ("a pool of more than 256 elements", |op, _| matches!(op, Op::MaxPool(pool) if pool.kernel.r * pool.kernel.s > 256)),
];

fn drawn(count: u32, cases: &impl Strategy<Value = Case>) -> Vec<Case> {
    let mut runner = runner(count);
    (0..count).map(|_| cases.new_tree(&mut runner).expect("nothing is filtered").current()).collect()
}

#[test]
fn what_is_drawn_is_odd() {
    let mixed = drawn(400, &mixed());
    for (name, is) in ODDITIES {
        let has = |net: &Net| net.layers().iter().enumerate().any(|(index, layer)| is(&layer.op, net.input_of(index)));
        let count = mixed.iter().filter(|case| has(&case.net)).count();
        assert!(count >= 8, "{count} of {} nets have {name}", mixed.len());
    }
    for images in [1, 2, 3, 8, 9, 127] {
        let count = mixed.iter().filter(|case| case.images == images && case.net.layers().len() > 2).count();
        assert!(count >= 8, "{count} of {} nets of several layers have {images} images", mixed.len());
    }
    let chains = drawn(100, &chains());
    let tiles = chains.iter().filter(|case| has_tiles(Isa::Portable, case) == Ok(true)).count();
    assert!(tiles >= 20, "{tiles} of {} chains have tiles", chains.len());
}

#[test]
fn kept_nets_compute_what_the_oracle_does() {
    let isas = isas();
    for case in kept() {
        holds(&isas, &case).unwrap_or_else(|reason| panic!("{reason}\n{case:?}"));
    }
}
