/* store/blob_use.c - see blob_use.h.
 *
 *  1. A blob's entry lives as long as any model has it, and is charged as long as one of those is
 *     awake.
 *  2. Charges are made before counts are raised, and all of a model's or none: a refusal leaves
 *     everything as it was.
 *  3. The lock is held for as long as a model has blobs, never while a file is touched. */
#include "store/blob_use.h"

#include <limits.h>
#include <stdlib.h>

#include "base/table.h"
#include "base/thread.h"

#define USED_MAX 16000000u /* of a process: more than it can map */

struct trp_blob_uses {
    const struct trp_alloc *alloc;
    struct trp_account *account; /* NULL: nobody counts */
    struct trp_lock lock;
    struct trp_table *by_name; /* lock: struct trp_used_blob */
};

struct trp_blob_use {
    struct trp_blob_uses *all;
    char *folder;
    struct trp_used_blob **blobs; /* each once, sorted by name */
    uint32_t n;
    uint64_t bytes;
    bool is_asleep;
};

trp_status trp_blob_uses_create(const struct trp_alloc *alloc, struct trp_account *account,
                                struct trp_blob_uses **out_uses, struct trp_error *err)
{
    *out_uses = NULL;
    struct trp_blob_uses *u = trp_alloc_zeroed(alloc, 1, sizeof *u);
    if (!u)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "list of shared weights");
    const trp_status st = trp_table_create(alloc, USED_MAX, &u->by_name, err);
    if (trp_failed(st)) {
        trp_alloc_free(alloc, u);
        return st;
    }
    u->alloc = alloc;
    u->account = account;
    trp_lock_init(&u->lock, TRP_LOCK_BLOB_USE);
    *out_uses = u;
    return trp_ok();
}

void trp_blob_uses_destroy(struct trp_blob_uses *u)
{
    if (!u)
        return;
    TRP_ASSERT(trp_table_count(u->by_name) == 0); /* close the models first */
    trp_table_destroy(u->by_name);
    trp_lock_deinit(&u->lock);
    trp_alloc_free(u->alloc, u);
}

/* --- counting, under the lock ----------------------------------------------------------------- */

/* Bytes that this use alone keeps, or would keep, in memory: what is charged with it. */
static uint64_t bytes_with(const struct trp_blob_use *use, uint32_t awake_n)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < use->n; i++)
        if (use->blobs[i]->awake_n == awake_n)
            bytes += use->blobs[i]->bytes;
    return bytes;
}

static trp_status charge(const struct trp_blob_use *use, struct trp_error *err)
{
    const uint64_t bytes = bytes_with(use, 0);
    if (!use->all->account || trp_account_try_charge(use->all->account, bytes))
        return trp_ok();
    return trp_fail(err, TRP_OVER_BUDGET, "%llu bytes of shared weights",
                    (unsigned long long)bytes);
}

static trp_status wake_all(struct trp_blob_use *use, struct trp_error *err)
{
    TRP_CHECK(charge(use, err));
    for (uint32_t i = 0; i < use->n; i++)
        use->blobs[i]->awake_n++;
    use->is_asleep = false;
    return trp_ok();
}

static void put_to_sleep(struct trp_blob_use *use)
{
    if (use->all->account)
        trp_account_discharge(use->all->account, bytes_with(use, 1));
    for (uint32_t i = 0; i < use->n; i++)
        use->blobs[i]->awake_n--;
    use->is_asleep = true;
}

/* --- the list of one model -------------------------------------------------------------------- */

/* The entry of a blob, with one user more; NULL: no memory. */
static struct trp_used_blob *enter(struct trp_blob_uses *u, const struct trp_blob *blob)
{
    const struct trp_str name = trp_str_of(blob->name);
    struct trp_used_blob *b = trp_table_get(u->by_name, name);
    if (!b) {
        b = trp_alloc_zeroed(u->alloc, 1, sizeof *b);
        if (!b)
            return NULL;
        (void)trp_str_copy(name, b->name, sizeof b->name);
        b->bytes = blob->bytes;
        if (trp_failed(trp_table_put(u->by_name, name, b, NULL, NULL))) {
            trp_alloc_free(u->alloc, b);
            return NULL;
        }
    }
    b->users_n++;
    return b;
}

static void leave(struct trp_blob_uses *u, struct trp_used_blob *b)
{
    if (--b->users_n > 0)
        return;
    (void)trp_table_take(u->by_name, trp_str_of(b->name));
    trp_alloc_free(u->alloc, b);
}

static void leave_all(struct trp_blob_use *use)
{
    for (uint32_t i = 0; i < use->n; i++)
        leave(use->all, use->blobs[i]);
    use->n = 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct trp_blob *)a)->name, ((const struct trp_blob *)b)->name);
}

