/* tests/unit/admin/page_lines.h - what tests of pages of metrics look for in them. */
#ifndef PAGE_LINES_H
#define PAGE_LINES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* How often something stands there. */
static inline uint32_t count_of(const char *text, const char *what)
{
    uint32_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

/* These lines, and nothing else, to the last byte: what reads a page may be strict. */
static inline void expect_lines(const char *text, const char *const *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const size_t len = strlen(lines[i]);
        if (strncmp(text, lines[i], len) != 0 || text[len] != '\n')
            fail_msg("expected '%s', not '%.*s'", lines[i], (int)strcspn(text, "\n"), text);
        text += len + 1;
    }
    assert_string_equal(text, "");
}

#endif
