//! Python's pickles, protocols 0 to 5, read without Python.
//!
//! A pickle is a program for a stack machine that builds values, and among its instructions is "call what this name means".
//! Here nothing is called and no name is looked up: a call is a node that says what would have been called with what
//! ([`Call`]), so a pickle is data whoever wrote it. (Python's `pickletools` describes the instructions.)
//!
//! Values are nodes in one list, and refer to each other by their place in it ([`Id`]): what a pickle shares is shared, a
//! value may contain itself, and nothing here follows values into values, however deep they are. An instruction makes at
//! most as many nodes as it has bytes, of which there are at most 2^22, and strings and bytes lie in the input wherever their instruction keeps them as they
//! are, so memory stays within a small multiple of the input.
//!
//! [`Value`] is the way in: a node and the pickle around it, with what Python would make of a few well-known calls (ordered
//! dictionaries, bytes, sets), and [`Array`] for those of NumPy.

mod machine;
mod numpy;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use numpy::{Array, Kind};
pub use value::Value;

/// Where a node is in its pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(u32);

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// An integer beyond 64 bits: its bytes in two's complement, the lowest first.
    Long(Cow<'a, [u8]>),
    /// A float.
    Float(f64),
    /// Text.
    Str(Cow<'a, str>),
    /// Bytes, a `bytearray`, or a string of Python 2, which is bytes.
    Bytes(Cow<'a, [u8]>),
    /// A list.
    List(Vec<Id>),
    /// A tuple.
    Tuple(Vec<Id>),
    /// A dictionary: keys and values in the order in which they were set; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    /// A set or a frozen set, in the order in which it was filled.
    Set(Vec<Id>),
    /// The name of a class or function.
    Global {
        /// Of its module, as the pickle spells it.
        module: &'a str,
        /// Within the module.
        name: &'a str,
    },
    /// What a call would have returned.
    Call(Box<Call>),
    /// What the pickle's owner keeps elsewhere, under this identification.
    Persistent(Id),
}

/// A call that is not made, and what would have happened to its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What is called: as a rule a [`Node::Global`].
    pub callable: Id,
    /// Positional arguments: as a rule a [`Node::Tuple`].
    pub args: Id,
    /// Arguments by name, where the instruction has them: as a rule a [`Node::Dict`].
    pub kwargs: Option<Id>,
    /// What the result's state is set to: as a rule a [`Node::Dict`] of attributes.
    pub state: Option<Id>,
    /// What is appended to the result.
    pub items: Vec<Id>,
    /// What is set in the result under a key.
    pub pairs: Vec<(Id, Id)>,
}

/// The values of one pickle.
#[derive(Debug, Clone)]
pub struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle at the beginning of `bytes`; with it, how many bytes it has: in a stream of pickles the next begins
    /// there.
    ///
    /// # Errors
    /// What is wrong and at which byte: the bytes end too early, or are no instruction; an instruction lacks something on
    /// the stack, or finds another kind of value than it needs; text is not Unicode; or an instruction needs what is not
    /// in the pickle (buffers beside it, the registry of extensions).
    pub fn read(bytes: &'a [u8]) -> Result<(Pickle<'a>, usize), String> {
        machine::run(bytes)
    }

    /// The value that the pickle is of.
    pub fn root(&self) -> Value<'_, 'a> {
        self.value(self.root)
    }

    /// The value at `id`, which is of this pickle.
    pub fn value(&self, id: Id) -> Value<'_, 'a> {
        Value { pickle: self, id }
    }

    /// Every value, those too that the root does not lead to, in the order in which they were made.
    pub fn values(&self) -> impl Iterator<Item = Value<'_, 'a>> {
        (0..self.nodes.len() as u32).map(|index| self.value(Id(index)))
    }

    /// The node at `id`, which is of this pickle.
    pub fn node(&self, id: Id) -> &Node<'a> {
        const NOTHING: &Node<'static> = &Node::None;
        self.nodes.get(id.0 as usize).unwrap_or(NOTHING)
    }

    /// How many nodes there are: at most as many as the pickle has bytes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Never: a pickle has at least its root.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The names of classes and functions that the pickle mentions, module and name, each once, sorted.
    pub fn globals(&self) -> Vec<(&'a str, &'a str)> {
        sorted(self.nodes.iter().filter_map(name_of))
    }

    /// The names among [`Pickle::globals`] that the pickle calls.
    pub fn calls(&self) -> Vec<(&'a str, &'a str)> {
        sorted(self.nodes.iter().filter_map(|node| match node {
            Node::Call(call) => name_of(self.node(call.callable)),
            _ => None,
        }))
    }
}

fn name_of<'a>(node: &Node<'a>) -> Option<(&'a str, &'a str)> {
    match *node {
        Node::Global { module, name } => Some((module, name)),
        _ => None,
    }
}

fn sorted<'a>(names: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<(&'a str, &'a str)> {
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names.dedup();
    names
}
