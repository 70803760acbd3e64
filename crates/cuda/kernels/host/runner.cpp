// A device in a process of its own: it is built with sanitizers, loads libraries that are, and does what it is told on its standard
// input. Where a sanitizer ends it, its standard error says why.
//
// A request is five numbers, what, a, b, c and the bytes that follow; an answer is two, a value and the bytes that follow.
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <string>
#include <vector>

typedef uint32_t u32;
typedef uint64_t u64;

// emulated::Launch
struct Launch {
    u32 grid[3], threads, shared, reserved;
    u64 seed;
    const void* args;
};
struct Library {
    const void* (*kernel)(u32, const char**, u32*, u32*);
    const char* (*run)(void*, const void*, const Launch*, u64);
};
struct Kernel {
    Library library;
    const void* address;
};

enum What : u64 { TAKE, WRITE, READ, ZERO, LOAD, LAUNCH };
struct Request {
    u64 what, a, b, c, bytes;
};

static std::vector<Kernel> kernels;
static void* machine;

static void answer(u64 value, const void* bytes = nullptr, u64 count = 0) {
    u64 head[2] = {value, count};
    fwrite(head, sizeof head, 1, stdout);
    if (count) fwrite(bytes, count, 1, stdout);
    fflush(stdout);
}
static void answer_text(u64 value, const std::string& text) { answer(value, text.data(), text.size()); }

// The kernels of a library, a line each.
static void load(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) return answer_text(0, dlerror());
    Library library = {(decltype(Library::kernel))dlsym(handle, "emulated_kernel"), (decltype(Library::run))dlsym(handle, "emulated_run")};
    if (!machine) machine = ((void* (*)())dlsym(handle, "emulated_machine"))();
    std::string list;
    const char* name;
    u32 args_bytes, threads;
    for (u32 i = 0; const void* address = library.kernel(i, &name, &args_bytes, &threads); i++) {
        kernels.push_back({library, address});
        list += std::string(name) + " " + std::to_string(args_bytes) + " " + std::to_string(threads) + "\n";
    }
    answer_text(1, list);
}

// Blocks in the order first, first + step, …, modulo their number. The payload is a Launch and, behind it, the argument.
static void launch(const Request& request, const std::vector<char>& payload) {
    Launch described;
    memcpy(&described, payload.data(), sizeof described);
    // A block of exactly its bytes, as everything that a kernel sees.
    size_t args_bytes = payload.size() - sizeof described;
    void* args = malloc(args_bytes);
    memcpy(args, payload.data() + sizeof described, args_bytes);
    described.args = args;
    const Kernel& kernel = kernels[request.a];
    u64 blocks = (u64)described.grid[0] * described.grid[1] * described.grid[2];
    const char* fault = nullptr;
    u64 block = request.b % blocks;
    for (u64 i = 0; i < blocks && !fault; i++) {
        fault = kernel.library.run(machine, kernel.address, &described, block);
        block = (u64)(((unsigned __int128)block + request.c) % blocks);
    }
    if (fault) {
        answer_text(0, fault);
    } else {
        answer(1);
    }
    free(args);
}

int main() {
    Request request;
    while (fread(&request, sizeof request, 1, stdin) == 1) {
        std::vector<char> payload(request.bytes);
        if (request.bytes && fread(payload.data(), request.bytes, 1, stdin) != 1) return 1;
        switch (request.what) {
            case TAKE: {
                void* memory = nullptr;
                if (posix_memalign(&memory, 256, request.a)) memory = nullptr;
                if (memory) memset(memory, 0xff, request.a);
                answer((u64)memory);
                break;
            }
            case WRITE:
                if (request.bytes) memcpy((void*)request.a, payload.data(), request.bytes);
                answer(1);
                break;
            case READ: answer(1, (const void*)request.a, request.b); break;
            case ZERO: memset((void*)request.a, 0, request.b), answer(1); break;
            case LOAD: load(std::string(payload.begin(), payload.end())); break;
            case LAUNCH: launch(request, payload); break;
            default: return 1;
        }
    }
}
