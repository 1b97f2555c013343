/* backend/backend_host.h - the host's side of the plugin ABI.
 * Answers "who can run it?".  Finds plugins by name (built in, or `troupe_backend_<name>.so` in a
 * folder), starts each once, checks every size, and wraps a model in a handle that keeps its plugin
 * alive. */
#ifndef TRP_BACKEND_HOST_H
#define TRP_BACKEND_HOST_H

#include <sys/types.h>

#include "backend/device_list.h"
#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/status.h"
#include "obs/log.h"
#include "obs/metrics.h"
#include "tensor/commons.h"
#include "tensor/signature.h"
#include "troupe/backend.h"

struct trp_backends;

struct trp_backends_opts {
    const char *path; /* folder of plugins; NULL: none */
    const struct trp_clock *clock;
    struct trp_log *log;
    const struct troupe_option
        *options; /* "onnxruntime.library" etc.: what stands behind "<name>." goes to that plugin */
    uint32_t options_n;
    const struct troupe_account
        *account; /* for what a plugin holds in no model's name; may be NULL */
    /* What serves as a worker process when its first argument is "worker" (worker_main.h); NULL: no
     * model can be isolated.  With it, startup must be a thread that yields to nobody.  Outlives
     * the table. */
    const char *worker_program;
    int32_t worker_nice;         /* of the threads that run models there */
    struct trp_metrics *metrics; /* of worker processes; may be NULL */
    struct trp_commons
        *commons; /* inputs in them are not copied for worker processes; outlive the table; may be
                  * NULL */
    uint64_t worker_bytes; /* addresses for inputs, and for outputs, of one worker process; 0: as
                       * trp_stint_begin() says */
};

/* Makes the table, with `null` and `echo` built in; opens no plugin yet.
 *   Owns  : the caller destroys, after all models are closed; opts are copied, clock and log
 *   borrowed.
 *   Thread: startup.
 *   Errors: OUT_OF_MEMORY; IO: no thread for worker processes. */
trp_status trp_backends_create(const struct trp_alloc *alloc, const struct trp_backends_opts *opts,
                               struct trp_backends **out_backends, struct trp_error *err);
void trp_backends_destroy(struct trp_backends *b);

/* Finds and starts a plugin (the first time; another caller waits).  A failure is kept and returned
 * again until trp_backends_forget_failures().
 *   Owns  : borrowed from the table.
 *   Thread: loader, control.
 *   Blocks: disk.
 *   Errors: NOT_FOUND (no such plugin, and where it was looked for), UNIMPLEMENTED (other ABI), or
 *   the plugin's own. */
struct trp_backend;
trp_status trp_backends_get(struct trp_backends *b, struct trp_str name,
                            struct trp_backend **out_backend, struct trp_error *err);
void trp_backends_forget_failures(struct trp_backends *b);
const char *trp_backend_name(const struct trp_backend *b);
const char *trp_backend_version(const struct trp_backend *b);

/* What it can run models on besides the CPU; an empty list, usually.
 *   Owns  : in `arena`.
 *   Thread: any.
 *   Blocks: device.
 *   Errors: INTERNAL: it broke its contract; OUT_OF_MEMORY. */
trp_status trp_backend_devices(struct trp_backend *b, struct trp_arena *arena,
                               struct trp_device_list *out, struct trp_error *err);

/* What trp_backend_devices() of all backends gave last: at most `max` of them.  Nobody looks for
 * devices because of this question.
 *   Owns  : copied; the name is the table's.
 *   Thread: any.
 *   Errors: none. */
struct trp_told_device {
    const char *backend;
    struct troupe_device_id id;
    uint64_t memory_bytes; /* 0: not known */
};
uint32_t trp_backends_told_devices(struct trp_backends *b, struct trp_told_device *out,
                                   uint32_t max);

/* Why that list is empty, in the backend's words; empty: it has none to say.
 *   Owns  : borrowed from the backend.
 *   Thread: any.
 *   Blocks: device.
 *   Errors: none. */
const char *trp_backend_why_no_device(const struct trp_backend *b);

/* The same backend with each model in a process of its own: whatever ends that process ends no
 * other, and it is started again. Probing and preparing are done here.
 *   Owns  : borrowed from the table.
 *   Thread: loader, control.
 *   Errors: UNIMPLEMENTED: there is no worker program; OUT_OF_MEMORY. */
trp_status trp_backends_isolate(struct trp_backends *b, struct trp_backend *backend,
                                struct trp_backend **out_isolated, struct trp_error *err);
bool trp_backends_can_isolate(const struct trp_backends *b);

/* The processes of all isolated models that run now: at most `max` of their numbers.
 *   Owns  : copied.
 *   Thread: any.
 *   Errors: none. */
uint32_t trp_backends_pids(struct trp_backends *b, pid_t *out, uint32_t max);

