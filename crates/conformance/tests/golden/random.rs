//! Addressed random numbers, against numpy.

use net::random::{Purpose, Stream};
use net::{Init, Learn, ParamInfo, Role, initialise};

use crate::engine::read;

fn address(golden: &conformance::golden::Golden, row: usize) -> [u64; 5] {
    let parts = golden.facts()["addresses"][row].as_array().unwrap_or_else(|| panic!("no address {row}"));
    let part = |i: usize| parts[i].as_str().and_then(|text| text.parse().ok());
    std::array::from_fn(|i| part(i).unwrap_or_else(|| panic!("address {row} part {i}")))
}

fn stream([seed, purpose, layer, time, item]: [u64; 5]) -> Stream {
    let purpose = if purpose == Purpose::Test as u64 { Purpose::Test } else { Purpose::Initialise };
    Stream::new(seed, purpose, layer as u32, time as u32, item as u32)
}

#[test]
fn words_and_what_is_made_of_them() {
    let golden = read("random");
    let values = |name| golden.f64(name).unwrap_or_else(|e| panic!("{e}"));
    let (words, normals, below) = (values("words"), values("normals"), values("below"));
    for row in 0..4 {
        let stream = stream(address(&golden, row));
        for e in 0..18 {
            let at = row * 18 + e;
            assert_eq!(f64::from(stream.u32(e as u32)), words[at], "word {e} of row {row}");
            assert_eq!(f64::from(stream.below(e as u32, 1000)), below[at], "{e} of row {row}");
            // Logarithm, root, sine or cosine and two products, each of a program's own, are within a few roundings.
            let (got, expected) = (stream.normal(e as u32), normals[at]);
            assert!((got - expected).abs() <= 8.0 * f64::EPSILON * expected.abs().max(1.0), "normal {e} of row {row}");
        }
    }
}

#[test]
fn uniform_initial_values_are_the_same_bits() {
    let golden = read("random");
    for (name, init) in [("fan_in", Init::FanIn), ("xavier", Init::Xavier)] {
        let learn = Learn { init, rate: 1.0, decay: 1.0 };
        let (fan_in, fan_out) = (363, 7744);
        let info = ParamInfo { name: name.into(), layer: 0, role: Role::Weight, shape: vec![3, 7], learn, fan_in, fan_out };
        let mut values = [0.0; 21];
        initialise(init, &info, 5, 7, 0, &mut values);
        assert_eq!(values.as_slice(), golden.f32(name).unwrap_or_else(|e| panic!("{e}")), "{name}");
    }
}
