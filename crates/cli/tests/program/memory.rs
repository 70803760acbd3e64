//! Where memory is short: the process is given little address space.

use std::fs;

use crate::support::{Place, Program, RECIPE, alexnet, contains};

/// The number before `MiB` after `start`.
fn mib_after(start: &str, text: &str) -> u64 {
    let rest = text.split(start).nth(1).unwrap_or_else(|| panic!("`{start}` is missing in: {text}"));
    let number = rest.split(" MiB").next().unwrap_or("").replace(',', "");
    number.parse().unwrap_or_else(|_| panic!("no MiB follow `{start}` in: {text}"))
}

/// A limit under which `program` lacks an eighth of what it needs, found by trying `limit`, which is much too small.
fn tight(program: Program, limit: u64) -> u64 {
    let error = program.limited_to(limit).fails(1);
    let (need, available) = (mib_after("needs ", &error), mib_after("MiB, ", &error));
    limit - available + need - need / 8
}

#[test]
fn a_run_that_does_not_fit_says_what_does_and_auto_takes_it() {
    let place = Place::new();
    let recipe = RECIPE.replace("batch = 6", "batch = 16384").replace("epochs = 3", "epochs = 1");
    place.write("recipe.toml", recipe);
    let train = || place.train("run").and(["--loader-threads", "1"]);
    let limit = tight(train(), 300);
    let ran = train().limited_to(limit).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["`dwarf` with 16,384 images in a pass needs", "are available", "images fit"]);
    contains(&ran.err, &["hint: `--micro-batch ", "`--batch auto`"]);
    assert!(!place.path("run").exists(), "nothing is written");
    let ran = train().and(["--batch", "auto"]).limited_to(limit).ok();
    contains(&ran.out, &["batch 16384 in passes of ", "note: each step of 16384 images is made of "]);
    let kept = fs::read_to_string(place.path("run/recipe.toml")).unwrap();
    let passes = kept.lines().find_map(|line| line.strip_prefix("micro_batch = ")).expect("a micro-batch");
    let images: usize = passes.parse().unwrap();
    assert!((1..16384).contains(&images) && 16384usize.is_multiple_of(images), "{images}");
}

#[test]
fn auto_changes_nothing_where_memory_is_plenty() {
    let place = Place::new();
    place.train("usual").ok();
    place.train("auto").and(["--batch", "auto"]).ok();
    for file in ["recipe.toml", "metrics.csv"] {
        let read = |run: &str| fs::read_to_string(place.path(run).join(file)).unwrap();
        let without_times =
            |text: String| text.lines().map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect::<Vec<_>>();
        assert_eq!(without_times(read("auto")), without_times(read("usual")), "{file}");
    }
}

#[test]
fn a_run_that_no_longer_fits_says_how_it_can_go_on() {
    let place = Place::new();
    place.write("recipe.toml", RECIPE.replace("batch = 6", "batch = 16384").replace("epochs = 3", "epochs = 1"));
    place.train("run").ok();
    let resume = || alexnet!("train", "--loader-threads", "1", "--threads", "2", "--resume", place.path("run"));
    let ran = resume().limited_to(tight(resume(), 300)).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.err, &["too little memory: `dwarf`", "set `micro_batch = ", "run/recipe.toml"]);
}

#[test]
fn plans_and_measurements_that_do_not_fit_say_what_does_and_auto_takes_it() {
    let plan = || alexnet!("plan", "--net", "cifar-80sec", "--threads", "2");
    let limit = tight(plan(), 40);
    let ran = plan().limited_to(limit).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["`cifar-80sec` with 128 images in a pass needs", "images fit"]);
    contains(&ran.err, &["hint: give `--batch ", "`--batch auto`"]);
    contains(&plan().and(["--batch", "auto"]).limited_to(limit).ok().out, &["net cifar-80sec, "]);
    let bench = || alexnet!("bench", "--net", "cifar-80sec", "--threads", "1", "--iters", "1", "--warmup", "0");
    contains(&bench().limited_to(300).fails(1), &["measuring the memory's speed needs 512 MiB"]);
    contains(&bench().and(["--batch", "auto"]).limited_to(1000).ok().out, &["training step of 128 images"]);
    contains(&bench().and(["--batch", "60000"]).limited_to(1000).fails(1), &["too little memory", "images fit"]);
}

#[test]
fn a_micro_batch_and_auto_exclude_each_other() {
    let place = Place::new();
    contains(&place.train("run").and(["--batch", "auto", "--micro-batch", "2"]).fails(2), &["--batch auto", "--micro-batch"]);
    assert!(!place.path("run").exists());
    contains(&place.train("run").and(["--batch", "all"]).fails(2), &["--batch"]);
}
