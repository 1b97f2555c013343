/* compose/cook_rows.c - see cook_state.h: some rows of tensors.
 *
 * Here, and only here, tensors are copied between steps, because rows that are asked apart have
 * to lie together; it is counted. */
#include "compose/cook_state.h"
#include "tensor/dtype.h"

/* ---- which rows ---- */

struct doubt_job {
    struct trp_cook_job job; /* first */
    enum trp_confidence_kind kind;
    bool logits;
    double threshold, least;
    struct troupe_tensor t;
    double *sure;
    uint64_t *list, list_n, rows; /* those in doubt; of how many */
};

static struct doubt_job *doubt_of(struct trp_cook_job *j)
{
    return TRP_CONTAINER_OF(j, struct doubt_job, job);
}

static trp_status measure(struct trp_cook_job *j, struct trp_error *err)
{
    struct doubt_job *d = doubt_of(j);
    TRP_CHECK(trp_confidence_rows(d->kind, d->logits, &d->t, d->sure, d->rows, err));
    d->least = d->rows > 0 ? d->sure[0] : 1;
    for (uint64_t i = 0; i < d->rows; i++) {
        d->least = d->sure[i] < d->least ? d->sure[i] : d->least;
        if (d->sure[i] < d->threshold)
            d->list[d->list_n++] = i;
    }
    return trp_ok();
}

/* The first step has no doubt of its own: its rows are known when the second one's is measured. */
static void count_asked(const struct trp_cook *k, uint32_t step)
{
    const struct trp_recipe_doubt *doubt = &k->recipe->steps[step].doubt;
    const struct trp_cook_step *s = &k->steps[step];
    const uint32_t before = k->recipe->tensors[doubt->tensor].maker;
    struct trp_counter *asked = k->recipe->asked;
    if (!asked)
        return;
    if (k->recipe->steps[before].doubt.tensor == TRP_RECIPE_NONE)
        trp_counter_add(&asked[before], s->rows_all);
    if (s->rows_n > 0)
        trp_counter_add(&asked[step], doubt->by_row ? s->rows_n : s->rows_all);
}

static trp_status land_doubt(struct trp_cook_job *j, struct trp_error *err)
{
    const struct doubt_job *d = doubt_of(j);
    struct trp_cook *k = j->cook;
    struct trp_cook_step *s = &k->steps[j->step];
    const uint32_t step = j->step;
    const double least = d->least;
    (void)err;
    s->rows_n = d->list_n;
    s->rows_all = d->rows;
    if (k->recipe->steps[step].doubt.by_row && s->rows_n > 0 && s->rows_n < s->rows_all)
        s->rows = d->list; /* else all of them, where they lie */
    count_asked(k, step);
    trp_call_child_end(j->maker, &k->env->finder);
    trp_cook_weighed(k, step, least);
    return trp_ok();
}

static const struct trp_cook_job_kind doubt_kind = { sizeof(struct doubt_job), measure,
                                                     land_doubt };

trp_status trp_cook_weigh(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_recipe_doubt *doubt = &k->recipe->steps[step].doubt;
    struct trp_cook_job *j;
    TRP_CHECK(trp_cook_job_make(k, step, 0, &doubt_kind, &j, err));
    struct doubt_job *d = doubt_of(j);
    d->kind = doubt->kind;
    d->logits = doubt->logits;
    d->threshold = doubt->threshold;
    d->t = k->tensors[doubt->tensor]->tensor;
    d->rows = d->t.rank > 1 && d->t.shape[0] >= 0 ? (uint64_t)d->t.shape[0] : 1;
    d->sure = trp_arena_zeroed(&j->maker->arena, d->rows + 1, sizeof *d->sure);
    d->list = trp_arena_zeroed(&k->call->arena, d->rows + 1, sizeof *d->list);
    if (!d->sure || !d->list)
        return trp_cook_job_starve(j, err);
    return trp_cook_job_do(j, d->t.bytes, err);
}

/* ---- rows ---- */

static void count_copied(const struct trp_cook_job *j)
{
    if (j->cook->metrics)
        trp_metric_add(j->cook->metrics, TRP_METRIC_BYTES_COPIED, j->copied);
}

/* Bytes of one row of a tensor that has so many; 0: it has not. */
static uint64_t row_bytes(const struct troupe_tensor *t, uint64_t rows)
{
    if (t->rank == 0 || t->shape[0] < 0 || (uint64_t)t->shape[0] != rows || rows == 0 ||
        trp_dtype_bytes(t->dtype) == 0)
        return 0;
    return t->bytes / rows;
}

static bool is_alike(const struct troupe_tensor *a, const struct troupe_tensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->shape + 1, b->shape + 1, (a->rank - 1) * sizeof a->shape[0]) == 0;
}

static trp_status fail_rows(const struct troupe_tensor *t, uint64_t rows, struct trp_error *err)
{
    return trp_fail(err, TRP_BACKEND_FAILED,
                    "a tensor of %s with %lld rows where %llu of a fixed size are wanted",
                    trp_dtype_name(t->dtype), (long long)(t->rank > 0 ? t->shape[0] : 0),
                    (unsigned long long)rows);
}

