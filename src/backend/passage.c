/* backend/passage.c - see passage.h.
 *
 *   inputs ──copy──► plot of the server's yard ─┐ lane ┌─► worker runs ─► outputs in its yard, or views of inputs
 *      │             frame in front of them ────┤      └──────────────────► views here, given back one by one
 *      └─ in the commons: where they lie ───────┘
 *
 *  1. What a worker writes is not believed: tensors are copied out of the frame before they are
 *     looked at, and must lie in the two yards, or in an input of this run.  The host checks the
 *     rest, as it does for every plugin.  Strings are copied as well: their lengths stand among
 *     them, and whoever reads them checks these once and believes them then, while the worker could
 *     still write there.  Not so in the commons.
 *  2. The passage is counted by its outputs: each keeps the shared memory, and, if one is a view of
 *     a copied input, the plot.  Views of what was not copied are as any plugin's: they have no
 *     release function, by which whoever has the inputs knows to keep them.
 *  3. A run whose lane says that the other one is gone waits until it is known how that came. */
#include "backend/passage.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/talk.h"
#include "base/thread.h"

#define INPUT_ALIGN 64u

struct passage {
    struct trp_refs refs; /* the run, and each output that has a release function */
    struct trp_stint *stint;
    struct trp_plot *plot;
    const struct troupe_tensor *inputs; /* while it runs */
    uint32_t inputs_n;
    struct trp_passage_seen seen; /* so far */
    struct output {
        struct passage *passage;
        uint64_t token, bytes;
        void *copy; /* of strings */
    } outputs[];
};

int32_t trp_passage_fail(struct troupe_error *error, int32_t code, const char *format, ...)
{
    if (error) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(error->text, sizeof error->text, format, args);
        va_end(args);
        error->code = code;
    }
    return code;
}

static void unref(struct passage *p)
{
    if (!trp_refs_down(&p->refs))
        return;
    trp_yard_give(&p->stint->yard, p->plot);
    trp_stint_unref(p->stint);
    trp_alloc_free(trp_heap(), p);
}

static void give_back(const struct passage *p, const struct output *o)
{
    if (o->token)
        trp_stint_release(p->stint, o->token, o->bytes);
}

static void release_output(void *user, void *data)
{
    struct output *o = user;
    struct passage *p = o->passage;
    (void)data;
    give_back(p, o);
    trp_alloc_free(trp_heap(), o->copy);
    unref(p);
}

/* ---- there ---- */

static uint64_t align_up(uint64_t n)
{
    return (n + INPUT_ALIGN - 1) & ~(uint64_t)(INPUT_ALIGN - 1);
}

/* Where the worker can look by itself. */
static bool is_common(const struct trp_stint *s, const struct troupe_tensor *t, uint64_t *out_at)
{
    return s->sees_commons && trp_commons_find(s->commons, t->data, t->bytes, out_at);
}

static uint64_t bytes_of(const struct trp_stint *s, const struct troupe_run *run,
                         const struct troupe_tensor *inputs)
{
    uint64_t bytes = align_up(trp_worker_frame_bytes(run->inputs_n, run->outputs_n)), at;
    for (uint32_t i = 0; i < run->inputs_n; i++)
        if (inputs[i].data && !is_common(s, &inputs[i], &at))
            bytes += align_up(inputs[i].bytes);
    return bytes;
}

static struct trp_worker_frame *frame_of(const struct passage *p)
{
    return (struct trp_worker_frame *)(void *)p->plot->ptr;
}

/* Copies it to `at` in the plot; returns where the next one may begin. */
static uint64_t copy_input(struct passage *p, const struct troupe_tensor *from, uint64_t at,
                           struct trp_worker_tensor *to)
{
    to->place = TRP_WORKER_SERVERS_YARD;
    to->at = p->plot->at + at;
    if (from->bytes)
        memcpy(p->plot->ptr + at, from->data, from->bytes);
    p->seen.copied_bytes += from->bytes;
    return at + align_up(from->bytes);
}

