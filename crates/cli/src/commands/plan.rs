//! `alexnet plan`: how the engine will run a net.

use clap::Args;
use net::Mode;

use crate::candidates::Candidates;
use crate::device::Compute;
use crate::failure::Result;
use crate::memory::{self, Images};
use crate::{Common, nets, terminal};

/// Show how the engine runs a net: algorithms, memory and work of each layer
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet plan                        training the network of the paper
  alexnet plan --net caffe --batch 256
  alexnet plan --net my.toml --infer  testing only: no gradients are kept
  alexnet plan --measure              with the time of each convolution's candidates
  ALEXNET_ISA=avx2 alexnet plan       with another instruction set")]
pub(crate) struct Plan {
    /// A preset or a net's TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "alexnet")]
    net: String,
    /// Images in a batch; auto: as many as fit in memory, up to the batch of the net's recipe
    #[arg(long, value_name = "N|auto", default_value = "128", value_parser = memory::images)]
    batch: Images,
    /// Time each convolution's candidates here as well
    #[arg(long)]
    measure: bool,
    /// With --measure: print what was measured as JSON, on one line
    #[arg(long, requires = "measure")]
    json: bool,
    #[command(flatten)]
    compute: Compute,
    /// Plan for evaluation and prediction rather than training
    #[arg(long)]
    infer: bool,
}

/// Timed steps of each candidate.
const ROUNDS: u32 = 5;

impl Plan {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let net = nets::resolve(&self.net)?;
        let mode = if self.infer { Mode::Infer } else { Mode::Train };
        let engine = match self.measure {
            true => self.compute.on_cpu("--measure")?.engine(common.threads())?,
            false => self.compute.engine(common.threads())?,
        };
        let images = engine.images(self.batch, &net, mode)?;
        let plan = engine.prepare(&net, images, mode)?.plan();
        if !self.measure {
            return terminal::print(&plan);
        }
        let found = Candidates::measure(&engine, &net, images, mode, ROUNDS)?;
        terminal::print(&if self.json { found.json() } else { format!("{plan}\n\n{}", found.text()) })
    }
}
