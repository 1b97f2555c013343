/* The pool: buffers come home from anywhere, limits hold, padding is there. */
#include "tensor/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"
#include "unit/base/scarce.h"
#include "unit/tensor/purse.h"

#define KB(n) ((size_t)(n) << 10)
#define MB(n) ((size_t)(n) << 20)

static struct trp_pool *make_pool(const struct trp_alloc *alloc, size_t keep, size_t max)
{
    const struct trp_pool_opts opts = { .keep_bytes_max = keep, .bytes_max = max };
    struct trp_pool *p;
    assert_int_equal(trp_pool_create(alloc, &opts, &p, NULL).code, TRP_OK);
    return p;
}

static void a_buffer_is_large_enough_aligned_and_padded(void **state)
{
    (void)state;
    static const struct row {
        size_t bytes, capacity;
    } rows[] = {
        { 0, KB(4) },
        { 1, KB(4) },
        { KB(4), KB(4) },
        { KB(4) + 1, KB(5) },
        { KB(5), KB(5) },
        { KB(7) + 1, KB(8) },
        { KB(8) + 1, KB(10) },
        { KB(600), KB(640) },
        { MB(16) - 1, MB(16) },
        { MB(16), MB(16) },
        { MB(16) + 1, MB(16) + 1 },
    };
    struct trp_pool *p = make_pool(trp_heap(), 0, 0);
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_lease *l = trp_pool_acquire(p, r->bytes);
        print_message("%zu bytes\n", r->bytes);
        assert_int_equal(l->capacity, r->capacity);
        assert_int_equal((uintptr_t)l->ptr % 64, 0);
        memset(l->ptr, 1, l->capacity);
        for (size_t i = 0; i < TRP_JSON_PADDING; i++)
            assert_int_equal(l->ptr[l->capacity + i], 0);
        trp_lease_release(l);
    }
    trp_pool_destroy(p);
}

static void every_size_wastes_a_fifth_at_most(void **state)
{
    (void)state;
    struct trp_pool *p = make_pool(trp_heap(), 0, 0);
    for (size_t bytes = KB(4); bytes <= MB(16); bytes += bytes / 7) {
        struct trp_lease *l = trp_pool_acquire(p, bytes);
        assert_true(l->capacity >= bytes && l->capacity - bytes <= l->capacity / 5);
        trp_lease_release(l);
        trp_pool_trim(p);
    }
    trp_pool_destroy(p);
}

static void a_released_buffer_is_lent_again(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_pool *p = make_pool(scarce_init(&scarce, 2), 0, 0); /* the pool and one buffer */
    struct trp_lease *l = trp_pool_acquire(p, 1000);
    const char *ptr = l->ptr;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(trp_pool_leased_bytes(p), KB(4));
        assert_int_equal(trp_pool_idle_bytes(p), 0);
        trp_lease_release(l);
        l = trp_pool_acquire(p, 2000);
        assert_ptr_equal(l->ptr, ptr);
    }
    trp_lease_release(l);
    trp_pool_destroy(p);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

static void a_shared_buffer_comes_home_with_its_last_owner(void **state)
{
    (void)state;
    struct trp_pool *p = make_pool(trp_heap(), 0, 0);
    struct trp_lease *l = trp_pool_acquire(p, 10);
    trp_lease_ref(l);
    trp_lease_release_tensor(l, l->ptr);
    trp_pool_trim(p);
    assert_int_equal(trp_pool_leased_bytes(p), KB(4));
    trp_lease_release(l);
    trp_pool_trim(p);
    assert_int_equal(trp_pool_leased_bytes(p), 0);
    assert_int_equal(trp_pool_idle_bytes(p), 0);
    trp_lease_release(NULL);
    trp_pool_destroy(p);
    trp_pool_destroy(NULL);
}

static void no_more_is_kept_than_allowed(void **state)
{
    (void)state;
    struct trp_pool *p = make_pool(trp_heap(), KB(8), 0);
    struct trp_lease *l[4];
    for (size_t i = 0; i < 4; i++)
        l[i] = trp_pool_acquire(p, KB(4));
    for (size_t i = 0; i < 4; i++)
        trp_lease_release(l[i]);
    trp_lease_release(trp_pool_acquire(p, MB(20))); /* fetches the four; is never kept itself */
    assert_int_equal(trp_pool_idle_bytes(p), KB(8));
    assert_int_equal(trp_pool_leased_bytes(p), 0);
    trp_pool_destroy(p);
}

