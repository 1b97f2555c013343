/* Shapes that clients see against shapes that the file says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/status.h"
#include "tensor/reshape.h"
#include "tensor/shape.h"

#define IO(...)                                                                               \
    {                                                                                         \
        .rank = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), .dims = { __VA_ARGS__ } \
    }
#define TENSOR(...)                                                                            \
    {                                                                                          \
        .rank = sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t), .shape = { __VA_ARGS__ } \
    }

static void a_tensor_takes_the_shape_that_is_declared_where_that_can_be_known(void **state)
{
    (void)state;
    static const struct row {
        struct trp_io from, to;
        struct troupe_tensor sent;
        const char *want;
    } rows[] = {
        { IO(4), IO(4), TENSOR(4), "[4]" },
        { IO(2, 2), IO(4), TENSOR(2, 2), "[4]" },
        { IO(-1, 1), IO(-1), TENSOR(7, 1), "[7]" },
        { IO(-1, 3, -1), IO(-1, -1, 3), TENSOR(2, 3, 5), "[2,5,3]" },
        { IO(6), IO(2, -1), TENSOR(6), "[2,3]" },   /* alone: from the number of elements */
        { IO(6), IO(-1, -1), TENSOR(6), "[6]" },    /* two of them: not known */
        { IO(6), IO(4, -1), TENSOR(6), "[6]" },     /* 6 is no multiple of 4 */
        { IO(2, 2), IO(5), TENSOR(2, 2), "[2,2]" }, /* other elements: left as it is */
        { IO(-1, 0), IO(0, -1), TENSOR(3, 0), "[0,3]" },
        { IO(1), { .rank = 0 }, TENSOR(1), "[]" }, /* a scalar */
        { IO(4), { .any_rank = true }, TENSOR(4), "[4]" },
        { IO(4), { .rank = 2, .dims = { 2, 2 }, .shape_unchecked = true }, TENSOR(4), "[4]" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct troupe_tensor t = r->sent;
        char text[64];
        int64_t data = 0;
        t.data = &data;
        trp_reshape_tensor(&r->from, &r->to, &t);
        assert_string_equal(trp_shape_format(t.shape, t.rank, text, sizeof text), r->want);
    }
}

static void a_tensor_that_was_not_sent_is_left_alone(void **state)
{
    (void)state;
    const struct trp_io from = IO(2, 2), to = IO(4);
    struct troupe_tensor t = TENSOR(2, 2);
    trp_reshape_tensor(&from, &to, &t);
    assert_int_equal(t.rank, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tensor_takes_the_shape_that_is_declared_where_that_can_be_known),
        cmocka_unit_test(a_tensor_that_was_not_sent_is_left_alone),
    };
    return cmocka_run_group_tests_name("reshape", tests, NULL, NULL);
}
