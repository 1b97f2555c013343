/* compose/cookbook.c - see cookbook.h.
 *
 * A composition is checked when the first one that asks it is, and then is known.  One that is
 * being checked and is asked again asks itself: the row of those under way is the detour that is
 * told.
 *
 * One that could not be checked is read anew when an answer that it got then would be another one
 * now, and not with each of the thousand models that are loaded meanwhile: so it keeps whom it
 * asked, and a digest of each answer.  Of another composition that is not checked either, the
 * answer is what that one was answered. */
#include "compose/cookbook.h"

#include <stdio.h>

#include "base/table.h"
#include "compose/known_name.h"
#include "conf/model_schema.h"
#include "repo/digest.h"
#include "route/route_fit.h"
#include "route/route_section.h"

#define DETOUR_MAX 200

enum entry_state { READ, AT_WORK, UNKNOWN, CHECKED };

struct asked { /* by the last check of an entry, in its order */
    struct trp_str model;
    int64_t version;
    uint64_t answer;
    struct asked *next;
};

struct entry {
    struct trp_composition *composition;
    enum entry_state state;
    struct entry *asked_by;
    struct asked *asked, **end; /* those behind `end` are of longer checks: used again */
    bool is_read;               /* the last check came to its end, and all that it asked is kept */
    bool is_told;               /* what is wrong with it */
    bool is_adopted;            /* it goes on; nobody is blamed for it */
    bool is_spared;             /* it is wrong, and the others are checked without it */
};

struct trp_cookbook {
    const struct trp_alloc *alloc;
    const struct trp_cookbook_opts *opts;
    struct trp_arena arena;
    struct trp_table *names;
    struct entry **entries;
    uint32_t n, capacity;
    uint32_t next_look; /* of those that are looked at some at a time */
    uint32_t unknown_n; /* whose models are not known yet */
    bool serves;        /* somebody has looked again since it was taken up */
    bool has_failed;    /* the check at work: for one that was not spared */
    const struct trp_route_check *check;
    struct entry *at_work;
    const struct trp_cookbook *base; /* of a trial: where all those are that it has no copy of */
};

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for what is made of models");
}

static struct trp_str name_of(const struct entry *e)
{
    return trp_composition_target(e->composition)->name;
}

trp_status trp_cookbook_create(const struct trp_cookbook_opts *opts, struct trp_cookbook **out_book,
                               struct trp_error *err)
{
    *out_book = NULL;
    struct trp_cookbook *b = trp_alloc_zeroed(opts->alloc, 1, sizeof *b);
    if (!b)
        return no_memory(err);
    b->alloc = opts->alloc;
    b->opts = opts;
    trp_arena_init(&b->arena, b->alloc, 4096, 0);
    const trp_status st = trp_table_create(b->alloc, TRP_COOKBOOK_MAX, &b->names, err);
    if (trp_failed(st)) {
        trp_cookbook_destroy(b);
        return st;
    }
    *out_book = b;
    return st;
}

void trp_cookbook_destroy(struct trp_cookbook *b)
{
    if (!b)
        return;
    for (uint32_t i = 0; i < b->n; i++)
        trp_composition_release(trp_composition_target(b->entries[i]->composition));
    trp_table_destroy(b->names);
    trp_alloc_free(b->alloc, b->entries);
    trp_arena_deinit(&b->arena);
    trp_alloc_free(b->alloc, b);
}

/* ---- reading ---- */

static trp_status make_room(struct trp_cookbook *b, struct trp_error *err)
{
    if (b->n < b->capacity)
        return trp_ok();
    if (b->n == TRP_COOKBOOK_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u ensembles, cascades and pipelines",
                        TRP_COOKBOOK_MAX);
    const uint32_t room = b->capacity ? b->capacity * 2 : 8;
    struct entry **grown = trp_alloc_resize(
        b->alloc, b->entries, b->capacity * sizeof(struct entry *), room * sizeof(struct entry *));
    if (!grown)
        return no_memory(err);
    b->entries = grown;
    b->capacity = room;
    return trp_ok();
}

