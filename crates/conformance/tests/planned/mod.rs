//! Which convolutions the CPU engine computes by tiles, as its plan says.

#![allow(dead_code, unreachable_pub)]

use conformance::{LayerTiles, Tiles};
use net::{Executor, Net, Op};

/// The tiles of an executor.
pub fn tiles(exec: &dyn Executor) -> Vec<LayerTiles> {
    planned(exec.net(), &exec.plan())
}

/// The tiles in a plan's table, a line for each pass: `layer op forward algorithm …`, or `weight algorithm …` behind blanks
/// for the other passes of the layer above.
pub fn planned(net: &Net, plan: &str) -> Vec<LayerTiles> {
    let mut all = vec![LayerTiles::default(); net.layers().len()];
    let mut layer = None;
    for line in plan.lines() {
        let mut words = line.split_whitespace();
        if !line.starts_with(' ') {
            layer = words.next().and_then(|name| net.layer_index(name));
            words.next();
        }
        let (Some(index), Some(pass), Some("winograd")) = (layer, words.next(), words.next()) else { continue };
        let words: Vec<&str> = words.collect();
        let of_pass = match pass {
            "forward" => &mut all[index].forward,
            "weight" => &mut all[index].weight,
            "data" => &mut all[index].data,
            other => panic!("no pass `{other}`: {line}"),
        };
        *of_pass = Some(tiles_of(&net.layers()[index].op, &words).unwrap_or_else(|| panic!("no tiles of {index}: {line}")));
    }
    all
}

/// `F(m×m, r×r)` or `F(m×m, r×r) folded`, as words, where it fits the layer.
pub fn tiles_of(op: &Op, words: &[&str]) -> Option<Tiles> {
    let Op::Conv(conv) = op else { return None };
    let side = |square: &str| {
        let (rows, columns) = square.split_once('×')?;
        (rows == columns).then(|| rows.parse::<usize>().ok())?
    };
    let m = side(words.first()?.strip_prefix("F(")?.strip_suffix(',')?)?;
    let r = side(words.get(1)?.strip_suffix(')')?)?;
    let (fold, folded) = (conv.stride.r, words.get(2) == Some(&"folded"));
    (folded == (fold > 1) && r == conv.kernel.r.div_ceil(fold)).then_some(Tiles { m, fold })
}
