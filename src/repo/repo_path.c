/* repo/repo_path.c - see repo_path.h.
 *
 * A repository may be filled by people who are not the server's operator, so a link in it must not
 * make the server read something else.  Each name on the way down is looked at in turn: a plain
 * file or folder is what it is; a link is resolved to its real path, which must lie in the
 * repository's real path. */
#include "repo/repo_path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* True when `path` is `folder` or lies below it; both are real paths. */
static bool is_below(const char *path, const char *folder)
{
    const size_t len = strlen(folder);
    if (len == 1 && folder[0] == '/')
        return true;
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

trp_status trp_repo_walk_init(struct trp_repo_walk *w, const struct trp_repo_opts *opts,
                              const char *root, struct trp_arena *arena, struct trp_error *err)
{
    struct trp_file_stat st;
    w->opts = opts;
    w->arena = arena;
    w->len = w->root_len = strlen(root);
    if (w->len >= sizeof w->path)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "repository: path too long");
    memcpy(w->path, root, w->len + 1);
    TRP_TRY(trp_file_stat(w->path, &st, err), err, "repository");
    if (st.kind != 'd')
        return trp_fail(err, TRP_INVALID_ARGUMENT, "repository: %s is not a folder", w->path);
    if (!realpath(w->path, w->real))
        return trp_fail_errno(err, errno, "repository: %s", w->path);
    return trp_ok();
}

trp_status trp_repo_walk_push(struct trp_repo_walk *w, const char *name, struct trp_error *err)
{
    const size_t bytes = strlen(name);
    if (w->len + 1 + bytes >= sizeof w->path)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s/%s: path too long", w->path, name);
    w->path[w->len] = '/';
    memcpy(w->path + w->len + 1, name, bytes + 1);
    w->len += 1 + bytes;
    return trp_ok();
}

void trp_repo_walk_pop(struct trp_repo_walk *w, size_t len)
{
    w->len = len;
    w->path[len] = '\0';
}

const char *trp_repo_walk_place(const struct trp_repo_walk *w)
{
    const char *place = w->path + w->root_len;
    while (*place == '/')
        place++;
    return *place ? place : ".";
}

static struct trp_file_stat facts_of(const struct stat *st)
{
    return (struct trp_file_stat){ .kind = S_ISREG(st->st_mode)   ? 'f'
                                           : S_ISDIR(st->st_mode) ? 'd'
                                                                  : 'o',
                                   .bytes = (uint64_t)st->st_size,
                                   .inode = (uint64_t)st->st_ino,
                                   .device = (uint64_t)st->st_dev,
                                   .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
                                               st->st_mtim.tv_nsec };
}

trp_status trp_repo_walk_look(const struct trp_repo_walk *w, struct trp_file_stat *out,
                              struct trp_error *err)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(w->path, &st) != 0)
        return trp_fail_errno(err, errno, "%s", trp_repo_walk_place(w));
    if (!S_ISLNK(st.st_mode)) { /* nearly always: one look is enough */
        *out = facts_of(&st);
        return trp_ok();
    }
    if (!realpath(w->path, real))
        return trp_fail_errno(err, errno, "%s: link", trp_repo_walk_place(w));
    if (!is_below(real, w->real))
        return trp_fail(err, TRP_PERMISSION_DENIED, "%s: the link leaves the repository",
                        trp_repo_walk_place(w));
    return trp_file_stat(real, out, err);
}

/* ".." is refused wherever it stands, even where it would come back: nobody needs it, and it
 * hides what is meant. */
static bool goes_up(struct trp_str path)
{
    size_t start = 0;
    for (size_t i = 0; i <= path.len; i++) {
        if (i < path.len && path.ptr[i] != '/')
            continue;
        if (i - start == 2 && path.ptr[start] == '.' && path.ptr[start + 1] == '.')
            return true;
        start = i + 1;
    }
    return false;
}

trp_status trp_repo_inside(struct trp_str folder, struct trp_str relative, struct trp_arena *arena,
                           struct trp_str *out_path, struct trp_error *err)
{
    char real_folder[PATH_MAX], real[PATH_MAX];
    if (relative.len == 0 || relative.ptr[0] == '/' || memchr(relative.ptr, '\0', relative.len) ||
        goes_up(relative))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "path '%.*s' leaves the model's folder",
                        TRP_STR(relative));
    const struct trp_str base = trp_arena_format(arena, "%.*s", TRP_STR(folder));
    const struct trp_str path =
        trp_arena_format(arena, "%.*s/%.*s", TRP_STR(folder), TRP_STR(relative));
    if (!base.ptr || !path.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "path '%.*s'", TRP_STR(relative));
    if (!realpath(base.ptr, real_folder))
        return trp_fail_errno(err, errno, "%s", base.ptr);
    if (!realpath(path.ptr, real))
        return trp_fail_errno(err, errno, "'%.*s' beside the model", TRP_STR(relative));
    if (!is_below(real, real_folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "path '%.*s': a link leaves the model's folder",
                        TRP_STR(relative));
    struct trp_file_stat st;
    TRP_CHECK(trp_file_stat(real, &st, err));
    if (st.kind != 'f')
        return trp_fail(err, TRP_INVALID_ARGUMENT, "path '%.*s' is no file", TRP_STR(relative));
    *out_path = path;
    return trp_ok();
}