static trp_status make_entry(struct trp_cookbook *b, struct entry **out_entry,
                             struct trp_error *err)
{
    TRP_CHECK(make_room(b, err));
    *out_entry = trp_arena_zeroed(&b->arena, 1, sizeof **out_entry);
    return *out_entry ? trp_ok() : no_memory(err);
}

/* The reference to the composition moves, unless it fails. */
static trp_status keep(struct trp_cookbook *b, struct entry *e, struct trp_error *err)
{
    const trp_status st = trp_table_put(b->names, name_of(e), e, NULL, err);
    if (!trp_failed(st))
        b->entries[b->n++] = e;
    else
        trp_composition_release(trp_composition_target(e->composition));
    return st;
}

static trp_status add(struct trp_cookbook *b, const struct trp_composition_order *order,
                      struct trp_error *err)
{
    struct entry *e;
    TRP_CHECK(make_entry(b, &e, err));
    if (order->name.len == 0)
        return trp_node_fail(order->at, err, TRP_INVALID_ARGUMENT, "an %s without a name",
                             order->kind);
    const struct entry *twin = trp_table_get(b->names, order->name);
    if (twin)
        return trp_node_fail(order->at, err, TRP_ALREADY_EXISTS, "'%.*s' is there already: %.*s",
                             TRP_STR(order->name),
                             TRP_STR(trp_composition_place(twin->composition)));
    TRP_CHECK(trp_composition_create(b->alloc, &b->opts->env, order, &e->composition, err));
    return keep(b, e, err);
}

trp_status trp_cookbook_read_section(struct trp_cookbook *b, const struct trp_node *at,
                                     struct trp_route_file *file, struct trp_error *err)
{
    const struct trp_route_section *section = trp_route_section_find(at->key);
    if (!section || !section->is_composed) {
        char hint[TRP_ROUTE_HINT_MAX];
        trp_route_section_hint(hint, at->key);
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT,
                             "section '%.*s' has nothing that is made of models%s",
                             TRP_STR(at->key), section ? "" : hint);
    }
    if (at->kind != TRP_NODE_MAP)
        return trp_node_fail(at, err, TRP_INVALID_ARGUMENT, "%.*s are names, each with what it is",
                             TRP_STR(section->key));
    for (const struct trp_node *n = at->first; n; n = n->next) {
        const struct trp_composition_order order = {
            .name = n->key, .kind = section->kind, .at = n, .file = file
        };
        TRP_CHECK(add(b, &order, err));
    }
    return trp_ok();
}

/* Keys of a model that say something of it as a whole; the rest is of models only. */
static trp_status check_folder(const struct trp_node *tree, const char *kind, struct trp_error *err)
{
    const char *const known[] = { kind, "name", "platform", "description", "tags", "task" };
    for (const struct trp_node *n = tree->first; n; n = n->next) {
        if (trp_known_name_find(known, ARRAY_LEN(known), n->key) != UINT32_MAX)
            continue;
        return trp_node_fail(n, err, TRP_INVALID_ARGUMENT, "key '%.*s' means nothing beside '%s'",
                             TRP_STR(n->key), kind);
    }
    return trp_ok();
}

trp_status trp_cookbook_read_folder(struct trp_cookbook *b,
                                    const struct trp_cookbook_folder *folder,
                                    struct trp_route_file *file, struct trp_error *err)
{
    const char *kind = trp_model_definition_kind(folder->tree);
    struct trp_composition_order order = {
        .name = folder->name, .kind = kind, .at = folder->tree, .file = file, .text = folder->text
    };
    if (strcmp(kind, "ensemble_scheduling") == 0) {
        order.labels = folder->labels;
        return add(b, &order, err);
    }
    TRP_CHECK(check_folder(folder->tree, kind, err));
    order.at = trp_node_get(folder->tree, kind);
    return add(b, &order, err);
}

