/* onnxruntime/ort_plugin.h - what the files of this plugin share.
 * Answers "what does an open model consist of?". */
#ifndef TRP_ORT_PLUGIN_H
#define TRP_ORT_PLUGIN_H

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ort.h"
#include "ort_blobs.h"
#include "ort_file.h"
#include "ort_gpus.h"
#include "ort_library.h"
#include "ort_memory.h"
#include "ort_words.h"
#include "troupe/backend.h"

struct ort_lent; /* see ort_value.c */

/* The plugin, once per process. */
struct ort_plugin {
    const struct OrtApi *api;
    const struct troupe_host *host;
    struct ort_library library;
    struct OrtEnv *env;
    struct OrtMemoryInfo *cpu;
    struct OrtAllocator *allocator; /* ONNX Runtime's own, for names; not released */
    struct ort_memory memory;       /* for everything else */
    bool is_registered;
    pthread_mutex_t lock;     /* guards the next four; before a model's lock */
    struct ort_lent *spare;   /* handles of outputs, for reuse */
    struct ort_model *models; /* all that are open */
    bool is_trimming;         /* somebody has memory of models in hand */
    bool has_closed;          /* a model, since the last trim */
    pthread_cond_t trimmed;   /* is_trimming was lowered */
    struct ort_blobs blobs;   /* that are mapped */
    struct ort_gpus gpus;
};

/* One input or output.  Constant after the model was opened, but for `is_misdeclared`. */
struct ort_io {
    char *name;
    int32_t dtype, element; /* enum troupe_dtype, enum ort_element */
    uint32_t width;         /* bytes of an element; 0: strings */
    uint32_t rank;
    int64_t dims[TROUPE_RANK_MAX];
    char *dim_names[TROUPE_RANK_MAX]; /* NULL: none */
    bool any_rank, is_optional;
    uint64_t fixed_bytes; /* when every size is fixed and the type has a width; else UINT64_MAX */
    atomic_bool is_misdeclared; /* its memory was given, and the shape turned out to be another */

    bool is_zipmap; /* a sequence of maps, served as a dense tensor */
    char **labels;
    uint32_t labels_n;
    uint32_t *column_of; /* ZipMap: the column of the i-th smallest key */
};

/* A run: how it is cancelled, and who pays for it.  Kept for reuse: making OrtRunOptions costs more
 * than keeping them, and so does memory. */
struct ort_ticket {
    struct ort_ticket *next;
    struct OrtRunOptions *options;
    uint64_t id;
    bool is_terminated; /* the flag sticks in `options` until it is lowered */
    bool is_stale;      /* not used since the last trim */
    struct ort_payer payer;
    struct ort_cache cache;
};

/* A weight that we mapped, and what ONNX Runtime sees of it. */
struct ort_weight {
    struct OrtValue *value;
    struct ort_blob *blob;
};
struct ort_weights {
    struct ort_weight *items;
    uint32_t n;
    uint64_t bytes;  /* of the blobs, each once */
    bool are_asleep; /* changed by hibernate and wake, which never meet */
};

struct ort_model {
    struct ort_plugin *plugin;
    struct OrtSession *
        *sessions; /* one for each device, in the order of the server's list; one where that is
                   * empty */
    uint32_t sessions_n, cpu_sessions_n; /* all; those of the CPU */
    struct ort_io *inputs, *outputs;
    uint32_t inputs_n, outputs_n;
    uint64_t file_bytes;
    struct ort_weights weights; /* empty: those of its own */
    bool keeps_memory;          /* of runs, also while idle: enable_mem_arena */
    bool shrinks;          /* gives it back after each run: memory.enable_memory_arena_shrinkage */
    struct ort_home *home; /* of large outputs that were given back; NULL: there was no memory */
    pthread_mutex_t lock;  /* guards the tickets */
    struct ort_ticket *active, *idle;
    struct ort_model *next; /* of the plugin's */
};

#define ORT_CPU ((struct troupe_device_id){ .kind = TROUPE_DEVICE_CPU })
#define ORT_LARGE_BYTES (1u << 20) /* a model file worth ort_trim_heap() */

/* Gives the system back what malloc() keeps: loading takes up to 2.6 times what stays.  Under a
 * sanitizer malloc() is another, and glibc's, which nothing has set up then, breaks when two
 * threads are the first to trim it. */
static inline void ort_trim_heap(void)
{
#ifndef TRP_SANITIZED
    malloc_trim(0);
#endif
}

/* Leave a load or a run on failure, releasing the status. */
#define ORT_TRY_IN(phase, api, call, error)                          \
    do {                                                             \
        struct OrtStatus *try_ = (call);                             \
        if (try_)                                                    \
            return ort_words_of_status((api), try_, phase, (error)); \
    } while (0)
#define ORT_TRY(api, call, error) ORT_TRY_IN(ORT_PHASE_LOAD, api, call, error)
#define ORT_RUN_TRY(api, call, error) ORT_TRY_IN(ORT_PHASE_RUN, api, call, error)

/* ort_signature.c: reads a fresh session's inputs and outputs into the model; refuses what is not
 * served.
 *   Owns  : everything goes with ort_signature_free().
 *   Thread: loader.
 *   Blocks: disk (only for scalars and ZipMap, whose facts stand in the file alone).
 *   Errors: UNIMPLEMENTED with the name and the reason, OUT_OF_MEMORY, or ONNX Runtime's. */
int32_t ort_signature_read(struct ort_model *m, const char *path, struct troupe_error *error);
void ort_signature_tell(const struct ort_model *m, const struct troupe_sink *sink);
void ort_signature_free(struct ort_model *m);

