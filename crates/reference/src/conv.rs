//! Convolution: `y[k,p,q] = b[k] + Σ_{c,r,s} w[k,c,r,s] · x[c, p·stride − top + r, q·stride − left + s]`, zeros outside the
//! image, group `j` of the outputs seeing group `j` of the maps.

use net::{Conv, Shape};

use crate::window::{Row, Windows, add_gathered, add_scattered, dot};

/// `y[k,p,q]` of one image; `x` is `[c, h, w]`, `w` is `[k, c/g, r, s]`, `b` is `[k]`.
pub fn forward(conv: &Conv, input: Shape, output: Shape, x: &[f64], w: &[f64], b: &[f64], y: &mut [f64]) {
    for (k, map) in y.chunks_exact_mut(output.plane()).enumerate() {
        map.fill(b[k]);
    }
    for_each_row(conv, input, output, |weight, out, pixel, len| {
        add_gathered(&mut y[out..out + len], w[weight], &x[pixel..], conv.stride.s);
    });
}

/// `dx[c,h,w] = Σ w[k,c,r,s] · dy[k,p,q]` over all `(k,r,s,p,q)` that read this pixel.
pub fn backward_input(conv: &Conv, input: Shape, output: Shape, w: &[f64], dy: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for_each_row(conv, input, output, |weight, out, pixel, len| {
        add_scattered(&mut dx[pixel..], conv.stride.s, w[weight], &dy[out..out + len]);
    });
}

/// `dw[k,c,r,s] += Σ_{p,q} x[c, …] · dy[k,p,q]` and `db[k] += Σ_{p,q} dy[k,p,q]`.
pub fn backward_params(conv: &Conv, input: Shape, output: Shape, x: &[f64], dy: &[f64], dw: &mut [f64], db: &mut [f64]) {
    for_each_row(conv, input, output, |weight, out, pixel, len| {
        dw[weight] += dot(&x[pixel..], conv.stride.s, &dy[out..out + len]);
    });
    for (k, map) in dy.chunks_exact(output.plane()).enumerate() {
        db[k] += map.iter().sum::<f64>();
    }
}

/// Calls `visit(weight, output, pixel, len)` for each run of outputs that one weight connects with a row of pixels.
fn for_each_row(conv: &Conv, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize, usize, usize)) {
    let windows = Windows { stride: conv.stride, padding: conv.padding, input, output };
    let (maps, outs) = (input.c / conv.groups, conv.k / conv.groups);
    for k in 0..conv.k {
        for c in 0..maps {
            let map = k / outs * maps + c;
            for r in 0..conv.kernel.r {
                for s in 0..conv.kernel.s {
                    let weight = ((k * maps + c) * conv.kernel.r + r) * conv.kernel.s + s;
                    for Row { out, pixel, len } in windows.rows(r, s) {
                        visit(weight, k * output.plane() + out, map * input.plane() + pixel, len);
                    }
                }
            }
        }
    }
}
