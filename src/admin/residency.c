/* admin/residency.c - what is in memory, and why?
 *
 *   loop: residency_begin --mail--> control: who is there, with whom do they share --mail--> loop: finish
 *
 * Only the control thread knows who is in memory, so the answer is written there; the loop does not
 * touch the request's arena while it is away. */
#include <math.h>
#include <stdlib.h>

#include "admin/admin_internal.h"
#include "backend/device_list.h"
#include "base/json_members.h"
#include "life/presence.h"
#include "life/whereabouts.h"
#include "memory/ledger.h"

#define BYTES_MAX ((size_t)64 << 20)
#define SHARERS_MAX 8u /* named; of more it is said that there are more */

struct resident {
    struct trp_presence presence;
    uint32_t sharers[SHARERS_MAX]; /* indexes */
    uint32_t sharers_n;
    bool has_more_sharers;
};

/* A blob of a resident; the same blob is the same pointer for all who have it. */
struct part {
    const struct trp_used_blob *blob;
    uint32_t owner;
};

struct residency {
    struct trp_admin *admin;
    struct trp_control *control;
    struct trp_mail there;
    struct trp_buf out;
    struct resident *all;
    struct part *parts;
    uint32_t n, capacity;
    size_t parts_n;
    int64_t now_ns;
    uint32_t shown_n, gone_n;
};

/* ---- who is there ---- */

static void count(void *user, const struct trp_presence *p)
{
    struct residency *r = user;
    r->capacity++;
    r->parts_n += p->blobs_n;
}

static void take(void *user, const struct trp_presence *p)
{
    struct residency *r = user;
    r->all[r->n++].presence = *p;
}

static int by_name(const void *left, const void *right)
{
    const struct trp_version *a = ((const struct resident *)left)->presence.version;
    const struct trp_version *b = ((const struct resident *)right)->presence.version;
    const int order = trp_str_compare(a->target.name, b->target.name);
    return order
               ? order
               : (a->target.version > b->target.version) - (a->target.version < b->target.version);
}

static int by_blob(const void *left, const void *right)
{
    const struct part *a = left, *b = right;
    const uintptr_t x = (uintptr_t)a->blob, y = (uintptr_t)b->blob;
    if (x != y)
        return x < y ? -1 : 1;
    return (a->owner > b->owner) - (a->owner < b->owner);
}

static void note_sharer(struct resident *r, uint32_t other)
{
    for (uint32_t i = 0; i < r->sharers_n; i++)
        if (r->sharers[i] == other)
            return;
    if (r->sharers_n == SHARERS_MAX)
        r->has_more_sharers = true;
    else
        r->sharers[r->sharers_n++] = other;
}

/* Those who have one blob, side by side in `parts`.  Everybody looks at the first few only: with
 * hundreds that share one, naming eight of them is enough. */
static void note_sharers(struct residency *r, size_t from, size_t to)
{
    const size_t seen = to - from < SHARERS_MAX + 2 ? to : from + SHARERS_MAX + 2;
    for (size_t i = from; i < to; i++)
        for (size_t k = from; k < seen; k++)
            if (r->parts[i].owner != r->parts[k].owner)
                note_sharer(&r->all[r->parts[i].owner], r->parts[k].owner);
}

static bool gather(struct residency *r)
{
    struct trp_life *life = r->admin->opts.life;
    const struct trp_alloc *alloc = r->admin->alloc;
    trp_presence_each(life, count, r);
    r->all = trp_alloc_zeroed(alloc, r->capacity + (size_t)1, sizeof *r->all);
    r->parts = trp_alloc_zeroed(alloc, r->parts_n + 1, sizeof *r->parts);
    if (!r->all || !r->parts)
        return false;
    trp_presence_each(life, take, r);
    qsort(r->all, r->n, sizeof *r->all, by_name);
    r->parts_n = 0;
    for (uint32_t i = 0; i < r->n; i++)
        for (uint32_t k = 0; k < r->all[i].presence.blobs_n; k++)
            r->parts[r->parts_n++] = (struct part){ r->all[i].presence.blobs[k], i };
    qsort(r->parts, r->parts_n, sizeof *r->parts, by_blob);
    for (size_t from = 0, to; from < r->parts_n; from = to) {
        for (to = from + 1; to < r->parts_n && r->parts[to].blob == r->parts[from].blob;)
            to++;
        note_sharers(r, from, to);
    }
    return true;
}

