/* admin/feedback_answers.c - what was right about a request: POST /api/feedback. */
#include "admin/admin_internal.h"
#include "base/json_members.h"

static trp_status write_answer(const struct trp_admin *a, const struct trp_control *c,
                               struct trp_buf *b, struct trp_error *err)
{
    const struct trp_feedback_outcome outcome = {
        .id = trp_node_str(c->request, "id", TRP_STR_LIT("")),
        .model = trp_node_str(c->request, "model", TRP_STR_LIT("")),
        .label = trp_node_get(c->request, "label"),
        .now_ns = trp_clock_now_ns(a->opts.clock)
    };
    trp_buf_add_char(b, '{');
    trp_json_add_str(b, "id", outcome.id);
    trp_json_add_key(b, "learned");
    TRP_CHECK(trp_feedback_tell(a->opts.feedback, &outcome, b, err));
    trp_buf_add_char(b, '}');
    return trp_buf_check(b, "reply", err);
}

trp_status trp_answer_feedback(struct trp_admin *a, struct trp_control *c, struct trp_error *err)
{
    enum { BYTES_MAX = 4 << 20 };
    struct trp_buf b;
    if (!a->opts.feedback)
        return trp_fail(err, TRP_UNIMPLEMENTED, "nothing learns from outcomes here");
    trp_buf_init(&b, c->arena->alloc, BYTES_MAX);
    trp_status st = write_answer(a, c, &b, err);
    if (!trp_failed(st))
        st = trp_control_reply_json(c, &b, err);
    trp_buf_deinit(&b);
    return st;
}
