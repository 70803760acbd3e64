//! Runs that begin with trained weights.

mod world;

use std::path::Path;

use data::Statistics;
use net::{Net, ParamSet, SharedTensor};
use train::checkpoint::{self, Saved};
use train::{
    Error, Event, Head, Inherited, InitialisedFrom, LayerRate, Outcome, Recipe, RunDir, Start, Trained, Transfer, head_of,
    transfer,
};
use world::*;

const THEIRS: u64 = 77;

fn shared(params: &ParamSet) -> Vec<(String, SharedTensor)> {
    let tensor = |t: &net::Tensor| SharedTensor { shape: t.shape.clone(), values: std::sync::Arc::new(t.data.clone()) };
    params.iter().map(|(name, t)| (name.to_string(), tensor(t))).collect()
}

fn names(classes: &[&str]) -> Vec<String> {
    classes.iter().map(|class| class.to_string()).collect()
}

/// The transfer from `theirs`, with the classes a, b, c, d, to `net` and `classes`, by seed 3.
fn transferred(theirs: &Net, net: &Net, classes: &[&str]) -> train::Result<Transfer> {
    let weights = shared(&theirs.initial_params(THEIRS));
    let trained = Trained { net: theirs, weights: &weights, classes: &names(&["a", "b", "c", "d"]) };
    let one = transfer(&trained, net, &names(classes), 3, 1)?;
    let many = transfer(&trained, net, &names(classes), 3, 7)?;
    for ((name, a), (other, b)) in one.weights.iter().zip(&many.weights) {
        assert_eq!((name, &a.shape, a.data()), (other, &b.shape, b.data()), "threads change no bit");
    }
    net::check_shared(net, &one.weights).unwrap();
    Ok(one)
}

fn values<'a>(found: &'a Transfer, name: &str) -> &'a [f32] {
    found.weights.iter().find(|(known, _)| known == name).unwrap().1.data()
}

/// Which of the trained layers are in `found` to the bit, and which have the initial values of `net`.
fn origins(found: &Transfer, theirs: &Net, net: &Net) -> String {
    let (trained, initial) = (theirs.initial_params(THEIRS), net.initial_params(3));
    let is = |params: &ParamSet, name: &str| params.get(name).is_some_and(|t| t.data == values(found, name));
    let of = |name: &String| match (is(&trained, name), is(&initial, name)) {
        // Biases begin with one constant, so that both may hold.
        (true, _) => 't',
        (_, true) => 'i',
        _ => '?',
    };
    net.params().iter().filter(|p| p.name.ends_with(".weight")).map(|p| of(&p.name)).collect()
}

#[test]
fn the_head_is_kept_reordered_or_made_anew_by_the_classes() {
    let net = net();
    assert_eq!(head_of(&net), Some("fc3"));
    let found = transferred(&net, &net, &["a", "b", "c", "d"]).unwrap();
    assert_eq!((found.head, found.kept, found.new.len(), origins(&found, &net, &net).as_str()), (Head::Kept, 3, 0, "ttt"));

    let found = transferred(&net, &net, &["c", "a", "d", "b"]).unwrap();
    assert_eq!((found.head, found.kept, found.new.len()), (Head::Reordered, 3, 0));
    assert_eq!(origins(&found, &net, &net), "tt?");
    let theirs = net.initial_params(THEIRS);
    let (weight, row) = (&theirs.get("fc3.weight").unwrap().data, 12);
    for (to, from) in [2, 0, 3, 1].into_iter().enumerate() {
        assert_eq!(values(&found, "fc3.weight")[to * row..][..row], weight[from * row..][..row]);
    }

    for (classes, what) in [(&["a", "b", "c", "e"][..], "another name"), (&["a", "b"], "fewer"), (&["a", "a", "b", "c"], "twice")]
    {
        let net = net.with_classes(classes.len()).unwrap();
        let found = transferred(&world::net(), &net, classes).unwrap();
        assert_eq!((found.head, found.kept, &found.new[..]), (Head::New, 2, &names(&["fc3"])[..]), "{what}");
        assert_eq!(origins(&found, &world::net(), &net), "tti", "{what}");
    }
}

#[test]
fn biases_follow_their_rows() {
    let net = net();
    let mut theirs = net.initial_params(THEIRS);
    theirs.get_mut("fc3.bias").unwrap().data = vec![1.0, 2.0, 3.0, 4.0];
    let weights = shared(&theirs);
    let trained = Trained { net: &net, weights: &weights, classes: &names(&["a", "b", "c", "d"]) };
    let found = transfer(&trained, &net, &names(&["d", "b", "a", "c"]), 3, 1).unwrap();
    assert_eq!(values(&found, "fc3.bias"), [4.0, 2.0, 1.0, 3.0]);
}

