//! Whole nets, layer by layer, with every intermediate value kept.

use std::collections::VecDeque;
use std::fmt::Write;

use net::{
    Batch, Bucket, BucketValues, Error, Executor, Hyper, Kind, Mode, Net, ParamSet, Result, StepInfo, StepLoss, Targets, Tensor,
};

use crate::layer::{self, Params, Pass};
use crate::{softmax, update};

/// A net in f64: weights, momenta, gradients and every activation of the last pass.
#[derive(Debug, Clone)]
pub struct Reference {
    net: Net,
    capacity: usize,
    mode: Mode,
    /// In the order of [`Net::params`], like the next two, which are empty in [`Mode::Infer`].
    weights: Vec<Vec<f64>>,
    momenta: Vec<Vec<f64>>,
    gradients: Vec<Vec<f64>>,
    /// Input of the last pass, then the output of every layer, each `[n, k, p, q]`.
    values: Vec<Vec<f64>>,
    /// Gradient by the input of the last backward pass, `[n, c, h, w]`.
    input_gradient: Option<Vec<f64>>,
    probabilities: Vec<f32>,
    losses: VecDeque<StepLoss>,
}

/// A reference executor for batches of up to `batch` images. All parameters are 0 until they are loaded.
pub fn prepare(net: &Net, batch: usize, mode: Mode) -> Reference {
    let zeros = || net.params().iter().map(|p| vec![0.0; p.len()]).collect::<Vec<_>>();
    let train = mode == Mode::Train;
    Reference {
        net: net.clone(),
        capacity: batch,
        mode,
        weights: zeros(),
        momenta: if train { zeros() } else { Vec::new() },
        gradients: if train { zeros() } else { Vec::new() },
        values: Vec::new(),
        input_gradient: None,
        probabilities: Vec::new(),
        losses: VecDeque::new(),
    }
}

/// What every executor must refuse: a batch that is empty, larger than `capacity`, of another shape than the net's, or,
/// where `labelled`, with a label that is no class or a share that is none.
///
/// # Errors
/// [`Error::Batch`], saying what was expected and what came.
pub fn check_batch(net: &Net, capacity: usize, batch: &Batch, labelled: bool) -> Result<()> {
    let fault = |message: String| Err(Error::Batch(message));
    if batch.n == 0 {
        return fault("there is no image in it".into());
    }
    if batch.n > capacity {
        return fault(format!("{} images given, prepared for at most {capacity}", batch.n));
    }
    let slots = batch.labels.len();
    let net::Pixels::F32(pixels) = &batch.pixels else { return fault("pixels are not f32".into()) };
    if slots < batch.n || pixels.len() != slots * net.input().len() {
        return fault(format!(
            "{} pixel values in {slots} slots, an image {} has {}",
            pixels.len(),
            net.input(),
            net.input().len()
        ));
    }
    if labelled { batch.check_targets(net.classes()) } else { Ok(()) }
}

impl Reference {
    /// Parameter `index` of [`Net::params`].
    pub fn weight(&self, index: usize) -> &[f64] {
        &self.weights[index]
    }

    /// Parameter `index` of [`Net::params`], for changing.
    pub fn weight_mut(&mut self, index: usize) -> &mut [f64] {
        &mut self.weights[index]
    }

    /// The gradient of parameter `index`, by the last backward pass.
    pub fn gradient(&self, index: usize) -> &[f64] {
        &self.gradients[index]
    }

    /// The input of layer `index` in the last pass, `[n, c, h, w]`.
    pub fn input_of(&self, index: usize) -> &[f64] {
        &self.values[index]
    }

    /// The output of layer `index` in the last pass, `[n, k, p, q]`.
    pub fn output_of(&self, index: usize) -> &[f64] {
        &self.values[index + 1]
    }

    /// The gradient by the pixels of the last backward pass, `[n, c, h, w]`.
    pub fn pixel_gradient(&self) -> Option<&[f64]> {
        self.input_gradient.as_deref()
    }

    /// Runs the net on `pixels`, `[n, c, h, w]`, and keeps every layer's output.
    pub fn run(&mut self, pixels: Vec<f64>, pass: Pass) {
        self.values = vec![pixels];
        for index in 0..self.net.layers().len() {
            let output = layer::forward(&self.net, index, self.params_of(index), pass, &self.values[index]);
            self.values.push(output);
        }
    }

    /// Sum of [`softmax::cross_entropy`] over the images of the last pass.
    pub fn nll_sum(&self, targets: Targets<'_>) -> f64 {
        let logits = &self.values[self.net.layers().len() - 1];
        logits.chunks_exact(self.net.classes()).zip(targets.iter()).map(|(x, target)| softmax::cross_entropy(x, target)).sum()
    }

    /// Gradients of the step's mean loss by every parameter and pixel, after [`Reference::run`] of the same pass.
    pub fn run_backward(&mut self, targets: Targets<'_>, info: StepInfo) {
        if info.first_image == 0 {
            self.gradients.iter_mut().for_each(|g| g.fill(0.0));
        }
        let last = self.net.layers().len() - 1;
        let mut dy = layer::backward_loss(&self.values[last + 1], targets, info.step_images);
        for index in (0..last).rev() {
            let x = &self.values[index];
            let mut weight: &[f64] = &[];
            if let Some((w, b)) = self.net.params_of(index) {
                let [dw, db] = self.gradients.get_disjoint_mut([w, b]).expect("weight and bias are two parameters");
                layer::backward_params(&self.net, index, x, &dy, dw, db);
                weight = &self.weights[w];
            }
            dy = layer::backward_input(&self.net, index, weight, Pass::Train(info), x, &dy);
        }
        self.input_gradient = Some(dy);
    }

