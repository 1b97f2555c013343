/* life/labelling.c - which labels stand for which versions of a model
 *
 * Two hands write labels: `labels` of the model's configuration, and an operator who moves one
 * while the server runs.  What the operator moved holds until the configuration's labels become
 * other ones: then these hold, all of them.
 *
 *   files taken up ──► read (into `next`) ──► versions are READY ──► keep (`next` becomes what holds; one snapshot)
 *                                        └──► a load failed     ──► drop (what held goes on)
 *   an operator's order ──► move (into `next`) ──► keep, or drop where it would break what is made of the model
 *
 * A label never stands for a version that is not there: one that left takes its labels out of the
 * snapshot with it (they come back with it), and an order that names such a version is refused. */
#include <stdio.h>

#include "life/labelling.h"
#include "life/life_parts.h"
#include "repo/digest.h"

static void free_labels(const struct trp_alloc *alloc, struct trp_labelling *set)
{
    trp_alloc_free(alloc, set->labels);
    *set = (struct trp_labelling){ 0 };
}

/* One block: the table, and the names behind it. */
static bool copy_labels(const struct trp_alloc *alloc, const struct trp_version_label *from,
                        uint32_t n, struct trp_labelling *out)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < n; i++)
        bytes += from[i].name.len;
    *out = (struct trp_labelling){ .n = n };
    out->labels = trp_alloc_get(alloc, 1, n * sizeof *out->labels + bytes + 1);
    if (!out->labels)
        return false;
    char *text = (char *)(out->labels + n);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(text, from[i].name.ptr, from[i].name.len);
        out->labels[i] =
            (struct trp_version_label){ trp_str_make(text, from[i].name.len), from[i].version };
        text += from[i].name.len;
    }
    return true;
}

static uint64_t digest_of(const struct trp_version_label *labels, uint32_t n)
{
    uint64_t digest = n;
    for (uint32_t i = 0; i < n; i++) {
        digest = trp_digest_add_str(digest, labels[i].name);
        digest = trp_digest_add(digest, (uint64_t)labels[i].version);
    }
    return digest;
}

/* ---- the configuration's ---- */

trp_status trp_labelling_read(struct trp_member *m, const struct trp_model_config *config,
                              struct trp_error *err)
{
    const struct trp_alloc *alloc = m->life->alloc;
    const uint64_t digest = digest_of(config->labels, config->labels_n);
    trp_labelling_drop(m);
    if (digest == m->labelling.written) /* what was moved since stays moved */
        return trp_ok();
    if (!copy_labels(alloc, config->labels, config->labels_n, &m->next_labelling))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the model's labels");
    m->next_labelling.written = digest;
    return trp_ok();
}

void trp_labelling_keep(struct trp_member *m)
{
    if (!m->next_labelling.labels)
        return;
    free_labels(m->life->alloc, &m->labelling);
    m->labelling = m->next_labelling;
    m->next_labelling = (struct trp_labelling){ 0 };
}

void trp_labelling_drop(struct trp_member *m)
{
    free_labels(m->life->alloc, &m->next_labelling);
}

void trp_labelling_forget(struct trp_member *m)
{
    trp_labelling_drop(m);
    free_labels(m->life->alloc, &m->labelling);
}

/* ---- an operator's ---- */

static bool has_version(const struct trp_set *set, int64_t number)
{
    for (uint32_t i = 0; i < set->n; i++)
        if (set->items[i]->target.version == number)
            return true;
    return false;
}

static const struct trp_set *available(const struct trp_member *m)
{
    return m->serving.n ? &m->serving : &m->shown;
}

static trp_status check(const struct trp_member *m, const struct trp_version_label *wish,
                        struct trp_error *err)
{
    if (!trp_version_label_is_name(wish->name))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%.*s' is no label: a letter, then letters, digits, '_', '-' and '.', at "
                        "most 64",
                        TRP_STR(wish->name));
    if (wish->version == 0 || has_version(available(m), wish->version))
        return trp_ok();
    return trp_fail(err, TRP_FAILED_PRECONDITION,
                    "label '%.*s' cannot be moved to version %lld of '%.*s', which is not "
                    "available",
                    TRP_STR(wish->name), (long long)wish->version, TRP_STR(m->name));
}

/* Puts one wish into a table with room for it. */
static trp_status apply(struct trp_version_label *all, uint32_t *n,
                        const struct trp_version_label *wish, struct trp_error *err)
{
    uint32_t i = 0;
    while (i < *n && !trp_str_is_equal(all[i].name, wish->name))
        i++;
    const struct trp_version_label *twin =
        trp_version_label_find(all, *n, trp_version_label_key(wish->name));
    if (twin && i == *n)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "labels '%.*s' and '%.*s' cannot be told apart",
                        TRP_STR(twin->name), TRP_STR(wish->name));
    if (wish->version) {
        all[i] = *wish;
        *n += i == *n;
    } else if (i < *n) {
        all[i] = all[--*n];
    }
    return trp_ok();
}

trp_status trp_labelling_move(struct trp_member *m, const struct trp_version_label *wishes,
                              uint32_t wishes_n, struct trp_error *err)
{
    const struct trp_alloc *alloc = m->life->alloc;
    struct trp_version_label all[2 * TRP_VERSION_LABELS_MAX];
    uint32_t n = m->labelling.n;
    if (wishes_n > TRP_VERSION_LABELS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u labels", TRP_VERSION_LABELS_MAX);
    if (n)
        memcpy(all, m->labelling.labels, n * sizeof *all);
    for (uint32_t i = 0; i < wishes_n; i++) {
        TRP_CHECK(check(m, &wishes[i], err));
        TRP_CHECK(apply(all, &n, &wishes[i], err));
    }
    if (n > TRP_VERSION_LABELS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u labels", TRP_VERSION_LABELS_MAX);
    trp_labelling_drop(m);
    if (!copy_labels(alloc, all, n, &m->next_labelling))
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for the model's labels");
    m->next_labelling.written = m->labelling.written;
    return trp_ok();
}

/* ---- what is shown ---- */

int64_t trp_labelling_number(const struct trp_member *m, int64_t version)
{
    const struct trp_version_label *label =
        version < 0 ? trp_version_label_find(m->labelling.labels, m->labelling.n, version) : NULL;
    return label ? label->version : version;
}

uint32_t trp_labelling_shown(const struct trp_member *m,
                             struct trp_version_label out[TRP_VERSION_LABELS_MAX])
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->labelling.n; i++)
        if (has_version(available(m), m->labelling.labels[i].version))
            out[n++] = m->labelling.labels[i];
    return n;
}
