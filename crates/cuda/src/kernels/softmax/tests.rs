use conformance::bound::{self, Bounded, U, UNDERFLOW, Weights};
use conformance::inputs::Values;
use net::random::{Purpose, Stream};
use net::{Batch, Mixed, Net, Shape};
use reference::Pass as Of;

use super::*;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, Turn, close, first, numbers, rounded, to_f64};

fn vector(classes: usize) -> Shape {
    Shape { c: classes, h: 1, w: 1 }
}

fn net_of(classes: usize) -> Net {
    let layers = vec![net::Layer { name: "prob".into(), op: net::Op::Softmax }];
    Net::new("softmax", Shape { c: classes, h: 1, w: 1 }, layers).expect("a net")
}

/// What a pass left.
struct Left {
    probabilities: Vec<f32>,
    dz: Vec<f32>,
    nll: Vec<f64>,
    hits: Vec<u32>,
    result: PassResult,
}

fn run(bench: &mut Bench, shape: Shape, values: &[f32], batch: &Batch) -> Left {
    let (n, classes) = (bench.images, shape.len());
    let pass = bench.pass;
    let room = pass.capacity * classes;
    let z = bench.floats(values);
    let p: Floats = bench.room_for(room);
    let labels = bench.values(&batch.labels[..n]);
    let mixed = batch.mixed.as_ref().map(|mixed| (bench.values(&mixed.labels[..n]), bench.values(&mixed.shares[..n])));
    let dz = bench.room(shape);
    let nll = Doubles::at(bench.device.room::<u64>(pass.capacity));
    let hits: Uints = bench.room_for(pass.capacity);
    let result = Ptr::at(bench.device.room::<u64>(PassResult::LEN / 8));
    let outputs = Loss { dz, nll, hits };
    let labels = Labels { labels, mixed };
    bench.run([loss(&pass, shape, z, p, labels, outputs), sum_losses(&pass, nll, hits, result)]);
    let tested: Floats = bench.room_for(room);
    bench.run([forward(&pass, classes, z, tested), forward(&pass, classes, z, z)]);
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let probabilities = bench.read_values(p, room);
    for (what, at) in [("testing", tested), ("testing in place", z)] {
        let other = bench.read_values(at, n * classes);
        assert_eq!(bits(&probabilities[..n * classes]), bits(&other), "{what} is as training");
    }
    assert!(probabilities[n * classes..].iter().all(|p| p.is_nan()), "the image behind the last was written");
    let bytes = bench.read_values::<u8>(Ptr::at(result.address), PassResult::LEN);
    Left {
        probabilities: probabilities[..n * classes].to_vec(),
        dz: bench.read(shape, dz),
        nll: bench.read_values::<u64>(Ptr::at(nll.address), n).into_iter().map(f64::from_bits).collect(),
        hits: bench.read_values(hits, n),
        result: PassResult::from_bytes(bytes.try_into().expect("as many")),
    }
}

/// Random labels, of mixtures where `mixed`.
fn labelled(classes: usize, n: usize, mixed: bool) -> Batch {
    let stream = Stream::new(9, Purpose::Test, 1, 0, classes as u32);
    let mut batch = Batch::with_capacity(n, classes);
    batch.n = n;
    (0..n).for_each(|i| batch.labels[i] = stream.below(i as u32, classes as u32));
    let mut more = Mixed::with_capacity(n);
    for i in 0..n {
        more.labels[i] = stream.below(100 + i as u32, classes as u32);
        more.shares[i] = [0.7, 0.1234567, 1e-9, 0.0, 1.0, 0.5][i % 6];
    }
    batch.mixed = mixed.then_some(more);
    batch
}

