//! Images named on the command line.

use std::borrow::Cow;
use std::path::PathBuf;

use data::{Content, Dataset, Source};

use crate::dataset;
use crate::failure::Result;

/// The images of the command line, as a source without labels.
pub(crate) struct Inputs {
    inputs: Vec<Input>,
    scenes: Dataset,
    exif: bool,
}

enum Input {
    File(PathBuf),
    /// A built-in validation image.
    Scene(usize),
}

impl Inputs {
    /// # Errors
    /// Where an argument leads to no image.
    pub(crate) fn new(arguments: &[PathBuf], exif: bool) -> Result<Inputs> {
        let scenes = dataset::built_in();
        let mut inputs = Vec::new();
        for argument in arguments {
            let scene = (0..scenes.val.len()).find(|&index| argument.to_str() == Some(&scenes.val.name(index)));
            match scene {
                Some(index) if !argument.exists() => inputs.push(Input::Scene(index)),
                _ => inputs.extend(data::list_images(std::slice::from_ref(argument))?.into_iter().map(Input::File)),
            }
        }
        Ok(Inputs { inputs, scenes, exif })
    }

    /// The class of a built-in image.
    pub(crate) fn truth(&self, index: usize) -> Option<&str> {
        match self.inputs[index] {
            Input::Scene(scene) => Some(&self.scenes.classes[self.scenes.val.label(scene) as usize]),
            Input::File(_) => None,
        }
    }
}

impl Source for Inputs {
    fn len(&self) -> usize {
        self.inputs.len()
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        match &self.inputs[index] {
            Input::File(path) => path.to_string_lossy(),
            Input::Scene(scene) => self.scenes.val.name(*scene),
        }
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> data::Result<Content<'a>> {
        match &self.inputs[index] {
            Input::File(path) => data::fetch_file(path, self.exif, buffer),
            Input::Scene(scene) => self.scenes.val.fetch(*scene, buffer),
        }
    }
}
