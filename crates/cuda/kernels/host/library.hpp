// The functions of the shared library that a source becomes, and what happens where its code does what C++ does not define.
#pragma once

#include <new>

#define EMULATED_EXPORT extern "C" __attribute__((visibility("default"), used)) inline

// Of the kernel at place `index`: itself, its name, the bytes of its argument, the most threads of its blocks. Null past the last.
EMULATED_EXPORT const void* emulated_kernel(u32 index, const char** name, u32* args_bytes, u32* threads) {
    const emulated::Kernel* kernel = emulated::kernels();
    while (kernel && index--) kernel = kernel->next;
    if (kernel) *name = kernel->name, *args_bytes = kernel->args_bytes, *threads = kernel->threads;
    return kernel;
}

// What blocks run on, for one thread of the host at a time; it serves the kernels of every library that was made by the same compiler
// of the same headers. Null where there is no memory.
EMULATED_EXPORT void* emulated_machine() { return new (std::nothrow) emulated::Machine(); }
EMULATED_EXPORT void emulated_free(void* machine) { delete (emulated::Machine*)machine; }

// Runs one block. A fault's message, which lives until the next block runs, or null.
EMULATED_EXPORT const char* emulated_run(void* machine, const void* kernel, const emulated::Launch* launch, u64 block) {
    return ((emulated::Machine*)machine)->run(*(const emulated::Kernel*)kernel, *launch, block);
}

// For who catches signals: the upper end of the stack that an address lies on, and what to call there, with the address that was used.
EMULATED_EXPORT void* emulated_top(const void* on_stack) {
    return (((emulated::Top*)(((uintptr_t)on_stack | (emulated::STACK_BYTES - 1)) + 1)) - 1)->high();
}
EMULATED_EXPORT void emulated_lost(u64 address) { emulated::machine().fail("uses the address %#llx, where nothing is", address); }

// What the compiler calls where -fsanitize= finds a fault, if nobody else is there for it.
#ifdef EMULATED_CATCHES
struct EmulatedSource {
    const char* file;
    u32 line, column;
};
#define EMULATED_CATCH(name, what, ...)                                                                              \
    extern "C" __attribute__((visibility("hidden"), used)) inline void name(void* data, ##__VA_ARGS__) {            \
        const EmulatedSource& at = *(const EmulatedSource*)data;                                                     \
        emulated::machine().fail("%s (%s:%u)", what, emulated::base_name(at.file), at.line);                         \
    }
extern "C" __attribute__((visibility("hidden"), used)) inline void __ubsan_handle_type_mismatch_v1(void* data, void* at) {
    const EmulatedSource& source = *(const EmulatedSource*)data;
    emulated::machine().fail("uses the %saddress %p (%s:%u)", at ? "misaligned " : "", at, emulated::base_name(source.file), source.line);
}
EMULATED_CATCH(__ubsan_handle_out_of_bounds, "an index outside its array", void*)
EMULATED_CATCH(__ubsan_handle_shift_out_of_bounds, "a shift by more bits than there are", void*, void*)
EMULATED_CATCH(__ubsan_handle_divrem_overflow, "a division by zero", void*, void*)
#endif
