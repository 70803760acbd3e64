//! Stopping a run in every way, and going on.

use std::fs;
use std::path::Path;

use crate::checkpoints::newest;
use crate::support::{Place, alexnet, contains};

/// The final weights of a run, byte for byte.
fn weights(run: &Path) -> Vec<u8> {
    fs::read(newest(run).join("weights.safetensors")).expect("the run has weights")
}

/// A run long enough to be stopped: some hundred steps.
const EPOCHS: &str = "60";

fn steps(run: &Path) -> usize {
    let text = fs::read_to_string(run.join("events.jsonl")).unwrap_or_default();
    text.lines().filter(|line| line.contains("\"event\":\"step\"")).count()
}

/// The lines of an event file that do not tell of time.
fn numbers(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("events.jsonl")).expect("the run has events");
    let strip = |line: &str| -> Option<String> {
        let mut event: serde_json::Value = serde_json::from_str(line).expect("every line is JSON");
        let fields = event.as_object_mut().expect("every event is an object");
        let kept = ["step", "evaluated"].contains(&fields["event"].as_str().expect("every event has a name"));
        for timing in ["seconds", "wait_seconds"] {
            fields.remove(timing);
        }
        kept.then(|| event.to_string())
    };
    text.lines().filter_map(strip).collect()
}

#[test]
fn a_run_killed_at_any_step_and_resumed_ends_as_if_never_killed() {
    let place = Place::new();
    let train = |run: &str| place.train(run).and(["--epochs", EPOCHS]);
    train("whole").ok();
    let (expected, events) = (weights(&place.path("whole")), numbers(&place.path("whole")));
    // Steps within an epoch of four, at its end, and before the first checkpoint.
    for (kill_after, threads) in [(1, "1"), (57, "3"), (120, "2")] {
        let run = format!("killed-{kill_after}");
        let mut child = train(&run).start(&place.path(""));
        child.until("some steps", || steps(&place.path(&run)) >= kill_after);
        child.kill();
        let reached = steps(&place.path(&run));
        assert!(reached < 4 * 60, "the run was over before it could be killed");
        alexnet!("train", "--threads", threads, "--loader-threads", threads, "--resume", place.path(&run)).ok();
        assert_eq!(weights(&place.path(&run)), expected, "killed at step {reached}, resumed with {threads} threads");
        assert_eq!(numbers(&place.path(&run)), events, "no event is lost or told twice");
    }
}

#[test]
#[cfg(unix)]
fn one_interrupt_writes_a_checkpoint_and_the_run_goes_on_from_it() {
    let place = Place::new();
    let train = |run: &str| place.train(run).and(["--epochs", EPOCHS]);
    train("whole").ok();
    let mut child = train("run").start(&place.path(""));
    child.until("some steps", || steps(&place.path("run")) >= 10);
    child.signal("INT");
    let ran = child.finish();
    assert_eq!(ran.code, Some(130), "{ran}");
    contains(&ran.out, &["stopped after step", "--resume"]);
    contains(&fs::read_to_string(place.path("run/events.jsonl")).unwrap(), &["\"event\":\"interrupted\""]);
    assert!(ran.err.lines().all(|line| !line.starts_with("error:")), "{ran}");
    alexnet!("train", "--resume", place.path("run")).ok();
    assert_eq!(weights(&place.path("run")), weights(&place.path("whole")));
    assert_eq!(numbers(&place.path("run")), numbers(&place.path("whole")));
}

#[test]
#[cfg(unix)]
fn a_second_interrupt_leaves_at_once() {
    let place = Place::new();
    let mut child = place.train("run").and(["--epochs", "1000000"]).start(&place.path(""));
    child.until("some steps", || steps(&place.path("run")) >= 2);
    child.signal("INT");
    child.signal("INT");
    let ran = child.finish();
    assert_eq!(ran.code, Some(130), "{ran}");
    // Whatever it left, the run goes on.
    let before = steps(&place.path("run"));
    let mut resumed = alexnet!("train", "--resume", place.path("run")).start(&place.path(""));
    resumed.until("the run to go on", || steps(&place.path("run")) > before);
    resumed.kill();
}
