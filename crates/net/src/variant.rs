//! Which AlexNet a net is: the preset it comes nearest to, and in what it differs.

use serde::{Deserialize, Serialize};

use crate::table::{geometry, note};
use crate::{Init, Layer, Learn, Net, Op, PRESETS};

/// The preset that the others are measured against: the paper as its text reads.
const PAPER: &str = "alexnet";

/// Which AlexNet a net is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The preset with the fewest differences in structure.
    pub preset: String,
    /// In what the net differs from that preset, a sentence each.
    pub differences: Vec<String>,
    /// In what the net differs from the paper's text, a sentence each.
    pub from_paper: Vec<String>,
}

impl Variant {
    /// Compares a net with every preset. Where several are equally near, the one with the fewest differences in how parameters
    /// begin and learn, then the net's namesake, then the first of [`PRESETS`].
    pub fn of(net: &Net) -> Variant {
        let presets = PRESETS.iter().filter_map(|preset| Net::preset(preset.name).ok());
        let distance = |preset: &Net| {
            let structure = differences(net, preset).len();
            (structure, learning_differences(net, preset).len(), preset.name() != net.name())
        };
        let nearest = presets.min_by_key(distance);
        let all = |other: &Net| [differences(net, other), learning_differences(net, other)].concat();
        Variant {
            differences: nearest.as_ref().map(all).unwrap_or_default(),
            preset: nearest.map(|net| net.name().to_string()).unwrap_or_default(),
            from_paper: Net::preset(PAPER).as_ref().map(all).unwrap_or_default(),
        }
    }
}

/// In what the structure of `net` differs from that of `other`, layers being paired by their names: a sentence for each
/// difference, in the order of the layers. Empty where both compute the same function of pixels and parameters, in training too.
pub fn differences(net: &Net, other: &Net) -> Vec<String> {
    let mut sentences = Vec::new();
    if net.input() != other.input() {
        sentences.push(format!("the input is {} instead of {}", net.input(), other.input()));
    }
    let kept = longest_common(net.layers(), other.layers());
    let find = |layers: &[Layer], name: &str| layers.iter().position(|layer| layer.name == name);
    let after = |layers: &[Layer], index: usize| match index.checked_sub(1) {
        Some(before) => format!("behind `{}`", layers[before].name),
        None => "first".to_string(),
    };
    for layer in other.layers() {
        if find(net.layers(), &layer.name).is_none() {
            sentences.push(format!("there is no `{}` ({})", layer.name, note(&layer.op)));
        }
    }
    for (index, layer) in net.layers().iter().enumerate() {
        let Some(theirs) = find(other.layers(), &layer.name) else {
            sentences.push(format!("`{}` ({}) is added {}", layer.name, note(&layer.op), after(net.layers(), index)));
            continue;
        };
        if !kept.contains(&index) {
            let (here, there) = (after(net.layers(), index), after(other.layers(), theirs));
            sentences.push(format!("`{}` stands {here} instead of {there}", layer.name));
        }
        let pairs = structure(&layer.op).into_iter().zip(structure(&other.layers()[theirs].op));
        let changed = pairs.filter(|((_, mine), (_, theirs))| mine != theirs);
        sentences
            .extend(changed.map(|((what, mine), (_, theirs))| format!("`{}`: {what} {mine} instead of {theirs}", layer.name)));
    }
    sentences
}

/// In what the parameters of `net` begin or learn otherwise than those of the same names in `other`: a sentence for each
/// difference, with all parameters that have it.
pub fn learning_differences(net: &Net, other: &Net) -> Vec<String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for mine in net.params() {
        let Some(theirs) = other.params().iter().find(|param| param.name == mine.name) else { continue };
        for ((what, mine_is), (_, theirs_is)) in learning(&mine.learn).into_iter().zip(learning(&theirs.learn)) {
            if mine_is == theirs_is {
                continue;
            }
            let (text, name) = (format!("{what} {mine_is} instead of {theirs_is}"), format!("`{}`", mine.name));
            match found.iter_mut().find(|(known, _)| *known == text) {
                Some((_, names)) => names.push(name),
                None => found.push((text, vec![name])),
            }
        }
    }
    found.into_iter().map(|(text, names)| format!("{}: {text}", names.join(", "))).collect()
}

/// Positions in `a` of a longest sequence of layers that stand in both lists, by name, in the same order.
fn longest_common(a: &[Layer], b: &[Layer]) -> Vec<usize> {
    // lengths[i][j]: the longest of a[i..] and b[j..].
    let mut lengths = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] = match a[i].name == b[j].name {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut kept) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i].name == b[j].name {
            kept.push(i);
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    kept
}

