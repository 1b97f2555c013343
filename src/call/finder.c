/* call/finder.c - see finder.h. */
#include "call/finder.h"

#include <string.h>

static const char unknown[] = "Request for unknown model: "; /* words for clients of that name */

static trp_status reword(trp_status st, struct trp_error *err)
{
    const size_t lead = sizeof unknown - 1;
    if (st.code == TRP_NOT_FOUND)
        st.code = TRP_NOT_READY;
    if (!err)
        return st;
    if (strncmp(err->text, unknown, lead) == 0)
        memmove(err->text, err->text + lead, strlen(err->text + lead) + 1);
    err->status = st;
    return st;
}

trp_status trp_finder_find(const struct trp_finder *f, uint32_t loop_index,
                           const struct trp_sought *sought, struct trp_target **out_target,
                           void (**out_release)(struct trp_target *), struct trp_error *err)
{
    if (!f->find)
        return trp_fail(err, TRP_NOT_READY, "nobody looks for '%.*s'", TRP_STR(sought->model));
    const trp_status st = f->find(f->user, loop_index, sought, out_target, out_release, err);
    return trp_failed(st) ? reword(st, err) : st;
}

static trp_status describe(struct trp_target *t, uint32_t loop_index,
                           const struct trp_finder_wish *wish, struct trp_error *err)
{
    struct trp_target_state now;
    if (wish->is_enough && wish->is_enough(t))
        return trp_ok();
    if (t->ops->describe)
        return t->ops->describe(t, loop_index, wish->arena, wish->out, err);
    if (!wish->out) {
        t->ops->state(t, &now);
        return now.ready ? trp_ok()
                         : trp_fail(err, TRP_NOT_READY, "'%.*s' is not ready: %.*s",
                                    TRP_STR(t->name), TRP_STR(now.reason));
    }
    const struct trp_signature *s = trp_target_signature(t);
    if (!s && t->ops->face)
        s = t->ops->face(t);
    if (!s)
        return trp_fail(err, TRP_NOT_READY,
                        "what '%.*s' takes is not known before it is loaded; its first request "
                        "loads it, or: troupe load %.*s",
                        TRP_STR(t->name), TRP_STR(t->name));
    return trp_signature_dup(s, wish->arena, wish->out, err);
}

trp_status trp_finder_describe(const struct trp_finder *f, uint32_t loop_index,
                               const struct trp_sought *sought, const struct trp_finder_wish *wish,
                               struct trp_error *err)
{
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    TRP_CHECK(trp_finder_find(f, loop_index, sought, &target, &release, err));
    const trp_status st = describe(target, loop_index, wish, err);
    if (release)
        release(target);
    return st;
}

trp_status trp_finder_explain(const struct trp_finder *f, const struct trp_sought *sought,
                              const struct trp_target_question *q, struct trp_buf *out,
                              struct trp_error *err)
{
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    trp_status st = trp_finder_find(f, q->loop_index, sought, &target, &release, err);
    const bool is_made = !trp_failed(st) && target->ops->explain;
    if (is_made && *q->left == 0)
        st = trp_fail(err, TRP_TOO_LARGE, "too many names are behind it for one explanation");
    if (is_made && *q->left > 0) {
        (*q->left)--;
        target->ops->explain(target, q, out);
    } else {
        trp_buf_add_text(out, "null");
    }
    if (release)
        release(target);
    return st;
}
