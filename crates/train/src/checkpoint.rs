//! Checkpoints: a folder `step-NNNNNNNN` that is either whole or not there.
//!
//! ```text
//! weights.safetensors     the parameters
//! momentum.safetensors    their velocities
//! statistics.safetensors  mean image and colour statistics
//! manifest.json           everything else, and the digest of each file above
//! manifest.json.b3        the digest of manifest.json, as `b3sum --check` reads it
//! ```
//!
//! All files are written into a folder beside, each synced, then the folder is renamed. Whatever is removed is removed
//! after that, newest to keep first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{Preprocessing, Statistics};
use net::{Net, ParamSet, Tensor, Variant};
use serde::{Deserialize, Serialize};
use weights::safetensors::SharedContents;
use weights::{DigestWriter, Mapped};

use crate::evaluate::{Credit, Evaluation};
use crate::run_dir::{STATISTICS, read_limited};
use crate::schedule::ScheduleState;
use crate::watch::Watch;
use crate::{Error, Recipe, Result};

/// The manifest's format. A reader refuses others.
pub const FORMAT: u32 = 1;

const WEIGHTS: &str = "weights.safetensors";
const MOMENTUM: &str = "momentum.safetensors";
const MANIFEST: &str = "manifest.json";
const MANIFEST_DIGEST: &str = "manifest.json.b3";

/// The names of a checkpoint's own files; any other file in its folder is no part of it.
pub const FILES: [&str; 5] = [WEIGHTS, MOMENTUM, STATISTICS, MANIFEST, MANIFEST_DIGEST];

/// What a checkpoint says about itself: enough to predict, to evaluate, and to go on training bit for bit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Version of the program.
    pub version: String,
    /// Revision of its source, as far as it is known.
    pub revision: String,
    /// The net, as TOML.
    pub net: String,
    /// Which AlexNet that is.
    #[serde(default)]
    pub variant: Variant,
    /// The recipe, as TOML.
    pub recipe: String,
    /// From image to input.
    pub preprocessing: Preprocessing,
    /// Class names; the position is the label.
    pub classes: Vec<String>,
    /// What they are called in words, one for each, or none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// What it was trained on.
    pub dataset: DatasetId,
    /// The run's seed.
    pub seed: u64,
    /// Where its first weights are from; `None` for a run that began with initial values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initialised_from: Option<InitialisedFrom>,
    /// Where in the run it stands.
    pub position: Position,
    /// What the run remembers besides parameters.
    pub progress: Progress,
    /// The evaluation at this very step, if there was one.
    pub metrics: Option<Metrics>,
    /// Length and digest of every file but the manifest.
    pub files: BTreeMap<String, FileDigest>,
}

/// Where the first weights of a run are from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitialisedFrom {
    /// The name of the file or checkpoint; for a checkpoint in a run, from the run's name on.
    pub file: String,
    /// BLAKE3 of the file, or of the checkpoint's weights: 64 hexadecimal digits.
    pub blake3: String,
    /// Layers that began with initial values all the same, in the net's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new: Vec<String>,
    /// Whether the outputs of the last layer were put into another order, that of this run's classes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reordered: bool,
}

/// Tells whether a data set is the one that a run was begun on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetId {
    /// Its name; may change when a folder moves.
    pub name: String,
    /// Training images.
    pub train_images: u64,
    /// Validation images.
    pub val_images: u64,
    /// BLAKE3 of the labels of both splits, in order.
    pub labels: String,
}

impl DatasetId {
    /// The identity of a data set.
    pub fn of(dataset: &data::Dataset) -> DatasetId {
        let mut hasher = blake3::Hasher::new();
        for source in [&dataset.train, &dataset.val] {
            hasher.update(&(source.len() as u64).to_le_bytes());
            (0..source.len()).for_each(|i| {
                hasher.update(&source.label(i).to_le_bytes());
            });
        }
        DatasetId {
            name: dataset.name.clone(),
            train_images: dataset.train.len() as u64,
            val_images: dataset.val.len() as u64,
            labels: hasher.finalize().to_hex().to_string(),
        }
    }
}

/// Where in a run a checkpoint stands: the next step to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Steps taken.
    pub step: u32,
    /// Epoch of the next step.
    pub epoch: u32,
    /// Number of the next step's batch within its epoch.
    pub batch: u32,
}

/// What a run remembers besides parameters and position.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Of the plateau rule.
    pub schedule: ScheduleState,
    /// Sums over the epoch so far.
    pub running: Running,
    /// Of the watch for a loss that stays at ln(classes).
    pub watch: Watch,
    /// Whether the recipe's loss to stop at has been reached.
    pub reached: bool,
    /// The last evaluation.
    pub last: Option<Metrics>,
    /// The evaluation with the lowest top-1 error, the earliest of equals.
    pub best: Option<Metrics>,
}

