/* model/registry.c - a persistent treap of names
 *
 * Problem: loops look names up for each request, without a lock and without a shared write, while
 * the control thread adds, replaces and removes names, with up to 100,000 of them.  Copying a table
 * for each change would cost O(n).
 *
 * Design: a treap.  In order it is sorted by name; as a heap it is ordered by a hash of the name,
 * so its form depends on the set of names only, and its depth is O(log n) whatever the order of
 * arrival.  A change copies the nodes on the path to one name and shares the rest with the trees
 * that were published before.
 *
 *  1. A node is immutable once its change is complete; a published one is read by any thread
 *     without care.
 *  2. Counts of nodes and entries are plain numbers: only the control thread takes and drops trees,
 *     and readers never touch a count.  A reader says by epoch what it may still look at
 *     (trp_registry_seen()).
 *  3. A change takes all of its memory before it touches anything (`spares`): it happens whole, or
 *     not at all.
 *  4. The number of nodes a change copies is the length of the search path (and, for a removal, of
 *     the two spines below the removed node); it is counted first by walking the same way.
 *  5. Versions are counted atomically, because calls hold them too.
 *  6. Who looks for one name does not go through the tree, whose cost grows: name_index.c has the
 *     same entries by hash.
 *
 * Source: Seidel and Aragon, Randomized search trees, Algorithmica 16, 1996; hashed priorities
 *         make them deterministic. */
#include "model/registry.h"

#include "base/clock.h"
#include "model/name_index.h"

struct box { /* one entry, in one block with its name, its reason and its table of versions */
    struct trp_entry entry;
    uint32_t refs;
};

struct node {
    struct node *left, *right; /* `left` also chains spare nodes */
    struct box *box;
    uint64_t priority;
    uint32_t refs;
};

struct trp_snapshot {
    uint64_t epoch;
    struct node *root;
    struct trp_name_index *index; /* of the same entries */
    uint32_t count;
    struct trp_snapshot *next; /* towards the newer */
};

struct trp_registry {
    const struct trp_alloc *alloc;
    struct node *root; /* what was put, published or not */
    struct trp_name_index *index;
    uint32_t count;
    bool changed;
    struct trp_snapshot *oldest, *current;
    struct trp_snapshot *spare; /* taken by the first change, so that publishing cannot fail */
    struct node *spares;
    uint32_t spares_n;
    uint64_t *seen; /* per reader: the oldest epoch it may hold */
    uint32_t readers_n;
};

static uint64_t priority_of(struct trp_str name)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, then mixed: its high bits alone are weak */
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ (uint8_t)name.ptr[i]) * 0x100000001b3u;
    struct trp_random mix = { hash };
    return trp_random_next(&mix);
}

static struct trp_str name_of(const struct node *n)
{
    return n->box->entry.name;
}

/* Equal hashes are ordered by name, so that the tree of a set is unique. */
static bool is_above(const struct node *a, const struct node *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return trp_str_compare(name_of(a), name_of(b)) < 0;
}

/* ---- entries ---- */

static trp_status make_box(const struct trp_alloc *alloc, const struct trp_entry *e,
                           struct box **out_box, struct trp_error *err)
{
    const size_t reason_bytes = e->reason ? strlen(e->reason) + 1 : 0;
    const size_t table_bytes = (size_t)e->versions_n * sizeof(struct trp_version *);
    const size_t labels_bytes = (size_t)e->labels_n * sizeof(struct trp_version_label);
    size_t label_names_bytes = 0;
    for (uint32_t i = 0; i < e->labels_n; i++)
        label_names_bytes += e->labels[i].name.len;
    struct box *box = trp_alloc_get(alloc, 1,
                                    sizeof *box + table_bytes + labels_bytes + e->name.len + 1 +
                                        reason_bytes + label_names_bytes);
    *out_box = box;
    if (!box)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "registry: entry '%.*s'", TRP_STR(e->name));
    struct trp_version **table = (struct trp_version **)(void *)(box + 1);
    struct trp_version_label *labels = (struct trp_version_label *)(void *)(table + e->versions_n);
    char *name = (char *)(labels + e->labels_n);
    char *reason = name + e->name.len + 1;
    char *label_name = reason + reason_bytes;
    for (uint32_t i = 0; i < e->versions_n; i++) {
        table[i] = e->versions[i];
        trp_version_ref(table[i]);
    }
    if (e->name.len)
        memcpy(name, e->name.ptr, e->name.len);
    name[e->name.len] = '\0';
    if (e->reason)
        memcpy(reason, e->reason, reason_bytes);
    for (uint32_t i = 0; i < e->labels_n; i++) {
        const struct trp_version_label *from = &e->labels[i];
        memcpy(label_name, from->name.ptr, from->name.len);
        labels[i] =
            (struct trp_version_label){ trp_str_make(label_name, from->name.len), from->version };
        label_name += from->name.len;
    }
    box->refs = 1;
    box->entry = *e;
    box->entry.labels = labels;
    box->entry.name.ptr = name;
    box->entry.versions = table;
    box->entry.reason = e->reason ? reason : NULL;
    return trp_ok();
}

