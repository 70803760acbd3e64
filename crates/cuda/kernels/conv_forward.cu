// Forward: y[n,p,q,k] = b[k] + Σ_{r,s,c} w[k,r,s,c] · x[n, p·stride − top + r, q·stride − left + s, c], then max(y, 0) where asked.
//
// x [n, h, w, c] elem, w [k, r, s, c / g] elem, b [k] f32, y [n, p, q, k] elem, or f32 in `out`. y overlaps nothing. A block has a tile
// of pixels and maps of one group: block x is the tile, maps fastest; y the group (of a local layer the position).
// FLOPs: 2·n·p·q·k·r·s·c/g. Bytes: x once for each tile of maps, w once for each tile of pixels (from the cache), y once.
#include "conv.cuh"

template <class T, bool LOCAL, bool VECTOR> DEVICE void forward(const Conv& a) {
    u32 m0 = blockIdx.x / a.column_tiles * T::M, n0 = blockIdx.x % a.column_tiles * T::N, y = blockIdx.y;
    Windows<LOCAL, VECTOR, true> x(a, y);
    if (m0 >= x.outers) return;
    product<T>(x, Filters<LOCAL, VECTOR>(a, y), m0, n0, 0, x.inners, Outputs<LOCAL, VECTOR>(a, y));
}

#if ELEM != 0
KERNEL(forward_128x96, Conv, 256) { forward<Tile<128, 96, 4, 2>, false, true>(a); }
#endif
KERNEL(forward_128x128, Conv, 256) { forward<Tile<128, 128, 2, 4>, false, true>(a); }
KERNEL(forward_128x64, Conv, 256) { forward<Tile<128, 64, 4, 2>, false, true>(a); }
KERNEL(forward_64x64, Conv, 128) { forward<Tile<64, 64, 2, 2>, false, true>(a); }
KERNEL(forward_64x64_any, Conv, 128) { forward<Tile<64, 64, 2, 2>, false, false>(a); }
KERNEL(local_forward_64x64, Conv, 128) { forward<Tile<64, 64, 2, 2>, true, true>(a); }
KERNEL(local_forward_64x64_any, Conv, 128) { forward<Tile<64, 64, 2, 2>, true, false>(a); }
