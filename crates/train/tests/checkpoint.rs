//! Checkpoints that are cut off, changed, incomplete or in the way.

mod world;

use std::fs;
use std::path::Path;

use train::checkpoint::{self, Checks, Saved};
use train::{Error, Event, Outcome, RunDir, Start};
use world::*;

const FILES: [&str; 5] =
    ["manifest.json", "manifest.json.b3", "momentum.safetensors", "statistics.safetensors", "weights.safetensors"];

fn damage(path: &Path) -> String {
    damage_in(path, checkpoint::read(path))
}

fn damage_in<T: std::fmt::Debug>(path: &Path, result: train::Result<T>) -> String {
    match result {
        Err(Error::Damaged { reason, path: named, .. }) => {
            assert_eq!(named, path);
            reason
        }
        other => panic!("{other:?}"),
    }
}

/// What is wrong for whoever reads the weights in place: the same, and for inference nothing where only velocities are damaged.
fn check_for_inference(path: &Path, name: &str, reason: &str) {
    assert_eq!(damage_in(path, checkpoint::read_shared(path, Checks::All)), reason);
    match name {
        "momentum.safetensors" => drop(checkpoint::read_shared(path, Checks::Inference).unwrap()),
        _ => assert_eq!(damage_in(path, checkpoint::read_shared(path, Checks::Inference)), reason),
    }
}

#[test]
fn no_damage_to_any_file_goes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, _) = whole(&folder.path().join("run"), &recipe());
    let mut names: Vec<String> =
        fs::read_dir(saved.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, FILES);
    for name in FILES {
        let file = saved.path().join(name);
        let whole = fs::read(&file).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..length]).unwrap();
            let reason = damage(saved.path());
            assert!(reason.contains(name), "{name} cut to {length}: {reason}");
            check_for_inference(saved.path(), name, &reason);
        }
        for position in (0..whole.len()).step_by(whole.len() / 97 + 1).chain([whole.len() - 1]) {
            for flip in [0x01, 0x20, 0x80] {
                let mut changed = whole.clone();
                changed[position] ^= flip;
                fs::write(&file, changed).unwrap();
                let reason = damage(saved.path());
                assert!(reason.contains(name), "{name} changed at {position}: {reason}");
                check_for_inference(saved.path(), name, &reason);
            }
        }
        fs::write(&file, [&whole[..], b" "].concat()).unwrap();
        assert!(damage(saved.path()).contains(name), "{name} with a byte more");
        fs::remove_file(&file).unwrap();
        assert!(damage(saved.path()).contains(name), "{name} missing");
        fs::write(&file, whole).unwrap();
        checkpoint::read(saved.path()).unwrap();
    }
    let (again, shared) = checkpoint::read_shared(saved.path(), Checks::All).unwrap();
    assert_eq!(again.manifest(), saved.manifest());
    for ((name, tensor), (shared_name, shared)) in saved.weights().unwrap().iter().zip(&shared) {
        assert_eq!((name, &tensor.shape, &tensor.data[..]), (shared_name.as_str(), &shared.shape, shared.data()));
    }
}

#[test]
fn a_later_format_is_refused_by_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, _) = whole(&folder.path().join("run"), &recipe());
    let manifest = saved.path().join("manifest.json");
    let text = fs::read_to_string(&manifest).unwrap().replacen("\"format\": 1", "\"format\": 2, \"new\": 0", 1);
    fs::write(&manifest, &text).unwrap();
    let sum = format!("{}  manifest.json\n", weights::digest(&manifest).unwrap());
    fs::write(saved.path().join("manifest.json.b3"), sum).unwrap();
    let message = checkpoint::read(saved.path()).unwrap_err().to_string();
    assert!(message.ends_with("does not fit: its format is 2, this program reads 1"), "{message}");
}

