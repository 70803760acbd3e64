// A block of threads on one CPU: who runs, who waits for whom, and what is wrong when nobody can go on.
//
// A thread runs until it waits: at a barrier, at a collective of its warp, or at its end. Then a random thread of the same warp
// that can go on does; where there is none, or where a barrier or collective has just been completed, a random warp is chosen anew.
// The choices depend on the seed and the block alone. A barrier at which threads wait in different lines of the source, and a
// state in which nobody can go on, are faults: the block is abandoned, and the message names kernel, block and thread.
#pragma once

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vector>

#include "fiber.hpp"

namespace emulated {

// A function of the place that it is called from.
#define EMULATED_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

constexpr u32 MOST_THREADS = 1024;
constexpr u32 WARP = 32;
constexpr u32 FULL = 0xffffffff;

struct Dim {
    u32 x, y, z;
};

struct Place {
    const char* file;
    int line;
};

struct Kernel {
    const char* name;
    // Bytes of its argument, and threads of a block at most.
    u32 args_bytes, threads;
    void (*body)(const void* args);
    const Kernel* next;
};

// The kernels of this library, the last one first.
inline const Kernel*& kernels() {
    static const Kernel* first = nullptr;
    return first;
}

struct Registered {
    Kernel kernel;
    Registered(const char* name, u32 args_bytes, u32 threads, void (*body)(const void*))
        : kernel{name, args_bytes, threads, body, kernels()} {
        kernels() = &kernel;
    }
};

// What a warp does together. From MMA_BF16 on, all 32 threads must take part, at one place.
enum Op : u32 { SYNCWARP, SHUFFLE, MMA_BF16, MMA_F16, MMA_TF32, LDMATRIX, LDMATRIX_TRANS };

constexpr const char* OP_NAMES[] = {"__syncwarp", "a shuffle",   "mma_16x8x16 (bf16)", "mma_16x8x16 (f16)",
                                    "mma_16x8x8", "ldmatrix_x4", "ldmatrix_x4_trans"};

// A collective that some have reached.
struct Collective {
    u32 mask, arrived;
    Op op;
    Place place;
};

// 16 bytes under way to shared memory; zeros where `from` is null.
struct Copy {
    u8* to;
    const u8* from;
};

struct Warp;

struct Thread {
    Context context;
    // Null before it starts and after it ends.
    Top* stack;
    Warp* warp;
    u32 lane;
    Dim index;
    // What it brings to a collective: registers to write and to read, or a value and whose it wants.
    void* to;
    const void* with[2];
    u64 value;
    u32 source;
    // Copies under way, and how many of them were there at the end of each group.
    std::vector<Copy> copies;
    std::vector<size_t> groups;
};

struct Warp {
    Thread* threads;
    u32 number;
    // Bits of threads: those that are there, that can go on, that wait at the barrier, that have ended.
    u32 exists, ready, at_barrier, ended;
    // Bits of those of `collectives` that are in use; one stands at the lowest bit of its mask.
    u32 pending;
    Collective collectives[WARP];
};

EMULATED_SMALL inline u32 bit(u32 i) { return (u32)1 << i; }

struct Launch {
    u32 grid[3];
    u32 threads;
    // Bytes.
    u32 shared;
    u32 reserved;
    u64 seed;
    const void* args;
};

// What runs blocks, one after the other.
struct Machine {
    Stacks stacks;
    Context caller = {};
    Context* previous = nullptr;
    const Kernel* kernel = nullptr;
    const void* args = nullptr;
    Dim grid = {}, block_size = {}, block = {};
    u8* shared = nullptr;
    u32 shared_bytes = 0;
    // Of this block: threads in all, ended, at the barrier; the barrier's place.
    u32 count = 0, ended = 0, waiting = 0;
    Place barrier_place = {};
    // Bits of warps that can go on.
    u32 runnable = 0;
    u64 key = 0, drawn = 0, bits = 0;
    u32 bits_left = 0;
    bool failed = false;
    char message[1024] = {};
    Warp warps[MOST_THREADS / WARP] = {};
    Thread threads[MOST_THREADS] = {};

