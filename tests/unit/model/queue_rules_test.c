/* What a model's owner says of its queue: Triton's levels and policies, and our deadline and
 * rate limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/queue_rules.h"

struct read {
    struct trp_arena arena;
    struct trp_error err;
    const struct trp_queue_rules *rules;
    trp_status st;
};

static void read_rules(struct read *r, const char *text)
{
    struct trp_node *tree = NULL;
    *r = (struct read){ .rules = NULL };
    trp_arena_init(&r->arena, trp_heap(), 4096, 1 << 20);
    r->st = trp_model_config_parse(&r->arena, trp_str_of(text), "model.yaml", &tree, NULL, &r->err);
    if (!trp_failed(r->st))
        r->st = trp_queue_rules_take(&r->arena, tree, &r->rules, &r->err);
}

static void nothing_written_is_nothing_kept(void **state)
{
    (void)state;
    static const char *const texts[] = { "max_batch_size: 4\n", "dynamic_batching: {}\n" };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct read r;
        read_rules(&r, texts[i]);
        assert_int_equal(r.st.code, TRP_OK);
        assert_null(r.rules);
        trp_arena_deinit(&r.arena);
    }
    assert_int_equal(trp_queue_rules_level(NULL, 3), 0);
    assert_int_equal(trp_queue_rules_timeout_ns(NULL, 3), 0);
    assert_int_equal(trp_queue_rules_level_max(NULL, 3), 0);
    assert_int_equal(trp_queue_rules_calls_max(NULL), 0);
    assert_false(trp_queue_rules_has_rate(NULL));
}

static const char full[] = "max_batch_size: 4\n"
                           "dynamic_batching:\n"
                           "  priority_levels: 5\n"
                           "  default_priority_level: 3\n"
                           "  default_queue_policy:\n"
                           "    default_timeout_microseconds: 5000\n"
                           "    max_queue_size: 40\n"
                           "  priority_queue_policy:\n"
                           "    1: {default_timeout_microseconds: 1000, max_queue_size: 8}\n"
                           "    5: {default_timeout_microseconds: 1000, timeout_action: DELAY}\n"
                           "    9: {max_queue_size: 1}\n"
                           "deadline: 4ms\n"
                           "rate_limit: {requests_per_second: 100, concurrency: 7}\n";

static void levels_and_policies_are_tritons(void **state)
{
    (void)state;
    static const struct row {
        uint64_t number, level;
        int64_t timeout_ns;
        uint32_t most;
    } rows[] = {
        { 0, 3, TRP_MS(4), 0 }, /* the usual one; the model's deadline is nearer than 5 ms */
        { 3, 3, TRP_MS(4), 0 }, { 1, 1, TRP_MS(1), 8 },
        { 2, 2, TRP_MS(4), 0 }, { 5, 5, TRP_MS(4), 0 }, /* DELAY ends nothing, the deadline does */
        { 6, 3, TRP_MS(4), 0 },                         /* beyond the levels */
        { 9, 3, TRP_MS(4), 0 },
    };
    struct read r;
    read_rules(&r, full);
    assert_int_equal(r.st.code, TRP_OK);
    assert_int_equal(trp_queue_rules_calls_max(r.rules), 40);
    assert_true(trp_queue_rules_has_rate(r.rules));
    assert_int_equal(r.rules->calls_max, 7);
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        print_message("priority %llu\n", (unsigned long long)row->number);
        assert_int_equal(trp_queue_rules_level(r.rules, row->number), row->level);
        assert_int_equal(trp_queue_rules_timeout_ns(r.rules, row->number), row->timeout_ns);
        assert_int_equal(trp_queue_rules_level_max(r.rules, row->number), row->most);
    }
    trp_arena_deinit(&r.arena);
}

static void a_copy_stands_alone(void **state)
{
    (void)state;
    struct read r;
    struct trp_arena other;
    const struct trp_queue_rules *copy;
    read_rules(&r, full);
    assert_int_equal(r.st.code, TRP_OK);
    trp_arena_init(&other, trp_heap(), 4096, 1 << 20);
    assert_true(trp_queue_rules_dup(&other, r.rules, &copy));
    trp_arena_deinit(&r.arena);
    assert_int_equal(trp_queue_rules_timeout_ns(copy, 1), TRP_MS(1));
    assert_true(trp_queue_rules_dup(&other, NULL, &copy));
    assert_null(copy);
    trp_arena_deinit(&other);
}

static void what_cannot_be_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want;
    } rows[] = {
        { "dynamic_batching: {priority_levels: 3}\n", "default_priority_level is 0" },
        { "dynamic_batching: {priority_levels: 3, default_priority_level: 4}\n",
          "default_priority_level is 4" },
        { "dynamic_batching: {priority_levels: 100000, default_priority_level: 4}\n",
          "1000 are possible" },
        { "deadline: soon\n", "model.yaml:1: deadline is \"soon\"" },
        { "deadline: 0s\n", "deadline is \"0s\"" },
        { "deadline: forever\n", "deadline is \"forever\"" },
        { "rate_limit: {requests_per_second: -1}\n", "requests_per_second is -1" },
        { "rate_limit: {rows_per_second: 0}\n", "rows_per_second is 0" },
        { "rate_limit: {per_second: 1}\n", "per_second" },
    };
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct read r;
        print_message("%s", row->text);
        read_rules(&r, row->text);
        assert_int_equal(r.st.code, TRP_INVALID_ARGUMENT);
        assert_non_null(strstr(r.err.text, row->want));
        assert_null(r.rules);
        trp_arena_deinit(&r.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_written_is_nothing_kept),
        cmocka_unit_test(levels_and_policies_are_tritons),
        cmocka_unit_test(a_copy_stands_alone),
        cmocka_unit_test(what_cannot_be_is_refused_with_its_place),
    };
    return cmocka_run_group_tests_name("queue_rules", tests, NULL, NULL);
}
