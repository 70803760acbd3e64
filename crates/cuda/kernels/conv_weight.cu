// The gradient by the weights: dw[k,r,s,c] = Σ_{n,p,q} dy[n,p,q,k] · x[n, p·stride − top + r, q·stride − left + s, c].
//
// x [n, h, w, c] elem, dy [n, p, q, k] elem in `y`. A block has a tile of maps and taps of one group, summed over the pixels of one part:
// block x is the tile, taps fastest; y the group (of a local layer the position); z the part. Parts are a fixed number of pixels,
// whatever the grid: with several, each writes its share to `out` [parts, k, r, s, c / g] and `finish` adds them in order; a part
// behind the last image writes zeros. A single part writes, or from the step's second batch on adds to, the gradient in `out`.
// FLOPs: 2·n·p·q·k·r·s·c/g. Bytes: x once for each tile of maps and dy once for each tile of taps, less what the cache holds.
#include "conv.cuh"

template <class T, bool LOCAL, bool VECTOR> DEVICE void weight(const Conv& a) {
    u32 m0 = blockIdx.x / a.column_tiles * T::M, n0 = blockIdx.x % a.column_tiles * T::N, y = blockIdx.y;
    TurnedOutputs<LOCAL, VECTOR> dy(a, y);
    u32 first = blockIdx.z * a.part, last = first + a.part < dy.outers ? first + a.part : dy.outers;
    product<T>(dy, Windows<LOCAL, VECTOR, false>(a, y), m0, n0, first, last, WeightGradients<LOCAL>(a, y, blockIdx.z));
}

KERNEL(weight_128x128, Conv, 256) { weight<Tile<128, 128, 2, 4>, false, true>(a); }
KERNEL(weight_64x64, Conv, 128) { weight<Tile<64, 64, 2, 2>, false, true>(a); }
KERNEL(weight_64x64_any, Conv, 128) { weight<Tile<64, 64, 2, 2>, false, false>(a); }
KERNEL(local_weight_64x64, Conv, 128) { weight<Tile<64, 64, 2, 2>, true, true>(a); }
KERNEL(local_weight_64x64_any, Conv, 128) { weight<Tile<64, 64, 2, 2>, true, false>(a); }
