//! What is printed in the end.

use std::fmt::Write;

use serde_json::Value;

use super::right::Check;
use super::speed::{Measured, Speed};

/// Kernels that are shown: those that take longest.
const MOST_KERNELS: usize = 16;

/// A best figure of the peer: its net, mode, batch and images a second.
fn best_of(peer: &Value, m: &Measured) -> Option<f64> {
    let all = peer.get("results")?.as_array()?;
    let of = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_string);
    let same = |entry: &&Value| {
        of(entry, "net").as_deref() == Some(m.net)
            && of(entry, "mode").as_deref() == Some(m.mode)
            && of(entry, "precision") == Some(m.precision.to_string())
            && entry.get("batch").and_then(Value::as_u64) == Some(m.rate.batch as u64)
    };
    all.iter().find(same)?.get("best")?.get("images_per_s")?.as_f64()
}

pub(super) fn text(right: &[Check], speed: &Speed, peer: &Result<Value, String>) -> String {
    let mut text = format!("{}\n\n", speed.device);
    for check in right {
        let mark = if check.fault.is_none() { "ok  " } else { "FAIL" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{mark}  {}: {}", check.name, check.fault.as_ref().unwrap_or(&check.found));
    }
    kernels(&mut text, speed);
    let _ = writeln!(
        text,
        "\n{:<12} {:<6} {:<5} {:>6} {:>6} {:>12} {:>12} {:>7}",
        "net", "mode", "", "graph", "batch", "images/s", "PyTorch", "ratio"
    );
    for m in &speed.rates {
        let beside = peer.as_ref().ok().filter(|_| m.recorded).and_then(|peer| best_of(peer, m));
        let (peer, ratio) =
            beside.map_or(("-".into(), "-".into()), |peer| (format!("{peer:.0}"), format!("{:.2}", m.rate.images_per_s / peer)));
        let (graph, rate) = (if m.recorded { "on" } else { "off" }, m.rate.images_per_s);
        let precision = m.precision.to_string();
        let _ = writeln!(
            text,
            "{:<12} {:<6} {precision:<5} {graph:>6} {:>6} {rate:>12.0} {peer:>12} {ratio:>7}",
            m.net, m.mode, m.rate.batch
        );
    }
    if let Err(why) = peer {
        let _ = writeln!(text, "\nPyTorch: {why}");
    }
    text
}

fn kernels(text: &mut String, speed: &Speed) {
    let total: f64 = speed.kernels.iter().map(|kernel| kernel.seconds).sum();
    let mut slowest: Vec<_> = speed.kernels.iter().collect();
    slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let (net, batch) = &speed.profiled;
    let _ = writeln!(text, "\na step of {net} with {batch} images, kernel by kernel: {:.3} ms", total * 1e3);
    let _ =
        writeln!(text, "{:<10} {:<8} {:<24} {:>10} {:>7} {:>9} {:>9}", "layer", "pass", "kernel", "µs", "%", "TFLOP/s", "GB/s");
    for kernel in slowest.into_iter().take(MOST_KERNELS) {
        let layer = kernel.layer.as_deref().unwrap_or("");
        let (share, micros) = (kernel.seconds / total * 100.0, kernel.seconds * 1e6);
        let (flops, bytes) = (kernel.flops as f64 / kernel.seconds / 1e12, kernel.bytes as f64 / kernel.seconds / 1e9);
        let _ = writeln!(
            text,
            "{layer:<10} {:<8} {:<24} {micros:>10.1} {share:>7.1} {flops:>9.1} {bytes:>9.0}",
            kernel.pass, kernel.kernel
        );
    }
}
