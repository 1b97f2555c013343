/* Which of many have series of their own: those that were asked most, in their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/asked_most.h"
#include "base/str.h"

struct one {
    struct trp_asked use;
    char letter;
};

/* "a3 b0 c-": a was asked three times, b never, c is no candidate. */
static uint32_t read_all(const char *text, struct one all[8])
{
    uint32_t n = 0;
    for (; *text; text += text[2] ? 3 : 2)
        all[n++] = (struct one){ .use = { .asked_n = text[1] == '-' ? 9 : (uint64_t)text[1] - '0',
                                          .is_candidate = text[1] != '-' },
                                 .letter = text[0] };
    return n;
}

static void those_asked_most_stand_first_in_their_order(void **state)
{
    (void)state;
    static const struct row {
        const char *all;
        uint32_t most;
        const char *chosen; /* the others stand behind them */
    } rows[] = {
        { "", 3, "" },
        { "a0", 0, "" },
        { "a0", 1, "a" },
        { "a1 b2 c3", 3, "abc" },
        { "a1 b2 c3", 9, "abc" },
        { "a1 b2 c3", 2, "bc" },
        { "a3 b1 c2", 2, "ac" },
        { "a1 b1 c1", 2, "ab" }, /* the earlier ones */
        { "a- b1 c0", 2, "bc" }, /* however often it was asked */
        { "a- b1 c-", 3, "b" },
        { "a- b-", 2, "" },
    };
    for (const struct row *row = rows; row < rows + ARRAY_LEN(rows); row++) {
        struct one all[8];
        char letters[9] = "", others[9] = "";
        const uint32_t n = read_all(row->all, all);
        const uint32_t own_n = trp_asked_most(all, n, sizeof *all, row->most);
        for (uint32_t i = 0; i < n; i++)
            (i < own_n ? letters : others)[i < own_n ? i : i - own_n] = all[i].letter;
        if (strcmp(letters, row->chosen) != 0)
            fail_msg("%u of '%s': '%s', not '%s'", row->most, row->all, letters, row->chosen);
        assert_int_equal(strlen(letters) + strlen(others), n);
        for (const char *at = row->all; *at; at += at[2] ? 3 : 2) /* nobody is lost */
            assert_true((strchr(letters, *at) != NULL) != (strchr(others, *at) != NULL));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_asked_most_stand_first_in_their_order),
    };
    return cmocka_run_group_tests_name("asked_most", tests, NULL, NULL);
}