/* ---- the answer ---- */

static const char *const residencies[] = { [TRP_RESIDENCY_NONE] = "none",
                                           [TRP_RESIDENCY_MAPPED] = "mapped",
                                           [TRP_RESIDENCY_HIBERNATED] = "hibernated" };

static void add_seconds(struct trp_buf *b, const char *key, int64_t ns)
{
    trp_json_add_key(b, key);
    trp_buf_addf(b, "%lld.%03lld", (long long)(ns / 1000000000),
                 (long long)(ns % 1000000000 / 1000000));
}

static void add_use(struct trp_buf *b, const struct trp_version *v, int64_t now_ns)
{
    const int64_t last_ns = (int64_t)trp_counter_get(&trp_version_counts(v)->last_inference_ns);
    trp_json_add_u64(b, "inferences", trp_counter_get(&trp_version_counts(v)->inference_count));
    trp_json_add_i64(b, "in_flight", trp_stats_calls(trp_version_counts(v)));
    if (v->sequencer)
        trp_json_add_i64(b, "sequences", trp_gauge_get(&trp_version_counts(v)->sequences));
    if (last_ns)
        add_seconds(b, "idle_seconds", now_ns > last_ns ? now_ns - last_ns : 0);
}

static void add_sharing(struct trp_buf *b, const struct residency *r, const struct resident *m)
{
    trp_json_add_u64(b, "shared_bytes", m->presence.shared_bytes);
    trp_json_add_u64(b, "alone_bytes", m->presence.frees_bytes);
    trp_json_add_key(b, "shared_with");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < m->sharers_n; i++) {
        trp_buf_add_text(b, i ? "," : "");
        trp_json_write_str(b, trp_str_of(r->all[m->sharers[i]].presence.version->id));
    }
    trp_buf_add_char(b, ']');
    if (m->has_more_sharers)
        trp_json_add_bool(b, "shared_with_more", true);
}

/* How its model stands, all versions together, should room be wanted. */
static void add_prospect(struct trp_buf *b, const struct trp_prospect *p)
{
    if (!p)
        return;
    trp_json_add_str(b, "standing", trp_str_of(trp_standing_name(p->standing)));
    if (p->next)
        trp_json_add_u64(b, "next", p->next);
    trp_json_add_u64(b, "frees_bytes", p->frees_bytes);
    trp_json_add_key(b, "asked_per_second");
    trp_buf_addf(b, "%.6g", p->per_s);
    if (isfinite(p->score)) {
        trp_json_add_key(b, "score");
        trp_buf_addf(b, "%.6g", p->score);
    }
}

/* Where its runs are made. */
static void add_devices(struct trp_buf *b, const struct trp_model_config *c)
{
    static const struct troupe_device_id cpu = { .kind = TROUPE_DEVICE_CPU };
    trp_json_add_key(b, "devices");
    trp_buf_add_text(b, "[\"");
    trp_device_add_names(b, c->devices_n > 0 ? c->devices : &cpu,
                         c->devices_n > 0 ? c->devices_n : 1, "\",\"");
    trp_buf_add_text(b, "\"]");
}

