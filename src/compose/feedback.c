/* compose/feedback.c - see feedback.h.
 *
 * Under the lock only links change: memory is taken before, written before, and freed after.
 * Answers stand in two orders: by age in one list, and those to one id behind each other. */
#include "compose/feedback.h"

#include <stdio.h>

#include "base/json.h"
#include "base/table.h"

/* Beside what an answer is made of: its name and its place in the table of ids, and what the
 * account adds to three blocks. */
#define PLACE_BYTES 128u

/* For their age, by one call: nobody's turn is held up by all that came an hour ago. */
#define FORGOTTEN_AT_ONCE 32u

struct kept {
    struct kept *older, *newer; /* all of them, by age */
    struct kept *twin; /* another one to the same id; once it is taken out: the next of these */
    struct trp_learner *learner;
    int64_t since_ns;
    uint64_t bytes;
    struct trp_str id;
    struct trp_testimony *said; /* in the same block, as the id */
};

struct trp_feedback {
    const struct trp_alloc *alloc;
    struct trp_feedback_opts opts;
    struct trp_lock lock; /* of all that follows */
    struct trp_table *ids;
    struct kept *oldest, *newest;
    uint32_t kept_n;
    uint64_t kept_bytes;
    struct trp_learner **learners;
    uint32_t learners_n, learners_room;
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what ensembles learn");
}

trp_status trp_feedback_create(const struct trp_alloc *alloc, const struct trp_feedback_opts *opts,
                               struct trp_feedback **out_feedback, struct trp_error *err)
{
    *out_feedback = NULL;
    struct trp_feedback *f = trp_alloc_zeroed(alloc, 1, sizeof *f);
    if (!f)
        return no_memory(err);
    f->alloc = alloc;
    f->opts = *opts;
    const uint32_t ids_max = opts->answers_max ? opts->answers_max : 1;
    const trp_status st = trp_table_create(alloc, ids_max, &f->ids, err);
    if (trp_failed(st)) {
        trp_alloc_free(alloc, f);
        return st;
    }
    trp_lock_init(&f->lock, TRP_LOCK_FEEDBACK);
    *out_feedback = f;
    return st;
}

static void let_go(struct trp_feedback *f, struct kept *k)
{
    while (k) {
        struct kept *const next = k->twin;
        trp_learner_unref(k->learner);
        trp_alloc_free(f->alloc, k);
        k = next;
    }
}

void trp_feedback_destroy(struct trp_feedback *f)
{
    if (!f)
        return;
    for (struct kept *k = f->oldest; k;) {
        struct kept *const next = k->newer;
        k->twin = NULL;
        let_go(f, k);
        k = next;
    }
    for (uint32_t i = 0; i < f->learners_n; i++)
        trp_learner_unref(f->learners[i]);
    trp_alloc_free(f->alloc, f->learners);
    trp_table_destroy(f->ids);
    trp_lock_deinit(&f->lock);
    trp_alloc_free(f->alloc, f);
}

static void count(const struct trp_feedback *f, enum trp_metric id)
{
    if (f->opts.metrics)
        trp_metrics_add(f->opts.metrics, id, 1);
}

/* ---- learners ---- */

/* Only the table holds them: no composition, no answer; nobody can get hold of one meanwhile but
 * by the table's lock. */
static void drop_idle(struct trp_feedback *f)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->learners_n; i++) {
        if (trp_learner_refs(f->learners[i]) > 1)
            f->learners[n++] = f->learners[i];
        else
            trp_learner_unref(f->learners[i]);
    }
    f->learners_n = n;
}

static struct trp_learner *find_learner(const struct trp_feedback *f,
                                        const struct trp_learner_order *order)
{
    for (uint32_t i = f->learners_n; i-- > 0;) {
        if (!trp_learner_is_of(f->learners[i], order))
            continue;
        trp_learner_ref(f->learners[i]);
        return f->learners[i];
    }
    return NULL;
}

