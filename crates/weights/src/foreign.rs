//! What is found in the files of other programs.

use std::collections::BTreeMap;

use net::SharedTensor;

/// The tensors of a file that another program may have written.
#[derive(Debug, Clone, Default)]
pub struct Foreign {
    /// Names and values, in the file's order: what is f32 lies in the file, other floats are converted.
    pub tensors: Vec<(String, SharedTensor)>,
    /// Names of the tensors that are not read, and what they are, as the format calls it: `I64`.
    pub others: Vec<(String, String)>,
    /// Free text, by key.
    pub text: BTreeMap<String, String>,
    /// What a user should know about where the tensors were found, a sentence each.
    pub notes: Vec<String>,
}

/// A name out of a file, for an error or a note: on one line, and not endless.
pub fn shown(name: &str) -> String {
    const MOST: usize = 100;
    let shown: String = name.chars().take(MOST).flat_map(char::escape_debug).collect();
    if name.chars().nth(MOST).is_some() { shown + "…" } else { shown }
}
