//! `alexnet similar`: which images are like this one?

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use cpu::nearest::{Neighbour, Vectors};
use data::Source;
use serde_json::json;
use weights::features::{Table, Values};

use crate::device::Where;
use crate::engine::{Engine, Layer};
use crate::failure::{Context, Failure, Result};
use crate::gallery::{Picture, Shelf, page};
use crate::index::{Looker, Maker, NO_INDEX, absolute};
use crate::inputs::Inputs;
use crate::saved::{About, Weights};
use crate::training::quoted;
use crate::{Common, outputs, terminal};

/// Say which images of an index are most like an image
#[derive(Args)]
#[command(after_help = "\
An index is what `alexnet features` wrote. The nearest by Euclidean distance come
first, as in figure 4 of the paper; every image of the index is compared. A query is
an image of the index by its name, or any other image file, for which the weights are
needed that made the index. Prints a table on a terminal, and elsewhere one line of
JSON for each query.

Examples:
  alexnet similar holiday/1.jpg holiday.safetensors
  alexnet similar cat.jpg dog.jpg all.safetensors --html likes.html
  alexnet similar cat.jpg all.safetensors --weights runs/alexnet-photos-1 --top 20 --json")]
pub(crate) struct Similar {
    /// Names of images in the index, image files, folders of them, or patterns
    #[arg(value_name = "QUERY", required = true, num_args = 1..)]
    queries: Vec<PathBuf>,
    /// The index
    #[arg(value_name = "INDEX", required = true)]
    index: PathBuf,
    /// The weights that made the index; queries are then read from their files [default: those that the index names]
    #[arg(long, value_name = "RUN|CHECKPOINT|FILE")]
    weights: Option<PathBuf>,
    /// How many images to name for each query
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    top: u32,
    /// Print JSON also on a terminal
    #[arg(long)]
    json: bool,
    /// Write a page that shows the images to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    #[command(flatten)]
    about: About,
}

/// An image to find the like of, and its features.
struct Query {
    name: String,
    features: Vec<f32>,
}

impl Similar {
    pub(crate) fn run(&self, common: &Common) -> Result<()> {
        self.html.as_deref().map_or(Ok(()), outputs::check_place)?;
        let table = Table::open(&self.index).map_err(|error| match error {
            weights::Error::Format { .. } => Failure::from(error).hint(NO_INDEX),
            error => error.into(),
        })?;
        let maker = Maker::of(&table)?;
        if table.is_empty() {
            return Err(Failure::failed(format!("{} has no images", self.index.display()), NO_INDEX));
        }
        let values = match table.values() {
            Values::F32 => cpu::nearest::Values::F32,
            Values::F16 => cpu::nearest::Values::F16,
        };
        let vectors = Vectors::new(values, table.width(), table.rows())?;
        let engine = Engine::new(self.place, common.threads(), Some(maker.precision))?;
        let queries = self.queries(&table, &maker, &vectors, &engine, common.quiet)?;
        let together: Vec<f32> = queries.iter().flat_map(|query| query.features.iter().copied()).collect();
        let found = engine.search()?.nearest(&vectors, &together, self.top as usize)?;
        let json = self.json || !terminal::is_terminal();
        for (query, found) in queries.iter().zip(&found) {
            terminal::print(&if json { line(query, found, &table) } else { lines(query, found, &table) })?;
        }
        self.write_page(&queries, &found, &table, &maker)
    }

