#include "front/exchange.h"

#include "front/conn.h"
#include "front/infer.h"
#include "front/pack.h"

#define IDLE_MAX 4096u                /* exchanges kept for reuse, 4 to 5 KB each */
#define ARENA_BYTES 4096u             /* enough for a route and a small control request */
#define ARENA_MORE ((size_t)64 << 20) /* beside the files of a load, which JSON carries encoded */
#define KEEP_BYTES 65536u             /* larger buffers are given back at once */
#define TEXT_MAX \
    ((size_t)1 << 31) /* guard of the texts of replies; outputs have limits of their own */

static struct trp_exchange *make(struct trp_front *f)
{
    const struct trp_alloc *alloc = f->opts.requests;
    struct trp_exchange *x = trp_alloc_zeroed(alloc, 1, sizeof *x);
    if (!x)
        return NULL;
    const struct trp_front_limits *l = &f->opts.limits;
    x->front = f;
    trp_head_init(&x->head, alloc, l->header_bytes, l->headers_n);
    trp_arena_init(&x->arena, alloc, ARENA_BYTES, (size_t)l->body_bytes + ARENA_MORE);
    trp_buf_init(&x->reply.text, alloc, TEXT_MAX);
    trp_buf_init(&x->unpacked, alloc, l->body_bytes + 2 * TRP_BODY_ALIGN);
    trp_buf_init(&x->packed, alloc, TEXT_MAX);
    return x;
}

static void destroy(struct trp_exchange *x)
{
    trp_head_deinit(&x->head);
    trp_arena_deinit(&x->arena);
    trp_buf_deinit(&x->reply.text);
    trp_buf_deinit(&x->unpacked);
    trp_buf_deinit(&x->packed);
    trp_alloc_free(x->front->opts.requests, x->parts);
    trp_alloc_free(x->front->opts.requests, x);
}

static void free_idle(struct trp_front *f, uint32_t n)
{
    for (; n > 0; n--) {
        struct trp_exchange *x = f->idle;
        f->idle = x->next;
        trp_low_water_take(&f->low);
        destroy(x);
    }
}

void trp_exchange_free_idle(struct trp_front *f)
{
    free_idle(f, f->low.idle_n);
}

void trp_exchange_age(struct trp_front *f)
{
    free_idle(f, trp_low_water_age(&f->low));
}

/* Everything from `conn` on is of one use only. */
static void zero_use(struct trp_exchange *x)
{
    const size_t from = offsetof(struct trp_exchange, conn);
    memset((char *)x + from, 0, sizeof *x - from);
}

struct trp_exchange *trp_exchange_take(struct trp_conn *conn, const struct trp_exchange_ops *ops,
                                       struct trp_exchange *parent)
{
    struct trp_front *f = conn->front;
    struct trp_exchange *x = f->idle;
    if (x) {
        f->idle = x->next;
        trp_low_water_take(&f->low);
    } else {
        x = make(f);
    }
    if (!x)
        return NULL;
    zero_use(x);
    f->exchanges_n++;
    x->error.status = trp_ok();
    x->conn = conn;
    x->ops = ops;
    x->parent = parent;
    if (parent)
        parent->held_n++;
    x->json_bytes = -1;
    x->arrived_ns = x->last_ns = trp_front_now_ns(f);
    x->next = conn->exchanges;
    if (x->next)
        x->next->prev = x;
    conn->exchanges = x;
    x->is_listed = true;
    return x;
}

static void keep_small(struct trp_buf *b)
{
    if (b->capacity > KEEP_BYTES) {
        const struct trp_buf was = *b;
        trp_buf_deinit(b);
        trp_buf_init(b, was.alloc, was.max);
    } else {
        trp_buf_reset(b);
    }
}

static void recycle(struct trp_exchange *x)
{
    struct trp_front *f = x->front;
    struct trp_exchange *parent = x->parent;
    trp_timer_disarm(f->loop, &x->timer);
    trp_timer_disarm(f->loop, &x->grpc.look);
    trp_infer_end(x);
    trp_body_release(&x->body);
    trp_arena_reset(&x->arena);
    keep_small(&x->reply.text);
    x->reply.parts = NULL; /* they lay in the call's arena */
    x->reply.parts_n = 0;
    keep_small(&x->unpacked);
    keep_small(&x->packed);
    if (x->grpc.pending.alloc)
        trp_buf_deinit(&x->grpc.pending);
    f->exchanges_n--;
    if (f->low.idle_n >= IDLE_MAX) {
        destroy(x);
    } else {
        x->next = f->idle;
        f->idle = x;
        trp_low_water_put(&f->low);
    }
    if (parent) {
        parent->held_n--;
        trp_exchange_settle(parent);
    }
    trp_front_check_drained(f);
}

void trp_exchange_settle(struct trp_exchange *x)
{
    const bool is_lent = x->call && x->call->lent_n > 0; /* children look at what came with it */
    if (x->is_written && !x->is_call_out && !x->is_control_out && x->held_n == 0 && !is_lent)
        recycle(x);
}