/// Sums over the steps of an epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Running {
    /// The epoch.
    pub epoch: u32,
    /// Images.
    pub images: u64,
    /// Sum of the labels' negative log-likelihoods.
    pub nll_sum: f64,
    /// Images whose label had the highest probability.
    pub top1: u64,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Steps taken.
    pub step: u32,
    /// Views an image.
    pub views: usize,
    /// Images evaluated.
    pub images: u64,
    /// Points for the most probable class.
    pub top1: Credit,
    /// Points for the five most probable classes.
    pub top5: Credit,
    /// Top-1 error, a share in `[0, 1]`.
    pub top1_error: f64,
    /// Top-5 error, a share in `[0, 1]`.
    pub top5_error: f64,
    /// Mean negative log-likelihood of the labels; `None` where it is not a number.
    pub nll: Option<f64>,
}

impl Metrics {
    /// The numbers of an evaluation after `step` steps.
    pub fn of(step: u32, evaluation: &Evaluation) -> Metrics {
        Metrics {
            step,
            views: evaluation.views,
            images: evaluation.images,
            top1: evaluation.top1.clone(),
            top5: evaluation.top5.clone(),
            top1_error: evaluation.top1_error(),
            top5_error: evaluation.top5_error(),
            nll: Some(evaluation.nll()).filter(|nll| nll.is_finite()),
        }
    }
}

/// Length and digest of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileDigest {
    /// Bytes.
    pub bytes: u64,
    /// BLAKE3, 64 hexadecimal digits.
    pub blake3: String,
}

/// A checkpoint on the disk whose files have been checked, all or some of them; see [`Checks`].
#[derive(Debug, Clone)]
pub struct Saved {
    path: PathBuf,
    manifest: Manifest,
}

impl Saved {
    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The net it belongs to.
    ///
    /// # Errors
    /// Where the manifest's net does not read as one.
    pub fn net(&self) -> Result<Net> {
        Net::from_toml(&self.manifest.net).map_err(|e| self.damaged(format!("{MANIFEST}: its net: {e}")))
    }

    /// The recipe it was trained by.
    ///
    /// # Errors
    /// Where the manifest's recipe does not read as one.
    pub fn recipe(&self) -> Result<Recipe> {
        Recipe::from_toml(&self.manifest.recipe).map_err(|e| self.damaged(format!("{MANIFEST}: its recipe: {e}")))
    }

    /// The parameters.
    ///
    /// # Errors
    /// Where the file does not read.
    pub fn weights(&self) -> Result<ParamSet> {
        Ok(ParamSet::new(weights::safetensors::read(&self.path.join(WEIGHTS))?.0))
    }

    /// The velocities.
    ///
    /// # Errors
    /// Where the file does not read.
    pub fn momentum(&self) -> Result<ParamSet> {
        Ok(ParamSet::new(weights::safetensors::read(&self.path.join(MOMENTUM))?.0))
    }

    /// Mean image and colour statistics.
    ///
    /// # Errors
    /// Where the file does not read or lacks a tensor.
    pub fn statistics(&self) -> Result<Statistics> {
        Ok(Statistics::from_tensors(&weights::safetensors::read(&self.path.join(STATISTICS))?.0)?)
    }

    /// BLAKE3 of the file of parameters, 64 hexadecimal digits.
    pub fn weights_digest(&self) -> &str {
        self.manifest.files.get(WEIGHTS).map_or("", |file| &file.blake3)
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.clone(), reason, older: None }
    }
}

/// Writes the checkpoint of `manifest.position.step` into the folder of checkpoints, which is made if need be, and fills in
/// [`Manifest::files`]. A checkpoint of the same step gives way once this one is complete.
///
/// # Errors
/// Where a file cannot be written; nothing that was there is touched then.
pub fn write(
    folder: &Path,
    mut manifest: Manifest,
    parameters: &ParamSet,
    momentum: &ParamSet,
    statistics: &Statistics,
) -> Result<PathBuf> {
    let io = |action, path: &Path, source| weights::Error::io(action, path, source);
    fs::create_dir_all(folder).map_err(|source| io("make folder", folder, source))?;
    let path = folder.join(folder_name(manifest.position.step));
    let beside = hidden(&path, "tmp");
    let mut all = || -> Result<()> {
        fs::create_dir(&beside).map_err(|source| io("make folder", &beside, source))?;
        let statistics = statistics.to_tensors();
        let text = BTreeMap::from([("net".to_string(), manifest.net.clone())]);
        let files = [
            (WEIGHTS, weights::safetensors::of_params(parameters)),
            (MOMENTUM, weights::safetensors::of_params(momentum)),
            (STATISTICS, weights::safetensors::of_list(&statistics)),
        ];
        for (name, tensors) in files {
            manifest.files.insert(name.into(), write_tensors(&beside.join(name), &tensors, &text)?);
        }
        write_manifest(&beside, &manifest)?;
        weights::sync_folder(&beside)?;
        Ok(())
    };
    all().and_then(|()| put_in_place(&beside, &path)).inspect_err(|_| {
        // The error that matters is the first.
        let _ = fs::remove_dir_all(&beside);
    })?;
    Ok(path)
}

