//! One step of stochastic gradient descent with momentum.

use net::{Form, ParamHyper};

/// Updates one parameter tensor `w` and its velocity `v` from the gradient `g`, as [`Form`] says; at rate 0 neither moves.
pub fn update(form: Form, momentum: f32, hyper: ParamHyper, g: &[f64], v: &mut [f64], w: &mut [f64]) {
    let (m, rate, decay) = (f64::from(momentum), f64::from(hyper.rate), f64::from(hyper.decay));
    if rate == 0.0 {
        return;
    }
    for ((w, v), &g) in w.iter_mut().zip(v).zip(g) {
        match form {
            Form::RateInside => {
                *v = m * *v - rate * decay * *w - rate * g;
                *w += *v;
            }
            Form::RateOutside => {
                *v = m * *v + g + decay * *w;
                *w -= rate * *v;
            }
        }
    }
}
