/* troupe/backend.h - the plugin ABI: all that a backend sees of the server.
 * Answers "what must something be able to do to run models here?".
 *
 * A plugin is a shared object `troupe_backend_<name>.so` that exports troupe_backend_query().
 * Every struct that crosses the boundary begins with its own size; neither side reads past the size
 * it was given, so fields can be appended without a new ABI number.  A function pointer beyond the
 * size, or NULL, means the default in [brackets].  Nothing here throws, exits, or writes to the
 * standard streams. */
#ifndef TROUPE_BACKEND_H
#define TROUPE_BACKEND_H

#include "troupe/status.h"
#include "troupe/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TROUPE_BACKEND_ABI 2u /* grows only when a field changes its meaning or its place */

/* Where a failure's words go; the caller owns it.  `text` is always terminated. */
struct troupe_error {
    int32_t code; /* enum troupe_code */
    char text[1024];
};

enum troupe_log_level { TROUPE_LOG_ERROR, TROUPE_LOG_WARNING, TROUPE_LOG_INFO, TROUPE_LOG_DEBUG };

/* Memory with an account behind it.  Thread: any.  `alloc` returns NULL when the account's limit
 * would be passed or memory is short; the block is aligned to `align` (a power of two, at most
 * 4096). */
struct troupe_account {
    uint32_t struct_size;
    void *user;
    void *(*alloc)(void *user, uint64_t bytes, uint64_t align);
    void (*free)(void *user, void *block, uint64_t bytes);
    /* Counts memory that was taken elsewhere: 0 when the account refuses, and then nothing is
     * counted.  [uncounted] */
    int32_t (*charge)(void *user, uint64_t bytes);
    void (*discharge)(void *user, uint64_t bytes);
};

/* What the server gives to a plugin.  Owns: outlives the plugin.  Thread: any. */
struct troupe_host {
    uint32_t abi, struct_size;
    void *user;
    void (*log)(void *user, int32_t level, const char *category, const char *text);
    int64_t (*now_ns)(void *user);        /* monotonic clock */
    const struct troupe_account *account; /* what is in no model's name; may be NULL */
};

/* A key and its value, both terminated; for instance {"library", "/opt/ort/libonnxruntime.so"}. */
struct troupe_option {
    const char *key, *value;
};

/* One input or output of a model.  Owns: borrowed until the call that received it returns. */
struct troupe_io {
    const char *name;
    int32_t dtype;                          /* enum troupe_dtype */
    uint32_t rank;                          /* meaningless when `any_rank` */
    int64_t dims[TROUPE_RANK_MAX];          /* -1: not fixed */
    const char *dim_names[TROUPE_RANK_MAX]; /* NULL or a hint; see docs/models.md: not a law */
    uint8_t optional;                       /* an input that may be left out */
    uint8_t any_rank;                       /* the model does not declare a rank */
    const char *const *labels; /* outputs: names of the classes along the last axis, or NULL */
    uint32_t labels_n;
};

/* What a model takes and gives.  Filled by the plugin through the callbacks of `troupe_sink`. */
struct troupe_sink {
    uint32_t struct_size;
    void *user;
    void (*input)(void *user, const struct troupe_io *io);  /* in order of index */
    void (*output)(void *user, const struct troupe_io *io); /* in order of index */
    void (*platform)(void *user, const char *name);         /* "onnxruntime_onnx" */
};

/* What a plugin can do with a model; bits. */
enum troupe_capability {
    TROUPE_CAN_CANCEL = 1u << 0,     /* cancel() stops a run early */
    TROUPE_CAN_GIVEN_OUT = 1u << 1,  /* writes into outputs whose memory is given */
    TROUPE_CAN_CONCURRENT = 1u << 2, /* run() is re-entrant */
    TROUPE_CAN_HIBERNATE = 1u << 3,
    TROUPE_CAN_PREPARE = 1u << 4,
    TROUPE_RUNS_ELSEWHERE =
        1u << 5 /* run() waits for another process, or machine: never on a loop */
};

