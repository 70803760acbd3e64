//! Ops and input shapes to test them on: the presets' geometries scaled down, corner cases, and random ones.

use net::random::{Purpose, Stream};
use net::{
    AvgPool, Conv, Dropout, DropoutScaling, Init, Learn, Linear, Local, LrnAcross, LrnWithin, MaxPool, Op, Padding, Pair,
    Rounding, Shape, Ties,
};

/// An op, the shape of its input, and a name for both.
pub(crate) struct Geometry {
    pub(crate) name: String,
    pub(crate) input: Shape,
    pub(crate) op: Op,
}

/// Initialisation, rate and decay that these tests do not look at.
pub(crate) const LEARN: Learn = Learn { init: Init::Constant(0.0), rate: 1.0, decay: 1.0 };

/// The windows that convolutions and pools share.
#[derive(Clone, Copy)]
struct Windows {
    kernel: Pair,
    stride: Pair,
    padding: Padding,
    rounding: Rounding,
}

fn shape(c: usize, h: usize, w: usize) -> Shape {
    Shape { c, h, w }
}

fn square(kernel: usize, stride: usize, padding: usize) -> Windows {
    let (kernel, stride) = (Pair::square(kernel), Pair::square(stride));
    Windows { kernel, stride, padding: Padding::all(padding), rounding: Rounding::Floor }
}

impl Windows {
    fn ceil(self) -> Windows {
        Windows { rounding: Rounding::Ceil, ..self }
    }

    fn padded(self, top: usize, left: usize, bottom: usize, right: usize) -> Windows {
        Windows { padding: Padding { top, left, bottom, right }, ..self }
    }

    fn conv(self, k: usize, groups: usize) -> Op {
        let Windows { kernel, stride, padding, rounding } = self;
        Op::Conv(Conv { k, kernel, stride, padding, rounding, groups, weight: LEARN, bias: LEARN })
    }

    fn local(self, k: usize) -> Op {
        let Windows { kernel, stride, padding, .. } = self;
        Op::Local(Local { k, kernel, stride, padding, weight: LEARN, bias: LEARN })
    }

    fn max_pool(self, ties: Ties) -> Op {
        let Windows { kernel, stride, padding, rounding } = self;
        Op::MaxPool(MaxPool { kernel, stride, padding, rounding, ties })
    }

    fn avg_pool(self) -> Op {
        let Windows { kernel, stride, padding, rounding } = self;
        Op::AvgPool(AvgPool { kernel, stride, padding, rounding })
    }

    fn name(self) -> String {
        let Windows { kernel, stride, padding: p, rounding } = self;
        let overhang = if rounding == Rounding::Ceil { " ceil" } else { "" };
        let (Pair { r, s }, Pair { r: down, s: right }) = (kernel, stride);
        format!("{r}x{s} stride {down},{right} pad {},{},{},{}{overhang}", p.top, p.left, p.bottom, p.right)
    }
}

fn geometry(input: Shape, detail: &str, op: Op) -> Geometry {
    Geometry { name: format!("{}/{input} {detail}", op.kind()), input, op }
}

fn conv(input: Shape, windows: Windows, k: usize, groups: usize) -> Geometry {
    geometry(input, &format!("to {k} in {groups} groups, {}", windows.name()), windows.conv(k, groups))
}

/// Every op of the suite.
pub(crate) fn all() -> Vec<Geometry> {
    let mut all = convolutions();
    all.extend(locals());
    all.extend(pools());
    all.extend(normalisations());
    all.extend(elementwise());
    all.extend(linears());
    all
}

