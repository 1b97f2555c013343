/* backend/script.c - see script.h.  A row of a table for each word that a line may begin with. */
#include "backend/script.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "tensor/dtype.h"

#define FILE_BYTES_MAX (1u << 20)
#define SLICE_NS TRP_MS(1)      /* how long a cancelled run may go on sleeping */
#define FILE_SLICE_NS TRP_MS(5) /* and one that waits for a file */
#define BLOCK_ALIGN 64u

/* --- words ------------------------------------------------------------------------------------ */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct trp_str trim(struct trp_str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = trp_str_make(s.ptr + 1, s.len - 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts the first word off `rest`. */
static struct trp_str next_word(struct trp_str *rest)
{
    const struct trp_str s = trim(*rest);
    size_t n = 0;
    while (n < s.len && !is_blank(s.ptr[n]))
        n++;
    *rest = trim(trp_str_make(s.ptr + n, s.len - n));
    return trp_str_make(s.ptr, n);
}

/* Cuts `rest` at the first `mark`; false when nothing is left. */
static bool next_part(struct trp_str *rest, char mark, struct trp_str *out)
{
    if (!rest->ptr)
        return false;
    const char *at = rest->len ? memchr(rest->ptr, mark, rest->len) : NULL;
    const size_t n = at ? (size_t)(at - rest->ptr) : rest->len;
    *out = trp_str_make(rest->ptr, n);
    *rest = at ? trp_str_make(at + 1, rest->len - n - 1) : trp_str_make(NULL, 0);
    return true;
}

static bool parse_duration(struct trp_str s, int64_t *out_ns)
{
    static const struct unit {
        const char *name;
        uint64_t ns;
    } units[] = { { "ns", 1 }, { "us", 1000 }, { "ms", 1000000 }, { "s", 1000000000 } };
    uint64_t number;
    for (const struct unit *u = units; u < units + ARRAY_LEN(units); u++) {
        const struct trp_str tail = trp_str_of(u->name);
        if (!trp_str_ends_with(s, tail) ||
            !trp_str_parse_u64(trp_str_make(s.ptr, s.len - tail.len), &number))
            continue;
        if (number > (uint64_t)INT64_MAX / u->ns)
            return false;
        *out_ns = (int64_t)(number * u->ns);
        return true;
    }
    return false;
}

static bool parse_dims(struct trp_str s, struct troupe_io *io)
{
    struct trp_str part;
    if (trp_str_is(s, "*")) {
        io->any_rank = 1;
        return true;
    }
    if (s.len < 2 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']')
        return false;
    struct trp_str rest = trp_str_make(s.ptr + 1, s.len - 2);
    if (rest.len == 0)
        return true; /* a scalar */
    while (next_part(&rest, ',', &part)) {
        int64_t dim;
        if (io->rank == TROUPE_RANK_MAX || !trp_str_parse_i64(part, &dim) || dim < -1)
            return false;
        io->dims[io->rank++] = dim;
    }
    return true;
}

/* --- lines ------------------------------------------------------------------------------------ */

static trp_status keep_text(struct trp_script *s, struct trp_str text, const char **out,
                            struct trp_error *err)
{
    *out = trp_arena_dup(&s->arena, text).ptr;
    return *out ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "script");
}

static trp_status read_labels(struct trp_script *s, struct trp_str list, struct troupe_io *io,
                              struct trp_error *err)
{
    struct trp_str part, rest = list;
    uint32_t n = 1;
    for (size_t i = 0; i < list.len; i++)
        n += list.ptr[i] == ',';
    const char **labels = trp_arena_zeroed(&s->arena, n, sizeof *labels);
    if (!labels)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "script");
    while (next_part(&rest, ',', &part)) {
        TRP_CHECK(keep_text(s, part, &labels[io->labels_n++], err));
    }
    io->labels = labels;
    return trp_ok();
}

