//! `alexnet describe`: what a net is, layer by layer, and what is known of a trained one.

use std::fmt::Write;
use std::path::Path;

use clap::Args;
use data::{Channels, Fit, Mean, Preprocessing, Std};
use net::{Net, PRESETS, Variant};
use report::format;
use train::checkpoint::Checks;
use train::{InitialisedFrom, Metrics};
use zoo::{Card, Given, Model};

use crate::dataset::titled;
use crate::failure::{Failure, Result};
use crate::saved::{self, About};
use crate::{nets, terminal};

/// Show a net: its layers, shapes, parameters and multiply-adds; and all that is known of a trained one
#[derive(Args)]
#[command(after_help = "\
Of a trained net, whatever program has written it, this tells which AlexNet it is
and in what it differs from the paper, how it wants its images, its classes, what
it was trained on, by which recipe, and how well it does.

Examples:
  alexnet describe                    the network of the paper
  alexnet describe --list             every preset
  alexnet describe caffe              another one
  alexnet describe runs/mine          a trained one: a run, a checkpoint, a file
  alexnet describe --toml > my.toml   to be edited and trained: --net my.toml")]
pub(crate) struct Describe {
    /// A preset, a net's TOML file, a run directory, a checkpoint, or a file of trained weights
    #[arg(value_name = "NAME|FILE", conflicts_with = "net")]
    what: Option<String>,
    /// The same
    #[arg(long, value_name = "NAME|FILE", default_value = "alexnet", hide_default_value = true)]
    net: String,
    /// Print the net as TOML, ready to be edited
    #[arg(long, conflicts_with = "list")]
    toml: bool,
    /// Print a trained net's card as JSON
    #[arg(long, conflicts_with_all = ["toml", "list"])]
    json: bool,
    /// List the presets
    #[arg(long, conflicts_with_all = ["net", "what"])]
    list: bool,
    #[command(flatten)]
    about: About,
}

impl Describe {
    pub(crate) fn run(&self) -> Result<()> {
        if self.list {
            return terminal::print(&list());
        }
        let what = self.what.as_ref().unwrap_or(&self.net);
        let path = Path::new(what);
        let given = self.about.given();
        if saved::is_one(path) || is_file(what) {
            let model = zoo::open(path, &given, Checks::All)?;
            return terminal::print(&match (self.toml, self.json) {
                (true, _) => model.net.to_toml(),
                (_, true) => format!("{}\n", model.card.to_json()),
                _ => describe(&model),
            });
        }
        let net = nets::resolve(what)?;
        if self.json || given != Given::default() {
            return Err(Failure::usage(
                format!("`{what}` is a net without weights: it has no card, and nothing about it is open"),
                "leave out --json, --preset, --mean and --classes, which are about trained nets; --toml prints the net for programs",
            ));
        }
        terminal::print(&if self.toml { net.to_toml() } else { format!("{}{}", net.table(), from_paper(&Variant::of(&net))) })
    }
}

/// Whether the argument can only mean a folder or a file of trained weights, there or not: no preset's name has an end.
fn is_file(what: &str) -> bool {
    let path = Path::new(what);
    let is_preset = PRESETS.iter().any(|preset| preset.name == what);
    !is_preset && (path.is_dir() || path.extension().is_some_and(|end| end != "toml"))
}

fn list() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    PRESETS.iter().map(|preset| format!("{:<width$}  {}\n", preset.name, preset.summary)).collect()
}

/// A trained net: which one, how it wants its images, what it was trained on, how far, how well, and by which recipe.
fn describe(model: &Model) -> String {
    let Model { net, card, .. } = model;
    let rows: Vec<_> = rows(model).into_iter().map(|(name, value)| vec![name.to_string(), value]).collect();
    let mut text = format::table(&rows, &[]);
    let note = |note: &String| format!("note: {note}\n");
    text.extend(model.notes.iter().map(note));
    // Writing to a string cannot fail.
    let _ = write!(text, "\n{}{}\n{}\n", net.table(), from_paper(&card.variant), classes(card));
    if let Some(trained) = &card.trained {
        let _ = write!(text, "\n# recipe\n{}\n", trained.recipe.trim_end());
    }
    text
}

