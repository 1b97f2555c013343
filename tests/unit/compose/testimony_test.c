/* What members said, and how wrong that was: every form, who is missing, NaN, rows, and labels
 * that cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "compose/testimony.h"

struct heard {
    struct trp_testimony *said;
    uint64_t bytes;
};

static struct heard hear(enum trp_vote_kind kind, bool is_ranking, bool logits,
                         const struct trp_vote_member *members, uint32_t n)
{
    const struct trp_vote_opts vote = { .kind = kind, .logits = logits };
    struct trp_testimony head;
    struct heard h = { .bytes = trp_testimony_plan(&vote, is_ranking, members, n, &head) };
    if (h.bytes == 0)
        return h;
    h.said = malloc(h.bytes); /* exactly: what is too much is found */
    assert_non_null(h.said);
    *h.said = head;
    trp_testimony_write(h.said, members);
    return h;
}

/* Labels as JSON has them; "7", "[1,null]", "\"a\"". */
static struct trp_node *label_of(struct trp_arena *arena, const char *json)
{
    struct trp_json_parser *parser;
    struct trp_json root;
    struct trp_node *node;
    assert_false(trp_failed(trp_json_parser_create(1000, 10, &parser, NULL)));
    assert_false(trp_failed(trp_json_parse(parser, trp_str_of(json), false, &root, NULL)));
    assert_false(trp_failed(trp_node_from_json(arena, root, NULL, &node, NULL)));
    trp_json_parser_destroy(parser);
    return node;
}

static void expect(const struct heard *h, const char *label, const double *want)
{
    struct trp_arena arena;
    struct trp_error err = { 0 };
    double losses[TRP_VOTE_MEMBERS_MAX];
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    const struct trp_node *node = label_of(&arena, label);
    if (trp_failed(trp_testimony_check(h->said, node, &err)))
        fail_msg("%s: %s", label, err.text);
    trp_testimony_losses(h->said, node, losses);
    for (uint32_t i = 0; i < h->said->members_n; i++)
        if (!(fabs(losses[i] - want[i]) < 1e-6))
            fail_msg("%s: member %u has lost %g, not %g", label, i, losses[i], want[i]);
    trp_arena_deinit(&arena);
}

static void refuse(const struct heard *h, const char *label, const char *want)
{
    struct trp_arena arena;
    struct trp_error err = { 0 };
    trp_arena_init(&arena, trp_heap(), 1024, 0);
    const struct trp_node *node = label ? label_of(&arena, label) : NULL;
    assert_int_equal(trp_testimony_check(h->said, node, &err).code, TRP_INVALID_ARGUMENT);
    assert_string_equal(err.text, want);
    trp_arena_deinit(&arena);
}

static struct troupe_tensor floats(float *data, int64_t rows, int64_t classes)
{
    return (struct troupe_tensor){ .dtype = TROUPE_FP32,
                                   .rank = 2,
                                   .shape = { rows, classes },
                                   .data = data,
                                   .bytes = (uint64_t)(rows * classes) * 4 };
}

/* A label for each row. */
static struct troupe_tensor labels(int64_t *data, int64_t rows)
{
    return (struct troupe_tensor){ .dtype = TROUPE_INT64,
                                   .rank = 1,
                                   .shape = { rows },
                                   .data = data,
                                   .bytes = (uint64_t)rows * sizeof *data };
}

static void a_soft_member_loses_what_it_did_not_give_to_the_class(void **state)
{
    (void)state;
    float a[] = { 0.75f, 0.25f, 0.5f, 0.5f }, b[] = { 0, 1, NAN, 1.5f };
    const struct troupe_tensor ta = floats(a, 2, 2), tb = floats(b, 2, 2);
    const struct trp_vote_member members[] = { { &ta, 1 }, { NULL, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_SOFT, false, false, members, 3);
    assert_int_equal(h.said->form, TRP_TESTIMONY_SOFT);
    expect(&h, "[0, null]", (const double[]){ 0.25, -1, 1 });
    expect(&h, "[0, 1]", (const double[]){ 0.375, -1, 0.5 }); /* more than all is all */
    expect(&h, "[null, 0]", (const double[]){ 0.5, -1, 1 });  /* NaN said nothing */
    free(h.said);
}

static void logits_are_made_probabilities_first(void **state)
{
    (void)state;
    float a[] = { 1000, 1000, -INFINITY }, b[] = { 0, 0, INFINITY };
    const struct troupe_tensor ta = floats(a, 1, 3), tb = floats(b, 1, 3);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_SOFT, false, true, members, 2);
    expect(&h, "1", (const double[]){ 0.5, 1 });
    expect(&h, "[2]", (const double[]){ 1, 1 }); /* infinity less infinity is nothing */
    free(h.said);
}