/* ort_model.c: the functions of the plugin's table that open and close; see troupe/backend.h. */
int32_t ort_model_probe(void *self, const struct troupe_model_desc *desc,
                        const struct troupe_sink *sink, uint32_t *out_capabilities,
                        struct troupe_error *error);
int32_t ort_model_open(void *self, const struct troupe_model_desc *desc,
                       const struct troupe_sink *sink, void **out_model, uint32_t *out_capabilities,
                       struct troupe_error *error);
void ort_model_close(void *model);
int32_t ort_model_memory(void *model, struct troupe_memory *out);
bool ort_model_trim(struct ort_plugin *p); /* whether there was anything to give back */

/* ort_options.c: session options from what the server and the model's owner say.
 *   Owns  : the caller releases *out; what concerns memory is noted in the model.
 *   Thread: loader.
 *   Errors: INVALID_ARGUMENT with the key and what is allowed, OUT_OF_MEMORY. */
int32_t ort_options_make(struct ort_model *m, const struct troupe_model_desc *desc,
                         struct troupe_device_id device, struct OrtSessionOptions **out,
                         struct troupe_error *error);

/* ONNX Runtime's level for Triton's number: -1 basic, 0 everything, 1 extended, 2 nothing. */
int32_t ort_options_level(long level);

/* ort_cuda.c: what makes a session one of a GPU's.
 *   Owns  : nothing.
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: INVALID_ARGUMENT with the key; ONNX Runtime's. */
int32_t ort_cuda_append(const struct OrtApi *api, const struct troupe_model_desc *desc,
                        uint32_t ordinal, struct OrtSessionOptions *so, struct troupe_error *error);

/* ort_prepare.c: see troupe/backend.h. */
int32_t ort_prepare_model(void *self, const struct troupe_model_desc *desc,
                          const struct troupe_blob_sink *sink, struct troupe_error *error);

/* ort_run.c: the functions of the plugin's table that run. */
int32_t ort_run_model(void *model, const struct troupe_run *run, const struct troupe_tensor *inputs,
                      struct troupe_tensor *outputs);
int32_t ort_run_cancel(void *model, uint64_t run_id);
void ort_run_free_tickets(struct ort_model *m);

/* Takes the memory of the tickets that were not used since the last time; see ort_cache_free().
 *   Owns  : moves to the caller.
 *   Thread: any.
 *   Errors: none; NULL when there is none. */
struct ort_block *ort_run_detach_stale(struct ort_model *m);

/* Likewise of all tickets that no run holds.
 *   Owns  : moves to the caller.
 *   Thread: any.
 *   Errors: none; NULL when there is none. */
struct ort_block *ort_run_detach_idle(struct ort_model *m);

/* ort_weights.c: maps the weights of a skeleton, and tells the session's options where they are;
 * later gives them back.
 *   Owns  : the weights stay with the model, ort_weights_free() after its session was released.
 *   Thread: loader.
 *   Blocks: disk.
 *   Errors: OUT_OF_MEMORY; a weight that cannot be handed over is left to ONNX Runtime. */
int32_t ort_weights_give(struct ort_model *m, const struct troupe_model_desc *desc,
                         struct OrtSessionOptions *options, struct troupe_error *error);
void ort_weights_free(struct ort_model *m);

/* Drops the pages of mapped weights, and what runs left; brings them back, see troupe/backend.h.
 * ort_weights_wake() lets them come when they are touched. */
int32_t ort_model_hibernate(void *model);
int32_t ort_model_wake(void *model);
void ort_weights_wake(struct ort_model *m);

/* ort_value.c: tensors to OrtValues and back.
 *   Owns  : of_tensor: the caller releases *out, which borrows the tensor's memory (strings are
 *   copied);
 *           to_tensor: moves `value`; the tensor's release function gives everything back.
 *   Thread: any.
 *   Errors: as run(); words in run->error. */
int32_t ort_value_of_tensor(const struct ort_model *m, const struct ort_io *io,
                            const struct troupe_tensor *tensor, struct OrtValue **out,
                            struct troupe_error *error);
int32_t ort_value_to_tensor(struct ort_model *m, const struct troupe_run *run,
                            const struct ort_io *io, struct OrtValue *value,
                            struct troupe_tensor *tensor);
int32_t ort_value_shape(const struct ort_plugin *p, const struct ort_io *io, struct OrtValue *value,
                        struct troupe_tensor *tensor, struct troupe_error *error);
void ort_value_free_spare(struct ort_plugin *p);

/* Gives an output whose type, shape and bytes are set memory: what was given if it has room for
 * that, else a block of the run's account.
 *   Units : capacity: bytes at output->data, when that is not NULL.
 *   Owns  : moves to the output.
 *   Thread: any.
 *   Errors: OUT_OF_MEMORY; words in run->error. */
int32_t ort_value_place(const struct troupe_run *run, struct troupe_tensor *output,
                        uint64_t capacity);

/* ort_strings.c, ort_zipmap.c: outputs that are not plain memory; as ort_value_to_tensor(), `value`
 * stays the caller's. */
int32_t ort_strings_fill(const struct ort_model *m, const struct troupe_tensor *tensor,
                         struct OrtValue *value, struct troupe_error *error);
int32_t ort_strings_to_tensor(const struct ort_model *m, const struct troupe_run *run,
                              const struct ort_io *io, struct OrtValue *value,
                              struct troupe_tensor *tensor);
int32_t ort_zipmap_to_tensor(const struct ort_model *m, const struct troupe_run *run,
                             const struct ort_io *io, struct OrtValue *value,
                             struct troupe_tensor *tensor);

#endif
