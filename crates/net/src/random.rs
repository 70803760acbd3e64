//! Random numbers that are addressed, not drawn.
//!
//! Every random value of the project is a pure function of `(seed, purpose, layer, time, item, element)`, so worker
//! count, thread count and the order of work cannot change it, and a resumed run needs no generator state. The function
//! is Philox 4x32 with ten rounds (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011),
//! chosen because a GPU computes it as cheaply as a CPU.

/// What a random number is for. The values are part of the checkpoint format's promise: never renumber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// Initial values of parameters; item = parameter index.
    Initialise = 1,
    /// Dropout masks; layer = layer index, time = step, item = position of the image in the step's mini-batch.
    Dropout = 2,
    /// Sample order; time = epoch.
    Shuffle = 3,
    /// Random crops and reflections; time = epoch, item = image.
    Crop = 4,
    /// Colour noise; time = epoch, item = image.
    Colour = 5,
    /// The built-in data set; time = split, item = image.
    Scenes = 6,
    /// Splitting one folder into training and validation.
    Split = 7,
    /// What else training does to an image; layer = what, time = epoch, item = image.
    Augment = 8,
    /// Mixing a batch's images with each other; layer = what, time = epoch, item = batch.
    Mix = 9,
    /// Tests and goldens.
    Test = 255,
}

/// A stream of random numbers at one address; `element` selects within it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    high: [u32; 3],
}

impl Stream {
    /// The stream at `(seed, purpose, layer, time, item)`. `layer` keeps its low 24 bits.
    pub fn new(seed: u64, purpose: Purpose, layer: u32, time: u32, item: u32) -> Stream {
        let tag = (purpose as u32) << 24 | (layer & 0x00ff_ffff);
        Stream { key: [seed as u32, (seed >> 32) as u32], high: [time, item, tag] }
    }

    /// Four independent 32-bit numbers: elements `4 · block` to `4 · block + 3`.
    #[inline]
    pub fn block(&self, block: u32) -> [u32; 4] {
        philox([block, self.high[0], self.high[1], self.high[2]], self.key)
    }

    /// The 32-bit number at `element`.
    #[inline]
    pub fn u32(&self, element: u32) -> u32 {
        self.block(element / 4)[(element % 4) as usize]
    }

    /// Uniform in `[0, 1)`, 32 bits fine.
    #[inline]
    pub fn uniform(&self, element: u32) -> f64 {
        unit(self.u32(element))
    }

    /// Uniform among `0..n` for `n ≥ 1`, by multiplication; the bias is below `n / 2³²`.
    #[inline]
    pub fn below(&self, element: u32, n: u32) -> u32 {
        ((u64::from(self.u32(element)) * u64::from(n)) >> 32) as u32
    }

    /// Standard normal, by Box and Muller's transform. Element `e` uses 32-bit numbers `2(e/2)` and `2(e/2) + 1`.
    #[inline]
    pub fn normal(&self, element: u32) -> f64 {
        let block = self.block(element / 4);
        let pair = (element % 4 / 2 * 2) as usize;
        normals(block[pair], block[pair + 1])[(element % 2) as usize]
    }

    /// The four standard normals of elements `4 · block` to `4 · block + 3`; equal to four calls of [`Stream::normal`].
    #[inline]
    pub fn normal_block(&self, block: u32) -> [f64; 4] {
        let b = self.block(block);
        let ([x0, x1], [x2, x3]) = (normals(b[0], b[1]), normals(b[2], b[3]));
        [x0, x1, x2, x3]
    }
}

/// A 32-bit number as a fraction of 2³².
#[inline]
fn unit(x: u32) -> f64 {
    f64::from(x) * (1.0 / 4_294_967_296.0)
}

/// Two standard normals from two uniforms. `libm` rather than the system's functions, so every platform gets the same bits.
#[inline]
fn normals(a: u32, b: u32) -> [f64; 2] {
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(a)));
    let (sin, cos) = libm::sincos(2.0 * std::f64::consts::PI * unit(b));
    [radius * cos, radius * sin]
}

/// Philox 4x32-10.
#[inline]
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let left = u64::from(counter[0]) * 0xD251_1F53;
        let right = u64::from(counter[2]) * 0xCD9E_8D57;
        counter =
            [(right >> 32) as u32 ^ counter[1] ^ key[0], right as u32, (left >> 32) as u32 ^ counter[3] ^ key[1], left as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

/// The random numbers of a dropout mask: element `e` of the flattened `(c, h, w)` values of the image at position `image`
/// in the mini-batch of training step `step`, in the dropout layer at position `layer` of [`crate::Net::layers`].
#[inline]
pub fn dropout_stream(seed: u64, layer: usize, step: u32, image: u32) -> Stream {
    Stream::new(seed, Purpose::Dropout, layer as u32, step, image)
}

/// The number of 32-bit values that zero: `rate · 2³²`, rounded, for a `rate` in `[0, 1)`.
#[inline]
pub fn dropout_threshold(rate: f64) -> u32 {
    // A cast from a float saturates.
    (rate * 4_294_967_296.0).round() as u32
}

/// Whether dropout keeps the value whose number in [`dropout_stream`] is `bits`; every engine draws this same mask.
#[inline]
pub fn dropout_keeps(bits: u32, threshold: u32) -> bool {
    bits >= threshold
}

/// A permutation of `0..n`, by Fisher and Yates, a pure function of the stream.
pub fn permutation(stream: Stream, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    for i in (1..n).rev() {
        order.swap(i, stream.below(i as u32, i as u32 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the Random123 distribution.
    #[test]
    fn philox_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream::new(7, Purpose::Test, 0, 0, 0);
        let n = 200_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for e in 0..n {
            let x = stream.normal(e);
            assert_eq!(x, stream.normal_block(e / 4)[(e % 4) as usize]);
            sum += x;
            squares += x * x;
        }
        // Five standard errors: 1/√n for the mean, √(2/n) for the variance.
        assert!((sum / f64::from(n)).abs() < 5.0 / f64::from(n).sqrt());
        assert!((squares / f64::from(n) - 1.0).abs() < 5.0 * (2.0 / f64::from(n)).sqrt());
    }

    #[test]
    fn dropout_zeroes_the_share_that_its_rate_says() {
        assert_eq!(dropout_threshold(0.0), 0);
        assert_eq!(dropout_threshold(0.5), 1 << 31);
        assert_eq!(dropout_threshold(1.0 - f64::EPSILON), u32::MAX);
        let n = 100_000;
        for rate in [0.0, 0.1, 0.5, 0.9] {
            let (stream, threshold) = (dropout_stream(3, 17, 2, 5), dropout_threshold(rate));
            let zeroed = (0..n).filter(|&e| !dropout_keeps(stream.u32(e), threshold)).count();
            // Five standard errors of a binomial share.
            let error = 5.0 * (rate * (1.0 - rate) / f64::from(n)).sqrt();
            assert!((zeroed as f64 / f64::from(n) - rate).abs() <= error, "{zeroed} of {n} at rate {rate}");
        }
    }

    #[test]
    fn a_permutation_holds_every_index_once_and_depends_on_its_address() {
        let p = permutation(Stream::new(1, Purpose::Shuffle, 0, 3, 0), 1000);
        let mut sorted = p.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1000).collect::<Vec<u32>>());
        assert_ne!(p, permutation(Stream::new(1, Purpose::Shuffle, 0, 4, 0), 1000));
        assert_ne!(p, permutation(Stream::new(2, Purpose::Shuffle, 0, 3, 0), 1000));
    }
}