fn one(element: Element, shape: Shape, n: usize, kind: Values, mixed: bool, loss_scale: f32) -> Option<()> {
    let (turn, classes) = (Turn { loss_scale, ..first(n) }, shape.len());
    let mut bench = Bench::new("softmax.cu", element, classes as u64, n, turn)?;
    let logits = numbers(Element::F32, kind, classes as u64, n, classes);
    let (net, batch) = (net_of(classes), labelled(classes, n, mixed));
    let left = run(&mut bench, shape, &logits, &batch);
    let (z, targets) = (to_f64(&logits), batch.targets());
    let what = format!("{shape} classes, {kind:?}, mixed {mixed}");

    let p = bound::forward(&net, 0, Weights::default(), None, Of::Test, &z);
    close(&format!("softmax, {what}"), Element::F32, shape, &left.probabilities, &p);

    // The scale is a power of two.
    let Bounded { mut value, mut bound } = bound::backward_loss(&net, &z, targets, turn.step_images);
    value.iter_mut().chain(&mut bound).for_each(|x| *x *= f64::from(loss_scale));
    close(&format!("gradient of softmax, {what}"), element, shape, &left.dz, &Bounded { value, bound });

    let mut right = 0;
    for (i, target) in targets.iter().enumerate() {
        let single = [target.label];
        let image = Batch { labels: single.to_vec(), mixed: None, n: 1, ..batch.clone() };
        let image = match target.second == target.label && target.share == 1.0 {
            true => image,
            false => Batch { mixed: Some(Mixed { labels: vec![target.second], shares: vec![target.share] }), ..image },
        };
        let (nll, bound) = bound::nll_sum(&z[i * classes..][..classes], image.targets());
        let error = (left.nll[i] - nll).abs();
        assert!(
            error <= bound + UNDERFLOW,
            "{what}: nll of image {i} is {}, not {nll}: error {error:e}, bound {bound:e}",
            left.nll[i]
        );
        let hit = reference::softmax::top1(&z[i * classes..][..classes]) == target.main();
        assert_eq!(left.hits[i], u32::from(hit), "{what}: image {i}");
        right += u32::from(hit);
    }
    let sum: f64 = left.nll.iter().sum();
    let result = left.result;
    assert!((result.nll_sum - sum).abs() <= n as f64 * f64::EPSILON * sum, "{} is not {sum}", result.nll_sum);
    assert_eq!((result.top1, result.images, result.step, result.finite), (right, n as u32, 7, 1), "{what}");
    Some(())
}

#[test]
fn probabilities_losses_and_gradients() {
    let kinds =
        [Values::Normal, Values::Offset, Values::Zeros, Values::Integers, Values::Negative, Values::Pixels, Values::Extreme];
    for (turn, element) in ELEMENTS.into_iter().enumerate() {
        let maps = Shape { c: 5, h: 3, w: 2 };
        let shapes = [1, 2, 3, 10, 128, 1000, 1001].map(vector);
        for (i, shape) in shapes.into_iter().chain([maps]).enumerate() {
            for (j, kind) in kinds.into_iter().enumerate() {
                let loss_scale = if element == Element::F16 { 1024.0 } else { 1.0 };
                let (n, mixed) = ([7, 1, 3][(turn + i) % 3], (i + j) % 2 == 0);
                if one(element, shape, n, kind, mixed, loss_scale).is_none() {
                    return;
                }
            }
        }
    }
}

#[test]
fn values_become_logits() {
    for element in ELEMENTS {
        for shape in [vector(1), vector(1001), Shape { c: 5, h: 3, w: 2 }, Shape { c: 16, h: 2, w: 2 }] {
            let Some(mut bench) = Bench::new("softmax.cu", element, 2, 3, first(3)) else { return };
            let values = numbers(element, Values::Normal, 1, 3, shape.len());
            let (x, z) = (bench.maps(shape, &values), bench.room_for(4 * shape.len()));
            let pass = bench.pass;
            bench.run([logits(&pass, shape, x, z)]);
            let got: Vec<f32> = bench.read_values(z, 4 * shape.len());
            assert_eq!(got[..values.len()], values);
            assert!(got[values.len()..].iter().all(|z| z.is_nan()), "the image behind the last was written");
        }
    }
}

/// Sums of more images than the last kernel has threads have one order: any batch that is the same gives the same bits.
#[test]
fn many_images() {
    for seed in 0..2 {
        let Some(mut bench) = Bench::new("softmax.cu", Element::F32, seed, 700, first(700)) else { return };
        let logits = numbers(Element::F32, Values::Normal, 4, 700, 3);
        let left = run(&mut bench, vector(3), &logits, &labelled(3, 700, false));
        let mut lanes = vec![0.0; 256];
        left.nll.iter().enumerate().for_each(|(i, nll)| lanes[i % 256] += nll);
        while lanes.len() > 1 {
            let half = lanes.len() / 2;
            lanes = (0..half).map(|i| lanes[i] + lanes[i + half]).collect();
        }
        assert_eq!(left.result.nll_sum.to_bits(), lanes[0].to_bits());
        assert_eq!(left.result.top1, left.hits.iter().sum::<u32>());
    }
}

