// A stand-in for NVIDIA's driver, for tests: it writes down what is called, computes nothing, and does what was asked no sooner than
// it must. Work that is put on a stream is done when somebody waits for it, so who does not wait sees old bytes, and who frees too
// early is found out. Built as libcuda.so.1 by the tests; what it is like is said by macros:
//   VERSION 13000, GPUS 1, NAME "Stub", CAPABILITY 90 (major · 10 + minor), MEMORY in bytes,
//   VERSION_CODE and INIT_CODE: what cuDriverGetVersion and cuInit return;
//   LOSE_AFTER: after so many runs of a recording the GPU is lost;
//   -DcuName=other: there is no cuName.
// Tests ask it by: stub_log, stub_clear, stub_fail(function, code), stub_lose(code).
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef VERSION
#define VERSION 13000
#endif
#ifndef GPUS
#define GPUS 1
#endif
#ifndef NAME
#define NAME "Stub"
#endif
#ifndef CAPABILITY
#define CAPABILITY 90
#endif
#ifndef MEMORY
#define MEMORY (1ull << 20)
#endif
#ifndef VERSION_CODE
#define VERSION_CODE 0
#endif
#ifndef INIT_CODE
#define INIT_CODE 0
#endif

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201, NOT_READY = 600, CAPTURE = 900 };

typedef unsigned int u32;
typedef unsigned long long u64;

static char log_text[1 << 16];
static size_t log_len;
static const char* fail_name = "";
static int fail_code, lost, initialised, contexts;
static u64 used;
// Live objects: streams, events, graphs, modules, memory, host memory.
static int live[6];
static __thread void* current;

// What nobody asks for is forgotten.
#define LOG(...)                                                                            \
    do {                                                                                    \
        if (log_len > sizeof log_text - 1024) log_len = 0;                                  \
        log_len += snprintf(log_text + log_len, sizeof log_text - log_len, __VA_ARGS__);    \
    } while (0)
// What every call begins with; `in_context` ones need a context, and fail once the GPU is lost.
#define CALL(in_context, ...)                                             \
    do {                                                                  \
        LOG("%s", __func__);                                              \
        LOG(" " __VA_ARGS__);                                             \
        LOG("\n");                                                        \
        if (!strcmp(fail_name, __func__)) {                               \
            fail_name = "";                                               \
            return fail_code;                                             \
        }                                                                 \
        if (in_context && lost) return lost;                              \
        if (in_context && !current) return INVALID_CONTEXT;               \
    } while (0)

const char* stub_log(void) { return log_text; }
void stub_clear(void) { log_text[log_len = 0] = 0; }
void stub_fail(const char* name, int code) { fail_name = strdup(name), fail_code = code; }
void stub_lose(int code) { lost = code; }

int cuDriverGetVersion(int* version) {
    *version = VERSION;
    return VERSION_CODE;
}
int cuInit(u32 flags) {
    CALL(0, "%u", flags);
    initialised = INIT_CODE == 0;
    return INIT_CODE;
}
static const struct { int code; const char *name, *text; } words[] = {
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "CUDA-capable device(s) is/are busy or unavailable"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "system has unsupported display driver / cuda driver combination"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
};
static int word(int code, const char** text, int name) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].code == code) return *text = name ? words[i].name : words[i].text, OK;
    return *text = NULL, INVALID_VALUE;
}
int cuGetErrorName(int code, const char** text) { return word(code, text, 1); }
int cuGetErrorString(int code, const char** text) { return word(code, text, 0); }

int cuDeviceGetCount(int* count) { return *count = GPUS, initialised ? OK : NOT_INITIALIZED; }
int cuDeviceGet(int* device, int number) { return *device = number, number < GPUS ? OK : 101; }
int cuDeviceGetName(char* name, int len, int device) {
    CALL(0, "%d", device);
    return snprintf(name, len, "%s %d", NAME, device), OK;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { return *bytes = MEMORY, (void)device, OK; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
    (void)device;
    switch (attribute) {
    case 75: return *value = CAPABILITY / 10, OK;
    case 76: return *value = CAPABILITY % 10, OK;
    case 16: return *value = 132, OK;
    case 97: return *value = 227 << 10, OK;
    default: return INVALID_VALUE;
    }
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
    CALL(0, "%d", device);
    return contexts++, *context = &contexts, OK;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    CALL(0, "%d; left: %d streams, %d events, %d graphs, %d modules, %d memory, %d host", device, live[0], live[1], live[2], live[3],
         live[4], live[5]);
    return contexts--, current = NULL, OK;
}
int cuCtxSetCurrent(void* context) { return current = context, lost ? lost : OK; }
int cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
    CALL(1);
    return *free_bytes = MEMORY - used, *total = MEMORY, OK;
}

