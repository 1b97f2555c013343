/* store/store_key.c - see store_key.h.
 *
 * Reading a gigabyte to name it takes longer than mapping it.  So what was read once is written
 * down: for each model file a small text in seen/ that holds the size, time, inode and device of
 * all of its files, and the digest of their bytes:
 *
 *     troupe seen 1
 *     file 1048576 1700000000123456789 4242 65024 /models/a/model.onnx
 *     file ...
 *     digest 9f86d081...
 *
 * As long as stat() says the same of each, the digest holds.  A file that is replaced within one
 * tick of the file system's clock, at the same size and inode, is not noticed; nobody but its
 * writer could tell. */
#include "store/store_key.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/machine.h"
#include "onnx/onnx_reader.h"
#include "store/store_lease.h"

#define HEAD "troupe seen 1\n"
#define SEEN_MAX (16u << 20)
#define SCRATCH_BLOCK 65536
#define SCRATCH_MAX (256u << 20)
#define TEXT_MAX (1u << 20)
#define SEEN_NAME_MAX 33
#define NOTES_MAX 10000000u

static trp_status no_memory(struct trp_error *err)
{
    return trp_fail(err, TRP_OUT_OF_MEMORY, "key of a model");
}

static void seen_name(const char *path, char out[SEEN_NAME_MAX])
{
    const XXH128_hash_t hash = XXH3_128bits(path, strlen(path));
    (void)snprintf(out, SEEN_NAME_MAX, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64,
                   (uint64_t)hash.low64);
}

/* --- what was seen ---------------------------------------------------------------------------- */

static void add_file(struct trp_buf *b, const char *path, const struct trp_file_stat *st)
{
    char line[160];
    (void)snprintf(line, sizeof line, "file %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64 " ",
                   st->bytes, st->mtime_ns, st->inode, st->device);
    trp_buf_add_text(b, line);
    trp_buf_add_text(b, path);
    trp_buf_add_text(b, "\n");
}

/* Whether a line "file ..." still tells the truth. */
static bool is_unchanged(const char *line)
{
    struct trp_file_stat was, is;
    int at = 0;
    if (sscanf(line, "file %" SCNu64 " %" SCNd64 " %" SCNu64 " %" SCNu64 " %n", &was.bytes,
               &was.mtime_ns, &was.inode, &was.device, &at) != 4 ||
        at == 0 || trp_failed(trp_file_stat(line + at, &is, NULL)))
        return false;
    return is.kind == 'f' && is.bytes == was.bytes && is.mtime_ns == was.mtime_ns &&
           is.inode == was.inode && is.device == was.device;
}

/* The first file must be the model itself, of this path (NULL: whichever): two paths may have
 * one hash. */
static bool read_seen(char *text, const char *path, struct trp_sha256 *out)
{
    bool is_first = true;
    if (strncmp(text, HEAD, strlen(HEAD)) != 0)
        return false;
    for (char *line = text + strlen(HEAD), *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (strncmp(line, "digest ", 7) == 0)
            return !is_first && trp_sha256_parse(line + 7, out);
        const size_t n = path ? strlen(path) : 0, len = (size_t)(end - line);
        if (is_first && path && (len < n || strcmp(end - n, path) != 0))
            return false;
        if (!is_unchanged(line))
            return false;
        is_first = false;
    }
    return false;
}

static bool recall(const struct trp_store *s, const char *path, struct trp_sha256 *out)
{
    char file[TRP_STORE_PATH_MAX], name[SEEN_NAME_MAX];
    char *text = NULL;
    size_t n = 0;
    seen_name(path, name);
    if (!trp_store_part(s, "seen", name, file) ||
        trp_failed(trp_file_read(trp_heap(), file, SEEN_MAX, &text, &n, NULL)))
        return false;
    const bool is_known = strlen(text) == n && read_seen(text, path, out);
    trp_alloc_free(trp_heap(), text);
    return is_known;
}

/* Only costs time when it cannot be written, as in a store that is only looked at. */
static void remember(struct trp_store *s, const char *path, struct trp_buf *files,
                     const struct trp_sha256 *digest)
{
    char name[SEEN_NAME_MAX], text[TRP_SHA256_TEXT];
    struct trp_error err;
    trp_sha256_format(digest, text);
    trp_buf_add_text(files, "digest ");
    trp_buf_add_text(files, text);
    trp_buf_add_text(files, "\n");
    if (files->failed || !trp_store_own_lease(s)->name[0])
        return;
    seen_name(path, name);
    if (trp_failed(trp_store_replace(s, "seen", name, trp_buf_str(files), &err)))
        TRP_WARN(trp_store_log(s), "store", "will be read again: %s", err.text);
}