static void drop_box(const struct trp_alloc *alloc, struct box *box)
{
    if (--box->refs)
        return;
    for (uint32_t i = 0; i < box->entry.versions_n; i++)
        trp_version_unref(box->entry.versions[i]);
    trp_alloc_free(alloc, box);
}

/* ---- nodes ---- */

static struct node *share(struct node *n)
{
    if (n)
        n->refs++;
    return n;
}

static void drop(const struct trp_alloc *alloc, struct node *n)
{
    while (n && --n->refs == 0) { /* the depth is O(log n), so one side may recurse */
        struct node *right = n->right;
        drop(alloc, n->left);
        drop_box(alloc, n->box);
        trp_alloc_free(alloc, n);
        n = right;
    }
}

static void free_spares(struct trp_registry *r)
{
    while (r->spares) {
        struct node *n = r->spares;
        r->spares = n->left;
        trp_alloc_free(r->alloc, n);
    }
    r->spares_n = 0;
}

/* Takes the memory that one change needs: `nodes_n` nodes and the next snapshot. */
static trp_status reserve(struct trp_registry *r, uint32_t nodes_n, struct trp_error *err)
{
    if (!r->spare)
        r->spare = trp_alloc_zeroed(r->alloc, 1, sizeof *r->spare);
    while (r->spare && r->spares_n < nodes_n) {
        struct node *n = trp_alloc_get(r->alloc, 1, sizeof *n);
        if (!n)
            break;
        n->left = r->spares;
        r->spares = n;
        r->spares_n++;
    }
    if (r->spare && r->spares_n >= nodes_n)
        return trp_ok();
    free_spares(r);
    return trp_fail(err, TRP_OUT_OF_MEMORY, "registry: %u nodes", nodes_n);
}

static struct node *take_spare(struct trp_registry *r)
{
    struct node *n = r->spares;
    TRP_ASSERT(n); /* reserve() counted wrongly */
    r->spares = n->left;
    r->spares_n--;
    *n = (struct node){ .refs = 1 };
    return n;
}

/* Copies a node; its children are for the caller to fill in. */
static struct node *copy(struct trp_registry *r, const struct node *n)
{
    struct node *c = take_spare(r);
    c->priority = n->priority;
    c->box = n->box;
    c->box->refs++;
    return c;
}

/* Copies the node under `*slot` on the way to `name` and returns the child to go on with; `*slot`
 * becomes where that child's copy belongs. */
static struct node *step(struct trp_registry *r, struct node *n, struct trp_str name,
                         struct node ***slot)
{
    struct node *c = copy(r, n);
    **slot = c;
    if (trp_str_compare(name, name_of(n)) < 0) {
        c->right = share(n->right);
        *slot = &c->left;
        return n->left;
    }
    c->left = share(n->left);
    *slot = &c->right;
    return n->right;
}

/* Hangs the names below `n` that are smaller than `name` at `*left`, the others at `*right`. */
static void split(struct trp_registry *r, struct node *n, struct trp_str name, struct node **left,
                  struct node **right)
{
    while (n) {
        struct node *c = copy(r, n);
        if (trp_str_compare(name_of(n), name) < 0) {
            c->left = share(n->left);
            *left = c;
            left = &c->right;
            n = n->right;
        } else {
            c->right = share(n->right);
            *right = c;
            right = &c->left;
            n = n->left;
        }
    }
    *left = *right = NULL;
}

/* Joins two trees, every name of `a` being smaller than every name of `b`. */
static void join(struct trp_registry *r, struct node *a, struct node *b, struct node **slot)
{
    while (a && b) {
        if (is_above(a, b)) {
            struct node *c = copy(r, a);
            c->left = share(a->left);
            *slot = c;
            slot = &c->right;
            a = a->right;
        } else {
            struct node *c = copy(r, b);
            c->right = share(b->right);
            *slot = c;
            slot = &c->left;
            b = b->left;
        }
    }
    *slot = share(a ? a : b);
}