/* NAME DTYPE DIMS [optional | labels=...] */
static trp_status read_io(struct trp_script *s, struct trp_str rest, bool is_output,
                          struct trp_error *err)
{
    struct troupe_io *ios = is_output ? s->outputs : s->inputs;
    uint32_t *n = is_output ? &s->outputs_n : &s->inputs_n;
    const struct trp_str name = next_word(&rest), dtype = next_word(&rest), dims = next_word(&rest);
    if (*n == TRP_SCRIPT_IO_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %d of a kind", TRP_SCRIPT_IO_MAX);
    struct troupe_io io = { .dtype = (int32_t)trp_dtype_parse(dtype) };
    if (io.dtype == TROUPE_NO_DTYPE)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no type", TRP_STR(dtype));
    if (!parse_dims(dims, &io))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no list of sizes", TRP_STR(dims));
    TRP_CHECK(keep_text(s, name, &io.name, err));
    for (struct trp_str word = next_word(&rest); word.len; word = next_word(&rest)) {
        const struct trp_str labels = TRP_STR_LIT("labels=");
        if (!is_output && trp_str_is(word, "optional"))
            io.optional = 1;
        else if (is_output && trp_str_starts_with(word, labels))
            TRP_CHECK(read_labels(s, trp_str_make(word.ptr + labels.len, word.len - labels.len),
                                  &io, err));
        else
            return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is not understood here",
                            TRP_STR(word));
    }
    ios[(*n)++] = io;
    return trp_ok();
}

static trp_status read_input(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_io(s, rest, false, err);
}
static trp_status read_output(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_io(s, rest, true, err);
}

static trp_status read_duration(struct trp_str text, int64_t *out_ns, struct trp_error *err)
{
    return parse_duration(text, out_ns)
               ? trp_ok()
               : trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no duration", TRP_STR(text));
}
static trp_status read_sleep(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_duration(rest, &s->sleep_ns, err);
}
static trp_status read_sleep_row(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_duration(rest, &s->sleep_row_ns, err);
}
static trp_status read_busy(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_duration(rest, &s->busy_ns, err);
}
static trp_status read_load_sleep(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_duration(rest, &s->load_sleep_ns, err);
}

static trp_status read_fail(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    const struct trp_str name = next_word(&rest);
    for (int32_t code = TRP_OK + 1; code < (int32_t)TRP_CODES; code++) {
        if (!trp_str_is(name, trp_code_name(code)))
            continue;
        s->fail_code = code;
        return keep_text(s, rest, &s->fail_text, err);
    }
    return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no code", TRP_STR(name));
}

static trp_status read_load_fail(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return keep_text(s, rest, &s->load_fail, err);
}

static trp_status read_count(struct trp_str text, uint64_t max, uint64_t *out,
                             struct trp_error *err)
{
    if (trp_str_parse_u64(text, out) && *out >= 1 && *out <= max)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s' is no number from 1 to %llu", TRP_STR(text),
                    (unsigned long long)max);
}
static trp_status read_fail_every(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_count(rest, UINT32_MAX, &s->fail_every, err);
}
static trp_status read_weighs(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_count(rest, UINT64_C(1) << 40, &s->weighs_bytes, err);
}
static trp_status read_holds(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_count(rest, UINT64_C(1) << 40, &s->holds_bytes, err);
}
static trp_status read_holds_row(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_count(rest, UINT64_C(1) << 30, &s->holds_row_bytes, err);
}
static trp_status read_hibernates(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    s->hibernates = rest.len == 0;
    return s->hibernates ? trp_ok()
                         : trp_fail(err, TRP_INVALID_ARGUMENT, "nothing belongs behind hibernates");
}
static trp_status read_fatal(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    s->is_fatal = rest.len == 0;
    return s->is_fatal ? trp_ok()
                       : trp_fail(err, TRP_INVALID_ARGUMENT, "nothing belongs behind fatal");
}
static trp_status read_file(struct trp_script *s, struct trp_str path, const char **out,
                            struct trp_error *err)
{
    return path.len ? keep_text(s, path, out, err)
                    : trp_fail(err, TRP_INVALID_ARGUMENT, "behind until belongs a file's name");
}
static trp_status read_until(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_file(s, rest, &s->until_file, err);
}
static trp_status read_load_until(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_file(s, rest, &s->load_until_file, err);
}
static trp_status read_wake_sleep(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return read_duration(rest, &s->wake_sleep_ns, err);
}
static trp_status read_wake_fail(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    return keep_text(s, rest, &s->wake_fail, err);
}
static trp_status read_hibernate_fail(struct trp_script *s, struct trp_str rest,
                                      struct trp_error *err)
{
    return keep_text(s, rest, &s->hibernate_fail, err);
}
static trp_status read_grow(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    uint64_t n = 1;
    const trp_status st = read_count(rest, UINT32_MAX, &n, err);
    s->grow = (uint32_t)n;
    return st;
}

