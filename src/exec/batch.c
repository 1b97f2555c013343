/* exec/batch.c - see batch.h.
 *
 * Two pieces of memory, both in the version's name: the gathered inputs, which go as soon as the
 * run has ended unless an output is a view of them, and what the members share: who lent the joint
 * outputs, and a count of the views.  Everything is allocated before the run, so that a run that
 * went well cannot fail afterwards for want of a few bytes. */
#include "exec/batch.h"

#include "backend/backend_host.h"
#include "exec/fanout.h"
#include "tensor/rows.h"

#define ARENA_BLOCK_BYTES 4096
#define ARENA_BYTES_MAX ((size_t)4 << 20)
#define INPUT_ALIGN 64

struct lender {
    void (*release)(void *user, void *data);
    void *user, *data;
};

/* Lives until the last view of the last member has gone. */
struct trp_joint_memory {
    struct trp_account *account; /* the version's */
    struct trp_refs refs;        /* views */
    struct trp_gathered inputs;  /* an output may be a view of one */
    uint32_t lenders_n;
    struct lender lenders[];
};

static struct trp_version *version_of(const struct trp_call *call)
{
    return trp_version_of(call->target);
}

void trp_batch_init(struct trp_batch *b, const struct trp_alloc *alloc)
{
    *b = (struct trp_batch){ .rows = 0 };
    trp_gather_room_init(&b->room, alloc);
    trp_arena_init(&b->joint.arena, alloc, ARENA_BLOCK_BYTES, ARENA_BYTES_MAX);
}

void trp_batch_deinit(struct trp_batch *b)
{
    TRP_ASSERT(!b->members.first && !b->memory);
    trp_gather_room_deinit(&b->room);
    trp_arena_deinit(&b->joint.arena);
}

/* ---- who may meet ---- */

uint64_t trp_batch_limit(const struct trp_version *v)
{
    const int64_t rows = v->company ? trp_gauge_get(&v->company->rows_max) : 0;
    return rows > 1 ? (uint64_t)rows : 0;
}

void trp_batch_want(struct trp_version *v)
{
    struct trp_company *c = v->company;
    if (c && c->ask && trp_oneshot_get(&c->asked) == 0 && trp_oneshot_try(&c->asked, 1))
        c->ask(v);
}

int64_t trp_batch_share_ns(const struct trp_version *v)
{
    return v->company ? trp_gauge_get(&v->company->share_ns) : 0;
}

/* As trp_stats_learn_run(): two that end at once may lose one of their samples. */
static void learn_share(const struct trp_batch *b, int64_t run_ns)
{
    struct trp_company *c = version_of(&b->joint)->company;
    const int64_t old = trp_gauge_get(&c->share_ns), now = run_ns / b->members.count;
    trp_gauge_set(&c->share_ns, old == 0 ? now : old + (now - old) / 4);
}