static void add_resident(struct residency *r, const struct resident *m)
{
    struct trp_buf *b = &r->out;
    const struct trp_version *v = m->presence.version;
    const enum trp_model_state state = trp_lifecycle_get(&v->life);
    const bool is_open = state == TRP_MODEL_READY;
    trp_buf_add_text(b, r->shown_n++ ? ",{" : "{");
    trp_json_add_str(b, "name", v->target.name);
    trp_json_add_i64(b, "version", v->target.version);
    trp_json_add_str(b, "state", trp_str_of(trp_model_state_name(state)));
    trp_json_add_str(b, "residency", trp_str_of(residencies[trp_gauge_get(&v->residency)]));
    add_seconds(b, "for_seconds", r->now_ns - v->life.since_ns[state]);
    trp_json_add_u64(b, "private_bytes", trp_counter_get(&v->weights.bytes));
    add_sharing(b, r, m);
    trp_json_add_u64(b, "activation_bytes", trp_counter_get(&v->activations.bytes));
    if (is_open) {
        trp_json_add_str(b, "opened", trp_version_opening(v));
        trp_json_add_str(b, "batching", trp_version_batching(v));
        trp_json_add_u64(b, "instances", trp_exec_instances(v));
        add_devices(b, &v->config);
        add_use(b, v, r->now_ns);
        if (trp_gauge_get(&v->load_ns))
            add_seconds(b, "load_seconds", trp_gauge_get(&v->load_ns));
        if (m->presence.asleep_ns)
            add_seconds(b, "asleep_seconds", r->now_ns - m->presence.asleep_ns);
        if (m->presence.wake_ns)
            add_seconds(b, "wake_seconds", m->presence.wake_ns);
    }
    trp_json_add_bool(b, "pinned", m->presence.is_pinned);
    trp_json_add_str(b, "kept", trp_str_of(is_open ? m->presence.kept : "it is being loaded"));
    if (m->presence.keep_alive_ns >= 0)
        add_seconds(b, "keep_alive_seconds", m->presence.keep_alive_ns);
    add_prospect(b, m->presence.prospect);
    trp_buf_add_char(b, '}');
}

static void add_gone(void *user, const struct trp_departure *d)
{
    struct residency *r = user;
    struct trp_buf *b = &r->out;
    trp_buf_add_text(b, r->gone_n++ ? ",{" : "{");
    trp_json_add_str(b, "name", d->name);
    trp_json_add_str(b, "why", trp_str_of(d->why));
    add_seconds(b, "seconds_ago", r->now_ns > d->at_ns ? r->now_ns - d->at_ns : 0);
    trp_buf_add_char(b, '}');
}

static void add_accounts(struct trp_buf *b, const struct trp_admin *a)
{
    trp_json_add_key(b, "accounts");
    trp_buf_add_char(b, '{');
    for (uint32_t i = 0; i < a->opts.accounts_n; i++)
        trp_json_add_u64(b, trp_account_kind_name(a->opts.accounts[i]->kind),
                         trp_counter_get(&a->opts.accounts[i]->bytes));
    trp_buf_add_char(b, '}');
}

/* Once a worker process may look at it. */
static void add_commons(struct trp_buf *b, const struct trp_admin *a)
{
    if (!a->opts.commons || !trp_commons_is_open(a->opts.commons))
        return;
    const struct trp_commons_use use = trp_commons_look(a->opts.commons);
    trp_json_add_key(b, "commons");
    trp_buf_add_char(b, '{');
    trp_json_add_u64(b, "limit_bytes", use.limit_bytes);
    trp_json_add_u64(b, "bytes", use.bytes);
    trp_json_add_u64(b, "refused", use.refused);
    trp_buf_add_char(b, '}');
}

static void add_budget(struct trp_buf *b, const struct trp_admin *a)
{
    struct trp_budget budget;
    if (!a->opts.ledger)
        return;
    trp_ledger_look(a->opts.ledger, &budget);
    const uint64_t limit = budget.limit.of[TRP_RESOURCE_BYTES];
    trp_json_add_key(b, "budget");
    trp_buf_add_char(b, '{');
    if (limit)
        trp_json_add_u64(b, "limit_bytes", limit);
    trp_json_add_u64(b, "fixed_bytes", budget.fixed.of[TRP_RESOURCE_BYTES]);
    trp_json_add_u64(b, "committed_bytes", budget.committed.of[TRP_RESOURCE_BYTES]);
    trp_json_add_u64(b, "reserved_bytes", budget.reserved.of[TRP_RESOURCE_BYTES]);
    trp_buf_add_char(b, '}');
}

