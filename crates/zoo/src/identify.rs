//! Which preset a list of ops, or a list of parameter shapes, belongs to.

use std::collections::BTreeSet;

use net::{Init, Layer, Learn, Net, Op, PRESETS, Shape};
use weights::shown;

use crate::{Error, Result};

/// How the parameters of a net that no preset matches would begin and learn: as in the paper.
pub(crate) const LEARN: (Learn, Learn) =
    (Learn { init: Init::Gaussian(0.01), rate: 1.0, decay: 1.0 }, Learn { init: Init::Constant(0.0), rate: 2.0, decay: 0.0 });

/// The net of these ops in this order, as a foreign file describes them; how parameters begin and learn is not read, so give
/// [`LEARN`]. Where a preset gives the same probabilities, it is that preset, with its names, dropout and ways to learn, and with
/// as many classes as the ops have; of several such presets, `preferred` if it is one of them. Else its layers are named by
/// their places, and the net is called `imported`. In either case the ops with parameters are the same in the same order.
///
/// # Errors
/// Where the ops do not fit each other.
pub(crate) fn by_ops(input: Shape, ops: Vec<Op>, preferred: Option<&str>) -> Result<Net> {
    let net = unnamed(input, ops)?;
    let alike: Vec<Net> = presets().filter(|preset| preset.tests_like(&net)).collect();
    let chosen = alike.iter().find(|preset| Some(preset.name()) == preferred).or(alike.first());
    match chosen {
        Some(preset) if preset.classes() == net.classes() => Ok(preset.clone()),
        Some(preset) => Ok(preset.with_classes(net.classes())?),
        None => Ok(net),
    }
}

/// The net of these ops, called `imported` whatever it is, its layers named by their places.
///
/// # Errors
/// As [`by_ops`].
pub(crate) fn unnamed(input: Shape, ops: Vec<Op>) -> Result<Net> {
    Ok(Net::new("imported", input, named(ops))?)
}

/// The presets whose parameters have these shapes in this order, with as many classes as the last shape says.
pub(crate) fn by_shapes(shapes: &[Vec<usize>]) -> Vec<Net> {
    let Some(&classes) = shapes.last().and_then(|shape| shape.first()) else { return Vec::new() };
    let sized = |preset: Net| if preset.classes() == classes { Some(preset) } else { preset.with_classes(classes).ok() };
    let fits = |net: &Net| {
        net.params().len() == shapes.len() && net.params().iter().zip(shapes).all(|(param, shape)| param.shape == *shape)
    };
    presets().filter_map(sized).filter(fits).collect()
}

/// Every preset.
pub(crate) fn presets() -> impl Iterator<Item = Net> {
    PRESETS.iter().filter_map(|preset| Net::preset(preset.name).ok())
}

/// The one of `candidates` that the user named, else the first of `usual` that is among them, else the only one.
///
/// # Errors
/// Where there is none, or several and nothing to choose by; `path` is named.
pub(crate) fn choose(path: &std::path::Path, candidates: Vec<Net>, named: Option<&str>, usual: &[&str]) -> Result<Net> {
    let find = |name: &str| candidates.iter().find(|net| net.name() == name).cloned();
    if let Some(name) = named {
        // Says so where there is no such preset at all.
        Net::preset(name)?;
        let message = || match candidates.is_empty() {
            true => format!("`{}` has not the parameters of `{name}`, nor of any other preset", path.display()),
            false => format!("`{}` has the parameters of {}, not of `{name}`", path.display(), names(&candidates)),
        };
        return find(name).ok_or_else(|| Error::Given { option: "--preset", message: message() });
    }
    if let Some(net) = usual.iter().find_map(|name| find(name)) {
        return Ok(net);
    }
    match &candidates[..] {
        [only] => Ok(only.clone()),
        _ => Err(Error::Ambiguous { path: path.into(), candidates: names(&candidates) }),
    }
}

fn names(nets: &[Net]) -> String {
    nets.iter().map(|net| format!("`{}`", net.name())).collect::<Vec<_>>().join(" or ")
}

/// What keeps tensors of these names and shapes from being those of the nearest preset: a line for each that is missing,
/// misshapen or superfluous. `ours` gives our name for a tensor's own, where there is one; of presets equally near, the first of
/// `usual` is taken.
pub(crate) fn mismatches(tensors: &[(String, Vec<usize>)], ours: impl Fn(&str) -> Option<String>, usual: &[&str]) -> String {
    let given: Vec<_> = tensors.iter().map(|(name, shape)| (ours(name).unwrap_or_else(|| name.clone()), name, shape)).collect();
    // As many axes are shown.
    let few = |shape: &[usize]| shape.iter().copied().take(8).collect::<Vec<_>>();
    let lines = |net: &Net| {
        let mut lines = Vec::new();
        for param in net.params() {
            match given.iter().find(|(name, ..)| *name == param.name) {
                Some((_, own, shape)) if **shape != param.shape => {
                    lines.push(format!("`{}` has shape {:?}, expected {:?}", shown(own), few(shape), param.shape));
                }
                Some(_) => {}
                None => lines.push(format!("`{}` {:?} is missing", param.name, param.shape)),
            }
        }
        let extra = given.iter().filter(|(name, ..)| !net.params().iter().any(|param| param.name == *name));
        lines.extend(extra.map(|(_, own, shape)| format!("`{}` {:?} is not among them", shown(own), few(shape))));
        lines
    };
    let rank = |net: &Net| usual.iter().position(|name| *name == net.name()).unwrap_or(usual.len());
    let nearest = presets().map(|net| (lines(&net), net)).min_by_key(|(lines, net)| (lines.len(), rank(net)));
    let Some((mut lines, net)) = nearest else { return String::new() };
    let known: BTreeSet<String> = presets().flat_map(|net| net.params().to_vec()).map(|param| param.name).collect();
    let mut first = format!("of the presets, `{}` is the nearest, but", net.name());
    if !given.iter().any(|(name, ..)| known.contains(name)) {
        first = "no preset has a parameter of any of its tensors' names:".into();
        lines = tensors.iter().map(|(name, shape)| format!("`{}` {:?}", shown(name), few(shape))).collect();
    }
    const MOST: usize = 16;
    let left = lines.len().saturating_sub(MOST);
    lines.truncate(MOST);
    lines.extend((left > 0).then(|| format!("and {left} more")));
    // Indented, a line is one of a list.
    format!("{first}\n  {}", lines.join("\n  "))
}