struct recalling {
    const struct trp_store *store;
    trp_status (*each)(void *user, const struct trp_sha256 *content, struct trp_error *err);
    void *user;
};

static trp_status visit_seen(void *user, const char *name, struct trp_error *err)
{
    const struct recalling *r = user;
    struct trp_sha256 content;
    char file[TRP_STORE_PATH_MAX];
    char *text = NULL;
    size_t n = 0;
    if (!trp_store_part(r->store, "seen", name, file))
        return trp_ok();
    const trp_status st = trp_file_read(trp_heap(), file, SEEN_MAX, &text, &n, err);
    if (trp_failed(st))
        return st.code == TRP_NOT_FOUND ? trp_ok() : st;
    const bool is_known = strlen(text) == n && read_seen(text, NULL, &content);
    trp_alloc_free(trp_heap(), text);
    return is_known ? r->each(r->user, &content, err) : trp_ok();
}

trp_status trp_store_content_each(const struct trp_store *s,
                                  trp_status (*each)(void *user, const struct trp_sha256 *content,
                                                     struct trp_error *err),
                                  void *user, struct trp_error *err)
{
    struct recalling r = { .store = s, .each = each, .user = user };
    char folder[TRP_STORE_PATH_MAX];
    if (!trp_store_part(s, "seen", NULL, folder))
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s: path too long", trp_store_path(s));
    const trp_status st = trp_dir_each(folder, NOTES_MAX, visit_seen, &r, err);
    return st.code == TRP_NOT_FOUND ? trp_ok() : st;
}

/* --- reading the files ------------------------------------------------------------------------ */

struct reading {
    struct trp_buf seen;    /* the text for seen/ */
    struct trp_buf digests; /* name and digest of each file, in order */
    struct trp_arena arena;
    const volatile int32_t *cancel;
};

static bool goes_on(void *user, size_t bytes)
{
    const struct reading *r = user;
    (void)bytes;
    return !trp_flag_word_is_up(r->cancel);
}

static trp_status read_one(struct reading *r, const char *name, const char *path,
                           struct trp_error *err)
{
    const struct trp_sha256_pace pace = { .go_on = goes_on, .user = r };
    struct trp_file_stat before, after;
    struct trp_sha256 digest;
    TRP_CHECK(trp_file_stat(path, &before, err));
    if (before.kind != 'f') /* whoever opens a pipe waits for its other end */
        return trp_fail(err, TRP_INVALID_ARGUMENT, "%s is no file", path);
    TRP_CHECK(trp_sha256_file_paced(path, &pace, &digest, err));
    TRP_CHECK(trp_file_stat(path, &after, err));
    if (before.bytes != after.bytes || before.mtime_ns != after.mtime_ns ||
        before.inode != after.inode)
        return trp_fail(err, TRP_UNAVAILABLE, "%s changes while it is read", path);
    add_file(&r->seen, path, &after);
    trp_buf_add(&r->digests, name, strlen(name) + 1);
    trp_buf_add(&r->digests, digest.bytes, sizeof digest.bytes);
    return trp_ok();
}

/* What a model names must lie beside it. */
static bool leads_out(struct trp_str name)
{
    if (name.len == 0 || name.ptr[0] == '/')
        return true;
    for (size_t i = 0, begin = 0; i <= name.len; i++) {
        if (i < name.len && name.ptr[i] != '/')
            continue;
        if (trp_str_is(trp_str_make(name.ptr + begin, i - begin), ".."))
            return true;
        begin = i + 1;
    }
    return false;
}

static trp_status read_externals(struct reading *r, const char *path,
                                 const struct trp_onnx_model *model, struct trp_error *err)
{
    const char *slash = strrchr(path, '/');
    const int folder_n = slash ? (int)(slash - path) + 1 : 0;
    for (uint32_t i = 0; i < model->files_n; i++) {
        const struct trp_str name = trp_arena_dup(&r->arena, model->files[i].path);
        const struct trp_str whole =
            trp_arena_format(&r->arena, "%.*s%.*s", folder_n, path, TRP_STR(name));
        if (!name.ptr || !whole.ptr)
            return no_memory(err);
        if (leads_out(name))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "external data '%s' leaves the folder",
                            name.ptr);
        TRP_CHECK(read_one(r, name.ptr, whole.ptr, err));
    }
    return trp_ok();
}

