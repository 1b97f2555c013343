/* store/notes.c - see notes.h. */
#include "store/notes.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/disk.h"
#include "base/file.h"

#define NOTES_MAX 10000000u
#define NOTE_BYTES_MAX (16u << 20)
#define DAY_NS (INT64_C(86400) * 1000000000)

struct notes {
    const struct trp_store *store;
    const char *part;
    bool (*is_useless)(const struct notes *n, const char *path);
    int64_t now_ns;
    bool only_tell;
    uint32_t n;
};

/* The first line that names a file names the model; see store_key.c. */
static const char *model_of(char *text)
{
    int at = 0;
    char *line = strchr(text, '\n');
    char *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end)
        return NULL;
    *end = '\0';
    (void)sscanf(line + 1, "file %*u %*d %*u %*u %n", &at);
    return at > 0 ? line + 1 + at : NULL;
}

/* A file that changed keeps its note: the next reading replaces it. */
static bool is_of_nothing(const struct notes *n, const char *path)
{
    char *text = NULL;
    size_t len = 0;
    struct trp_file_stat st;
    (void)n;
    if (trp_failed(trp_file_read(trp_heap(), path, NOTE_BYTES_MAX, &text, &len, NULL)))
        return false;
    const char *model = model_of(text);
    const bool is_gone = !model || trp_file_stat(model, &st, NULL).code == TRP_NOT_FOUND;
    trp_alloc_free(trp_heap(), text);
    return is_gone;
}

static bool is_old(const struct notes *n, const char *path)
{
    struct trp_file_stat st;
    return !trp_failed(trp_file_stat(path, &st, NULL)) &&
           n->now_ns - st.mtime_ns > TRP_NOTES_BAD_DAYS * DAY_NS;
}

static trp_status visit(void *user, const char *name, struct trp_error *err)
{
    struct notes *n = user;
    char path[TRP_STORE_PATH_MAX];
    if (!trp_store_part(n->store, n->part, name, path) || !n->is_useless(n, path))
        return trp_ok();
    n->n++;
    return n->only_tell ? trp_ok() : trp_disk_remove(path, err);
}

static trp_status sweep(struct notes *n, const char *part,
                        bool (*is_useless)(const struct notes *n, const char *path),
                        struct trp_error *err)
{
    char folder[TRP_STORE_PATH_MAX];
    n->part = part;
    n->is_useless = is_useless;
    if (!trp_store_part(n->store, part, NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(n->store));
    const trp_status st = trp_dir_each(folder, NOTES_MAX, visit, n, err);
    return st.code == TRP_NOT_FOUND ? trp_ok() : st; /* a store that an older server made */
}

trp_status trp_notes_sweep(const struct trp_store *s, bool only_tell, uint32_t *out_n,
                           struct trp_error *err)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now); /* as the file system's times are */
    struct notes n = { .store = s,
                       .only_tell = only_tell,
                       .now_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec };
    trp_status st = sweep(&n, "seen", is_of_nothing, err);
    if (!trp_failed(st))
        st = sweep(&n, "bad", is_old, err);
    if (!trp_failed(st))
        st = sweep(&n, "rows", is_old, err);
    *out_n = n.n;
    return st;
}