trp_status trp_cookbook_adopt(struct trp_cookbook *b, struct trp_target *target,
                              struct trp_error *err)
{
    struct entry *e;
    TRP_CHECK(make_entry(b, &e, err));
    *e = (struct entry){ .composition = trp_composition_of(target), .is_adopted = true };
    e->state = trp_composition_signature(e->composition) ? CHECKED : UNKNOWN;
    trp_composition_retain(target);
    return keep(b, e, err);
}

uint32_t trp_cookbook_count(const struct trp_cookbook *b)
{
    return b ? b->n : 0;
}

struct trp_composition *trp_cookbook_at(const struct trp_cookbook *b, uint32_t index)
{
    return b && index < b->n ? b->entries[index]->composition : NULL;
}

struct trp_composition *trp_cookbook_find(const struct trp_cookbook *b, struct trp_str name)
{
    const struct entry *e = b ? trp_table_get(b->names, name) : NULL;
    return e ? e->composition : NULL;
}

/* ---- checking ---- */

static trp_status check_entry(struct trp_cookbook *b, struct entry *e, struct trp_error *err);

/* Whether the others go on without it.  The innermost that fails is told; who asks it fails for
 * its sake. */
static bool spare(struct trp_cookbook *b, struct entry *e, const struct trp_error *why)
{
    const struct trp_route_check *check = b->check;
    e->is_spared =
        !b->has_failed && check->spare && check->spare(check->spare_user, name_of(e), why);
    b->has_failed |= !e->is_spared;
    return e->is_spared;
}

/* "a, which asks b, which asks a" */
static trp_status fail_detour(const struct trp_cookbook *b, const struct entry *e,
                              struct trp_error *err)
{
    char row[DETOUR_MAX];
    size_t len = 0;
    row[0] = '\0';
    for (const struct entry *at = b->at_work; at && len < sizeof row; at = at->asked_by) {
        len += (size_t)snprintf(row + len, sizeof row - len, "%s'%.*s'", len ? ", asked by " : "",
                                TRP_STR(name_of(at)));
        if (at == e)
            break;
    }
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%.*s: '%.*s' asks itself: it is asked by %s",
                    TRP_STR(trp_composition_place(e->composition)), TRP_STR(name_of(e)), row);
}

static trp_status fail_unknown(struct trp_str name, struct trp_error *err)
{
    return trp_fail(err, TRP_NOT_READY, "nobody knows yet what '%.*s' takes", TRP_STR(name));
}

/* ---- what a check was answered ---- */

static uint64_t add_texts(uint64_t digest, const struct trp_str *texts, uint32_t n)
{
    for (uint32_t i = 0; texts && i < n; i++)
        digest = trp_digest_add_str(digest, texts[i]);
    return trp_digest_add(digest, texts ? n : 0);
}

static uint64_t add_ios(uint64_t digest, const struct trp_io *ios, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct trp_io *io = &ios[i];
        const uint64_t bits = (uint64_t)io->optional | (uint64_t)io->any_rank << 1 |
                              (uint64_t)io->shape_unchecked << 2 | (uint64_t)io->rank << 8;
        digest = trp_digest_add_str(digest, io->name);
        digest = trp_digest_add(digest, (uint64_t)(uint32_t)io->dtype << 32 | bits);
        for (uint32_t k = 0; k < io->rank; k++)
            digest = trp_digest_add(digest, (uint64_t)io->dims[k]);
        digest = add_texts(digest, io->dim_names, io->rank);
        digest = add_texts(digest, io->labels, io->labels_n);
    }
    return trp_digest_add(digest, n);
}

static uint64_t digest_signature(const struct trp_signature *s)
{
    uint64_t digest = trp_digest_add(1, (uint64_t)(uint32_t)s->batch_max);
    digest = add_ios(digest, s->inputs, s->inputs_n + s->hidden_inputs_n);
    digest = add_ios(digest, s->outputs, s->outputs_n + s->hidden_outputs_n);
    return trp_digest_add_str(digest, s->platform);
}

