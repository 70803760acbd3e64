//! The suite on the CPU engine: with every instruction set that this machine has, on one thread and on several.

mod planned;

use conformance::{Keep, LayerTiles, OPS, Prepare, Report, Skipped, Subject, Tiles, contract, nets, ops, same_bits, training};
use cpu::{Isa, Options};
use net::{Executor, Form, Mode, Net, PRESETS};
use planned::{planned, tiles, tiles_of};

/// Presets whose images have more than 100 rows: compared one image at a time, with the highest instruction set only.
fn is_large(name: &str) -> bool {
    Net::preset(name).expect("a preset").input().h > 100
}

fn presets(large: bool) -> Vec<&'static str> {
    PRESETS.iter().map(|preset| preset.name).filter(|name| is_large(name) == large).collect()
}

fn engine(isa: Isa, threads: usize) -> Box<Prepare<'static>> {
    Box::new(move |net: &Net, batch: usize, mode: Mode, keep: Keep| {
        let options = Options { isa: Some(isa), threads: Some(threads), inspect: keep == Keep::Everything, ..Options::default() };
        let exec = cpu::prepare(net, batch, mode, &options).map_err(|error| error.to_string())?;
        Ok(Box::new(exec) as Box<dyn Executor>)
    })
}

/// Runs a suite with every instruction set; the ones that are missing are skips of the first report.
fn with_every_isa(suite: impl Fn(&Subject<'_>) -> Report) {
    let mut report = Report::new("cpu");
    for isa in Isa::ALL {
        let name = format!("cpu, {isa}, 2 threads");
        if isa.available() {
            let found = suite(&Subject { name: &name, prepare: &*engine(isa, 2), tiles: &tiles, cannot: &[] });
            println!("{found}");
            report.merge(found);
        } else {
            report.skipped.push(Skipped { case: name, reason: format!("this CPU has no {isa}") });
        }
    }
    passes(&report);
}

fn passes(report: &Report) {
    let skips = std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|value| value != "1");
    for Skipped { case, reason } in &report.skipped {
        // Past the test runner, which keeps to itself what passing tests print.
        let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {case}: {reason}\n").as_bytes());
    }
    match report.verdict(skips) {
        Ok(text) => println!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

#[test]
fn a_plan_says_where_tiles_are() {
    let net = Net::preset("alexnet-2012").expect("a preset");
    let plan = "\
net alexnet-2012, 64 images, Train, avx512, 16 threads, arena 1000.0 MiB
layer      op          pass     algorithm                  MFLOP/image    own MiB  why
conv1      conv        forward  winograd F(4×4, 3×3) folded      210.830       3.10  3.0 times fewer multiplications
                       weight   winograd F(4×4, 3×3) folded      210.830       3.10
                       data     implicit product              210.830       0.00
relu1      relu        forward  in conv1                        0.290       0.00
conv2      conv        forward  implicit product              447.898       2.00  winograd costs more
                       weight   winograd F(4×4, 5×5)          447.898       2.00  4.0 times fewer multiplications
                       data     winograd F(4×4, 5×5)          447.898       2.00
conv3      conv        forward  winograd F(4×4, 3×3)          299.041       2.00
total                                                        1000.000";
    let all = planned(&net, plan);
    let at = |name: &str| all[net.layer_index(name).expect("a layer")];
    let (plain, folded) = (Some(Tiles { m: 4, fold: 1 }), Some(Tiles { m: 4, fold: 4 }));
    assert_eq!(at("conv1"), LayerTiles { forward: folded, weight: folded, data: None });
    assert_eq!(at("conv2"), LayerTiles { forward: None, weight: plain, data: plain });
    assert_eq!(at("conv3"), LayerTiles { forward: plain, ..LayerTiles::default() });
    assert_eq!(all.iter().filter(|&&tiles| tiles != LayerTiles::default()).count(), 3);
    let conv3 = &net.layers()[net.layer_index("conv3").expect("a layer")].op;
    for unknown in ["F(4×4, 5×5)", "F(4×4, 3×3) folded", "F(4×3, 3×3)", "G(4, 3)", "1.0"] {
        assert_eq!(tiles_of(conv3, &unknown.split(' ').collect::<Vec<_>>()), None, "{unknown}");
    }
}

#[test]
fn a_plan_of_the_engine_is_understood() {
    let net = Net::preset("cifar-13pct").expect("a preset");
    let exec = engine(Isa::detect(), 2)(&net, 2, Mode::Train, Keep::Everything).expect("an executor");
    let (plan, all) = (exec.plan(), planned(&net, &exec.plan()));
    let read: usize = all.iter().map(|t| [t.forward, t.weight, t.data].iter().flatten().count()).sum();
    assert_eq!(read, plan.matches("winograd F(").count(), "{plan}");
    assert!(all.iter().any(|tiles| tiles.forward.is_some()), "no tiles:\n{plan}");
}

#[test]
fn every_op() {
    with_every_isa(|subject| ops(subject, OPS));
}

#[test]
fn the_contract() {
    with_every_isa(contract);
}

#[test]
fn small_nets() {
    with_every_isa(|subject| nets(subject, &presets(false), 2));
}

#[test]
fn batches_of_many_images() {
    with_every_isa(|subject| {
        let mut report = nets(subject, &["tiny"], 131);
        report.merge(nets(subject, &["cifar-80sec"], 17));
        report
    });
}

#[test]
fn large_nets() {
    let isa = Isa::detect();
    let name = format!("cpu, {isa}, 2 threads");
    passes(&nets(&Subject { name: &name, prepare: &*engine(isa, 2), tiles: &tiles, cannot: &[] }, &presets(true), 1));
}

type Named = (String, Box<Prepare<'static>>);

fn named(isa: Isa, threads: usize) -> Named {
    (format!("cpu, {isa}, {threads} threads"), engine(isa, threads))
}

fn subjects(engines: &[Named]) -> Vec<Subject<'_>> {
    engines.iter().map(|(name, prepare)| Subject { name, prepare: &**prepare, tiles: &tiles, cannot: &[] }).collect()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let same = |isa: Isa, threads: &[usize], names: &[&str], n: usize| {
        let engines: Vec<Named> = threads.iter().map(|&threads| named(isa, threads)).collect();
        passes(&same_bits(&subjects(&engines), names, n));
    };
    Isa::ALL.into_iter().filter(|isa| isa.available()).for_each(|isa| same(isa, &[1, 2, 3], &presets(false), 3));
    same(Isa::detect(), &[1, 2], &["alexnet-2012"], 1);
}

#[test]
fn ten_steps_of_training() {
    let engines: Vec<Named> = Isa::ALL.into_iter().filter(|isa| isa.available()).map(|isa| named(isa, 2)).collect();
    let subjects = subjects(&engines);
    training(&subjects, &["tiny"], Form::RateOutside, 4).iter().for_each(passes);
    // One image a step where the oracle is slow, or where many rectifiers stand close to their kinks.
    let (single, pairs): (Vec<_>, Vec<_>) =
        presets(false).into_iter().partition(|name| ["cifar-13pct", "cifar-11pct", "cifar-19pct", "scenes"].contains(name));
    training(&subjects, &pairs, Form::RateInside, 2).iter().for_each(passes);
    training(&subjects, &single, Form::RateInside, 1).iter().for_each(passes);
}
