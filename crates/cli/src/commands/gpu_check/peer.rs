//! PyTorch on the same GPU.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::Bench;

/// The script, and what it imports, so that the program needs no other file.
const SCRIPTS: [(&str, &str); 2] = [
    ("torch_alexnet_cuda.py", include_str!("../../../../../bench/peers/torch_alexnet_cuda.py")),
    ("cuda_nets.py", include_str!("../../../../../bench/peers/cuda_nets.py")),
];
/// Seconds that it may take.
const BUDGET: u32 = 240;

/// Runs the script with a Python and returns what it wrote, or why there is nothing. Everything goes into `folder`.
pub(super) fn run(bench: &Bench, python: &Path, folder: &Path) -> Result<Value, String> {
    bench.say("PyTorch");
    for (name, text) in SCRIPTS {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let json = &folder.join("peer.json");
    let mut command = Command::new(python);
    command.arg(folder.join(SCRIPTS[0].0)).arg("--json").arg(json).stdin(Stdio::null()).stdout(Stdio::null());
    if bench.is_emulated() {
        command.args(["--device", "cpu", "--batch", "2", "--precision", "f32", "--net", "torchvision", "--seconds", "0.1"]);
        command.args(["--budget", "60"]);
    } else {
        command.args(["--batch", "128,256,1024", "--precision", "bf16", "--budget", &BUDGET.to_string()]);
    }
    let status = command.status().map_err(|error| format!("{} does not start: {error}", python.display()))?;
    if !status.success() {
        return Err(format!("{} ended with {status}", python.display()));
    }
    let text = fs::read_to_string(json).map_err(|error| format!("{}: {error}", json.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", json.display()))
}
