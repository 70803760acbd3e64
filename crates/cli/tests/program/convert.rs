//! Trained nets in other programs' forms, and what other programs have written.

use std::fs;
use std::path::Path;

use net::Net;
use safetensors::tensor::{Dtype, TensorView};

#[cfg(target_os = "linux")]
use crate::support::Disk;
use crate::support::{CLASSES, Place, Program, alexnet, bmp, contains, jpeg};

/// A file of each form.
const FORMS: [&str; 5] = ["mine.safetensors", "mine.pth", "mine.pt", "mine.onnx", "mine.caffemodel"];

/// A place with a finished run in `run`, whose images have their mean image subtracted.
fn trained() -> Place {
    let place = Place::new();
    place.train("run").ok();
    place
}

/// `alexnet convert` from within the place.
fn convert(place: &Place, from: &str, to: &str) -> Program {
    alexnet!("convert", from, to).within(&place.path(""))
}

fn within(place: &Place, args: &[&str]) -> Program {
    alexnet!().and(args.iter().copied()).within(&place.path(""))
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A safetensors file as any program writes it: the parameters of the preset `name` under these names, the first value of all
/// being `first`.
fn foreign(name: &str, first: f32, named: impl Fn(&str) -> String) -> Vec<u8> {
    let net = Net::preset(name).unwrap();
    let mut tensors = Vec::new();
    for (number, param) in net.params().iter().enumerate() {
        let value = |i: usize| if (number, i) == (0, 0) { first } else { (i * 7 % 13) as f32 / 400.0 - 0.015 };
        let values: Vec<u8> = (0..param.len()).flat_map(|i| value(i).to_le_bytes()).collect();
        tensors.push((named(&param.name), param.shape.clone(), values));
    }
    let views = tensors.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

#[test]
fn every_form_is_the_run_again() {
    let place = trained();
    place.write("one.bmp", bmp(12, CLASSES[1].1, 2));
    let card = within(&place, &["describe", "--json", "run"]).ok().out;
    json(&card);
    let answer = within(&place, &["predict", "--weights", "run", "one.bmp", "photos/val/blue"]).ok().out;
    assert_eq!(answer.lines().count(), 5);
    within(&place, &["features", "--weights", "run", "--out", "run.npy", "photos"]).ok();
    fs::create_dir(place.path("made")).unwrap();
    for form in FORMS {
        let file = format!("made/{form}");
        let ran = convert(&place, "run", &file).ok();
        contains(&ran.out, &["from        run\n", "net         dwarf: as `", "difference  none: every probability is the same"]);
        contains(&ran.out, &[&format!("to          {file}: "), ", 611 parameters\n", "on 16 generated pictures\n"]);
        assert_eq!(ran.err, "");
        assert_eq!(within(&place, &["describe", "--json", &file]).ok().out, card, "{form}");
        let ran = within(&place, &["predict", "--weights", &file, "one.bmp", "photos/val/blue"]).ok();
        assert_eq!((ran.out, ran.err), (answer.clone(), String::new()), "{form}");
        within(&place, &["features", "--weights", &file, "--out", "file.npy", "photos"]).ok();
        assert_eq!(fs::read(place.path("file.npy")).unwrap(), fs::read(place.path("run.npy")).unwrap(), "{form}");
    }
    let beside = ["mine.mean.binaryproto", "mine.prototxt"].map(String::from);
    let mut expected: Vec<String> = FORMS.map(String::from).into_iter().chain(beside).collect();
    expected.sort();
    assert_eq!(names(&place.path("made")), expected);
    // From any form to any other it is the same file as from the run.
    for form in FORMS {
        for other in FORMS {
            convert(&place, &format!("made/{form}"), &format!("{form}/{other}")).fails(1);
            fs::create_dir(place.path(form)).unwrap();
            convert(&place, &format!("made/{form}"), &format!("{form}/{other}")).and(["--pictures", "0"]).ok();
            let file = |folder: &str| fs::read(place.path(folder).join(other)).unwrap();
            assert_eq!(file(form), file("made"), "{form} to {other}");
            fs::remove_dir_all(place.path(form)).unwrap();
        }
    }
}

#[test]
fn what_is_printed_is_for_programs_too() {
    let place = trained();
    let ran = convert(&place, "run", "a.onnx").and(["--json", "--preprocessing", "--pictures", "3"]).ok();
    let said = json(&ran.out);
    assert_eq!((&said["from"], &said["to"], &said["net"]), (&"run".into(), &"a.onnx".into(), &"dwarf".into()));
    assert_eq!((&said["parameters"], &said["pictures"]), (&611.into(), &3.into()));
    assert!(said["largest_difference"].as_f64().unwrap() < 1e-6 && said["notes"].is_array(), "{said}");
    let said = json(&convert(&place, "run", "b.safetensors").and(["--json", "--pictures", "0", "--quiet"]).ok().out);
    assert!(said["largest_difference"].is_null(), "{said}");
    let ran = convert(&place, "run", "b.pth").and(["--pictures", "0"]).ok();
    assert!(!ran.out.contains("\ndifference"), "{ran}");
    // OUT may be named without its folder or with it.
    convert(&place, "run", "./c.pth").ok();
    assert_eq!(fs::read(place.path("b.pth")).unwrap(), fs::read(place.path("c.pth")).unwrap());
}

#[test]
fn what_cannot_be_meant_is_refused_and_nothing_is_written() {
    let place = trained();
    convert(&place, "run", "mine.safetensors").ok();
    place.write("four.txt", "a\nb\nc\nd\n");
    place.write("there.pth", "what was there");
    place.write("net.prototxt", "a net of the user's own");
    place.write("image.bin", jpeg());
    fs::create_dir(place.path("folder.onnx")).unwrap();
    let before = names(&place.path(""));
    let file = "mine.safetensors";
    let fails = |from: &str, to: &str, options: &[&str], code: i32, said: &[&str]| {
        let ran = convert(&place, from, to).and(options.iter().copied()).run();
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran}");
        contains(&format!("{}\n{}", ran.error(), ran.err.lines().last().unwrap()), said);
        assert_eq!(names(&place.path("")), before, "{ran}");
    };
    fails("run", "x.weights", &[], 2, &["`x.weights` does not say which form", "hint: let its name end in .safetensors"]);
    fails("run", "x", &[], 2, &["`x` does not say which form"]);
    fails("run", "x.pth", &["--preprocessing"], 2, &["--preprocessing is for ONNX files"]);
    fails("run", "x.pth", &["--names", "theirs"], 2, &["--names"]);
    fails("run", "there.pth", &[], 1, &["cannot write `there.pth`", "hint: choose another name, or remove what is there"]);
    fails("run", "folder.onnx", &[], 1, &["cannot write `folder.onnx`", "hint: choose another name"]);
    fails("run", "net.caffemodel", &[], 1, &["cannot write `net.prototxt`", "hint: choose another name"]);
    fails(file, file, &[], 1, &["cannot write `mine.safetensors`", "hint: choose another name"]);
    fails(
        "run",
        "none/x.pth",
        &[],
        1,
        &["none/x.pth cannot be written: its folder is not there", "hint: name a file in a folder"],
    );
    fails("run", "x.pth", &["--names", "torchvision"], 1, &["it has 4 parameters, torchvision's alexnet has 16"]);
    fails("nothing.pth", "x.onnx", &[], 1, &["cannot read `nothing.pth`", "hint: check the path"]);
    fails("photos", "x.onnx", &[], 1, &["photos", "hint: give the directory that `alexnet train` named"]);
    fails(
        "image.bin",
        "x.onnx",
        &[],
        1,
        &[
            "`image.bin` is of no known format: known are safetensors, PyTorch, cuda-convnet, Caffe, ONNX",
            "hint: give a run directory",
        ],
    );
    fails("run", "x.pth", &["--classes", "four.txt"], 2, &["--classes: `run` is a checkpoint", "says this itself"]);
    fails(file, "x.pth", &["--classes", "four.txt"], 2, &["`four.txt` names 4 classes, the net tells 3 apart"]);
    fails(file, "x.pth", &["--classes", "five.txt"], 1, &["cannot read `five.txt`"]);
    fails(file, "x.pth", &["--mean", "1,2"], 2, &["`1,2` is neither a file nor three numbers R,G,B"]);
    fails(file, "x.pth", &["--mean", "four.txt"], 1, &["`four.txt`", "hint: the file is damaged or not what it is taken for"]);
    fails(file, "x.pth", &["--preset", "owt"], 2, &["--preset"]);
    assert_eq!(fs::read(place.path("there.pth")).unwrap(), b"what was there");
    assert_eq!(fs::read(place.path("net.prototxt")).unwrap(), b"a net of the user's own");
}

#[test]
fn files_that_were_cut_off_are_refused_in_every_form() {
    let place = trained();
    for form in FORMS {
        convert(&place, "run", form).and(["--pictures", "0"]).ok();
        let whole = fs::read(place.path(form)).unwrap();
        for part in 0..12 {
            place.write("cut", &whole[..whole.len() * part / 12]);
            let said = within(&place, &["describe", "cut"]).fails(1);
            contains(&said, &["`cut`"]);
        }
    }
}

/// A file that lies in a checkpoint's folder and is no part of it is read for itself.
#[test]
fn a_checkpoints_folder_may_hold_other_files() {
    let place = trained();
    let checkpoint = crate::checkpoints::newest(&place.path("run"));
    let within_it = |name: &str| checkpoint.join(name).to_str().unwrap().to_string();
    let weights = within_it("weights.safetensors");
    assert!(within(&place, &["describe", &weights]).ok().out.starts_with("checkpoint "));
    let file = within_it("mine.pth");
    convert(&place, "run", &file).ok();
    assert!(within(&place, &["describe", &file]).ok().out.starts_with("file "));
    fs::write(&file, "no weights").unwrap();
    contains(&within(&place, &["describe", &file]).fails(1), &["mine.pth` is of no known format"]);
    within(&place, &["describe", "run"]).ok();
}

#[test]
fn files_of_other_programs_are_described_and_classify() {
    let place = Place::new();
    place.write("their.bin", foreign("tiny", 0.25, str::to_string));
    let net = Net::preset("tiny").unwrap();
    let classes = net.classes();
    place.write("classes.txt", (0..classes).map(|i| format!("class {i}\n")).collect::<String>());
    let numbered = "note: the file does not name its classes, so they are numbered; --classes FILE names them\n";
    let about = within(&place, &["describe", "their.bin"]).ok();
    contains(&about.out, &["net            tiny\n", "imported from  safetensors, their.bin (BLAKE3 ", numbered]);
    let card = json(&within(&place, &["describe", "--json", "their.bin"]).ok().out);
    assert_eq!((card["origin"]["file"].as_str(), card["classes"].as_array().unwrap().len()), (Some("their.bin"), classes));
    let predict = ["predict", "--weights", "their.bin", "photos/val/blue/0.bmp"];
    let loud = within(&place, &predict).ok();
    contains(&loud.err, &[numbered]);
    let quiet = within(&place, &predict).and(["--quiet"]).ok();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), (loud.out.as_str(), ""));
    let named = within(&place, &predict).and(["--classes", "classes.txt"]).ok();
    assert!(!named.err.contains("numbered"), "{named}");
    let top = |text: &str| json(text)["top"].as_array().unwrap().clone();
    for (number, name) in top(&loud.out).iter().zip(top(&named.out)) {
        assert_eq!(format!("class {}", number["class"].as_str().unwrap()), name["class"]);
        assert_eq!(number["probability"], name["probability"]);
    }
    // What was said about it stays with what is written.
    convert(&place, "their.bin", "ours.onnx").and(["--classes", "classes.txt"]).ok();
    let ran = within(&place, &["predict", "--weights", "ours.onnx", "photos/val/blue/0.bmp"]).ok();
    assert_eq!((ran.out, ran.err), (named.out, String::new()));
    let card = json(&within(&place, &["describe", "--json", "ours.onnx"]).ok().out);
    assert_eq!(card["origin"]["file"], "their.bin");
    let features = |weights: &str, options: &[&str]| {
        let ran =
            within(&place, &["features", "--weights", weights, "--out", "x.npy", "photos/val"]).and(options.iter().copied());
        assert!(ran.ok().err.contains("numbered") == (weights == "their.bin" && options.is_empty()));
        fs::read(place.path("x.npy")).unwrap()
    };
    assert_eq!(features("their.bin", &[]), features("ours.onnx", &[]));
    features("their.bin", &["--quiet"]);
    // An index says how to ask it, and what is missing where it is asked otherwise.
    let index = ["features", "--weights", "their.bin", "--out", "x.safetensors", "--mean", "1, 2,3", "photos/val"];
    contains(&within(&place, &index).ok().out, &["\n  alexnet similar IMAGE x.safetensors --mean '1, 2,3'\n"]);
    let query = ["similar", "photos/train/blue/0.bmp", "x.safetensors"];
    within(&place, &query).and(["--mean", "1, 2,3"]).ok();
    let ran = within(&place, &query).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["or with images prepared in another way"]);
    contains(&ran.err, &["--preset and --mean as they were given then"]);
    // Without names, only as many classes can be those of a data set.
    let ran = within(&place, &["evaluate", "--weights", "their.bin", "--data", "photos"]).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    let said = format!("`their.bin` does not name the {classes} classes that it tells apart; data set `photos` has 3 classes");
    contains(&ran.error(), &[&said]);
    contains(&ran.err, &["hint: name them with --classes FILE"]);
}

