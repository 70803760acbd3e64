//! Files of other programs: which format, and what is common to all of them once it is read.

use std::path::Path;
use std::sync::Arc;

use data::{LabelOrder, Mean, Preprocessing, Statistics};
use net::{Net, SharedTensor};
use train::Recipe;
use weights::Mapped;

use crate::{Card, Error, Given, Model, Origin, Result, caffe, classes, cuda_convnet, mean, onnx, state_dict};

/// What a format's reader found in a file.
pub(crate) struct Foreign {
    /// The format's name, as people call it.
    pub(crate) format: &'static str,
    /// Which net.
    pub(crate) net: Net,
    /// Its parameters: names, shapes and order of [`Net::params`].
    pub(crate) weights: Vec<(String, SharedTensor)>,
    /// The card that this program put into the file, where it wrote it.
    pub(crate) card: Option<Card>,
    /// How the net wants its images, where that is not as its preset's recipe says.
    pub(crate) preprocessing: Option<Preprocessing>,
    /// The mean image that the file brings, if it does.
    pub(crate) statistics: Option<Statistics>,
    /// In which order nets of this format have ImageNet's classes.
    pub(crate) order: LabelOrder,
    /// Class names, where the file says them.
    pub(crate) classes: Vec<String>,
    /// What the user should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// A format that is read.
struct Reader {
    /// What it is called where formats are listed.
    name: &'static str,
    /// Whether a file of these bytes is of the format, damaged or not.
    recognises: fn(&[u8]) -> bool,
    read: fn(&Arc<Mapped>, &Given) -> Result<Foreign>,
}

/// The formats that are read; the first one that recognises a file reads it.
const READERS: &[Reader] = &[
    // These two before what would take a file for its own by a key such as `model_state_dict`: a header's length may begin as
    // a pickle does.
    Reader { name: "safetensors", recognises: weights::safetensors::recognises, read: state_dict::read_safetensors },
    Reader { name: "PyTorch", recognises: weights::torch::recognises, read: state_dict::read_torch },
    Reader { name: "cuda-convnet", recognises: weights::cuda_convnet::recognises, read: cuda_convnet::read },
    Reader { name: "Caffe", recognises: caffe::recognises, read: caffe::read },
    Reader { name: onnx::FORMAT, recognises: weights::onnx::recognises, read: onnx::read },
];

/// Recognises a file's format by its content, and reads it.
///
/// # Errors
/// Where it is of no known format, damaged, or holds no net that is known.
pub(crate) fn read(file: &Arc<Mapped>, given: &Given) -> Result<Foreign> {
    if let Some(reader) = READERS.iter().find(|reader| (reader.recognises)(file.bytes())) {
        return (reader.read)(file, given);
    }
    let message = match file.bytes() {
        [] => "it is empty".to_string(),
        _ => format!("known are {}", READERS.iter().map(|reader| reader.name).collect::<Vec<_>>().join(", ")),
    };
    Err(Error::UnknownFormat { path: file.path().into(), message })
}

impl Foreign {
    /// Puts together what the file says, what its preset's recipe says, and what the user says.
    pub(crate) fn into_model(self, file: &Mapped, given: &Given) -> Result<Model> {
        net::check_shared(&self.net, &self.weights)?;
        let mut notes = self.notes.clone();
        if let Some((name, _)) = self.weights.iter().find(|(_, tensor)| tensor.data().iter().any(|value| !value.is_finite())) {
            notes.push(format!(
                "`{name}` has values that are infinite or no numbers: the file is damaged or of a training that diverged, and the net's answers mean nothing"
            ));
        }
        let (mut card, mut statistics) = match &self.card {
            Some(card) => (card.clone(), self.own_statistics(card, file, given)?),
            None => self.new_card(file, given, &mut notes)?,
        };
        if let Some(text) = &given.mean
            && self.card.is_some()
        {
            let found = mean::apply(text, &mut card.preprocessing, self.net.input(), &mut notes)?;
            statistics = found.unwrap_or(statistics);
            card.preprocessing.check(self.net.input())?;
        }
        if let Some(path) = &given.classes {
            (card.classes, card.words) = classes::read(path, self.order, self.net.classes())?;
        }
        Ok(Model { path: file.path().into(), net: self.net, weights: self.weights, statistics, card, notes, checkpoint: None })
    }

    /// The statistics beside a card; what it needs must be there, or come from the user.
    fn own_statistics(&self, card: &Card, file: &Mapped, given: &Given) -> Result<Statistics> {
        let statistics = self.statistics.clone().unwrap_or_default();
        if card.preprocessing.needs_statistics() && given.mean.is_none() && statistics == Statistics::default() {
            let message = "its card is of a net that needs statistics of its training images, which are missing".into();
            return Err(weights::Error::Format { path: file.path().into(), format: self.format, message }.into());
        }
        Ok(statistics)
    }

    /// The card of a file that has none.
    fn new_card(&self, file: &Mapped, given: &Given, notes: &mut Vec<String>) -> Result<(Card, Statistics)> {
        let mut preprocessing = match &self.preprocessing {
            Some(preprocessing) => preprocessing.clone(),
            None => usual_preprocessing(&self.net)?,
        };
        let statistics = match &given.mean {
            Some(text) => mean::apply(text, &mut preprocessing, self.net.input(), notes)?,
            None => self.statistics.clone(),
        };
        if statistics.is_none() && matches!(preprocessing.mean, Mean::Image | Mean::ImageAtCrop | Mean::Channels) {
            let [r, g, b] = imagenet_mean(self.format);
            preprocessing.mean = Mean::Values([r, g, b]);
            notes.push(format!(
                "the file holds no mean image, so ImageNet's mean colour is subtracted: {r}, {g}, {b} (red, green, blue); --mean FILE gives another"
            ));
        }
        preprocessing.check(self.net.input())?;
        let mut names = self.classes.clone();
        if names.len() != self.net.classes() {
            names = (0..self.net.classes()).map(|label| label.to_string()).collect();
            if given.classes.is_none() {
                notes.push("the file does not name its classes, so they are numbered; --classes FILE names them".into());
            }
        }
        let origin = Origin { format: self.format.into(), file: file_name(file.path()), blake3: file.digest() };
        let card = Card { origin: Some(origin), ..Card::of_net(&self.net, preprocessing, names, Vec::new()) };
        Ok((card, statistics.unwrap_or_default()))
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// How a preset's recipe prepares images, but for what only training does and needs statistics for.
pub(crate) fn usual_preprocessing(net: &Net) -> Result<Preprocessing> {
    let recipe = Recipe::builtin(train::recipe_for(net.name()))?;
    Ok(Preprocessing { colour_noise: None, ..recipe.preprocessing })
}

/// The mean colour of ImageNet's training images, red, green and blue: of Caffe's mean image or of cuda-convnet2's
///, which were made of images resized in different ways.
fn imagenet_mean(format: &str) -> [f32; 3] {
    match format {
        "cuda-convnet" => [127.3, 119.72, 104.91],
        _ => [122.679, 116.669, 104.007],
    }
}
