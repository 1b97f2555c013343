/* store/store_lease.c - see store_lease.h.
 *
 * A lease is text, a line of 65 bytes for each place: the key of an artefact that is open, or
 * dashes.
 *
 *  1. A lease that nobody has locked belongs to somebody who is gone, and so does what begins with
 *     its name in tmp/.
 *  2. A lease is removed by whoever has locked it, and it counts only when it still has its name
 *     after it was locked: so nobody holds the lock of a file that others cannot see.
 *  3. A number comes back (in a container it is 1 every time): whoever takes a lease first removes
 *     what its last owner left.
 *  4. A line is written while STORE/lock is shared.  It is blanked without: a removal that still
 *     sees the key spares too much. */
#include "store/store_lease.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"

#define ENTRIES_MAX 1000000u
#define LIVES_MAX 10000u
#define LINE_BYTES TRP_SHA256_TEXT /* a key and its newline */
#define LEASE_BYTES_MAX ((size_t)256 << 20)
#define WORD_BITS 64u

/* --- temporaries of the dead ------------------------------------------------------------------ */

struct orphans {
    const struct trp_store *store;
    const char *lease;
    uint32_t n;
};

static trp_status remove_orphan(void *user, const char *name, struct trp_error *err)
{
    struct orphans *o = user;
    char path[TRP_STORE_PATH_MAX];
    const size_t n = strlen(o->lease);
    if (strncmp(name, o->lease, n) != 0 || name[n] != '.' ||
        !trp_store_part(o->store, "tmp", name, path))
        return trp_ok();
    o->n++;
    return trp_disk_remove(path, err);
}

static trp_status remove_orphans(struct orphans *o, struct trp_error *err)
{
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(o->store, "tmp", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(o->store));
    return trp_dir_each(folder, ENTRIES_MAX, remove_orphan, o, err);
}

static trp_status bury_one(void *user, const char *name, struct trp_error *err)
{
    struct orphans *all = user;
    struct orphans o = { all->store, name, 0 };
    char path[TRP_STORE_PATH_MAX];
    int fd = -1;
    if (!trp_store_part(o.store, "leases", name, path) ||
        trp_failed(trp_disk_lock(path, &fd, NULL)))
        return trp_ok(); /* alive (we, too), or none of our business */
    const trp_status st = remove_orphans(&o, err);
    if (!trp_failed(st))
        (void)unlink(path); /* while its lock is held: nobody takes it up meanwhile */
    close(fd);
    all->n += o.n;
    return st;
}