#[test]
fn another_net_takes_what_fits_by_name_and_shape() {
    let theirs = net();
    let changed = |from: &str, to: &str| Net::from_toml(&NET.replace(from, to)).unwrap();
    let wider = changed("linear = { k = 12", "linear = { k = 16");
    let found = transferred(&theirs, &wider, &["a", "b", "c", "d"]).unwrap();
    assert_eq!((found.head, &found.new[..], found.kept), (Head::New, &names(&["fc2", "fc3"])[..], 1));
    assert_eq!(origins(&found, &theirs, &wider), "tii");
    let renamed = changed("\"conv1\"", "\"first\"");
    let found = transferred(&theirs, &renamed, &["a", "b", "c", "d"]).unwrap();
    assert_eq!(
        (found.head, &found.new[..], origins(&found, &theirs, &renamed).as_str()),
        (Head::Kept, &names(&["first"])[..], "itt")
    );
    // The layer of that name is no head there, so its outputs are no classes.
    let deeper = changed("name = \"fc2\"", "name = \"fc4\"");
    let deeper = Net::from_toml(&deeper.to_toml().replace("\"fc3\"", "\"fc2\"")).unwrap();
    let error =
        transferred(&deeper, &changed("\"conv1\"", "\"x\"").with_classes(5).unwrap(), &["a", "b", "c", "d", "e"]).unwrap_err();
    assert!(matches!(error, Error::NothingFits { .. }), "{error}");
    assert_eq!(error.to_string(), "no layer of net `small` has the name and the shapes of a layer of net `small`");
}

/// Weights, statistics and origin that a run could begin with: of a net of seed [`THEIRS`], and of images a little darker.
fn inherited(measured: &Statistics) -> Inherited {
    let statistics = Statistics {
        mean_image: measured.mean_image.iter().map(|v| v - 3.0).collect(),
        mean: measured.mean.iter().map(|v| v - 3.0).collect(),
        ..measured.clone()
    };
    let from = InitialisedFrom { file: "theirs".into(), blake3: "0".repeat(64), new: names(&["fc3"]), reordered: false };
    Inherited { weights: shared(&net().initial_params(THEIRS)), statistics, from }
}

fn begin(path: &Path, recipe: &Recipe, with: &Inherited, threads: usize) -> (Saved, Vec<Event>) {
    let dir = RunDir::create(path).unwrap();
    let (outcome, events) = go(&dir, recipe, Start::Weights(Box::new(with.clone())), threads, None);
    assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    (checkpoint::latest(&dir.checkpoints()).unwrap().unwrap(), events)
}

fn measured(folder: &Path) -> Statistics {
    whole(&folder.join("measured"), &recipe()).0.statistics().unwrap()
}

fn remains(saved: &Saved) -> String {
    let manifest = saved.manifest();
    let digests: Vec<_> = manifest.files.values().map(|file| &file.blake3).collect();
    serde_json::to_string(&(digests, &manifest.position, &manifest.progress, &manifest.metrics, &manifest.initialised_from))
        .unwrap()
}

#[test]
fn such_a_run_resumes_to_the_same_bits_without_the_file_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, with) = (recipe(), inherited(&measured(folder.path())));
    let (expected, all) = begin(&folder.path().join("whole"), &recipe, &with, 1);
    let (threads, _) = begin(&folder.path().join("threads"), &recipe, &with, 5);
    assert_eq!(remains(&threads), remains(&expected), "threads change no bit");
    for stop in [0, 4, 9] {
        let path = folder.path().join(format!("stopped after {stop}"));
        let start = Start::Weights(Box::new(with.clone()));
        let (_, first) = go(&RunDir::create(&path).unwrap(), &recipe, start, 2, Some(stop));
        let dir = RunDir::open(&path).unwrap();
        let (outcome, second) = go(&dir, &recipe, Start::Resume { fall_back: false }, 3, None);
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
        assert_eq!([losses(&first), losses(&second)].concat(), losses(&all), "stopped after {stop}");
        let saved = checkpoint::latest(&dir.checkpoints()).unwrap().unwrap();
        assert_eq!(remains(&saved), remains(&expected), "stopped after {stop}");
    }
}

