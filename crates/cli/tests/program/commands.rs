//! Every command as it is meant to be used.

use std::fs;
use std::process::Stdio;

use crate::support::{Place, alexnet, contains};

const COMMANDS: [&str; 12] = [
    "train",
    "evaluate",
    "predict",
    "features",
    "similar",
    "describe",
    "convert",
    "plan",
    "bench",
    "recipe",
    "doctor",
    "completions",
];

#[test]
fn every_help_has_examples() {
    contains(&alexnet!("--help").ok().out, &["Examples:", "ALEXNET_ISA", "ALEXNET_CUDA"]);
    for command in COMMANDS {
        contains(&alexnet!(command, "--help").ok().out, &["Examples:\n  alexnet "]);
    }
}

#[test]
fn every_example_is_a_command_that_parses() {
    for command in COMMANDS.map(Some).into_iter().chain([None]) {
        let help = alexnet!().and(command).and(["--help"]).ok().out;
        let examples = help.split("Examples:\n").nth(1).expect("there are examples");
        for example in examples.lines().filter_map(|line| line.trim().strip_prefix("alexnet ")) {
            // What stands behind several spaces, `>` or `|` is no argument.
            let line = example.split("  ").next().unwrap_or("").split(" > ").next().unwrap_or("");
            let args: Vec<String> = line.split_whitespace().map(|arg| arg.trim_matches('\'').into()).collect();
            let ran = alexnet!("help").and(args.first().cloned()).ok();
            for option in args.iter().filter(|arg| arg.starts_with("--")) {
                assert!(ran.out.contains(option.as_str()), "`alexnet {example}`: there is no {option}");
            }
        }
    }
}

/// What is open about other programs' files has a heading of its own, and nothing else stands under it.
#[test]
fn options_stand_under_their_headings() {
    for command in ["train", "evaluate", "predict", "features", "similar", "describe", "convert"] {
        let help = alexnet!(command, "--help").ok().out;
        let others = help.split("\nFiles of other programs:\n").nth(1).expect("there is the heading");
        let others = others.split("\n\n").next().unwrap();
        let options: Vec<_> = others.split_whitespace().filter(|word| word.starts_with("--") || word.starts_with('[')).collect();
        assert_eq!(options, ["--preset", "--mean", "--classes"], "{help}");
    }
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        contains(&alexnet!("completions", shell).ok().out, &COMMANDS);
    }
}

#[test]
fn every_preset_is_described_and_reads_back() {
    let list = alexnet!("describe", "--list").ok().out;
    let place = Place::new();
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let table = alexnet!("describe", "--net", name).ok().out;
        contains(&table, &["multiply-adds", "total"]);
        place.write("copy.toml", alexnet!("describe", "--net", name, "--toml").ok().out);
        assert_eq!(alexnet!("describe", "--net", place.path("copy.toml")).ok().out, table);
    }
}

#[test]
fn every_recipe_prints() {
    let list = alexnet!("recipe").ok().out;
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        contains(&alexnet!("recipe", name).ok().out, &["[preprocessing]", "batch = "]);
    }
}

#[test]
fn a_plan_tells_the_layers_and_obeys_the_environment() {
    let plan = |isa: &str| alexnet!("plan", "--net", "cifar-80sec", "--batch", "4").env("ALEXNET_ISA", isa).ok().out;
    contains(&plan("portable"), &["conv1", "portable"]);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_alexnet"))
        .args(["describe", "--net", "alexnet-2012", "--toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn training_evaluating_and_predicting() {
    let place = Place::new();
    let ran = place.train("run").and(["--epochs", "30"]).ok();
    contains(
        &ran.out,
        &["net     dwarf", "3 classes, 24 training and 12 validation images", "top-1 err", "final", "best", "next:"],
    );
    assert_eq!(ran.err, "", "a run without trouble warns of nothing");
    for file in ["net.toml", "recipe.toml", "plan.txt", "run.json", "events.jsonl", "metrics.csv", "curves.svg"] {
        assert!(fs::metadata(place.path("run").join(file)).is_ok_and(|m| m.len() > 0), "{file} is missing or empty");
    }
    let csv = fs::read_to_string(place.path("run/metrics.csv")).unwrap();
    assert_eq!(csv.lines().count(), 31, "a header and a row an epoch:\n{csv}");
    let evaluate = || alexnet!("evaluate", "--weights", place.path("run"), "--data", place.path("photos"));
    let ran = evaluate().and(["--csv"]).and([place.path("tables")]).ok();
    contains(&ran.out, &["images", "12", "top-1 error  0.00 %", "12 of 12", "mean NLL", "centre crop"]);
    contains(&fs::read_to_string(place.path("tables/per-class.csv")).unwrap(), &["Red,4", "7 green,4", "blue,4"]);
    contains(&fs::read_to_string(place.path("tables/confusion.csv")).unwrap(), &["4"]);
    let result: serde_json::Value = serde_json::from_str(&evaluate().and(["--json", "--views", "10"]).ok().out).unwrap();
    assert_eq!((&result["images"], &result["views"], &result["top1_correct"]), (&12.into(), &10.into(), &12.0.into()));
    let scene = alexnet!("predict", "--weights", place.path("run"), "scenes/val/00003").ok().out;
    let scene: serde_json::Value = serde_json::from_str(&scene).unwrap();
    assert!(scene["image"] == "scenes/val/00003" && scene["truth"].is_string(), "{scene}");
    place.write("photos/broken.jpg", "no picture");
    let pattern = place.path("photos/val/*/1.bmp");
    let ran = alexnet!(
        "predict",
        "--weights",
        place.path("run"),
        place.path("photos/broken.jpg"),
        pattern,
        place.path("photos/val/blue")
    );
    let ran = ran.run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["1 image could not be read"]);
    contains(&ran.err, &["broken.jpg"]);
    let lines: Vec<serde_json::Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 7, "three by pattern and four in the folder:\n{ran}");
    assert!(lines[3..].iter().all(|line| line["top"][0]["class"] == "blue"), "{ran}");
}

