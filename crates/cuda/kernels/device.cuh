// What kernels are written in: CUDA C++ without its headers, the type of values between layers, and the instructions that have no
// name in C++. A compiler for the host takes kernels/host/device.hpp instead, in which all of this is executed by an ordinary CPU.
//
// Rules that every kernel follows, so that the three compilers agree on it:
// - one argument, a structure of args.cuh, declared by KERNEL;
// - shared memory only by SHARED, of as many bytes as the launch says; what lies there at the start is not a number;
// - every thread of a block reaches every __syncthreads, every thread of a warp every collective: shuffles, matrix instructions,
//   __syncwarp; there is no vote, no atomic and no assumption about the order of warps.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// 16 bits of a float: 8 of exponent, 7 of fraction.
struct bf16 {
    u16 bits;
};
// IEEE half precision.
struct f16 {
    u16 bits;
};

// The type of values between layers.
#if ELEM == 0
typedef float elem;
#elif ELEM == 1
typedef bf16 elem;
#elif ELEM == 2
typedef f16 elem;
#else
#error "ELEM is 0 (f32), 1 (bf16) or 2 (f16)"
#endif

#ifdef __CUDACC__

#define DEVICE __device__ __forceinline__
// The most threads of a block and, where a fourth argument is, how many blocks a multiprocessor has registers for at least.
#define KERNEL(name, Args, ...) extern "C" __global__ void __launch_bounds__(__VA_ARGS__) name(const __grid_constant__ Args a)
#define SHARED(name) extern __shared__ __align__(128) u8 name[]

DEVICE float to_float(float x) { return x; }
DEVICE float to_float(bf16 x) { return __uint_as_float((u32)x.bits << 16); }
DEVICE float to_float(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

// The nearest value of T, ties to even.
template <class T> DEVICE T from_float(float x);
template <> DEVICE float from_float<float>(float x) { return x; }
template <> DEVICE bf16 from_float<bf16>(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}
template <> DEVICE f16 from_float<f16>(float x) {
    f16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// High 32 bits of a product.
DEVICE u32 multiply_high(u32 a, u32 b) { return __umulhi(a, b); }

// d += a · b of a warp: d [16, 8] f32, a [16, 16], b [16, 8], each thread holding its part as PTX lays out mma.m16n8k16.
DEVICE void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], bf16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
DEVICE void mma_16x8x16(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2], f16) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// The same with a [16, 8] and b [8, 8] of f32 bits, of which the instruction reads the upper 19 (tf32).
DEVICE void mma_16x8x8_tf32(float (&d)[4], const u32 (&a)[4], const u32 (&b)[2]) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
// f32 rounded to tf32, ties away from zero.
DEVICE u32 to_tf32(float x) {
    u32 y;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
    return y;
}

// Four 8×8 matrices of 16-bit values from shared memory; thread i of the warp gives the address of row i % 8 of matrix i / 8.
DEVICE void ldmatrix_x4(u32 (&r)[4], const void* row) {
    u32 address = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}
// The same, each matrix transposed.
DEVICE void ldmatrix_x4_trans(u32 (&r)[4], const void* row) {
    u32 address = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(address) : "memory");
}

// Begins to copy 16 bytes to shared memory, or zeros where not `valid`; both addresses are multiples of 16.
DEVICE void copy_async_16(void* to, const void* from, bool valid) {
    u32 address = (u32)__cvta_generic_to_shared(to);
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(from), "r"(bytes) : "memory");
}
// Closes a group of copies that this thread began.
DEVICE void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most `left` of this thread's groups are unfinished.
template <int left> DEVICE void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory"); }

#else
#include "host/device.hpp"
#endif

// As many values as 16 bytes hold, loaded and stored at once.
constexpr int VEC = 16 / sizeof(elem);
struct alignas(16) vec {
    elem v[VEC];
};
DEVICE vec load(const elem* at) { return *(const vec*)at; }
DEVICE void store(elem* at, const vec& value) { *(vec*)at = value; }

DEVICE elem to_elem(float x) { return from_float<elem>(x); }
