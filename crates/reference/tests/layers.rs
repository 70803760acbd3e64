//! Layers against values worked out by hand.

use net::{AvgPool, Batch, Dropout, DropoutScaling, Executor, Form, Hyper, Kind, LrnAcross, MaxPool, Mode, Net, Padding, Pair};
use net::{ParamHyper, Pixels, Rounding, Shape, StepInfo, Target, Ties};
use reference::{Pass, avg_pool, dropout, lrn, max_pool, prepare, softmax, update};

const ROW: Shape = Shape { c: 1, h: 1, w: 5 };

fn max_of_two(ties: Ties) -> MaxPool {
    let (kernel, stride) = (Pair { r: 1, s: 2 }, Pair::square(1));
    MaxPool { kernel, stride, padding: Padding::default(), rounding: Rounding::Floor, ties }
}

#[test]
fn a_tie_gives_its_gradient_to_the_first_or_to_all() {
    let (x, dy, out) = ([3.0, 3.0, 1.0, 2.0, 2.0], [1.0, 10.0, 100.0, 1000.0], Shape { c: 1, h: 1, w: 4 });
    let (mut y, mut dx) = ([0.0; 4], [0.0; 5]);
    max_pool::forward(&max_of_two(Ties::First), ROW, out, &x, &mut y);
    assert_eq!(y, [3.0, 3.0, 2.0, 2.0]);
    max_pool::backward(&max_of_two(Ties::First), ROW, out, &x, &dy, &mut dx);
    assert_eq!(dx, [1.0, 10.0, 0.0, 1100.0, 0.0]);
    max_pool::backward(&max_of_two(Ties::All), ROW, out, &x, &dy, &mut dx);
    assert_eq!(dx, [1.0, 11.0, 0.0, 1100.0, 1000.0]);
}

#[test]
fn an_average_divides_by_the_pixels_it_saw() {
    let pool = AvgPool {
        kernel: Pair { r: 1, s: 3 },
        stride: Pair::square(2),
        padding: Padding { left: 1, ..Padding::default() },
        rounding: Rounding::Ceil,
    };
    let out = Shape { c: 1, h: 1, w: 3 };
    let mut y = [0.0; 3];
    avg_pool::forward(&pool, ROW, out, &[1.0, 2.0, 3.0, 7.0, 16.0], &mut y);
    assert_eq!(y, [1.5, 4.0, 11.5]);
}

#[test]
fn normalisation_stays_within_its_tower() {
    let lrn = LrnAcross { n: 3, k: 1.0, alpha: 3.0, beta: 1.0, alpha_over_n: true, towers: 2 };
    let shape = Shape { c: 4, h: 1, w: 1 };
    let mut y = [0.0; 4];
    lrn::forward(&lrn, shape, &[1.0, 2.0, 3.0, 4.0], &mut y);
    let expected = [1.0 / 6.0, 2.0 / 6.0, 3.0 / 26.0, 4.0 / 26.0];
    y.iter().zip(expected).for_each(|(y, e)| assert!((y - e).abs() < 1e-15, "{y} {e}"));
}

#[test]
fn dropout_scales_when_its_convention_says() {
    let info = StepInfo { seed: 1, step: 2, first_image: 4, step_images: 8 };
    let factors = |scaling, pass, image| dropout::factors(&Dropout { rate: 0.25, scaling }, 3, pass, image, 1000);
    let train = factors(DropoutScaling::Train, Pass::Train(info), 1);
    let test = factors(DropoutScaling::Test, Pass::Train(info), 1);
    assert!(train.iter().all(|f| [0.0, 1.0 / 0.75].contains(f)));
    assert!(test.iter().zip(&train).all(|(a, b)| *a == b * 0.75));
    let zeroed = train.iter().filter(|f| **f == 0.0).count();
    assert!((180..320).contains(&zeroed), "{zeroed} of 1000 at rate 0.25");
    assert_eq!(factors(DropoutScaling::Train, Pass::Test, 1), vec![1.0; 1000]);
    assert_eq!(factors(DropoutScaling::Test, Pass::Test, 1), vec![0.75; 1000]);
    // The mask belongs to the image's place in the step, however the step is cut into batches.
    let later = StepInfo { first_image: 5, ..info };
    assert_eq!(train, factors(DropoutScaling::Train, Pass::Train(later), 0));
    assert_ne!(train, factors(DropoutScaling::Train, Pass::Train(later), 1));
}

#[test]
fn softmax_is_stable_and_the_lowest_class_wins_a_tie() {
    let mut p = [0.0; 3];
    softmax::forward(&[1000.0, 1000.0, -1000.0], &mut p);
    assert_eq!(p, [0.5, 0.5, 0.0]);
    assert_eq!(softmax::top1(&p), 0);
    assert_eq!(softmax::nll(&[1000.0, 0.0], 1), 1000.0);
    let mut dx = [0.0; 3];
    softmax::backward(&p, Target { label: 1, second: 1, share: 1.0 }, 4, &mut dx);
    assert_eq!(dx, [0.125, -0.125, 0.0]);
    let mixture = Target { label: 1, second: 0, share: 0.25 };
    softmax::backward(&p, mixture, 4, &mut dx);
    assert_eq!(dx, [-0.0625, 0.0625, 0.0]);
    assert_eq!(mixture.main(), 0);
    assert_eq!(softmax::cross_entropy(&[1000.0, 0.0], mixture), 250.0);
}

#[test]
fn both_forms_of_the_update() {
    let hyper = ParamHyper { rate: 0.5, decay: 0.25 };
    let (mut v, mut w) = ([2.0], [4.0]);
    update::update(Form::RateInside, 0.5, hyper, &[3.0], &mut v, &mut w);
    assert_eq!((v, w), ([1.0 - 0.5 - 1.5], [3.0]));
    let (mut v, mut w) = ([2.0], [4.0]);
    update::update(Form::RateOutside, 0.5, hyper, &[3.0], &mut v, &mut w);
    assert_eq!((v, w), ([5.0], [1.5]));
    let frozen = ParamHyper { rate: 0.0, decay: 0.25 };
    update::update(Form::RateOutside, 0.5, frozen, &[3.0], &mut v, &mut w);
    assert_eq!((v, w), ([5.0], [1.5]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let net = Net::preset("tiny").expect("a preset");
    let values = net.input().len();
    let mut train = prepare(&net, 2, Mode::Train);
    let info = StepInfo::whole(0, 0, 1);
    let batch = |n, slots, label| {
        let mut batch = Batch::with_capacity(slots, values);
        (batch.n, batch.labels[0]) = (n, label);
        batch
    };
    let says = |result: net::Result<()>, part: &str| {
        let text = result.expect_err("must be refused").to_string();
        assert!(text.contains(part), "{text}");
    };
    says(train.forward_backward(&batch(0, 2, 0), info), "no image");
    says(train.forward_backward(&batch(3, 3, 0), info), "at most 2");
    says(train.forward_backward(&batch(1, 2, 5), info), "label 5, there are 5 classes");
    let misshapen = Batch { pixels: Pixels::F32(vec![0.0; values + 1]), labels: vec![0], mixed: None, n: 1 };
    says(train.forward_backward(&misshapen, info), "pixel values");
    says(train.apply(&Hyper::default()), "0 rates for 10");
    assert!(train.activation("conv1").is_err(), "no pass has run");
    let mut infer = prepare(&net, 2, Mode::Infer);
    says(infer.forward_backward(&batch(1, 2, 0), info), "inference");
    says(infer.save(Kind::Momentum).map(drop), "inference");
    assert!(infer.forward(&batch(1, 2, 99)).is_ok(), "labels are not read in testing");
}