static bool add_learner(struct trp_feedback *f, struct trp_learner *l)
{
    if (f->learners_n == f->learners_room) {
        const uint32_t room = f->learners_room ? f->learners_room * 2 : 8;
        struct trp_learner **grown =
            trp_alloc_resize(f->alloc, f->learners, f->learners_room * sizeof(struct trp_learner *),
                             room * sizeof(struct trp_learner *));
        if (!grown)
            return false;
        f->learners = grown;
        f->learners_room = room;
    }
    trp_learner_ref(l);
    f->learners[f->learners_n++] = l;
    return true;
}

trp_status trp_feedback_learner(struct trp_feedback *f, const struct trp_learner_order *order,
                                struct trp_learner **out_learner, struct trp_error *err)
{
    trp_lock_enter(&f->lock);
    struct trp_learner *l = find_learner(f, order);
    if (!l) {
        drop_idle(f);
        l = trp_learner_create(f->alloc, order);
        if (l && !add_learner(f, l)) {
            trp_learner_unref(l);
            l = NULL;
        }
    }
    trp_lock_leave(&f->lock);
    *out_learner = l;
    return l ? trp_ok() : no_memory(err);
}

/* ---- the table; all of it under the lock ---- */

static void tell_sizes(const struct trp_feedback *f)
{
    if (!f->opts.metrics)
        return;
    trp_metrics_set(f->opts.metrics, TRP_METRIC_FEEDBACK_WAITING, f->kept_n);
    trp_metrics_set(f->opts.metrics, TRP_METRIC_FEEDBACK_HELD, f->kept_bytes);
}

/* Takes one out of both orders; the caller frees it after the lock. */
static void take_out(struct trp_feedback *f, struct kept *k)
{
    struct kept *first = trp_table_get(f->ids, k->id);
    if (first == k && !k->twin) {
        (void)trp_table_take(f->ids, k->id);
    } else if (first == k) {
        (void)trp_table_put(f->ids, k->id, k->twin, NULL, NULL); /* it is there: takes no memory */
    } else {
        while (first->twin != k)
            first = first->twin;
        first->twin = k->twin;
    }
    *(k->older ? &k->older->newer : &f->oldest) = k->newer;
    *(k->newer ? &k->newer->older : &f->newest) = k->older;
    k->twin = NULL;
    f->kept_n--;
    f->kept_bytes -= k->bytes;
}

static void move_out(struct trp_feedback *f, struct kept *k, struct kept **out)
{
    take_out(f, k);
    k->twin = *out;
    *out = k;
}

static bool is_too_old(const struct trp_feedback *f, const struct kept *k, int64_t now_ns)
{
    return now_ns - k->since_ns > f->opts.age_ns;
}

/* More go than come, so that all go in the end. */
static void drop_old(struct trp_feedback *f, int64_t now_ns, struct kept **out)
{
    for (uint32_t i = 0; i < FORGOTTEN_AT_ONCE && f->oldest && is_too_old(f, f->oldest, now_ns);
         i++) {
        move_out(f, f->oldest, out);
        count(f, TRP_METRIC_FEEDBACK_OLD);
    }
}

static void make_room(struct trp_feedback *f, uint64_t bytes, struct kept **out)
{
    while (f->oldest &&
           (f->kept_n >= f->opts.answers_max || f->kept_bytes + bytes > f->opts.bytes_max)) {
        move_out(f, f->oldest, out);
        count(f, TRP_METRIC_FEEDBACK_FULL);
    }
}

static void drop_twin(struct trp_feedback *f, const struct kept *of, struct kept **out)
{
    for (struct kept *k = trp_table_get(f->ids, of->id); k; k = k->twin) {
        if (k->learner != of->learner)
            continue;
        move_out(f, k, out);
        count(f, TRP_METRIC_FEEDBACK_TWICE);
        return;
    }
}