static void what_nobody_needed_goes_with_the_second_look_and_what_is_in_use_stays(void **state)
{
    (void)state;
    struct trp_pool *p = make_pool(trp_heap(), 0, 0);
    struct trp_lease *l[4];
    for (size_t i = 0; i < 4; i++)
        l[i] = trp_pool_acquire(p, KB(4));
    for (size_t i = 0; i < 4; i++)
        trp_lease_release(l[i]);
    trp_pool_age(p); /* they were needed a moment ago */
    assert_int_equal(trp_pool_idle_bytes(p), KB(16));
    for (int i = 0; i < 3; i++) /* one at a time: three of the four lie idle */
        trp_lease_release(trp_pool_acquire(p, KB(4)));
    trp_pool_age(p);
    assert_int_equal(trp_pool_idle_bytes(p), KB(4));
    trp_pool_age(p);
    assert_int_equal(trp_pool_idle_bytes(p), 0);
    trp_pool_destroy(p);
}

static void the_limit_holds_for_leased_and_idle_together(void **state)
{
    (void)state;
    struct trp_pool *p = make_pool(trp_heap(), 0, KB(32));
    struct trp_lease *a = trp_pool_acquire(p, KB(16)), *b = trp_pool_acquire(p, KB(16));
    assert_non_null(a);
    assert_non_null(b);
    assert_null(trp_pool_acquire(p, 1));
    assert_null(trp_pool_acquire(p, MB(17)));
    assert_null(trp_pool_acquire(p, SIZE_MAX));
    trp_lease_release(a); /* idle now: it makes way for another size */
    struct trp_lease *c = trp_pool_acquire(p, KB(8));
    assert_non_null(c);
    assert_int_equal(trp_pool_leased_bytes(p), KB(24));
    assert_true(trp_pool_leased_bytes(p) + trp_pool_idle_bytes(p) <= KB(32));
    trp_lease_release(b);
    trp_lease_release(c);
    trp_pool_destroy(p);
}

static void an_exhausted_account_gets_the_idle_buffers_back_first(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_pool *p;
    const struct trp_pool_opts opts = { 0 };
    assert_int_equal(trp_pool_create(scarce_init(&scarce, 0), &opts, &p, NULL).code,
                     TRP_OUT_OF_MEMORY);
    assert_null(p);
    p = make_pool(scarce_init(&scarce, 2), 0, 0);
    trp_lease_release(trp_pool_acquire(p, KB(4)));
    assert_null(trp_pool_acquire(p, KB(64)));
    assert_int_equal(trp_pool_idle_bytes(p), 0);
    assert_int_equal(trp_counter_get(&scarce.out), 1); /* the pool itself */
    trp_counter_set(&scarce.left, 1);
    trp_lease_release(trp_pool_acquire(p, KB(64)));
    trp_pool_destroy(p);
}

/* ---- other threads --------------------------------------------------------------------------- */

enum { HELPERS = 3, ROUNDS = 3000 };

struct helper {
    struct trp_thread thread;
    struct trp_pile inbox; /* of leases, by `next` */
    struct trp_flag done;
};

static void release_all(void *user)
{
    struct helper *h = user;
    for (bool last = false; !last;) {
        last = trp_flag_is_up(&h->done); /* looked at before the inbox: nothing is left behind */
        struct trp_lease *l = trp_pile_take_all(&h->inbox);
        while (l) {
            struct trp_lease *next = l->next;
            memset(l->ptr, 0xff, 64); /* still ours */
            trp_lease_release(l);
            l = next;
        }
    }
}

static void hand_over(struct helper *h, struct trp_lease *l)
{
    void *top = trp_pile_top(&h->inbox);
    do
        l->next = top;
    while (!trp_pile_try_push(&h->inbox, &top, l));
}

