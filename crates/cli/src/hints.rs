//! What to do about each error that the libraries can return.

use std::borrow::Cow;
use std::error::Error;
use std::io;

use crate::failure::{FAILED, USAGE};

/// What an error means to the user.
pub(crate) struct Advice {
    /// The exit code.
    pub(crate) code: u8,
    /// What to do.
    pub(crate) hint: Cow<'static, str>,
}

/// The advice for the outermost cause that is known, else general advice.
pub(crate) fn advice(error: &(dyn Error + 'static)) -> Advice {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let known = error.downcast_ref().map(of_net).or_else(|| error.downcast_ref().map(of_io));
        if let Some(advice) = known {
            return advice;
        }
        cause = error.source();
    }
    Advice { code: FAILED, hint: "`alexnet help` lists the commands, `alexnet help COMMAND` explains one".into() }
}

fn usage(hint: &'static str) -> Advice {
    Advice { code: USAGE, hint: hint.into() }
}

fn failed(hint: &'static str) -> Advice {
    Advice { code: FAILED, hint: hint.into() }
}

fn of_net(error: &net::Error) -> Advice {
    match error {
        net::Error::UnknownPreset { .. } => {
            usage("`alexnet describe --list` shows the presets; a net of your own is a file whose name ends in .toml")
        }
        net::Error::Text { .. } | net::Error::Layer { .. } => {
            usage("`alexnet describe --net NAME --toml` prints a preset in the form that is read; compare with that")
        }
        net::Error::Net { .. } => usage("`alexnet describe --net NAME` shows a net's layers and shapes"),
        net::Error::Param { .. } => {
            failed("these weights are another net's; `alexnet describe --net FILE` shows which net a file was written for")
        }
        net::Error::Batch(_) => failed("this is a bug in the program; please report it with the command you ran"),
        _ => failed("try a smaller --batch or --micro-batch, or fewer --threads"),
    }
}

fn of_io(error: &io::Error) -> Advice {
    match error.kind() {
        io::ErrorKind::NotFound => failed("check the path; relative paths start at the current directory"),
        io::ErrorKind::PermissionDenied => failed("check who owns the file or directory and its permissions"),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => failed(
            "free some space on that disk, then go on with `alexnet train --resume RUN`; the last checkpoint is still whole",
        ),
        io::ErrorKind::AlreadyExists => failed("choose another name, or remove what is there"),
        _ => failed("check the path and the disk it is on"),
    }
}
