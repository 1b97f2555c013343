/* store/store.c - see store.h.
 *
 * A lease is a file that its process holds a lock on; the kernel drops the lock with the process, however it ends.  Whoever opens
 * a store removes the leases, and the temporary files, of those that are gone: a temporary name begins with its owner's lease. */
#include "store/store.h"

#include <stdio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/disk.h"
#include "base/file.h"

#define FORMAT "troupe store 1\n"
#define ENTRIES_MAX 1000000u

struct trp_store {
    const struct trp_alloc *alloc;
    char path[TRP_STORE_PATH_MAX];
    char lease[64]; /* its file's name */
    int lease_fd;
    struct trp_counter temporaries;
    struct trp_log *log;
};

const char *trp_store_path(const struct trp_store *s)
{
    return s->path;
}

struct trp_log *trp_store_log(const struct trp_store *s)
{
    return s->log;
}

bool trp_store_part(const struct trp_store *s, const char *part, const char *name,
                    char out[TRP_STORE_PATH_MAX])
{
    const int n = snprintf(out, TRP_STORE_PATH_MAX, "%s/%s%s%s", s->path, part, name ? "/" : "",
                           name ? name : "");
    return n > 0 && n < TRP_STORE_PATH_MAX;
}

bool trp_store_temporary(struct trp_store *s, char out[TRP_STORE_PATH_MAX])
{
    char name[96];
    const unsigned long long n = trp_counter_add(&s->temporaries, 1);
    (void)snprintf(name, sizeof name, "%s.%llu", s->lease, n);
    return trp_store_part(s, "tmp", name, out);
}

/* --- leases ----------------------------------------------------------------------------------- */

static trp_status take_lease(struct trp_store *s, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    for (unsigned life = 0; life < 10000; life++) {
        (void)snprintf(s->lease, sizeof s->lease, "%ld.%u", (long)getpid(), life);
        if (!trp_store_part(s, "leases", s->lease, path))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", s->path);
        const trp_status st = trp_disk_lock(path, &s->lease_fd, err);
        if (st.code != TRP_UNAVAILABLE) /* two stores of one process have two leases */
            return st;
    }
    return trp_fail(err, TRP_UNAVAILABLE, "%s: too many leases", s->path);
}

/* Removes what somebody left in tmp/ whose lease is `lease`. */
struct orphans {
    const struct trp_store *store;
    const char *lease;
};

static trp_status remove_orphan(void *user, const char *name, struct trp_error *err)
{
    const struct orphans *o = user;
    char path[TRP_STORE_PATH_MAX];
    const size_t n = strlen(o->lease);
    if (strncmp(name, o->lease, n) != 0 || name[n] != '.' ||
        !trp_store_part(o->store, "tmp", name, path))
        return trp_ok();
    return trp_disk_remove(path, err);
}

/* A lease that nobody holds belongs to somebody who is gone. */
static trp_status visit_lease(void *user, const char *name, struct trp_error *err)
{
    struct trp_store *s = user;
    struct orphans orphans = { s, name };
    char path[TRP_STORE_PATH_MAX], folder[TRP_STORE_PATH_MAX];
    int fd = -1;
    if (strcmp(name, s->lease) == 0 || !trp_store_part(s, "leases", name, path) ||
        !trp_store_part(s, "tmp", NULL, folder))
        return trp_ok();
    if (trp_failed(trp_disk_lock(path, &fd, NULL)))
        return trp_ok(); /* alive, or none of our business */
    const trp_status st = trp_dir_each(folder, ENTRIES_MAX, remove_orphan, &orphans, err);
    if (!trp_failed(st))
        (void)unlink(path); /* while its lock is held: nobody takes it up meanwhile */
    close(fd);
    return st;
}

static void remove_what_the_dead_left(struct trp_store *s)
{
    struct trp_error err;
    char folder[TRP_STORE_PATH_MAX];
    if (trp_store_part(s, "leases", NULL, folder) &&
        trp_failed(trp_dir_each(folder, ENTRIES_MAX, visit_lease, s, &err)))
        TRP_WARN(s->log, "store", "left-overs stay: %s", err.text);
}

/* --- opening ---------------------------------------------------------------------------------- */

static trp_status make_parts(const struct trp_store *s, struct trp_error *err)
{
    static const char *const parts[] = { "blobs", "made", "bad", "seen", "tmp", "leases" };
    char path[TRP_STORE_PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!trp_store_part(s, parts[i], NULL, path))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", s->path);
        TRP_CHECK(trp_disk_make_folder(path, err));
    }
    return trp_ok();
}

static trp_status check_format(const struct trp_store *s, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!trp_store_part(s, "format", NULL, path))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", s->path);
    const trp_status read = trp_file_read(trp_heap(), path, 4096, &text, &n, err);
    if (read.code == TRP_NOT_FOUND)
        return trp_file_replace(path, FORMAT, strlen(FORMAT), err);
    TRP_CHECK(read);
    const bool is_ours = strcmp(text, FORMAT) == 0;
    trp_alloc_free(trp_heap(), text);
    return is_ours ? trp_ok()
                   : trp_fail(err, TRP_FAILED_PRECONDITION,
                              "%s is no store of this version of troupe; name another folder, or "
                              "remove it",
                              s->path);
}

static trp_status open_folder(struct trp_store *s, struct trp_error *err)
{
    TRP_CHECK(trp_disk_make_folder(s->path, err));
    TRP_CHECK(check_format(s, err));
    TRP_CHECK(make_parts(s, err));
    TRP_CHECK(take_lease(s, err));
    remove_what_the_dead_left(s);
    return trp_ok();
}

trp_status trp_store_open(const struct trp_alloc *alloc, const struct trp_store_opts *opts,
                          struct trp_store **out_store, struct trp_error *err)
{
    *out_store = NULL;
    struct trp_store *s = trp_alloc_zeroed(alloc, 1, sizeof *s);
    if (!s)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "store");
    s->alloc = alloc;
    s->log = opts->log;
    s->lease_fd = -1;
    trp_status st = trp_str_copy(trp_str_of(opts->path), s->path, sizeof s->path)
                        ? open_folder(s, err)
                        : trp_fail(err, TRP_INVALID_ARGUMENT, "store.path is too long");
    if (trp_failed(st)) {
        trp_store_close(s);
        return st;
    }
    *out_store = s;
    return st;
}

void trp_store_close(struct trp_store *s)
{
    char path[TRP_STORE_PATH_MAX];
    if (!s)
        return;
    if (s->lease_fd >= 0) {
        if (trp_store_part(s, "leases", s->lease, path))
            (void)unlink(path);
        close(s->lease_fd);
    }
    trp_alloc_free(s->alloc, s);
}
