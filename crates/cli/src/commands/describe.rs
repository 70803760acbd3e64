//! `alexnet describe`: what a net is, layer by layer.

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use net::PRESETS;
use report::format;
use train::Metrics;
use train::checkpoint::{Checks, Manifest, Saved};

use crate::dataset::titled;
use crate::failure::Result;
use crate::{nets, saved, terminal};

/// Show a net: its layers, shapes, parameters and multiply-adds
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet describe                    the network of the paper
  alexnet describe --list             every preset
  alexnet describe --net caffe        another one
  alexnet describe --net runs/mine    a trained one: classes, metrics, recipe
  alexnet describe --toml > my.toml   to be edited and trained: --net my.toml")]
pub(crate) struct Describe {
    /// A preset, a net's TOML file, or a run directory or checkpoint
    #[arg(long, value_name = "NAME|FILE", default_value = "alexnet")]
    net: String,
    /// Print the net as TOML, ready to be edited
    #[arg(long, conflicts_with = "list")]
    toml: bool,
    /// List the presets
    #[arg(long, conflicts_with = "net")]
    list: bool,
}

impl Describe {
    pub(crate) fn run(&self) -> Result<()> {
        if self.list {
            return terminal::print(&list());
        }
        let path = Path::new(&self.net);
        if saved::is_one(path) {
            let (saved, _) = saved::open(path, Checks::All)?;
            return terminal::print(&if self.toml { saved.net()?.to_toml() } else { describe(&saved)? });
        }
        let net = nets::resolve(&self.net)?;
        terminal::print(&if self.toml { net.to_toml() } else { net.table() })
    }
}

fn list() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    PRESETS.iter().map(|preset| format!("{:<width$}  {}\n", preset.name, preset.summary)).collect()
}

/// A checkpoint's net, what it was trained on, how far, how well, and by which recipe.
fn describe(saved: &Saved) -> Result<String> {
    let (net, manifest) = (saved.net()?, saved.manifest());
    let dataset = &manifest.dataset;
    let mut rows = vec![
        ("checkpoint", saved.path().display().to_string()),
        ("net", net.name().to_string()),
        (
            "data",
            format!(
                "{}: {}, {} for validation",
                dataset.name,
                format::of(dataset.train_images, "training image", "training images"),
                format::count(dataset.val_images)
            ),
        ),
        (
            "trained",
            format!(
                "{}; next is batch {} of epoch {}, both counted from 0",
                format::of(manifest.position.step.into(), "step", "steps"),
                manifest.position.batch,
                manifest.position.epoch
            ),
        ),
    ];
    rows.extend(manifest.metrics.as_ref().map(|found| ("metrics", metrics(found))));
    rows.extend(manifest.progress.best.as_ref().map(|best| ("best so far", metrics(best))));
    rows.extend([("seed", manifest.seed.to_string()), ("revision", format!("{} ({})", manifest.version, manifest.revision))]);
    let rows: Vec<_> = rows.into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
    let mut text = format::table(&rows, &[]);
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{}\n{}\n\n# recipe\n{}", net.table(), classes(manifest), manifest.recipe.trim_end());
    text.push('\n');
    Ok(text)
}

fn metrics(metrics: &Metrics) -> String {
    let views = if metrics.views == 1 { "centre crop".into() } else { format!("{} views", metrics.views) };
    format!(
        "top-1 error {}, top-5 error {}, NLL {} on {} ({views}) at step {}",
        format::share(metrics.top1_error),
        format::share(metrics.top5_error),
        metrics.nll.map_or("not a number".into(), |nll| format!("{nll:.4}")),
        format::of(metrics.images, "image", "images"),
        format::count(metrics.step.into())
    )
}

fn classes(manifest: &Manifest) -> String {
    let names: Vec<_> = manifest.classes.iter().enumerate().map(|(label, class)| titled(class, &manifest.words, label)).collect();
    format!("{}: {}", format::of(names.len() as u64, "class", "classes"), names.join(", "))
}
