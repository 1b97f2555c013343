/* catalog/known_names.c - see known_names.h. */
#include "catalog/known_names.h"

#include <stdio.h>

#define NAMES_MAX 20000u
#define HINTS_MAX 100u /* of one check: each looks at all names */

/* Its versions are still on their way (models.load: startup): which they are, and what labels stand
 * for them, is known when they have arrived, and nobody lists the models again then.  Requests
 * that come earlier are told by the model itself. */
static bool is_coming(const struct trp_entry *e)
{
    bool is_on_its_way = e->versions_n == 0 && e->wanted && !e->reason;
    for (uint32_t i = 0; i < e->versions_n; i++) {
        const enum trp_model_state s = trp_lifecycle_get(&e->versions[i]->life);
        if (s == TRP_MODEL_READY)
            return false;
        is_on_its_way |= s == TRP_MODEL_LOADING || s == TRP_MODEL_WARMING;
    }
    return is_on_its_way;
}

/* Whether there is such a model; *out is NULL where nobody knows what it takes. */
static bool is_model(const struct trp_known_names *names, struct trp_str name, int64_t version,
                     const struct trp_signature **out)
{
    struct trp_version *v = NULL;
    *out = NULL;
    if (names->proposal && trp_str_is_equal(names->proposal->model, name))
        return trp_proposal_look(names->proposal, version, out);
    if (!names->snapshot)
        return false;
    if (trp_failed(trp_snapshot_look(names->snapshot, name, version, &v, NULL))) {
        const struct trp_entry *e = trp_snapshot_find(names->snapshot, name);
        return e && (version == 0 || is_coming(e)); /* there, and cannot be loaded for the moment */
    }
    const struct trp_version *face = trp_version_face(v);
    *out = face && face->has_signature ? &face->signature : NULL;
    trp_version_unref(v); /* the snapshot keeps it */
    return true;
}

const struct trp_route_plan *trp_known_names_route(const struct trp_known_names *names,
                                                   struct trp_str name)
{
    const struct trp_router *route = names->file ? trp_route_file_find(names->file, name) : NULL;
    return route ? trp_route_plan_of(route) : NULL;
}

bool trp_known_names_is_made(const struct trp_known_names *names, struct trp_str name)
{
    return trp_cookbook_find(names->book, name) || trp_known_names_route(names, name);
}

static bool is_left_out(const struct trp_known_names *names, struct trp_str name)
{
    if (!names->serves)
        return names->declared && (trp_declared_find_out(names->declared, name) ||
                                   trp_declared_find_refused(names->declared, name));
    const struct trp_directory_item *item = trp_directory_find(names->serving, name);
    return item && !item->target;
}

static bool known(void *user, struct trp_str name, int64_t version)
{
    const struct trp_known_names *names = user;
    const struct trp_signature *s;
    const bool is_plain = version == 0 || version == 1;
    return is_model(names, name, version, &s) ||
           (is_plain && (trp_known_names_is_made(names, name) || is_left_out(names, name))) ||
           trp_str_starts_with(name, TRP_STR_LIT("task:"));
}

static const struct trp_route_goal *lead(void *user, struct trp_str name)
{
    const struct trp_route_plan *p = trp_known_names_route(user, name);
    return p ? trp_route_plan_lead(p) : NULL;
}

/* Of what goes on serving in place of a folder that is wrong now. */
static const struct trp_signature *kept_signature(const struct trp_known_names *names,
                                                  struct trp_str name)
{
    const struct trp_directory_item *old =
        names->serving ? trp_directory_find(names->serving, name) : NULL;
    return old && old->target ? trp_target_signature(old->target) : NULL;
}

static const struct trp_signature *signature(void *user, struct trp_str name, int64_t version)
{
    const struct trp_known_names *names = user;
    const struct trp_composition *c = trp_cookbook_find(names->book, name);
    const struct trp_signature *s = c ? trp_composition_signature(c) : NULL;
    if (is_left_out(names, name))
        return kept_signature(names, name);
    return s || is_model(names, name, version, &s) ? s : NULL;
}

