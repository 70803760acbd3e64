//! The candidates of each convolution, timed in turns within the whole net: whether the plan's model picks the faster one here.

use cpu::{Choice, Convolution, Cpu};
use net::{Executor, Kind, Mode, Net};
use report::format;
use serde_json::json;

use crate::commands::bench::{median, random_batch, small_steps, step};
use crate::engine::Engine;
use crate::failure::{Failure, Result};

/// How much slower than the best candidate a pick may be.
const TOLERANCE: f64 = 1.05;

/// Steps before the timed ones.
const WARMUP: u32 = 2;

/// What was found.
pub(crate) struct Candidates {
    net: String,
    images: usize,
    rows: Vec<Row>,
}

/// A convolution: all its passes in one step, in milliseconds, median over the rounds.
struct Row {
    choice: Choice,
    /// `None` where there are no tiles for it.
    tiles_ms: Option<f64>,
    product_ms: f64,
}

impl Row {
    fn picked_ms(&self) -> f64 {
        match self.choice.picked {
            Convolution::Tiles => self.tiles_ms.unwrap_or(self.product_ms),
            Convolution::Product => self.product_ms,
        }
    }

    /// How many times as long as the best candidate the pick takes.
    fn excess(&self) -> f64 {
        self.picked_ms() / self.tiles_ms.map_or(self.product_ms, |ms| ms.min(self.product_ms))
    }
}

impl Candidates {
    /// Runs the net with tiles wherever there are any and with products alone, in turns. Where a pick is too slow, once more with
    /// twice the rounds: a neighbour on the machine is no reason.
    pub(crate) fn measure(engine: &Engine, net: &Net, images: usize, mode: Mode, rounds: u32) -> Result<Candidates> {
        let choices = engine.prepare_cpu(net, images, mode, None)?.choices();
        let mut execs = Vec::new();
        for convolutions in [Convolution::Tiles, Convolution::Product] {
            let mut exec = engine.prepare_cpu(net, images, mode, Some(convolutions))?;
            exec.load(Kind::Weights, &net.initial_params(0))?;
            execs.push(exec);
        }
        let mut found = Candidates { net: net.name().into(), images, rows: Vec::new() };
        for rounds in [rounds, 2 * rounds] {
            let [tiles, product] = times(net, images, mode, rounds, &mut execs, &choices)?;
            let rows = choices.iter().zip(tiles.into_iter().zip(product)).map(|(choice, (tiles, product))| Row {
                tiles_ms: choice.tiles_cost.map(|_| tiles),
                product_ms: product,
                choice: choice.clone(),
            });
            found.rows = rows.collect();
            if found.worst().is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// The convolution whose pick exceeds the tolerance by most.
    fn worst(&self) -> Option<&Row> {
        let slow = self.rows.iter().filter(|row| row.excess() > TOLERANCE);
        slow.max_by(|a, b| a.excess().total_cmp(&b.excess()))
    }

    /// Fails where a pick is too slow.
    pub(crate) fn assert(&self) -> Result<()> {
        let Some(row) = self.worst() else { return Ok(()) };
        let Choice { layer, picked, .. } = &row.choice;
        let message =
            format!("{layer}: the plan picks {picked}, which takes {:.2} times as long as its best candidate", row.excess());
        Err(Failure::failed(
            message,
            "run it on an idle machine; if it stays so, the model in crates/cpu/src/plan/winograd.rs is wrong",
        ))
    }

    pub(crate) fn text(&self) -> String {
        let images = format::of(self.images as u64, "image", "images");
        let head = ["convolution", "tiles, M", "product, M", "tiles, ms", "product, ms", "pick", "beside the best"];
        let mut table = vec![head.map(String::from).to_vec()];
        table.extend(self.rows.iter().map(|row| {
            let mega = |cost: u64| format!("{:.1}", cost as f64 / 1e6);
            let none = || "–".to_string();
            vec![
                row.choice.layer.clone(),
                row.choice.tiles_cost.map_or_else(none, mega),
                mega(row.choice.product_cost),
                row.tiles_ms.map_or_else(none, |ms| format!("{ms:.3}")),
                format!("{:.3}", row.product_ms),
                row.choice.picked.to_string(),
                format!("{:.2}", row.excess()),
            ]
        }));
        let table = format::table(&table, &[1, 2, 3, 4, 6]);
        format!(
            "{}, {images}: multiply-adds of an image's forward pass by the model; all passes of a step, measured\n{table}",
            self.net
        )
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<_> = (self.rows.iter())
            .map(|row| {
                json!({
                    "layer": row.choice.layer, "picked": row.choice.picked.to_string(), "excess": row.excess(),
                    "tiles_cost": row.choice.tiles_cost, "product_cost": row.choice.product_cost,
                    "tiles_ms": row.tiles_ms, "product_ms": row.product_ms,
                })
            })
            .collect();
        format!("{}\n", json!({ "net": self.net, "batch": self.images, "convolutions": rows }))
    }
}

/// Milliseconds of all passes of each convolution in one step, for each of two executors: medians over the rounds.
fn times(net: &Net, images: usize, mode: Mode, rounds: u32, execs: &mut [Cpu], choices: &[Choice]) -> Result<[Vec<f64>; 2]> {
    let (batch, hyper) = (random_batch(net, images), small_steps(net));
    let mut all = [vec![Vec::new(); choices.len()], vec![Vec::new(); choices.len()]];
    for round in 0..WARMUP + rounds {
        for (exec, all) in execs.iter_mut().zip(&mut all) {
            exec.reset_timings();
            step(exec, mode, &batch, round, &hyper)?;
            for (choice, all) in choices.iter().zip(all.iter_mut()).filter(|_| round >= WARMUP) {
                let passes = exec.timings().iter().filter(|timing| timing.layer == choice.layer);
                all.push(passes.map(|timing| timing.time.as_secs_f64() * 1e3).sum());
            }
        }
    }
    Ok(all.map(|layers| layers.iter().map(|ms| median(ms)).collect()))
}
