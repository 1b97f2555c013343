/* What the tests of this room share: a front on a loop with a clock of its own, and sockets into
 * it. */
#ifndef FRONT_FIXTURE_H
#define FRONT_FIXTURE_H

#include "unit/front/front_fake.h"

static inline int64_t fixture_now(void *user)
{
    return ((struct fixture *)user)->now_ns;
}

static inline int64_t fixture_wall(void *user)
{
    return ((struct fixture *)user)->now_ns + TRP_S(784887151); /* 15 Nov 1994 08:12:31 */
}

static inline void fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    f->clock = (struct trp_clock){ fixture_now, fixture_wall, f };
    f->now_ns = TRP_S(1);
    f->is_ready = true;
    (void)scarce_init(&f->loops, UINT64_MAX);
    (void)scarce_init(&f->requests, UINT64_MAX);
    f->limits = (struct trp_front_limits){
        .body_bytes = 4 << 20,
        .output_bytes = 8 << 20,
        .header_bytes = 4096,
        .headers_n = 20,
        .json_depth = 20,
        .tensors_n = 16,
        .params_n = 16,
        .connections_n = 8,
        .streams_n = 100,
        .stream_requests_n = 4,
        .calls_n = 256,
        .idle_ns = TRP_S(60),
        .header_ns = TRP_S(5),
        .body_ns = TRP_S(10),
        .compress_min_bytes = 256,
        .half_close_cancels = true,
    };
    static const char *const names[] = { "echo", "held", "bad" };
    for (size_t i = 0; i < ARRAY_LEN(f->targets); i++)
        f->targets[i] = (struct fake_target){ .target = { &fake_ops, trp_str_of(names[i]), 1 },
                                              .owner = f,
                                              .kind = (enum fake_kind)i };
}

static inline void fixture_start(struct fixture *f)
{
    struct trp_error err = { 0 };
    const struct trp_loop_opts loop = { .name = "test", .clock = &f->clock };
    const struct trp_pool_opts pool = { 0 };
    assert_int_equal(trp_loop_create(&f->loops.alloc, &loop, &f->loop, &err).code, TRP_OK);
    assert_int_equal(trp_pool_create(trp_heap(), &pool, &f->pool, &err).code, TRP_OK);
    assert_int_equal(trp_metrics_create(trp_heap(), 1, &f->metrics, &err).code, TRP_OK);
    const struct trp_trace_opts trace = { .file = "/dev/null" };
    assert_int_equal(trp_trace_create(trp_heap(), &trace, &f->trace, &err).code, TRP_OK);
    const struct trp_front_opts opts = { .loop = f->loop,
                                         .handlers = { f, fake_find, fake_control, fake_region,
                                                       fake_region_release, fake_finished },
                                         .limits = f->limits,
                                         .clock = &f->clock,
                                         .metrics = trp_metrics_shard(f->metrics, 0),
                                         .trace = f->trace,
                                         .log = f->log,
                                         .pool = f->pool,
                                         .requests = &f->requests.alloc,
                                         .connections = &f->connections,
                                         .age_ns = f->age_ns };
    assert_int_equal(trp_front_create(trp_heap(), &opts, &f->front, &err).code, TRP_OK);
}

static inline void fixture_turns(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(trp_loop_turn(f->loop, 0, NULL).code, TRP_OK);
}

/* As it is made, with nothing set. */
static inline void fixture_begin(struct fixture *f)
{
    fixture_open(f);
    fixture_start(f);
}

static inline void fixture_close(struct fixture *f)
{
    trp_front_destroy(f->front);
    assert_int_equal(trp_counter_get(&f->connections), 0);
    assert_int_equal(f->regions_held, 0);
    assert_int_equal(trp_metrics_get(f->metrics, TRP_METRIC_IN_FLIGHT), 0);
    trp_pool_trim(f->pool); /* takes in what was returned */
    assert_int_equal(trp_pool_leased_bytes(f->pool), 0);
    trp_pool_destroy(f->pool);
    trp_trace_destroy(f->trace);
    trp_metrics_destroy(f->metrics);
    trp_loop_destroy(f->loop);
    assert_int_equal(trp_counter_get(&f->loops.out), 0);
    assert_int_equal(trp_counter_get(&f->requests.out), 0);
}

/* A client's end of a new connection. */
static inline int fixture_connect(struct fixture *f, bool is_local)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    trp_front_take(f->front, fds[0], is_local);
    return fds[1];
}

static inline void fixture_send(int fd, const void *ptr, size_t len)
{
    assert_int_equal(send(fd, ptr, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Reads what is there; terminated.  -1: the server closed before anything came. */
static inline ssize_t fixture_receive(int fd, char *out, size_t room)
{
    size_t n = 0;
    for (;;) {
        const ssize_t got = recv(fd, out + n, room - 1 - n, MSG_DONTWAIT);
        if (got <= 0) {
            out[n] = '\0';
            return n == 0 && (got == 0 || errno == ECONNRESET) ? -1 : (ssize_t)n;
        }
        n += (size_t)got;
    }
}

static inline void fixture_release(struct fixture *f, uint32_t index)
{
    struct trp_call *call = f->held[index];
    memmove(f->held + index, f->held + index + 1,
            (f->held_n - index - 1) * sizeof(struct trp_call *));
    f->held_n--;
    fake_answer(call);
    trp_call_finish_soon(call);
}

static inline uint64_t fixture_metric(const struct fixture *f, enum trp_metric id)
{
    return (uint64_t)trp_metrics_get(f->metrics, id);
}

#endif
