//! Schedules against their closed forms, and what becomes of one parameter's numbers.

use net::{Form, Hyper, Net, Role};
use train::{
    Curve, Dexp, LayerRate, Part, Plateau, Polynomial, Recipe, Schedule, Scheduler, Span, StepAt, To, UpdateForm, Warmup,
};

const SPAN: Span = Span { steps: 100, steps_per_epoch: 10 };

fn recipe(schedule: Schedule) -> Recipe {
    Recipe { schedule, bias_schedule: None, layers: Vec::new(), ..Recipe::builtin("cifar-80sec").unwrap() }
}

fn scheduler(schedule: Schedule) -> Scheduler {
    Scheduler::new(&recipe(schedule), &Net::preset("cifar-80sec").unwrap(), SPAN).unwrap()
}

fn rates(curve: Curve) -> Vec<f64> {
    let scheduler = scheduler(Schedule { rate: 0.08, curve, warmup: None });
    (0..SPAN.steps).map(|step| scheduler.rates(step).weight).collect()
}

fn close(a: f64, b: f64) -> bool {
    // A few roundings of f64 at most.
    (a - b).abs() <= 8.0 * f64::EPSILON * b.abs()
}

#[test]
fn closed_forms() {
    let t = |step: usize| step as f64 / 100.0;
    assert!(rates(Curve::Constant).iter().all(|&r| r == 0.08));
    for (step, r) in rates(Curve::Linear(To { to: 0.02 })).into_iter().enumerate() {
        assert!(close(r, 0.08 - 0.06 * t(step)), "linear at {step}: {r}");
    }
    for (step, r) in rates(Curve::Polynomial(Polynomial { power: 2.0, to: 0.0 })).into_iter().enumerate() {
        assert!(close(r, 0.08 * (1.0 - t(step)) * (1.0 - t(step))), "polynomial at {step}: {r}");
    }
    let cosine = rates(Curve::Cosine(To { to: 0.02 }));
    assert!(close(cosine[0], 0.08) && close(cosine[50], 0.05) && close(cosine[25], 0.05 + 0.03 * 0.5f64.sqrt()));
    let step = rates(Curve::Step(vec![StepAt { epoch: 2, factor: 0.5 }, StepAt { epoch: 7, factor: 0.25 }]));
    assert_eq!((step[0], step[19], step[20], step[69], step[70], step[99]), (0.08, 0.08, 0.04, 0.04, 0.01, 0.01));
}

/// The values that cuda-convnet2's documentation gives for the one-GPU net.
#[test]
fn the_discrete_exponential_is_cuda_convnet2s() {
    let curve = Curve::Dexp(Dexp { target_factor: 250.0, steps: 4 });
    let scheduler = scheduler(Schedule { rate: 0.01, curve, warmup: None });
    let at = |step| scheduler.rates(step).weight;
    for (first, rate) in [(0, 0.01), (25, 0.001587), (50, 0.000252), (75, 0.00004)] {
        assert!((at(first) - rate).abs() < 5e-7, "{first}: {}", at(first));
        assert_eq!(at(first), at(first + 24));
    }
    let bias = Dexp { target_factor: 10.0, steps: 2 };
    let scheduler = self::scheduler(Schedule { rate: 0.02, curve: Curve::Dexp(bias), warmup: None });
    let at = |step| scheduler.rates(step).weight;
    assert_eq!((at(0), at(49)), (0.02, 0.02));
    assert!(close(at(50), 0.002) && close(at(99), 0.002));
}

#[test]
fn a_warm_up_rises_to_the_rate() {
    let warmup = |steps, epochs, from| {
        let warmup = Some(Warmup { steps, epochs, from });
        scheduler(Schedule { rate: 0.08, curve: Curve::Constant, warmup })
    };
    let s = warmup(Some(4), None, 0.0);
    let rises: Vec<f64> = (0..6).map(|step| s.rates(step).weight).collect();
    assert_eq!(rises, [0.02, 0.04, 0.06, 0.08, 0.08, 0.08]);
    let s = warmup(None, Some(1), 0.5);
    assert!(close(s.rates(0).weight, 0.08 * 0.55) && close(s.rates(9).weight, 0.08));
}