fn write_tensors(path: &Path, tensors: &[(&str, &Tensor)], text: &BTreeMap<String, String>) -> Result<FileDigest> {
    let (blake3, bytes) = weights::create(path, |writer| {
        let mut writer = DigestWriter::new(writer);
        weights::safetensors::write_to(&mut writer, tensors, text)?;
        let (_, digest, bytes) = writer.finish();
        Ok((digest, bytes))
    })?;
    Ok(FileDigest { bytes, blake3 })
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(MANIFEST);
    let text =
        serde_json::to_string_pretty(manifest).map_err(|error| Error::File { path: path.clone(), message: error.to_string() })?;
    let digest = blake3::hash(text.as_bytes()).to_hex();
    weights::create(&path, |writer| writer.write_all(text.as_bytes()))?;
    weights::create(&folder.join(MANIFEST_DIGEST), |writer| writeln!(writer, "{digest}  {MANIFEST}"))?;
    Ok(())
}

/// Renames a complete folder to its name, out of the way of which an earlier one goes first.
fn put_in_place(beside: &Path, path: &Path) -> Result<()> {
    let io = |source| weights::Error::io("rename", path, source);
    let old = hidden(path, "old");
    let replaced = path.exists();
    if replaced {
        fs::rename(path, &old).map_err(io)?;
    }
    fs::rename(beside, path).map_err(io)?;
    weights::sync_folder(path.parent().unwrap_or(Path::new(".")))?;
    if replaced {
        fs::remove_dir_all(&old).map_err(|source| weights::Error::io("remove", &old, source))?;
    }
    Ok(())
}

fn folder_name(step: u32) -> String {
    format!("step-{step:08}")
}

/// `.<name>.<process>.<end>` beside `path`.
fn hidden(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{end}", std::process::id()))
}

/// Reads the manifest of a checkpoint and checks every byte of every file.
///
/// # Errors
/// [`Error::Damaged`] names the file that is missing, cut off or changed.
pub fn read(path: &Path) -> Result<Saved> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason, older: None };
    let manifest = read_manifest(path)?;
    for name in [WEIGHTS, MOMENTUM, STATISTICS] {
        check_file(path, &manifest, name, || weights::digest(&path.join(name))).map_err(damaged)?;
    }
    Ok(Saved { path: path.into(), manifest })
}

/// Which files of a checkpoint have to be intact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    /// All of them.
    All,
    /// Those that inference reads: not the velocities, which are as large as the weights.
    Inference,
}

/// Reads a checkpoint for inference: its weights lie in a map of their file, whose contract is [`Mapped`]'s.
///
/// # Errors
/// [`Error::Damaged`] names the file that is missing, cut off or changed.
pub fn read_shared(path: &Path, checks: Checks) -> Result<(Saved, SharedContents)> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason, older: None };
    let manifest = read_manifest(path)?;
    let map = |name: &str| Mapped::open(&path.join(name)).map_err(|error| damaged(format!("{name}: {error}")));
    check_file(path, &manifest, STATISTICS, || weights::digest(&path.join(STATISTICS))).map_err(damaged)?;
    if checks == Checks::All {
        let velocities = map(MOMENTUM)?;
        check_file(path, &manifest, MOMENTUM, || Ok(velocities.digest())).map_err(damaged)?;
    }
    let map = map(WEIGHTS)?;
    check_file(path, &manifest, WEIGHTS, || Ok(map.digest())).map_err(damaged)?;
    let weights = weights::safetensors::shared(&Arc::new(map))?;
    Ok((Saved { path: path.into(), manifest }, weights))
}

/// Checks a file of the checkpoint at `path` against the manifest; says what is wrong with it.
fn check_file(
    path: &Path,
    manifest: &Manifest,
    name: &str,
    digest: impl FnOnce() -> weights::Result<String>,
) -> Result<(), String> {
    let expected = manifest.files.get(name).ok_or_else(|| format!("{MANIFEST} lacks the digest of {name}"))?;
    let bytes = fs::metadata(path.join(name)).map_err(|error| format!("{name}: {error}"))?.len();
    if bytes != expected.bytes {
        return Err(format!("{name} has {bytes} bytes, expected {}", expected.bytes));
    }
    if digest().map_err(|error| format!("{name}: {error}"))? != expected.blake3 {
        return Err(format!("{name} has been changed: its checksum does not match"));
    }
    Ok(())
}

