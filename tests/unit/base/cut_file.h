/* A mapped file for tests that cut it short: PAGES pages of 'x', in a folder of its own. */
#ifndef CUT_FILE_H
#define CUT_FILE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "scratch.h"

#define PAGES 16

struct file {
    char folder[SCRATCH_PATH_MAX], path[SCRATCH_PATH_MAX + 8];
    size_t page;
    struct trp_map map;
};

static inline int set_up(void **state)
{
    struct file *f = calloc(1, sizeof *f);
    f->page = (size_t)sysconf(_SC_PAGESIZE);
    scratch_folder(f->folder, "cut");
    (void)snprintf(f->path, sizeof f->path, "%s/file", f->folder);
    char *bytes = malloc(PAGES * f->page);
    memset(bytes, 'x', PAGES * f->page);
    assert_false(trp_failed(trp_file_replace(f->path, bytes, PAGES * f->page, NULL)));
    free(bytes);
    assert_false(trp_failed(trp_map_file(f->path, &f->map, NULL)));
    *state = f;
    return 0;
}

static inline int tear_down(void **state)
{
    struct file *f = *state;
    trp_unmap(&f->map);
    (void)unlink(f->path);
    (void)rmdir(f->folder);
    free(f);
    return 0;
}

static inline char byte_of_page(const struct file *f, size_t page)
{
    return ((const volatile char *)f->map.ptr)[page * f->page + 7];
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
