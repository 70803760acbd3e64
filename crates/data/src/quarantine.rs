//! Lists of images to leave out of a data set.
//!
//! A list is UTF-8 text: one image a line, its path within the data set with `/` between folders. Lines that begin with `#`
//! and empty lines say nothing. In a path `\n`, `\r`, `\\` and a leading `\#` stand for these characters themselves.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf, is_separator};
use std::sync::Arc;

use crate::error::{count, some};
use crate::{Content, Dataset, Error, Preprocessing, Result, Source};

/// Images to leave out, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// Where the list comes from, for messages.
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Quarantine {
    /// Reads a list.
    ///
    /// # Errors
    /// Where the file cannot be read or is no text.
    pub fn read(path: &Path) -> Result<Quarantine> {
        let bytes = fs::read(path).map_err(|source| Error::Path { path: path.into(), source })?;
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(Quarantine::parse(path, &text)),
            _ => Err(Error::Quarantine { path: path.into(), found: "bytes that are no UTF-8 text".into() }),
        }
    }

    /// The list that `text` is; `path` is what messages call it.
    pub fn parse(path: &Path, text: &str) -> Quarantine {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Quarantine { path: path.into(), names: lines.map(|line| unescaped(line.strip_prefix("./").unwrap_or(line))).collect() }
    }

    /// The names, sorted by bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The BLAKE3 digest of the sorted names in 64 hexadecimal digits: that of any other list that names the same images.
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for name in &self.names {
            hasher.update(&(name.len() as u64).to_le_bytes()).update(name.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// `dataset`, opened at `root`, without these images in either split; all others keep their order. Its notes say how
    /// many were left out, and how many names are of no image. A built-in data set has no root.
    ///
    /// # Errors
    /// [`Error::QuarantinedClasses`] where a class loses all its training images.
    pub fn apply(&self, dataset: Dataset, root: Option<&Path>) -> Result<Dataset> {
        let mut unknown: BTreeSet<&str> = self.names().collect();
        let [(train, train_out), (val, val_out)] = [&dataset.train, &dataset.val].map(|source| {
            let mut kept = Vec::with_capacity(source.len());
            for index in 0..source.len() {
                let name = relative_name(source.name(index), root);
                unknown.remove(&*name);
                if !self.names.contains(&*name) {
                    kept.push(index as u32);
                }
            }
            let out = source.len() - kept.len();
            let source = Arc::clone(source);
            (if out == 0 { source } else { Arc::new(Kept { source, kept }) }, out)
        });
        let lost = lost_classes(&dataset, &*train);
        if !lost.is_empty() {
            return Err(Error::QuarantinedClasses { path: self.path.clone(), classes: lost });
        }
        let mut notes = dataset.notes;
        let (images, list) = (count(train_out + val_out, "image is", "images are"), self.path.display());
        notes.push(format!("{images} in quarantine by {list}: {train_out} of training, {val_out} of validation"));
        if !unknown.is_empty() {
            let examples: Vec<String> = unknown.iter().map(|name| name.to_string()).collect();
            let names = count(unknown.len(), "name is of no image", "names are of no images");
            notes.push(format!("in {list}: {names} here: {}", some(&examples)));
        }
        Ok(Dataset { train, val, notes, ..dataset })
    }
}

/// Classes of `dataset` that have training images there and none in `train`.
fn lost_classes(dataset: &Dataset, train: &dyn Source) -> Vec<String> {
    let of = |source: &dyn Source| {
        let mut has = vec![false; dataset.classes.len()];
        (0..source.len()).for_each(|index| has[source.label(index) as usize] = true);
        has
    };
    let (had, has) = (of(&*dataset.train), of(train));
    let lost = dataset.classes.iter().zip(had.iter().zip(has)).filter(|(_, (had, has))| **had && !has);
    lost.map(|(class, _)| class.clone()).collect()
}

/// A line of a list that names the image `name`.
pub fn quarantine_line(name: &str) -> String {
    let line = name.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    if line.starts_with('#') { format!("\\{line}") } else { line }
}

fn unescaped(line: &str) -> String {
    let (mut name, mut rest) = (String::with_capacity(line.len()), line.chars());
    while let Some(c) = rest.next() {
        match (c, rest.clone().next()) {
            ('\\', Some(escaped @ ('n' | 'r' | '\\' | '#'))) => {
                rest.next();
                name.push(match escaped {
                    'n' => '\n',
                    'r' => '\r',
                    other => other,
                });
            }
            _ => name.push(c),
        }
    }
    name
}

/// The name of an image of the data set opened at `root` as it stands in lists and packs: without `root` in front, with `/`
/// between folders. Names that do not begin with `root` keep all but a leading `./`.
pub(crate) fn relative_name<'a>(name: Cow<'a, str>, root: Option<&Path>) -> Cow<'a, str> {
    let Some(root) = root.map(|root| root.display().to_string()) else { return name };
    let root = root.trim_end_matches(is_separator);
    let below = name.strip_prefix(root).filter(|rest| rest.starts_with(is_separator));
    match below.map(|rest| rest.trim_start_matches(is_separator)) {
        Some(below) if MAIN_SEPARATOR != '/' => Cow::Owned(below.replace(MAIN_SEPARATOR, "/")),
        Some(below) => Cow::Owned(below.to_string()),
        None => name.strip_prefix("./").map(|rest| Cow::Owned(rest.to_string())).unwrap_or(name),
    }
}

