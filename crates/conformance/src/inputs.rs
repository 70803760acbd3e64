//! Values to test with, each a pure function of its address.

use net::random::{Purpose, Stream};
use net::{Batch, Net, ParamSet};

/// Kinds of values, several of them chosen to hurt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Values {
    /// Standard normal.
    Normal,
    /// 100 ± 1: sums with a large mean lose digits.
    Offset,
    /// About 10⁻⁶.
    Tiny,
    /// All 0.
    Zeros,
    /// −2 to 2: ties everywhere, and sums that are exact in any order.
    Integers,
    /// Below 0.
    Negative,
    /// Normal times 60, as pixels less their mean.
    Pixels,
    /// ±150 at random: what overflows a careless exponential.
    Extreme,
}

impl Values {
    /// Fills `out` with the values at address `(seed, item)`.
    pub fn fill(self, seed: u64, item: u32, out: &mut [f32]) {
        let stream = Stream::new(seed, Purpose::Test, 0, self as u32, item);
        for (e, out) in out.iter_mut().enumerate() {
            let e = e as u32;
            *out = match self {
                Values::Normal => stream.normal(e),
                Values::Offset => 100.0 + stream.normal(e),
                Values::Tiny => 1e-6 * stream.normal(e),
                Values::Zeros => 0.0,
                Values::Integers => f64::from(stream.below(e, 5)) - 2.0,
                Values::Negative => -stream.normal(e).abs(),
                Values::Pixels => 60.0 * stream.normal(e),
                Values::Extreme => 300.0 * f64::from(stream.below(e, 2)) - 150.0,
            } as f32;
        }
    }
}

/// A batch of `n` images in `slots` slots. What lies behind the `n` images is not a number, so that using it shows.
pub fn batch(net: &Net, values: Values, seed: u64, n: usize, slots: usize) -> Batch {
    let size = net.input().len();
    let mut batch = Batch::with_capacity(slots, size);
    batch.f32_mut().fill(f32::NAN);
    batch.labels.fill(u32::MAX);
    let labels = Stream::new(seed, Purpose::Test, 1, 0, 0);
    for image in 0..n {
        values.fill(seed, image as u32, &mut batch.f32_mut()[image * size..(image + 1) * size]);
        batch.labels[image] = labels.below(image as u32, net.classes() as u32);
    }
    batch.n = n;
    batch
}

/// Parameters that leave no part of a net idle: weights of mean 0 and variance 2 / fan-in, biases of variance 0.3². The
/// last weights are `last` times that, which keeps the softmax from saturating. Uniform, which is quickly drawn.
pub fn lively_params(net: &Net, seed: u64, last: f64) -> ParamSet {
    let mut set = ParamSet::zeros(net);
    let weights = net.params().len().saturating_sub(2);
    for (index, (info, (_, tensor))) in net.params().iter().zip(set.iter_mut()).enumerate() {
        let mut std = if index % 2 == 1 { 0.3 } else { (2.0 / info.fan_in as f64).sqrt() };
        if index == weights {
            std *= last;
        }
        let width = 12.0_f64.sqrt() * std;
        let stream = Stream::new(seed, Purpose::Test, 2, 0, index as u32);
        for (block, four) in tensor.data.chunks_mut(4).enumerate() {
            let uniform = stream.block(block as u32).map(|bits| f64::from(bits) / 4_294_967_296.0 - 0.5);
            four.iter_mut().zip(uniform).for_each(|(w, x)| *w = (width * x) as f32);
        }
    }
    set
}