/* Opens a model.  Its account also has what its library takes of the heap in nobody's name
 * (base/cxx_heap.h), and until it is closed what stays of that: a session's graph, mostly.
 *   Owns  : the caller closes; the signature lives in `arena`; desc's account and cancel flag
 *   outlive the model.
 *   Thread: loader.
 *   Blocks: disk, device.
 *   Errors: the plugin's, with its words. */
struct trp_backend_model;
trp_status trp_backend_open(struct trp_backend *b, const struct troupe_model_desc *desc,
                            struct trp_arena *arena, struct trp_backend_model **out_model,
                            struct trp_signature *out_signature, struct trp_error *err);
trp_status trp_backend_probe(struct trp_backend *b, const struct troupe_model_desc *desc,
                             struct trp_arena *arena, struct trp_signature *out_signature,
                             uint32_t *out_capabilities, struct trp_error *err);
void trp_backend_close(struct trp_backend_model *m); /* accepts NULL */

/* Makes what a later open maps: desc's `skeleton` and `blobs`; see troupe/backend.h.
 *   Owns  : desc and sink are borrowed until it returns.
 *   Thread: loader.
 *   Blocks: disk; as long as a load, and longer.
 *   Errors: UNIMPLEMENTED (this backend cannot), the sink's own code (with words that say so), or
 *           the plugin's, with its words. */
trp_status trp_backend_prepare(struct trp_backend *b, const struct troupe_model_desc *desc,
                               const struct troupe_blob_sink *sink, struct trp_error *err);
bool trp_backend_can_prepare(const struct trp_backend *b);

/* What a skeleton of this backend depends on, besides model, options and processor.
 *   Owns  : the backend's.
 *   Thread: any.
 *   Errors: none; never NULL. */
const char *trp_backend_fingerprint(const struct trp_backend *b);
uint32_t trp_backend_capabilities(const struct trp_backend_model *m);

/* The devices that a model was opened on, in desc's order, and how many runs were begun on each;
 * returns how many there are, 0: it runs on the CPU.
 *   Owns  : borrowed from the model.
 *   Thread: any.
 *   Errors: none. */
struct trp_device_use {
    struct troupe_device_id id;
    struct trp_counter runs;
};
uint32_t trp_backend_device_uses(const struct trp_backend_model *m,
                                 const struct trp_device_use **out_uses);
void trp_backend_trim(struct trp_backends *b);
bool trp_backend_memory(const struct trp_backend_model *m, struct troupe_memory *out);

/* Drops what an idle model can do without and get back by itself; gets it back, before the next run
 * or with it.
 *   Owns  : nothing.
 *   Thread: any, one at a time for one model; a run that goes on meanwhile only gets slower.
 *   Blocks: disk.
 *   Errors: UNIMPLEMENTED (this one has nothing to drop: see TROUPE_CAN_HIBERNATE), or the
 *           plugin's. */
trp_status trp_backend_hibernate(struct trp_backend_model *m, struct trp_error *err);
trp_status trp_backend_wake(struct trp_backend_model *m, struct trp_error *err);

/* Who knows which files a model maps, and wants to know when one was cut short (base/map_loss.h).
 * The run that worked with what is gone fails with DATA_LOSS and the file's name, and so does every
 * later one.
 *   Owns  : copied; `user` outlives the model.
 *   Thread: loader, before anybody else runs it; `is_mine` and `on_loss` on any that runs it,
 *           `on_loss` once.
 *   Errors: none. */
struct trp_backend_watch {
    bool (*is_mine)(void *user, const char *path);
    void (*on_loss)(void *user, const char *path);
    void *user;
};
void trp_backend_watch(struct trp_backend_model *m, const struct trp_backend_watch *watch);

/* Runs; see troupe/backend.h.  After a failure no output holds memory.
 *   Shape : inputs as in the signature; outputs: run->outputs_n entries.
 *   Owns  : outputs' memory is released by their own release function; the caller keeps the inputs
 *           until then, because an output may be a view of one.
 *   Thread: executor or loop; one at a time unless TROUPE_CAN_CONCURRENT (the host then serialises:
 *   Blocks).
 *   Errors: BACKEND_FAILED or the plugin's code, with its words; INTERNAL when the plugin broke its
 *   contract; DATA_LOSS when a file that the model maps was cut short; UNAVAILABLE while there is
 *   no process for an isolated model, with the time to come back. */
trp_status trp_backend_run(struct trp_backend_model *m, struct troupe_run *run,
                           const struct troupe_tensor *inputs, struct troupe_tensor *outputs,
                           struct trp_error *err);
void trp_backend_cancel(struct trp_backend_model *m, uint64_t run_id);

/* The built-in test backends: `echo` gives each input back as the output of the same place, `null`
 * answers zeros.  Their model files are text, see backend/script.h.
 *   Owns  : static.
 *   Thread: any.
 *   Errors: none. */
const struct troupe_backend *trp_builtin_null(void);
const struct troupe_backend *trp_builtin_echo(void);

#endif
