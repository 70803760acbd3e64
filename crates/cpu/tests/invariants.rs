//! The bits do not depend on the number of threads, nor on whether anyone looks.

mod prepared;

use cpu::{Isa, Options};
use net::{Executor, Form, Kind, Mode, Net, Shape, StepInfo};
use prepared::{NETS, batch, hyper, prepared};

/// Everything that two steps leave behind, as bits.
fn trace(net: &Net, options: &Options) -> Vec<u32> {
    let n = 7;
    let batch = batch(net, n);
    let mut exec = prepared(net, n, options);
    let mut bits = Vec::new();
    for step in 0..2 {
        exec.forward_backward(&batch, StepInfo { step_images: 12, ..StepInfo::whole(1, step, n) }).unwrap();
        exec.forward_backward(&batch, StepInfo { first_image: 7, ..StepInfo::whole(1, step, 12) }).unwrap();
        exec.apply(&hyper(net, Form::RateInside)).unwrap();
        while let Some(loss) = exec.take_loss(true).unwrap() {
            bits.extend([loss.nll_sum.to_bits() as u32, (loss.nll_sum.to_bits() >> 32) as u32, loss.top1]);
        }
    }
    for kind in [Kind::Weights, Kind::Momentum, Kind::Gradients] {
        let set = exec.save(kind).unwrap();
        bits.extend(set.iter().flat_map(|(_, tensor)| tensor.data.iter().map(|x| x.to_bits())));
    }
    bits.extend(exec.forward(&batch).unwrap().iter().map(|x| x.to_bits()));
    bits
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for name in NETS {
        let net = Net::preset(name).unwrap();
        for isa in Isa::ALL {
            // The slower ones need fewer nets: what they share is tested with the fastest.
            if isa != Isa::detect() && name != "tiny" && name != "cifar-18pct" {
                continue;
            }
            if !isa.available() {
                skip(&format!("{name} on {isa}, which this CPU lacks"));
                continue;
            }
            for inspect in [false, true] {
                let run =
                    |threads| trace(&net, &Options { threads: Some(threads), isa: Some(isa), inspect, ..Options::default() });
                let one = run(1);
                let many: &[usize] = if inspect { &[3] } else { &[2, 5, 64] };
                for &threads in many {
                    assert!(one == run(threads), "{name} on {isa}, inspect {inspect}, with {threads} threads");
                }
            }
        }
    }
}

#[test]
fn inspection_changes_no_bit() {
    for name in NETS {
        let net = Net::preset(name).unwrap();
        let run = |inspect| trace(&net, &Options { threads: Some(2), isa: None, inspect, ..Options::default() });
        assert!(run(false) == run(true), "{name}");
    }
}

/// Memory is shared more tightly in inference: whatever was overwritten too early would show.
#[test]
fn inference_gives_the_bits_of_testing_in_training() {
    for name in NETS.iter().chain(&["scenes"]) {
        let net = Net::preset(name).unwrap();
        let batch = batch(&net, 3);
        let run = |mode, inspect| {
            let mut exec =
                cpu::prepare(&net, 4, mode, &Options { threads: Some(2), isa: None, inspect, ..Options::default() }).unwrap();
            exec.load(Kind::Weights, &net.initial_params(3)).unwrap();
            exec.forward(&batch).unwrap().iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
        };
        let expected = run(Mode::Train, false);
        assert!(run(Mode::Infer, false) == expected && run(Mode::Infer, true) == expected, "{name}");
    }
}

/// What a layer's output shares memory with, and what is done on the way to the next layer, differ where it is kept; its bits do not.
#[test]
fn a_kept_layer_has_the_bits_of_inspection() {
    let small = Net::preset("alexnet-2012").unwrap().with_input(Shape { c: 3, h: 67, w: 67 }).unwrap();
    let nets = NETS.iter().chain(&["scenes"]).map(|name| Net::preset(name).unwrap()).chain([small]);
    for net in nets {
        let (params, batch) = (net.initial_params(3), batch(&net, 3));
        let options = |inspect, keep: Option<&str>| Options { inspect, keep: keep.map(String::from), ..Options::default() };
        let prepared = |options: &Options| {
            let mut exec = cpu::prepare(&net, 3, Mode::Infer, options).unwrap();
            exec.load(Kind::Weights, &params).unwrap();
            let output: Vec<u32> = exec.forward(&batch).unwrap().iter().map(|x| x.to_bits()).collect();
            (exec, output)
        };
        let (mut all, expected) = prepared(&options(true, None));
        let bytes = |options: &Options| cpu::memory_bytes(&net, 3, Mode::Infer, options).unwrap();
        for layer in net.layers().iter().map(|layer| layer.name.as_str()) {
            let options = options(false, Some(layer));
            let (mut exec, output) = prepared(&options);
            assert!(output == expected, "the output of {} with {layer} kept", net.name());
            let (kept, inspected) = (exec.activation(layer).unwrap(), all.activation(layer).unwrap());
            let same = kept.data.iter().zip(&inspected.data).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(kept.shape == inspected.shape && same, "{layer} of {}", net.name());
            assert!(
                bytes(&options) < bytes(&Options { inspect: true, keep: None, ..options.clone() }),
                "{layer} of {}",
                net.name()
            );
        }
    }
}

/// Says past the test runner that something cannot run here; where `ALEXNET_NO_SKIPS=1`, that is a failure.
fn skip(reason: &str) {
    assert!(std::env::var_os("ALEXNET_NO_SKIPS").is_none_or(|v| v != "1"), "skipped: {reason}");
    let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("skipped: {reason}\n").as_bytes());
}
