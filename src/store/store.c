/* store/store.c - see store.h. */
#include "store/store.h"

#include <stdio.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/disk.h"
#include "base/file.h"
#include "store/store_lease.h"

#define FORMAT "troupe store 1\n"
#define LOCK_WAIT_NS INT64_C(10000000000)

struct trp_store {
    const struct trp_alloc *alloc;
    char path[TRP_STORE_PATH_MAX];
    struct trp_store_lease lease;
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

struct trp_store_lease *trp_store_own_lease(struct trp_store *s)
{
    return &s->lease;
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
    char name[TRP_STORE_LEASE_NAME_MAX + 32];
    const unsigned long long n = trp_counter_add(&s->temporaries, 1);
    (void)snprintf(name, sizeof name, "%s.%llu", s->lease.name, n);
    return trp_store_part(s, "tmp", name, out);
}

static trp_status too_long(const struct trp_store *s, struct trp_error *err)
{
    return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", s->path);
}

static trp_status replace(struct trp_store *s, const char *path, struct trp_str text,
                          struct trp_error *err)
{
    char temporary[TRP_STORE_PATH_MAX];
    if (!trp_store_temporary(s, temporary))
        return too_long(s, err);
    TRP_CHECK(trp_disk_write(temporary, text.ptr, text.len, 0644, err));
    const trp_status st = trp_disk_publish(temporary, path, err);
    if (trp_failed(st))
        (void)trp_disk_remove(temporary, NULL);
    return st;
}

trp_status trp_store_replace(struct trp_store *s, const char *part, const char *name,
                             struct trp_str text, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    return trp_store_part(s, part, name, path) ? replace(s, path, text, err) : too_long(s, err);
}

trp_status trp_store_is_there(const struct trp_store *s, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    struct trp_file_stat st;
    if (!trp_store_part(s, "format", NULL, path))
        return too_long(s, err);
    return trp_failed(trp_file_stat(path, &st, NULL))
               ? trp_fail(err, TRP_UNAVAILABLE, "%s: the store is not there any more", s->path)
               : trp_ok();
}

trp_status trp_store_lock(const struct trp_store *s, enum trp_store_lock_kind kind, int *out_fd,
                          struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    if (!trp_store_part(s, "lock", NULL, path))
        return too_long(s, err);
    TRP_CHECK(trp_store_is_there(s, err)); /* else the lock would be made in some other folder */
    return trp_disk_lock_wait(path, kind == TRP_STORE_ALONE, LOCK_WAIT_NS, out_fd, err);
}

/* --- opening ---------------------------------------------------------------------------------- */

static trp_status make_parts(const struct trp_store *s, struct trp_error *err)
{
    static const char *const parts[] = { "blobs",      "made", "bad", "seen",
                                         "signatures", "rows", "tmp", "leases" };
    char path[TRP_STORE_PATH_MAX];
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (!trp_store_part(s, parts[i], NULL, path))
            return too_long(s, err);
        TRP_CHECK(trp_disk_make_folder(path, err));
    }
    return trp_ok();
}

/* NOT_FOUND when there is none. */
static trp_status check_format(const struct trp_store *s, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!trp_store_part(s, "format", NULL, path))
        return too_long(s, err);
    TRP_CHECK(trp_file_read(trp_heap(), path, 4096, &text, &n, err));
    const bool is_ours = strcmp(text, FORMAT) == 0;
    trp_alloc_free(trp_heap(), text);
    return is_ours ? trp_ok()
                   : trp_fail(err, TRP_FAILED_PRECONDITION,
                              "%s is no store of this version of troupe; name another folder, or "
                              "remove it",
                              s->path);
}

static trp_status write_format(struct trp_store *s, struct trp_error *err)
{
    char path[TRP_STORE_PATH_MAX];
    return trp_store_part(s, "format", NULL, path) ? replace(s, path, TRP_STR_LIT(FORMAT), err)
                                                   : too_long(s, err);
}

static trp_status open_folder(struct trp_store *s, bool look_only, struct trp_error *err)
{
    struct trp_error ignored;
    const trp_status format = check_format(s, err);
    if (look_only)
        return format;
    if (format.code != TRP_NOT_FOUND)
        TRP_CHECK(format);
    TRP_CHECK(make_parts(s, err));
    TRP_CHECK(trp_store_lease_take(&s->lease, s, err));
    if (format.code == TRP_NOT_FOUND)
        TRP_CHECK(write_format(s, err));
    if (trp_failed(trp_store_lease_bury(s, NULL, &ignored)))
        TRP_WARN(s->log, "store", "left-overs stay: %s", ignored.text);
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
    trp_status st = trp_str_copy(trp_str_of(opts->path), s->path, sizeof s->path)
                        ? open_folder(s, opts->look_only, err)
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
    if (!s)
        return;
    trp_store_lease_give_back(&s->lease, s);
    trp_alloc_free(s->alloc, s);
}
