//! Values as their readers want them.

use std::borrow::Cow;

use super::{Call, Id, Node, Pickle};

/// A value: a node and the pickle around it. What it is asked for it gives, or `None` where it is something else; lists,
/// tuples and dictionaries give their own values, never those within these.
#[derive(Clone, Copy)]
pub struct Value<'p, 'a> {
    pub(super) pickle: &'p Pickle<'a>,
    pub(super) id: Id,
}

impl std::fmt::Debug for Value<'_, '_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.noun())
    }
}

/// The longest string of Python 2 that is text.
const LONGEST_BYTES: usize = 1024;
/// The length of an opcode's own strings, in `noun`.
const SHOWN: usize = 60;

impl Node<'_> {
    /// What it is, for an error: `a list`.
    pub fn noun(&self) -> &'static str {
        match self {
            Node::None => "None",
            Node::Bool(_) => "a truth value",
            Node::Int(_) | Node::Long(_) => "an integer",
            Node::Float(_) => "a float",
            Node::Str(_) => "a string",
            Node::Bytes(_) => "bytes",
            Node::List(_) => "a list",
            Node::Tuple(_) => "a tuple",
            Node::Dict(_) => "a dictionary",
            Node::Set(_) => "a set",
            Node::Global { .. } => "a name",
            Node::Call(_) => "an object",
            Node::Persistent(_) => "something kept elsewhere",
        }
    }
}

impl<'p, 'a> Value<'p, 'a> {
    /// Where it is in its pickle: two values are one where this is equal.
    pub fn id(self) -> Id {
        self.id
    }

    /// The pickle that it is of.
    pub fn pickle(self) -> &'p Pickle<'a> {
        self.pickle
    }

    /// The node itself.
    pub fn node(self) -> &'p Node<'a> {
        self.pickle.node(self.id)
    }

    /// What it is, for an error: `a list`, `an object of options.OptionsParser`.
    pub fn noun(self) -> String {
        let shown = |text: &str| text.chars().take(SHOWN).collect::<String>().escape_debug().to_string();
        match (self.node(), self.class()) {
            (Node::Call(_), Some((module, name))) => format!("an object of {}.{}", shown(module), shown(name)),
            (Node::Global { module, name }, _) => format!("the name {}.{}", shown(module), shown(name)),
            (node, _) => node.noun().to_string(),
        }
    }

    fn at(self, id: Id) -> Value<'p, 'a> {
        self.pickle.value(id)
    }

    /// Whether it is `None`.
    pub fn is_none(self) -> bool {
        matches!(self.node(), Node::None)
    }

    /// A truth value; also NumPy's.
    pub fn as_bool(self) -> Option<bool> {
        match self.node() {
            Node::Bool(value) => Some(*value),
            _ => self.scalar().filter(|scalar| scalar.is_bool())?.integers().map(|values| values == [1]),
        }
    }

    /// An integer of 64 bits; also NumPy's, and a truth value, which Python counts among them.
    pub fn as_int(self) -> Option<i64> {
        match self.node() {
            Node::Int(value) => Some(*value),
            Node::Bool(value) => Some((*value).into()),
            _ => self.scalar()?.integers()?.first().copied(),
        }
    }

    /// [`Value::as_int`] where it is not negative.
    pub fn as_usize(self) -> Option<usize> {
        usize::try_from(self.as_int()?).ok()
    }

    /// A float, or an integer as one; also NumPy's.
    pub fn as_float(self) -> Option<f64> {
        match self.node() {
            Node::Float(value) => Some(*value),
            Node::Int(value) => Some(*value as f64),
            Node::Bool(value) => Some((*value).into()),
            _ => self.scalar()?.to_f64().first().copied(),
        }
    }

    /// Text, or up to 1024 bytes that are UTF-8, as strings of Python 2 are as a rule.
    pub fn as_str(self) -> Option<&'p str> {
        match self.node() {
            Node::Str(text) => Some(text),
            // Each time they are looked at anew, and much may refer to one long string.
            Node::Bytes(bytes) if bytes.len() <= LONGEST_BYTES => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Bytes. Protocols below 3 have none, so Python writes `_codecs.encode(text, "latin1")`, and `bytearray` of it.
    pub fn as_bytes(self) -> Option<Cow<'p, [u8]>> {
        match self.node() {
            Node::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Node::Call(call) => match self.at(call.callable).global()? {
                ("_codecs", "encode") => self.encoded(call),
                ("builtins" | "__builtin__", "bytes") => self.arg(0).is_none().then_some(Cow::Borrowed(&[])),
                ("builtins" | "__builtin__", "bytearray") => match self.arg(0) {
                    None => Some(Cow::Borrowed(&[])),
                    Some(inner) => inner.bytes_of_bytearray(self.arg(1)),
                },
                _ => None,
            },
            _ => None,
        }
    }

