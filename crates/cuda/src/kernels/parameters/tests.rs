use conformance::bound::{Bounded, U, UNDERFLOW};
use conformance::inputs::Values;
use net::{Form, ParamHyper, Shape};

use super::*;
use crate::driver::Driver;
use crate::kernels::Element;
use crate::kernels::testing::{Bench, ELEMENTS, Turn, close, first, numbers, rounded, to_f64};

/// Around the ends of vectors, of what a block does at once, and of chunks.
const LENS: [usize; 9] = [1, 3, 4, 7, 1023, 4096, 4097, 8192, 9002];

/// A list in the device's memory.
struct Held {
    list: List,
    at: Ptr<Parameter>,
    places: Vec<Place>,
    gradients: Vec<Vec<f32>>,
    velocities: Vec<Vec<f32>>,
    weights: Vec<Vec<f32>>,
}

fn held(bench: &mut Bench, change: impl Fn(&mut [Vec<f32>])) -> Held {
    let [mut gradients, velocities, weights] = [10, 30, 50].map(|seed| {
        let of = |(i, &len)| numbers(Element::F32, Values::Normal, seed + i as u64, 1, len);
        LENS.iter().enumerate().map(of).collect::<Vec<_>>()
    });
    change(&mut gradients);
    let mut places = Vec::new();
    for (i, &len) in LENS.iter().enumerate() {
        let [weight, velocity, gradient] = [&weights[i], &velocities[i], &gradients[i]].map(|values| bench.values(values));
        // One parameter has no copy.
        let copy = if i == 4 { Elems::NULL } else { Elems::at(bench.device.room_for_elems(len)) };
        places.push(Place { weight, velocity, gradient, copy, len });
    }
    let list = List::new(&places);
    let at = Ptr::at(bench.device.with(&list.bytes));
    Held { list, at, places, gradients, velocities, weights }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// Rate and decay of each parameter; one rate is 0.
fn rates() -> Vec<ParamHyper> {
    let rate = |i: usize| if i == 3 { 0.0 } else { 0.01 * (1.0 + i as f32) };
    (0..LENS.len()).map(|i| ParamHyper { rate: rate(i), decay: [5e-4, 0.0, 0.3][i % 3] }).collect()
}

fn numbers_of(bench: &mut Bench, form: Form, finite: Uints) -> Numbers {
    let rates: Vec<u8> = rates().iter().flat_map(|&ParamHyper { rate, decay }| Rate { rate, decay }.bytes()).collect();
    let form = u32::from(form == Form::RateOutside);
    let rates = Ptr::at(bench.device.with(&rates));
    let numbers = Ptr::at(bench.device.with(&UpdateNumbers { momentum: 0.9, form }.bytes()));
    Numbers { rates, numbers, finite, step: bench.pass.step }
}

/// Velocity and weight after an update, by the oracle, of gradients that are `scale` times too large. The velocity sums three products
/// of at most three factors; the weight adds the velocity's error, times the rate where that is outside, and its own roundings.
fn updated(form: Form, hyper: ParamHyper, g: &[f32], v: &[f32], w: &[f32], scale: f32) -> [Bounded; 2] {
    let g: Vec<f64> = g.iter().map(|&g| f64::from(g) / f64::from(scale)).collect();
    let (mut new_v, mut new_w) = (to_f64(v), to_f64(w));
    reference::update::update(form, 0.9, hyper, &g, &mut new_v, &mut new_w);
    let (rate, decay) = (f64::from(hyper.rate), f64::from(hyper.decay));
    let (inside, outside) = if form == Form::RateInside { (rate, 1.0) } else { (1.0, rate) };
    let size = |e: usize| 0.9 * f64::from(v[e]).abs() + inside * (g[e].abs() + decay * f64::from(w[e]).abs());
    let v_bound: Vec<f64> = (0..w.len()).map(|e| 5.0 * U * size(e) + 3.0 * UNDERFLOW).collect();
    let w_bound = |e: usize| outside * v_bound[e] + 3.0 * U * (f64::from(w[e]).abs() + outside * new_v[e].abs()) + UNDERFLOW;
    let w_bound = (0..w.len()).map(w_bound).collect();
    [Bounded { value: new_v, bound: v_bound }, Bounded { value: new_w, bound: w_bound }]
}

#[test]
fn both_forms() {
    for (turn, element) in ELEMENTS.into_iter().enumerate() {
        for form in [Form::RateInside, Form::RateOutside] {
            let scale = [1.0, 8.0, 1024.0][turn];
            let info = Turn { loss_scale: scale, ..first(1) };
            let Some(mut bench) = Bench::new("update.cu", element, turn as u64, 1, info) else { return };
            // The frozen parameter's gradient is not a number.
            let held = held(&mut bench, |gradients| gradients[3][0] = f32::NAN);
            let numbers = numbers_of(&mut bench, form, Uints::NULL);
            bench.run([update(&held.list, held.at, numbers)]);
            for (i, place) in held.places.iter().enumerate() {
                let len = place.len;
                let (v, w) = (bench.read_values(place.velocity, len), bench.read_values(place.weight, len));
                if i == 3 {
                    assert_eq!((bits(&v), bits(&w)), (bits(&held.velocities[i]), bits(&held.weights[i])), "moved at rate 0");
                    continue;
                }
                let shape = Shape { c: len, h: 1, w: 1 };
                let [v_oracle, w_oracle] =
                    updated(form, rates()[i], &held.gradients[i], &held.velocities[i], &held.weights[i], scale);
                close(&format!("velocity, {form:?}"), Element::F32, shape, &v, &v_oracle);
                close(&format!("weight, {form:?}"), Element::F32, shape, &w, &w_oracle);
                if place.copy != Elems::NULL {
                    let expected: Vec<f32> = w.iter().map(|&w| rounded(element, w)).collect();
                    assert_eq!(bench.device.elems(place.copy.address, len), expected);
                }
                assert_eq!(bits(&bench.read_values(place.gradient, len)), bits(&held.gradients[i]), "the gradient is read only");
            }
        }
    }
}

#[test]
fn what_is_not_finite_changes_nothing() {
    for (flag, moves) in [(0_u32, false), (1, true)] {
        let Some(mut bench) = Bench::new("update.cu", Element::F16, 1, 1, first(1)) else { return };
        let held = held(&mut bench, |_| {});
        let finite = bench.values(&[flag]);
        let numbers = numbers_of(&mut bench, Form::RateInside, finite);
        bench.run([update(&held.list, held.at, numbers)]);
        for (i, place) in held.places.iter().enumerate().filter(|(i, _)| *i != 3) {
            let same = bits(&bench.read_values(place.weight, place.len)) == bits(&held.weights[i]);
            assert_eq!(same, !moves);
        }
    }
}

#[test]
fn copies_of_weights() {
    for element in ELEMENTS {
        let Some(mut bench) = Bench::new("update.cu", element, 1, 1, first(1)) else { return };
        let held = held(&mut bench, |_| {});
        bench.run([copy_weights(&held.list, held.at)]);
        for (i, place) in held.places.iter().enumerate().filter(|(_, place)| place.copy != Elems::NULL) {
            let expected: Vec<f32> = held.weights[i].iter().map(|&w| rounded(element, w)).collect();
            assert_eq!(bench.device.elems(place.copy.address, place.len), expected);
        }
    }
}

#[test]
fn gradients_that_are_not_finite_are_found() {
    // In every parameter, the last value and one in the middle.
    let places: Vec<(usize, usize)> = LENS.iter().enumerate().flat_map(|(i, &len)| [(i, len - 1), (i, len / 2)]).collect();
    for (seed, place) in [None].into_iter().chain(places.into_iter().map(Some)).enumerate() {
        let Some(mut bench) = Bench::new("check.cu", Element::F32, seed as u64, 1, first(1)) else { return };
        let bad = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY][seed % 3];
        let held = held(&mut bench, |gradients| {
            gradients[0][0] = f32::MAX;
            if let Some((i, e)) = place {
                gradients[i][e] = bad;
            }
        });
        let flags = bench.room_for(held.list.chunks);
        let finite: Uints = bench.room_for(1);
        bench.run(check(&held.list, held.at, flags, finite));
        assert_eq!(bench.read_values(finite, 1), [u32::from(place.is_none())], "{bad} at {place:?}");
    }
}

#[test]
fn a_list_is_cut_into_chunks() {
    let Some(mut bench) = Bench::new("update.cu", Element::F32, 1, 1, first(1)) else { return };
    let held = held(&mut bench, |_| {});
    assert_eq!(held.list.chunks, LENS.iter().map(|len| len.div_ceil(CHUNK)).sum::<usize>());
    assert_eq!(held.list.bytes.len(), LENS.len() * size_of::<Parameter>());
    assert!(crate::kernels::HEADERS.iter().any(|(_, text)| text.contains(&format!("constexpr u32 CHUNK = {CHUNK};"))));
    let mut back = vec![0; held.list.bytes.len()];
    bench.device.download(held.at.address, &mut back).expect("it is there");
    assert_eq!(back, held.list.bytes);
}
