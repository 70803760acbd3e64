//! What onnxruntime makes of our files, and we of PyTorch's: where a Python has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use net::{Net, PRESETS};
use zoo::{Model, OnnxOptions, write_onnx};

use super::{distance, made, open, probabilities, skip};

/// How far probabilities may be apart: roundings of f32 in a few thousand terms a sum, eight sums deep.
const NEAR: f64 = 1e-5;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/onnx_runtime.py")
}

/// The Python that has these modules; says so where there is none.
fn python(modules: &str) -> Option<String> {
    let python = std::env::var("ALEXNET_PYTHON").unwrap_or("python3".into());
    let probe = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    match probe {
        Ok(out) if out.status.success() => return Some(python),
        Ok(_) => skip::skip(&format!("`{python}` has not all of {modules}")),
        Err(error) => skip::skip(&format!("`{python}`: {error}")),
    }
    None
}

/// Runs the script's command.
fn run(python: &str, command: &str, folder: &Path) {
    let out = Command::new(python).arg(script()).arg(command).arg(folder).output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    // Where onnxruntime has doubts about a file, it says so there.
    if command == "run" {
        assert_eq!(String::from_utf8_lossy(&out.stderr), "");
    }
}

fn f32s(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes.as_chunks().0.iter().map(|&four| f64::from(f32::from_le_bytes(four))).collect()
}

/// Pixels that a net's preprocessing makes of bytes, as the loader does.
pub(crate) fn prepared(model: &Model, bytes: &[u8]) -> Vec<f32> {
    let (shape, p) = (model.net.input(), &model.card.preprocessing);
    let mut out = vec![0.0; bytes.len() / 3 * shape.c];
    for (image, out) in bytes.chunks(3 * shape.plane()).zip(out.chunks_mut(shape.len())) {
        for at in 0..shape.plane() {
            let [r, g, b] = [0, 1, 2].map(|map| image[map * shape.plane() + at]);
            let (y, x) = (at / shape.w, at % shape.w);
            for map in 0..shape.c {
                let (value, colour) = match p.channels {
                    data::Channels::Rgb => ([r, g, b][map], map),
                    data::Channels::Bgr => ([b, g, r][map], 2 - map),
                    data::Channels::Grey => {
                        let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b);
                        (((sum + 32768) >> 16) as u8, 0)
                    }
                };
                let side = model.statistics.side;
                let (top, left) = (side.saturating_sub(shape.h) / 2, side.saturating_sub(shape.w) / 2);
                let mean = match p.mean {
                    data::Mean::None => 0.0,
                    data::Mean::Values([r, g, b]) if shape.c == 1 => (19595.0 * r + 38470.0 * g + 7471.0 * b) / 65536.0,
                    data::Mean::Values(values) => values[colour],
                    data::Mean::Channels => model.statistics.mean[colour],
                    _ => model.statistics.mean_image[(colour * side + top + y) * side + left + x],
                };
                let std = match p.std {
                    data::Std::None => 1.0,
                    data::Std::Values(values) => values[if shape.c == 1 { 1 } else { colour }],
                    data::Std::Channels => model.statistics.std[colour],
                };
                out[map * shape.plane() + at] = (f32::from(value) - mean) / std;
            }
        }
    }
    out
}

/// The presets, some whole and all of them with fewer maps: every kind of layer, of padding and of preprocessing.
fn models() -> Vec<(String, Model, bool)> {
    let whole = ["alexnet-2012", "owt", "caffe", "torchvision", "onnx-bvlc"];
    let whole = whole.into_iter().map(|name| (name.to_string(), made::preset(name), false));
    let known = PRESETS.iter().map(|preset| preset.name).filter(|name| *name != "tiny");
    let cut = known.flat_map(|name| [false, true].map(|preprocessing| (format!("{name}-cut"), made::cut(name), preprocessing)));
    // Its input is no square, which no preprocessing gives.
    let tiny = made::of(Net::preset("tiny").unwrap(), "scenes");
    whole.chain(cut).chain([("tiny".to_string(), tiny, false)]).collect()
}

