//! Chores of the repository: `cargo xtask <task>`.

mod bench;
mod golden;
mod tidy;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  tidy    checks the conventions that a program can check
  bench --peer torch|openvino|onnxruntime [--python PATH] [--mode train|forward] [--net NAME] [--dtype f32|bf16] [--plain]
        [--batch N] [--threads N] [--rounds N] [--warmup N] [--iters N] [--no-record]
          runs `alexnet bench` and the peer in turns on the same cores, and writes the ratio of their medians, with its spread by
          round, CPU time and peak memory, to bench/records; PATH (default python3) has the peer's packages; the peer runs
          tuned, with the allocator and the hint that a trial finds fastest, unless --plain asks for it as it comes (torch only)
  bench-data --data DIR --name NAME [--peer pil,torchvision,opencv,dali] [--python PATH] [--threads N] [--rounds N] [--seconds N]
        [--no-record]
          runs `alexnet bench data` and the peers in turns on the JPEGs of a data set, and writes the ratios to bench/records
  golden [--check] [--python PATH] [CASE…]
          makes the goldens anew, or with --check compares what their scripts say now with what is kept; a case is skipped
          where PATH (default python3) has not the packages that it imports, and fails where ALEXNET_NO_SKIPS=1 is set
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let result = match arguments.next().as_deref() {
        Some("bench") => bench::run(&root, arguments),
        Some("bench-data") => bench::pipelines::run(&root, arguments),
        Some("golden") => golden::run(&root, arguments),
        Some("tidy") => tidy(&root),
        Some("help" | "--help" | "-h") => {
            print!("{USAGE}");
            Ok(true)
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tidy(root: &Path) -> anyhow::Result<bool> {
    let faults = tidy::faults(root);
    for fault in &faults {
        println!("{fault}");
    }
    println!("tidy: {} faults", faults.len());
    Ok(faults.is_empty())
}