    Machine() {
        for (u32 i = 0; i < MOST_THREADS; i++) {
            threads[i].warp = &warps[i / WARP];
            threads[i].lane = i % WARP;
            threads[i].index = Dim{i, 0, 0};
            if (i % WARP == 0) warps[i / WARP].threads = &threads[i], warps[i / WARP].number = i / WARP;
        }
    }
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    ~Machine() { forget_shared(); }

    // Runs one block; the fault's message, or null.
    const char* run(const Kernel& of, const Launch& launch, u64 number);

    // The block is abandoned.
    [[noreturn]] __attribute__((format(printf, 2, 3))) void fail(const char* format, ...);

    void wait_at_barrier(Thread& thread, Place place);
    // The collective is done when this returns.
    void wait_together(Thread& thread, Op op, u32 mask, Place place);

  private:
    // 64 bits at an address (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
    EMULATED_SMALL static u64 mixed(u64 x) {
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }
    EMULATED_SMALL u32 random_five_bits() {
        if (bits_left < 5) bits = mixed(key + ++drawn * 0x9e3779b97f4a7c15), bits_left = 64;
        u32 five = (u32)bits & 31;
        bits >>= 5, bits_left -= 5;
        return five;
    }
    // One of the bits that are set.
    EMULATED_SMALL u32 random_bit(u32 set) {
        u32 turn = random_five_bits();
        u32 turned = set >> turn | set << (-turn & 31);
        return ((u32)__builtin_ctz(turned) + turn) & 31;
    }

