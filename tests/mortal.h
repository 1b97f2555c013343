/* tests/mortal.h - children of a test die of their signals, also where a sanitizer keeps its parent
 * from it. tools/torture has the address sanitizer take SIGFPE itself, so that no crash is told to
 * cmocka; a test whose children are to die of it says so to them. */
#ifndef MORTAL_H
#define MORTAL_H

#include <stdio.h>
#include <stdlib.h>

/* Before the first child is started; the process itself has read its options already. */
static inline void let_children_die(void)
{
    const char *const options = getenv("ASAN_OPTIONS");
    char more[512];
    (void)snprintf(more, sizeof more, "%s%shandle_sigfpe=0", options ? options : "",
                   options ? ":" : "");
    (void)setenv("ASAN_OPTIONS", more, 1);
}

#endif
