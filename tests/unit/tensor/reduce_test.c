/* Reductions of tensors against plain loops, and tensors that are not what they say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/clock.h"
#include "base/half.h"
#include "tensor/dtype.h"
#include "tensor/reduce.h"

#define ELEMENTS_MAX 1100u

static const int32_t dtypes[] = { TROUPE_BOOL,   TROUPE_UINT8, TROUPE_UINT16, TROUPE_UINT32,
                                  TROUPE_UINT64, TROUPE_INT8,  TROUPE_INT16,  TROUPE_INT32,
                                  TROUPE_INT64,  TROUPE_FP16,  TROUPE_BF16,   TROUPE_FP32,
                                  TROUPE_FP64 };

/* One element, the slow way. */
static double element(const unsigned char *at, int32_t dtype)
{
    union {
        uint8_t u8;
        uint16_t u16;
        uint32_t u32;
        uint64_t u64;
        int8_t i8;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } v;
    memcpy(&v, at, trp_dtype_bytes(dtype));
    switch (dtype) {
    case TROUPE_BOOL:
        return v.u8 != 0;
    case TROUPE_UINT8:
        return v.u8;
    case TROUPE_UINT16:
        return v.u16;
    case TROUPE_UINT32:
        return v.u32;
    case TROUPE_UINT64:
        return (double)v.u64;
    case TROUPE_INT8:
        return v.i8;
    case TROUPE_INT16:
        return v.i16;
    case TROUPE_INT32:
        return v.i32;
    case TROUPE_INT64:
        return (double)v.i64;
    case TROUPE_FP16:
        return (double)trp_fp16_to(v.u16);
    case TROUPE_BF16:
        return (double)trp_bf16_to(v.u16);
    case TROUPE_FP32:
        return (double)v.f32;
    default:
        return v.f64;
    }
}

static bool is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* Random bytes are also NaN and infinities; half of the time they are small numbers, so that
 * sums mean something. */
static void draw(unsigned char *at, uint64_t n, int32_t dtype, struct trp_random *r)
{
    const bool is_wild = trp_random_next(r) & 1;
    const uint32_t width = trp_dtype_bytes(dtype);
    for (uint64_t i = 0; i < n; i++) {
        const uint64_t bits = trp_random_next(r);
        const float small = (float)((int64_t)(bits % 7) - 3);
        const uint16_t half = dtype == TROUPE_FP16 ? trp_fp16_of(small) : trp_bf16_of(small);
        const double d = (double)small;
        if (is_wild || (dtype != TROUPE_FP16 && dtype != TROUPE_BF16 && dtype != TROUPE_FP32 &&
                        dtype != TROUPE_FP64))
            memcpy(at + i * width, &bits, width);
        else if (dtype == TROUPE_FP32)
            memcpy(at + i * width, &small, width);
        else if (dtype == TROUPE_FP64)
            memcpy(at + i * width, &d, width);
        else
            memcpy(at + i * width, &half, width);
    }
}

static void check(const struct troupe_tensor *t, uint64_t n)
{
    double least = INFINITY, most = -INFINITY, sum = 0, size = 0, got;
    uint64_t nonzero = 0, count;
    bool has_nan = false;
    for (uint64_t i = 0; i < n; i++) {
        const unsigned char *at = (const unsigned char *)t->data + i * trp_dtype_bytes(t->dtype);
        const double x = element(at, t->dtype);
        has_nan |= isnan(x);
        least = fmin(least, x);
        most = fmax(most, x);
        sum += x;
        size += fabs(x);
        nonzero += x != 0;
        assert_true(trp_reduce_element(t, i, &got));
        assert_true(is_same(got, x));
    }
    assert_false(trp_reduce_element(t, n, &got));
    assert_true(trp_reduce_count_nonzero(t, &count));
    assert_int_equal(count, nonzero);
    assert_int_equal(trp_reduce_min(t, &got), n > 0);
    assert_true(n == 0 || is_same(got, has_nan ? NAN : least));
    assert_int_equal(trp_reduce_max(t, &got), n > 0);
    assert_true(n == 0 || is_same(got, has_nan ? NAN : most));
    assert_int_equal(trp_reduce_mean(t, &got), n > 0);
    if (n > 0 && isfinite(size)) /* an order of adding is as good as another */
        assert_true(fabs(got - sum / (double)n) <= 1e-12 * size / (double)n);
    else if (n > 0 && has_nan)
        assert_true(isnan(got));
}

static void every_type_gives_what_a_plain_loop_gives(void **state)
{
    (void)state;
    static unsigned char room[ELEMENTS_MAX * 8 + 8];
    struct trp_random r = { 7 };
    for (uint32_t round = 0; round < 400; round++)
        for (uint32_t d = 0; d < ARRAY_LEN(dtypes); d++) {
            const uint64_t n = trp_random_next(&r) % (round % 4 ? 20 : ELEMENTS_MAX);
            struct troupe_tensor t = { .dtype = dtypes[d],
                                       .rank = 1,
                                       .shape = { (int64_t)n },
                                       .data = room + trp_random_next(&r) % 8,
                                       .bytes = n * trp_dtype_bytes(dtypes[d]) };
            draw(t.data, n, t.dtype, &r);
            check(&t, n);
        }
}

