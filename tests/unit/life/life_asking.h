/* tests/unit/life/life_asking.h - what tests ask a life for: its index, its log, its orders. */
#ifndef TRP_LIFE_ASKING_H
#define TRP_LIFE_ASKING_H

#include "life_fixture.h"

/* ---- what the index says ---- */

static inline const struct trp_entry *entry(const struct fixture *f, const char *name)
{
    return trp_snapshot_find(trp_registry_current(f->life->registry), trp_str_of(name));
}

/* The state of a model's highest version ("-": no version, "?": no entry). */
static inline const char *state_of(const struct fixture *f, const char *name)
{
    const struct trp_entry *e = entry(f, name);
    if (!e)
        return "?";
    return e->versions_n
               ? trp_model_state_name(trp_lifecycle_get(&e->versions[e->versions_n - 1]->life))
               : "-";
}

static inline bool is(const struct fixture *f, const char *name, const char *state)
{
    return strcmp(state_of(f, name), state) == 0;
}

static inline struct trp_version *highest(const struct fixture *f, const char *name)
{
    const struct trp_entry *e = entry(f, name);
    return e && e->versions_n ? e->versions[e->versions_n - 1] : NULL;
}

static inline struct trp_version *pin(const struct fixture *f, const char *name, int64_t version)
{
    struct trp_version *v;
    struct trp_error err = { 0 };
    must(trp_snapshot_pick(trp_registry_current(f->life->registry), trp_str_of(name), version, &v,
                           &err),
         &err);
    return v;
}

static inline int64_t metric(const struct fixture *f, enum trp_metric id)
{
    return trp_metrics_get(f->metrics, id);
}

static inline bool log_says(const struct fixture *f, const char *words)
{
    char *text;
    size_t len;
    assert_false(trp_failed(trp_file_read(trp_heap(), f->log_path, 1 << 20, &text, &len, NULL)));
    const bool does = strstr(text, words) != NULL;
    trp_alloc_free(trp_heap(), text);
    return does;
}

/* ---- orders ---- */

struct wish {
    struct trp_order order;
    bool is_done;
    uint32_t place; /* among those that were done */
};

static inline void note_done(struct trp_order *order, void *user)
{
    struct wish *w = TRP_CONTAINER_OF(order, struct wish, order);
    assert_false(w->is_done);
    w->is_done = true;
    if (user)
        w->place = (*(uint32_t *)user)++;
}

static inline void submit_load(struct fixture *f, struct wish *w, const char *model)
{
    w->order.kind = TRP_ORDER_LOAD;
    w->order.model = trp_str_of(model);
    w->order.done = note_done;
    trp_life_submit(f->life, &w->order);
    assert_false(w->is_done); /* never from inside */
}

static inline void submit_unload(struct fixture *f, struct wish *w, const char *model)
{
    *w = (struct wish){ .order = { .kind = TRP_ORDER_UNLOAD,
                                   .model = trp_str_of(model),
                                   .done = note_done,
                                   .user = w->order.user } };
    trp_life_submit(f->life, &w->order);
    assert_false(w->is_done);
}

static inline void check_order(struct fixture *f, struct wish *w, int32_t code, const char *words)
{
    pump(f, w->is_done);
    if (w->order.error.status.code != code || !strstr(w->order.error.text, words))
        fail_msg("%s: %s", trp_code_name(w->order.error.status.code), w->order.error.text);
}

static inline void load(struct fixture *f, const char *model, int32_t code, const char *words)
{
    struct wish w = { 0 };
    submit_load(f, &w, model);
    check_order(f, &w, code, words);
}

static inline void unload(struct fixture *f, const char *model)
{
    struct wish w = { 0 };
    submit_unload(f, &w, model);
    check_order(f, &w, TRP_OK, "");
}

static inline void rescan(struct fixture *f)
{
    struct wish w = { .order = { .kind = TRP_ORDER_RESCAN, .done = note_done } };
    trp_life_submit(f->life, &w.order);
    check_order(f, &w, TRP_OK, "");
}

#endif
