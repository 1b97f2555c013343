/* call/finder.c - see finder.h. */
#include "call/finder.h"

static trp_status find(const struct trp_finder *f, const struct trp_sought *sought,
                       uint32_t loop_index, struct trp_target **out_target,
                       void (**out_release)(struct trp_target *), struct trp_error *err)
{
    if (!f->find)
        return trp_fail(err, TRP_NOT_FOUND, "nobody looks for '%.*s'", TRP_STR(sought->model));
    return f->find(f->user, loop_index, sought, out_target, out_release, err);
}

trp_status trp_finder_explain(const struct trp_finder *f, const struct trp_sought *sought,
                              const struct trp_target_question *q, struct trp_buf *out,
                              struct trp_error *err)
{
    struct trp_target *target = NULL;
    void (*release)(struct trp_target *) = NULL;
    trp_status st = find(f, sought, q->loop_index, &target, &release, err);
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
