/* Failures: what their codes say, and how their words grow on the way up. */
#include "base/status.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/str.h"

static void codes_have_names_and_statuses(void **state)
{
    (void)state;
    static const struct row {
        int32_t code;
        const char *name;
        int http, grpc;
        bool retryable;
    } rows[] = {
        { TRP_OK, "OK", 200, 0, false },
        { TRP_INVALID_ARGUMENT, "INVALID_ARGUMENT", 400, 3, false },
        { TRP_NOT_FOUND, "NOT_FOUND", 404, 5, false },
        { TRP_QUEUE_FULL, "QUEUE_FULL", 429, 8, true },
        { TRP_OVER_BUDGET, "OVER_BUDGET", 507, 8, true },
        { TRP_BACKEND_FAILED, "BACKEND_FAILED", 500, 13, false },
        { -1, "UNKNOWN", 500, 2, false },
        { TRP_CODES, "UNKNOWN", 500, 2, false },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        print_message("%d\n", r->code);
        assert_string_equal(trp_code_name(r->code), r->name);
        assert_int_equal(trp_code_http(r->code), r->http);
        assert_int_equal(trp_code_grpc(r->code), r->grpc);
        assert_int_equal(trp_code_is_retryable(r->code), r->retryable);
    }
    for (int32_t code = 0; code < TRP_CODES; code++) {
        assert_true(trp_code_text(code)[0] != '\0');
        assert_in_range(trp_code_http(code), 200, 599);
        assert_in_range(trp_code_grpc(code), 0, 16);
        assert_int_equal(trp_code_http(code) == 200, code == TRP_OK);
    }
}

static trp_status inner(struct trp_error *err)
{
    return trp_fail(err, TRP_OVER_BUDGET, "needs %d bytes", 5);
}

static trp_status outer(struct trp_error *err)
{
    TRP_TRY(inner(err), err, "model '%s'", "a/3");
    return trp_ok();
}

static trp_status passing(struct trp_error *err)
{
    TRP_CHECK(inner(err));
    return trp_ok();
}

static void words_get_their_context_in_front(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    assert_int_equal(outer(&err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "model 'a/3': needs 5 bytes");
    assert_int_equal(err.status.code, TRP_OVER_BUDGET);
    assert_int_equal(passing(&err).code, TRP_OVER_BUDGET);
    assert_string_equal(err.text, "needs 5 bytes");
    assert_int_equal(outer(NULL).code, TRP_OVER_BUDGET); /* without words */
    assert_false(trp_failed(trp_ok()));
}

static void errors_of_the_system_get_a_code_and_a_reason(void **state)
{
    (void)state;
    static const struct row {
        int number, code;
        const char *want;
    } rows[] = {
        { ENOENT, TRP_NOT_FOUND, "open: No such file or directory" },
        { ENOTDIR, TRP_NOT_FOUND, "open: Not a directory" },
        { EACCES, TRP_PERMISSION_DENIED, "open: Permission denied" },
        { EPERM, TRP_PERMISSION_DENIED, "open: Operation not permitted" },
        { ENOMEM, TRP_OUT_OF_MEMORY, "open: Cannot allocate memory" },
        { EEXIST, TRP_ALREADY_EXISTS, "open: File exists" },
        { EIO, TRP_IO, "open: Input/output error" },
    };
    for (const struct row *r = rows; r < rows + ARRAY_LEN(rows); r++) {
        struct trp_error err = { 0 };
        assert_int_equal(trp_fail_errno(&err, r->number, "op%s", "en").code, r->code);
        assert_string_equal(err.text, r->want);
        assert_int_equal(trp_fail_errno(NULL, r->number, "open").code, r->code);
    }
}

static void too_long_a_text_is_cut_at_its_end(void **state)
{
    (void)state;
    struct trp_error err = { 0 };
    char many[600];
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = '\0';
    (void)trp_fail(&err, TRP_IO, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    trp_error_within(&err, "front");
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_memory_equal(err.text, "front: xxx", 10);
    trp_error_within(&err, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    (void)trp_fail_errno(&err, EIO, "%s", many);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    trp_error_within(NULL, "nobody");
}

static void a_bug_aborts(void **state)
{
    (void)state;
    const pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        TRP_ASSERT(child != 0);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_have_names_and_statuses),
        cmocka_unit_test(words_get_their_context_in_front),
        cmocka_unit_test(errors_of_the_system_get_a_code_and_a_reason),
        cmocka_unit_test(too_long_a_text_is_cut_at_its_end),
        cmocka_unit_test(a_bug_aborts),
    };
    return cmocka_run_group_tests_name("status", tests, NULL, NULL);
}
