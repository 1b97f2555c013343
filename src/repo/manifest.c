/* repo/manifest.c - see manifest.h */
#include "repo/manifest.h"

#include "base/file.h"
#include "base/json.h"
#include "base/sha256.h"
#include "repo/repo.h"

#define FILES_MAX 10000u
#define JSON_DEPTH_MAX 8u
#define ARENA_BLOCK_BYTES (16u << 10)
#define DIGITS (TRP_SHA256_TEXT - 1u)

struct check {
    const struct trp_manifest_opts *opts;
    struct trp_arena arena;
    struct trp_str folder;
    struct trp_str model_name; /* the model file's, below the folder */
    uint32_t files_n;
    bool has_model;
};

static bool may_go_on(void *user, size_t bytes)
{
    const struct check *c = user;
    (void)bytes;
    return !c->opts->stop || !trp_flag_is_up(c->opts->stop);
}

static trp_status compare(struct check *c, struct trp_str name, const struct trp_sha256 *want,
                          struct trp_error *err)
{
    const struct trp_sha256_pace pace = { .go_on = may_go_on, .user = c };
    struct trp_sha256 is;
    struct trp_str path;
    const trp_status there = trp_repo_inside(c->folder, name, &c->arena, &path, err);
    if (there.code == TRP_NOT_FOUND)
        return trp_fail(err, TRP_DATA_LOSS, "'%.*s' is not there (yet)", TRP_STR(name));
    TRP_CHECK(there);
    TRP_CHECK(trp_sha256_file_paced(path.ptr, &pace, &is, err));
    if (memcmp(is.bytes, want->bytes, sizeof is.bytes) == 0)
        return trp_ok();
    char text[TRP_SHA256_TEXT];
    trp_sha256_format(&is, text);
    return trp_fail(err, TRP_DATA_LOSS, "'%.*s' is not whole, or another file: its SHA-256 is %s",
                    TRP_STR(name), text);
}

/* One line of a manifest: the file and its 64 digits. */
static trp_status check_file(struct check *c, struct trp_str name, struct trp_str digits,
                             struct trp_error *err)
{
    char text[TRP_SHA256_TEXT];
    struct trp_sha256 want;
    if (++c->files_n > FILES_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u files", FILES_MAX);
    if (digits.len == DIGITS) {
        memcpy(text, digits.ptr, DIGITS);
        text[DIGITS] = '\0';
    }
    if (digits.len != DIGITS || !trp_sha256_parse(text, &want))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "'%.*s': a SHA-256 is 64 lower-case hexadecimal digits", TRP_STR(name));
    c->has_model |= trp_str_is_equal(name, c->model_name);
    return compare(c, name, &want, err);
}

/* ---- SHA256SUMS: "<digits>  name" or "<digits> *name", a line each ---- */

static trp_status check_line(struct check *c, struct trp_str line, struct trp_error *err)
{
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (line.len == 0 || line.ptr[0] == '#')
        return trp_ok();
    if (line.len < DIGITS + 3 || line.ptr[DIGITS] != ' ' ||
        (line.ptr[DIGITS + 1] != ' ' && line.ptr[DIGITS + 1] != '*'))
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "line %u is not of the form \"<SHA-256>  <file>\"", c->files_n + 1);
    struct trp_str name = trp_str_make(line.ptr + DIGITS + 2, line.len - DIGITS - 2);
    if (trp_str_starts_with(name, TRP_STR_LIT("./"))) /* as `find | xargs sha256sum` writes it */
        name = trp_str_make(name.ptr + 2, name.len - 2);
    return check_file(c, name, trp_str_make(line.ptr, DIGITS), err);
}

static trp_status check_sums(struct check *c, struct trp_str text, struct trp_error *err)
{
    while (text.len) {
        const char *end = memchr(text.ptr, '\n', text.len);
        const size_t len = end ? (size_t)(end - text.ptr) : text.len;
        TRP_CHECK(check_line(c, trp_str_make(text.ptr, len), err));
        const size_t used = len + (end != NULL);
        text = trp_str_make(text.ptr + used, text.len - used);
    }
    return trp_ok();
}