/// Scales the last layer's weights so that the logits of `pixels` have a deviation of 2: probabilities differ, and none is 1.
fn livened(mut model: Model, pixels: &[f32]) -> Model {
    let logs: Vec<f64> = probabilities(&model, pixels).into_iter().map(f64::ln).collect();
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    let std = (logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / logs.len() as f64).sqrt();
    assert!(std.is_finite() && std > 1e-6, "{std}");
    let last = model.weights.len() - 2;
    for (_, tensor) in &mut model.weights[last..] {
        tensor.values = Arc::new(tensor.data().iter().map(|value| value * (2.0 / std) as f32).collect::<Vec<_>>());
    }
    model
}

#[test]
fn onnxruntime_says_of_our_files_what_we_say() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python("onnx, onnxruntime, numpy") else { return };
    let mut report = String::new();
    for group in models().chunks(8) {
        let mut expected = Vec::new();
        for (name, model, preprocessing) in group {
            let name = if *preprocessing { format!("{name}-from-bytes") } else { name.clone() };
            let images = if model.net.parameter_count() > 10_000_000 { 1 } else { 3 };
            let bytes = made::numbers(11, images * 3 * model.net.input().plane(), 128.0);
            let bytes: Vec<u8> = bytes.iter().map(|value| (value + 128.0) as u8).collect();
            let pixels = match preprocessing {
                true => prepared(model, &bytes),
                false => made::numbers(12, images * model.net.input().len(), 100.0),
            };
            let model = livened(model.clone(), &pixels);
            let given = if *preprocessing { bytes } else { pixels.iter().flat_map(|value| value.to_le_bytes()).collect() };
            fs::write(folder.path().join(format!("{name}.input")), given).unwrap();
            let options = OnnxOptions { preprocessing: *preprocessing };
            write_onnx(&model, &folder.path().join(format!("{name}.onnx")), &options).unwrap();
            expected.push((name, model.net.classes(), probabilities(&model, &pixels)));
        }
        run(&python, "run", folder.path());
        for (name, classes, ours) in expected {
            let theirs = f32s(&folder.path().join(format!("{name}.output")));
            report += &compared(&name, classes, &ours, &theirs);
            // Files of 240 megabytes do not all lie there at once.
            fs::remove_file(folder.path().join(format!("{name}.onnx"))).unwrap();
        }
    }
    println!("{report}");
}

/// Holds probabilities against each other; a line that says how near they are.
fn compared(name: &str, classes: usize, ours: &[f64], theirs: &[f64]) -> String {
    let (worst, most) = (distance(ours, theirs), ours.iter().copied().fold(0.0, f64::max));
    assert!(worst < NEAR, "{name}: {worst:e}");
    assert!(most > 1.5 / classes as f64, "{name}: {most} of {classes} classes says nothing");
    format!("{name}: {worst:.1e}, the largest probability is {most:.3}\n")
}

#[test]
fn what_pytorch_writes_says_here_what_it_says_there() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python("onnx, onnxscript, numpy, torch, torchvision") else { return };
    run(&python, "export", folder.path());
    let pixels: Vec<f32> = f32s(&folder.path().join("input")).into_iter().map(|value| value as f32).collect();
    let theirs = f32s(&folder.path().join("output"));
    let mut names: Vec<PathBuf> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    names.sort();
    assert_eq!(names.len(), 8, "{names:?}");
    // All of them have the same weights.
    let mut first: Option<(Model, Vec<f64>)> = None;
    for path in names {
        let model = open(&path).unwrap();
        assert_eq!(model.net, Net::preset("torchvision").unwrap(), "{}", path.display());
        let ours = match &first {
            Some((known, ours)) => {
                let same = known.weights.iter().zip(&model.weights).all(|((a, x), (b, y))| a == b && x.data() == y.data());
                assert!(same, "{}", path.display());
                ours.clone()
            }
            None => probabilities(&model, &pixels),
        };
        print!("{}", compared(&path.file_name().unwrap().to_string_lossy(), 1000, &ours, &theirs));
        first.get_or_insert((model, ours));
    }
}
