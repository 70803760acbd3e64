// One step of gradient descent with momentum, for all parameters in one launch, a block for each chunk of 4096 values.
//
// Arguments (Update): parameters [count], rates [count] the rate ε and decay λ of each, numbers the momentum m and the form, all in device
// memory; `finite` null, or 0 where nothing is to change. Weights w, velocities v and gradients g are f32, 16-byte aligned; g is taken
// divided by step->loss_scale. `copy`, where it is not null, receives w as elem.
// Form 0: v ← m · v − ελ · w − ε · g; w ← w + v. Form 1: v ← m · v + (g + λ · w); w ← w − ε · v. At rate 0 neither w nor v changes.
// Bytes: 20 a parameter, and elem's for the copy. FLOPs: 7.
#include "args.cuh"
#include "parameters.cuh"
#include "vectors.cuh"

constexpr int THREADS = 256;

KERNEL(update, Update, THREADS) {
    if (a.finite && *a.finite == 0) return;
    const u32 index = parameter_of(a.parameters, a.count, blockIdx.x);
    const Parameter parameter = a.parameters[index];
    const float rate = a.rates[index].rate, decay = a.rates[index].decay;
    if (rate == 0.0f) return;
    const float momentum = a.numbers->momentum, unscale = 1.0f / a.step->loss_scale, shrink = rate * decay;
    const bool outside = a.numbers->form == 1;
    const auto step = [&](float g, float& v, float& w) {
        g *= unscale;
        if (outside) {
            v = momentum * v + (g + decay * w);
            w -= rate * v;
        } else {
            v = momentum * v - shrink * w - rate * g;
            w += v;
        }
    };
    each_of_chunk<THREADS>(
        parameter, blockIdx.x,
        [&](u64 at) {
            const quad g = *(const quad*)(parameter.gradient + at);
            quad v = *(const quad*)(parameter.velocity + at), w = *(const quad*)(parameter.weight + at);
            UNROLL for (int i = 0; i < 4; i++) step(g.v[i], v.v[i], w.v[i]);
            *(quad*)(parameter.velocity + at) = v;
            *(quad*)(parameter.weight + at) = w;
            if (parameter.copy) store_run(parameter.copy + at, w.v);
        },
        [&](u64 at) {
            float v = parameter.velocity[at], w = parameter.weight[at];
            step(parameter.gradient[at], v, w);
            parameter.velocity[at] = v;
            parameter.weight[at] = w;
            if (parameter.copy) parameter.copy[at] = to_elem(w);
        });
}

// copy ← w of all parameters that have a copy: after weights were loaded. The same arguments, of which only `parameters` and `count` are
// read.
KERNEL(copy_weights, Update, THREADS) {
    const Parameter parameter = a.parameters[parameter_of(a.parameters, a.count, blockIdx.x)];
    if (!parameter.copy) return;
    each_of_chunk<THREADS>(
        parameter, blockIdx.x,
        [&](u64 at) {
            const quad w = *(const quad*)(parameter.weight + at);
            store_run(parameter.copy + at, w.v);
        },
        [&](u64 at) { parameter.copy[at] = to_elem(parameter.weight[at]); });
}
