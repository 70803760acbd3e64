//! The suite on the oracle itself: what the suite asks can be had, and its own arithmetic is right.

use conformance::{Keep, OPS, Report, Subject, contract, nets, no_tiles, ops, same_bits, training};
use net::{Executor, Form, Mode, Net};

fn prepare(net: &Net, batch: usize, mode: Mode, _: Keep) -> Result<Box<dyn Executor>, String> {
    Ok(Box::new(reference::prepare(net, batch, mode)))
}

const REFERENCE: Subject<'static> = Subject { name: "reference", prepare: &prepare, tiles: &no_tiles, cannot: &[] };

fn passes(report: &Report) {
    println!("{}", report.verdict(false).unwrap_or_else(|report| panic!("{report}")));
}

#[test]
fn every_op() {
    passes(&ops(&REFERENCE, OPS));
}

#[test]
fn small_nets() {
    passes(&nets(&REFERENCE, &["tiny", "cifar-80sec", "cifar-11pct"], 2));
    passes(&same_bits(&[REFERENCE], &["tiny"], 2));
}

#[test]
fn the_contract() {
    passes(&contract(&REFERENCE));
}

#[test]
fn ten_steps() {
    for form in [Form::RateInside, Form::RateOutside] {
        training(&[REFERENCE], &["tiny"], form, 4).iter().for_each(passes);
    }
    training(&[REFERENCE], &["cifar-80sec"], Form::RateInside, 2).iter().for_each(passes);
}
