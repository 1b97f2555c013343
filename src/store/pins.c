/* store/pins.c - see pins.h. */
#include "store/pins.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"

#define ENDING ".blobs"
#define NAME_BYTES TRP_SHA256_TEXT       /* "ab/cdef...", no end */
#define LINE_BYTES (TRP_SHA256_TEXT + 1) /* with its newline */
#define PINS_BYTES_MAX ((size_t)256 << 20)
#define ENTRIES_MAX 1000000u

trp_status trp_pins_open(struct trp_pins *p, const struct trp_store *s, const char *draft,
                         struct trp_error *err)
{
    *p = (struct trp_pins){ .store = s, .fd = -1 };
    if (snprintf(p->path, sizeof p->path, "%s" ENDING, draft) >= (int)sizeof p->path) {
        p->path[0] = '\0';
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
    }
    const trp_status st = trp_file_open(p->path, O_WRONLY | O_CREAT | O_EXCL, 0644, &p->fd, err);
    if (trp_failed(st))
        p->path[0] = '\0';
    return st;
}

void trp_pins_close(struct trp_pins *p)
{
    if (!p->path[0])
        return;
    (void)unlink(p->path);
    close(p->fd);
    p->path[0] = '\0';
}

trp_status trp_pins_add(struct trp_pins *p, const char *blob, struct trp_error *err)
{
    char line[LINE_BYTES + 1];
    int lock = -1;
    const int n = snprintf(line, sizeof line, "%s\n", blob);
    if (n != LINE_BYTES)
        return trp_fail(err, TRP_INTERNAL, "'%s' is no name of a blob", blob);
    TRP_CHECK(trp_store_lock(p->store, TRP_STORE_SHARED, &lock, err));
    const trp_status st = trp_disk_write_at(p->fd, line, LINE_BYTES, p->bytes, err);
    close(lock);
    TRP_TRY(st, err, "%s", p->path);
    p->bytes += LINE_BYTES;
    return st;
}

/* --- looking at all --------------------------------------------------------------------------- */

struct visit {
    const struct trp_store *store;
    trp_status (*each)(void *user, const char *blob, struct trp_error *err);
    void *user;
};

static trp_status visit_list(void *user, const char *name, struct trp_error *err)
{
    const struct visit *v = user;
    char path[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!trp_str_ends_with(trp_str_of(name), TRP_STR_LIT(ENDING)) ||
        !trp_store_part(v->store, "tmp", name, path))
        return trp_ok();
    trp_status st = trp_file_read(trp_heap(), path, PINS_BYTES_MAX, &text, &n, err);
    if (st.code == TRP_NOT_FOUND) /* its draft ended meanwhile */
        return trp_ok();
    for (size_t at = 0; !trp_failed(st) && n - at >= LINE_BYTES; at += LINE_BYTES) {
        text[at + NAME_BYTES] = '\0';
        st = v->each(v->user, text + at, err);
    }
    trp_alloc_free(trp_heap(), text);
    return st;
}

trp_status trp_pins_each(const struct trp_store *s,
                         trp_status (*each)(void *user, const char *blob, struct trp_error *err),
                         void *user, struct trp_error *err)
{
    struct visit v = { s, each, user };
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(s, "tmp", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
    return trp_dir_each(folder, ENTRIES_MAX, visit_list, &v, err);
}
