/* front/pack.c - see pack.h.
 *
 * Problem.  30 MB take 100 ms to unpack, and a few KB can become as many MB; meanwhile this loop
 * would answer nobody.
 *
 * Design.  What is to be done for one body or reply is a job; jobs stand in the front's line.  A
 * piece of a job is one step of its coder: PIECE_IN bytes at most go in and PIECE_OUT come out, so
 * that neither a bomb nor input that becomes nothing (empty blocks, headers without end) makes a
 * piece long.  At the end of a turn pieces are done, one job after the other, until the turn's
 * share is used up.  A body whose bytes still come is unpacked as far as they go, so that little is
 * left to do when it is complete.
 *
 *   in line --piece--> in line (more to do) | aside (the rest has not come) | done
 *
 * Not done: executors do not help.  Moving bodies there and back costs as much as a piece, and
 * models need them. */
#include "front/pack.h"

#include "front/front_state.h"

#define ALIGN 16u /* what trp_buf's memory has */
#define PIECE_IN ((size_t)8 << 10)
#define PIECE_OUT ((size_t)32 << 10)
#define PIECE_COST (2 * (uint64_t)PIECE_OUT) /* the most that one takes in and gives out */
#define ROOM_MIN ((size_t)1 << 10)
#define GUESS_LARGE ((size_t)256 << 10) /* a packed body from here on is rarely JSON */

enum progress { MORE, STARVED, DONE };

struct trp_packing {
    struct trp_packing *prev, *next; /* the line */
    struct trp_exchange *x;
    struct trp_coder *coder;
    bool is_reply, is_in_line;
    bool is_complete; /* all input is there */
    size_t used;      /* of the body, or of the present part */
    /* a body */
    size_t shift;          /* before the first byte, for alignment */
    struct trp_buf larger; /* what outgrew x->unpacked moves there ... */
    size_t moved;          /* ... and has come so far */
    /* a reply */
    const struct trp_part *parts;
    struct trp_part single;
    uint32_t part, parts_n;
};

/* -- the line -- */

static void get_in_line(struct trp_packing *p)
{
    struct trp_front *f = p->x->front;
    if (p->is_in_line)
        return;
    p->is_in_line = true;
    p->next = NULL;
    p->prev = f->packing_last;
    if (p->prev)
        p->prev->next = p;
    else
        f->packing_first = p;
    f->packing_last = p;
}

static void leave_line(struct trp_packing *p)
{
    struct trp_front *f = p->x->front;
    if (!p->is_in_line)
        return;
    p->is_in_line = false;
    if (p->prev)
        p->prev->next = p->next;
    else
        f->packing_first = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        f->packing_last = p->prev;
}

static struct trp_packing *make(struct trp_exchange *x, enum trp_coding coding,
                                enum trp_coder_way way, struct trp_error *err)
{
    const struct trp_alloc *alloc = x->front->opts.requests;
    struct trp_packing *p = trp_alloc_zeroed(alloc, 1, sizeof *p);
    if (!p) {
        (void)trp_fail(err, TRP_OUT_OF_MEMORY, "%s: no memory", trp_coding_name(coding));
        return NULL;
    }
    p->x = x;
    p->is_reply = way == TRP_CODER_PACK;
    trp_buf_init(&p->larger, alloc, x->unpacked.max);
    if (trp_failed(trp_coder_create(alloc, coding, way, &p->coder, err))) {
        trp_alloc_free(alloc, p);
        return NULL;
    }
    x->packing = p;
    return p;
}

void trp_pack_stop(struct trp_exchange *x)
{
    struct trp_packing *p = x->packing;
    if (!p)
        return;
    x->packing = NULL;
    leave_line(p);
    trp_coder_destroy(p->coder);
    trp_buf_deinit(&p->larger);
    trp_alloc_free(x->front->opts.requests, p);
}

/* -- pieces of a body -- */

static enum progress fail_body(struct trp_packing *p)
{
    trp_error_within(&p->x->error, "body");
    return DONE;
}

static enum progress move_piece(struct trp_packing *p, uint64_t *cost)
{
    struct trp_buf *from = &p->x->unpacked;
    const size_t left = from->len - p->moved, n = left < PIECE_OUT ? left : PIECE_OUT;
    memcpy(p->larger.ptr + p->moved, from->ptr + p->moved, n);
    p->moved += n;
    *cost = n;
    if (n < left)
        return MORE;
    trp_front_count(p->x->front, TRP_METRIC_BYTES_COPIED, from->len);
    p->larger.len = from->len;
    trp_buf_deinit(from);
    *from = p->larger;
    trp_buf_init(&p->larger, from->alloc, from->max);
    return MORE;
}