static trp_status read_alone(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    s->is_alone = rest.len == 0;
    return s->is_alone ? trp_ok()
                       : trp_fail(err, TRP_INVALID_ARGUMENT, "nothing belongs behind alone");
}
static trp_status read_device(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    const struct trp_str name = next_word(&rest);
    if (name.len == 0 || rest.len > 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "behind device belongs the name of an output");
    return keep_text(s, name, &s->device_output, err);
}
static trp_status read_threads(struct trp_script *s, struct trp_str rest, struct trp_error *err)
{
    s->has_threads = true;
    s->threads = trp_str_is(rest, "shared") ? TROUPE_THREADS_SHARED : TROUPE_THREADS_ONE;
    return trp_str_is(rest, "shared") || trp_str_is(rest, "one")
               ? trp_ok()
               : trp_fail(err, TRP_INVALID_ARGUMENT, "threads are one or shared");
}

static const struct word {
    const char *name;
    trp_status (*read)(struct trp_script *s, struct trp_str rest, struct trp_error *err);
} words[] = {
    { "input", read_input },
    { "output", read_output },
    { "sleep", read_sleep },
    { "sleep_row", read_sleep_row },
    { "until", read_until },
    { "busy", read_busy },
    { "fail", read_fail },
    { "fail_every", read_fail_every },
    { "fatal", read_fatal },
    { "load_sleep", read_load_sleep },
    { "load_until", read_load_until },
    { "load_fail", read_load_fail },
    { "weighs", read_weighs },
    { "holds", read_holds },
    { "holds_row", read_holds_row },
    { "grow", read_grow },
    { "threads", read_threads },
    { "alone", read_alone },
    { "device", read_device },
    { "hibernates", read_hibernates },
    { "wake_sleep", read_wake_sleep },
    { "wake_fail", read_wake_fail },
    { "hibernate_fail", read_hibernate_fail },
};

static trp_status read_line(struct trp_script *s, struct trp_str line, struct trp_error *err)
{
    struct trp_str rest = trim(line);
    if (rest.len == 0 || rest.ptr[0] == '#')
        return trp_ok();
    const struct trp_str name = next_word(&rest);
    for (const struct word *w = words; w < words + ARRAY_LEN(words); w++)
        if (trp_str_is(name, w->name))
            return w->read(s, rest, err);
    return trp_fail(err, TRP_INVALID_ARGUMENT, "unknown word '%.*s'", TRP_STR(name));
}

static trp_status read_text(struct trp_script *s, struct trp_str text, const char *path,
                            struct trp_error *err)
{
    struct trp_str line;
    for (uint32_t number = 1; next_part(&text, '\n', &line); number++)
        TRP_TRY(read_line(s, line, err), err, "%s:%u", path, number);
    if (s->inputs_n == 0)
        TRP_CHECK(read_line(s, TRP_STR_LIT("input INPUT0 FP32 [-1,-1]"), err));
    if ((s->fail_every || s->is_fatal) && s->fail_code == TROUPE_OK)
        TRP_CHECK(read_line(s, TRP_STR_LIT("fail BACKEND_FAILED failed on purpose"), err));
    if (s->fail_every == 0)
        s->fail_every = 1;
    return trp_ok();
}

/* --- life ------------------------------------------------------------------------------------- */

int32_t trp_script_fail(struct troupe_error *error, int32_t code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        error->code = code;
    }
    return code;
}