/// Reads and checks the manifest alone.
fn read_manifest(path: &Path) -> Result<Manifest> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason, older: None };
    let read = |name: &str| read_limited(&path.join(name)).map_err(|message| damaged(format!("{name}: {message}")));
    let (text, sum) = (read(MANIFEST)?, read(MANIFEST_DIGEST)?);
    if sum != format!("{}  {MANIFEST}\n", blake3::hash(text.as_bytes()).to_hex()) {
        return Err(damaged(format!("{MANIFEST} and {MANIFEST_DIGEST} do not match: one of them has been changed")));
    }
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    match serde_json::from_str::<Format>(&text) {
        Ok(Format { format: FORMAT }) => {}
        Ok(Format { format }) => {
            let message = format!("its format is {format}, this program reads {FORMAT}");
            return Err(Error::Mismatch { path: path.into(), message });
        }
        Err(error) => return Err(damaged(format!("{MANIFEST}: {error}"))),
    }
    serde_json::from_str(&text).map_err(|error| damaged(format!("{MANIFEST}: {error}")))
}

/// The checkpoints in a folder by step, oldest first, whole or not.
///
/// # Errors
/// Where the folder exists and cannot be read.
pub fn list(folder: &Path) -> Result<Vec<(u32, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(|source| weights::Error::io("read", folder, source))?;
    let step_of = |path: &Path| path.file_name()?.to_str()?.strip_prefix("step-")?.parse().ok();
    let mut found: Vec<(u32, PathBuf)> =
        entries.flatten().map(|entry| entry.path()).filter_map(|path| Some((step_of(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

/// The newest checkpoint, if there is any.
///
/// # Errors
/// [`Error::Damaged`] where it is not intact, naming the newest one before it that is.
pub fn latest(folder: &Path) -> Result<Option<Saved>> {
    latest_by(folder, read)
}

fn latest_by<T>(folder: &Path, read: impl Fn(&Path) -> Result<T>) -> Result<Option<T>> {
    let mut found = list(folder)?;
    let Some((_, newest)) = found.pop() else { return Ok(None) };
    match read(&newest) {
        Err(Error::Damaged { path, reason, .. }) => {
            let older = found.iter().rev().find(|(_, path)| read(path).is_ok()).map(|(_, path)| path.clone());
            Err(Error::Damaged { path, reason, older })
        }
        other => other.map(Some),
    }
}

/// The checkpoint whose evaluation has the lowest top-1 error, the earliest of equals, by [`read_shared`]; the newest where
/// none has been evaluated. Damaged ones are passed over where an intact one has been evaluated.
///
/// # Errors
/// As [`latest`].
pub fn best(folder: &Path, checks: Checks) -> Result<Option<(Saved, SharedContents)>> {
    let mut evaluated = Vec::new();
    for (step, path) in list(folder)? {
        if let Ok(Manifest { metrics: Some(metrics), .. }) = read_manifest(&path) {
            evaluated.push((metrics.top1_error, step, path));
        }
    }
    evaluated.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    match evaluated.iter().find_map(|(_, _, path)| read_shared(path, checks).ok()) {
        Some(found) => Ok(Some(found)),
        None => latest_by(folder, |path| read_shared(path, checks)),
    }
}

/// Removes all but the newest `keep_last` checkpoints and, if `keep_best`, the best. A checkpoint whose manifest does not
/// read counts as none and is removed once it is older than the newest `keep_last`.
///
/// # Errors
/// Where one cannot be removed.
pub fn prune(folder: &Path, keep_last: usize, keep_best: bool) -> Result<()> {
    let found = list(folder)?;
    let candidates = &found[..found.len().saturating_sub(keep_last.max(1))];
    if candidates.is_empty() {
        return Ok(());
    }
    let error_of = |path: &Path| read_manifest(path).ok()?.metrics.map(|metrics| metrics.top1_error);
    let best = found
        .iter()
        .filter_map(|(step, path)| Some((error_of(path)?, *step)))
        .min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
        .map(|(_, step)| step);
    for (step, path) in candidates {
        if keep_best && best == Some(*step) {
            continue;
        }
        // Renamed first, so that a half-removed checkpoint is never taken for one.
        let old = hidden(path, "old");
        let removed = fs::rename(path, &old).and_then(|()| fs::remove_dir_all(&old));
        removed.map_err(|source| weights::Error::io("remove", path, source))?;
    }
    Ok(())
}
