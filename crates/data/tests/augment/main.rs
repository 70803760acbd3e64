//! Augmentations against torchvision, against their definitions, and in the loader.

#[path = "../case/mod.rs"]
mod case;
mod colours;
mod crops;
mod erased;
mod loading;
mod mixtures;
mod operations;
#[path = "../pictures/mod.rs"]
mod pictures;
mod statistics;

use safetensors::SafeTensors;

/// The tensors of `golden/augment` whose names begin with `kind/`, with the rest of each name; there are `count`.
fn each(kind: &str, count: usize, mut visit: impl FnMut(&SafeTensors, &str, &str)) {
    let bytes = case::bytes("augment");
    let golden = SafeTensors::deserialize(&bytes).expect("a golden");
    let names = golden.names();
    let mut of_kind: Vec<&str> = names.into_iter().filter(|name| name.split('/').next() == Some(kind)).collect();
    of_kind.sort_unstable();
    assert_eq!(of_kind.len(), count, "goldens of {kind}");
    for name in of_kind {
        visit(&golden, name, &name[kind.len() + 1..]);
    }
}

/// A tensor of whole numbers, row by row.
fn rows<const N: usize>(golden: &SafeTensors, name: &str) -> Vec<[i64; N]> {
    let tensor = golden.tensor(name).expect("listed");
    let numbers: Vec<i64> = tensor.data().as_chunks().0.iter().map(|&eight| i64::from_le_bytes(eight)).collect();
    assert!(tensor.dtype() == safetensors::Dtype::I64 && tensor.shape().last() == Some(&N), "{name}");
    numbers.as_chunks().0.to_vec()
}

/// The numbers of a name's part, as `1.5,2`.
fn numbers<const N: usize>(text: &str) -> [f64; N] {
    let numbers: Vec<f64> = text.split(',').map(|number| number.parse().expect("a number")).collect();
    numbers.try_into().unwrap_or_else(|_| panic!("{N} numbers in `{text}`"))
}
