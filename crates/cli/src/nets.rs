//! `--net NAME|FILE.toml`.

use std::fs;
use std::path::Path;

use net::Net;

use crate::failure::{Context, Result};

/// The preset of that name, or the net in the file of that name.
pub(crate) fn resolve(text: &str) -> Result<Net> {
    if !is_file_name(text) {
        return Ok(Net::preset(text)?);
    }
    from_file(Path::new(text))
}

/// The net whose TOML text is in `path`.
pub(crate) fn from_file(path: &Path) -> Result<Net> {
    let text = fs::read_to_string(path).context(|| path.display().to_string()).usage()?;
    Net::from_toml(&text).context(|| path.display().to_string()).usage()
}

/// Whether the argument names a file rather than something built in.
pub(crate) fn is_file_name(text: &str) -> bool {
    text.ends_with(".toml") || text.contains(['/', '\\'])
}
