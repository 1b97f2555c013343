/* store/sweeper.c - see sweeper.h.
 *
 * Problem: a store is shared, and it is never still.  What nobody needs now may be what somebody
 * writes down in the next moment.
 *
 *  1. Who removes has the store's lock alone; who writes down what he uses, shares it
 *     (store_lease.h, pins.h).  What is written down before is seen, and who writes later looks at
 *     a store from which nothing is being removed.
 *  2. An artefact goes before its blobs: at no moment is one visible whose blobs are not.
 *  3. What goes is moved to tmp/, where nobody looks for it, and removed when the lock is free: a
 *     terabyte takes a while, a name does not.  Whoever dies in between leaves it to the next who
 *     opens the store.
 *  4. What is not understood stays: entries of other shapes, and everything when one manifest
 *     cannot be read. */
#include "store/sweeper.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"
#include "store/census.h"
#include "store/notes.h"
#include "store/obsolete.h"
#include "store/store_lease.h"

#define ENTRIES_MAX 10000000u
#define FOLDER_DIGITS 2u
#define REST_DIGITS (TRP_SHA256_TEXT - 1 - FOLDER_DIGITS)
#define NAP_NS INT64_C(100000000)

/* --- what goes -------------------------------------------------------------------------------- */

/* A folder in tmp/ for what goes; "" until there is something. */
struct bin {
    struct trp_store *store;
    char folder[TRP_STORE_PATH_MAX];
    uint32_t n;
};

static trp_status throw_away(struct bin *bin, const char *part, const char *name,
                             struct trp_error *err)
{
    char from[TRP_STORE_PATH_MAX], to[TRP_STORE_PATH_MAX + 16];
    if (!bin->folder[0]) {
        if (!trp_store_temporary(bin->store, bin->folder))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long",
                            trp_store_path(bin->store));
        TRP_CHECK(trp_disk_make_folder(bin->folder, err));
    }
    (void)snprintf(to, sizeof to, "%s/%u", bin->folder, bin->n++);
    if (!trp_store_part(bin->store, part, name, from))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(bin->store));
    const trp_status st = trp_disk_move(from, to, err);
    return st.code == TRP_NOT_FOUND ? trp_ok() : st; /* gone by itself */
}

static trp_status empty_bin(struct bin *bin, struct trp_error *err)
{
    return bin->folder[0] ? trp_disk_remove(bin->folder, err) : trp_ok();
}

/* --- listing ---------------------------------------------------------------------------------- */

trp_status trp_sweeper_list(const struct trp_store *s,
                            trp_status (*each)(void *user, const struct trp_stored *what,
                                               struct trp_error *err),
                            void *user, struct trp_error *err)
{
    struct trp_census c;
    trp_status st = trp_census_take(&c, s, err);
    for (uint32_t i = 0; i < c.made_n && !trp_failed(st); i++)
        st = each(user, &c.made[i]->stored, err);
    trp_census_deinit(&c);
    return st;
}

/* --- removing --------------------------------------------------------------------------------- */

struct sweep {
    struct trp_store *store;
    const struct trp_gc_opts *opts;
    struct trp_swept *out;
    struct trp_census census;
    struct bin bin;
    const char *folder; /* of blobs: where the walk is */
    bool knows_all;
};

static trp_status remove_artefact(struct sweep *w, struct trp_census_made *made, const char *why,
                                  struct trp_error *err)
{
    char name[TRP_SHA256_TEXT];
    trp_sha256_format(&made->stored.key, name);
    trp_census_strike(&w->census, made);
    w->out->removed_n++;
    w->out->freed_bytes += made->stored.skeleton_bytes;
    if (w->opts->on_removal)
        w->opts->on_removal(w->opts->user, &made->stored, why);
    return w->opts->only_tell ? trp_ok() : throw_away(&w->bin, "made", name, err);
}

/* One that is held and cannot be read has blobs that nobody knows. */
static trp_status remove_damaged(struct sweep *w, struct trp_error *err)
{
    for (uint32_t i = 0; i < w->census.made_n; i++) {
        struct trp_census_made *made = w->census.made[i];
        w->out->held_n += made->stored.is_held;
        if (!trp_failed(made->stored.damage.status))
            continue;
        if (made->stored.is_held)
            w->knows_all = false;
        else
            TRP_CHECK(remove_artefact(w, made, "its manifest is damaged", err));
    }
    return trp_ok();
}

