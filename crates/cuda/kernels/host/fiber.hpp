// A thread of a block is a fiber: a stack of its own, and a switch that costs a few nanoseconds and no system call.
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

// Other processors have the system's way of switching.
#if defined(__x86_64__) && !defined(EMULATED_PORTABLE)
#define EMULATED_X86 1
#else
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#define EMULATED_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATED_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef EMULATED_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulated {

// The checks that a kernel's code is compiled with, which cost time, are not for this code.
#define EMULATED_UNCHECKED __attribute__((no_sanitize("undefined")))
#define EMULATED_SMALL EMULATED_UNCHECKED __attribute__((always_inline))

struct Thread;
struct Machine;

// Bytes of a stack, which is also its alignment: the address of anything on it says which thread runs. Address sanitizer puts
// much between variables.
#ifdef EMULATED_ADDRESS_SANITIZER
constexpr size_t STACK_BYTES = 256 << 10;
#else
constexpr size_t STACK_BYTES = 64 << 10;
#endif

// What lies at the upper end of a stack.
struct alignas(64) Top {
    Machine* machine;
    // Who runs on it.
    Thread* thread;
    // The next unused stack, where this one is unused too.
    Top* next;
    // Bytes that are left free beneath: were they the same everywhere, the stacks would fight for the same lines of the cache.
    size_t colour;

    u8* low() { return (u8*)(this + 1) - STACK_BYTES; }
    u8* high() { return (u8*)this - colour; }
};

EMULATED_SMALL inline Top& top_here() {
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    return *((Top*)((here | (STACK_BYTES - 1)) + 1) - 1);
}

// Where a fiber, or the caller of a block, stopped.
struct Context {
#ifdef EMULATED_X86
    void* stack_pointer;
#else
    ucontext_t registers;
#endif
    // For address sanitizer: the stack's extent, and what the sanitizer keeps of it.
    const void* low;
    size_t bytes;
    void* kept;
};

#ifdef EMULATED_X86
extern "C" __attribute__((visibility("hidden"))) void emulated_switch(void** save, void* to);
asm(R"(
    .text
    .p2align 4
    .type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    popq %rcx
    jmpq *%rcx
    .size emulated_switch, .-emulated_switch
)");
#endif

// Stops here and goes on there. `ends` says that nothing will come back.
EMULATED_SMALL inline void go(Context& from, Context& to, Context*& previous, bool ends = false) {
    previous = &from;
    (void)ends;
#ifdef EMULATED_ADDRESS_SANITIZER
    __sanitizer_start_switch_fiber(ends ? nullptr : &from.kept, to.low, to.bytes);
#endif
#ifdef EMULATED_X86
    emulated_switch(&from.stack_pointer, to.stack_pointer);
#else
    swapcontext(&from.registers, &to.registers);
#endif
#ifdef EMULATED_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(from.kept, &previous->low, &previous->bytes);
#endif
}

// What a new fiber says first.
EMULATED_UNCHECKED inline void arrived(Context*& previous) {
    (void)previous;
#ifdef EMULATED_ADDRESS_SANITIZER
    __sanitizer_finish_switch_fiber(nullptr, &previous->low, &previous->bytes);
#endif
}

// Makes ready to run `entry` from its start, on a stack of its own.
EMULATED_UNCHECKED inline void prepare(Context& context, Top& top, void (*entry)()) {
    context.low = top.low();
    context.bytes = (size_t)(top.high() - top.low());
    context.kept = nullptr;
#ifdef EMULATED_ADDRESS_SANITIZER
    __asan_unpoison_memory_region(context.low, context.bytes);
#endif
#ifdef EMULATED_X86
    // Six registers, of no value, where to go on, and, as if called, where to return to: nowhere.
    uintptr_t* at = (uintptr_t*)top.high() - 8;
    for (int i = 0; i < 8; i++) at[i] = 0;
    at[6] = (uintptr_t)entry;
    context.stack_pointer = at;
#else
    getcontext(&context.registers);
    context.registers.uc_stack.ss_sp = top.low();
    context.registers.uc_stack.ss_size = context.bytes;
    context.registers.uc_link = nullptr;
    makecontext(&context.registers, entry, 0);
#endif
}

// Stacks, made when they are needed and kept. Beneath each lies a page that nobody may touch.
class Stacks {
    static constexpr size_t SLAB = 32;
    u8* slabs[32] = {};
    size_t count = 0;
    size_t made = 0;
    Top* unused = nullptr;

  public:
    Stacks() = default;
    Stacks(const Stacks&) = delete;
    Stacks& operator=(const Stacks&) = delete;
    ~Stacks() {
        for (size_t i = 0; i < count; i++) munmap(slabs[i], (SLAB + 1) * STACK_BYTES);
    }

    // A stack, or null where there is no memory or more than 1024 are asked for.
    EMULATED_UNCHECKED Top* take(Machine* machine) {
        if (unused) {
            Top* top = unused;
            unused = top->next;
            return top;
        }
        if (made == count * SLAB) {
            if (count == sizeof slabs / sizeof *slabs) return nullptr;
            constexpr int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
            void* slab = mmap(nullptr, (SLAB + 1) * STACK_BYTES, PROT_READ | PROT_WRITE, how, -1, 0);
            if (slab == MAP_FAILED) return nullptr;
            slabs[count++] = (u8*)slab;
        }
        uintptr_t first = ((uintptr_t)slabs[count - 1] + STACK_BYTES - 1) & ~(uintptr_t)(STACK_BYTES - 1);
        u8* low = (u8*)first + made % SLAB * STACK_BYTES;
        mprotect(low, (size_t)sysconf(_SC_PAGESIZE), PROT_NONE);
        Top* top = (Top*)(low + STACK_BYTES) - 1;
        *top = Top{machine, nullptr, nullptr, made * 320 % 4096};
        made++;
        return top;
    }

    EMULATED_UNCHECKED void give(Top* top) {
        top->next = unused;
        unused = top;
    }
};

}  // namespace emulated