/* ---- picked ---- */

struct pick_job {
    struct trp_cook_job job; /* first */
    struct troupe_tensor *from;
    const uint64_t *rows;
    uint64_t rows_n, rows_all;
    trp_cook_picked_fn then;
};

static struct pick_job *pick_of(struct trp_cook_job *j)
{
    return TRP_CONTAINER_OF(j, struct pick_job, job);
}

static trp_status pick_one(struct pick_job *p, const struct troupe_tensor *from,
                           struct troupe_tensor *out, struct trp_error *err)
{
    const uint64_t width = row_bytes(from, p->rows_all);
    if (width == 0 && from->bytes > 0)
        return fail_rows(from, p->rows_all, err);
    *out = *from;
    out->shape[0] = (int64_t)p->rows_n;
    out->data = NULL;
    out->release = NULL;
    TRP_CHECK(trp_cook_memory(&p->job, out, p->rows_n * width, err));
    for (uint64_t i = 0; i < p->rows_n; i++)
        memcpy((char *)out->data + i * width, (const char *)from->data + p->rows[i] * width,
               (size_t)width);
    p->job.copied += out->bytes;
    return trp_ok();
}

static trp_status pick(struct trp_cook_job *j, struct trp_error *err)
{
    struct pick_job *p = pick_of(j);
    for (uint32_t i = 0; i < j->maker->outputs_n; i++)
        if (p->from[i].data) /* else it is optional, and was not sent */
            TRP_CHECK(pick_one(p, &p->from[i], &j->maker->outputs[i].tensor, err));
    return trp_ok();
}

/* The model lets its own child go: what was picked lies in another. */
static trp_status land_pick(struct trp_cook_job *j, struct trp_error *err)
{
    struct trp_cook *k = j->cook;
    const struct trp_call *picked = j->maker;
    const trp_cook_picked_fn then = pick_of(j)->then;
    struct trp_error why = { 0 };
    const uint32_t step = j->step;
    count_copied(j);
    trp_call_child_keep(j->maker, &k->env->finder);
    if (trp_failed(then(k, step, picked, &why)))
        trp_cook_step_failed(k, step, &why); /* the maker is kept: it is not dropped again */
    (void)err;
    return trp_ok();
}

static const struct trp_cook_job_kind pick_kind = { sizeof(struct pick_job), pick, land_pick };

trp_status trp_cook_pick_rows(struct trp_cook *k, uint32_t step, trp_cook_picked_fn then,
                              struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    uint64_t bytes = 0;
    struct trp_cook_job *j;
    TRP_CHECK(trp_cook_job_make(k, step, s->uses_n, &pick_kind, &j, err));
    struct pick_job *p = pick_of(j);
    p->then = then;
    p->rows = k->steps[step].rows;
    p->rows_n = k->steps[step].rows_n;
    p->rows_all = k->steps[step].rows_all;
    p->from = trp_arena_zeroed(&j->maker->arena, s->uses_n + (size_t)1, sizeof *p->from);
    if (!p->from)
        return trp_cook_job_starve(j, err);
    for (uint32_t i = 0; i < s->uses_n; i++) {
        const struct trp_call_tensor *t = k->tensors[s->uses[i].tensor];
        if (!t)
            continue;
        p->from[i] = t->tensor;
        bytes += t->tensor.bytes;
    }
    return trp_cook_job_do(j, bytes, err);
}

/* ---- put back, joined ---- */

struct unite_job {
    struct trp_cook_job job;      /* first */
    struct troupe_tensor *others; /* what the rows are put into a copy of; NULL: rows are joined */
    const uint64_t *rows;
    uint64_t rows_n, rows_all;
};

static struct unite_job *unite_of(struct trp_cook_job *j)
{
    return TRP_CONTAINER_OF(j, struct unite_job, job);
}

static trp_status put_rows(struct unite_job *u, uint32_t output, struct troupe_tensor *out,
                           struct trp_error *err)
{
    const struct troupe_tensor *rows = &u->job.parts[0].child->outputs[output].tensor;
    const struct troupe_tensor *others = &u->others[output];
    const uint64_t width = row_bytes(rows, u->rows_n);
    if (width == 0)
        return fail_rows(rows, u->rows_n, err);
    if (row_bytes(others, u->rows_all) != width || !is_alike(rows, others))
        return fail_rows(others, u->rows_all, err);
    *out = *others;
    out->data = NULL;
    out->release = NULL;
    TRP_CHECK(trp_cook_memory(&u->job, out, others->bytes, err));
    memcpy(out->data, others->data, (size_t)others->bytes);
    for (uint64_t i = 0; i < u->rows_n; i++)
        memcpy((char *)out->data + u->rows[i] * width, (const char *)rows->data + i * width,
               (size_t)width);
    u->job.copied += out->bytes + u->rows_n * width;
    return trp_ok();
}