static void put_inputs(struct passage *p, struct trp_worker_tensor *to)
{
    uint64_t at = align_up(trp_worker_frame_bytes(p->inputs_n, frame_of(p)->outputs_n)), there;
    for (uint32_t i = 0; i < p->inputs_n; i++) {
        const struct troupe_tensor *from = &p->inputs[i];
        to[i] = (struct trp_worker_tensor){ .dtype = from->dtype,
                                            .rank = from->rank,
                                            .bytes = from->bytes,
                                            .place = TRP_WORKER_ABSENT };
        memcpy(to[i].shape, from->shape, sizeof to[i].shape);
        if (!from->data)
            continue;
        if (is_common(p->stint, from, &there)) {
            to[i].place = TRP_WORKER_COMMONS;
            to[i].at = there;
        } else {
            at = copy_input(p, from, at, &to[i]);
        }
    }
}

static void fill(struct passage *p, const struct troupe_run *run)
{
    struct trp_worker_frame *f = frame_of(p);
    f->id = run->id;
    f->output_bytes_max = run->output_bytes_max;
    f->memory_bytes_max = run->memory_bytes_max;
    f->deadline_ns = run->deadline_ns;
    f->peak_bytes = f->kept_bytes = f->refused = 0;
    f->inputs_n = run->inputs_n;
    f->outputs_n = run->outputs_n;
    f->device = run->device;
    if (!trp_cores_of_work(&f->cores))
        f->cores = (struct trp_cores){ 0 };
    f->turn_ns = trp_thread_turn_ns();
    f->releases_n = trp_stint_take_releases(p->stint, f->releases);
    f->text[0] = '\0';
    put_inputs(p, trp_worker_frame_tensors(f));
    for (uint32_t i = 0; i < run->outputs_n; i++)
        trp_worker_frame_indices(f, run->inputs_n + run->outputs_n)[i] =
            run->output_index ? run->output_index[i] : i;
}

/* ---- and back ---- */

/* False: the other one is gone. */
static bool wait_for_answer(const struct passage *p, const struct troupe_run *run, int lane,
                            struct trp_worker_answer *out)
{
    int fds[TRP_TALK_FDS_MAX];
    enum trp_talk got = trp_talk_receive(lane, out, sizeof *out, fds);
    while (got == TRP_TALK_NOT_YET) {
        if (trp_flag_word_is_up(run->cancel))
            trp_stint_cancel(p->stint, run->id); /* again: the first may have come before the run */
        got = trp_talk_receive(lane, out, sizeof *out, fds);
    }
    return got == TRP_TALK_MESSAGE;
}

/* In the commons lies what other requests have sent, too: it must be a view of what was lent for
 * this one. */
static char *memory_in_inputs(const struct passage *p, const struct trp_worker_tensor *t)
{
    uint64_t first;
    for (uint32_t i = 0; i < p->inputs_n; i++) {
        const uint64_t bytes = p->inputs[i].bytes;
        if (p->inputs[i].data && is_common(p->stint, &p->inputs[i], &first) && t->at >= first &&
            t->at - first <= bytes && t->bytes <= bytes - (t->at - first))
            return trp_commons_at(p->stint->commons, t->at);
    }
    return NULL;
}

/* The memory that a tensor of the worker's lies in; NULL: it lies nowhere. */
static char *memory_of(const struct passage *p, const struct trp_worker_tensor *t)
{
    if (t->place == TRP_WORKER_COMMONS)
        return memory_in_inputs(p, t);
    const struct trp_shm *shm = t->place == TRP_WORKER_WORKERS_YARD   ? &p->stint->theirs
                                : t->place == TRP_WORKER_SERVERS_YARD ? &p->stint->yard.shm
                                                                      : NULL;
    return shm && trp_yard_has(shm, t->at, t->bytes) ? shm->ptr + t->at : NULL;
}

/* Somebody wants it where he says, and it fits there. */
static void move_to_given(struct passage *p, const struct troupe_tensor *given,
                          struct troupe_tensor *t)
{
    if (!given->data || !t->data || t->bytes > given->bytes)
        return;
    if (t->bytes)
        memmove(given->data, t->data, t->bytes);
    p->seen.copied_bytes += t->bytes;
    if (t->release)
        t->release(t->release_user, t->data);
    t->data = given->data;
    t->release = NULL;
    t->release_user = NULL;
}

