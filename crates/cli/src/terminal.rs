//! Where results go.

use std::io::{self, IsTerminal, Write};

use crate::failure::Result;

/// Prints a result; a reader that has gone away ends the program without a word.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether a person reads the results.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}