static void sleep_for(int64_t ns)
{
    const struct timespec slice = { 0, (long)ns };
    nanosleep(&slice, NULL);
}

/* Sleeps until `end_ns`, in slices; false when the flag was raised. */
static bool sleep_until(const struct troupe_host *host, int64_t end_ns,
                        const volatile int32_t *flag)
{
    for (int64_t now = host->now_ns(host->user); now < end_ns; now = host->now_ns(host->user)) {
        if (trp_flag_word_is_up(flag))
            return false;
        sleep_for(end_ns - now < SLICE_NS ? end_ns - now : SLICE_NS);
    }
    return !trp_flag_word_is_up(flag);
}

/* Sleeps until there is a file `path`, NULL: not at all; false when the flag was raised. */
static bool sleep_until_there_is(const char *path, const volatile int32_t *flag)
{
    struct trp_file_stat found;
    while (path && trp_failed(trp_file_stat(path, &found, NULL))) {
        if (trp_flag_word_is_up(flag))
            return false;
        sleep_for(FILE_SLICE_NS);
    }
    return !trp_flag_word_is_up(flag);
}

static trp_status load(struct trp_script *s, const char *path, struct trp_error *err)
{
    char *text = NULL;
    size_t len = 0;
    s->inputs = trp_arena_zeroed(&s->arena, TRP_SCRIPT_IO_MAX, sizeof *s->inputs);
    s->outputs = trp_arena_zeroed(&s->arena, TRP_SCRIPT_IO_MAX, sizeof *s->outputs);
    if (!s->inputs || !s->outputs)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "script");
    TRP_CHECK(trp_file_read(trp_heap(), path, FILE_BYTES_MAX, &text, &len, err));
    const trp_status st = read_text(s, trp_str_make(text, len), path, err);
    trp_alloc_free(trp_heap(), text);
    return st;
}

/* What opening does beyond reading. */
static trp_status pretend_to_load(const struct trp_script *s, const volatile int32_t *cancel,
                                  struct trp_error *err)
{
    const struct troupe_host *host = s->host;
    const int64_t end_ns = s->load_sleep_ns ? host->now_ns(host->user) + s->load_sleep_ns : 0;
    if (!sleep_until(host, end_ns, cancel) || !sleep_until_there_is(s->load_until_file, cancel))
        return trp_fail(err, TRP_CANCELLED, "loading was given up");
    return s->load_fail ? trp_fail(err, TRP_INVALID_ARGUMENT, "%s", s->load_fail) : trp_ok();
}

/* Written to, so that it is in memory, and not only promised. */
static trp_status take_weight(struct trp_script *s, const struct troupe_account *account,
                              struct trp_error *err)
{
    if (s->weighs_bytes == 0 || !account)
        return trp_ok();
    s->weight = account->alloc(account->user, s->weighs_bytes, BLOCK_ALIGN);
    if (!s->weight)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for %llu bytes of weight",
                        (unsigned long long)s->weighs_bytes);
    s->account = account;
    memset(s->weight, 1, s->weighs_bytes);
    return trp_ok();
}

static trp_status keep_devices(struct trp_script *s, const struct troupe_model_desc *desc,
                               struct trp_error *err)
{
    const size_t bytes = desc->devices_n * sizeof *s->devices;
    if (bytes == 0)
        return trp_ok();
    s->devices = trp_arena_get(&s->arena, bytes);
    if (!s->devices)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "script");
    memcpy(s->devices, desc->devices, bytes);
    s->devices_n = desc->devices_n;
    return trp_ok();
}