    fn params_of(&self, index: usize) -> Params<'_> {
        self.net.params_of(index).map_or(Params::default(), |(w, b)| Params { weight: &self.weights[w], bias: &self.weights[b] })
    }

    fn held(&mut self, kind: Kind) -> Result<&mut Vec<Vec<f64>>> {
        if self.mode == Mode::Infer && kind != Kind::Weights {
            return Err(fault(format!("prepared for inference, so there are no {kind:?}").to_lowercase()));
        }
        Ok(match kind {
            Kind::Weights => &mut self.weights,
            Kind::Momentum => &mut self.momenta,
            Kind::Gradients => &mut self.gradients,
        })
    }
}

fn fault(message: String) -> Error {
    Error::Engine { engine: "reference", message }
}

fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&x| x as f32).collect()
}

impl Executor for Reference {
    fn engine(&self) -> &'static str {
        "reference"
    }

    fn net(&self) -> &Net {
        &self.net
    }

    fn capacity(&self) -> usize {
        self.capacity
    }

    fn load(&mut self, kind: Kind, values: &ParamSet) -> Result<()> {
        values.check(&self.net)?;
        let in_order: Vec<Vec<f64>> =
            self.net.params().iter().filter_map(|p| values.get(&p.name)).map(|tensor| to_f64(&tensor.data)).collect();
        *self.held(kind)? = in_order;
        Ok(())
    }

    fn save(&mut self, kind: Kind) -> Result<ParamSet> {
        let held: Vec<Vec<f32>> = self.held(kind)?.iter().map(|values| to_f32(values)).collect();
        let named = self.net.params().iter().zip(held);
        Ok(ParamSet::new(named.map(|(p, data)| (p.name.clone(), Tensor { shape: p.shape.clone(), data })).collect()))
    }

    fn forward_backward(&mut self, batch: &Batch, info: StepInfo) -> Result<()> {
        if self.mode == Mode::Infer {
            return Err(fault("prepared for inference, so there is no backward pass".into()));
        }
        check_batch(&self.net, self.capacity, batch, true)?;
        let targets = batch.targets();
        self.run(to_f64(batch.f32()), Pass::Train(info));
        self.run_backward(targets, info);
        let p = &self.values[self.net.layers().len()];
        let images = p.chunks_exact(self.net.classes()).zip(targets.iter());
        let right = images.filter(|(p, target)| softmax::top1(p) == target.main()).count();
        let nll_sum = self.nll_sum(targets);
        self.losses.push_back(StepLoss { step: info.step, images: batch.n as u32, nll_sum, top1: right as u32 });
        Ok(())
    }

    fn take_loss(&mut self, _wait: bool) -> Result<Option<StepLoss>> {
        Ok(self.losses.pop_front())
    }

    fn each_bucket(&mut self, visit: &mut dyn FnMut(Bucket<'_>) -> Result<()>) -> Result<()> {
        for (index, gradient) in self.held(Kind::Gradients)?.iter_mut().rev().enumerate() {
            let mut values = to_f32(gradient);
            visit(Bucket { index, values: BucketValues::Host(&mut values) })?;
            // Only what the visitor changed, so that looking does not round.
            for (g, value) in gradient.iter_mut().zip(values) {
                if (*g as f32).to_bits() != value.to_bits() {
                    *g = f64::from(value);
                }
            }
        }
        Ok(())
    }

    fn apply(&mut self, hyper: &Hyper) -> Result<()> {
        if self.mode == Mode::Infer {
            return Err(fault("prepared for inference, so there is nothing to update".into()));
        }
        if hyper.params.len() != self.weights.len() {
            return Err(fault(format!("{} rates for {} parameters", hyper.params.len(), self.weights.len())));
        }
        for (index, &params) in hyper.params.iter().enumerate() {
            let (g, v, w) = (&self.gradients[index], &mut self.momenta[index], &mut self.weights[index]);
            update::update(hyper.form, hyper.momentum, params, g, v, w);
        }
        Ok(())
    }

    fn forward(&mut self, batch: &Batch) -> Result<&[f32]> {
        check_batch(&self.net, self.capacity, batch, false)?;
        self.run(to_f64(batch.f32()), Pass::Test);
        self.probabilities = to_f32(&self.values[self.net.layers().len()]);
        Ok(&self.probabilities)
    }

    fn activation(&mut self, layer: &str) -> Result<Tensor> {
        let index = self.net.layer_index(layer).ok_or_else(|| fault(format!("there is no layer `{layer}`")))?;
        let values = self.values.get(index + 1).ok_or_else(|| fault("no pass has run yet".into()))?;
        let shape = self.net.output_of(index);
        Ok(Tensor { shape: vec![values.len() / shape.len(), shape.c, shape.h, shape.w], data: to_f32(values) })
    }

    fn input_gradient(&mut self) -> Result<Tensor> {
        let values = self.input_gradient.as_ref().ok_or_else(|| fault("no backward pass has run yet".into()))?;
        let shape = self.net.input();
        Ok(Tensor { shape: vec![values.len() / shape.len(), shape.c, shape.h, shape.w], data: to_f32(values) })
    }

    fn plan(&self) -> String {
        let mut plan = String::from("layer  algorithm  why\n");
        for layer in self.net.layers() {
            // Writing to a string cannot fail.
            let _ = writeln!(plan, "{}  {} in f64  as the formula reads", layer.name, layer.op.kind());
        }
        plan
    }
}
