// Softmax, its cross-entropy with a label or a mixture of two, and their sums over a pass. A block works on an image at a time.
//
// Arguments (Softmax): logits, probabilities [n, classes] f32; labels [n], and where images are mixtures second [n] and shares [n] of
// the first labels, else null; dz [n, plane, classes / plane] elem; nll [n] f64; hits [n]. Sums over classes are in f64, in an order
// that depends on `classes` alone. Bytes: 4 · classes read and written, elem's besides in training. Where a logit is NaN or +∞, every
// probability is NaN.
#include "args.cuh"
#include "vectors.cuh"

constexpr int THREADS = 128;
constexpr int BLOCKS = 8;
constexpr int LOSS_THREADS = 256;

DEVICE double sum_of(double* memory, double value) {
    return of_block<THREADS>(memory, value, [](double x, double y) { return x + y; });
}

// Where class i lies among the values of an image [plane, maps]: classes count maps first.
DEVICE u32 place(u32 i, u32 classes, u32 plane) { return plane == 1 ? i : i % plane * (classes / plane) + i / plane; }

// logits ← x, where the layer before left elements. Arguments (Logits): x [n, plane, classes / plane] elem, logits [n, classes] f32.
KERNEL(softmax_logits, Logits, THREADS) {
    for (u32 image = blockIdx.x; image < a.step->images; image += gridDim.x) {
        const u64 begin = (u64)image * a.classes;
        for (u32 i = threadIdx.x; i < a.classes; i += THREADS) {
            a.logits[begin + i] = to_float(a.x[begin + place(i, a.classes, a.plane)]);
        }
    }
}

// The largest logit, NaN passed over, and Σ e^(z − largest).
struct Peak {
    float most;
    double sum;
};

// p ← e^(z − max z) / Σ; the values that a thread writes are those that it reads again.
DEVICE Peak softmax_of(double* memory, const float* z, float* p, u32 classes) {
    Peak peak;
    float most = -1.0f / 0.0f;
    for (u32 i = threadIdx.x; i < classes; i += THREADS) most = fmaxf(most, z[i]);
    peak.most = of_block<THREADS>((float*)memory, most, [](float x, float y) { return fmaxf(x, y); });
    double sum = 0.0;
    for (u32 i = threadIdx.x; i < classes; i += THREADS) {
        const float e = expf(z[i] - peak.most);
        p[i] = e;
        sum += e;
    }
    peak.sum = sum_of(memory, sum);
    const float scale = (float)(1.0 / peak.sum);
    for (u32 i = threadIdx.x; i < classes; i += THREADS) p[i] *= scale;
    return peak;
}

// p = e^z / Σ e^z: testing.
KERNEL(softmax_forward, Softmax, THREADS) {
    SHARED(memory);
    for (u32 image = blockIdx.x; image < a.step->images; image += gridDim.x) {
        const u64 begin = (u64)image * a.classes;
        softmax_of((double*)memory, a.logits + begin, a.probabilities + begin, a.classes);
    }
}

// dz_i = (p_i − s · [i = label] − (1 − s) · [i = second]) / step_images · loss_scale.
DEVICE float gradient(float p, u32 i, u32 label, u32 second, float share, float images) {
    if (label == second || share == 1.0f) return (i == label ? p - 1.0f : p) / images;
    if (i == label) return (p - share) / images;
    // In f64, because 1 − s need not be an f32, and little may be left of the difference.
    if (i == second) return (float)((double)p - (1.0 - (double)share)) / images;
    return p / images;
}

// The same, and dz; nll = −s · ln p(label) − (1 − s) · ln p(second), in f64 from the logits, not finite where a logit is NaN or +∞;
// hits = whether the label of the larger share has the highest logit, the lowest index winning ties; not where any is NaN.
KERNEL(softmax_loss, Softmax, THREADS, BLOCKS) {
    SHARED(memory);
    for (u32 image = blockIdx.x; image < a.step->images; image += gridDim.x) {
        const u64 begin = (u64)image * a.classes;
        const float *z = a.logits + begin, *p = a.probabilities + begin;
        const u32 label = a.labels[image], second = a.second ? a.second[image] : label;
        const float share = a.shares ? a.shares[image] : 1.0f;
        const Peak peak = softmax_of((double*)memory, z, a.probabilities + begin, a.classes);
        const u32 main = share >= 0.5f ? label : second;
        const float best = z[main], images = (float)a.step->step_images;
        u32 misses = 0;
        for (u32 i = threadIdx.x; i < a.classes; i += THREADS) {
            misses += i < main ? !(z[i] < best) : !(z[i] <= best);
            a.dz[begin + place(i, a.classes, a.plane)] = to_elem(gradient(p[i], i, label, second, share, images) * a.step->loss_scale);
        }
        misses = of_block<THREADS>((u32*)memory, misses, [](u32 x, u32 y) { return x + y; });
        if (threadIdx.x == 0) {
            const double rest = log(peak.sum) + peak.most;
            double nll = rest - z[label];
            if (share != 1.0f) nll = share * nll + (1.0 - share) * (rest - z[second]);
            a.nll[image] = nll;
            a.hits[image] = misses == 0;
        }
    }
}

// The sums over a pass, by one block. Arguments (SumLosses): nll [n] f64, hits [n], result. Each thread sums every 256th image, then the
// threads' sums are added in pairs.
KERNEL(sum_losses, SumLosses, LOSS_THREADS) {
    SHARED(memory);
    double nll = 0.0;
    u32 hits = 0;
    for (u32 image = threadIdx.x; image < a.step->images; image += LOSS_THREADS) {
        nll += a.nll[image];
        hits += a.hits[image];
    }
    nll = of_block<LOSS_THREADS>((double*)memory, nll, [](double x, double y) { return x + y; });
    hits = of_block<LOSS_THREADS>((u32*)memory, hits, [](u32 x, u32 y) { return x + y; });
    if (threadIdx.x == 0) {
        a.result->nll_sum = nll;
        a.result->top1 = hits;
        a.result->images = a.step->images;
        a.result->step = a.step->step;
        // What is not finite is not equal to itself when it is taken from itself.
        a.result->finite = nll - nll == 0.0;
    }
}
