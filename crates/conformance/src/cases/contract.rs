//! Not written yet.
use crate::{Report, Subject};
/// c
pub fn contract(subject: &Subject<'_>) -> Report {
    Report::new(subject.name)
}