/// Everything about an op but how its parameters begin and learn: the same questions in the same order for every op.
fn structure(op: &Op) -> [(&'static str, String); 7] {
    let [kernel, stride, padding, groups] = geometry(op);
    let outputs = match op {
        Op::Conv(op) => op.k.to_string(),
        Op::Local(op) => op.k.to_string(),
        Op::Linear(op) => op.k.to_string(),
        _ => String::new(),
    };
    let ties = match op {
        Op::MaxPool(op) => format!("{:?}", op.ties).to_lowercase(),
        _ => String::new(),
    };
    [
        ("the op is", note(op)),
        ("outputs", outputs),
        ("kernel", kernel),
        ("stride", stride),
        ("padding", padding),
        ("groups", groups),
        ("the gradient of equal maxima goes to", ties),
    ]
}

fn learning(learn: &Learn) -> [(&'static str, String); 3] {
    let init = match learn.init {
        Init::Constant(value) => value.to_string(),
        Init::Gaussian(std) => format!("normal with standard deviation {std}"),
        Init::FanIn => "uniform within 1/√fan-in".into(),
        Init::Xavier => "uniform as of Glorot and Bengio".into(),
    };
    [("begins", init), ("rate", learn.rate.to_string()), ("decay", learn.decay.to_string())]
}

impl Net {
    /// Whether this net and another give the same probabilities for the same pixels and parameters: the same input and ops,
    /// whatever their layers are called, how parameters begin and learn, and what does nothing in testing. The number of
    /// classes may differ.
    pub fn tests_like(&self, other: &Net) -> bool {
        let ops = |net: &Net| net.layers().iter().filter_map(|layer| tested(&layer.op)).collect::<Vec<_>>();
        let other = match other.classes() == self.classes() {
            true => Ok(other.clone()),
            false => other.with_classes(self.classes()),
        };
        other.is_ok_and(|other| self.input() == other.input() && ops(self) == ops(&other))
    }
}

/// What an op does in testing, in one form for all that do the same; `None` where that is nothing.
fn tested(op: &Op) -> Option<[(&'static str, String); 7]> {
    match op {
        Op::Dropout(dropout) if dropout.scaling == crate::DropoutScaling::Train => None,
        op => {
            let mut structure = structure(op);
            structure[6].1.clear();
            Some(structure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Padding;

    fn preset(name: &str) -> Net {
        Net::preset(name).unwrap()
    }

    #[test]
    fn a_preset_is_itself() {
        for known in PRESETS {
            let variant = Variant::of(&preset(known.name));
            assert_eq!((variant.preset.as_str(), variant.differences.len()), (known.name, 0));
            assert_eq!(variant.from_paper.is_empty(), known.name == PAPER);
        }
    }

    #[test]
    fn differences_are_said() {
        let said = |a: &str, b: &str| differences(&preset(a), &preset(b));
        let caffenet = said("caffenet", "caffe");
        let expected = [1, 2].map(|i| format!("`pool{i}` stands behind `relu{i}` instead of behind `norm{i}`"));
        assert_eq!(caffenet, expected);
        let torchvision = said("torchvision", "alexnet");
        for line in [
            "there is no `norm1` (lrn k=2 a=0.0001 b=0.75)",
            "`conv1`: outputs 64 instead of 96",
            "`conv1`: padding 2 instead of 0,0,3,3",
            "`conv2`: groups 1 instead of 2",
        ] {
            assert!(torchvision.iter().any(|said| said == line), "{line}: {torchvision:?}");
        }
        let run = Variant::of(&preset("alexnet-2012")).from_paper;
        for line in [
            "`cnorm2` (lrn within k=1 a=4.000e-5 b=0.75) is added behind `norm2`",
            "`conv3.weight`, `conv4.weight`, `conv5.weight`: begins normal with standard deviation 0.03 instead of normal with standard deviation 0.01",
        ] {
            assert!(run.iter().any(|said| said == line), "{line}: {run:?}");
        }
    }

    #[test]
    fn nets_for_other_classes_or_with_one_change_are_near_their_preset() {
        let mine = preset("caffe").with_classes(20).unwrap();
        let variant = Variant::of(&mine);
        assert_eq!(
            (variant.preset.as_str(), &variant.differences[..]),
            ("caffe", &["`fc8`: outputs 20 instead of 1000".to_string()][..])
        );
        let mut layers = preset("torchvision").layers().to_vec();
        let Op::Conv(conv) = &mut layers[0].op else { unreachable!() };
        conv.padding = Padding::all(1);
        let mine = Net::new("mine", preset("torchvision").input(), layers).unwrap();
        let variant = Variant::of(&mine);
        assert_eq!(
            (variant.preset.as_str(), &variant.differences[..]),
            ("torchvision", &["`conv1`: padding 1 instead of 2".to_string()][..])
        );
    }

    #[test]
    fn what_tests_alike() {
        let caffe = preset("caffe");
        let mut layers: Vec<_> = caffe.layers().iter().filter(|layer| !matches!(layer.op, Op::Dropout(_))).cloned().collect();
        layers.iter_mut().enumerate().for_each(|(i, layer)| layer.name = format!("l{i}"));
        let stripped = Net::new("x", caffe.input(), layers).unwrap().with_classes(7).unwrap();
        assert!(stripped.tests_like(&caffe) && caffe.tests_like(&stripped));
        assert!(!stripped.tests_like(&preset("caffenet")) && !preset("alexnet").tests_like(&preset("alexnet-2012")));
        // Which maxima receive a gradient is of no meaning in testing; a normalisation's factor is, however it is written.
        assert!(!preset("alexnet").tests_like(&caffe));
    }
}
