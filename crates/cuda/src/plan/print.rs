//! The plan as a table.

use std::fmt;

use net::{Mode, Op};

use super::{LayerPlan, Plan};
use crate::kernels::Element;

/// A line of the table: pass, algorithm, operations of an image, bytes of its own, why.
type Line = (&'static str, String, u64, usize, String);

impl Plan {
    fn lines(&self, index: usize) -> Vec<Line> {
        let layer = &self.layers[index];
        let size = self.element.size();
        let own = if layer.fused || layer.pooled { 0 } else { self.capacity * layer.output.len() * size };
        let before = index.checked_sub(1).map_or("", |before| &self.layers[before].name);
        let (forward, weight, data) = self.algorithms(index, layer);
        let next = self.layers.get(index + 1).map_or("", |next| &next.name);
        let elsewhere = |algorithm: String| match (layer.fused, layer.pooled) {
            (true, _) => format!("in {before}"),
            (_, true) => format!("in {next}"),
            _ => algorithm,
        };
        let flops = layer.product.as_ref().map_or(0, |product| product.flops());
        let mut lines = vec![("forward", elsewhere(forward), flops, own, self.why(index, layer))];
        if self.mode != Mode::Train || layer.op == Op::Softmax {
            return lines;
        }
        if let Some(product) = &layer.product {
            let (partials, parts) = product.partials();
            let why = if parts > 1 { format!("{parts} parts, so that all of a GPU works") } else { String::new() };
            lines.push(("weight", weight, flops, partials * 4, why));
        }
        if layer.dx.is_some() && layer.op != Op::Softmax {
            let bytes = if layer.dx == layer.dy { 0 } else { self.capacity * layer.input.len() * size };
            let data = if layer.done_by_next { format!("in {next}") } else { elsewhere(data) };
            lines.push(("data", data, flops, bytes, String::new()));
        }
        lines
    }

    /// What the passes of a layer are done by.
    fn algorithms(&self, index: usize, layer: &LayerPlan) -> (String, String, String) {
        let Some(product) = &layer.product else { return (layer.op.kind().into(), String::new(), layer.op.kind().into()) };
        let f32_out = index + 2 == self.layers.len() && self.has_logits();
        let [forward, data, weight] = product.names(f32_out).map(|(name, _)| name.replace('_', " "));
        (forward, weight, data)
    }

    fn why(&self, index: usize, layer: &LayerPlan) -> String {
        match &layer.op {
            Op::Conv(_) if index == 0 && self.pixels.fold > 1 => {
                let fold = self.pixels.fold;
                format!("pixels folded {fold}×{fold}: stride 1 over {} maps", self.pixels.shape.c)
            }
            Op::MaxPool(_) if layer.argmax.is_some() => "keeps where the maximum was".into(),
            _ => String::new(),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mebibytes = |bytes: usize| bytes as f64 / (1 << 20) as f64;
        let precision = match self.element {
            Element::F32 => "f32",
            Element::Tf32 => "tf32",
            Element::Bf16 => "bf16",
            Element::F16 => "f16",
        };
        let (net, capacity, mode) = (&self.net, self.capacity, self.mode);
        writeln!(
            f,
            "net {}, {capacity} images, {mode:?}, cuda, {precision}, arena {:.1} MiB",
            net.name(),
            mebibytes(self.bytes)
        )?;
        writeln!(
            f,
            "{:<10} {:<11} {:<8} {:<25} {:>12} {:>10}  why",
            "layer", "op", "pass", "algorithm", "MFLOP/image", "own MiB"
        )?;
        let mut total = 0;
        for (index, layer) in self.layers.iter().enumerate() {
            for (pass, algorithm, flops, bytes, why) in self.lines(index) {
                let (name, kind) = if pass == "forward" { (layer.name.as_str(), layer.op.kind()) } else { ("", "") };
                total += flops;
                let (flops, bytes) = (flops as f64 / 1e6, mebibytes(bytes));
                let line = format!("{name:<10} {kind:<11} {pass:<8} {algorithm:<25} {flops:>12.3} {bytes:>10.2}  {why}");
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        write!(f, "{:<10} {:<11} {:<8} {:<25} {:>12.3}", "total", "", "", "", total as f64 / 1e6)
    }
}