#[test]
fn the_plateau_rule_drops_three_times_at_most_and_its_state_can_be_kept() {
    let curve = Curve::Plateau(Plateau { factor: 0.1, times: 3, patience: 2, threshold: 0.01 });
    let mut s = scheduler(Schedule { rate: 0.01, curve: curve.clone(), warmup: None });
    let mut drops = Vec::new();
    // 0.495 is not lower than 0.5 by the threshold; 0.48 is.
    let errors = [0.5, 0.495, 0.48, 0.48, 0.6, 0.46, 0.47, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3];
    for (i, error) in errors.into_iter().enumerate() {
        if i == 4 {
            // As a resumed run does.
            let state = s.state();
            let text = toml::to_string(&state).unwrap();
            s = scheduler(Schedule { rate: 0.01, curve: curve.clone(), warmup: None });
            s.restore(toml::from_str(&text).unwrap());
            assert_eq!(s.state(), state);
        }
        s.observe(error);
        drops.push(s.state().weight.drops);
    }
    assert_eq!(drops, [0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3]);
    assert!(close(s.rates(0).weight, 1e-5));
}

/// Rate = schedule × the net's factor × the layer's; decay = the recipe's × the net's.
#[test]
fn a_parameters_numbers_are_products() {
    let net = Net::preset("cifar-80sec").unwrap();
    let layer = |of, rate, from_epoch| LayerRate { name: "conv2".into(), of, rate, from_epoch };
    let mut recipe = recipe(Schedule::constant(0.001));
    recipe.bias_schedule = Some(Schedule { rate: 0.003, curve: Curve::Linear(To { to: 0.0 }), warmup: None });
    recipe.layers = vec![layer(Part::Weight, 0.1, 2), layer(Part::Both, 0.0, 5)];
    let scheduler = Scheduler::new(&recipe, &net, SPAN).unwrap();
    let mut hyper = Hyper::default();
    for (step, weight, bias) in
        [(0, 0.001, 0.006), (19, 0.001, 0.006 * 0.81), (20, 0.0001, 0.006 * 0.8), (49, 0.0001, 0.006 * 0.51), (50, 0.0, 0.0)]
    {
        scheduler.at(step, &mut hyper);
        assert_eq!(hyper.params.len(), net.params().len());
        assert_eq!((hyper.momentum, hyper.form), (0.9, Form::RateInside));
        for (info, param) in net.params().iter().zip(&hyper.params) {
            let conv2 = net.layers()[info.layer].name == "conv2";
            let expected = match (info.role, conv2) {
                (Role::Weight, true) => weight,
                (Role::Bias, true) => bias,
                (Role::Weight, false) => 0.001,
                (Role::Bias, false) => 0.003 * 2.0 * (1.0 - f64::from(step) / 100.0),
            };
            // One rounding to f32 and a few of f64.
            assert!((f64::from(param.rate) - expected).abs() <= f64::from(f32::EPSILON) * expected, "{} at {step}", info.name);
            assert_eq!(param.decay, (0.004 * info.learn.decay) as f32);
        }
    }
    recipe.form = UpdateForm::RateOutside;
    Scheduler::new(&recipe, &net, SPAN).unwrap().at(0, &mut hyper);
    assert_eq!(hyper.form, Form::RateOutside);
}

/// The rates of the 2012 run as its notes give them.
#[test]
fn the_2012_recipe_tells_the_run() {
    let recipe = Recipe::builtin("alexnet-2012").unwrap();
    let net = Net::preset("alexnet-2012").unwrap();
    let span = Span { steps: 91 * 10, steps_per_epoch: 10 };
    let scheduler = Scheduler::new(&recipe, &net, span).unwrap();
    let mut hyper = Hyper::default();
    // epoch, conv1 weight, conv1 bias, conv2 weight
    let run = [
        (0, 1e-2, 0.02, 1e-2),
        (24, 1e-2, 0.02, 1e-2),
        (25, 1e-3, 0.02, 1e-3),
        (51, 1e-4, 0.02, 1e-4),
        (67, 1e-5, 0.02, 1e-4),
        (72, 0.0, 0.0, 1e-4),
        (79, 0.0, 0.0, 1e-5),
        (90, 0.0, 0.0, 1e-5),
    ];
    for (epoch, conv1, conv1_bias, conv2) in run {
        scheduler.at(epoch * 10, &mut hyper);
        let rate = |name: &str| {
            let index = net.params().iter().position(|p| p.name == name).unwrap();
            f64::from(hyper.params[index].rate)
        };
        for (name, expected) in
            [("conv1.weight", conv1), ("conv1.bias", conv1_bias), ("conv2.weight", conv2), ("conv2.bias", 0.02)]
        {
            assert!((rate(name) - expected).abs() <= 1e-6 * expected, "epoch {epoch}, {name}: {}", rate(name));
        }
    }
}
