/* admin/task_names.c - see task_names.h.
 *
 * Problem: a request for a task must not walk through 10,000 models, and which models are ready
 * changes many times a second.
 *
 * Design: which names have a task changes seldom, so that is kept for a while: a list of names for
 * each task that somebody asked for, made anew when the snapshot is a newer one, but not more often
 * than every STALE_NS.  What stands behind a name is looked up in the snapshot for each request.
 * So what was loaded, evicted or replaced counts at once, and a new name within STALE_NS; a task
 * that nothing could answer is looked for anew at once. */
#include "admin/task_names.h"

#include <stdio.h>
#include <string.h>

#include "call/fit.h"

#define TASKS_MAX 32u
#define STALE_NS TRP_MS(100)
#define NAMES_BYTES_MAX ((size_t)1 << 20) /* of one task */

struct task_list {
    char task[TRP_CARD_WORD_MAX];
    size_t task_len; /* 0: unused */
    uint64_t epoch;
    int64_t made_ns, asked_ns;
    struct trp_arena arena;
    struct trp_str names[TRP_TASK_CANDIDATES_MAX];
    uint32_t names_n;
    bool lacks_memory;
};

struct trp_task_names {
    const struct trp_alloc *alloc;
    const struct trp_clock *clock;
    struct task_list *lists[TASKS_MAX];
};

/* Who could answer, and what of. */
struct candidates {
    struct trp_candidate of[TRP_TASK_CANDIDATES_MAX];
    struct trp_version *versions[TRP_TASK_CANDIDATES_MAX]; /* referenced; in the order of looking */
    uint32_t n, known_n, ready_n;
};

trp_status trp_task_names_create(const struct trp_alloc *alloc, const struct trp_clock *clock,
                                 struct trp_task_names **out_names, struct trp_error *err)
{
    struct trp_task_names *n = trp_alloc_zeroed(alloc, 1, sizeof *n);
    *out_names = n;
    if (!n)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "names of tasks");
    n->alloc = alloc;
    n->clock = clock;
    return trp_ok();
}

void trp_task_names_destroy(struct trp_task_names *n)
{
    if (!n)
        return;
    for (uint32_t i = 0; i < TASKS_MAX; i++) {
        if (n->lists[i])
            trp_arena_deinit(&n->lists[i]->arena);
        trp_alloc_free(n->alloc, n->lists[i]);
    }
    trp_alloc_free(n->alloc, n);
}

/* ---- which names have the task ---- */

/* What is known of a version that has the task; NULL: it has not. */
static const struct trp_version *face_for(const struct trp_version *v, struct trp_str task)
{
    const struct trp_version *face = trp_version_face(v);
    return face && trp_str_is_equal_nocase(face->config.card.task, task) ? face : NULL;
}

static bool take_names(void *user, const struct trp_entry *e)
{
    struct task_list *l = user;
    const struct trp_str task = trp_str_make(l->task, l->task_len);
    for (uint32_t i = 0; i < e->versions_n; i++) {
        if (!face_for(e->versions[i], task))
            continue;
        const struct trp_str name = trp_arena_dup(&l->arena, e->name);
        l->lacks_memory = !name.ptr;
        if (name.ptr)
            l->names[l->names_n++] = name;
        break;
    }
    return !l->lacks_memory && l->names_n < TRP_TASK_CANDIDATES_MAX;
}

static void make_list(struct task_list *l, const struct trp_snapshot *s, int64_t now_ns)
{
    trp_arena_reset(&l->arena);
    l->names_n = 0;
    l->lacks_memory = false;
    l->epoch = trp_snapshot_epoch(s);
    l->made_ns = now_ns;
    trp_snapshot_walk(s, (struct trp_str){ 0 }, take_names, l);
}

/* The task's list, or an empty one in the place of the one that was not asked for the longest. */
static struct task_list *find_list(struct trp_task_names *n, struct trp_str task, int64_t now_ns)
{
    uint32_t place = 0;
    for (uint32_t i = 0; i < TASKS_MAX; i++) {
        struct task_list *l = n->lists[i];
        if (!l) {
            place = i;
            break;
        }
        if (trp_str_is_equal_nocase(trp_str_make(l->task, l->task_len), task)) {
            l->asked_ns = now_ns;
            return l;
        }
        if (l->asked_ns < n->lists[place]->asked_ns)
            place = i;
    }
    if (!n->lists[place]) {
        n->lists[place] = trp_alloc_zeroed(n->alloc, 1, sizeof *n->lists[place]);
        if (!n->lists[place])
            return NULL;
        trp_arena_init(&n->lists[place]->arena, n->alloc, 4096, NAMES_BYTES_MAX);
    }
    struct task_list *l = n->lists[place];
    memcpy(l->task, task.ptr, task.len);
    l->task_len = task.len;
    l->epoch = 0; /* of no snapshot: the first is 1 */
    l->asked_ns = now_ns;
    return l;
}

/* ---- who could answer ---- */