fn convolutions() -> Vec<Geometry> {
    let odd = Windows { kernel: Pair { r: 3, s: 2 }, stride: Pair { r: 2, s: 1 }, ..square(1, 1, 0) };
    let mut all = vec![
        // The presets', scaled down.
        conv(shape(3, 23, 23), square(11, 4, 0).padded(0, 0, 3, 3), 8, 1),
        conv(shape(3, 23, 23), square(11, 4, 0), 5, 1),
        conv(shape(3, 20, 21), square(11, 4, 2), 9, 1),
        conv(shape(1, 22, 22), square(11, 4, 1), 3, 1),
        conv(shape(8, 9, 9), square(5, 1, 2), 16, 2),
        conv(shape(3, 12, 12), square(5, 1, 2), 32, 1),
        conv(shape(20, 13, 13), square(3, 1, 1), 33, 1),
        conv(shape(24, 13, 13), square(3, 1, 1), 20, 2),
        // Long sums, more maps than any blocking.
        conv(shape(130, 5, 6), square(3, 1, 1), 70, 1),
        conv(shape(70, 4, 4), square(1, 1, 0), 130, 1),
        // Corners.
        conv(shape(1, 1, 1), square(1, 1, 0), 1, 1),
        conv(shape(2, 6, 5), Windows { kernel: Pair { r: 6, s: 5 }, ..square(1, 1, 0) }, 4, 1),
        conv(shape(6, 5, 5), square(1, 2, 0), 6, 6),
        conv(shape(2, 9, 7), square(2, 3, 0), 3, 1),
        conv(shape(2, 9, 7), square(2, 3, 0).ceil(), 3, 1),
        conv(shape(4, 3, 3), square(2, 1, 3), 4, 2),
        conv(shape(4, 7, 10), odd.padded(0, 2, 1, 0).ceil(), 6, 2),
        conv(shape(3, 1, 17), Windows { kernel: Pair { r: 1, s: 5 }, ..square(1, 1, 0) }.padded(0, 4, 0, 1), 5, 1),
        conv(shape(3, 17, 1), Windows { kernel: Pair { r: 5, s: 1 }, ..square(1, 2, 0) }.padded(1, 0, 3, 0), 5, 1),
        conv(shape(2, 33, 40), square(3, 1, 1), 7, 1),
    ];
    all.extend(random(60, 1, |dice| {
        let groups = 1 + dice.below(3);
        let (maps, outs) = (groups * (1 + dice.below(5)), groups * (1 + dice.below(9)));
        let input = shape(maps, 1 + dice.below(13), 1 + dice.below(13));
        conv(input, dice.windows(3), outs, groups)
    }));
    all
}

fn locals() -> Vec<Geometry> {
    let local = |input, windows: Windows, k| geometry(input, &format!("to {k}, {}", windows.name()), windows.local(k));
    let mut all = vec![
        local(shape(8, 6, 6), square(3, 1, 1), 9),
        local(shape(40, 4, 4), square(3, 1, 1), 16),
        local(shape(1, 1, 1), square(1, 1, 0), 1),
        local(shape(3, 5, 4), square(3, 1, 0), 1),
        local(shape(5, 7, 6), square(2, 2, 0).padded(1, 0, 0, 1), 4),
    ];
    all.extend(random(25, 2, |dice| {
        let input = shape(1 + dice.below(6), 1 + dice.below(9), 1 + dice.below(9));
        let windows = Windows { rounding: Rounding::Floor, ..dice.windows(2) };
        local(input, windows, 1 + dice.below(9))
    }));
    all
}

fn pools() -> Vec<Geometry> {
    let each = |input, windows: Windows| {
        let max = |ties| geometry(input, &format!("{} ties {ties:?}", windows.name()), windows.max_pool(ties));
        [max(Ties::First), max(Ties::All), geometry(input, &windows.name(), windows.avg_pool())]
    };
    let mut all = Vec::new();
    for (input, windows) in [
        (shape(5, 13, 13), square(3, 2, 0)),
        (shape(5, 12, 12), square(3, 2, 0).ceil()),
        (shape(5, 12, 12), square(3, 2, 0).padded(0, 0, 1, 1)),
        (shape(3, 8, 8), square(2, 2, 0)),
        (shape(3, 7, 9), square(3, 1, 1)),
        (shape(1, 1, 1), square(1, 1, 0)),
        (shape(2, 5, 5), square(5, 1, 0)),
        (shape(2, 9, 9), square(2, 4, 0).ceil()),
        (shape(2, 6, 37), square(3, 2, 0).ceil()),
    ] {
        all.extend(each(input, windows));
    }
    for i in 0..30 {
        all.extend(random(1, 100 + i, |dice| {
            let input = shape(1 + dice.below(5), 1 + dice.below(12), 1 + dice.below(12));
            let kind = dice.below(3);
            let [first, ties, average] = each(input, dice.windows(3));
            [first, ties, average].into_iter().nth(kind).expect("three kinds")
        }));
    }
    all
}

