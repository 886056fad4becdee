// libcuda, NVRTC and cuBLASLt as far as the driver in src/nvidia uses them, in one library, with the host's memory for
// a card's: to see that calls come in a right order with right arguments, on machines that have no card.
//
// As late as is legal: what is handed to a stream is done when somebody waits for it, so that staging which is used
// again too early, or a missing wait, gives wrong bytes. Whoever calls without a context, or while a stream records
// what must not be called then, is answered with an error; what is not given back before the context goes, ends the
// program.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t Address;

enum { INVALID = 1, OUT_OF_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, NOT_READY = 600, FORBIDDEN = 900 };

typedef struct Op Op;
typedef struct Stream Stream;
typedef struct Event Event;

struct Op {
    enum { COPY, CLEAR, RECORD, WAIT, KERNEL, MATMUL, GRAPH } kind;
    Address to, from;
    size_t bytes;
    Event* event;
    // Of a wait: how many of the other stream's pieces must be done.
    Stream* other;
    size_t until;
    const char* kernel;
    uint64_t values[8];
    struct Matmul* matmul;
    Stream* graph;
    Op* next;
};

struct Stream {
    Op *first, *last;
    size_t handed, done;
    int capturing;
};

// Which place it was recorded at last.
struct Event {
    Stream* stream;
    size_t place;
};

static _Thread_local void* current;
static int context_word, retained;
static long blocks, pinned, events, streams, modules, executables, descriptions;
static size_t room = 256u << 20;
static Stream* capturing;

#define ENTERED() if (current != &context_word) return NO_CONTEXT
#define NOT_RECORDING() if (capturing) return FORBIDDEN

// Adds a piece to what a stream has to do.
static void hand(Stream* stream, Op op) {
    Op* copy = malloc(sizeof *copy);
    *copy = op;
    copy->next = NULL;
    if (stream->last) stream->last->next = copy; else stream->first = copy;
    stream->last = copy;
    stream->handed++;
}