/* How much is made of what is packed can only be guessed. */
static size_t first_room(const struct trp_packing *p)
{
    const size_t packed = p->is_complete ? p->x->body.len : p->x->body.room;
    return (packed < GUESS_LARGE ? 4 * packed : 2 * packed) + ROOM_MIN;
}

/* Memory for what comes next, and for the padding behind it. */
static enum progress grow_body(struct trp_packing *p)
{
    struct trp_buf *now = &p->x->unpacked;
    const bool is_first = now->len == p->shift;
    struct trp_buf *b = is_first ? now : &p->larger;
    const size_t bytes = is_first ? first_room(p) : 2 * now->capacity;
    p->moved = 0;
    if (trp_buf_room(b, bytes < b->max - b->len ? bytes : b->max - b->len))
        return MORE;
    (void)trp_buf_check(b, "unpacked", &p->x->error);
    return fail_body(p);
}

static enum progress end_body(struct trp_packing *p)
{
    struct trp_exchange *x = p->x;
    if (trp_failed(trp_coder_check(p->coder, x->body.len, &x->error)))
        return fail_body(p);
    const size_t len = x->unpacked.len - p->shift;
    trp_front_count(x->front, TRP_METRIC_BYTES_COPIED, len);
    x->is_padded = true; /* room was kept for it */
    x->bytes = trp_str_make(x->unpacked.ptr + p->shift, len);
    return DONE;
}

static enum progress after_step(struct trp_packing *p, const struct trp_coder_step *step)
{
    struct trp_exchange *x = p->x;
    const uint64_t limit = x->front->opts.limits.body_bytes;
    p->used += step->used;
    trp_buf_added(&x->unpacked, step->made);
    if (x->unpacked.len - p->shift > limit) {
        (void)trp_fail_limit(&x->error, TRP_TOO_LARGE, TRP_LIMIT_BODY,
                             "the body is larger than %llu bytes when unpacked (limits.body_bytes)",
                             (unsigned long long)limit);
        return DONE;
    }
    if (step->used || step->made)
        return step->is_over && p->is_complete ? end_body(p) : MORE;
    return p->is_complete ? end_body(p) : STARVED;
}

static enum progress unpack_piece(struct trp_packing *p, uint64_t *cost)
{
    struct trp_exchange *x = p->x;
    struct trp_buf *b = &x->unpacked;
    *cost = 0;
    if (p->larger.ptr)
        return move_piece(p, cost);
    const size_t kept = b->len + TRP_JSON_PADDING;
    if (b->capacity <= kept)
        return grow_body(p);
    const size_t room = b->capacity - kept < PIECE_OUT ? b->capacity - kept : PIECE_OUT;
    const size_t left = x->body.len - p->used, n = left < PIECE_IN ? left : PIECE_IN;
    struct trp_coder_step step;
    if (trp_failed(trp_coder_step(p->coder, trp_str_make(x->body.ptr + p->used, n),
                                  p->is_complete && n == left, b->ptr + b->len, room, &step,
                                  &x->error)))
        return fail_body(p);
    *cost = step.used + step.made;
    return after_step(p, &step);
}

/* -- pieces of a reply -- */

static enum progress pack_piece(struct trp_packing *p, uint64_t *cost)
{
    struct trp_exchange *x = p->x;
    const struct trp_part *part = &p->parts[p->part];
    const size_t left = part->len - p->used, n = left < PIECE_OUT ? left : PIECE_OUT;
    const bool is_last = p->part + 1 == p->parts_n && n == left;
    const size_t room = x->packed.capacity - x->packed.len; /* enough, see trp_pack_reply() */
    struct trp_coder_step step;
    *cost = 0;
    if (room == 0 ||
        trp_failed(trp_coder_step(p->coder, trp_str_make((const char *)part->ptr + p->used, n),
                                  is_last, x->packed.ptr + x->packed.len,
                                  room < PIECE_OUT ? room : PIECE_OUT, &step, NULL)))
        return DONE;
    *cost = step.used + step.made;
    trp_buf_added(&x->packed, step.made);
    p->used += step.used;
    if (p->used == part->len && p->part + 1 < p->parts_n) {
        p->part++;
        p->used = 0;
    }
    x->is_packed = step.is_over;
    return step.is_over ? DONE : MORE;
}

