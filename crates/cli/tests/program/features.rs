//! Features of images, and images that are alike by them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cpu::Options;
use data::{Pipeline, Views};
use net::{Batch, Executor, Kind, Mode, Tensor};
use train::checkpoint::{self, Checks};
use weights::features::{Format, Table, Values, Writer};

use crate::support::{NET, Place, alexnet, bmp, contains, jpeg, skip};

/// A JPEG file of 20 × 16 pixels, another one for each variant.
fn picture(variant: usize) -> Vec<u8> {
    let mut file = Vec::new();
    let rgb: Vec<u8> =
        (0..20 * 16).flat_map(|i| [i * variant % 256, 40 * variant % 256, (i / 20) * 15].map(|x| x as u8)).collect();
    jpeg_encoder::Encoder::new(&mut file, 90).encode(&rgb, 20, 16, jpeg_encoder::ColorType::Rgb).expect("memory takes a JPEG");
    file
}

/// A trained net in `run`, and nine photos in `album`: two of them twins of `3.jpg`, one no photo at all.
fn album() -> Place {
    let place = Place::new();
    place.train("run").ok();
    (0..7).for_each(|i| place.write(&format!("album/{i}.jpg"), picture(i)));
    place.write("album/sub/twin.jpg", picture(3));
    place.write("album/twin of 3.jpg", picture(3));
    place.write("album/5b.jpg", "no picture");
    place
}

/// The names in the album, in its order, without the bad one.
const NAMES: [&str; 9] = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "sub/twin.jpg", "twin of 3.jpg"];

fn features(place: &Place, out: &str) -> crate::support::Program {
    alexnet!("features", "--weights", place.path("run"), "--out", place.path(out)).within(&place.path(""))
}

/// The album's index, made where bad files were expected.
fn indexed(place: &Place, out: &str, options: &[&str]) -> PathBuf {
    let ran = features(place, out).and(["album"]).and(options.iter().copied()).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["1 image could not be read"]);
    contains(&ran.err, &["warning: album/5b.jpg: not an image"]);
    place.path(out)
}

fn similar(place: &Place, args: &[&str]) -> crate::support::Program {
    alexnet!("similar").and(args.iter().copied()).within(&place.path(""))
}

/// Every line's query, and its neighbours with their distances.
fn answers(text: &str) -> Vec<(String, Vec<(String, f64)>)> {
    let one = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let near = line["similar"].as_array().expect("a list").iter();
        let near = near.map(|near| (near["image"].as_str().unwrap().to_string(), near["distance"].as_f64().unwrap()));
        (line["query"].as_str().unwrap().to_string(), near.collect())
    };
    text.lines().map(one).collect()
}

/// What the engine itself says about the album's photos.
fn activations(place: &Place, layer: &str) -> Tensor {
    let (saved, weights) = checkpoint::best(&train::checkpoints(&place.path("run")), Checks::All).unwrap().expect("a checkpoint");
    let net = saved.net().unwrap();
    let pipeline = Pipeline::new(saved.manifest().preprocessing.clone(), saved.statistics().unwrap(), net.input()).unwrap();
    let mut exec = cpu::prepare(&net, NAMES.len(), Mode::Infer, &Options { inspect: true, ..Options::default() }).unwrap();
    exec.load(
        Kind::Weights,
        &net::ParamSet::new(
            weights.iter().map(|(name, t)| (name.clone(), Tensor { shape: t.shape.clone(), data: t.data().to_vec() })).collect(),
        ),
    )
    .unwrap();
    let mut batch = Batch::with_capacity(NAMES.len(), net.input().len());
    for (name, pixels) in NAMES.iter().zip(batch.f32_mut().chunks_exact_mut(net.input().len())) {
        let image = data::decode(&fs::read(place.path("album").join(name)).unwrap(), true).unwrap();
        pipeline.test_views(&image, Views::Centre, pixels).unwrap();
    }
    batch.n = NAMES.len();
    exec.forward(&batch).unwrap();
    exec.activation(layer).unwrap()
}

fn singles(table: &Table) -> Vec<f32> {
    table.rows().as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn features_are_the_engines_own_activations() {
    let place = album();
    for (layer, shape) in
        [(None, vec![8, 4, 4]), (Some("conv1"), vec![8, 8, 8]), (Some("relu1"), vec![8, 8, 8]), (Some("prob"), vec![3])]
    {
        let options = layer.map_or(vec![], |layer| vec!["--layer", layer]);
        let path = indexed(&place, "x.safetensors", &options);
        let table = Table::open(&path).unwrap();
        assert_eq!((table.len(), table.shape(), table.values()), (NAMES.len(), shape.as_slice(), Values::F32));
        (0..NAMES.len()).for_each(|i| assert_eq!(table.name(i), format!("album/{}", NAMES[i])));
        assert!(table.text("layer") == Some(layer.unwrap_or("pool1")) && table.text("net") == Some("dwarf"));
        let expected = activations(&place, layer.unwrap_or("pool1"));
        assert_eq!(bits(&singles(&table)), bits(&expected.data), "{layer:?}");
        let first = fs::read(&path).unwrap();
        for others in [&["--threads", "1"][..], &["--threads", "3", "--batch", "64", "--quiet"]] {
            indexed(&place, "x.safetensors", &[&options[..], others].concat());
            assert!(first == fs::read(&path).unwrap(), "the same features are the same bytes: {others:?}");
        }
    }
    let names: Vec<_> = fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "{names:?}");
}

