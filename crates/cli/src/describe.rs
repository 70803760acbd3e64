//! `alexnet describe`: what a net is, layer by layer.

use clap::Args;
use net::PRESETS;

use crate::failure::Result;
use crate::{nets, terminal};

/// Show a net: its layers, shapes, parameters and multiply-adds
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet describe                             the network of the paper
  alexnet describe --list                      every preset
  alexnet describe --net caffe                 another one
  alexnet describe --net caffe --toml > my.toml
                                               print it, to be edited and trained with --net my.toml")]
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
        let net = nets::resolve(&self.net)?;
        terminal::print(&if self.toml { net.to_toml() } else { net.table() })
    }
}

fn list() -> String {
    let width = PRESETS.iter().map(|preset| preset.name.len()).max().unwrap_or(0);
    PRESETS.iter().map(|preset| format!("{:<width$}  {}\n", preset.name, preset.summary)).collect()
}
