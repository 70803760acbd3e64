//! Lists of class names.

use std::fs;
use std::io::Read;
use std::path::Path;

use data::LabelOrder;

use crate::{Error, Result};

/// The longest list that is read, in bytes.
const LONGEST: u64 = 1 << 24;

/// Class names and their words (none where the list has none), for a net of `count` classes whose labels are in `order`.
///
/// A list has a class a line in the order of the labels: a name; a WordNet id and its words (`n01440764 tench, Tinca tinca`, as
/// Caffe's `synset_words.txt`); or a name, a tab and its words (as a run's `classes.txt`). A JSON object from label to
/// `[id, word]` is read too (`imagenet_class_index.json`). ILSVRC's development kit knows its classes in every order.
///
/// # Errors
/// Where the list cannot be read or names another number of classes.
pub(crate) fn read(path: &Path, order: LabelOrder, count: usize) -> Result<(Vec<String>, Vec<String>)> {
    let kit = data::devkit_classes(path, order)?;
    let of_text = |text: String| if text.trim_start().starts_with('{') { of_json(&text) } else { Ok(of_lines(&text)) };
    let pairs = match kit {
        Some(classes) => Ok(classes),
        None => of_text(read_text(path)?),
    };
    let fault = |message: String| Error::Given { option: "--classes", message: format!("`{}` {message}", path.display()) };
    let pairs = pairs.map_err(fault)?;
    if pairs.len() != count {
        return Err(fault(format!("names {} classes, the net tells {count} apart", pairs.len())));
    }
    let is_wnid = |name: &String| name.len() == 9 && name.starts_with('n') && name[1..].bytes().all(|b| b.is_ascii_digit());
    let sorted = pairs.iter().all(|(name, _)| is_wnid(name)) && pairs.is_sorted_by(|a, b| a.0 < b.0);
    if sorted && order == LabelOrder::Devkit && count > 1 {
        return Err(fault("is sorted by WordNet id, but the labels of this file are in the order of the development kit".into()));
    }
    let (names, words): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let words = if words.iter().all(String::is_empty) { Vec::new() } else { words };
    Ok((names, words))
}

fn read_text(path: &Path) -> Result<String> {
    let fault = |source| weights::Error::io("read", path, source);
    let mut text = String::new();
    fs::File::open(path).map_err(fault)?.take(LONGEST).read_to_string(&mut text).map_err(fault)?;
    Ok(text)
}

fn of_lines(text: &str) -> Vec<(String, String)> {
    let one = |line: &str| {
        if let Some((name, words)) = line.split_once('\t') {
            return (name.trim().to_string(), words.trim().to_string());
        }
        match line.split_once(' ') {
            Some((id, words)) if id.len() == 9 && id.starts_with('n') && id[1..].bytes().all(|b| b.is_ascii_digit()) => {
                (id.to_string(), words.trim().to_string())
            }
            _ => (line.trim().to_string(), String::new()),
        }
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(one).collect()
}

fn of_json(text: &str) -> Result<Vec<(String, String)>, String> {
    let map: std::collections::BTreeMap<String, (String, String)> =
        serde_json::from_str(text).map_err(|error| format!("is no list of classes: {error}"))?;
    (0..map.len())
        .map(|label| map.get(&label.to_string()).cloned().ok_or_else(|| format!("has no class with the label {label}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(text: &str, order: LabelOrder, count: usize) -> Result<(Vec<String>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        fs::write(&path, text).unwrap();
        read(&path, order, count)
    }

    #[test]
    fn lists_are_read_in_every_form() {
        let owned = |list: &[&str]| list.iter().map(|s| s.to_string()).collect::<Vec<_>>();
        let words = (owned(&["n01440764", "n01443537"]), owned(&["tench, Tinca tinca", "goldfish"]));
        for text in [
            "n01440764 tench, Tinca tinca\nn01443537 goldfish\n",
            "n01440764\ttench, Tinca tinca\r\nn01443537\tgoldfish",
            r#"{"1": ["n01443537", "goldfish"], "0": ["n01440764", "tench, Tinca tinca"]}"#,
        ] {
            assert_eq!(read_of(text, LabelOrder::Sorted, 2).unwrap(), words);
        }
        assert_eq!(read_of("cat\nsea snake\n\n", LabelOrder::Devkit, 2).unwrap(), (owned(&["cat", "sea snake"]), vec![]));
    }

    #[test]
    fn lists_that_do_not_fit_are_refused() {
        let said = |text: &str, order, count| read_of(text, order, count).unwrap_err().to_string();
        assert!(said("a\nb\n", LabelOrder::Sorted, 3).contains("names 2 classes, the net tells 3 apart"));
        assert!(said("n01440764 a\nn01443537 b\n", LabelOrder::Devkit, 2).contains("order of the development kit"));
        assert!(said(r#"{"0": ["a", "b"], "2": ["c", "d"]}"#, LabelOrder::Sorted, 2).contains("no class with the label 1"));
        assert!(said("{", LabelOrder::Sorted, 2).contains("is no list of classes"));
    }
}
