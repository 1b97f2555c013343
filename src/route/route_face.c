/* route/route_face.c - see route_face.h. */
#include "route/route_face.h"

#include "repo/digest.h"
#include "route/route_fit.h"
#include "route/route_rows.h"

/* routes_n: no route is called so. */
static uint32_t index_of(const struct trp_route_file *f, struct trp_str name)
{
    const struct trp_route_place *place = trp_table_get(f->names, name);
    return place ? place->index : f->routes_n;
}

static bool has_all(const struct trp_io *some, uint32_t some_n, const struct trp_io *all,
                    uint32_t all_n)
{
    for (uint32_t i = 0; i < some_n; i++) {
        bool is_there = false;
        for (uint32_t k = 0; k < all_n && !is_there; k++)
            is_there = trp_str_is_equal(some[i].name, all[k].name) && some[i].dtype == all[k].dtype;
        if (!is_there)
            return false;
    }
    return true;
}

static bool is_alike(const struct trp_signature *a, const struct trp_signature *b)
{
    return a->inputs_n == b->inputs_n && a->outputs_n == b->outputs_n &&
           has_all(a->inputs, a->inputs_n, b->inputs, b->inputs_n) &&
           has_all(a->outputs, a->outputs_n, b->outputs, b->outputs_n);
}

/* As the one in front of it sees a target. */
static trp_status find_fitted(const struct trp_route_checking *c, const struct trp_route_goal *g,
                              const struct trp_signature **out)
{
    TRP_CHECK(trp_route_face_signature(c, g, out));
    for (uint32_t i = 0; *out && g->fit && i < g->fit->casts_n; i++)
        if (trp_signature_input(*out, g->fit->casts[i].name))
            *out = NULL; /* it takes numbers of other types, too */
    if (!*out || !g->fit)
        return trp_ok();
    struct trp_signature *s = trp_arena_zeroed(c->arena, 1, sizeof *s);
    if (!s)
        return trp_fail(c->err, TRP_OUT_OF_MEMORY, "the check of '%.*s'", TRP_STR(g->text));
    TRP_CHECK(trp_signature_dup(*out, c->arena, s, c->err));
    *out = s;
    return trp_route_fit_describe(g->fit, c->arena, s, c->err);
}

/* The same, of so many rows at most. */
static trp_status with_rows(const struct trp_route_checking *c, const struct trp_signature *s,
                            int32_t rows, const struct trp_signature **out)
{
    struct trp_signature *copy = trp_arena_zeroed(c->arena, 1, sizeof *copy);
    if (!copy)
        return trp_fail(c->err, TRP_OUT_OF_MEMORY, "the check of routes");
    *copy = *s;
    copy->batch_max = rows;
    *out = copy;
    return trp_ok();
}

/* Where its targets differ, only its own rules know what it takes.  walk() was there: it ends. */
static trp_status look_behind(const struct trp_route_checking *c, const struct trp_route_plan *p,
                              struct trp_route_face *face)
{
    const struct trp_signature *first = NULL, *s;
    struct trp_route_rows rows;
    face->was_looked_for = true;
    trp_route_rows_init(&rows, p);
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(find_fitted(c, &p->goals[i], &s));
        if (!s || (first && !is_alike(first, s)))
            return trp_ok();
        if (trp_route_rows_asks(&rows, i))
            trp_route_rows_add(&rows, s);
        first = first ? first : s;
    }
    const int32_t limit = first ? trp_route_rows_limit(&rows, first) : 0;
    if (limit)
        TRP_CHECK(with_rows(c, first, limit, &first));
    face->signature = first;
    return trp_ok();
}

/* What a target takes and gives; *out is NULL: nobody knows (yet). */
trp_status trp_route_face_signature(const struct trp_route_checking *c,
                                    const struct trp_route_goal *g,
                                    const struct trp_signature **out)
{
    const uint32_t i = index_of(c->file, g->model);
    *out = NULL;
    if (i == c->file->routes_n) {
        *out = c->check->signature(c->check->user, g->model, g->version);
        return trp_ok();
    }
    if (!c->faces[i].was_looked_for)
        TRP_CHECK(look_behind(c, trp_route_plan_of(c->file->routes[i]), &c->faces[i]));
    *out = c->faces[i].signature;
    return trp_ok();
}

/* Whether anybody has the name of a target, whatever its version. */
bool trp_route_face_is_there(const struct trp_route_checking *c, const struct trp_route_goal *g)
{
    return trp_route_checking_plan(c, g->model) || c->check->known(c->check->user, g->model, 0);
}

static uint64_t mix_ios(uint64_t digest, const struct trp_io *ios, uint32_t n)
{
    digest = trp_digest_add(digest, n);
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_io *io = &ios[i];
        const uint64_t bits = (uint64_t)io->optional | (uint64_t)io->any_rank << 1 |
                              (uint64_t)io->shape_unchecked << 2 | (uint64_t)io->rank << 8;
        digest = trp_digest_add_str(digest, io->name);
        digest = trp_digest_add(digest, (uint64_t)(uint32_t)io->dtype << 32 | bits);
        for (uint32_t k = 0; k < io->rank; k++)
            digest = trp_digest_add(digest, (uint64_t)io->dims[k]);
    }
    return digest;
}

/* All that check_presence(), check_fits() and trp_route_stand_in_doubt() go by. */
trp_status trp_route_face_digest(const struct trp_route_checking *c, const struct trp_route_plan *p,
                                 uint64_t *out_digest)
{
    const struct trp_signature *s;
    uint64_t digest = 1;
    for (uint32_t i = 0; i < p->goals_n; i++) {
        TRP_CHECK(trp_route_face_signature(c, &p->goals[i], &s));
        digest = trp_digest_add(digest, s ? 1 : trp_route_face_is_there(c, &p->goals[i]) ? 0 : 2);
        digest = s ? trp_digest_add(digest, (uint64_t)(uint32_t)s->batch_max) : digest;
        digest = s ? mix_ios(digest, s->inputs, s->inputs_n) : digest;
        digest = s ? mix_ios(digest, s->outputs, s->outputs_n) : digest;
    }
    *out_digest = digest ? digest : 1;
    return trp_ok();
}
