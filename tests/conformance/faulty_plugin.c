/* tests/conformance/faulty_plugin.c - a plugin that breaks its contract in the one way that FAULT
 * names.
 *
 *   abi      speaks another ABI number
 *   short    its table ends before the required functions
 *   missing  has no run()
 *   start    cannot start
 *   size     an output's bytes are not its shape's
 *   type     an output's type is unknown
 *   rank     an output's rank is too high
 *   count    an output holds fewer strings than its shape says
 *   hollow   an output has no memory
 *   code     answers with a code that is none
 *   silent   fails without words
 *   outside  what it has prepared answers otherwise when its weights are blobs
 *   nowhere  what it has prepared answers otherwise in any case
 *   hot      stands for ONNX Runtime: what it has mapped runs slowly, unless its weights are packed; prepares a model no further
 *            while there is a file MODEL.hold, and packs no weights while there is MODEL.race; says
 *            that it holds as much as its file is long; weighs as much as a file MODEL.weighs says,
 *            when it is prepared
 *   twice    tells a device twice
 *   serial   works, but is not re-entrant: it fails when two runs are inside at once */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "troupe/backend.h"

#define PACKED_BYTES (1u << 20)

struct self {
    const struct troupe_account *account; /* hot: of its packed weights */
    void *packed;
    uint64_t bytes; /* hot: that it says it holds */
    int is_slow;
    atomic_int inside;
    atomic_int released;
    int64_t answer;
};

static struct self the_self, astray = { .answer = 7 }; /* a test plugin may have globals */

static int is_fault(const char *name)
{
    return strcmp(FAULT, name) == 0;
}

static int32_t start(const struct troupe_host *host, const struct troupe_option *options,
                     uint32_t options_n, void **out_self, struct troupe_error *error)
{
    (void)host;
    *out_self = &the_self;
    if (!is_fault("start"))
        return TROUPE_OK;
    snprintf(error->text, sizeof error->text, "%s",
             options_n ? options[0].value : "no option came");
    return TROUPE_UNAVAILABLE;
}

static void stop(void *self)
{
    (void)self;
}

static int32_t probe(void *self, const struct troupe_model_desc *desc,
                     const struct troupe_sink *sink, uint32_t *out_capabilities,
                     struct troupe_error *error)
{
    const struct troupe_io io = { .name = "x", .dtype = TROUPE_INT64, .rank = 1, .dims = { -1 } };
    (void)self;
    (void)desc;
    (void)error;
    sink->input(sink->user, &io);
    sink->output(sink->user, &io);
    *out_capabilities = 0;
    return TROUPE_OK;
}

/* Waits in the middle of something for as long as somebody wants it to; false: it was cancelled
 * meanwhile. */
static int is_let_on(const struct troupe_model_desc *desc, const char *ending)
{
    char hold[4096];
    snprintf(hold, sizeof hold, "%s%s", desc->path, ending);
    while (access(hold, F_OK) == 0) {
        if (desc->cancel && __atomic_load_n(desc->cancel, __ATOMIC_ACQUIRE))
            return 0;
        usleep(1000);
    }
    return 1;
}

/* A model of its own, with memory in its account. */
static int32_t open_hot(const struct troupe_model_desc *desc, void **out_model)
{
    struct stat st;
    if (desc->packed && !is_let_on(desc, ".race"))
        return TROUPE_CANCELLED;
    struct self *s = calloc(1, sizeof *s);
    if (!s)
        return TROUPE_OUT_OF_MEMORY;
    s->is_slow = desc->blobs && !desc->packed;
    s->bytes = !desc->blobs && stat(desc->path, &st) == 0 ? (uint64_t)st.st_size : 0;
    s->account = desc->account;
    s->packed = desc->packed ? desc->account->alloc(desc->account->user, PACKED_BYTES, 64) : NULL;
    *out_model = s;
    return TROUPE_OK;
}

static void be_slow(void)
{
    struct timespec begun, now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begun);
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    while ((now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec < 2000000);
}

static int32_t open_model(void *self, const struct troupe_model_desc *desc,
                          const struct troupe_sink *sink, void **out_model,
                          uint32_t *out_capabilities, struct troupe_error *error)
{
    *out_model = (is_fault("outside") && desc->blobs) || (is_fault("nowhere") && desc->skeleton)
                     ? &astray
                     : self;
    const int32_t opened = is_fault("hot") ? open_hot(desc, out_model) : TROUPE_OK;
    if (opened != TROUPE_OK)
        return opened;
    return probe(self, desc, sink, out_capabilities, error);
}