static void look_at_name(struct candidates *c, const struct trp_snapshot *s, struct trp_str name,
                         struct trp_str task, const struct trp_call *call)
{
    struct trp_version *v;
    const struct trp_entry *e = trp_snapshot_find(s, name);
    if (!e)
        return;
    c->known_n++;
    if (trp_failed(trp_snapshot_pick(s, name, 0, &v, NULL)))
        return;
    const struct trp_version *face = face_for(v, task);
    c->ready_n += face != NULL;
    if (!face || (call && !trp_call_fits(call, &face->signature))) {
        trp_version_unref(v);
        return;
    }
    struct trp_target_cost cost;
    trp_version_get_cost(&v->target, &cost);
    c->versions[c->n] = v;
    c->of[c->n++] = (struct trp_candidate){ .name = v->target.name,
                                            .version = v->target.version,
                                            .quality = face->config.card.quality,
                                            .run_ns = trp_version_run_ns(face),
                                            .load_ns = trp_gauge_get(&face->load_ns),
                                            .is_cold = !trp_lifecycle_is_serving(&v->life),
                                            .queued = cost.queued };
}

static void look(struct candidates *c, const struct trp_snapshot *s, const struct task_list *l,
                 const struct trp_call *call)
{
    c->n = c->known_n = c->ready_n = 0;
    for (uint32_t i = 0; i < l->names_n; i++)
        look_at_name(c, s, l->names[i], trp_str_make(l->task, l->task_len), call);
}

static trp_status nobody(const struct candidates *c, struct trp_str task, bool asks_with_inputs,
                         struct trp_error *err)
{
    if (c->known_n == 0)
        return trp_fail(err, TRP_NOT_FOUND,
                        "Request for unknown model: 'task:%.*s' is not found: no model has this "
                        "task; GET /api/models shows those that there are",
                        TRP_STR(task));
    if (c->ready_n == 0 || !asks_with_inputs)
        return trp_fail(err, TRP_NOT_READY,
                        "Request for unknown model: 'task:%.*s' is not at ready state: none of the "
                        "%u models with this task is ready",
                        TRP_STR(task), c->known_n);
    return trp_fail(err, TRP_INVALID_ARGUMENT,
                    "none of the %u models that are ready for 'task:%.*s' takes these inputs",
                    c->ready_n, TRP_STR(task));
}

/* ---- the choice ---- */

static void describe(const struct trp_candidate *c, char *out, size_t size)
{
    char quality[TRP_CARD_WORD_MAX + 40] = "";
    if (c->quality.name.len)
        (void)snprintf(quality, sizeof quality, "%.*s %g, ", TRP_STR(c->quality.name),
                       c->quality.value);
    (void)snprintf(out, size, "%.*s/%lld (%s%.3f ms%s)", TRP_STR(c->name), (long long)c->version,
                   quality, (double)c->expected_ns / 1e6, c->is_cold ? " with its load" : "");
}

/* "aisles/1 (accuracy 0.91, 12.000 ms) of 3; next aisles_large/1 (accuracy 0.95, 912.000 ms with
 * its load)" */
static struct trp_str explain(const struct candidates *c, struct trp_call *call)
{
    char first[256], second[256] = "";
    describe(&c->of[0], first, sizeof first);
    if (c->n > 1)
        describe(&c->of[1], second, sizeof second);
    return trp_arena_format(&call->arena, "%s of %u%s%s", first, c->n, c->n > 1 ? "; next " : "",
                            second);
}

static struct trp_version *version_of(const struct candidates *c, const struct trp_candidate *best)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (c->versions[i]->target.name.ptr == best->name.ptr)
            return c->versions[i];
    return NULL;
}

static trp_status choose(struct candidates *c, struct trp_call *call, int64_t left_ns,
                         struct trp_version **out_version, struct trp_str *out_why,
                         struct trp_error *err)
{
    trp_task_rank(c->of, c->n, left_ns);
    struct trp_version *chosen = version_of(c, &c->of[0]);
    trp_status st = trp_ok();
    if (out_why && call) {
        *out_why = explain(c, call);
        if (!out_why->ptr)
            st = trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
    }
    for (uint32_t i = 0; i < c->n; i++)
        if (c->versions[i] != chosen || trp_failed(st))
            trp_version_unref(c->versions[i]);
    *out_version = trp_failed(st) ? NULL : chosen;
    return st;
}

trp_status trp_task_names_pick(struct trp_task_names *n, const struct trp_snapshot *s,
                               struct trp_str task, struct trp_call *call,
                               struct trp_version **out_version, struct trp_str *out_why,
                               struct trp_error *err)
{
    const int64_t now_ns = trp_clock_now_ns(n->clock);
    struct candidates c; /* large: filled in by look() */
    *out_version = NULL;
    c.n = c.known_n = c.ready_n = 0;
    if (task.len == 0 || task.len > TRP_CARD_WORD_MAX)
        return nobody(&c, task, call != NULL, err);
    struct task_list *l = find_list(n, task, now_ns);
    if (!l)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the request");
    const bool is_older = l->epoch != trp_snapshot_epoch(s);
    if (l->epoch == 0 || (is_older && now_ns - l->made_ns >= STALE_NS))
        make_list(l, s, now_ns);
    look(&c, s, l, call);
    if (c.n == 0 && l->epoch != trp_snapshot_epoch(s)) {
        make_list(l, s, now_ns);
        look(&c, s, l, call);
    }
    if (l->lacks_memory) {
        l->epoch = 0;
        for (uint32_t i = 0; i < c.n; i++)
            trp_version_unref(c.versions[i]);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the names of a task");
    }
    if (c.n == 0)
        return nobody(&c, task, call != NULL, err);
    const int64_t left_ns = call && call->deadline_ns ? call->deadline_ns - now_ns : 0;
    return choose(&c, call, call && call->deadline_ns && left_ns < 1 ? 1 : left_ns, out_version,
                  out_why, err);
}