static uint32_t path_length(const struct node *n, struct trp_str name)
{
    uint32_t length = 0;
    while (n) {
        const int order = trp_str_compare(name, name_of(n));
        length++;
        if (order == 0)
            break;
        n = order < 0 ? n->left : n->right;
    }
    return length;
}

static const struct node *find(const struct node *n, struct trp_str name)
{
    while (n) {
        const int order = trp_str_compare(name, name_of(n));
        if (order == 0)
            break;
        n = order < 0 ? n->left : n->right;
    }
    return n;
}

static uint32_t spines_length(const struct node *n)
{
    uint32_t length = 0;
    for (const struct node *a = n->left; a; a = a->right)
        length++;
    for (const struct node *b = n->right; b; b = b->left)
        length++;
    return length;
}

/* ---- changes ---- */

static void replace_root(struct trp_registry *r, struct node *root, struct trp_name_index *index)
{
    trp_name_index_drop(r->alloc, r->index); /* before the entries that it borrows */
    drop(r->alloc, r->root);
    r->root = root;
    r->index = index;
    r->changed = true;
    free_spares(r); /* the count was an upper bound */
}

trp_status trp_registry_put(struct trp_registry *r, const struct trp_entry *entry,
                            struct trp_error *err)
{
    TRP_CHECK(reserve(r, path_length(r->root, entry->name) + 1, err));
    struct box *box;
    struct trp_name_index *index;
    trp_status st = make_box(r->alloc, entry, &box, err);
    if (!trp_failed(st)) {
        st = trp_name_index_put(r->alloc, r->index, &box->entry, &index, err);
        if (trp_failed(st))
            drop_box(r->alloc, box);
    }
    if (trp_failed(st)) {
        free_spares(r);
        return st;
    }
    struct node *fresh = take_spare(r);
    fresh->box = box;
    fresh->priority = priority_of(entry->name);

    struct node *root = NULL, **slot = &root, *n = r->root;
    while (n && is_above(n, fresh))
        n = step(r, n, box->entry.name, &slot);
    *slot = fresh;
    if (n && trp_str_is_equal(name_of(n), box->entry.name)) {
        fresh->left = share(n->left);
        fresh->right = share(n->right);
    } else {
        split(r, n, box->entry.name, &fresh->left, &fresh->right);
        r->count++;
    }
    replace_root(r, root, index);
    return trp_ok();
}

trp_status trp_registry_remove(struct trp_registry *r, struct trp_str name, struct trp_error *err)
{
    const struct node *gone = find(r->root, name);
    if (!gone)
        return trp_ok();
    struct trp_name_index *index;
    TRP_CHECK(reserve(r, path_length(r->root, name) + spines_length(gone), err));
    const trp_status st = trp_name_index_remove(r->alloc, r->index, name, &index, err);
    if (trp_failed(st)) {
        free_spares(r);
        return st;
    }
    struct node *root = NULL, **slot = &root, *n = r->root;
    while (n != gone)
        n = step(r, n, name, &slot);
    join(r, n->left, n->right, slot);
    r->count--;
    replace_root(r, root, index);
    return trp_ok();
}

/* ---- snapshots ---- */

uint64_t trp_registry_oldest_seen(const struct trp_registry *r)
{
    uint64_t oldest = r->current->epoch;
    for (uint32_t i = 0; i < r->readers_n; i++)
        if (r->seen[i] < oldest)
            oldest = r->seen[i];
    return oldest;
}

static void drop_snapshot(const struct trp_alloc *alloc, struct trp_snapshot *s)
{
    trp_name_index_drop(alloc, s->index); /* before the entries that it borrows */
    drop(alloc, s->root);
    trp_alloc_free(alloc, s);
}

static void free_unseen(struct trp_registry *r)
{
    const uint64_t oldest = trp_registry_oldest_seen(r);
    while (r->oldest != r->current && r->oldest->epoch < oldest) {
        struct trp_snapshot *s = r->oldest;
        r->oldest = s->next;
        drop_snapshot(r->alloc, s);
    }
}

const struct trp_snapshot *trp_registry_publish(struct trp_registry *r)
{
    if (!r->changed)
        return r->current;
    struct trp_snapshot *s = r->spare; /* there since the first change */
    r->spare = NULL;
    r->changed = false;
    *s = (struct trp_snapshot){ .epoch = r->current->epoch + 1,
                                .root = share(r->root),
                                .index = trp_name_index_share(r->index),
                                .count = r->count };
    r->current->next = s;
    r->current = s;
    free_unseen(r); /* with no readers, nobody else would */
    return s;
}

