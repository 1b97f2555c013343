/* model/wish.c - see wish.h. */
#include "model/wish.h"

trp_status trp_wish_read_shape(struct trp_wish *w, struct trp_str text, struct trp_error *err)
{
    struct trp_str rest = text;
    int64_t dims[TROUPE_RANK_MAX];
    uint32_t rank = 0;
    if (rest.len >= 2 && rest.ptr[0] == '[' && rest.ptr[rest.len - 1] == ']')
        rest = trp_str_make(rest.ptr + 1, rest.len - 2);
    while (rest.len) {
        const char *comma = memchr(rest.ptr, ',', rest.len);
        const size_t len = comma ? (size_t)(comma - rest.ptr) : rest.len;
        const bool is_last = !comma;
        if (rank == TROUPE_RANK_MAX ||
            !trp_str_parse_i64(trp_str_make(rest.ptr, len), &dims[rank]) || dims[rank] < -1 ||
            (!is_last && len + 1 == rest.len))
            return trp_fail(err, TRP_INVALID_ARGUMENT,
                            "shape '%.*s' is no list of at most %d sizes, such as -1,3,224,224 "
                            "(-1: any)",
                            (int)(text.len < 80 ? text.len : 80), text.ptr, TROUPE_RANK_MAX);
        rank++;
        rest =
            is_last ? (struct trp_str){ 0 } : trp_str_make(rest.ptr + len + 1, rest.len - len - 1);
    }
    w->has_shape = true;
    w->rank = rank;
    memcpy(w->dims, dims, rank * sizeof *dims);
    return trp_ok();
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Goes on from the last '*' when what follows it does not match: linear but for the stars. */
static bool does_glob(struct trp_str pattern, struct trp_str text)
{
    size_t p = 0, t = 0, star = SIZE_MAX, from = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            from = t;
        } else if (p < pattern.len && lower(pattern.ptr[p]) == lower(text.ptr[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++from;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

static bool does_name_fit(struct trp_str wish, struct trp_str name)
{
    if (wish.len == 0)
        return true;
    if (memchr(wish.ptr, '*', wish.len))
        return does_glob(wish, name);
    for (size_t i = 0; i + wish.len <= name.len; i++)
        if (trp_str_is_equal_nocase(trp_str_make(name.ptr + i, wish.len), wish))
            return true;
    return false;
}

static bool has_tag(const struct trp_card *card, struct trp_str tag)
{
    for (uint32_t i = 0; i < card->tags_n; i++)
        if (trp_str_is_equal_nocase(card->tags[i], tag))
            return true;
    return false;
}

static bool does_shape_fit(const struct trp_wish *w, const struct trp_io *io)
{
    if (!w->has_shape || io->any_rank)
        return true;
    if (io->rank != w->rank)
        return false;
    for (uint32_t d = 0; d < w->rank; d++)
        if (w->dims[d] >= 0 && io->dims[d] >= 0 && w->dims[d] != io->dims[d])
            return false;
    return true;
}

static bool does_input_fit(const struct trp_wish *w, const struct trp_card *card,
                           const struct trp_io *io)
{
    bool is_derived;
    return (w->dtype == TROUPE_NO_DTYPE || io->dtype == w->dtype) && does_shape_fit(w, io) &&
           (w->kind == TRP_INPUT_KINDS || trp_card_kind_of(card, io, &is_derived) == w->kind);
}

bool trp_wish_fits(const struct trp_wish *w, struct trp_str name, const struct trp_card *card,
                   const struct trp_signature *signature)
{
    if (w->task.len && !trp_str_is_equal_nocase(w->task, card->task))
        return false;
    for (uint32_t i = 0; i < w->tags_n; i++)
        if (!has_tag(card, w->tags[i]))
            return false;
    if (!does_name_fit(w->name, name))
        return false;
    if (w->kind == TRP_INPUT_KINDS && w->dtype == TROUPE_NO_DTYPE && !w->has_shape)
        return true;
    for (uint32_t i = 0; i < signature->inputs_n; i++)
        if (does_input_fit(w, card, &signature->inputs[i]))
            return true;
    return false;
}
