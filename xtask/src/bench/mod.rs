//! `cargo xtask bench`: our program and a peer in turns, on the same cores.
//!
//! A machine's speed drifts, so only runs side by side count: what is stated is the ratio of the medians over the rounds, and
//! beside it the spread of the rounds' own ratios. Both programs time batches that are in memory already, after steps to warm
//! up, and print the median step, CPU time summed over threads, and the most memory that they held, as one line of JSON.

mod peer;
pub(crate) mod pipelines;
mod record;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use peer::{Peer, Way};

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    peer: Peer,
    /// A Python that has the peer.
    python: String,
    mode: String,
    net: String,
    dtype: String,
    /// The peer as it comes, without what makes it fast.
    plain: bool,
    batch: u32,
    threads: usize,
    rounds: u32,
    warmup: u32,
    iters: u32,
    record: bool,
}

/// Batches below this take milliseconds, and are timed more often.
const SMALL_BATCH: u32 = 16;

/// Compares as `arguments` say.
pub(crate) fn run(root: &Path, arguments: impl Iterator<Item = String>) -> Result<bool> {
    let options = Options::parse(arguments)?;
    let program = build(root)?;
    let script = root.join("bench/peers").join(options.peer.script());
    let way = choose(&options, &script)?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        ours.push(measure(options.ours(&program), &options)?);
        peers.push(measure(options.peer_command(&script, &way), &options)?);
        let (a, b) = (&ours[ours.len() - 1], &peers[peers.len() - 1]);
        println!("round {round}: {:.1} ms and {:.1} ms, load {:.1}", a.ms, b.ms, record::load_average().first().unwrap_or(&0.0));
    }
    let result = Comparison::new(&ours, &peers);
    print!("{}", result.text(&peers[0].program));
    if options.record {
        let path = record::write(root, &options, &way, &result, &ours, &peers)?;
        println!("record: {}", path.strip_prefix(root).unwrap_or(&path).display());
    }
    Ok(true)
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut peer, mut iters) = (None, None);
        let mut options = Options {
            peer: Peer::Torch,
            python: "python3".into(),
            mode: "train".into(),
            net: "alexnet".into(),
            dtype: "f32".into(),
            plain: false,
            batch: 128,
            threads: cores,
            rounds: 5,
            warmup: 2,
            iters: 0,
            record: true,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--peer" => peer = Some(value()?.parse()?),
                "--python" => options.python = value()?,
                "--mode" => options.mode = one_of(&flag, value()?, &["train", "forward"])?,
                "--net" => options.net = value()?,
                "--dtype" => options.dtype = one_of(&flag, value()?, &["f32", "bf16"])?,
                "--plain" => options.plain = true,
                "--batch" => options.batch = number(&flag, &value()?)?,
                "--threads" => options.threads = number(&flag, &value()?)? as usize,
                "--rounds" => options.rounds = number(&flag, &value()?)?,
                "--warmup" => options.warmup = value()?.parse().with_context(|| flag.clone())?,
                "--iters" => iters = Some(number(&flag, &value()?)?),
                "--no-record" => options.record = false,
                _ => bail!("there is no option `{flag}`"),
            }
        }
        options.peer = peer.context("--peer is missing: torch, openvino or onnxruntime")?;
        options.iters = iters.unwrap_or(if options.batch < SMALL_BATCH { 50 } else { 5 });
        options.peer.check(&options)?;
        Ok(options)
    }

    /// What both programs are told in the same words.
    fn same(&self) -> Vec<String> {
        let numbers = [("batch", self.batch), ("warmup", self.warmup), ("iters", self.iters), ("threads", self.threads as u32)];
        let mut words = vec!["--net".into(), self.net.clone(), "--mode".into(), self.mode.clone()];
        words.extend(numbers.into_iter().flat_map(|(name, number)| [format!("--{name}"), number.to_string()]));
        words
    }

    fn ours(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["bench", "--json"]).args(self.same());
        if self.dtype != "f32" {
            command.args(["--precision", &self.dtype]);
        }
        command
    }

    fn peer_command(&self, script: &Path, way: &Way) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(script).args(self.same()).args(["--dtype", &self.dtype]);
        command.args(&way.arguments).envs(way.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

fn one_of(flag: &str, value: String, choices: &[&str]) -> Result<String> {
    ensure!(choices.contains(&value.as_str()), "{flag} {value}: it is one of {}", choices.join(", "));
    Ok(value)
}

/// A number from 1 on.
fn number(flag: &str, text: &str) -> Result<u32> {
    let number: u32 = text.parse().with_context(|| format!("{flag} {text}"))?;
    ensure!(number > 0, "{flag} {text}: a number from 1 on is expected");
    Ok(number)
}

/// Builds our program and finds out where cargo has put it.
fn build(root: &Path) -> Result<PathBuf> {
    let words = ["build", "--release", "--locked", "-p", "alexnet", "--message-format=json-render-diagnostics"];
    let output = Command::new(env!("CARGO")).args(words).current_dir(root).stderr(std::process::Stdio::inherit()).output()?;
    ensure!(output.status.success(), "our program does not build");
    let text = String::from_utf8(output.stdout)?;
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = messages.filter(|message| message["target"]["name"] == "alexnet").find_map(|message| {
        let path = message["executable"].as_str()?;
        Some(PathBuf::from(path))
    });
    program.context("cargo names no program `alexnet`")
}

/// The fastest way to run the peer here, by the best step of one trial of each: whatever else the machine does only slows a step.
/// A way in which the peer crashes is none.
fn choose(options: &Options, script: &Path) -> Result<Way> {
    let mut ways = options.peer.ways(options);
    if ways.len() == 1 {
        return Ok(ways.remove(0));
    }
    let mut best: Option<(f64, Way)> = None;
    let mut failure = None;
    for way in ways {
        match measure(options.peer_command(script, &way), options) {
            Ok(run) => {
                println!("trial of {}, {}: {:.1} ms at best", run.program, way.name, run.ms_min);
                if best.as_ref().is_none_or(|(ms, _)| run.ms_min < *ms) {
                    best = Some((run.ms_min, way));
                }
            }
            Err(error) => {
                println!("trial of {}: none, for it failed", way.name);
                failure = Some(error);
            }
        }
    }
    match (best, failure) {
        (Some((_, way)), _) => Ok(way),
        (None, Some(error)) => Err(error),
        (None, None) => bail!("there is no way to run the peer"),
    }
}

/// What a program says about one run.
#[derive(Debug, Clone)]
struct Run {
    program: String,
    /// The median step.
    ms: f64,
    /// The fastest step.
    ms_min: f64,
    /// CPU time of all threads in a step, where it is known.
    cpu_ms: Option<f64>,
    /// The most memory held, where it is known.
    peak_bytes: Option<u64>,
    /// Images in a step.
    batch: u32,
    /// All that it printed.
    json: Value,
}

/// Runs a program to its end; the words of the command, and the JSON on the last line that it printed. A run that fails is no
/// measurement.
fn last_line(mut command: Command) -> Result<(String, Value)> {
    let words: Vec<_> = [command.get_program()].into_iter().chain(command.get_args()).map(OsStr::to_string_lossy).collect();
    let words = words.join(" ");
    let output = command.output().with_context(|| words.clone())?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{words}: {}\n{}", output.status, err.trim_end());
    let last = out.trim_end().lines().last().unwrap_or("");
    let json: Value = serde_json::from_str(last).with_context(|| format!("{words} printed `{last}`"))?;
    Ok((words, json))
}

/// Runs a program. A run that measured something else than was asked is no measurement.
fn measure(command: Command, options: &Options) -> Result<Run> {
    let (words, json) = last_line(command)?;
    read(json, options).with_context(|| words)
}

/// Reads what a program printed, and checks that it is what was asked for.
fn read(json: Value, options: &Options) -> Result<Run> {
    let dtype = if json["precision"].is_string() { &json["precision"] } else { &json["dtype"] };
    let found = [&json["net"], &json["mode"], dtype, &json["batch"], &json["threads"]];
    let asked: [Value; 5] = [
        options.net.as_str().into(),
        options.mode.as_str().into(),
        options.dtype.as_str().into(),
        options.batch.into(),
        options.threads.into(),
    ];
    for (found, asked) in found.into_iter().zip(&asked) {
        ensure!(found == asked, "{asked} was asked for, {found} was measured");
    }
    Ok(Run {
        program: json["program"].as_str().unwrap_or("alexnet").into(),
        ms: json["ms"].as_f64().context("there is no `ms`")?,
        ms_min: json["ms_min"].as_f64().context("there is no `ms_min`")?,
        cpu_ms: json["cpu_ms"].as_f64(),
        peak_bytes: json["peak_bytes"].as_u64(),
        batch: options.batch,
        json,
    })
}

/// The rounds of one program.
#[derive(Debug, Clone, PartialEq)]
struct Summary {
    ms_median: f64,
    ms_min: f64,
    ms_max: f64,
    images_per_s: f64,
    cpu_ms_median: Option<f64>,
    peak_bytes: Option<u64>,
}

impl Summary {
    fn new(runs: &[Run]) -> Summary {
        let ms: Vec<f64> = runs.iter().map(|run| run.ms).collect();
        let cpu_ms: Vec<f64> = runs.iter().filter_map(|run| run.cpu_ms).collect();
        let ms_median = median(&ms);
        Summary {
            ms_median,
            ms_min: ms.iter().copied().fold(f64::INFINITY, f64::min),
            ms_max: ms.iter().copied().fold(0.0, f64::max),
            images_per_s: f64::from(runs[0].batch) / ms_median * 1e3,
            cpu_ms_median: (!cpu_ms.is_empty()).then(|| median(&cpu_ms)),
            peak_bytes: runs.iter().filter_map(|run| run.peak_bytes).max(),
        }
    }

    fn text(&self, program: &str) -> String {
        let Summary { ms_median, ms_min, ms_max, images_per_s, .. } = self;
        let cpu = self.cpu_ms_median.map_or(String::new(), |ms| format!("  CPU time {ms:.1} ms"));
        let peak = self.peak_bytes.map_or(String::new(), |bytes| format!("  peak {} MiB", bytes >> 20));
        format!("{program:24} {images_per_s:9.2} images/s  {ms_median:8.2} ms [{ms_min:.2}, {ms_max:.2}]{cpu}{peak}\n")
    }
}

/// Both programs, and how they stand to each other.
struct Comparison {
    ours: Summary,
    peer: Summary,
    /// The peer's time over ours: how many times as fast we are.
    ratio_of_medians: f64,
    ratios_by_round: Vec<f64>,
}

impl Comparison {
    fn new(ours: &[Run], peers: &[Run]) -> Comparison {
        let ratios_by_round = ours.iter().zip(peers).map(|(ours, peer)| peer.ms / ours.ms).collect();
        let (ours, peer) = (Summary::new(ours), Summary::new(peers));
        Comparison { ratio_of_medians: peer.ms_median / ours.ms_median, ours, peer, ratios_by_round }
    }

    fn text(&self, peer: &str) -> String {
        let least = self.ratios_by_round.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.ratios_by_round.iter().copied().fold(0.0, f64::max);
        format!(
            "{}{}alexnet is {:.2} times as fast (by round {least:.2} to {most:.2})\n",
            self.ours.text("alexnet"),
            self.peer.text(peer),
            self.ratio_of_medians
        )
    }
}

/// The middle value, or the mean of the two in the middle.
fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_read_and_checked() {
        let options = parse("--peer torch --mode forward --dtype bf16 --batch 1 --threads 2 --no-record").expect("options");
        assert_eq!((options.iters, options.warmup, options.record), (50, 2, false));
        assert_eq!(parse("--peer openvino --mode forward --batch 64").expect("options").iters, 5);
        for (line, word) in [
            ("", "--peer is missing"),
            ("--peer tensorflow", "tensorflow"),
            ("--peer torch --batch 0", "--batch 0"),
            ("--peer torch --rounds 0", "--rounds 0"),
            ("--peer torch --mode backward", "train, forward"),
            ("--peer torch --speed 2", "--speed"),
            ("--peer torch --batch", "needs a value"),
            ("--peer openvino", "forward"),
            ("--peer onnxruntime --mode forward --dtype bf16", "bf16"),
            ("--peer openvino --mode forward --plain", "--plain"),
        ] {
            let error = format!("{:#}", parse(line).expect_err(line));
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn both_programs_are_told_the_same() {
        let options = parse("--peer torch --batch 8 --threads 2 --dtype bf16").expect("options");
        let way = options.peer.ways(&options).remove(0);
        let words = |command: &Command| command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
        let ours = words(&options.ours(Path::new("alexnet")));
        let peer = words(&options.peer_command(Path::new("torch_alexnet.py"), &way));
        for word in options.same() {
            assert!(ours.contains(&word) && peer.contains(&word), "{word}");
        }
        assert!(ours.ends_with(&["--precision".into(), "bf16".into()]), "{ours:?}");
        assert!(peer.ends_with(&["--dtype".into(), "bf16".into()]), "{peer:?}");
    }

    fn printed(ms: f64) -> Value {
        json!({ "net": "alexnet", "mode": "train", "dtype": "f32", "batch": 128, "threads": 2, "ms": ms, "ms_min": ms, "peak_bytes": 7 })
    }

    #[test]
    fn a_run_of_something_else_is_no_measurement() {
        let options = parse("--peer torch --threads 2").expect("options");
        assert!(read(printed(1.0), &options).is_ok());
        for (key, other) in [("batch", json!(64)), ("net", json!("caffe")), ("threads", json!(1)), ("precision", json!("bf16"))] {
            let mut run = printed(1.0);
            run[key] = other;
            assert!(read(run, &options).is_err(), "{key}");
        }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let options = parse("--peer torch --threads 2").expect("options");
        let runs = |ms: [f64; 3]| ms.map(|ms| read(printed(ms), &options).expect("a run"));
        let result = Comparison::new(&runs([100.0, 300.0, 200.0]), &runs([150.0, 360.0, 800.0]));
        assert_eq!((result.ratio_of_medians, result.ratios_by_round.as_slice()), (1.8, &[1.5, 1.2, 4.0][..]));
        assert_eq!((result.ours.images_per_s, result.ours.peak_bytes, result.ours.cpu_ms_median), (640.0, Some(7), None));
        assert!(result.text("torch").contains("alexnet is 1.80 times as fast (by round 1.20 to 4.00)"));
    }
}