static void integers_keep_all_of_their_bits(void **state)
{
    (void)state;
    int64_t values[] = { INT64_C(9007199254740993), INT64_MIN, -1, INT64_MAX }, i;
    uint64_t large[] = { UINT64_MAX, INT64_MAX };
    double d;
    const struct troupe_tensor t = {
        .dtype = TROUPE_INT64, .rank = 2, .shape = { 2, 2 }, .data = values, .bytes = sizeof values
    };
    const struct troupe_tensor u = {
        .dtype = TROUPE_UINT64, .rank = 1, .shape = { 2 }, .data = large, .bytes = sizeof large
    };
    for (uint64_t k = 0; k < ARRAY_LEN(values); k++) {
        assert_true(trp_reduce_element_int(&t, k, &i));
        assert_true(i == values[k]);
    }
    assert_true(trp_reduce_element(&t, 0, &d));
    assert_true(d == 9007199254740992.0); /* rounded, as the header says */
    i = 5;
    assert_false(trp_reduce_element_int(&u, 0, &i)); /* more than an int64 has */
    assert_int_equal(i, 5);
    assert_true(trp_reduce_element_int(&u, 1, &i));
    assert_true(i == INT64_MAX);
    float f = 1;
    const struct troupe_tensor s = { .dtype = TROUPE_FP32, .data = &f, .bytes = 4 };
    assert_false(trp_reduce_element_int(&s, 0, &i)); /* no integer, even when it looks like one */
    assert_true(trp_reduce_element(&s, 0, &d));      /* rank 0: a scalar */
    assert_true(d == 1.0);
    uint8_t yes = 7;
    const struct troupe_tensor b = { .dtype = TROUPE_BOOL, .data = &yes, .bytes = 1 };
    assert_true(trp_reduce_element_int(&b, 0, &i));
    assert_int_equal(i, 1);
}

static void what_is_not_as_it_says_has_no_numbers(void **state)
{
    (void)state;
    float v[4] = { 1, 2, 3, 4 };
    const struct troupe_tensor bad[] = {
        { .dtype = TROUPE_FP32, .rank = 1, .shape = { 4 }, .data = v, .bytes = 12 }, /* too short */
        { .dtype = TROUPE_FP32, .rank = 1, .shape = { 2 }, .data = v, .bytes = 16 }, /* too long */
        { .dtype = TROUPE_FP32, .rank = 1, .shape = { -1 }, .data = v, .bytes = 16 },
        { .dtype = TROUPE_FP32, .rank = 1, .shape = { 4 }, .data = NULL, .bytes = 16 },
        { .dtype = TROUPE_FP32, .rank = 17, .shape = { 4 }, .data = v, .bytes = 16 },
        { .dtype = TROUPE_BYTES, .rank = 1, .shape = { 4 }, .data = v, .bytes = 16 },
        { .dtype = 99, .rank = 1, .shape = { 4 }, .data = v, .bytes = 16 },
        { .dtype = -1, .rank = 1, .shape = { 4 }, .data = v, .bytes = 16 },
        { .dtype = TROUPE_FP32,
          .rank = 3,
          .shape = { INT64_MAX, INT64_MAX, INT64_MAX },
          .data = v,
          .bytes = 16 },
    };
    for (uint32_t i = 0; i < ARRAY_LEN(bad); i++) {
        double d = 42;
        int64_t n;
        uint64_t count;
        print_message("row %u\n", i);
        assert_false(trp_reduce_min(&bad[i], &d));
        assert_false(trp_reduce_max(&bad[i], &d));
        assert_false(trp_reduce_mean(&bad[i], &d));
        assert_false(trp_reduce_count_nonzero(&bad[i], &count));
        assert_false(trp_reduce_element(&bad[i], 0, &d));
        assert_false(trp_reduce_element_int(&bad[i], 0, &n));
        assert_true(d == 42);
    }
}

static void strings_are_found_as_far_as_their_lengths_hold(void **state)
{
    (void)state;
    char data[] = "\3\0\0\0abc\0\0\0\0\2\0\0\0xy\xff\xff\xff\xffz";
    const struct troupe_tensor t = {
        .dtype = TROUPE_BYTES, .rank = 1, .shape = { 5 }, .data = data, .bytes = sizeof data - 1
    };
    struct trp_str s = TRP_STR_LIT("before");
    assert_true(trp_reduce_string(&t, 0, &s));
    assert_true(trp_str_is(s, "abc"));
    assert_true(trp_reduce_string(&t, 1, &s));
    assert_int_equal(s.len, 0);
    assert_true(trp_reduce_string(&t, 2, &s));
    assert_true(trp_str_is(s, "xy"));
    assert_false(trp_reduce_string(&t, 3, &s)); /* longer than all there is */
    assert_false(trp_reduce_string(&t, 4, &s));
    assert_false(trp_reduce_string(&t, 5, &s)); /* the shape has no such element */
    struct troupe_tensor cut = t;
    for (cut.bytes = 0; cut.bytes < 7; cut.bytes++)
        assert_false(trp_reduce_string(&cut, 0, &s));
    assert_true(trp_str_is(s, "xy"));
    cut.data = NULL;
    assert_false(trp_reduce_string(&cut, 0, &s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_gives_what_a_plain_loop_gives),
        cmocka_unit_test(integers_keep_all_of_their_bits),
        cmocka_unit_test(what_is_not_as_it_says_has_no_numbers),
        cmocka_unit_test(strings_are_found_as_far_as_their_lengths_hold),
    };
    return cmocka_run_group_tests_name("reduce", tests, NULL, NULL);
}
