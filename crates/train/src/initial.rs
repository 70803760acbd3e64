//! First values of the parameters, filled by several threads.

use std::sync::Mutex;

use net::{Net, ParamInfo, ParamSet, Tensor};

/// Values that a thread fills at a time; a multiple of 4, as [`net::initialise`] needs.
const CHUNK: usize = 1 << 18;

/// Initial parameters: the same bits as [`Net::initial_params`], whatever `threads` is.
pub fn initial_params(net: &Net, seed: u64, threads: usize) -> ParamSet {
    ParamSet::new(initial_some(net, seed, threads, |_| true))
}

/// Those of the initial parameters that are `wanted`, in the net's order: the same bits as among all.
pub(crate) fn initial_some(net: &Net, seed: u64, threads: usize, wanted: impl Fn(&ParamInfo) -> bool) -> Vec<(String, Tensor)> {
    let infos: Vec<_> = net.params().iter().enumerate().filter(|(_, info)| wanted(info)).collect();
    let mut tensors: Vec<_> = infos.iter().map(|(_, info)| (info.name.clone(), Tensor::zeros(&info.shape))).collect();
    let mut work = Vec::new();
    for ((index, info), (_, tensor)) in infos.into_iter().zip(&mut tensors) {
        work.extend(tensor.data.chunks_mut(CHUNK).enumerate().map(|(i, values)| (index, info, i * CHUNK, values)));
    }
    let queue = Mutex::new(work.into_iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some((index, info, first, values)) = next() {
                    net::initialise(info.learn.init, info, index, seed, first, values);
                }
            });
        }
    });
    tensors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_change_no_bit() {
        // fc64 and the convolutions of one net, the unshared weights of the other: several chunks, odd sizes.
        for name in ["cifar-80sec", "cifar-11pct"] {
            let net = Net::preset(name).unwrap();
            let expected = net.initial_params(3);
            assert_eq!(initial_params(&net, 3, 1), expected);
            assert_eq!(initial_params(&net, 3, 5), expected);
            assert_ne!(initial_params(&net, 4, 5), expected);
            let biases = initial_some(&net, 3, 2, |info| info.name.ends_with(".bias"));
            assert!(!biases.is_empty() && biases.iter().all(|(name, tensor)| expected.get(name) == Some(tensor)));
        }
    }
}
