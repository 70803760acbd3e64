//! Where results go.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use report::{Console, Style};

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

/// Progress on standard error, where results go to standard output: a live line on a terminal, else a line every ten seconds.
pub(crate) fn progress(quiet: bool) -> Console {
    let style = match (quiet, io::stderr().is_terminal()) {
        (true, _) => Style::Quiet,
        (false, true) => Style::Live,
        (false, false) => Style::Plain { every: Duration::from_secs(10) },
    };
    Console::with_outputs(style, Box::new(io::stderr()), Box::new(io::stderr()))
}