enum troupe_thread_mode {
    TROUPE_THREADS_ONE,   /* a run uses the calling thread only (throughput) */
    TROUPE_THREADS_SHARED /* a run may use the plugin's own pool (latency) */
};

enum troupe_device_kind { TROUPE_DEVICE_CPU, TROUPE_DEVICE_GPU };

/* One device: its kind, and its number among those of that kind, by which `gpus` of a configuration
 * names it. */
struct troupe_device_id {
    int32_t kind; /* enum troupe_device_kind */
    uint32_t ordinal;
};

#define TROUPE_DEVICES_MAX 64u /* of a backend */

/* What a backend can run on besides the CPU.  Owns: borrowed for the call that tells it. */
struct troupe_device {
    uint32_t struct_size;
    struct troupe_device_id id;
    const char *name;      /* "NVIDIA H100", for people; NULL: none */
    uint64_t memory_bytes; /* 0: not known */
};

/* One model version to look at or to open.  Owns: borrowed until the call returns, except
 * `account`, `cancel` and `labels`, which outlive the model. */
struct troupe_model_desc {
    uint32_t struct_size;
    const char *name; /* "resnet50/3", for messages */
    const char *path; /* the model file; external data lies beside it */
    const struct troupe_option *options;
    uint32_t options_n;
    int32_t thread_mode;
    const struct troupe_account *account; /* private weights and arenas */
    const volatile int32_t
        *cancel; /* non-zero: give the load up, return TROUPE_CANCELLED; may be NULL */
    /* open only: what prepare() made of this model, to open instead of it; NULL: nothing */
    const char *skeleton; /* a file */
    const char *blobs;    /* the folder that the blobs' names begin in */
    int32_t packed; /* non-zero: mapped weights may be copied, in the form that runs fastest */
    /* open only: where its runs will be, out of what devices() told, and the CPU; none: all on the
     * CPU.  A run says which by its place in this list.  Such a model has no skeleton and no
     * blobs. */
    const struct troupe_device_id *devices;
    uint32_t devices_n;
};

/* One run.  Owns: borrowed until run() returns; `account` outlives the outputs. */
struct troupe_run {
    uint32_t struct_size;
    uint32_t inputs_n, outputs_n;
    uint64_t id;                    /* names this run for cancel(); unique while it runs */
    int64_t deadline_ns;            /* monotonic; 0: none */
    const volatile int32_t *cancel; /* non-zero: stop soon, return TROUPE_CANCELLED; may be NULL */
    const struct troupe_account *account; /* activations and outputs */
    uint64_t output_bytes_max;            /* outputs together may not be larger; 0: no limit */
    struct troupe_error *error;           /* words of a failure */
    const uint32_t *output_index;         /* outputs[i] is the signature's output output_index[i] */
    uint64_t memory_bytes_max;            /* held at once, activations and outputs; 0: no limit */
    uint64_t *
        out_peak_bytes; /* where run() may write what it held at most, or would have; may be NULL */
    uint32_t device;    /* where: devices[device] of the model's open(); 0 where that has none */
};

#define TROUPE_BLOB_NAME_MAX 80 /* with its end */

/* Where prepare() puts what it makes: blobs, that the server stores once however many models hold
 * them, and one skeleton that refers to them.  Owns: borrowed until prepare() returns; what is
 * handed over is copied.  Errors: a code; the words are the server's own, so they are not
 * repeated. */
struct troupe_blob_sink {
    uint32_t struct_size;
    void *user;
    /* Stores `bytes` at `data`; `out_name` gets a name that is a path below `desc->blobs` of a
     * later open(), TROUPE_BLOB_NAME_MAX bytes at most.  NULL: all weights stay in the skeleton,
     * and `desc->blobs` of a later open() is NULL too. */
    int32_t (*blob)(void *user, const void *data, uint64_t bytes, char *out_name);
    int32_t (*skeleton)(void *user, const void *data, uint64_t bytes);
};

