//! The oracle follows an engine through a pass: each layer from the engine's own input to it.

use net::{Batch, Executor, Kind, Net, ParamSet, StepInfo, Targets};
use reference::{Pass, softmax};

use crate::bound::{self, Bounded, LayerTiles, Propagation, Weights};
use crate::compare::{What, compare};
use crate::report::{Fault, Findings};

/// The weight and bias of layer `index`.
fn weights_of<'a>(net: &Net, params: &'a ParamSet, index: usize) -> Weights<'a> {
    let tensor = |i: usize| params.get(&net.params()[i].name).map_or(&[][..], |tensor| &tensor.data);
    net.params_of(index).map_or(Weights::default(), |(w, b)| Weights { weight: tensor(w), bias: tensor(b) })
}

pub(crate) fn to_f64(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&x| f64::from(x)).collect()
}

/// The engine's input to every layer and, last, its probabilities; each checked for its shape.
pub(crate) fn activations(exec: &mut dyn Executor, batch: &Batch) -> Result<Vec<Vec<f32>>, Fault> {
    let net = exec.net().clone();
    let mut all = vec![batch.f32().to_vec()];
    for (index, layer) in net.layers().iter().enumerate() {
        let tensor = exec.activation(&layer.name)?;
        let shape = net.output_of(index);
        let expected = [batch.n, shape.c, shape.h, shape.w];
        if tensor.shape != expected || tensor.data.len() != batch.n * shape.len() {
            let (name, got) = (&layer.name, &tensor.shape);
            return Err(Fault::Contract(format!("activation of {name} has shape {got:?}, expected {expected:?}")));
        }
        all.push(tensor.data);
    }
    Ok(all)
}

/// A pass to be checked.
pub(crate) struct Check<'a> {
    pub(crate) net: &'a Net,
    pub(crate) params: &'a ParamSet,
    pub(crate) how: Propagation,
    /// Of each layer.
    pub(crate) tiles: Vec<LayerTiles>,
}