    /// Every query with its features: by its name out of the index, unless weights are given; else by the net.
    fn queries(&self, table: &Table, maker: &Maker, vectors: &Vectors<'_>, engine: &Engine, quiet: bool) -> Result<Vec<Query>> {
        let mut looker = None;
        let mut queries = Vec::new();
        for given in &self.queries {
            let row = given.to_str().filter(|_| self.weights.is_none()).and_then(|name| table.position(name));
            if let Some(features) = row.and_then(|row| vectors.get(row)) {
                queries.push(Query { name: given.display().to_string(), features });
                continue;
            }
            let images = Inputs::new(std::slice::from_ref(given), maker.exif).map_err(|failure| {
                failure.hint(format!("give an image file, or the name of an image in {}", self.index.display()))
            })?;
            let looker = match &mut looker {
                Some(looker) => looker,
                none => none.insert(self.looker(table, maker, engine, quiet)?),
            };
            let images: Arc<dyn Source> = Arc::new(images);
            let bad = looker.each(&images, &mut |name, row| {
                queries.push(Query { name: name.into(), features: row.to_vec() });
                Ok(())
            })?;
            if let Some(bad) = bad.first() {
                return Err(Failure::failed(bad.to_string(), "give a JPEG, PNG, WebP or BMP file"));
            }
        }
        Ok(queries)
    }

    /// The net that made the index.
    fn looker(&self, table: &Table, maker: &Maker, engine: &Engine, quiet: bool) -> Result<Looker> {
        let index = self.index.display();
        let path = self.weights.as_ref().unwrap_or(&maker.weights);
        if self.weights.is_none() && !path.exists() {
            let message = format!("the weights that made {index} are no longer at {}", path.display());
            return Err(Failure::failed(message, "name the weights with --weights, or give the name of an image in the index"));
        }
        let weights = Weights { weights: path.clone(), about: self.about.clone() };
        let mut looker = Looker::load(&weights, engine, &Layer::Named(maker.layer.clone()), 1, quiet)
            .context(|| format!("{index} is of layer `{}` of `{}`", maker.layer, maker.net))?;
        if looker.digest()? != maker.digest || looker.shape() != table.shape() {
            return Err(Failure::failed(
                format!(
                    "{index} was made by other weights of `{}` than {}, or with images prepared in another way",
                    maker.net,
                    path.display()
                ),
                format!(
                    "give the weights that made it with --weights, and --preset and --mean as they were given then, or make it again: \
                     `alexnet features --weights {} --out {} IMAGES`",
                    quoted(path),
                    quoted(&self.index)
                ),
            ));
        }
        Ok(looker)
    }

    fn write_page(&self, queries: &[Query], found: &[Vec<Neighbour>], table: &Table, maker: &Maker) -> Result<()> {
        let Some(path) = &self.html else { return Ok(()) };
        let (folder, page_path) = (std::env::current_dir().context(|| "the current directory".into())?, absolute(path)?);
        let shelves: Vec<Shelf> = (queries.iter().zip(found))
            .map(|(query, found)| {
                let like = found.iter().map(|near| {
                    let picture = Picture::of(table.name(near.index), &maker.folder);
                    (picture, distance(near))
                });
                Shelf { query: Picture::of(&query.name, &folder), like: like.collect() }
            })
            .collect();
        let about = format!("layer {} of {}, {} images", maker.layer, maker.net, report::format::count(table.len() as u64));
        let text = page(&about, &shelves, page_path.parent().unwrap_or(Path::new("/")));
        weights::replace(path, |file| file.write_all(text.as_bytes()))?;
        Ok(())
    }
}

/// Euclidean, from its square.
fn distance(near: &Neighbour) -> f64 {
    f64::from(near.squared_distance).sqrt()
}

fn line(query: &Query, found: &[Neighbour], table: &Table) -> String {
    let one = |near: &Neighbour| json!({ "image": table.name(near.index), "distance": distance(near) });
    format!("{}\n", json!({ "query": query.name, "similar": found.iter().map(one).collect::<Vec<_>>() }))
}

fn lines(query: &Query, found: &[Neighbour], table: &Table) -> String {
    let names: Vec<&str> = found.iter().map(|near| table.name(near.index)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = format!("{}\n", query.name);
    for (name, near) in names.iter().zip(found) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<width$}  {:>10.3}", distance(near));
    }
    text
}