/* In the middle of it the commons are opened, if there are any. */
static void lend_to_helpers(struct trp_pool *p, size_t smallest, size_t rounds,
                            struct trp_commons *commons)
{
    struct helper helpers[HELPERS] = { 0 };
    for (size_t i = 0; i < HELPERS; i++)
        assert_int_equal(
            trp_thread_start(&helpers[i].thread, "helper", release_all, &helpers[i], NULL).code,
            TRP_OK);
    for (size_t round = 0; round < rounds; round++) {
        if (commons && round == rounds / 2)
            assert_int_equal(trp_commons_open(commons, NULL).code, TRP_OK);
        for (size_t i = 0; i < HELPERS; i++) {
            struct trp_lease *l = trp_pool_acquire(p, round % 100 ? smallest << i : MB(17));
            assert_non_null(l);
            hand_over(&helpers[i], l);
        }
    }
    for (size_t i = 0; i < HELPERS; i++) {
        trp_flag_raise(&helpers[i].done);
        trp_thread_join(&helpers[i].thread);
    }
    trp_pool_trim(p);
    assert_int_equal(trp_pool_leased_bytes(p), 0);
}

static void buffers_released_on_other_threads_come_home(void **state)
{
    (void)state;
    struct scarce scarce;
    struct trp_pool *p = make_pool(scarce_init(&scarce, UINT64_MAX), 0, 0);
    lend_to_helpers(p, KB(4), ROUNDS, NULL);
    assert_int_equal(trp_counter_get(&scarce.out), 1);
    trp_pool_destroy(p);
    assert_int_equal(trp_counter_get(&scarce.out), 0);
}

/* ---- the commons ---- */

struct shared {
    struct trp_commons *commons;
    struct purse purse;
    struct trp_pool *pool;
};

static void make_shared(struct shared *s, size_t bytes_max)
{
    purse_init(&s->purse, UINT64_MAX);
    assert_int_equal(trp_commons_create(trp_heap(), UINT64_C(1) << 36, &s->commons, NULL).code,
                     TRP_OK);
    const struct trp_pool_opts opts = { .bytes_max = bytes_max,
                                        .commons = s->commons,
                                        .payer = &s->purse.account };
    assert_int_equal(trp_pool_create(trp_heap(), &opts, &s->pool, NULL).code, TRP_OK);
}

static void end_shared(struct shared *s)
{
    trp_pool_destroy(s->pool);
    assert_int_equal(trp_counter_get(&s->purse.bytes), 0);
    trp_commons_destroy(s->commons);
}

static bool is_common(const struct shared *s, const struct trp_lease *l)
{
    uint64_t at;
    return trp_commons_find(s->commons, l->ptr, l->capacity + TRP_JSON_PADDING, &at);
}

static void large_buffers_lie_in_the_commons_once_they_are_open(void **state)
{
    (void)state;
    struct shared s;
    make_shared(&s, 0);
    struct trp_lease *idle = trp_pool_acquire(s.pool, KB(600)),
                     *leased = trp_pool_acquire(s.pool, KB(600));
    assert_false(is_common(&s, idle) || is_common(&s, leased));
    trp_lease_release(idle);
    trp_lease_release(trp_pool_acquire(s.pool, KB(600))); /* the same one: it lies idle now */
    assert_int_equal(trp_commons_open(s.commons, NULL).code, TRP_OK);
    struct trp_lease *l = trp_pool_acquire(s.pool, KB(600));
    assert_true(is_common(&s, l));
    assert_int_equal((uintptr_t)l->ptr % 64, 0);
    memset(l->ptr, 1, l->capacity);
    for (size_t i = 0; i < TRP_JSON_PADDING; i++)
        assert_int_equal(l->ptr[l->capacity + i], 0);
    assert_true(trp_counter_get(&s.purse.bytes) >= KB(640));
    assert_int_equal(trp_pool_idle_bytes(s.pool), 0);
    trp_lease_release(leased); /* from before: it is not kept */
    struct trp_lease *small = trp_pool_acquire(s.pool, KB(64));
    assert_false(is_common(&s, small));
    assert_int_equal(trp_pool_idle_bytes(s.pool), 0);
    trp_lease_release(small);
    trp_lease_release(l);
    struct trp_lease *again = trp_pool_acquire(s.pool, KB(600));
    assert_ptr_equal(again, l);
    trp_lease_release(again);
    end_shared(&s);
}

