/* tests/conformance/harness.h - what the conformance programs share: a folder, a backend, a model,
 * a run. */
#ifndef TRP_TEST_HARNESS_H
#define TRP_TEST_HARNESS_H

#include "backend/backend_host.h"
#include "base/arena.h"
#include "memory/account.h"
#include "onnx_writer.h"
#include "scratch.h"

#define HARNESS_IO_MAX 40
#define HARNESS_SUBJECTS 8

struct harness;

/* A model and the room for one run of it. */
struct subject {
    struct harness *h; /* NULL: not in use */
    struct trp_arena arena;
    struct trp_backend_model *model;
    struct trp_signature signature;
    struct troupe_tensor in[HARNESS_IO_MAX], out[HARNESS_IO_MAX];
    uint32_t wanted[HARNESS_IO_MAX];
    struct troupe_run run;
};

/* Holds whatever a test opens, so that a test which fails half way leaves nothing behind. */
struct harness {
    char folder[SCRATCH_PATH_MAX];
    struct trp_backends *backends;
    struct trp_backend *backend;
    struct trp_account account;
    struct trp_error err;
    struct subject subjects[HARNESS_SUBJECTS];
};

/* Opens the table of backends with the plugins of this build, and one backend; a test failure with
 * a clear line when ONNX Runtime is not there.  TROUPE_ONNXRUNTIME counts, else
 * <repository>/.deps. */
void harness_set_up(struct harness *h, const char *backend);

/* Each model in a process of its own; the program's main() must know what to do as a worker
 * (backend/worker_main.h). */
void harness_set_up_isolated(struct harness *h, const char *backend);
void harness_tear_down(struct harness *h);

/* `<folder>/<name>`, good until the next call of it. */
const char *harness_path(struct harness *h, const char *name);
void harness_write(struct harness *h, const char *name, const char *text);

/* Closes the models that a test left open. */
void harness_close_all(struct harness *h);

/* Opens a file of the folder.  `desc` may hold what is special; name, path, device and account are
 * filled in. */
trp_status subject_try_open(struct harness *h, const char *name, struct troupe_model_desc desc,
                            struct subject **out);
struct subject *subject_open(struct harness *h, const char *name); /* must succeed */
void subject_close(struct subject *s);

/* Sets an input; runs for all outputs; releases what came. */
void subject_send(struct subject *s, uint32_t index, int32_t dtype, const void *data,
                  uint64_t bytes, uint32_t rank, const int64_t *shape);
trp_status subject_run(struct subject *s);
void subject_release(struct subject *s);

#define DIMS(...)     \
    (const int64_t[]) \
    {                 \
        __VA_ARGS__   \
    }
#define RANK(...) ((uint32_t)(sizeof((const int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)))

#endif