fn normalisations() -> Vec<Geometry> {
    let across = |input, n, k, alpha, beta, alpha_over_n, towers| {
        let detail = format!("n {n} k {k} alpha {alpha} beta {beta} over n {alpha_over_n} in {towers} towers");
        geometry(input, &detail, Op::Lrn(LrnAcross { n, k, alpha, beta, alpha_over_n, towers }))
    };
    let within = |input, n, k, alpha, beta, alpha_over_n| {
        let detail = format!("n {n} k {k} alpha {alpha} beta {beta} over n {alpha_over_n}");
        geometry(input, &detail, Op::LrnWithin(LrnWithin { n, k, alpha, beta, alpha_over_n }))
    };
    vec![
        across(shape(16, 7, 9), 5, 2.0, 1e-4, 0.75, false, 1),
        across(shape(16, 7, 9), 5, 1.0, 1e-4, 0.75, true, 1),
        across(shape(16, 7, 9), 5, 2.0, 1e-4, 0.75, true, 2),
        across(shape(16, 7, 9), 5, 2.0, 0.5, 0.75, false, 2),
        across(shape(20, 3, 3), 9, 1.0, 1e-3, 0.75, true, 1),
        across(shape(96, 2, 2), 5, 2.0, 0.3, 0.75, true, 1),
        across(shape(8, 4, 5), 3, 1.5, 0.3, 0.5, false, 4),
        across(shape(3, 2, 2), 9, 1.0, 0.7, 1.0, false, 1),
        across(shape(4, 3, 3), 1, 1.0, 0.7, 0.6, false, 4),
        across(shape(1, 1, 1), 5, 0.1, 2.0, 0.75, true, 1),
        across(shape(6, 5, 37), 5, 1.0, 0.0, 0.75, true, 1),
        within(shape(4, 9, 7), 5, 1.0, 1e-3, 0.75, true),
        within(shape(4, 9, 7), 3, 1.0, 5e-5, 0.75, true),
        within(shape(2, 6, 6), 3, 1.0, 0.5, 0.6, false),
        within(shape(3, 2, 3), 7, 2.0, 0.9, 0.75, true),
        within(shape(2, 4, 4), 1, 1.0, 0.9, 1.0, false),
        within(shape(1, 1, 1), 3, 0.5, 0.9, 0.75, false),
        within(shape(2, 3, 37), 5, 1.0, 0.2, 0.75, true),
    ]
}

fn elementwise() -> Vec<Geometry> {
    let mut all = Vec::new();
    for input in [shape(1, 1, 1), shape(3, 5, 7), shape(16, 4, 4), shape(1001, 1, 1)] {
        all.push(geometry(input, "values", Op::Relu));
        all.push(geometry(input, "values", Op::Tanh));
        for scaling in [DropoutScaling::Train, DropoutScaling::Test] {
            for rate in [0.0, 0.1, 0.5, 0.9] {
                all.push(geometry(input, &format!("rate {rate} scaled in {scaling:?}"), Op::Dropout(Dropout { rate, scaling })));
            }
        }
    }
    all
}

fn linears() -> Vec<Geometry> {
    let sizes = [(shape(1, 1, 1), 1), (shape(5, 1, 1), 7), (shape(4, 3, 5), 9), (shape(301, 1, 1), 1), (shape(1, 1, 1), 300)];
    let more = [(shape(1030, 1, 1), 65), (shape(64, 6, 6), 130), (shape(17, 1, 1), 17)];
    let linear = |(input, k)| geometry(input, &format!("to {k}"), Op::Linear(Linear { k, weight: LEARN, bias: LEARN }));
    sizes.into_iter().chain(more).map(linear).collect()
}

/// Random numbers in the order of their use.
pub(crate) struct Dice {
    stream: Stream,
    next: u32,
}

impl Dice {
    pub(crate) fn below(&mut self, n: u32) -> usize {
        self.next += 1;
        self.stream.below(self.next, n) as usize
    }

    fn windows(&mut self, most_padding: u32) -> Windows {
        let mut pad = || self.below(most_padding + 1);
        let padding = Padding { top: pad(), left: pad(), bottom: pad(), right: pad() };
        let kernel = Pair { r: 1 + self.below(5), s: 1 + self.below(5) };
        let stride = Pair { r: 1 + self.below(4), s: 1 + self.below(4) };
        Windows { kernel, stride, padding, rounding: [Rounding::Floor, Rounding::Ceil][self.below(2)] }
    }
}

/// The first `count` random geometries that make a net.
fn random(count: usize, family: u32, make: impl Fn(&mut Dice) -> Geometry) -> Vec<Geometry> {
    let attempts = (0..).map(|attempt| {
        let stream = Stream::new(2012, Purpose::Test, family, 0, attempt);
        make(&mut Dice { stream, next: 0 })
    });
    attempts.filter(|geometry| super::ops::one_op(geometry).is_ok()).take(count).collect()
}
