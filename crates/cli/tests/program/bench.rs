//! `alexnet bench`.

use serde_json::Value;

use crate::support::{Place, alexnet, bmp, contains};

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|x| x.is_finite() && x > 0.0)
}

#[test]
fn json_has_every_layer_and_the_peaks() {
    for (mode, passes) in [("train", &["forward", "weight", "data", "update"][..]), ("forward", &["forward"])] {
        let bench =
            alexnet!("bench", "--net", "tiny", "--batch", "2", "--iters", "2", "--threads", "2", "--json", "--mode", mode);
        let ran = bench.ok();
        assert_eq!((ran.out.lines().count(), ran.err.as_str()), (1, ""), "{ran}");
        let result: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((&result["net"], &result["mode"], &result["batch"]), (&"tiny".into(), &mode.into(), &2.into()));
        assert_eq!((&result["threads"], &result["iters"]), (&2.into(), &2.into()));
        for name in ["images_per_s", "ms", "ms_min", "ms_max"] {
            assert!(is_positive(&result[name]), "{name}: {ran}");
        }
        if cfg!(target_os = "linux") {
            assert!(result["cpu_ms"].is_number() && is_positive(&result["peak_bytes"]), "{ran}");
        }
        for name in ["flops_per_s", "read_bytes_per_s", "copy_bytes_per_s"] {
            assert!(is_positive(&result["peaks"][name]), "{name}: {ran}");
        }
        let rows = result["passes"].as_array().unwrap();
        assert!(rows.iter().all(|row| is_positive(&row["ms"])), "{ran}");
        assert!(passes.iter().all(|&pass| rows.iter().any(|row| row["pass"] == pass)), "{ran}");
        assert!(rows.iter().all(|row| passes.iter().any(|&pass| row["pass"] == pass)), "{ran}");
        for layer in ["conv1", "conv2", "local3", "fc4", "fc5"] {
            let row = rows.iter().find(|row| row["layer"] == layer && row["pass"] == "forward").expect(layer);
            assert!(is_positive(&row["flops_per_s"]) && is_positive(&row["share_of_peak"]), "{layer}: {ran}");
        }
        for layer in ["norm1", "pool1", "norm2", "pool2", "prob"] {
            assert!(rows.iter().any(|row| row["layer"] == layer), "{layer}: {ran}");
        }
    }
}

#[test]
fn text_has_a_table_and_the_peaks() {
    let ran = alexnet!("bench", "--net", "tiny", "--batch", "2", "--iters", "1", "--warmup", "0").ok();
    contains(&ran.out, &["tiny: 1 training step of 2 images", "images/s", "conv1", "GFLOP/s", "arithmetic peak", "copying"]);
}

/// Whether a pick is the faster one depends on the hour; that the answer follows from what was measured does not.
#[test]
fn picks_are_measured_beside_their_candidates() {
    let plan = alexnet!("plan", "--net", "scenes", "--batch", "4", "--measure", "--threads", "2");
    contains(&plan.and(["--infer"]).ok().out, &["convolution", "tiles, ms", "product, ms", "conv2", "beside the best"]);
    let json = alexnet!("plan", "--net", "scenes", "--batch", "4", "--measure", "--json").ok();
    let bench = alexnet!("bench", "--net", "scenes", "--batch", "4", "--iters", "2", "--assert", "--json").run();
    for ran in [&json, &bench] {
        let found: Value = serde_json::from_str(&ran.out).expect("JSON");
        assert_eq!((&found["net"], &found["batch"]), (&"scenes".into(), &4.into()));
        let rows = found["convolutions"].as_array().expect("rows");
        let layers: Vec<_> = rows.iter().map(|row| row["layer"].as_str().expect("a name")).collect();
        assert_eq!(layers, ["conv1", "conv2", "conv3", "conv4", "conv5"]);
        for row in rows {
            let ms = |key: &str| row[key].as_f64().unwrap_or(f64::INFINITY);
            let (tiles, product) = (ms("tiles_ms"), ms("product_ms"));
            let picked = if row["picked"] == "tiles" { tiles } else { product };
            assert!((ms("excess") - picked / tiles.min(product)).abs() < 1e-9 && product > 0.0, "{row}");
        }
    }
    let found: Value = serde_json::from_str(&bench.out).expect("JSON");
    let rows = found["convolutions"].as_array().expect("rows");
    let too_slow = rows.iter().any(|row| row["excess"].as_f64().is_some_and(|excess| excess > 1.05));
    assert_eq!(bench.code, Some(i32::from(too_slow)), "{bench}");
    contains(&alexnet!("plan", "--json").fails(2), &["--measure"]);
}

#[test]
fn options_that_cannot_be() {
    for (option, value) in [("--batch", "0"), ("--iters", "0"), ("--warmup", "-1"), ("--mode", "backward"), ("--threads", "0")] {
        contains(&alexnet!("bench").and([format!("{option}={value}")]).fails(2), &[option]);
    }
    contains(&alexnet!("bench", "--net", "alexnot").fails(2), &["`alexnot`"]);
}

#[test]
fn a_net_of_fewer_classes_trains_on_any_batches_mixed_ones_too() {
    let place = Place::new();
    for class in 0..9u8 {
        place.write(&format!("many/train/{class}/0.bmp"), bmp(12, [20 * class, 30, 30], 1));
        place.write(&format!("many/val/{class}/0.bmp"), bmp(12, [20 * class, 30, 30], 2));
    }
    let recipe = std::fs::read_to_string(place.path("recipe.toml")).expect("a recipe");
    place.write("mixing.toml", format!("{recipe}mixup = {{ alpha = 1.0 }}\n"));
    let bench = alexnet!("bench", "data", place.path("many"), "--net", place.path("net.toml"), "--recipe", "mixing.toml");
    let bench = bench.and(["--batch", "9", "--seconds", "1", "--threads", "2", "--train", "--json"]).within(&place.path(""));
    let result: Value = serde_json::from_str(&bench.ok().out).expect("JSON");
    assert!(is_positive(&result["train_ratio"]), "{result}");
}