/* -- turns -- */

/* While no more than one of so many parts of the turn's share is used up. */
static bool may_go_on(const struct trp_front *f, int parts)
{
    return f->packed_bytes + PIECE_COST <= TRP_PACK_TURN_BYTES / (uint64_t)parts &&
           f->packed_ns < TRP_PACK_TURN_NS / parts;
}

static enum progress do_piece(struct trp_packing *p)
{
    struct trp_front *f = p->x->front;
    const int64_t begun_ns = trp_clock_now_ns(f->opts.clock);
    uint64_t cost = 0;
    const enum progress progress = p->is_reply ? pack_piece(p, &cost) : unpack_piece(p, &cost);
    f->packed_bytes += cost;
    f->packed_ns += trp_clock_now_ns(f->opts.clock) - begun_ns;
    return progress;
}

static void finish(struct trp_packing *p)
{
    struct trp_exchange *x = p->x;
    const bool is_reply = p->is_reply;
    trp_pack_stop(x);
    if (is_reply) {
        x->ops->packed(x);
        return;
    }
    trp_body_release(&x->body);
    x->ops->unpacked(x);
}

/* A small one is done before others that have many pieces to go; these keep half of the turn. */
static void begin(struct trp_packing *p)
{
    while (may_go_on(p->x->front, 2)) {
        if (do_piece(p) == DONE) {
            finish(p);
            return;
        }
    }
    get_in_line(p);
}

/* Why a body cannot be unpacked is told when its end has come, and the client listens. */
static void advance(struct trp_packing *p)
{
    const enum progress progress = do_piece(p);
    leave_line(p);
    if (progress == MORE)
        get_in_line(p);
    else if (progress == DONE && (p->is_reply || p->is_complete))
        finish(p);
}

void trp_pack_turn_end(struct trp_front *f)
{
    if (!f->packing_first && f->packed_bytes == 0)
        return;
    while (f->packing_first) {
        advance(f->packing_first);
        trp_loop_again(f->loop); /* there may be answers */
        if (!may_go_on(f, 1))
            break;
    }
    trp_metric_raise(f->metrics, TRP_METRIC_PACKED_TURN_MAX, f->packed_bytes);
    if (f->packing_first)
        trp_front_count(f, TRP_METRIC_PACKING_POSTPONED, 1);
    f->packed_bytes = 0;
    f->packed_ns = 0;
}

/* -- bodies and replies -- */

static struct trp_packing *body_of(struct trp_exchange *x, enum trp_coding coding,
                                   uint64_t aligned_at)
{
    static const char zeros[ALIGN];
    if (x->packing)
        return x->packing;
    struct trp_packing *p = make(x, coding, TRP_CODER_UNPACK, &x->error);
    if (!p)
        return NULL;
    p->shift = (size_t)((ALIGN - aligned_at % ALIGN) % ALIGN);
    trp_buf_reset(&x->unpacked);
    trp_buf_add(&x->unpacked, zeros, p->shift);
    return p;
}

void trp_pack_body_grew(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at)
{
    struct trp_packing *p = trp_failed(x->error.status) ? NULL : body_of(x, coding, aligned_at);
    if (p)
        get_in_line(p);
}

void trp_pack_body_end(struct trp_exchange *x, enum trp_coding coding, uint64_t aligned_at)
{
    struct trp_packing *p = trp_failed(x->error.status) ? NULL : body_of(x, coding, aligned_at);
    if (!p) {
        x->ops->unpacked(x);
        return;
    }
    p->is_complete = true;
    begin(p);
}

void trp_pack_reply(struct trp_exchange *x, enum trp_coding coding, const struct trp_part *parts,
                    uint32_t parts_n, uint64_t bytes)
{
    struct trp_packing *p = make(x, coding, TRP_CODER_PACK, NULL);
    trp_buf_reset(&x->packed);
    x->is_packed = false;
    if (!p || !trp_buf_room(&x->packed, trp_coder_bound(p->coder, (size_t)bytes))) {
        trp_pack_stop(x);
        x->ops->packed(x);
        return;
    }
    p->single = parts[0];
    p->parts = parts_n == 1 ? &p->single : parts;
    p->parts_n = parts_n;
    begin(p);
}
