//! The classes of an ILSVRC year as its development kit's `meta.mat` has them.

use std::collections::{BTreeMap, BTreeSet};

use crate::mat5::{self, Value};

/// Of a value that is not as expected, so many characters are shown.
const SHOWN: usize = 80;

/// A group of synonyms: a class, or an inner node of the hierarchy above the classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synset {
    /// Its WordNet id, such as `n01440764`.
    pub(crate) wnid: String,
    /// Its words, such as `tench, Tinca tinca`.
    pub(crate) words: String,
    /// Whether it is a class: it has no children.
    pub(crate) is_leaf: bool,
}

/// Synsets by the id that they have in that year, `ILSVRC2012_ID` or `ILSVRC2010_ID`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Synsets(BTreeMap<u32, Synset>);

impl Synsets {
    /// Reads the variable `synsets` of a MAT file: structs with the fields `ILSVRC<year>_ID`, `WNID`, `words` and
    /// `num_children`.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn read(file: &[u8], year: u16) -> Result<Synsets, String> {
        let variables = mat5::read(file)?;
        let value = variables.into_iter().find(|(name, _)| name == "synsets").map(|(_, value)| value);
        let Some(Value::Structs { fields, values }) = value else {
            return Err("expected an array of structs called `synsets`, there is none".into());
        };
        let id_name = format!("ILSVRC{year}_ID");
        let place = |name: &str| {
            let found = fields.iter().position(|field| field == name);
            found.ok_or_else(|| format!("`synsets` has no field `{name}`; there are {}", fields.join(", ")))
        };
        let [id, wnid, words, children] = [place(&id_name)?, place("WNID")?, place("words")?, place("num_children")?];
        let mut synsets = BTreeMap::new();
        for (number, row) in values.chunks(fields.len()).enumerate() {
            let wrong = |place: usize| {
                // A value may be of any size.
                let found: String = format!("{:?}", row[place]).chars().take(SHOWN).collect();
                format!("`{}` of synset {} is not as expected: {found}", fields[place], number + 1)
            };
            let id = count(&row[id]).ok_or_else(|| wrong(id))?;
            let wnid = text(&row[wnid]).filter(|wnid| is_wnid(wnid)).ok_or_else(|| wrong(wnid))?;
            let words = text(&row[words]).ok_or_else(|| wrong(words))?;
            let is_leaf = count(&row[children]).ok_or_else(|| wrong(children))? == 0;
            if synsets.insert(id, Synset { wnid, words, is_leaf }).is_some() {
                return Err(format!("two synsets have the {id_name} {id}"));
            }
        }
        let synsets = Synsets(synsets);
        let distinct: BTreeSet<_> = synsets.0.values().map(|synset| &synset.wnid).collect();
        if distinct.len() != synsets.0.len() {
            return Err("two synsets have the same WNID".into());
        }
        // Labels by id would have holes otherwise.
        let hole = synsets.leaves().map(|(id, _)| id).zip(1..).find(|(id, expected)| id != expected);
        match hole {
            Some((id, expected)) => Err(format!("the classes' ids are not 1, 2, 3…: {id} stands where {expected} is expected")),
            None if synsets.0.is_empty() => Err("`synsets` is empty".into()),
            None => Ok(synsets),
        }
    }

    /// The classes by id: 1, 2, 3…
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (u32, &Synset)> {
        self.0.iter().filter(|(_, synset)| synset.is_leaf).map(|(&id, synset)| (id, synset))
    }

    /// The class with this id.
    pub(crate) fn leaf(&self, id: u32) -> Option<&Synset> {
        self.0.get(&id).filter(|synset| synset.is_leaf)
    }
}

/// Whether a name is a WordNet id: a letter for the part of speech and eight digits.
pub(crate) fn is_wnid(name: &str) -> bool {
    name.len() == 9 && name.starts_with('n') && name.bytes().skip(1).all(|byte| byte.is_ascii_digit())
}

fn count(value: &Value) -> Option<u32> {
    match value {
        Value::Numbers(numbers) => match numbers[..] {
            [n] if n >= 0.0 && n <= f64::from(u32::MAX) && n.fract() == 0.0 => Some(n as u32),
            _ => None,
        },
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        // A text of no characters is an empty array of numbers to some writers.
        Value::Numbers(numbers) if numbers.is_empty() => Some(String::new()),
        _ => None,
    }
}