    /// The bytes of `bytearray(self)`, or of `bytearray(self, encoding)`.
    fn bytes_of_bytearray(self, encoding: Option<Value<'p, 'a>>) -> Option<Cow<'p, [u8]>> {
        match (self.node(), encoding) {
            (Node::Bytes(bytes), None) => Some(Cow::Borrowed(bytes)),
            (Node::Call(call), None) if self.at(call.callable).global() == Some(("_codecs", "encode")) => self.encoded(call),
            (Node::Str(text), Some(encoding)) => encoding.encode(text).map(Cow::Owned),
            _ => None,
        }
    }

    /// The bytes of `_codecs.encode(text, encoding)`.
    fn encoded(self, call: &Call) -> Option<Cow<'p, [u8]>> {
        let Node::Tuple(args) = self.pickle.node(call.args) else { return None };
        match args[..] {
            [text, encoding] => match self.pickle.node(text) {
                Node::Str(text) => self.at(encoding).encode(text).map(Cow::Owned),
                _ => None,
            },
            _ => None,
        }
    }

    /// `text` in the encoding that the value names: Latin-1, the only one that Python writes.
    fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self.as_str()? {
            "latin1" | "latin-1" => text.chars().map(|char| u8::try_from(u32::from(char)).ok()).collect(),
            _ => None,
        }
    }

    /// The items of a list, a tuple or a set, or of a set as protocols below 4 write it.
    pub fn items(self) -> Option<impl ExactSizeIterator<Item = Value<'p, 'a>> + DoubleEndedIterator + Clone> {
        let items = match self.node() {
            Node::List(items) | Node::Tuple(items) | Node::Set(items) => items,
            Node::Call(call) => match self.at(call.callable).global()? {
                ("builtins" | "__builtin__", "set" | "frozenset") => match self.arg(0).map(Value::node) {
                    Some(Node::List(items) | Node::Tuple(items)) if call.items.is_empty() => items,
                    None => &call.items,
                    _ => return None,
                },
                _ => return None,
            },
            _ => return None,
        };
        Some(items.iter().map(move |id| self.at(*id)))
    }

    /// The keys and values of a dictionary or of a `collections.OrderedDict`, in order. Of equal keys the last counts.
    pub fn pairs(self) -> Option<Vec<(Value<'p, 'a>, Value<'p, 'a>)>> {
        match self.node() {
            Node::Dict(pairs) => Some(pairs.iter().map(|(key, value)| (self.at(*key), self.at(*value))).collect()),
            Node::Call(call) if self.class().is_some_and(is_dict) => {
                // Python 2 writes OrderedDict([[key, value], …]), Python 3 sets the items afterwards.
                let mut pairs = Vec::new();
                for pair in self.arg(0).into_iter().filter_map(Value::items).flatten() {
                    let mut pair = pair.items()?;
                    match (pair.next(), pair.next(), pair.next()) {
                        (Some(key), Some(value), None) => pairs.push((key, value)),
                        _ => return None,
                    }
                }
                pairs.extend(call.pairs.iter().map(|(key, value)| (self.at(*key), self.at(*value))));
                Some(pairs)
            }
            _ => None,
        }
    }

    /// What a dictionary has under a text.
    pub fn get(self, key: &str) -> Option<Value<'p, 'a>> {
        let is_key = |id: &Id| self.at(*id).as_str() == Some(key);
        match self.node() {
            Node::Dict(pairs) => pairs.iter().rev().find(|(id, _)| is_key(id)).map(|(_, value)| self.at(*value)),
            _ => self.pairs()?.into_iter().rev().find(|(id, _)| id.as_str() == Some(key)).map(|(_, value)| value),
        }
    }

    /// The module and name of a class or function.
    pub fn global(self) -> Option<(&'a str, &'a str)> {
        super::name_of(self.node())
    }

    /// The class whose object it is, or the function whose result: what is called, or what `copyreg` makes an object of.
    pub fn class(self) -> Option<(&'a str, &'a str)> {
        let Node::Call(call) = self.node() else { return None };
        match self.at(call.callable).global()? {
            ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__" | "__newobj_ex__") => self.arg(0)?.global(),
            global => Some(global),
        }
    }

    /// The call that it would be the result of.
    pub fn call(self) -> Option<&'p Call> {
        match self.node() {
            Node::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The arguments of a call.
    pub fn args(self) -> Option<impl ExactSizeIterator<Item = Value<'p, 'a>> + DoubleEndedIterator + Clone> {
        match self.pickle.node(self.call()?.args) {
            Node::Tuple(args) => Some(args.iter().map(move |id| self.at(*id))),
            _ => None,
        }
    }

    /// An argument of a call, counted from 0.
    pub fn arg(self, index: usize) -> Option<Value<'p, 'a>> {
        self.args()?.nth(index)
    }

    /// What a call's result has for a state.
    pub fn state(self) -> Option<Value<'p, 'a>> {
        Some(self.at(self.call()?.state?))
    }

    /// An attribute in an object's state: a dictionary, or one for `__dict__` and one for `__slots__`.
    pub fn attribute(self, name: &str) -> Option<Value<'p, 'a>> {
        let state = self.state()?;
        match state.node() {
            Node::Tuple(both) => both.iter().find_map(|id| self.at(*id).get(name)),
            _ => state.get(name),
        }
    }

    /// What identifies something kept elsewhere.
    pub fn persistent(self) -> Option<Value<'p, 'a>> {
        match self.node() {
            Node::Persistent(id) => Some(self.at(*id)),
            _ => None,
        }
    }
}

fn is_dict(class: (&str, &str)) -> bool {
    matches!(
        class,
        ("collections", "OrderedDict" | "defaultdict") | ("ordereddict", "OrderedDict") | ("builtins" | "__builtin__", "dict")
    )
}