/* ---- manifest.json ---- */

static trp_status check_files(struct check *c, struct trp_json files, struct trp_error *err)
{
    struct trp_json_iter it;
    struct trp_json value;
    struct trp_str name, digits;
    if (trp_json_type(files) != TRP_JSON_OBJECT)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "\"files\" is not an object");
    for (bool ok = trp_json_begin(files, &it); ok && trp_json_next(&it, &name, &value);) {
        if (!trp_json_as_str(value, &digits))
            return trp_fail(err, TRP_INVALID_ARGUMENT, "'%.*s': its SHA-256 is not a text",
                            TRP_STR(name));
        TRP_CHECK(check_file(c, name, digits, err));
    }
    return trp_ok();
}

static trp_status check_root(struct check *c, struct trp_json root, struct trp_error *err)
{
    struct trp_json_iter it;
    struct trp_json value;
    struct trp_str key;
    bool has_files = false;
    for (bool ok = trp_json_begin(root, &it); ok && trp_json_next(&it, &key, &value);) {
        if (!trp_str_is(key, "files"))
            continue; /* whoever writes it may note more in it */
        has_files = true;
        TRP_CHECK(check_files(c, value, err));
    }
    if (!has_files)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "expected {\"files\": {\"<file>\": \"<SHA-256>\", ...}}");
    return trp_ok();
}

static trp_status check_json(struct check *c, struct trp_str text, struct trp_error *err)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    TRP_CHECK(trp_json_parser_create(text.len + 1, JSON_DEPTH_MAX, &parser, err));
    trp_status st = trp_json_parse(parser, text, false, &root, err);
    if (!trp_failed(st))
        st = check_root(c, root, err);
    trp_json_parser_destroy(parser);
    return st;
}

/* ---- the whole ---- */

static struct trp_str folder_of(struct trp_str path)
{
    while (path.len > 1 && path.ptr[path.len - 1] != '/')
        path.len--;
    return trp_str_make(path.ptr, path.len > 1 ? path.len - 1 : path.len);
}

static trp_status check_all(struct check *c, struct trp_error *err)
{
    const struct trp_manifest_opts *o = c->opts;
    char *text;
    size_t len;
    trp_status st =
        trp_file_read(o->alloc, o->manifest.ptr, (size_t)o->bytes_max, &text, &len, err);
    if (st.code == TRP_TOO_LARGE && err) {
        trp_error_within(err, "limits.config_bytes");
        err->limit = TRP_LIMIT_CONFIG;
    }
    TRP_CHECK(st);
    const bool is_json = trp_str_ends_with(o->manifest, TRP_STR_LIT("/" TRP_MANIFEST_JSON));
    st = is_json ? check_json(c, trp_str_make(text, len), err)
                 : check_sums(c, trp_str_make(text, len), err);
    trp_alloc_free(o->alloc, text);
    TRP_CHECK(st);
    if (!c->has_model)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "it does not name '%.*s'",
                        TRP_STR(c->model_name));
    return trp_ok();
}

trp_status trp_manifest_check(const struct trp_manifest_opts *opts, struct trp_error *err)
{
    struct check c = { .opts = opts, .folder = folder_of(opts->manifest) };
    const struct trp_str file = opts->model_file;
    const size_t skip = c.folder.len + 1;
    c.model_name = file.len > skip ? trp_str_make(file.ptr + skip, file.len - skip) : file;
    trp_arena_init(&c.arena, opts->alloc, ARENA_BLOCK_BYTES, 0);
    const trp_status st = check_all(&c, err);
    trp_arena_deinit(&c.arena);
    if (trp_failed(st))
        trp_error_within(err, "%s", strrchr(opts->manifest.ptr, '/') + 1);
    return st;
}