static void a_hard_member_is_right_or_wrong(void **state)
{
    (void)state;
    float a[] = { 0.4f, 0.4f, 0.2f }, b[] = { NAN, 0.1f, 0.2f }, c[] = { NAN, NAN, NAN };
    const struct troupe_tensor ta = floats(a, 1, 3), tb = floats(b, 1, 3), tc = floats(c, 1, 3);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 }, { &tc, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, false, false, members, 3);
    expect(&h, "0", (const double[]){ 0, 1, 1 }); /* of equal ones the lowest */
    expect(&h, "1", (const double[]){ 1, 1, 1 });
    expect(&h, "2", (const double[]){ 1, 0, 1 });
    free(h.said);
}

static void labels_are_the_same_or_not(void **state)
{
    (void)state;
    int64_t a[] = { 3, -7, 5 }, b[] = { 3, 4, 9 };
    const struct troupe_tensor ta = labels(a, 3), tb = labels(b, 3);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, false, false, members, 2);
    assert_int_equal(h.said->rows, 3);
    expect(&h, "[3, -7, 5]", (const double[]){ 0, 2 / 3.0 });
    expect(&h, "[null, 4, null]", (const double[]){ 1, 0 });
    free(h.said);
}

static void labels_beyond_a_double_are_kept_exactly(void **state)
{
    (void)state;
    int64_t a[] = { (INT64_C(1) << 53) + 1, INT64_MAX, INT64_MIN },
            b[] = { INT64_C(1) << 53, INT64_MAX - 1, 0 };
    const struct troupe_tensor ta = labels(a, 3), tb = labels(b, 3);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, false, false, members, 2);
    expect(&h, "[9007199254740993, null, null]", (const double[]){ 0, 1 });
    expect(&h, "[null, 9223372036854775807, null]", (const double[]){ 0, 1 });
    expect(&h, "[null, null, -9223372036854775808]", (const double[]){ 0, 1 });
    free(h.said);
}

static void labels_of_few_bits_are_the_same_numbers(void **state)
{
    (void)state;
    uint32_t a[] = { 7, UINT32_MAX };
    const struct troupe_tensor t = {
        .dtype = TROUPE_UINT32, .rank = 1, .shape = { 2 }, .data = a, .bytes = sizeof a
    };
    const struct trp_vote_member members[] = { { &t, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, false, false, members, 1);
    expect(&h, "[7, 4294967295]", (const double[]){ 0 });
    expect(&h, "[7, -1]", (const double[]){ 0.5 });
    free(h.said);
}

static void ranked_scores_lose_by_the_place(void **state)
{
    (void)state;
    float a[] = { 0.1f, 0.5f, 0.3f, NAN }, b[] = { 1, 1, 1, 0 };
    const struct troupe_tensor ta = floats(a, 1, 4), tb = floats(b, 1, 4);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, true, false, members, 2);
    assert_int_equal(h.said->form, TRP_TESTIMONY_SCORES);
    expect(&h, "1", (const double[]){ 0, 0.5 }); /* three share place 2 */
    expect(&h, "2", (const double[]){ 0.5, 0.5 });
    expect(&h, "3", (const double[]){ 1, 0.75 });
    free(h.said);
}

static void lists_lose_by_the_place_and_may_be_of_unlike_length(void **state)
{
    (void)state;
    int64_t a[] = { 7, -1, 9, 4, 5, 6 };
    int32_t b[] = { 9, 5 };
    const struct troupe_tensor ta = {
        .dtype = TROUPE_INT64, .rank = 2, .shape = { 2, 3 }, .data = a, .bytes = sizeof a
    };
    const struct troupe_tensor tb = {
        .dtype = TROUPE_INT32, .rank = 2, .shape = { 2, 1 }, .data = b, .bytes = sizeof b
    };
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, true, false, members, 2);
    assert_int_equal(h.said->form, TRP_TESTIMONY_LISTS);
    expect(&h, "[9, null]", (const double[]){ 2 / 3.0, 0 });
    expect(&h, "[-1, 5]", (const double[]){ 0.75, 0.5 }); /* nobody has place -1 */
    free(h.said);
}

