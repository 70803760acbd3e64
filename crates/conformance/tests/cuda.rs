//! The suite on the GPU engine, whose kernels an emulated device executes thread by thread: in f32, where its bounds are those of every
//! engine.

use std::path::PathBuf;

use conformance::{Keep, OPS, Prepare, Report, Subject, contract, nets, no_tiles, ops, same_bits, training};
use cuda::emulator::{self, Options};
use net::{Executor, Form, Mode, Net, Precision};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("alexnet/emulated")
}

fn engine(seed: u64, workers: usize) -> Box<Prepare<'static>> {
    Box::new(move |net: &Net, batch: usize, mode: Mode, keep: Keep| {
        let inspect = keep == Keep::Everything;
        let options =
            Options { precision: Precision::F32, inspect, keep: None, unrecorded: false, seed, workers, folder: folder() };
        let exec = emulator::prepare(net, batch, mode, &options).map_err(|error| error.to_string())?;
        Ok(Box::new(exec) as Box<dyn Executor>)
    })
}

/// The same under sanitizers.
fn sanitized(net: &Net, batch: usize, mode: Mode, keep: Keep) -> Result<Box<dyn Executor>, String> {
    let inspect = keep == Keep::Everything;
    let options =
        Options { precision: Precision::F32, inspect, keep: None, unrecorded: false, seed: 4, workers: 1, folder: folder() };
    let exec = emulator::prepare_sanitized(net, batch, mode, &options).map_err(|error| error.to_string())?;
    Ok(Box::new(exec))
}

/// Whether there is a device; where not, the test is skipped, aloud.
fn is_there() -> bool {
    let Err(reason) = emulator::available(&folder()) else { return true };
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|value| value != "1"), "skipped: {reason}");
    // Past the test runner, which keeps to itself what passing tests print.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
    false
}

fn passes(report: &Report) {
    match report.verdict(false) {
        Ok(text) => println!("{text}"),
        Err(text) => panic!("{text}"),
    }
}

fn with_device(suite: impl Fn(&Subject<'_>) -> Report) {
    if is_there() {
        passes(&suite(&Subject { name: "cuda, emulated", prepare: &*engine(1, 2), tiles: &no_tiles, cannot: &[] }));
    }
}

#[test]
fn every_op() {
    with_device(|subject| ops(subject, OPS));
}

#[test]
fn the_contract() {
    with_device(contract);
}

#[test]
fn small_nets() {
    with_device(|subject| nets(subject, &["tiny"], 2));
}

#[test]
fn no_order_of_threads_changes_a_bit() {
    if is_there() {
        let engines = [engine(1, 1), engine(2, 2), engine(3, 1)];
        let subject = |prepare| Subject { name: "cuda, emulated", prepare, tiles: &no_tiles, cannot: &[] };
        let subjects: Vec<Subject<'_>> = engines.iter().map(|prepare| subject(&**prepare)).collect();
        passes(&same_bits(&subjects, &["tiny"], 3));
    }
}

#[test]
fn ten_steps_of_training() {
    with_device(|subject| {
        let mut report = Report::new("cuda, emulated");
        training(std::slice::from_ref(subject), &["tiny"], Form::RateOutside, 4)
            .into_iter()
            .for_each(|found| report.merge(found));
        report
    });
}

#[test]
fn sanitizers_find_nothing_in_small_nets() {
    if is_there() {
        passes(&nets(&Subject { name: "cuda, sanitized", prepare: &sanitized, tiles: &no_tiles, cannot: &[] }, &["tiny"], 2));
    }
}

#[test]
fn sanitizers_find_nothing_in_any_op() {
    if is_there() {
        passes(&ops(&Subject { name: "cuda, sanitized", prepare: &sanitized, tiles: &no_tiles, cannot: &[] }, OPS));
    }
}