/* What a look at this name would be answered now. */
static uint64_t digest_answer(const struct trp_cookbook *b, struct trp_str model, int64_t version)
{
    const struct trp_route_check *check = b->check;
    const struct entry *e = trp_table_get(b->names, model);
    uint64_t digest = 2;
    if (e && e->state == CHECKED)
        return 1;
    if (e) {
        for (const struct asked *a = e->asked; a && a != *e->end; a = a->next)
            digest = trp_digest_add(digest, digest_answer(b, a->model, a->version));
        return digest;
    }
    const struct trp_signature *s = check->signature(check->user, model, version);
    return s                                           ? digest_signature(s)
           : check->known(check->user, model, version) ? 3
           : check->known(check->user, model, 0)       ? 4
                                                       : 5;
}

/* A check asks the same in the same order each time, as far as it comes: what is kept of an
 * earlier one is used again. */
static void note_answer(struct trp_cookbook *b, struct trp_str model, int64_t version)
{
    struct entry *e = b->at_work;
    if (!e || b->base) /* a trial is over soon */
        return;
    struct asked *a = *e->end;
    if (!a || a->version != version || !trp_str_is_equal(a->model, model)) {
        a = trp_arena_zeroed(&b->arena, 1, sizeof *a);
        const struct trp_str copy = trp_arena_dup(&b->arena, model);
        if (!a || !copy.ptr) {
            e->is_read = false;
            return;
        }
        *a = (struct asked){ .model = copy, .version = version };
        *e->end = a;
    }
    a->answer = digest_answer(b, model, version);
    e->end = &a->next;
}

/* Whether another check of it may come to another end. */
static bool is_news_for(const struct trp_cookbook *b, const struct entry *e)
{
    if (!e->is_read)
        return true;
    for (const struct asked *a = e->asked; a && a != *e->end; a = a->next) {
        const struct entry *other = trp_table_get(b->names, a->model);
        if (other && other->state != CHECKED && is_news_for(b, other))
            return true;
        if (digest_answer(b, a->model, a->version) != a->answer)
            return true;
    }
    return false;
}

/* ---- looks ---- */

static trp_status look(void *user, struct trp_str model, int64_t version, struct trp_arena *arena,
                       struct trp_signature *out, struct trp_error *err);

/* A route takes and gives what it leads to does, under the names that it has for that. */
static trp_status look_behind(struct trp_cookbook *b, const struct trp_route_goal *goal,
                              struct trp_arena *arena, struct trp_signature *out,
                              struct trp_error *err)
{
    TRP_CHECK(look(b, goal->model, goal->version, arena, out, err));
    return goal->fit ? trp_route_fit_describe(goal->fit, arena, out, err) : trp_ok();
}

static trp_status look(void *user, struct trp_str model, int64_t version, struct trp_arena *arena,
                       struct trp_signature *out, struct trp_error *err)
{
    struct trp_cookbook *b = user;
    const struct trp_route_check *check = b->check;
    struct entry *e = trp_table_get(b->names, model);
    const struct trp_route_goal *goal = check->lead ? check->lead(check->user, model) : NULL;
    if ((e || goal) && version != 0 && version != 1)
        return trp_fail(err, TRP_NOT_FOUND, "'%.*s' has no versions", TRP_STR(model));
    if (goal && !e)
        return look_behind(b, goal, arena, out, err);
    if (e) {
        const trp_status st = check_entry(b, e, err);
        note_answer(b, model, version);
        TRP_CHECK(st);
        return trp_signature_dup(trp_composition_signature(e->composition), arena, out, err);
    }
    char hint[TRP_ROUTE_HINT_MAX] = "";
    const struct entry *other = b->base ? trp_table_get(b->base->names, model) : NULL;
    const struct trp_signature *s = other ? trp_composition_signature(other->composition)
                                          : check->signature(check->user, model, version);
    note_answer(b, model, version);
    if (s)
        return trp_signature_dup(s, arena, out, err);
    if (check->known(check->user, model, version))
        return fail_unknown(model, err);
    if (version != 0 && check->known(check->user, model, 0))
        return trp_fail(err, TRP_NOT_FOUND, "'%.*s' has no such version or label", TRP_STR(model));
    if (check->nearest)
        check->nearest(check->user, model, hint);
    return trp_fail(err, TRP_NOT_FOUND, "there is no model, route or composition '%.*s'%s",
                    TRP_STR(model), hint);
}

