//! Where in what was saved the parameters are.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::objects::{Kind, Layout, Maker, Objects};
use super::shown;
use crate::pickle::{Id, Node, Pickle, Value};
use crate::{Foreign, Mapped};

/// Of dictionaries with as many tensors, these are taken before others, the first before the next.
const USUAL: &[&str] = &["state_dict", "model_state_dict", "model", "net", "weights"];
/// How deep modules may stand in modules.
const DEEPEST: usize = 64;

/// The tensors of the largest state dict, or of the largest module, that `pickle` holds.
pub(super) fn parameters(file: &Arc<Mapped>, pickle: &Pickle, objects: Objects) -> Result<Foreign, String> {
    check_calls(pickle)?;
    let (seen, opened) = (HashSet::new(), HashSet::new());
    let mut search = Search { objects: &objects, maker: Maker::new(file), seen, opened, places: Vec::new() };
    let candidates = search.run(pickle.root())?;
    let rank = |candidate: &Candidate| {
        let name = search.places[candidate.place].1.and_then(Value::as_str).unwrap_or_default();
        (usize::MAX - candidate.tensors.len(), USUAL.iter().position(|usual| *usual == name).unwrap_or(USUAL.len()))
    };
    let Some(chosen) = candidates.iter().min_by_key(|candidate| rank(candidate)) else {
        return Err(format!("there is no state dict in it: it holds {}", pickle.root().noun()));
    };
    let mut found = Foreign { notes: search.notes(&candidates, chosen), ..Foreign::default() };
    for (name, layout) in &chosen.tensors {
        match search.maker.make(layout).map_err(|why| format!("tensor `{}`: {why}", shown(name)))? {
            Some(tensor) => found.tensors.push((name.clone(), tensor)),
            None => {
                let Kind::Other(kind) = &layout.kind else { continue };
                found.others.push((name.clone(), kind.clone()));
            }
        }
    }
    Ok(found)
}

/// Functions that make plain values; classes are judged by [`is_plain`].
const FUNCTIONS: &[(&str, &[&str])] = &[
    ("torch", &["device"]),
    ("torch.storage", &["_load_from_bytes"]),
    ("torch.serialization", &["_get_layout"]),
    ("collections", &["defaultdict", "deque", "namedtuple"]),
    ("copyreg", &["_reconstructor", "__newobj__", "__newobj_ex__"]),
    ("copy_reg", &["_reconstructor", "__newobj__", "__newobj_ex__"]),
    ("_codecs", &["encode"]),
    ("datetime", &["date", "datetime", "time", "timedelta", "timezone"]),
    ("functools", &["partial"]),
    ("numpy", &["dtype", "ndarray"]),
];
const PLAIN: &[&str] = &[
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
];
/// Modules whose classes act when they are made.
const ACTING: &[&str] = &[
    "asyncio",
    "code",
    "concurrent",
    "ctypes",
    "http",
    "importlib",
    "multiprocessing",
    "os",
    "pty",
    "runpy",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "urllib",
    "webbrowser",
];

/// Longer names are nobody's.
const LONGEST: usize = 1024;
/// So many names are told apart.
const MOST_TOLD: usize = 100;

/// Refuses what calls anything else than functions that build values, and classes. Nothing is called here in any case: this
/// tells the user that the file does more than hold a net.
fn check_calls(pickle: &Pickle) -> Result<(), String> {
    let mut acts = BTreeSet::new();
    let called = pickle.values().filter_map(|value| pickle.value(value.call()?.callable).global());
    for (module, name) in called.filter(|(module, name)| !is_plain(module, name)) {
        acts.insert(format!("{}.{}", shown(module), shown(name)));
        if acts.len() > MOST_TOLD {
            break;
        }
    }
    let Some(first) = acts.first() else { return Ok(()) };
    let more = if acts.len() > 1 { format!(" and {} more", acts.len() - 1) } else { String::new() };
    Err(format!(
        "opening it in Python would call `{first}`{more}, which builds no tensor; nothing of it was run; save the `state_dict()` alone"
    ))
}

