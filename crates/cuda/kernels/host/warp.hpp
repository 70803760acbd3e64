// What a warp does together, and copies that are under way.
//
// The last thread to arrive computes for all. Fragments lie among the threads as the PTX ISA draws them for mma.m16n8k16,
// mma.m16n8k8 and ldmatrix: thread i has group g = i / 4 and place t = i % 4 in it.
#pragma once

#include "block.hpp"
#include "number.hpp"

namespace emulated {

// d [16, 8] += a [16, K] · b [K, 8], each value of d summed in f32 in the order of k. Products of 8 or 11 bits are exact in f32, so
// it does not matter whether a fused instruction is used. A GPU's order and intermediate precision are its own.
template <int K> EMULATED_UNCHECKED void multiply(float* d, const float* a, const float* b) {
    typedef float Row __attribute__((vector_size(32), aligned(32), may_alias));
    for (int m = 0; m < 16; m += 4) {
        Row* to = (Row*)(d + 8 * m);
        Row s0 = to[0], s1 = to[1], s2 = to[2], s3 = to[3];
        for (int k = 0; k < K; k++) {
            Row row = *(const Row*)(b + 8 * k);
            const float* at = a + m * K + k;
            s0 += at[0] * row, s1 += at[K] * row, s2 += at[2 * K] * row, s3 += at[3 * K] * row;
        }
        to[0] = s0, to[1] = s1, to[2] = s2, to[3] = s3;
    }
}

// Rows g and g + 8, columns 2t and 2t + 1 of d [16, 8].
EMULATED_UNCHECKED inline void read_sums(const Thread* threads, float* d) {
    for (u32 i = 0; i < WARP; i++) {
        float *at = d + i / 4 * 8 + i % 4 * 2, *own = (float*)threads[i].to;
        at[0] = own[0], at[1] = own[1], at[64] = own[2], at[65] = own[3];
    }
}
EMULATED_UNCHECKED inline void write_sums(const Thread* threads, const float* d) {
    for (u32 i = 0; i < WARP; i++) {
        const float* at = d + i / 4 * 8 + i % 4 * 2;
        float* own = (float*)threads[i].to;
        own[0] = at[0], own[1] = at[1], own[2] = at[64], own[3] = at[65];
    }
}

// Values of 16 bits: a [16, 16] in four registers of two, b [16, 8] in two.
template <class T> EMULATED_UNCHECKED void multiply_halves(Thread* threads) {
    alignas(32) float d[16 * 8], a[16 * 16], b[16 * 8];
    alignas(32) u16 narrow_a[16 * 16], narrow_b[16 * 8];
    read_sums(threads, d);
    for (u32 i = 0; i < WARP; i++) {
        u32 g = i / 4, t = i % 4;
        const u32* from = (const u32*)threads[i].with[0];
        for (u32 r = 0; r < 4; r++) memcpy(&narrow_a[(g + r % 2 * 8) * 16 + r / 2 * 8 + 2 * t], &from[r], 4);
        from = (const u32*)threads[i].with[1];
        for (u32 r = 0; r < 2; r++) {
            narrow_b[(r * 8 + 2 * t) * 8 + g] = (u16)from[r];
            narrow_b[(r * 8 + 2 * t + 1) * 8 + g] = (u16)(from[r] >> 16);
        }
    }
    for (int i = 0; i < 16 * 16; i++) a[i] = widened(T{narrow_a[i]});
    for (int i = 0; i < 16 * 8; i++) b[i] = widened(T{narrow_b[i]});
    multiply<16>(d, a, b);
    write_sums(threads, d);
}

// Floats of which the upper 19 bits count: a [16, 8] in four registers, b [8, 8] in two.
EMULATED_UNCHECKED inline void multiply_tf32(Thread* threads) {
    alignas(32) float d[16 * 8], a[16 * 8], b[8 * 8];
    read_sums(threads, d);
    for (u32 i = 0; i < WARP; i++) {
        u32 g = i / 4, t = i % 4;
        const u32* from = (const u32*)threads[i].with[0];
        for (u32 r = 0; r < 4; r++) a[(g + r % 2 * 8) * 8 + r / 2 * 4 + t] = __uint_as_float(from[r] & 0xffffe000);
        from = (const u32*)threads[i].with[1];
        for (u32 r = 0; r < 2; r++) b[(r * 4 + t) * 8 + g] = __uint_as_float(from[r] & 0xffffe000);
    }
    multiply<8>(d, a, b);
    write_sums(threads, d);
}

// Register r of thread i: of matrix r, values 2t and 2t + 1 of row g, or of column g where transposed.
EMULATED_UNCHECKED inline void load_matrices(Thread* threads, bool transposed) {
    for (u32 r = 0; r < 4; r++) {
        u16 matrix[8][8];
        for (u32 row = 0; row < 8; row++) memcpy(matrix[row], threads[8 * r + row].with[0], 16);
        for (u32 i = 0; i < WARP; i++) {
            u32 g = i / 4, t = 2 * (i % 4);
            u32 low = transposed ? matrix[t][g] : matrix[g][t], high = transposed ? matrix[t + 1][g] : matrix[g][t + 1];
            ((u32*)threads[i].to)[r] = low | high << 16;
        }
    }
}

// What is asked of a thread that does not take part is not a number.
EMULATED_UNCHECKED inline void shuffle(Thread* threads, u32 arrived) {
    u64 values[WARP];
    for (u32 i = 0; i < WARP; i++) values[i] = arrived & bit(i) ? threads[i].value : ~(u64)0;
    for (u32 i = 0; i < WARP; i++) {
        if (arrived & bit(i)) threads[i].value = values[threads[i].source];
    }
}

EMULATED_UNCHECKED inline void Machine::complete(Warp& warp, Collective& c) {
    if (c.op >= MMA_BF16 && c.arrived != FULL) {
        fail("%s (%s:%d) of warp %u without all of its 32 threads: %#x have ended or do not exist", OP_NAMES[c.op], base_name(c.place.file),
             c.place.line, warp.number, ~c.arrived);
    }
    switch (c.op) {
        case SYNCWARP: break;
        case SHUFFLE: shuffle(warp.threads, c.arrived); break;
        case MMA_BF16: multiply_halves<bf16>(warp.threads); break;
        case MMA_F16: multiply_halves<f16>(warp.threads); break;
        case MMA_TF32: multiply_tf32(warp.threads); break;
        case LDMATRIX: load_matrices(warp.threads, false); break;
        case LDMATRIX_TRANS: load_matrices(warp.threads, true); break;
    }
    warp.pending &= ~bit((u32)__builtin_ctz(c.mask));
    make_ready(warp, c.arrived);
}

// The value of thread `source` of the warp.
template <class T> EMULATED_SMALL inline T shuffled(u32 mask, T x, u32 source, Place place) {
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "shuffles take values of 4 or 8 bytes");
    Thread& thread = self();
    thread.value = 0;
    memcpy(&thread.value, &x, sizeof(T));
    thread.source = source;
    machine().wait_together(thread, SHUFFLE, mask, place);
    memcpy(&x, &thread.value, sizeof(T));
    return x;
}