struct nearest {
    struct trp_str word;
    char *hint;
    uint32_t limit;
};

static void compare(struct nearest *n, struct trp_str name)
{
    const uint32_t distance = trp_str_distance(n->word, name, n->limit);
    if (distance > n->limit || n->limit == 0)
        return;
    trp_route_hint(n->hint, n->word, &name, 1);
    n->limit = distance > 0 ? distance - 1 : 0;
}

static void compare_entry(void *user, const struct trp_entry *e)
{
    compare(user, e->name);
}

/* "model@label" */
static void compare_labels(const struct trp_known_names *names, struct nearest *n)
{
    struct trp_str model;
    int64_t version;
    char room[TRP_ROUTE_HINT_MAX];
    const struct trp_entry *e = names->snapshot && trp_route_goal_parse(n->word, &model, &version)
                                    ? trp_snapshot_find(names->snapshot, model)
                                    : NULL;
    for (uint32_t i = 0; e && version < 0 && i < e->labels_n; i++) {
        const int len =
            snprintf(room, sizeof room, "%.*s@%.*s", TRP_STR(model), TRP_STR(e->labels[i].name));
        if (len > 0 && (size_t)len < sizeof room)
            compare(n, trp_str_make(room, (size_t)len));
    }
}

static void nearest(void *user, struct trp_str name, char hint[TRP_ROUTE_HINT_MAX])
{
    struct trp_known_names *names = user;
    struct nearest n = { name, hint, name.len < 4 ? 1 : name.len < 8 ? 2 : 3 };
    if (names->hints_n++ >= HINTS_MAX)
        return;
    compare_labels(names, &n);
    for (uint32_t i = 0; names->file && i < trp_route_file_count(names->file); i++)
        compare(&n, trp_route_plan_of(trp_route_file_at(names->file, i))->name);
    for (uint32_t i = 0; i < trp_cookbook_count(names->book); i++)
        compare(&n, trp_composition_target(trp_cookbook_at(names->book, i))->name);
    if (names->snapshot && trp_snapshot_count(names->snapshot) <= NAMES_MAX)
        trp_snapshot_each(names->snapshot, compare_entry, &n);
}

/* One more of a list, if there is room for it and for what says that there are more. */
static size_t add_word(char *out, size_t size, size_t used, struct trp_str word)
{
    const char *const comma = used ? ", " : "";
    if (used + word.len + sizeof ", , ..." > size)
        return used;
    const int more = snprintf(out + used, size - used, "%s%.*s", comma, TRP_STR(word));
    return more > 0 ? used + (size_t)more : used;
}

static void versions(void *user, struct trp_str name, char out[TRP_ROUTE_VERSIONS_MAX])
{
    const struct trp_known_names *names = user;
    const struct trp_entry *e = names->snapshot ? trp_snapshot_find(names->snapshot, name) : NULL;
    char room[TRP_STR_DIGITS];
    size_t used = 0;
    out[0] = '\0';
    if (names->proposal && trp_str_is_equal(names->proposal->model, name))
        return; /* it would have others than it has */
    for (uint32_t i = 0; e && i < e->versions_n; i++) {
        const struct trp_str number =
            trp_str_of_u64((uint64_t)e->versions[i]->target.version, room);
        used = add_word(out, TRP_ROUTE_VERSIONS_MAX, used, number);
    }
    for (uint32_t i = 0; e && i < e->labels_n; i++)
        used = add_word(out, TRP_ROUTE_VERSIONS_MAX, used, e->labels[i].name);
}

struct trp_route_check trp_known_names_check(struct trp_known_names *names)
{
    return (struct trp_route_check){ .user = names,
                                     .known = known,
                                     .signature = signature,
                                     .lead = lead,
                                     .nearest = nearest,
                                     .versions = versions };
}