// Blocks know their size, and are spoilt when they are freed.
static u64* block(size_t bytes) {
    u64* at = malloc(bytes + 16);
    at[0] = bytes;
    return memset(at + 2, 0xA5, bytes), at + 2;
}
static size_t unblock(void* at) {
    u64* block = (u64*)at - 2;
    size_t bytes = block[0];
    memset(at, 0x5A, bytes);
    return free(block), bytes;
}
int cuMemAlloc_v2(u64* address, size_t bytes) {
    CALL(1, "%zu", bytes);
    if (bytes > MEMORY - used) return OUT_OF_MEMORY;
    return used += bytes, live[4]++, *address = (u64)(uintptr_t)block(bytes), OK;
}
int cuMemFree_v2(u64 address) {
    CALL(1);
    return used -= unblock((void*)(uintptr_t)address), live[4]--, OK;
}
int cuMemHostAlloc(void** at, size_t bytes, u32 flags) {
    CALL(1, "%zu %u", bytes, flags);
    return live[5]++, *at = block(bytes), OK;
}
int cuMemFreeHost(void* at) {
    CALL(1);
    return unblock(at), live[5]--, OK;
}

// Work that is put on streams.
struct stream;
struct event {
    int number;
    struct stream* stream;
    size_t at;
};
enum kind { COPY, ZERO, RUN, WAIT };
struct work {
    enum kind kind;
    void* to;
    const void* from;
    size_t len;
    struct event* event;
    char name[64];
};
struct graph {
    struct work* works;
    size_t count;
};
struct stream {
    int number, recording;
    struct work* works;
    size_t count, done;
    struct graph graph;
};
static int streams, events;

static void append(struct work** works, size_t* count, struct work work) {
    *works = realloc(*works, (*count + 1) * sizeof work);
    (*works)[(*count)++] = work;
}
static int put(struct stream* stream, struct work work) {
    if (stream->recording) return append(&stream->graph.works, &stream->graph.count, work), OK;
    return append(&stream->works, &stream->count, work), OK;
}
static void run(struct stream* stream, size_t until) {
    for (; stream->done < until; stream->done++) {
        struct work work = stream->works[stream->done];
        switch (work.kind) {
        case COPY: memcpy(work.to, work.from, work.len); break;
        case ZERO: memset(work.to, 0, work.len); break;
        case RUN: LOG("  runs %s\n", work.name); break;
        case WAIT:
            if (work.event->stream) run(work.event->stream, work.len);
            break;
        }
    }
}

int cuStreamCreate(void** stream, u32 flags) {
    CALL(1, "%u", flags);
    struct stream* made = calloc(1, sizeof *made);
    made->number = streams++;
    return live[0]++, *stream = made, OK;
}
int cuStreamDestroy_v2(struct stream* stream) {
    CALL(1, "stream %d, %zu undone", stream->number, stream->count - stream->done);
    return live[0]--, OK;
}
int cuStreamSynchronize(struct stream* stream) {
    CALL(1, "stream %d", stream->number);
    if (stream->recording) return CAPTURE;
    return run(stream, stream->count), OK;
}
int cuStreamWaitEvent(struct stream* stream, struct event* event, u32 flags) {
    CALL(1, "stream %d, event %d, %u", stream->number, event->number, flags);
    return put(stream, (struct work){.kind = WAIT, .event = event, .len = event->at});
}
int cuEventCreate(void** event, u32 flags) {
    CALL(1, "%u", flags);
    struct event* made = calloc(1, sizeof *made);
    made->number = events++;
    return live[1]++, *event = made, OK;
}
int cuEventDestroy_v2(struct event* event) {
    CALL(1, "event %d", event->number);
    return live[1]--, OK;
}
int cuEventRecord(struct event* event, struct stream* stream) {
    CALL(1, "event %d, stream %d", event->number, stream->number);
    return event->stream = stream, event->at = stream->count, OK;
}
int cuEventQuery(struct event* event) {
    CALL(1, "event %d", event->number);
    return !event->stream || event->stream->done >= event->at ? OK : NOT_READY;
}
int cuEventSynchronize(struct event* event) {
    CALL(1, "event %d", event->number);
    if (event->stream) run(event->stream, event->at);
    return OK;
}
int cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t len, struct stream* stream) {
    CALL(1, "%zu, stream %d", len, stream->number);
    return put(stream, (struct work){.kind = COPY, .to = (void*)(uintptr_t)to, .from = from, .len = len});
}
int cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t len, struct stream* stream) {
    CALL(1, "%zu, stream %d", len, stream->number);
    return put(stream, (struct work){.kind = COPY, .to = to, .from = (void*)(uintptr_t)from, .len = len});
}
int cuMemsetD8Async(u64 at, unsigned char value, size_t len, struct stream* stream) {
    CALL(1, "%u × %zu, stream %d", value, len, stream->number);
    return put(stream, (struct work){.kind = ZERO, .to = (void*)(uintptr_t)at, .len = len});
}