#[test]
fn values_that_are_no_numbers_are_noticed() {
    let place = Place::new();
    place.write("bad.bin", foreign("tiny", f32::NAN, str::to_string));
    let first = Net::preset("tiny").unwrap().params()[0].name.clone();
    let note = format!("note: `{first}` has values that are infinite or no numbers");
    contains(&within(&place, &["describe", "bad.bin"]).ok().out, &[&note]);
    contains(&within(&place, &["predict", "--weights", "bad.bin", "photos/val/blue/0.bmp"]).ok().err, &[&note]);
    contains(&convert(&place, "bad.bin", "bad.pth").ok().out, &[&note]);
}

#[test]
fn what_holds_no_net_says_why() {
    let place = Place::new();
    place.write("empty.pth", "");
    place.write("text.pth", "these are weights\n");
    place.write("image.onnx", jpeg());
    place.write("language.safetensors", foreign("tiny", 0.0, |name| format!("encoder.{name}.scale")));
    let mut other = foreign("tiny", 0.0, str::to_string);
    other.truncate(other.len() - 4);
    place.write("short.safetensors", other);
    let fails = |args: &[&str], code: i32, said: &[&str]| {
        let ran = within(&place, args).run();
        assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{ran}");
        contains(&format!("{}\n{}", ran.error(), ran.err.lines().last().unwrap()), said);
    };
    for (file, said) in [
        ("empty.pth", "`empty.pth` is of no known format: it is empty"),
        ("text.pth", "`text.pth` is of no known format: known are safetensors, PyTorch, cuda-convnet, Caffe, ONNX"),
        ("image.onnx", "`image.onnx` is of no known format"),
        ("language.safetensors", "no preset has a parameter of any of its tensors' names:\n  `"),
        ("short.safetensors", "`short.safetensors` is not a usable safetensors file"),
        ("photos", "photos"),
    ] {
        fails(&["describe", file], 1, &[said]);
        fails(&["predict", "--weights", file, "photos/val/blue/0.bmp"], 1, &[said]);
        fails(&["evaluate", "--weights", file], 1, &[said]);
        fails(&["features", "--weights", file, "--out", "x.npy", "photos"], 1, &[said]);
    }
    place.write("net.prototxt", "name: \"net\"\n");
    fails(&["describe", "net.prototxt"], 1, &["of no known format", "hint: that is a net of Caffe's", "give the .caffemodel"]);
    fails(&["describe", "nothing.pth"], 1, &["cannot read `nothing.pth`", "hint: check the path"]);
    fails(&["describe", "nothing"], 2, &["no preset is called `nothing`"]);
    // What is said about trained nets is not dropped where there is none.
    fails(&["describe", "--json", "owt"], 2, &["`owt` is a net without weights", "hint: leave out --json"]);
    fails(&["describe", "owt", "--mean", "1,2,3"], 2, &["`owt` is a net without weights"]);
    fs::create_dir(place.path("owt")).unwrap();
    contains(&within(&place, &["describe", "owt"]).ok().out, &["conv1"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_or_locked_disk_gets_nothing() {
    let place = trained();
    let Some(disk) = Disk::mount(place.path("disk"), "12k") else { return };
    for form in ["x.caffemodel", "x.safetensors", "x.pth", "x.onnx"] {
        // Room for what is beside a caffemodel, and not for itself; for half of any other file.
        disk.remount(if form == "x.caffemodel" { "size=12k" } else { "size=4k" });
        let ran = convert(&place, "run", &format!("disk/{form}")).run();
        assert_eq!(ran.code, Some(1), "{ran}");
        contains(&ran.error(), &["the disk is full", form]);
        contains(&ran.err, &["hint: free some space on that disk, then give the command again\n"]);
        assert_eq!(names(&place.path("disk")), [""; 0], "{form}");
    }
    disk.remount("ro");
    contains(&convert(&place, "run", "disk/x.pth").fails(1), &["cannot write `disk/x.pth`", "Read-only"]);
}

#[test]
#[cfg(unix)]
fn an_interrupt_leaves_nothing_behind() {
    let place = trained();
    fs::create_dir(place.path("made")).unwrap();
    let mut child =
        convert(&place, "run", "made/x.caffemodel").and(["--pictures", "65535", "--threads", "1"]).start(&place.path(""));
    child.until("the file is there", || place.path("made/x.caffemodel").exists());
    child.signal("INT");
    let ran = child.finish();
    assert_eq!((ran.code, ran.out.as_str()), (Some(130), ""), "{ran}");
    contains(&ran.err, &["stopping: nothing is left behind"]);
    assert_eq!(names(&place.path("made")), [""; 0]);
}
