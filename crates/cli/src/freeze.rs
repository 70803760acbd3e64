//! `--freeze LAYER…`: layers that do not learn, by name or from one to another.

use net::Net;

use crate::failure::{Failure, Result};

/// The layers with parameters that `asked` means, in the net's order: each entry is a layer, or `A..B` for all from A to B, both
/// included, where a missing end is the net's.
pub(crate) fn layers(asked: &[String], net: &Net) -> Result<Vec<String>> {
    let mut frozen = vec![false; net.layers().len()];
    for entry in asked {
        let (first, last) = range(entry, net)?;
        let mut any = false;
        for index in (first..=last).filter(|index| net.params_of(*index).is_some()) {
            (frozen[index], any) = (true, true);
        }
        if !any {
            return Err(fault(format!("nothing in `{entry}` has parameters that could be frozen"), net));
        }
    }
    let with = (0..frozen.len()).filter(|index| net.params_of(*index).is_some());
    if with.clone().all(|index| frozen[index]) && !asked.is_empty() {
        return Err(fault("every layer is frozen, and nothing is left to learn".into(), net));
    }
    Ok(with.filter(|index| frozen[*index]).map(|index| net.layers()[index].name.clone()).collect())
}

/// The first and the last layer of an entry.
fn range(entry: &str, net: &Net) -> Result<(usize, usize)> {
    let find =
        |name: &str| net.layer_index(name).ok_or_else(|| fault(format!("net `{}` has no layer `{name}`", net.name()), net));
    // A layer's own name may have dots in it.
    if let Some(index) = net.layer_index(entry) {
        return Ok((index, index));
    }
    let Some((first, last)) = entry.split_once("..") else { return find(entry).map(|index| (index, index)) };
    let first = if first.is_empty() { 0 } else { find(first)? };
    let last = if last.is_empty() { net.layers().len() - 1 } else { find(last)? };
    if first > last {
        return Err(fault(format!("`{entry}` ends before it begins"), net));
    }
    Ok((first, last))
}

fn fault(message: String, net: &Net) -> Failure {
    let with = (0..net.layers().len()).filter(|index| net.params_of(*index).is_some());
    let names: Vec<_> = with.map(|index| net.layers()[index].name.as_str()).collect();
    Failure::usage(
        format!("--freeze: {message}"),
        format!("the layers that learn are {}; `A..B` means those from A to B, `..B` all up to B", names.join(", ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(asked: &[&str]) -> Result<String> {
        let asked: Vec<String> = asked.iter().map(|entry| entry.to_string()).collect();
        Ok(layers(&asked, &Net::preset("alexnet").unwrap())?.join(" "))
    }

    #[test]
    fn names_and_ranges_mean_layers() {
        assert_eq!(of(&[]).unwrap(), "");
        assert_eq!(of(&["fc6", "conv1"]).unwrap(), "conv1 fc6");
        assert_eq!(of(&["conv1..conv5"]).unwrap(), "conv1 conv2 conv3 conv4 conv5");
        assert_eq!(of(&["..pool2", "conv2..conv3"]).unwrap(), "conv1 conv2 conv3");
        assert_eq!(of(&["..fc7"]).unwrap(), "conv1 conv2 conv3 conv4 conv5 fc6 fc7");
        assert_eq!(of(&["fc7.."]).unwrap(), "fc7 fc8");
    }

    #[test]
    fn what_is_no_layer_is_named_with_those_that_are() {
        for (asked, said) in [
            ("conv9", "net `alexnet` has no layer `conv9`"),
            ("conv1..conv9", "net `alexnet` has no layer `conv9`"),
            ("conv2..conv1", "`conv2..conv1` ends before it begins"),
            ("relu1", "nothing in `relu1` has parameters that could be frozen"),
            ("relu1..pool1", "nothing in `relu1..pool1` has parameters"),
            ("..", "every layer is frozen"),
            ("", "has no layer ``"),
        ] {
            let text = of(&[asked]).unwrap_err().to_string();
            assert!(text.contains(said) && text.contains("hint: the layers that learn are conv1, conv2, "), "{asked}: {text}");
        }
    }
}