impl Check<'_> {
    /// Runs `forward` and compares every layer's output, and the probabilities that it returns.
    pub(crate) fn forward(&self, exec: &mut dyn Executor, batch: &Batch, findings: &mut Findings) -> Result<(), Fault> {
        let probabilities = exec.forward(batch)?.to_vec();
        let values = activations(exec, batch)?;
        self.outputs(Pass::Test, &values, findings);
        findings.expect(values.last() == Some(&probabilities), || "forward returns other values than its last layer's".into());
        Ok(())
    }

    /// Runs `forward_backward` and compares every layer's output, the loss and every gradient.
    pub(crate) fn training(
        &self,
        exec: &mut dyn Executor,
        batch: &Batch,
        info: StepInfo,
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        exec.forward_backward(batch, info)?;
        let values = activations(exec, batch)?;
        self.outputs(Pass::Train(info), &values, findings);
        self.loss(exec, batch, info, &values, findings)?;
        self.gradients(exec, batch, info, &values, findings)
    }

    pub(crate) fn outputs(&self, pass: Pass, values: &[Vec<f32>], findings: &mut Findings) {
        for (index, layer) in self.net.layers().iter().enumerate() {
            let weights = weights_of(self.net, self.params, index);
            let oracle = bound::forward(self.net, index, weights, self.tiles[index].forward, pass, &to_f64(&values[index]));
            let shape = self.net.output_of(index);
            let images = values[index].len() / self.net.input_of(index).len();
            let tensor = format!("activation of {}", layer.name);
            let what = || What {
                op: layer.op.kind().into(),
                tensor: tensor.clone(),
                shape: vec![images, shape.c, shape.h, shape.w],
                first: 0,
            };
            findings.note(&tensor, oracle.value.len(), compare(what, &values[index + 1], &oracle, 1.0));
        }
    }

    pub(crate) fn loss(
        &self,
        exec: &mut dyn Executor,
        batch: &Batch,
        info: StepInfo,
        values: &[Vec<f32>],
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let loss = exec.take_loss(true)?.ok_or_else(|| Fault::Contract("no loss after a pass".into()))?;
        findings.expect(loss.step == info.step && loss.images as usize == batch.n, || format!("{loss:?} of another pass"));
        let (targets, logits) = (batch.targets(), to_f64(&values[values.len() - 2]));
        let (nll, bound) = bound::nll_sum(&logits, targets);
        findings.expect((loss.nll_sum - nll).abs() <= bound, || {
            format!(
                "loss: nll_sum {:e}, oracle {nll:e}, error {:.3e}, bound {bound:.3e}",
                loss.nll_sum,
                (loss.nll_sum - nll).abs()
            )
        });
        // Distinct logits may round to equal probabilities, so either may have decided.
        let right = |values: &[f64]| -> Vec<bool> {
            let images = values.chunks_exact(self.net.classes()).zip(targets.iter());
            images.map(|(values, target)| softmax::top1(values) == target.main()).collect()
        };
        let (by_logit, by_probability) = (right(&logits), right(&to_f64(&values[values.len() - 1])));
        let least = by_logit.iter().zip(&by_probability).filter(|(a, b)| **a && **b).count();
        let most = by_logit.iter().zip(&by_probability).filter(|(a, b)| **a || **b).count();
        findings.expect((least..=most).contains(&(loss.top1 as usize)), || {
            format!("loss: top1 {}, oracle {least} to {most} of {}", loss.top1, batch.n)
        });
        Ok(())
    }

    fn gradients(
        &self,
        exec: &mut dyn Executor,
        batch: &Batch,
        info: StepInfo,
        values: &[Vec<f32>],
        findings: &mut Findings,
    ) -> Result<(), Fault> {
        let engine = exec.save(Kind::Gradients)?;
        engine.check(self.net)?;
        let by_pixel = exec.input_gradient()?;
        let oracle = self.sweep(values, batch.targets(), info, &mut |param, first, oracle| {
            let values = engine.get(&self.net.params()[param].name).map_or(&[][..], |tensor| &tensor.data);
            self.gradient(param, first, &values[first..first + oracle.value.len()], &oracle, findings);
        });
        let shape = self.net.input();
        let expected = [batch.n, shape.c, shape.h, shape.w];
        findings.expect(by_pixel.shape == expected, || {
            format!("input gradient has shape {:?}, expected {expected:?}", by_pixel.shape)
        });
        let what = || What {
            op: self.net.layers()[0].op.kind().into(),
            tensor: "gradient of the pixels".into(),
            shape: expected.to_vec(),
            first: 0,
        };
        let result = compare(what, &by_pixel.data, &oracle, self.how.factor());
        findings.note("gradient of the pixels", oracle.value.len(), result);
        Ok(())
    }

    /// Compares values of a parameter's gradient, of which the first stands at place `first`.
    pub(crate) fn gradient(&self, param: usize, first: usize, engine: &[f32], oracle: &Bounded, findings: &mut Findings) {
        let info = &self.net.params()[param];
        let op = self.net.layers()[info.layer].op.kind();
        let tensor = format!("gradient of {}", info.name);
        let what = || What { op: op.into(), tensor: tensor.clone(), shape: info.shape.clone(), first };
        findings.note(&tensor, oracle.value.len(), compare(what, engine, oracle, self.how.factor()));
    }

    /// The oracle's backward pass through the engine's activations `values`: shows the gradients of every parameter as
    /// [`bound::backward_params`], the last layer's first, and returns the one by the pixels.
    pub(crate) fn sweep(
        &self,
        values: &[Vec<f32>],
        targets: Targets<'_>,
        info: StepInfo,
        visit: &mut dyn FnMut(usize, usize, Bounded),
    ) -> Bounded {
        let last = self.net.layers().len() - 1;
        let mut dy = bound::backward_loss(self.net, &to_f64(&values[last]), targets, info.step_images);
        for index in (0..last).rev() {
            let (x, tiles) = (to_f64(&values[index]), self.tiles[index]);
            bound::backward_params(self.net, index, self.how, tiles.weight, &x, &dy, visit);
            let weight = weights_of(self.net, self.params, index).weight;
            dy = bound::backward_input(self.net, index, self.how, weight, tiles.data, Pass::Train(info), &x, &dy);
        }
        dy
    }
}