#[test]
fn a_damaged_newest_checkpoint_is_said_and_the_older_one_taken_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let mut recipe = recipe();
    recipe.checkpoints.keep_last = 3;
    let (expected, _) = whole(&path, &recipe);
    let file = expected.path().join("weights.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    let dir = RunDir::open(&path).unwrap();
    let (outcome, _) = go(&dir, &recipe, Start::Resume { fall_back: false }, 1, None);
    let error = outcome.unwrap_err();
    let Error::Damaged { path: damaged, reason, older } = &error else { panic!("{error}") };
    assert_eq!(damaged, expected.path());
    assert_eq!(reason, "weights.safetensors has been changed: its checksum does not match");
    let older = older.as_ref().unwrap();
    assert!(older.ends_with("step-00000010"), "{}", older.display());
    assert!(error.to_string().contains("step-00000010` is older and intact"), "{error}");

    let (outcome, events) = go(&dir, &recipe, Start::Resume { fall_back: true }, 1, None);
    assert!(matches!(outcome.unwrap(), Outcome::Finished(_)));
    let warned = |event: &Event| matches!(event, Event::Warning { text, .. } if text.contains("is damaged"));
    assert!(events.iter().any(warned));
    let again = checkpoint::latest(&dir.checkpoints()).unwrap().unwrap();
    assert_eq!(again.manifest(), expected.manifest(), "the damaged checkpoint has given way to the same one, whole");

    for (_, path) in checkpoint::list(&dir.checkpoints()).unwrap() {
        fs::remove_file(path.join("manifest.json")).unwrap();
    }
    let (outcome, _) = go(&dir, &recipe, Start::Resume { fall_back: true }, 1, None);
    assert!(matches!(outcome.unwrap_err(), Error::Damaged { older: None, .. }));
}

/// As on a full disk, but at the first file system call of the checkpoint.
#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let (saved, _) = whole(&path, &recipe());
    let before = checkpoint::list(&path.join("checkpoints")).unwrap();
    let mut manifest = saved.manifest().clone();
    manifest.position.step = 16;
    let beside = path.join(format!("checkpoints/.step-00000016.{}.tmp", std::process::id()));
    fs::write(&beside, "in the way").unwrap();
    let write = |saved: &Saved| {
        let (weights, momentum) = (saved.weights().unwrap(), saved.momentum().unwrap());
        checkpoint::write(&path.join("checkpoints"), manifest.clone(), &weights, &momentum, &saved.statistics().unwrap())
    };
    assert!(matches!(write(&saved), Err(Error::Weights(weights::Error::Io { .. }))));
    assert_eq!(checkpoint::list(&path.join("checkpoints")).unwrap(), before);
    checkpoint::read(saved.path()).unwrap();
    fs::remove_file(&beside).unwrap();
    let written = write(&saved).unwrap();
    assert_eq!(checkpoint::read(&written).unwrap().manifest().files, saved.manifest().files);
    assert!(!beside.exists());
}

#[test]
fn pruning_keeps_the_newest_and_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, _) = whole(&folder.path().join("run"), &recipe());
    let (weights, momentum) = (saved.weights().unwrap(), saved.momentum().unwrap());
    let shelf = folder.path().join("shelf");
    for (step, error) in [(1, Some(0.5)), (2, Some(0.3)), (3, None), (4, Some(0.3)), (5, Some(0.4)), (6, None)] {
        let mut manifest = saved.manifest().clone();
        manifest.position.step = step;
        manifest.metrics =
            error.map(|top1_error| train::Metrics { step, top1_error, ..saved.manifest().metrics.clone().unwrap() });
        checkpoint::write(&shelf, manifest, &weights, &momentum, &saved.statistics().unwrap()).unwrap();
    }
    let steps = || checkpoint::list(&shelf).unwrap().into_iter().map(|(step, _)| step).collect::<Vec<_>>();
    let best = || checkpoint::best(&shelf, Checks::All).unwrap().unwrap().0.manifest().position.step;
    assert_eq!(best(), 2, "the earliest of equals");
    checkpoint::prune(&shelf, 3, true).unwrap();
    assert_eq!(steps(), [2, 4, 5, 6]);
    checkpoint::prune(&shelf, 2, false).unwrap();
    assert_eq!(steps(), [5, 6]);
    assert_eq!(best(), 5);
    checkpoint::prune(&shelf, 1, false).unwrap();
    assert_eq!(best(), 6, "the newest where none has been evaluated");
    checkpoint::prune(&shelf, 0, false).unwrap();
    assert_eq!(steps(), [6], "the newest always stays");
}
