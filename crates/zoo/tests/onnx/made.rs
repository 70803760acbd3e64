//! Models with made-up weights, large enough that every layer matters.

use std::path::PathBuf;
use std::sync::Arc;

use data::{Mean, Preprocessing, Statistics};
use net::random::{Purpose, Stream};
use net::{Init, Net, Op, Role, SharedTensor, Variant, initialise};
use train::Recipe;
use zoo::{Card, Model};

/// Numbers in ±`scale` that look random.
pub(crate) fn numbers(seed: u32, count: usize, scale: f32) -> Vec<f32> {
    let random = Stream::new(5, Purpose::Test, 0, 0, seed);
    (0..count).map(|i| ((f64::from(random.u32(i as u32)) / 2f64.powi(31) - 1.0) as f32) * scale).collect()
}

/// A net with weights of variance 2 / fan-in, but for the last layer, which keeps logits of pixels in ±100 within a few units.
fn weights(net: &Net) -> Vec<(String, SharedTensor)> {
    let last = net.params().len() - 2;
    let one = |(index, info): (usize, &net::ParamInfo)| {
        let mut values = vec![0.0; info.len()];
        initialise(Init::FanIn, info, index, 1, 0, &mut values);
        let factor = match (info.role, index >= last) {
            (Role::Weight, false) => 6f32.sqrt(),
            (Role::Weight, true) => 6f32.sqrt() / 30.0,
            (Role::Bias, _) => 1.0,
        };
        values.iter_mut().for_each(|value| *value *= factor);
        (info.name.clone(), SharedTensor { shape: info.shape.clone(), values: Arc::new(values) })
    };
    net.params().iter().enumerate().map(one).collect()
}

/// Statistics that differ from place to place and from colour to colour.
fn statistics(p: &Preprocessing) -> Statistics {
    let mut made = Statistics::made_up(p);
    let random = numbers(7, made.mean_image.len(), 20.0);
    made.mean_image.iter_mut().zip(random).for_each(|(value, more)| *value += more);
    made.mean.iter_mut().zip([3.0, 0.25, -5.0]).for_each(|(value, more)| *value += more);
    made.std.iter_mut().zip([1.0, -2.5, 4.0]).for_each(|(value, more)| *value += more);
    made.images = 1_281_167;
    made
}

/// The model of a net with the preprocessing of `recipe`.
pub(crate) fn of(net: Net, recipe: &str) -> Model {
    let preprocessing = Preprocessing { colour_noise: None, ..Recipe::builtin(recipe).unwrap().preprocessing };
    let needs = !matches!(preprocessing.mean, Mean::None | Mean::Values(_));
    let statistics = if needs { statistics(&preprocessing) } else { Statistics::default() };
    let classes: Vec<String> = (0..net.classes()).map(|label| format!("class {label}")).collect();
    let card = Card {
        format: 1,
        version: "0.1.0".into(),
        revision: "made".into(),
        net: net.to_toml(),
        variant: Variant::of(&net),
        preprocessing,
        words: classes.iter().map(|class| format!("{class}, in words: é")).collect(),
        classes,
        dataset: None,
        trained: None,
        initialised_from: None,
        metrics: None,
        origin: None,
    };
    Model { path: PathBuf::new(), weights: weights(&net), net, statistics, card, notes: Vec::new(), checkpoint: None }
}

/// The model of a preset.
pub(crate) fn preset(name: &str) -> Model {
    of(Net::preset(name).unwrap(), train::recipe_for(name))
}

/// A preset with a sixth of its maps and linear outputs, or a few more, as its groups need.
pub(crate) fn cut(name: &str) -> Model {
    let whole = Net::preset(name).unwrap();
    let classes = whole.classes().min(7);
    let fewer = |k: usize| (k / 6).next_multiple_of(4);
    let mut layers = whole.layers().to_vec();
    let last = layers.iter().rposition(|layer| matches!(layer.op, Op::Linear(_))).unwrap();
    for (index, layer) in layers.iter_mut().enumerate() {
        match &mut layer.op {
            Op::Conv(op) => op.k = fewer(op.k),
            Op::Local(op) => op.k = fewer(op.k),
            Op::Linear(op) => op.k = if index == last { classes } else { fewer(op.k).min(64) },
            _ => {}
        }
    }
    of(Net::new(name, whole.input(), layers).unwrap(), train::recipe_for(name))
}
