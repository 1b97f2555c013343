/* Votes of members: what each kind gives, ties, who is missing, NaN, labels, and what is
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "compose/vote.h"
#include "tensor/dtype.h"

#define MEMBERS_MAX 8u

/* Two rows of two classes, each member. */
static struct troupe_tensor floats(float *data)
{
    return (struct troupe_tensor){
        .dtype = TROUPE_FP32, .rank = 2, .shape = { 2, 2 }, .data = data, .bytes = 16
    };
}

static void run(const struct trp_vote_opts *opts, const struct trp_vote_member *members, uint32_t n,
                struct troupe_tensor *out, uint64_t *left_out)
{
    double scratch[16384];
    struct trp_error err = { 0 };
    assert_true(trp_vote_scratch(opts, n, out) <= sizeof scratch);
    const trp_status st = trp_vote_run(opts, members, n, out, scratch, left_out, &err);
    if (trp_failed(st))
        fail_msg("%s", err.text);
}

static void expect(const float *got, const float *want, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(want[i]) ? !isnan(got[i]) : fabsf(got[i] - want[i]) > 1e-6f)
            fail_msg("element %u: %g, expected %g", i, (double)got[i], (double)want[i]);
    }
}

static void each_kind_joins_in_its_own_way(void **state)
{
    (void)state;
    float a[] = { 0.9f, 0.1f, 0.2f, 0.8f }, b[] = { 0.6f, 0.4f, 0.7f, 0.3f },
          c[] = { 0.0f, 1.0f, 0.6f, 0.4f }, got[4];
    const struct troupe_tensor ta = floats(a), tb = floats(b), tc = floats(c);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 2 }, { &tc, 1 } };
    static const struct row {
        struct trp_vote_opts opts;
        float want[4];
    } rows[] = {
        { { .kind = TRP_VOTE_HARD }, { 0.75f, 0.25f, 0.75f, 0.25f } },
        { { .kind = TRP_VOTE_SOFT }, { 0.525f, 0.475f, 0.55f, 0.45f } },
        { { .kind = TRP_VOTE_AVERAGE }, { 0.525f, 0.475f, 0.55f, 0.45f } },
        { { .kind = TRP_VOTE_MEAN }, { 0.5f, 0.5f, 0.5f, 0.5f } },
        { { .kind = TRP_VOTE_MEDIAN }, { 0.6f, 0.4f, 0.6f, 0.4f } },
        { { .kind = TRP_VOTE_TRIMMED_MEAN, .trim = 0.34 }, { 0.6f, 0.4f, 0.6f, 0.4f } },
        { { .kind = TRP_VOTE_TRIMMED_MEAN, .trim = 0.3 }, { 0.5f, 0.5f, 0.5f, 0.5f } },
        { { .kind = TRP_VOTE_MAX }, { 0.9f, 1.0f, 0.7f, 0.8f } },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct troupe_tensor out = floats(got);
        run(&r->opts, members, 3, &out, NULL);
        expect(got, r->want, 4);
    }
}

static void logits_become_probabilities_first(void **state)
{
    (void)state;
    float a[] = { 0, 0, 1000, 0 }, got[4];
    const struct troupe_tensor ta = floats(a);
    const struct trp_vote_member members[] = { { &ta, 1 } };
    const struct trp_vote_opts opts = { .kind = TRP_VOTE_SOFT, .logits = true };
    struct troupe_tensor out = floats(got);
    run(&opts, members, 1, &out, NULL);
    expect(got, (float[]){ 0.5f, 0.5f, 1, 0 }, 4);
}

static void who_is_missing_leaves_its_weight_to_the_others(void **state)
{
    (void)state;
    float a[] = { 1, 0, 1, 0 }, b[] = { 0, 1, 0, 1 }, got[4];
    const struct troupe_tensor ta = floats(a), tb = floats(b);
    struct trp_vote_member members[] = { { &ta, 1 }, { NULL, 100 }, { &tb, 3 } };
    const struct trp_vote_opts opts = { .kind = TRP_VOTE_SOFT };
    struct troupe_tensor out = floats(got);
    run(&opts, members, 3, &out, NULL);
    expect(got, (float[]){ 0.25f, 0.75f, 0.25f, 0.75f }, 4);
    members[0].weight = members[2].weight = 0; /* nobody left counts: all alike */
    run(&opts, members, 3, &out, NULL);
    expect(got, (float[]){ 0.5f, 0.5f, 0.5f, 0.5f }, 4);
}

