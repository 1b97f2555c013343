/* compose/cook_missing.c - see cook_missing.h. */
#include "compose/cook_missing.h"

#include <string.h>

#define NAMES_MAX 4096u   /* bytes of all; whoever would not fit is not named */
#define REASONS_MAX 2000u /* the same; then "..." stands behind them, for what would not fit */

static const struct trp_str apart = { ", ", 2 };   /* names */
static const struct trp_str further = { "; ", 2 }; /* reasons */

static struct trp_str note_of(const struct trp_call *call, const char *name)
{
    for (uint32_t i = 0; i < call->notes_n; i++)
        if (trp_str_is(call->notes[i].name, name))
            return call->notes[i].v.s;
    return (struct trp_str){ NULL, 0 };
}

/* The names that a call's answer has been said to lack; none: empty. */
static struct trp_str named_by(const struct trp_call *call)
{
    return note_of(call, "troupe_missing");
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

/* Whether a reason is one of them: from its beginning to its end, and not one of those in brackets,
 * which are a member's own.  Where a text has odd brackets it may be said again. */
static bool is_said(struct trp_str all, struct trp_str reason)
{
    uint32_t depth = 0;
    for (size_t at = 0; at + reason.len <= all.len; at++) {
        const struct trp_str before = trp_str_make(all.ptr, at);
        const struct trp_str rest = trp_str_make(all.ptr + at, all.len - at);
        const struct trp_str behind = trp_str_make(rest.ptr + reason.len, rest.len - reason.len);
        if (depth == 0 && (at == 0 || trp_str_ends_with(before, further)) &&
            trp_str_starts_with(rest, reason) &&
            (behind.len == 0 || trp_str_starts_with(behind, further)))
            return true;
        depth += all.ptr[at] == '(';
        depth -= all.ptr[at] == ')' && depth > 0;
    }
    return false;
}

/* Whether there was no room for one. */
static bool is_full(struct trp_str all)
{
    return trp_str_is(all, "...") || trp_str_ends_with(all, TRP_STR_LIT("; ..."));
}

/* Adds "cnn: it broke" or "pair (b: it broke)"; once, however many rows say it. */
static void add_reason(struct trp_buf *all, struct trp_str reason)
{
    const struct trp_str has = trp_buf_str(all);
    if (reason.len == 0 || is_full(has) || is_said(has, reason))
        return;
    const struct trp_str lead = has.len > 0 ? further : trp_str_make(NULL, 0);
    const bool fits = has.len + lead.len + reason.len <= REASONS_MAX;
    trp_buf_add_str(all, lead);
    trp_buf_add_str(all, fits ? reason : TRP_STR_LIT("..."));
}

/* What is said so far, of whom and why, and how much of it was said before. */
struct words {
    struct trp_buf names, reasons;
    size_t names_before, reasons_before; /* bytes */
};

static void begin(const struct trp_cook *k, struct words *w)
{
    trp_buf_init(&w->names, k->call->arena.alloc, NAMES_MAX);
    trp_buf_init(&w->reasons, k->call->arena.alloc, 2 * REASONS_MAX);
    trp_buf_add_str(&w->names, named_by(k->call));
    trp_buf_add_str(&w->reasons, note_of(k->call, "troupe_missing_because"));
    w->names_before = w->names.len;
    w->reasons_before = w->reasons.len;
}

/* "cnn: it broke" or "pair (b: it broke)", in pieces.  Written down for the time of the question
 * only: each of many rows may say the same. */
static void add_pieces(struct words *w, const struct trp_str *pieces, size_t n)
{
    struct trp_buf reason;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += pieces[i].len;
    trp_buf_init(&reason, w->reasons.alloc, bytes);
    for (size_t i = 0; i < n; i++)
        trp_buf_add_str(&reason, pieces[i]);
    if (!reason.failed)
        add_reason(&w->reasons, trp_buf_str(&reason));
    trp_buf_deinit(&reason);
}

static struct trp_str kept(struct trp_cook *k, struct trp_buf *words)
{
    struct trp_str text = { NULL, 0 };
    if (!words->failed && words->len > 0)
        text = trp_arena_dup(&k->call->arena, trp_buf_str(words));
    trp_buf_deinit(words);
    return text;
}

static struct trp_param text_note(const char *name, struct trp_str text)
{
    return (struct trp_param){ .name = trp_str_of(name), .kind = TRP_PARAM_STR, .v.s = text };
}

/* Without memory the answer holds all the same; the next one says so again.  What is kept stays
 * until the call ends: nothing is where nothing new is said. */
static void say(struct trp_cook *k, struct words *w)
{
    struct trp_call *call = k->call;
    if (w->names.len == w->names_before && w->reasons.len == w->reasons_before) {
        trp_buf_deinit(&w->names);
        trp_buf_deinit(&w->reasons);
        return;
    }
    const struct trp_str names = kept(k, &w->names), reasons = kept(k, &w->reasons);
    struct trp_param *notes = trp_arena_zeroed(&call->arena, 3, sizeof *notes);
    if (!names.ptr || !notes)
        return;
    notes[0] = (struct trp_param){ .name = TRP_STR_LIT("troupe_partial"),
                                   .kind = TRP_PARAM_BOOL,
                                   .v.b = true };
    notes[1] = text_note("troupe_missing", names);
    notes[2] = text_note("troupe_missing_because", reasons);
    if (call->notes_n == 0 && k->metrics)
        trp_metric_add(k->metrics, TRP_METRIC_COMPOSED_PARTIAL, 1);
    call->notes = notes;
    call->notes_n = reasons.len > 0 ? 3 : 2;
}

/* By ensemble and member. */
static void count_missing(const struct trp_cook *k, const struct trp_recipe_step *join)
{
    struct trp_counter *missing = k->recipe->missing;
    if (!missing)
        return;
    trp_counter_add(&missing[TRP_RECIPE_STEPS_MAX], 1);
    for (uint32_t i = 0; i < join->uses_n; i++)
        if (!k->tensors[join->uses[i].tensor])
            trp_counter_add(&missing[k->recipe->tensors[join->uses[i].tensor].maker], 1);
}

void trp_cook_note_missing(struct trp_cook *k, const struct trp_recipe_step *join)
{
    struct words w;
    count_missing(k, join);
    begin(k, &w);
    for (uint32_t i = 0; i < join->uses_n; i++) {
        const uint32_t maker = k->recipe->tensors[join->uses[i].tensor].maker;
        if (k->tensors[join->uses[i].tensor])
            continue;
        const struct trp_str name = k->recipe->steps[maker].name;
        add_name(&w.names, (struct trp_str){ NULL, 0 }, name);
        const struct trp_str why[] = { name, TRP_STR_LIT(": "), k->steps[maker].why };
        if (why[2].len > 0)
            add_pieces(&w, why, ARRAY_LEN(why));
    }
    say(k, &w);
}

void trp_cook_note_partial(struct trp_cook *k, const struct trp_call *child)
{
    const struct trp_str step = k->recipe->steps[child->step].name;
    struct trp_str names = named_by(child);
    struct words w;
    if (names.len == 0)
        return;
    begin(k, &w);
    while (names.len > 0)
        add_name(&w.names, step, next_name(&names));
    const struct trp_str reasons = note_of(child, "troupe_missing_because");
    const struct trp_str why[] = { step, TRP_STR_LIT(" ("), reasons, TRP_STR_LIT(")") };
    if (reasons.len > 0)
        add_pieces(&w, why, ARRAY_LEN(why));
    say(k, &w);
}
