// The gradient by the input: dx[n,h,w,c] = Σ_{r,s,k} w[k,r,s,c] · dy[n, (h + top − r) / stride, (w + left − s) / stride, k], over the
// outputs that exist; where `seen` is given, factor · dx where that is above 0, and else 0.
//
// dy [n, p, q, k] elem in `y`, w [k, r, s, c / g] elem, dx [n, h, w, c] elem in `x`. A block has a tile of pixels and maps of one group:
// block x is the tile, maps fastest; y the group (of a local layer the position). The sum is a gather, so nothing is written twice.
// FLOPs: 2·n·h·w·c·r·s·k/g, of which a stride wastes a share. Bytes: dy once for each tile of maps, w from the cache, dx once.
#include "conv.cuh"

template <class T, bool LOCAL, bool VECTOR> DEVICE void data(const Conv& a) {
    u32 m0 = blockIdx.x / a.column_tiles * T::M, n0 = blockIdx.x % a.column_tiles * T::N, y = blockIdx.y;
    Seen<LOCAL, VECTOR> dy(a, y);
    if (m0 >= dy.outers) return;
    product<T>(dy, TurnedFilters<LOCAL, VECTOR>(a, y), m0, n0, 0, dy.inners, InputGradients<LOCAL, VECTOR>(a, y));
}

KERNEL(data_128x128, Conv, 256) { data<Tile<128, 128, 2, 4>, false, true>(a); }
KERNEL(data_128x64, Conv, 256) { data<Tile<128, 64, 4, 2>, false, true>(a); }
KERNEL(data_64x64, Conv, 128) { data<Tile<64, 64, 2, 2>, false, true>(a); }
KERNEL(data_64x64_any, Conv, 128) { data<Tile<64, 64, 2, 2>, false, false>(a); }
KERNEL(local_data_64x64, Conv, 128) { data<Tile<64, 64, 2, 2>, true, true>(a); }
KERNEL(local_data_64x64_any, Conv, 128) { data<Tile<64, 64, 2, 2>, true, false>(a); }