/* Rows of all parts, and bytes; 0: they do not fit together. */
static uint64_t sum_rows(const struct trp_cook_job *j, uint32_t output, uint64_t *out_bytes)
{
    const struct troupe_tensor *first = &j->parts[0].child->outputs[output].tensor;
    uint64_t rows = 0;
    *out_bytes = 0;
    for (uint32_t i = 0; i < j->parts_n; i++) {
        const struct troupe_tensor *t = &j->parts[i].child->outputs[output].tensor;
        if (t->rank == 0 || t->shape[0] < 0 || !is_alike(t, first))
            return 0;
        rows += (uint64_t)t->shape[0];
        *out_bytes += t->bytes;
    }
    return rows;
}

static trp_status join_rows(struct trp_cook_job *j, uint32_t output, struct troupe_tensor *out,
                            struct trp_error *err)
{
    const struct troupe_tensor *first = &j->parts[0].child->outputs[output].tensor;
    uint64_t bytes, at = 0;
    const uint64_t rows = sum_rows(j, output, &bytes);
    if (rows == 0)
        return fail_rows(first, j->parts_n, err);
    *out = *first;
    out->shape[0] = (int64_t)rows;
    out->data = NULL;
    out->release = NULL;
    TRP_CHECK(trp_cook_memory(j, out, bytes, err));
    for (uint32_t i = 0; i < j->parts_n; i++) {
        const struct troupe_tensor *t = &j->parts[i].child->outputs[output].tensor;
        if (t->bytes > 0)
            memcpy((char *)out->data + at, t->data, (size_t)t->bytes);
        at += t->bytes;
    }
    j->copied += bytes;
    return trp_ok();
}

static trp_status unite(struct trp_cook_job *j, struct trp_error *err)
{
    struct unite_job *u = unite_of(j);
    for (uint32_t i = 0; i < j->maker->outputs_n; i++) {
        struct troupe_tensor *out = &j->maker->outputs[i].tensor;
        TRP_CHECK(u->others ? put_rows(u, i, out, err) : join_rows(j, i, out, err));
    }
    return trp_ok();
}

static trp_status land_united(struct trp_cook_job *j, struct trp_error *err)
{
    (void)err;
    count_copied(j);
    trp_cook_made(j->cook, j->step, j->maker);
    trp_cook_step_done(j->cook, j->step, TRP_METRIC_COMPOSED_MODELS);
    return trp_ok();
}

/* The parts become the job's: a step that is left out meanwhile must not let them go. */
static uint64_t take_parts(struct unite_job *u, struct trp_cook_step *state)
{
    struct trp_cook_job *j = &u->job;
    uint64_t bytes = 0;
    j->only = state->one;
    j->parts = state->parts == &state->one ? &j->only : state->parts;
    j->parts_n = state->parts_n;
    state->parts = NULL;
    state->parts_n = 0;
    for (uint32_t i = 0; i < j->parts_n; i++)
        for (uint32_t o = 0; o < j->parts[i].child->outputs_n; o++)
            bytes += j->parts[i].child->outputs[o].tensor.bytes;
    return bytes;
}

static const struct trp_cook_job_kind unite_kind = { sizeof(struct unite_job), unite, land_united };

/* Rows have the names of classes of the first child, as far as no earlier step has some: it is
 * kept for them. */
static void borrow_classes(const struct trp_cook *k, struct trp_cook_job *j)
{
    const struct trp_recipe_step *s = &k->recipe->steps[j->step];
    struct trp_call *first = j->parts[0].child;
    trp_cook_name_classes(first);
    for (uint32_t i = 0; i < s->gives_n; i++) {
        if (!first->outputs[i].labels || (s->earlier && k->tensors[s->earlier[i]]->labels))
            continue;
        j->maker->outputs[i].labels = first->outputs[i].labels;
        j->maker->outputs[i].labels_n = first->outputs[i].labels_n;
        j->lends_names = true;
    }
}

trp_status trp_cook_unite_rows(struct trp_cook *k, uint32_t step, struct trp_error *err)
{
    const struct trp_recipe_step *s = &k->recipe->steps[step];
    struct trp_cook_step *state = &k->steps[step];
    struct trp_cook_job *j;
    TRP_CHECK(trp_cook_job_make(k, step, s->gives_n, &unite_kind, &j, err));
    struct unite_job *u = unite_of(j);
    uint64_t bytes = take_parts(u, state);
    borrow_classes(k, j);
    u->rows = state->rows;
    u->rows_n = state->rows_n;
    u->rows_all = state->rows_all;
    if (!state->rows)
        return trp_cook_job_do(j, bytes, err);
    u->others = trp_arena_zeroed(&j->maker->arena, s->gives_n, sizeof *u->others);
    if (!u->others)
        return trp_cook_job_starve(j, err);
    for (uint32_t i = 0; i < s->gives_n; i++) {
        u->others[i] = k->tensors[s->earlier[i]]->tensor;
        bytes += u->others[i].bytes;
    }
    return trp_cook_job_do(j, bytes, err);
}
