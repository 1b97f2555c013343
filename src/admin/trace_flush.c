/* admin/trace_flush.c - an answer about tracing comes when the traces before it are in their file.
 *
 *   loop: flush_begin --mail--> every loop --the last--> writer of traces --mail--> loop: finish
 *
 * A client that has its answer may ask before the loop that sent it has handed the trace over; the
 * mail arrives behind that. Everything lies in the request's arena, which its loop does not
 * touch while the control is out. */
#include "admin/admin_internal.h"

struct hop {
    struct trp_mail mail;
    struct round *round;
};

struct round {
    struct trp_trace_flush flush;
    struct trp_trace *trace;
    struct trp_control *control;
    struct trp_refs left; /* hops under way */
    struct hop hops[];
};

/* On the writer's thread. */
static void flushed(struct trp_trace_flush *flush)
{
    struct round *r = TRP_CONTAINER_OF(flush, struct round, flush);
    trp_control_finish_from(r->control);
}

static void hop_done(struct round *r)
{
    if (trp_refs_down(&r->left))
        trp_trace_flush(r->trace, &r->flush);
}

static void arrive(struct trp_mail *mail)
{
    hop_done(TRP_CONTAINER_OF(mail, struct hop, mail)->round);
}

void trp_trace_flush_begin(struct trp_admin *a, struct trp_control *c)
{
    const uint32_t n = a->opts.loops_n;
    struct round *r = trp_arena_zeroed(c->arena, 1, sizeof *r + n * sizeof r->hops[0]);
    if (!r) {
        c->error.status = trp_fail(&c->error, TRP_OUT_OF_MEMORY, "no memory for the reply");
        trp_control_finish_soon(c);
        return;
    }
    r->flush.done = flushed;
    r->trace = a->opts.trace;
    r->control = c;
    trp_refs_init(&r->left); /* this function's own */
    for (uint32_t i = 0; i < n; i++)
        trp_refs_up(&r->left);
    for (uint32_t i = 0; i < n; i++) {
        r->hops[i] = (struct hop){ .mail.deliver = arrive, .round = r };
        trp_loop_post(a->opts.loops[i], &r->hops[i].mail);
    }
    hop_done(r);
}
