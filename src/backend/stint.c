/* backend/stint.c - see stint.h. */
#include "backend/stint.h"

#include <unistd.h>

#include "base/clock.h"
#include "base/talk.h"

#define YARD_BYTES (UINT64_C(64) << 30) /* where nobody says another number */
#define RELEASED_BYTES_MAX (UINT64_C(16) << 20)
#define PATIENCE_NS TRP_MS(50) /* of a run that waits, before it looks whether it was cancelled */

/* ---- what it is charged with ---- */

static void uncharge(struct trp_stint *s, uint64_t bytes)
{
    if (bytes > 0)
        s->payer->discharge(s->payer->user, bytes);
    s->kept_bytes -= bytes;
}

static bool can_count(const struct troupe_account *a)
{
    return a && a->struct_size >= sizeof *a && a->charge && a->discharge;
}

/* The lock is held across the account's own, which wait for nobody. */
bool trp_stint_charge(struct trp_stint *s, const struct troupe_account *payer, uint64_t bytes)
{
    bool is_well = true;
    trp_lock_enter(&s->kept_lock);
    if (can_count(payer) && payer != s->payer) {
        uncharge(s, s->kept_bytes);
        s->payer = payer;
    }
    if (s->payer && !s->pays_nothing) {
        if (bytes < s->kept_bytes)
            uncharge(s, s->kept_bytes - bytes);
        is_well =
            bytes == s->kept_bytes || s->payer->charge(s->payer->user, bytes - s->kept_bytes) != 0;
        if (is_well)
            s->kept_bytes = bytes;
    }
    trp_lock_leave(&s->kept_lock);
    return is_well;
}

uint64_t trp_stint_note_refused(struct trp_stint *s, uint64_t refused)
{
    trp_lock_enter(&s->kept_lock);
    const uint64_t more = refused > s->refused ? refused - s->refused : 0;
    s->refused += more;
    trp_lock_leave(&s->kept_lock);
    return more;
}

static void charge_no_more(struct trp_stint *s)
{
    trp_lock_enter(&s->kept_lock);
    uncharge(s, s->kept_bytes);
    s->pays_nothing = true;
    trp_lock_leave(&s->kept_lock);
}

/* ---- beginning and end ---- */

static void destroy(struct trp_stint *s)
{
    for (uint32_t i = 0; i < s->idle_n; i++)
        close(s->idle[i]);
    if (s->peer >= 0)
        close(s->peer);
    if (s->control >= 0)
        close(s->control);
    trp_shm_close(&s->theirs);
    if (s->yard.shm.ptr)
        trp_yard_deinit(&s->yard);
    trp_signal_deinit(&s->changed);
    trp_lock_deinit(&s->kept_lock);
    trp_lock_deinit(&s->lock);
    trp_alloc_free(trp_heap(), s);
}

void trp_stint_ref(struct trp_stint *s)
{
    trp_refs_up(&s->refs);
}

void trp_stint_unref(struct trp_stint *s)
{
    if (s && trp_refs_down(&s->refs))
        destroy(s);
}

static trp_status make_shared(struct trp_stint *s, uint64_t yard_bytes, struct trp_error *err)
{
    const uint64_t bytes = yard_bytes ? yard_bytes : YARD_BYTES;
    struct trp_shm ours = { .fd = -1 };
    int ends[2];
    TRP_CHECK(trp_talk_pair(ends, err));
    s->control = ends[0];
    s->peer = ends[1];
    TRP_CHECK(trp_shm_create("troupe-inputs", bytes, &ours, err));
    trp_yard_init(&s->yard, &ours);
    return trp_shm_create("troupe-outputs", bytes, &s->theirs, err);
}

trp_status trp_stint_begin(const char *const *argv, const char *program,
                           struct trp_commons *commons, uint64_t yard_bytes,
                           struct trp_stint **out_stint, struct trp_error *err)
{
    *out_stint = NULL;
    struct trp_stint *s = trp_alloc_zeroed(trp_heap(), 1, sizeof *s);
    if (!s)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "a worker process");
    trp_refs_init(&s->refs);
    s->control = s->peer = -1;
    s->commons = commons;
    trp_lock_init(&s->lock, TRP_LOCK_STINT);
    trp_lock_init(&s->kept_lock, TRP_LOCK_KEPT);
    trp_signal_init(&s->changed);
    trp_status st = make_shared(s, yard_bytes, err);
    if (!trp_failed(st))
        st = trp_child_start(program, argv, s->peer, &s->child, err);
    if (trp_failed(st)) {
        trp_stint_unref(s);
        return st;
    }
    s->pid = s->child.pid;
    close(s->peer); /* else nobody would see that it has gone */
    s->peer = -1;
    *out_stint = s;
    return st;
}

trp_status trp_stint_order(struct trp_stint *s, struct trp_str order, struct trp_error *err)
{
    int commons_fd = -1;
    const uint64_t commons_bytes = s->commons ? trp_commons_bytes(s->commons, &commons_fd) : 0;
    struct trp_plot *p = trp_yard_take(&s->yard, order.len);
    if (!p)
        return trp_fail(err, TRP_OUT_OF_MEMORY, "an order of %zu bytes", order.len);
    memcpy(p->ptr, order.ptr, order.len);
    const struct trp_worker_message m = { .kind = TRP_WORKER_ORDER,
                                          .at = p->at,
                                          .bytes = order.len,
                                          .yards = { s->yard.shm.bytes, s->theirs.bytes },
                                          .commons = commons_bytes };
    const int fds[] = { s->yard.shm.fd, s->theirs.fd, commons_fd };
    const bool is_sent = trp_talk_send(s->control, &m, sizeof m, fds, commons_bytes > 0 ? 3 : 2);
    trp_yard_keep(&s->yard, p); /* the worker reads it when it comes to it */
    return is_sent ? trp_ok() : trp_fail(err, TRP_UNAVAILABLE, "the worker process has gone");
}

