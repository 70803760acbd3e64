//! Training that begins with the weights of a trained net.

use std::fs;
use std::path::Path;

use crate::checkpoints::newest;
use crate::support::{CLASSES, NET, Place, Program, alexnet, bmp, contains};

/// The small net's place with a finished run in `base`, and `more/{train,val}/<class>` of other classes.
fn trained() -> Place {
    let place = Place::new();
    place.train("base").ok();
    // The recipe that it would take anyway, but that every checkpoint is kept, that of the beginning among them.
    place.write("tune.toml", alexnet!("recipe", "fine-tune").ok().out.replace("keep_last = 2", "keep_last = 99"));
    for split in ["train", "val"] {
        for (class, colour) in [("black", [10, 10, 10]), ("white", [240, 240, 240])] {
            for i in 0..6 {
                place.write(&format!("more/{split}/{class}/{i}.bmp"), bmp(12, colour, i));
            }
        }
    }
    place
}

/// `alexnet train --init base --data DATA --run RUN`, every checkpoint kept.
fn tune(place: &Place, data: &str, run: &str) -> Program {
    alexnet!("train", "--init", place.path("base"), "--data", place.path(data), "--run", place.path(run))
        .and(["--epochs", "2", "--seed", "4", "--recipe"])
        .and([place.path("tune.toml")])
        .within(&place.path(""))
}

