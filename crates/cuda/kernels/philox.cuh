// Random numbers that are addressed, not drawn: Philox 4x32 with ten rounds, the same bits as net::random.
#pragma once
#include "device.cuh"

// net::random::Purpose.
constexpr u32 PURPOSE_DROPOUT = 2;

// The numbers at one address; an element selects among them.
struct Stream {
    u32 key[2];
    u32 time, item, tag;
};

DEVICE Stream stream(u64 seed, u32 purpose, u32 layer, u32 time, u32 item) {
    Stream s;
    s.key[0] = (u32)seed;
    s.key[1] = (u32)(seed >> 32);
    s.time = time;
    s.item = item;
    s.tag = purpose << 24 | (layer & 0x00ffffff);
    return s;
}

// out ← the numbers of elements 4 · block to 4 · block + 3.
DEVICE void random_block(const Stream& s, u32 block, u32 (&out)[4]) {
    u32 c0 = block, c1 = s.time, c2 = s.item, c3 = s.tag, k0 = s.key[0], k1 = s.key[1];
    for (int round = 0; round < 10; round++) {
        const u32 left = multiply_high(0xD2511F53u, c0), left_low = 0xD2511F53u * c0;
        const u32 right = multiply_high(0xCD9E8D57u, c2), right_low = 0xCD9E8D57u * c2;
        c0 = right ^ c1 ^ k0;
        c1 = right_low;
        c2 = left ^ c3 ^ k1;
        c3 = left_low;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}
