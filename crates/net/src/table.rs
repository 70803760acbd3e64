//! The layer table that `alexnet describe` prints.

use std::fmt::Write;

use crate::{Net, Op, Padding, Pair, Rounding};

impl Net {
    /// The layers as a table: geometry, output shape, parameters, multiply-adds and activations of one image, with totals.
    pub fn table(&self) -> String {
        let mut rows = vec![
            ["layer", "op", "kernel", "stride", "padding", "groups", "output", "parameters", "multiply-adds", "activations"]
                .map(String::from)
                .to_vec(),
        ];
        let input = self.input();
        rows.push(row(["input", "", "", "", "", "", &input.to_string(), "", "", &grouped(input.len() as u64)]));
        for (index, layer) in self.layers().iter().enumerate() {
            let [kernel, stride, padding, groups] = geometry(&layer.op);
            let params: usize = self.params().iter().filter(|p| p.layer == index).map(|p| p.len()).sum();
            let output = self.output_of(index);
            let blank_zero = |n: u64| if n == 0 { String::new() } else { grouped(n) };
            rows.push(row([
                &layer.name,
                &note(&layer.op),
                &kernel,
                &stride,
                &padding,
                &groups,
                &output.to_string(),
                &blank_zero(params as u64),
                &blank_zero(self.multiply_adds_of(index)),
                &grouped(output.len() as u64),
            ]));
        }
        let activations: usize = (0..self.layers().len()).map(|i| self.output_of(i).len()).sum();
        rows.push(row([
            "total",
            "",
            "",
            "",
            "",
            "",
            "",
            &grouped(self.parameter_count() as u64),
            &grouped(self.multiply_adds()),
            &grouped(activations as u64),
        ]));
        aligned(&rows)
    }
}

fn row(cells: [&str; 10]) -> Vec<String> {
    cells.map(String::from).to_vec()
}

/// The op with what the geometry columns do not tell.
pub(crate) fn note(op: &Op) -> String {
    match op {
        Op::Lrn(lrn) => {
            let towers = if lrn.towers > 1 { format!(" in {} towers", lrn.towers) } else { String::new() };
            format!("lrn k={} a={} b={}{towers}", lrn.k, lrn.coefficient(), lrn.beta)
        }
        Op::LrnWithin(lrn) => format!("lrn within k={} a={:.3e} b={}", lrn.k, lrn.coefficient(), lrn.beta),
        Op::Dropout(dropout) => format!("dropout {}, scaled in {:?}", dropout.rate, dropout.scaling).to_lowercase(),
        Op::MaxPool(_) => "max pool".into(),
        Op::AvgPool(_) => "average pool".into(),
        other => other.kind().into(),
    }
}

/// Kernel, stride, padding and groups as they stand in the table.
pub(crate) fn geometry(op: &Op) -> [String; 4] {
    let window = |kernel: Pair, stride: Pair, padding: Padding, rounding: Rounding, groups: String| {
        let overhang = if rounding == Rounding::Ceil { " ceil" } else { "" };
        [pair(kernel), pair(stride), format!("{}{overhang}", pad(padding)), groups]
    };
    match op {
        Op::Conv(op) => window(op.kernel, op.stride, op.padding, op.rounding, op.groups.to_string()),
        Op::Local(op) => window(op.kernel, op.stride, op.padding, Rounding::Floor, "1".into()),
        Op::MaxPool(op) => window(op.kernel, op.stride, op.padding, op.rounding, String::new()),
        Op::AvgPool(op) => window(op.kernel, op.stride, op.padding, op.rounding, String::new()),
        Op::Lrn(op) => [format!("{} maps", op.n), String::new(), String::new(), String::new()],
        Op::LrnWithin(op) => [pair(Pair::square(op.n)), String::new(), String::new(), String::new()],
        _ => [const { String::new() }; 4],
    }
}

fn pair(pair: Pair) -> String {
    format!("{}×{}", pair.r, pair.s)
}

fn pad(padding: Padding) -> String {
    if padding == Padding::all(padding.top) {
        padding.top.to_string()
    } else {
        format!("{},{},{},{}", padding.top, padding.left, padding.bottom, padding.right)
    }
}

/// Digits in groups of three.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Columns padded to their widest cell; the first two and no other to the left.
fn aligned(rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..rows[0].len()).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string cannot fail.
            let _ = if c < 2 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
