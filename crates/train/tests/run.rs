//! Whole runs: stopped, resumed, diverging, stuck.

mod world;

use std::sync::atomic::AtomicBool;

use data::BadImages;
use train::checkpoint::{self, Saved};
use train::{
    Error, Event, Inherited, InitialisedFrom, MemoriseOptions, Outcome, Recipe, RunConfig, RunDir, Schedule, Start, UpdateForm,
};
use world::*;

/// All that a run leaves behind, to the bit.
fn remains(saved: &Saved) -> (Vec<String>, String) {
    let manifest = saved.manifest();
    let digests = manifest.files.values().map(|file| file.blake3.clone()).collect();
    (digests, serde_json::to_string(&(&manifest.position, &manifest.progress, &manifest.metrics)).unwrap())
}

#[test]
fn stopping_anywhere_and_resuming_gives_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe();
    let (expected, all) = whole(&folder.path().join("whole"), &recipe);
    assert_eq!(expected.manifest().position.step, 15);
    assert_eq!(losses(&all).len(), 15);
    let drops = expected.manifest().progress.schedule.weight.drops;
    assert!(drops > 0, "the plateau rule must have a state worth keeping");
    // In the middle of an epoch, before its last batch, at its end, and in the last epoch.
    for (i, stop) in [0, 3, 4, 7, 13].into_iter().enumerate() {
        let path = folder.path().join(format!("stopped after {stop}"));
        let dir = RunDir::create(&path).unwrap();
        let (outcome, first) = go(&dir, &recipe, Start::Initial, 1 + i % 3, Some(stop));
        let Outcome::Interrupted { step, checkpoint } = outcome.unwrap() else { panic!() };
        assert_eq!(step, stop + 1);
        assert!(checkpoint.is_dir());
        assert!(matches!(first.last(), Some(Event::Interrupted { .. })));
        drop(dir);
        let dir = RunDir::open(&path).unwrap();
        let (outcome, second) = go(&dir, &recipe, Start::Resume { fall_back: false }, 3 - i % 3, None);
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
        let Some(Event::Started(started)) = second.first() else { panic!() };
        assert_eq!(started.resumed_from, Some(stop + 1));
        let steps = [losses(&first), losses(&second)].concat();
        assert_eq!(steps, losses(&all), "stopped after {stop}");
        let saved = checkpoint::latest(&dir.checkpoints()).unwrap().unwrap();
        assert_eq!(remains(&saved), remains(&expected), "stopped after {stop}");
    }
}

/// A recipe with every augmentation, its batches mixed and cut into micro-batches.
fn augmented() -> Recipe {
    let keys = r#"
random_resized_crop = { scale = [0.3, 1.0] }
rand_augment = {}
colour_jitter = { brightness = 0.4, hue = 0.1 }
erasing = { value = "noise" }
mixup = { alpha = 0.2 }
cutmix = { alpha = 1.0 }
"#;
    Recipe::from_toml(&format!("{RECIPE}{keys}")).unwrap()
}

#[test]
fn augmented_runs_resume_to_the_same_bits_too() {
    let folder = tempfile::tempdir().unwrap();
    let (expected, all) = whole(&folder.path().join("whole"), &augmented());
    let (_, plain) = whole(&folder.path().join("plain"), &recipe());
    assert_ne!(losses(&all), losses(&plain));
    for stop in [1, 6] {
        let path = folder.path().join(format!("stopped after {stop}"));
        let (_, first) = go(&RunDir::create(&path).unwrap(), &augmented(), Start::Initial, 2, Some(stop));
        let dir = RunDir::open(&path).unwrap();
        let (outcome, second) = go(&dir, &augmented(), Start::Resume { fall_back: false }, 3, None);
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
        assert_eq!([losses(&first), losses(&second)].concat(), losses(&all), "stopped after {stop}");
        let saved = checkpoint::latest(&dir.checkpoints()).unwrap().unwrap();
        assert_eq!(remains(&saved), remains(&expected), "stopped after {stop}");
    }
}