#[test]
fn evaluation_does_not_depend_on_batch_or_threads() {
    let place = Place::new();
    place.train("run").ok();
    let evaluate = |args: &[&str]| {
        let program = alexnet!("evaluate", "--json", "--weights", place.path("run"), "--data", place.path("photos"));
        program.and(args.iter().copied()).ok().out
    };
    let expected = evaluate(&[]);
    for args in [&["--batch", "1"][..], &["--batch", "5", "--threads", "3"], &["--loader-threads", "3", "--threads", "1"]] {
        assert_eq!(evaluate(args), expected, "{args:?}");
    }
}

#[test]
fn data_that_has_changed_since_the_run_began_is_noticed() {
    let place = Place::new();
    place.train("run").ok();
    fs::remove_file(place.path("photos/train/blue/3.bmp")).unwrap();
    let ran = alexnet!("train", "--resume", place.path("run")).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["does not fit"]);
}

#[test]
fn options_change_the_recipe_that_is_kept() {
    let place = Place::new();
    let options = ["--epochs", "2", "--batch", "8", "--micro-batch", "3", "--rate", "0.0005", "--seed", "99", "--views", "10"];
    place.train("run").and(options).and(["--freeze", "conv1", "--memorise"]).ok();
    let recipe = fs::read_to_string(place.path("run/recipe.toml")).unwrap();
    contains(&recipe, &["epochs = 2", "batch = 8", "micro_batch = 3", "rate = 0.0005", "seed = 99", "views = 10", "conv1"]);
}

#[test]
fn a_run_remembers_its_data_and_how_it_was_read() {
    let place = Place::new();
    fs::remove_dir_all(place.path("photos/val")).unwrap();
    place.write("photos/train/blue/broken.jpg", "no picture");
    place.train("run").and(["--val-fraction", "0.4", "--bad-images", "skip"]).ok();
    let evaluate =
        |args: &[&str]| alexnet!("evaluate", "--json", "--weights", place.path("run")).and(args.iter().copied()).ok().out;
    let remembered = evaluate(&[]);
    let told = alexnet!("evaluate", "--json", "--weights", place.path("run"), "--data", place.path("photos"));
    assert_eq!(remembered, told.and(["--val-fraction", "0.4", "--bad-images", "skip"]).ok().out);
    assert_ne!(remembered, evaluate(&["--val-fraction", "0.1"]), "what is given now counts");
    alexnet!("train", "--resume", place.path("run")).ok();
}

#[test]
fn the_candidates_of_convolutions_are_timed() {
    let plan = alexnet!("plan", "--net", "cifar-80sec", "--batch", "2", "--measure").ok().out;
    contains(&plan, &["by count tiles", "tiles, ms", "product, ms"]);
    let table = plan.split("beside the best").nth(1).expect("a table");
    for layer in ["conv1 ", "conv2 ", "conv3 "] {
        assert_eq!(table.lines().filter(|line| line.starts_with(layer)).count(), 1, "{layer}:\n{plan}");
    }
}

#[test]
fn data_info_says_what_a_path_is_read_as() {
    let place = Place::new();
    place.write("lists/train.txt", "a.bmp 0\nb.bmp 1\n");
    place.write("lists/val.txt", "a.bmp 0\n");
    place.write("lists/labels.txt", "cat\ndog\n");
    let out = alexnet!("data", "info", place.path("lists")).ok().out;
    assert_eq!(out, "lists: lists of paths and labels, 2 classes\ntrain   2 images\nval     1 image\n");
    contains(&alexnet!("data", "info", place.path("lists"), "--json").ok().out, &[r#""layout":"lists of paths and labels""#]);
    let refused = |path: &str, expected: &[&str]| {
        let ran = alexnet!("data", "info", place.path(path)).run();
        assert_eq!(ran.code, Some(1), "{ran}");
        ran.error();
        contains(&ran.err, expected);
    };
    place.write("set.zip", b"PK\x03\x04");
    refused("set.zip", &["it is a file, a zip archive", "hint: unpack it, `unzip "]);
    place.write("odd/x.csv", "");
    refused("odd", &["it holds 1 file and no folders: 1 .csv", "CIFAR-10", "`path label`"]);
    place.write("high/photos/train/cat/1.bmp", "BM");
    refused("high", &["class `photos` has no images", "give that one, such as ", "high/photos; else put images"]);
    refused("high/photos/train/cat", &["1 image and no class folders", "a part of a data set, give the folder of all of it"]);
    place.write("lists/train.txt", "a.bmp 0\nb.bmp\n");
    refused("lists", &["train.txt:2: expected `path label`", "hint: correct that line"]);
}