/// The tensors of a checkpoint's weights: names and bytes.
fn tensors(checkpoint: &Path) -> Vec<(String, Vec<u8>)> {
    let bytes = fs::read(checkpoint.join("weights.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> = file.tensors().into_iter().map(|(name, view)| (name, view.data().to_vec())).collect();
    all.sort();
    all
}

fn tensor(checkpoint: &Path, name: &str) -> Vec<u8> {
    tensors(checkpoint).into_iter().find(|(known, _)| known == name).unwrap().1
}

fn recipe(place: &Place, run: &str) -> String {
    fs::read_to_string(place.path(run).join("recipe.toml")).unwrap()
}

/// The files of a run's newest checkpoint that hold numbers.
fn bits(run: &Path) -> Vec<Vec<u8>> {
    let files = ["weights.safetensors", "momentum.safetensors", "statistics.safetensors"];
    files.map(|name| fs::read(newest(run).join(name)).unwrap()).to_vec()
}

#[test]
fn other_classes_get_a_new_head_and_the_rest_is_the_models() {
    let place = trained();
    let ran = tune(&place, "more", "tuned").ok();
    contains(
        &ran.out,
        &[
            "note: 1 of 2 layers begin with the weights of base/checkpoints/step-",
            "note: `fc` is made anew for the 2 classes of `more`; the model's are 7 green, Red, blue; its rate is ",
            "note: images are prepared as for the model: kept at 10 × 10, its mean image subtracted",
        ],
    );
    let usual = alexnet!("train", "--init", place.path("base"), "--data", place.path("more"), "--run", place.path("usual"));
    usual.and(["--epochs", "2", "--seed", "4", "--quiet"]).ok();
    assert_eq!(recipe(&place, "usual"), recipe(&place, "tuned").replace("keep_last = 99", "keep_last = 2"));
    assert_eq!(bits(&place.path("usual")), bits(&place.path("tuned")));
    contains(&recipe(&place, "tuned"), &["stored = 10", "[schedule.cosine]", "name = \"fc\""]);
    let first = place.path("tuned/checkpoints/step-00000000");
    let base = tuned_from(&place);
    for name in ["conv1.weight", "conv1.bias"] {
        assert_eq!(tensor(&first, name), tensor(&base, name), "{name}");
    }
    assert_eq!(tensor(&first, "fc.weight").len(), 2 * 4 * 8 * 16);
    let statistics = |checkpoint: &Path| fs::read(checkpoint.join("statistics.safetensors")).unwrap();
    let values = |bytes: Vec<u8>| {
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        file.tensor("statistics.mean_image").unwrap().data().to_vec()
    };
    assert_eq!(values(statistics(&newest(&place.path("tuned")))), values(statistics(&base)), "the mean image is the model's");
    let about = alexnet!("describe", place.path("tuned")).ok().out;
    contains(&about, &["began with", "the weights of base/checkpoints/step-", "; new: fc", "2 classes: black, white"]);
    contains(&fs::read_to_string(place.path("tuned/run.json")).unwrap(), &["initialised_from", "base/checkpoints/step-"]);
    contains(&alexnet!("describe", "--json", place.path("tuned")).ok().out, &["\"initialised_from\":{\"file\":\"base/"]);
    alexnet!("predict", "--weights", place.path("tuned"), place.path("more/val/white/0.bmp")).ok();
}

/// The checkpoint that a run of [`tune`] begins with, as its record says.
fn tuned_from(place: &Place) -> std::path::PathBuf {
    let about: serde_json::Value = serde_json::from_slice(&fs::read(place.path("tuned/run.json")).unwrap()).unwrap();
    place.path(about["initialised_from"]["file"].as_str().unwrap())
}

#[test]
fn the_same_classes_keep_the_head_and_in_another_order_move_it() {
    let place = trained();
    let ran = tune(&place, "photos", "tuned").ok();
    contains(&ran.out, &["note: 2 of 2 layers begin", "note: `fc` is kept: the classes are the model's\n"]);
    assert_eq!(tensors(&place.path("tuned/checkpoints/step-00000000")), tensors(&tuned_from(&place)));
    assert!(!recipe(&place, "tuned").contains("[[layers]]"), "a head that is kept learns as the others");
    // A list tells the order of its classes itself.
    let (mut train, mut val) = (String::new(), String::new());
    for (label, class) in ["blue", "Red", "7 green"].into_iter().enumerate() {
        let colour = CLASSES.iter().find(|(name, _)| *name == class).unwrap().1;
        for i in 0..6 {
            place.write(&format!("lists/{label}-{i}.bmp"), bmp(12, colour, i));
            let list = if i < 4 { &mut train } else { &mut val };
            list.push_str(&format!("{label}-{i}.bmp {label}\n"));
        }
    }
    place.write("lists/train.txt", train);
    place.write("lists/val.txt", val);
    place.write("lists/classes.txt", "blue\nRed\n7 green\n");
    let ran = tune(&place, "lists", "moved").ok();
    contains(&ran.out, &["note: the outputs of `fc` are put into the order of the classes of `lists`\n"]);
    let (base, first) = (tuned_from(&place), place.path("moved/checkpoints/step-00000000"));
    for name in ["fc.weight", "fc.bias"] {
        let (old, new) = (tensor(&base, name), tensor(&first, name));
        let rows: Vec<&[u8]> = old.chunks(old.len() / 3).rev().collect();
        assert_eq!(new, rows.concat(), "{name}");
    }
    contains(&alexnet!("describe", place.path("moved")).ok().out, &["; the last layer's outputs in another order"]);
    // What the net knew, it still knows: its own error on the same images does not depend on the order.
    let error = |weights: &Path, data: &str| {
        let ran = alexnet!("evaluate", "--json", "--weights", weights, "--data", place.path(data)).ok();
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap()["nll"].as_f64().unwrap()
    };
    assert!((error(&base, "lists") - error(&first, "lists")).abs() < 1e-6);
}

#[test]
fn frozen_layers_stay_and_the_heads_rate_is_in_the_recipe() {
    let place = trained();
    tune(&place, "more", "tuned").and(["--freeze", "..drop", "--head-rate", "2.5"]).ok();
    contains(
        &recipe(&place, "tuned"),
        &["name = \"fc\"\nof = \"both\"\nrate = 2.5", "name = \"conv1\"\nof = \"both\"\nrate = 0.0"],
    );
    let (base, last) = (tuned_from(&place), newest(&place.path("tuned")));
    assert_eq!(tensor(&last, "conv1.weight"), tensor(&base, "conv1.weight"));
    let first = place.path("tuned/checkpoints/step-00000000");
    assert_ne!(tensor(&last, "fc.weight"), tensor(&first, "fc.weight"));
}

#[test]
fn resumed_or_with_other_threads_it_comes_to_the_same_bits() {
    let place = trained();
    tune(&place, "more", "one").and(["--threads", "1"]).ok();
    tune(&place, "more", "three").and(["--threads", "3"]).ok();
    let expected = bits(&place.path("one"));
    assert_eq!(bits(&place.path("three")), expected);
    for checkpoint in fs::read_dir(place.path("one/checkpoints")).unwrap().flatten() {
        if !checkpoint.file_name().to_string_lossy().ends_with("0000000") {
            fs::remove_dir_all(checkpoint.path()).unwrap();
        }
    }
    fs::remove_dir_all(place.path("base")).unwrap();
    alexnet!("train", "--resume", place.path("one")).ok();
    assert_eq!(bits(&place.path("one")), expected);
}

#[test]
fn another_net_takes_what_fits() {
    let place = trained();
    place.write("wide.toml", NET.replace("kernel = 3, padding = 1", "kernel = 5, padding = 2").replace("dwarf", "wide"));
    let ran = tune(&place, "photos", "tuned").and(["--net"]).and([place.path("wide.toml")]).ok();
    let note = "note: made anew, because the model has no layer of that name and shape: `conv1`";
    contains(&ran.out, &[note, "note: `fc` is kept"]);
    contains(&alexnet!("describe", place.path("tuned")).ok().out, &["; new: conv1"]);
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_written() {
    let place = trained();
    place.write("large.toml", NET.replace("h = 8, w = 8", "h = 16, w = 16").replace("dwarf", "large"));
    place.write("strange.toml", NET.replace("conv1", "first").replace("\"fc\"", "\"last\""));
    for i in 0..4 {
        place.write(&format!("single/only/{i}.bmp"), bmp(12, [9, 9, 9], i));
    }
    place.write("junk.pth", "no weights at all");
    let (large, strange) = (place.path("large.toml"), place.path("strange.toml"));
    let fails = |program: Program, code: i32, said: &[&str]| {
        let ran = program.run();
        assert_eq!(ran.code, Some(code), "{ran}");
        contains(&ran.error(), said);
        assert!(!place.path("tuned").exists(), "{ran}");
        ran.err
    };
    let tune = |data: &str| tune(&place, data, "tuned");
    let said = fails(tune("more").and(["--freeze", "conv9"]), 2, &["--freeze: net `dwarf` has no layer `conv9`"]);
    contains(&said, &["hint: the layers that learn are conv1, fc;"]);
    fails(tune("more").and(["--freeze", "fc"]), 2, &["--freeze: `fc` is made anew, and has to learn"]);
    fails(tune("photos").and(["--freeze", ".."]), 2, &["every layer is frozen"]);
    fails(tune("single"), 1, &["data set `single`: it has one class"]);
    fails(tune("more").and(["--preset", "alexnet"]), 2, &["is a checkpoint, which says this itself"]);
    let said = fails(tune("more").and(["--net"]).and([large]), 2, &["kept at 10 × 10; net `large` takes 3×16×16"]);
    contains(&said, &["hint: leave --net out"]);
    fails(tune("photos").and(["--net"]).and([strange]), 1, &["no layer of net `dwarf` has the name and the shapes"]);
    fails(alexnet!("train", "--init", place.path("nothing"), "--run", place.path("tuned")), 1, &["nothing", "No such file"]);
    fails(alexnet!("train", "--init", place.path("junk.pth"), "--run", place.path("tuned")), 1, &["junk.pth", "no known format"]);
    fails(alexnet!("train", "--init", place.path("base"), "--resume", place.path("base")), 2, &["cannot be used with"]);
    fails(alexnet!("train", "--head-rate", "3", "--run", place.path("tuned")), 2, &["--init <FILE>"]);
    fails(alexnet!("train", "--mean", "1,2,3", "--run", place.path("tuned")), 2, &["there is none"]);
}