const struct trp_snapshot *trp_registry_current(const struct trp_registry *r)
{
    return r->current;
}

void trp_registry_seen(struct trp_registry *r, uint32_t index, uint64_t epoch)
{
    TRP_ASSERT(index < r->readers_n);
    if (epoch <= r->seen[index])
        return;
    r->seen[index] = epoch;
    free_unseen(r);
}

trp_status trp_registry_create(const struct trp_alloc *alloc, uint32_t readers_n,
                               struct trp_registry **out_registry, struct trp_error *err)
{
    *out_registry = NULL;
    struct trp_registry *r = trp_alloc_zeroed(alloc, 1, sizeof *r);
    if (r) {
        r->alloc = alloc;
        r->readers_n = readers_n;
        r->seen = trp_alloc_zeroed(alloc, readers_n + 1, sizeof *r->seen);
        r->oldest = r->current = trp_alloc_zeroed(alloc, 1, sizeof *r->current);
    }
    if (!r || !r->seen || !r->current) {
        trp_registry_destroy(r);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "registry for %u readers", readers_n);
    }
    r->current->epoch = 1;
    for (uint32_t i = 0; i < readers_n; i++)
        r->seen[i] = 1; /* whoever has not spoken may hold the first one */
    *out_registry = r;
    return trp_ok();
}

void trp_registry_destroy(struct trp_registry *r)
{
    if (!r)
        return;
    while (r->oldest) {
        struct trp_snapshot *s = r->oldest;
        r->oldest = s->next;
        drop_snapshot(r->alloc, s);
    }
    trp_name_index_drop(r->alloc, r->index);
    drop(r->alloc, r->root);
    trp_alloc_free(r->alloc, r->spare);
    trp_alloc_free(r->alloc, r->seen);
    trp_alloc_free(r->alloc, r);
}

/* ---- readers ---- */

uint64_t trp_snapshot_epoch(const struct trp_snapshot *s)
{
    return s->epoch;
}

uint32_t trp_snapshot_count(const struct trp_snapshot *s)
{
    return s->count;
}

const struct trp_entry *trp_snapshot_find(const struct trp_snapshot *s, struct trp_str name)
{
    return trp_name_index_find(s->index, name);
}

static void visit(const struct node *n, void (*each)(void *user, const struct trp_entry *e),
                  void *user)
{
    for (; n; n = n->right) {
        visit(n->left, each, user);
        each(user, &n->box->entry);
    }
}

void trp_snapshot_each(const struct trp_snapshot *s,
                       void (*each)(void *user, const struct trp_entry *e), void *user)
{
    visit(s->root, each, user);
}

static bool visit_from(const struct node *n, struct trp_str from,
                       bool (*each)(void *user, const struct trp_entry *e), void *user)
{
    while (n) {
        const bool is_before = trp_str_compare(n->box->entry.name, from) < 0;
        if (!is_before && (!visit_from(n->left, from, each, user) || !each(user, &n->box->entry)))
            return false;
        n = n->right;
    }
    return true;
}

void trp_snapshot_walk(const struct trp_snapshot *s, struct trp_str from,
                       bool (*each)(void *user, const struct trp_entry *e), void *user)
{
    (void)visit_from(s->root, from, each, user);
}

#define UNKNOWN_MODEL "Request for unknown model: '%.*s'" /* clients match these words */

trp_status trp_version_refuse(const struct trp_version *v, struct trp_str name,
                              struct trp_error *err)
{
    const bool failed = trp_lifecycle_get(&v->life) == TRP_MODEL_FAILED;
    const struct trp_str why = failed ? trp_version_reason(v) : (struct trp_str){ 0 };
    const enum trp_code code = failed && v->failure ? (enum trp_code)v->failure : TRP_NOT_READY;
    if (why.len && (v->is_cold || code == TRP_OVER_BUDGET))
        return trp_fail(err, code, "model '%.*s' version %lld cannot be loaded: %.*s",
                        TRP_STR(name), (long long)v->target.version, TRP_STR(why));
    return trp_fail(err, code, UNKNOWN_MODEL " version %lld is not at ready state%s%.*s",
                    TRP_STR(name), (long long)v->target.version, why.len ? ": " : "", TRP_STR(why));
}