/* One broken model must not spoil the answer of the others. */
static void nan_leaves_a_member_out_of_its_row_or_element(void **state)
{
    (void)state;
    float a[] = { NAN, 0, 1, 0 }, b[] = { 0.25f, 0.75f, 0, 1 }, got[4];
    const struct troupe_tensor ta = floats(a), tb = floats(b);
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 } }, alone[] = { { &ta, 1 } };
    struct trp_vote_opts opts = { .kind = TRP_VOTE_SOFT };
    struct troupe_tensor out = floats(got);
    uint64_t left_out = 0;
    run(&opts, members, 2, &out, &left_out);
    expect(got, (float[]){ 0.25f, 0.75f, 0.5f, 0.5f }, 4);
    assert_int_equal(left_out, 1);
    opts.kind = TRP_VOTE_MEAN;
    run(&opts, members, 2, &out, &left_out);
    expect(got, (float[]){ 0.25f, 0.375f, 0.5f, 0.5f }, 4);
    run(&opts, alone, 1, &out, &left_out);
    expect(got, (float[]){ NAN, 0, 1, 0 }, 4);
    opts.kind = TRP_VOTE_HARD;
    run(&opts, alone, 1, &out, &left_out);
    expect(got, (float[]){ NAN, NAN, 1, 0 }, 4);
    assert_int_equal(left_out, 1);
}

/* An infinity of a member without weight would make 0 * infinity of the sum. */
/* Blocks without NaN take another way than those with one: it is the same, to the last bit. */
static void blocks_with_and_without_nan_are_averaged_alike(void **state)
{
    (void)state;
    enum { N = 1000, MEMBERS = 3 };
    static float data[MEMBERS][N], got[N];
    const double weights[MEMBERS] = { 0.3, 1, 0.7 };
    struct troupe_tensor t[MEMBERS],
        out = { .dtype = TROUPE_FP32, .rank = 1, .shape = { N }, .data = got, .bytes = sizeof got };
    struct trp_vote_member members[MEMBERS];
    const struct trp_vote_opts opts = { .kind = TRP_VOTE_AVERAGE };
    uint64_t left_out;
    for (uint32_t m = 0; m < MEMBERS; m++) {
        for (uint32_t i = 0; i < N; i++)
            data[m][i] = (float)((i * 7919 + m * 104729) % 1009) / 97 - 5;
        t[m] = out;
        t[m].data = data[m];
        members[m] = (struct trp_vote_member){ &t[m], weights[m] };
    }
    data[1][300] = data[2][300] = data[0][999] = NAN;
    data[0][600] = INFINITY;
    data[1][600] = -INFINITY; /* nobody is left out, and yet it is no number */
    data[2][601] = INFINITY;
    run(&opts, members, MEMBERS, &out, &left_out);
    assert_int_equal(left_out, 3);
    for (uint32_t i = 0; i < N; i++) {
        double sum = 0, weight = 0;
        for (uint32_t m = 0; m < MEMBERS; m++) {
            const double w = weights[m] / (0.3 + 1 + 0.7), x = (double)data[m][i];
            sum += isnan(x) ? 0 : w * x;
            weight += isnan(x) ? 0 : w;
        }
        const float want = (float)(sum / weight);
        if (isnan(want) ? !isnan(got[i]) : memcmp(&want, &got[i], sizeof want) != 0)
            fail_msg("element %u: %.9g, expected %.9g", i, (double)got[i], (double)want);
    }
}