static void take_output(struct passage *p, uint32_t i, const struct trp_worker_tensor *from,
                        struct troupe_tensor *to)
{
    struct output *o = &p->outputs[i];
    *o = (struct output){ p, from->token, from->bytes, NULL };
    *to = (struct troupe_tensor){
        .dtype = from->dtype, .rank = from->rank, .data = memory_of(p, from), .bytes = from->bytes
    };
    memcpy(to->shape, from->shape, sizeof to->shape);
    if (from->place == TRP_WORKER_COMMONS) { /* nothing there keeps it */
        give_back(p, o);
        return;
    }
    to->release = release_output;
    to->release_user = o;
    trp_refs_up(&p->refs);
}

/* False: no memory.  What is longer than allowed, or is said to be, stays there: the host
 * refuses it unread. */
static bool copy_strings(struct passage *p, uint32_t i, uint64_t bytes_max, struct troupe_tensor *t)
{
    uint64_t at;
    if (t->dtype != TROUPE_BYTES || !t->data || t->bytes == 0 || is_common(p->stint, t, &at) ||
        (bytes_max && t->bytes > bytes_max))
        return true;
    struct output *o = &p->outputs[i];
    o->copy = trp_alloc_get(trp_heap(), 1, t->bytes);
    if (o->copy)
        memcpy(o->copy, t->data, t->bytes);
    p->seen.copied_bytes += o->copy ? t->bytes : 0;
    t->data = o->copy;
    return o->copy != NULL;
}

static void drop_outputs(struct troupe_tensor *outputs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (outputs[i].release)
            outputs[i].release(outputs[i].release_user, outputs[i].data);
        outputs[i] = (struct troupe_tensor){ .data = NULL };
    }
}

static int32_t take_outputs(struct passage *p, const struct troupe_run *run,
                            struct troupe_tensor *outputs)
{
    const struct trp_worker_tensor *shared = trp_worker_frame_tensors(frame_of(p)) + run->inputs_n;
    bool has_views = false, is_sound = true, has_memory = true;
    for (uint32_t i = 0; i < run->outputs_n; i++) {
        const struct trp_worker_tensor t = shared[i]; /* as it is now */
        const struct troupe_tensor given = outputs[i];
        take_output(p, i, &t, &outputs[i]);
        is_sound = is_sound && outputs[i].data;
        has_memory = copy_strings(p, i, run->output_bytes_max, &outputs[i]) && has_memory;
        move_to_given(p, &given, &outputs[i]);
        has_views = has_views || (outputs[i].release && t.place == TRP_WORKER_SERVERS_YARD);
    }
    if (!has_views) {
        trp_yard_give(&p->stint->yard, p->plot);
        p->plot = NULL;
    }
    if (is_sound && has_memory)
        return TROUPE_OK;
    drop_outputs(outputs, run->outputs_n);
    if (is_sound)
        return trp_passage_fail(run->error, TROUPE_OUT_OF_MEMORY, "no memory for its strings");
    return trp_passage_fail(run->error, TROUPE_INTERNAL,
                            "its worker process named memory that there is not");
}

static int32_t died(const struct passage *p, const char *model, const struct troupe_run *run)
{
    char words[TRP_CHILD_WORDS_MAX];
    trp_stint_wait_end(p->stint, words);
    return trp_passage_fail(run->error, TROUPE_INTERNAL,
                            "the worker process of '%s' %s while it ran this", model, words);
}

/* What its runs hold there is charged to the model, as in this process; when that is refused,
 * nobody gets an answer for it. */
static int32_t pay(struct passage *p, const struct troupe_run *run, uint64_t kept_bytes,
                   struct troupe_tensor *outputs)
{
    if (trp_stint_charge(p->stint, run->account, kept_bytes))
        return TROUPE_OK;
    drop_outputs(outputs, run->outputs_n);
    trp_stint_trim(p->stint);
    return trp_passage_fail(run->error, TROUPE_OUT_OF_MEMORY,
                            "its worker process holds %llu bytes for runs, which was refused",
                            (unsigned long long)kept_bytes);
}

