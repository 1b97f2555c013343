#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "front/outbox.h"

struct wire {
    int fds[2]; /* [0] is written, [1] read */
    struct trp_outbox out;
    char *got;
    size_t got_n;
};

static void wire_open(struct wire *w)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fds), 0);
    trp_outbox_init(&w->out, trp_heap());
    w->got = NULL;
    w->got_n = 0;
}

static void wire_close(struct wire *w)
{
    trp_outbox_deinit(&w->out);
    free(w->got);
    close(w->fds[0]);
    if (w->fds[1] >= 0)
        close(w->fds[1]);
}

static void wire_read(struct wire *w)
{
    char piece[4096];
    ssize_t n;
    while ((n = recv(w->fds[1], piece, sizeof piece, MSG_DONTWAIT)) > 0) {
        w->got = realloc(w->got, w->got_n + (size_t)n);
        memcpy(w->got + w->got_n, piece, (size_t)n);
        w->got_n += (size_t)n;
    }
}

static void text_and_borrowed_ranges_keep_their_order(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w);
    trp_outbox_add(&w.out, "a", 1);
    trp_outbox_add(&w.out, "b", 1);
    trp_outbox_borrow(&w.out, "CD", 2);
    trp_outbox_borrow(&w.out, "", 0);
    trp_outbox_add(&w.out, "e", 1);
    trp_outbox_borrow(&w.out, "F", 1);
    assert_int_equal(w.out.end - w.out.first, 4); /* text behind text is one part */
    assert_int_equal(trp_outbox_left(&w.out), 6);
    assert_int_equal(trp_outbox_flush(&w.out, w.fds[0]), TRP_OUTBOX_EMPTY);
    wire_read(&w);
    assert_int_equal(w.got_n, 6);
    assert_memory_equal(w.got, "abCDeF", 6);
    assert_int_equal(trp_outbox_left(&w.out), 0);
    wire_close(&w);
}

/* The socket takes some, again and again, while more is added: nothing is lost, doubled or
 * moved. */
static void a_full_socket_is_gone_on_with_where_it_stopped(void **state)
{
    (void)state;
    enum { ROUNDS = 60, TEXT = 20011, BORROWED = 30011 };
    struct wire w;
    wire_open(&w);
    char *expected = malloc((size_t)ROUNDS * (TEXT + BORROWED)), *at = expected;
    char *lent = malloc((size_t)ROUNDS * BORROWED);
    bool was_blocked = false;
    for (int i = 0; i < ROUNDS; i++) {
        char text[TEXT], *range = lent + (size_t)i * BORROWED;
        for (int k = 0; k < TEXT; k++)
            text[k] = (char)(i * 31 + k * 7);
        for (int k = 0; k < BORROWED; k++)
            range[k] = (char)(i * 17 + k * 3);
        trp_outbox_add(&w.out, text, TEXT / 2);
        trp_outbox_add(&w.out, text + TEXT / 2, TEXT - TEXT / 2);
        trp_outbox_borrow(&w.out, range, BORROWED);
        memcpy(at, text, TEXT);
        memcpy(at + TEXT, range, BORROWED);
        at += TEXT + BORROWED;
        was_blocked |= trp_outbox_flush(&w.out, w.fds[0]) == TRP_OUTBOX_BLOCKED;
        if (i % 5 == 4)
            wire_read(&w);
    }
    while (trp_outbox_flush(&w.out, w.fds[0]) == TRP_OUTBOX_BLOCKED)
        wire_read(&w);
    wire_read(&w);
    assert_true(was_blocked);
    assert_int_equal(w.got_n, (size_t)(at - expected));
    assert_memory_equal(w.got, expected, w.got_n);
    assert_int_equal(w.out.sent, w.out.queued);
    assert_true(w.out.text.capacity <= 65536); /* what a burst took is given back */
    free(expected);
    free(lent);
    wire_close(&w);
}

static void many_small_parts_go_out_in_one_turn(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w);
    for (int i = 0; i < 1000; i++) {
        trp_outbox_borrow(&w.out, "x", 1);
        trp_outbox_add(&w.out, "y", 1);
    }
    assert_int_equal(trp_outbox_flush(&w.out, w.fds[0]), TRP_OUTBOX_EMPTY);
    wire_read(&w);
    assert_int_equal(w.got_n, 2000);
    for (size_t i = 0; i < w.got_n; i++)
        assert_int_equal(w.got[i], i % 2 ? 'y' : 'x');
    wire_close(&w);
}

static void a_peer_that_is_gone_is_noticed(void **state)
{
    (void)state;
    struct wire w;
    wire_open(&w);
    close(w.fds[1]);
    w.fds[1] = -1;
    trp_outbox_add(&w.out, "a", 1);
    assert_int_equal(trp_outbox_flush(&w.out, w.fds[0]), TRP_OUTBOX_BROKEN);
    wire_close(&w);
}

/* An allocator that gives `left` blocks. */
struct scarce {
    struct trp_alloc alloc;
    int left;
};
static void *scarce_alloc(const struct trp_alloc *a, size_t bytes, size_t align)
{
    struct scarce *s = a->user;
    return s->left-- > 0 ? trp_heap()->alloc(trp_heap(), bytes, align) : NULL;
}
static void scarce_free(const struct trp_alloc *a, void *block)
{
    (void)a;
    trp_heap()->free(trp_heap(), block);
}

static void without_memory_the_stream_is_broken_not_shortened(void **state)
{
    (void)state;
    for (int left = 0; left < 2; left++) {
        struct scarce s = { { scarce_alloc, scarce_free, &s, "scarce" }, left };
        struct wire w;
        wire_open(&w);
        trp_outbox_init(&w.out, &s.alloc);
        trp_outbox_add(&w.out, "a", 1);
        trp_outbox_borrow(&w.out, "b", 1);
        assert_true(w.out.failed);
        assert_int_equal(trp_outbox_flush(&w.out, w.fds[0]), TRP_OUTBOX_BROKEN);
        wire_read(&w);
        assert_int_equal(w.got_n, 0);
        wire_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_borrowed_ranges_keep_their_order),
        cmocka_unit_test(a_full_socket_is_gone_on_with_where_it_stopped),
        cmocka_unit_test(many_small_parts_go_out_in_one_turn),
        cmocka_unit_test(a_peer_that_is_gone_is_noticed),
        cmocka_unit_test(without_memory_the_stream_is_broken_not_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