fn is_plain(module: &str, name: &str) -> bool {
    if module.len() + name.len() > LONGEST {
        return false;
    }
    let room = module.split('.').next().unwrap_or_default();
    let builds = |names: &[&str]| names.contains(&name);
    match module {
        "builtins" | "__builtin__" => builds(PLAIN),
        "torch._utils" | "torch._tensor" => name.starts_with("_rebuild"),
        _ if FUNCTIONS.iter().any(|(of, names)| *of == module && builds(names)) => true,
        _ if room == "numpy" && (module.ends_with("core.multiarray") || module.ends_with("core.numeric")) => {
            builds(&["_reconstruct", "scalar", "_frombuffer"])
        }
        "numpy.random._pickle" => name.starts_with("__"),
        // A class, by the way it is spelt: its object is a name with a state.
        _ => {
            let class = name.rsplit('.').next().unwrap_or_default().trim_start_matches('_');
            class.starts_with(char::is_uppercase) && !ACTING.contains(&room)
        }
    }
}

/// A dictionary of tensors, or a module with some.
struct Candidate {
    /// Its index among the places.
    place: usize,
    tensors: Vec<(String, Layout)>,
}

/// A walk over what was saved, nearest to the root first, that meets each value once.
struct Search<'f, 'o, 'p, 'a> {
    objects: &'o Objects,
    maker: Maker<'f>,
    seen: HashSet<Id>,
    /// States of modules that were looked into.
    opened: HashSet<Id>,
    /// Values that were met: the place of what holds it, the key that it has there, itself.
    places: Vec<(usize, Option<Value<'p, 'a>>, Value<'p, 'a>)>,
}

impl<'p, 'a> Search<'_, '_, 'p, 'a> {
    fn run(&mut self, root: Value<'p, 'a>) -> Result<Vec<Candidate>, String> {
        let mut candidates = Vec::new();
        self.meet(0, None, root);
        let mut next = 0;
        while let Some(&(_, _, value)) = self.places.get(next) {
            let is_new = value.state().is_none_or(|state| !self.seen.contains(&state.id()));
            let pairs = self.pairs(value);
            let tensors = match is_new && is_module(value) {
                true => self.of_module(value)?,
                false => self.of_dictionary(&pairs)?,
            };
            if !tensors.is_empty() {
                candidates.push(Candidate { place: next, tensors });
            }
            self.meet_within(next, value, pairs);
            next += 1;
        }
        Ok(candidates)
    }

    fn meet(&mut self, parent: usize, key: Option<Value<'p, 'a>>, value: Value<'p, 'a>) {
        if self.seen.insert(value.id()) {
            self.places.push((parent, key, value));
        }
    }

    /// Whether what an object is made of is met for the first time. Many may be made of one list, and each would go through it.
    fn is_first(&mut self, value: Value<'p, 'a>) -> bool {
        value.call().is_none() || value.arg(0).is_none_or(|made_of| self.seen.insert(made_of.id()))
    }

    fn pairs(&mut self, value: Value<'p, 'a>) -> Vec<(Value<'p, 'a>, Value<'p, 'a>)> {
        if self.is_first(value) { value.pairs().unwrap_or_default() } else { Vec::new() }
    }

    /// Meets what a value holds. A tensor's parts are no places.
    fn meet_within(&mut self, place: usize, value: Value<'p, 'a>, pairs: Vec<(Value<'p, 'a>, Value<'p, 'a>)>) {
        if self.objects.tensor(value).is_some() {
            return;
        }
        pairs.into_iter().for_each(|(key, value)| self.meet(place, Some(key), value));
        // Sets hold no state dicts, and are calls in older pickles.
        if let (None, Some(items)) = (value.call(), value.items()) {
            items.for_each(|value| self.meet(place, None, value));
        }
        if let Some(state) = value.state() {
            self.meet(place, None, state);
        }
    }

    /// The tensors that a dictionary holds under names.
    fn of_dictionary(&mut self, pairs: &[(Value<'p, 'a>, Value<'p, 'a>)]) -> Result<Vec<(String, Layout)>, String> {
        let mut tensors = Named::default();
        for (name, value) in pairs {
            let Some(name) = name.as_str() else { continue };
            if let Some(layout) = self.objects.tensor(*value) {
                self.add(&mut tensors, "", name, layout)?;
            }
        }
        Ok(tensors.list)
    }