/// Layers named by their places: `conv1`, `relu1`, `norm1`, `pool1`, … `fc6`; a second op of a kind in the same place gets a letter.
fn named(ops: Vec<Op>) -> Vec<Layer> {
    let (mut place, mut dropouts, mut layers) = (0, 0, Vec::<Layer>::new());
    for op in ops {
        let name = match &op {
            Op::Conv(_) => "conv",
            Op::Local(_) => "local",
            Op::Linear(_) => "fc",
            Op::Relu => "relu",
            Op::Tanh => "tanh",
            Op::Lrn(_) => "norm",
            Op::LrnWithin(_) => "cnorm",
            Op::MaxPool(_) | Op::AvgPool(_) => "pool",
            Op::Dropout(_) => "drop",
            _ => "prob",
        };
        place += usize::from(op.learn().is_some());
        dropouts += usize::from(name == "drop");
        let number = if name == "drop" { format!("_{dropouts}") } else { place.to_string() };
        let name = if name == "prob" { name.to_string() } else { format!("{name}{number}") };
        let taken = |name: &str, layers: &[Layer]| layers.iter().any(|layer| layer.name == name);
        let free = ('b'..='z').map(|letter| format!("{name}{letter}")).find(|longer| !taken(longer, &layers));
        let name = if taken(&name, &layers) { free.unwrap_or(name) } else { name };
        layers.push(Layer { name, op });
    }
    layers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_known_by_their_ops_whatever_their_parameters_learn_by() {
        for known in presets() {
            let mut ops: Vec<Op> = known.layers().iter().map(|layer| layer.op.clone()).collect();
            for op in &mut ops {
                match op {
                    Op::Conv(op) => (op.weight, op.bias) = LEARN,
                    Op::Local(op) => (op.weight, op.bias) = LEARN,
                    Op::Linear(op) => (op.weight, op.bias) = LEARN,
                    _ => {}
                }
            }
            assert_eq!(by_ops(known.input(), ops, Some(known.name())).unwrap(), known);
        }
    }

    #[test]
    fn unknown_nets_are_named_by_their_places() {
        let mut ops: Vec<Op> = Net::preset("caffe").unwrap().layers().iter().map(|layer| layer.op.clone()).collect();
        ops.remove(1);
        ops.insert(2, Op::Tanh);
        ops.insert(3, Op::Tanh);
        let net = by_ops(Net::preset("caffe").unwrap().input(), ops, None).unwrap();
        let names: Vec<_> = net.layers().iter().map(|layer| layer.name.as_str()).take(6).collect();
        assert_eq!((net.name(), &names[..]), ("imported", &["conv1", "norm1", "tanh1", "tanh1b", "pool1", "conv2"][..]));
        assert!(net.layers().iter().any(|layer| layer.name == "fc8"));
    }

    #[test]
    fn shapes_name_candidates() {
        let shapes = |name: &str| Net::preset(name).unwrap().params().iter().map(|p| p.shape.clone()).collect::<Vec<_>>();
        let names = |nets: Vec<Net>| nets.iter().map(|net| net.name().to_string()).collect::<Vec<_>>();
        assert_eq!(names(by_shapes(&shapes("torchvision"))), ["owt", "torchvision"]);
        assert_eq!(names(by_shapes(&shapes("caffe"))), ["alexnet", "alexnet-2012", "caffe", "caffenet", "onnx-bvlc"]);
        let mut ten = shapes("torchvision");
        let last = ten.len();
        (ten[last - 2][0], ten[last - 1][0]) = (10, 10);
        assert_eq!(by_shapes(&ten)[0].classes(), 10);
        ten[0][1] = 4;
        assert!(by_shapes(&ten).is_empty() && by_shapes(&[]).is_empty());
    }

    #[test]
    fn what_is_missing_is_said() {
        let net = Net::preset("torchvision").unwrap();
        let mut tensors: Vec<_> = net.params().iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        tensors.remove(3);
        tensors[0].1[1] = 1;
        tensors.push(("extra".into(), vec![3]));
        tensors.push(("two\nlines\u{1b}[2J".into(), vec![3; 10]));
        let said = mismatches(&tensors, |_| None, &["torchvision"]);
        assert_eq!(
            said,
            "of the presets, `torchvision` is the nearest, but
  `conv1.weight` has shape [64, 1, 11, 11], expected [64, 3, 11, 11]
  `conv2.bias` [192] is missing
  `extra` [3] is not among them
  `two\\nlines\\u{1b}[2J` [3, 3, 3, 3, 3, 3, 3, 3] is not among them"
        );
        let strange: Vec<_> = (0..18).map(|i| (format!("model.{i}"), vec![i])).collect();
        let said = mismatches(&strange, |_| None, &[]);
        assert!(said.starts_with("no preset has a parameter of any of its tensors' names:\n  `model.0` [0]\n"), "{said}");
        assert!(said.ends_with("  `model.15` [15]\n  and 2 more"), "{said}");
    }
}