/* splitmix64's last steps: every bit of what went in moves half of those that come out. */
static uint64_t mix(uint64_t key, uint64_t value)
{
    uint64_t z = key ^ (value + UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* False: its rows are not those of the other inputs. */
static bool add_input(const struct troupe_tensor *t, uint64_t *key, uint64_t *rows)
{
    if (!t->data) {
        *key = mix(*key, UINT64_MAX);
        return true;
    }
    const uint64_t own = trp_rows_count(t);
    if (own == 0 || (*rows != 0 && *rows != own))
        return false;
    *rows = own;
    *key = mix(*key, (uint64_t)(uint32_t)t->dtype << 32 | t->rank);
    for (uint32_t d = 1; d < t->rank; d++)
        *key = mix(*key, (uint64_t)t->shape[d]);
    return true;
}

void trp_batch_mark(struct trp_call *call)
{
    uint64_t key = 0, rows = 0;
    call->batch_key = 0;
    if (!call->sequence && trp_call_is_in_sequence(call))
        return; /* whose state nobody here knows */
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (!add_input(&call->inputs[i].tensor, &key, &rows))
            return;
    for (uint32_t i = 0; i < call->wanted_n; i++)
        key = mix(key, call->wanted[i].index);
    call->batch_rows = rows;
    call->batch_key = rows == 0 ? 0 : key != 0 ? key : 1;
}

uint64_t trp_batch_rows_of(const struct trp_call *call)
{
    const struct trp_version *v = trp_version_of(call->target);
    uint64_t key = 0, rows = 0;
    if (call->batch_key != 0)
        return call->batch_rows;
    if (trp_model_config_fixed(&v->file_signature) || trp_model_config_fixed(&v->signature))
        return 1;
    for (uint32_t i = 0; i < call->inputs_n; i++)
        if (!add_input(&call->inputs[i].tensor, &key, &rows))
            return 1;
    return rows > 0 ? rows : 1;
}

bool trp_batch_may_meet(const struct trp_call *a, const struct trp_call *b)
{
    if (a->batch_key != b->batch_key || a->batch_key == 0 || a->target != b->target ||
        a->inputs_n != b->inputs_n || a->wanted_n != b->wanted_n)
        return false;
    for (uint32_t i = 0; i < a->inputs_n; i++)
        if (!trp_rows_alike(&a->inputs[i].tensor, &b->inputs[i].tensor))
            return false;
    for (uint32_t i = 0; i < a->wanted_n; i++)
        if (a->wanted[i].index != b->wanted[i].index)
            return false;
    return true;
}

bool trp_batch_is_wanted(struct trp_call *call, int64_t now_ns)
{
    if (call->deadline_ns != 0 && call->deadline_ns <= now_ns)
        (void)trp_call_try_expire(call);
    return trp_oneshot_get(&call->outcome) == TRP_OUTCOME_OPEN;
}

/* ---- before the run ---- */

/* The run may be given up when nobody waits any more: after the last deadline, if each has one. */
static int64_t last_deadline(const struct trp_call_list *members)
{
    int64_t last = 0;
    for (const struct trp_call *m = members->first; m; m = m->queue_next) {
        if (m->deadline_ns == 0)
            return 0;
        last = m->deadline_ns > last ? m->deadline_ns : last;
    }
    return last;
}

static void begin_joint(struct trp_batch *b)
{
    struct trp_call *j = &b->joint;
    const struct trp_call *first = b->members.first;
    memset(j, 0, offsetof(struct trp_call, seat));
    j->error.status = trp_ok();
    j->error.text[0] = '\0';
    j->error.limit = TRP_LIMIT_NONE;
    trp_arena_reset(&j->arena);
    j->number = first->number;
    j->target = first->target; /* which the members have pinned */
    j->model = first->model;
    j->deadline_ns = last_deadline(&b->members);
    j->slot_group = first->slot_group; /* their run's; they give it back */
    j->stamps_ns[TRP_PHASE_QUEUED] = first->stamps_ns[TRP_PHASE_QUEUED];
}

/* An input of all members together: its sizes, and no memory yet. */
static void sum_input(struct trp_batch *b, uint32_t i)
{
    struct trp_call_tensor *in = &b->joint.inputs[i];
    *in = (struct trp_call_tensor){ .name = b->members.first->inputs[i].name,
                                    .tensor = b->members.first->inputs[i].tensor };
    in->tensor.release = NULL;
    in->tensor.bytes = 0;
    if (!in->tensor.data)
        return;
    for (const struct trp_call *m = b->members.first; m; m = m->queue_next)
        in->tensor.bytes += m->inputs[i].tensor.bytes;
}

trp_status trp_batch_lay_out(struct trp_batch *b, struct trp_error *err)
{
    struct trp_call *j = &b->joint;
    const struct trp_call *first = b->members.first;
    begin_joint(b);
    b->rows = 0;
    for (const struct trp_call *m = first; m; m = m->queue_next)
        b->rows += m->batch_rows;
    j->inputs = trp_arena_get(&j->arena, first->inputs_n * sizeof *j->inputs);
    j->wanted = trp_arena_get(&j->arena, first->wanted_n * sizeof *j->wanted);
    if (!j->inputs || !j->wanted)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a batch of %u requests", b->members.count);
    j->inputs_n = first->inputs_n;
    j->wanted_n = first->wanted_n;
    for (uint32_t i = 0; i < j->inputs_n; i++)
        sum_input(b, i);
    for (uint32_t i = 0; i < j->wanted_n; i++)
        j->wanted[i] =
            (struct trp_wanted){ .name = first->wanted[i].name, .index = first->wanted[i].index };
    return trp_ok();
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + INPUT_ALIGN - 1) / INPUT_ALIGN * INPUT_ALIGN;
}

static void gather_input(struct trp_batch *b, uint32_t i, char *room)
{
    struct troupe_tensor *t = &b->joint.inputs[i].tensor;
    t->data = room;
    t->bytes = 0;
    t->shape[0] = 0;
    for (const struct trp_call *m = b->members.first; m; m = m->queue_next)
        trp_rows_append(t, &m->inputs[i].tensor);
}

/* Where the process looks that the version runs in; NULL: it runs in this one. */
static struct trp_commons *commons_for(const struct trp_run_place *p, const struct trp_version *v)
{
    const bool is_elsewhere =
        v->model && (trp_backend_capabilities(v->model) & TROUPE_RUNS_ELSEWHERE) != 0;
    return is_elsewhere ? p->commons : NULL;
}

static bool get_memory(const struct trp_run_place *p, struct trp_batch *b, uint64_t bytes)
{
    const struct trp_version *v = version_of(&b->joint);
    struct trp_account *account = &version_of(&b->joint)->activations;
    const uint32_t n = b->joint.wanted_n;
    b->memory =
        trp_alloc_zeroed(&account->alloc, 1, sizeof *b->memory + n * sizeof *b->memory->lenders);
    if (!b->memory)
        return false;
    b->memory->account = account;
    b->memory->lenders_n = n;
    b->input_bytes = bytes;
    if (trp_gather_room_take(&b->room, commons_for(p, v), account, bytes, &b->memory->inputs))
        return true;
    trp_alloc_free(&account->alloc, b->memory);
    b->memory = NULL;
    return false;
}

static bool gather(const struct trp_run_place *p, struct trp_batch *b)
{
    struct trp_call *j = &b->joint;
    uint64_t bytes = INPUT_ALIGN, copied = 0, offset = 0;
    for (uint32_t i = 0; i < j->inputs_n; i++)
        bytes += padded(j->inputs[i].tensor.bytes);
    if (!get_memory(p, b, bytes))
        return false;
    for (uint32_t i = 0; i < j->inputs_n; i++) {
        if (!j->inputs[i].tensor.data)
            continue;
        gather_input(b, i, (char *)b->memory->inputs.ptr + offset);
        copied += j->inputs[i].tensor.bytes;
        offset += padded(j->inputs[i].tensor.bytes);
    }
    trp_metric_add(p->metrics, TRP_METRIC_BYTES_COPIED, copied);
    return true;
}

/* ---- after the run ---- */

static void free_memory(struct trp_joint_memory *m)
{
    for (uint32_t i = 0; i < m->lenders_n; i++)
        if (m->lenders[i].release)
            m->lenders[i].release(m->lenders[i].user, m->lenders[i].data);
    trp_gather_room_give(NULL, &m->inputs);
    trp_alloc_free(&m->account->alloc, m);
}

static void release_view(void *user, void *data)
{
    struct trp_joint_memory *m = user;
    (void)data;
    if (trp_refs_down(&m->refs))
        free_memory(m);
}

bool trp_batch_is_view(const struct troupe_tensor *t)
{
    return t->release == release_view;
}

/* Lets go of what nobody shares: the run failed, or its outputs cannot be cut. */
static void drop(struct trp_batch *b)
{
    struct trp_call *j = &b->joint;
    for (uint32_t i = 0; i < j->outputs_n; i++)
        if (j->outputs[i].tensor.release)
            j->outputs[i].tensor.release(j->outputs[i].tensor.release_user,
                                         j->outputs[i].tensor.data);
    j->outputs_n = 0;
    if (b->memory) {
        trp_gather_room_give(&b->room, &b->memory->inputs);
        trp_alloc_free(&b->memory->account->alloc, b->memory);
    }
    b->memory = NULL;
}

/* Cuts each member's part out of the outputs; nothing is anybody's yet.  False: they cannot be
 * cut. */
static bool cut_output(struct trp_batch *b, uint32_t i)
{
    const struct troupe_tensor *t = &b->joint.outputs[i].tensor;
    struct trp_rows_cursor at = { 0 };
    if (trp_rows_count(t) != b->rows)
        return false;
    for (struct trp_call *m = b->members.first; m; m = m->queue_next) {
        const struct trp_wanted *w = &m->wanted[i];
        struct trp_call_tensor *out = &m->outputs[i];
        *out = (struct trp_call_tensor){ .name = w->name,
                                         .account = b->joint.outputs[i].account,
                                         .region = w->region,
                                         .region_offset = w->region_offset,
                                         .region_bytes = w->region_bytes };
        if (!trp_rows_cut(t, m->batch_rows, &at, &out->tensor))
            return false;
    }
    return at.offset == t->bytes;
}

static bool cut_outputs(struct trp_batch *b)
{
    for (uint32_t i = 0; i < b->joint.outputs_n; i++)
        if (!cut_output(b, i))
            return false;
    return true;
}

/* Whether the inputs must stay: whoever gives an output without a release function may have
 * given a view of one. */
static bool is_inputs_view(const struct trp_batch *b)
{
    for (uint32_t i = 0; i < b->joint.outputs_n; i++)
        if (!b->joint.outputs[i].tensor.release)
            return true;
    return false;
}

static void hand_out(struct trp_batch *b)
{
    struct trp_joint_memory *shared = b->memory;
    struct trp_call *j = &b->joint;
    const bool keep = is_inputs_view(b);
    for (uint32_t i = 0; i < j->outputs_n; i++) {
        const struct troupe_tensor *t = &j->outputs[i].tensor;
        shared->lenders[i] = (struct lender){ t->release, t->release_user, t->data };
    }
    if (keep)
        trp_gather_room_keep(&b->room, &shared->inputs); /* they go with the last view */
    else
        trp_gather_room_give(&b->room, &shared->inputs);
    trp_refs_init(&shared->refs); /* one, which keeps it while views are handed out */
    for (struct trp_call *m = b->members.first; m; m = m->queue_next) {
        for (uint32_t i = 0; i < j->outputs_n; i++) {
            trp_refs_up(&shared->refs);
            m->outputs[i].tensor.release = release_view;
            m->outputs[i].tensor.release_user = shared;
        }
        m->outputs_n = j->outputs_n;
    }
    b->memory = NULL;
    j->outputs_n = 0;
    release_view(shared, NULL);
}

static bool get_outputs(struct trp_batch *b)
{
    for (struct trp_call *m = b->members.first; m; m = m->queue_next) {
        m->outputs = trp_arena_get(&m->arena, m->wanted_n * sizeof *m->outputs);
        if (!m->outputs)
            return false;
    }
    return true;
}

/* What a batch holds beside what its backend knows of. */
static void note_peak(struct trp_batch *b)
{
    uint64_t outputs = 0;
    for (uint32_t i = 0; i < b->joint.outputs_n; i++)
        if (b->joint.outputs[i].tensor.release)
            outputs += b->joint.outputs[i].tensor.bytes;
    if (b->joint.run_peak_bytes < outputs)
        b->joint.run_peak_bytes = outputs;
    b->joint.run_peak_bytes += b->input_bytes;
}

void trp_batch_rule_out(const struct trp_run_place *p, struct trp_version *v)
{
    struct trp_company *c = v->company;
    trp_gauge_set(&c->rows_max, 0);
    trp_pointer_put(&c->words, "off: a run of several requests gave other rows than theirs");
    trp_metric_add(p->metrics, TRP_METRIC_BATCHES_BROKEN, 1);
}

static enum trp_batch_end end_unlike(const struct trp_run_place *p, struct trp_batch *b)
{
    trp_batch_rule_out(p, version_of(&b->joint));
    drop(b);
    return TRP_BATCH_ALONE;
}

enum trp_batch_end trp_batch_run(const struct trp_run_place *p, struct trp_batch *b,
                                 uint64_t bytes_max, int64_t *now_ns)
{
    const int64_t begun_ns = *now_ns;
    if (!get_outputs(b) || !gather(p, b))
        return TRP_BATCH_ALONE;
    if (!trp_run_joint(p, &b->joint, b->rows, bytes_max, now_ns)) {
        drop(b);
        return TRP_BATCH_TOO_LITTLE;
    }
    if (trp_failed(b->joint.error.status)) {
        const int32_t code = b->joint.error.status.code;
        if (code != TRP_CANCELLED && code != TRP_DEADLINE_EXCEEDED)
            trp_metric_add(p->metrics, TRP_METRIC_BATCHES_FAILED, 1);
        drop(b);
        return TRP_BATCH_ALONE;
    }
    note_peak(b);
    if (!cut_outputs(b))
        return end_unlike(p, b);
    hand_out(b);
    learn_share(b, (*now_ns - begun_ns) * (p->fanout ? p->fanout->parts_n : 1)); /* its work */
    trp_metric_add(p->metrics, TRP_METRIC_BATCHES, 1);
    trp_metric_add(p->metrics, TRP_METRIC_BATCHED_CALLS, b->members.count);
    for (struct trp_call *m = b->members.first; m; m = m->queue_next)
        trp_run_share(p, &b->joint, m);
    return TRP_BATCH_DONE;
}