static bool put_in(struct trp_feedback *f, struct kept *k)
{
    k->twin = trp_table_get(f->ids, k->id);
    if (trp_failed(trp_table_put(f->ids, k->id, k, NULL, NULL)))
        return false;
    k->older = f->newest;
    *(f->newest ? &f->newest->newer : &f->oldest) = k;
    f->newest = k;
    f->kept_n++;
    f->kept_bytes += k->bytes;
    return true;
}

/* ---- keeping ---- */

/* For want of memory: whoever remembers something new comes before what nobody has asked for so
 * long.  False: there is none. */
static bool forget_oldest(struct trp_feedback *f)
{
    struct kept *gone = NULL;
    trp_lock_enter(&f->lock);
    for (uint32_t i = 0; i < FORGOTTEN_AT_ONCE && f->oldest; i++) {
        move_out(f, f->oldest, &gone);
        count(f, TRP_METRIC_FEEDBACK_NO_MEMORY);
    }
    tell_sizes(f);
    trp_lock_leave(&f->lock);
    const bool has_gone = gone != NULL;
    let_go(f, gone);
    return has_gone;
}

static struct kept *make(struct trp_feedback *f, const struct trp_feedback_answer *a)
{
    struct trp_testimony head;
    const uint64_t bytes =
        trp_testimony_plan(a->vote, a->is_ranking, a->members, a->members_n, &head);
    const size_t all = sizeof(struct kept) + (size_t)bytes + a->id.len;
    const uint64_t held = all + a->id.len + PLACE_BYTES;
    if (bytes == 0 || a->id.len > TRP_FEEDBACK_ID_MAX || held > f->opts.bytes_max) {
        count(f, TRP_METRIC_FEEDBACK_LARGE);
        return NULL;
    }
    struct kept *k = trp_alloc_zeroed(f->alloc, 1, all);
    if (!k && forget_oldest(f))
        k = trp_alloc_zeroed(f->alloc, 1, all);
    if (!k) {
        count(f, TRP_METRIC_FEEDBACK_NO_MEMORY);
        return NULL;
    }
    char *id = (char *)(k + 1) + bytes;
    memcpy(id, a->id.ptr, a->id.len);
    k->id = trp_str_make(id, a->id.len);
    k->said = (struct trp_testimony *)(void *)(k + 1);
    *k->said = head;
    trp_testimony_write(k->said, a->members);
    k->learner = a->learner;
    trp_learner_ref(a->learner);
    k->since_ns = a->now_ns;
    k->bytes = held;
    return k;
}

void trp_feedback_keep(struct trp_feedback *f, const struct trp_feedback_answer *answer)
{
    struct kept *gone = NULL;
    if (f->opts.answers_max == 0 || answer->id.len == 0)
        return;
    struct kept *k = make(f, answer);
    if (!k)
        return;
    trp_lock_enter(&f->lock);
    drop_old(f, answer->now_ns, &gone);
    drop_twin(f, k, &gone);
    make_room(f, k->bytes, &gone);
    if (!put_in(f, k)) {
        k->twin = gone;
        gone = k;
        count(f, TRP_METRIC_FEEDBACK_NO_MEMORY);
    }
    tell_sizes(f);
    trp_lock_leave(&f->lock);
    let_go(f, gone);
}

/* ---- outcomes ---- */

static bool is_meant(const struct trp_feedback *f, const struct kept *k,
                     const struct trp_feedback_outcome *o)
{
    if (is_too_old(f, k, o->now_ns))
        return false; /* it waits to be dropped */
    return o->model.len == 0 || trp_str_is_equal(trp_learner_name(k->learner), o->model);
}

/* Nobody of that name, but others: whoever told the outcome may have named the route in front of
 * them. */
