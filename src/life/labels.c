/* life/labels.c - see labels.h */
#include "life/labels.h"

#include "base/file.h"
#include "repo/repo.h"

#define LABELS_MAX 1000000u

static uint32_t count_lines(struct trp_str text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.len && n <= LABELS_MAX; i++)
        n += text.ptr[i] == '\n' || i + 1 == text.len;
    return n;
}

/* Splits a text in place; the pieces are shared with it. */
static uint32_t split_lines(struct trp_str text, struct trp_str *out)
{
    uint32_t n = 0;
    for (size_t start = 0; start < text.len;) {
        const char *end = memchr(text.ptr + start, '\n', text.len - start);
        const size_t stop = end ? (size_t)(end - text.ptr) : text.len;
        out[n] = trp_str_make(text.ptr + start, stop - start);
        if (out[n].len && out[n].ptr[out[n].len - 1] == '\r')
            out[n].len--;
        n++;
        start = stop + 1;
    }
    while (n && out[n - 1].len == 0)
        n--;
    return n;
}

trp_status trp_labels_split(struct trp_arena *arena, struct trp_str text, struct trp_io *io,
                            struct trp_error *err)
{
    const uint32_t lines = count_lines(text);
    if (lines > LABELS_MAX)
        return trp_fail(err, TRP_TOO_LARGE, "more than %u labels", LABELS_MAX);
    struct trp_str *labels = trp_arena_get(arena, ((size_t)lines + 1) * sizeof *labels);
    if (!labels)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "labels");
    io->labels = labels;
    io->labels_n = split_lines(text, labels);
    return trp_ok();
}

static trp_status read_labels(struct trp_arena *arena, struct trp_str path, uint64_t bytes_max,
                              struct trp_io *io, struct trp_error *err)
{
    char *read;
    size_t len;
    const trp_status st =
        trp_file_read(arena->alloc, path.ptr, (size_t)bytes_max, &read, &len, err);
    if (st.code == TRP_TOO_LARGE && err) {
        trp_error_within(err, "limits.config_bytes");
        err->limit = TRP_LIMIT_CONFIG;
    }
    TRP_CHECK(st);
    const struct trp_str text = trp_arena_dup(arena, trp_str_make(read, len));
    trp_alloc_free(arena->alloc, read);
    return text.ptr ? trp_labels_split(arena, text, io, err)
                    : trp_fail(err, TRP_OUT_OF_MEMORY, "labels");
}

static struct trp_io *find_output(const struct trp_signature *s, struct trp_io *outputs,
                                  struct trp_str name)
{
    for (uint32_t i = 0; i < s->outputs_n; i++)
        if (trp_str_is_equal(outputs[i].name, name))
            return &outputs[i];
    return NULL;
}

static trp_status attach_one(struct trp_arena *arena, struct trp_str folder, struct trp_str file,
                             uint64_t bytes_max, struct trp_io *io, struct trp_error *err)
{
    struct trp_str path;
    if (folder.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT, "a model that is a single file has no labels");
    TRP_CHECK(trp_repo_inside(folder, file, arena, &path, err));
    return read_labels(arena, path, bytes_max, io, err);
}

trp_status trp_labels_attach(struct trp_arena *arena, struct trp_str folder,
                             const struct trp_node *config, uint64_t bytes_max,
                             struct trp_signature *signature, struct trp_error *err)
{
    const struct trp_node *list = trp_node_get(config, "output");
    struct trp_io *outputs = NULL;
    const size_t all_n = (size_t)signature->outputs_n + signature->hidden_outputs_n;
    for (const struct trp_node *o = list ? list->first : NULL; o; o = o->next) {
        const struct trp_str none = { 0 };
        const struct trp_str file = trp_node_str(o, "label_filename", none);
        const struct trp_str name = trp_node_str(o, "name", none);
        if (file.len == 0)
            continue;
        if (!outputs) {
            outputs = trp_arena_get(arena, all_n * sizeof *outputs + 1);
            if (!outputs)
                return trp_fail(err, TRP_OUT_OF_MEMORY, "labels");
            if (all_n)
                memcpy(outputs, signature->outputs, all_n * sizeof *outputs);
        }
        struct trp_io *io = find_output(signature, outputs, name);
        if (io) /* an output that the file lacks was refused before */
            TRP_TRY(attach_one(arena, folder, file, bytes_max, io, err), err,
                    "labels of output '%.*s'", TRP_STR(name));
    }
    if (outputs)
        signature->outputs = outputs;
    return trp_ok();
}