EMULATED_SMALL inline void multiplied(float* d, const u32* a, const u32* b, Op op, Place place) {
    Thread& thread = self();
    thread.to = d, thread.with[0] = a, thread.with[1] = b;
    machine().wait_together(thread, op, FULL, place);
}

// The address of 16 bytes of shared memory, or a fault.
EMULATED_UNCHECKED inline void check_shared(const void* at, const char* what, Place place) {
    Machine& m = machine();
    size_t from = (size_t)((const u8*)at - m.shared);
    if (from > m.shared_bytes || m.shared_bytes - from < 16) {
        m.fail("%s (%s:%d) at byte %lld of %u of shared memory", what, base_name(place.file), place.line, (long long)from,
               m.shared_bytes);
    }
    if (from % 16) m.fail("%s (%s:%d) at byte %zu of shared memory, not a multiple of 16", what, base_name(place.file), place.line, from);
}

EMULATED_SMALL inline void loaded(u32* to, const void* row, Op op, Place place) {
    check_shared(row, OP_NAMES[op], place);
    Thread& thread = self();
    thread.to = to, thread.with[0] = row;
    machine().wait_together(thread, op, FULL, place);
}

// Of a copy under way nobody knows when it writes. Here what it writes to is not a number from its beginning on, and what it reads
// is read when it is waited for.
EMULATED_UNCHECKED inline void copy(void* to, const void* from, bool valid, Place place) {
    check_shared(to, "copy_async_16", place);
    if ((uintptr_t)from % 16) machine().fail("copy_async_16 (%s:%d) from %p, not a multiple of 16", base_name(place.file), place.line, from);
    memset(to, 0xff, 16);
    self().copies.push_back(Copy{(u8*)to, valid ? (const u8*)from : nullptr});
}

EMULATED_UNCHECKED inline void finish_copies(size_t groups_left) {
    Thread& thread = self();
    size_t groups = thread.groups.size();
    if (groups <= groups_left) return;
    size_t done = thread.groups[groups - groups_left - 1];
    for (size_t i = 0; i < done; i++) {
        Copy& c = thread.copies[i];
        if (c.from) {
            memcpy(c.to, c.from, 16);
        } else {
            memset(c.to, 0, 16);
        }
    }
    thread.copies.erase(thread.copies.begin(), thread.copies.begin() + (long)done);
    thread.groups.erase(thread.groups.begin(), thread.groups.end() - (long)groups_left);
    for (size_t& end : thread.groups) end -= done;
}

}  // namespace emulated