/// Half precision has eleven digits, base two.
#[test]
fn half_precision_rounds() {
    let place = album();
    let single = singles(&Table::open(&indexed(&place, "single.safetensors", &[])).unwrap());
    let half = Table::open(&indexed(&place, "half.safetensors", &["--half"])).unwrap();
    assert_eq!((half.values(), half.rows().len()), (Values::F16, 2 * single.len()));
    let vectors = cpu::nearest::Vectors::new(cpu::nearest::Values::F16, half.width(), half.rows()).unwrap();
    let read: Vec<f32> = (0..half.len()).flat_map(|row| vectors.get(row).unwrap()).collect();
    let close = |(&x, &y): (&f32, &f32)| (x - y).abs() <= x.abs() / 2048.0 + f32::powi(2.0, -25);
    assert!(single.iter().zip(&read).all(close) && read.iter().any(|&x| x > 0.0));
}

#[test]
fn numpy_reads_what_is_written_for_it() {
    let place = album();
    let expected = singles(&Table::open(&indexed(&place, "x.safetensors", &[])).unwrap());
    for (option, kind) in [(&[][..], "<f4"), (&["--half"], "<f2")] {
        indexed(&place, "x.npy", option);
        let names: Vec<String> = NAMES.iter().map(|name| format!("album/{name}\n")).collect();
        assert_eq!(fs::read_to_string(place.path("x.txt")).unwrap(), names.concat());
        let script = "import sys, numpy; x = numpy.load(sys.argv[1]); print(x.dtype.str, x.shape, *map(float, x.ravel()))";
        let ran = Command::new("python3").args(["-c", script]).arg(place.path("x.npy")).output();
        let Some(output) = ran.ok().filter(|output| output.status.success()) else {
            skip("python3 has no NumPy to read .npy files with");
            continue;
        };
        let text = String::from_utf8(output.stdout).unwrap();
        let rest = text.strip_prefix(&format!("{kind} (9, 8, 4, 4) ")).unwrap_or_else(|| panic!("{text:.80}"));
        let read: Vec<f32> = rest.split_whitespace().map(|number| number.parse().unwrap()).collect();
        let step = if kind == "<f4" { 0.0 } else { 1.0 / 2048.0 };
        assert!(
            read.len() == expected.len() && read.iter().zip(&expected).all(|(x, y)| (x - y).abs() <= y.abs() * step + step / 1e4)
        );
    }
}

#[test]
fn a_data_set_is_taken_whole() {
    let place = Place::new();
    place.train("run").ok();
    let ran = features(&place, "x.safetensors").and(["--data", "photos"]).ok();
    contains(&ran.out, &["`pool1` of `dwarf`, 36 rows of 8 × 4 × 4 in single precision", "alexnet similar IMAGE"]);
    let table = Table::open(&place.path("x.safetensors")).unwrap();
    assert_eq!(table.len(), 36);
    assert!(table.position("photos/train/Red/0.bmp").is_some() && table.position("photos/val/blue/3.bmp") >= Some(24));
    contains(&features(&place, "x.safetensors").and(["--data", "photos", "photos"]).run().err, &["cannot be used with"]);
}

#[test]
fn an_image_of_the_index_finds_itself_then_its_twins() {
    let place = album();
    for option in [&[][..], &["--half"]] {
        indexed(&place, "x.safetensors", option);
        // Neither the net nor the photos are needed.
        fs::rename(place.path("run"), place.path("away")).unwrap();
        let found = answers(&similar(&place, &["album/3.jpg", "album/0.jpg", "x.safetensors", "--top", "4"]).ok().out);
        assert_eq!((found.len(), found[0].0.as_str(), found[1].0.as_str()), (2, "album/3.jpg", "album/0.jpg"));
        let names: Vec<&str> = found[0].1.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[..3], ["album/3.jpg", "album/sub/twin.jpg", "album/twin of 3.jpg"]);
        assert!(found[0].1[..3].iter().all(|(_, distance)| *distance == 0.0) && found[0].1[3].1 > 0.0, "{found:?}");
        assert_eq!((found[1].1[0].0.as_str(), found[1].1[0].1, found[1].1.len()), ("album/0.jpg", 0.0, 4));
        let run =
            |threads: &str| similar(&place, &["album/5.jpg", "x.safetensors", "--top", "99", "--threads", threads]).ok().out;
        assert_eq!((run("1"), answers(&run("1"))[0].1.len()), (run("3"), NAMES.len()));
        fs::rename(place.path("away"), place.path("run")).unwrap();
    }
}

