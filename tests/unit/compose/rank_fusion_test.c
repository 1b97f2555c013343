/* Rankings of several models as one: by scores of all items, and by lists of ids. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "compose/rank_fusion.h"

static struct troupe_tensor tensor(int32_t dtype, int64_t rows, int64_t columns, void *data,
                                   uint64_t bytes)
{
    return (struct troupe_tensor){
        .dtype = dtype, .rank = 2, .shape = { rows, columns }, .data = data, .bytes = bytes
    };
}

static void scores_count_by_their_order_alone(void **state)
{
    (void)state;
    float a[] = { 100, 3, 2, 2 }, b[] = { 0.1f, NAN, 0.3f, 0.2f }, got[4];
    double scratch[64];
    const struct troupe_tensor ta = tensor(TROUPE_FP32, 1, 4, a, 16),
                               tb = tensor(TROUPE_FP32, 1, 4, b, 16);
    struct troupe_tensor out = tensor(TROUPE_FP32, 1, 4, got, 16);
    const struct trp_vote_member members[] = { { &ta, 3 }, { NULL, 9 }, { &tb, 1 } };
    struct trp_rank_opts opts = { .kind = TRP_RANK_BORDA };
    struct trp_error err = { 0 };
    assert_true(trp_rank_scores_scratch(4) <= sizeof scratch);
    assert_false(trp_failed(trp_rank_scores(&opts, members, 3, &out, scratch, &err)));
    const double borda[] = { 0.75 * 4 + 0.25 * 2, 0.75 * 3, 0.75 * 1.5 + 0.25 * 4,
                             0.75 * 1.5 + 0.25 * 3 };
    for (int i = 0; i < 4; i++)
        assert_true(fabs((double)got[i] - borda[i]) < 1e-6);
    opts.kind = TRP_RANK_RECIPROCAL; /* k is 60 where nothing is said */
    assert_false(trp_failed(trp_rank_scores(&opts, members, 3, &out, scratch, &err)));
    assert_true(fabs((double)got[0] - (0.75 / 61 + 0.25 / 63)) < 1e-6);
    assert_true(fabs((double)got[1] - 0.75 / 62) < 1e-6);
    assert_true(fabs((double)got[3] - (0.75 / 63.5 + 0.25 / 62)) < 1e-6);
}

static void lists_of_ids_are_merged(void **state)
{
    (void)state;
    int64_t a[] = { 5, 7, 9 }, b[] = { 7, 5, 5 }, ids[5];
    float scores[5];
    double scratch[64];
    const struct troupe_tensor ta = tensor(TROUPE_INT64, 1, 3, a, 24),
                               tb = tensor(TROUPE_INT64, 1, 3, b, 24);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } };
    const struct trp_rank_opts opts = { .kind = TRP_RANK_BORDA, .places = 5 };
    struct trp_rank_room room;
    struct troupe_tensor out = { .data = ids }, out_scores = { .data = scores };
    struct trp_error err = { 0 };
    assert_false(trp_failed(trp_rank_lists_plan(&opts, members, 2, &room, &err)));
    assert_int_equal(room.ids_bytes, sizeof ids);
    assert_int_equal(room.scores_bytes, sizeof scores);
    assert_true(room.scratch_bytes <= sizeof scratch);
    assert_false(trp_failed(trp_rank_lists(&opts, members, 2, &out, &out_scores, scratch, &err)));
    const int64_t want[] = { 5, 7, 9, -1, -1 }; /* 5 and 7 tie; the first member prefers 5 */
    const double points[] = { 2.5, 2.5, 0.5, 0, 0 };
    assert_memory_equal(ids, want, sizeof want);
    for (int i = 0; i < 5; i++)
        assert_true(fabs((double)scores[i] - points[i]) < 1e-6);
    assert_int_equal(out.shape[1], 5);
    assert_int_equal(out.bytes, sizeof ids);
}

#define ALL(text) (void *)(uintptr_t)(text), sizeof(text) - 1