    EMULATED_SMALL void make_ready(Warp& warp, u32 which) {
        warp.ready |= which;
        runnable |= bit(warp.number);
    }
    EMULATED_SMALL void make_wait(Thread& thread) {
        Warp& warp = *thread.warp;
        warp.ready &= ~bit(thread.lane);
        if (!warp.ready) runnable &= ~bit(warp.number);
    }
    // Who runs next, of this warp if possible; null where nobody can.
    EMULATED_SMALL Thread* pick(Warp* warp) {
        if (!warp || !warp->ready) {
            if (!runnable) return nullptr;
            warp = &warps[random_bit(runnable)];
        }
        return &warp->threads[random_bit(warp->ready)];
    }
    EMULATED_UNCHECKED void start(Thread& thread) {
        Top* top = stacks.take(this);
        if (!top) fail("no memory for stacks");
        top->thread = &thread;
        thread.stack = top;
        prepare(thread.context, *top, entry);
    }
    // Lets another go on, which may be the same.
    EMULATED_SMALL void yield(Thread& thread, Warp* warp) {
        Thread* next = pick(warp);
        if (!next) stuck();
        if (next == &thread) return;
        if (!next->stack) start(*next);
        go(thread.context, next->context, previous);
    }
    static void entry();
    void end(Thread& thread);
    void release_barrier();
    void complete(Warp& warp, Collective& collective);
    [[noreturn]] void stuck();
    [[noreturn]] void abandon();
    void begin(const Kernel& of, const Launch& launch, u64 number);
    void fill_shared(u32 bytes);
    void forget_shared();
    bool shared_is_whole() const;
};

EMULATED_SMALL inline Machine& machine() { return *top_here().machine; }
EMULATED_SMALL inline Thread& self() { return *top_here().thread; }

inline const char* base_name(const char* file) {
    const char* slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

inline void Machine::fail(const char* format, ...) {
    Thread& thread = self();
    int used = snprintf(message, sizeof message, "kernel `%s`, block (%u, %u, %u), thread %u: ", kernel->name, block.x, block.y,
                        block.z, thread.index.x);
    va_list list;
    va_start(list, format);
    vsnprintf(message + used, sizeof message - (size_t)used, format, list);
    va_end(list);
    abandon();
}

inline void Machine::abandon() {
    failed = true;
    go(self().context, caller, previous, true);
    __builtin_unreachable();
}

inline void Machine::stuck() {
    int used = snprintf(message, sizeof message, "kernel `%s`, block (%u, %u, %u):", kernel->name, block.x, block.y, block.z);
    auto say = [&](const char* format, auto... values) {
        used += snprintf(message + used, sizeof message - (size_t)used, format, values...);
    };
    for (u32 w = 0; w * WARP < count; w++) {
        Warp& warp = warps[w];
        if (!warp.pending) continue;
        Collective& c = warp.collectives[__builtin_ctz(warp.pending)];
        say(" threads %#x of warp %u wait at %s (%s:%d) for %#x, which never come;", c.arrived, w, OP_NAMES[c.op], base_name(c.place.file),
            c.place.line, c.mask & ~c.arrived);
        break;
    }
    say(" %u of %u threads wait at __syncthreads", waiting, count);
    if (waiting) say(" (%s:%d)", base_name(barrier_place.file), barrier_place.line);
    abandon();
}

EMULATED_UNCHECKED inline void Machine::release_barrier() {
    for (u32 w = 0; w * WARP < count; w++) {
        Warp& warp = warps[w];
        if (warp.at_barrier) make_ready(warp, warp.at_barrier);
        warp.at_barrier = 0;
    }
    waiting = 0;
}

EMULATED_UNCHECKED inline void Machine::wait_at_barrier(Thread& thread, Place place) {
    if (waiting == 0) {
        barrier_place = place;
    } else if (barrier_place.line != place.line || (barrier_place.file != place.file && strcmp(barrier_place.file, place.file))) {
        fail("waits at __syncthreads (%s:%d) while others wait at another (%s:%d)", base_name(place.file), place.line,
             base_name(barrier_place.file), barrier_place.line);
    }
    make_wait(thread);
    thread.warp->at_barrier |= bit(thread.lane);
    waiting++;
    bool all = waiting + ended == count;
    if (all) release_barrier();
    yield(thread, all ? nullptr : thread.warp);
}

EMULATED_UNCHECKED inline void Machine::wait_together(Thread& thread, Op op, u32 mask, Place place) {
    Warp& warp = *thread.warp;
    if (!(mask & bit(thread.lane))) {
        fail("%s (%s:%d) with a mask %#x without itself", OP_NAMES[op], base_name(place.file), place.line, mask);
    }
    u32 at = (u32)__builtin_ctz(mask);
    Collective& c = warp.collectives[at];
    if (!(warp.pending & bit(at))) {
        c = Collective{mask, 0, op, place};
        warp.pending |= bit(at);
    } else if (c.mask != mask || c.op != op || (op >= MMA_BF16 && c.place.line != place.line)) {
        fail("%s (%s:%d) for %#x while others of its warp are at %s (%s:%d) for %#x", OP_NAMES[op], base_name(place.file), place.line, mask,
             OP_NAMES[c.op], base_name(c.place.file), c.place.line, c.mask);
    }
    c.arrived |= bit(thread.lane);
    bool all = !(mask & ~(c.arrived | warp.ended | ~warp.exists));
    if (all) {
        complete(warp, c);
    } else {
        make_wait(thread);
    }
    yield(thread, all ? nullptr : &warp);
}

// A thread that has ended is waited for by nobody.
EMULATED_UNCHECKED inline void Machine::end(Thread& thread) {
    Warp& warp = *thread.warp;
    make_wait(thread);
    warp.ended |= bit(thread.lane);
    ended++;
    for (u32 left = warp.pending; left; left &= left - 1) {
        Collective& c = warp.collectives[__builtin_ctz(left)];
        if (!(c.mask & ~(c.arrived | warp.ended | ~warp.exists))) complete(warp, c);
    }
    if (waiting && waiting + ended == count) release_barrier();
    if (!thread.copies.empty()) thread.copies.clear();
    if (!thread.groups.empty()) thread.groups.clear();
}

// What every fiber runs: a thread, and as many more as have not started when it ends.
EMULATED_UNCHECKED inline void Machine::entry() {
    arrived(machine().previous);
    for (;;) {
        Top& top = top_here();
        Machine& m = *top.machine;
        m.kernel->body(m.args);
        Thread& thread = *top.thread;
        m.end(thread);
        Thread* next = m.pick(thread.warp);
        if (!next && m.ended < m.count) m.stuck();
        thread.stack = nullptr;
        if (next && !next->stack) {
            next->stack = &top;
            top.thread = next;
            continue;
        }
        m.stacks.give(&top);
        go(thread.context, next ? next->context : m.caller, m.previous, true);
    }
}

inline void Machine::forget_shared() {
#ifdef EMULATED_ADDRESS_SANITIZER
    free(shared);
#else
    if (shared) free(shared - 128);
#endif
    shared = nullptr;
}

// Address sanitizer sees what is read or written past the end by itself; elsewhere 128 bytes on either side tell of writes.
inline void Machine::fill_shared(u32 bytes) {
#ifdef EMULATED_ADDRESS_SANITIZER
    constexpr size_t guard = 0;
#else
    constexpr size_t guard = 128;
#endif
    if (!shared || bytes != shared_bytes) {
        forget_shared();
        void* memory = nullptr;
        if (posix_memalign(&memory, 128, bytes + 2 * guard)) abort();
        shared = (u8*)memory + guard;
        shared_bytes = bytes;
    }
    memset(shared - guard, 0xff, bytes + 2 * guard);
}

inline bool Machine::shared_is_whole() const {
#ifndef EMULATED_ADDRESS_SANITIZER
    for (u32 i = 0; i < 128; i++) {
        if (shared[-1 - (int)i] != 0xff || shared[shared_bytes + i] != 0xff) return false;
    }
#endif
    return true;
}

EMULATED_UNCHECKED inline void Machine::begin(const Kernel& of, const Launch& launch, u64 number) {
    kernel = &of;
    args = launch.args;
    grid = Dim{launch.grid[0], launch.grid[1], launch.grid[2]};
    block_size = Dim{launch.threads, 1, 1};
    block = Dim{(u32)(number % grid.x), (u32)(number / grid.x % grid.y), (u32)(number / grid.x / grid.y)};
    count = launch.threads;
    ended = waiting = runnable = bits_left = 0;
    key = mixed(mixed(launch.seed) + number), drawn = 0;
    failed = false;
    for (u32 first = 0; first < count; first += WARP) {
        Warp& warp = warps[first / WARP];
        warp.exists = count - first >= WARP ? FULL : bit(count - first) - 1;
        warp.ready = warp.at_barrier = warp.ended = warp.pending = 0;
        make_ready(warp, warp.exists);
    }
    fill_shared(launch.shared);
}

inline const char* Machine::run(const Kernel& of, const Launch& launch, u64 number) {
    begin(of, launch, number);
    // The first thread has a stack before anything can fail.
    Thread* first = pick(nullptr);
    Top* top = stacks.take(this);
    if (!top) return "no memory for stacks";
    top->thread = first;
    first->stack = top;
    prepare(first->context, *top, entry);
    go(caller, first->context, previous);
    if (failed) {
        for (u32 i = 0; i < count; i++) {
            if (threads[i].stack) stacks.give(threads[i].stack);
            threads[i].stack = nullptr;
            threads[i].copies.clear();
            threads[i].groups.clear();
        }
        return message;
    }
    if (!shared_is_whole()) {
        snprintf(message, sizeof message, "kernel `%s`, block (%u, %u, %u): writes outside its %u bytes of shared memory", kernel->name,
                 block.x, block.y, block.z, shared_bytes);
        return message;
    }
    return nullptr;
}

}  // namespace emulated
