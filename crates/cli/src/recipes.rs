//! `--recipe NAME|FILE.toml`.

use std::fs;
use std::path::Path;

use train::Recipe;

use crate::failure::{Context, Result};
use crate::nets::is_file_name;

/// The built-in recipe of that name, or the recipe in the file of that name.
pub(crate) fn resolve(text: &str) -> Result<Recipe> {
    if !is_file_name(text) {
        return Ok(Recipe::builtin(text)?);
    }
    let path = Path::new(text);
    let content = fs::read_to_string(path).context(|| text.to_string()).usage()?;
    Recipe::from_toml(&content).context(|| text.to_string()).usage()
}