static void a_member_without_weight_says_nothing(void **state)
{
    (void)state;
    float a[] = { INFINITY, 0, 1, 0 }, b[] = { 0.25f, 0.75f, 0, 1 }, got[4];
    const struct troupe_tensor ta = floats(a), tb = floats(b);
    const struct trp_vote_member members[] = { { &ta, 0 }, { &tb, 1 } };
    static const enum trp_vote_kind kinds[] = { TRP_VOTE_SOFT, TRP_VOTE_AVERAGE };
    for (uint32_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct trp_vote_opts opts = { .kind = kinds[i] };
        struct troupe_tensor out = floats(got);
        run(&opts, members, 2, &out, NULL);
        expect(got, b, 4);
    }
}

static void a_tie_goes_to_the_higher_score_and_then_to_the_lower_class(void **state)
{
    (void)state;
    float a[] = { 0.6f, 0.4f, 1, 0 }, b[] = { 0.1f, 0.9f, 0, 1 }, got[4];
    const struct troupe_tensor ta = floats(a), tb = floats(b);
    const struct trp_vote_member members[] = { { &ta, 0.3 }, { &tb, 0.1 }, { &tb, 0.2 } };
    const struct trp_vote_opts opts = { .kind = TRP_VOTE_HARD };
    struct troupe_tensor out = floats(got);
    run(&opts, members, 3, &out, NULL); /* 0.1 + 0.2 is not quite 0.3 in binary, but it is meant */
    assert_true(got[1] > got[0]);
    assert_true(got[3] > got[2]); /* scores 1 against 2 */
    expect(got, (float[]){ 0.5f, 0.5f, 0.5f, 0.5f }, 4);
    const struct trp_vote_member equal[] = { { &ta, 1 }, { &tb, 1 } };
    run(&opts, equal, 2, &out, NULL);
    assert_true(got[1] > got[0]); /* 0.7 against 1.3 */
    assert_true(got[2] > got[3]); /* 1 against 1 */
}

static void the_winner_of_a_tie_stands_out_in_every_type(void **state)
{
    (void)state;
    float a[] = { 0, 1, 0, 0 }, b[] = { 0, 0, 1, 0 };
    static const int32_t types[] = { TROUPE_FP16, TROUPE_BF16, TROUPE_FP32, TROUPE_FP64 };
    for (uint32_t i = 0; i < ARRAY_LEN(types); i++) {
        unsigned char room[32];
        const uint32_t width = trp_dtype_bytes(types[i]);
        const struct troupe_tensor ta = {
            .dtype = TROUPE_FP32, .rank = 1, .shape = { 4 }, .data = a, .bytes = 16
        };
        struct troupe_tensor tb = ta, out = ta;
        tb.data = b;
        out.dtype = types[i];
        out.data = room;
        out.bytes = 4 * width;
        const struct trp_vote_member members[] = { { &tb, 1 }, { &ta, 1 } };
        const struct trp_vote_opts opts = { .kind = TRP_VOTE_HARD };
        run(&opts, members, 2, &out, NULL);
        uint64_t first = 0, second = 0; /* positive numbers are in the order of their bits */
        memcpy(&first, room + width, width);
        memcpy(&second, room + 2 * width, width);
        assert_int_equal(first, second + 1);
    }
}

static void labels_are_elected(void **state)
{
    (void)state;
    int64_t a[] = { 7, INT64_MAX, 2 }, b[] = { 7, INT64_MAX - 1, 1 };
    int32_t c[] = { 3, -1, 9 };
    int64_t got[3];
    const struct troupe_tensor ta = {
        .dtype = TROUPE_INT64, .rank = 1, .shape = { 3 }, .data = a, .bytes = sizeof a
    };
    struct troupe_tensor tb = ta, tc = ta, out = ta;
    tb.data = b;
    tc.data = c;
    tc.dtype = TROUPE_INT32;
    tc.bytes = sizeof c;
    out.data = got;
    const struct trp_vote_member members[] = { { &ta, 1 }, { &tb, 1 }, { &tc, 1.5 } };
    const struct trp_vote_opts opts = { .kind = TRP_VOTE_HARD };
    run(&opts, members, 3, &out, NULL);
    assert_int_equal(got[0], 7); /* 2 against 1.5 */
    assert_int_equal(got[1], -1);
    assert_int_equal(got[2], 9);
    run(&opts, members, 2, &out, NULL);
    assert_true(got[1] == INT64_MAX - 1); /* a tie goes to the lowest, and no digit is lost */
    assert_int_equal(got[2], 1);
}