static trp_status check_entry(struct trp_cookbook *b, struct entry *e, struct trp_error *err)
{
    const struct trp_recipe_lookup lookup = { b, look };
    if (e->state == CHECKED)
        return trp_ok();
    if (e->state == AT_WORK)
        return fail_detour(b, e, err);
    if (e->is_spared)
        return fail_unknown(name_of(e), err);
    if (e->is_adopted && !b->serves) /* this reading may still be refused, and it would stay */
        return fail_unknown(name_of(e), err);
    e->state = AT_WORK;
    e->asked_by = b->at_work;
    b->at_work = e;
    e->end = &e->asked;
    e->is_read = true;
    const trp_status st = trp_composition_check(e->composition, &lookup, err);
    b->at_work = e->asked_by;
    const bool is_unknown = st.code == TRP_NOT_READY;
    e->state = !trp_failed(st) ? CHECKED : is_unknown || b->serves ? UNKNOWN : READ;
    /* What is wrong with one that another one asked is not told yet. */
    e->is_read &= st.code != TRP_OUT_OF_MEMORY && (is_unknown || e->is_told || !e->asked_by);
    b->unknown_n += e->state == UNKNOWN;
    if (e->state == READ && spare(b, e, err))
        return fail_unknown(name_of(e), err);
    return st;
}

static trp_status check_known(const struct trp_cookbook *b, struct trp_str name,
                              struct trp_str said, const struct trp_node *at, struct trp_error *err)
{
    char hint[TRP_ROUTE_HINT_MAX] = "";
    if (trp_table_get(b->names, name) || b->check->known(b->check->user, name, 0))
        return trp_ok();
    if (b->check->nearest)
        b->check->nearest(b->check->user, name, hint);
    return trp_node_fail(at, err, TRP_NOT_FOUND, "there is no model, route or composition '%.*s'%s",
                         TRP_STR(said), hint);
}

/* A condition that asks for the load of what is not there would be unknown for ever. */
static trp_status check_loads(const struct trp_cookbook *b, const struct entry *e,
                              struct trp_error *err)
{
    const struct trp_node *at;
    struct trp_str said, model;
    uint32_t cursor = 0;
    int64_t version;
    while (trp_composition_next_load(e->composition, &cursor, &said, &at))
        TRP_CHECK(check_known(b, trp_route_goal_parse(said, &model, &version) ? model : said, said,
                              at, err));
    return trp_ok();
}

/* Names, before anything is asked of who bears them: whether there are such, and whether they
 * lead back. */
static trp_status check_names(struct trp_cookbook *b, struct entry *e, struct trp_error *err)
{
    struct trp_str name;
    uint32_t cursor = 0;
    if (e->state == CHECKED || e->is_adopted || e->is_spared)
        return trp_ok();
    if (e->state == AT_WORK)
        return fail_detour(b, e, err);
    e->state = AT_WORK;
    e->asked_by = b->at_work;
    b->at_work = e;
    trp_status st = check_loads(b, e, err);
    while (!trp_failed(st) && trp_composition_next_name(e->composition, &cursor, &name)) {
        struct entry *asked = trp_table_get(b->names, name);
        st = asked
                 ? check_names(b, asked, err)
                 : check_known(b, name, name, trp_composition_name_at(e->composition, cursor), err);
    }
    b->at_work = e->asked_by;
    e->state = trp_failed(st) ? READ : CHECKED;
    return trp_failed(st) && spare(b, e, err) ? trp_ok() : st;
}

static trp_status check_all(struct trp_cookbook *b, struct trp_error *err)
{
    for (uint32_t i = 0; i < b->n; i++)
        TRP_CHECK(check_names(b, b->entries[i], err));
    for (uint32_t i = 0; i < b->n; i++)
        if (!b->entries[i]->is_adopted)
            b->entries[i]->state = READ;
    for (uint32_t i = 0; i < b->n; i++) {
        if (b->entries[i]->is_adopted) {
            b->unknown_n += b->entries[i]->state == UNKNOWN;
            continue;
        }
        const trp_status st = check_entry(b, b->entries[i], err);
        if (trp_failed(st) && st.code != TRP_NOT_READY)
            return st;
    }
    return trp_ok();
}

