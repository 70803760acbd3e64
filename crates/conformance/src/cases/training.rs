//! c
use crate::{Report, Subject};
/// c
pub fn training(subject: &Subject<'_>) -> Report {
    Report::new(subject.name)
}
