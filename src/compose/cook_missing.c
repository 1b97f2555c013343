/* compose/cook_missing.c - see cook_missing.h. */
#include "compose/cook_missing.h"

#define NAMES_MAX 4096u /* bytes of all; whoever would not fit is not named */

static const struct trp_str apart = { ", ", 2 };

/* The names that a call's answer has been said to lack; none: empty. */
static struct trp_str named_by(const struct trp_call *call)
{
    for (uint32_t i = 0; i < call->notes_n; i++)
        if (trp_str_is(call->notes[i].name, "troupe_missing"))
            return call->notes[i].v.s;
    return (struct trp_str){ NULL, 0 };
}

/* Cuts the first name off. */
static struct trp_str next_name(struct trp_str *names)
{
    size_t at = 0;
    while (at < names->len && names->ptr[at] != apart.ptr[0])
        at++;
    const struct trp_str name = trp_str_make(names->ptr, at);
    const size_t behind = at + apart.len < names->len ? at + apart.len : names->len;
    *names = trp_str_make(names->ptr + behind, names->len - behind);
    return name;
}

/* Whether "above/name", or the name alone where nothing stands above it, is among them. */
static bool is_named(struct trp_str names, struct trp_str above, struct trp_str name)
{
    const size_t len = above.len + (above.len > 0) + name.len;
    while (names.len > 0) {
        const struct trp_str has = next_name(&names);
        if (has.len == len && trp_str_starts_with(has, above) && trp_str_ends_with(has, name) &&
            (above.len == 0 || has.ptr[above.len] == '/'))
            return true;
    }
    return false;
}

static void add_name(struct trp_buf *all, struct trp_str above, struct trp_str name)
{
    const size_t bytes = apart.len + above.len + 1 + name.len;
    if (bytes > NAMES_MAX - all->len || is_named(trp_buf_str(all), above, name))
        return;
    if (all->len > 0)
        trp_buf_add_str(all, apart);
    if (above.len > 0) {
        trp_buf_add_str(all, above);
        trp_buf_add_char(all, '/');
    }
    trp_buf_add_str(all, name);
}

static void begin(const struct trp_cook *k, struct trp_buf *all)
{
    trp_buf_init(all, k->call->arena.alloc, NAMES_MAX);
    trp_buf_add_str(all, named_by(k->call));
}

/* Without memory the answer holds all the same; the next one says so again. */
static void say(struct trp_cook *k, struct trp_buf *all)
{
    struct trp_call *call = k->call;
    const struct trp_str names =
        all->failed ? (struct trp_str){ NULL, 0 } : trp_arena_dup(&call->arena, trp_buf_str(all));
    struct trp_param *notes = trp_arena_zeroed(&call->arena, 2, sizeof *notes);
    trp_buf_deinit(all);
    if (!names.ptr || !notes)
        return;
    notes[0] = (struct trp_param){ .name = TRP_STR_LIT("troupe_partial"),
                                   .kind = TRP_PARAM_BOOL,
                                   .v.b = true };
    notes[1] = (struct trp_param){ .name = TRP_STR_LIT("troupe_missing"),
                                   .kind = TRP_PARAM_STR,
                                   .v.s = names };
    if (call->notes_n == 0 && k->metrics)
        trp_metric_add(k->metrics, TRP_METRIC_COMPOSED_PARTIAL, 1);
    call->notes = notes;
    call->notes_n = 2;
}

void trp_cook_note_missing(struct trp_cook *k, const struct trp_recipe_step *join)
{
    struct trp_buf all;
    begin(k, &all);
    for (uint32_t i = 0; i < join->uses_n; i++) {
        const uint32_t tensor = join->uses[i].tensor;
        if (!k->tensors[tensor])
            add_name(&all, (struct trp_str){ NULL, 0 },
                     k->recipe->steps[k->recipe->tensors[tensor].maker].name);
    }
    say(k, &all);
}

void trp_cook_note_partial(struct trp_cook *k, const struct trp_call *child)
{
    struct trp_str names = named_by(child);
    struct trp_buf all;
    if (names.len == 0)
        return;
    begin(k, &all);
    while (names.len > 0)
        add_name(&all, k->recipe->steps[child->step].name, next_name(&names));
    say(k, &all);
}