/* Of the one model that was asked after. */
static void add_whereabouts(struct residency *r, struct trp_str name)
{
    struct trp_buf *b = &r->out;
    struct trp_whereabouts w;
    trp_whereabouts_tell(r->admin->opts.life, name, &w);
    trp_json_add_key(b, "asked");
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "name", name);
    trp_json_add_str(b, "where", trp_str_of(trp_place_name(w.place)));
    trp_json_add_str(b, "why", trp_str_of(w.why));
    if (w.since_ns)
        add_seconds(b, "for_seconds", r->now_ns > w.since_ns ? r->now_ns - w.since_ns : 0);
    if (w.retry_ns >= 0)
        add_seconds(b, "retry_seconds", w.retry_ns);
    trp_buf_add_char(b, '}');
}

static void write_answer(struct residency *r)
{
    struct trp_buf *b = &r->out;
    const struct trp_str name = trp_node_str(r->control->request, "name", trp_str_make(NULL, 0));
    trp_buf_add_char(b, '{');
    if (name.len)
        add_whereabouts(r, name);
    add_budget(b, r->admin);
    add_accounts(b, r->admin);
    add_commons(b, r->admin);
    trp_json_add_key(b, "models");
    trp_buf_add_char(b, '[');
    for (uint32_t i = 0; i < r->n; i++)
        if (name.len == 0 || trp_str_is_equal(name, r->all[i].presence.version->target.name))
            add_resident(r, &r->all[i]);
    trp_buf_add_char(b, ']');
    trp_json_add_key(b, "let_go");
    trp_buf_add_char(b, '[');
    trp_presence_each_gone(r->admin->opts.life, add_gone, r);
    trp_buf_add_text(b, "]}");
}

/* On the control thread. */
static void answer(struct trp_mail *mail)
{
    struct residency *r = TRP_CONTAINER_OF(mail, struct residency, there);
    struct trp_control *c = r->control;
    const struct trp_alloc *alloc = r->admin->alloc;
    r->now_ns = trp_loop_now_ns(r->admin->opts.control);
    trp_buf_init(&r->out, alloc, BYTES_MAX);
    c->error.status = trp_presence_rank(r->admin->opts.life, &c->error);
    if (!trp_failed(c->error.status) && !gather(r))
        c->error.status = trp_fail(&c->error, TRP_OUT_OF_MEMORY, "no memory for the reply");
    if (!trp_failed(c->error.status)) {
        write_answer(r);
        c->error.status = trp_buf_check(&r->out, "residency", &c->error);
    }
    if (!trp_failed(c->error.status))
        c->error.status = trp_control_reply_json(c, &r->out, &c->error);
    trp_buf_deinit(&r->out);
    trp_alloc_free(alloc, r->all);
    trp_alloc_free(alloc, r->parts);
    trp_control_finish_from(c);
}

/* Only models are in memory; whoever asks after a route means those that it asks. */
static trp_status refuse_composed(const struct trp_admin *a, struct trp_control *c)
{
    const struct trp_str name = trp_node_str(c->request, "name", trp_str_make(NULL, 0));
    const struct trp_directory_item *item =
        name.len ? trp_directory_find(trp_admin_directory(a, c->loop_index), name) : NULL;
    return item ? trp_fail(&c->error, TRP_INVALID_ARGUMENT,
                           "'%.*s' is %s %s (%.*s): not itself in memory, but the models that it "
                           "asks may be",
                           TRP_STR(name), trp_directory_article(item), item->kind,
                           TRP_STR(item->place))
                : trp_ok();
}

void trp_residency_begin(struct trp_admin *a, struct trp_control *c)
{
    struct residency *r = trp_arena_zeroed(c->arena, 1, sizeof *r);
    c->error.status = r ? refuse_composed(a, c)
                        : trp_fail(&c->error, TRP_OUT_OF_MEMORY, "no memory for the reply");
    if (r && trp_flag_is_up(&a->draining))
        c->error.status = trp_fail(&c->error, TRP_UNAVAILABLE, "Server not ready: it is stopping");
    if (trp_failed(c->error.status)) {
        trp_control_finish_soon(c);
        return;
    }
    r->admin = a;
    r->control = c;
    r->there.deliver = answer;
    trp_loop_post(a->opts.control, &r->there);
}