void trp_stint_end(struct trp_stint *s, int64_t wait_ns)
{
    char words[TRP_CHILD_WORDS_MAX] = "ended";
    trp_lock_enter(&s->lock);
    const uint32_t idle_n = s->idle_n;
    int idle[TRP_WORKER_LANES_MAX];
    memcpy(idle, s->idle, sizeof idle);
    s->idle_n = 0;
    s->lanes_n = TRP_WORKER_LANES_MAX; /* nobody makes another */
    trp_lock_leave(&s->lock);
    for (uint32_t i = 0; i < idle_n; i++)
        close(idle[i]);
    trp_talk_hang_up(s->control);
    if (!trp_child_wait(&s->child, wait_ns, words)) {
        trp_child_kill(&s->child);
        while (!trp_child_wait(&s->child, TRP_S(1), words))
            ; /* the kernel is at it */
    }
    charge_no_more(s);
    trp_lock_enter(&s->lock);
    s->is_over = true;
    memcpy(s->words, words, sizeof words);
    trp_signal_all(&s->changed);
    trp_lock_leave(&s->lock);
}

void trp_stint_wait_end(struct trp_stint *s, char out_words[TRP_CHILD_WORDS_MAX])
{
    trp_talk_hang_up(s->control);
    trp_lock_enter(&s->lock);
    while (!s->is_over)
        trp_signal_wait(&s->changed, &s->lock);
    memcpy(out_words, s->words, sizeof s->words);
    trp_lock_leave(&s->lock);
}

/* ---- lanes ---- */

/* Outside of the lock; the place is taken already. */
static int make_lane(struct trp_stint *s)
{
    const struct trp_worker_message m = { .kind = TRP_WORKER_LANE };
    int ends[2];
    if (trp_failed(trp_talk_pair(ends, NULL)))
        return -1;
    const bool is_sent = trp_talk_send(s->control, &m, sizeof m, &ends[1], 1);
    close(ends[1]);
    if (is_sent) {
        trp_talk_set_patience(ends[0], PATIENCE_NS);
        return ends[0];
    }
    close(ends[0]);
    return -1;
}

int trp_stint_take_lane(struct trp_stint *s)
{
    int lane = -1;
    trp_lock_enter(&s->lock);
    while (!s->is_over && s->idle_n == 0 && s->lanes_n == TRP_WORKER_LANES_MAX)
        trp_signal_wait(&s->changed, &s->lock);
    const bool must_make = !s->is_over && s->idle_n == 0;
    if (must_make)
        s->lanes_n++;
    else if (!s->is_over)
        lane = s->idle[--s->idle_n];
    trp_lock_leave(&s->lock);
    if (!must_make)
        return lane;
    lane = make_lane(s);
    if (lane < 0)
        trp_stint_give_lane(s, -1, true);
    return lane;
}

void trp_stint_give_lane(struct trp_stint *s, int lane, bool is_broken)
{
    trp_lock_enter(&s->lock);
    const bool is_kept = !is_broken && !s->is_over;
    if (is_kept)
        s->idle[s->idle_n++] = lane;
    else if (!s->is_over && s->lanes_n > 0)
        s->lanes_n--;
    trp_signal_one(&s->changed);
    trp_lock_leave(&s->lock);
    if (!is_kept && lane >= 0)
        close(lane);
}

/* ---- orders without an answer ---- */

void trp_stint_cancel(struct trp_stint *s, uint64_t run_id)
{
    const struct trp_worker_message m = { .kind = TRP_WORKER_CANCEL, .at = run_id };
    (void)trp_talk_send(s->control, &m, sizeof m, NULL, 0); /* one that has gone runs nothing */
}

uint32_t trp_stint_take_releases(struct trp_stint *s, uint64_t out[TRP_WORKER_RELEASES_MAX])
{
    trp_lock_enter(&s->lock);
    const uint32_t n = s->released_n;
    memcpy(out, s->released, n * sizeof *out);
    s->released_n = 0;
    s->released_bytes = 0;
    trp_lock_leave(&s->lock);
    return n;
}

static void send_releases(struct trp_stint *s)
{
    struct trp_worker_message m = { .kind = TRP_WORKER_RELEASE };
    m.n = trp_stint_take_releases(s, m.of.tokens);
    if (m.n > 0)
        (void)trp_talk_send(s->control, &m, sizeof m, NULL,
                            0); /* one that has gone holds nothing */
}

void trp_stint_release(struct trp_stint *s, uint64_t token, uint64_t bytes)
{
    for (;;) {
        trp_lock_enter(&s->lock);
        const bool has_room = s->released_n < TRP_WORKER_RELEASES_MAX;
        if (has_room) {
            s->released[s->released_n++] = token;
            s->released_bytes += bytes;
        }
        const bool is_much =
            s->released_n == TRP_WORKER_RELEASES_MAX || s->released_bytes > RELEASED_BYTES_MAX;
        trp_lock_leave(&s->lock);
        if (is_much)
            send_releases(s);
        if (has_room)
            return;
    }
}

void trp_stint_trim(struct trp_stint *s)
{
    const struct trp_worker_message m = { .kind = TRP_WORKER_TRIM };
    send_releases(s);
    (void)trp_talk_send(s->control, &m, sizeof m, NULL, 0);
    trp_yard_trim(&s->yard);
}
