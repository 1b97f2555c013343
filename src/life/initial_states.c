/* life/initial_states.c - see initial_states.h. */
#include "life/initial_states.h"

#include "base/file.h"
#include "repo/repo.h"
#include "tensor/shape.h"

static trp_status check(const struct troupe_tensor *t, struct trp_str bytes, struct trp_error *err)
{
    uint64_t elements = 0;
    if (t->dtype == TROUPE_BYTES && trp_shape_elements(t->shape, t->rank, &elements))
        return trp_bytes_check(bytes.ptr, bytes.len, elements, err);
    if (bytes.len == t->bytes)
        return trp_ok();
    return trp_fail(err, TRP_INVALID_ARGUMENT, "it has %zu bytes, the state has %llu", bytes.len,
                    (unsigned long long)t->bytes);
}

/* The file as a piece of the arena. */
static trp_status read_inside(struct trp_arena *arena, struct trp_str folder, struct trp_str file,
                              uint64_t bytes_max, struct trp_str *out, struct trp_error *err)
{
    struct trp_str path;
    char *ptr;
    size_t len;
    if (folder.len == 0)
        return trp_fail(err, TRP_INVALID_ARGUMENT,
                        "a model that is a single file has no folder for it");
    const struct trp_str states =
        trp_arena_format(arena, "%.*s/" TRP_REPO_STATE_FOLDER, TRP_STR(folder));
    if (!states.ptr)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for its path");
    TRP_CHECK(trp_repo_inside(states, file, arena, &path, err));
    TRP_CHECK(trp_file_read(arena->alloc, path.ptr, (size_t)bytes_max, &ptr, &len, err));
    char *kept = trp_arena_get(arena, len + 1);
    if (kept)
        memcpy(kept, ptr, len);
    trp_alloc_free(arena->alloc, ptr);
    *out = trp_str_make(kept, len);
    return kept ? trp_ok() : trp_fail(err, TRP_OUT_OF_MEMORY, "no memory for %zu bytes", len);
}

static trp_status read_state(struct trp_arena *arena, struct trp_str folder, uint64_t bytes_max,
                             struct trp_sequence_state *s, struct trp_error *err)
{
    struct trp_str bytes = { NULL, 0 };
    TRP_CHECK(read_inside(arena, folder, s->data_file, bytes_max, &bytes, err));
    TRP_CHECK(check(&s->initial, bytes, err));
    s->initial.data = (char *)(uintptr_t)bytes.ptr;
    s->initial.bytes = bytes.len;
    return trp_ok();
}

trp_status trp_initial_states_read(struct trp_arena *arena, struct trp_str folder,
                                   uint64_t bytes_max, struct trp_sequence_config *config,
                                   struct trp_error *err)
{
    for (uint32_t i = 0; i < config->states_n; i++) {
        struct trp_sequence_state *s = &config->states[i];
        if (s->data_file.len)
            TRP_TRY(read_state(arena, folder, bytes_max, s, err), err, "initial_state '%.*s'",
                    TRP_STR(s->data_file));
    }
    return trp_sequence_config_zero(arena, config, err);
}
