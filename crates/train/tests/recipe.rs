//! Recipes: the built-in ones, and every way to write a bad one.

use net::Net;
use train::{Curve, Error, RECIPES, Recipe, UpdateForm, recipe_for};

#[test]
fn every_built_in_recipe_reads_prints_and_fits_its_net() {
    for built_in in RECIPES {
        let recipe = Recipe::builtin(built_in.name).unwrap_or_else(|error| panic!("{}: {error}", built_in.name));
        let printed = recipe.to_toml();
        assert_eq!(Recipe::from_toml(&printed).unwrap(), recipe, "{}:\n{printed}", built_in.name);
        let net = Net::preset(&recipe.net).unwrap_or_else(|error| panic!("{}: {error}", built_in.name));
        recipe.fits(&net).unwrap_or_else(|error| panic!("{}: {error}", built_in.name));
        let header: Vec<&str> = built_in.text.lines().take_while(|line| line.starts_with('#')).collect();
        for part in ["# Source: ", "# Claim:  "] {
            assert!(header.iter().any(|line| line.starts_with(part)), "{} lacks {part}", built_in.name);
        }
        assert!(!built_in.summary().is_empty());
    }
}

#[test]
fn every_preset_but_the_test_net_has_a_recipe_of_its_own() {
    for preset in net::PRESETS.iter().filter(|preset| preset.name != "tiny") {
        let recipe = Recipe::builtin(recipe_for(preset.name)).unwrap();
        assert_eq!(recipe.net, preset.name);
    }
    assert_eq!(recipe_for("alexnet"), "paper");
    assert_eq!(recipe_for("one of my own"), "paper");
    let message = Recipe::builtin("papre").unwrap_err().to_string();
    assert!(message.starts_with("no recipe is called `papre`; there are paper, alexnet-2012, "), "{message}");
}

const GOOD: &str = r#"net = "cifar-80sec"
batch = 128
micro_batch = 32
epochs = 10
momentum = 0.9
decay = 0.004

[schedule]
rate = 0.001
step = [{ epoch = 8, factor = 0.1 }, { epoch = 9, factor = 0.5 }]

[[layers]]
name = "conv1"
rate = 0.0
from_epoch = 3

[evaluation]
views = 10

[checkpoints]
keep_last = 3

[preprocessing]
stored = 32
"#;

#[test]
fn what_is_not_told_has_a_default() {
    let recipe = Recipe::from_toml(GOOD).unwrap();
    assert_eq!((recipe.seed, recipe.form, recipe.dropout, recipe.one_batch), (1, UpdateForm::RateInside, true, false));
    assert_eq!((recipe.evaluation.every_epochs, recipe.checkpoints.keep_best, recipe.micro()), (1, true, 32));
    assert_eq!(recipe.total_steps(7), 70);
    let plain = GOOD.replace("step = [{ epoch = 8, factor = 0.1 }, { epoch = 9, factor = 0.5 }]", "");
    assert_eq!(Recipe::from_toml(&plain).unwrap().schedule.curve, Curve::Constant);
}

/// Replaces one piece of a good recipe and gives the error's line, column and message.
fn fault(from: &str, to: &str) -> (usize, usize, String) {
    assert!(GOOD.contains(from), "{from}");
    match Recipe::from_toml(&GOOD.replacen(from, to, 1)) {
        Err(Error::Text { line, column, message }) => {
            assert_eq!(message.lines().count(), 1, "{message}");
            (line, column, message)
        }
        other => panic!("{to}: {other:?}"),
    }
}