trp_status trp_cookbook_check(struct trp_cookbook *b, const struct trp_route_check *check,
                              struct trp_error *err)
{
    struct trp_error own = { 0 };
    b->check = check;
    b->unknown_n = 0;
    b->has_failed = false;
    const trp_status st = check_all(b, &own);
    if (trp_failed(st) && err)
        *err = own;
    return st;
}

/* It says itself what is wrong, and another version may be right. */
static bool is_news(struct trp_cookbook *b, struct entry *e, struct trp_error *why)
{
    if (e->state != UNKNOWN)
        return false;
    if (!is_news_for(b, e)) {
        b->unknown_n++;
        return false;
    }
    const trp_status st = check_entry(b, e, why);
    if (!trp_failed(st))
        return false;
    if (st.code == TRP_NOT_READY || st.code == TRP_OUT_OF_MEMORY || e->is_told)
        return false;
    e->is_told = true;
    trp_composition_point(e->composition, why);
    return true;
}

static void try_unknown(struct trp_cookbook *b, const struct trp_cookbook_news *news)
{
    if (b->unknown_n == 0)
        return;
    b->unknown_n = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        struct trp_error why = { 0 };
        if (is_news(b, b->entries[i], &why))
            news->unfit(news->user, &why);
    }
}

/* UINT32_MAX: all that it asks are somebody's. */
static uint32_t find_gone(const struct trp_cookbook *b, const struct trp_composition *c)
{
    struct trp_str name;
    uint32_t cursor = 0;
    for (uint32_t i = 0; trp_composition_next_name(c, &cursor, &name); i++)
        if (!trp_table_get(b->names, name) && !b->check->known(b->check->user, name, 0))
            return i;
    return UINT32_MAX;
}

/* Of a route that knows its targets by other names nobody asks: what it says is made anew. */
static int64_t most_rows(void *user, struct trp_str model, int64_t version)
{
    const struct trp_cookbook *b = user;
    const struct trp_route_check *check = b->check;
    const struct entry *e = trp_table_get(b->names, model);
    const struct trp_route_goal *goal = check->lead && !e ? check->lead(check->user, model) : NULL;
    if (goal)
        return goal->fit ? -1 : most_rows(user, goal->model, goal->version);
    const struct trp_signature *s = e ? trp_composition_signature(e->composition)
                                      : check->signature(check->user, model, version);
    return s ? trp_signature_rows_max(s) : -1;
}

static void look_at_members(struct trp_cookbook *b, struct trp_composition *c,
                            const struct trp_cookbook_news *news)
{
    const struct trp_composition_rows rows = { b, most_rows };
    trp_composition_look_at_rows(c, &rows);
    if (!trp_composition_set_gone(c, find_gone(b, c)))
        return;
    const struct trp_str gone = trp_composition_gone(c);
    news->gone(news->user, c, gone.len > 0 ? gone.ptr : NULL);
}

void trp_cookbook_look_at_members(struct trp_cookbook *b, const struct trp_route_check *check,
                                  const struct trp_cookbook_news *news, uint32_t most)
{
    b->check = check;
    for (uint32_t i = 0; i < b->n && i < most; i++)
        look_at_members(b, b->entries[b->next_look++ % b->n]->composition, news);
}

void trp_cookbook_look_again(struct trp_cookbook *b, const struct trp_route_check *check,
                             const struct trp_cookbook_news *news)
{
    b->serves = true;
    b->check = check;
    try_unknown(b, news);
}

/* ---- a trial ---- */

/* Who answers for a name: what serves leads nowhere back, so this ends. */
static struct trp_str behind_routes(const struct trp_cookbook *b,
                                    const struct trp_route_check *check, struct trp_str name)
{
    const struct trp_route_goal *goal;
    while (check->lead && !trp_cookbook_find(b->base, name) &&
           (goal = check->lead(check->user, name)) != NULL)
        name = goal->model;
    return name;
}