    /// The parameters and buffers of a module and of those within it, named as its state dict would name them.
    fn of_module(&mut self, module: Value<'p, 'a>) -> Result<Vec<(String, Layout)>, String> {
        let (mut tensors, mut rest) = (Named::default(), vec![(String::new(), 0, module)]);
        while let Some((prefix, depth, module)) = rest.pop() {
            if depth > DEEPEST {
                return Err(format!("its modules stand more than {DEEPEST} deep in each other"));
            }
            // Many modules may have one state, which each would go through.
            let state = module.state().filter(|state| self.opened.insert(state.id()));
            let [parameters, buffers, modules] = ["_parameters", "_buffers", "_modules"].map(|attribute| {
                let held = state.and_then(|state| attribute_of(state, attribute)).filter(|held| self.seen.insert(held.id()));
                held.map(|held| self.pairs(held)).unwrap_or_default()
            });
            for (name, value) in parameters.into_iter().chain(buffers) {
                if let (Some(name), Some(layout)) = (name.as_str(), self.objects.tensor(value)) {
                    self.add(&mut tensors, &prefix, name, layout)?;
                }
            }
            // The last is taken from the list first.
            for (name, value) in modules.into_iter().rev() {
                if let Some(name) = name.as_str()
                    && self.seen.insert(value.id())
                {
                    self.maker.charge(prefix.len() + name.len())?;
                    rest.push((format!("{prefix}{name}."), depth + 1, value));
                }
            }
        }
        Ok(tensors.list)
    }

    fn add(&mut self, to: &mut Named<'p>, prefix: &str, name: &'p str, layout: Result<Layout, String>) -> Result<(), String> {
        if prefix.len() + name.len() > LONGEST {
            return Err(format!("a tensor's name has {} bytes", prefix.len() + name.len()));
        }
        let layout = layout.map_err(|why| format!("tensor `{}`: {why}", shown(&format!("{prefix}{name}"))))?;
        // Names may be mentioned again and again.
        if let Some(index) = to.places.get(name).filter(|_| prefix.is_empty()) {
            to.list[*index].1 = layout;
            return Ok(());
        }
        if prefix.is_empty() {
            to.places.insert(name, to.list.len());
        }
        self.maker.charge(prefix.len() + name.len() + layout.memory())?;
        to.list.push((format!("{prefix}{name}"), layout));
        Ok(())
    }

    /// Where the tensors were found, and which others were not taken though there are as many.
    fn notes(&self, candidates: &[Candidate], chosen: &Candidate) -> Vec<String> {
        let (_, _, value) = self.places[chosen.place];
        let mut notes = Vec::new();
        let path = self.path(chosen.place);
        if is_module(value) {
            notes.push(format!("the file holds a whole module, {}: its parameters were taken, its code was not", value.noun()));
        } else if !path.is_empty() {
            notes.push(format!("the parameters were found under `{path}`"));
        }
        let equals = candidates.iter().filter(|other| other.place != chosen.place && other.tensors.len() == chosen.tensors.len());
        let paths: Vec<_> = equals.map(|other| format!("`{}`", self.path(other.place))).take(4).collect();
        if !paths.is_empty() {
            notes.push(format!("as many tensors under {} were passed over", paths.join(", ")));
        }
        notes
    }

    /// The keys that lead to a place, joined by dots.
    fn path(&self, place: usize) -> String {
        let (mut keys, mut at) = (Vec::new(), place);
        while at != 0 && keys.len() < DEEPEST {
            let (parent, key, _) = self.places[at];
            keys.extend(key.and_then(Value::as_str).map(shown));
            at = parent;
        }
        keys.reverse();
        keys.join(".")
    }
}

/// Tensors in order, and where those of a dictionary are.
#[derive(Default)]
struct Named<'p> {
    list: Vec<(String, Layout)>,
    places: HashMap<&'p str, usize>,
}

/// An attribute in an object's dictionary of them, which is never an object itself: many of those may be made of one list.
fn attribute_of<'p, 'a>(state: Value<'p, 'a>, name: &str) -> Option<Value<'p, 'a>> {
    matches!(state.node(), Node::Dict(_)).then(|| state.get(name)).flatten()
}

/// Whether it is an `nn.Module`, by its attributes.
fn is_module(value: Value) -> bool {
    let has = |name| value.state().and_then(|state| attribute_of(state, name)).is_some();
    has("_parameters") && has("_modules")
}
