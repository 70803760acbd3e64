//! What can stop a run.

use std::path::PathBuf;

/// Errors of the user's world: a recipe, a folder, a checkpoint, a loss that is not a number.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text of a recipe does not read as one.
    #[error("line {line}, column {column}: {message}")]
    Text {
        /// One-based line.
        line: usize,
        /// One-based column, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// No recipe has this name.
    #[error("no recipe is called `{name}`; there are {known}")]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// The names that exist, joined by commas.
        known: String,
    },
    /// A recipe that does not fit its net or data.
    #[error("recipe, `{key}`: {message}")]
    RecipeFit {
        /// The recipe's key.
        key: String,
        /// What does not fit.
        message: String,
    },
    /// Data that does not fit the net, or none at all.
    #[error("data set `{dataset}`: {message}")]
    Dataset {
        /// The data set's name.
        dataset: String,
        /// What is wrong with it.
        message: String,
    },
    /// The folder is in use by a run that is going on.
    #[error("`{}` is in use by another run that is still going on", path.display())]
    InUse {
        /// The run's folder.
        path: PathBuf,
    },
    /// The folder holds another run.
    #[error("`{}` already holds a run", path.display())]
    Occupied {
        /// The run's folder.
        path: PathBuf,
    },
    /// The folder holds no run.
    #[error("`{}` holds no run: there is no `{missing}`", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// The file that a run would have.
        missing: &'static str,
    },
    /// A run that was to begin with trained weights has no checkpoint that holds them.
    #[error("`{}` was to begin with the weights of `{file}`, and ended before it had kept them", path.display())]
    WeightsLost {
        /// The run's folder.
        path: PathBuf,
        /// Where the weights were from.
        file: String,
    },
    /// A trained net of which nothing fits the net to be trained.
    #[error("no layer of net `{net}` has the name and the shapes of a layer of net `{trained}`")]
    NothingFits {
        /// The net to be trained.
        net: String,
        /// The trained one.
        trained: String,
    },
    /// A file of a run that does not read as what it should be.
    #[error("`{}`: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        message: String,
    },
    /// A checkpoint is incomplete or changed.
    #[error(
        "checkpoint `{}` is damaged: {reason}{}",
        path.display(),
        older.as_ref().map_or(String::new(), |older| format!("; `{}` is older and intact", older.display()))
    )]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// Which file, and what is wrong with it.
        reason: String,
        /// The newest checkpoint before it that is intact.
        older: Option<PathBuf>,
    },
    /// A checkpoint of something else.
    #[error("checkpoint `{}` does not fit: {message}", path.display())]
    Mismatch {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What differs.
        message: String,
    },
    /// Training diverged.
    #[error("the loss of step {step} is {loss}; its images: {}{}", images.join(", "), last_good(checkpoint))]
    NotFinite {
        /// The step, from 0.
        step: u32,
        /// The loss: infinite or not a number.
        loss: f64,
        /// Names of the batch's images.
        images: Vec<String>,
        /// The last good checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// Training diverged between two losses.
    #[error("after step {step}, {what} `{name}` holds values that are not finite{}", last_good(checkpoint))]
    ParamNotFinite {
        /// Steps taken.
        step: u32,
        /// `weight tensor` or `momentum tensor`.
        what: &'static str,
        /// The parameter.
        name: String,
        /// The last good checkpoint, if there is one.
        checkpoint: Option<PathBuf>,
    },
    /// The self-test did not memorise its batch.
    #[error("one batch of {images} images was not memorised: the loss is {loss} after {steps} steps, expected below {target}")]
    NotMemorised {
        /// Images in the batch.
        images: usize,
        /// Steps taken.
        steps: u32,
        /// The last mean loss.
        loss: f64,
        /// The loss to reach.
        target: f64,
    },
    /// From the net or its engine.
    #[error(transparent)]
    Net(#[from] net::Error),
    /// From the data.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// From a file.
    #[error(transparent)]
    Weights(#[from] weights::Error),
}

fn last_good(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!("; the last good checkpoint is `{}`", path.display()),
        None => "; there is no checkpoint before it".into(),
    }
}