trp_status trp_store_lease_bury(const struct trp_store *s, uint32_t *out_n, struct trp_error *err)
{
    struct orphans o = { .store = s };
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(s, "leases", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
    const trp_status st = trp_dir_each(folder, ENTRIES_MAX, bury_one, &o, err);
    if (out_n)
        *out_n = o.n;
    return st;
}

/* --- taking ----------------------------------------------------------------------------------- */

/* Somebody may have removed the file between our opening and our locking it. */
static bool has_its_name(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

static trp_status empty(struct trp_store_lease *l, const struct trp_store *s, struct trp_error *err)
{
    struct orphans o = { s, l->name, 0 };
    if (ftruncate(l->fd, 0) != 0)
        return trp_fail(err, TRP_IO, "%s: the lease cannot be emptied", trp_store_path(s));
    return remove_orphans(&o, err);
}

trp_status trp_store_lease_take(struct trp_store_lease *l, const struct trp_store *s,
                                struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    trp_lock_init(&l->lock, TRP_LOCK_LEASE);
    l->fd = -1;
    for (uint32_t life = 0; life < LIVES_MAX; life++) {
        (void)snprintf(l->name, sizeof l->name, "%ld.%u", (long)getpid(), life);
        if (!trp_store_part(s, "leases", l->name, path))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
        const trp_status st = trp_disk_lock(path, &l->fd, err);
        if (st.code == TRP_UNAVAILABLE) /* two stores of one process have two leases */
            continue;
        if (trp_failed(st) || has_its_name(l->fd))
            return trp_failed(st) ? st : empty(l, s, err);
        close(l->fd);
        l->fd = -1;
    }
    return trp_fail(err, TRP_UNAVAILABLE, "%s: too many leases", trp_store_path(s));
}

void trp_store_lease_give_back(struct trp_store_lease *l, const struct trp_store *s)
{
    char path[TRP_STORE_PATH_MAX];
    if (!l->name[0])
        return;
    if (l->fd >= 0) {
        if (trp_store_part(s, "leases", l->name, path))
            (void)unlink(path);
        close(l->fd);
    }
    trp_lock_deinit(&l->lock);
    trp_alloc_free(trp_heap(), l->taken);
    l->name[0] = '\0';
}

/* --- holding ---------------------------------------------------------------------------------- */

static bool find_place(const struct trp_store_lease *l, uint32_t *out)
{
    for (uint32_t i = 0; i < l->words_n; i++) {
        if (l->taken[i] != UINT64_MAX) {
            *out = i * WORD_BITS + (uint32_t)__builtin_ctzll(~l->taken[i]);
            return true;
        }
    }
    return false;
}

/* Doubles them; false without memory. */
static bool grow(struct trp_store_lease *l)
{
    const uint32_t wanted = l->words_n ? 2 * l->words_n : 1;
    uint64_t *taken =
        trp_alloc_resize(trp_heap(), l->taken, l->words_n * sizeof *taken, wanted * sizeof *taken);
    if (!taken)
        return false;
    memset(taken + l->words_n, 0, (wanted - l->words_n) * sizeof *taken);
    l->taken = taken;
    l->words_n = wanted;
    return true;
}

static trp_status claim(struct trp_store_lease *l, uint32_t *out_place, struct trp_error *err)
{
    trp_lock_enter(&l->lock);
    const bool found = find_place(l, out_place) || (grow(l) && find_place(l, out_place));
    if (found)
        l->taken[*out_place / WORD_BITS] |= UINT64_C(1) << *out_place % WORD_BITS;
    trp_lock_leave(&l->lock);
    return found ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "a lease");
}

static void unclaim(struct trp_store_lease *l, uint32_t place)
{
    trp_lock_enter(&l->lock);
    l->taken[place / WORD_BITS] &= ~(UINT64_C(1) << place % WORD_BITS);
    trp_lock_leave(&l->lock);
}

static trp_status write_line(struct trp_store_lease *l, uint32_t place,
                             const struct trp_sha256 *key, struct trp_error *err)
{
    char line[LINE_BYTES];
    if (key)
        trp_sha256_format(key, line);
    else
        memset(line, '-', sizeof line);
    line[LINE_BYTES - 1] = '\n';
    return trp_disk_write_at(l->fd, line, sizeof line, (uint64_t)place * LINE_BYTES, err);
}

/* The moment of its last use is the manifest's; it is a courtesy to whoever must choose what
 * goes. */
static void touch(const struct trp_store *s, const struct trp_sha256 *key)
{
    char path[TRP_STORE_PATH_MAX], name[TRP_SHA256_TEXT + 16], text[TRP_SHA256_TEXT];
    trp_sha256_format(key, text);
    (void)snprintf(name, sizeof name, "%s/manifest", text);
    if (trp_store_part(s, "made", name, path))
        (void)utimensat(AT_FDCWD, path, NULL, 0);
}

trp_status trp_store_lease_hold(struct trp_store *s, const struct trp_sha256 *key,
                                struct trp_store_hold *out, struct trp_error *err)
{
    struct trp_store_lease *l = trp_store_own_lease(s);
    uint32_t place = 0;
    int lock = -1;
    *out = (struct trp_store_hold){ 0 };
    if (!l->name[0])
        return trp_fail(err, TRP_FAILED_PRECONDITION, "the store is only looked at");
    TRP_CHECK(claim(l, &place, err));
    trp_status st = trp_store_lock(s, TRP_STORE_SHARED, &lock, err);
    if (!trp_failed(st)) {
        st = write_line(l, place, key, err);
        close(lock);
    }
    if (trp_failed(st)) {
        trp_error_within(err, "%s: lease", trp_store_path(s));
        (void)write_line(l, place, NULL, NULL); /* half a key spares nothing */
        unclaim(l, place);
        return st;
    }
    touch(s, key);
    *out = (struct trp_store_hold){ .place = place + 1, .key = *key };
    return st;
}

void trp_store_lease_release(struct trp_store *s, struct trp_store_hold *hold)
{
    struct trp_store_lease *l = trp_store_own_lease(s);
    struct trp_error err;
    if (!hold->place)
        return;
    touch(s, &hold->key);
    if (trp_failed(write_line(l, hold->place - 1, NULL, &err)))
        TRP_WARN(trp_store_log(s), "store", "a lease is kept longer than it is used: %s", err.text);
    else
        unclaim(l, hold->place - 1);
    *hold = (struct trp_store_hold){ 0 };
}

/* --- looking at all --------------------------------------------------------------------------- */

struct visit {
    const struct trp_store *store;
    trp_status (*each)(void *user, const struct trp_sha256 *key, struct trp_error *err);
    void *user;
};

static trp_status visit_lines(const struct visit *v, char *text, size_t n, struct trp_error *err)
{
    struct trp_sha256 key;
    for (size_t at = 0; n - at >= LINE_BYTES; at += LINE_BYTES) {
        text[at + LINE_BYTES - 1] = '\0';
        if (trp_sha256_parse(text + at, &key))
            TRP_CHECK(v->each(v->user, &key, err));
    }
    return trp_ok();
}

static trp_status visit_lease(void *user, const char *name, struct trp_error *err)
{
    const struct visit *v = user;
    char path[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!trp_store_part(v->store, "leases", name, path))
        return trp_ok();
    const trp_status read = trp_file_read(trp_heap(), path, LEASE_BYTES_MAX, &text, &n, err);
    if (read.code == TRP_NOT_FOUND) /* its owner ended meanwhile */
        return trp_ok();
    TRP_CHECK(read);
    const trp_status st = visit_lines(v, text, n, err);
    trp_alloc_free(trp_heap(), text);
    return st;
}

trp_status trp_store_lease_each(const struct trp_store *s,
                                trp_status (*each)(void *user, const struct trp_sha256 *key,
                                                   struct trp_error *err),
                                void *user, struct trp_error *err)
{
    struct visit v = { s, each, user };
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(s, "leases", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
    return trp_dir_each(folder, ENTRIES_MAX, visit_lease, &v, err);
}
