//! What is kept of a comparison.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::peer::Way;
use super::{Comparison, Options, Run, Summary};

/// Writes `bench/records/<date>-<cpu>/<what>.json`; returns its path. A comparison of the same things on the same day is replaced.
pub(super) fn write(
    root: &Path,
    options: &Options,
    way: &Way,
    result: &Comparison,
    ours: &[Run],
    peers: &[Run],
) -> Result<PathBuf> {
    let measured = json!({
        "precision": options.dtype,
        "way": way.name,
        "ratio_of_medians": rounded(result.ratio_of_medians),
        "ratios_by_round": result.ratios_by_round.iter().map(|&ratio| rounded(ratio)).collect::<Vec<_>>(),
        "ours": summary(&result.ours),
        "peer": summary(&result.peer),
        "runs_ours": ours.iter().map(|run| &run.json).collect::<Vec<_>>(),
        "runs_peer": peers.iter().map(|run| &run.json).collect::<Vec<_>>(),
    });
    write_json(root, &name(options), &command(options), measured)
}

/// Writes `bench/records/<date>-<cpu>/<name>.json` with what was measured, the command that measures it again, and where and
/// when that was; returns its path.
pub(super) fn write_json(root: &Path, name: &str, command: &str, measured: Value) -> Result<PathBuf> {
    let (date, cpu) = (now()?, cpu());
    let folder = root.join("bench/records").join(format!("{}-{}", &date[..10], dashed(&cpu)));
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let mut record = json!({
        "command": command,
        "date": date,
        "cpu": cpu,
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "load_average": load_average(),
        "revision": revision(root)?,
    });
    if let (Value::Object(record), Value::Object(measured)) = (&mut record, measured) {
        record.extend(measured);
    }
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, format!("{record:#}\n")).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// What was compared, as a file's name.
fn name(options: &Options) -> String {
    let Options { net, mode, dtype, batch, .. } = options;
    let plain = if options.plain { "-plain" } else { "" };
    format!("{}{plain}-{net}-{mode}-{dtype}-b{batch}", options.peer.name())
}

/// The command that measures this again.
fn command(options: &Options) -> String {
    let Options { batch, threads, rounds, warmup, iters, mode, net, dtype, .. } = options;
    let plain = if options.plain { " --plain" } else { "" };
    format!(
        "cargo xtask bench --peer {}{plain} --python PYTHON --mode {mode} --net {net} --dtype {dtype} --batch {batch} \
         --threads {threads} --rounds {rounds} --warmup {warmup} --iters {iters}",
        options.peer.name()
    )
}

fn summary(summary: &Summary) -> Value {
    json!({
        "ms_median": rounded(summary.ms_median),
        "ms_min": rounded(summary.ms_min),
        "ms_max": rounded(summary.ms_max),
        "images_per_s": rounded(summary.images_per_s),
        "cpu_ms_median": summary.cpu_ms_median.map(rounded),
        "peak_bytes": summary.peak_bytes,
    })
}

/// To thousandths.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// Date and time in UTC.
fn now() -> Result<String> {
    said("date", &["-u", "+%Y-%m-%dT%H:%M:%S+00:00"], Path::new("."))
}

/// The processor's name.
fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("model name"));
    line.and_then(|line| line.split_once(':')).map_or(std::env::consts::ARCH.into(), |(_, name)| name.trim().into())
}

/// Letters and digits in lower case, all else as single dashes between them.
fn dashed(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// Over the last 1, 5 and 15 minutes; empty where it is not known.
pub(super) fn load_average() -> Vec<f64> {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).filter_map(|word| word.parse().ok()).collect()
}

/// The commit, and whether the program's source differs from it.
fn revision(root: &Path) -> Result<String> {
    let commit = said("git", &["rev-parse", "HEAD"], root)?;
    let changes = said("git", &["status", "--porcelain", "crates"], root)?;
    Ok(if changes.is_empty() { commit } else { format!("{commit}+changes") })
}

fn said(program: &str, words: &[&str], folder: &Path) -> Result<String> {
    let output = Command::new(program).args(words).current_dir(folder).output().with_context(|| program.to_string())?;
    ensure!(output.status.success(), "{program} {}: {}", words.join(" "), output.status);
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_names_a_folder() {
        assert_eq!(dashed("AMD EPYC 9R14 (Zen 4) @ 3.7"), "amd-epyc-9r14-zen-4-3-7");
    }

    #[test]
    fn the_date_is_written_as_it_sorts() {
        let date = now().expect("there is a clock");
        assert_eq!((date.len(), &date[4..5], &date[10..11], &date[19..]), (25, "-", "T", "+00:00"));
    }
}
