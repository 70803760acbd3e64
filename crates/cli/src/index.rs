//! Indices: tables of features that say what made them, and nets that make features.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::{BadImage, BadImages, EvalLoader, LoaderOptions, Pipeline, Source, Views};
use net::{Kind, Precision};
use train::checkpoint::Checks;
use weights::features::Table;
use weights::{DigestWriter, safetensors};

use crate::device;
use crate::engine::{Engine, Layer};
use crate::failure::{Context, Failure, Result};
use crate::prepared::Prepared;
use crate::saved::{Loaded, Weights};

/// What a table says it is.
const FORMAT: &str = "alexnet features 1";

/// What made an index: all that its features depend on besides the images, and where those were found.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Maker {
    /// The net's name.
    pub(crate) net: String,
    /// The layer's.
    pub(crate) layer: String,
    /// [`Looker::digest`]
    pub(crate) digest: String,
    /// The weights that were loaded, by their absolute path.
    pub(crate) weights: PathBuf,
    pub(crate) precision: Precision,
    /// Whether the orientation that a file states was applied.
    pub(crate) exif: bool,
    /// Where relative names of images begin.
    pub(crate) folder: PathBuf,
}

impl Maker {
    /// What the table says about itself.
    pub(crate) fn text(&self, shape: &[usize]) -> BTreeMap<String, String> {
        let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let text = [
            ("format", FORMAT.into()),
            ("net", self.net.clone()),
            ("layer", self.layer.clone()),
            ("shape", shape),
            ("digest", self.digest.clone()),
            ("weights", self.weights.display().to_string()),
            ("precision", self.precision.to_string()),
            ("exif_rotation", self.exif.to_string()),
            ("folder", self.folder.display().to_string()),
        ];
        text.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
    }

    /// What made a table.
    ///
    /// # Errors
    /// Where it does not say.
    pub(crate) fn of(table: &Table) -> Result<Maker> {
        let fault = |message: String| Failure::failed(format!("{}: {message}", table.path().display()), NO_INDEX);
        let text = |key: &str| table.text(key).ok_or_else(|| fault(format!("it does not say its {key}")));
        if text("format")? != FORMAT {
            return Err(fault(format!("its format is `{}`, expected `{FORMAT}`", text("format")?)));
        }
        Ok(Maker {
            net: text("net")?.into(),
            layer: text("layer")?.into(),
            digest: text("digest")?.into(),
            weights: text("weights")?.into(),
            precision: device::precision(text("precision")?).map_err(fault)?,
            exif: text("exif_rotation")? == "true",
            folder: text("folder")?.into(),
        })
    }
}

/// What to do about a file that is no index.
pub(crate) const NO_INDEX: &str =
    "give a .safetensors file that `alexnet features` wrote: `alexnet features --weights RUN --out FILE.safetensors IMAGES`";

/// A net, and the layer of it that is looked at.
pub(crate) struct Looker {
    executor: Prepared,
    pipeline: Arc<Pipeline>,
    threads: usize,
    layer: usize,
}

impl Looker {
    /// Prepares the net of a checkpoint for batches of `batch` images; what its user should know is said unless `quiet`.
    pub(crate) fn load(weights: &Weights, engine: &Engine, layer: &Layer, batch: usize, quiet: bool) -> Result<Looker> {
        let engine_of_layer = engine.keeping(layer.clone());
        let Loaded { executor, pipeline, .. } = weights.load(&engine_of_layer, batch, Checks::Inference, quiet)?;
        let layer = layer.of(executor.net())?;
        Ok(Looker { executor, pipeline, threads: engine.threads(), layer })
    }

    /// The net's name.
    pub(crate) fn net(&self) -> &str {
        self.executor.net().name()
    }

    /// The layer's name.
    pub(crate) fn layer(&self) -> &str {
        &self.executor.net().layers()[self.layer].name
    }

    /// The shape of an image's features: `[values]`, or `[c, h, w]` where there are maps.
    pub(crate) fn shape(&self) -> Vec<usize> {
        let shape = self.executor.net().output_of(self.layer);
        if shape.plane() == 1 { vec![shape.c] } else { vec![shape.c, shape.h, shape.w] }
    }

    /// BLAKE3 of the net, its parameters, its preprocessing and its statistics: the same for the same, in whatever file they lie.
    pub(crate) fn digest(&mut self) -> Result<String> {
        let params = self.executor.save(Kind::Weights)?;
        let statistics = self.pipeline.statistics().to_tensors();
        let mut tensors = safetensors::of_params(&params);
        tensors.extend(safetensors::of_list(&statistics));
        let preprocessing = serde_json::to_string(self.pipeline.preprocessing())?;
        let text = [("net", self.executor.net().to_toml()), ("preprocessing", preprocessing)];
        let text = text.into_iter().map(|(key, value)| (key.to_string(), value)).collect();
        let mut writer = DigestWriter::new(io::sink());
        safetensors::write_to(&mut writer, &tensors, &text)?;
        Ok(writer.finish().1)
    }

    /// Calls `visit(name, features)` for each image in turn, as many at a time as the net was prepared for; returns those that could
    /// not be read.
    pub(crate) fn each(
        &mut self,
        source: &Arc<dyn Source>,
        visit: &mut dyn FnMut(&str, &[f32]) -> Result<()>,
    ) -> Result<Vec<BadImage>> {
        let capacity = self.executor.capacity();
        let options = LoaderOptions { batch: capacity, threads: self.threads, slots: 3, seed: 0, bad: BadImages::Skip };
        let mut loader = EvalLoader::start(Arc::clone(source), Arc::clone(&self.pipeline), Views::Centre, options);
        let (layer, width) = (self.layer().to_string(), self.executor.net().output_of(self.layer).len());
        while let Some(loaded) = loader.next()? {
            self.executor.forward(&loaded.batch)?;
            let features = self.executor.activation(&layer)?;
            for (row, &sample) in features.data.chunks_exact(width).zip(&loaded.samples) {
                visit(&source.name(sample as usize), row)?;
            }
            loader.give_back(loaded);
        }
        Ok(loader.bad())
    }
}

/// An absolute path, as far as the system tells it.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context(|| path.display().to_string())
}
