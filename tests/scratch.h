/* tests/scratch.h - where a test may write.
 * Answers "which path is mine?".  Below $TMPDIR, else /tmp: whoever runs tests may collect what
 * crashed ones leave behind. */
#ifndef TRP_SCRATCH_H
#define TRP_SCRATCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCRATCH_PATH_MAX 64 /* so that sockets may lie below: their paths end at 108 bytes */

static inline void scratch_name(char path[SCRATCH_PATH_MAX], const char *noun)
{
    const char *base = getenv("TMPDIR");
    const int n =
        snprintf(path, SCRATCH_PATH_MAX, "%s/troupe-%s-XXXXXX", base ? base : "/tmp", noun);
    if (n >= SCRATCH_PATH_MAX)
        (void)snprintf(path, SCRATCH_PATH_MAX, "/tmp/troupe-%s-XXXXXX", noun);
}

/* Makes a folder of a name that nobody else has. */
static inline void scratch_folder(char path[SCRATCH_PATH_MAX], const char *noun)
{
    scratch_name(path, noun);
    assert_non_null(mkdtemp(path));
}

/* Makes an empty file likewise; the descriptor is the caller's. */
static inline int scratch_file(char path[SCRATCH_PATH_MAX], const char *noun)
{
    scratch_name(path, noun);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    return fd;
}

#endif