static void ids_may_be_strings(void **state)
{
    (void)state;
    char ids[64];
    float scores[4];
    double scratch[64];
    const struct troupe_tensor a = tensor(TROUPE_BYTES, 2, 2,
                                          ALL("\1\0\0\0a\2\0\0\0bb\1\0\0\0c\0\0\0\0")),
                               b = tensor(TROUPE_BYTES, 2, 1, ALL("\2\0\0\0bb\1\0\0\0c"));
    const struct trp_vote_member members[] = { { &a, 1 }, { &b, 1 } };
    const struct trp_rank_opts opts = { .kind = TRP_RANK_RECIPROCAL, .places = 2 };
    struct trp_rank_room room;
    struct troupe_tensor out = { .data = ids }, out_scores = { .data = scores };
    struct trp_error err = { 0 };
    assert_false(trp_failed(trp_rank_lists_plan(&opts, members, 2, &room, &err)));
    assert_true(room.ids_bytes <= sizeof ids && room.scratch_bytes <= sizeof scratch);
    assert_false(trp_failed(trp_rank_lists(&opts, members, 2, &out, &out_scores, scratch, &err)));
    const char want[] = "\2\0\0\0bb\1\0\0\0a\1\0\0\0c\0\0\0\0";
    assert_int_equal(out.bytes, sizeof want - 1);
    assert_memory_equal(ids, want, sizeof want - 1);
    assert_true(scores[3] == 0);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    int64_t ids[4] = { 0 };
    float scores[4];
    double scratch[64];
    struct troupe_tensor good = tensor(TROUPE_INT64, 2, 2, ids, 32), bad = good,
                         out = tensor(TROUPE_FP32, 2, 2, scores, 16);
    struct trp_vote_member members[] = { { &good, 1 }, { &bad, 1 } };
    struct trp_rank_opts opts = { .places = 2 };
    struct trp_rank_room room;
    struct trp_error err = { 0 };
#define REFUSED(call, code_, words)               \
    do {                                          \
        assert_int_equal((call).code, code_);     \
        assert_non_null(strstr(err.text, words)); \
    } while (0)
    bad.shape[0] = 1;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "list 1: 1 rows of INT64, where the first member has 2 of INT64");
    bad = good;
    bad.dtype = TROUPE_FP64;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "ids are INT32, INT64 or BYTES, not FP64");
    bad = good;
    bad.rank = 1;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "a list of ids is [rows, places], not [2]");
    bad = good;
    bad.bytes = 31;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "too few bytes");
    bad = good;
    opts.places = 0;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT, "has 1 to");
    opts.places = 1;
    members[1].weight = (double)INFINITY;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "has weight inf");
    members[0].tensor = members[1].tensor = NULL;
    REFUSED(trp_rank_lists_plan(&opts, members, 2, &room, &err), TRP_INVALID_ARGUMENT,
            "no member answered");
    members[0].tensor = &good;
    bad = tensor(TROUPE_BYTES, 2, 1, ALL("\1\0\0\0a\377\0\0\0b"));
    members[0].tensor = &bad; /* the second row's string is longer than the tensor */
    char room_for_ids[64];
    struct troupe_tensor texts = { .data = room_for_ids };
    REFUSED(trp_rank_lists(&opts, members, 1, &texts, &out, scratch, &err), TRP_INVALID_ARGUMENT,
            "member 0: a list of ids ends inside a string");
    out = tensor(TROUPE_FP32, 2, 2, scores, 16);
    members[0].tensor = &good;
    out.shape[1] = 3;
    REFUSED(trp_rank_scores(&opts, members, 1, &out, scratch, &err), TRP_INVALID_ARGUMENT,
            "no room");
    out = tensor(TROUPE_FP16, 2, 2, scores, 16);
    REFUSED(trp_rank_scores(&opts, members, 1, &out, scratch, &err), TRP_INVALID_ARGUMENT,
            "fused scores are FP32 or FP64");
    out = tensor(TROUPE_FP32, 0, INT64_C(1) << 40, scores, 16);
    REFUSED(trp_rank_scores(&opts, members, 1, &out, scratch, &err), TRP_TOO_LARGE, "at most");
    assert_true(trp_rank_scores_scratch(UINT64_MAX) == UINT64_MAX);
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRP_RANKS; i++) {
        enum trp_rank_kind kind = TRP_RANKS;
        assert_true(trp_rank_parse(trp_str_of(trp_rank_name((enum trp_rank_kind)i)), &kind));
        assert_int_equal(kind, i);
    }
    enum trp_rank_kind kind;
    assert_false(trp_rank_parse(TRP_STR_LIT("condorcet"), &kind));
    assert_string_equal(trp_rank_near(TRP_STR_LIT("brda")), "borda");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_count_by_their_order_alone),
        cmocka_unit_test(lists_of_ids_are_merged),
        cmocka_unit_test(ids_may_be_strings),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests_name("rank_fusion", tests, NULL, NULL);
}