#[test]
fn every_mistake_has_its_line_and_column() {
    let cases = [
        ("batch = 128", "batch = 0", 2, 9, "`batch`: a batch has 1 to 1,048,576 images"),
        ("batch = 128", "batch = -1", 2, 9, "invalid value"),
        ("batch = 128", "batch = 1.5", 2, 9, "invalid type: floating point `1.5`"),
        ("batch = 128", "batch = 128\nbatches = 3", 3, 1, "unknown field `batches`"),
        ("batch = 128", "batch 128", 2, 7, ""),
        ("micro_batch = 32", "micro_batch = 129", 3, 15, "no larger than the batch"),
        ("epochs = 10", "epochs = 0", 4, 10, "at least one epoch"),
        ("epochs = 10", "epochs = 10\nsteps = 4", 5, 9, "both `epochs` and `steps`"),
        ("epochs = 10", "", 1, 7, "neither `epochs` nor `steps`"),
        ("momentum = 0.9", "momentum = 1.0", 5, 12, "the momentum lies in [0, 1)"),
        ("momentum = 0.9", "momentum = nan", 5, 12, "the momentum lies in [0, 1)"),
        ("decay = 0.004", "decay = -0.1", 6, 9, "at least 0"),
        ("decay = 0.004", "decay = inf", 6, 9, "at least 0"),
        ("rate = 0.001", "rate = -0.001", 9, 8, "`schedule.rate`: a rate is a number of at least 0"),
        ("rate = 0.001", "rate = 0.001\nlinear = {}", 8, 1, "a schedule has one curve, not both `step` and `linear`"),
        ("rate = 0.001", "rate = 0.001\nwarmup = { from = 0.5 }", 10, 10, "in `steps` or in `epochs`"),
        ("rate = 0.001", "rate = 0.001\nwarmup = { steps = 3, from = 2 }", 10, 30, "a factor in [0, 1]"),
        ("factor = 0.1 }", "factor = -1 }", 10, 31, "a factor is a number of at least 0"),
        ("epoch = 9", "epoch = 8", 10, 48, "the epochs of a step schedule rise"),
        ("rate = 0.0\n", "rate = -1\n", 14, 8, "`layers.0.rate`: a factor is a number of at least 0"),
        ("views = 10", "views = 9", 18, 9, "1 view or 10"),
        ("keep_last = 3", "keep_last = 0", 21, 13, "at least the newest"),
        ("stored = 32", "stored = \"x\"", 24, 10, "invalid type: string \"x\""),
        ("stored = 32", "stored = 32\nfit = \"cut\"", 25, 7, "unknown variant `cut`"),
    ];
    for (from, to, line, column, part) in cases {
        let (at_line, at_column, message) = fault(from, to);
        assert_eq!((at_line, at_column), (line, column), "{to}: {message}");
        assert!(message.contains(part), "{to}: {message}");
    }
    let step = "step = [{ epoch = 8, factor = 0.1 }, { epoch = 9, factor = 0.5 }]";
    let curves = [
        ("plateau = { factor = 1.5, times = 3, patience = 1 }", 22, "between 0 and 1"),
        ("plateau = { factor = 0.1, times = 3, patience = 0 }", 49, "at least one evaluation"),
        ("polynomial = { power = 0 }", 24, "above 0"),
        ("cosine = { to = -1 }", 17, "at least 0"),
        ("dexp = { target_factor = 0, steps = 4 }", 26, "above 0"),
        ("dexp = { target_factor = 10, steps = 1 }", 38, "at least 2 steps"),
    ];
    for (curve, column, part) in curves {
        let (line, at_column, message) = fault(step, curve);
        assert_eq!((line, at_column), (10, column), "{curve}: {message}");
        assert!(message.contains(part), "{curve}: {message}");
    }
}

#[test]
fn a_plateau_needs_evaluations() {
    let text = GOOD
        .replace(
            "step = [{ epoch = 8, factor = 0.1 }, { epoch = 9, factor = 0.5 }]",
            "plateau = { factor = 0.1, times = 3, patience = 1 }",
        )
        .replace("views = 10", "every_epochs = 0");
    let Err(Error::Text { line, column, message }) = Recipe::from_toml(&text) else { panic!() };
    assert_eq!((line, column), (10, 11), "{message}");
}

#[test]
fn a_recipe_that_does_not_fit_names_its_key() {
    let recipe = Recipe::from_toml(GOOD).unwrap();
    let message = recipe.fits(&Net::preset("alexnet").unwrap()).unwrap_err().to_string();
    assert!(message.starts_with("recipe, `preprocessing`: "), "{message}");
    let mut recipe = recipe;
    recipe.layers[0].name = "conv9".into();
    let message = recipe.fits(&Net::preset("cifar-80sec").unwrap()).unwrap_err().to_string();
    assert_eq!(message, "recipe, `layers`: net `cifar-80sec` has no layer `conv9` with parameters");
}

#[test]
fn the_net_of_a_recipe_has_the_classes_asked_for_and_no_dropout_if_it_says_so() {
    let recipe = Recipe::builtin("overfit-one-batch").unwrap();
    let net = recipe.net_for(None, 7).unwrap();
    assert_eq!(net.classes(), 7);
    assert!(net.layers().iter().all(|layer| layer.op.kind() != "dropout"));
    let whole = Recipe::builtin("paper").unwrap().net_for(None, 7).unwrap();
    assert!(whole.layers().iter().any(|layer| layer.op.kind() == "dropout"));
    let params = |net: &Net| net.params().iter().map(|p| (p.name.clone(), p.shape.clone())).collect::<Vec<_>>();
    assert_eq!(params(&net), params(&whole));
}