int32_t trp_script_open(const struct troupe_host *host, const struct troupe_model_desc *desc,
                        bool is_open, trp_script_complete_fn complete,
                        struct trp_script **out_script, struct troupe_error *error)
{
    struct trp_error err = { 0 };
    *out_script = NULL;
    struct trp_script *s = trp_alloc_zeroed(trp_heap(), 1, sizeof *s);
    if (!s)
        return trp_script_fail(error, TROUPE_OUT_OF_MEMORY, "script");
    s->host = host;
    s->grow = 1;
    trp_arena_init(&s->arena, trp_heap(), 4096, 0);
    trp_status st = load(s, desc->path, &err);
    if (!trp_failed(st))
        st = complete(s, &err);
    if (!trp_failed(st) && is_open && s->has_threads && s->threads != desc->thread_mode)
        st = trp_fail(&err, TRP_INVALID_ARGUMENT, "threads: it is opened the other way");
    if (!trp_failed(st) && is_open)
        st = keep_devices(s, desc, &err);
    if (!trp_failed(st) && is_open)
        st = pretend_to_load(s, desc->cancel, &err);
    if (!trp_failed(st) && is_open)
        st = take_weight(s, desc->account, &err);
    if (trp_failed(st)) {
        trp_script_close(s);
        return trp_script_fail(error, st.code, "%s", err.text);
    }
    *out_script = s;
    return TROUPE_OK;
}

void trp_script_close(void *script)
{
    struct trp_script *s = script;
    if (!s)
        return;
    if (s->weight)
        s->account->free(s->account->user, s->weight, s->weighs_bytes);
    trp_arena_deinit(&s->arena);
    trp_alloc_free(trp_heap(), s);
}

int32_t trp_script_hibernate(void *script)
{
    struct trp_script *s = script;
    if (!s->hibernates)
        return TROUPE_UNIMPLEMENTED;
    if (s->hibernate_fail)
        return TROUPE_BACKEND_FAILED;
    if (s->weight)
        s->account->free(s->account->user, s->weight, s->weighs_bytes);
    s->weight = NULL;
    trp_flag_raise(&s->is_asleep);
    return TROUPE_OK;
}

int32_t trp_script_wake(void *script)
{
    struct trp_script *s = script;
    struct trp_error err = { 0 };
    if (!trp_flag_is_up(&s->is_asleep))
        return TROUPE_OK;
    if (s->wake_sleep_ns)
        (void)sleep_until(s->host, s->host->now_ns(s->host->user) + s->wake_sleep_ns, NULL);
    if (s->wake_fail)
        return TROUPE_BACKEND_FAILED;
    if (trp_failed(take_weight(s, s->account, &err)))
        return TROUPE_OUT_OF_MEMORY;
    trp_flag_lower(&s->is_asleep);
    return TROUPE_OK;
}

void trp_script_tell(const struct trp_script *s, const struct troupe_sink *sink,
                     const char *platform)
{
    if (!sink)
        return;
    for (uint32_t i = 0; i < s->inputs_n; i++)
        sink->input(sink->user, &s->inputs[i]);
    for (uint32_t i = 0; i < s->outputs_n; i++)
        sink->output(sink->user, &s->outputs[i]);
    sink->platform(sink->user, platform);
}

/* --- runs ------------------------------------------------------------------------------------- */

static bool compute_for(const struct troupe_host *host, int64_t ns, const volatile int32_t *flag)
{
    const int64_t end_ns = host->now_ns(host->user) + ns;
    while (host->now_ns(host->user) < end_ns) {
        if (trp_flag_word_is_up(flag))
            return false;
    }
    return true;
}

/* As the processor does about INT64_MIN / -1; threads of ours block the signal when it is not a
 * fault of their own. */
static void end_process(void)
{
    sigset_t fault;
    sigemptyset(&fault);
    sigaddset(&fault, SIGFPE);
    pthread_sigmask(SIG_UNBLOCK, &fault, NULL);
    (void)raise(SIGFPE);
}

static int32_t wait_and_compute(struct trp_script *s, const struct troupe_run *run, uint64_t rows)
{
    const int64_t sleep_ns = s->sleep_ns + (int64_t)rows * s->sleep_row_ns;
    bool goes_on = !trp_flag_word_is_up(run->cancel);
    if (goes_on && sleep_ns)
        goes_on = sleep_until(s->host, s->host->now_ns(s->host->user) + sleep_ns, run->cancel);
    if (goes_on && s->until_file)
        goes_on = sleep_until_there_is(s->until_file, run->cancel);
    if (goes_on && s->busy_ns)
        goes_on = compute_for(s->host, s->busy_ns, run->cancel);
    if (!goes_on)
        return trp_script_fail(run->error, TROUPE_CANCELLED, "the run was cancelled");
    if (s->fail_code != TROUPE_OK && trp_counter_add(&s->runs, 1) % s->fail_every == 0) {
        if (s->is_fatal)
            end_process();
        return trp_script_fail(run->error, s->fail_code, "%s", s->fail_text);
    }
    return TROUPE_OK;
}