#[test]
fn distances_are_those_of_the_rows() {
    let place = album();
    let table = Table::open(&indexed(&place, "x.safetensors", &[])).unwrap();
    let (rows, width) = (singles(&table), table.width());
    let row = |i: usize| &rows[i * width..][..width];
    let exact = |i: usize| row(1).iter().zip(row(i)).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt();
    let found = answers(&similar(&place, &["album/1.jpg", "x.safetensors", "--top", "9"]).ok().out);
    for (name, distance) in &found[0].1 {
        let exact = exact(table.position(name).unwrap());
        assert!((distance - exact).abs() <= 1e-6 * exact, "{name}: {distance}, expected {exact}");
    }
    assert!(found[0].1.is_sorted_by(|a, b| a.1 <= b.1));
}

#[test]
fn another_image_is_looked_at_by_the_net_that_made_the_index() {
    let place = album();
    indexed(&place, "x.safetensors", &[]);
    place.write("query.jpg", picture(4));
    let near = |args: &[&str]| answers(&similar(&place, args).ok().out).remove(0).1.remove(0);
    for args in [&["query.jpg", "x.safetensors"][..], &["--weights", "run", "album/4.jpg", "x.safetensors"]] {
        let (name, distance) = near(args);
        assert!(name == "album/4.jpg" && distance < 1e-3, "{name} {distance}");
    }
    contains(&similar(&place, &["nothing.jpg", "x.safetensors"]).fails(1), &["nothing.jpg"]);
    contains(&similar(&place, &["album/5b.jpg", "x.safetensors"]).fails(1), &["album/5b.jpg: not an image"]);
    // Other weights of the same net; another net; none.
    place.train("other").and(["--seed", "8"]).ok();
    let error = similar(&place, &["query.jpg", "x.safetensors", "--weights", "other"]).fails(1);
    contains(&error, &["x.safetensors was made by other weights of `dwarf` than other"]);
    place.write("net.toml", NET.replace("dwarf", "gnome").replace("pool1", "pooling"));
    place.train("gnome").ok();
    let error = similar(&place, &["query.jpg", "x.safetensors", "--weights", "gnome"]).run().error();
    contains(&error, &["x.safetensors is of layer `pool1` of `dwarf`", "the net `gnome` has no layer `pool1`"]);
    fs::rename(place.path("run"), place.path("away")).unwrap();
    contains(
        &similar(&place, &["query.jpg", "x.safetensors"]).fails(1),
        &["the weights that made x.safetensors are no longer at "],
    );
    assert_eq!(near(&["query.jpg", "x.safetensors", "--weights", "away"]).0, "album/4.jpg");
}

#[test]
fn a_page_shows_the_images() {
    let place = album();
    indexed(&place, "x.safetensors", &[]);
    place.write("pages/keep", "");
    similar(&place, &["album/3.jpg", "scenes/val/00001", "x.safetensors", "--html", "likes.html"]).ok();
    let text = fs::read_to_string(place.path("likes.html")).unwrap();
    contains(
        &text,
        &["<img src=\"./album/twin%20of%203.jpg\" alt=\"album/twin of 3.jpg\"", "<b>0.000</b> album/3.jpg", "no file"],
    );
    assert_eq!(text.matches("<section>").count(), 2);
    similar(&place, &["album/3.jpg", "x.safetensors", "--html", "pages/likes.html"]).ok();
    let text = fs::read_to_string(place.path("pages/likes.html")).unwrap();
    assert!(!text.contains("src=\"./") && text.contains("/album/twin%20of%203.jpg\""), "{text}");
    contains(
        &similar(&place, &["album/3.jpg", "x.safetensors", "--html", "none/likes.html"]).fails(1),
        &["its folder is not there"],
    );
}

/// What a table says about itself.
fn text_of(path: &Path) -> BTreeMap<String, String> {
    let table = Table::open(path).unwrap();
    let keys = ["format", "net", "layer", "shape", "digest", "weights", "precision", "exif_rotation", "folder"];
    keys.into_iter().map(|key| (key.to_string(), table.text(key).unwrap().to_string())).collect()
}