struct troupe_memory {
    uint32_t struct_size;
    uint64_t weights_bytes, shared_bytes, arena_bytes;
};

struct troupe_backend {
    uint32_t abi, struct_size; /* the host never reads past struct_size */
    const char *name, *version;

    /* required - each returns an enum troupe_code */

    /* Makes the plugin ready, once per process.  Blocks: disk.  Thread: loader. */
    int32_t (*start)(const struct troupe_host *host, const struct troupe_option *options,
                     uint32_t options_n, void **out_self, struct troupe_error *error);
    /* Accepts NULL; no model is open any more. */
    void (*stop)(void *self);
    /* Tells what the model takes, gives and can do, without keeping it open. */
    int32_t (*probe)(void *self, const struct troupe_model_desc *desc,
                     const struct troupe_sink *sink, uint32_t *out_capabilities,
                     struct troupe_error *error);
    /* Opens a model; after success its signature is told to `sink` (which may be NULL). */
    int32_t (*open)(void *self, const struct troupe_model_desc *desc,
                    const struct troupe_sink *sink, void **out_model, uint32_t *out_capabilities,
                    struct troupe_error *error);
    /* Runs once.  `inputs` has one entry per input of the signature, in order; data == NULL: not
     * sent.  `outputs` has run->outputs_n entries.  An entry with data != NULL and bytes = capacity
     * is memory given: the backend writes there when the result fits, and sets dtype, rank, shape
     * and bytes; otherwise, and where data == NULL, it sets data and `release`.  After a failure no
     * entry holds memory of the backend.  The caller keeps the inputs until the outputs were
     * released, so an output may be a view of one, with release == NULL; nobody writes to an output
     * that has no release function.
     * Thread: executor or loop; re-entrant when TROUPE_CAN_CONCURRENT. */
    int32_t (*run)(void *model, const struct troupe_run *run, const struct troupe_tensor *inputs,
                   struct troupe_tensor *outputs);
    /* Accepts NULL; never called while run() is active.  When it returns, what the model and its
     * runs kept is back in their accounts, also what a trim() on another thread had in hand. */
    void (*close)(void *model);

    /* optional */

    int32_t (*cancel)(void *model, uint64_t run_id); /* one run, never the model. [the flag only] */
    /* Makes what open() can map: once per model, kind of processor, version of the backend and
     * options.  Blocks: disk.  Thread: loader. */
    int32_t (*prepare)(void *self, const struct troupe_model_desc *desc,
                       const struct troupe_blob_sink *sink,
                       struct troupe_error *error); /* [cannot] */
    /* Gives back what it can have again in milliseconds, and keeps the session; takes it again, so
     * that the next run is as fast as any.  No run is active then, and none comes between the
     * two. */
    int32_t (*hibernate)(void *model); /* [cannot] */
    int32_t (*wake)(void *model);      /* [nothing to do] */
    void (*trim)(
        void *self); /* give back what was not used since the last trim(). [nothing to do] */
    int32_t (*memory)(void *model, struct troupe_memory *out); /* [unknown] */
    /* What a skeleton depends on besides the model, its options and the kind of processor:
     * "onnxruntime
     * 1.32.0".  Owns: the plugin's, until stop(). */
    const char *(*fingerprint)(void *self); /* [name and version] */
    /* Tells each device that models can be placed on by their configuration, at most
     * TROUPE_DEVICES_MAX; the CPU is always there and not told.  Thread: any, after start(). */
    void (*devices)(void *self, void (*tell)(void *user, const struct troupe_device *device),
                    void *user); /* [none] */
    /* Why devices() tells none, for whoever asks for one: "there is no NVIDIA driver: ..."; NULL:
     * it does, or there is nothing to say.  Owns: the plugin's, until stop().  Thread: any,
     * after start(). */
    const char *(*why_no_device)(void *self); /* [nothing to say] */
};

/* The one export.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: NULL when it cannot serve `host_abi`. */
const struct troupe_backend *troupe_backend_query(uint32_t host_abi);

#ifdef __cplusplus
}
#endif

#endif