/* `sorted` may name one twice. */
static bool enter_all(struct trp_blob_use *use, const struct trp_blob *sorted, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i > 0 && strcmp(sorted[i].name, sorted[i - 1].name) == 0)
            continue;
        struct trp_used_blob *b = enter(use->all, &sorted[i]);
        if (!b)
            return false;
        use->blobs[use->n++] = b;
        use->bytes += b->bytes;
    }
    return true;
}

static trp_status begin(struct trp_blob_use *use, const struct trp_blob *sorted, uint32_t n,
                        struct trp_error *err)
{
    struct trp_blob_uses *u = use->all;
    trp_lock_enter(&u->lock);
    trp_status st = enter_all(use, sorted, n)
                        ? wake_all(use, err)
                        : trp_fail(err, TRP_OUT_OF_MEMORY, "%u shared weights", n);
    if (trp_failed(st))
        leave_all(use);
    trp_lock_leave(&u->lock);
    return st;
}

static void free_use(struct trp_blob_use *use)
{
    const struct trp_alloc *alloc = use->all->alloc;
    trp_alloc_free(alloc, use->folder);
    trp_alloc_free(alloc, use->blobs);
    trp_alloc_free(alloc, use);
}

/* The path of the files as the kernel will name them. */
static char *real_folder(const struct trp_alloc *alloc, const char *folder)
{
    char real[PATH_MAX];
    const char *named = realpath(folder, real) ? real : folder;
    return trp_alloc_text(alloc, named, strlen(named));
}

trp_status trp_blob_use_begin(struct trp_blob_uses *u, const char *folder,
                              const struct trp_blob *blobs, uint32_t n,
                              struct trp_blob_use **out_use, struct trp_error *err)
{
    *out_use = NULL;
    struct trp_blob_use *use = trp_alloc_zeroed(u->alloc, 1, sizeof *use);
    struct trp_blob *sorted = trp_alloc_get(u->alloc, (size_t)n + 1, sizeof *sorted);
    trp_status st = trp_fail(err, TRP_OUT_OF_MEMORY, "list of %u shared weights", n);
    if (use) {
        use->all = u;
        use->folder = real_folder(u->alloc, folder);
        use->blobs = trp_alloc_zeroed(u->alloc, (size_t)n + 1, sizeof(struct trp_used_blob *));
    }
    if (use && sorted && use->folder && use->blobs) {
        if (n > 0)
            memcpy(sorted, blobs, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_name);
        st = begin(use, sorted, n, err);
    }
    trp_alloc_free(u->alloc, sorted);
    if (!trp_failed(st))
        *out_use = use;
    else if (use)
        free_use(use);
    return st;
}

void trp_blob_use_end(struct trp_blob_use *use)
{
    if (!use)
        return;
    trp_lock_enter(&use->all->lock);
    if (!use->is_asleep)
        put_to_sleep(use);
    leave_all(use);
    trp_lock_leave(&use->all->lock);
    free_use(use);
}

/* --- what others ask -------------------------------------------------------------------------- */

void trp_blob_use_sleep(struct trp_blob_use *use)
{
    trp_lock_enter(&use->all->lock);
    if (!use->is_asleep)
        put_to_sleep(use);
    trp_lock_leave(&use->all->lock);
}

trp_status trp_blob_use_wake(struct trp_blob_use *use, struct trp_error *err)
{
    trp_lock_enter(&use->all->lock);
    const trp_status st = use->is_asleep ? wake_all(use, err) : trp_ok();
    trp_lock_leave(&use->all->lock);
    return st;
}

const struct trp_used_blob *const *trp_blob_use_list(const struct trp_blob_use *use,
                                                     uint32_t *out_n)
{
    *out_n = use->n;
    return (const struct trp_used_blob *const *)use->blobs;
}

uint64_t trp_blob_use_bytes(const struct trp_blob_use *use)
{
    return use->bytes;
}

uint64_t trp_blob_use_frees(const struct trp_blob_use *use)
{
    trp_lock_enter(&use->all->lock);
    const uint64_t bytes = use->is_asleep ? 0 : bytes_with(use, 1);
    trp_lock_leave(&use->all->lock);
    return bytes;
}

bool trp_blob_use_has(const struct trp_blob_use *use, const char *path)
{
    const size_t n = strlen(use->folder);
    if (strncmp(path, use->folder, n) != 0 || path[n] != '/')
        return false;
    for (uint32_t i = 0; i < use->n; i++) /* hardly ever asked */
        if (strcmp(use->blobs[i]->name, path + n + 1) == 0)
            return true;
    return false;
}