static int32_t take_answer(struct passage *p, const struct troupe_run *run, int32_t code,
                           struct troupe_tensor *outputs)
{
    struct trp_worker_frame *f = frame_of(p);
    const uint64_t kept_bytes = f->kept_bytes;
    p->seen.refused += trp_stint_note_refused(p->stint, f->refused);
    char text[TRP_WORKER_TEXT_MAX];
    if (run->out_peak_bytes)
        *run->out_peak_bytes = f->peak_bytes;
    if (code == TROUPE_OK) {
        const int32_t taken = take_outputs(p, run, outputs);
        return taken == TROUPE_OK ? pay(p, run, kept_bytes, outputs) : taken;
    }
    (void)trp_stint_charge(p->stint, run->account, kept_bytes); /* it has failed already */
    memcpy(text, f->text, sizeof text);                         /* as it is now */
    text[sizeof text - 1] = '\0';
    return trp_passage_fail(run->error, code, "%s", text);
}

static int32_t pass(struct passage *p, const char *model, const struct troupe_run *run,
                    struct troupe_tensor *outputs)
{
    const struct trp_worker_call call = { .at = p->plot->at };
    struct trp_worker_answer answer = { .code = TROUPE_OK };
    const int lane = trp_stint_take_lane(p->stint);
    if (lane >= 0)
        fill(p, run);
    const bool is_begun = lane >= 0 && trp_talk_send(lane, &call, sizeof call, NULL, 0);
    const bool is_over = is_begun && !wait_for_answer(p, run, lane, &answer);
    const bool is_answered = is_begun && !is_over && !answer.is_refused;
    if (lane >= 0)
        trp_stint_give_lane(p->stint, lane, !is_answered);
    if (is_answered)
        return take_answer(p, run, answer.code, outputs);
    if (is_over)
        return died(p, model, run);
    return trp_passage_fail(run->error, TROUPE_UNAVAILABLE,
                            "its worker process has ended, or has no room for another run");
}

static int32_t fail_lacking(const struct trp_stint *s, const struct troupe_run *run, uint64_t bytes,
                            enum trp_yard_lack lack)
{
    if (lack == TRP_YARD_LACKS_HEAP)
        return trp_passage_fail(run->error, TROUPE_OUT_OF_MEMORY,
                                "no memory for a run in a worker process");
    const bool is_never = lack == TRP_YARD_IS_TOO_SMALL;
    return trp_passage_fail(
        run->error, is_never ? TROUPE_TOO_LARGE : TROUPE_OUT_OF_MEMORY,
        "%s for %llu bytes that a worker process must see; it shares %llu with the server "
        "(limits.worker_bytes)",
        is_never ? "never room" : "no room now", (unsigned long long)bytes,
        (unsigned long long)s->yard.shm.bytes);
}

int32_t trp_passage_run(struct trp_stint *stint, const char *model, const struct troupe_run *run,
                        const struct troupe_tensor *inputs, struct troupe_tensor *outputs,
                        struct trp_passage_seen *out)
{
    *out = (struct trp_passage_seen){ 0 };
    struct passage *p =
        trp_alloc_zeroed(trp_heap(), 1, sizeof *p + run->outputs_n * sizeof *p->outputs);
    const uint64_t bytes = bytes_of(stint, run, inputs);
    enum trp_yard_lack lack = TRP_YARD_LACKS_HEAP;
    struct trp_plot *plot = p ? trp_yard_try(&stint->yard, bytes, &lack) : NULL;
    if (!plot) {
        out->refused = lack != TRP_YARD_LACKS_HEAP;
        trp_alloc_free(trp_heap(), p);
        return fail_lacking(stint, run, bytes, lack);
    }
    trp_refs_init(&p->refs);
    p->stint = stint;
    p->plot = plot;
    p->inputs = inputs;
    p->inputs_n = run->inputs_n;
    trp_stint_ref(stint);
    const int32_t code = pass(p, model, run, outputs);
    *out = p->seen;
    unref(p);
    return code;
}
