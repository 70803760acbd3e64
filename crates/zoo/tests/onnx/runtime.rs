//! What onnxruntime makes of our files, and we of PyTorch's: where a Python has them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use net::Net;
use zoo::{Model, OnnxOptions, write_onnx};

use super::{distance, made, open, probabilities, skip};

/// How far probabilities may be apart: roundings of f32 in a few thousand terms a sum, eight sums deep.
const NEAR: f64 = 1e-5;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/onnx_runtime.py")
}

/// Runs the script's command, or says why not: a Python without these modules cannot.
fn python(command: &str, modules: &str, folder: &Path) -> bool {
    let python = std::env::var("ALEXNET_PYTHON").unwrap_or("python3".into());
    let probe = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    match probe {
        Ok(out) if out.status.success() => {}
        Ok(_) => {
            skip::skip(&format!("`{python}` has not all of {modules}"));
            return false;
        }
        Err(error) => {
            skip::skip(&format!("`{python}`: {error}"));
            return false;
        }
    }
    let out = Command::new(&python).arg(script()).arg(command).arg(folder).output().unwrap();
    assert!(out.status.success(), "{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    true
}

fn f32s(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    bytes.as_chunks().0.iter().map(|&four| f64::from(f32::from_le_bytes(four))).collect()
}

/// Pixels that a net's preprocessing makes of bytes, as the loader does.
fn prepared(model: &Model, bytes: &[u8]) -> Vec<f32> {
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
                        ((sum + 32768 >> 16) as u8, 0)
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

/// The nets, whole where that is what is in use, else with fewer maps: every kind of layer, of padding and of preprocessing.
fn models() -> Vec<(String, Model)> {
    let whole = ["alexnet", "alexnet-2012", "owt", "caffe", "torchvision", "onnx-bvlc", "scenes"];
    let cut = ["alexnet-2012-1gpu", "caffenet", "d2l", "cifar-80sec", "cifar-19pct", "cifar-18pct", "cifar-13pct", "cifar-11pct"];
    let whole = whole.into_iter().map(|name| (name.to_string(), made::preset(name)));
    let cut = cut.into_iter().map(|name| (format!("{name}-cut"), made::cut(name)));
    let tiny = made::of(Net::preset("tiny").unwrap(), "scenes");
    whole.chain(cut).chain([("tiny".to_string(), tiny)]).collect()
}

#[test]
fn onnxruntime_says_of_our_files_what_we_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    let mut worst_of = String::new();
    for (name, model) in models() {
        let images = if model.net.parameter_count() > 10_000_000 { 1 } else { 3 };
        for preprocessing in [false, true] {
            // Its input is no square.
            if preprocessing && name == "tiny" {
                continue;
            }
            let name = if preprocessing { format!("{name}-from-bytes") } else { name.clone() };
            let plane = model.net.input().plane();
            let bytes: Vec<u8> = made::numbers(11, images * 3 * plane, 128.0).iter().map(|x| (x + 128.0) as u8).collect();
            let pixels = match preprocessing {
                true => prepared(&model, &bytes),
                false => made::numbers(12, images * model.net.input().len(), 100.0),
            };
            let given = match preprocessing {
                true => bytes,
                false => pixels.iter().flat_map(|value| value.to_le_bytes()).collect(),
            };
            fs::write(folder.path().join(format!("{name}.input")), given).unwrap();
            write_onnx(&model, &folder.path().join(format!("{name}.onnx")), &OnnxOptions { preprocessing }).unwrap();
            expected.push((name, model.net.classes(), probabilities(&model, &pixels)));
        }
        // Files of 240 megabytes do not all lie there at once.
        if !python("run", "onnx, onnxruntime, numpy", folder.path()) {
            return;
        }
        for (name, classes, ours) in expected.drain(..) {
            let theirs = f32s(&folder.path().join(format!("{name}.output")));
            let (worst, most) = (distance(&ours, &theirs), ours.iter().copied().fold(0.0, f64::max));
            assert!(worst < NEAR, "{name}: {worst:e}");
            assert!(most > 2.0 / classes as f64, "{name}: {most} of {classes} classes says nothing");
            worst_of += &format!("{name}: {worst:.1e}, largest probability {most:.3}\n");
            fs::remove_file(folder.path().join(format!("{name}.onnx"))).unwrap();
        }
    }
    println!("{worst_of}");
}

#[test]
fn what_pytorch_writes_says_here_what_it_says_there() {
    let folder = tempfile::tempdir().unwrap();
    if !python("export", "onnx, onnxruntime, onnxscript, numpy, torch, torchvision", folder.path()) {
        return;
    }
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
        let worst = distance(&ours, &theirs);
        assert!(worst < NEAR, "{}: {worst:e}", path.display());
        println!("{}: {worst:.1e}", path.file_name().unwrap().display());
        first.get_or_insert((model, ours));
    }
}
