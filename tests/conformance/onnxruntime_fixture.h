/* tests/conformance/onnxruntime_fixture.h - what programs about the plugin of ONNX Runtime begin
 * and end with: one backend for all tests of the program, and nothing that one leaves to the
 * next. */
#ifndef TRP_TEST_ONNXRUNTIME_FIXTURE_H
#define TRP_TEST_ONNXRUNTIME_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "harness.h"

static struct harness h;

static inline int open_onnxruntime(void **state)
{
    (void)state;
    harness_set_up(&h, "onnxruntime");
    return 0;
}

static inline int close_onnxruntime(void **state)
{
    (void)state;
    harness_tear_down(&h);
    return 0;
}

/* After each test: models that it left open, and a limit that it has set. */
static inline int close_what_is_open(void **state)
{
    (void)state;
    harness_close_all(&h);
    h.account.limit = 0;
    return 0;
}

#endif