/// Whole images said to be mixtures, of themselves or of no share of another, give the bits of those that are not.
#[test]
fn mixtures_with_nothing() {
    let Some(mut bench) = Bench::new("softmax.cu", Element::F32, 1, 6, first(6)) else { return };
    let logits = numbers(Element::F32, Values::Normal, 4, 6, 10);
    let plain = labelled(10, 6, false);
    let other: Vec<u32> = plain.labels.iter().map(|label| (label + 1) % 10).collect();
    let mut all = Vec::new();
    for labels in [None, Some(plain.labels.clone()), Some(other)] {
        let mixed = labels.map(|labels| Mixed { labels, shares: vec![1.0; 6] });
        let left = run(&mut bench, vector(10), &logits, &Batch { mixed, ..plain.clone() });
        let bits: Vec<u32> = left.dz.iter().map(|x| x.to_bits()).collect();
        all.push((left.result.nll_sum.to_bits(), left.hits, bits));
    }
    assert!(all.iter().all(|other| *other == all[0]));
}

/// Of a share that f32 cannot tell from nothing beside 1, the gradient still is what is left.
#[test]
fn little_is_left_of_a_difference() {
    for element in ELEMENTS {
        let Some(mut bench) = Bench::new("softmax.cu", element, 1, 1, first(1)) else { return };
        let mut batch = labelled(2, 1, true);
        let share = 1e-6_f32 / 128.0;
        batch.labels[0] = 0;
        batch.mixed = Some(Mixed { labels: vec![1], shares: vec![share] });
        let left = run(&mut bench, vector(2), &[-200.0, 0.0], &batch);
        // Of two images in the step.
        let expected = rounded(element, share / 2.0);
        assert_eq!(left.dz, [-expected, expected]);
    }
}

#[test]
fn what_is_not_finite_shows() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    // Logits, label, whether the label is on top.
    let images: [([f32; 3], u32, u32); 7] = [
        ([0.0, nan, 1.0], 2, 0),
        ([nan, nan, nan], 0, 0),
        ([inf, 0.0, 0.0], 0, 1),
        ([inf, 0.0, 0.0], 1, 0),
        ([-inf, -inf, -inf], 0, 1),
        ([-inf, 0.0, 1.0], 0, 0),
        ([-inf, 0.0, 1.0], 2, 1),
    ];
    for element in ELEMENTS {
        let Some(mut bench) = Bench::new("softmax.cu", element, 1, images.len(), first(images.len())) else { return };
        let logits: Vec<f32> = images.iter().flat_map(|(z, _, _)| *z).collect();
        let mut batch = labelled(3, images.len(), false);
        batch.labels = images.iter().map(|&(_, label, _)| label).collect();
        let left = run(&mut bench, vector(3), &logits, &batch);
        assert_eq!(left.hits, images.map(|(_, _, hit)| hit));
        for (i, nll) in left.nll.iter().enumerate() {
            let p = &left.probabilities[i * 3..][..3];
            if i < 5 {
                assert!(!nll.is_finite() && p.iter().all(|p| p.is_nan()), "image {i}: {nll}, {p:?}");
                assert!(left.dz[i * 3..][..3].iter().all(|dz| dz.is_nan()));
            } else {
                assert!(p.iter().all(|p| p.is_finite()) && p[0] == 0.0, "image {i}: {p:?}");
            }
        }
        // A probability of 0 is a loss without end; the others' is as ever.
        assert_eq!(left.nll[5], f64::INFINITY);
        let expected = (1.0 + (-1.0_f64).exp()).ln();
        assert!((left.nll[6] - expected).abs() < 8.0 * U);
        assert!(!left.result.nll_sum.is_finite() && left.result.finite == 0 && left.result.top1 == 3);
    }
}