static void release(void *user, void *data)
{
    (void)data;
    atomic_fetch_add(&((struct self *)user)->released, 1);
}

/* Whether another run came in meanwhile. */
static int has_company(struct self *s)
{
    const int before = atomic_fetch_add(&s->inside, 1);
    usleep(1000);
    return before > 0 || atomic_fetch_sub(&s->inside, 1) > 1;
}

static int32_t run_model(void *model, const struct troupe_run *run,
                         const struct troupe_tensor *inputs, struct troupe_tensor *outputs)
{
    struct self *s = model;
    (void)inputs;
    if (s->is_slow)
        be_slow();
    if (is_fault("code"))
        return 4711;
    if (is_fault("silent"))
        return TROUPE_UNAVAILABLE;
    if (is_fault("serial") && has_company(s))
        return TROUPE_INTERNAL;
    for (uint32_t i = 0; i < run->outputs_n; i++)
        outputs[i] = (struct troupe_tensor){ .dtype = is_fault("type")    ? 99
                                                      : is_fault("count") ? TROUPE_BYTES
                                                                          : TROUPE_INT64,
                                             .rank = is_fault("rank") ? TROUPE_RANK_MAX + 1 : 1,
                                             .shape = { is_fault("count") ? 3 : 1 },
                                             .data = is_fault("hollow") ? NULL : &s->answer,
                                             .bytes = is_fault("size") ? 7 : 8,
                                             .release = release,
                                             .release_user = s };
    return TROUPE_OK;
}

static size_t weight_of(const struct troupe_model_desc *desc)
{
    char path[4096];
    unsigned long bytes = 2048;
    snprintf(path, sizeof path, "%s.weighs", desc->path);
    FILE *file = fopen(path, "r");
    if (!file)
        return bytes;
    if (fscanf(file, "%lu", &bytes) != 1)
        bytes = 2048;
    fclose(file);
    return bytes;
}

static int32_t prepare(void *self, const struct troupe_model_desc *desc,
                       const struct troupe_blob_sink *sink, struct troupe_error *error)
{
    static const char skeleton[] = "a skeleton";
    char name[TROUPE_BLOB_NAME_MAX];
    const size_t bytes = weight_of(desc);
    void *weights = calloc(1, bytes);
    (void)self;
    (void)error;
    if (!weights)
        return TROUPE_OUT_OF_MEMORY;
    const int32_t code = sink->blob ? sink->blob(sink->user, weights, bytes, name) : TROUPE_OK;
    free(weights);
    if (!is_let_on(desc, ".hold"))
        return TROUPE_CANCELLED;
    return code == TROUPE_OK ? sink->skeleton(sink->user, skeleton, sizeof skeleton) : code;
}

static void close_model(void *model)
{
    struct self *s = model;
    if (!is_fault("hot") || !s)
        return;
    if (s->packed)
        s->account->free(s->account->user, s->packed, PACKED_BYTES);
    free(s);
}

/* How many outputs were given back; asked by the test through the optional function. */
static int32_t memory(void *model, struct troupe_memory *out)
{
    out->weights_bytes = ((struct self *)model)->bytes;
    out->arena_bytes = 0;
    out->shared_bytes = (uint64_t)atomic_load(&((struct self *)model)->released);
    return TROUPE_OK;
}

static void devices(void *self, void (*tell)(void *user, const struct troupe_device *device),
                    void *user)
{
    const struct troupe_device d = { .struct_size = sizeof d, .id = { TROUPE_DEVICE_GPU, 4 } };
    (void)self;
    tell(user, &d);
    tell(user, &d);
}

const struct troupe_backend *troupe_backend_query(uint32_t host_abi)
{
    static struct troupe_backend table;
    table = (struct troupe_backend){
        .abi = is_fault("abi") ? host_abi + 1 : host_abi,
        .struct_size = is_fault("short") ? 16 : sizeof table,
        .name = is_fault("hot") ? "onnxruntime" : FAULT,
        .version = "0",
        .start = start,
        .stop = stop,
        .probe = probe,
        .open = open_model,
        .run = is_fault("missing") ? NULL : run_model,
        .close = close_model,
        .memory = memory,
        .prepare = is_fault("outside") || is_fault("nowhere") || is_fault("hot") ? prepare : NULL,
        .devices = is_fault("twice") ? devices : NULL,
    };
    return &table;
}
