//! What can be wrong with a net, its parameters or a batch.

/// Errors of the user's world: a net that cannot be, parameters that do not fit, an engine that ran out of something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No preset has this name.
    #[error("no preset is called `{name}`; there are {known}")]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The names that exist, joined by commas.
        known: String,
    },
    /// The text of a net does not read as one.
    #[error("line {line}, column {column}: {message}")]
    Text {
        /// One-based line.
        line: usize,
        /// One-based column, in characters.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A layer that cannot follow what comes before it.
    #[error("layer `{layer}`: {message}")]
    Layer {
        /// The layer's position in the net.
        index: usize,
        /// The layer's name.
        layer: String,
        /// What is wrong with it.
        message: String,
    },
    /// A net that is wrong as a whole.
    #[error("net `{net}`: {message}")]
    Net {
        /// The net's name.
        net: String,
        /// What is wrong with it.
        message: String,
    },
    /// A parameter set that does not fit the net.
    #[error("parameter `{name}`: {message}")]
    Param {
        /// The parameter's name.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// A batch that the executor was not prepared for.
    #[error("batch: {0}")]
    Batch(String),
    /// Something an executor cannot do, or ran out of.
    #[error("{engine} engine: {message}")]
    Engine {
        /// The engine's name (`cpu`, `reference`, …).
        engine: &'static str,
        /// What happened.
        message: String,
    },
    /// The device that an executor computes on has failed: what was there is gone, and the executor is of no more use.
    #[error("{engine} engine: the GPU was lost: {message}")]
    Lost {
        /// The engine's name.
        engine: &'static str,
        /// What happened.
        message: String,
    },
}

impl Error {
    /// Whether the device is lost, so that only a new executor, perhaps only a new process, can go on.
    pub fn is_lost(&self) -> bool {
        matches!(self, Error::Lost { .. })
    }
}