static float wide(const void* at, int bf16, size_t index) {
    if (!bf16) return ((const float*)at)[index];
    uint32_t bits = (uint32_t)((const uint16_t*)at)[index] << 16;
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static uint16_t narrow(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

typedef struct { int bf16; uint64_t rows, columns; int64_t leading; } Layout;
typedef struct { uint32_t ta, tb, epilogue; Address bias; } Description;
struct Matmul { Description d; Layout a, b, c; const void *pa, *pb; void* pc; float alpha, beta; };

// Column-major, by cuBLASLt's documentation.
static void multiply(const struct Matmul* m) {
    uint64_t depth = m->d.ta ? m->a.rows : m->a.columns;
    for (uint64_t i = 0; i < m->c.rows; ++i) {
        for (uint64_t j = 0; j < m->c.columns; ++j) {
            float sum = 0;
            for (uint64_t k = 0; k < depth; ++k) {
                uint64_t a = m->d.ta ? k + i * m->a.leading : i + k * m->a.leading;
                uint64_t b = m->d.tb ? j + k * m->b.leading : k + j * m->b.leading;
                sum += wide(m->pa, m->a.bf16, a) * wide(m->pb, m->b.bf16, b);
            }
            uint64_t c = i + j * m->c.leading;
            sum = m->alpha * sum;
            if (m->beta != 0) sum += m->beta * wide(m->pc, m->c.bf16, c);
            if (m->d.epilogue == 4) sum += wide((void*)m->d.bias, m->c.bf16, i);
            if (m->c.bf16) ((uint16_t*)m->pc)[c] = narrow(sum); else ((float*)m->pc)[c] = sum;
        }
    }
}

static void advance(Stream* stream, size_t until);

static void perform(const Op* op) {
    switch (op->kind) {
    case COPY: memcpy((void*)op->to, (void*)op->from, op->bytes); break;
    case CLEAR: memset((void*)op->to, 0, op->bytes); break;
    case RECORD: break;
    case WAIT: advance(op->other, op->until); break;
    case MATMUL: multiply(op->matmul); break;
    case GRAPH:
        for (Op* each = op->graph->first; each; each = each->next) perform(each);
        break;
    case KERNEL:
        if (!strcmp(op->kernel, "transposed<float, bf16>")) {
            for (uint64_t n = 0; n < op->values[4]; ++n) {
                ((uint16_t*)op->values[1])[n] = narrow(((float*)op->values[0])[n]);
            }
        } else if (!strcmp(op->kernel, "scaled_sum")) {
            double sum = 0, factor;
            for (int n = 0; n < (int)(uint32_t)op->values[2]; ++n) sum += ((double*)op->values[0])[n];
            memcpy(&factor, &op->values[3], 8);
            *(float*)op->values[1] = (float)(factor * sum);
        }
    }
}

static void advance(Stream* stream, size_t until) {
    while (stream->done < until && stream->first) {
        Op* op = stream->first;
        stream->first = op->next;
        if (!stream->first) stream->last = NULL;
        perform(op);
        free(op);
        stream->done++;
    }
}

// For the tests: another machine.
static int version_number = 13000, init_answer, cards = 1, capability = 90;

void fake_machine(int version, int init, int count, int architecture) {
    version_number = version;
    init_answer = init;
    cards = count;
    capability = architecture;
}

// libcuda

int cuInit(unsigned flags) { return flags ? INVALID : init_answer; }
int cuDriverGetVersion(int* version) { *version = version_number; return 0; }
int cuDeviceGetCount(int* count) { *count = cards; return 0; }
int cuDeviceGet(int* device, int number) { *device = 7; return number ? 101 : 0; }
int cuDeviceGetName(char* name, int length, int device) {
    snprintf(name, length, "Fake");
    return device == 7 ? 0 : 101;
}
int cuDeviceTotalMem_v2(size_t* bytes, int device) { *bytes = 256u << 20; return device == 7 ? 0 : 101; }
int cuDeviceGetAttribute(int* value, int attribute, int device) {
    *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : attribute == 16 ? 132 : -1;
    return device == 7 && *value >= 0 ? 0 : INVALID;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
    retained++;
    *context = &context_word;
    return device == 7 ? 0 : 101;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    if (--retained == 0 && (blocks || pinned || events || streams || modules || executables || descriptions)) {
        fprintf(stderr, "not given back: %ld blocks, %ld pinned, %ld events, %ld streams, %ld modules, %ld graphs, "
                "%ld descriptions\n", blocks, pinned, events, streams, modules, executables, descriptions);
        abort();
    }
    return device == 7 ? 0 : 101;
}
int cuCtxSetCurrent(void* context) { current = context; return 0; }
int cuGetErrorName(int error, const char** name) {
    *name = error == 101 ? "CUDA_ERROR_INVALID_DEVICE" : "CUDA_ERROR";
    return 0;
}
int cuGetErrorString(int error, const char** text) { *text = "said the fake"; return error ? 0 : INVALID; }
int cuMemGetInfo_v2(size_t* left, size_t* all) { ENTERED(); *left = room; *all = 256u << 20; return 0; }
int cuMemAlloc_v2(Address* address, size_t bytes) {
    ENTERED();
    NOT_RECORDING();
    if (bytes > room) return OUT_OF_MEMORY;
    // Before it, how many bytes it has.
    char* all = aligned_alloc(256, (bytes + 511) / 256 * 256);
    *(size_t*)all = bytes;
    memset(all + 256, 0xa5, bytes);
    *address = (Address)(all + 256);
    room -= bytes;
    blocks++;
    return 0;
}
int cuMemFree_v2(Address address) {
    ENTERED();
    room += *(size_t*)(address - 256);
    free((void*)(address - 256));
    blocks--;
    return 0;
}
int cuMemAllocHost_v2(void** start, size_t bytes) {
    ENTERED();
    NOT_RECORDING();
    *start = malloc(bytes);
    pinned++;
    return 0;
}
int cuMemFreeHost(void* start) {
    ENTERED();
    free(start);
    pinned--;
    return 0;
}

static int copy(Address to, Address from, size_t bytes, Stream* stream) {
    ENTERED();
    hand(stream, (Op){.kind = COPY, .to = to, .from = from, .bytes = bytes});
    return 0;
}
int cuMemcpyHtoDAsync_v2(Address to, const void* from, size_t bytes, Stream* stream) {
    return copy(to, (Address)from, bytes, stream);
}
int cuMemcpyDtoHAsync_v2(void* to, Address from, size_t bytes, Stream* stream) {
    return copy((Address)to, from, bytes, stream);
}
int cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream* stream) {
    return copy(to, from, bytes, stream);
}
int cuMemsetD8Async(Address to, unsigned char value, size_t bytes, Stream* stream) {
    ENTERED();
    hand(stream, (Op){.kind = CLEAR, .to = to, .bytes = bytes});
    return value ? INVALID : 0;
}
int cuStreamCreate(Stream** stream, unsigned flags) {
    ENTERED();
    *stream = calloc(1, sizeof **stream);
    streams++;
    return flags == 1 ? 0 : INVALID;
}
int cuStreamDestroy_v2(Stream* stream) {
    ENTERED();
    advance(stream, SIZE_MAX);
    free(stream);
    streams--;
    return 0;
}
int cuStreamSynchronize(Stream* stream) {
    ENTERED();
    NOT_RECORDING();
    advance(stream, SIZE_MAX);
    return 0;
}
int cuEventCreate(Event** event, unsigned flags) {
    ENTERED();
    *event = calloc(1, sizeof **event);
    events++;
    return flags == 2 ? 0 : INVALID;
}
int cuEventDestroy_v2(Event* event) {
    ENTERED();
    free(event);
    events--;
    return 0;
}
int cuEventRecord(Event* event, Stream* stream) {
    ENTERED();
    NOT_RECORDING();
    hand(stream, (Op){.kind = RECORD, .event = event});
    *event = (Event){stream, stream->handed};
    return 0;
}
int cuEventQuery(Event* event) {
    ENTERED();
    NOT_RECORDING();
    return event->stream && event->stream->done < event->place ? NOT_READY : 0;
}
int cuEventSynchronize(Event* event) {
    ENTERED();
    NOT_RECORDING();
    if (event->stream) advance(event->stream, event->place);
    return 0;
}
int cuStreamWaitEvent(Stream* stream, Event* event, unsigned flags) {
    ENTERED();
    if (event->stream) hand(stream, (Op){.kind = WAIT, .other = event->stream, .until = event->place});
    return flags ? INVALID : 0;
}
int cuStreamBeginCapture_v2(Stream* stream, int mode) {
    ENTERED();
    NOT_RECORDING();
    // A graph's pieces are kept apart from what the stream still has to do.
    capturing = stream;
    Stream* aside = malloc(sizeof *aside);
    *aside = *stream;
    *stream = (Stream){.capturing = 1};
    stream->handed = (size_t)aside;
    return mode == 1 ? 0 : INVALID;
}
int cuStreamEndCapture(Stream* stream, Stream** graph) {
    ENTERED();
    size_t pieces = 0;
    for (Op* op = stream->first; op; op = op->next) pieces++;
    Stream* aside = (Stream*)(stream->handed - pieces);
    *graph = calloc(1, sizeof **graph);
    (*graph)->first = stream->first;
    *stream = *aside;
    free(aside);
    capturing = NULL;
    return 0;
}
int cuGraphInstantiateWithFlags(Stream** made, Stream* graph, unsigned long long flags) {
    ENTERED();
    NOT_RECORDING();
    *made = malloc(sizeof **made);
    **made = *graph;
    graph->first = NULL;
    executables++;
    return flags ? INVALID : 0;
}
int cuGraphDestroy(Stream* graph) { ENTERED(); free(graph); return 0; }
int cuGraphExecDestroy(Stream* graph) { ENTERED(); executables--; return graph ? 0 : INVALID; }
int cuGraphLaunch(Stream* graph, Stream* stream) {
    ENTERED();
    hand(stream, (Op){.kind = GRAPH, .graph = graph});
    return 0;
}
int cuModuleLoadData(void** module, const char* image) {
    ENTERED();
    NOT_RECORDING();
    *module = (void*)image;
    modules++;
    return memcmp(image, "\177ELF", 4) ? 200 : 0;
}
int cuModuleUnload(void* module) { ENTERED(); modules--; return module ? 0 : INVALID; }
int cuModuleGetFunction(char** function, void* module, const char* name) {
    ENTERED();
    // Kept as long as the program: tests ask for few.
    *function = strdup(name);
    return module && *name ? 0 : NOT_FOUND;
}
int cuFuncGetParamInfo(const char* function, size_t index, size_t* offset, size_t* size) {
    static const size_t transposed[] = {8, 8, 4, 4, 8}, scaled[] = {8, 8, 4, 8};
    const int is_transposed = !strcmp(function, "transposed<float, bf16>");
    if (index >= (is_transposed ? 5u : strcmp(function, "scaled_sum") ? 0u : 4u)) return INVALID;
    *offset = 8 * index;
    *size = (is_transposed ? transposed : scaled)[index];
    return 0;
}
int cuLaunchKernel(const char* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, Stream* stream, void** values, void** extra) {
    ENTERED();
    if (!gx || !gy || !gz || bx * by * bz == 0 || bx * by * bz > 1024 || shared || extra) return INVALID;
    Op op = {.kind = KERNEL, .kernel = function};
    size_t offset, size;
    for (size_t n = 0; cuFuncGetParamInfo(function, n, &offset, &size) == 0; ++n) {
        memcpy(&op.values[n], values[n], size);
    }
    hand(stream, op);
    return 0;
}

// NVRTC: a kernel's name in the code is that in C++.

typedef struct { const char* names[64]; int count, compiled; } Program;

int nvrtcVersion(int* major, int* minor) { *major = 13; *minor = 0; return 0; }
int nvrtcGetNumSupportedArchs(int* count) { *count = 2; return 0; }
int nvrtcGetSupportedArchs(int* found) { found[0] = 80; found[1] = 90; return 0; }
int nvrtcCreateProgram(Program** program, const char* source, const char* name, int count,
                       const char* const* headers, const char* const* names) {
    *program = calloc(1, sizeof **program);
    for (int n = 0; n < count; ++n) {
        if (!*headers[n] || !*names[n]) return 3;
    }
    return *source && *name ? 0 : 3;
}
int nvrtcDestroyProgram(Program** program) { free(*program); return 0; }
int nvrtcAddNameExpression(Program* program, const char* name) {
    program->names[program->count++] = strdup(name);
    return 0;
}
int nvrtcCompileProgram(Program* program, int count, const char* const* options) {
    program->compiled = count == 3 && !strcmp(options[0], "--gpu-architecture=sm_90");
    return program->compiled ? 0 : 5;
}
int nvrtcGetLoweredName(Program* program, const char* name, const char** lowered) {
    for (int n = 0; n < program->count; ++n) {
        if (strcmp(program->names[n], name)) continue;
        *lowered = program->names[n];
        return 0;
    }
    return 10;
}
int nvrtcGetProgramLogSize(Program* program, size_t* length) { *length = 1; return program ? 0 : 4; }
int nvrtcGetProgramLog(Program* program, char* log) { *log = 0; return program ? 0 : 4; }
int nvrtcGetCUBINSize(Program* program, size_t* length) { *length = 8; return program->compiled ? 0 : 4; }
int nvrtcGetCUBIN(Program* program, char* code) { memcpy(code, "\177ELFfake", 8); return program ? 0 : 4; }
// Nobody asks for these: the card's architecture is known.
int nvrtcGetPTXSize(void) { return 4; }
int nvrtcGetPTX(void) { return 4; }

// cuBLASLt

typedef struct { uint64_t workspace; uint32_t numbers[16]; } Preference;
typedef struct { uint64_t algorithm[8]; size_t workspace; uint32_t state; float waves; int reserved[4]; } Found;

static int asked;

size_t cublasLtGetVersion(void) { return 130100; }
size_t cublasLtGetCudartVersion(void) { return 13000; }
int cublasLtCreate(void** handle) {
    if (current != &context_word) return 1;
    *handle = malloc(1);
    descriptions++;
    return 0;
}
static int destroy(void* made) {
    free(made);
    descriptions--;
    return 0;
}
int cublasLtDestroy(void* handle) { return destroy(handle); }
int cublasLtMatmulDescCreate(Description** made, int compute, int scale) {
    *made = calloc(1, sizeof **made);
    (*made)->epilogue = 1;
    descriptions++;
    return compute == 68 && scale == 0 ? 0 : 15;
}
int cublasLtMatmulDescDestroy(void* made) { return destroy(made); }
int cublasLtMatmulDescSetAttribute(Description* made, int attribute, const void* value, size_t size) {
    if (size != (attribute == 8 ? 8 : 4)) return 7;
    void* to = attribute == 3 ? (void*)&made->ta : attribute == 4 ? (void*)&made->tb
             : attribute == 7 ? (void*)&made->epilogue : attribute == 8 ? (void*)&made->bias : NULL;
    if (!to) return 7;
    memcpy(to, value, size);
    return 0;
}
int cublasLtMatrixLayoutCreate(Layout** made, int type, uint64_t rows, uint64_t columns, int64_t leading) {
    *made = malloc(sizeof **made);
    **made = (Layout){type == 14, rows, columns, leading};
    descriptions++;
    return (type == 0 || type == 14) && rows && columns && leading >= (int64_t)rows ? 0 : 7;
}
int cublasLtMatrixLayoutDestroy(void* made) { return destroy(made); }
int cublasLtMatmulPreferenceCreate(Preference** made) {
    *made = calloc(1, sizeof **made);
    descriptions++;
    return 0;
}
int cublasLtMatmulPreferenceDestroy(void* made) { return destroy(made); }
int cublasLtMatmulPreferenceSetAttribute(Preference* made, int attribute, const void* value, size_t size) {
    if (size != (attribute == 1 ? 8 : 4) || attribute > 15) return 7;
    memcpy(attribute == 1 ? (void*)&made->workspace : (void*)&made->numbers[attribute], value, size);
    return 0;
}
int cublasLtMatmulAlgoGetHeuristic(void* handle, Description* d, Layout* a, Layout* b, Layout* c, Layout* same,
                                   Preference* p, int wanted, Found* found, int* count) {
    if (capturing || !handle || c != same || p->numbers[3] != 2 || p->workspace != 32u << 20) return 7;
    if (d->epilogue == 4 && !d->bias) return 7;
    *count = 0;
    if (a->bf16 != b->bf16 || (c->bf16 && !a->bf16) || wanted < 2) return 0;
    // The first is one that cannot be used. The others are told by the alignments that they may count on.
    *count = 2;
    found[0] = (Found){.state = 15};
    found[1] = (Found){.workspace = 1 << 20};
    found[1].algorithm[0] = 42;
    for (int n = 0; n < 4; ++n) found[1].algorithm[1 + n] = p->numbers[5 + n];
    asked++;
    return 0;
}
// An algorithm of before: any that the heuristic could have told.
int cublasLtMatmulAlgoCheck(void* handle, Description* d, Layout* a, Layout* b, Layout* c, Layout* same,
                            const uint64_t* algorithm, Found* found) {
    if (capturing || !handle || !d || !a || !b || c != same) return 7;
    if (algorithm[0] != 42) return 15;
    *found = (Found){.workspace = 1 << 20};
    memcpy(found->algorithm, algorithm, sizeof found->algorithm);
    return 0;
}
// Whether an address is a multiple of this and, short of 256, of no more.
static int aligned(const void* place, uint64_t to) {
    return (Address)place % to == 0 && (to == 256 || (Address)place % (2 * to));
}
int cublasLtMatmul(void* handle, Description* d, const float* alpha, const void* pa, Layout* a, const void* pb,
                   Layout* b, const float* beta, const void* pc, Layout* c, void* pd, Layout* same,
                   const uint64_t* algorithm, void* workspace, size_t size, Stream* stream) {
    if (current != &context_word || !handle || c != same || pc != pd || algorithm[0] != 42) return 7;
    if (size != 1 << 20 || (Address)workspace % 256) return 7;
    if (!aligned(pa, algorithm[1]) || !aligned(pb, algorithm[2]) || !aligned(pd, algorithm[4])) return 7;
    if (d->epilogue == 4 && d->bias % 16) return 13;
    struct Matmul* m = malloc(sizeof *m);
    *m = (struct Matmul){*d, *a, *b, *c, pa, pb, pd, *alpha, *beta};
    hand(stream, (Op){.kind = MATMUL, .matmul = m});
    return 0;
}

// How often the heuristic was asked, for the tests.
int fake_asked(void) { return asked; }
