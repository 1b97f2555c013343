/* backend/script.h - the text that a model file of a built-in test backend holds.
 * Answers "what should this model pretend to be?".  One word a line, `#` begins a comment; an empty
 * file is a model too: one input `INPUT0` FP32 [-1,-1].
 *
 *     input NAME DTYPE [d,d,...] [optional]    d: a size, or -1 for any; `*` instead of [...]: any
 *     rank output NAME DTYPE [d,d,...] [labels=a,b,c]
 *     sleep 50ms            each run waits so long
 *     sleep_row 1ms         and so long more for each row of its first input
 *     until /tmp/open       each run waits until there is a file of this name: tests hold it as long as they need
 *     busy 50ms             each run computes so long
 *     fail CODE text        runs fail, for instance `fail BACKEND_FAILED the fan stopped`
 *     fail_every N          only every N-th run fails
 *     fatal                 what fails ends the process, as an integer division may
 *     load_sleep 1s         opening waits so long
 *     load_until /tmp/open  opening waits until there is a file of this name
 *     load_fail text        opening fails (INVALID_ARGUMENT)
 *     weighs N              an open model holds N bytes of memory of its account
 *     hibernates            what it weighs is given back while it is hibernated; a run that comes then fails
 *     wake_sleep 10ms       waking waits so long
 *     wake_fail text        waking fails (BACKEND_FAILED), and
 *     hibernate_fail text   hibernating does
 *     holds N               each run holds N bytes of memory while it waits and computes
 *     holds_row N           and N more for each row of its first input
 *     grow N                the first output has N times as many rows
 *     threads one|shared    opening fails unless the server asks for that thread mode
 *     alone                 echo: it makes one run at a time
 *     device NAME           echo: one more output, INT32 [-1,1]: where each row was run: a GPU's number, -1: the CPU
 *
 * Durations are a number and ns, us, ms or s. */
#ifndef TRP_SCRIPT_H
#define TRP_SCRIPT_H

#include "base/arena.h"
#include "base/atomic.h"
#include "base/status.h"
#include "troupe/backend.h"

#define TRP_SCRIPT_IO_MAX 64

/* A model of a built-in backend.  Constant once it is open, but for `runs`, and `weight` and
 * `is_asleep` of one that hibernates. */
struct trp_script {
    struct trp_arena arena; /* everything below lies in it */
    const struct troupe_host *host;
    struct troupe_io *inputs, *outputs; /* TRP_SCRIPT_IO_MAX each */
    uint32_t inputs_n, outputs_n;
    int64_t sleep_ns, busy_ns, load_sleep_ns;
    int64_t sleep_row_ns;                     /* and besides for each row */
    const char *until_file, *load_until_file; /* NULL: waits for none */
    int32_t fail_code;                        /* TROUPE_OK: runs do not fail */
    const char *fail_text;                    /* as the two below, NULL when not written */
    const char *load_fail;
    uint64_t weighs_bytes;
    void *weight; /* so many bytes of `account`, while it is open */
    const struct troupe_account *account;
    bool hibernates;
    struct trp_flag is_asleep;
    int64_t wake_sleep_ns;
    const char *wake_fail, *hibernate_fail;
    uint64_t fail_every;
    bool is_fatal;            /* what fails ends the process */
    uint64_t holds_bytes;     /* while a run waits and computes, */
    uint64_t holds_row_bytes; /* and besides for each row */
    uint32_t grow;            /* >= 1 */
    bool has_threads;         /* thread_mode must be `threads` */
    bool is_alone;
    const char *device_output;        /* NULL: none */
    struct troupe_device_id *devices; /* as opened */
    uint32_t devices_n;
    int32_t threads;
    struct trp_counter runs; /* counted only when some must fail */
};

/* Fills in what a backend derives from the lines, and refuses what it cannot do.
 *   Owns  : pieces come from script->arena.
 *   Thread: loader.
 *   Errors: any; they end the opening. */
typedef trp_status (*trp_script_complete_fn)(struct trp_script *script, struct trp_error *err);

/* Reads and completes a model file; with `is_open`, also sleeps and fails as it says.
 *   Owns  : the caller closes with trp_script_close(); `host` outlives it.
 *   Thread: loader.
 *   Blocks: disk; load_sleep, load_until.
 *   Errors: enum troupe_code, words in `error`: INVALID_ARGUMENT with the line, NOT_FOUND,
 *   CANCELLED,
 *           OUT_OF_MEMORY. */
int32_t trp_script_open(const struct troupe_host *host, const struct troupe_model_desc *desc,
                        bool is_open, trp_script_complete_fn complete,
                        struct trp_script **out_script, struct troupe_error *error);
void trp_script_close(void *script); /* accepts NULL */

/* Gives its weight back; takes it again.
 *   Owns  : nothing.
 *   Thread: loader; no run is active.
 *   Blocks: wake_sleep.
 *   Errors: UNIMPLEMENTED (it does not say `hibernates`), what it says, OUT_OF_MEMORY. */
int32_t trp_script_hibernate(void *script);
int32_t trp_script_wake(void *script);

/* Tells the signature; a NULL sink is told nothing.
 *   Owns  : borrowed for the call.
 *   Thread: loader.
 *   Errors: none. */
void trp_script_tell(const struct trp_script *script, const struct troupe_sink *sink,
                     const char *platform);

/* Does what comes before a run's answer: looks at the cancel flag, waits, computes, fails.
 *   Owns  : nothing.
 *   Thread: any.
 *   Blocks: as long as the script says, or until the run is cancelled.
 *   Errors: CANCELLED; or what the script says. */
int32_t trp_script_begin(struct trp_script *script, const struct troupe_run *run,
                         const struct troupe_tensor *inputs);

/* Gives an output memory of its run's account, once its dtype, rank, shape and bytes are set: the
 * memory given if it has room for `capacity` bytes or more, else a block that its release function
 * returns.
 *   Owns  : moves to the output.
 *   Thread: any.
 *   Errors: TOO_LARGE (passes output_bytes_max), OUT_OF_MEMORY, with words in run->error. */
int32_t trp_script_place(const struct troupe_run *run, struct troupe_tensor *output,
                         uint64_t capacity);

/* Gives back what the first `n` outputs hold, after a later one failed.
 *   Owns  : moves the outputs' memory away; memory given stays the giver's.
 *   Thread: any.
 *   Errors: none. */
void trp_script_drop(struct troupe_tensor *outputs, uint32_t n);

/* Writes words for whoever reads the failure, and returns the code.
 *   Owns  : `error` may be NULL.
 *   Thread: any.
 *   Errors: returns `code`. */
int32_t trp_script_fail(struct troupe_error *error, int32_t code, const char *format, ...)
    TRP_PRINTF(3, 4);

#endif
