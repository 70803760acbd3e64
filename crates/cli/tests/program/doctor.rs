//! `alexnet doctor`, `--device` and `--precision`, without a GPU: on stand-ins of NVIDIA's libraries, and with nothing.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Place, Program, alexnet, contains, skip};

/// Builds a library into the folder.
fn build(folder: &Path, name: &str, text: &str, options: &[&str]) {
    let source = folder.join(format!("{name}.c"));
    fs::write(&source, text).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-O1"]).args(options).arg("-o").arg(folder.join(name)).arg(source);
    let output = command.output().expect("cc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with stand-ins of the driver, which the options change, and of the compiler; `None` where nothing compiles C.
fn stand_ins(options: &[&str]) -> Option<tempfile::TempDir> {
    if Command::new("cc").arg("--version").output().is_err() {
        skip("there is no C compiler `cc` to build stand-ins of NVIDIA's libraries with");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    build(folder.path(), "libcuda.so.580.65.06", include_str!("../../../cuda/tests/stub/libcuda.c"), options);
    build(folder.path(), "libnvrtc.so.13", include_str!("../../../cuda/tests/stub/libnvrtc.c"), &[]);
    build(folder.path(), "libnvrtc-builtins.so.13.0", "int nothing;", &[]);
    #[cfg(unix)]
    std::os::unix::fs::symlink("libcuda.so.580.65.06", folder.path().join("libcuda.so.1")).unwrap();
    Some(folder)
}

fn with(program: Program, folder: &tempfile::TempDir) -> Program {
    program.env("ALEXNET_CUDA", folder.path().to_str().unwrap())
}

fn json(program: Program) -> Value {
    serde_json::from_str(&program.ok().out).expect("JSON")
}

const NO_DRIVER: &str = "libcuda.so.1 is not installed: it comes with NVIDIA's driver, of which 580 or newer is needed";

#[test]
fn nothing_to_be_found_is_said_and_no_failure() {
    let ran = alexnet!("doctor").ok();
    contains(
        &ran.out,
        &["alexnet   ", "cpu       ", &format!("driver    {NO_DRIVER}\n"), &format!("auto      cpu: {NO_DRIVER}\n")],
    );
    contains(
        &ran.out,
        &["compiler  libnvrtc.so.13 not found in 0 folders: `pip install nvidia-cuda-nvrtc`", "  none that exists\n"],
    );
    assert_eq!(ran.err, "");
    let found = json(alexnet!("doctor", "--json"));
    assert_eq!((&found["auto"], &found["reason"]), (&"cpu".into(), &NO_DRIVER.into()));
    assert_eq!((&found["gpus"], &found["searched"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(found["cpu"]["cores"].as_u64().is_some_and(|cores| cores > 0) && found["cpu"]["isa"].is_string(), "{found}");
    let files: Vec<_> = found["libraries"].as_array().unwrap().iter().map(|library| &library["file"]).collect();
    assert_eq!(files, ["libcuda.so.1", "libnvrtc.so.13"]);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("libcuda.so.1"), "this is no library").unwrap();
    let ran = with(alexnet!("doctor"), &folder).ok();
    contains(&ran.out, &["libcuda.so.1: cannot be loaded: ", "install NVIDIA's driver", folder.path().to_str().unwrap()]);
}

#[test]
#[cfg(unix)]
fn libraries_and_gpus_are_listed() {
    let Some(folder) = stand_ins(&["-DGPUS=2", "-DNAME=\"H100\"", "-DMEMORY=(5ull<<30)"]) else { return };
    let ran = with(alexnet!("doctor"), &folder).ok();
    let at = |name: &str| folder.path().join(name).display().to_string();
    contains(&ran.out, &[&format!("driver    580.65.06 for CUDA 13.0, {}\n", at("libcuda.so.1"))]);
    contains(&ran.out, &[&format!("compiler  for CUDA 13.0, {}\n", at("libnvrtc.so.13"))]);
    for gpu in 0..2 {
        let line = format!("gpu       {gpu}: H100 {gpu}, compute capability 9.0, 5,120 MiB of memory, 5,120 MiB free\n");
        contains(&ran.out, &[&line]);
    }
    let visible = with(alexnet!("doctor").env("CUDA_VISIBLE_DEVICES", "0,1"), &folder).ok();
    contains(&visible.out, &["CUDA_VISIBLE_DEVICES is `0,1`: the driver shows no others\n"]);
    let found = json(with(alexnet!("doctor", "--json"), &folder));
    assert_eq!((&found["libraries"][0]["release"], &found["libraries"][1]["version"]), (&"580.65.06".into(), &"13.0".into()));
    assert_eq!((&found["gpus"][1]["name"], &found["gpus"][1]["supported"]), (&"H100 1".into(), &true.into()));
    assert_eq!((&found["gpus"][0]["free_bytes"], &found["gpus"][0]["missing"]), (&(5_u64 << 30).into(), &Value::Null));
}

#[test]
#[cfg(unix)]
fn gpus_that_will_not_do_are_listed_with_the_reason() {
    let Some(folder) = stand_ins(&["-DCAPABILITY=75", "-DNAME=\"T4\""]) else { return };
    let old = "T4 0 has compute capability 7.5, 8.0 or more is needed";
    let ran = with(alexnet!("doctor"), &folder).ok();
    contains(&ran.out, &[&format!("free; {old}\n"), &format!("auto      cpu: {old}\n")]);
    let found = json(with(alexnet!("doctor", "--json"), &folder));
    assert_eq!((&found["gpus"][0]["supported"], &found["reason"]), (&false.into(), &old.into()));
    let folder = stand_ins(&["-DINIT_CODE=100"]).expect("there is cc");
    contains(&with(alexnet!("doctor"), &folder).ok().out, &["gpu       NVIDIA's driver finds no GPU\n"]);
    let folder = stand_ins(&["-DVERSION=12040"]).expect("there is cc");
    contains(&with(alexnet!("doctor"), &folder).ok().out, &["driver 580.65.06, for CUDA 12.4, 13.0 or newer is needed"]);
}

#[test]
fn a_gpu_that_is_asked_for_is_insisted_on() {
    let place = Place::new();
    let tiny = || alexnet!("plan", "--net", "tiny", "--batch", "2", "--device", "cuda");
    for program in [tiny(), alexnet!("bench", "--device", "cuda"), place.train("run").and(["--device", "cuda:0"])] {
        let ran = program.run();
        assert_eq!((ran.code, ran.error()), (Some(1), format!("error: --device cuda:0: {NO_DRIVER}")));
        contains(&ran.err, &["\nhint: `alexnet doctor` shows what was found and what is missing; --device cpu computes without"]);
    }
    assert!(!place.path("run").exists());
    for text in ["gpu", "cuda:x", "cuda:-1", "cpu:0"] {
        contains(&alexnet!("plan", "--device", text).fails(2), &["a device is auto, cpu, cuda, or cuda: and a number from 0 on"]);
    }
    for (command, option) in [("plan", "--measure"), ("bench", "--assert")] {
        let error = alexnet!(command, option, "--device", "cuda:1").fails(2);
        assert_eq!(error, format!("error: {option} is of the CPU engine, and --device cuda:1 is given"));
    }
    let Some(folder) = stand_ins(&["-DGPUS=2"]) else { return };
    let error = with(alexnet!("plan", "--device", "cuda:2"), &folder).fails(2);
    assert_eq!(error, "error: --device cuda:2: there is no GPU 2: they are 0 to 1");
}

/// On the stand-in, which computes nothing: what is asked of it, and what becomes of its failures.
#[test]
#[cfg(unix)]
fn nets_run_on_a_gpu_where_this_version_does_that() {
    let Some(folder) = stand_ins(&["-DMEMORY=(8ull<<30)", "-DNAME=\"H100\""]) else { return };
    let place = Place::new();
    let cache = place.path("cache").display().to_string();
    let on = |program: Program, folder| with(program, folder).env("XDG_CACHE_HOME", &cache);
    let bench = |device: &str| {
        let bench = alexnet!("bench", "--net", "tiny", "--batch", "2", "--iters", "1", "--warmup", "0", "--mode", "forward");
        on(bench.and(["--device", device]), &folder)
    };
    let ran = bench("cuda").run();
    if ran.err.starts_with("error: --device cuda:0: this version runs nets on CPUs alone\n") {
        assert_eq!(ran.code, Some(1));
        return;
    }
    assert_eq!(ran.code, Some(0), "{ran}");
    contains(&ran.out, &["tiny: 1 forward pass of 2 images (cuda:0, H100 0, bf16)"]);
    contains(&bench("cpu").ok().out, &["tiny: 1 forward pass of 2 images (cpu, "]);
    let auto = json(with(alexnet!("doctor", "--json"), &folder))["auto"].as_str().unwrap().to_string();
    contains(&bench("auto").ok().out, &[&format!("tiny: 1 forward pass of 2 images ({auto}, ")]);
    assert!(fs::read_dir(place.path("cache/alexnet")).unwrap().count() > 0, "compiled kernels are kept");
    let train = |run: &str, folder| on(place.train(run).and(["--epochs", "1", "--device", "cuda"]), folder);
    train("run", &folder).ok();
    contains(&fs::read_to_string(place.path("run/recipe.toml")).unwrap(), &["precision = \"bf16\"\n"]);
    let small = stand_ins(&["-DMEMORY=(300ull<<20)"]).expect("there is cc");
    let large = on(alexnet!("bench", "--iters", "1", "--device", "cuda"), &small).fails(1);
    contains(&large, &["too little memory on the GPU: `alexnet` with 128 images"]);
    let failing = stand_ins(&["-DMEMORY=(8ull<<30)", "-DLOSE_AFTER=4"]).expect("there is cc");
    let ran = train("lost", &failing).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["cuda engine: the GPU was lost: ", "CUDA_ERROR_LAUNCH_FAILED (unspecified launch failure)"]);
    contains(&ran.err, &["hint: the last checkpoint is intact: `alexnet train --resume RUN`"]);
}

#[test]
fn without_a_gpu_auto_is_the_cpu() {
    let plan = |device: &str| alexnet!("plan", "--net", "tiny", "--batch", "2").and([format!("--device={device}")]).ok();
    let usual = alexnet!("plan", "--net", "tiny", "--batch", "2").ok();
    for device in ["auto", "cpu"] {
        let ran = plan(device);
        assert_eq!((ran.out, ran.err), (usual.out.clone(), String::new()), "{device}");
    }
}

#[test]
fn a_precision_is_that_of_the_device() {
    for precision in ["tf32", "f16"] {
        let error = alexnet!("plan", "--net", "tiny", "--precision", precision).fails(2);
        assert_eq!(error, format!("error: a CPU computes in f32 or bf16, not in {precision}"));
    }
    contains(&alexnet!("plan", "--precision", "fp8").fails(2), &["a precision is f32, tf32, bf16 or f16"]);
    let place = Place::new();
    let recipe = |run: &str| fs::read_to_string(place.path(run).join("recipe.toml")).unwrap();
    place.train("usual").ok();
    assert!(!recipe("usual").contains("precision"), "what nobody has said is not written");
    place.train("near").and(["--precision", "bf16", "--epochs", "1"]).ok();
    contains(&recipe("near"), &["precision = \"bf16\"\n"]);
    let resumed = alexnet!("train", "--resume", place.path("usual")).ok();
    assert_eq!(resumed.err, "", "it is the same recipe");
    place.write("half.toml", format!("precision = \"f16\"\n{}", crate::support::RECIPE));
    let half = place.train("half").and(["--recipe"]).and([place.path("half.toml")]);
    assert_eq!(half.run().code, Some(2), "--recipe is given twice");
    let half =
        alexnet!("train", "--data", place.path("photos"), "--net", place.path("net.toml"), "--recipe", place.path("half.toml"));
    contains(&half.fails(2), &["a CPU computes in f32 or bf16, not in f16"]);
}
