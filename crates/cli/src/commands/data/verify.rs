//! `alexnet data verify`: whether a pack is as it was written.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use clap::Args;
use data::pack::{Damage, Verified};
use report::{Console, Style, format};

use crate::failure::{Failure, Result};
use crate::{Common, dataset, interrupt, terminal};

/// Look at every byte of a pack, and name each image that is damaged
#[derive(Args)]
#[command(after_help = "\
Records, index, names, manifest and statistics are all held against their checksums. Where something is damaged, the exit
code is 1. A damaged shard can be made again: remove it and give the command that made the pack.

Examples:
  alexnet data verify photos.pack
  alexnet data verify photos.pack --json    one object on one line, for scripts")]
pub(crate) struct Verify {
    /// The pack's folder
    path: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Damage that is shown by name; JSON has all of it.
const SHOWN: usize = 100;

impl Verify {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        let mut console = Console::new(if common.quiet || self.json { Style::Quiet } else { Style::of_stdout() });
        let stop = interrupt::flag("nothing has been written")?;
        let began = Instant::now();
        let found = data::pack::verify(&self.path, dataset::workers(common), &mut |done, total| {
            let rate = done as f64 / began.elapsed().as_secs_f64();
            console.progress(&[
                format!("verifying: {} of {} MiB", format::count(done >> 20), format::count(total >> 20)),
                format!("{} MiB/s", format::rate(rate / f64::from(1 << 20))),
                format::left(total.saturating_sub(done) as f64, rate),
            ]);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        console.clear();
        let found = match found {
            Err(data::Error::Stopped { .. }) => return Err(Failure::interrupted()),
            found => found?,
        };
        terminal::print(&if self.json { self.as_json(&found) } else { self.text(&found) })?;
        match found.damage.len() as u64 {
            0 => Ok(()),
            n => Err(Failure::failed(
                format!("{} has {}", self.path.display(), format::of(n, "damaged place", "damaged places")),
                "remove the files that are named and give the command that made the pack: it makes what is missing",
            )),
        }
    }

    fn as_json(&self, found: &Verified) -> String {
        let place = |damage: &Damage| {
            serde_json::json!({
                "file": damage.file,
                "offset": damage.offset,
                "image": damage.image,
                "message": damage.message,
            })
        };
        let damage: Vec<_> = found.damage.iter().map(place).collect();
        let pack = self.path.display().to_string();
        format!("{}\n", serde_json::json!({ "pack": pack, "intact": found.intact, "bytes": found.bytes, "damage": damage }))
    }

    fn text(&self, found: &Verified) -> String {
        let mut text = String::new();
        for Damage { file, image, message, .. } in found.damage.iter().take(SHOWN) {
            let image = image.as_ref().map(|image| format!(" {image}:")).unwrap_or_default();
            text += &format!("{file}:{image} {message}\n");
        }
        if found.damage.len() > SHOWN {
            text += &format!("and {} more\n", format::count((found.damage.len() - SHOWN) as u64));
        }
        text + &format!(
            "{}: {} intact, {} bytes looked at\n",
            self.path.display(),
            format::of(found.intact as u64, "image is", "images are"),
            format::count(found.bytes)
        )
    }
}