#[test]
fn killed_before_any_step_it_goes_on_and_without_its_weights_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recipe, with) = (recipe(), inherited(&measured(folder.path())));
    recipe.checkpoints.keep_last = 100;
    let path = folder.path().join("whole");
    let (expected, all) = begin(&path, &recipe, &with, 1);
    let found = checkpoint::list(&path.join("checkpoints")).unwrap();
    assert_eq!(found[0].0, 0);
    let first = checkpoint::read(&found[0].1).unwrap();
    assert_eq!(first.weights().unwrap(), net().initial_params(THEIRS));
    assert_eq!(first.momentum().unwrap(), ParamSet::zeros(&net()));
    assert_eq!(first.manifest().initialised_from, Some(with.from));
    for (_, later) in &found[1..] {
        std::fs::remove_dir_all(later).unwrap();
    }
    let dir = RunDir::open(&path).unwrap();
    let (_, again) = go(&dir, &recipe, Start::Resume { fall_back: false }, 2, None);
    assert_eq!(losses(&again), losses(&all));
    assert_eq!(remains(&checkpoint::latest(&dir.checkpoints()).unwrap().unwrap()), remains(&expected));
    std::fs::remove_dir_all(dir.checkpoints()).unwrap();
    let (outcome, events) = go(&dir, &recipe, Start::Resume { fall_back: true }, 2, None);
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::WeightsLost { file, .. } if file == "theirs"), "{error}");
    assert!(events.is_empty());
}

#[test]
fn images_are_prepared_with_the_weights_own_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let (mut recipe, own) = (recipe(), measured(folder.path()));
    recipe.preprocessing.colour_noise = Some(data::ColourNoise::default());
    let with = inherited(&own);
    let (saved, events) = begin(&folder.path().join("run"), &recipe, &with, 1);
    assert_eq!(saved.statistics().unwrap(), with.statistics);
    assert!(!events.iter().any(|event| matches!(event, Event::Statistics { .. })), "nothing is measured");
    // A mean alone, as other programs' files bring it: the colours for the noise are measured, the mean stays theirs.
    let none = |values: &[f32]| vec![0.0; values.len()];
    let mut bare = with.clone();
    (bare.statistics.eigenvalues, bare.statistics.std) = (none(&own.eigenvalues), none(&own.std));
    let (saved, events) = begin(&folder.path().join("bare"), &recipe, &bare, 1);
    let found = saved.statistics().unwrap();
    assert_eq!((&found.mean_image, &found.mean), (&with.statistics.mean_image, &with.statistics.mean));
    assert_eq!((&found.eigenvalues, &found.eigenvectors, &found.std), (&own.eigenvalues, &own.eigenvectors, &own.std));
    assert!(events.iter().any(|event| matches!(event, Event::Statistics { .. })));
}

#[test]
fn frozen_layers_keep_their_bits_and_the_head_learns_at_its_own_rate() {
    let folder = tempfile::tempdir().unwrap();
    let with = inherited(&measured(folder.path()));
    let theirs = net().initial_params(THEIRS);
    let layer = |name: &str, rate| LayerRate { name: name.into(), of: Default::default(), rate, from_epoch: 0 };
    let run = |name: &str, layers: Vec<LayerRate>, steps: Option<u32>| {
        let mut recipe = Recipe { layers, ..recipe() };
        if steps.is_some() {
            (recipe.epochs, recipe.steps) = (None, steps);
        }
        begin(&folder.path().join(name), &recipe, &with, 2).0.weights().unwrap()
    };
    let frozen = run("frozen", vec![layer("conv1", 0.0), layer("fc2", 0.0)], None);
    for name in ["conv1.weight", "conv1.bias", "fc2.weight", "fc2.bias"] {
        assert_eq!(frozen.get(name), theirs.get(name), "{name}");
    }
    assert_ne!(frozen.get("fc3.weight"), theirs.get("fc3.weight"));
    // One step from the same weights: the update is the rate times what is the same for both, up to rounding.
    let (one, four) = (run("one", vec![], Some(1)), run("four", vec![layer("fc3", 4.0)], Some(1)));
    assert_eq!(one.get("fc2.weight"), four.get("fc2.weight"));
    let moved = |params: &ParamSet| -> Vec<f64> {
        let pairs = params.get("fc3.weight").unwrap().data.iter().zip(&theirs.get("fc3.weight").unwrap().data);
        pairs.map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
    };
    assert!(moved(&one).iter().any(|step| step.abs() > 1e-4));
    for (a, b) in moved(&one).into_iter().zip(moved(&four)) {
        // Each of the two sums is rounded to a neighbour: values below 1/4 lie 2^-26 from it at most.
        assert!((4.0 * a - b).abs() <= 5.0 / f64::from(1 << 26), "{a} {b}");
    }
}

#[test]
fn a_run_with_initial_values_says_nothing_of_weights() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, _) = whole(&folder.path().join("run"), &recipe());
    assert_eq!(saved.manifest().initialised_from, None);
    let text = std::fs::read_to_string(saved.path().join("manifest.json")).unwrap();
    assert!(!text.contains("initialised_from"));
    assert!(!std::fs::read_to_string(folder.path().join("run/run.json")).unwrap().contains("initialised_from"));
}
