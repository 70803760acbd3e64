//! Locally connected layer: a convolution whose weights `[p,q,k,c,r,s]` and biases `[k,p,q]` differ at every position.

use net::{Local, Shape};

/// `y[k,p,q] = b[k,p,q] + Σ_{c,r,s} w[p,q,k,c,r,s] · x[c, p·stride − top + r, q·stride − left + s]` of one image.
pub fn forward(local: &Local, input: Shape, output: Shape, x: &[f64], w: &[f64], b: &[f64], y: &mut [f64]) {
    y.copy_from_slice(b);
    for_each_product(local, input, output, |weight, out, pixel| y[out] += w[weight] * x[pixel]);
}

/// `dx[c,h,w] = Σ w[p,q,k,c,r,s] · dy[k,p,q]` over all `(p,q,k,r,s)` that read this pixel.
pub fn backward_input(local: &Local, input: Shape, output: Shape, w: &[f64], dy: &[f64], dx: &mut [f64]) {
    dx.fill(0.0);
    for_each_product(local, input, output, |weight, out, pixel| dx[pixel] += w[weight] * dy[out]);
}

/// `dw[p,q,k,c,r,s] += x[c, …] · dy[k,p,q]` and `db[k,p,q] += dy[k,p,q]`.
pub fn backward_params(local: &Local, input: Shape, output: Shape, x: &[f64], dy: &[f64], dw: &mut [f64], db: &mut [f64]) {
    for_each_product(local, input, output, |weight, out, pixel| dw[weight] += x[pixel] * dy[out]);
    db.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy);
}

/// Calls `visit(weight, output, pixel)` for each product of the sum whose pixel lies inside the image.
fn for_each_product(local: &Local, input: Shape, output: Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let (kernel, stride, padding) = (local.kernel, local.stride, local.padding);
    let mut weight = 0;
    for p in 0..output.h {
        for q in 0..output.w {
            for k in 0..local.k {
                let out = (k * output.h + p) * output.w + q;
                for c in 0..input.c {
                    for r in 0..kernel.r {
                        for s in 0..kernel.s {
                            let (y, x) = (p * stride.r + r, q * stride.s + s);
                            let inside_y = (padding.top..padding.top + input.h).contains(&y);
                            let inside_x = (padding.left..padding.left + input.w).contains(&x);
                            if inside_y && inside_x {
                                visit(weight, out, (c * input.h + y - padding.top) * input.w + x - padding.left);
                            }
                            weight += 1;
                        }
                    }
                }
            }
        }
    }
}
