//! Nets, recipes and options that cannot be meant: exit code 2, with line and column where there is a text.

use crate::support::{NET, Place, RECIPE, alexnet, contains};

/// Trains with a net or recipe in which `from` is replaced by `to`; the error must contain all of `parts`.
fn train_with(file: &str, text: &str, from: &str, to: &str, parts: &[&str]) {
    assert!(text.contains(from), "{from}");
    let place = Place::new();
    place.write(file, text.replacen(from, to, 1));
    let error = place.train("run").fails(2);
    contains(&error, parts);
    assert!(!place.path("run").exists(), "nothing is left behind by a command that was not understood");
}

#[test]
fn a_net_with_an_unknown_key() {
    train_with("net.toml", NET, "relu = {}", "rleu = {}", &["net.toml: line 11, column ", "unknown field `rleu`"]);
}

#[test]
fn a_net_with_a_wrong_type() {
    train_with("net.toml", NET, "k = 8", "k = \"eight\"", &["net.toml: line 7, column 14", "invalid type"]);
}

#[test]
fn a_net_of_an_impossible_shape() {
    train_with("net.toml", NET, "kernel = 3, padding = 1", "kernel = 30", &["net.toml: line 5, column 1", "`conv1`"]);
}

#[test]
fn a_net_that_is_no_toml() {
    train_with("net.toml", NET, "[[layer]]", "[[layer", &["net.toml: line 5, column "]);
}

#[test]
fn a_recipe_with_an_unknown_key() {
    train_with("recipe.toml", RECIPE, "momentum", "momentun", &["recipe.toml: line 6, column 1", "unknown field `momentun`"]);
}

#[test]
fn a_recipe_with_a_wrong_type() {
    train_with("recipe.toml", RECIPE, "batch = 6", "batch = \"six\"", &["recipe.toml: line 3, column 9", "invalid type"]);
}

#[test]
fn a_recipe_with_an_impossible_value() {
    train_with("recipe.toml", RECIPE, "momentum = 0.9", "momentum = 1.5", &["recipe.toml: line 6, column 12", "momentum"]);
}

#[test]
fn a_recipe_whose_images_are_smaller_than_the_net() {
    train_with("recipe.toml", RECIPE, "stored = 10", "stored = 4", &["preprocessing", "stored = 4"]);
}

#[test]
fn names_that_do_not_exist() {
    contains(&alexnet!("describe", "--net", "alexnot").fails(2), &["`alexnot`", "alexnet-2012"]);
    contains(&alexnet!("train", "--net", "alexnot").fails(2), &["`alexnot`"]);
    contains(&alexnet!("train", "--recipe", "papr").fails(2), &["`papr`", "paper"]);
    contains(&alexnet!("recipe", "papr").fails(2), &["`papr`", "paper"]);
    contains(&alexnet!("describe", "--net", "none.toml").fails(2), &["none.toml"]);
    contains(&alexnet!("train", "--recipe", "none.toml").fails(2), &["none.toml"]);
    contains(&alexnet!("plan").env("ALEXNET_ISA", "mmx").fails(2), &["ALEXNET_ISA", "`mmx`"]);
}

#[test]
fn options_that_cannot_be() {
    for (option, value) in [
        ("--epochs", "0"),
        ("--batch", "none"),
        ("--rate", "-1"),
        ("--threads", "0"),
        ("--val-fraction", "1.5"),
        ("--bad-images", "ignore"),
        ("--views", "3"),
        ("--freeze", "conv99"),
    ] {
        let error = alexnet!("train").and([format!("{option}={value}")]).fails(2);
        assert!(error.contains(option) || error.contains(value), "{option}: {error}");
    }
    alexnet!("train", "--colour").fails(2);
    alexnet!("learn").fails(2);
    alexnet!("predict", "--weights", "x").fails(2);
}