/* What came after the look for models, or was used since, is none of those; nor is what somebody
 * holds. */
static trp_status remove_obsolete(struct sweep *w, struct trp_error *err)
{
    for (uint32_t i = 0; i < w->census.made_n; i++) {
        struct trp_census_made *made = w->census.made[i];
        w->out->nameless_n += !made->is_gone && !made->stored.has_content;
        if (!w->opts->obsolete || made->stored.is_held || made->is_gone ||
            !trp_obsolete_has(w->opts->obsolete, &made->stored.key, made->stored.used_ns))
            continue;
        w->out->obsolete_n++;
        TRP_CHECK(remove_artefact(w, made, "no model is like that any more", err));
    }
    return trp_ok();
}

static trp_status make_it_fit(struct sweep *w, struct trp_error *err)
{
    const uint64_t most = w->opts->bytes_max;
    for (uint32_t i = 0; most && i < w->census.made_n && w->census.bytes > most; i++) {
        struct trp_census_made *made = w->census.made[i];
        if (!made->stored.is_held && !made->is_gone)
            TRP_CHECK(remove_artefact(w, made, "least recently used, and the store is full", err));
    }
    return trp_ok();
}

static bool is_digits(const char *name, size_t n)
{
    return strlen(name) == n && strspn(name, "0123456789abcdef") == n;
}

static trp_status visit_blob(void *user, const char *rest, struct trp_error *err)
{
    struct sweep *w = user;
    char name[TROUPE_BLOB_NAME_MAX], path[TRP_STORE_PATH_MAX];
    struct trp_file_stat st;
    if (!is_digits(rest, REST_DIGITS))
        return trp_ok();
    (void)snprintf(name, sizeof name, "%s/%s", w->folder, rest);
    const struct trp_census_blob *b = trp_census_find(&w->census, name);
    if (b && (b->artefacts_n || b->is_pinned))
        return trp_ok();
    if (trp_store_part(w->store, "blobs", name, path) &&
        !trp_failed(trp_file_stat(path, &st, NULL)))
        w->out->freed_bytes += st.bytes;
    w->out->blobs_n++;
    return w->opts->only_tell ? trp_ok() : throw_away(&w->bin, "blobs", name, err);
}

static trp_status visit_blobs(void *user, const char *name, struct trp_error *err)
{
    struct sweep *w = user;
    char folder[TRP_STORE_PATH_MAX];
    if (!is_digits(name, FOLDER_DIGITS) || !trp_store_part(w->store, "blobs", name, folder))
        return trp_ok();
    w->folder = name;
    return trp_dir_each(folder, ENTRIES_MAX, visit_blob, w, err);
}

static trp_status remove_blobs(struct sweep *w, struct trp_error *err)
{
    char folder[TRP_STORE_PATH_MAX];
    if (!w->knows_all || !trp_store_part(w->store, "blobs", NULL, folder))
        return trp_ok();
    return trp_dir_each(folder, ENTRIES_MAX, visit_blobs, w, err);
}

/* What begins with the name of a lease that there is not. */
static trp_status visit_temporary(void *user, const char *name, struct trp_error *err)
{
    struct sweep *w = user;
    char lease[TRP_STORE_LEASE_NAME_MAX], path[TRP_STORE_PATH_MAX];
    const char *dot = strchr(name, '.');
    dot = dot ? strchr(dot + 1, '.') : NULL;
    if (!dot || !trp_str_copy(trp_str_make(name, (size_t)(dot - name)), lease, sizeof lease) ||
        !trp_store_part(w->store, "leases", lease, path) || access(path, F_OK) == 0)
        return trp_ok();
    w->out->temporaries_n++;
    return w->opts->only_tell ? trp_ok() : throw_away(&w->bin, "tmp", name, err);
}

static trp_status remove_temporaries(struct sweep *w, struct trp_error *err)
{
    char folder[TRP_STORE_PATH_MAX];
    if (!w->opts->only_tell)
        TRP_CHECK(trp_store_lease_bury(w->store, &w->out->temporaries_n, err));
    if (!trp_store_part(w->store, "tmp", NULL, folder))
        return trp_ok();
    return trp_dir_each(folder, ENTRIES_MAX, visit_temporary, w, err);
}

