//! Checkpoints that are damaged, another net's, or cannot be written; and directories that hold a run already.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use crate::support::Disk;
use crate::support::{NET, Place, alexnet, contains};

/// A finished run of the small net, and its newest checkpoint.
fn finished() -> (Place, PathBuf) {
    let place = Place::new();
    place.train("run").ok();
    let checkpoint = newest(&place.path("run"));
    (place, checkpoint)
}

/// The newest checkpoint of a run.
pub(crate) fn newest(run: &Path) -> PathBuf {
    let entries = fs::read_dir(run.join("checkpoints")).expect("the run has checkpoints");
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-")));
    all.sort();
    all.pop().expect("the run has a checkpoint")
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("the file is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("the file can be written");
}

#[test]
fn one_changed_byte_is_found_wherever_it_is() {
    let (place, checkpoint) = finished();
    for name in ["weights.safetensors", "momentum.safetensors", "statistics.safetensors", "manifest.json"] {
        let file = checkpoint.join(name);
        let whole = fs::read(&file).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            change(&file, |bytes| bytes[at] ^= 1);
            let error = alexnet!("evaluate", "--weights", &checkpoint, "--data", place.path("photos")).fails(1);
            contains(&error, &["is damaged", name]);
            fs::write(&file, &whole).unwrap();
        }
    }
    alexnet!("evaluate", "--weights", &checkpoint, "--data", place.path("photos")).ok();
}

#[test]
fn a_truncated_checkpoint_is_refused_and_the_one_before_it_is_named() {
    let place = Place::new();
    place.train("run").ok();
    let checkpoint = newest(&place.path("run"));
    change(&checkpoint.join("weights.safetensors"), |bytes| bytes.truncate(bytes.len() - 1));
    let image = place.path("photos/val/blue/0.bmp");
    contains(&alexnet!("predict", "--weights", &checkpoint, image).fails(1), &["is damaged", "weights.safetensors", "bytes"]);
    let ran = alexnet!("train", "--resume", place.path("run")).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["is damaged", "is older and intact"]);
    let ran = alexnet!("train", "--fall-back", "--resume", place.path("run")).ok();
    contains(&ran.err, &["warning: "]);
    let evaluate = alexnet!("evaluate", "--weights", &checkpoint, "--data", place.path("photos"));
    evaluate.ok();
}

#[test]
fn a_checkpoint_of_another_net_is_refused() {
    let (place, checkpoint) = finished();
    place.write("net.toml", NET.replace("k = 8", "k = 9"));
    place.train("other").and(["--epochs", "1"]).ok();
    let other = newest(&place.path("other"));
    fs::rename(&checkpoint, place.path("run/checkpoints/aside")).unwrap();
    copy(&other, &place.path("run/checkpoints").join(checkpoint.file_name().unwrap()));
    let ran = alexnet!("train", "--resume", place.path("run")).run();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["does not fit"]);
    // The other net's weights among this net's files.
    fs::remove_dir_all(&checkpoint).unwrap();
    fs::rename(place.path("run/checkpoints/aside"), &checkpoint).unwrap();
    fs::copy(other.join("weights.safetensors"), checkpoint.join("weights.safetensors")).unwrap();
    contains(&alexnet!("train", "--resume", place.path("run")).fails(1), &["is damaged", "weights.safetensors"]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn weights_that_are_none() {
    let place = Place::new();
    let image = place.path("photos/val/blue/0.bmp");
    let predict = |weights: PathBuf| alexnet!("predict", "--weights", weights, &image).fails(1);
    contains(&predict(place.path("nothing")), &["nothing"]);
    contains(&predict(place.path("photos")), &["holds no run"]);
    contains(&predict(place.path("photos/train/blue/0.bmp")), &["0.bmp"]);
}

#[test]
fn a_directory_that_holds_a_run_takes_no_second_one() {
    let (place, checkpoint) = finished();
    let before = fs::read(checkpoint.join("weights.safetensors")).unwrap();
    contains(&place.train("run").fails(1), &["run` already holds a run"]);
    assert_eq!(fs::read(checkpoint.join("weights.safetensors")).unwrap(), before);
    alexnet!("train", "--resume", place.path("run"), "--run", place.path("run")).fails(2);
    contains(&alexnet!("train", "--resume", place.path("photos")).fails(1), &["holds no run"]);
}

#[test]
fn two_runs_at_once_in_one_directory() {
    let place = Place::new();
    let mut child = place.train("run").and(["--epochs", "100000"]).start(&place.path(""));
    child.until("it has begun", || place.path("run/events.jsonl").exists());
    let second = place.train("run").run();
    let resumed = alexnet!("train", "--resume", place.path("run")).run();
    child.kill();
    for ran in [second, resumed] {
        assert_eq!(ran.code, Some(1), "{ran}");
        contains(&ran.error(), &["is in use by another run"]);
    }
}

#[test]
fn runs_without_a_name_are_numbered() {
    let place = Place::new();
    let train = || {
        let train = alexnet!("train", "--data", place.path("photos"), "--net", place.path("net.toml"), "--epochs", "1");
        train.and(["--quiet", "--recipe"]).and([place.path("recipe.toml")]).within(&place.path("")).ok()
    };
    assert_eq!(train().out, "runs/dwarf-photos-1\n");
    assert_eq!(train().out, "runs/dwarf-photos-2\n");
    alexnet!("train", "--resume").within(&place.path("")).ok();
}

/// On a file system of its own that is too small for a second checkpoint.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_loses_nothing() {
    let place = Place::new();
    let Some(_disk) = Disk::mount(place.path("disk"), "1m") else { return };
    // One checkpoint, then the disk is filled, then training goes on.
    let mut child = place.train("disk/run").and(["--epochs", "100000"]).start(&place.path(""));
    child.until("a checkpoint", || place.path("disk/run/checkpoints").exists());
    let mut ballast = fs::File::create(place.path("disk/ballast")).unwrap();
    while std::io::Write::write_all(&mut ballast, &[0; 1024]).is_ok() {}
    drop(ballast);
    let ran = child.finish();
    assert_eq!(ran.code, Some(1), "{ran}");
    contains(&ran.error(), &["the disk is full"]);
    let checkpoint = newest(&place.path("disk/run"));
    alexnet!("evaluate", "--weights", &checkpoint, "--data", place.path("photos")).ok();
    fs::remove_file(place.path("disk/ballast")).unwrap();
    let mut resumed = alexnet!("train", "--resume", place.path("disk/run")).start(&place.path(""));
    resumed.until("the run to go on", || newest(&place.path("disk/run")) > checkpoint);
    resumed.kill();
}
