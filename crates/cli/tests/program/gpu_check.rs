//! `alexnet gpu-check`, in small, on a device that is this CPU.

use std::process::Command;

use serde_json::Value;

use crate::support::{Place, alexnet, contains, skip};

#[test]
fn it_goes_through_all_of_it() {
    if Command::new("g++").arg("--version").output().is_err() {
        skip("there is no g++ to build the emulated device's kernels with");
        return;
    }
    let place = Place::new();
    // Where the tests of the engine keep compiled kernels.
    let cache = env!("CARGO_TARGET_TMPDIR");
    let ran = alexnet!("gpu-check", "--emulated", "--out", place.path("check")).env("XDG_CACHE_HOME", cache).ok();
    contains(&ran.out, &["ok    suite: whole nets, f32"]);
    contains(&ran.out, &["ok    gradients of tiny without kinks, bf16"]);
    contains(&ran.out, &["PyTorch: not asked for: give --python"]);
    let text = std::fs::read_to_string(place.path("check/gpu-check.json")).unwrap();
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(report["passed"], true);
    // Three parts of the suite, gradients in four precisions, steps in two.
    assert_eq!(report["checks"].as_array().unwrap().len(), 3 + 4 + 2);
    let kernels = report["speed"]["kernels"].as_array().unwrap();
    assert!(kernels.iter().any(|kernel| kernel["kernel"] == "update" && kernel["microseconds"].as_f64() > Some(0.0)));
    assert_eq!(report["speed"]["rates"].as_array().unwrap().len(), 4);
}

#[test]
fn it_wants_a_gpu() {
    let place = Place::new();
    let error = alexnet!("gpu-check", "--device", "cpu", "--out", place.path("check")).fails(2);
    contains(&error, &["gpu-check is for GPUs"]);
    let error = alexnet!("gpu-check", "--device", "cuda:9", "--out", place.path("check")).fails(1);
    contains(&error, &["--device cuda:9"]);
    assert!(!place.path("check").exists(), "nothing was measured");
}
