//! What to do about images that cannot be read.

use std::fmt;
use std::str::FromStr;

/// The policy for images that cannot be read or decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BadImages {
    /// The first bad image is an error.
    #[default]
    Stop,
    /// Go on without it; it is counted and listed by name.
    Skip,
    /// Read every image, then end with an error that lists all the bad ones.
    Report,
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BadImage {
    /// [`crate::Source::name`]
    pub name: String,
    /// Why, in lower case, without the name.
    pub reason: String,
}

impl fmt::Display for BadImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

impl fmt::Display for BadImages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            BadImages::Stop => "stop",
            BadImages::Skip => "skip",
            BadImages::Report => "report",
        })
    }
}

impl FromStr for BadImages {
    type Err = String;

    fn from_str(text: &str) -> Result<BadImages, String> {
        match text {
            "stop" => Ok(BadImages::Stop),
            "skip" => Ok(BadImages::Skip),
            "report" => Ok(BadImages::Report),
            _ => Err(format!("`{text}` is none of stop, skip, report")),
        }
    }
}
