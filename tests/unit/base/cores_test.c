/* Sets of cores: read, written, compared; a thread that is told to stay on some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/cores.h"

static void lists_are_read_and_written_back(void **state)
{
    (void)state;
    static const struct row {
        const char *text, *want; /* NULL: refused */
    } rows[] = {
        { "0", "0" },
        { "0-3,6", "0-3,6" },
        { "6,0,1,2,3", "0-3,6" },
        { "1-1", "1" },
        { "0-63,64", "0-64" },
        { "1023", "1023" },
        { "0-1023", "0-1023" },
        { "", NULL },
        { "1024", NULL },
        { "3-1", NULL },
        { "1,", NULL },
        { ",1", NULL },
        { "-1", NULL },
        { "1-", NULL },
        { "a", NULL },
        { "1 ,2", NULL },
        { "0-99999999999999999999", NULL },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_cores c;
        char text[TRP_CORES_TEXT_MAX];
        print_message("'%s'\n", r->text);
        assert_int_equal(trp_cores_parse(trp_str_of(r->text), &c), r->want != NULL);
        if (!r->want)
            continue;
        trp_cores_format(&c, text, sizeof text);
        assert_string_equal(text, r->want);
    }
}

static void a_long_list_is_cut(void **state)
{
    (void)state;
    struct trp_cores c;
    char text[12];
    assert_true(trp_cores_parse(TRP_STR_LIT("0,2,4,6,8,10,12"), &c));
    trp_cores_format(&c, text, sizeof text);
    assert_string_equal(text, "0,2,4,6...");
    trp_cores_format(&(struct trp_cores){ { 0 } }, text, sizeof text);
    assert_string_equal(text, "");
}

static void sets_are_compared(void **state)
{
    (void)state;
    struct trp_cores some, more, other;
    assert_true(trp_cores_parse(TRP_STR_LIT("1,70"), &some));
    assert_true(trp_cores_parse(TRP_STR_LIT("0-80"), &more));
    assert_true(trp_cores_parse(TRP_STR_LIT("1,69-70"), &other));
    assert_true(trp_cores_is_within(&some, &more));
    assert_false(trp_cores_is_within(&more, &some));
    assert_true(trp_cores_is_within(&some, &some));
    assert_true(trp_cores_is_equal(&some, &some));
    assert_false(trp_cores_is_equal(&some, &other));
}

/* The first core that this process may use. */
static struct trp_cores first_of(const struct trp_cores *all)
{
    struct trp_cores one = { { 0 } };
    for (size_t i = 0; i < ARRAY_LEN(one.words); i++) {
        if (!all->words[i])
            continue;
        one.words[i] = all->words[i] & (~all->words[i] + 1);
        return one;
    }
    return one;
}

static void a_thread_stays_where_it_is_told_to(void **state)
{
    (void)state;
    struct trp_cores home, now;
    assert_true(trp_cores_of_process(&home)); /* this thread is its first */
    const struct trp_cores one = first_of(&home), none = { { 0 } };
    assert_true(trp_cores_keep_thread(&one));
    assert_true(trp_cores_of_thread(&now));
    assert_true(trp_cores_is_equal(&now, &one));
    assert_false(trp_cores_keep_thread(&none)); /* no core at all: nothing has changed */
    assert_true(trp_cores_of_thread(&now));
    assert_true(trp_cores_is_equal(&now, &one));
    assert_true(trp_cores_keep_thread(&home));
}

static void one_stands_at_each_place(void **state)
{
    (void)state;
    struct trp_cores some, one, want, none = { { 0 } };
    assert_true(trp_cores_parse(trp_str_of("1-2,64,1023"), &some));
    assert_int_equal(trp_cores_count(&some), 4);
    assert_int_equal(trp_cores_count(&none), 0);
    const char *const texts[] = { "1", "2", "64", "1023" };
    for (uint32_t i = 0; i < ARRAY_LEN(texts); i++) {
        one = trp_cores_at(&some, i);
        assert_true(trp_cores_parse(trp_str_of(texts[i]), &want));
        assert_true(trp_cores_is_equal(&one, &want));
    }
    one = trp_cores_at(&some, 4);
    assert_true(trp_cores_is_equal(&one, &none));
}

static void work_may_be_bound_where_its_thread_is_not(void **state)
{
    (void)state;
    struct trp_cores some, got;
    assert_true(trp_cores_parse(trp_str_of("3,5"), &some));
    assert_false(trp_cores_of_work(&got));
    trp_cores_bind_work(&some);
    assert_true(trp_cores_of_work(&got) && trp_cores_is_equal(&got, &some));
    trp_cores_bind_work(NULL);
    assert_false(trp_cores_of_work(&got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_are_read_and_written_back),
        cmocka_unit_test(a_long_list_is_cut),
        cmocka_unit_test(sets_are_compared),
        cmocka_unit_test(a_thread_stays_where_it_is_told_to),
        cmocka_unit_test(work_may_be_bound_where_its_thread_is_not),
        cmocka_unit_test(one_stands_at_each_place),
    };
    return cmocka_run_group_tests_name("cores", tests, NULL, NULL);
}
