//! The built-in scenes need more than a linear map from pixels to classes: softmax regression, given every chance, stays
//! far below one half.

use data::{Source, scenes};

/// Side of the central crop that the regression sees, as the net does.
const CROP: usize = 48;
const VALUES: usize = CROP * CROP * 3;
const CLASSES: usize = 10;
const BATCH: usize = 50;

/// The central crops of images `0..count`, `[count, VALUES]`, and their labels.
fn crops(source: &dyn Source, count: usize) -> (Vec<f32>, Vec<usize>) {
    let from = (scenes::SIDE - CROP) / 2;
    let mut pixels = Vec::with_capacity(count * VALUES);
    for index in 0..count {
        let image = source.read(index).expect("rendering cannot fail");
        for row in image.rgb.chunks_exact(3 * image.width).skip(from).take(CROP) {
            pixels.extend(row[3 * from..3 * (from + CROP)].iter().map(|&v| f32::from(v)));
        }
    }
    (pixels, (0..count).map(|index| source.label(index) as usize).collect())
}

/// Each value's mean and the inverse of its standard deviation over the images.
fn statistics(pixels: &[f32]) -> Vec<[f32; 2]> {
    let count = (pixels.len() / VALUES) as f32;
    let mut sums = vec![[0.0f32; 2]; VALUES];
    for image in pixels.chunks_exact(VALUES) {
        for (sum, &v) in sums.iter_mut().zip(image) {
            // Moments about the middle of the range keep f32 exact enough.
            *sum = [sum[0] + (v - 128.0), sum[1] + (v - 128.0) * (v - 128.0)];
        }
    }
    sums.iter().map(|s| (s[0] / count, s[1] / count)).map(|(m, q)| [m + 128.0, 1.0 / (q - m * m).sqrt()]).collect()
}

fn standardise(pixels: &mut [f32], statistics: &[[f32; 2]]) {
    for image in pixels.chunks_exact_mut(VALUES) {
        for (v, [mean, inverse]) in image.iter_mut().zip(statistics) {
            *v = (*v - mean) * inverse;
        }
    }
}

/// Multinomial logistic regression.
struct Softmax {
    /// `[CLASSES, VALUES]`
    weights: Vec<f32>,
    biases: [f32; CLASSES],
}

impl Softmax {
    fn logits(&self, image: &[f32]) -> [f32; CLASSES] {
        let mut logits = self.biases;
        for (logit, row) in logits.iter_mut().zip(self.weights.chunks_exact(VALUES)) {
            // Sixteen partial sums, so that the compiler makes vector code of it.
            let mut sums = [0.0f32; 16];
            for (w, x) in row.chunks_exact(16).zip(image.chunks_exact(16)) {
                for lane in 0..16 {
                    sums[lane] += w[lane] * x[lane];
                }
            }
            *logit += sums.iter().sum::<f32>();
        }
        logits
    }

    /// One step of gradient descent on the mean cross-entropy of a mini-batch.
    fn step(&mut self, batch: &[(&[f32], usize)], rate: f32) {
        let errors: Vec<[f32; CLASSES]> = batch.iter().map(|&(image, label)| error(self.logits(image), label)).collect();
        let rate = rate / batch.len() as f32;
        for (&(image, _), error) in batch.iter().zip(&errors) {
            for (class, row) in self.weights.chunks_exact_mut(VALUES).enumerate() {
                self.biases[class] -= rate * error[class];
                for (w, x) in row.iter_mut().zip(image) {
                    *w -= rate * error[class] * x;
                }
            }
        }
    }

    /// The share of images whose largest logit is their label's.
    fn accuracy(&self, pixels: &[f32], labels: &[usize]) -> f64 {
        let right = pixels.chunks_exact(VALUES).zip(labels).filter(|&(image, &label)| {
            let logits = self.logits(image);
            (0..CLASSES).all(|other| other == label || logits[other] < logits[label])
        });
        right.count() as f64 / labels.len() as f64
    }
}

/// The gradient of the cross-entropy with respect to the logits: probabilities minus the target.
fn error(logits: [f32; CLASSES], label: usize) -> [f32; CLASSES] {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps = logits.map(|l| (l - top).exp());
    let sum: f32 = exps.iter().sum();
    std::array::from_fn(|class| exps[class] / sum - if class == label { 1.0 } else { 0.0 })
}

/// The best validation accuracy over all epochs, and the last training accuracy.
fn accuracies(train: &(Vec<f32>, Vec<usize>), val: &(Vec<f32>, Vec<usize>), rate: f32, epochs: u32) -> (f64, f64) {
    let images: Vec<(&[f32], usize)> = train.0.chunks_exact(VALUES).zip(train.1.iter().copied()).collect();
    let mut model = Softmax { weights: vec![0.0; CLASSES * VALUES], biases: [0.0; CLASSES] };
    let mut best = 0.0f64;
    for _ in 0..epochs {
        images.chunks(BATCH).for_each(|batch| model.step(batch, rate));
        best = best.max(model.accuracy(&val.0, &val.1));
    }
    (best, model.accuracy(&train.0, &train.1))
}

#[test]
fn a_linear_softmax_classifier_stays_below_one_half() {
    let dataset = scenes::dataset(1);
    let (mut train, mut val) = (crops(&*dataset.train, 4000), crops(&*dataset.val, 1000));
    let statistics = statistics(&train.0);
    standardise(&mut train.0, &statistics);
    standardise(&mut val.0, &statistics);
    let results: Vec<(f64, f64)> = std::thread::scope(|scope| {
        let (train, val) = (&train, &val);
        let runs = [2e-4, 1e-3, 4e-3].map(|rate| scope.spawn(move || accuracies(train, val, rate, 8)));
        runs.into_iter().map(|run| run.join().expect("no run panics")).collect()
    });
    let best = results.iter().map(|r| r.0).fold(0.0, f64::max);
    let fitted = results.iter().map(|r| r.1).fold(0.0, f64::max);
    assert!(best < 0.5, "a linear classifier reaches {best} on images it has not seen");
    // The bound would say nothing of a classifier that cannot learn: this one learns its own images ...
    assert!(fitted > 0.3, "the classifier fits only {fitted} of its training images: {results:?}");
    // ... and beats chance on others by more than two standard deviations √(0.1 · 0.9 / 1000).
    assert!(best > 0.12, "the classifier is at chance: {results:?}");
    println!("{results:?}");
}