/// What a killed process leaves: the checkpoints that were complete, and half of one.
#[test]
fn a_run_killed_at_any_checkpoint_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.checkpoints.every_steps = 4;
    recipe.checkpoints.keep_last = 100;
    let path = folder.path().join("whole");
    let (expected, all) = whole(&path, &recipe);
    let found = checkpoint::list(&path.join("checkpoints")).unwrap();
    let steps: Vec<u32> = found.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [4, 5, 8, 10, 12, 15]);
    for kept in 0..found.len() {
        let killed = folder.path().join(format!("killed with {kept}"));
        copy(&path, &killed);
        for (i, (step, checkpoint)) in found[kept..].iter().enumerate() {
            let name = checkpoint.file_name().unwrap().to_str().unwrap();
            let copied = killed.join("checkpoints").join(name);
            if i == 0 {
                std::fs::remove_file(copied.join("manifest.json")).unwrap();
                std::fs::rename(&copied, killed.join(format!("checkpoints/.step-{step:08}.4711.tmp"))).unwrap();
            } else {
                std::fs::remove_dir_all(copied).unwrap();
            }
        }
        let dir = RunDir::open(&killed).unwrap();
        let (outcome, events) = go(&dir, &recipe, Start::Resume { fall_back: false }, 2, None);
        assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
        let Some(Event::Started(started)) = events.first() else { panic!() };
        let from = kept.checked_sub(1).map(|i| steps[i]);
        assert_eq!(started.resumed_from, from);
        assert_eq!(losses(&events), losses(&all)[from.unwrap_or(0) as usize..]);
        let saved = checkpoint::latest(&dir.checkpoints()).unwrap().unwrap();
        assert_eq!(remains(&saved), remains(&expected));
        let hidden = std::fs::read_dir(dir.checkpoints()).unwrap().flatten();
        assert!(hidden.into_iter().all(|entry| !entry.file_name().to_string_lossy().starts_with('.')));
    }
}

#[test]
fn a_run_keeps_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (saved, events) = whole(&path, &recipe());
    assert_eq!(train::read_net(&path).unwrap(), net());
    assert_eq!(train::read_recipe(&path).unwrap(), recipe());
    assert_eq!(std::fs::read_to_string(path.join("classes.txt")).unwrap(), "top left\ntop right\nbottom left\nbottom right\n");
    for name in ["plan.txt", "run.json", "statistics.safetensors", "per-class.csv", "confusion.csv"] {
        assert!(path.join(name).metadata().unwrap().len() > 0, "{name}");
    }
    assert_eq!((saved.net().unwrap(), saved.recipe().unwrap()), (net(), recipe()));
    assert_eq!(saved.manifest().classes, dataset().classes);
    assert_eq!(saved.manifest().revision, "test");
    saved.weights().unwrap().check(&net()).unwrap();
    saved.momentum().unwrap().check(&net()).unwrap();
    assert_eq!(saved.statistics().unwrap().images, TRAIN as u64);
    assert!(matches!(events.first(), Some(Event::Started(_))));
    assert!(events.contains(&Event::Note { text: "made up".into() }));
    let evaluated = events.iter().filter(|event| matches!(event, Event::Evaluated(_))).count();
    assert_eq!(evaluated, 3);
    let Some(Event::Finished { step: 15, epochs: 3, .. }) = events.last() else { panic!("{:?}", events.last()) };
    let times: Vec<_> = events.iter().filter_map(|event| if let Event::Time(time) = event { Some(time) } else { None }).collect();
    assert_eq!(times.iter().map(|time| (time.epoch, time.step)).collect::<Vec<_>>(), [(0, 5), (1, 10), (2, 15)]);
    assert!(times.iter().all(|time| time.images == TRAIN as u64 && time.waiting() <= 1.0));
    assert!(times.iter().map(|time| time.loader.images).sum::<u64>() >= 3 * TRAIN as u64, "{times:?}");
    let json = events.iter().map(|event| serde_json::to_value(event).unwrap());
    assert!(json.into_iter().all(|value| value["event"].is_string()));
}

#[test]
fn a_finished_run_that_is_resumed_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (expected, _) = whole(&path, &recipe());
    let dir = RunDir::open(&path).unwrap();
    let (outcome, events) = go(&dir, &recipe(), Start::Resume { fall_back: false }, 1, None);
    let Outcome::Finished(summary) = outcome.unwrap() else { panic!() };
    assert_eq!((summary.step, summary.checkpoint.as_path()), (15, expected.path()));
    assert_eq!(summary.last, expected.manifest().progress.last);
    assert!(losses(&events).is_empty());
}