static trp_status sweep(struct sweep *w, struct trp_error *err)
{
    TRP_CHECK(remove_temporaries(w, err));
    TRP_CHECK(trp_census_take(&w->census, w->store, err));
    w->out->artefacts_n = w->census.made_n;
    TRP_CHECK(remove_damaged(w, err));
    TRP_CHECK(remove_obsolete(w, err));
    TRP_CHECK(make_it_fit(w, err));
    TRP_CHECK(remove_blobs(w, err));
    w->out->kept_bytes = w->census.bytes;
    return trp_ok();
}

trp_status trp_sweeper_gc(struct trp_store *s, const struct trp_gc_opts *opts,
                          struct trp_swept *out, struct trp_error *err)
{
    struct trp_swept swept = { 0 };
    struct sweep w = {
        .store = s, .opts = opts, .out = &swept, .bin = { .store = s }, .knows_all = true
    };
    struct trp_error ignored;
    int lock = -1;
    if (!opts->only_tell) {
        if (!trp_store_own_lease(s)->name[0])
            return trp_fail(err, TRP_FAILED_PRECONDITION, "the store is only looked at");
        TRP_CHECK(trp_store_lock(s, TRP_STORE_ALONE, &lock, err));
    }
    trp_status st = sweep(&w, err);
    trp_census_deinit(&w.census);
    if (lock >= 0)
        close(lock);
    if (!trp_failed(st)) /* nobody waits for these */
        st = trp_notes_sweep(s, opts->only_tell, &swept.notes_n, err);
    const trp_status emptied = empty_bin(&w.bin, trp_failed(st) ? &ignored : err);
    if (!trp_failed(st))
        *out = swept;
    return trp_failed(st) ? st : emptied;
}

/* --- verifying -------------------------------------------------------------------------------- */

struct check {
    struct trp_store *store;
    const struct trp_verify_opts *opts;
    struct trp_verified *out;
    struct trp_census census;
    struct bin bin;
    struct trp_sha256_pace pace;
    uint64_t bytes, of;
    int64_t begun_ns;
};

static bool is_cancelled(const struct check *k)
{
    return trp_flag_word_is_up(k->opts->cancel);
}

static void nap(const struct check *k, int64_t ns)
{
    const struct timespec time = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
    if (k->opts->sleep)
        k->opts->sleep(k->opts->user, ns);
    else
        (void)nanosleep(&time, NULL);
}

/* Waits until as many bytes may have been read. */
static bool go_on(void *user, size_t bytes)
{
    struct check *k = user;
    const uint64_t rate = k->opts->bytes_per_second;
    k->bytes += bytes;
    if (k->opts->on_progress)
        k->opts->on_progress(k->opts->user, k->bytes, k->of);
    if (!rate)
        return !is_cancelled(k);
    const int64_t due_ns = k->begun_ns + (int64_t)((double)k->bytes / (double)rate * 1e9);
    int64_t left_ns = due_ns - trp_clock_now_ns(k->opts->clock);
    while (left_ns > 0 && !is_cancelled(k)) {
        nap(k, left_ns < NAP_NS ? left_ns : NAP_NS);
        left_ns = due_ns - trp_clock_now_ns(k->opts->clock);
    }
    return !is_cancelled(k);
}

/* What cannot be read for another reason (descriptors, rights) is not for us to remove. */
static bool is_damage(int32_t code)
{
    return code == TRP_DATA_LOSS || code == TRP_NOT_FOUND;
}

/* Once more, with the store to ourselves: a good one may have taken its place meanwhile. */
static trp_status remove_blob(struct check *k, const struct trp_blob *blob, struct trp_error *err)
{
    int lock = -1;
    TRP_CHECK(trp_store_lock(k->store, TRP_STORE_ALONE, &lock, err));
    trp_status st = trp_blob_verify(k->store, blob, NULL, NULL);
    st = is_damage(st.code) ? throw_away(&k->bin, "blobs", blob->name, err) : trp_ok();
    close(lock);
    return st;
}

static trp_status verify_blob(struct check *k, struct trp_census_blob *b, struct trp_error *err)
{
    struct trp_error why = { 0 };
    const trp_status st = trp_blob_verify(k->store, &b->blob, &k->pace, &why);
    k->out->blobs_n++;
    if (!is_damage(st.code)) {
        if (trp_failed(st) && err)
            *err = why;
        return st;
    }
    b->damage = trp_arena_dup(&k->census.arena, trp_str_of(why.text)).ptr;
    if (!b->damage)
        b->damage = "damaged";
    return k->opts->only_tell ? trp_ok() : remove_blob(k, &b->blob, err);
}