/* What a run holds is written to, so that it is in memory, and not only promised. */
int32_t trp_script_begin(struct trp_script *s, const struct troupe_run *run,
                         const struct troupe_tensor *inputs)
{
    const struct troupe_account *account = run->account;
    const uint64_t rows =
        run->inputs_n && inputs[0].data && inputs[0].rank ? (uint64_t)inputs[0].shape[0] : 0;
    const uint64_t bytes = s->holds_bytes + rows * s->holds_row_bytes;
    void *held = NULL;
    if (trp_flag_is_up(&s->is_asleep))
        return trp_script_fail(run->error, TROUPE_BACKEND_FAILED, "it is hibernated");
    if (bytes && run->out_peak_bytes)
        *run->out_peak_bytes = bytes;
    if (run->memory_bytes_max && bytes > run->memory_bytes_max)
        return trp_script_fail(
            run->error, TROUPE_TOO_LARGE, "the run would hold %llu bytes; a run may hold %llu",
            (unsigned long long)bytes, (unsigned long long)run->memory_bytes_max);
    if (bytes && account) {
        held = account->alloc(account->user, bytes, BLOCK_ALIGN);
        if (!held)
            return trp_script_fail(run->error, TROUPE_OUT_OF_MEMORY, "no memory for %llu bytes",
                                   (unsigned long long)bytes);
        memset(held, 1, bytes);
    }
    const int32_t code = wait_and_compute(s, run, rows);
    if (held)
        account->free(account->user, held, bytes);
    return code;
}

/* Stands before a block, so that its release needs no memory of its own. */
struct lent {
    const struct troupe_account *account;
    uint64_t bytes; /* with this head */
};
_Static_assert(sizeof(struct lent) <= BLOCK_ALIGN, "the head fits before an aligned block");

static void give_back(void *user, void *data)
{
    struct lent *lent = user;
    (void)data;
    if (lent->account)
        lent->account->free(lent->account->user, lent, lent->bytes);
    else
        trp_alloc_free(trp_heap(), lent);
}

int32_t trp_script_place(const struct troupe_run *run, struct troupe_tensor *output,
                         uint64_t capacity)
{
    if (run->output_bytes_max && output->bytes > run->output_bytes_max)
        return trp_script_fail(
            run->error, TROUPE_TOO_LARGE, "an output of %llu bytes; at most %llu are allowed",
            (unsigned long long)output->bytes, (unsigned long long)run->output_bytes_max);
    if (output->data && output->bytes <= capacity)
        return TROUPE_OK;
    uint64_t bytes;
    struct lent *lent = NULL;
    if (!__builtin_add_overflow(output->bytes, BLOCK_ALIGN, &bytes))
        lent = run->account ? run->account->alloc(run->account->user, bytes, BLOCK_ALIGN)
                            : trp_alloc_aligned(trp_heap(), bytes, BLOCK_ALIGN);
    if (!lent)
        return trp_script_fail(run->error, TROUPE_OUT_OF_MEMORY,
                               "no memory for an output of %llu bytes",
                               (unsigned long long)output->bytes);
    *lent = (struct lent){ run->account, bytes };
    output->data = (char *)lent + BLOCK_ALIGN;
    output->release = give_back;
    output->release_user = lent;
    return TROUPE_OK;
}

void trp_script_drop(struct troupe_tensor *outputs, uint32_t n)
{
    for (struct troupe_tensor *t = outputs; t < outputs + n; t++) {
        if (t->release)
            t->release(t->release_user, t->data);
        t->release = NULL;
        t->data = NULL;
    }
}
