//! The suite on the oracle itself: what the suite asks can be had, and its own arithmetic is right.

use conformance::{Keep, Subject, nets, ops};
use net::{Executor, Mode, Net};

fn prepare(net: &Net, batch: usize, mode: Mode, _: Keep) -> Result<Box<dyn Executor>, String> {
    Ok(Box::new(reference::prepare(net, batch, mode)))
}

const REFERENCE: Subject<'static> = Subject { name: "reference", prepare: &prepare, cannot: &[] };

#[test]
fn every_op() {
    println!("{}", ops(&REFERENCE).verdict(false).unwrap_or_else(|report| panic!("{report}")));
}

#[test]
fn small_nets() {
    println!(
        "{}",
        nets(&REFERENCE, &["tiny", "cifar-80sec", "cifar-11pct"], 2).verdict(false).unwrap_or_else(|report| panic!("{report}"))
    );
}