/// Some images of a source.
struct Kept {
    source: Arc<dyn Source>,
    /// Rising indices into `source`.
    kept: Vec<u32>,
}

impl Kept {
    fn of(&self, index: usize) -> usize {
        self.kept[index] as usize
    }
}

impl Source for Kept {
    fn len(&self) -> usize {
        self.kept.len()
    }

    fn label(&self, index: usize) -> u32 {
        self.source.label(self.of(index))
    }

    fn name(&self, index: usize) -> Cow<'_, str> {
        self.source.name(self.of(index))
    }

    fn fetch<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Content<'a>> {
        self.source.fetch(self.of(index), buffer)
    }

    fn announce(&self, indices: &[u32]) {
        let indices: Vec<u32> = indices.iter().map(|&index| self.kept[index as usize]).collect();
        self.source.announce(&indices);
    }

    fn keeps_files(&self) -> bool {
        self.source.keeps_files()
    }

    fn remark(&self, preprocessing: &Preprocessing) -> Option<String> {
        self.source.remark(preprocessing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_survives_a_list() {
        let names = ["a/b.jpg", "#1/x.jpg", "a#/b", "line\nbreak", "cr\r", "back\\slash", "back\\n", " spaces ", "Grüße/ü.png"];
        let text: String = names.iter().map(|name| format!("# about it\n{}\n", quarantine_line(name))).collect();
        let list = Quarantine::parse(Path::new("list"), &text);
        let mut sorted = names.to_vec();
        sorted.sort();
        assert_eq!(list.names().collect::<Vec<_>>(), sorted);
    }

    #[test]
    fn lists_from_other_editors_are_read_and_comments_are_not_counted() {
        let list = Quarantine::parse(Path::new("list"), "\u{feff}# title\r\na/1.jpg\r\n\r\n./b/2.jpg\n\n# end");
        assert_eq!(list.names().collect::<Vec<_>>(), ["a/1.jpg", "b/2.jpg"]);
        let other = Quarantine::parse(Path::new("other"), "b/2.jpg\na/1.jpg\na/1.jpg");
        assert_eq!(list.digest(), other.digest());
        assert_ne!(list.digest(), Quarantine::parse(Path::new("list"), "a/1.jpgb/2.jpg").digest());
    }

    #[test]
    fn names_are_relative_to_the_root_however_it_is_written() {
        let relative = |name: &'static str, root: &str| relative_name(name.into(), Some(Path::new(root))).into_owned();
        assert_eq!(relative("photos/train/a/1.jpg", "photos"), "train/a/1.jpg");
        assert_eq!(relative("photos/train/a/1.jpg", "photos/"), "train/a/1.jpg");
        assert_eq!(relative("photos//train/a/1.jpg", "photos//"), "train/a/1.jpg");
        assert_eq!(relative("./photos/train/a/1.jpg", "."), "photos/train/a/1.jpg");
        assert_eq!(relative("/train/a/1.jpg", "/"), "train/a/1.jpg");
        assert_eq!(relative("photos2/a/1.jpg", "photos"), "photos2/a/1.jpg");
        assert_eq!(relative_name("scenes/val/00001".into(), None), "scenes/val/00001");
    }

    #[test]
    fn images_that_lie_beside_a_list_are_called_the_same_in_lists_however_it_is_written() {
        for (name, root) in [("lists/a/1.jpg", "lists/all.txt"), ("./lists/a/1.jpg", "./lists/all.txt")] {
            let name = relative_name(name.into(), Some(Path::new(root)));
            assert_eq!(name, "lists/a/1.jpg");
            let list = Quarantine::parse(Path::new("list"), &quarantine_line(&name));
            assert_eq!(list.names().collect::<Vec<_>>(), [&*name]);
        }
    }
}