static trp_status verify_blobs(struct check *k, struct trp_error *err)
{
    struct trp_str name;
    void *value;
    for (uint32_t at = 0; trp_table_next(k->census.blobs, &at, &name, &value);) {
        struct trp_census_blob *b = value;
        if (b->artefacts_n)
            TRP_CHECK(verify_blob(k, b, err));
        if (is_cancelled(k))
            return trp_fail(err, TRP_CANCELLED, "given up");
    }
    return trp_ok();
}

/* What is wrong with an artefact, in `why`; OK: nothing, or it went meanwhile. */
static trp_status look_at(const struct check *k, const struct trp_census_made *made,
                          struct trp_error *why)
{
    struct trp_artefact a;
    if (trp_failed(made->stored.damage.status)) {
        *why = made->stored.damage;
        return why->status;
    }
    trp_status st = trp_artefact_read(k->store, &made->stored.key, &a, why);
    if (trp_failed(st))
        return st.code == TRP_NOT_FOUND ? trp_ok() : st;
    st = trp_artefact_verify_skeleton(&a, why);
    trp_artefact_deinit(&a);
    for (uint32_t i = 0; i < made->stored.blobs_n && !trp_failed(st); i++) {
        if (made->blobs[i]->damage)
            st = trp_fail(why, TRP_DATA_LOSS, "%s", made->blobs[i]->damage);
    }
    return st;
}

/* With the store to ourselves: it may have been prepared anew meanwhile. */
static trp_status drop(struct check *k, const struct trp_sha256 *key, struct trp_error *err)
{
    char name[TRP_SHA256_TEXT];
    struct trp_artefact a;
    int lock = -1;
    trp_sha256_format(key, name);
    TRP_CHECK(trp_store_lock(k->store, TRP_STORE_ALONE, &lock, err));
    trp_status st = trp_artefact_get(k->store, key, &a, NULL);
    if (!trp_failed(st)) {
        st = trp_artefact_verify_skeleton(&a, NULL);
        trp_artefact_deinit(&a);
    }
    st = is_damage(st.code) ? throw_away(&k->bin, "made", name, err) : trp_ok();
    close(lock);
    return st;
}

static trp_status verify_artefact(struct check *k, const struct trp_census_made *made,
                                  struct trp_error *err)
{
    struct trp_error why = { 0 };
    const trp_status st = look_at(k, made, &why);
    k->out->artefacts_n++;
    if (!is_damage(st.code)) {
        if (trp_failed(st) && err)
            *err = why;
        return st;
    }
    k->out->damaged_n++;
    if (k->opts->on_damage)
        k->opts->on_damage(k->opts->user, &made->stored, why.text);
    return k->opts->only_tell ? trp_ok() : drop(k, &made->stored.key, err);
}

static trp_status verify_all(struct check *k, struct trp_error *err)
{
    TRP_CHECK(trp_census_take(&k->census, k->store, err));
    k->of = k->census.bytes;
    for (uint32_t i = 0; i < k->census.made_n; i++)
        k->of -= k->census.made[i]->stored.skeleton_bytes; /* too small to be shown */
    TRP_CHECK(verify_blobs(k, err));
    for (uint32_t i = 0; i < k->census.made_n; i++)
        TRP_CHECK(verify_artefact(k, k->census.made[i], err));
    return trp_ok();
}

trp_status trp_sweeper_verify(struct trp_store *s, const struct trp_verify_opts *opts,
                              struct trp_verified *out, struct trp_error *err)
{
    struct trp_verified verified = { 0 };
    struct check k = { .store = s, .opts = opts, .out = &verified, .bin = { .store = s } };
    struct trp_error ignored;
    k.pace = (struct trp_sha256_pace){ go_on, &k };
    k.begun_ns = opts->bytes_per_second ? trp_clock_now_ns(opts->clock) : 0;
    if (!opts->only_tell && !trp_store_own_lease(s)->name[0])
        return trp_fail(err, TRP_FAILED_PRECONDITION, "the store is only looked at");
    const trp_status st = verify_all(&k, err);
    trp_census_deinit(&k.census);
    const trp_status emptied = empty_bin(&k.bin, trp_failed(st) ? &ignored : err);
    verified.bytes = k.bytes;
    if (!trp_failed(st))
        *out = verified;
    return trp_failed(st) ? st : emptied;
}
