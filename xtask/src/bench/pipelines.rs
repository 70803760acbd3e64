//! `cargo xtask bench-data`: our way of image files to batches and others' in turns, on the same cores.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{build, last_line, median, number, record};

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
struct Options {
    /// Class folders of JPEGs.
    data: String,
    /// What the data is called in the record's name.
    name: String,
    peers: Vec<String>,
    /// A Python that has the peers.
    python: String,
    threads: u32,
    rounds: u32,
    seconds: u32,
    record: bool,
}

/// The ways of `bench/peers/pipeline.py`.
const PEERS: [&str; 4] = ["pil", "torchvision", "opencv", "dali"];

/// The paper's stored images and crops, normalised by channel, as the peers do it.
const RECIPE: &str = "bench/peers/pipeline.toml";

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let (mut data, mut name) = (None, None);
        let mut options = Options {
            data: String::new(),
            name: String::new(),
            peers: PEERS.map(String::from).to_vec(),
            python: "python3".into(),
            threads: cores,
            rounds: 5,
            seconds: 8,
            record: true,
        };
        while let Some(flag) = arguments.next() {
            let mut value = || arguments.next().with_context(|| format!("{flag} needs a value"));
            match flag.as_str() {
                "--data" => data = Some(value()?),
                "--name" => name = Some(value()?),
                "--peer" => options.peers = value()?.split(',').map(String::from).collect(),
                "--python" => options.python = value()?,
                "--threads" => options.threads = number(&flag, &value()?)?,
                "--rounds" => options.rounds = number(&flag, &value()?)?,
                "--seconds" => options.seconds = number(&flag, &value()?)?,
                "--no-record" => options.record = false,
                _ => bail!("there is no option `{flag}`"),
            }
        }
        options.data = data.context("--data is missing: class folders of JPEGs")?;
        options.name = name.context("--name is missing: what the data is called in the record, such as full-size")?;
        if let Some(unknown) = options.peers.iter().find(|peer| !PEERS.contains(&peer.as_str())) {
            bail!("--peer {unknown}: there are {}", PEERS.join(", "));
        }
        ensure!(!options.name.contains(['/', '.']), "--name {}: a word for a file's name", options.name);
        Ok(options)
    }

    fn ours(&self, root: &Path, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["bench", "data", &self.data, "--json", "--net", "torchvision", "--val-fraction", "0"]);
        command.arg("--recipe").arg(root.join(RECIPE));
        command.args(["--loader-threads", &self.threads.to_string(), "--seconds", &self.seconds.to_string()]);
        command
    }

    fn peer(&self, root: &Path, way: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(root.join("bench/peers/pipeline.py")).args(["--way", way, "--data", &self.data]);
        command.args(["--threads", &self.threads.to_string(), "--seconds", &self.seconds.to_string()]);
        command
    }
}

/// Compares as `arguments` say.
pub(crate) fn run(root: &Path, arguments: impl Iterator<Item = String>) -> Result<bool> {
    let options = Options::parse(arguments)?;
    let program = build(root)?;
    let mut ours = Vec::new();
    let mut peers: Vec<(String, Vec<Value>)> = options.peers.iter().map(|peer| (peer.clone(), Vec::new())).collect();
    for round in 1..=options.rounds {
        ours.push(measure(options.ours(root, &program))?);
        for (way, runs) in &mut peers {
            runs.push(measure(options.peer(root, way))?);
        }
        let rates: Vec<String> = peers.iter().map(|(way, runs)| format!("{way} {:.0}", rate(&runs[runs.len() - 1]))).collect();
        let load = record::load_average().first().copied().unwrap_or(0.0);
        println!("round {round}: alexnet {:.0}, {} images/s, load {load:.1}", rate(&ours[ours.len() - 1]), rates.join(", "));
    }
    let results: Vec<Value> = peers.iter().map(|(way, runs)| compare(way, &ours, runs)).collect();
    println!("alexnet      {:8.0} images/s", middle(&ours));
    for result in &results {
        let (least, most) = (&result["least_ratio"], &result["most_ratio"]);
        println!(
            "{:12} {:8.0} images/s: alexnet is {:.2} times as fast (by round {least:.2} to {most:.2})",
            result["peer"].as_str().unwrap_or(""),
            result["images_per_s"].as_f64().unwrap_or(0.0),
            result["ratio_of_medians"].as_f64().unwrap_or(0.0)
        );
    }
    if options.record {
        let Options { name, threads, rounds, seconds, peers, .. } = &options;
        let command = format!(
            "cargo xtask bench-data --data DIR --name {name} --peer {} --python PYTHON --threads {threads} --rounds {rounds} \
             --seconds {seconds}",
            peers.join(",")
        );
        let measured = json!({ "images_per_s": middle(&ours), "peers": results, "runs_ours": ours });
        let path = record::write_json(root, &format!("pipeline-{name}-t{threads}"), &command, measured)?;
        println!("record: {}", path.strip_prefix(root).unwrap_or(&path).display());
    }
    Ok(true)
}

/// Runs a program that prints how many images it made a second.
fn measure(command: Command) -> Result<Value> {
    let (words, json) = last_line(command)?;
    ensure!(rate(&json) > 0.0, "{words} printed no images_per_s");
    Ok(json)
}

fn rate(run: &Value) -> f64 {
    run["images_per_s"].as_f64().unwrap_or(0.0)
}

fn middle(runs: &[Value]) -> f64 {
    median(&runs.iter().map(rate).collect::<Vec<_>>())
}

/// How many times as fast we are as a peer.
fn compare(way: &str, ours: &[Value], peers: &[Value]) -> Value {
    let ratios: Vec<f64> = ours.iter().zip(peers).map(|(ours, peer)| rate(ours) / rate(peer)).collect();
    json!({
        "peer": way,
        "images_per_s": middle(peers),
        "ratio_of_medians": record::rounded(middle(ours) / middle(peers)),
        "least_ratio": record::rounded(ratios.iter().copied().fold(f64::INFINITY, f64::min)),
        "most_ratio": record::rounded(ratios.iter().copied().fold(0.0, f64::max)),
        "runs": peers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn options_are_read_and_checked() {
        let options = parse("--data d --name full-size --peer pil,dali --threads 1").expect("options");
        assert_eq!((options.peers, options.threads, options.record), (vec!["pil".to_string(), "dali".into()], 1, true));
        for (line, word) in [
            ("--name x", "--data is missing"),
            ("--data d", "--name is missing"),
            ("--data d --name a/b", "--name a/b"),
            ("--data d --name x --peer ffmpeg", "ffmpeg"),
            ("--data d --name x --rounds 0", "--rounds 0"),
        ] {
            let error = format!("{:#}", parse(line).expect_err(line));
            assert!(error.contains(word), "{line}: {error}");
        }
    }

    #[test]
    fn the_ratio_is_that_of_the_medians() {
        let runs = |rates: [f64; 3]| rates.map(|rate| json!({ "images_per_s": rate }));
        let result = compare("pil", &runs([100.0, 300.0, 200.0]), &runs([50.0, 100.0, 80.0]));
        assert_eq!(
            (&result["ratio_of_medians"], &result["least_ratio"], &result["most_ratio"]),
            (&json!(2.5), &json!(2.0), &json!(3.0))
        );
    }
}