#define IO(type, ...)                                                                         \
    {                                                                                         \
        .dtype = TROUPE_##type, .rank = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), \
        .dims = {                                                                             \
            __VA_ARGS__                                                                       \
        }                                                                                     \
    }

static void the_signature_says_what_comes_out(void **state)
{
    (void)state;
    static const struct row {
        struct trp_vote_opts opts;
        struct trp_io members[3];
        uint32_t n;
        int32_t dtype; /* 0: refused */
        const char *says;
    } rows[] = {
        { { .kind = TRP_VOTE_SOFT }, { IO(FP32, -1, 10), IO(FP32, 4, -1) }, 2, TROUPE_FP32, "" },
        { { .kind = TRP_VOTE_SOFT }, { IO(FP16, 4, 10), IO(FP16, 4, 10) }, 2, TROUPE_FP16, "" },
        { { .kind = TRP_VOTE_SOFT }, { IO(FP16, 4, 10), IO(FP32, 4, 10) }, 2, TROUPE_FP32, "" },
        { { .kind = TRP_VOTE_MEAN }, { IO(FP64, 4, 10), IO(FP32, 4, 10) }, 2, TROUPE_FP64, "" },
        { { .kind = TRP_VOTE_MEAN }, { IO(UINT8, 4, 10), IO(UINT8, 4, 10) }, 2, TROUPE_FP32, "" },
        { { .kind = TRP_VOTE_MAX }, { IO(UINT8, 4, 10), IO(UINT8, 4, 10) }, 2, TROUPE_UINT8, "" },
        { { .kind = TRP_VOTE_HARD }, { IO(INT32, 4), IO(INT32, -1) }, 2, TROUPE_INT32, "" },
        { { .kind = TRP_VOTE_HARD }, { IO(INT32, 4), IO(INT64, -1) }, 2, TROUPE_INT64, "" },
        { { .kind = TRP_VOTE_SOFT },
          { IO(FP32, -1, 10), IO(FP32, -1, 9) },
          2,
          0,
          "member 1: has shape [-1,9], the others have [-1,10]" },
        { { .kind = TRP_VOTE_SOFT },
          { IO(FP32, -1, 10), IO(FP32, 10) },
          2,
          0,
          "member 1: has shape" },
        { { .kind = TRP_VOTE_SOFT },
          { IO(BYTES, 4) },
          1,
          0,
          "member 0: gives BYTES, a vote takes" },
        { { .kind = TRP_VOTE_SOFT },
          { IO(FP32, -1, 10), IO(INT64, -1, 10) },
          2,
          0,
          "member 1: gives INT64, and a soft vote (the default) takes probabilities: `output` says "
          "which output they are, or `vote: hard` counts labels" },
        { { .kind = TRP_VOTE_SOFT }, { IO(UINT8, 4) }, 1, 0, "member 0: gives UINT8, and a soft" },
        { { .kind = TRP_VOTE_HARD },
          { IO(INT64, 4), IO(FP32, 4) },
          2,
          0,
          "member 1: gives FP32, where the first member gives labels" },
        { { .kind = TRP_VOTE_HARD }, { IO(UINT64, 4) }, 1, 0, "labels are INT64 at most" },
        { { .kind = TRP_VOTE_TRIMMED_MEAN, .trim = 0.5 }, { IO(FP32, 4) }, 1, 0, "trim is 0.5" },
        { { .kind = TRP_VOTE_SOFT }, { { .dtype = TROUPE_FP32 } }, 1, 0, "there is none" },
        { { .kind = TRP_VOTE_SOFT }, { { .dtype = TROUPE_FP32 } }, 0, 0, "0 members" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        struct trp_io out = { 0 };
        const trp_status st = trp_vote_signature(&r->opts, r->members, r->n, &out, &err);
        assert_int_equal(trp_failed(st), r->dtype == 0);
        assert_int_equal(out.dtype, r->dtype);
        if (!strstr(err.text, r->says))
            fail_msg("\"%s\" is not in \"%s\"", r->says, err.text);
    }
    struct trp_io out;
    assert_false(trp_failed(trp_vote_signature(&rows[0].opts, rows[0].members, 2, &out, NULL)));
    assert_int_equal(out.dims[0], 4);
    assert_int_equal(out.dims[1], 10);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    float a[4] = { 0 }, got[4];
    double scratch[2048];
    const struct troupe_tensor good = floats(a);
    struct troupe_tensor other = good, out = floats(got);
    struct trp_error err = { 0 };
    struct trp_vote_opts opts = { .kind = TRP_VOTE_SOFT };
    struct trp_vote_member members[TRP_VOTE_MEMBERS_MAX + 1] = { { &good, 1 }, { &other, 1 } };
#define REFUSED(n, words)                                                                 \
    do {                                                                                  \
        assert_int_equal(trp_vote_run(&opts, members, n, &out, scratch, NULL, &err).code, \
                         TRP_INVALID_ARGUMENT);                                           \
        assert_non_null(strstr(err.text, words));                                         \
    } while (0)
    other.shape[1] = 3;
    REFUSED(2, "member 1: has shape [2,3], expected [2,2]");
    other = good;
    other.bytes = 15;
    REFUSED(2, "member 1: 15 bytes are not FP32 of shape [2,2]");
    other = good;
    members[1].weight = -1;
    REFUSED(2, "member 1: has weight -1");
    members[1].weight = (double)NAN;
    REFUSED(2, "member 1: has weight nan");
    REFUSED(TRP_VOTE_MEMBERS_MAX + 1, "65 members, expected 1 to 64");
    members[0].tensor = members[1].tensor = NULL;
    REFUSED(2, "no member answered");
    members[0].tensor = &good;
    out.bytes = 8;
    REFUSED(1, "output: 8 bytes");
    out = floats(got);
    out.dtype = TROUPE_INT32;
    REFUSED(1, "parts of votes are no INT32");
}

static void a_vote_over_nothing_is_nothing(void **state)
{
    (void)state;
    struct troupe_tensor none = { .dtype = TROUPE_FP32, .rank = 2, .shape = { 3, 0 } }, out = none;
    const struct trp_vote_member members[] = { { &none, 1 } };
    for (uint32_t kind = 0; kind < TRP_VOTES; kind++) {
        const struct trp_vote_opts opts = { .kind = (enum trp_vote_kind)kind };
        run(&opts, members, 1, &out, NULL);
    }
}

static void kinds_have_names(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRP_VOTES; i++) {
        enum trp_vote_kind kind = TRP_VOTES;
        assert_true(trp_vote_parse(trp_str_of(trp_vote_name((enum trp_vote_kind)i)), &kind));
        assert_int_equal(kind, i);
    }
    enum trp_vote_kind kind;
    assert_false(trp_vote_parse(TRP_STR_LIT("loud"), &kind));
    assert_string_equal(trp_vote_near(TRP_STR_LIT("mediann")), "median");
    assert_null(trp_vote_near(TRP_STR_LIT("something")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_joins_in_its_own_way),
        cmocka_unit_test(logits_become_probabilities_first),
        cmocka_unit_test(who_is_missing_leaves_its_weight_to_the_others),
        cmocka_unit_test(nan_leaves_a_member_out_of_its_row_or_element),
        cmocka_unit_test(blocks_with_and_without_nan_are_averaged_alike),
        cmocka_unit_test(a_member_without_weight_says_nothing),
        cmocka_unit_test(a_tie_goes_to_the_higher_score_and_then_to_the_lower_class),
        cmocka_unit_test(the_winner_of_a_tie_stands_out_in_every_type),
        cmocka_unit_test(labels_are_elected),
        cmocka_unit_test(the_signature_says_what_comes_out),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_vote_over_nothing_is_nothing),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests_name("vote", tests, NULL, NULL);
}
