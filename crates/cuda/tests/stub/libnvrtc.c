// A stand-in for NVIDIA's compiler, for tests. It takes any text without `#error`; what it returns for it is a line, and a line for
// each kernel with the bytes of its argument, which libcuda.c of this folder reads. Built as libnvrtc.so.13 by the tests; macros:
//   MAJOR 13, MINOR 0.
// Tests ask it by: stub_log, stub_clear.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MAJOR
#define MAJOR 13
#endif
#ifndef MINOR
#define MINOR 0
#endif

enum { OK = 0, INVALID_INPUT = 3, COMPILATION = 6 };

struct program {
    char *text, *headers, *cubin;
    const char* log;
};

static char log_text[1 << 16];
static size_t log_len;
#define LOG(...)                                                                            \
    do {                                                                                    \
        if (log_len > sizeof log_text - 1024) log_len = 0;                                  \
        log_len += snprintf(log_text + log_len, sizeof log_text - log_len, __VA_ARGS__);    \
    } while (0)

const char* stub_log(void) { return log_text; }
void stub_clear(void) { log_text[log_len = 0] = 0; }

int nvrtcVersion(int* major, int* minor) { return *major = MAJOR, *minor = MINOR, OK; }
static const int architectures[] = {75, 80, 86, 89, 90, 100, 120};
int nvrtcGetNumSupportedArchs(int* count) { return *count = sizeof architectures / sizeof *architectures, OK; }
int nvrtcGetSupportedArchs(int* all) { return memcpy(all, architectures, sizeof architectures), OK; }

int nvrtcCreateProgram(struct program** made, const char* text, const char* name, int count, const char* const* headers,
                       const char* const* names) {
    struct program* program = calloc(1, sizeof *program);
    LOG("create %s with", name);
    program->text = strdup(text);
    program->headers = calloc(1, 1);
    for (int i = 0; i < count; i++) {
        LOG(" %s", names[i]);
        program->headers = realloc(program->headers, strlen(program->headers) + strlen(headers[i]) + 1);
        strcat(program->headers, headers[i]);
    }
    LOG("\n");
    return *made = program, OK;
}
int nvrtcDestroyProgram(struct program** program) {
    LOG("destroy\n");
    free((*program)->text), free((*program)->headers), free((*program)->cubin), free(*program);
    return *program = NULL, OK;
}
// The bytes of a structure, which a static_assert in the headers or the text tells; 0 of one that none tells.
static size_t bytes_of(const struct program* program, const char* name) {
    char wanted[128];
    snprintf(wanted, sizeof wanted, "sizeof(%s) == ", name);
    const char* found = strstr(program->headers, wanted);
    found = found ? found : strstr(program->text, wanted);
    return found ? strtoul(found + strlen(wanted), NULL, 10) : 0;
}
int nvrtcCompileProgram(struct program* program, int count, const char* const* options) {
    LOG("compile");
    for (int i = 0; i < count; i++) LOG(" %s", options[i]);
    LOG("\n");
    program->log = "";
    if (strstr(program->text, "#error")) return program->log = "x.cu(1): error: #error directive: no\n\n1 error detected\n", COMPILATION;
    program->cubin = calloc(1, strlen(program->text) * 4 + 64);
    char* end = program->cubin + sprintf(program->cubin, "\x7f" "ELF, or nearly so\n");
    for (const char* at = program->text; (at = strstr(at, "KERNEL(")); at++) {
        char name[64], args[64];
        if (sscanf(at, "KERNEL(%63[^,], %63[^,],", name, args) == 2) end += sprintf(end, "%s %zu\n", name, bytes_of(program, args));
    }
    return OK;
}
int nvrtcGetProgramLogSize(struct program* program, size_t* len) { return *len = strlen(program->log) + 1, OK; }
int nvrtcGetProgramLog(struct program* program, char* log) { return strcpy(log, program->log), OK; }
int nvrtcGetCUBINSize(struct program* program, size_t* len) {
    return program->cubin ? (*len = strlen(program->cubin) + 1, OK) : INVALID_INPUT;
}
int nvrtcGetCUBIN(struct program* program, char* cubin) { return strcpy(cubin, program->cubin), OK; }