static trp_status read_files(struct reading *r, const char *path, struct trp_sha256 *out,
                             struct trp_error *err)
{
    static const struct trp_onnx_opts opts = { 0 };
    struct trp_onnx_model model;
    trp_buf_add_text(&r->seen, HEAD);
    TRP_CHECK(trp_onnx_read_file(path, &opts, &r->arena, &model, err));
    TRP_CHECK(read_one(r, "", path, err)); /* wherever it lies */
    TRP_CHECK(read_externals(r, path, &model, err));
    if (r->digests.failed)
        return no_memory(err);
    return trp_sha256_memory(r->digests.ptr, r->digests.len, out, err);
}

trp_status trp_store_content(struct trp_store *s, const char *path, const volatile int32_t *cancel,
                             struct trp_sha256 *out, struct trp_error *err)
{
    struct reading r = { .cancel = cancel };
    if (recall(s, path, out))
        return trp_ok();
    trp_buf_init(&r.seen, trp_heap(), SEEN_MAX);
    trp_buf_init(&r.digests, trp_heap(), SEEN_MAX);
    trp_arena_init(&r.arena, trp_heap(), SCRATCH_BLOCK, SCRATCH_MAX);
    const trp_status st = read_files(&r, path, out, err);
    if (!trp_failed(st))
        remember(s, path, &r.seen, out);
    trp_arena_deinit(&r.arena);
    trp_buf_deinit(&r.digests);
    trp_buf_deinit(&r.seen);
    return st;
}

/* --- the key ---------------------------------------------------------------------------------- */

static int compare_options(const void *a, const void *b)
{
    const struct troupe_option *x = a, *y = b;
    const int by_key = strcmp(x->key, y->key);
    return by_key ? by_key : strcmp(x->value, y->value);
}

static void add_line(struct trp_buf *b, const char *key, const char *value)
{
    trp_buf_add_text(b, key);
    trp_buf_add(b, "\0", 1); /* no text holds one, so no two lists look alike */
    trp_buf_add_text(b, value);
    trp_buf_add(b, "\0", 1);
}

static trp_status describe(struct trp_buf *b, const struct trp_store_subject *subject,
                           struct trp_error *err)
{
    char processor[256];
    struct troupe_option *options =
        trp_alloc_zeroed(trp_heap(), subject->options_n + 1, sizeof *options);
    if (!options)
        return no_memory(err);
    trp_machine_processor(processor, sizeof processor);
    add_line(b, "backend", subject->backend);
    add_line(b, "fingerprint", subject->fingerprint);
    add_line(b, "processor", processor);
    for (uint32_t i = 0; i < subject->options_n; i++)
        options[i] = subject->options[i];
    qsort(options, subject->options_n, sizeof *options, compare_options);
    for (uint32_t i = 0; i < subject->options_n; i++)
        add_line(b, options[i].key, options[i].value);
    trp_alloc_free(trp_heap(), options);
    return trp_ok();
}

static trp_status combine(const struct trp_sha256 *content, const struct trp_store_subject *subject,
                          struct trp_sha256 *out, struct trp_error *err)
{
    struct trp_buf text;
    trp_buf_init(&text, trp_heap(), TEXT_MAX);
    trp_buf_add(&text, content->bytes, sizeof content->bytes);
    trp_status st = describe(&text, subject, err);
    if (!trp_failed(st) && text.failed)
        st = trp_fail(err, (enum trp_code)text.failed, "options of a model");
    if (!trp_failed(st))
        st = trp_sha256_memory(text.ptr, text.len, out, err);
    trp_buf_deinit(&text);
    return st;
}

trp_status trp_store_key(struct trp_store *s, const struct trp_store_subject *subject,
                         struct trp_sha256 *out, struct trp_error *err)
{
    struct trp_sha256 content;
    TRP_CHECK(trp_store_content(s, subject->path, subject->cancel, &content, err));
    return combine(&content, subject, out, err);
}

trp_status trp_store_key_known(const struct trp_store *s, const struct trp_store_subject *subject,
                               struct trp_sha256 *out, struct trp_error *err)
{
    struct trp_sha256 content;
    if (!recall(s, subject->path, &content))
        return trp_fail(err, TRP_NOT_FOUND, "%s was not read yet", subject->path);
    return combine(&content, subject, out, err);
}
