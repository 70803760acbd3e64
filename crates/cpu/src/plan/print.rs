//! The plan as a table.

use std::fmt;

use super::{Pass, Plan};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        writeln!(
            f,
            "net {}, {} images, {:?}, {}, {} threads, arena {:.1} MiB",
            self.net,
            self.capacity,
            self.mode,
            self.isa,
            self.threads,
            mebibytes(self.arena_len * size_of::<f32>())
        )?;
        writeln!(
            f,
            "{:<10} {:<11} {:<8} {:<25} {:>12} {:>10}  why",
            "layer", "op", "pass", "algorithm", "MFLOP/image", "own MiB"
        )?;
        let mut total = 0;
        for layer in &self.layers {
            for note in &layer.passes {
                let (name, kind) = if note.pass == Pass::Forward { (layer.name.as_str(), layer.kind) } else { ("", "") };
                let (flops, bytes) = (note.flops as f64 / 1e6, mebibytes(note.bytes));
                total += note.flops;
                let line = format!(
                    "{name:<10} {kind:<11} {:<8} {:<25} {flops:>12.3} {bytes:>10.2}  {}",
                    note.pass.name(),
                    note.algorithm,
                    note.reason
                );
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        write!(f, "{:<10} {:<11} {:<8} {:<25} {:>12.3}", "total", "", "", "", total as f64 / 1e6)
    }
}