#[test]
fn only_the_last_and_the_best_checkpoints_stay() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.epochs = Some(6);
    recipe.checkpoints.keep_last = 1;
    let path = folder.path().join("run");
    let (last, events) = whole(&path, &recipe);
    let best = last.manifest().progress.best.clone().unwrap();
    let errors: Vec<f64> =
        events.iter().filter_map(|event| if let Event::Evaluated(e) = event { Some(e.top1_error) } else { None }).collect();
    let lowest = errors.iter().copied().fold(1.0, f64::min);
    let first_lowest = errors.iter().position(|&error| error == lowest).unwrap() as u32;
    assert_eq!((best.step, best.top1_error), (5 * (first_lowest + 1), lowest));
    let kept: Vec<u32> = checkpoint::list(&path.join("checkpoints")).unwrap().into_iter().map(|(step, _)| step).collect();
    let expected = if best.step == 30 { vec![30] } else { vec![best.step, 30] };
    assert_eq!(kept, expected);
    assert_eq!(
        checkpoint::best(&path.join("checkpoints"), checkpoint::Checks::All).unwrap().unwrap().0.manifest().position.step,
        best.step
    );
}

#[test]
fn a_loss_that_is_not_finite_ends_the_run_and_names_the_images() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.checkpoints.every_steps = 1;
    // The first update throws the weights far beyond f32's range of squares.
    recipe.schedule = Schedule::constant(1e25);
    let dir = RunDir::create(&folder.path().join("run")).unwrap();
    let (outcome, events) = go(&dir, &recipe, Start::Initial, 1, None);
    let Error::NotFinite { step, loss, images, checkpoint } = outcome.unwrap_err() else { panic!() };
    assert!(!loss.is_finite());
    assert_eq!(images.len(), 5);
    assert!(images.iter().all(|name| name.starts_with("quarters/0/")), "{images:?}");
    assert!(checkpoint.unwrap().ends_with(format!("step-{step:08}")));
    // Whatever is on the disk is good.
    for (_, path) in checkpoint::list(&dir.checkpoints()).unwrap() {
        let weights = checkpoint::read(&path).unwrap().weights().unwrap();
        assert!(weights.iter().all(|(_, tensor)| tensor.data.iter().all(|value| value.is_finite())));
    }
    assert!(!events.iter().any(|event| matches!(event, Event::Finished { .. })));
}

#[test]
fn weights_that_are_not_finite_never_become_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.checkpoints.every_steps = 1;
    // Beyond f32's range at the first update, before any loss can tell.
    recipe.schedule = Schedule::constant(3e38);
    let dir = RunDir::create(&folder.path().join("run")).unwrap();
    let (outcome, _) = go(&dir, &recipe, Start::Initial, 1, None);
    let error = outcome.unwrap_err();
    assert!(matches!(&error, Error::ParamNotFinite { step: 1, checkpoint: None, .. }), "{error}");
    assert!(checkpoint::list(&dir.checkpoints()).unwrap().is_empty());
}

#[test]
fn a_loss_that_stays_at_ln_classes_is_explained_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    recipe.epochs = Some(30);
    recipe.evaluation.every_epochs = 0;
    recipe.schedule = Schedule::constant(0.0);
    let dir = RunDir::create(&folder.path().join("run")).unwrap();
    let zeros = |p: &net::ParamInfo| {
        (p.name.clone(), net::SharedTensor { shape: p.shape.clone(), values: std::sync::Arc::new(vec![0.0f32; p.len()]) })
    };
    let from = InitialisedFrom { file: "zeros".into(), blake3: String::new(), new: vec![], reordered: false };
    let weights = net().params().iter().map(zeros).collect();
    let dead = Start::Weights(Box::new(Inherited { weights, statistics: Default::default(), from }));
    let (outcome, events) = go(&dir, &recipe, dead, 1, None);
    outcome.unwrap();
    let warnings: Vec<&String> =
        events.iter().filter_map(|event| if let Event::Warning { text, .. } = event { Some(text) } else { None }).collect();
    let [text] = warnings[..] else { panic!("{warnings:?}") };
    assert!(text.starts_with("the loss stays at 1.3863, which is ln(4)"), "{text}");
    assert!(text.contains("\ninput: mean "), "{text}");
    assert!(text.contains("\nrelu1: 6 of 6 maps are 0 everywhere"), "{text}");
    assert!(text.contains("\nrelu2: 12 of 12 maps are 0 everywhere"), "{text}");
    assert!(text.contains("\nconv1.weight: gradient norm 0.00e0, value norm 0.00e0"), "{text}");
}