static trp_status fail_other_model(const struct trp_feedback *f,
                                   const struct trp_feedback_outcome *o, struct trp_error *err)
{
    char names[200] = "";
    size_t used = 0;
    for (const struct kept *k = trp_table_get(f->ids, o->id); k; k = k->twin) {
        if (is_too_old(f, k, o->now_ns))
            continue;
        const struct trp_str name = trp_learner_name(k->learner);
        const int more = snprintf(names + used, sizeof names - used, "%s'%.*s'", used ? ", " : "",
                                  TRP_STR(name));
        if (more < 0 || (size_t)more >= sizeof names - used)
            break;
        used += (size_t)more;
    }
    names[used] = '\0';
    return trp_fail(err, TRP_NOT_FOUND,
                    "'%.*s' has not answered request '%.*s', or does not learn: what is kept of it "
                    "is the answer of %s, which `model` may name",
                    (int)(o->model.len < 64 ? o->model.len : 64), o->model.ptr,
                    (int)(o->id.len < 64 ? o->id.len : 64), o->id.ptr, names);
}

/* All that are meant, or none.  Labels are checked before anything is taken out, so that a
 * mistake can be repeated rightly. */
static trp_status take_meant(struct trp_feedback *f, const struct trp_feedback_outcome *o,
                             struct kept **out, struct trp_error *err)
{
    bool is_there = false, has_others = false;
    for (struct kept *k = trp_table_get(f->ids, o->id); k; k = k->twin) {
        has_others = has_others || !is_too_old(f, k, o->now_ns);
        if (!is_meant(f, k, o))
            continue;
        is_there = true;
        TRP_TRY(trp_testimony_check(k->said, o->label, err), err, "'%.*s'",
                TRP_STR(trp_learner_name(k->learner)));
    }
    if (!is_there && has_others)
        return fail_other_model(f, o, err);
    if (!is_there)
        return trp_fail(err, TRP_NOT_FOUND,
                        "nothing is kept of request '%.*s': no ensemble that learns has answered "
                        "it, its outcome was told before, or it was too long ago (feedback.age, "
                        "feedback.answers, feedback.bytes)",
                        (int)(o->id.len < 100 ? o->id.len : 100), o->id.ptr);
    for (struct kept *k = trp_table_get(f->ids, o->id), *next; k; k = next) {
        next = k->twin;
        if (is_meant(f, k, o))
            move_out(f, k, out);
    }
    return trp_ok();
}

static void learn(const struct kept *k, const struct trp_node *label, struct trp_buf *out)
{
    double losses[TRP_VOTE_MEMBERS_MAX];
    trp_testimony_losses(k->said, label, losses);
    trp_learner_learn(k->learner, losses);
    trp_buf_add_text(out, "{\"model\":");
    trp_json_write_str(out, trp_learner_name(k->learner));
    trp_buf_add_text(out, ",\"learned\":");
    trp_learner_write_json(k->learner, out);
    trp_buf_add_char(out, '}');
}

trp_status trp_feedback_tell(struct trp_feedback *f, const struct trp_feedback_outcome *outcome,
                             struct trp_buf *out, struct trp_error *err)
{
    struct kept *gone = NULL, *meant = NULL;
    trp_lock_enter(&f->lock);
    drop_old(f, outcome->now_ns, &gone);
    const trp_status st = take_meant(f, outcome, &meant, err);
    tell_sizes(f);
    trp_lock_leave(&f->lock);
    let_go(f, gone);
    if (trp_failed(st)) {
        count(f,
              st.code == TRP_NOT_FOUND ? TRP_METRIC_FEEDBACK_UNKNOWN : TRP_METRIC_FEEDBACK_REFUSED);
        return st;
    }
    trp_buf_add_char(out, '[');
    for (const struct kept *k = meant; k; k = k->twin) {
        if (k != meant)
            trp_buf_add_char(out, ',');
        learn(k, outcome->label, out);
    }
    trp_buf_add_char(out, ']');
    count(f, TRP_METRIC_FEEDBACK_LEARNED);
    let_go(f, meant);
    return st;
}
