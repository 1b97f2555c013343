/* tune/workload.c - see workload.h. */
#include "tune/workload.h"

#include "base/table.h"

#define ARENA_BLOCK_BYTES 16384
#define FIRST_ROOM 256

/* An array with room for one more; NULL: out of memory, and the old one stays. */
static void *grown(const struct trp_alloc *alloc, void *array, uint32_t *room, size_t size,
                   uint32_t max)
{
    const uint32_t wanted = *room == 0 ? FIRST_ROOM : *room > max / 2 ? max : *room * 2;
    void *more = array ? trp_alloc_resize(alloc, array, *room * size, wanted * size)
                       : trp_alloc_get(alloc, wanted, size);
    if (more)
        *room = wanted;
    return more;
}

static trp_status out_of_memory(const struct trp_workload *w, struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "a workload of %u arrivals", w->arrivals_n);
}

trp_status trp_workload_init(struct trp_workload *w, const struct trp_alloc *alloc,
                             struct trp_error *err)
{
    uint32_t nobody;
    *w = (struct trp_workload){ .alloc = alloc, .is_sorted = true };
    trp_arena_init(&w->arena, alloc, ARENA_BLOCK_BYTES, 0);
    TRP_CHECK(trp_table_create(alloc, TRP_WORKLOAD_NAMES_MAX, &w->models.table, err));
    TRP_CHECK(trp_table_create(alloc, TRP_WORKLOAD_NAMES_MAX, &w->tenants.table, err));
    return trp_workload_tenant(w, TRP_STR_LIT("-"), &nobody, err);
}

static void free_names(const struct trp_alloc *alloc, struct trp_workload_names *names)
{
    trp_table_destroy(names->table);
    trp_alloc_free(alloc, names->names);
}

void trp_workload_deinit(struct trp_workload *w)
{
    if (!w->alloc)
        return;
    free_names(w->alloc, &w->models);
    free_names(w->alloc, &w->tenants);
    trp_alloc_free(w->alloc, w->arrivals);
    trp_arena_deinit(&w->arena);
    *w = (struct trp_workload){ .alloc = NULL };
}

static uint32_t find(const struct trp_workload_names *names, struct trp_str name)
{
    const void *value = trp_table_get(names->table, name);
    return value ? (uint32_t)(uintptr_t)value - 1 : UINT32_MAX;
}

static trp_status number_of(struct trp_workload *w, struct trp_workload_names *names,
                            struct trp_str name, uint32_t *out, struct trp_error *err)
{
    *out = find(names, name);
    if (*out != UINT32_MAX)
        return trp_ok();
    if (names->n == names->room) {
        void *more = grown(w->alloc, names->names, &names->room, sizeof *names->names,
                           TRP_WORKLOAD_NAMES_MAX);
        if (!more)
            return out_of_memory(w, err);
        names->names = more;
    }
    const struct trp_str copy = trp_arena_dup(&w->arena, name);
    if (!copy.ptr)
        return out_of_memory(w, err);
    TRP_CHECK(trp_table_put(names->table, name, (void *)(uintptr_t)(names->n + 1), NULL, err));
    *out = names->n;
    names->names[names->n++] = copy;
    return trp_ok();
}

trp_status trp_workload_model(struct trp_workload *w, struct trp_str name, uint32_t *out,
                              struct trp_error *err)
{
    return number_of(w, &w->models, name, out, err);
}

trp_status trp_workload_tenant(struct trp_workload *w, struct trp_str name, uint32_t *out,
                               struct trp_error *err)
{
    return number_of(w, &w->tenants, name, out, err);
}

uint32_t trp_workload_find_model(const struct trp_workload *w, struct trp_str name)
{
    return find(&w->models, name);
}

uint32_t trp_workload_find_tenant(const struct trp_workload *w, struct trp_str name)
{
    return find(&w->tenants, name);
}

trp_status trp_workload_add(struct trp_workload *w, const struct trp_arrival *a,
                            struct trp_error *err)
{
    TRP_ASSERT(a->at_ns >= 0 && a->timeout_ns >= 0 && a->rows >= 1);
    if (w->arrivals_n == TRP_WORKLOAD_ARRIVALS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u arrivals", TRP_WORKLOAD_ARRIVALS_MAX);
    if (w->arrivals_n == w->arrivals_room) {
        void *more = grown(w->alloc, w->arrivals, &w->arrivals_room, sizeof *w->arrivals,
                           TRP_WORKLOAD_ARRIVALS_MAX);
        if (!more)
            return out_of_memory(w, err);
        w->arrivals = more;
    }
    if (w->arrivals_n > 0 && w->arrivals[w->arrivals_n - 1].at_ns > a->at_ns)
        w->is_sorted = false;
    w->arrivals[w->arrivals_n++] = *a;
    return trp_ok();
}

/* Joins two rows that are in order; of one moment the left ones come first. */
static void merge(const struct trp_arrival *from, uint32_t left_n, uint32_t n,
                  struct trp_arrival *to)
{
    uint32_t left = 0, right = left_n;
    for (uint32_t i = 0; i < n; i++) {
        const bool takes_left =
            right >= n || (left < left_n && from[left].at_ns <= from[right].at_ns);
        to[i] = from[takes_left ? left++ : right++];
    }
}

trp_status trp_workload_sort(struct trp_workload *w, struct trp_error *err)
{
    const uint32_t n = w->arrivals_n;
    if (w->is_sorted)
        return trp_ok();
    struct trp_arrival *other = trp_alloc_get(w->alloc, n, sizeof *other);
    if (!other)
        return out_of_memory(w, err);
    for (uint64_t width = 1; width < n; width *= 2) {
        for (uint64_t at = 0; at < n; at += 2 * width) {
            const uint64_t left = n - at < width ? n - at : width;
            const uint64_t both = n - at < 2 * width ? n - at : 2 * width;
            merge(w->arrivals + at, (uint32_t)left, (uint32_t)both, other + at);
        }
        struct trp_arrival *const sorted = other;
        other = w->arrivals;
        w->arrivals = sorted;
        w->arrivals_room = n; /* both have room for these at least */
    }
    trp_alloc_free(w->alloc, other);
    w->is_sorted = true;
    return trp_ok();
}

void trp_workload_scale(struct trp_workload *w, double rate)
{
    for (uint32_t i = 0; i < w->arrivals_n; i++) {
        const double at_ns = (double)w->arrivals[i].at_ns / rate;
        w->arrivals[i].at_ns = at_ns < 9.2e18 ? (int64_t)at_ns : INT64_MAX;
    }
}

void trp_workload_rebase(struct trp_workload *w)
{
    int64_t first_ns = INT64_MAX;
    for (uint32_t i = 0; i < w->arrivals_n; i++)
        if (w->arrivals[i].at_ns < first_ns)
            first_ns = w->arrivals[i].at_ns;
    for (uint32_t i = 0; i < w->arrivals_n; i++)
        w->arrivals[i].at_ns -= first_ns;
}

static const char *const class_names[] = {
    [TRP_PRIORITY_INTERACTIVE] = "interactive",
    [TRP_PRIORITY_NORMAL] = "normal",
    [TRP_PRIORITY_BATCH] = "batch",
};

bool trp_workload_parse_class(struct trp_str name, enum trp_priority_class *out)
{
    for (size_t i = 0; i < ARRAY_LEN(class_names); i++) {
        if (trp_str_is(name, class_names[i])) {
            *out = (enum trp_priority_class)i;
            return true;
        }
    }
    return false;
}

const char *trp_workload_class_name(enum trp_priority_class class)
{
    return class_names[class];
}
