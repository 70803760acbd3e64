//! Small nets, ready to step, for the tests of what must hold for every step.

use cpu::{Cpu, Options};
use net::random::{Purpose, Stream};
use net::{Batch, Executor, Form, Hyper, Kind, Mode, Net, ParamHyper};

/// Every op there is, and the ops of the big nets at sizes with several blocks in each direction.
pub(crate) const NETS: [&str; 4] = ["tiny", "cifar-80sec", "cifar-18pct", "cifar-11pct"];

pub(crate) fn batch(net: &Net, n: usize) -> Batch {
    let mut batch = Batch::with_capacity(n, net.input().len());
    let stream = Stream::new(5, Purpose::Test, 0, 0, 0);
    batch.f32_mut().iter_mut().enumerate().for_each(|(e, x)| *x = stream.normal(e as u32) as f32);
    batch.labels.iter_mut().enumerate().for_each(|(i, label)| *label = stream.below(i as u32, net.classes() as u32));
    batch.n = n;
    batch
}

pub(crate) fn hyper(net: &Net, form: Form) -> Hyper {
    Hyper { form, momentum: 0.9, params: vec![ParamHyper { rate: 0.01, decay: 0.001 }; net.params().len()] }
}

pub(crate) fn prepared(net: &Net, n: usize, options: &Options) -> Cpu {
    let mut exec = cpu::prepare(net, n, Mode::Train, options).unwrap();
    exec.load(Kind::Weights, &net.initial_params(3)).unwrap();
    exec
}