static trp_status none_available(const struct trp_entry *e, struct trp_error *err)
{
    if (e->reason)
        return trp_fail(err, TRP_NOT_FOUND, UNKNOWN_MODEL " has no available versions: %s",
                        TRP_STR(e->name), e->reason);
    return trp_fail(err, TRP_NOT_FOUND,
                    UNKNOWN_MODEL " has no available versions; to load it: troupe load %.*s, or "
                                  "POST /v2/repository/models/%.*s/load",
                    TRP_STR(e->name), TRP_STR(e->name), TRP_STR(e->name));
}

typedef bool (*suits_fn)(const struct trp_version *v);

/* What can be asked about without loading it. */
static bool can_be_looked_at(const struct trp_version *v)
{
    return trp_lifecycle_is_serving(&v->life) ||
           (v->is_cold && trp_lifecycle_get(&v->life) == TRP_MODEL_NEW);
}

static trp_status pick_exact(const struct trp_entry *e, int64_t number, suits_fn suits,
                             struct trp_version **out_version, struct trp_error *err)
{
    if (e->versions_n == 0)
        return none_available(e, err);
    for (uint32_t i = 0; i < e->versions_n; i++) {
        struct trp_version *v = e->versions[i];
        if (v->target.version != number)
            continue;
        if (!suits(v))
            return trp_version_refuse(v, e->name, err);
        *out_version = v;
        return trp_ok();
    }
    return trp_fail(err, TRP_NOT_FOUND, UNKNOWN_MODEL " version %lld is not found",
                    TRP_STR(e->name), (long long)number);
}

/* The highest version that suits; without one, what the highest that somebody tried to load
 * says. */
static trp_status pick_default(const struct trp_entry *e, suits_fn suits,
                               struct trp_version **out_version, struct trp_error *err)
{
    const struct trp_version *tried = NULL;
    for (uint32_t i = e->versions_n; i-- > 0;) {
        struct trp_version *v = e->versions[i];
        const enum trp_model_state state = trp_lifecycle_get(&v->life);
        if (suits(v)) {
            *out_version = v;
            return trp_ok();
        }
        if (!tried && state != TRP_MODEL_NEW && state != TRP_MODEL_GONE)
            tried = v;
    }
    return tried ? trp_version_refuse(tried, e->name, err) : none_available(e, err);
}

/* The names of a model's labels, as far as they fit: whoever asked for another one may look for
 * a slip of the pen. */
static void list_labels(const struct trp_entry *e, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < e->labels_n && used + e->labels[i].name.len + 3 < size; i++) {
        if (used) {
            memcpy(text + used, ", ", 2);
            used += 2;
        }
        memcpy(text + used, e->labels[i].name.ptr, e->labels[i].name.len);
        used += e->labels[i].name.len;
        text[used] = '\0';
    }
}

static trp_status number_of(const struct trp_entry *e, int64_t version, int64_t *out_number,
                            struct trp_error *err)
{
    char known[160];
    *out_number = version;
    if (version >= 0)
        return trp_ok();
    const struct trp_version_label *label = trp_version_label_find(e->labels, e->labels_n, version);
    if (label) {
        *out_number = label->version;
        return trp_ok();
    }
    list_labels(e, known, sizeof known);
    return trp_fail(err, TRP_NOT_FOUND, UNKNOWN_MODEL " has no version of this label; %s%s",
                    TRP_STR(e->name), known[0] ? "its labels are " : "it has no labels", known);
}

trp_status trp_snapshot_number(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                               int64_t *out_number, struct trp_error *err)
{
    const struct trp_entry *e = trp_snapshot_find(s, name);
    if (e)
        return number_of(e, version, out_number, err);
    *out_number = version > 0 ? version : 0; /* whoever needs the name says that it is not there */
    return trp_ok();
}

static trp_status pick(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                       suits_fn suits, struct trp_version **out_version, struct trp_error *err)
{
    *out_version = NULL;
    const struct trp_entry *e = trp_snapshot_find(s, name);
    if (!e)
        return trp_fail(err, TRP_NOT_FOUND, UNKNOWN_MODEL " is not found", TRP_STR(name));
    TRP_CHECK(number_of(e, version, &version, err));
    TRP_CHECK(version ? pick_exact(e, version, suits, out_version, err)
                      : pick_default(e, suits, out_version, err));
    trp_version_ref(*out_version);
    return trp_ok();
}

trp_status trp_snapshot_pick(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                             struct trp_version **out_version, struct trp_error *err)
{
    return pick(s, name, version, trp_version_takes_calls, out_version, err);
}

trp_status trp_snapshot_look(const struct trp_snapshot *s, struct trp_str name, int64_t version,
                             struct trp_version **out_version, struct trp_error *err)
{
    return pick(s, name, version, can_be_looked_at, out_version, err);
}