// Modules are what the other stub writes: after a first line, lines of a kernel's name and the bytes of its argument.
struct kernel {
    char name[64];
    size_t bytes;
    int shared;
};
struct module {
    struct kernel kernels[64];
    u32 count;
};
int cuModuleLoadData(void** module, const char* image) {
    CALL(1);
    struct module* made = calloc(1, sizeof *made);
    for (const char* line = strchr(image, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
        struct kernel* kernel = &made->kernels[made->count];
        made->count += sscanf(line + 1, "%63s %zu", kernel->name, &kernel->bytes) == 2;
    }
    return live[3]++, *module = made, OK;
}
int cuModuleUnload(struct module* module) {
    CALL(1, "%s", module->kernels[0].name);
    return live[3]--, OK;
}
int cuModuleGetFunctionCount(u32* count, struct module* module) { return *count = module->count, OK; }
int cuModuleEnumerateFunctions(void** functions, u32 count, struct module* module) {
    for (u32 i = 0; i < count; i++) functions[i] = &module->kernels[i];
    return OK;
}
int cuFuncGetName(const char** name, struct kernel* kernel) { return *name = kernel->name, OK; }
int cuFuncGetParamInfo(struct kernel* kernel, size_t index, size_t* offset, size_t* bytes) {
    return *offset = 0, *bytes = kernel->bytes, index == 0 ? OK : INVALID_VALUE;
}
int cuFuncLoad(struct kernel* kernel) {
    CALL(1, "%s", kernel->name);
    return OK;
}
int cuFuncSetAttribute(struct kernel* kernel, int attribute, int value) {
    CALL(1, "%s, %d, %d", kernel->name, attribute, value);
    if (attribute == 8) kernel->shared = value;
    return OK;
}
int cuLaunchKernel(struct kernel* kernel, u32 x, u32 y, u32 z, u32 tx, u32 ty, u32 tz, u32 shared, struct stream* stream,
                   void** arguments, void** extra) {
    CALL(1, "%s, %u %u %u, %u %u %u, %u, stream %d", kernel->name, x, y, z, tx, ty, tz, shared, stream->number);
    if (extra || tx * ty * tz > 1024 || x * y * z == 0 || (shared > 48 << 10 && (int)shared > kernel->shared)) return INVALID_VALUE;
    struct work work = {.kind = RUN};
    int len = snprintf(work.name, sizeof work.name, "%s", kernel->name);
    for (size_t i = 0; i < kernel->bytes && len < 60; i++)
        len += snprintf(work.name + len, sizeof work.name - len, "%s%02x", i % 4 ? "" : " ", ((unsigned char*)arguments[0])[i]);
    return put(stream, work);
}

int cuStreamBeginCapture_v2(struct stream* stream, int mode) {
    CALL(1, "stream %d, %d", stream->number, mode);
    if (stream->recording) return CAPTURE;
    return stream->recording = 1, stream->graph = (struct graph){0}, OK;
}
int cuStreamEndCapture(struct stream* stream, struct graph** graph) {
    LOG("cuStreamEndCapture stream %d\n", stream->number);
    stream->recording = 0;
    *graph = NULL;
    if (!strcmp(fail_name, __func__)) return fail_name = "", fail_code;
    if (lost) return lost;
    *graph = malloc(sizeof **graph);
    **graph = stream->graph;
    return live[2]++, OK;
}
int cuGraphInstantiateWithFlags(struct graph** made, struct graph* graph, u64 flags) {
    CALL(1, "%zu nodes, %llu", graph->count, flags);
    *made = malloc(sizeof **made);
    **made = *graph;
    return live[2]++, OK;
}
int cuGraphDestroy(struct graph* graph) {
    CALL(1);
    return free(graph), live[2]--, OK;
}
int cuGraphExecDestroy(struct graph* graph) {
    CALL(1);
    return free(graph), live[2]--, OK;
}
int cuGraphUpload(struct graph* graph, struct stream* stream) {
    CALL(1, "%zu nodes, stream %d", graph->count, stream->number);
    return OK;
}
int cuGraphLaunch(struct graph* graph, struct stream* stream) {
#ifdef LOSE_AFTER
    static int runs;
    if (++runs > LOSE_AFTER) lost = 719;
#endif
    CALL(1, "%zu nodes, stream %d", graph->count, stream->number);
    for (size_t i = 0; i < graph->count; i++) put(stream, graph->works[i]);
    return OK;
}
