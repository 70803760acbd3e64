//! How the program fails: a chain of causes, one hint, an exit code.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use crate::hints;

/// The work could not be done.
pub(crate) const FAILED: u8 = 1;
/// The command was not understood, or names something that does not exist.
pub(crate) const USAGE: u8 = 2;
/// Stopped by Ctrl-C or a request to terminate.
pub(crate) const INTERRUPTED: u8 = 130;

/// The result of every command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why the program ends with another code than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    code: u8,
    /// Causes, the outermost first.
    chain: Vec<String>,
    /// What to do about it.
    hint: Cow<'static, str>,
    /// Nobody reads the output any more, so nothing is printed.
    silent: bool,
}

impl Failure {
    /// The work could not be done; `message` says what and `hint` what to do.
    pub(crate) fn failed(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Failure {
        Failure { code: FAILED, chain: vec![message.into()], hint: hint.into(), silent: false }
    }

    /// The command cannot be meant like this; `message` says why and `hint` what to do.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<Cow<'static, str>>) -> Failure {
        Failure { code: USAGE, ..Failure::failed(message, hint) }
    }

    /// Ctrl-C was pressed, and whatever is to be said about it has been said.
    pub(crate) fn interrupted() -> Failure {
        Failure { code: INTERRUPTED, chain: Vec::new(), hint: "".into(), silent: true }
    }

    /// The same failure as an error of usage.
    pub(crate) fn into_usage(self) -> Failure {
        Failure { code: USAGE, ..self }
    }

    /// The same failure seen from further outside.
    pub(crate) fn context(mut self, message: impl Into<String>) -> Failure {
        self.chain.insert(0, message.into());
        self
    }

    /// The same failure with a hint of its own.
    pub(crate) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Failure {
        Failure { hint: hint.into(), ..self }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.code
    }

    /// Whether to end without a word.
    pub(crate) fn is_silent(&self) -> bool {
        self.silent
    }
}

/// `error: a: b: c`, the lines of a list where there is one, and a line `hint: …`.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chain = self.chain.iter().map(|cause| one_line(cause)).collect::<Vec<_>>().join(": ");
        write!(f, "error: {chain}\nhint: {}", self.hint)
    }
}

/// Any error, with all its causes and the hint that fits the innermost cause known to [`hints`].
impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Failure {
        let silent = is_broken_pipe(&error);
        let hints::Advice { code, hint } = hints::advice(&error);
        let mut chain: Vec<String> = Vec::new();
        let mut cause: Option<&dyn Error> = Some(&error);
        while let Some(error) = cause {
            let message = error.to_string();
            // Some errors already print what caused them.
            if !chain.last().is_some_and(|outer| outer.contains(&message)) {
                chain.push(message);
            }
            cause = error.source();
        }
        Failure { code: if silent { 0 } else { code }, chain, hint, silent }
    }
}

fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// The text on one line, but for lists: an indented line stays one.
fn one_line(text: &str) -> String {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or("").trim().to_string();
    lines.fold(first, |text, line| {
        let between = if line.starts_with("  ") { "\n  " } else { " " };
        text + between + line.trim()
    })
}

/// Adds what was being done, and advice, to errors on their way out.
pub(crate) trait Context<T> {
    /// Says what was being done.
    fn context(self, message: impl FnOnce() -> String) -> Result<T>;
    /// Makes it an error of usage.
    fn usage(self) -> Result<T>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    fn context(self, message: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().context(message()))
    }

    fn usage(self) -> Result<T> {
        self.map_err(|error| error.into().into_usage())
    }
}
