//! What a run directory remembers of the command that began it: where its data is and how it is read.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use train::RunDir;

use crate::dataset::Reading;
use crate::failure::Result;

const FILE: &str = "data.json";

/// The data of a run, and the options with which it was read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The data set's folder; absent for the built-in one.
    pub(crate) data: Option<PathBuf>,
    pub(crate) reading: Reading,
}

impl Origin {
    /// Of a new run.
    pub(crate) fn new(data: Option<&Path>, reading: &Reading) -> Result<Origin> {
        Ok(Origin { data: data.map(fs::canonicalize).transpose()?, reading: reading.clone() })
    }

    /// Keeps it in the run directory.
    pub(crate) fn write(&self, dir: &RunDir) -> Result<()> {
        Ok(dir.write(FILE, &format!("{}\n", serde_json::to_string(self)?))?)
    }

    /// Reads it from the run directory.
    pub(crate) fn read(run: &Path) -> Result<Origin> {
        let path = run.join(FILE);
        let read = || -> Result<Origin> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        read().map_err(|failure| failure.context(path.display().to_string()).hint("say where the data is with --data DIR"))
    }

    /// The data folder and the options to use now: those given now, else those of the run in `run`.
    pub(crate) fn of_run(run: &Path, data: Option<&Path>, reading: &Reading) -> Result<Origin> {
        match (Origin::read(run), data) {
            (Ok(origin), Some(data)) => {
                let same = fs::canonicalize(data).ok() == origin.data;
                let earlier = if same { origin.reading } else { origin.reading.elsewhere() };
                Ok(Origin { data: Some(data.to_path_buf()), reading: reading.clone().or(&earlier) })
            }
            (Ok(origin), None) => Ok(Origin { data: origin.data, reading: reading.clone().or(&origin.reading) }),
            (Err(_), Some(data)) => Ok(Origin { data: Some(data.to_path_buf()), reading: reading.clone() }),
            (Err(failure), None) => Err(failure),
        }
    }

    /// The run directory that `path` is, or lies in as a checkpoint or a file of one; `path` itself where there is none.
    pub(crate) fn run_of(path: &Path) -> &Path {
        path.ancestors().take(4).find(|folder| folder.join(FILE).is_file()).unwrap_or(path)
    }

    /// Takes it away from a directory in which no run has begun.
    pub(crate) fn remove(run: &Path) {
        // A file that stays behind does no harm.
        let _ = fs::remove_file(run.join(FILE));
    }
}