static void ids_may_be_texts(void **state)
{
    (void)state;
    char a[] = "\3\0\0\0red\0\0\0\0", b[] = "\4\0\0\0blue\377\0\0\0re";
    const struct troupe_tensor ta = {
        .dtype = TROUPE_BYTES, .rank = 2, .shape = { 1, 2 }, .data = a, .bytes = sizeof a - 1
    };
    struct troupe_tensor tb = ta;
    tb.data = b;
    tb.bytes = sizeof b - 1; /* ends inside a string */
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct heard h = hear(TRP_VOTE_HARD, true, false, members, 2);
    expect(&h, "\"red\"", (const double[]){ 0, 1 });
    expect(&h, "[\"blue\"]", (const double[]){ 1, 0 });
    refuse(&h, "\"\"", "label: expected the id of an item, a text that is not empty, found a text");
    refuse(&h, "3", "label: expected the id of an item, a text that is not empty, found a number");
    free(h.said);
}

static void labels_that_cannot_be_are_refused(void **state)
{
    (void)state;
    float a[] = { 0.75f, 0.25f, 0.5f, 0.5f };
    const struct troupe_tensor ta = floats(a, 2, 2);
    const struct trp_vote_member members[] = { { &ta, 1 } };
    const struct heard h = hear(TRP_VOTE_SOFT, false, false, members, 1);
    refuse(&h, NULL, "there is no label");
    refuse(&h, "1",
           "label: the request had 2 rows: expected a list with a label for each, or null");
    refuse(&h, "[1]", "label: 1 labels, but the request had 2 rows");
    refuse(&h, "[0, 2]", "label: 2 is none of 0 to 1");
    refuse(&h, "[0, -1]", "label: -1 is none of 0 to 1");
    refuse(&h, "[null, null]", "label: none is known");
    refuse(&h, "[0, 1.5]", "label: expected the number of a class or item, found a fraction");
    free(h.said);
}

static void what_is_too_large_or_has_no_rows_is_not_kept(void **state)
{
    (void)state;
    static float many[9000];
    float one = 1;
    struct troupe_tensor t = floats(many, 1, 9000);
    const struct trp_vote_member members[] = { { &t, 1 }, { NULL, 1 } };
    assert_int_equal(hear(TRP_VOTE_SOFT, false, false, members, 1).bytes, 0);
    t.shape[1] = 4097; /* of two members */
    assert_int_equal(hear(TRP_VOTE_SOFT, false, false, members, 2).bytes, 0);
    t.shape[1] = 4096;
    const struct heard h = hear(TRP_VOTE_SOFT, false, false, members, 2);
    assert_int_equal(h.bytes, sizeof(struct trp_testimony) + TRP_TESTIMONY_BYTES_MAX);
    free(h.said);
    t.shape[0] = 0;
    assert_int_equal(hear(TRP_VOTE_SOFT, false, false, members, 2).bytes, 0);
    t = (struct troupe_tensor){ .dtype = TROUPE_FP32, .data = &one, .bytes = 4 };
    assert_int_equal(hear(TRP_VOTE_SOFT, false, false, members, 2).bytes, 0);
    t.data = NULL;
    assert_int_equal(hear(TRP_VOTE_SOFT, false, false, &members[1], 1).bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_soft_member_loses_what_it_did_not_give_to_the_class),
        cmocka_unit_test(logits_are_made_probabilities_first),
        cmocka_unit_test(a_hard_member_is_right_or_wrong),
        cmocka_unit_test(labels_are_the_same_or_not),
        cmocka_unit_test(labels_beyond_a_double_are_kept_exactly),
        cmocka_unit_test(labels_of_few_bits_are_the_same_numbers),
        cmocka_unit_test(ranked_scores_lose_by_the_place),
        cmocka_unit_test(lists_lose_by_the_place_and_may_be_of_unlike_length),
        cmocka_unit_test(ids_may_be_texts),
        cmocka_unit_test(labels_that_cannot_be_are_refused),
        cmocka_unit_test(what_is_too_large_or_has_no_rows_is_not_kept),
    };
    return cmocka_run_group_tests_name("testimony", tests, NULL, NULL);
}