#[test]
fn what_is_no_index_is_refused() {
    let place = album();
    let path = indexed(&place, "x.safetensors", &[]);
    let refused = |index: &str, expected: &[&str]| {
        let ran = similar(&place, &["album/3.jpg", index]).run();
        assert_eq!(ran.code, Some(1), "{ran}");
        contains(&ran.error(), expected);
        contains(&ran.err, &["hint: give a .safetensors file that `alexnet features` wrote"]);
    };
    let table = |text: &BTreeMap<String, String>| {
        let writer =
            Writer::new(&place.path("y.safetensors"), Format::Safetensors, Values::F32, &[8, 4, 4], text.clone()).unwrap();
        writer.finish().unwrap();
    };
    let text = text_of(&path);
    table(&text);
    refused("y.safetensors", &["y.safetensors has no images"]);
    table(&text.clone().into_iter().filter(|(key, _)| key != "layer").collect());
    refused("y.safetensors", &["y.safetensors: it does not say its layer"]);
    table(&text.into_iter().map(|(key, value)| if key == "format" { (key, "2".into()) } else { (key, value) }).collect());
    refused("y.safetensors", &["its format is `2`, expected `alexnet features 1`"]);
    let whole = fs::read(&path).unwrap();
    place.write("y.safetensors", &whole[..whole.len() - 9]);
    refused("y.safetensors", &["y.safetensors` is not a usable safetensors file: it is cut off"]);
    place.write("y.safetensors", "");
    refused("y.safetensors", &["it has only 0 bytes"]);
    indexed(&place, "x.npy", &[]);
    refused("x.npy", &["x.npy` is not a usable safetensors file"]);
    let saved = checkpoint::best(&train::checkpoints(&place.path("run")), Checks::All).unwrap().expect("a checkpoint").0;
    let weights = saved.path().join("weights.safetensors");
    refused(weights.to_str().unwrap(), &["there is no tensor `features`: it is no table of features"]);
    contains(&similar(&place, &["album/3.jpg", "none.safetensors"]).fails(1), &["none.safetensors"]);
    contains(&similar(&place, &["x.safetensors"]).run().err, &["<INDEX>"]);
}

#[test]
fn what_cannot_be_written_is_refused_before_the_work() {
    let place = Place::new();
    place.train("run").ok();
    fs::create_dir(place.path("folder.npy")).unwrap();
    let refused = |out: &str, code: i32| features(&place, out).and(["photos"]).fails(code);
    contains(&refused("x.txt", 2), &["which format"]);
    contains(&refused("folder.npy", 1), &["it is a folder"]);
    contains(&refused("none/x.npy", 1), &["its folder is not there"]);
    let error = features(&place, "x.npy").and(["photos", "--layer", "fc9"]).fails(2);
    contains(&error, &["the net `dwarf` has no layer `fc9`; its layers are conv1, relu1, pool1, drop, fc, prob"]);
    place.write("bad/1.jpg", &jpeg()[..40]);
    place.write("x.npy", "what was there");
    contains(&features(&place, "x.npy").and(["bad"]).fails(1), &["1 image given, and none could be read: nothing was written"]);
    assert_eq!(fs::read_to_string(place.path("x.npy")).unwrap(), "what was there");
}

/// A net whose activations are larger than half precision reaches.
#[test]
fn activations_beyond_half_precision_are_refused() {
    let place = Place::new();
    place.write(
        "net.toml",
        NET.replace(
            "bias = { init = { constant = 0.0 } } }\n\n[[layer]]\nname = \"relu1\"",
            "bias = { init = { constant = 70000.0 } } }\n\n[[layer]]\nname = \"relu1\"",
        ),
    );
    place.write("recipe.toml", crate::support::RECIPE.replace("rate = 0.001", "rate = 0.0"));
    place.train("run").ok();
    place.write("one.bmp", bmp(12, [1, 2, 3], 0));
    let ran = features(&place, "x.safetensors").and(["--half", "one.bmp"]).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["in the row of `one.bmp` is beyond 65504"]);
    contains(&ran.err, &["hint: leave --half away"]);
    assert!(!place.path("x.safetensors").exists());
    features(&place, "x.safetensors").and(["one.bmp"]).ok();
}

#[test]
#[cfg(unix)]
fn an_interrupt_leaves_nothing_behind() {
    let place = Place::new();
    place.train("run").ok();
    fs::create_dir(place.path("made")).unwrap();
    let many = std::iter::repeat_n("photos", 5000);
    let mut child =
        features(&place, "made/x.safetensors").and(["--batch", "1", "--threads", "1"]).and(many).start(&place.path(""));
    child.until("the file begins", || fs::read_dir(place.path("made")).unwrap().count() > 0);
    child.signal("INT");
    let ran = child.finish();
    assert_eq!(ran.code, Some(130), "{ran}");
    contains(&ran.err, &["stopping: nothing has been written"]);
    assert_eq!(fs::read_dir(place.path("made")).unwrap().count(), 0);
}