static void leave_conn(struct trp_exchange *x)
{
    if (!x->is_listed)
        return;
    x->is_listed = false;
    if (x->prev)
        x->prev->next = x->next;
    else
        x->conn->exchanges = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->conn->owed_bytes -= x->owed_bytes;
    x->conn = NULL;
}

/* The deadline has come. */
static void on_due(struct trp_timer *timer, int64_t now_ns)
{
    struct trp_exchange *x = TRP_CONTAINER_OF(timer, struct trp_exchange, timer);
    (void)now_ns;
    if (x->is_answered || (x->is_call_out && !trp_infer_expire(x)))
        return; /* too late: the answer is on its way */
    trp_front_count(x->front, TRP_METRIC_EXPIRED, 1);
    (void)trp_fail(&x->error, TRP_DEADLINE_EXCEEDED, "deadline exceeded");
    x->ops->answer(x);
}

trp_status trp_exchange_dispatch(struct trp_exchange *x)
{
    static const enum trp_metric counted[] = {
        [TRP_PROTOCOL_HTTP1] = TRP_METRIC_REQUESTS_HTTP1,
        [TRP_PROTOCOL_HTTP2] = TRP_METRIC_REQUESTS_HTTP2,
        [TRP_PROTOCOL_GRPC] = TRP_METRIC_REQUESTS_GRPC,
    };
    if (!x->is_dispatched && !x->grpc.is_stream) {
        x->is_dispatched = true;
        trp_front_count(x->front, counted[x->protocol], 1);
        trp_front_count(x->front, TRP_METRIC_IN_FLIGHT, 1);
    }
    if (x->deadline_ns == 0 || (x->timer.slot && x->timer.due_ns == x->deadline_ns))
        return x->error.status;
    x->timer.due = on_due;
    const trp_status st = trp_timer_arm(x->front->loop, &x->timer, x->deadline_ns, NULL);
    if (trp_failed(st) && !trp_failed(x->error.status))
        (void)trp_fail(&x->error, TRP_OUT_OF_MEMORY, "no memory to watch the deadline");
    return x->error.status;
}

static void on_control_done(struct trp_control *control, void *user)
{
    struct trp_exchange *x = user;
    (void)control;
    x->is_control_out = false;
    if (x->conn && !x->is_answered)
        x->ops->control_done(x);
    else
        trp_exchange_settle(x);
}

void trp_exchange_control(struct trp_exchange *x)
{
    struct trp_control *c = &x->control;
    c->protocol = x->protocol;
    c->loop_index = x->front->opts.loop_index;
    c->loop = x->front->loop;
    c->arena = &x->arena;
    c->deadline_ns = x->deadline_ns;
    c->done = on_control_done;
    c->done_user = x;
    x->is_control_out = true;
    x->front->opts.handlers.control(x->front->opts.handlers.user, c);
}

static void count_limit(struct trp_exchange *x)
{
    if (x->error.status.code == TRP_OUT_OF_MEMORY && !x->has_run_error)
        x->error.limit = TRP_LIMIT_MEMORY;
    trp_front_count_error(x->front, &x->error);
}

bool trp_exchange_mark_answered(struct trp_exchange *x)
{
    if (x->is_answered || !x->conn)
        return false;
    x->is_answered = true;
    x->answered_ns = trp_front_now_ns(x->front);
    trp_timer_disarm(x->front->loop, &x->timer);
    if (x->packing) /* of its body; a reply is packed from now on */
        trp_pack_stop(x);
    if (x->is_dispatched)
        trp_metric_sub(x->front->metrics, TRP_METRIC_IN_FLIGHT, 1);
    if (trp_failed(x->error.status))
        count_limit(x);
    return true;
}

void trp_exchange_written(struct trp_exchange *x)
{
    x->is_written = true;
    leave_conn(x);
    if (x->call)
        x->call->stamps_ns[TRP_PHASE_SENT] = trp_front_now_ns(x->front);
    trp_exchange_settle(x);
}

void trp_exchange_drop(struct trp_exchange *x)
{
    if (x->is_dispatched && !x->is_answered) {
        trp_metric_sub(x->front->metrics, TRP_METRIC_IN_FLIGHT, 1);
        trp_front_count(x->front, TRP_METRIC_CANCELLED, 1);
    }
    x->is_answered = true;
    trp_timer_disarm(x->front->loop, &x->timer);
    trp_timer_disarm(x->front->loop, &x->grpc.look);
    if (x->packing)
        trp_pack_stop(x);
    if (x->is_call_out)
        (void)trp_infer_cancel(x);
    x->is_written = true;
    leave_conn(x);
    trp_exchange_settle(x);
}

bool trp_exchange_room(struct trp_exchange *x, uint32_t n)
{
    if (n <= x->parts_capacity)
        return true;
    if (n < 8)
        n = 8; /* more than most replies need */
    struct trp_part *parts = trp_alloc_get(x->front->opts.requests, n, sizeof *parts);
    if (!parts)
        return false;
    trp_alloc_free(x->front->opts.requests, x->parts);
    x->parts = parts;
    x->parts_capacity = n;
    return true;
}
