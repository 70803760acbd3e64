//! `alexnet data info`: what a path is read as.

use std::path::PathBuf;

use clap::Args;
use report::format;

use crate::dataset::Reading;
use crate::failure::Result;

/// Say what a data set is read as: its layout, classes, images and splits
#[derive(Args)]
#[command(after_help = "\
Examples:
  alexnet data info photos            class folders
  alexnet data info lists/train.txt   a list of paths and labels
  alexnet data info /data/imagenet    the archives of ILSVRC2012 as downloaded")]
pub(crate) struct Info {
    /// The data set
    path: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(crate) fn run(&self) -> Result<()> {
        let dataset = self.reading.open(Some(&self.path))?;
        let counts = [("train", &dataset.train), ("val", &dataset.val)].map(|(split, source)| (split, source.len() as u64));
        if self.json {
            let value = serde_json::json!({
                "name": dataset.name,
                "layout": dataset.layout,
                "classes": dataset.classes,
                "words": dataset.words,
                "images": counts.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
                "notes": dataset.notes,
            });
            println!("{value}");
            return Ok(());
        }
        let classes = format::of(dataset.classes.len() as u64, "class", "classes");
        println!("{}: {}, {classes}", dataset.name, dataset.layout);
        for (split, images) in counts {
            println!("{split:<8}{}", format::of(images, "image", "images"));
        }
        dataset.notes.iter().for_each(|note| println!("note: {note}"));
        Ok(())
    }
}
