/* route/expr_pattern.c - regular expressions, which end.  See expr_tree.h.
 *
 * PCRE2 with three limits: the length of a pattern and of a text, and the steps of a match.  A
 * match that would take longer is unknown.  PCRE2 counts its steps anew for each place where a
 * match may begin, so the steps that a pattern may take at each are fewer the longer the text is,
 * unless it can begin at one place only.  Patterns are compiled once, to machine code where the
 * system allows that; a matcher holds what one match at a time works with, so that no match
 * allocates. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "route/expr_tree.h"

#define PATTERN_BYTES_MAX 2048u
#define SUBJECT_BYTES_MAX (16u * 1024)
#define STEPS_MAX 20000u /* from one place */
#define STEPS_MIN 200u
#define STEPS_TOGETHER 2000000u
#define DEPTH_MAX 1000u /* the next two: where there is no machine code */
#define HEAP_KIB_MAX 256u

struct trp_matcher {
    const struct trp_alloc *alloc;
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
};

static void *take_memory(size_t bytes, void *user)
{
    return trp_alloc_get(user, 1, bytes);
}

static void give_memory(void *block, void *user)
{
    trp_alloc_free(user, block);
}

/* PCRE2 takes a pointer that is not constant, and gives it back as it was. */
static void *user_of(const struct trp_alloc *alloc)
{
    union {
        const struct trp_alloc *constant;
        void *plain;
    } u = { .constant = alloc };
    return u.plain;
}

static bool refuse_pattern(struct trp_expr_work *w, uint32_t at, int code, size_t offset)
{
    PCRE2_UCHAR words[160];
    if (code == PCRE2_ERROR_HEAP_FAILED)
        return trp_expr_no_memory(w);
    if (pcre2_get_error_message(code, words, sizeof words) < 0)
        words[0] = '\0';
    return trp_expr_refuse(w, at, "pattern, at character %zu: %s", offset, (const char *)words);
}

static pcre2_code *compile(struct trp_expr_work *w, uint32_t at, struct trp_str pattern,
                           pcre2_general_context *general)
{
    const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C;
    int code = PCRE2_ERROR_HEAP_FAILED;
    PCRE2_SIZE offset = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    pcre2_code *out = NULL;
    if (context)
        out = pcre2_compile((PCRE2_SPTR)(pattern.len ? pattern.ptr : ""), pattern.len, options,
                            &code, &offset, context);
    if (context && !out && code == PCRE2_ERROR_NOMEMORY)
        code = PCRE2_ERROR_HEAP_FAILED;
    pcre2_compile_context_free(context);
    if (!out)
        (void)refuse_pattern(w, at, code, offset);
    return out;
}

bool trp_pattern_compile(struct trp_expr_work *w, uint32_t at, struct trp_str pattern,
                         struct trp_pattern **out)
{
    *out = NULL;
    if (pattern.len > PATTERN_BYTES_MAX)
        return trp_expr_refuse(w, at, "a pattern has at most %u bytes", PATTERN_BYTES_MAX);
    struct trp_pattern *p = trp_arena_zeroed(w->keep, 1, sizeof *p);
    pcre2_general_context *general =
        p ? pcre2_general_context_create(take_memory, give_memory, user_of(w->alloc)) : NULL;
    if (!general)
        return trp_expr_no_memory(w);
    p->code = compile(w, at, pattern, general);
    pcre2_general_context_free(general); /* the code has its own copy */
    if (!p->code)
        return false;
    (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE); /* without it the match is slower */
    uint32_t options = 0;
    (void)pcre2_pattern_info(p->code, PCRE2_INFO_ALLOPTIONS, &options);
    p->is_anchored = (options & PCRE2_ANCHORED) != 0;
    p->next = w->patterns;
    w->patterns = p;
    *out = p;
    return true;
}

void trp_pattern_free(struct trp_pattern *first)
{
    for (; first; first = first->next)
        pcre2_code_free(first->code);
}

static uint32_t steps_for(const struct trp_pattern *p, size_t places)
{
    const size_t each = STEPS_TOGETHER / (places + 1);
    if (p->is_anchored || each > STEPS_MAX)
        return STEPS_MAX;
    return each < STEPS_MIN ? STEPS_MIN : (uint32_t)each;
}

struct trp_fact trp_pattern_matches(const struct trp_pattern *p, struct trp_matcher *m,
                                    struct trp_str subject)
{
    if (!m)
        return trp_fact_unknown(TRP_UNKNOWN_NOT_TOLD);
    if (subject.len > SUBJECT_BYTES_MAX)
        return trp_fact_unknown(TRP_UNKNOWN_TOO_LARGE);
    (void)pcre2_set_match_limit(m->context, steps_for(p, subject.len));
    const int rc = pcre2_match(p->code, (PCRE2_SPTR)(subject.len ? subject.ptr : ""), subject.len,
                               0, 0, m->data, m->context);
    if (rc >= 0)
        return trp_fact_bool(true);
    return rc == PCRE2_ERROR_NOMATCH ? trp_fact_bool(false) : trp_fact_unknown(TRP_UNKNOWN_LIMIT);
}

trp_status trp_matcher_create(const struct trp_alloc *alloc, struct trp_matcher **out_matcher,
                              struct trp_error *err)
{
    *out_matcher = NULL;
    struct trp_matcher *m = trp_alloc_zeroed(alloc, 1, sizeof *m);
    if (m) {
        m->alloc = alloc;
        m->general = pcre2_general_context_create(take_memory, give_memory, user_of(alloc));
        m->context = m->general ? pcre2_match_context_create(m->general) : NULL;
        m->data = m->context ? pcre2_match_data_create(1, m->general) : NULL;
    }
    if (!m || !m->data) {
        trp_matcher_destroy(m);
        return trp_fail(err, TRP_OUT_OF_MEMORY, "matcher of patterns");
    }
    (void)pcre2_set_depth_limit(m->context, DEPTH_MAX);
    (void)pcre2_set_heap_limit(m->context, HEAP_KIB_MAX);
    *out_matcher = m;
    return trp_ok();
}

void trp_matcher_destroy(struct trp_matcher *m)
{
    if (!m)
        return;
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
    pcre2_general_context_free(m->general);
    trp_alloc_free(m->alloc, m);
}