#[test]
fn the_two_update_forms_differ_only_when_the_rate_changes() {
    let folder = tempfile::tempdir().unwrap();
    let end = |name: &str, form, rate: &str| {
        let text = RECIPE
            .replace("rate = 0.003\nplateau = { factor = 0.1, times = 3, patience = 1, threshold = 0.9 }", rate)
            .replace("decay = 0.0005", "decay = 0.0");
        let mut recipe = train::Recipe::from_toml(&text).unwrap();
        recipe.form = form;
        whole(&folder.path().join(name), &recipe).0.weights().unwrap()
    };
    let distance = |a: &net::ParamSet, b: &net::ParamSet| {
        let pairs = a.iter().zip(b.iter()).flat_map(|((_, a), (_, b))| a.data.iter().zip(&b.data));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    let constant = "rate = 0.001";
    let [inside, outside] = [UpdateForm::RateInside, UpdateForm::RateOutside];
    let same = distance(&end("a", inside, constant), &end("b", outside, constant));
    let step = "rate = 0.001\nstep = [{ epoch = 1, factor = 0.01 }]";
    let differ = distance(&end("c", inside, step), &end("d", outside, step));
    // Equal but for rounding, which the steps amplify a little; a velocity rescaled is another trajectory.
    assert!(same < 1e-4 && differ > 10.0 * same.max(1e-6), "{same} {differ}");
}

#[test]
fn micro_batches_give_the_gradient_of_the_batch() {
    let folder = tempfile::tempdir().unwrap();
    let end = |micro| {
        let mut recipe = recipe();
        (recipe.micro_batch, recipe.steps, recipe.epochs) = (micro, Some(3), None);
        let (saved, events) = whole(&folder.path().join(format!("micro {micro}")), &recipe);
        (saved.weights().unwrap(), losses(&events))
    };
    let (whole, losses) = end(0);
    for micro in [1, 3] {
        let (pieces, of_pieces) = end(micro);
        assert_eq!(losses.len(), of_pieces.len());
        for ((name, a), (_, b)) in whole.iter().zip(pieces.iter()) {
            for (a, b) in a.data.iter().zip(&b.data) {
                // The order of at most 5 · 64 additions of a gradient differs, three times.
                assert!((a - b).abs() <= 1e-5 * a.abs().max(0.1), "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn one_batch_is_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe();
    (recipe.one_batch, recipe.dropout, recipe.stop_below) = (true, false, Some(0.01));
    (recipe.steps, recipe.epochs, recipe.decay) = (Some(500), None, 0.0);
    recipe.schedule = Schedule::constant(0.002);
    recipe.evaluation.every_epochs = 0;
    recipe.checkpoints.every_epochs = 0;
    let (saved, events) = whole(&folder.path().join("run"), &recipe);
    let steps = losses(&events);
    assert!(f64::from_bits(steps.last().unwrap().1) < 0.01);
    assert!(steps.len() < 500, "{}", steps.len());
    assert_eq!(saved.manifest().position.step as usize, steps.len());
    let dir = RunDir::open(&folder.path().join("run")).unwrap();
    let (outcome, again) = go(&dir, &recipe, Start::Resume { fall_back: false }, 1, None);
    assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    assert!(losses(&again).is_empty(), "what was reached stays reached");

    let dir = RunDir::create(&folder.path().join("self-test")).unwrap();
    let config = RunConfig {
        dir: &dir,
        recipe: &recipe,
        start: Start::Initial,
        threads: 2,
        bad_images: BadImages::Stop,
        revision: String::new(),
    };
    let mut exec = engine(&train::without_dropout(&net()).unwrap(), 3, 1);
    let options = MemoriseOptions { images: 8, ..MemoriseOptions::default() };
    let stop = AtomicBool::new(false);
    let mut notes = Vec::new();
    let done = train::self_test(&mut exec, &dataset(), &config, options, &mut notes, &stop).unwrap().unwrap();
    assert!(done.loss < 0.01 && done.steps < 500, "{done:?}");
    assert_eq!(notes.last(), Some(&Event::Memorised { steps: done.steps, loss: done.loss }));
    // A rate that is far too high is brought down, and images are not mixed, whose loss could not come so low.
    let mut wild = recipe.clone();
    wild.preprocessing.mixup = Some(data::augment::MixUp { alpha: 1.0 });
    wild.schedule = Schedule::constant(0.2);
    let config = RunConfig { recipe: &wild, start: Start::Initial, revision: String::new(), ..config };
    let done = train::self_test(&mut exec, &dataset(), &config, options, &mut notes, &stop).unwrap().unwrap();
    assert!(done.loss < 0.01, "{done:?}");
    let before = net::Executor::save(&mut exec, net::Kind::Weights).unwrap();
    let error = train::self_test(&mut exec, &dataset(), &config, MemoriseOptions { steps: 2, ..options }, &mut notes, &stop);
    assert!(matches!(error, Err(Error::NotMemorised { images: 8, steps: 2, .. })), "{error:?}");
    assert_eq!(net::Executor::save(&mut exec, net::Kind::Weights).unwrap(), before);
}

#[test]
fn a_run_of_something_else_is_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    drop(whole(&path, &recipe()));
    let dir = RunDir::open(&path).unwrap();
    let recipe = recipe();
    let resume = |net: &net::Net, data: &data::Dataset| {
        let config = RunConfig {
            dir: &dir,
            recipe: &recipe,
            start: Start::Resume { fall_back: false },
            threads: 1,
            bad_images: BadImages::Stop,
            revision: String::new(),
        };
        let mut exec = engine(net, recipe.micro(), 1);
        train::run(&mut exec, data, &config, &mut train::Silent, &AtomicBool::new(false)).unwrap_err().to_string()
    };
    let wider = net::Net::from_toml(&NET.replace("k = 12", "k = 13")).unwrap();
    let message = resume(&wider, &dataset());
    assert!(message.ends_with("does not fit: its net `small` differs in layer `fc2`"), "{message}");
    let renamed = net::Net::from_toml(&NET.replace("\"small\"", "\"other\"")).unwrap();
    let message = resume(&renamed, &dataset());
    assert!(message.ends_with("does not fit: it is of net `small`, this run trains `other`"), "{message}");
    let mut fewer = dataset();
    fewer.train = std::sync::Arc::new(Quarters { images: TRAIN - 1, split: 0 });
    let message = resume(&net(), &fewer);
    assert!(message.contains("it was trained on `quarters` with 22 + 9 images, this is `quarters` with 21 + 9"), "{message}");
    let mut other = dataset();
    let before = std::mem::replace(&mut other.classes[2], "zebra".into());
    let message = resume(&net(), &other);
    assert!(message.ends_with(&format!("on `quarters` with the class `{before}` where `quarters` has `zebra`")), "{message}");
    let mut classes = dataset();
    classes.classes.pop();
    let message = resume(&net(), &classes);
    assert_eq!(message, "data set `quarters`: it has 3 classes, net `small` tells 4 apart");
}

#[test]
fn data_that_cannot_train_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::create(&folder.path().join("run")).unwrap();
    let recipe = recipe();
    let fault = |data: &data::Dataset| {
        let config = RunConfig {
            dir: &dir,
            recipe: &recipe,
            start: Start::Initial,
            threads: 1,
            bad_images: BadImages::Stop,
            revision: String::new(),
        };
        let mut exec = engine(&net(), recipe.micro(), 1);
        let stop = AtomicBool::new(false);
        let error = train::run(&mut exec, data, &config, &mut train::Silent, &stop).unwrap_err().to_string();
        let options = MemoriseOptions::default();
        let of_test = train::self_test(&mut exec, data, &config, options, &mut train::Silent, &stop).unwrap_err();
        assert_eq!(of_test.to_string(), error, "the self-test does not spend minutes on a run that cannot be");
        error
    };
    let none = || std::sync::Arc::new(Quarters { images: 0, split: 0 });
    assert_eq!(fault(&data::Dataset { train: none(), ..dataset() }), "data set `quarters`: there are no images to train on");
    let message = fault(&data::Dataset { val: none(), ..dataset() });
    assert_eq!(message, "data set `quarters`: a plateau schedule needs validation images, and there are none");
}