static void a_buffer_that_finds_no_room_there_lies_elsewhere(void **state)
{
    (void)state;
    struct shared s;
    purse_init(&s.purse, UINT64_MAX);
    assert_int_equal(trp_commons_create(trp_heap(), MB(1), &s.commons, NULL).code, TRP_OK);
    const struct trp_pool_opts opts = { .commons = s.commons, .payer = &s.purse.account };
    assert_int_equal(trp_pool_create(trp_heap(), &opts, &s.pool, NULL).code, TRP_OK);
    assert_int_equal(trp_commons_open(s.commons, NULL).code, TRP_OK);
    struct trp_lease *first = trp_pool_acquire(s.pool, KB(600));
    assert_true(is_common(&s, first));
    struct trp_lease *second = trp_pool_acquire(s.pool, KB(600));
    assert_non_null(second);
    assert_false(is_common(&s, second));
    assert_int_equal(trp_commons_look(s.commons).refused, 1);
    memset(second->ptr, 1, second->capacity);
    trp_lease_release(second);
    trp_lease_release(first);
    struct trp_lease *again = trp_pool_acquire(s.pool, KB(600));
    assert_true(is_common(&s, again)); /* the other one was not kept */
    trp_lease_release(again);
    end_shared(&s);
}

static void the_largest_go_back_to_the_commons_at_once(void **state)
{
    (void)state;
    struct shared s;
    make_shared(&s, MB(40));
    assert_int_equal(trp_commons_open(s.commons, NULL).code, TRP_OK);
    struct trp_lease *l = trp_pool_acquire(s.pool, MB(30));
    assert_true(is_common(&s, l));
    assert_null(trp_pool_acquire(s.pool, MB(11))); /* the limit is the pool's */
    l->ptr[MB(30) - 1] = 1;
    trp_lease_release(l);
    assert_int_equal(trp_counter_get(&s.purse.bytes), 0);
    assert_int_equal(trp_commons_paid_bytes(s.commons), 0);
    end_shared(&s);
}

static void without_room_in_the_commons_a_buffer_lies_elsewhere(void **state)
{
    (void)state;
    struct shared s;
    make_shared(&s, 0);
    assert_int_equal(trp_commons_open(s.commons, NULL).code, TRP_OK);
    s.purse.most = 0;
    struct trp_lease *l = trp_pool_acquire(s.pool, KB(600));
    assert_non_null(l);
    assert_false(is_common(&s, l));
    trp_lease_release(l);
    end_shared(&s);
}

static void buffers_of_the_commons_come_home_from_other_threads(void **state)
{
    (void)state;
    struct shared s;
    make_shared(&s, 0);
    lend_to_helpers(s.pool, KB(60), ROUNDS / 3, s.commons);
    assert_int_equal(trp_commons_paid_bytes(s.commons), 0);
    end_shared(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_is_large_enough_aligned_and_padded),
        cmocka_unit_test(every_size_wastes_a_fifth_at_most),
        cmocka_unit_test(a_released_buffer_is_lent_again),
        cmocka_unit_test(a_shared_buffer_comes_home_with_its_last_owner),
        cmocka_unit_test(no_more_is_kept_than_allowed),
        cmocka_unit_test(what_nobody_needed_goes_with_the_second_look_and_what_is_in_use_stays),
        cmocka_unit_test(the_limit_holds_for_leased_and_idle_together),
        cmocka_unit_test(an_exhausted_account_gets_the_idle_buffers_back_first),
        cmocka_unit_test(buffers_released_on_other_threads_come_home),
        cmocka_unit_test(large_buffers_lie_in_the_commons_once_they_are_open),
        cmocka_unit_test(the_largest_go_back_to_the_commons_at_once),
        cmocka_unit_test(a_buffer_that_finds_no_room_there_lies_elsewhere),
        cmocka_unit_test(without_room_in_the_commons_a_buffer_lies_elsewhere),
        cmocka_unit_test(buffers_of_the_commons_come_home_from_other_threads),
    };
    return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