/* Whether what it is asked may be other than it was. */
static bool is_concerned(const struct trp_cookbook *b, const struct trp_composition *c,
                         const struct trp_route_trial *t)
{
    struct trp_str name;
    uint32_t cursor = 0;
    while (trp_composition_next_name(c, &cursor, &name)) {
        name = behind_routes(b, t->now, name);
        if (trp_str_is_equal(name, t->model) || trp_table_get(b->names, name))
            return true;
    }
    return false;
}

static trp_status copy_entry(struct trp_cookbook *b, const struct trp_composition *c,
                             struct trp_error *err)
{
    struct entry *e;
    TRP_CHECK(make_entry(b, &e, err));
    TRP_CHECK(trp_composition_again(c, &e->composition, err));
    return keep(b, e, err);
}

/* Who asks one that is concerned is concerned, too: until a round finds nobody else. */
static trp_status copy_concerned(struct trp_cookbook *b, const struct trp_route_trial *t,
                                 struct trp_error *err)
{
    uint32_t before;
    do {
        before = b->n;
        for (uint32_t i = 0; i < b->base->n; i++) {
            const struct entry *e = b->base->entries[i];
            if (!trp_table_get(b->names, name_of(e)) && is_concerned(b, e->composition, t))
                TRP_CHECK(copy_entry(b, e->composition, err));
        }
    } while (b->n > before);
    return trp_ok();
}

/* Of a copy: whether it could be made, and whether the one that it is a copy of would go on. */
static trp_status try_entry(struct trp_cookbook *b, struct entry *e, struct trp_error *err)
{
    TRP_CHECK(check_entry(b, e, err));
    return trp_composition_goes_on(trp_cookbook_find(b->base, name_of(e)), e->composition, err);
}

/* Whether the one of this name works with things as they are; memory that is short speaks for
 * it. */
static bool works_now(const struct trp_cookbook *base, const struct trp_route_trial *t,
                      struct trp_str name)
{
    struct trp_cookbook *b;
    struct trp_error err = { 0 };
    if (trp_failed(trp_cookbook_create(base->opts, &b, &err)))
        return true;
    b->base = base;
    b->check = t->now;
    trp_status st = copy_concerned(b, t, &err);
    struct entry *e = trp_table_get(b->names, name);
    if (!trp_failed(st) && e)
        st = try_entry(b, e, &err);
    trp_cookbook_destroy(b);
    return !trp_failed(st) || st.code == TRP_OUT_OF_MEMORY;
}

static trp_status judge_all(struct trp_cookbook *b, const struct trp_route_trial *t,
                            struct trp_composition **out_broken, struct trp_error *err)
{
    TRP_CHECK(copy_concerned(b, t, err));
    for (uint32_t i = 0; i < b->n; i++) {
        const struct trp_str name = name_of(b->entries[i]);
        struct trp_error own = { 0 };
        const trp_status st = try_entry(b, b->entries[i], &own);
        if (!trp_failed(st) || st.code == TRP_NOT_READY)
            continue;
        if (st.code != TRP_OUT_OF_MEMORY && !works_now(b->base, t, name))
            continue;
        *out_broken = trp_cookbook_find(b->base, name);
        trp_composition_point(b->entries[i]->composition, &own);
        *err = own;
        return st;
    }
    return trp_ok();
}

trp_status trp_cookbook_judge(const struct trp_cookbook *b, const struct trp_route_trial *trial,
                              struct trp_composition **out_broken, struct trp_error *err)
{
    struct trp_cookbook *trying;
    if (trp_cookbook_count(b) == 0)
        return trp_ok();
    TRP_CHECK(trp_cookbook_create(b->opts, &trying, err));
    trying->base = b;
    trying->check = trial->next;
    const trp_status st = judge_all(trying, trial, out_broken, err);
    trp_cookbook_destroy(trying);
    return st;
}