fn rows(model: &Model) -> Vec<(&'static str, String)> {
    let card = &model.card;
    let what = if model.checkpoint.is_some() { "checkpoint" } else { "file" };
    let mut rows = vec![(what, model.path.display().to_string()), ("net", variant(&model.net, &card.variant))];
    if let Some(origin) = &card.origin {
        rows.push((
            "imported from",
            format!("{}, {} (BLAKE3 {}…)", origin.format, origin.file, &origin.blake3[..16.min(origin.blake3.len())]),
        ));
    }
    rows.push(("images", images(&card.preprocessing, &model.net)));
    if let Some(dataset) = &card.dataset {
        let count = format::of(dataset.train_images, "training image", "training images");
        let val = format::count(dataset.val_images);
        let digest = &dataset.labels[..16.min(dataset.labels.len())];
        rows.push(("data", format!("{}: {count}, {val} for validation (BLAKE3 of the labels {digest}…)", dataset.name)));
    }
    if let Some(trained) = &card.trained {
        rows.push(("trained", position(model, trained.steps)));
    }
    rows.extend(card.initialised_from.as_ref().map(|from| ("began with", beginning(from))));
    rows.extend(card.metrics.as_ref().map(|found| ("metrics", metrics(found))));
    let best = model.checkpoint.as_ref().and_then(|saved| saved.manifest().progress.best.as_ref());
    rows.extend(best.map(|best| ("best so far", metrics(best))));
    rows.extend(card.trained.as_ref().map(|trained| ("seed", trained.seed.to_string())));
    let revision = if card.revision.is_empty() { String::new() } else { format!(" ({})", card.revision) };
    rows.push(("revision", format!("{}{revision}", card.version)));
    rows
}

/// Where the first weights were from, and which of them were not.
fn beginning(from: &InitialisedFrom) -> String {
    let digest = &from.blake3[..16.min(from.blake3.len())];
    let new = if from.new.is_empty() { String::new() } else { format!("; new: {}", from.new.join(", ")) };
    let order = if from.reordered { "; the last layer's outputs in another order" } else { "" };
    format!("the weights of {} (BLAKE3 {digest}…){new}{order}", from.file)
}

/// Which AlexNet it is.
pub(crate) fn variant(net: &Net, variant: &Variant) -> String {
    match &variant.differences[..] {
        [] => variant.preset.clone(),
        [one] => format!("{}: as `{}`, but {one}", net.name(), variant.preset),
        many => format!("{}: as `{}` with {} differences, such as: {}", net.name(), variant.preset, many.len(), many[0]),
    }
}

fn from_paper(variant: &Variant) -> String {
    let lines: String = variant.from_paper.iter().map(|line| format!("  {line}\n")).collect();
    if lines.is_empty() { String::new() } else { format!("\nunlike the network of the paper's text:\n{lines}") }
}

/// From image to input, as in testing.
fn images(p: &Preprocessing, net: &Net) -> String {
    let side = p.stored;
    let fit = match p.fit {
        Fit::Crop | Fit::ShorterSide => format!("shorter side to {side}"),
        Fit::Warp => format!("warped to {side}×{side}"),
        Fit::AsIs => format!("of {side}×{side} as they are"),
    };
    let channels = match p.channels {
        Channels::Rgb => "RGB",
        Channels::Bgr => "BGR",
        Channels::Grey => "grey",
    };
    let numbers = |values: &[f32]| values.iter().map(f32::to_string).collect::<Vec<_>>().join(", ");
    let mean = match &p.mean {
        Mean::None => "nothing".to_string(),
        Mean::Image | Mean::ImageAtCrop => "a mean image".into(),
        Mean::Channels => "the channels' means".into(),
        Mean::Values(values) => numbers(values),
    };
    let std = match &p.std {
        Std::None => String::new(),
        Std::Channels => ", divided by the channels' deviations".into(),
        Std::Values(values) => format!(", divided by {}", numbers(values)),
    };
    let input = net.input();
    format!("{fit}, the central {}×{}; {channels} of 0 to 255, minus {mean}{std}", input.h, input.w)
}

/// How far it was trained.
fn position(model: &Model, steps: u32) -> String {
    let steps = format::of(steps.into(), "step", "steps");
    match &model.checkpoint {
        Some(saved) => {
            let position = saved.manifest().position;
            format!("{steps}; next is batch {} of epoch {}, both counted from 0", position.batch, position.epoch)
        }
        None => steps,
    }
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

fn classes(card: &Card) -> String {
    let names: Vec<_> = card.classes.iter().enumerate().map(|(label, class)| titled(class, &card.words, label)).collect();
    format!("{}: {}", format::of(names.len() as u64, "class", "classes"), names.join(", "))
}
