//! Trained weights as the beginning of another training: which layers keep theirs, and which begin anew.

use std::sync::Arc;

use net::{Net, Role, SharedTensor};

use crate::initial::initial_some;
use crate::{Error, Result};

/// A trained net.
#[derive(Debug, Clone, Copy)]
pub struct Trained<'a> {
    /// The net.
    pub net: &'a Net,
    /// Its parameters.
    pub weights: &'a [(String, SharedTensor)],
    /// Class names; the position is the label.
    pub classes: &'a [String],
}

/// What became of the layer that tells classes apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// It is as it was: the classes are the same in the same order.
    Kept,
    /// The classes are the same in another order, and so are its outputs now.
    Reordered,
    /// It begins with initial values: the classes, or its shapes, are others.
    New,
}

/// The first weights of a training.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The parameters of the net to be trained, in its order.
    pub weights: Vec<(String, SharedTensor)>,
    /// What became of the last layer.
    pub head: Head,
    /// Layers that begin with initial values, in the net's order; the last one is among them where it is new.
    pub new: Vec<String>,
    /// How many layers have trained values.
    pub kept: usize,
}

/// The last layer of `net` that has parameters: the one that tells classes apart.
pub fn head_of(net: &Net) -> Option<&str> {
    net.params().last().map(|param| net.layers()[param.layer].name.as_str())
}

/// First weights for training `net` on `classes`: those of the trained layers of the same name and the same shapes of weight and
/// bias, else initial values, which are those of a training without any trained weights, from the same `seed`. The last layer's
/// are kept only where the classes are the same by name; where their order differs, its outputs are put into that of `classes`.
/// `threads` changes no bit.
///
/// # Errors
/// [`Error::NothingFits`] where no layer could keep its weights.
pub fn transfer(trained: &Trained<'_>, net: &Net, classes: &[String], seed: u64, threads: usize) -> Result<Transfer> {
    let mut head = Head::New;
    let mut new = Vec::new();
    let mut found: Vec<Vec<SharedTensor>> = Vec::new();
    let layers: Vec<_> = net.params().iter().filter(|param| param.role == Role::Weight).map(|param| param.layer).collect();
    for &index in &layers {
        let name = net.layers()[index].name.as_str();
        let mut own = of_layer(trained, net, index);
        if Some(name) == head_of(net) {
            let order = if head_of(trained.net) == Some(name) { order(trained.classes, classes) } else { None };
            (own, head) = match (own, order) {
                (Some(own), Some(order)) if order.iter().enumerate().all(|(to, from)| to == *from) => (Some(own), Head::Kept),
                (Some(own), Some(order)) => match own.iter().map(|tensor| reordered(tensor, &order)).collect() {
                    Some(own) => (Some(own), Head::Reordered),
                    None => (None, Head::New),
                },
                _ => (None, Head::New),
            };
        }
        match own {
            Some(own) => found.push(own),
            None => new.push(name.to_string()),
        }
    }
    if found.is_empty() {
        return Err(Error::NothingFits { net: net.name().into(), trained: trained.net.name().into() });
    }
    let is_new = |layer: usize| new.contains(&net.layers()[layer].name);
    let initial = initial_some(net, seed, threads, |param| is_new(param.layer));
    let shared = |tensor: net::Tensor| SharedTensor { shape: tensor.shape, values: Arc::new(tensor.data) };
    let kept = found.len();
    let (mut initial, mut found) = (initial.into_iter().map(|(_, tensor)| shared(tensor)), found.into_iter().flatten());
    let weights = net.params().iter().filter_map(|param| {
        let tensor = if is_new(param.layer) { initial.next() } else { found.next() };
        Some((param.name.clone(), tensor?))
    });
    Ok(Transfer { weights: weights.collect(), head, new, kept })
}

/// The trained parameters for layer `index` of `net`, if all of them are there in its shapes.
fn of_layer(trained: &Trained<'_>, net: &Net, index: usize) -> Option<Vec<SharedTensor>> {
    let params = net.params().iter().filter(|param| param.layer == index);
    let find = |param: &net::ParamInfo| {
        let named = trained.weights.iter().find(|(name, _)| *name == param.name);
        named
            .map(|(_, tensor)| tensor)
            .filter(|tensor| tensor.shape == param.shape && tensor.data().len() == param.len())
            .cloned()
    };
    params.map(find).collect()
}

/// For each of `classes`, its position in `trained`, where both hold the same names and each once.
fn order(trained: &[String], classes: &[String]) -> Option<Vec<usize>> {
    if trained == classes {
        return Some((0..classes.len()).collect());
    }
    let positions: Option<Vec<usize>> = classes.iter().map(|class| trained.iter().position(|known| known == class)).collect();
    let positions = positions.filter(|positions| positions.len() == trained.len())?;
    let mut sorted = positions.clone();
    sorted.sort_unstable();
    sorted.iter().enumerate().all(|(i, position)| i == *position).then_some(positions)
}

/// The tensor with slice `order[i]` of its first axis at place `i`; `None` where that axis has another length.
fn reordered(tensor: &SharedTensor, order: &[usize]) -> Option<SharedTensor> {
    if tensor.shape.first() != Some(&order.len()) || order.is_empty() {
        return None;
    }
    let data = tensor.data();
    let row = data.len() / order.len();
    let values: Vec<f32> = order.iter().flat_map(|from| &data[from * row..][..row]).copied().collect();
    Some(SharedTensor { shape: tensor.shape.clone(), values: Arc::new(values) })
}
