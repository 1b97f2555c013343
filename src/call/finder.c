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
